//! What a person sees of sweeps, and says about them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use super::super::{
    deactivate,
    engine::Engine,
    entities::{self, Resolved},
    pages::ApplyError,
};
use crate::{
    audit::{self, Actor, Entry},
    canonical::{Change, Entity, Value},
    commerce::{CommandError, Outcome, WriteContext},
    outbox::Provenance,
    transaction,
};

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sweep {
    pub id: Uuid,
    pub run_id: Uuid,
    pub connector: String,
    pub stream: String,
    pub entity: String,
    /// pending, asked, approved, done, rejected, undone or superseded
    pub state: String,
    pub candidates: i64,
    pub total: i64,
    pub seen: i64,
    pub deactivated: i64,
    pub guard_percent: i32,
    /// Why it asks.
    pub asks: Option<String>,
    pub decided_by: Option<String>,
    pub decided_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SweepItem {
    pub code: String,
    pub internal_id: i64,
    /// deactivated, already, returned or refused
    pub outcome: Option<String>,
    pub kept_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SweepDetail {
    #[serde(flatten)]
    pub sweep: Sweep,
    /// The first thousand by code.
    pub items: Vec<SweepItem>,
}

#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    #[error("there is no sweep {0}; `kopru sync sweeps list` shows them")]
    Unknown(Uuid),
    #[error("sweep {id} is {state}, and only one that is {needed} can be {done}")]
    WrongState { id: Uuid, state: String, needed: &'static str, done: &'static str },
    #[error("the records could not be written: {0}")]
    Apply(#[from] ApplyError),
}

/// Newest first, a page at a time; `before` is the last id of the page before.
pub async fn list<'e>(
    db: impl PgExecutor<'e>,
    state: Option<&str>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Sweep>, sqlx::Error> {
    sqlx::query_as!(
        Sweep,
        "select id, run_id, connector, stream, entity, state, candidates, total, seen, deactivated, guard_percent, asks,
                decided_by, decided_at, created_at, finished_at
         from hub.sweep
         where ($1::text is null or state = $1) and ($2::uuid is null or id < $2)
         order by id desc limit $3",
        state,
        before,
        limit,
    )
    .fetch_all(db)
    .await
}

/// A sweep that waits for a person.
#[derive(Debug, Clone)]
pub struct Asking {
    pub connector: String,
    pub stream: String,
    pub candidates: i64,
}

pub async fn asking<'e>(db: impl PgExecutor<'e>) -> Result<Vec<Asking>, sqlx::Error> {
    sqlx::query_as!(
        Asking,
        "select connector, stream, candidates from hub.sweep where state = 'asked' order by connector, stream"
    )
    .fetch_all(db)
    .await
}

/// Sweeps that ended longer ago than history is kept; what was kept because of them is looked at anew.
pub async fn forget_old<'e>(db: impl PgExecutor<'e>, history_days: u32) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "delete from hub.sweep where finished_at < clock_timestamp() - make_interval(days => $1)",
        i32::try_from(history_days).unwrap_or(i32::MAX),
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

async fn find<'e>(db: impl PgExecutor<'e>, id: Uuid) -> Result<Option<Sweep>, sqlx::Error> {
    sqlx::query_as!(
        Sweep,
        "select id, run_id, connector, stream, entity, state, candidates, total, seen, deactivated, guard_percent, asks,
                decided_by, decided_at, created_at, finished_at
         from hub.sweep where id = $1",
        id
    )
    .fetch_optional(db)
    .await
}

pub async fn get(db: &PgPool, id: Uuid) -> Result<Option<SweepDetail>, sqlx::Error> {
    let Some(sweep) = find(db, id).await? else { return Ok(None) };
    let items = sqlx::query_as!(
        SweepItem,
        "select code, internal_id, outcome, kept_at from hub.sweep_item where sweep_id = $1 order by code limit 1000",
        id
    )
    .fetch_all(db)
    .await?;
    Ok(Some(SweepDetail { sweep, items }))
}

/// Locks a sweep that is to be decided about.
async fn locked(
    tx: &mut PgConnection,
    id: Uuid,
    needed: &'static str,
    done: &'static str,
) -> Result<Sweep, SweepError> {
    sqlx::query!("select from hub.sweep where id = $1 for update", id).fetch_optional(&mut *tx).await?;
    let sweep = find(&mut *tx, id).await?.ok_or(SweepError::Unknown(id))?;
    if sweep.state != needed {
        return Err(SweepError::WrongState { id, state: sweep.state, needed, done });
    }
    Ok(sweep)
}

async fn note(tx: &mut PgConnection, by: Actor<'_>, action: &'static str, sweep: &Sweep) -> Result<(), sqlx::Error> {
    let detail = json!({
        "connector": sweep.connector, "stream": sweep.stream, "candidates": sweep.candidates, "total": sweep.total,
    });
    let entry = Entry { action, subject_kind: "sweep", subject: sweep.id.to_string(), detail };
    audit::record(tx, by, &[entry]).await
}

