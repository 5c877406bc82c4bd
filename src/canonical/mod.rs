//! The canonical model: what an external document becomes before anyone acts on it.
//!
//! An [`Entity`] has a schema, a fixed list of fields with their types. A [`Change`] is one record of that entity as
//! a source gave it: values in the order of the schema, with *absent* (the source does not carry the field; leave it
//! alone) told apart from *null* (the source says: empty).
//!
//! Mappings write changes, commands read them; this room knows neither.
//!
//! Invariants
//! - A part of a product that other sources write (prices, stock) is an entity of its own, so one content hash per
//!   link is one hash per part.
//! - The hash covers every present field in schema order with decimals normalised, and neither version nor place.

mod change;
mod json;
mod schema;

pub use change::{Change, Hash, Value, Version, hash_of};
pub use schema::{Entity, FieldSpec, FieldType};
