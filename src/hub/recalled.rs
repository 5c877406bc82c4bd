//! Documents of which every record came before as it is: one look at their links tells whether they still say nothing new.
//!
//! Invariants
//! - The answer is the one that the [intake](super::intake) gives after reading and comparing; what it might have to do
//!   more about, it is left to do.
//! - Nothing is written.

use std::iter::once;

use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    deferral,
    intake::{Item, Submitted},
    letter_ids,
    links::{self, Remembered},
    runs::Tally,
};
use crate::{
    canonical::Entity,
    mapping::{Effective, Read, Recalled},
};

/// With so many open letters, waiting records and codes that are waited for, it is not looked whether one is about these.
const OPEN: usize = 256;

/// What became of the document, if nothing did.
pub(super) async fn unchanged(
    tx: &mut PgConnection,
    connector: &str,
    mapping: &Effective,
    read: &Read<'_>,
) -> Result<Option<Submitted>, sqlx::Error> {
    let Some(records) = read.recalled() else { return Ok(None) };
    let entities: Vec<Entity> =
        once(mapping.entity()).chain(mapping.parts().iter().map(|part| part.entity())).collect();
    let mut names: Vec<&str> = entities.iter().map(|entity| entity.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let Some(open) = deferral::open_keys(tx, connector, &names, OPEN).await? else { return Ok(None) };
    if !open.is_empty() {
        // Letters that these records end, and others that wait for them.
        let is_open = |entity: Entity, key: String| open.contains(&(entity.as_str().to_owned(), key));
        let concerns = |record: &Recalled<'_>| {
            let Some(entity) = entities.get(record.part).copied() else { return true };
            is_open(entity, record.code.to_owned())
                || record.external_id.is_some_and(|number| is_open(entity, letter_ids::key_of_number(number)))
        };
        if records.iter().any(concerns) {
            return Ok(None);
        }
    }
    let remembered: Vec<Remembered<'_>> = records
        .iter()
        .map(|record| Remembered {
            id: record.link,
            code: record.code,
            external_id: record.external_id,
            version: record.version,
            hash: record.hash,
        })
        .collect();
    let Some(internal_ids) = links::unmoved(tx, connector, &remembered).await? else { return Ok(None) };
    let own = records.iter().zip(internal_ids).filter(|(record, _)| record.part == 0);
    let items: Vec<Item> = own.map(|(record, id)| Item::unchanged(record.ordinal, record.code, id)).collect();
    let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let tally = Tally { pages: 1, records: count, unchanged: count, ..Tally::default() };
    Ok(Some(Submitted { message_id: Uuid::now_v7(), items, tally }))
}
