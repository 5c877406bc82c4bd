//! Price lists, and whose they are.
//!
//! Invariants
//! - Which lists hold for a customer is a person's decision; no source says so.
//! - Among a customer's lists the one with the smaller `priority` goes first.

mod assign;
mod queries;

pub use assign::{AssignError, AssignedList, assign, assigned};
pub use queries::{allocate_ids, ids_by_code, upsert_price_lists};
