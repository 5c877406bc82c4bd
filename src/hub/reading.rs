//! What a recorded answer is to the hub: the connector's own reading, then the mapping's. No network, no database.

use kopru_sdk::{Connector, Ctx, Fault, Format as WireFormat, Recorded};
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::{mappings::InForce, pull::mapping_format};

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
            rejected: Vec::new(),
            unmapped: Vec::new(),
            skipped: Vec::new(),
            notes: Vec::new(),
        }
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
    let mut outcome = Outcome::of(match (mapped.rejected.first(), mapped.changes.is_empty()) {
        (None, _) => "ok",
        (Some(_), false) => "partial",
        (Some(_), true) => "permanent",
    });
    if let Some(first) = mapped.rejected.first() {
        outcome.reason = Some(first.reason.to_string());
        outcome.field = Some(first.field.clone());
        outcome.detail = Some(first.detail.clone());
    }
    outcome.records = mapped.changes.iter().map(|change| change.to_json()).collect();
    outcome.rejected = mapped
        .rejected
        .iter()
        .map(|record| {
            json!({
                "ordinal": record.ordinal, "code": record.code, "field": record.field, "source": record.source,
                "reason": record.reason.to_string(), "value": record.value, "detail": record.detail,
            })
        })
        .collect();
    outcome.unmapped = mapped
        .unmapped
        .iter()
        .map(|one| json!({ "table": one.table, "code": one.code, "count": one.count, "example": one.example }))
        .collect();
    outcome.skipped =
        mapped.skipped.iter().map(|(reason, count)| json!({ "reason": reason, "count": count })).collect();
    outcome
}
