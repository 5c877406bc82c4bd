//! How the store is told to go about a document.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Comes first in a transaction that takes a document; answers the time by the database's clock.
///
/// Its statements name rows by the keys of the document. So each is planned once for a connection, not again for every
/// list of keys, which costs more than one record's whole work; and never to read a table through, however small it was
/// when the plan was made.
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
