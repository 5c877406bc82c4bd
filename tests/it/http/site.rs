//! A served hub with routes that count what they do.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Bytes, routing::post};
use chrono::{DateTime, Utc};
use kopru::{
    audit::Actor,
    clock::Clock,
    commerce::orders::OrderRules,
    http::{
        Answer, Caller, Failure, HttpState, Idempotent, OpenBreaker, Probes, Problem, RateLimits, Server, Settings,
        Stop, Waits,
    },
    identity::api_keys::{self, NewKey},
};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection, PgPool};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::support::{database::TestDatabase, hub::bare_engine, people::people};

pub const BODY_LIMIT: usize = 64 * 1024;
pub const KEY_ROUTE: &str = "/api/integration";

/// How many daemons there are said to be.
struct Alone(usize);

#[async_trait::async_trait]
impl Probes for Alone {
    async fn pending_migrations(&self) -> Result<usize, Failure> {
        Ok(0)
    }

    async fn open_breakers(&self) -> Result<Vec<OpenBreaker>, Failure> {
        Ok(Vec::new())
    }

    async fn live_daemons(&self) -> Result<usize, Failure> {
        Ok(self.0)
    }
}

/// What the routes of the test do.
pub struct Work {
    pub runs: AtomicUsize,
    /// Each effect needs a permit to end.
    pub gate: Semaphore,
}

pub struct Site {
    pub addresses: Vec<SocketAddr>,
    pub clock: Clock,
    pub client: Client,
    pub database: TestDatabase,
    pub work: Arc<Work>,
    shutdown: CancellationToken,
    servers: Vec<JoinHandle<()>>,
}

pub struct Build {
    pub rate_limits: RateLimits,
    pub trusted_proxies: Vec<&'static str>,
    pub daemons: usize,
    pub servers: usize,
    pub gated: bool,
    pub waits: Waits,
}

impl Site {
    pub async fn new() -> Site {
        Site::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Build)) -> Site {
        let mut build = Build {
            rate_limits: RateLimits { enabled: true, per_user: 10_000, per_api_key: 10_000, per_ip: 10_000 },
            trusted_proxies: Vec::new(),
            daemons: 1,
            servers: 1,
            gated: false,
            waits: Waits::default(),
        };
        change(&mut build);
        let database = TestDatabase::new().await;
        let clock = Clock::system();
        let permits = if build.gated { 0 } else { Semaphore::MAX_PERMITS };
        let work = Arc::new(Work { runs: AtomicUsize::new(0), gate: Semaphore::new(permits) });
        sqlx::raw_sql("create table public.effect (id bigint generated always as identity, body text not null)")
            .execute(&database.pool)
            .await
            .expect("a table");
        let shutdown = CancellationToken::new();
        let (mut addresses, mut servers) = (Vec::new(), Vec::new());
        for _ in 0..build.servers {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            addresses.push(listener.local_addr().expect("bound"));
            let state = HttpState {
                engine: bare_engine(&database.pool),
                pool: database.pool.clone(),
                clock: clock.clone(),
                people: people(&database.pool, &clock),
                order_rules: OrderRules::default(),
                settings: Default::default(),
                metrics: kopru::telemetry::metrics(),
                probes: Arc::new(Alone(build.daemons)),
            };
            let settings = Settings {
                body_limit_bytes: BODY_LIMIT,
                drain: Duration::from_secs(5),
                rate_limits: build.rate_limits.clone(),
                trusted_proxies: build.trusted_proxies.iter().map(|text| text.parse().expect("a network")).collect(),
            };
            let server = Server::new(state, settings).waits(build.waits).routes(routes(work.clone()));
            servers.push(tokio::spawn(server.run(listener, shutdown.clone())));
        }
        let client = Client::builder().timeout(Duration::from_secs(60)).no_gzip().build().expect("a client");
        Site { addresses, clock, client, database, work, shutdown, servers }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addresses[0])
    }

    pub fn pool(&self) -> &PgPool {
        &self.database.pool
    }

    pub async fn key(&self) -> String {
        self.key_with(|_| {}).await
    }

    pub async fn key_with(&self, change: impl FnOnce(&mut NewKey)) -> String {
        let mut new = NewKey {
            name: "LOGO pushes".to_owned(),
            instance: "logo".to_owned(),
            scopes: vec!["integration:read".to_owned(), "integration:write".to_owned()],
            allowed_networks: Vec::new(),
            rate_per_minute: None,
            expires_at: None,
        };
        change(&mut new);
        let mut tx = self.pool().begin().await.expect("a transaction");
        let by = Actor::new("cli:test", "test");
        // Long ago, so that a test can make keys that have ended.
        let (_, text) = api_keys::create(&mut tx, by, &new, DateTime::<Utc>::UNIX_EPOCH).await.expect("a key");
        tx.commit().await.expect("committed");
        text.expose().to_owned()
    }

    pub async fn ask(&self, key: &str) -> Response {
        self.client.get(self.url(KEY_ROUTE)).header("x-api-key", key).send().await.expect("an answer")
    }

    pub fn post(&self, path: &str, key: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.client.post(self.url(path)).header("x-api-key", key).body(body)
    }

    pub fn runs(&self) -> usize {
        self.work.runs.load(Ordering::SeqCst)
    }

    pub async fn rows(&self, sql: &str) -> Vec<Value> {
        sqlx::query_scalar(AssertSqlSafe(format!("select to_jsonb(t) from ({sql}) t")))
            .fetch_all(self.pool())
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    pub async fn count(&self, from: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {from}")))
            .fetch_one(self.pool())
            .await
            .unwrap_or_else(|error| panic!("{from}: {error}"))
    }

    /// Ends the servers; what they had counted is written then.
    pub async fn stop(&mut self) {
        self.shutdown.cancel();
        for server in self.servers.drain(..) {
            server.await.expect("the server ends");
        }
    }
}

/// `POST /effects/{name}`: writes the body into a table. A body may ask for a status, or for a fault.
fn routes(work: Arc<Work>) -> Router {
    let effect = async move |caller: Caller, request: Idempotent, body: Bytes| {
        caller.require("integration:write")?;
        let (work, text) = (work, String::from_utf8_lossy(&body).into_owned());
        request.run(&caller.actor(), &body, |tx| Box::pin(write(tx, work.clone(), text.clone()))).await
    };
    let echo = async |body: Bytes| body;
    Router::new().route("/effects/{name}", post(effect)).route("/echo", post(echo))
}

async fn write(tx: &mut PgConnection, work: Arc<Work>, text: String) -> Result<Answer, Stop> {
    let run = work.runs.fetch_add(1, Ordering::SeqCst) + 1;
    let id: i64 = sqlx::query_scalar("insert into public.effect (body) values ($1) returning id")
        .bind(&text)
        .fetch_one(tx)
        .await?;
    work.gate.acquire().await.map_err(Problem::internal)?.forget();
    match text.as_str() {
        "again" if run == 1 => Err(Stop::Again("another writer was faster".into())),
        "refuse" => Err(Problem::bad_request(format!("refused in run {run}")).into()),
        "forbid" => Err(Problem::forbidden("not you").into()),
        "fail" => Err(Problem::internal("a bug").into()),
        _ => Ok(Answer::json(StatusCode::CREATED, &json!({ "id": id, "run": run }))?),
    }
}

pub async fn problem(response: Response, status: u16, code: &str) -> Value {
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let got = response.status().as_u16();
    let problem: Value = response.json().await.expect("JSON");
    assert_eq!((got, problem["code"].as_str()), (status, Some(code)), "{problem}");
    problem
}
