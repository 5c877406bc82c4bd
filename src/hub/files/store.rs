//! The rows of taken files, and what of their records did not go in.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use super::survey::Survey;
use crate::{
    audit::{self, Actor, Entry},
    hub::{leases::interval, runs::Tally},
    mapping::stream::Broken,
    transaction,
};

/// Failures of one file that are kept for its report; the others are counted.
pub const KEPT_FAILURES: i64 = 10_000;

/// A file as it is listed.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileRow {
    pub id: Uuid,
    pub folder: String,
    pub name: String,
    /// `taken`, `applying`, `done`, `failed`, or `again` when it is to be taken up once more.
    pub state: String,
    pub connector: String,
    pub size: i64,
    pub sha256: Option<String>,
    pub format: Option<String>,
    pub encoding: Option<String>,
    pub mapping: Option<String>,
    pub received_at: DateTime<Utc>,
    pub checked_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub filed_at: Option<DateTime<Utc>>,
    #[serde(skip)]
    pub work_name: String,
    /// Its name in done/ or failed/.
    pub kept_name: Option<String>,
    pub expected: Option<i64>,
    pub records: i64,
    pub created: i64,
    pub updated: i64,
    pub unchanged: i64,
    pub stale: i64,
    pub superseded: i64,
    pub deferred: i64,
    pub deactivated: i64,
    pub skipped: i64,
    pub failed: i64,
    pub reason: Option<String>,
    pub line: Option<i64>,
    pub byte: Option<i64>,
    pub detail: Option<String>,
    pub problem: Option<String>,
}

/// A record that did not go in.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileFailure {
    /// Place in the file, from 0.
    pub ordinal: i64,
    pub line: i64,
    pub code: Option<String>,
    pub field: Option<String>,
    pub reason: String,
    pub value: Option<String>,
    pub detail: String,
    pub dead_letter_id: Option<Uuid>,
}

#[derive(Debug, Clone, Serialize)]
pub struct FileDetail {
    #[serde(flatten)]
    pub file: FileRow,
    pub failures: Vec<FileFailure>,
}

/// Which files are meant; every field narrows.
#[derive(Debug, Clone, Default)]
pub struct FileFilter {
    pub folder: Option<String>,
    pub state: Option<String>,
}

/// A file that has come into `work/`; one that is known already stays as it is.
pub(super) async fn ensure(
    db: &PgPool,
    id: Uuid,
    folder: &str,
    name: &str,
    work_name: &str,
    connector: &str,
    size: u64,
) -> Result<FileRow, sqlx::Error> {
    sqlx::query!(
        "insert into hub.file (id, folder, name, work_name, connector, state, size)
         values ($1, $2, $3, $4, $5, 'taken', $6)
         on conflict (id) do nothing",
        id,
        folder,
        name,
        work_name,
        connector,
        i64::try_from(size).unwrap_or(i64::MAX),
    )
    .execute(db)
    .await?;
    get(db, id).await?.ok_or(sqlx::Error::RowNotFound)
}

pub async fn get<'e>(db: impl PgExecutor<'e>, id: Uuid) -> Result<Option<FileRow>, sqlx::Error> {
    sqlx::query_as!(
        FileRow,
        r#"select id, folder, name, state, connector, size, encode(sha256, 'hex') as sha256, format, encoding, mapping,
                  received_at, checked_at, finished_at, filed_at, work_name, kept_name, expected, records, created,
                  updated, unchanged, stale, superseded, deferred, deactivated, skipped, failed, reason, line, byte,
                  detail, problem
           from hub.file where id = $1"#,
        id
    )
    .fetch_optional(db)
    .await
}

/// Newest first.
pub async fn list(
    db: &PgPool,
    filter: &FileFilter,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<FileRow>, sqlx::Error> {
    sqlx::query_as!(
        FileRow,
        r#"select id, folder, name, state, connector, size, encode(sha256, 'hex') as sha256, format, encoding, mapping,
                  received_at, checked_at, finished_at, filed_at, work_name, kept_name, expected, records, created,
                  updated, unchanged, stale, superseded, deferred, deactivated, skipped, failed, reason, line, byte,
                  detail, problem
           from hub.file
           where ($1::text is null or folder = $1) and ($2::text is null or state = $2)
             and ($3::uuid is null or id < $3)
           order by id desc limit $4"#,
        filter.folder,
        filter.state,
        before,
        limit,
    )
    .fetch_all(db)
    .await
}

/// Files of a folder that are not in done/ or failed/, or not to stay there.
pub(super) async fn unfiled(db: &PgPool, folder: &str) -> Result<Vec<FileRow>, sqlx::Error> {
    sqlx::query_as!(
        FileRow,
        r#"select id, folder, name, state, connector, size, encode(sha256, 'hex') as sha256, format, encoding, mapping,
                  received_at, checked_at, finished_at, filed_at, work_name, kept_name, expected, records, created,
                  updated, unchanged, stale, superseded, deferred, deactivated, skipped, failed, reason, line, byte,
                  detail, problem
           from hub.file
           where folder = $1 and (state = 'again' or filed_at is null)
           order by id limit 100"#,
        folder
    )
    .fetch_all(db)
    .await
}

pub async fn failures<'e>(db: impl PgExecutor<'e>, id: Uuid) -> Result<Vec<FileFailure>, sqlx::Error> {
    sqlx::query_as!(
        FileFailure,
        "select ordinal, line, code, field, reason, value, detail, dead_letter_id
         from hub.file_failure where file_id = $1 order by ordinal",
        id
    )
    .fetch_all(db)
    .await
}

