//! History by time: partitions are made ahead and dropped when their time is up; only what strayed into a default
//! partition is deleted by row.

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use serde::Serialize;
use sqlx::{AssertSqlSafe, Executor, PgConnection, PgPool};

/// A partitioned table and what it keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeps {
    Payloads,
    History,
}

const TABLES: [(&str, Keeps); 5] = [
    ("message_history", Keeps::History),
    ("payload_history", Keeps::Payloads),
    ("message_item", Keeps::History),
    ("attempt", Keeps::History),
    ("dead_letter_history", Keeps::History),
];

/// Partitions hold a week; this many weeks ahead are always there.
const WEEKS_AHEAD: i64 = 2;

/// Guards against two daemons making the same partition.
const ADVISORY_LOCK: i64 = 7_120_002;

/// What a round did.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Round {
    pub made: Vec<String>,
    pub dropped: Vec<String>,
}

/// Makes the partitions of this week and the next ones, and drops those that are wholly older than allowed. `now` by
/// the database's clock.
pub async fn round(
    pool: &PgPool,
    now: DateTime<Utc>,
    payload_days: u32,
    history_days: u32,
) -> Result<Round, sqlx::Error> {
    let mut tx = pool.begin().await?;
    sqlx::query!("select pg_advisory_xact_lock($1)", ADVISORY_LOCK).fetch_one(&mut *tx).await?;
    let mut round = Round::default();
    for (table, keeps) in TABLES {
        let existing = partitions(&mut tx, table).await?;
        for ahead in 0..=WEEKS_AHEAD {
            let week = week_of(now + TimeDelta::weeks(ahead));
            let name = partition_name(table, week);
            if !existing.contains(&name) && default_is_free(&mut tx, table, week).await? {
                make(&mut tx, table, &name, week).await?;
                round.made.push(name);
            }
        }
        let days = match keeps {
            Keeps::Payloads => payload_days,
            Keeps::History => history_days,
        };
        let oldest = week_of(now - TimeDelta::days(i64::from(days)));
        let limit = partition_name(table, oldest);
        for name in existing.into_iter().filter(|name| !name.ends_with("_default") && *name < limit) {
            tx.execute(AssertSqlSafe(format!("drop table hub.{name}"))).await?;
            round.dropped.push(name);
        }
        drop_strays(&mut tx, table, oldest).await?;
    }
    tx.commit().await?;
    Ok(round)
}

/// Rows that came before their partition was made, or whose own time was long ago: a letter resolved after a year.
async fn drop_strays(tx: &mut PgConnection, table: &str, oldest: DateTime<Utc>) -> Result<(), sqlx::Error> {
    let key = key_of(table);
    sqlx::query(AssertSqlSafe(format!("delete from hub.{table}_default where {key} < hub.uuid_at($1)")))
        .bind(oldest)
        .execute(tx)
        .await?;
    Ok(())
}

/// Rows in the default partitions: there should be none, else partitions were not made in time.
pub async fn strays(pool: &PgPool) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let mut found = Vec::new();
    for (table, _) in TABLES {
        // The table names are the constants above.
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from hub.{table}_default")))
            .fetch_one(pool)
            .await?;
        if count > 0 {
            found.push((format!("hub.{table}_default"), count));
        }
    }
    Ok(found)
}

/// Monday of the week, 00:00 UTC.
fn week_of(at: DateTime<Utc>) -> DateTime<Utc> {
    let day = at.date_naive();
    let monday = day - TimeDelta::days(i64::from(day.weekday().num_days_from_monday()));
    monday.and_time(chrono::NaiveTime::MIN).and_utc()
}

fn partition_name(table: &str, week: DateTime<Utc>) -> String {
    format!("{table}_{}", week.format("%Y%m%d"))
}

async fn partitions(tx: &mut PgConnection, table: &str) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select c.relname::text as "name!" from pg_inherits i join pg_class c on c.oid = i.inhrelid
           where i.inhparent = ('hub.' || $1)::regclass order by 1"#,
        table
    )
    .fetch_all(tx)
    .await
}

/// A partition cannot be made over rows that went to the default one meanwhile; those stay there and `doctor` tells.
async fn default_is_free(tx: &mut PgConnection, table: &str, week: DateTime<Utc>) -> Result<bool, sqlx::Error> {
    let key = key_of(table);
    sqlx::query_scalar(AssertSqlSafe(format!(
        "select not exists (select from hub.{table}_default where {key} >= hub.uuid_at($1) and {key} < hub.uuid_at($2))"
    )))
    .bind(week)
    .bind(week + TimeDelta::weeks(1))
    .fetch_one(tx)
    .await
}

/// The column by which a table is partitioned.
fn key_of(table: &str) -> &'static str {
    if matches!(table, "payload_history" | "message_item") { "message_id" } else { "id" }
}

async fn make(tx: &mut PgConnection, table: &str, name: &str, week: DateTime<Utc>) -> Result<(), sqlx::Error> {
    let bounds = sqlx::query!(
        r#"select hub.uuid_at($1)::text as "low!", hub.uuid_at($2)::text as "high!""#,
        week,
        week + TimeDelta::weeks(1)
    )
    .fetch_one(&mut *tx)
    .await?;
    tx.execute(AssertSqlSafe(format!(
        "create table hub.{name} partition of hub.{table} for values from ('{}') to ('{}')",
        bounds.low, bounds.high
    )))
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weeks_begin_on_monday_and_names_sort_by_time() {
        let saturday = DateTime::parse_from_rfc3339("2026-11-21T10:00:00Z").unwrap().to_utc();
        assert_eq!(partition_name("attempt", week_of(saturday)), "attempt_20261116");
        assert!(
            partition_name("attempt", week_of(saturday))
                < partition_name("attempt", week_of(saturday + TimeDelta::weeks(9)))
        );
    }
}
