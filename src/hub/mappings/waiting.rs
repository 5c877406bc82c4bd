//! Letters that failed for an external code which is known now, by an answer or by an edit of the files.

use sqlx::PgPool;
use uuid::Uuid;

use super::shelf::Shelf;
use crate::hub::dead_letters::{self, LetterError};

const PAGE: i64 = 500;

/// Queues them for another try, a page at a time. A letter that failed under the very rules that are in force stays, so
/// none goes round in a circle. Returns how many were queued.
pub async fn replay_known(pool: &PgPool, shelf: &Shelf) -> Result<u64, LetterError> {
    let in_force = shelf.now();
    let (mut queued, mut after) = (0, Uuid::nil());
    loop {
        let page = sqlx::query!(
            "select id, mapping, mapping_hash, field, value from hub.dead_letter
             where state = 'dead' and reason = 'unmapped_code' and id > $1
             order by id
             limit $2",
            after,
            PAGE,
        )
        .fetch_all(pool)
        .await?;
        let Some(last) = page.last() else { return Ok(queued) };
        after = last.id;
        let known: Vec<Uuid> = page
            .iter()
            .filter(|row| {
                let mapping = row.mapping.as_deref().and_then(|name| in_force.get(name));
                match (mapping, &row.field, &row.value) {
                    (Some(mapping), Some(field), Some(code)) => {
                        row.mapping_hash.as_deref() != Some(mapping.hash()) && mapping.knows_in_field(field, code)
                    }
                    _ => false,
                }
            })
            .map(|row| row.id)
            .collect();
        if !known.is_empty() {
            queued += dead_letters::replay(pool, &known, None).await?.len() as u64;
        }
    }
}
