//! Targets as the store knows them, so that every process and every person sees the same ones.

use chrono::{DateTime, Utc};
use kopru_sdk::Cause;
use serde::Serialize;
use sqlx::{PgExecutor, PgPool};

use super::{super::engine::Engine, catch_up, router};
use crate::transaction;

/// Writes down which targets this process has and what they want.
pub async fn register(engine: &Engine) -> Result<(), sqlx::Error> {
    for (name, target) in engine.targets.now().iter().filter(|(_, target)| !target.is_kept()) {
        let wants = target.wants();
        let mut tx = transaction::begin(&engine.pool).await?;
        let is_new =
            sqlx::query_scalar!(r#"select not exists (select from hub.target where name = $1) as "new!""#, name,)
                .fetch_one(&mut *tx)
                .await?;
        if is_new {
            // Who is at routing or appending ends first, and who comes later sees the target: no event falls between the two.
            sqlx::query!("select pg_advisory_xact_lock($1)", router::ADVISORY_LOCK).execute(&mut *tx).await?;
            sqlx::query!("lock table hub.outbox_event in share row exclusive mode").execute(&mut *tx).await?;
        }
        let wants_other = sqlx::query!(
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
        .await?
        .rows_affected()
            > 0;
        if is_new {
            let told =
                catch_up::tell(&mut tx, name, target.as_ref(), catch_up::Wanted::default(), catch_up::Before::Nothing)
                    .await?;
            if told > 0 {
                tracing::info!(target_name = name.as_str(), told, "what happened before is told as well");
            }
        } else if wants_other {
            let untold = catch_up::plan(&mut tx, &engine.targets, name, catch_up::Wanted::default())
                .await
                .map_or(0, |plan| plan.total);
            if untold > 0 {
                tracing::warn!(
                    target_name = name.as_str(),
                    untold,
                    "what happened while it was not to be told is not told by itself; see `kopru deliveries catch-up {name}`"
                );
            }
        }
        tx.commit().await?;
    }
    Ok(())
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
