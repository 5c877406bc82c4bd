//! The sandbox as a process of its own, as long as the demo lives.

use std::{path::Path, process::Stdio, time::Duration};

use kopru_sdk::outbound::{Call, Method, Outbound, Policy, Url};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// How long it may take to say where it listens.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("the sandbox could not be started: {0}")]
    Start(#[from] std::io::Error),
    #[error("the sandbox ended before it was ready; `kopru sandbox` shows why")]
    Ended,
    #[error("the sandbox's answer is not understood: {0}")]
    Answer(String),
}

/// What `kopru sandbox --json` prints when it is ready.
#[derive(Debug, Clone, Deserialize)]
struct Announcement {
    control: String,
    systems: Map<String, Value>,
    /// For each system, what an instance of its connector is configured with.
    settings: Map<String, Value>,
}

#[derive(Debug)]
pub struct SandboxProcess {
    child: Child,
    announcement: Announcement,
}

impl SandboxProcess {
    /// Starts this very program as a sandbox on a free port, and waits until it serves.
    pub async fn start(items: u64, seed: u64, journal: &Path) -> Result<SandboxProcess, SandboxError> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["sandbox", "--json", "--listen", "127.0.0.1:0", "--die-with-parent"])
            .args(["--items", &items.to_string(), "--seed", &seed.to_string(), "--journal"])
            .arg(journal)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let Some(stdout) = child.stdout.take() else { return Err(SandboxError::Ended) };
        let read = async {
            let mut lines = BufReader::new(stdout).lines();
            let mut text = String::new();
            while let Some(line) = lines.next_line().await? {
                text.push_str(&line);
                if let Ok(announcement) = serde_json::from_str::<Announcement>(&text) {
                    return Ok(announcement);
                }
            }
            Err(SandboxError::Ended)
        };
        match tokio::time::timeout(PATIENCE, read).await {
            Ok(announcement) => Ok(SandboxProcess { child, announcement: announcement? }),
            Err(_) => Err(SandboxError::Answer("it did not say where it listens".to_owned())),
        }
    }

    pub fn control(&self) -> &str {
        &self.announcement.control
    }

    /// Base URL by system.
    pub fn addresses(&self) -> &Map<String, Value> {
        &self.announcement.systems
    }

    /// Settings by system, for `[connectors.<system>]`.
    pub fn settings(&self) -> &Map<String, Value> {
        &self.announcement.settings
    }

    /// How many records of each stream a hub that is right ends with, by system.
    pub async fn expected(&self) -> Result<Value, SandboxError> {
        let mut counts = Map::new();
        for kind in self.announcement.systems.keys() {
            counts.insert(kind.clone(), self.state(kind, "expected").await?);
        }
        Ok(Value::Object(counts))
    }

    async fn state(&self, system: &str, kind: &str) -> Result<Value, SandboxError> {
        let answer = |error: String| SandboxError::Answer(error);
        let base = Url::parse(&self.announcement.control).map_err(|error| answer(error.to_string()))?;
        let client = Outbound::new(&base, Policy::default()).map_err(answer)?;
        let call = Call::read(Method::GET, "/state").query("system", system).query("kind", kind);
        let text =
            client.send(call).await.and_then(|got| got.json_text()).map_err(|fault| answer(fault.to_string()))?;
        serde_json::from_slice(&text).map_err(|error| answer(error.to_string()))
    }

    pub async fn stop(mut self) {
        // It keeps what was written to it in its journal; there is nothing to wait for.
        if let Err(error) = self.child.kill().await {
            tracing::warn!(%error, "the sandbox could not be ended");
        }
    }
}
