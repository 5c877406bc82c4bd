//! What a document carries beside its own record: the parts that are lost if something lesser takes its letter's place.

use crate::{
    canonical::Entity,
    hub::{documents::parse_format, engine::Engine, messages::NewMessage},
    mapping::{Effective, Format, Mapped},
};

/// The records that a document of one item is beside its own, as [`names_of`] them; those that are refused too.
pub fn carried(mapping: &Effective, format: Format, body: &[u8]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (entity, mapped) in mapping.parts_alone(format, body) {
        names.extend(mapped.changes.iter().map(|change| name_of(entity, Some(&change.code))));
        names.extend(mapped.rejected.iter().map(|record| name_of(entity, record.code.as_deref())));
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// The same by the mapping that the message names, if it names one.
pub fn carried_by(engine: &Engine, message: &NewMessage) -> Vec<String> {
    let mapping = message.mapping.as_deref().and_then(|name| engine.library.get_for(&message.connector, name));
    mapping.map_or_else(Vec::new, |mapping| carried(&mapping, parse_format(message.format), &message.body))
}

/// What a record that went in answers for: itself, and one of its entity whose code could not be read.
pub fn names_of(entity: Entity, code: Option<&str>) -> [String; 2] {
    [name_of(entity, code), name_of(entity, None)]
}

/// What a document of one item answers for when it went in: the names of all the records beside its own.
pub fn answered_for(mapping: &Effective, format: Format, body: &[u8]) -> Vec<String> {
    let parts = mapping.parts_alone(format, body);
    let names = |(entity, mapped): (Entity, Mapped<'_>)| -> Vec<String> {
        mapped.changes.iter().flat_map(|change| names_of(entity, Some(&change.code))).collect()
    };
    parts.into_iter().flat_map(names).collect()
}

/// `price A|list`; `price` when that is all that could be read.
fn name_of(entity: Entity, code: Option<&str>) -> String {
    match code {
        Some(code) => format!("{entity} {code}"),
        None => entity.to_string(),
    }
}
