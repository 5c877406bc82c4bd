//! Which dead letters are meant: the same names in a query and in a document.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::asked;
use crate::{http::problem::Problem, hub::dead_letters::Filter};

/// Every part narrows.
#[derive(Debug, Default, Deserialize, Serialize, IntoParams, ToSchema)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
#[schema(as = DeadLetterFilter, example = json!({ "connector": "logo", "reason": "missing_reference" }))]
pub(super) struct LetterQuery {
    /// Of this instance: `logo`
    connector: Option<String>,
    /// Of this stream: `items`
    stream: Option<String>,
    /// Of this entity: `product`
    entity: Option<String>,
    /// Of messages of this kind
    kind: Option<String>,
    /// `data`, `remote`, `credential`, `contract` or `ours`
    cause: Option<String>,
    /// `missing_reference`, `too_long`
    reason: Option<String>,
    /// The field that failed
    field: Option<String>,
    /// Those that failed alike
    fingerprint: Option<String>,
    /// External code of the record
    code: Option<String>,
    /// How codes begin
    code_prefix: Option<String>,
    /// By this mapping: `logo/items`
    mapping: Option<String>,
    correlation_id: Option<String>,
    /// Of this run, by its id
    run: Option<String>,
    /// Of this message, by its id
    message: Option<String>,
    /// The code of the record that they lack
    missing: Option<String>,
    /// `dead` or `replaying`
    state: Option<String>,
    /// Made since then, as in 2026-11-21T08:00:00Z
    since: Option<String>,
    /// Made before then
    until: Option<String>,
    /// Tried at least so often
    attempts: Option<String>,
    /// Somewhere in the detail
    text: Option<String>,
}

impl LetterQuery {
    pub(super) fn filter(&self) -> Result<Filter, Problem> {
        let mut filter = Filter::default();
        for (name, key, value) in [
            ("connector", "connector", &self.connector),
            ("stream", "stream", &self.stream),
            ("entity", "entity", &self.entity),
            ("kind", "kind", &self.kind),
            ("cause", "cause", &self.cause),
            ("reason", "reason", &self.reason),
            ("field", "field", &self.field),
            ("fingerprint", "fingerprint", &self.fingerprint),
            ("code", "code", &self.code),
            ("codePrefix", "code_prefix", &self.code_prefix),
            ("mapping", "mapping", &self.mapping),
            ("correlationId", "correlation", &self.correlation_id),
            ("run", "run", &self.run),
            ("message", "message", &self.message),
            ("missing", "missing", &self.missing),
            ("state", "state", &self.state),
            ("since", "since", &self.since),
            ("until", "until", &self.until),
            ("attempts", "attempts", &self.attempts),
            ("text", "text", &self.text),
        ] {
            if let Some(value) = asked::text(name, value, 200)? {
                filter.set(key, value).map_err(|why| asked::wrong(name, "format", why))?;
            }
        }
        filter.check().map_err(|why| asked::wrong("filter", "unknown_value", why))?;
        Ok(filter)
    }
}
