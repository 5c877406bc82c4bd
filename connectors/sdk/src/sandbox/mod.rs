//! The harness of a simulated system. One process serves all of them, each under `/<kind>`, with the shared control
//! surface under `/_sandbox`: faults, state, change, clock, health.
//!
//! A system gives its router and answers the control calls that concern its own data; the harness does the faults
//! (latency, cut connections, garbage …) in front of it, so that no system has to know of them.
//!
//! | module | subject |
//! | --- | --- |
//! | [`faults`] | the rules: reading, matching, counting |
//! | `effect` | what a rule does to a request or an answer |
//! | `server` | the listener: accepts, applies faults, hands on to the system |
//! | `control` | `/_sandbox/…` |
//! | [`clock`] | the sandbox's own now |
//! | [`mail`] | a mail server beside the systems |
//! | [`hooks`] | a receiver of webhooks |
//! | [`journal`] | what was written to a system, appended to a file |
//!
//! Invariants
//! - Control calls are never disturbed by faults.
//! - A system sees a request either whole or not at all; what a fault does to the connection happens outside of it.
//! - What a system answered as written is in its journal before the answer leaves.

pub mod clock;
mod control;
mod effect;
pub mod faults;
pub mod hooks;
pub mod journal;
pub mod mail;
mod server;

use std::{path::PathBuf, sync::Arc};

use axum::Router;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use self::{
    clock::SandboxClock,
    faults::{BadFaults, Faults},
    journal::Journal,
    server::{RunningSandbox, Sandbox, StartError},
};
use crate::settings::{BadSetting, BadSettings, Settings};

#[derive(Debug, Clone)]
pub struct SandboxOptions {
    /// Everything generated follows from it.
    pub seed: u64,
    /// How many item cards the ERP has. Generated on demand, never held.
    pub items: u64,
    /// Where systems append what was written to them, so that it outlives a kill -9. `None`: memory only.
    pub dir: Option<PathBuf>,
    /// System-specific switches, by kind: `{"logo": {"page_ceiling": 25}}`.
    pub switches: Value,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        SandboxOptions { seed: 1, items: 20_000, dir: None, switches: Value::Null }
    }
}

impl SandboxOptions {
    /// The switches of one kind, read strictly: an unknown one is named with the nearest of `known`.
    pub fn switches<T: DeserializeOwned + Default>(&self, kind: &str, known: &[&str]) -> Result<T, BadSettings> {
        let values = match &self.switches {
            Value::Null => return Ok(T::default()),
            Value::Object(by_kind) => match by_kind.get(kind) {
                None | Some(Value::Null) => return Ok(T::default()),
                Some(values @ Value::Object(_)) => values.clone(),
                Some(_) => return Err(bad(kind, "must be an object of switches")),
            },
            _ => return Err(bad("switches", "must be an object by system kind")),
        };
        let dir = self.dir.clone().unwrap_or_default();
        Settings { instance: kind.to_owned(), values, dir }.parse(known)
    }
}

fn bad(key: &str, problem: &str) -> BadSettings {
    BadSettings(vec![BadSetting { key: key.to_owned(), problem: problem.to_owned() }])
}

/// A refused control call, answered 400 with this text.
pub type ControlError = String;

pub trait SandboxSystem: Send + Sync {
    /// The system's own wire surface, below its prefix.
    fn router(self: Arc<Self>) -> Router;

    /// What an instance of the connector is configured with to talk to this system at `base_url`.
    fn settings(&self, base_url: &str) -> Value;

    /// `GET /_sandbox/state?kind=&reference=`: what was written to it, and what acceptance needs to compare with
    /// (counts by kind).
    fn state(&self, kind: Option<&str>, reference: Option<&str>) -> Value;

    /// `POST /_sandbox/change`: edits the remote side as its own users would.
    fn change(&self, change: &Value) -> Result<Value, ControlError>;

    /// Fault `expire_token`: forget every session.
    fn expire_tokens(&self);

    /// `POST /_sandbox/clock`: the system's idea of now, shifted by seconds.
    fn shift_clock(&self, seconds: i64);
}
