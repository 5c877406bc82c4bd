//! Letters that failed for an external code which is known now, by an answer or by an edit of the files.

use sqlx::PgPool;

use super::shelf::Shelf;
use crate::{
    audit::Actor,
    hub::dead_letters::{self, LetterError},
};

const PAGE: i64 = 500;

/// Letters that wait for a code: the mapping of each and the field that could not take it.
pub async fn waiting_for(pool: &PgPool, code: &str) -> Result<Vec<(String, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select mapping as "mapping!", field as "field!" from hub.dead_letter
           where state = 'dead' and reason = 'unmapped_code' and value = $1 and mapping is not null and field is not null"#,
        code,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.mapping, row.field)).collect())
}

/// How many of these wait no longer, since the mappings in force know the code: whoever replays them.
pub fn known_by_now(shelf: &Shelf, waiting: &[(String, String)], code: &str) -> usize {
    let in_force = shelf.now();
    let knows = |mapping: &str, field: &str| in_force.get(mapping).is_some_and(|it| it.knows_in_field(field, code));
    waiting.iter().filter(|(mapping, field)| knows(mapping, field)).count()
}

/// Queues them for another try, a page at a time. A letter that failed under the very rules that are in force stays, so
/// none goes round in a circle. Returns how many were queued.
pub async fn replay_known(pool: &PgPool, shelf: &Shelf, by: Actor<'_>) -> Result<u64, LetterError> {
    let in_force = shelf.now();
    let codes = sqlx::query!(
        r#"select distinct d.connector, d.mapping as "mapping!", d.field as "field!", d.value as "value!"
           from hub.dead_letter d
           where d.state = 'dead' and d.reason = 'unmapped_code' and d.mapping is not null
             and d.field is not null and d.value is not null"#
    )
    .fetch_all(pool)
    .await?;
    let mut queued = 0;
    for row in codes {
        let Some(mapping) = in_force.get_for(&row.connector, &row.mapping) else { continue };
        if !mapping.knows_in_field(&row.field, &row.value) {
            continue;
        }
        loop {
            let letters = sqlx::query_scalar!(
                "select id from hub.dead_letter
                 where state = 'dead' and reason = 'unmapped_code' and mapping = $1 and field = $2 and value = $3
                   and mapping_hash is distinct from $4 and connector = $6
                 order by id
                 limit $5",
                row.mapping,
                row.field,
                row.value,
                mapping.hash(),
                PAGE,
                row.connector,
            )
            .fetch_all(pool)
            .await?;
            // Another process may be replaying the rest.
            let done = dead_letters::replay(pool, by, &letters).await?.len() as u64;
            if done == 0 {
                break;
            }
            queued += done;
        }
    }
    Ok(queued)
}
