//! HTTP: the thin shell around the rooms' commands and queries.
//!
//! Invariants
//! - Every response carries `X-Correlation-ID`, and every error is one problem document (RFC 9457), made in
//!   [`problem`] and nowhere else, whoever refused: a handler, an extractor, a limit, a panic.
//! - A request body is bounded before anyone reads it, and a refused sender still gets to read the answer.
//! - Every request passes the gate ([`access`]) before any route: the address's limit, then the key or token. Neither
//!   gets behind the gate, so nothing there can write it down.
//! - What a route answers is described where it is registered: `/openapi.json` has no list of its own.
//! - `/metrics` answers on this machine or on the operations listener, never to the world.
//! - When the shutdown begins, no connection is taken any more, what is in hand is finished, and that has an end.
//!
//! Deliberately absent: SQL, business rules, configuration. What this room must know comes in [`HttpState`] and
//! [`Settings`], from the composition root.

mod access;
mod api;
mod api_key;
mod body;
mod caller;
mod client_address;
mod codes;
mod correlation;
mod examples;
mod health;
mod idempotency;
mod integration;
mod media;
mod metrics;
mod openapi;
mod problem;
mod rate_limit;
mod router;
mod server;
mod shared_answers;
mod signed_in;
mod visitor;

pub use caller::Caller;
pub use codes::{Code, codes};
pub use correlation::CorrelationId;
pub use health::{Failure, OpenBreaker, Probes};
pub use idempotency::{Answer, Effect, Idempotent, Stop};
pub use openapi::document;
pub use problem::{FieldError, Problem};
pub use rate_limit::RateLimits;
pub use router::{Catalogue, HttpState, Settings};
pub use server::{Server, Waits};
pub use signed_in::SignedIn;
