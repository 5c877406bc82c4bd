//! What the integration tests share.

pub mod database;
pub mod kopru;
