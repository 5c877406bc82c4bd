//! Products: the sellable cards, with their units and images.
//!
//! Invariants
//! - One SKU belongs to one product. In a page the first claimant in the order of the rows has it; a row that gives its
//!   SKU up makes room for another of the same page.
//! - Units and images are lists that are replaced whole, and count as fields of the product: a change of them raises
//!   its revision and is told by the same event.
//! - `deleted_at` is a person's doing; no source touches it.
//! - A field with an override keeps a person's value, whatever its source says; what the source says is kept aside and comes
//!   back when the override goes. Who writes for a person is not bound by it.
//! - The slug is made of name and id at creation and then stays, so that addresses live on.

mod deleted;
mod entry;
mod overrides;
mod parts;
mod queries;
mod upsert;

pub(crate) use deleted::set_deleted;
pub use entry::{ImageLine, ProductUpsert};
pub(crate) use overrides::{OVERRIDABLE, override_row, put_override, stored_value, take_override};
pub use overrides::{Override, overrides_of};
pub use queries::{allocate_ids, ids_by_code, shown_images};
pub(crate) use queries::{code_of, images, lock_code};
pub use upsert::upsert_products;
