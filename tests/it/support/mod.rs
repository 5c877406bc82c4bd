//! What the integration tests share.

pub mod courier;
pub mod database;
pub mod hub;
pub mod kopru;
pub mod system;
