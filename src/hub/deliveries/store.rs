//! Claims of deliveries, their leases, and what is held back.
//!
//! Nothing here waits for the lock of a row: what somebody else has in hand is looked at again a second later.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

use super::{
    super::{keyed, leases::interval},
    target::Document,
};

/// A delivery that is ours to make until its lease runs out.
#[derive(Debug, Clone)]
pub struct Claimed {
    pub target: String,
    pub label: Option<String>,
    pub correlation_id: String,
    pub document: Document,
    /// By the database's clock.
    pub claimed_at: DateTime<Utc>,
    pub due_at: DateTime<Utc>,
    pub first_attempt_at: Option<DateTime<Utc>>,
    pub attempts: i32,
    /// Of the attempts those that were answered with "later".
    pub patience: i32,
    pub claims: i32,
    pub newest_only: bool,
    pub blocks: bool,
    pub dead_letter_id: Option<Uuid>,
}

/// Free places of a target.
#[derive(Debug, Clone)]
pub struct Free {
    pub target: String,
    pub places: usize,
    /// Only what is due from then on.
    pub from: Option<DateTime<Utc>>,
}

/// Claims due deliveries, up to the free places of each target that may be called: not switched off, not paused, and not behind an
/// open breaker. Of a key only the first open one is claimed.
pub async fn claim(pool: &PgPool, owner: Uuid, free: &[Free], lease: Duration) -> Result<Vec<Claimed>, sqlx::Error> {
    let mut tx = keyed::begin(pool).await?;
    let rows = sqlx::query!(
        r#"with due as (
             select d.id
             from unnest($2::text[], $3::bigint[], $5::timestamptz[]) as t (name, places, since)
             cross join lateral (
                 select d.id from hub.delivery d
                 where d.target = t.name and d.state in ('received', 'waiting')
                   and d.due_at <= (select clock_timestamp()) and d.due_at >= t.since
                   and not exists (
                       select from hub.delivery e
                       where e.target = d.target and e.aggregate = d.aggregate and e.aggregate_id = d.aggregate_id
                         and e.revision < d.revision and (e.state <> 'dead' or e.blocks)
                       offset 0)
                 order by d.due_at, d.id
                 limit t.places
                 for update skip locked
             ) d
             where not exists (select from hub.target p where p.name = t.name and (p.paused_at is not null or not p.enabled))
               and not exists (select from hub.breaker b where b.connector = t.name and b.state <> 'closed')
         )
         update hub.delivery d
         set state = 'working', claims = claims + 1, lease_owner = $1, lease_until = clock_timestamp() + $4::interval
         where d.id = any(array(select id from due))
         returning d.id, d.target, d.type as kind, d.event_id, d.aggregate, d.aggregate_id, d.revision, d.label,
                   d.payload, d.correlation_id, d.created_at, d.expires_at, d.first_attempt_at, d.unknown_since,
                   d.attempts, d.patience, d.claims, d.newest_only, d.blocks, d.dead_letter_id, clock_timestamp() as "claimed_at!", d.due_at"#,
        owner,
        &free.iter().map(|free| free.target.clone()).collect::<Vec<_>>(),
        &free.iter().map(|free| i64::try_from(free.places).unwrap_or(i64::MAX)).collect::<Vec<_>>(),
        interval(lease),
        &free.iter().map(|free| free.from.unwrap_or(DateTime::UNIX_EPOCH)).collect::<Vec<_>>(),
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(rows
        .into_iter()
        .map(|row| Claimed {
            target: row.target,
            label: row.label,
            correlation_id: row.correlation_id,
            document: Document {
                id: row.id,
                kind: row.kind,
                event_id: row.event_id,
                aggregate: row.aggregate,
                aggregate_id: row.aggregate_id,
                revision: row.revision,
                payload: row.payload,
                created_at: row.created_at,
                expires_at: row.expires_at,
                unknown_since: row.unknown_since,
                attempt: u32::try_from(row.attempts + 1).unwrap_or(1),
            },
            claimed_at: row.claimed_at,
            due_at: row.due_at,
            first_attempt_at: row.first_attempt_at,
            attempts: row.attempts,
            patience: row.patience,
            claims: row.claims,
            newest_only: row.newest_only,
            blocks: row.blocks,
            dead_letter_id: row.dead_letter_id,
        })
        .collect())
}

