//! What a recorded answer is to the hub: the connector's own reading, then the mapping's. No network, no database. Files
//! are read by [`super::files::recorded`] and told in the same words.

use kopru_sdk::{Connector, Ctx, Fault, Format as WireFormat, Recorded};
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::{mappings::InForce, pull::mapping_format};
use crate::mapping::{Mapped, Rejected};

/// In the words that every connector shares.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// `ok`, `partial`, or the class of the fault.
    pub class: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Canonical, as the mapping made them.
    pub records: Vec<Json>,
    /// Codes of records that the source has deleted; only files tell that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deleted: Vec<String>,
    /// What the mapping refused.
    pub rejected: Vec<Json>,
    pub unmapped: Vec<Json>,
    pub skipped: Vec<Json>,
    pub notes: Vec<String>,
}

impl Outcome {
    fn of(class: &'static str) -> Outcome {
        Outcome {
            class,
            reason: None,
            field: None,
            detail: None,
            records: Vec::new(),
            deleted: Vec::new(),
            rejected: Vec::new(),
            unmapped: Vec::new(),
            skipped: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Before any of them was read.
    pub(super) fn of_records() -> Outcome {
        Outcome::of("ok")
    }

    pub(super) fn contract(reason: &str, detail: &str) -> Outcome {
        let mut outcome = Outcome::failed(&Fault::contract(detail));
        outcome.reason = Some(reason.to_owned());
        outcome
    }

    /// What a document became by its mapping and the parts of it. `first`: the place of its first record.
    pub(super) fn add(&mut self, document: &[Mapped<'_>], first: u64) {
        for mapped in document {
            self.records.extend(mapped.changes.iter().map(|change| change.to_json()));
            self.rejected.extend(mapped.rejected.iter().map(|record| rejected(record, first)));
        }
        self.note(document);
    }

    /// The same of records that the source has deleted.
    pub(super) fn delete(&mut self, document: &[Mapped<'_>], first: u64) {
        let Some(own) = document.first() else { return };
        let refused = own.rejected.iter().filter_map(|record| record.code.as_deref());
        let codes = own.changes.iter().map(|change| change.code.as_ref()).chain(refused);
        self.deleted.extend(codes.map(str::to_owned));
        let nameless = own.rejected.iter().filter(|record| record.code.is_none());
        self.rejected.extend(nameless.map(|record| rejected(record, first)));
        self.note(&document[..1]);
    }

    /// The same of records that ask for something which nobody knows.
    pub(super) fn refuse(&mut self, document: &[Mapped<'_>], first: u64, word: &str) {
        let Some(own) = document.first() else { return };
        let taken = own.changes.iter().map(|change| (change.ordinal, Some(change.code.as_ref())));
        let refused = own.rejected.iter().map(|record| (record.ordinal, record.code.as_deref()));
        self.rejected.extend(taken.chain(refused).map(|(ordinal, code)| {
            json!({
                "ordinal": first + u64::from(ordinal), "code": code, "field": "@DBOP", "source": "@DBOP",
                "reason": "unknown_operation", "value": word, "detail": "known are INS, UPD and DEL",
            })
        }));
        self.note(&document[..1]);
    }

    /// Codes that no table knows, and what is left out.
    fn note(&mut self, document: &[Mapped<'_>]) {
        let counted = |list: &mut Vec<Json>, same: &dyn Fn(&Json) -> bool, count: usize, new: Json| match list
            .iter_mut()
            .find(|one| same(one))
        {
            Some(one) => one["count"] = (one["count"].as_u64().unwrap_or(0) + count as u64).into(),
            None => list.push(new),
        };
        for one in document.iter().flat_map(|mapped| &mapped.unmapped) {
            let new = json!({ "table": one.table, "code": one.code, "count": one.count, "example": one.example });
            let same = |held: &Json| held["table"] == one.table && held["code"] == one.code;
            counted(&mut self.unmapped, &same, one.count, new);
        }
        for (reason, count) in document.first().into_iter().flat_map(|own| &own.skipped) {
            let new = json!({ "reason": reason, "count": count });
            counted(&mut self.skipped, &|held| held["reason"] == reason.as_str(), *count, new);
        }
    }

    /// What all of them come to.
    pub(super) fn settle(&mut self) {
        let Some(first) = self.rejected.first() else { return };
        self.class = if self.records.is_empty() && self.deleted.is_empty() { "permanent" } else { "partial" };
        let text = |key: &str| first[key].as_str().map(str::to_owned);
        (self.reason, self.field, self.detail) = (text("reason"), text("field"), text("detail"));
    }

    fn failed(fault: &Fault) -> Outcome {
        let mut outcome = Outcome::of(fault.class());
        if let Fault::Permanent(refusal) = fault {
            outcome.reason = Some(refusal.reason.clone());
            outcome.field = refusal.field.clone();
        }
        outcome.detail = Some(fault.to_string());
        outcome
    }
}

/// Reads it. `mapping`: the one that the operation's records go through.
pub fn read(
    connector: &dyn Connector,
    in_force: &InForce,
    mapping: Option<&str>,
    cx: &Ctx,
    recorded: &Recorded,
) -> Outcome {
    let reading = match connector.read(cx, recorded) {
        Ok(reading) => reading,
        Err(fault) => return Outcome::failed(&fault),
    };
    let mut outcome = match (&reading.records, mapping) {
        (None, _) => Outcome::of("ok"),
        (Some(records), Some(name)) => map(in_force, name, records.format, &records.body),
        (Some(_), None) => Outcome::failed(&Fault::contract("nobody says which mapping these records go through")),
    };
    outcome.notes = reading.notes;
    outcome
}

fn map(in_force: &InForce, name: &str, format: WireFormat, body: &[u8]) -> Outcome {
    let Some(mapping) = in_force.get(name) else {
        return Outcome::failed(&Fault::contract(format!("the mapping `{name}` is not in the library")));
    };
    let mapped = match mapping.map(mapping_format(format), body) {
        Ok(mapped) => mapped,
        Err(unreadable) => {
            let mut outcome = Outcome::failed(&Fault::contract(unreadable.to_string()));
            outcome.reason = Some(unreadable.what.to_string());
            return outcome;
        }
    };
    let mut outcome = Outcome::of_records();
    outcome.add(&[mapped], 0);
    outcome.settle();
    outcome
}

fn rejected(record: &Rejected, first: u64) -> Json {
    json!({
        "ordinal": first + u64::from(record.ordinal), "code": record.code, "field": record.field,
        "source": record.source, "reason": record.reason.to_string(), "value": record.value, "detail": record.detail,
    })
}
