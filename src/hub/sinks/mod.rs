//! Connectors that can be told things, as targets of deliveries.
//!
//! | module | subject |
//! | --- | --- |
//! | [`target`] | the target: what it wants, and which of the others a delivery is for |
//! | [`call`] | looking, waiting and sending: what is the same for all documents |
//! | [`orders`] | orders, and their cancellation |
//! | [`customers`] | the cards of customers, found or made before an order names them |
//! | [`effect`] | what follows over here, written with the outcome |
//! | [`ties`] | links that are made by sending, and the codes that documents name records by |
//!
//! Invariants
//! - After a call whose outcome is not known it is looked first. While the system may still be at it nothing is sent again.
//! - An order is handed over before it is sent, by the daemon that holds the instance's lease, and given back when it was not
//!   taken.
//! - What was found is adopted or put before a person; nothing is sent beside it.

mod call;
mod customers;
pub mod effect;
mod orders;
mod target;
mod ties;

pub use effect::Effect;
pub use target::{SinkTarget, put_sinks};
