//! API keys: made, listed and revoked by people, verified for every request.

mod manage;
mod ring;
mod secret;

use crate::principal::Permission;

pub use ipnet::IpNet;
pub use manage::{ApiKey, KeyError, NewKey, create, list, revoke};
pub use ring::{ApiCaller, FRESH, KeyRing, Refusal};
pub use secret::KeyText;

/// What a key may be allowed to do in the Integration API. Beside these, a scope may name a permission (`orders.view`): with it
/// the key acts in the commerce API, for the house.
pub const SCOPES: [&str; 2] = ["integration:read", "integration:write"];

fn is_scope(text: &str) -> bool {
    SCOPES.contains(&text) || Permission::parse(text).is_some()
}

/// Every scope that there is, for messages.
pub fn known_scopes() -> String {
    let permissions = Permission::ALL.iter().map(|permission| permission.as_str());
    SCOPES.into_iter().chain(permissions).collect::<Vec<_>>().join(", ")
}
