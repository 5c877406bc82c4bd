//! What the hub's tables tell of codes, aggregates and correlation ids.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgPool};

use super::Entry;
use crate::{audit, commerce::lookup::Named};

#[derive(Debug, FromRow)]
struct Row {
    at: DateTime<Utc>,
    kind: String,
    what: String,
    system: Option<String>,
    outcome: Option<String>,
    by: Option<String>,
    reference: Option<String>,
    correlation_id: String,
    detail: Option<String>,
}

impl From<Row> for Entry {
    fn from(row: Row) -> Entry {
        let Row { at, kind, what, system, outcome, by, reference, correlation_id, detail } = row;
        Entry { at, kind, what, system, outcome, by, reference, correlation_id, detail }
    }
}

fn entries(rows: Vec<Row>) -> Vec<Entry> {
    rows.into_iter().map(Entry::from).collect()
}

/// What came in under these codes, and under those of their parts (a price, a stock level: `CODE|…`).
pub(super) async fn of_keys(
    db: &PgPool,
    keys: &BTreeSet<(&str, String)>,
    before: Option<DateTime<Utc>>,
    limit: i64,
) -> Result<Vec<Entry>, sqlx::Error> {
    let (entities, codes): (Vec<&str>, Vec<&str>) = keys.iter().map(|(entity, code)| (*entity, code.as_str())).unzip();
    let rows = sqlx::query_file_as!(
        Row,
        "src/hub/timeline/sql/of_keys.sql",
        &entities as &[&str],
        &codes as &[&str],
        before,
        limit
    );
    Ok(entries(rows.fetch_all(db).await?))
}

/// What was told of these objects, to whom, and how that went.
pub(super) async fn of_aggregates(
    db: &PgPool,
    objects: &[Named],
    before: Option<DateTime<Utc>>,
    limit: i64,
) -> Result<Vec<Entry>, sqlx::Error> {
    let (aggregates, ids): (Vec<&str>, Vec<i64>) =
        objects.iter().map(|object| (object.kind.as_str(), object.id)).unzip();
    let rows = sqlx::query_file_as!(
        Row,
        "src/hub/timeline/sql/of_aggregates.sql",
        &aggregates as &[&str],
        &ids,
        before,
        limit
    );
    Ok(entries(rows.fetch_all(db).await?))
}

/// Everything that one request or run left behind.
pub(super) async fn of_correlation(
    db: &PgPool,
    id: &str,
    before: Option<DateTime<Utc>>,
    limit: i64,
) -> Result<Vec<Entry>, sqlx::Error> {
    let rows = sqlx::query_file_as!(Row, "src/hub/timeline/sql/of_correlation.sql", id, before, limit);
    let mut found = entries(rows.fetch_all(db).await?);
    found.extend(audit::of_correlation(db, id, before, limit).await?.into_iter().map(Entry::from));
    Ok(found)
}
