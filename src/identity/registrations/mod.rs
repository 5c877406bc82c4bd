//! Companies that want to become dealers, with their first user.
//!
//! Invariants
//! - A registration is no user: it sees nothing until somebody of the house has approved it.
//! - A known tax number joins nobody to that company: who approves sees the match, and says whether it is joined or new.
//! - A password that came with a registration is good only if the address was verified; else the user is invited, and chooses one by a
//!   link to that address.
//! - The answer to a registration is the same whether the address is known or not.

mod decide;
mod queries;
mod register;

pub use decide::{Approval, DecisionError, Kind, approve, pending, reject};
pub use queries::{Registration, State, find, list};
pub use register::{NewRegistration, RegisterError};
