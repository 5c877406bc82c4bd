//! Runs: one pass over a stream, with what it found. The row is written as the run goes, so that anybody can follow.

use chrono::{DateTime, Utc};
use kopru_sdk::{Cause, Pass, StreamSpec};
use serde::Serialize;
use sqlx::{PgConnection, PgExecutor, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    states::{RunState, Trigger},
    streams,
};
use crate::transaction;

/// Channel that tells daemons of a requested run; the poll is the truth.
pub const CHANNEL: &str = "hub_run";

#[derive(Debug, Clone)]
pub struct NewRun<'a> {
    pub connector: &'a str,
    pub stream: &'a str,
    pub pass: Pass,
    pub trigger: Trigger,
    pub dry_run: bool,
    pub since: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    pub id: Uuid,
    pub connector: String,
    pub stream: String,
    pub pass: String,
    pub trigger: String,
    pub state: String,
    pub dry_run: bool,
    pub since: Option<DateTime<Utc>>,
    pub correlation_id: String,
    pub requested_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub expected: Option<i64>,
    pub pages: i64,
    pub records: i64,
    pub created: i64,
    pub updated: i64,
    pub unchanged: i64,
    pub stale: i64,
    pub superseded: i64,
    pub deferred: i64,
    pub failed: i64,
    pub skipped: i64,
    pub cause: Option<String>,
    pub error: Option<String>,
    /// Of a dry run: what it would change, see [`super::sweeps::Preview`].
    #[schema(value_type = Option<Object>)]
    pub preview: Option<serde_json::Value>,
}

/// What became of the records of one or more pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    pub pages: i64,
    pub records: i64,
    pub created: i64,
    pub updated: i64,
    pub unchanged: i64,
    pub stale: i64,
    pub superseded: i64,
    pub deferred: i64,
    pub failed: i64,
    pub skipped: i64,
}

impl Run {
    /// Counts in what an earlier part of the same run had come to.
    pub fn count_in(&mut self, earlier: &Run) {
        self.pages += earlier.pages;
        self.records += earlier.records;
        self.created += earlier.created;
        self.updated += earlier.updated;
        self.unchanged += earlier.unchanged;
        self.stale += earlier.stale;
        self.superseded += earlier.superseded;
        self.deferred += earlier.deferred;
        self.failed += earlier.failed;
        self.skipped += earlier.skipped;
    }
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        self.pages += other.pages;
        self.records += other.records;
        self.created += other.created;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.stale += other.stale;
        self.superseded += other.superseded;
        self.deferred += other.deferred;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// Whether anything was written for it besides counters.
    pub const fn has_effect(&self) -> bool {
        self.created + self.updated + self.deferred + self.failed > 0
    }
}

/// Asks for a run. `requested`: some daemon takes it up; else it is `running` under `owner` at once.
pub async fn create<'e>(db: impl PgExecutor<'e>, run: &NewRun<'_>, owner: Option<Uuid>) -> Result<Uuid, sqlx::Error> {
    let id = Uuid::now_v7();
    let state = if owner.is_some() { RunState::Running } else { RunState::Requested };
    sqlx::query!(
        "with made as (
             insert into hub.run
                 (id, connector, stream, pass, trigger, state, dry_run, since, owner, correlation_id, started_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
                     case when $9::uuid is not null then clock_timestamp() end)
         )
         select pg_notify($11, $2 || '.' || $3)",
        id,
        run.connector,
        run.stream,
        run.pass.as_str(),
        run.trigger.as_str(),
        state.as_str(),
        run.dry_run,
        run.since,
        owner,
        id.to_string(),
        CHANNEL,
    )
    .fetch_one(db)
    .await?;
    Ok(id)
}

/// What a person wants of a run.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    pub full: bool,
    pub dry_run: bool,
    pub since: Option<DateTime<Utc>>,
}

/// Asks for a run by hand, and tells over what it goes: over everything when that is wanted, when the source knows no other pass, and
/// when there has been none yet and no beginning is named.
pub async fn request(
    conn: &mut PgConnection,
    connector: &str,
    stream: &StreamSpec,
    wanted: Wanted,
) -> Result<(Uuid, Pass), sqlx::Error> {
    let Wanted { full, dry_run, since } = wanted;
    let full = full
        || !stream.incremental
        || (since.is_none() && streams::was_never_complete(&mut *conn, connector, stream.name).await?);
    let pass = if full { Pass::Full } else { Pass::Incremental };
    let new = NewRun { connector, stream: stream.name, pass, trigger: Trigger::Manual, dry_run, since };
    Ok((create(conn, &new, None).await?, pass))
}