/// What a sweep asked about is to go.
pub async fn approve(db: &PgPool, by: Actor<'_>, id: Uuid) -> Result<(), SweepError> {
    let mut tx = transaction::begin(db).await?;
    let sweep = locked(&mut tx, id, "asked", "approved").await?;
    sqlx::query!(
        "update hub.sweep set state = 'approved', decided_by = $2, decided_at = clock_timestamp() where id = $1",
        id,
        by.name,
    )
    .execute(&mut *tx)
    .await?;
    note(&mut tx, by, "sweep.approved", &sweep).await?;
    tx.commit().await?;
    Ok(())
}

/// What a sweep asked about is to stay: until its records' next documents no other one asks about them.
pub async fn reject(db: &PgPool, by: Actor<'_>, id: Uuid) -> Result<(), SweepError> {
    let mut tx = transaction::begin(db).await?;
    let sweep = locked(&mut tx, id, "asked", "rejected").await?;
    sqlx::query!("update hub.sweep_item set kept_at = clock_timestamp() where sweep_id = $1", id)
        .execute(&mut *tx)
        .await?;
    sqlx::query!(
        "update hub.sweep
         set state = 'rejected', decided_by = $2, decided_at = clock_timestamp(), finished_at = clock_timestamp()
         where id = $1",
        id,
        by.name,
    )
    .execute(&mut *tx)
    .await?;
    note(&mut tx, by, "sweep.rejected", &sweep).await?;
    tx.commit().await?;
    Ok(())
}

/// Makes active again what a sweep deactivated and nothing has changed since. Returns how many records it was.
pub async fn undo(engine: &Engine, by: Actor<'_>, id: Uuid) -> Result<u64, SweepError> {
    const CONFLICTS: u32 = 20;
    let mut conflicts = 0;
    loop {
        match undo_once(engine, by, id).await {
            Err(SweepError::Apply(ApplyError::Conflict)) if conflicts < CONFLICTS => conflicts += 1,
            outcome => return outcome,
        }
    }
}

async fn undo_once(engine: &Engine, by: Actor<'_>, id: Uuid) -> Result<u64, SweepError> {
    const AT_ONCE: usize = 500;
    let mut tx = transaction::begin(&engine.pool).await?;
    let sweep = locked(&mut tx, id, "done", "undone").await?;
    let hash = Entity::parse(&sweep.entity).and_then(|entity| Some((entity, deactivate::hash(entity)?)));
    let Some((entity, inactive)) = hash else { return Err(SweepError::Unknown(id)) };
    // A link that says anything else has had a document since.
    let items = sqlx::query!(
        "select i.link_id, i.content_hash, r.external_code, r.internal_id
         from hub.sweep_item i join hub.external_ref r on r.id = i.link_id
         where i.sweep_id = $1 and i.outcome = 'deactivated' and r.content_hash = $2
         order by r.external_code for update of r",
        id,
        inactive.as_slice(),
    )
    .fetch_all(&mut *tx)
    .await?;
    let mut values = vec![Value::Absent; entity.fields().len()];
    if let Some(held) = entity.field("isActive").and_then(|place| values.get_mut(place)) {
        *held = Value::Bool(true);
    }
    let write = WriteContext::source(Provenance {
        origin: &sweep.connector,
        bulk: true,
        correlation_id: by.correlation_id,
        place: None,
        now: engine.clock.now(),
    });
    let mut restored: Vec<(i64, Vec<u8>)> = Vec::with_capacity(items.len());
    for items in items.chunks(AT_ONCE) {
        let changes: Vec<Change<'_>> = items
            .iter()
            .map(|item| Change {
                entity,
                code: item.external_code.as_str().into(),
                external_id: None,
                version: None,
                values: values.clone(),
                hash: [0; 16],
                ordinal: 0,
            })
            .collect();
        let rows: Vec<Resolved<'_>> = items
            .iter()
            .zip(&changes)
            .map(|(item, change)| Resolved { id: item.internal_id, is_new: false, change, refs: &[] })
            .collect();
        let outcomes = entities::upsert(&mut tx, entity, &write, &rows).await.map_err(|error| match error {
            error if error.retry_at_once() => ApplyError::Conflict,
            CommandError::Database(error) => error.into(),
            error => ApplyError::Command(error),
        })?;
        let taken = items.iter().zip(outcomes).filter(|(_, outcome)| !matches!(outcome, Outcome::Refused(_)));
        restored.extend(taken.map(|(item, _)| (item.link_id, item.content_hash.clone())));
    }
    let links: Vec<i64> = restored.iter().map(|(link, _)| *link).collect();
    let hashes: Vec<Vec<u8>> = restored.into_iter().map(|(_, hash)| hash).collect();
    sqlx::query!(
        "update hub.external_ref r set content_hash = u.hash
         from unnest($1::bigint[], $2::bytea[]) as u (id, hash) where r.id = u.id",
        &links,
        &hashes,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "update hub.sweep_item set kept_at = clock_timestamp() where sweep_id = $1 and link_id = any($2)",
        id,
        &links,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "update hub.sweep
         set state = 'undone', decided_by = $2, decided_at = clock_timestamp(), finished_at = clock_timestamp()
         where id = $1",
        id,
        by.name,
    )
    .execute(&mut *tx)
    .await?;
    note(&mut tx, by, "sweep.undone", &sweep).await?;
    tx.commit().await?;
    Ok(links.len() as u64)
}
