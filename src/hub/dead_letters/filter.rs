//! Which letters are meant.

use chrono::{DateTime, TimeDelta, Utc};
use kopru_sdk::{Cause, settings::unknown_key};
use serde::Serialize;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use crate::canonical::Entity;

/// Every field narrows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Filter {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Our name of the field that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mapping: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Uuid>,
    /// The code of the record that they lack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// At least so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<i32>,
    /// Somewhere in the detail, upper and lower case alike.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// The names under which [`Filter::set`] knows the fields.
pub const KEYS: [&str; 20] = [
    "connector",
    "stream",
    "entity",
    "kind",
    "cause",
    "reason",
    "field",
    "fingerprint",
    "code",
    "code_prefix",
    "mapping",
    "correlation",
    "run",
    "message",
    "missing",
    "state",
    "since",
    "until",
    "attempts",
    "text",
];

/// A letter's id is of the program's clock, its time of the database's: so far apart they are never taken to be.
const CLOCKS_APART: TimeDelta = TimeDelta::minutes(10);

impl Filter {
    /// Sets one field by its name, as in `reason=too_long`. The error says what would be right.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let text = || Some(value.to_owned());
        let id = || value.parse::<Uuid>().map(Some).map_err(|_| format!("{key}: `{value}` is no id"));
        let time = || {
            DateTime::parse_from_rfc3339(value)
                .map(|at| Some(at.to_utc()))
                .map_err(|_| format!("{key}: `{value}` is no time like 2026-11-21T08:00:00Z"))
        };
        match key {
            "connector" => self.connector = text(),
            "stream" => self.stream = text(),
            "entity" => self.entity = text(),
            "kind" => self.kind = text(),
            "cause" => self.cause = text(),
            "reason" => self.reason = text(),
            "field" => self.field = text(),
            "fingerprint" => self.fingerprint = text(),
            "code" => self.code = text(),
            "code_prefix" => self.code_prefix = text(),
            "mapping" => self.mapping = text(),
            "correlation" => self.correlation_id = text(),
            "run" => self.run = id()?,
            "message" => self.message = id()?,
            "missing" => self.missing = text(),
            "state" => self.state = text(),
            "since" => self.since = time()?,
            "until" => self.until = time()?,
            "attempts" => {
                let count = value.parse().map_err(|_| format!("attempts: `{value}` is no whole number"))?;
                self.attempts = Some(count);
            }
            "text" => self.text = text(),
            _ => return Err(format!("`{key}`: {}", unknown_key(key, &KEYS))),
        }
        Ok(())
    }

    /// What no letter can have is told, with what would be right.
    pub fn check(&self) -> Result<(), String> {
        let entities = Entity::ALL.map(Entity::as_str);
        let causes = [Cause::Data, Cause::Remote, Cause::Credential, Cause::Contract, Cause::Ours].map(Cause::as_str);
        for (key, value, known) in [
            ("state", &self.state, &["dead", "replaying"][..]),
            ("cause", &self.cause, &causes[..]),
            ("entity", &self.entity, &entities[..]),
        ] {
            if let Some(value) = value.as_deref().filter(|value| !known.contains(value)) {
                return Err(format!("there is no {key} `{value}`; there are {}", known.join(", ")));
            }
        }
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        *self == Filter::default()
    }

    /// Adds ` and …` for everything that is asked for. Only that stands in the text, so that the planner sees it.
    pub(super) fn narrow<'q>(&'q self, query: &mut QueryBuilder<Postgres>) {
        let mut equal = |column: &str, value: &'q Option<String>| {
            if let Some(value) = value {
                query.push(" and ").push(column).push(" = ").push_bind(value.clone());
            }
        };
        equal("d.connector", &self.connector);
        equal("d.entity", &self.entity);
        equal("d.kind", &self.kind);
        equal("d.cause", &self.cause);
        equal("d.reason", &self.reason);
        equal("d.fingerprint", &self.fingerprint);
        equal("d.key", &self.code);
        equal("d.mapping", &self.mapping);
        equal("d.correlation_id", &self.correlation_id);
        equal("d.missing_code", &self.missing);
        equal("d.state", &self.state);
        if let Some(stream) = &self.stream {
            // Its own name, or as it is shown: behind the instance's.
            query.push(" and (d.stream = ").push_bind(stream.clone());
            query.push(" or d.connector || '.' || d.stream = ").push_bind(stream.clone()).push(")");
        }
        if let Some(field) = &self.field {
            // Our name, that of the document, or as they are shown: `amount (listPrice)`.
            query.push(" and ").push_bind(field.clone());
            query.push(" in (d.field, split_part(d.field, ' (', 1), rtrim(split_part(d.field, ' (', 2), ')'))");
        }
        if let Some(prefix) = &self.code_prefix {
            query.push(" and d.key like ").push_bind(format!("{}%", literal(prefix)));
        }
        if let Some(run) = self.run {
            query.push(" and d.run_id = ").push_bind(run);
        }
        if let Some(message) = self.message {
            query.push(" and d.message_id = ").push_bind(message);
        }
        if let Some(since) = self.since {
            query.push(" and d.created_at >= ").push_bind(since);
            query.push(" and d.id >= ").push_bind(id_at(since, -CLOCKS_APART));
        }
        if let Some(until) = self.until {
            query.push(" and d.created_at < ").push_bind(until);
            query.push(" and d.id < ").push_bind(id_at(until, CLOCKS_APART));
        }
        if let Some(attempts) = self.attempts {
            query.push(" and d.attempts >= ").push_bind(attempts);
            if attempts > 1 {
                // Says to the planner that the index of those tried again holds them all.
                query.push(" and d.attempts > 1");
            }
        }
        if let Some(text) = &self.text {
            query.push(" and d.detail ilike ").push_bind(format!("%{}%", literal(text)));
        }
    }
}

