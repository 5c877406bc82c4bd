//! What reconciliations found.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgExecutor;
use utoipa::ToSchema;
use uuid::Uuid;

/// A reconciliation with its counts.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Reconciliation)]
pub struct Report {
    /// The id of its run.
    pub id: Uuid,
    pub connector: String,
    pub stream: String,
    pub entity: String,
    /// Whether what differed was written as its source has it.
    pub repairs: bool,
    /// requested, running, done, failed or interrupted
    pub state: String,
    pub error: Option<String>,
    pub requested_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    /// Records of the source that were compared.
    pub checked: i64,
    pub same: i64,
    pub differing: i64,
    /// The source has them, the store does not.
    pub missing_here: i64,
    /// The store has them, the source does not any more.
    pub missing_there: i64,
    /// Codes that the source has more than once.
    pub repeated: i64,
    /// Records that cannot go in.
    pub refused: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindingKind {
    Differs,
    MissingHere,
    MissingThere,
    Repeated,
    Refused,
}

impl FindingKind {
    pub const ALL: [FindingKind; 5] = [
        FindingKind::Differs,
        FindingKind::MissingHere,
        FindingKind::MissingThere,
        FindingKind::Repeated,
        FindingKind::Refused,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            FindingKind::Differs => "differs",
            FindingKind::MissingHere => "missing_here",
            FindingKind::MissingThere => "missing_there",
            FindingKind::Repeated => "repeated",
            FindingKind::Refused => "refused",
        }
    }
}

/// One record on which the two sides do not agree.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReconciliationFinding)]
pub struct Finding {
    /// differs, missing_here, missing_there, repeated or refused
    pub kind: String,
    pub code: String,
    /// Of one that differs: field by field what we have (`ours`) and what the source has (`theirs`).
    #[schema(value_type = Option<Object>)]
    pub fields: Option<Value>,
    /// How often it came, or why it cannot go in.
    pub detail: Option<String>,
}

/// Newest first. `stream`: CONNECTOR.STREAM.
pub async fn list<'e>(
    db: impl PgExecutor<'e>,
    stream: Option<&str>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Report>, sqlx::Error> {
    sqlx::query_as!(
        Report,
        r#"select u.id, u.connector, u.stream, coalesce(r.entity, '') as "entity!", not u.dry_run as "repairs!", u.state,
               u.error, u.requested_at, u.finished_at, coalesce(r.checked, 0) as "checked!", coalesce(r.same, 0) as "same!",
               coalesce(r.differing, 0) as "differing!", coalesce(r.missing_here, 0) as "missing_here!",
               coalesce(r.missing_there, 0) as "missing_there!", coalesce(r.repeated, 0) as "repeated!",
               coalesce(r.refused, 0) as "refused!"
           from hub.run u
           left join hub.reconciliation r on r.run_id = u.id
           where u.trigger = 'reconcile' and ($1::text is null or u.connector || '.' || u.stream = $1)
               and ($2::uuid is null or u.id < $2)
           order by u.id desc
           limit $3"#,
        stream,
        before,
        limit,
    )
    .fetch_all(db)
    .await
}

pub async fn show<'e>(db: impl PgExecutor<'e>, id: Uuid) -> Result<Option<Report>, sqlx::Error> {
    sqlx::query_as!(
        Report,
        r#"select u.id, u.connector, u.stream, coalesce(r.entity, '') as "entity!", not u.dry_run as "repairs!", u.state,
               u.error, u.requested_at, u.finished_at, coalesce(r.checked, 0) as "checked!", coalesce(r.same, 0) as "same!",
               coalesce(r.differing, 0) as "differing!", coalesce(r.missing_here, 0) as "missing_here!",
               coalesce(r.missing_there, 0) as "missing_there!", coalesce(r.repeated, 0) as "repeated!",
               coalesce(r.refused, 0) as "refused!"
           from hub.run u
           left join hub.reconciliation r on r.run_id = u.id
           where u.trigger = 'reconcile' and u.id = $1"#,
        id,
    )
    .fetch_optional(db)
    .await
}

/// By kind and code.
pub async fn findings<'e>(
    db: impl PgExecutor<'e>,
    id: Uuid,
    after: Option<(&str, &str)>,
    limit: i64,
) -> Result<Vec<Finding>, sqlx::Error> {
    let (kind, code) = after.unzip();
    sqlx::query_as!(
        Finding,
        "select kind, code, fields, detail from hub.reconciliation_finding
         where run_id = $1 and ($2::text is null or (kind, code) > ($2, $3))
         order by kind, code
         limit $4",
        id,
        kind,
        code,
        limit,
    )
    .fetch_all(db)
    .await
}
