//! Returns (RMA): asked for by a dealer, decided by the house, received into a warehouse.
//!
//! Invariants
//! - A return is of lines of one order; what is asked for a line, over all its returns that were not rejected, is never more
//!   than was delivered of it. It is judged under the order's row lock.
//! - A state changes along [`ReturnState::moves`] and in no other way, under the return's row lock; each change raises the
//!   revision and leaves a line of history and an audit row.
//! - What is received goes into stock once: into ours in the transaction of the move to `received`, or by the ERP's figures when
//!   its slip was handed over to one ([`outgoing`]).
//!
//! Deliberately absent: money. The credit for what came back is the ERP's to book ([`crate::commerce::account`]).

mod decide;
mod error;
mod moves;
pub mod outgoing;
mod reads;
mod receive;
mod request;
mod state;

pub use decide::{Decision, decide};
pub use error::{NamedFault, ReturnError};
pub use reads::{HistoryEntry, Return, ReturnFilter, ReturnHead, ReturnLineView, find, list};
pub use receive::receive;
pub use request::{NewReturn, NewReturnLine, request};
pub use state::{ReturnReason, ReturnState};
