//! The simulated LOGO in its own process, and its switches.

use std::{net::SocketAddr, time::Duration};

use reqwest::Client;
use serde_json::{Map, Value, json};

use super::process::Process;
use crate::support::kopru::Kopru;

pub struct Sandbox {
    process: Process,
    pub base: String,
    /// Where it takes mails.
    pub mail: SocketAddr,
    /// What an instance of the connector is configured with.
    pub settings: Map<String, Value>,
    client: Client,
    start: Vec<String>,
}

impl Sandbox {
    pub async fn start(kopru: &Kopru, items: u64, switches: Value) -> Sandbox {
        let journal = kopru.path().join("sandbox").display().to_string();
        let (items, switches) = (items.to_string(), json!({"logo": switches}).to_string());
        let start = ["sandbox", "--json", "--items", &items, "--journal", &journal, "--switches", &switches];
        let start = start.map(str::to_owned).to_vec();
        let (process, told) = launch(kopru, &start, "127.0.0.1:0").await;
        let control = told["control"].as_str().expect("its address");
        let base = control.strip_suffix("/_sandbox").expect("the control address").to_owned();
        let settings = told["settings"]["logo"].as_object().expect("the settings for LOGO").clone();
        let mail = told["mail"].as_str().and_then(|mail| mail.parse().ok()).expect("where it takes mails");
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().expect("a client");
        Sandbox { process, base, mail, settings, client, start }
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again where it was.
    pub async fn restart(&mut self, kopru: &Kopru) {
        let address = self.base.strip_prefix("http://").expect("an address").to_owned();
        self.process = launch(kopru, &self.start, &address).await.0;
    }

    async fn control(&self, request: reqwest::RequestBuilder) -> Value {
        let answer = request.send().await.expect("the sandbox answers");
        let status = answer.status();
        let text = answer.text().await.expect("a body");
        assert!(status.is_success(), "the sandbox refused: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    pub async fn faults(&self, rules: Value) {
        self.control(self.client.put(format!("{}/_sandbox/faults", self.base)).body(rules.to_string())).await;
    }

    /// How often each of the rules in force has fired.
    pub async fn fired(&self) -> Vec<u64> {
        let health = self.control(self.client.get(format!("{}/_sandbox/health", self.base))).await;
        let rules = health["faults"].as_array().expect("a list");
        rules.iter().map(|rule| rule["fired"].as_u64().expect("a number")).collect()
    }

    /// How many requests its systems took so far.
    pub async fn requests(&self) -> u64 {
        let health = self.control(self.client.get(format!("{}/_sandbox/health", self.base))).await;
        health["requests"]["logo"].as_u64().expect("a number")
    }

    /// What the firm's own people do.
    pub async fn change(&self, change: Value) -> Value {
        self.control(self.client.post(format!("{}/_sandbox/change", self.base)).body(change.to_string())).await
    }

    pub async fn shift_clock(&self, seconds: i64) {
        let body = json!({"shiftSeconds": seconds}).to_string();
        self.control(self.client.post(format!("{}/_sandbox/clock", self.base)).body(body)).await;
    }

    pub async fn state(&self, kind: &str, reference: &str) -> Value {
        let query = [("kind", kind), ("reference", reference)];
        self.control(self.client.get(format!("{}/_sandbox/state", self.base)).query(&query)).await
    }

    /// The mails that it took.
    pub async fn mails(&self) -> Vec<Value> {
        let told = self.control(self.client.get(format!("{}/_sandbox/mails", self.base))).await;
        told["items"].as_array().expect("a list").clone()
    }

    /// How many records of a stream a hub that is right ends with.
    pub async fn expected(&self, stream: &str) -> i64 {
        self.state("expected", "").await["streams"][stream].as_i64().expect("a count")
    }
}

async fn launch(kopru: &Kopru, start: &[String], address: &str) -> (Process, Value) {
    let arguments: Vec<&str> =
        start.iter().map(String::as_str).chain(["--listen", address, "--die-with-parent"]).collect();
    let mut process = Process::start(kopru.command(&arguments), kopru.path(), "sandbox");
    let told =
        process.shows("saying where it listens", |process| serde_json::from_str::<Value>(&process.output()).ok()).await;
    (process, told)
}
