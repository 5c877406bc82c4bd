//! What `doctor` asks of the server. Without the query macro: it works whatever schema it meets.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

/// How the server stands.
#[derive(Debug, Clone)]
pub struct Health {
    pub version: String,
    /// The server's clock.
    pub now: DateTime<Utc>,
}

pub async fn health(pool: &PgPool) -> Result<Health, sqlx::Error> {
    let (version, now): (String, DateTime<Utc>) =
        sqlx::query_as("select current_setting('server_version'), clock_timestamp()").fetch_one(pool).await?;
    Ok(Health { version, now })
}
