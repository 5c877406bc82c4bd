//! The outbound lane: events and requests become deliveries, one for each target, and are told in order.
//!
//! | module | subject |
//! | --- | --- |
//! | [`target`] | what a target is; those of this process |
//! | [`targets`] | targets as the store knows them: what they want, pauses, figures |
//! | [`router`] | from the outbox to deliveries |
//! | [`store`] | claims, leases, holding |
//! | `fence` | calls whose lease may be lost are let go |
//! | [`horizon`] | from where on the lane is looked at |
//! | [`outcome`] | what came of deliveries, written down |
//! | [`worker`] | who claims, calls and writes |
//! | [`list`], [`manage`] | looked at, tried again, called off |
//! | [`catch_up`] | what a target was not told while it was not to be told it |
//! | [`smtp`] | mail |
//!
//! Invariants
//! - Of one key of a target only the first open delivery is under way; other keys do not wait for it.
//! - Retry, breaker, hold, letters and replay are those of the inbound lanes. What differs is the call.
//! - No transaction is open during a call; an outcome counts only under the lease that it was claimed with.
//! - A lease that ran out leaves an unknown outcome: the target is told so before it is called again.
//! - A dead delivery stays where it is until its letter is resolved. Where the target says so it holds its key.

pub mod catch_up;
mod fence;
pub mod horizon;
pub mod list;
pub mod manage;
pub mod outcome;
pub mod router;
pub mod smtp;
pub mod store;
pub mod target;
pub mod targets;
pub mod worker;

pub use target::{Document, Target, Targets, Tried, Wants};

/// The kind of a letter whose payload is a delivery's.
pub const KIND: &str = "delivery";
