//! The sandbox harness over real sockets, in front of a small system that counts what it did.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{StatusCode, header},
    routing::{get, post},
};
use kopru_sdk::sandbox::{ControlError, Journal, RunningSandbox, Sandbox, SandboxOptions, SandboxSystem, StartError};
use serde_json::{Value, json};
use tokio::net::TcpListener;

#[derive(Default)]
struct Counter {
    writes: AtomicU64,
    shift: AtomicI64,
    expired: AtomicU64,
}

impl SandboxSystem for Counter {
    fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route(
                "/orders",
                post(async |State(counter): State<Arc<Counter>>, body: Bytes| {
                    counter.writes.fetch_add(1, Ordering::SeqCst);
                    Json(json!({"bytes": body.len()}))
                }),
            )
            .route(
                "/name",
                get(async || {
                    ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], "{\"name\":\"İğneli Şişe\"}")
                }),
            )
            .with_state(self)
    }

    fn settings(&self, base_url: &str) -> Value {
        json!({"base_url": base_url})
    }

    fn state(&self, kind: Option<&str>, reference: Option<&str>) -> Value {
        json!({"writes": self.writes.load(Ordering::SeqCst), "kind": kind, "reference": reference})
    }

    fn change(&self, change: &Value) -> Result<Value, ControlError> {
        change.get("items").map(|items| json!({"changed": items})).ok_or_else(|| "nothing to change".to_owned())
    }

    fn expire_tokens(&self) {
        self.expired.fetch_add(1, Ordering::SeqCst);
    }

    fn shift_clock(&self, seconds: i64) {
        self.shift.fetch_add(seconds, Ordering::SeqCst);
    }
}

struct Bench {
    running: RunningSandbox,
    counter: Arc<Counter>,
    http: reqwest::Client,
}

impl Bench {
    async fn new() -> Bench {
        let counter = Arc::new(Counter::default());
        let system: Arc<dyn SandboxSystem> = counter.clone();
        let running = start(vec![("erp", system)], None).await.unwrap();
        Bench { running, counter, http: client() }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.addr)
    }

    async fn faults(&self, rules: Value) {
        let answer = self.http.put(self.url("/_sandbox/faults")).json(&rules).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text().await.unwrap());
    }

    async fn order(&self) -> reqwest::Result<reqwest::Response> {
        self.http.post(self.url("/erp/orders")).body("{\"n\":1}").send().await
    }

    async fn name(&self) -> reqwest::Result<reqwest::Response> {
        self.http.get(self.url("/erp/name")).send().await
    }

    fn writes(&self) -> u64 {
        self.counter.writes.load(Ordering::SeqCst)
    }
}

async fn start(
    systems: Vec<(&'static str, Arc<dyn SandboxSystem>)>,
    file: Option<PathBuf>,
) -> Result<RunningSandbox, StartError> {
    Sandbox::start(TcpListener::bind("127.0.0.1:0").await.unwrap(), systems, file)
}

fn client() -> reqwest::Client {
    // No connection is reused: a cut of one call must not look like a stale connection to the next.
    reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap()
}

/// Polls until it holds; the harness has no signal for what happens behind a cut connection.
async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < Duration::from_secs(60), "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn without_rules_requests_reach_the_system_below_its_prefix() {
    let bench = Bench::new().await;
    let answer: Value = bench.order().await.unwrap().json().await.unwrap();
    assert_eq!(answer, json!({"bytes": 7}));
    assert_eq!(bench.writes(), 1);
    let missing = bench.http.get(bench.url("/mikro/name")).send().await.unwrap();
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert!(missing.text().await.unwrap().contains("erp"));
}

#[tokio::test]
async fn latency_delays_and_the_work_is_done() {
    let bench = Bench::new().await;
    bench.faults(json!([{"match": {"path": "/orders"}, "do": "latency", "value": 150}])).await;
    let begun = Instant::now();
    assert_eq!(bench.order().await.unwrap().status(), StatusCode::OK);
    assert!(begun.elapsed() >= Duration::from_millis(150));
    assert_eq!(bench.writes(), 1);
}

