//! Customers: dealer companies and persons, with their addresses.
//!
//! Invariants
//! - A tax number is kept as the source wrote it, without blanks; `tax_number_valid` says whether its checksum holds.
//!   Several customers may share one.
//! - Telephone numbers are kept in E.164 where they can be read as one number, else as they came.
//! - A source's customers arrive approved; one that a person enters is approved by a person.
//! - Addresses are matched by code and never deleted: one that its source dropped is not active.

mod addresses;
pub mod directory;
pub mod editing;
mod entry;
mod queries;
mod register;
mod upsert;

pub use addresses::AddressLine;
pub use entry::CustomerUpsert;
pub use queries::{allocate_ids, ids_by_code, outgoing};
pub use register::{NewCompany, RegisterError, TaxMatch, by_tax_number, join, register};
pub use upsert::upsert_customers;
