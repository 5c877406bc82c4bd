//! Targets as the store knows them, so that every process and every person sees the same ones.

use chrono::{DateTime, Utc};
use kopru_sdk::Cause;
use serde::Serialize;
use sqlx::{PgConnection, PgExecutor, PgPool};

use super::{super::engine::Engine, router};

/// Writes down which targets this process has and what they want.
pub async fn register(engine: &Engine) -> Result<(), sqlx::Error> {
    for (name, target) in engine.targets.now().iter().filter(|(_, target)| !target.is_kept()) {
        let wants = target.wants();
        let mut tx = engine.pool.begin().await?;
        let is_new =
            sqlx::query_scalar!(r#"select not exists (select from hub.target where name = $1) as "new!""#, name,)
                .fetch_one(&mut *tx)
                .await?;
        if is_new {
            // Who is at routing or appending ends first, and who comes later sees the target: no event falls between the two.
            sqlx::query!("select pg_advisory_xact_lock($1)", router::ADVISORY_LOCK).execute(&mut *tx).await?;
            sqlx::query!("lock table hub.outbox_event in share row exclusive mode").execute(&mut *tx).await?;
        }
        sqlx::query!(
            "insert into hub.target as t (name, kind, events, bulk, blocks) values ($1, $2, $3, $4, $5)
             on conflict (name) do update
                 set kind = excluded.kind, events = excluded.events, bulk = excluded.bulk, blocks = excluded.blocks,
                     enabled = true, updated_at = clock_timestamp()
                 where (t.kind, t.events, t.bulk, t.blocks, t.enabled)
                       is distinct from (excluded.kind, excluded.events, excluded.bulk, excluded.blocks, true)",
            name,
            target.kind(),
            &wants.events,
            wants.bulk,
            wants.blocks,
        )
        .execute(&mut *tx)
        .await?;
        if is_new {
            for (kind, records) in target.untold(&mut tx).await? {
                let told = catch_up(&mut tx, name, kind, &records).await?;
                if told > 0 {
                    tracing::info!(target_name = name.as_str(), kind, told, "what happened before is told as well");
                }
            }
        }
        tx.commit().await?;
    }
    Ok(())
}

/// Deliveries of events of one type that were not for the target when they were routed. Of one that made them first, as two
/// daemons that start together are, nothing is made again.
async fn catch_up(tx: &mut PgConnection, name: &str, kind: &str, records: &[i64]) -> Result<u64, sqlx::Error> {
    let made = sqlx::query!(
        "insert into hub.delivery
             (id, target, type, event_id, aggregate, aggregate_id, revision, blocks, bulk, origin, payload, correlation_id)
         select hub.new_id(), t.name, e.type, e.id, e.aggregate, e.aggregate_id, e.revision, t.blocks, e.bulk, e.origin,
                e.payload, e.correlation_id
         from hub.target t
         join hub.outbox_event e on e.type = $2 and e.aggregate_id = any ($3) and e.origin <> t.name
         where t.name = $1
             and not exists (select from hub.outbox_unrouted u where u.event_id = e.id)
             and not exists (select from hub.delivery_history h
                             where h.target = t.name and h.aggregate = e.aggregate and h.aggregate_id = e.aggregate_id
                                 and h.event_id = e.id)
         order by e.id
         on conflict do nothing",
        name,
        kind,
        records,
    )
    .execute(tx)
    .await?;
    Ok(made.rows_affected())
}

/// Stops calling a target until [`resume`]. The first reason stands.
pub async fn pause<'e>(db: impl PgExecutor<'e>, name: &str, cause: &str, reason: &str) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update hub.target set paused_at = clock_timestamp(), paused_cause = $2, paused_reason = $3
         where name = $1 and paused_at is null",
        name,
        cause,
        reason,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Credentials refused, or the other side not as agreed.
pub(super) async fn cut_off(engine: &Engine, name: &str, cause: Cause, reason: &str) -> Result<(), sqlx::Error> {
    if pause(&engine.pool, name, cause.as_str(), reason).await? {
        tracing::error!(target_name = name, %cause, "target paused; mend it and run `kopru deliveries resume {name}`");
    }
    Ok(())
}

pub async fn resume<'e>(db: impl PgExecutor<'e>, name: &str) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update hub.target set paused_at = null, paused_cause = null, paused_reason = null
         where name = $1 and paused_at is not null",
        name,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Of these targets the ones that may be called: not switched off, not paused, and not behind an open breaker.
pub(super) async fn callable<'e>(db: impl PgExecutor<'e>, names: &[String]) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select n.name as "name!" from unnest($1::text[]) as n (name)
           where not exists (select from hub.target t where t.name = n.name and (t.paused_at is not null or not t.enabled))
             and not exists (select from hub.breaker b where b.connector = n.name and b.state <> 'closed')"#,
        names,
    )
    .fetch_all(db)
    .await
}

/// A target with its figures.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetRow {
    pub name: String,
    pub kind: String,
    pub events: Vec<String>,
    pub bulk: bool,
    /// False: told nothing any more.
    pub enabled: bool,
    pub disabled_cause: Option<String>,
    pub disabled_reason: Option<String>,
    pub breaker: String,
    pub failing_since: Option<DateTime<Utc>>,
    pub paused_at: Option<DateTime<Utc>>,
    pub paused_cause: Option<String>,
    pub paused_reason: Option<String>,
    /// Not finished and not dead.
    pub open: i64,
    pub held: i64,
    pub blocked: i64,
    pub dead: i64,
    /// Since when the oldest open one waits.
    pub oldest: Option<DateTime<Utc>>,
}

/// Every target, and every name that deliveries go to.
pub async fn list(db: &PgPool) -> Result<Vec<TargetRow>, sqlx::Error> {
    sqlx::query_as!(
        TargetRow,
        r#"with counted as (
               select target, count(*) filter (where state <> 'dead') as open,
                      count(*) filter (where state = 'held') as held,
                      count(*) filter (where state = 'blocked') as blocked,
                      count(*) filter (where state = 'dead') as dead,
                      min(created_at) filter (where state <> 'dead') as oldest
               from hub.delivery group by target
           )
           select coalesce(t.name, c.target) as "name!", coalesce(t.kind, '') as "kind!",
                  coalesce(t.events, '{}') as "events!", coalesce(t.bulk, false) as "bulk!",
                  coalesce(t.enabled, true) as "enabled!", t.disabled_cause, t.disabled_reason,
                  coalesce(b.state, 'closed') as "breaker!", b.failing_since as "failing_since?", t.paused_at, t.paused_cause, t.paused_reason,
                  coalesce(c.open, 0) as "open!", coalesce(c.held, 0) as "held!", coalesce(c.blocked, 0) as "blocked!",
                  coalesce(c.dead, 0) as "dead!", c.oldest
           from hub.target t
           full join counted c on c.target = t.name
           left join hub.breaker b on b.connector = coalesce(t.name, c.target)
           order by 1"#
    )
    .fetch_all(db)
    .await
}