/// Whether the last pass over all of the stream was broken off; if that was before its first page, no cursor tells.
pub async fn owes_full<'e>(db: impl PgExecutor<'e>, connector: &str, stream: &str) -> Result<bool, sqlx::Error> {
    let last = sqlx::query_scalar!(
        "select state from hub.run
         where connector = $1 and stream = $2 and pass = 'full' and not dry_run and since is null
           and state in ('done', 'failed', 'interrupted')
         order by id desc
         limit 1",
        connector,
        stream,
    )
    .fetch_optional(db)
    .await?;
    Ok(last.is_some_and(|state| state != RunState::Done.as_str()))
}

/// A run that somebody asked for and nobody has taken up.
#[derive(Debug, Clone)]
pub struct Requested {
    pub id: Uuid,
    pub connector: String,
    pub stream: String,
}

/// Requested runs of these instances, the oldest first.
pub async fn requested<'e>(db: impl PgExecutor<'e>, connectors: &[String]) -> Result<Vec<Requested>, sqlx::Error> {
    sqlx::query_as!(
        Requested,
        "select id, connector, stream from hub.run where state = 'requested' and connector = any($1)
         order by requested_at, id limit 100",
        connectors,
    )
    .fetch_all(db)
    .await
}

/// Whether somebody waits for a run of this stream.
pub async fn is_requested<'e>(db: impl PgExecutor<'e>, connector: &str, stream: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from hub.run
                          where state = 'requested' and connector = $1 and stream = $2) as "requested!""#,
        connector,
        stream,
    )
    .fetch_one(db)
    .await
}

/// Takes a requested run up; the caller holds its stream's lease. `None`: somebody else has it.
pub async fn claim<'e>(db: impl PgExecutor<'e>, id: Uuid, owner: Uuid) -> Result<Option<Run>, sqlx::Error> {
    sqlx::query_as!(
        Run,
        "update hub.run set state = 'running', owner = $1, started_at = clock_timestamp()
         where id = $2 and state = 'requested'
         returning id, connector, stream, pass, trigger, state, dry_run, since, correlation_id, requested_at, started_at,
                   finished_at, expected, pages, records, created, updated, unchanged, stale, superseded, deferred,
                   failed, skipped, cause, error, preview",
        owner,
        id,
    )
    .fetch_optional(db)
    .await
}

/// Nobody is to take this run any more.
pub async fn withdraw<'e>(db: impl PgExecutor<'e>, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update hub.run set state = 'interrupted', finished_at = clock_timestamp(), cause = 'ours',
             error = 'withdrawn: another process was running the stream'
         where id = $1 and state = 'requested'",
        id
    )
    .execute(db)
    .await?;
    Ok(())
}

pub async fn get<'e>(db: impl PgExecutor<'e>, id: Uuid) -> Result<Option<Run>, sqlx::Error> {
    sqlx::query_as!(
        Run,
        "select id, connector, stream, pass, trigger, state, dry_run, since, correlation_id, requested_at, started_at,
                finished_at, expected, pages, records, created, updated, unchanged, stale, superseded, deferred, failed,
                skipped, cause, error, preview
         from hub.run where id = $1",
        id
    )
    .fetch_optional(db)
    .await
}

/// Newest first.
pub async fn list<'e>(
    db: impl PgExecutor<'e>,
    connector: Option<&str>,
    stream: Option<&str>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Run>, sqlx::Error> {
    sqlx::query_as!(
        Run,
        "select id, connector, stream, pass, trigger, state, dry_run, since, correlation_id, requested_at, started_at,
                finished_at, expected, pages, records, created, updated, unchanged, stale, superseded, deferred, failed,
                skipped, cause, error, preview
         from hub.run
         where ($1::text is null or connector = $1) and ($2::text is null or stream = $2)
           and ($3::uuid is null or id < $3)
         order by id desc limit $4",
        connector,
        stream,
        before,
        limit,
    )
    .fetch_all(db)
    .await
}

/// Adds what a page brought. Belongs to the transaction of the page.
pub async fn progress<'e>(
    db: impl PgExecutor<'e>,
    id: Uuid,
    tally: &Tally,
    expected: Option<i64>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update hub.run set
             pages = pages + $2, records = records + $3, created = created + $4, updated = updated + $5,
             unchanged = unchanged + $6, stale = stale + $7, superseded = superseded + $8, deferred = deferred + $9,
             failed = failed + $10, skipped = skipped + $11, expected = coalesce($12, expected)
         where id = $1",
        id,
        tally.pages,
        tally.records,
        tally.created,
        tally.updated,
        tally.unchanged,
        tally.stale,
        tally.superseded,
        tally.deferred,
        tally.failed,
        tally.skipped,
        expected,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Ends a run that is still `running`; one that was taken for dead meanwhile stays as it is.