#[tokio::test]
async fn a_caller_that_gives_up_does_not_stop_the_work() {
    let bench = Bench::new().await;
    bench.faults(json!([{"do": "latency", "value": 1000}])).await;
    let hasty = bench.http.post(bench.url("/erp/orders")).timeout(Duration::from_millis(50)).send().await;
    assert!(hasty.unwrap_err().is_timeout());
    assert_eq!(bench.writes(), 0);
    eventually("the work is done", async || bench.writes() == 1).await;
}

#[tokio::test]
async fn status_answers_in_the_systems_place() {
    let bench = Bench::new().await;
    bench
        .faults(json!([
            {"match": {"nth": 1}, "do": "status", "value": 503},
            {"match": {"nth": 2}, "do": "status", "value": {"code": 429, "retryAfter": 7, "body": {"why": "slow"}}},
        ]))
        .await;
    let first = bench.order().await.unwrap();
    assert_eq!(first.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(first.json::<Value>().await.unwrap(), json!({"Message": "Service Unavailable"}));
    let second = bench.order().await.unwrap();
    assert_eq!(second.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(second.headers()[header::RETRY_AFTER], "7");
    assert_eq!(second.json::<Value>().await.unwrap(), json!({"why": "slow"}));
    assert_eq!(bench.order().await.unwrap().status(), StatusCode::OK);
    assert_eq!(bench.writes(), 1);
}

#[tokio::test]
async fn cut_before_does_nothing_and_cut_after_did_it() {
    let bench = Bench::new().await;
    bench.faults(json!([{"match": {"nth": 1}, "do": "cut_before"}, {"match": {"nth": 2}, "do": "cut_after"}])).await;
    assert!(bench.order().await.is_err());
    assert_eq!(bench.writes(), 0);
    assert!(bench.order().await.is_err());
    assert_eq!(bench.writes(), 1);
}

#[tokio::test]
async fn late_commit_cuts_at_once_and_works_later() {
    let bench = Bench::new().await;
    bench.faults(json!([{"do": "late_commit", "value": 2000, "times": 1}])).await;
    let begun = Instant::now();
    assert!(bench.order().await.is_err());
    assert_eq!(bench.writes(), 0);
    eventually("the late work is done", async || bench.writes() == 1).await;
    assert!(begun.elapsed() >= Duration::from_secs(2));
}

#[tokio::test]
async fn hang_accepts_and_never_answers() {
    let bench = Bench::new().await;
    bench.faults(json!([{"do": "hang"}])).await;
    let hung = bench.http.post(bench.url("/erp/orders")).body("x").timeout(Duration::from_millis(200)).send().await;
    assert!(hung.unwrap_err().is_timeout());
    assert_eq!(bench.writes(), 0);
}

#[tokio::test]
async fn truncate_breaks_off_in_the_middle_of_the_promised_length() {
    let bench = Bench::new().await;
    bench.faults(json!([{"do": "truncate"}])).await;
    let mut answer = bench.name().await.unwrap();
    let promised = answer.content_length().unwrap();
    let mut received = 0;
    let broken = loop {
        match answer.chunk().await {
            Ok(Some(chunk)) => received += chunk.len() as u64,
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(broken);
    assert_eq!(received, promised / 2);
}

#[tokio::test]
async fn garbage_and_html_come_with_status_200() {
    let bench = Bench::new().await;
    bench
        .faults(json!([{"match": {"nth": 1}, "do": "garbage", "value": 200_000}, {"match": {"nth": 2}, "do": "html"}]))
        .await;
    let garbage = bench.name().await.unwrap();
    assert_eq!(garbage.status(), StatusCode::OK);
    let bytes = garbage.bytes().await.unwrap();
    assert_eq!(bytes.len(), 200_000);
    assert!(serde_json::from_slice::<Value>(&bytes).is_err());
    let html = bench.name().await.unwrap();
    assert_eq!(html.status(), StatusCode::OK);
    assert!(html.text().await.unwrap().starts_with("<!DOCTYPE html>"));
}

#[tokio::test]
async fn wrong_charset_keeps_the_declaration() {
    let bench = Bench::new().await;
    bench.faults(json!([{"do": "wrong_charset"}])).await;
    let answer = bench.name().await.unwrap();
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/json; charset=utf-8");
    let bytes = answer.bytes().await.unwrap();
    assert_eq!(&bytes[..], b"{\"name\":\"\xDD\xF0neli \xDEi\xFEe\"}");
}

#[tokio::test]
async fn expire_token_tells_the_system_and_goes_on() {
    let bench = Bench::new().await;
    bench.faults(json!([{"match": {"system": "erp", "nth": 2}, "do": "expire_token"}])).await;
    for expired in [0, 1, 1] {
        assert_eq!(bench.name().await.unwrap().status(), StatusCode::OK);
        assert_eq!(bench.counter.expired.load(Ordering::SeqCst), expired);
    }
}

#[tokio::test]
async fn the_control_surface_answers_and_refuses_clearly() {
    let bench = Bench::new().await;
    let http = &bench.http;
    bench.faults(json!([{"match": {"path": "*"}, "do": "hang"}])).await;

    let state = http.get(bench.url("/_sandbox/state?kind=order&reference=X-1")).send().await.unwrap();
    let state: Value = state.json().await.unwrap();
    assert_eq!(state, json!({"writes": 0, "kind": "order", "reference": "X-1"}));

    let refused = http.put(bench.url("/_sandbox/faults")).body("[{\"do\":\"hagn\"}]").send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert!(refused.text().await.unwrap().contains("rule 1, do: `hagn` is none of"));
    let kept: Value = http.get(bench.url("/_sandbox/faults")).send().await.unwrap().json().await.unwrap();
    assert_eq!(kept, json!([{"match": {"path": "*"}, "do": "hang"}]), "a refused list replaces nothing");

    let change = http.post(bench.url("/_sandbox/change")).json(&json!({"items": [1]})).send().await.unwrap();
    assert_eq!(change.json::<Value>().await.unwrap(), json!({"changed": [1]}));
    for (path, body) in [("/change", "{}"), ("/change", "[]"), ("/change", "{"), ("/clock", "{\"shift\": 1}")] {
        let refused = http.post(bench.url(&format!("/_sandbox{path}"))).body(body).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{path} {body}");
        assert!(refused.json::<Value>().await.unwrap()["error"].is_string());
    }

    let clock = http.post(bench.url("/_sandbox/clock")).json(&json!({"shiftSeconds": -90})).send().await.unwrap();
    assert_eq!(clock.status(), StatusCode::OK);
    assert_eq!(bench.counter.shift.load(Ordering::SeqCst), -90);

    let health: Value = http.get(bench.url("/_sandbox/health")).send().await.unwrap().json().await.unwrap();
    assert_eq!(health["status"], "ok");
    assert_eq!(health["systems"], json!(["erp"]));
    assert_eq!(health["faults"], json!([{"seen": 0, "fired": 0}]), "control calls pass no rules");
}

#[tokio::test]
async fn with_several_systems_the_control_surface_wants_a_name() {
    let systems = ["a", "b"].map(|kind| (kind, Arc::new(Counter::default()) as Arc<dyn SandboxSystem>)).to_vec();
    let running = start(systems, None).await.unwrap();
    let (http, base) = (client(), format!("http://{}/_sandbox", running.addr));
    let nameless = http.get(format!("{base}/state")).send().await.unwrap();
    assert_eq!(nameless.status(), StatusCode::BAD_REQUEST);
    assert!(nameless.text().await.unwrap().contains("say which `system`: a, b"));
    let named = http.get(format!("{base}/state?system=b")).send().await.unwrap();
    assert_eq!(named.status(), StatusCode::OK);
    let body = json!({"system": "c", "items": 1});
    let unknown = http.post(format!("{base}/change")).json(&body).send().await.unwrap();
    assert!(unknown.text().await.unwrap().contains("unknown system `c`"));
}

#[tokio::test]
async fn a_faults_file_is_followed_and_a_bad_one_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("faults.json");
    let system = || -> Vec<(&'static str, Arc<dyn SandboxSystem>)> { vec![("erp", Arc::new(Counter::default()))] };

    assert!(matches!(start(system(), Some(file.clone())).await, Err(StartError::FaultsFile { .. })));
    std::fs::write(&file, "[{\"do\": \"explode\"}]").unwrap();
    assert!(matches!(start(system(), Some(file.clone())).await, Err(StartError::BadFaults { .. })));

    std::fs::write(&file, "[{\"do\": \"html\"}]").unwrap();
    let running = start(system(), Some(file.clone())).await.unwrap();
    let (http, addr) = (client(), running.addr);
    let rules = async |http: &reqwest::Client| -> Value {
        http.get(format!("http://{addr}/_sandbox/faults")).send().await.unwrap().json().await.unwrap()
    };
    assert_eq!(rules(&http).await, json!([{"do": "html"}]));
    std::fs::write(&file, "[{\"do\": \"garbage\"}, {\"do\": \"hang\"}]").unwrap();
    eventually("the new rules", async || rules(&http).await == json!([{"do": "garbage"}, {"do": "hang"}])).await;

    std::fs::write(&file, "[{").unwrap();
    eventually("the problem is told", async || {
        let health = http.get(format!("http://{addr}/_sandbox/health")).send().await.unwrap();
        health.json::<Value>().await.unwrap()["faultsFileProblem"].is_string()
    })
    .await;
    assert_eq!(rules(&http).await.as_array().unwrap().len(), 2);

    std::fs::remove_file(&file).unwrap();
    eventually("no rules", async || rules(&http).await == json!([])).await;
}

#[tokio::test]
async fn shutdown_closes_the_port() {
    let bench = Bench::new().await;
    let addr: SocketAddr = bench.running.addr;
    bench.running.shutdown().await;
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
}

#[test]
fn a_journal_is_reread_without_its_torn_last_line() {
    let dir = tempfile::tempdir().unwrap();
    let reread = || {
        let mut entries: Vec<Value> = Vec::new();
        let journal = Journal::open(dir.path(), "erp", |entry| entries.push(entry)).unwrap();
        (journal, entries)
    };
    let (journal, entries) = reread();
    assert!(entries.is_empty());
    journal.append(&json!({"order": 1})).unwrap();
    journal.append(&json!({"order": 2})).unwrap();
    let path = dir.path().join("erp.journal");
    let mut torn = std::fs::read(&path).unwrap();
    torn.extend(b"{\"order\": 3");
    std::fs::write(&path, torn).unwrap();

    let (journal, entries) = reread();
    assert_eq!(entries, [json!({"order": 1}), json!({"order": 2})]);
    journal.append(&json!({"order": 4})).unwrap();
    assert_eq!(reread().1, [json!({"order": 1}), json!({"order": 2}), json!({"order": 4})]);

    std::fs::write(&path, "{\"order\": 1}\nnonsense\n").unwrap();
    let error = Journal::open(dir.path(), "erp", |_: Value| {}).unwrap_err().to_string();
    assert!(error.contains("line 2"), "{error}");
}

#[test]
fn switches_are_read_strictly() {
    #[derive(Debug, Default, serde::Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Switches {
        ceiling: u32,
    }
    let read = |switches: Value| {
        let options = SandboxOptions { switches, ..SandboxOptions::default() };
        options.switches::<Switches>("erp", &["ceiling"]).map(|switches| switches.ceiling)
    };
    assert_eq!(read(Value::Null), Ok(0));
    assert_eq!(read(json!({"other": {}})), Ok(0));
    assert_eq!(read(json!({"erp": {"ceiling": 9}})), Ok(9));
    let unknown = read(json!({"erp": {"celing": 9}})).unwrap_err().to_string();
    assert_eq!(unknown, "celing: unknown key; did you mean `ceiling`?");
    assert!(read(json!({"erp": {"ceiling": "x"}})).is_err());
    assert!(read(json!([])).is_err());
}
