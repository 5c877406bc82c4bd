//! Timelines: every message, event, attempt and change that touched a business object, across systems.
//!
//! An object is found by what people call it ([`lookup::named`]), by a code of an external system, or by the correlation id
//! of a request or run. Nothing is searched by payload: codes, keys and ids have indexes.

mod entries;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;

use super::links;
use crate::{
    audit,
    canonical::Entity,
    commerce::{
        lookup::{self, Kind, Named},
        orders,
    },
    principal::Scope,
};

/// The objects that external systems have codes for.
const LINKED: [(Kind, Entity); 3] =
    [(Kind::Product, Entity::Product), (Kind::Customer, Entity::Customer), (Kind::Order, Entity::Order)];

/// Something that happened to an object.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TimelineEntry)]
pub struct Entry {
    pub at: DateTime<Utc>,
    /// `record` (of a page, push or file), `message`, `dead_letter`, `event`, `delivery`, `attempt`, `change`, `audit`.
    #[schema(example = "delivery")]
    pub kind: String,
    /// What it is about: `product ABC-1`, `order.confirmed`, `dead_letter.replayed`.
    #[schema(example = "order.confirmed")]
    pub what: String,
    /// The stream that it came from, or the target that was told.
    #[schema(example = "webhook:1")]
    pub system: Option<String>,
    /// What came of it, in the engine's words.
    #[schema(example = "done")]
    pub outcome: Option<String>,
    #[schema(example = "user:12")]
    pub by: Option<String>,
    /// By which it is shown: of a message, a dead letter, an event, a delivery.
    #[schema(example = "01a1ffe3-c582-7301-9c16-37320d6006b1")]
    pub reference: Option<String>,
    pub correlation_id: String,
    #[schema(example = "204 in 12 ms")]
    pub detail: Option<String>,
}

/// What is known of an object, the oldest first.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeline {
    /// What the name means; none for a correlation id.
    pub objects: Vec<Named>,
    pub items: Vec<Entry>,
    /// `before` of the entries that are older; null when there are none.
    pub next_cursor: Option<DateTime<Utc>>,
}

/// The newest `limit` entries of what is called `name`, of those before `before`.
pub async fn timeline(
    db: &PgPool,
    name: &str,
    before: Option<DateTime<Utc>>,
    limit: i64,
) -> Result<Timeline, sqlx::Error> {
    let mut objects = lookup::named(db, Scope::house(), name).await?;
    for (kind, entity) in LINKED {
        for id in links::internal_ids(db, entity, name).await? {
            if !objects.iter().any(|known| known.kind == kind && known.id == id) {
                objects.push(Named { kind, id, name: name.to_owned() });
            }
        }
    }
    let mut items = match objects.is_empty() {
        true => entries::of_correlation(db, name, before, limit).await?,
        false => of_objects(db, &objects, before, limit).await?,
    };
    items.sort_by(|one, other| (other.at, &other.kind, &other.reference).cmp(&(one.at, &one.kind, &one.reference)));
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    // What happened at one instant stays on one page, so that the instant can be the cursor.
    let last = limit.checked_sub(1).and_then(|place| items.get(place)).map(|entry| entry.at);
    if let Some(last) = last {
        items.truncate(items.partition_point(|entry| entry.at >= last));
    }
    let next_cursor = last;
    items.reverse();
    Ok(Timeline { objects, items, next_cursor })
}

async fn of_objects(
    db: &PgPool,
    objects: &[Named],
    before: Option<DateTime<Utc>>,
    limit: i64,
) -> Result<Vec<Entry>, sqlx::Error> {
    let mut keys: BTreeSet<(&str, String)> = BTreeSet::new();
    for object in objects {
        keys.insert((object.kind.as_str(), object.name.clone()));
        if let Some((_, entity)) = LINKED.into_iter().find(|(kind, _)| *kind == object.kind) {
            let codes = links::codes_of(db, entity, object.id).await?;
            keys.extend(codes.into_iter().map(|code| (entity.as_str(), code)));
        }
    }
    let mut items = entries::of_keys(db, &keys, before, limit).await?;
    items.extend(entries::of_aggregates(db, objects, before, limit).await?);
    for object in objects {
        // Audit rows name a thing by its number or its id, as whoever wrote them knows it.
        for subject in BTreeSet::from([object.name.clone(), object.id.to_string()]) {
            let found = audit::about(db, object.kind.as_str(), &subject, before, limit).await?;
            items.extend(found.into_iter().map(Entry::from));
        }
        if object.kind == Kind::Order {
            let lines = orders::trace(db, Scope::house(), object.id).await?.into_iter();
            let lines = lines.filter(|(line, _)| before.is_none_or(|before| line.at < before));
            items.extend(lines.map(|(line, correlation_id)| Entry {
                at: line.at,
                kind: "change".to_owned(),
                what: format!("order {}: {}", object.name, line.action),
                system: None,
                outcome: Some(line.state),
                by: Some(line.actor),
                reference: None,
                correlation_id,
                detail: line.note,
            }));
        }
    }
    Ok(items)
}

impl From<audit::AuditEvent> for Entry {
    fn from(row: audit::AuditEvent) -> Entry {
        Entry {
            at: row.at,
            kind: "audit".to_owned(),
            what: format!("{} {} {}", row.action, row.subject_kind, row.subject),
            system: None,
            outcome: None,
            by: Some(row.actor),
            reference: Some(row.id.to_string()),
            correlation_id: row.correlation_id,
            detail: Some(row.detail.to_string()).filter(|detail| detail != "{}"),
        }
    }
}
