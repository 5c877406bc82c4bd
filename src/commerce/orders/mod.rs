//! Orders of dealers: placed, approved, confirmed, cancelled, shown.
//!
//! Invariants
//! - A state changes along [`State::moves`] and in no other way, under the order's row lock; each change raises the
//!   revision, leaves a line of history and tells an event.
//! - An order enters `confirmed` once at most, and `order.confirmed` tells of that.
//! - A level of stock never holds more for orders than it had to sell when each was placed: reservations are made under
//!   the levels' row locks, taken by rising id.
//! - Totals are sums of lines ([`totals`]); what a product was called and cost then stands in its line.

pub mod lines;
pub mod state;
pub mod totals;

pub use state::{Forbidden, PaymentMethod, State};
