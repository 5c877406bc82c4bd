//! How the store is told to go about rows that are named by their keys.
//!
//! Each of such statements is planned once for a connection, not again for every list of keys, which costs more than one record's
//! whole work; and never to read a table through, however small it was when the plan was made: a lane that was empty for a
//! while holds fifty thousand rows a moment later.
//!
//! Where a table looks empty all indexes look alike to the planner. A statement on a lane leaves it no choice: rows by `= any (array(…))`
//! in place of a join, and look-ups of one key `offset 0`, which keeps them apart.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool, PgTransaction};

use crate::transaction::begin_with;

/// Begins a transaction whose statements name rows by keys.
pub async fn begin(pool: &PgPool) -> Result<PgTransaction<'static>, sqlx::Error> {
    begin_with(pool, "begin; set local plan_cache_mode = force_generic_plan; set local enable_seqscan = off").await
}

/// Comes first in a transaction that was begun otherwise and takes a document; answers the time by the database's clock.
pub async fn by_key(tx: &mut PgConnection) -> Result<DateTime<Utc>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select clock_timestamp() as "now!",
                  set_config('plan_cache_mode', 'force_generic_plan', true) as plans,
                  set_config('enable_seqscan', 'off', true) as scans"#
    )
    .fetch_one(tx)
    .await?;
    Ok(row.now)
}
