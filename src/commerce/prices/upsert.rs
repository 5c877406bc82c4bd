//! The upsert of prices.

use serde::Serialize;
use sqlx::PgConnection;

use super::{
    entry::{Entry, PriceUpsert, prepare},
    queries,
};
use crate::{
    commerce::{
        CommandError, Outcome, WriteContext, claims,
        outcome::Outcomes,
        ownership::{self, PriceField},
    },
    outbox::{self, EventType, Events},
};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    id: i64,
    code: &'a str,
    product_id: i64,
    role: &'a str,
    revision: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<Vec<&'static str>>,
}

/// Creates and changes prices; see [`crate::commerce`] for what every upsert does.
pub async fn upsert_prices(
    conn: &mut PgConnection,
    cx: &WriteContext<'_>,
    rows: &[PriceUpsert<'_>],
) -> Result<Vec<Outcome>, CommandError> {
    let mut outcomes = Outcomes::new(rows.len());
    let mut entries = Vec::with_capacity(rows.len());
    for (place, row) in rows.iter().enumerate() {
        match prepare(cx, place, row) {
            Ok(entry) => entries.push(entry),
            Err(violation) => outcomes.refuse(place, violation),
        }
    }
    if !cx.trusts_keys {
        let held = queries::holders(conn, &entries).await?;
        let refused = claims::codes(entries.iter().map(|entry| (entry.id, entry.code)), &held);
        entries = claims::drop_refused(entries, refused, |entry| entry.place, &mut outcomes);
    }
    let entries = judge_partial(conn, entries, &mut outcomes).await?;

    let (new, known): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| entry.is_new);
    let mut events = Events::new(EventType::PriceChanged, entries.len());
    if !new.is_empty() {
        queries::insert(conn, cx, &new).await?;
        for entry in new {
            outcomes.set(entry.place, Outcome::Created);
            let payload = Payload {
                id: entry.id,
                code: entry.code,
                product_id: entry.product.unwrap_or_default(),
                role: entry.role.unwrap_or_default(),
                revision: 1,
                changed: None,
            };
            events.push(entry.id, 1, &payload)?;
        }
    }
    if !known.is_empty() {
        for row in queries::update(conn, cx, &known).await? {
            let place = row.place as usize;
            if row.changed == 0 {
                outcomes.set(place, Outcome::Unchanged);
                continue;
            }
            outcomes.set(place, Outcome::Updated);
            let payload = Payload {
                id: row.id,
                code: rows[place].code,
                product_id: row.product_id,
                role: &row.role,
                revision: row.revision + 1,
                changed: Some(ownership::names::<PriceField>(row.changed)),
            };
            events.push(row.id, row.revision + 1, &payload)?;
        }
    }
    outbox::append(conn, &cx.by, &events).await?;
    Ok(outcomes.finish())
}

async fn judge_partial<'a>(
    conn: &mut PgConnection,
    entries: Vec<Entry<'a>>,
    outcomes: &mut Outcomes,
) -> Result<Vec<Entry<'a>>, CommandError> {
    let partial: Vec<i64> = entries.iter().filter(|entry| entry.is_partial()).map(|entry| entry.id).collect();
    if partial.is_empty() {
        return Ok(entries);
    }
    let mut stored = queries::terms(conn, &partial).await?;
    let mut kept = Vec::with_capacity(entries.len());
    for entry in entries {
        let judged = match stored.remove(&entry.id) {
            Some(terms) => entry.terms(terms).judge(),
            None => Ok(()),
        };
        match judged {
            Ok(()) => kept.push(entry),
            Err(violation) => outcomes.refuse(entry.place, violation),
        }
    }
    Ok(kept)
}
