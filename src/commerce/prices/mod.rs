//! Price rows: list, dealer and cost price of a product, tier and special prices, price lists.
//!
//! Invariants
//! - A role has the columns that it needs and no other's: `tier` a tier, `special` one customer or one pattern of
//!   customer codes, `price_list` a list, the rest none. `none` is a row that its site gave no role: kept, not sold by.
//! - A row that carries only some of these columns is judged together with what the store holds.
//! - Which of several valid rows counts is decided where prices are read, not here.

mod entry;
mod queries;
mod role;
mod upsert;

pub use entry::PriceUpsert;
pub use queries::{allocate_ids, ids_by_code};
pub use role::ROLES;
pub use upsert::upsert_prices;
