//! Categories: a tree.
//!
//! Invariants
//! - No category is below itself. Pages that move categories go one after another, by an advisory lock: two moves that
//!   are each harmless could close a circle together.
//! - A row whose parent was refused in the same page is refused as well.

mod queries;
mod tree;
mod upsert;

pub use queries::{allocate_ids, ids_by_code};
pub use upsert::{CategoryUpsert, upsert_categories};
