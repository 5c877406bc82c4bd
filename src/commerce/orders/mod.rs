//! Orders of dealers: placed, approved, confirmed, cancelled, shown.
//!
//! Invariants
//! - A state changes along [`State::moves`] and in no other way, under the order's row lock; each change raises the
//!   revision, leaves a line of history and tells an event.
//! - An order enters `confirmed` once at most, and `order.confirmed` tells of that.
//! - A level of stock never holds more for orders than it had to sell when each was placed: reservations are made under
//!   the levels' row locks, taken by rising id.
//! - What an ERP says of an order that it took ([`source`]) is taken over: quantities, what was shipped, the cancellation. Its
//!   prices are compared, not taken; where the two books differ stands in `order_difference` until they agree.
//! - Totals are sums of lines ([`totals`]); what a product was called and cost then stands in its line.
//! - An order that may be with an ERP is cancelled by the ERP's word alone ([`outgoing`]).
//! - What is read is read in a scope; what is not covered is not there.

mod allocate;
pub(crate) mod charge;
mod credit;
mod error;
mod events;
mod invoiced;
pub mod lines;
mod moves;
pub mod outgoing;
mod place;
pub(crate) mod queries;
mod read;
mod returned;
mod rules;
pub mod source;
pub mod state;
pub mod totals;
pub(crate) mod view;

pub use error::{NamedFault, OrderError};
pub(crate) use events::istanbul_day;
pub(crate) use invoiced::invoiced;
pub use moves::{approve, cancel, expire, paid, reject};
pub use place::{AskedLine, MOST_LINES, NewOrder, OrderContext, place};
pub use read::{ListError, OrderFilter, OrderKey, count, find, history, list, trace};
pub(crate) use returned::came_back;
pub use rules::{ApprovalReason, OrderRules, Policy};
pub use state::{Forbidden, PaymentMethod, State};
pub use view::{HistoryLine, Order, OrderDiscount, OrderLine, OrderSummary};
