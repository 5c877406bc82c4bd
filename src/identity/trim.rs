//! What is old goes, a batch at a time, by a task of its own.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::audit::retention;

/// Hours for which the answer to an `Idempotency-Key` is kept.
pub const ANSWERS_HOURS: i32 = 24;
const EVERY: Duration = Duration::from_secs(300);
/// Ended sessions are remembered for as long as an address of theirs is known to an account (see [`super::lockout`]).
const SESSIONS_DAYS: i32 = 30;
const BATCH: i64 = 1_000;

/// For how long what is kept.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    pub uses_days: u32,
    pub audit_years: u32,
}

/// Trims at the start and then every five minutes.
pub async fn run(pool: PgPool, kept: Kept, until: CancellationToken) {
    loop {
        match retention::once(&pool, kept.audit_years).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "audit rows were old enough to go"),
            Err(error) => {
                tracing::warn!(%error, "old audit rows could not be removed; it is tried again in five minutes")
            }
        }
        if let Err(error) = once(&pool, kept.uses_days).await {
            tracing::warn!(%error, "stored answers and uses of keys could not be trimmed; it is tried again in five minutes");
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = until.cancelled() => return,
        }
    }
}

/// Removes answers and failed sign-ins older than a day, uses older than `uses_days`, links that are over, and sessions with their
/// tokens a month after their end. Gives how many rows went.
pub async fn once(pool: &PgPool, uses_days: u32) -> Result<u64, sqlx::Error> {
    let days = i32::try_from(uses_days).unwrap_or(i32::MAX);
    let mut gone = 0;
    loop {
        let answers = sqlx::query!(
            "delete from identity.idempotent_answer where ctid = any (array(
               select ctid from identity.idempotent_answer
               where created_at < clock_timestamp() - make_interval(hours => $1)
               order by created_at limit $2 for update skip locked))",
            ANSWERS_HOURS,
            BATCH,
        )
        .execute(pool)
        .await?
        .rows_affected();
        let uses = sqlx::query!(
            "delete from identity.api_key_use where ctid = any (array(
               select ctid from identity.api_key_use
               where minute < clock_timestamp() - make_interval(days => $1)
               order by minute limit $2 for update skip locked))",
            days,
            BATCH,
        )
        .execute(pool)
        .await?
        .rows_affected();
        let people = people(pool).await?;
        gone += answers + uses + people;
        if answers + uses + people == 0 {
            return Ok(gone);
        }
    }
}

/// A batch of each.
async fn people(pool: &PgPool) -> Result<u64, sqlx::Error> {
    let failures = sqlx::query!(
        "delete from identity.sign_in_failure where ctid = any (array(
           select ctid from identity.sign_in_failure
           where last_at < clock_timestamp() - interval '1 day'
           order by last_at limit $1 for update skip locked))",
        BATCH,
    )
    .execute(pool)
    .await?
    .rows_affected();
    let links = sqlx::query!(
        "delete from identity.link_token where ctid = any (array(
           select ctid from identity.link_token
           where expires_at < clock_timestamp() - interval '1 day'
           order by expires_at limit $1 for update skip locked))",
        BATCH,
    )
    .execute(pool)
    .await?
    .rows_affected();
    let sessions = sqlx::query!(
        "delete from identity.session where ctid = any (array(
           select ctid from identity.session
           where expires_at < clock_timestamp() - make_interval(days => $1)
           order by expires_at limit $2 for update skip locked))",
        SESSIONS_DAYS,
        BATCH,
    )
    .execute(pool)
    .await?
    .rows_affected();
    Ok(failures + links + sessions)
}
