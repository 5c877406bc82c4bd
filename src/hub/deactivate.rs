//! Deactivation: a source says that it no longer has a record. The record, its history and its link stay.
//!
//! Invariants
//! - It goes through the entity's command like any change, and raises the same event.
//! - The link's hash becomes that of the deactivation, so that the record's next document counts as changed and brings
//!   it back; its version stays, so that an older document does not.
//! - Who calls [`deactivate`] has the reason and writes the audit.

use std::collections::{BTreeSet, HashMap};

use kopru_sdk::Cause;
use rust_decimal::Decimal;
use serde_json::json;
use sqlx::PgConnection;

use super::{
    engine::Engine,
    entities::{self, Resolved},
    links::{self, Link},
    pages::{ApplyError, Failure},
};
use crate::{
    audit::{self, Actor},
    canonical::{Change, Entity, Hash, Value, hash_of},
    commerce::{CommandError, Outcome, WriteContext},
    outbox::Provenance,
};

/// What became of one code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deactivation {
    /// The record with this internal id is inactive now; a stock level is at 0.
    Done(i64),
    /// It was before.
    Already(i64),
    /// The instance has no record under this code.
    Unknown,
    Refused(Failure),
}

/// Deactivates the records that `connector` knows by these codes: one outcome for each code, in their order.
pub async fn deactivate(
    tx: &mut PgConnection,
    engine: &Engine,
    connector: &str,
    entity: Entity,
    codes: &[&str],
    provenance: Provenance<'_>,
) -> Result<Vec<Deactivation>, ApplyError> {
    let refusal = match inactive(entity) {
        _ if !engine.is_master(connector, entity) => {
            Some(("not_master", format!("{connector} is not the master of this installation's {entity} records")))
        }
        None => Some(("not_supported", format!("{entity} records cannot be deactivated"))),
        Some(_) => None,
    };
    if let Some((reason, detail)) = refusal {
        let failure = Failure { cause: Cause::Data, reason: reason.to_owned(), field: None, value: None, detail };
        return Ok(vec![Deactivation::Refused(failure); codes.len()]);
    }
    let values = inactive(entity).unwrap_or_default();
    let hash = hash_of(entity, &values);

    let wanted: BTreeSet<&str> = codes.iter().copied().collect();
    let wanted: Vec<&str> = wanted.into_iter().collect();
    let held = links::by_code(tx, connector, entity, &wanted).await?;
    let mut became: HashMap<&str, Deactivation> = HashMap::with_capacity(wanted.len());
    let mut active: Vec<&Link> = Vec::new();
    for code in &wanted {
        match held.get(*code) {
            None => {
                became.insert(code, Deactivation::Unknown);
            }
            Some(link) if link.hash == Some(hash) => {
                became.insert(code, Deactivation::Already(link.internal_id));
            }
            Some(link) => active.push(link),
        }
    }
    if !active.is_empty() {
        if !links::lock(tx, &active).await? {
            return Err(ApplyError::Conflict);
        }
        let changes: Vec<Change<'_>> = active
            .iter()
            .map(|link| Change {
                entity,
                code: link.code.as_str().into(),
                external_id: None,
                version: None,
                values: values.clone(),
                hash,
                ordinal: 0,
            })
            .collect();
        let ids: Vec<i64> = active.iter().map(|link| link.internal_id).collect();
        let refs = entities::own_references(tx, entity, &ids).await?;
        let rows: Vec<Resolved<'_>> = changes
            .iter()
            .zip(&ids)
            .map(|(change, id)| Resolved {
                id: *id,
                is_new: false,
                change,
                refs: refs.get(id).map(Vec::as_slice).unwrap_or_default(),
            })
            .collect();
        let outcomes = entities::upsert(tx, entity, &WriteContext::source(provenance), &rows).await.map_err(
            |error| match error {
                error if error.retry_at_once() => ApplyError::Conflict,
                CommandError::Database(error) => error.into(),
                error => ApplyError::Command(error),
            },
        )?;
        let mut done = Vec::with_capacity(active.len());
        for (link, outcome) in active.iter().zip(outcomes) {
            let deactivation = match outcome {
                Outcome::Created | Outcome::Updated => Deactivation::Done(link.internal_id),
                Outcome::Unchanged => Deactivation::Already(link.internal_id),
                Outcome::Refused(violation) => Deactivation::Refused(violation.into()),
            };
            if !matches!(deactivation, Deactivation::Refused(_)) {
                done.push(link.id);
            }
            became.insert(link.code.as_str(), deactivation);
        }
        links::mark(tx, &done, &hash).await?;
    }
    Ok(codes.iter().map(|code| became.get(code).cloned().unwrap_or(Deactivation::Unknown)).collect())
}

/// The hash that a link of this entity has while its record is deactivated. `None`: the entity knows no such state.
pub fn hash(entity: Entity) -> Option<Hash> {
    inactive(entity).map(|values| hash_of(entity, &values))
}

/// Deactivates one record because `by` says so, and writes that down.
pub async fn deactivate_one(
    tx: &mut PgConnection,
    engine: &Engine,
    connector: &str,
    entity: Entity,
    code: &str,
    by: Actor<'_>,
) -> Result<Deactivation, ApplyError> {
    let provenance = Provenance {
        origin: connector,
        bulk: false,
        correlation_id: by.correlation_id,
        place: None,
        now: engine.clock.now(),
    };
    let outcome = deactivate(tx, engine, connector, entity, &[code], provenance).await?.pop();
    let outcome = outcome.unwrap_or(Deactivation::Unknown);
    if let Deactivation::Done(id) = outcome {
        let entry = audit::Entry {
            action: "record.deactivated",
            subject_kind: entity.as_str(),
            subject: code.to_owned(),
            detail: json!({ "instance": connector, "id": id }),
        };
        audit::record(tx, by, &[entry]).await?;
    }
    Ok(outcome)
}

/// The one field that says so, everything else absent. `None`: the entity knows no such state.
fn inactive(entity: Entity) -> Option<Vec<Value<'static>>> {
    let mut values = vec![Value::Absent; entity.fields().len()];
    let mut set = |name: &str, value: Value<'static>| {
        let place = entity.field(name)?;
        values.get_mut(place).map(|held| *held = value)
    };
    match entity {
        Entity::UnitSet | Entity::Order | Entity::Ledger => return None,
        // Nothing else of it is told.
        Entity::Invoice => set("status", Value::Text("cancelled".into()))?,
        Entity::Stock => {
            set("quantity", Value::Decimal(Decimal::ZERO))?;
            // What the level is of; the store says it.
            set("product", Value::Null)?;
            set("warehouse", Value::Null)?;
        }
        _ => set("isActive", Value::Bool(false))?,
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_unit_sets_orders_and_movements_can_be_deactivated() {
        for entity in Entity::ALL {
            let stays = matches!(entity, Entity::UnitSet | Entity::Order | Entity::Ledger);
            assert_eq!(inactive(entity).is_none(), stays, "{entity}");
        }
    }
}
