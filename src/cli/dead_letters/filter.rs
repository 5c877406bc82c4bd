//! The filters as options.

use chrono::{DateTime, Utc};
use clap::Args;
use uuid::Uuid;

use super::Failure;
use crate::hub::dead_letters::Filter;

#[derive(Debug, Args, Default)]
pub(in super::super) struct FilterArgs {
    /// Only of this instance, `logo`
    #[arg(long)]
    connector: Option<String>,
    /// Only of this stream, `items`
    #[arg(long)]
    stream: Option<String>,
    /// Only of this entity, `product`
    #[arg(long)]
    entity: Option<String>,
    /// Only messages of this kind, `document`
    #[arg(long)]
    kind: Option<String>,
    /// Only of this cause: data, remote, credential, contract or ours
    #[arg(long)]
    cause: Option<String>,
    /// Only of this reason, `missing_field`
    #[arg(long = "reason-code")]
    reason_code: Option<String>,
    /// Only those that failed at this field of ours, `name`
    #[arg(long)]
    field: Option<String>,
    /// Letters that failed alike share it
    #[arg(long)]
    fingerprint: Option<String>,
    /// Only of the record with this external code
    #[arg(long)]
    code: Option<String>,
    /// Only of records whose code begins so
    #[arg(long)]
    code_prefix: Option<String>,
    /// Only of this mapping, `logo/items`
    #[arg(long)]
    mapping: Option<String>,
    /// Only of this request or run
    #[arg(long = "correlation", value_name = "ID")]
    correlation_id: Option<String>,
    /// Only of this run
    #[arg(long, value_name = "ID")]
    run: Option<Uuid>,
    /// Only of this message
    #[arg(long, value_name = "ID")]
    message: Option<Uuid>,
    /// Only those that lack the record with this code
    #[arg(long, value_name = "CODE")]
    missing: Option<String>,
    /// Only in this state: dead or replaying
    #[arg(long)]
    state: Option<String>,
    /// Only what failed since then (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<DateTime<Utc>>,
    /// Only what failed before then (RFC 3339)
    #[arg(long, value_name = "TIME")]
    until: Option<DateTime<Utc>>,
    /// Only what was tried at least so often
    #[arg(long, value_name = "N")]
    attempts: Option<i32>,
    /// Only with this text in the detail
    #[arg(long)]
    text: Option<String>,
    /// The same filters in one word: `reason=too_long,stream=items`
    #[arg(long = "filter", value_name = "KEY=VALUE,…")]
    terms: Option<String>,
}

impl FilterArgs {
    pub fn into_filter(self) -> Result<Filter, Failure> {
        let mut filter = Filter {
            connector: self.connector,
            stream: self.stream,
            entity: self.entity,
            kind: self.kind,
            cause: self.cause,
            reason: self.reason_code,
            field: self.field,
            fingerprint: self.fingerprint,
            code: self.code,
            code_prefix: self.code_prefix,
            mapping: self.mapping,
            correlation_id: self.correlation_id,
            run: self.run,
            message: self.message,
            missing: self.missing,
            state: self.state,
            since: self.since,
            until: self.until,
            attempts: self.attempts,
            text: self.text,
        };
        // A variable of a script that is not set must not mean everything.
        if self.terms.as_ref().is_some_and(|terms| terms.split(',').all(|term| term.trim().is_empty())) {
            return Err(Failure::Usage("--filter is empty; say KEY=VALUE, or --all for every letter".to_owned()));
        }
        for term in self.terms.iter().flat_map(|terms| terms.split(',')).filter(|term| !term.is_empty()) {
            let Some((key, value)) = term.split_once('=') else {
                return Err(Failure::Usage(format!("`{term}` is not KEY=VALUE, as in --filter reason=too_long")));
            };
            filter.set(key.trim(), value).map_err(|error| Failure::Usage(format!("--filter: {error}")))?;
        }
        filter.check().map_err(Failure::Usage)?;
        Ok(filter)
    }

    pub fn is_empty(&self) -> bool {
        let FilterArgs {
            connector,
            stream,
            entity,
            kind,
            cause,
            reason_code,
            field,
            fingerprint,
            code,
            code_prefix,
            mapping,
            correlation_id,
            run,
            message,
            missing,
            state,
            since,
            until,
            attempts,
            text,
            terms,
        } = self;
        let texts = [
            connector,
            stream,
            entity,
            kind,
            cause,
            reason_code,
            field,
            fingerprint,
            code,
            code_prefix,
            mapping,
            correlation_id,
            missing,
            state,
            text,
            terms,
        ];
        texts.iter().all(|text| text.is_none())
            && run.is_none()
            && message.is_none()
            && since.is_none()
            && until.is_none()
            && attempts.is_none()
    }
}
