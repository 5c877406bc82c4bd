//! Streams as the store knows them: when they last ran, whether they are paused and why.

use std::time::Duration;

use chrono::{DateTime, Utc};
use kopru_sdk::Cause;
use serde::Serialize;
use sqlx::PgExecutor;
use uuid::Uuid;

use super::{breaker, engine::Engine, states::StreamState};

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamRow {
    pub connector: String,
    pub stream: String,
    pub paused_at: Option<DateTime<Utc>>,
    pub paused_cause: Option<String>,
    pub paused_reason: Option<String>,
    pub last_run_id: Option<Uuid>,
    pub last_started_at: Option<DateTime<Utc>>,
    pub last_success_at: Option<DateTime<Utc>>,
    pub last_full_at: Option<DateTime<Utc>>,
    pub last_error: Option<String>,
    pub failures_in_a_row: i32,
}

impl StreamRow {
    /// One word for a person. `now` by the database's clock.
    pub fn state(&self, every: Duration, running: bool, now: DateTime<Utc>) -> StreamState {
        let every = chrono::TimeDelta::from_std(every).unwrap_or(chrono::TimeDelta::MAX);
        let age = |at: Option<DateTime<Utc>>| at.map(|at| now - at);
        if self.paused_at.is_some() {
            StreamState::Paused
        } else if self.failures_in_a_row > 0 {
            StreamState::Failing
        } else if running && age(self.last_started_at).is_some_and(|age| age > chrono::TimeDelta::hours(6)) {
            StreamState::Stuck
        } else {
            match age(self.last_success_at) {
                None => StreamState::Silent,
                Some(age) if age > chrono::TimeDelta::days(1).max(every * 2) => StreamState::Silent,
                Some(age) if age > every * 2 => StreamState::Late,
                Some(_) => StreamState::OnTime,
            }
        }
    }
}

pub async fn list<'e>(db: impl PgExecutor<'e>) -> Result<Vec<StreamRow>, sqlx::Error> {
    sqlx::query_as!(
        StreamRow,
        "select connector, stream, paused_at, paused_cause, paused_reason, last_run_id, last_started_at,
                last_success_at, last_full_at, last_error, failures_in_a_row
         from hub.stream order by connector, stream"
    )
    .fetch_all(db)
    .await
}

/// Whether no complete pass over a stream has come to its end yet.
pub async fn was_never_complete<'e>(
    db: impl PgExecutor<'e>,
    connector: &str,
    stream: &str,
) -> Result<bool, sqlx::Error> {
    Ok(get(db, connector, stream).await?.is_none_or(|row| row.last_full_at.is_none()))
}

pub async fn get<'e>(db: impl PgExecutor<'e>, connector: &str, stream: &str) -> Result<Option<StreamRow>, sqlx::Error> {
    sqlx::query_as!(
        StreamRow,
        "select connector, stream, paused_at, paused_cause, paused_reason, last_run_id, last_started_at,
                last_success_at, last_full_at, last_error, failures_in_a_row
         from hub.stream where connector = $1 and stream = $2",
        connector,
        stream,
    )
    .fetch_optional(db)
    .await
}

/// Pauses a stream; a pause that is there already keeps its first reason.
pub async fn pause<'e>(
    db: impl PgExecutor<'e>,
    connector: &str,
    streams: &[String],
    cause: &str,
    reason: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into hub.stream as s (connector, stream, paused_at, paused_cause, paused_reason)
         select $1, stream, clock_timestamp(), $3, $4 from unnest($2::text[]) as u (stream)
         on conflict (connector, stream) do update
             set paused_at = excluded.paused_at, paused_cause = excluded.paused_cause,
                 paused_reason = excluded.paused_reason
             where s.paused_at is null",
        connector,
        streams,
        cause,
        reason,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Credentials refused, or the system not as agreed: nothing of the instance can work until a person has looked. One
/// without streams has nowhere to note a pause; its breaker opens, and probes tell when it is well.
pub async fn cut_off(engine: &Engine, connector: &str, cause: Cause, reason: &str) -> Result<(), sqlx::Error> {
    let names: Vec<String> = engine.instance(connector).map_or_else(
        |_| Vec::new(),
        |instance| instance.streams.iter().map(|stream| stream.spec.name.to_owned()).collect(),
    );
    tracing::error!(connector, %cause, reason, "connector paused; mend it and run `kopru sync resume`");
    if names.is_empty() {
        breaker::record_fault(&engine.pool, connector, reason, 1, engine.settings.probe_after).await?;
        return Ok(());
    }
    pause(&engine.pool, connector, &names, cause.as_str(), reason).await
}

/// One record of the stream can never come as it is: the stream would fail at it in every pass, and nothing behind it
/// would come. The other streams of the instance go on.
pub async fn give_up(engine: &Engine, connector: &str, stream: &str, reason: &str) -> Result<(), sqlx::Error> {
    tracing::error!(connector, stream, reason, "stream paused; mend it and run `kopru sync resume`");
    pause(&engine.pool, connector, &[stream.to_owned()], Cause::Data.as_str(), reason).await
}

/// Whether the instance is cut off, see [`cut_off`]. A pause by a person stops polling only.
pub async fn is_cut_off<'e>(db: impl PgExecutor<'e>, connector: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from hub.stream
                          where connector = $1 and paused_cause in ('credential', 'contract')) as "cut_off!""#,
        connector,
    )
    .fetch_one(db)
    .await
}

pub async fn resume<'e>(db: impl PgExecutor<'e>, connector: &str, streams: &[String]) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "update hub.stream set paused_at = null, paused_cause = null, paused_reason = null, failures_in_a_row = 0
         where connector = $1 and stream = any($2) and paused_at is not null",
        connector,
        streams,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

pub async fn started<'e>(db: impl PgExecutor<'e>, connector: &str, stream: &str, run: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into hub.stream (connector, stream, last_run_id, last_started_at)
         values ($1, $2, $3, clock_timestamp())
         on conflict (connector, stream) do update
             set last_run_id = excluded.last_run_id, last_started_at = excluded.last_started_at",
        connector,
        stream,
        run,
    )
    .execute(db)
    .await?;
    Ok(())
}

pub async fn succeeded<'e>(
    db: impl PgExecutor<'e>,
    connector: &str,
    stream: &str,
    full: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update hub.stream
         set last_success_at = clock_timestamp(), failures_in_a_row = 0, last_error = null,
             last_full_at = case when $3 then clock_timestamp() else last_full_at end
         where connector = $1 and stream = $2",
        connector,
        stream,
        full,
    )
    .execute(db)
    .await?;
    Ok(())
}

pub async fn failed<'e>(
    db: impl PgExecutor<'e>,
    connector: &str,
    stream: &str,
    error: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update hub.stream set failures_in_a_row = failures_in_a_row + 1, last_error = $3
         where connector = $1 and stream = $2",
        connector,
        stream,
        error,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The system answers again: what failed because it was down is due at once.
pub async fn forgive<'e>(db: impl PgExecutor<'e>, connector: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update hub.stream set failures_in_a_row = 0 where connector = $1 and failures_in_a_row > 0",
        connector
    )
    .execute(db)
    .await?;
    Ok(())
}
