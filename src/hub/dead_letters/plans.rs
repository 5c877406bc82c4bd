//! Plans: many letters replayed or discarded by what a person saw when deciding.
//!
//! Invariants
//! - The selection is frozen when the plan is made; letters that come later are not in it, those that are resolved
//!   meanwhile are passed over.
//! - Nothing happens before somebody starts the plan; who planned and who started or cancelled it is audited.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::{PgConnection, PgExecutor, PgPool, Postgres, QueryBuilder};
use utoipa::ToSchema;
use uuid::Uuid;

use super::filter::Filter;
use crate::{
    audit::{self, Actor, Entry},
    transaction,
};

/// What is to be done with the letters of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action<'a> {
    Replay,
    Discard { reason: &'a str },
}

impl Action<'_> {
    const fn as_str(self) -> &'static str {
        match self {
            Action::Replay => "replay",
            Action::Discard { .. } => "discard",
        }
    }
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReplayPlan)]
pub struct Plan {
    pub id: Uuid,
    /// replay or discard
    pub action: String,
    /// planned, running, done or cancelled
    pub state: String,
    #[schema(value_type = Object)]
    pub filter: Value,
    pub reason: Option<String>,
    pub per_second: f32,
    pub total: i64,
    /// Letters that were looked at so far.
    pub taken: i64,
    /// Letters that were queued or discarded; the others had been resolved by then.
    pub affected: i64,
    pub planned_by: String,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// Letters of a plan that have one thing in common.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReplayPlanShare)]
pub struct Share {
    pub connector: String,
    pub stream: Option<String>,
    pub cause: String,
    pub reason: String,
    pub count: i64,
}

/// What became of the letters of a plan so far.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
#[schema(as = ReplayPlanOutcome)]
pub struct Outcome {
    /// Queued, and not worked off yet.
    pub replaying: i64,
    /// Open still: not taken yet, or failed again.
    pub dead: i64,
    pub resolved: i64,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReplayPlanDetail)]
pub struct PlanDetail {
    #[serde(flatten)]
    pub plan: Plan,
    /// The letters that are open still, the largest share first.
    pub shares: Vec<Share>,
    /// How long what is left takes at the plan's rate.
    pub estimated_secs: i64,
    pub outcome: Outcome,
}

#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    #[error("there is no plan {0}; `kopru dead-letters replays list` shows them")]
    Unknown(Uuid),
    #[error("plan {id} is {state}, and only one that is {needed} can be {done}")]
    WrongState { id: Uuid, state: String, needed: &'static str, done: &'static str },
    #[error("the rate must be above 0 letters a second")]
    Rate,
    #[error("say why, so that whoever looks for the letters later knows")]
    NoReason,
}

/// Freezes the selection that a filter names now. Nothing happens until [`start`].
pub async fn plan(
    db: &PgPool,
    by: Actor<'_>,
    action: Action<'_>,
    filter: &Filter,
    per_second: f32,
) -> Result<PlanDetail, PlanError> {
    let mut tx = transaction::begin(db).await?;
    let id = plan_within(&mut tx, by, action, filter, per_second).await?;
    tx.commit().await?;
    get(db, id).await?.ok_or(PlanError::Unknown(id))
}

/// The same in the caller's transaction; answers the plan's id.
pub async fn plan_within(
    tx: &mut PgConnection,
    by: Actor<'_>,
    action: Action<'_>,
    filter: &Filter,
    per_second: f32,
) -> Result<Uuid, PlanError> {
    if !(per_second > 0.0 && per_second.is_finite()) {
        return Err(PlanError::Rate);
    }
    let reason = match action {
        Action::Replay => None,
        Action::Discard { reason } if reason.trim().is_empty() => return Err(PlanError::NoReason),
        Action::Discard { reason } => Some(reason),
    };
    let id = Uuid::now_v7();
    sqlx::query!(
        "insert into hub.replay_plan (id, action, filter, reason, per_second, planned_by, correlation_id)
         values ($1, $2, $3, $4, $5, $6, $7)",
        id,
        action.as_str(),
        json!(filter),
        reason,
        per_second,
        by.name,
        by.correlation_id,
    )
    .execute(&mut *tx)
    .await?;
    let mut items = QueryBuilder::<Postgres>::new("insert into hub.replay_item (plan_id, place, letter_id) select ");
    items.push_bind(id);
    items
        .push(", row_number() over (order by d.received_at, d.id), d.id from hub.dead_letter d where d.state = 'dead'");
    filter.narrow(&mut items);
    let total = items.build().persistent(false).execute(&mut *tx).await?.rows_affected();
    sqlx::query!("update hub.replay_plan set total = $2 where id = $1", id, i64::try_from(total).unwrap_or(i64::MAX))
        .execute(&mut *tx)
        .await?;
    Ok(id)
}

/// Lets a plan begin.
pub async fn start(db: &PgPool, by: Actor<'_>, id: Uuid) -> Result<(), PlanError> {
    let mut tx = transaction::begin(db).await?;
    start_within(&mut tx, by, id).await?;
    tx.commit().await?;
    Ok(())
}

