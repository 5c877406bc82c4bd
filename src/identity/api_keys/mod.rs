//! API keys: made, listed and revoked by people, verified for every request.

mod manage;
mod ring;
mod secret;

pub use ipnet::IpNet;
pub use manage::{ApiKey, KeyError, NewKey, create, list, revoke};
pub use ring::{ApiCaller, FRESH, KeyRing, Refusal};
pub use secret::KeyText;

/// What a key may be allowed to do.
pub const SCOPES: [&str; 2] = ["integration:read", "integration:write"];