/// What `like` takes word for word.
fn literal(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

/// The smallest UUIDv7 of an instant.
fn id_at(at: DateTime<Utc>, shift: TimeDelta) -> Uuid {
    const LAST: i64 = (1 << 48) - 1;
    let millis = at.checked_add_signed(shift).unwrap_or(at).timestamp_millis().clamp(0, LAST);
    Uuid::from_u128((u128::from(millis.unsigned_abs()) << 80) | (0x7000 << 64) | (0x8000 << 48))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_sets_its_field_and_another_is_told_with_the_nearest() {
        for key in KEYS {
            let value = match key {
                "run" | "message" => "00000000-0000-7000-8000-000000000000",
                "since" | "until" => "2026-11-21T08:00:00+03:00",
                "attempts" => "3",
                _ => "x",
            };
            let mut filter = Filter::default();
            filter.set(key, value).unwrap_or_else(|error| panic!("{error}"));
            assert!(!filter.is_empty(), "{key}");
        }
        let mut filter = Filter::default();
        assert!(filter.set("raeson", "x").unwrap_err().contains("reason"));
        assert!(filter.set("since", "yesterday").is_err());
        assert!(filter.set("run", "7").is_err());
        assert!(filter.is_empty());
    }

    #[test]
    fn an_instant_is_an_id_whatever_the_year() {
        let noon = DateTime::parse_from_rfc3339("2026-11-21T12:00:00Z").unwrap().to_utc();
        assert_eq!(id_at(noon, TimeDelta::zero()).to_string(), "01a1fdfa-4600-7000-8000-000000000000");
        assert!(id_at(DateTime::<Utc>::MAX_UTC, CLOCKS_APART) > id_at(noon, TimeDelta::zero()));
        assert!(id_at(DateTime::<Utc>::MIN_UTC, -CLOCKS_APART) < id_at(noon, TimeDelta::zero()));
    }

    #[test]
    fn what_a_person_types_is_taken_word_for_word() {
        assert_eq!(literal(r"50%_\"), r"50\%\_\\");
    }
}
