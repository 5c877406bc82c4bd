//! The upsert of an ERP's movements.

use std::collections::HashSet;

use sqlx::PgConnection;

use super::{
    entry::{LedgerUpsert, prepare},
    queries,
};
use crate::commerce::{CommandError, Outcome, WriteContext, check::violation, claims, outcome::Outcomes};

/// Creates and changes movements of the book `cx.by.origin`; see [`crate::commerce`] for what every upsert does.
pub async fn upsert_ledger(
    conn: &mut PgConnection,
    cx: &WriteContext<'_>,
    rows: &[LedgerUpsert<'_>],
) -> Result<Vec<Outcome>, CommandError> {
    let mut outcomes = Outcomes::new(rows.len());
    let mut entries = Vec::with_capacity(rows.len());
    for (place, row) in rows.iter().enumerate() {
        match prepare(place, row) {
            Ok(entry) => entries.push(entry),
            Err(violation) => outcomes.refuse(place, violation),
        }
    }
    let customers: Vec<i64> = entries.iter().map(|entry| entry.customer).collect();
    let known: Vec<i64> = entries.iter().filter(|entry| !entry.is_new).map(|entry| entry.id).collect();
    let there: HashSet<i64> = queries::lock_customers(conn, &customers, &known).await?.into_iter().collect();
    let held: HashSet<i64> =
        queries::holders(conn, cx.by.origin, &entries.iter().collect::<Vec<_>>()).await?.into_iter().collect();
    let mut claimed = HashSet::new();
    let refused = entries.iter().enumerate().filter_map(|(index, entry)| {
        let refusal = if !there.contains(&entry.customer) {
            violation("customer", "missing_reference", entry.customer, "is not in the store")
        } else if held.contains(&entry.id) || !claimed.insert(entry.external_id) {
            violation("externalId", "unique", entry.external_id, "is another movement of this book")
        } else {
            return None;
        };
        Some((index, refusal))
    });
    let refused = refused.collect();
    let entries = claims::drop_refused(entries, refused, |entry| entry.place, &mut outcomes);

    let (new, known): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| entry.is_new);
    let mut written: Vec<i64> = new.iter().map(|entry| entry.id).collect();
    if !new.is_empty() {
        queries::insert(conn, cx, &new).await?;
        new.iter().for_each(|entry| outcomes.set(entry.place, Outcome::Created));
    }
    if !known.is_empty() {
        for (place, changed) in queries::update(conn, cx, &known).await? {
            outcomes.set(place, if changed { Outcome::Updated } else { Outcome::Unchanged });
            if changed {
                written.push(rows[place].id);
            }
        }
    }
    if !written.is_empty() {
        queries::settle(conn, cx, &written).await?;
    }
    Ok(outcomes.finish())
}
