//! The demo: simulated systems in a process of their own, a hub configured for them, and a look at whether everything
//! that they hold has arrived.
//!
//! Invariants
//! - Nothing is faked: the hub runs the same code against real sockets, a real PostgreSQL and real pages.
//! - What is not built yet is a check without a verdict, never one that passes.

mod accounts;
mod checks;
mod drop;
mod invoiced;
mod key;
mod orders;
mod sandbox;
mod webhook;

pub use accounts::{AccountError, accounts_of};
pub use checks::{Check, Report, StreamLine, once};
pub use drop::drop_sample;
pub use key::api_key;
pub use sandbox::{SandboxError, SandboxProcess};
pub use webhook::register as register_webhook;

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::{
    config,
    seal::{SealError, Sealer},
};

const DESCRIPTION_FILE: &str = "demo.json";

/// What somebody needs who wants to use a running demo.
pub fn description(base_url: &str, api_key: &str, accounts: Value, sandbox: &SandboxProcess) -> Value {
    json!({
        "baseUrl": base_url,
        "apiKey": api_key,
        "accounts": accounts,
        "sandbox": sandbox.addresses_with_mail(),
    })
}

/// Writes `demo.json`, for its owner alone.
pub fn write_description(dir: &Path, description: &Value) -> io::Result<PathBuf> {
    write_private(&dir.join(DESCRIPTION_FILE), &format!("{description:#}\n"))
}

/// Why the demo could not write down how it is used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("cannot write {path}: {source}", path = .path.display())]
    File { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Key(#[from] SealError),
}

/// Writes the connectors of the simulated systems, their mail server, what mails need and the watched folder where every
/// command on this data directory finds them.
pub fn write_settings(dir: &Path, sandbox: &SandboxProcess, listen: SocketAddr) -> Result<PathBuf, SettingsError> {
    let key = std::path::absolute(dir.join("master.key"))
        .map_err(|source| SettingsError::File { path: dir.to_owned(), source })?;
    Sealer::read_or_make(&key)?;
    let settings = json!({
        "http": { "public_url": format!("http://{listen}") },
        "auth": { "master_key_file": key },
        "mail": sandbox.mail_settings(),
        "connectors": sandbox.settings(),
        "webhooks": { "allow": ["127.0.0.0/8"] },
    });
    let folder = drop::config_toml(dir).map_err(|source| SettingsError::File { path: dir.to_owned(), source })?;
    let text = format!(
        "# Written by `kopru demo`: the simulated systems, for other commands on this data directory.\n\n{}\n{folder}",
        config::toml_of(settings)
    );
    let path = dir.join(config::DEMO_FILE);
    write_private(&path, &text).map_err(|source| SettingsError::File { path, source })
}

fn write_private(path: &Path, text: &str) -> io::Result<PathBuf> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(path.to_owned())
}
