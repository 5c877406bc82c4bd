//! Brands, warehouses and price lists are lists of the same shape: code, name, in use or not.

mod entry;
mod queries;

pub use entry::CodeListUpsert;
pub(crate) use entry::prepare;
pub(crate) use queries::{code_list, keys};
