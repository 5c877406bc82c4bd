//! The configuration: `config.toml` under `KOPRU__SECTION__KEY`.
//!
//! Invariants
//! - `config.toml` in the repository root is compiled in and *is* the set of defaults; what it documents holds.
//! - Nothing wrong is overlooked: unknown keys, wrong types and broken rules are reported together, each with its place.
//! - A secret never reaches `Debug`, [`Config::masked`] or a message.
//! - This is the only room that reads the environment.
//!
//! Deliberately absent: what a connector's own settings mean. Its crate checks them.

mod connectors;
mod environment;
mod files;
mod load;
mod model;
mod problem;
mod read;
mod section;
mod show;
mod tree;

pub use files::exchange_roots;
pub use load::{DEFAULTS, DEMO_FILE, Sources};
pub use model::{
    AccountPolicy, Config, ConnectorConfig, DataConfig, DatabaseConfig, FileFormat, FilesConfig, HttpConfig, HubConfig,
    LogConfig, LogFormat, MailConfig, MailTls, MappingsConfig, OrdersConfig, RateLimitConfig, RetentionConfig,
    RetryConfig, StreamConfig, TakeConfig, WebhooksConfig,
};
pub use problem::{ConfigError, Origin, Problem};
pub use show::toml_of;
