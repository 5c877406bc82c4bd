//! People: of the house, or of one dealer company.
//!
//! Invariants
//! - An address is one person's, in one spelling ([`crate::identity::email`]).
//! - A dealer's role belongs to a company, a role of the house to none.
//! - Every change writes its audit row in the same transaction.

mod create;
mod queries;
mod user;

pub use create::{NewUser, UserError, create};
pub(super) use queries::{credentials, signed_in};
pub use queries::{find, find_by_email};
pub use user::{Locale, User, UserState};
