//! People: of the house, or of one dealer company.
//!
//! Invariants
//! - An address is one person's, in one spelling ([`crate::identity::email`]).
//! - A dealer's role belongs to a company, a role of the house to none.
//! - A company keeps an active owner, the house an active super admin.
//! - Nobody gives rights that they do not have.
//! - Every change writes its audit row in the same transaction.

mod change;
mod create;
mod queries;
mod rights;
mod user;

pub use change::{UserChange, change};
pub use create::{NewUser, UserError, create};
pub(super) use create::{name, phone};
pub(super) use queries::{Account, credentials, password_of, signed_in};
pub use queries::{Filter, find, find_by_email, list, set_password};
pub use rights::{may_give, operator};
pub use user::{User, UserState};

pub use crate::mail::Locale;
