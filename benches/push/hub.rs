//! The hub under measurement: the release binary with a private cluster, a process of its own, and a key for it.

use std::{
    error::Error,
    net::TcpListener,
    ops::Deref,
    process::{Child, Command},
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde_json::Value;

use crate::cluster::{Cluster, KOPRU, interrupt, peak_rss_kib};

pub struct Hub {
    cluster: Cluster,
    serve: Child,
    address: String,
    key: String,
}

impl Deref for Hub {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

/// One who pushes, on a connection of its own.
#[derive(Clone)]
pub struct Sender {
    client: reqwest::Client,
    base: String,
    key: String,
}

impl Sender {
    /// The answer as it came: who sends has it, and what is done with it is no work of the hub.
    pub async fn post(&self, path: &str, body: String) -> Result<Bytes, Box<dyn Error + Send + Sync>> {
        let request = self.client.post(format!("{}/{path}", self.base)).header("x-api-key", &self.key);
        let answer = request.header("content-type", "application/json").body(body).send().await?;
        let status = answer.status();
        let told = answer.bytes().await?;
        if status.is_success() { Ok(told) } else { Err(format!("{path}: {}", String::from_utf8_lossy(&told)).into()) }
    }
}

/// The system that pushes is configured as one that nobody calls.
const KIND: (&str, &str) = ("KOPRU__CONNECTORS__LOGO__KIND", "push");

impl Hub {
    pub async fn start() -> Result<Hub, Box<dyn Error>> {
        let cluster = Cluster::new("push")?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let serve = cluster.serve(&address).env("KOPRU__RATE_LIMIT__ENABLED", "false").env(KIND.0, KIND.1).spawn()?;
        let mut hub = Hub { cluster, serve, address, key: String::new() };
        hub.answers().await?;
        let arguments = ["api-key", "create", "--name", "bench", "--instance", "logo", "--scope", "integration:write"];
        let made =
            Command::new(KOPRU).current_dir(hub.dir()).env(KIND.0, KIND.1).args(arguments).arg("--json").output()?;
        let made: Value = serde_json::from_slice(&made.stdout)?;
        hub.key = made["key"].as_str().ok_or("no key")?.to_owned();
        Ok(hub)
    }

    async fn answers(&self) -> Result<(), Box<dyn Error>> {
        let until = Instant::now() + Duration::from_secs(60);
        let url = format!("http://{}/health/ready", self.address);
        let client = reqwest::Client::builder().build()?;
        while Instant::now() < until {
            if client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err("the hub did not become ready".into())
    }

    pub fn sender(&self) -> Result<Sender, reqwest::Error> {
        let base = format!("http://{}/api/integration", self.address);
        Ok(Sender { client: reqwest::Client::builder().build()?, base, key: self.key.clone() })
    }

    pub fn peak_rss_kib(&self) -> Result<u64, Box<dyn Error>> {
        peak_rss_kib(&self.serve)
    }

    pub fn stop(mut self) -> Result<(), Box<dyn Error>> {
        interrupt(&mut self.serve)?;
        self.cluster.remove()
    }
}
