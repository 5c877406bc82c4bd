//! What this installation calls itself in documents of others.

use sqlx::PgExecutor;

/// Made once for a database. Our reference of an order is this code and the order's id, so that two hubs that write into one
/// ERP, or a database that was set up anew, never take each other's for their own.
pub async fn code<'e>(db: impl PgExecutor<'e>) -> Result<String, sqlx::Error> {
    sqlx::query_scalar!("select code from hub.installation").fetch_one(db).await
}
