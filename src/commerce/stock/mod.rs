//! Stock: one level for each product and warehouse, in the product's main unit.
//!
//! Invariants
//! - The source's figure is kept as it is, below 0 too; what may be sold is never below 0.
//! - A quantity that changes leaves a movement, named by the revision that it led to. The opening figure leaves none:
//!   it can be read off the first movement.
//! - What a level is of never changes.
//! - A reservation ends when the source's own figure contains the order ([`handover`]).
//! - `stock.changed` tells of quantities; other figures change without an event.

mod arrivals;
pub mod handover;
mod queries;
mod upsert;

pub use arrivals::{Arrival, take_in};
pub(crate) use queries::quantity_of;
pub use queries::{allocate_ids, ids_by_place, places_by_id};
pub use upsert::{StockUpsert, upsert_stock};
