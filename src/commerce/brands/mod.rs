//! Brands.

mod queries;

pub use queries::{allocate_ids, ids_by_code, upsert_brands};
