//! The demo: simulated systems in a process of their own, a hub configured for them, and a look at whether everything
//! that they hold has arrived.
//!
//! Invariants
//! - Nothing is faked: the hub runs the same code against real sockets, a real PostgreSQL and real pages.
//! - What is not built yet is a check without a verdict, never one that passes.

mod checks;
mod sandbox;

pub use checks::{Check, Report, StreamLine, once};
pub use sandbox::{SandboxError, SandboxProcess};

use std::{io, os::unix::fs::OpenOptionsExt, path::Path};

use serde_json::{Value, json};

/// What somebody needs who wants to use a running demo.
pub fn description(base_url: &str, sandbox: &SandboxProcess) -> Value {
    json!({
        "baseUrl": base_url,
        // Keys and people come with the parts of the hub that know them.
        "apiKey": Value::Null,
        "accounts": [],
        "sandbox": sandbox.addresses(),
    })
}

/// Writes `demo.json` for its owner alone.
pub fn write_description(dir: &Path, description: &Value) -> io::Result<std::path::PathBuf> {
    let path = dir.join("demo.json");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    serde_json::to_writer_pretty(&mut file, description)?;
    Ok(path)
}
