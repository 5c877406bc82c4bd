//! The typed configuration.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use chrono_tz::Tz;
use ipnet::IpNet;
use kopru_sdk::{
    outbound::Allowed,
    settings::{Secret, Settings},
};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::problem::Origin;

#[derive(Debug, Clone)]
pub struct Config {
    pub http: HttpConfig,
    pub rate_limit: RateLimitConfig,
    pub auth: AuthConfig,
    pub catalogue: CatalogueConfig,
    pub mail: MailConfig,
    pub database: DatabaseConfig,
    pub data: DataConfig,
    pub mappings: MappingsConfig,
    pub hub: HubConfig,
    pub orders: OrdersConfig,
    pub retry: RetryConfig,
    pub webhooks: WebhooksConfig,
    pub retention: RetentionConfig,
    pub log: LogConfig,
    pub connectors: BTreeMap<String, ConnectorConfig>,
    pub files: BTreeMap<String, FilesConfig>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct HttpConfig {
    pub listen: SocketAddr,
    pub ops_listen: Option<SocketAddr>,
    pub body_limit_bytes: usize,
    /// Networks whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Where people reach us; empty: not said.
    pub public_url: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueConfig {
    pub cache_mb: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimitConfig {
    pub enabled: bool,
    pub per_user_per_minute: u32,
    pub per_api_key_per_minute: u32,
    pub per_ip_per_minute: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthConfig {
    /// `None`: made in the data directory with the private server; with a url there is none.
    pub master_key_file: Option<PathBuf>,
    /// `None`: in the store, or with the private server in the data directory.
    pub signing_key_file: Option<PathBuf>,
}

#[derive(Debug, Clone)]
pub struct MailConfig {
    /// Empty: no mail is sent.
    pub host: String,
    pub port: u16,
    pub tls: MailTls,
    pub user: String,
    pub password: Secret,
    pub from: String,
    pub timeout_secs: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailTls {
    Starttls,
    Tls,
    Plain,
}

#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// `None`: the embedded server.
    pub url: Option<Secret>,
    pub auto_migrate: bool,
    pub max_connections: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DataConfig {
    pub dir: PathBuf,
}

#[derive(Debug, Clone, PartialEq)]
pub struct MappingsConfig {
    /// May not exist: the mappings that are compiled in hold then.
    pub dir: PathBuf,
}

#[derive(Debug, Clone, PartialEq)]
pub struct HubConfig {
    pub timezone: Tz,
    /// `HH:MM`, or empty for never.
    pub full_at: String,
    pub workers: usize,
    pub recall_mb: u64,
}

/// Which orders a person has to approve, and how long things are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrdersConfig {
    /// `None`: however much they cost.
    pub approve_above: Option<Decimal>,
    pub approve_first_orders: u32,
    pub over_limit: AccountPolicy,
    pub overdue: AccountPolicy,
    pub unpaid_minutes: u32,
    /// 0: what waits for approval never runs out.
    pub undecided_days: u32,
    pub cart_days: u32,
    pub allow_zero_price: bool,
}

/// What is done about an order that a dealer's account does not bear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountPolicy {
    Ignore,
    Hold,
    Refuse,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RetryConfig {
    pub delays_secs: Vec<u64>,
    pub jitter: f64,
    pub breaker_threshold: u32,
    pub probe_secs: u64,
    pub lease_secs: u64,
    pub heartbeat_secs: u64,
    pub max_claims: u32,
    pub defer_for_secs: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct WebhooksConfig {
    /// What may be called although it is not public.
    pub allow: Vec<Allowed>,
    pub timeout_secs: u64,
    pub at_once: usize,
    /// 0: no limit.
    pub rate_per_second: u32,
    pub give_up_after: Duration,
    pub overlap: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RetentionConfig {
    pub payload_days: u32,
    pub history_days: u32,
    /// Audit rows, at least one.
    pub audit_years: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct LogConfig {
    /// A `tracing` filter; it was checked.
    pub level: String,
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Text,
    Json,
}

/// One configured instance: the hub's own keys, and the rest for the connector.
#[derive(Clone)]
pub struct ConnectorConfig {
    pub kind: String,
    pub enabled: bool,
    /// `None`: as the connector asks.
    pub exclusive: Option<bool>,
    /// Entities that this instance may create. `None`: all.
    pub master: Option<Vec<String>>,
    /// What it is told. `None`: all that its connector can be told.
    pub send: Option<Vec<String>>,
    pub streams: BTreeMap<String, StreamConfig>,
    /// An object; `_file` keys are resolved.
    pub settings: serde_json::Value,
    /// Where each key of `settings`, and each `streams.NAME`, was given; for messages.
    pub origins: BTreeMap<String, Origin>,
    /// Keys of `settings` whose value is not to be shown: it came out of a file of its own, holds one that did, or nobody
    /// knows what it is.
    pub secrets: BTreeSet<String>,
}

impl Default for ConnectorConfig {
    fn default() -> ConnectorConfig {
        ConnectorConfig {
            kind: String::new(),
            enabled: true,
            exclusive: None,
            master: None,
            send: None,
            streams: BTreeMap::new(),
            settings: serde_json::Value::Object(serde_json::Map::new()),
            origins: BTreeMap::new(),
            secrets: BTreeSet::new(),
        }
    }
}

impl fmt::Debug for ConnectorConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectorConfig")
            .field("kind", &self.kind)
            .field("enabled", &self.enabled)
            .field("exclusive", &self.exclusive)
            .field("master", &self.master)
            .field("send", &self.send)
            .field("streams", &self.streams)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamConfig {
    pub enabled: bool,
    /// `None`: as the connector proposes.
    pub every_secs: Option<u64>,
    /// `HH:MM`, empty for never; `None`: `[hub] full_at`.
    pub full_at: Option<String>,
    /// `None`: the connector's own mapping.
    pub mapping: Option<String>,
    /// auto, ask or off; `None`: auto.
    pub sweep: Option<String>,
    /// `None`: 10.
    pub sweep_guard_percent: Option<u32>,
}

impl Default for StreamConfig {
    fn default() -> StreamConfig {
        StreamConfig {
            enabled: true,
            every_secs: None,
            full_at: None,
            mapping: None,
            sweep: None,
            sweep_guard_percent: None,
        }
    }
}

/// A watched folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesConfig {
    pub enabled: bool,
    pub dir: PathBuf,
    /// The instance whose records its files bring.
    pub instance: String,
    pub settle_secs: u64,
    pub every_secs: u64,
    pub max_bytes: u64,
    pub takes: Vec<TakeConfig>,
    /// Mappings of XML files by their root element.
    pub roots: BTreeMap<String, String>,
}

/// Files of a folder that are of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakeConfig {
    pub pattern: String,
    /// `None`: as the root element says.
    pub mapping: Option<String>,
    /// `None`: by the name's ending.
    pub format: Option<FileFormat>,
    /// `None`: as the file says.
    pub encoding: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileFormat {
    Xml,
    Csv,
}

impl FileFormat {
    pub(super) fn by_ending(name: &str) -> Option<FileFormat> {
        let (_, ending) = name.rsplit_once('.')?;
        match ending.to_ascii_lowercase().as_str() {
            "xml" => Some(FileFormat::Xml),
            "csv" | "txt" => Some(FileFormat::Csv),
            _ => None,
        }
    }
}

impl Config {
    /// What the connector of this instance is built from.
    pub fn connector_settings(&self, instance: &str) -> Option<Settings> {
        let connector = self.connectors.get(instance)?;
        Some(Settings {
            instance: instance.to_owned(),
            values: connector.settings.clone(),
            dir: self.data.dir.join("connectors").join(instance),
        })
    }
}

impl Config {
    /// Where the key of sealed secrets is, and whether it is made when it is missing: several daemons on one database
    /// need the same one, so only the private server's is made by itself.
    pub fn master_key(&self) -> Option<(PathBuf, bool)> {
        match (&self.auth.master_key_file, &self.database.url) {
            (Some(path), _) => Some((path.clone(), false)),
            (None, None) => Some((self.data.dir.join("master.key"), true)),
            (None, Some(_)) => None,
        }
    }
}

impl DataConfig {
    /// An absolute path without links as far as the directory exists, so that two processes mean the same one.
    pub fn absolute(&self) -> std::io::Result<PathBuf> {
        let path = std::path::absolute(&self.dir)?;
        Ok(path.canonicalize().unwrap_or_else(|_| canonical_parent(&path)))
    }
}

fn canonical_parent(path: &Path) -> PathBuf {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => parent.canonicalize().unwrap_or_else(|_| canonical_parent(parent)).join(name),
        _ => path.to_owned(),
    }
}

impl RetryConfig {
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_secs)
    }

    pub fn heartbeat(&self) -> Duration {
        Duration::from_secs(self.heartbeat_secs)
    }
}