/// Puts in what a person made of the documents of letters that are being replayed.
pub async fn take_edits<'e>(db: impl PgExecutor<'e>, claimed: &mut [Claimed]) -> Result<(), sqlx::Error> {
    let letters: Vec<Uuid> = claimed.iter().filter_map(|delivery| delivery.dead_letter_id).collect();
    if letters.is_empty() {
        return Ok(());
    }
    let edits = sqlx::query!(
        r#"select id, edited_body as "body!" from hub.dead_letter where id = any($1) and edited_body is not null"#,
        &letters,
    )
    .fetch_all(db)
    .await?;
    for edit in edits {
        let Some(payload) = unpacked(&edit.body) else { continue };
        for delivery in claimed.iter_mut().filter(|delivery| delivery.dead_letter_id == Some(edit.id)) {
            delivery.document.payload = payload.clone();
        }
    }
    Ok(())
}

fn unpacked(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(&super::super::messages::unpack(body).ok()?).ok()
}

/// Keeps the leases of deliveries that are under way. Returns those that were.
pub async fn renew<'e>(
    db: impl PgExecutor<'e>,
    owner: Uuid,
    in_hand: &[Uuid],
    lease: Duration,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "update hub.delivery set lease_until = clock_timestamp() + $3::interval
         where id = any($2) and state = 'working' and lease_owner = $1 and lease_until >= clock_timestamp()
         returning id",
        owner,
        in_hand,
        interval(lease),
    )
    .fetch_all(db)
    .await
}

/// Gives back deliveries whose lease ran out. Whether they were made is not known. What this very process is at still (its
/// heartbeat could not be written) is left to others: it would meet itself. `within`: only those that ran out so shortly ago.
pub async fn reap_expired<'e>(
    db: impl PgExecutor<'e>,
    owner: Uuid,
    in_hand: &[Uuid],
    within: Option<Duration>,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "update hub.delivery
         set state = 'received', lease_owner = null, lease_until = null,
             unknown_since = clock_timestamp()
         where id = any(array(
             select id from hub.delivery
             where state = 'working' and lease_until < clock_timestamp()
               and ($3::interval is null or lease_until > clock_timestamp() - $3)
               and not (lease_owner = $1 and id = any($2))
             for update skip locked))",
        owner,
        in_hand,
        within.map(interval) as _,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Holds what waits for a target that must not be called: switched off, paused, or behind an open breaker.
pub async fn hold_uncallable<'e>(db: impl PgExecutor<'e>) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "update hub.delivery set state = 'held'
         where id = any(array(
             select id from hub.delivery
             where state in ('received', 'waiting')
               and target = any(array(select name from hub.target where paused_at is not null or not enabled
                                      union select connector from hub.breaker where state <> 'closed'))
             for update skip locked))"
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Holds what waits for a target that is not configured, and says so.
pub async fn hold_unready<'e>(
    db: impl PgExecutor<'e>,
    target: &str,
    reason: &str,
    detail: &str,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "update hub.delivery set state = 'held', cause = 'credential', reason = $2, detail = $3
         where id = any(array(
             select id from hub.delivery where target = $1 and state in ('received', 'waiting') for update skip locked))",
        target,
        reason,
        detail,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Lets held deliveries go at `per_second`, those that had already failed last. Only of targets that may be called.
pub async fn release_held<'e>(
    db: impl PgExecutor<'e>,
    targets: &[String],
    per_second: f64,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "with free as (
             select d.id, d.target, d.first_attempt_at, d.attempts
             from hub.delivery d
             where d.target = any($1) and d.state = 'held'
               and not exists (select from hub.target t where t.name = d.target and (t.paused_at is not null or not t.enabled))
               and not exists (select from hub.breaker b where b.connector = d.target and b.state <> 'closed')
             for update of d skip locked
         ), held as (
             select id, row_number() over (
                        partition by target order by first_attempt_at is not null, attempts, id) as place
             from free
         )
         update hub.delivery d
         set state = 'received', due_at = clock_timestamp() + make_interval(secs => (held.place - 1) / $2::float8)
         from held
         where d.id = held.id and d.id = any(array(select id from free)) and d.state = 'held'",
        targets,
        per_second.max(0.1),
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// How many deliveries are open, by target and state.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenCount {
    pub target: String,
    pub state: String,
    pub count: i64,
    /// Seconds since the oldest of them was made.
    pub oldest_secs: f64,
}

pub async fn open_counts<'e>(db: impl PgExecutor<'e>) -> Result<Vec<OpenCount>, sqlx::Error> {
    sqlx::query_as!(
        OpenCount,
        r#"select target, state, count(*) as "count!",
                  extract(epoch from clock_timestamp() - min(created_at))::float8 as "oldest_secs!"
           from hub.delivery group by 1, 2 order by 1, 2"#
    )
    .fetch_all(db)
    .await
}
