//! The HTTP shell over real sockets: health, metrics, correlation ids, problems, limits, shutdown.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    routing::{get, post},
};
use chrono::DateTime;
use kopru::{
    clock::Clock,
    commerce::orders::OrderRules,
    http::{Failure, HttpState, OpenBreaker, Probes, Problem, RateLimits, Server, Settings},
};
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::support::{
    database::{TestDatabase, server_url},
    people::people,
};

const BODY_LIMIT: usize = 64 * 1024;

#[derive(Default)]
struct Told {
    pending_migrations: AtomicUsize,
    breaker_open: bool,
}

#[async_trait::async_trait]
impl Probes for Told {
    async fn pending_migrations(&self) -> Result<usize, Failure> {
        Ok(self.pending_migrations.load(Ordering::SeqCst))
    }

    async fn open_breakers(&self) -> Result<Vec<OpenBreaker>, Failure> {
        let since = DateTime::from_timestamp(1_772_200_000, 0).expect("in range");
        Ok(self.breaker_open.then(|| OpenBreaker { connector: "logo".to_owned(), since }).into_iter().collect())
    }
}

/// Handlers that wait until the test lets them go on.
#[derive(Default)]
struct Gate {
    entered: Notify,
    open: Notify,
}

struct Daemon {
    address: SocketAddr,
    ops: SocketAddr,
    shutdown: CancellationToken,
    ended: JoinHandle<()>,
    gate: Arc<Gate>,
    client: Client,
    database: TestDatabase,
}

impl Daemon {
    async fn start() -> Daemon {
        Daemon::start_with(Told::default(), Duration::from_secs(20)).await
    }

    async fn start_with(told: Told, drain: Duration) -> Daemon {
        let database = TestDatabase::new().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let ops = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let (address, ops_address) = (listener.local_addr().expect("bound"), ops.local_addr().expect("bound"));
        let gate = Arc::new(Gate::default());
        let waiting = gate.clone();
        let more = Router::new()
            .route("/echo", post(async |body: String| body))
            .route("/typed", post(async |Json(number): Json<u32>| number.to_string()))
            .route("/panic", get(async || -> String { panic!("on purpose") }))
            .route("/failure", get(async || -> Problem { Problem::internal("password=hunter2") }))
            .route("/long", get(async || "köprü ".repeat(1000)))
            .route(
                "/slow",
                get(async move || {
                    waiting.entered.notify_one();
                    waiting.open.notified().await;
                    "done"
                }),
            );
        let state = HttpState {
            engine: crate::support::hub::bare_engine(&database.pool),
            pool: database.pool.clone(),
            clock: Clock::system(),
            people: people(&database.pool, &Clock::system()),
            order_rules: OrderRules::default(),
            settings: Default::default(),
            metrics: kopru::telemetry::metrics(),
            probes: Arc::new(told),
        };
        let shutdown = CancellationToken::new();
        let settings = Settings {
            body_limit_bytes: BODY_LIMIT,
            drain,
            rate_limits: RateLimits { enabled: true, per_user: 10_000, per_api_key: 500, per_ip: 1000 },
            trusted_proxies: Vec::new(),
        };
        let server = Server::new(state, settings).routes(more).ops(Some(ops));
        let ended = tokio::spawn(server.run(listener, shutdown.clone()));
        let client = Client::builder().timeout(Duration::from_secs(30)).build().expect("a client");
        Daemon { address, ops: ops_address, shutdown, ended, gate, client, database }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn get(&self, path: &str) -> Response {
        self.client.get(self.url(path)).send().await.expect("an answer")
    }

    async fn get_ops(&self, path: &str) -> Response {
        self.client.get(format!("http://{}{path}", self.ops)).send().await.expect("an answer")
    }
}

fn correlation_id(response: &Response) -> String {
    response.headers()["x-correlation-id"].to_str().expect("ASCII").to_owned()
}

async fn problem(response: Response, status: StatusCode, code: &str) -> Value {
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    let id = correlation_id(&response);
    let problem: Value = response.json().await.expect("JSON");
    assert_eq!(problem["code"], code, "{problem}");
    assert_eq!(problem["status"], status.as_u16());
    assert_eq!(problem["correlationId"], id.as_str());
    problem
}

#[tokio::test]
async fn a_healthy_daemon_is_live_and_ready_on_both_listeners() {
    let daemon = Daemon::start().await;
    for response in [
        daemon.get("/health/live").await,
        daemon.get("/health/ready").await,
        daemon.get_ops("/health/live").await,
        daemon.get_ops("/health/ready").await,
    ] {
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["cache-control"], "no-store");
    }
    let ready: Value = daemon.get("/health/ready").await.json().await.expect("JSON");
    assert_eq!(ready, serde_json::json!({ "status": "ready", "openBreakers": [] }));
    problem(daemon.get_ops("/echo").await, StatusCode::NOT_FOUND, "not_found").await;
}