/// The same in the caller's transaction.
pub async fn start_within(tx: &mut PgConnection, by: Actor<'_>, id: Uuid) -> Result<(), PlanError> {
    let plan = locked(&mut *tx, id).await?;
    if plan.state != "planned" {
        return Err(PlanError::WrongState { id, state: plan.state, needed: "planned", done: "started" });
    }
    sqlx::query!("update hub.replay_plan set state = 'running', started_at = clock_timestamp() where id = $1", id)
        .execute(&mut *tx)
        .await?;
    note(tx, by, "replay_plan.started", &plan).await?;
    Ok(())
}

/// Ends a plan; what was queued by then is worked off all the same.
pub async fn cancel(db: &PgPool, by: Actor<'_>, id: Uuid) -> Result<(), PlanError> {
    let mut tx = transaction::begin(db).await?;
    cancel_within(&mut tx, by, id).await?;
    tx.commit().await?;
    Ok(())
}

/// The same in the caller's transaction.
pub async fn cancel_within(tx: &mut PgConnection, by: Actor<'_>, id: Uuid) -> Result<(), PlanError> {
    let plan = locked(&mut *tx, id).await?;
    if !matches!(plan.state.as_str(), "planned" | "running") {
        let needed = "planned or running";
        return Err(PlanError::WrongState { id, state: plan.state, needed, done: "cancelled" });
    }
    sqlx::query!("update hub.replay_plan set state = 'cancelled', finished_at = clock_timestamp() where id = $1", id)
        .execute(&mut *tx)
        .await?;
    note(tx, by, "replay_plan.cancelled", &plan).await?;
    Ok(())
}

async fn note(tx: &mut PgConnection, by: Actor<'_>, action: &'static str, plan: &Plan) -> Result<(), sqlx::Error> {
    let detail = json!({
        "action": plan.action, "filter": plan.filter, "total": plan.total, "affected": plan.affected,
        "perSecond": plan.per_second, "reason": plan.reason,
    });
    let entry = Entry { action, subject_kind: "replay_plan", subject: plan.id.to_string(), detail };
    audit::record(tx, by, &[entry]).await
}

async fn locked(tx: &mut PgConnection, id: Uuid) -> Result<Plan, PlanError> {
    sqlx::query!("select from hub.replay_plan where id = $1 for update", id).fetch_optional(&mut *tx).await?;
    find(&mut *tx, id).await?.ok_or(PlanError::Unknown(id))
}

async fn find<'e>(db: impl PgExecutor<'e>, id: Uuid) -> Result<Option<Plan>, sqlx::Error> {
    sqlx::query_as!(
        Plan,
        "select id, action, state, filter, reason, per_second, total, taken, affected, planned_by, created_at,
                started_at, finished_at
         from hub.replay_plan where id = $1",
        id
    )
    .fetch_optional(db)
    .await
}

/// Newest first, a page at a time; `before` is the last id of the page before.
pub async fn plans<'e>(db: impl PgExecutor<'e>, before: Option<Uuid>, limit: i64) -> Result<Vec<Plan>, sqlx::Error> {
    sqlx::query_as!(
        Plan,
        "select id, action, state, filter, reason, per_second, total, taken, affected, planned_by, created_at,
                started_at, finished_at
         from hub.replay_plan where $1::uuid is null or id < $1 order by id desc limit $2",
        before,
        limit,
    )
    .fetch_all(db)
    .await
}

/// A plan with what its letters are and what became of them.
pub async fn get(db: &PgPool, id: Uuid) -> Result<Option<PlanDetail>, sqlx::Error> {
    let mut conn = db.acquire().await?;
    get_within(&mut conn, id).await
}

/// The same in the caller's transaction.
pub async fn get_within(conn: &mut PgConnection, id: Uuid) -> Result<Option<PlanDetail>, sqlx::Error> {
    let Some(plan) = find(&mut *conn, id).await? else { return Ok(None) };
    let shares = sqlx::query_as!(
        Share,
        r#"select d.connector, d.stream, d.cause, d.reason, count(*) as "count!"
           from hub.replay_item i join hub.dead_letter d on d.id = i.letter_id
           where i.plan_id = $1 group by 1, 2, 3, 4 order by 5 desc, 1, 2, 3, 4 limit 100"#,
        id
    )
    .fetch_all(&mut *conn)
    .await?;
    let open = sqlx::query!(
        r#"select count(*) as "open!", count(*) filter (where d.state = 'replaying') as "replaying!"
           from hub.replay_item i join hub.dead_letter d on d.id = i.letter_id where i.plan_id = $1"#,
        id
    )
    .fetch_one(&mut *conn)
    .await?;
    let outcome = Outcome {
        replaying: open.replaying,
        dead: open.open - open.replaying,
        resolved: (plan.total - open.open).max(0),
    };
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "an estimate")]
    let estimated_secs = ((plan.total - plan.taken) as f64 / f64::from(plan.per_second)).ceil() as i64;
    Ok(Some(PlanDetail { plan, shares, estimated_secs, outcome }))
}

/// Plans that nobody started within a day, and the items of those that ended a month ago.
pub async fn forget_unused<'e>(db: impl PgExecutor<'e>) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "delete from hub.replay_plan
         where (state = 'planned' and created_at < clock_timestamp() - interval '1 day')
            or finished_at < clock_timestamp() - interval '30 days'"
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}