pub async fn finish<'e>(
    db: impl PgExecutor<'e>,
    id: Uuid,
    state: RunState,
    failure: Option<(Cause, &str)>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update hub.run set state = $2, finished_at = clock_timestamp(), cause = $3, error = $4
         where id = $1 and state = 'running'",
        id,
        state.as_str(),
        failure.map(|(cause, _)| cause.as_str()),
        failure.map(|(_, error)| error),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A run whose daemon is gone, marked as interrupted; the caller takes up its stream.
#[derive(Debug, Clone)]
pub struct Orphan {
    pub id: Uuid,
    pub connector: String,
    pub stream: String,
    pub pass: String,
    pub trigger: String,
    pub dry_run: bool,
    pub since: Option<DateTime<Utc>>,
}

/// Marks the runs of daemons that no longer hold their stream's lease. What a person asked for is asked for again in the
/// same transaction, so that whoever follows it finds the run that goes on with it; scheduled work is due by itself.
pub async fn take_up_orphans(db: &PgPool) -> Result<Vec<Orphan>, sqlx::Error> {
    let mut tx = transaction::begin(db).await?;
    let orphans = sqlx::query_as!(
        Orphan,
        "update hub.run r
         set state = 'interrupted', finished_at = clock_timestamp(), cause = 'ours',
             error = 'the daemon that ran it is gone'
         where r.state = 'running' and r.started_at < clock_timestamp() - interval '2 seconds'
           and not exists (select from hub.lease l
                           where l.name = 'stream:' || r.connector || '.' || r.stream and l.owner = r.owner
                             and l.expires_at >= clock_timestamp())
         returning id, connector, stream, pass, trigger, dry_run, since"
    )
    .fetch_all(&mut *tx)
    .await?;
    for orphan in &orphans {
        ask_again(&mut tx, orphan).await?;
    }
    tx.commit().await?;
    Ok(orphans)
}

/// A run that its daemon broke off because it stops: another one, or the next start, goes on with it.
pub async fn hand_on(db: &PgPool, id: Uuid) -> Result<(), sqlx::Error> {
    let mut tx = transaction::begin(db).await?;
    let stopped = sqlx::query_as!(
        Orphan,
        "select id, connector, stream, pass, trigger, dry_run, since from hub.run
         where id = $1 and state = 'interrupted' and cause = 'ours' and heir_id is null for update",
        id
    )
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(stopped) = stopped {
        ask_again(&mut tx, &stopped).await?;
    }
    tx.commit().await
}

async fn ask_again(tx: &mut PgConnection, orphan: &Orphan) -> Result<(), sqlx::Error> {
    if orphan.trigger == Trigger::Schedule.as_str() {
        return Ok(());
    }
    let new = NewRun {
        connector: &orphan.connector,
        stream: &orphan.stream,
        pass: if orphan.pass == Pass::Full.as_str() { Pass::Full } else { Pass::Incremental },
        trigger: match orphan.trigger == Trigger::Reconcile.as_str() {
            true => Trigger::Reconcile,
            false => Trigger::Resume,
        },
        dry_run: orphan.dry_run,
        since: orphan.since,
    };
    let heir = create(&mut *tx, &new, None).await?;
    sqlx::query!("update hub.run set heir_id = $2 where id = $1", orphan.id, heir).execute(tx).await?;
    Ok(())
}

/// The run that goes on with this one.
pub async fn heir<'e>(db: impl PgExecutor<'e>, id: Uuid) -> Result<Option<Uuid>, sqlx::Error> {
    let found = sqlx::query_scalar!("select heir_id from hub.run where id = $1", id).fetch_optional(db).await?;
    Ok(found.flatten())
}

/// Whether the run before this one, of the same stream, came to the end of its pass, or there was none.
pub async fn follows_a_whole_one<'e>(db: impl PgExecutor<'e>, run: &Run) -> Result<bool, sqlx::Error> {
    let before = sqlx::query_scalar!(
        "select state from hub.run
         where connector = $1 and stream = $2 and not dry_run and id < $3
         order by id desc limit 1",
        run.connector,
        run.stream,
        run.id,
    )
    .fetch_optional(db)
    .await?;
    Ok(before.is_none_or(|state| state == RunState::Done.as_str()))
}
