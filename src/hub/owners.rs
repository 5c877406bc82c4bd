//! Which instance a record comes from. A person's edit of what the source owns is refused in its name.

use std::collections::HashMap;

use sqlx::PgConnection;

use crate::canonical::Entity;

/// The instances of those of these records that come from one, by internal id. A record that several know is the one's that
/// knew it first.
pub async fn owners(
    db: &mut PgConnection,
    entity: Entity,
    internal_ids: &[i64],
) -> Result<HashMap<i64, String>, sqlx::Error> {
    let rows = sqlx::query!(
        "select distinct on (internal_id) internal_id, connector
         from hub.external_ref
         where entity = $1 and internal_id = any($2)
         order by internal_id, id",
        entity.as_str(),
        internal_ids,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.internal_id, row.connector)).collect())
}
