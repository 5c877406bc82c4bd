//! Endpoints as they are stored, listed and shown: with what they want, how they do, and without their secrets.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgExecutor;
use utoipa::ToSchema;

use crate::page::{BadPage, Page, PageRequest};

#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookEndpoint)]
pub struct Endpoint {
    pub id: i64,
    /// By what deliveries, breakers and letters know it: `webhook:7`.
    pub target: String,
    pub url: String,
    pub description: String,
    pub events: Vec<String>,
    pub bulk: bool,
    pub rate_per_second: Option<i32>,
    pub enabled: bool,
    pub disabled_at: Option<DateTime<Utc>>,
    /// `person`, `gone` or `failing`
    pub disabled_cause: Option<String>,
    pub disabled_reason: Option<String>,
    pub paused_at: Option<DateTime<Utc>>,
    /// closed, open or half_open
    pub breaker: String,
    /// Since when nothing has gone well.
    pub failing_since: Option<DateTime<Utc>>,
    pub last_fault: Option<String>,
    pub last_success_at: Option<DateTime<Utc>>,
    /// Deliveries that are not finished and not dead.
    pub open: i64,
    pub held: i64,
    pub dead: i64,
    /// Secrets that sign; more than one while a rotation overlaps.
    pub secrets: i64,
    pub revision: i64,
    pub created_at: DateTime<Utc>,
    pub created_by: String,
    pub updated_at: DateTime<Utc>,
    pub updated_by: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error(transparent)]
    Page(#[from] BadPage),
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
}

/// In the order in which they were made.
pub async fn list<'e>(
    db: impl PgExecutor<'e>,
    now: DateTime<Utc>,
    page: &PageRequest,
) -> Result<Page<Endpoint>, ListError> {
    const LIST: &str = "webhook-endpoints";
    let after = page.after::<i64>(LIST)?.unwrap_or(0);
    let rows = select(db, now, None, after, page.rows()).await?;
    Ok(page.page(LIST, rows, |row| row.id))
}

pub async fn find<'e>(db: impl PgExecutor<'e>, now: DateTime<Utc>, id: i64) -> Result<Option<Endpoint>, sqlx::Error> {
    Ok(select(db, now, Some(id), 0, 1).await?.pop())
}

async fn select<'e>(
    db: impl PgExecutor<'e>,
    now: DateTime<Utc>,
    id: Option<i64>,
    after: i64,
    limit: i64,
) -> Result<Vec<Endpoint>, sqlx::Error> {
    sqlx::query_as!(
        Endpoint,
        r#"select e.id, e.target as "target!", e.url, e.description, t.events, t.bulk, e.rate_per_second, t.enabled,
                  t.disabled_at, t.disabled_cause, t.disabled_reason, t.paused_at,
                  coalesce(b.state, 'closed') as "breaker!", b.failing_since as "failing_since?",
                  b.last_fault as "last_fault?", b.last_success_at as "last_success_at?",
                  coalesce(d.open, 0) as "open!", coalesce(d.held, 0) as "held!", coalesce(d.dead, 0) as "dead!",
                  (select count(*) from hub.webhook_secret s
                   where s.endpoint_id = e.id and (s.expires_at is null or s.expires_at > $4)) as "secrets!",
                  e.revision, e.created_at, e.created_by, e.updated_at, e.updated_by
           from hub.webhook_endpoint e
           join hub.target t on t.name = e.target
           left join hub.breaker b on b.connector = e.target
           left join lateral (
               select count(*) filter (where state <> 'dead') as open, count(*) filter (where state = 'held') as held,
                      count(*) filter (where state = 'dead') as dead
               from hub.delivery where target = e.target
           ) d on true
           where e.removed_at is null and ($1::bigint is null or e.id = $1) and e.id > $2
           order by e.id limit $3"#,
        id,
        after,
        limit,
        now,
    )
    .fetch_all(db)
    .await
}
