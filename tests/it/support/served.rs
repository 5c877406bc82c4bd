//! A hub behind a real socket, as people and keys meet it.

use std::{
    net::SocketAddr,
    sync::{Arc, LazyLock},
    time::Duration,
};

use kopru::{
    clock::Clock,
    commerce::orders::OrderRules,
    http::{Catalogue, Failure, HttpState, OpenBreaker, Probes, RateLimits, Server, Settings, Waits},
    identity::{people::People, tokens::KeySource},
    mail::Stored,
    principal::Role,
    seal::Sealer,
};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use sqlx::PgPool;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{hub::Hub, people};

struct Well;

#[async_trait::async_trait]
impl Probes for Well {
    async fn pending_migrations(&self) -> Result<usize, Failure> {
        Ok(0)
    }

    async fn open_breakers(&self) -> Result<Vec<OpenBreaker>, Failure> {
        Ok(Vec::new())
    }

    async fn live_daemons(&self) -> Result<usize, Failure> {
        Ok(1)
    }
}

pub struct Served {
    pub hub: Hub,
    /// The program's clock; tests may advance it.
    pub clock: Clock,
    pub address: SocketAddr,
    pub client: Client,
    sealer: Sealer,
    shutdown: CancellationToken,
    _server: JoinHandle<()>,
}

async fn serve(
    hub: &Hub,
    rate_limits: RateLimits,
    sealer: &Sealer,
    catalogue: Option<Catalogue>,
) -> (SocketAddr, CancellationToken, JoinHandle<()>) {
    let clock = hub.engine.clock.clone();
    // A tenth of a second instead of five: what a test ends is seen to end.
    let fresh = Duration::from_millis(100);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let state = HttpState {
        engine: hub.engine.clone(),
        pool: hub.pool().clone(),
        clock: clock.clone(),
        people: People::remembering(hub.pool().clone(), clock, KeySource::Store, Some(sealer.clone()), fresh),
        order_rules: OrderRules::default(),
        settings: Default::default(),
        metrics: kopru::telemetry::metrics(),
        probes: Arc::new(Well),
    };
    let settings = Settings {
        body_limit_bytes: 1024 * 1024,
        drain: Duration::from_secs(5),
        rate_limits,
        // Tests say where they come from.
        trusted_proxies: vec!["127.0.0.0/8".parse().expect("a network")],
    };
    let shutdown = CancellationToken::new();
    let waits = Waits { fresh_keys: fresh, ..Waits::default() };
    let mut server = Server::new(state, settings).waits(waits);
    if let Some(catalogue) = catalogue {
        server = server.catalogue(catalogue);
    }
    let server = tokio::spawn(server.run(listener, shutdown.clone()));
    (address, shutdown, server)
}

impl Served {
    pub async fn new() -> Served {
        Served::over(Hub::new().await, generous()).await
    }

    pub async fn with_limits(limits: RateLimits) -> Served {
        Served::over(Hub::new().await, limits).await
    }

    pub async fn over(hub: Hub, rate_limits: RateLimits) -> Served {
        let clock = hub.engine.clock.clone();
        let sealer = people::sealer();
        let (address, shutdown, server) = serve(&hub, rate_limits, &sealer, None).await;
        let client = Client::builder().timeout(Duration::from_secs(60)).build().expect("a client");
        Served { hub, clock, address, client, sealer, shutdown, _server: server }
    }

    /// Every mail that was asked for, oldest first, with the secret of its link.
    pub async fn mails(&self) -> Vec<(Stored, String)> {
        let rows: Vec<(Uuid, Value)> =
            sqlx::query_as("select id, payload from hub.delivery where aggregate = 'mail' order by id")
                .fetch_all(self.pool())
                .await
                .expect("deliveries");
        let read = |(id, payload)| {
            let stored: Stored = serde_json::from_value(payload).expect("a mail");
            let token = stored.token(&self.sealer, id).expect("it opens");
            (stored, token)
        };
        rows.into_iter().map(read).collect()
    }

    /// Serves anew, with this catalogue.
    pub async fn serve_catalogue(&mut self, catalogue: Catalogue) {
        self.shutdown.cancel();
        (self.address, self.shutdown, self._server) = serve(&self.hub, generous(), &self.sealer, Some(catalogue)).await;
    }

    /// Another hub on the same database, with this catalogue; it ends with the first.
    pub async fn serve_beside(&self, catalogue: Catalogue) -> SocketAddr {
        let (address, shutdown, server) = serve(&self.hub, generous(), &self.sealer, Some(catalogue)).await;
        let first = self.shutdown.clone();
        tokio::spawn(async move {
            first.cancelled().await;
            shutdown.cancel();
            server.await
        });
        address
    }

    pub fn pool(&self) -> &PgPool {
        self.hub.pool()
    }

    /// The access token of a new user.
    pub async fn token(&self, role: Role, company: Option<i64>) -> String {
        self.hub.token(role, company).await
    }

    /// `path` begins with `/`; an empty token is none.
    pub fn request(&self, method: Method, path: &str, token: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("http://{}{path}", self.address));
        if token.is_empty() { request } else { request.bearer_auth(token) }
    }

    pub async fn get(&self, path: &str, token: &str) -> Response {
        self.request(Method::GET, path, token).send().await.expect("an answer")
    }

    pub async fn send(&self, method: Method, path: &str, token: &str, body: &Value) -> Response {
        self.request(method, path, token).json(body).send().await.expect("an answer")
    }

    pub async fn post(&self, path: &str, token: &str, body: &Value) -> Response {
        self.send(Method::POST, path, token, body).await
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Limits that no test meets by accident.
pub fn generous() -> RateLimits {
    RateLimits { enabled: true, per_user: 100_000, per_api_key: 100_000, per_ip: 100_000 }
}

/// The body of an answer that went well.
#[track_caller]
pub fn json_of(response: Response, status: StatusCode) -> impl Future<Output = Value> {
    let got = response.status();
    async move {
        let text = response.text().await.expect("a body");
        assert_eq!(got, status, "{text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }
}

/// A problem document of this status and code.
pub async fn problem_of(response: Response, status: u16, code: &str) -> Value {
    let got = response.status().as_u16();
    assert!(is_listed(response.url().path(), code), "{}: {code} is not in its x-error-codes", response.url().path());
    let content_type = response.headers().get("content-type").cloned();
    let problem: Value = response.json().await.unwrap_or(Value::Null);
    assert_eq!((got, problem["code"].as_str()), (status, Some(code)), "{problem}");
    assert_eq!(content_type.expect("a type"), "application/problem+json");
    problem
}

/// Whether an operation of this path says that it gives this code. What is no path of the API says nothing.
fn is_listed(path: &str, code: &str) -> bool {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::to_value(kopru::http::document()).expect("JSON"));
    let asked: Vec<&str> = path.split('/').collect();
    let is_asked = |template: &str| {
        let parts: Vec<&str> = template.split('/').collect();
        let fits = |(part, asked): (&&str, &&str)| part.starts_with('{') || part == asked;
        template.starts_with("/api/") && parts.len() == asked.len() && parts.iter().zip(&asked).all(fits)
    };
    let paths = DOCUMENT["paths"].as_object().expect("paths").iter();
    let operations = paths.filter(|(template, _)| is_asked(template)).flat_map(|(_, item)| item.as_object()).flatten();
    let mut known = operations.map(|(_, operation)| &operation["x-error-codes"]).peekable();
    known.peek().is_none()
        || known.any(|codes| codes.as_array().is_some_and(|codes| codes.iter().any(|one| one == code)))
}
