//! The upsert of products.

use serde::Serialize;
use sqlx::PgConnection;

use super::{
    entry::{Entry, ProductUpsert, prepare},
    overrides, parts, queries,
};
use crate::{
    commerce::{
        CommandError, Outcome, WriteContext,
        claims::{self, Claim},
        outcome::Outcomes,
        ownership::{self, Field, ProductField},
    },
    outbox::{self, EventType, Events},
};

#[derive(Debug, Serialize)]
struct Payload<'a> {
    id: i64,
    code: &'a str,
    sku: Option<&'a str>,
    revision: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<Vec<&'static str>>,
}

/// Creates and changes products; see [`crate::commerce`] for what every upsert does.
pub async fn upsert_products(
    conn: &mut PgConnection,
    cx: &WriteContext<'_>,
    rows: &[ProductUpsert<'_>],
) -> Result<Vec<Outcome>, CommandError> {
    let mut outcomes = Outcomes::new(rows.len());
    let mut entries = Vec::with_capacity(rows.len());
    for (place, row) in rows.iter().enumerate() {
        match prepare(cx, place, row) {
            Ok(entry) => entries.push(entry),
            Err(violation) => outcomes.refuse(place, violation),
        }
    }
    let (entries, vacated) = match cx.trusts_keys {
        true => (entries, Vec::new()),
        false => settle_keys(conn, entries, &mut outcomes).await?,
    };
    let (new, known): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| entry.is_new);

    let mut events = Events::new(EventType::ProductUpdated, entries.len());
    if !new.is_empty() {
        queries::insert(conn, cx, &new).await?;
        parts::insert(conn, &new).await?;
        for entry in new {
            outcomes.set(entry.place, Outcome::Created);
            let payload = Payload { id: entry.id, code: entry.code, sku: entry.sku, revision: 1, changed: None };
            events.push(entry.id, 1, &payload)?;
        }
    }
    if !known.is_empty() {
        let mut changed_parts = parts::compare(conn, &known).await?;
        // Their SKU is gone from the store already, so the update would not see that it changes.
        for id in vacated {
            *changed_parts.entry(id).or_default() |= ProductField::Sku.bit();
        }
        let seen = queries::update(conn, cx, &known, &changed_parts).await?;
        parts::replace(conn, &known, &seen).await?;
        overrides::keep_aside(conn, &known, &seen).await?;
        for row in &seen {
            let place = row.place as usize;
            if row.changed == 0 {
                outcomes.set(place, Outcome::Unchanged);
                continue;
            }
            outcomes.set(place, Outcome::Updated);
            let payload = Payload {
                id: row.id,
                code: rows[place].code,
                sku: row.sku.as_deref(),
                revision: row.revision + 1,
                changed: Some(ownership::names::<ProductField>(row.changed)),
            };
            events.push(row.id, row.revision + 1, &payload)?;
        }
    }
    outbox::append(conn, &cx.by, &events).await?;
    Ok(outcomes.finish())
}

/// Refuses codes and SKUs that belong to another product, and frees the SKUs that change hands within the page. Answers
/// the rows that are left, and the products whose SKU was freed.
async fn settle_keys<'a>(
    conn: &mut PgConnection,
    entries: Vec<Entry<'a>>,
    outcomes: &mut Outcomes,
) -> Result<(Vec<Entry<'a>>, Vec<i64>), CommandError> {
    let held = queries::holders(conn, &entries).await?;
    let refused = claims::codes(entries.iter().map(|entry| (entry.id, entry.code)), &held.codes);
    let entries = claims::drop_refused(entries, refused, |entry| entry.place, outcomes);

    let claims: Vec<Claim<'_>> = entries
        .iter()
        .map(|entry| Claim {
            id: entry.id,
            code: entry.code,
            key: entry.sku,
            leaves: entry.given & ProductField::Sku.bit() != 0,
        })
        .collect();
    let verdict = claims::settle("sku", &claims, &held.skus);
    if !verdict.vacated.is_empty() {
        queries::vacate_skus(conn, &verdict.vacated).await?;
    }
    Ok((claims::drop_refused(entries, verdict.refused, |entry| entry.place, outcomes), verdict.vacated))
}
