//! Looking at messages, open and finished alike: what came, what was tried, what came of it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use super::messages::unpack;

/// Which messages are meant; every field narrows.
#[derive(Debug, Clone, Default)]
pub struct MessageFilter {
    pub connector: Option<String>,
    pub stream: Option<String>,
    pub state: Option<String>,
    /// The external code of a message or of a record in a page.
    pub code: Option<String>,
    pub run: Option<Uuid>,
    pub since: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Message)]
pub struct MessageRow {
    pub id: Uuid,
    pub kind: String,
    pub state: String,
    pub connector: String,
    pub stream: Option<String>,
    pub entity: Option<String>,
    pub code: Option<String>,
    pub records: i32,
    pub attempts: i32,
    pub correlation_id: String,
    pub run_id: Option<Uuid>,
    pub mapping: Option<String>,
    pub mapping_hash: Option<String>,
    pub received_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    pub due_at: Option<DateTime<Utc>>,
    pub cause: Option<String>,
    pub reason: Option<String>,
    pub detail: Option<String>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = MessageAttempt)]
pub struct AttemptRow {
    pub number: i32,
    pub started_at: DateTime<Utc>,
    pub finished_at: DateTime<Utc>,
    pub outcome: String,
    pub cause: Option<String>,
    pub reason: Option<String>,
    pub detail: Option<String>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = MessageRecord)]
pub struct ItemRow {
    pub ordinal: i32,
    pub outcome: String,
    pub code: Option<String>,
    pub internal_id: Option<i64>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = MessageWait)]
pub struct WaitRow {
    pub entity: String,
    pub code: String,
}

/// A message with everything that is known about it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageDetail {
    #[serde(flatten)]
    pub message: MessageRow,
    pub attempts_made: Vec<AttemptRow>,
    /// The first thousand records of a page that had an effect.
    pub items: Vec<ItemRow>,
    pub waits_for: Vec<WaitRow>,
    pub format: Option<String>,
    /// Gone after the retention of payloads.
    pub payload: Option<String>,
}

/// Newest first; `before` is the last id of the page before.
pub async fn list(
    db: &PgPool,
    filter: &MessageFilter,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<MessageRow>, sqlx::Error> {
    sqlx::query_as!(
        MessageRow,
        r#"with open as (
               select id, kind, state, connector, stream, entity, key as code, 1 as records, attempts, correlation_id,
                      run_id, mapping, mapping_hash, received_at, null::timestamptz as finished_at, due_at, cause,
                      reason, detail
               from hub.message m
               where ($1::text is null or connector = $1) and ($2::text is null or stream = $2)
                 and ($3::text is null or state = $3) and ($4::text is null or key = $4)
                 and ($5::uuid is null or run_id = $5) and ($6::timestamptz is null or id >= hub.uuid_at($6))
                 and ($7::uuid is null or id < $7)
               order by id desc limit $8
           ), finished as (
               select id, kind, state, connector, stream, entity, key as code, records, attempts, correlation_id, run_id,
                      mapping, mapping_hash, received_at, finished_at, null::timestamptz as due_at, cause, reason, detail
               from hub.message_history m
               where ($1::text is null or connector = $1) and ($2::text is null or stream = $2)
                 and ($3::text is null or state = $3)
                 and ($4::text is null or key = $4
                      or id in (select message_id from hub.message_item where code = $4))
                 and ($5::uuid is null or run_id = $5) and ($6::timestamptz is null or id >= hub.uuid_at($6))
                 and ($7::uuid is null or id < $7)
               order by id desc limit $8
           )
           select id as "id!", kind as "kind!", state as "state!", connector as "connector!", stream, entity, code,
                  records as "records!", attempts as "attempts!", correlation_id as "correlation_id!", run_id, mapping,
                  mapping_hash, received_at as "received_at!", finished_at, due_at, cause, reason, detail
           from (select * from open union all select * from finished) as both_lanes
           order by id desc limit $8"#,
        filter.connector,
        filter.stream,
        filter.state,
        filter.code,
        filter.run,
        filter.since,
        before,
        limit,
    )
    .fetch_all(db)
    .await
}

pub async fn show(db: &PgPool, id: Uuid) -> Result<Option<MessageDetail>, sqlx::Error> {
    let message = sqlx::query_as!(
        MessageRow,
        r#"select id as "id!", kind as "kind!", state as "state!", connector as "connector!", stream, entity, code,
                  records as "records!", attempts as "attempts!", correlation_id as "correlation_id!", run_id, mapping,
                  mapping_hash, received_at as "received_at!", finished_at, due_at, cause, reason, detail
           from (
               select id, kind, state, connector, stream, entity, key as code, 1 as records, attempts, correlation_id,
                      run_id, mapping, mapping_hash, received_at, null::timestamptz as finished_at, due_at, cause,
                      reason, detail
               from hub.message where id = $1
               union all
               select id, kind, state, connector, stream, entity, key, records, attempts, correlation_id, run_id,
                      mapping, mapping_hash, received_at, finished_at, null, cause, reason, detail
               from hub.message_history where id = $1
           ) as both_lanes"#,
        id
    )
    .fetch_optional(db)
    .await?;
    let Some(message) = message else { return Ok(None) };
    let attempts_made = sqlx::query_as!(
        AttemptRow,
        "select number, started_at, finished_at, outcome, cause, reason, detail
         from hub.attempt where message_id = $1 order by number, id",
        id
    )
    .fetch_all(db)
    .await?;
    let items = sqlx::query_as!(
        ItemRow,
        "select ordinal, outcome, code, internal_id from hub.message_item where message_id = $1
         order by ordinal limit 1000",
        id
    )
    .fetch_all(db)
    .await?;
    let waits_for = sqlx::query_as!(
        WaitRow,
        "select entity, code from hub.message_wait where message_id = $1 order by entity, code",
        id
    )
    .fetch_all(db)
    .await?;
    let body = sqlx::query!(
        r#"select body as "body!" from (
               select body from hub.message where id = $1
               union all select body from hub.payload_history where message_id = $1
           ) as both_lanes"#,
        id
    )
    .fetch_optional(db)
    .await?;
    let format = sqlx::query_scalar!(
        r#"select format as "format!" from (
               select format from hub.message where id = $1
               union all select format from hub.message_history where id = $1
           ) as both_lanes"#,
        id
    )
    .fetch_optional(db)
    .await?;
    let payload = body.and_then(|row| unpack(&row.body).ok()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Ok(Some(MessageDetail { message, attempts_made, items, waits_for, format, payload }))
}
