//! The traits of a connector and what passes through them.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    fault::Fault,
    reading::{Operation, Reading, Recorded},
    sandbox::{SandboxOptions, SandboxSystem},
    settings::{BadSettings, Settings},
    sink::Sink,
};

/// One per connector crate; `connectors/bundle` lists them. The hub never names a connector.
#[derive(Clone, Copy)]
pub struct Descriptor {
    /// The kind, as `[connectors.X] kind = …` names it.
    pub kind: &'static str,
    /// Every stream that an instance may offer, whatever its settings are.
    pub streams: &'static [&'static str],
    /// Checks the instance's settings (all errors at once) and builds it. No network.
    pub build: fn(&Settings) -> Result<Arc<dyn Connector>, BadSettings>,
    /// Settings from which `build` makes a connector that reads recorded answers and calls nobody.
    pub offline: fn() -> Value,
    /// The simulated system, to be mounted under `/<kind>` of the sandbox process.
    /// Refuses unknown switches by name.
    pub sandbox: fn(&SandboxOptions) -> Result<Arc<dyn SandboxSystem>, BadSettings>,
}

impl fmt::Debug for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Descriptor").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// What a call is given besides its arguments: the time by the program's clock and who asks.
#[derive(Debug, Clone)]
pub struct Ctx {
    pub now: DateTime<Utc>,
    pub correlation_id: String,
}

#[async_trait]
pub trait Connector: Send + Sync + 'static {
    /// The cheapest call that real work needs as well (sign-in, period covers today). Changes nothing over there.
    async fn check(&self, cx: &Ctx) -> Result<(), Fault>;

    /// The streams that can be pulled, when there are any.
    fn source(&self) -> Option<&dyn Source> {
        None
    }

    /// What it can be told, when it can.
    fn sink(&self) -> Option<&dyn Sink> {
        None
    }

    /// Whether only one process at a time may call the system (one licence seat, one writer), unless the
    /// configuration says otherwise.
    fn exclusive(&self) -> bool {
        false
    }

    /// From which fact on what this system says of stock has an order taken off that it was sent.
    fn takes_off(&self) -> TakesOff {
        TakesOff::OnShipping
    }

    /// What it can read of what was recorded.
    fn operations(&self) -> Vec<Operation> {
        Vec::new()
    }

    /// Reads it as if it had just come, by the same code, without network. The time of `cx` is when it came.
    fn read(&self, _cx: &Ctx, recorded: &Recorded) -> Result<Reading, Fault> {
        Err(Fault::contract(format!("this connector does not read `{}`", recorded.operation)))
    }

    /// Called once when the daemon stops: sign out, so that no licence seat stays taken. Errors are ignored.
    async fn close(&self, _cx: &Ctx) {}
}

/// When an order that a system was sent is off what it says is in stock. Until then the hub itself holds the goods back; said
/// too early, they are sold twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakesOff {
    /// As soon as it has the order.
    OnTaking,
    /// As soon as it has the order and holds its goods by a reservation of its own (`Taken::holds_goods`); those of
    /// other orders line by line, as they leave.
    OnReserving,
    /// Line by line, as the goods leave.
    OnShipping,
}

#[async_trait]
pub trait Source: Send + Sync {
    /// The streams that this instance is configured to offer.
    fn streams(&self) -> Vec<StreamSpec>;

    /// One page after `request.cursor`. Order within a pass is the connector's own; a row may come twice, never not
    /// at all.
    async fn pull(&self, cx: &Ctx, request: PullRequest<'_>) -> Result<Page, Fault>;
}

/// A stream that a connector offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSpec {
    /// `items`, `stock` …: the second half of `logo.items`.
    pub name: &'static str,
    /// Mapping file below `mappings/`, without `.toml`: `logo/items`.
    pub mapping: &'static str,
    /// Streams of the same instance whose records this one refers to; a full synchronisation runs them first.
    pub after: &'static [&'static str],
    /// Whether the source can be asked for changes only. If not, every pass is a full one.
    pub incremental: bool,
    /// Default period between passes, in seconds.
    pub every_secs: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    Full,
    Incremental,
}

impl Pass {
    pub const fn as_str(self) -> &'static str {
        match self {
            Pass::Full => "full",
            Pass::Incremental => "incremental",
        }
    }
}

/// Where a pass stands: written by the connector, kept by the hub with the work that it stands for, never read by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub Value);

#[derive(Debug)]
pub struct PullRequest<'a> {
    pub stream: &'a str,
    pub pass: Pass,
    /// `None`: a full pass begins. On the first page of an incremental pass this is the position that the last pass
    /// ended with, and `first` is set, so that the connector steps back by its overlap window.
    pub cursor: Option<&'a Cursor>,
    pub first: bool,
    /// `sync run --since`: overrides the position of an incremental pass.
    pub since: Option<DateTime<Utc>>,
}

/// The encoding of a page's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    Json,
    Xml,
    Csv,
}

impl Format {
    pub const fn as_str(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Xml => "xml",
            Format::Csv => "csv",
        }
    }
}

#[derive(Debug, Clone)]
pub struct Page {
    /// The answer as it came, decoded to UTF-8.
    pub body: Bytes,
    pub format: Format,
    /// Records in it, as the connector counted them.
    pub rows: usize,
    /// The position after this page. When `end` is set: the position from which the next *incremental* pass starts
    /// (for a full pass: the change stamp noted when it began).
    pub cursor: Cursor,
    /// The pass is complete with this page.
    pub end: bool,
    /// Records in the whole pass, when the source says so (progress bars only).
    pub expected: Option<u64>,
}
