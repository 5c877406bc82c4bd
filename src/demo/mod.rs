//! The demo: simulated systems in a process of their own, a hub configured for them, and a look at whether everything
//! that they hold has arrived.
//!
//! Invariants
//! - Nothing is faked: the hub runs the same code against real sockets, a real PostgreSQL and real pages.
//! - What is not built yet is a check without a verdict, never one that passes.

mod accounts;
mod checks;
mod key;
mod sandbox;

pub use accounts::{AccountError, accounts_of};
pub use checks::{Check, Report, StreamLine, once};
pub use key::api_key;
pub use sandbox::{SandboxError, SandboxProcess};

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::config;

const DESCRIPTION_FILE: &str = "demo.json";

/// What somebody needs who wants to use a running demo.
pub fn description(base_url: &str, api_key: &str, accounts: Value, sandbox: &SandboxProcess) -> Value {
    json!({
        "baseUrl": base_url,
        "apiKey": api_key,
        "accounts": accounts,
        "sandbox": sandbox.addresses(),
    })
}

/// Writes `demo.json`, for its owner alone.
pub fn write_description(dir: &Path, description: &Value) -> io::Result<PathBuf> {
    write_private(&dir.join(DESCRIPTION_FILE), &format!("{description:#}\n"))
}

/// Writes the connectors of the simulated systems where every command on this data directory finds them.
pub fn write_connectors(dir: &Path, sandbox: &SandboxProcess) -> io::Result<PathBuf> {
    let text = format!(
        "# Written by `kopru demo`: the simulated systems, for other commands on this data directory.\n\n{}",
        config::connectors_toml(sandbox.settings())
    );
    write_private(&dir.join(config::DEMO_FILE), &text)
}

fn write_private(path: &Path, text: &str) -> io::Result<PathBuf> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(path.to_owned())
}
