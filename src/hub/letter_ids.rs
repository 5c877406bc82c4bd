//! Which open letter a record has, for whoever sent it and is answered at once.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

use super::messages::NewMessage;
use crate::canonical::Entity;

/// The key of a record without a usable code that has a number over there: it stays the same while the record is
/// mended. Codes are trimmed on the right, so the blank at its end tells it from every code.
pub fn key_of_number(external_id: &str) -> String {
    format!("#{external_id} ")
}

/// By what the letter of a message is known: its code or number, or its content when it has neither.
pub fn key_of(message: &NewMessage) -> String {
    message.key.clone().unwrap_or_else(|| format!("#{:032x}", xxh3_128(&message.body)))
}

/// The open letters of these keys.
pub async fn by_key(
    db: &mut PgConnection,
    connector: &str,
    entity: Entity,
    keys: &[&str],
) -> Result<HashMap<String, Uuid>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select key as "key!", id from hub.dead_letter where connector = $1 and entity = $2 and key = any($3)"#,
        connector,
        entity.as_str(),
        keys as &[&str],
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.key, row.id)).collect())
}