#[tokio::test]
async fn an_open_breaker_degrades_and_keeps_the_daemon_in_service() {
    let told = Told { breaker_open: true, ..Told::default() };
    let daemon = Daemon::start_with(told, Duration::from_secs(5)).await;
    let response = daemon.get("/health/ready").await;
    assert_eq!(response.status(), StatusCode::OK);
    let report: Value = response.json().await.expect("JSON");
    let breaker = serde_json::json!({ "connector": "logo", "since": "2026-02-27T13:46:40Z" });
    assert_eq!(report, serde_json::json!({ "status": "degraded", "openBreakers": [breaker] }));
}

#[tokio::test]
async fn missing_migrations_make_it_unready() {
    let told = Told { pending_migrations: AtomicUsize::new(2), ..Told::default() };
    let daemon = Daemon::start_with(told, Duration::from_secs(5)).await;
    let problem = problem(daemon.get("/health/ready").await, StatusCode::SERVICE_UNAVAILABLE, "not_ready").await;
    assert_eq!(problem["errors"][0]["field"], "migrations");
    assert_eq!(daemon.get("/health/live").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_lost_database_makes_it_unready_but_not_dead() {
    let daemon = Daemon::start().await;
    assert_eq!(daemon.get("/health/ready").await.status(), StatusCode::OK);

    let name = daemon.database.pool.connect_options().get_database().expect("named").to_owned();
    let mut server = PgConnection::connect(&server_url()).await.expect("the test server answers");
    server.execute(AssertSqlSafe(format!("drop database {name} with (force)"))).await.expect("dropped");

    // An answer may be a second old.
    let lost = loop {
        let response = daemon.get("/health/ready").await;
        if response.status() != StatusCode::OK {
            break response;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let problem = problem(lost, StatusCode::SERVICE_UNAVAILABLE, "not_ready").await;
    assert_eq!(problem["errors"][0]["field"], "database");
    assert!(!problem.to_string().contains(&name), "the outside learns no names: {problem}");
    assert_eq!(daemon.get("/health/live").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_busy_pool_is_no_reason_to_be_unready() {
    let daemon = Daemon::start().await;
    let mut held = Vec::new();
    for _ in 0..daemon.database.pool.options().get_max_connections() {
        held.push(daemon.database.pool.acquire().await.expect("a connection"));
    }
    assert_eq!(daemon.get("/health/ready").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn metrics_are_for_this_machine_and_for_the_operations_listener() {
    let daemon = Daemon::start().await;
    daemon.get("/long").await;
    let response = daemon.get("/metrics").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.headers()["content-type"].to_str().expect("ASCII").starts_with("text/plain; version=0.0.4"));
    let text = response.text().await.expect("text");
    assert!(text.contains(r#"kopru_http_requests_total{method="GET",route="/long",status="200"}"#), "{text}");
    assert!(text.contains(r#"kopru_http_request_duration_seconds_bucket{route="/long",le="0.1"}"#), "{text}");
    assert!(text.contains("kopru_build_info{version="), "{text}");

    let forwarded = |url: String| daemon.client.get(url).header("x-forwarded-for", "203.0.113.9").send();
    let proxied = forwarded(daemon.url("/metrics")).await.expect("an answer");
    problem(proxied, StatusCode::FORBIDDEN, "forbidden").await;
    let watched = forwarded(format!("http://{}/metrics", daemon.ops)).await.expect("an answer");
    assert_eq!(watched.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_correlation_id_is_taken_over_when_harmless_and_else_made() {
    let daemon = Daemon::start().await;
    let sent = |id: String| daemon.client.get(daemon.url("/health/live")).header("x-correlation-id", id).send();

    let taken = sent("order-42.retry_1".to_owned()).await.expect("an answer");
    assert_eq!(correlation_id(&taken), "order-42.retry_1");

    for bad in ["two words".to_owned(), "x".repeat(65), String::new()] {
        let made = correlation_id(&sent(bad.clone()).await.expect("an answer"));
        assert_ne!(made, bad);
        assert_eq!(uuid::Uuid::parse_str(&made).expect("a UUID").get_version_num(), 7);
    }
    let (one, two) = (daemon.get("/health/live").await, daemon.get("/health/live").await);
    assert_ne!(correlation_id(&one), correlation_id(&two));
}

#[tokio::test]
async fn errors_are_problem_documents_whoever_refused() {
    let daemon = Daemon::start().await;
    let request = daemon.client.get(daemon.url("/nowhere/%C5%9Feker?q=1")).header("x-correlation-id", "test-1");
    let missing = request.send().await.expect("an answer");
    let missing = problem(missing, StatusCode::NOT_FOUND, "not_found").await;
    // As text: insta's own JSON does not know numbers of arbitrary precision.
    insta::assert_snapshot!(serde_json::to_string_pretty(&missing).expect("JSON"), @r#"
    {
      "code": "not_found",
      "correlationId": "test-1",
      "detail": "there is nothing at this address",
      "errors": [],
      "instance": "/nowhere/%C5%9Feker",
      "status": 404,
      "title": "Not found",
      "type": "urn:kopru:problem:not_found"
    }
    "#);

    let wrong_method = daemon.client.delete(daemon.url("/echo")).send().await.expect("an answer");
    assert_eq!(wrong_method.headers()["allow"], "POST");
    problem(wrong_method, StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed").await;

    let typed = |body: &'static str| {
        daemon.client.post(daemon.url("/typed")).header("content-type", "application/json").body(body).send()
    };
    let garbled = typed("seven").await.expect("an answer");
    problem(garbled, StatusCode::BAD_REQUEST, "bad_request").await;
    let misfit =
        problem(typed(r#""seven""#).await.expect("an answer"), StatusCode::UNPROCESSABLE_ENTITY, "unprocessable");
    assert!(misfit.await["detail"].as_str().expect("text").contains("expected u32"));
    let plain = daemon.client.post(daemon.url("/typed")).body("7").send().await.expect("an answer");
    problem(plain, StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type").await;
}

#[tokio::test]
async fn a_failure_of_ours_shows_the_correlation_id_and_nothing_else() {
    let daemon = Daemon::start().await;
    let panicked = problem(daemon.get("/panic").await, StatusCode::INTERNAL_SERVER_ERROR, "internal").await;
    assert!(!panicked.to_string().contains("on purpose"), "{panicked}");
    let failed = problem(daemon.get("/failure").await, StatusCode::INTERNAL_SERVER_ERROR, "internal").await;
    assert!(!failed.to_string().contains("hunter2"), "{failed}");
    assert_eq!(daemon.get("/health/live").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_body_up_to_the_limit_is_read_and_a_larger_one_refused_with_an_answer_that_arrives() {
    let daemon = Daemon::start().await;
    let post = |body: reqwest::Body| daemon.client.post(daemon.url("/echo")).body(body).send();

    let fits = post("x".repeat(BODY_LIMIT).into()).await.expect("an answer");
    assert_eq!(fits.text().await.expect("text").len(), BODY_LIMIT);

    // Announced in Content-Length, and far more than socket buffers hold: the sender must not see a reset.
    let huge = post("x".repeat(40 * 1024 * 1024).into()).await.expect("an answer, not a broken connection");
    let huge = problem(huge, StatusCode::PAYLOAD_TOO_LARGE, "body_too_large").await;
    assert_eq!(huge["detail"], "a request body may have at most 65536 bytes");

    // Chunked: only reading shows how long it is.
    let chunks = futures::stream::iter((0..400).map(|_| Ok::<_, std::io::Error>("x".repeat(64 * 1024))));
    let unannounced = post(reqwest::Body::wrap_stream(chunks)).await.expect("an answer, not a broken connection");
    problem(unannounced, StatusCode::PAYLOAD_TOO_LARGE, "body_too_large").await;
}

#[tokio::test]
async fn long_answers_are_compressed_for_those_who_can_read_them() {
    let daemon = Daemon::start().await;
    let plain = Client::builder().no_gzip().build().expect("a client");
    let asked = plain.get(daemon.url("/long")).header("accept-encoding", "gzip").send().await.expect("an answer");
    assert_eq!(asked.headers()["content-encoding"], "gzip");
    assert!(asked.bytes().await.expect("bytes").len() < 500);
    let unasked = plain.get(daemon.url("/long")).send().await.expect("an answer");
    assert!(unasked.headers().get("content-encoding").is_none());
}

#[tokio::test]
async fn a_shutdown_finishes_what_is_in_hand_and_is_seen_on_the_operations_listener() {
    let daemon = Daemon::start().await;
    let slow = tokio::spawn(daemon.client.get(daemon.url("/slow")).send());
    daemon.gate.entered.notified().await;

    daemon.shutdown.cancel();
    let leaving = problem(daemon.get_ops("/health/ready").await, StatusCode::SERVICE_UNAVAILABLE, "not_ready").await;
    assert_eq!(leaving["errors"][0]["field"], "shutdown");
    assert_eq!(daemon.get_ops("/health/live").await.status(), StatusCode::OK);

    daemon.gate.open.notify_one();
    let answer = slow.await.expect("no panic").expect("an answer");
    assert_eq!(answer.text().await.expect("text"), "done");
    daemon.ended.await.expect("the server ends by itself");
    assert!(daemon.client.get(format!("http://{}/health/live", daemon.address)).send().await.is_err());
}

#[tokio::test]
async fn a_shutdown_has_an_end_even_when_a_request_has_none() {
    let daemon = Daemon::start_with(Told::default(), Duration::from_millis(100)).await;
    let slow = tokio::spawn(daemon.client.get(daemon.url("/slow")).send());
    daemon.gate.entered.notified().await;
    daemon.shutdown.cancel();
    daemon.ended.await.expect("the server ends");
    assert!(slow.await.expect("no panic").is_err(), "broken off");
}

#[tokio::test]
async fn the_container_s_health_check_tells_alive_from_gone() {
    let daemon = Daemon::start().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/container-health.sh");
    let check = async || {
        let mut bash = tokio::process::Command::new("bash");
        bash.arg(script).env("KOPRU__HTTP__LISTEN", format!("0.0.0.0:{}", daemon.address.port()));
        bash.output().await.expect("bash runs").status.success()
    };
    assert!(check().await);
    daemon.shutdown.cancel();
    daemon.ended.await.expect("the server ends");
    assert!(!check().await);
}
