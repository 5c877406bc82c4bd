//! What the integration tests share.

pub mod courier;
pub mod database;
pub mod dealers;
pub mod event_schemas;
pub mod hub;
pub mod kopru;
pub mod listener;
pub mod people;
pub mod served;
pub mod system;
pub mod tester;
pub mod webhook_receiver;

/// Whether scenarios run at their full size (`make soak`).
#[expect(clippy::disallowed_methods, reason = "tests have no configuration but the environment")]
pub fn soak() -> bool {
    std::env::var("KOPRU_SOAK").is_ok_and(|value| !value.is_empty())
}
