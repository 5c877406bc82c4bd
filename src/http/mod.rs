//! HTTP: the thin shell around the rooms' commands and queries.
//!
//! Invariants
//! - Every response carries `X-Correlation-ID`, and every error is one problem document (RFC 9457), made in
//!   [`problem`] and nowhere else, whoever refused: a handler, an extractor, a limit, a panic.
//! - A request body is bounded before anyone reads it, and a refused sender still gets to read the answer.
//! - `/metrics` answers on this machine or on the operations listener, never to the world.
//! - When the shutdown begins, no connection is taken any more, what is in hand is finished, and that has an end.
//!
//! Deliberately absent: SQL, business rules, configuration. What this room must know comes in [`HttpState`] and
//! [`Settings`], from the composition root.

mod body;
mod correlation;
mod health;
mod metrics;
mod problem;
mod router;
mod server;

pub use correlation::CorrelationId;
pub use health::{Failure, OpenBreaker, Probes};
pub use problem::{FieldError, Problem};
pub use router::{HttpState, Settings};
pub use server::Server;