/// One file with the records that did not go in.
pub async fn show(db: &PgPool, id: Uuid) -> Result<Option<FileDetail>, sqlx::Error> {
    let Some(file) = get(db, id).await? else { return Ok(None) };
    Ok(Some(FileDetail { failures: failures(db, id).await?, file }))
}

/// The file was found sound; its records are applied from now on.
pub(super) async fn sound(db: &PgPool, id: Uuid, survey: &Survey) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update hub.file set state = 'applying', sha256 = $2, format = $3, encoding = $4, mapping = $5, expected = $6,
                checked_at = clock_timestamp(), problem = null
         where id = $1 and state = 'taken'",
        id,
        &survey.sha256,
        survey.format.as_str(),
        survey.charset.name(),
        survey.mapping,
        i64::try_from(survey.records).unwrap_or(i64::MAX),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The whole file is refused.
pub(super) async fn broken(
    db: &PgPool,
    id: Uuid,
    sha256: Option<&[u8; 32]>,
    broken: &Broken,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update hub.file set state = 'failed', sha256 = $2, reason = $3, line = $4, byte = $5, detail = $6,
                checked_at = clock_timestamp(), finished_at = clock_timestamp(), problem = null
         where id = $1 and state = 'taken'",
        id,
        sha256.map(|hash| hash.as_slice()),
        broken.what,
        i64::try_from(broken.line).unwrap_or(i64::MAX),
        i64::try_from(broken.byte).unwrap_or(i64::MAX),
        broken.detail,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Counts a slice that begins behind `from` records. `false`: somebody else has applied it meanwhile.
pub(super) async fn advance(
    tx: &mut PgConnection,
    id: Uuid,
    from: u64,
    records: u64,
    tally: &Tally,
    deactivated: i64,
) -> Result<bool, sqlx::Error> {
    let advanced = sqlx::query!(
        "update hub.file set records = records + $3, created = created + $4, updated = updated + $5,
                unchanged = unchanged + $6, stale = stale + $7, superseded = superseded + $8,
                deferred = deferred + $9, skipped = skipped + $10, failed = failed + $11,
                deactivated = deactivated + $12, problem = null
         where id = $1 and records = $2 and state = 'applying'",
        id,
        i64::try_from(from).unwrap_or(i64::MAX),
        i64::try_from(records).unwrap_or(i64::MAX),
        tally.created,
        tally.updated,
        tally.unchanged,
        tally.stale,
        tally.superseded,
        tally.deferred,
        tally.skipped,
        tally.failed,
        deactivated,
    )
    .execute(tx)
    .await?;
    Ok(advanced.rows_affected() == 1)
}

/// Keeps what did not go in, as long as there is not too much of it.
pub(super) async fn keep_failures(
    tx: &mut PgConnection,
    id: Uuid,
    failures: &[FileFailure],
) -> Result<(), sqlx::Error> {
    if failures.is_empty() {
        return Ok(());
    }
    let column =
        |pick: fn(&FileFailure) -> Option<String>| -> Vec<Option<String>> { failures.iter().map(pick).collect() };
    sqlx::query!(
        "insert into hub.file_failure (file_id, ordinal, line, code, field, reason, value, detail, dead_letter_id)
         select $1, u.* from unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
                                    $8::text[], $9::uuid[]) as u
         limit greatest(0, $10 - (select count(*) from hub.file_failure where file_id = $1))
         on conflict do nothing",
        id,
        &failures.iter().map(|failure| failure.ordinal).collect::<Vec<_>>(),
        &failures.iter().map(|failure| failure.line).collect::<Vec<_>>(),
        column(|failure| failure.code.clone()) as _,
        column(|failure| failure.field.clone()) as _,
        column(|failure| Some(failure.reason.clone())) as _,
        column(|failure| failure.value.clone()) as _,
        column(|failure| Some(failure.detail.clone())) as _,
        &failures.iter().map(|failure| failure.dead_letter_id).collect::<Vec<_>>() as _,
        KEPT_FAILURES,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Every record of the file is behind us. `false`: it holds another number of them than were counted.
pub(super) async fn finish(db: &PgPool, id: Uuid) -> Result<bool, sqlx::Error> {
    let mut tx = transaction::begin(db).await?;
    let finished = sqlx::query!(
        "update hub.file set state = 'done', finished_at = clock_timestamp(), problem = null
         where id = $1 and state = 'applying' and records = expected
         returning name, folder, connector, deactivated",
        id
    )
    .fetch_optional(&mut *tx)
    .await?;
    let is_finished = finished.is_some();
    if let Some(file) = finished.filter(|file| file.deactivated > 0) {
        let correlation_id = id.to_string();
        let detail = json!({
            "folder": file.folder, "name": file.name, "connector": file.connector, "deactivated": file.deactivated,
        });
        let entry = Entry { action: "file.records_deactivated", subject_kind: "file", subject: id.to_string(), detail };
        audit::record(&mut tx, Actor::new("hub", &correlation_id), &[entry]).await?;
    }
    tx.commit().await?;
    Ok(is_finished)
}

/// Somebody wrote to the file after it was found sound. What went in of it stays; the rest is for a person to judge.
pub(super) async fn changed(db: &PgPool, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update hub.file set state = 'failed', reason = 'changed', finished_at = clock_timestamp(), problem = null,
                detail = 'the file was written to after it was checked; ' || records || ' of its records are in'
         where id = $1 and state = 'applying'",
        id
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The file lies where it belongs.
pub(super) async fn filed(db: &PgPool, id: Uuid, kept_name: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update hub.file set filed_at = clock_timestamp(), kept_name = $2, problem = null
         where id = $1 and state in ('done', 'failed')",
        id,
        kept_name
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Says what keeps the file from going on; not written again while it is the same.
pub(super) async fn note_problem(db: &PgPool, id: Uuid, problem: &str) -> Result<(), sqlx::Error> {
    sqlx::query!("update hub.file set problem = $2 where id = $1 and problem is distinct from $2", id, problem)
        .execute(db)
        .await?;
    Ok(())
}

/// Why a file cannot be taken up again.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    #[error("there is no file {0}; `kopru files list` shows them")]
    Unknown(Uuid),
    #[error("the file is {0}, and goes on by itself")]
    UnderWay(String),
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
}

/// Asks for a finished file to be taken up again, from its first record on. The daemon that watches its folder does it.
pub async fn retry(db: &PgPool, id: Uuid, by: Actor<'_>) -> Result<FileRow, RetryError> {
    let mut tx = transaction::begin(db).await?;
    let asked = sqlx::query_scalar!(
        "update hub.file set state = 'again', problem = null
         where id = $1 and state in ('done', 'failed') and filed_at is not null
         returning id",
        id
    )
    .fetch_optional(&mut *tx)
    .await?;
    let file = get(&mut *tx, id).await?.ok_or(RetryError::Unknown(id))?;
    if asked.is_none() {
        return Err(RetryError::UnderWay(file.state));
    }
    let detail = json!({ "folder": file.folder, "name": file.name });
    let entry = Entry { action: "file.retried", subject_kind: "file", subject: id.to_string(), detail };
    audit::record(&mut tx, by, &[entry]).await?;
    tx.commit().await?;
    Ok(file)
}

/// The file is back in `work/`: everything begins anew. What was received when it came stays so.
pub(super) async fn begin_again(db: &PgPool, id: Uuid) -> Result<(), sqlx::Error> {
    let mut tx = transaction::begin(db).await?;
    sqlx::query!("delete from hub.file_failure where file_id = $1", id).execute(&mut *tx).await?;
    sqlx::query!(
        "update hub.file set state = 'taken', kept_name = null, sha256 = null, format = null, encoding = null,
                mapping = null, checked_at = null, finished_at = null, filed_at = null, expected = null, records = 0,
                created = 0, updated = 0, unchanged = 0, stale = 0, superseded = 0, deferred = 0, deactivated = 0,
                skipped = 0, failed = 0, reason = null, line = null, byte = null, detail = null, problem = null
         where id = $1 and state = 'again'",
        id
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

/// It cannot be taken up again: the file is not where it was put.
pub(super) async fn stays(db: &PgPool, id: Uuid, problem: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update hub.file set state = case when reason is null then 'done' else 'failed' end, problem = $2
         where id = $1 and state = 'again'",
        id,
        problem
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Forgets files that were put away longer ago than history is kept.
pub(super) async fn forget(db: &PgPool, after: Duration) -> Result<u64, sqlx::Error> {
    let gone = sqlx::query!("delete from hub.file where filed_at < clock_timestamp() - $1::interval", interval(after))
        .execute(db)
        .await?;
    Ok(gone.rows_affected())
}
