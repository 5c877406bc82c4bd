//! One connector beside its sandbox.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use kopru_sdk::{
    Connector, Ctx, Cursor, Descriptor, Fault, Page, Pass, PullRequest, Settings,
    outbound::{Call, Method, Outbound, Policy, Timeouts, Tls, Url},
    sandbox::{RunningSandbox, Sandbox, SandboxClock, SandboxOptions},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::profile::Profile;

pub struct Bench {
    pub profile: &'static Profile,
    pub descriptor: &'static Descriptor,
    /// The settings that the sandbox gives out for itself.
    values: Value,
    _sandbox: RunningSandbox,
    control: Outbound,
}

/// Records by what they are known by.
pub type Records = BTreeMap<String, Value>;

impl Bench {
    pub async fn start(profile: &'static Profile) -> Bench {
        let descriptor = kopru_bundle::find(profile.kind).unwrap();
        let switches = (profile.switches)();
        let options = SandboxOptions { items: 300, switches, ..SandboxOptions::default() };
        let system = (descriptor.sandbox)(&options).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sandbox = Sandbox::start(listener, vec![(descriptor.kind, Arc::clone(&system))], None).unwrap();
        let values = system.settings(&sandbox.base_url(descriptor.kind));
        let policy = Policy {
            timeouts: Timeouts {
                connect: Duration::from_secs(5),
                read: Duration::from_secs(30),
                write: Duration::from_secs(30),
            },
            rate_per_second: None,
            max_answer: Policy::MAX_ANSWER,
            tls: Tls::Verify,
        };
        let control = Outbound::new(&Url::parse(&format!("http://{}", sandbox.addr)).unwrap(), policy).unwrap();
        Bench { profile, descriptor, values, _sandbox: sandbox, control }
    }

    /// An instance with these settings on top of the sandbox's own.
    pub fn connector(&self, sets: &[Value]) -> Arc<dyn Connector> {
        (self.descriptor.build)(&self.settings(sets)).unwrap()
    }

    pub fn settings(&self, sets: &[Value]) -> Settings {
        let mut values = self.values.clone();
        for set in sets {
            values.as_object_mut().unwrap().extend(set.as_object().unwrap().clone());
        }
        Settings { instance: self.descriptor.kind.to_owned(), values, dir: PathBuf::from("unused") }
    }

    pub async fn faults(&self, rules: Value) {
        self.put(Method::PUT, "/_sandbox/faults", &rules).await;
    }

    /// One fault on every call, until it is taken back.
    pub async fn fault(&self, name: &str, value: Option<Value>) {
        let mut rule = json!({"match": {"system": self.profile.kind}, "do": name});
        if let Some(value) = value {
            rule["value"] = value;
        }
        self.faults(json!([rule])).await;
    }

    pub async fn change(&self, change: &Value) {
        self.put(Method::POST, "/_sandbox/change", change).await;
    }

    async fn put(&self, method: Method, path: &str, body: &Value) {
        let answer = self.control.send(Call::change(method, path).body(body.to_string())).await.unwrap();
        let text = String::from_utf8_lossy(&answer.body);
        assert!(answer.status.is_success(), "{path} with {body}: {text}");
    }

    /// Runs a pass to its end; `between` runs after each page but the last.
    pub async fn pass(
        &self,
        connector: &dyn Connector,
        stream: &str,
        from: Option<&Cursor>,
        mut between: impl AsyncFnMut(usize),
    ) -> (Records, Cursor) {
        let pass = if from.is_some() { Pass::Incremental } else { Pass::Full };
        let (mut records, mut cursor, mut pages) = (Records::new(), from.cloned(), 0);
        loop {
            let first = pages == 0;
            let page = pull(connector, stream, pass, cursor.as_ref(), first).await.unwrap();
            for record in self.records(&page) {
                records.insert((self.profile.key)(stream, &record), record);
            }
            cursor = Some(page.cursor.clone());
            pages += 1;
            assert!(pages < 10_000, "{stream}: the pass does not end");
            if page.end {
                return (records, page.cursor);
            }
            between(pages).await;
        }
    }

    fn records(&self, page: &Page) -> Vec<Value> {
        let body: Value = serde_json::from_slice(&page.body).unwrap();
        body["items"].as_array().unwrap().clone()
    }
}

/// The stored position goes through text, as in the hub.
pub async fn pull(
    connector: &dyn Connector,
    stream: &str,
    pass: Pass,
    cursor: Option<&Cursor>,
    first: bool,
) -> Result<Page, Fault> {
    let cursor: Option<Cursor> =
        cursor.map(|cursor| serde_json::from_str(&serde_json::to_string(cursor).unwrap()).unwrap());
    let request = PullRequest { stream, pass, cursor: cursor.as_ref(), first, since: None };
    connector.source().unwrap().pull(&cx(), request).await
}

/// The sandbox keeps to the real clock.
pub fn cx() -> Ctx {
    Ctx { now: SandboxClock::default().now(), correlation_id: "conformance".to_owned() }
}
