//! History by time: partitions are made ahead and dropped when their time is up.
//!
//! A row goes to the partition of its id's time. Where there is none (a letter older than the history is resolved, or no
//! daemon was up for weeks) it goes to the default partition, from where the next round brings it to its place.

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use serde::Serialize;
use sqlx::{AssertSqlSafe, Executor, PgConnection, PgPool};
use uuid::Uuid;

use super::engine::Engine;
use crate::transaction;

/// A partitioned table and what it keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeps {
    Payloads,
    History,
}

const TABLES: [(&str, Keeps); 6] = [
    ("message_history", Keeps::History),
    ("payload_history", Keeps::Payloads),
    ("message_item", Keeps::History),
    ("attempt", Keeps::History),
    ("dead_letter_history", Keeps::History),
    ("delivery_history", Keeps::History),
];

/// Partitions hold a week; this many weeks ahead are always there.
const WEEKS_AHEAD: i64 = 2;

/// Guards against two daemons making the same partition.
const ADVISORY_LOCK: i64 = 7_120_002;

/// The first week that a table still keeps.
fn oldest_week(keeps: Keeps, now: DateTime<Utc>, payload_days: u32, history_days: u32) -> DateTime<Utc> {
    let days = match keeps {
        Keeps::Payloads => payload_days,
        Keeps::History => history_days,
    };
    week_of(now - TimeDelta::days(i64::from(days)))
}

/// What a round did.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Round {
    pub made: Vec<String>,
    pub dropped: Vec<String>,
}

/// A round by the engine's settings. Whoever works without a daemon beside it makes one first, so that history has its
/// place.
pub async fn round_now(engine: &Engine) -> Result<Round, sqlx::Error> {
    let now = engine.database_now().await?;
    round(&engine.pool, now, engine.settings.payload_days, engine.settings.history_days).await
}

/// Makes the partitions of this week and the next ones, brings strays to their place, and drops what is wholly older
/// than allowed. `now` by the database's clock.
pub async fn round(
    pool: &PgPool,
    now: DateTime<Utc>,
    payload_days: u32,
    history_days: u32,
) -> Result<Round, sqlx::Error> {
    let mut tx = transaction::begin(pool).await?;
    sqlx::query!("select pg_advisory_xact_lock($1)", ADVISORY_LOCK).fetch_one(&mut *tx).await?;
    let mut round = Round::default();
    for (table, keeps) in TABLES {
        let oldest = oldest_week(keeps, now, payload_days, history_days);
        place_strays(&mut tx, table, oldest, &mut round).await?;
        let existing = partitions(&mut tx, table).await?;
        for week in weeks_ahead(now) {
            let name = partition_name(table, week);
            if !existing.contains(&name) {
                make(&mut tx, table, &name, week).await?;
                round.made.push(name);
            }
        }
        for name in overdue(table, oldest, existing) {
            tx.execute(AssertSqlSafe(format!("drop table hub.{name}"))).await?;
            round.dropped.push(name);
        }
    }
    tx.commit().await?;
    Ok(round)
}

/// What `doctor` looks at.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Partitions {
    /// Of this week and the next.
    pub missing: Vec<String>,
    /// Older than allowed and still there.
    pub overdue: Vec<String>,
    /// Rows in the default partitions.
    pub strays: Vec<(String, i64)>,
}

pub async fn partitions_at(
    pool: &PgPool,
    now: DateTime<Utc>,
    payload_days: u32,
    history_days: u32,
) -> Result<Partitions, sqlx::Error> {
    let mut db = pool.acquire().await?;
    let mut found = Partitions::default();
    for (table, keeps) in TABLES {
        let existing = partitions(&mut db, table).await?;
        let wanted = weeks_ahead(now).take(2).map(|week| partition_name(table, week));
        found.missing.extend(wanted.filter(|name| !existing.contains(name)).map(|name| format!("hub.{name}")));
        // A week's grace: partitions are dropped once a day.
        let oldest = oldest_week(keeps, now - TimeDelta::weeks(1), payload_days, history_days);
        found.overdue.extend(overdue(table, oldest, existing).map(|name| format!("hub.{name}")));
    }
    found.strays = strays(pool).await?;
    Ok(found)
}

