//! A LOGO made by hand, for answers that the sandbox would never give.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Query, Request},
    http::{HeaderMap, Response},
};
use kopru_logo::DESCRIPTOR;
use kopru_sdk::{Connector, Ctx, Cursor, Fault, Page, Pass, PullRequest, Settings};
use serde_json::{Value, json};

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub query: BTreeMap<String, String>,
    pub headers: HeaderMap,
    pub body: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The SQL text of a query call.
    pub fn sql(&self) -> Option<kopru_logo::sql::Query> {
        let text: String = serde_json::from_str(&self.body).ok()?;
        kopru_logo::sql::recognise(&text)
    }
}

#[derive(Clone)]
pub struct Server {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Answers every request by `answer`, which is also told how many requests for that path came before.
    pub async fn start(answer: impl Fn(&Seen, usize) -> Response<Body> + Send + Sync + 'static) -> Server {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::<Seen>::new()));
        let log = Arc::clone(&seen);
        let answer = Arc::new(answer);
        let router = Router::new().fallback(move |request: Request| {
            let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
            async move {
                let (parts, body) = request.into_parts();
                let body: Bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
                let seen = Seen {
                    method: parts.method.to_string(),
                    path: parts.uri.path().to_owned(),
                    query: Query::try_from_uri(&parts.uri).unwrap().0,
                    headers: parts.headers,
                    body: String::from_utf8_lossy(&body).into_owned(),
                };
                let before = {
                    let mut log = log.lock().unwrap();
                    let before = log.iter().filter(|earlier| earlier.path == seen.path).count();
                    log.push(seen.clone());
                    before
                };
                answer(&seen, before)
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Server { address, seen }
    }

    pub fn seen(&self, path: &str) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().filter(|seen| seen.path == path).cloned().collect()
    }

    pub fn connector(&self, extra: Value) -> Arc<dyn Connector> {
        let mut values = json!({
            "base_url": format!("http://{}", self.address), "client_id": "KOPRU", "client_secret": "gizli",
            "username": "KOPRU", "password": "p@rola", "firm": 7, "period": 1, "rate_per_second": 0,
        });
        let extra = extra.as_object().cloned().unwrap_or_default();
        values.as_object_mut().unwrap().extend(extra);
        (DESCRIPTOR.build)(&Settings { instance: "logo".to_owned(), values, dir: "unused".into() }).unwrap()
    }
}

pub const TOKEN: &str = "/api/v1/token";
pub const ITEMS: &str = "/api/v1/items";
pub const QUERIES: &str = "/api/v1/queries/unsafe";

pub fn cx() -> Ctx {
    Ctx { now: "2026-03-02T06:30:00Z".parse().unwrap(), correlation_id: "test".to_owned() }
}

pub async fn pull(connector: &dyn Connector, stream: &str, cursor: Option<&Cursor>) -> Result<Page, Fault> {
    pull_at(connector, stream, cursor, &cx()).await
}

pub async fn pull_at(
    connector: &dyn Connector,
    stream: &str,
    cursor: Option<&Cursor>,
    cx: &Ctx,
) -> Result<Page, Fault> {
    let request = PullRequest { stream, pass: Pass::Full, cursor, first: cursor.is_none(), since: None };
    connector.source().unwrap().pull(cx, request).await
}

pub fn reply(status: u16, content_type: &str, body: impl Into<Body>) -> Response<Body> {
    Response::builder().status(status).header("content-type", content_type).body(body.into()).unwrap()
}

pub fn answer(status: u16, body: &Value) -> Response<Body> {
    reply(status, "application/json; charset=utf-8", body.to_string())
}

/// A token that is good for `seconds`, told apart by `number`.
pub fn token(number: usize, seconds: i64) -> Response<Body> {
    answer(200, &json!({"access_token": format!("token-{number}"), "token_type": "bearer", "expires_in": seconds}))
}

pub fn denied() -> Response<Body> {
    answer(401, &json!({"Message": "Authorization has been denied for this request."}))
}

pub fn no_items() -> Response<Body> {
    answer(200, &json!({"Meta": {}, "items": []}))
}
