//! Looking at deliveries, open and finished alike: what is told to whom, what was tried, what came of it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

/// Which deliveries are meant; every field narrows.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    pub target: Option<String>,
    pub state: Option<String>,
    /// The event's type, `order.confirmed`, or the mail's, `mail.invitation`.
    pub kind: Option<String>,
    /// By what a person knows it: the address of a mail.
    pub label: Option<String>,
    pub aggregate: Option<String>,
    pub aggregate_id: Option<i64>,
    pub correlation_id: Option<String>,
    pub since: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Delivery)]
pub struct DeliveryRow {
    pub id: Uuid,
    pub target: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub state: String,
    pub event_id: Option<Uuid>,
    pub aggregate: String,
    pub aggregate_id: Option<i64>,
    pub revision: Option<i64>,
    pub label: Option<String>,
    pub origin: String,
    pub correlation_id: String,
    pub attempts: i32,
    pub created_at: DateTime<Utc>,
    pub due_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub receipt: Option<String>,
    pub dead_letter_id: Option<Uuid>,
    pub cause: Option<String>,
    pub reason: Option<String>,
    pub detail: Option<String>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryAttempt {
    pub number: i32,
    pub started_at: DateTime<Utc>,
    pub finished_at: DateTime<Utc>,
    pub outcome: String,
    pub cause: Option<String>,
    pub reason: Option<String>,
    pub detail: Option<String>,
    pub asked: Option<String>,
    pub answered: Option<String>,
}

/// A delivery with everything that is known about it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryDetail {
    #[serde(flatten)]
    pub delivery: DeliveryRow,
    pub attempts_made: Vec<DeliveryAttempt>,
    /// Deliveries of its key that wait behind it.
    pub waiting_behind: i64,
    /// Gone with its event after the retention of payloads; without what is sealed in it.
    #[schema(value_type = Option<Object>)]
    pub payload: Option<Value>,
}

/// Newest first; `before` is the last id of the page before.
pub async fn list(
    db: &PgPool,
    filter: &DeliveryFilter,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<DeliveryRow>, sqlx::Error> {
    sqlx::query_as!(
        DeliveryRow,
        r#"with open as (
               select id, target, type as kind, state, event_id, aggregate, aggregate_id, revision, label, origin,
                      correlation_id, attempts, created_at, due_at, null::timestamptz as finished_at,
                      null::text as receipt, dead_letter_id, cause, reason, detail
               from hub.delivery
               where ($1::text is null or target = $1) and ($2::text is null or state = $2)
                 and ($3::text is null or type = $3) and ($4::text is null or label = $4)
                 and ($5::text is null or aggregate = $5) and ($6::bigint is null or aggregate_id = $6)
                 and ($7::text is null or correlation_id = $7) and ($8::timestamptz is null or id >= hub.uuid_at($8))
                 and ($9::uuid is null or id < $9)
               order by id desc limit $10
           ), finished as (
               select id, target, type as kind, state, event_id, aggregate, aggregate_id, revision, label, origin,
                      correlation_id, attempts, created_at, null::timestamptz as due_at, finished_at, receipt,
                      null::uuid as dead_letter_id, cause, reason, detail
               from hub.delivery_history
               where ($1::text is null or target = $1) and ($2::text is null or state = $2)
                 and ($3::text is null or type = $3) and ($4::text is null or label = $4)
                 and ($5::text is null or aggregate = $5) and ($6::bigint is null or aggregate_id = $6)
                 and ($7::text is null or correlation_id = $7) and ($8::timestamptz is null or id >= hub.uuid_at($8))
                 and ($9::uuid is null or id < $9)
               order by id desc limit $10
           )
           select id as "id!", target as "target!", kind as "kind!", state as "state!", event_id,
                  aggregate as "aggregate!", aggregate_id, revision, label, origin as "origin!",
                  correlation_id as "correlation_id!", attempts as "attempts!", created_at as "created_at!", due_at,
                  finished_at, receipt, dead_letter_id, cause, reason, detail
           from (select * from open union all select * from finished) as both_lanes
           order by id desc limit $10"#,
        filter.target,
        filter.state,
        filter.kind,
        filter.label,
        filter.aggregate,
        filter.aggregate_id,
        filter.correlation_id,
        filter.since,
        before,
        limit,
    )
    .fetch_all(db)
    .await
}

pub async fn show(db: &PgPool, id: Uuid) -> Result<Option<DeliveryDetail>, sqlx::Error> {
    let delivery = sqlx::query_as!(
        DeliveryRow,
        r#"select id as "id!", target as "target!", kind as "kind!", state as "state!", event_id,
                  aggregate as "aggregate!", aggregate_id, revision, label, origin as "origin!",
                  correlation_id as "correlation_id!", attempts as "attempts!", created_at as "created_at!", due_at,
                  finished_at, receipt, dead_letter_id, cause, reason, detail
           from (
               select id, target, type as kind, state, event_id, aggregate, aggregate_id, revision, label, origin,
                      correlation_id, attempts, created_at, due_at, null::timestamptz as finished_at,
                      null::text as receipt, dead_letter_id, cause, reason, detail
               from hub.delivery where id = $1
               union all
               select id, target, type, state, event_id, aggregate, aggregate_id, revision, label, origin,
                      correlation_id, attempts, created_at, null, finished_at, receipt, null, cause, reason, detail
               from hub.delivery_history where id = $1
           ) as both_lanes"#,
        id,
    )
    .fetch_optional(db)
    .await?;
    let Some(delivery) = delivery else { return Ok(None) };
    let attempts_made = sqlx::query_as!(
        DeliveryAttempt,
        "select number, started_at, finished_at, outcome, cause, reason, detail, asked, answered
         from hub.attempt where message_id = $1 order by number, id",
        id,
    )
    .fetch_all(db)
    .await?;
    let payload = sqlx::query_scalar!(
        r#"select payload as "payload!" from (
               select payload - 'token' as payload from hub.delivery where id = $1
               union all select payload from hub.outbox_event where id = $2
           ) as both_lanes limit 1"#,
        id,
        delivery.event_id,
    )
    .fetch_optional(db)
    .await?;
    let waiting_behind = sqlx::query_scalar!(
        r#"select count(*) as "n!" from hub.delivery d
           join hub.delivery own on own.target = d.target and own.aggregate = d.aggregate
                                    and own.aggregate_id = d.aggregate_id and own.revision < d.revision
           where own.id = $1"#,
        id,
    )
    .fetch_one(db)
    .await?;
    Ok(Some(DeliveryDetail { delivery, attempts_made, waiting_behind, payload }))
}
