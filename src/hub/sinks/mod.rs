//! Connectors that can be told things, as targets of deliveries.
//!
//! | module | subject |
//! | --- | --- |
//! | [`target`] | the target: what it wants, and which of the others a delivery is for |
//! | [`call`] | looking, waiting and sending: what is the same for all documents |
//! | [`making`] | a document that is made over there once, and its cancellation: what orders and return slips share |
//! | [`orders`] | orders, and their cancellation |
//! | [`returns`] | return slips, and their cancellation |
//! | [`names`] | the codes of a document's records, and who may send at all |
//! | [`customers`] | the cards of customers, found or made before an order names them |
//! | [`stopped`] | why a delivery could not be worked on |
//! | [`effect`] | what follows over here, written with the outcome |
//! | [`ties`] | links that are made by sending, and the codes that documents name records by |
//!
//! Invariants
//! - After a call whose outcome is not known, and when a letter is replayed, it is looked first. While the system may still be at it
//!   nothing is sent again.
//! - What carries our reference is ours, whatever number it has over there: numbers are given anew.
//! - An order or a return is handed over before it is sent, by the daemon that holds the instance's lease, and given back when it was not
//!   taken.
//! - What was found is adopted or put before a person; nothing is sent beside it.

mod call;
mod customers;
pub mod effect;
mod making;
mod names;
mod orders;
mod returns;
mod stopped;
mod target;
pub mod ties;

pub use effect::Effect;
pub use stopped::Stopped;
pub use target::{SinkTarget, put_sinks};
