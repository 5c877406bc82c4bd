//! Products: the sellable cards, with their units and images.
//!
//! Invariants
//! - One SKU belongs to one product. In a page the first claimant in the order of the rows has it; a row that gives its
//!   SKU up makes room for another of the same page.
//! - Units and images are lists that are replaced whole, and count as fields of the product: a change of them raises
//!   its revision and is told by the same event.
//! - `deleted_at` is a person's doing; no source touches it.
//! - The slug is made of name and id at creation and then stays, so that addresses live on.

mod deleted;
mod entry;
mod parts;
mod queries;
mod upsert;

pub(crate) use deleted::set_deleted;
pub use entry::{ImageLine, ProductUpsert};
pub use queries::{allocate_ids, ids_by_code, shown_images};
pub(crate) use queries::{code_of, images, lock_code};
pub use upsert::upsert_products;
