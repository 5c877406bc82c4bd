//! The processes that share the database, by their heartbeats.

use std::time::Duration;

use sqlx::PgExecutor;
use uuid::Uuid;

use super::leases::interval;

pub async fn beat<'e>(db: impl PgExecutor<'e>, id: Uuid, host: &str, pid: u32) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into hub.daemon (id, host, pid, version) values ($1, $2, $3, $4)
         on conflict (id) do update set heartbeat_at = clock_timestamp()",
        id,
        host,
        i32::try_from(pid).unwrap_or(i32::MAX),
        env!("CARGO_PKG_VERSION"),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// How many daemons have shown a heartbeat within `window`.
pub async fn alive<'e>(db: impl PgExecutor<'e>, window: Duration) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "n!" from hub.daemon where heartbeat_at > clock_timestamp() - $1::interval"#,
        interval(window),
    )
    .fetch_one(db)
    .await
}

pub async fn leave<'e>(db: impl PgExecutor<'e>, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from hub.daemon where id = $1", id).execute(db).await?;
    Ok(())
}

/// Forgets processes that have been silent for an hour.
pub async fn forget_silent<'e>(db: impl PgExecutor<'e>) -> Result<u64, sqlx::Error> {
    let gone = sqlx::query!("delete from hub.daemon where heartbeat_at < clock_timestamp() - interval '1 hour'")
        .execute(db)
        .await?;
    Ok(gone.rows_affected())
}
