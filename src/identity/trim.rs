//! What is old goes, a batch at a time, by a task of its own.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

/// Hours for which the answer to an `Idempotency-Key` is kept.
pub const ANSWERS_HOURS: i32 = 24;
const EVERY: Duration = Duration::from_secs(300);
const BATCH: i64 = 1_000;

/// Trims at the start and then every five minutes.
pub async fn run(pool: PgPool, uses_days: u32, until: CancellationToken) {
    loop {
        if let Err(error) = once(&pool, uses_days).await {
            tracing::warn!(%error, "stored answers and uses of keys could not be trimmed; it is tried again in five minutes");
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = until.cancelled() => return,
        }
    }
}

/// Removes answers older than a day, and uses older than `uses_days`. Gives how many rows went.
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
        gone += answers + uses;
        if answers + uses == 0 {
            return Ok(gone);
        }
    }
}
