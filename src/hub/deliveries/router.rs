//! From the outbox to deliveries: one for each event and target that wants it.
//!
//! Invariants
//! - An event is taken off the list of the unrouted in the transaction that makes its deliveries.
//! - One router at a time on a database, and it takes the lowest places first: of one aggregate no event is passed by a
//!   later one. Ids do not rise with commits: it asks for what is behind a place only when nobody writes before that any more
//!   ([`super::horizon`]).
//! - What came from a target does not go back to it. What a first or full pass changed goes only to those who asked.
//! - Of events that only tell of a state the newest stands: older ones that were not told yet are superseded.

use std::time::{Duration, Instant};

use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    super::{engine::Engine, keyed},
    horizon::Passed,
    outcome,
};
use crate::outbox::STATE_EVENTS;

/// How often it looks by itself, whether it was woken or not.
const POLL: Duration = Duration::from_secs(1);

/// Events of one transaction.
const BATCH: i64 = 1_000;

/// Guards against two routers.
pub(super) const ADVISORY_LOCK: i64 = 7_120_003;

/// What a turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routed {
    /// Another process is at it.
    Elsewhere,
    Events(u64),
}

/// Runs until the engine stops.
pub async fn run(engine: Engine) {
    let mut asleep = false;
    let mut passed = Passed::default();
    while !engine.stop.is_cancelled() {
        // Listening before looking: what is rung in between is not missed.
        let rung = engine.events.notified();
        tokio::pin!(rung);
        rung.as_mut().enable();
        let pause = match look(&engine, &mut asleep, &mut passed).await {
            Ok(true) => continue,
            Ok(false) => POLL,
            Err(error) => {
                tracing::warn!(%error, "events could not be routed; they wait");
                POLL
            }
        };
        tokio::select! {
            () = rung => {}
            () = tokio::time::sleep(pause) => {}
            () = engine.stop.cancelled() => {}
        }
    }
}

/// One look; `true`: look again at once.
async fn look(engine: &Engine, asleep: &mut bool, passed: &mut Passed) -> Result<bool, sqlx::Error> {
    match turn_behind(engine, passed).await? {
        Routed::Elsewhere => Ok(false),
        Routed::Events(0) if *asleep => Ok(false),
        Routed::Events(0) => {
            // Who appends rings from now on. What was appended just before is found by one more look.
            *asleep = true;
            sleeps(engine, true).await?;
            Ok(true)
        }
        Routed::Events(_) => {
            if std::mem::take(asleep) {
                sleeps(engine, false).await?;
            }
            Ok(true)
        }
    }
}

async fn sleeps(engine: &Engine, asleep: bool) -> Result<(), sqlx::Error> {
    sqlx::query!("update hub.doorbell set asleep = $1 where name = 'router' and asleep <> $1", asleep)
        .execute(&engine.pool)
        .await?;
    Ok(())
}

/// Routes one batch, from the beginning.
pub async fn turn(engine: &Engine) -> Result<Routed, sqlx::Error> {
    turn_behind(engine, &mut Passed::default()).await
}

async fn turn_behind(engine: &Engine, passed: &mut Passed) -> Result<Routed, sqlx::Error> {
    let mut tx = keyed::begin(&engine.pool).await?;
    let alone = sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock($1) as "alone!""#, ADVISORY_LOCK)
        .fetch_one(&mut *tx)
        .await?;
    if !alone {
        return Ok(Routed::Elsewhere);
    }
    let (behind, wide) = passed.look(&mut tx).await?;
    let began = Instant::now();
    let routed = route(&mut tx, behind).await?;
    tx.commit().await?;
    passed.looked(wide, began.elapsed(), routed < BATCH.unsigned_abs());
    if routed > 0 {
        engine.deliveries.notify_waiters();
    }
    Ok(Routed::Events(routed))
}

async fn route(tx: &mut PgConnection, behind: i64) -> Result<u64, sqlx::Error> {
    let state_events: Vec<String> = STATE_EVENTS.iter().map(|kind| kind.as_str().to_owned()).collect();
    let done = sqlx::query!(
        r#"with taken as (
               delete from hub.outbox_unrouted
               where seq = any(array(select seq from hub.outbox_unrouted where seq > $3 order by seq limit $1))
               returning event_id
           ), made as (
               insert into hub.delivery
                   (id, target, type, state, event_id, aggregate, aggregate_id, revision, newest_only, blocks, bulk,
                    origin, payload, correlation_id)
               select hub.new_id(), t.name, e.type,
                      case when exists (select from hub.delivery d
                                        where d.target = t.name and d.aggregate = e.aggregate
                                          and d.aggregate_id = e.aggregate_id and d.revision < e.revision
                                          and d.state = 'dead' and d.blocks)
                           then 'blocked' else 'received' end,
                      e.id, e.aggregate, e.aggregate_id, e.revision, e.type = any($2),
                      t.blocks and not e.type = any($2), e.bulk, e.origin, e.payload, e.correlation_id
               from hub.outbox_event e
               join hub.target t on t.enabled and (t.bulk or not e.bulk) and t.name <> e.origin
                                    and t.events && array[e.type, split_part(e.type, '.', 1) || '.*', '*']
               where e.id = any(array(select event_id from taken))
               on conflict do nothing
               returning id, newest_only
           )
           select (select count(*) from taken) as "taken!",
                  array(select id from made where newest_only) as "newest!: Vec<Uuid>""#,
        BATCH,
        &state_events,
        behind,
    )
    .fetch_one(&mut *tx)
    .await?;
    outcome::supersede(tx, &done.newest).await?;
    Ok(u64::try_from(done.taken).unwrap_or(0))
}

/// Routed events that are older than payloads are kept go, a slice at a time. What is open has its own copy.
pub async fn trim(engine: &Engine) -> Result<u64, sqlx::Error> {
    const SLICE: i64 = 5_000;
    let before = engine.database_now().await? - chrono::TimeDelta::days(i64::from(engine.settings.payload_days));
    let mut trimmed = 0;
    loop {
        let done = sqlx::query!(
            "delete from hub.outbox_event where id in (
                 select e.id from hub.outbox_event e
                 where e.id < hub.uuid_at($1)
                   and not exists (select from hub.outbox_unrouted u where u.event_id = e.id)
                 order by e.id limit $2)",
            before,
            SLICE,
        )
        .execute(&engine.pool)
        .await?
        .rows_affected();
        trimmed += done;
        if done < SLICE.unsigned_abs() || engine.stop.is_cancelled() {
            return Ok(trimmed);
        }
    }
}
