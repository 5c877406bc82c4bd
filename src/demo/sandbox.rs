//! The sandbox as a process of its own, as long as the demo lives.

use std::{
    convert::Infallible,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use kopru_sdk::outbound::{Call, Method, Outbound, Policy, Url};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::Mutex,
};

/// How long it may take to say where it listens.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between its end and its next start.
const PAUSE: Duration = Duration::from_millis(500);

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
    /// Where mails are taken, `127.0.0.1:32025`.
    mail: SocketAddr,
    /// For each system, what an instance of its connector is configured with.
    settings: Map<String, Value>,
}

#[derive(Debug)]
pub struct SandboxProcess {
    /// Held by [`SandboxProcess::keep`] as long as it watches.
    child: Mutex<Child>,
    start: Start,
    announcement: Announcement,
}

/// How it is started, the first time and again.
#[derive(Debug)]
struct Start {
    items: u64,
    seed: u64,
    journal: PathBuf,
}

impl SandboxProcess {
    /// Starts this very program as a sandbox on a free port, and waits until it serves.
    pub async fn start(items: u64, seed: u64, journal: &Path) -> Result<SandboxProcess, SandboxError> {
        let start = Start { items, seed, journal: journal.to_owned() };
        let (child, announcement) = launch(&start, "127.0.0.1:0", "127.0.0.1:0").await?;
        Ok(SandboxProcess { child: Mutex::new(child), start, announcement })
    }

    /// Starts it again whenever it ends, where it was and with what had been written to it: its journal knows. Never
    /// returns by itself.
    pub async fn keep(&self) -> Infallible {
        let mut child = self.child.lock().await;
        loop {
            let ended = child.wait().await;
            // Ctrl-C ends it as well, and us before this is over.
            tokio::time::sleep(PAUSE).await;
            let status = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
            tracing::warn!(status, "the simulated systems ended; they are started again");
            *child = loop {
                match launch(&self.start, self.address(), &self.announcement.mail.to_string()).await {
                    Ok((child, _)) => break child,
                    Err(error) => {
                        tracing::warn!(%error, "the simulated systems cannot be started again yet");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            };
            tracing::info!(
                address = self.address(),
                "the simulated systems are back, with all that was written to them"
            );
        }
    }

    /// Where all of its systems listen.
    fn address(&self) -> &str {
        let control = self.control();
        let rest = control.strip_prefix("http://").unwrap_or(control);
        rest.split('/').next().unwrap_or(rest)
    }

    pub fn control(&self) -> &str {
        &self.announcement.control
    }

    /// Where it takes webhooks, and shows them.
    pub fn hooks(&self) -> String {
        format!("{}/hooks", self.announcement.control)
    }

    /// Base URL by system.
    pub fn addresses(&self) -> &Map<String, Value> {
        &self.announcement.systems
    }

    /// The same with the mail server.
    pub fn addresses_with_mail(&self) -> Map<String, Value> {
        let mut addresses = self.announcement.systems.clone();
        addresses.insert("mail".to_owned(), Value::from(format!("smtp://{}", self.announcement.mail)));
        addresses
    }

    /// For `[mail]`: every key of it.
    pub fn mail_settings(&self) -> Value {
        json!({
            "host": self.announcement.mail.ip().to_string(), "port": self.announcement.mail.port(), "tls": "plain",
            "user": "", "password": "", "from": "Köprü <kopru@example.com>", "timeout_secs": 30,
        })
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

    pub async fn stop(self) {
        // It keeps what was written to it in its journal; there is nothing to wait for.
        if let Err(error) = self.child.into_inner().kill().await {
            tracing::warn!(%error, "the sandbox could not be ended");
        }
    }
}

async fn launch(start: &Start, listen: &str, mail: &str) -> Result<(Child, Announcement), SandboxError> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["sandbox", "--json", "--listen", listen, "--mail-listen", mail, "--die-with-parent"])
        .args(["--items", &start.items.to_string(), "--seed", &start.seed.to_string(), "--journal"])
        .arg(&start.journal)
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
        Ok(announcement) => Ok((child, announcement?)),
        Err(_) => Err(SandboxError::Answer("it did not say where it listens".to_owned())),
    }
}