/// Rows in the default partitions.
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

fn weeks_ahead(now: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> {
    (0..=WEEKS_AHEAD).map(move |ahead| week_of(now + TimeDelta::weeks(ahead)))
}

fn overdue(table: &str, oldest: DateTime<Utc>, existing: Vec<String>) -> impl Iterator<Item = String> {
    let limit = partition_name(table, oldest);
    existing.into_iter().filter(move |name| !name.ends_with("_default") && *name < limit)
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

/// The column by which a table is partitioned.
fn key_of(table: &str) -> &'static str {
    if matches!(table, "payload_history" | "message_item") { "message_id" } else { "id" }
}

/// Empties the default partition: what is older than allowed goes, the rest moves to partitions of its own. No partition
/// can be made over rows that lie in the default one.
async fn place_strays(
    tx: &mut PgConnection,
    table: &str,
    oldest: DateTime<Utc>,
    round: &mut Round,
) -> Result<(), sqlx::Error> {
    let key = key_of(table);
    let expired = format!("delete from hub.{table}_default where {key} < hub.uuid_at($1)");
    sqlx::query(AssertSqlSafe(expired)).bind(oldest).execute(&mut *tx).await?;
    let next = format!("select {key} from hub.{table}_default order by {key} limit 1");
    while let Some(stray) = sqlx::query_scalar::<_, Uuid>(AssertSqlSafe(next.as_str())).fetch_optional(&mut *tx).await?
    {
        let Some(at) = time_of(stray) else {
            tracing::warn!(table, id = %stray, "a row's id bears no time; it stays in the default partition");
            return Ok(());
        };
        let week = week_of(at);
        let name = partition_name(table, week);
        // Nobody may add to the rows that are about to move.
        tx.execute(AssertSqlSafe(format!("lock table hub.{table}_default in access exclusive mode"))).await?;
        tx.execute(AssertSqlSafe(format!("create table hub.{name} (like hub.{table} including all)"))).await?;
        sqlx::query(AssertSqlSafe(format!(
            "with moved as (
                 delete from hub.{table}_default where {key} >= hub.uuid_at($1) and {key} < hub.uuid_at($2) returning *
             )
             insert into hub.{name} select * from moved"
        )))
        .bind(week)
        .bind(week + TimeDelta::weeks(1))
        .execute(&mut *tx)
        .await?;
        let bounds = bounds(tx, week).await?;
        tx.execute(AssertSqlSafe(format!("alter table hub.{table} attach partition hub.{name} {bounds}"))).await?;
        round.made.push(name);
    }
    Ok(())
}

fn time_of(id: Uuid) -> Option<DateTime<Utc>> {
    let (seconds, nanos) = id.get_timestamp()?.to_unix();
    DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
}

async fn make(tx: &mut PgConnection, table: &str, name: &str, week: DateTime<Utc>) -> Result<(), sqlx::Error> {
    let bounds = bounds(tx, week).await?;
    tx.execute(AssertSqlSafe(format!("create table hub.{name} partition of hub.{table} {bounds}"))).await?;
    Ok(())
}

async fn bounds(tx: &mut PgConnection, week: DateTime<Utc>) -> Result<String, sqlx::Error> {
    let bounds = sqlx::query!(
        r#"select hub.uuid_at($1)::text as "low!", hub.uuid_at($2)::text as "high!""#,
        week,
        week + TimeDelta::weeks(1)
    )
    .fetch_one(tx)
    .await?;
    Ok(format!("for values from ('{}') to ('{}')", bounds.low, bounds.high))
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
