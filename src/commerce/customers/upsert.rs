//! The upsert of customers.

use sqlx::PgConnection;

use super::{
    entry::{CustomerUpsert, prepare},
    queries,
};
use crate::commerce::{
    CommandError, Outcome, WriteContext, claims,
    outcome::Outcomes,
    ownership::{CustomerField, Field},
};

/// Creates and changes customers; see [`crate::commerce`] for what every upsert does.
pub async fn upsert_customers(
    conn: &mut PgConnection,
    cx: &WriteContext<'_>,
    rows: &[CustomerUpsert<'_>],
) -> Result<Vec<Outcome>, CommandError> {
    let mut outcomes = Outcomes::new(rows.len());
    let mut entries = Vec::with_capacity(rows.len());
    for (place, row) in rows.iter().enumerate() {
        match prepare(cx, place, row) {
            Ok(entry) => entries.push(entry),
            Err(violation) => outcomes.refuse(place, violation),
        }
    }
    let held = queries::holders(conn, &entries).await?;
    let refused = claims::codes(entries.iter().map(|entry| (entry.id, entry.code)), &held);
    let entries = claims::drop_refused(entries, refused, |entry| entry.place, &mut outcomes);

    let (new, known): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| entry.is_new);
    if !new.is_empty() {
        queries::insert(conn, cx, &new).await?;
        queries::write_addresses(conn, &new).await?;
        new.iter().for_each(|entry| outcomes.set(entry.place, Outcome::Created));
    }
    if !known.is_empty() {
        let changed_addresses = if known.iter().any(|entry| entry.addresses.is_some()) {
            // Locked first, so that the addresses cannot change between this look and the update.
            queries::lock(conn, &known).await?;
            queries::changed_addresses(conn, &known).await?
        } else {
            Vec::new()
        };
        let mut rewritten = Vec::new();
        for (place, changed) in queries::update(conn, cx, &known, &changed_addresses).await? {
            outcomes.set(place, if changed == 0 { Outcome::Unchanged } else { Outcome::Updated });
            if changed & CustomerField::Addresses.bit() != 0 {
                rewritten.push(rows[place].id);
            }
        }
        if !rewritten.is_empty() {
            queries::retire_addresses(conn, &rewritten).await?;
            let entries: Vec<_> = known.into_iter().filter(|entry| rewritten.contains(&entry.id)).collect();
            queries::write_addresses(conn, &entries).await?;
        }
    }
    Ok(outcomes.finish())
}
