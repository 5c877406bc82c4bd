//! Unit sets: a main unit and what others are of it. A product without units of its own has those of its set; a change
//! of the set raises no event for them.

mod queries;
mod upsert;

pub use queries::{allocate_ids, ids_by_code};
pub use upsert::{UnitSetUpsert, upsert_unit_sets};
