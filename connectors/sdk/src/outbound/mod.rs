//! The one HTTP stack towards other systems.
//!
//! Invariants
//! - Every call has a time-out by its kind, and an answer is never held beyond the size limit: it is cut off while it
//!   streams in.
//! - A call that changes something over there and broke off after it may have been sent ends as
//!   [`Fault::UnknownOutcome`](crate::Fault::UnknownOutcome), never as something to be repeated blindly.
//! - No redirects are followed, no proxy is taken from the environment, no cookies are kept: what is called is what
//!   was configured.
//! - Errors and logs name host and path; never a query string, a header or a body.
//! - What a configuration names is called by [`Outbound`]; what others chose, by [`Receiver`], behind a [`Guard`].
//!
//! Deliberately absent: retries. The engine repeats, by the fault that it is given.

mod answer;
mod client;
mod guard;
mod receiver;
mod tls;

pub use answer::{Answer, by_status};
pub use client::{Call, Effect, Outbound, Policy, Timeouts};
pub use guard::{Allowed, Blocked, Guard, Resolver, SystemResolver, is_public};
pub use receiver::{Receiver, ReceiverPolicy};
pub use reqwest::{
    Method, StatusCode, Url,
    header::{self, HeaderMap, HeaderValue},
};
pub use tls::{Fingerprint, Tls};
