//! What `doctor` asks of the server. Without the query macros: these read catalogs only, whatever schema they meet.

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgPool};

/// How the server and its tables stand.
#[derive(Debug, Clone)]
pub struct Health {
    pub version: String,
    /// The server's clock.
    pub now: DateTime<Utc>,
    /// Default partitions that hold rows: partitions were not made in time.
    pub filled_default_partitions: Vec<String>,
}

pub async fn health(pool: &PgPool) -> Result<Health, sqlx::Error> {
    let (version, now): (String, DateTime<Utc>) =
        sqlx::query_as("select current_setting('server_version'), clock_timestamp()").fetch_one(pool).await?;
    Ok(Health { version, now, filled_default_partitions: filled_default_partitions(pool).await? })
}

async fn filled_default_partitions(pool: &PgPool) -> Result<Vec<String>, sqlx::Error> {
    let names: Vec<String> = sqlx::query_scalar(
        "select c.oid::regclass::text from pg_class c
         where c.relispartition and pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT' order by 1",
    )
    .fetch_all(pool)
    .await?;
    let mut filled = Vec::new();
    for name in names {
        // `regclass` has quoted the name already.
        let query = AssertSqlSafe(format!("select exists (select from {name})"));
        if sqlx::query_scalar(query).fetch_one(pool).await? {
            filled.push(name);
        }
    }
    Ok(filled)
}
