//! A running plan worked off, a slice at a time, by whichever process comes by.
//!
//! Invariants
//! - A slice is one transaction under the plan's row lock: what it did and how far the plan is commit together, so a
//!   crash repeats nothing and skips nothing.
//! - A slice is small, and the next one waits while the letters of the last ones are queued: other messages pass.

use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::{discard::discard_within, replay::queue};
use crate::{
    audit::{self, Actor, Entry},
    transaction,
};

/// Letters that are taken at a time, and twice as many may be queued.
const LARGEST: i64 = 200;

/// What a look at the running plans came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slice {
    /// No plan is running.
    Idle,
    /// Not now: the rate, or letters that are queued, or another process is at it.
    NotYet,
    Taken(i64),
}

/// Takes the next letters of the plan that has waited longest.
pub async fn slice(db: &PgPool) -> Result<Slice, sqlx::Error> {
    let mut tx = transaction::begin(db).await?;
    let plan = sqlx::query!(
        r#"select id, action, reason, per_second, total, taken, planned_by, correlation_id,
                  coalesce(extract(epoch from clock_timestamp() - sliced_at), 3600)::float8 as "waited!"
           from hub.replay_plan where state = 'running'
           order by coalesce(sliced_at, started_at), id limit 1 for update skip locked"#
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(plan) = plan else {
        let busy =
            sqlx::query_scalar!(r#"select exists (select from hub.replay_plan where state = 'running') as "yes!""#)
                .fetch_one(&mut *tx)
                .await?;
        return Ok(if busy { Slice::NotYet } else { Slice::Idle });
    };
    // Waiting saves up no more than a second's letters, and at least one.
    let rate = f64::from(plan.per_second);
    #[expect(clippy::cast_possible_truncation, reason = "at most LARGEST")]
    let allowed = (plan.waited * rate).min(rate.max(1.0)).min(200.0).floor() as i64;
    let allowed = allowed.min(LARGEST);
    let queued = sqlx::query_scalar!(
        r#"select count(*) as "n!" from hub.replay_item i join hub.dead_letter d on d.id = i.letter_id
           where i.plan_id = $1 and i.place > $2::bigint - 5 * $3::bigint and i.place <= $2 and d.state = 'replaying'"#,
        plan.id,
        plan.taken,
        LARGEST,
    )
    .fetch_one(&mut *tx)
    .await?;
    if plan.taken < plan.total && (allowed < 1 || queued > LARGEST) {
        // Behind the other plans, without a say about its rate.
        return Ok(Slice::NotYet);
    }
    let upto = (plan.taken + allowed).min(plan.total);
    let ids: Vec<Uuid> = sqlx::query_scalar!(
        "select letter_id from hub.replay_item where plan_id = $1 and place > $2 and place <= $3 order by place",
        plan.id,
        plan.taken,
        upto,
    )
    .fetch_all(&mut *tx)
    .await?;
    let by = Actor::new(&plan.planned_by, &plan.correlation_id);
    let affected = match plan.reason.as_deref().filter(|_| plan.action == "discard") {
        Some(reason) => discard_within(&mut tx, by, &ids, reason).await?,
        None => queue(&mut tx, by.name, &ids).await?.len() as u64,
    };
    let done = upto == plan.total;
    let affected = i64::try_from(affected).unwrap_or(i64::MAX);
    let all = sqlx::query_scalar!(
        "update hub.replay_plan
         set taken = $2, affected = affected + $3, sliced_at = clock_timestamp(),
             state = case when $4 then 'done' else state end,
             finished_at = case when $4 then clock_timestamp() end
         where id = $1 returning affected",
        plan.id,
        upto,
        affected,
        done,
    )
    .fetch_one(&mut *tx)
    .await?;
    if done {
        let entry = Entry {
            action: "replay_plan.finished",
            subject_kind: "replay_plan",
            subject: plan.id.to_string(),
            detail: json!({ "action": plan.action, "total": plan.total, "affected": all }),
        };
        audit::record(&mut tx, by, &[entry]).await?;
    }
    tx.commit().await?;
    Ok(Slice::Taken(upto - plan.taken))
}
