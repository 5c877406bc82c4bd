//! Products that a person took out of the catalogue, or back into it.

use serde_json::json;
use sqlx::PgConnection;

use crate::{
    commerce::CommandError,
    outbox::{self, EventType, Events, Provenance},
};

/// Answers whether that changed anything.
pub(crate) async fn set_deleted(
    conn: &mut PgConnection,
    by: &Provenance<'_>,
    id: i64,
    code: &str,
    deleted: bool,
) -> Result<bool, CommandError> {
    let changed = sqlx::query!(
        "update commerce.product
         set deleted_at = case when $2 then $3::timestamptz end, revision = revision + 1, updated_at = $3, updated_by = $4
         where id = $1 and (deleted_at is not null) <> $2
         returning revision, sku",
        id,
        deleted,
        by.now,
        by.origin,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = changed else { return Ok(false) };
    let mut events = Events::new(EventType::ProductUpdated, 1);
    let payload = json!({ "id": id, "code": code, "sku": row.sku, "revision": row.revision, "changed": ["deleted"], "deleted": deleted });
    events.push(id, row.revision, &payload)?;
    outbox::append(conn, by, &events).await?;
    Ok(true)
}
