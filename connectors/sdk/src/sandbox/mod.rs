//! The harness of a simulated system. One process serves all of them, each under `/<kind>`, with the shared control
//! surface under `/_sandbox`: faults, state, change, clock.
//!
//! A system gives its router and answers the control calls that concern its own data; the harness does the faults
//! (latency, cut connections, garbage …) in front of it, so that no system has to know of them.

use std::{path::PathBuf, sync::Arc};

use axum::Router;
use serde_json::Value;

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

/// A refused control call, answered 400 with this text.
pub type ControlError = String;

pub trait SandboxSystem: Send + Sync {
    /// The system's own wire surface, below its prefix.
    fn router(self: Arc<Self>) -> Router;

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
