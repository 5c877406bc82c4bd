//! Webhooks out: addresses that people register, and that are told of events.
//!
//! | module | subject |
//! | --- | --- |
//! | [`endpoint`] | endpoints as they are stored, listed and shown |
//! | [`address`] | which address, and which events, an endpoint may name |
//! | [`change`] | made, changed, switched on and off, removed |
//! | [`secrets`] | what they are signed with: made, rotated, shown |
//! | [`signature`] | the headers of Standard Webhooks |
//! | [`message`] | the body |
//! | [`catalogue`] | the types of events, with schemas |
//! | [`target`] | the call, and what its answer means |
//! | [`keep`] | the endpoints of the store as targets of this process |
//! | [`trial`] | a test event, sent at once |
//! | [`replay`] | events told again |
//!
//! Invariants
//! - An endpoint is a target like any other: routing, order, retries, breaker, hold, letters and history are those of
//!   [`deliveries`](super::deliveries). It is not blocked behind a dead fact: what it is told bears the revision.
//! - Its address is judged when it is registered and again for each connection.
//! - Secrets are sealed in the store and shown to nobody but who asks for them by name, which is audited.
//! - An endpoint that says 410, or that fails for days, is switched off; what it was not told is held and goes out when a
//!   person switches it on again.

pub mod address;
pub mod catalogue;
pub mod change;
pub mod endpoint;
pub mod keep;
pub mod message;
pub mod replay;
pub mod secrets;
pub mod signature;
pub mod target;
pub mod trial;

use std::{num::NonZeroU32, time::Duration};

use kopru_sdk::outbound::{Blocked, Guard};

use crate::seal::{SealError, Sealer};

/// The kind of these targets.
pub const KIND: &str = "webhook";

/// Channel that tells daemons of changed endpoints; the poll is the truth.
pub const CHANNEL: &str = "hub_webhook";

/// Figures of `[webhooks]`, and what secrets and addresses need.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// `None`: no master key, and so no endpoints.
    pub sealer: Option<Sealer>,
    pub guard: Guard,
    /// Of one call.
    pub timeout: Duration,
    /// Calls of one process to one endpoint at a time.
    pub at_once: usize,
    /// Of an endpoint that has no rate of its own; `None`: no limit.
    pub rate_per_second: Option<NonZeroU32>,
    pub give_up_after: Duration,
    /// How long an old secret signs beside a new one.
    pub overlap: Duration,
}

impl Default for WebhookSettings {
    fn default() -> WebhookSettings {
        WebhookSettings {
            sealer: None,
            guard: Guard::default(),
            timeout: Duration::from_secs(15),
            at_once: 16,
            rate_per_second: None,
            give_up_after: Duration::from_secs(5 * 24 * 3600),
            overlap: Duration::from_secs(24 * 3600),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    #[error("there is no webhook endpoint {0}; `kopru webhook-endpoints list` shows them")]
    Unknown(i64),
    #[error("`{0}` is no address: write it as https://hooks.example.com/path")]
    Url(String),
    #[error("the address may not be called: {0}; networks and hosts of your own are listed in [webhooks] allow")]
    Blocked(#[from] Blocked),
    #[error("no events are named; `*` is every event, `order.*` every event of orders")]
    NoEvents,
    #[error("`{pattern}`: {hint}")]
    UnknownEvent { pattern: String, hint: String },
    #[error("a description has at most 500 characters")]
    Description,
    #[error("a rate is between 1 and 10000 calls a second")]
    Rate,
    #[error("an old secret may be valid for at most 30 days")]
    Overlap,
    #[error("secrets cannot be kept: no master key is configured; set [auth] master_key_file")]
    NoMasterKey,
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("{0} events are meant; at most {most} are replayed at a time, name a shorter time or fewer types", most = replay::MOST)]
    TooMany(i64),
}
