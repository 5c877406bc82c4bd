//! A hub that is served, with the built-in mappings, and an integrator who has a key.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use kopru::{
    audit::Actor,
    commerce::orders::OrderRules,
    http::{Failure, HttpState, OpenBreaker, Probes, RateLimits, Server, Settings},
    identity::api_keys::{self, NewKey},
};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::intake;
use crate::support::{
    hub::{ERP, Hub},
    people::people,
};

pub const BODY_LIMIT: usize = 4 * 1024 * 1024;

struct Quiet;

#[async_trait::async_trait]
impl Probes for Quiet {
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

pub struct Site {
    pub hub: Hub,
    pub address: SocketAddr,
    pub client: Client,
    pub key: String,
    shutdown: CancellationToken,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Told {
    pub status: u16,
    pub media_type: String,
    pub body: Value,
}

impl Told {
    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        self.body
    }

    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Value {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{self:?}");
        assert_eq!(self.media_type, "application/problem+json");
        self.body
    }
}

impl Site {
    /// With the category KMR and the brand ACME.
    pub async fn new() -> Site {
        Site::over(intake::hub().await).await
    }

    pub async fn over(hub: Hub) -> Site {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let state = HttpState {
            engine: hub.engine.clone(),
            pool: hub.pool().clone(),
            clock: hub.engine.clock.clone(),
            people: people(hub.pool(), &hub.engine.clock),
            order_rules: OrderRules::default(),
            settings: Default::default(),
            metrics: kopru::telemetry::metrics(),
            probes: Arc::new(Quiet),
        };
        let settings = Settings {
            body_limit_bytes: BODY_LIMIT,
            drain: Duration::from_secs(5),
            rate_limits: RateLimits { enabled: false, per_user: 1, per_api_key: 1, per_ip: 1 },
            trusted_proxies: Vec::new(),
        };
        let shutdown = CancellationToken::new();
        tokio::spawn(Server::new(state, settings).run(listener, shutdown.clone()));
        let client = Client::builder().timeout(Duration::from_secs(60)).build().expect("a client");
        let mut site = Site { hub, address, client, key: String::new(), shutdown };
        site.key = site.key_for(ERP, &["integration:write"]).await;
        intake::catalogue(&site.hub).await;
        site
    }

    /// A record that came with what was pulled: no one pushes warehouses and price lists.
    pub async fn pulled(&self, table: &str, code: &str) {
        self.hub
            .execute(&format!(
                "with made as (
                     insert into commerce.{table} (code, name, created_at, updated_at, created_by, updated_by)
                     values ('{code}', '{code}', now(), now(), 'test', 'test') returning id, code
                 )
                 insert into hub.external_ref (connector, entity, internal_id, external_code)
                 select 'erp', '{table}', id, code from made"
            ))
            .await;
    }

    pub async fn key_for(&self, instance: &str, scopes: &[&str]) -> String {
        let new = NewKey {
            name: "LOGO".to_owned(),
            instance: instance.to_owned(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            allowed_networks: Vec::new(),
            rate_per_minute: None,
            expires_at: None,
        };
        let mut tx = self.hub.pool().begin().await.expect("a transaction");
        let by = Actor::new("cli:test", "test");
        let (_, text) = api_keys::create(&mut tx, by, &new, DateTime::<Utc>::UNIX_EPOCH).await.expect("a key");
        tx.commit().await.expect("committed");
        text.expose().to_owned()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/api/integration/{path}", self.address)
    }

    pub async fn post(&self, path: &str, body: &Value) -> Told {
        self.post_bytes(path, body.to_string()).await
    }

    pub async fn post_bytes(&self, path: &str, body: impl Into<reqwest::Body>) -> Told {
        let request = self.client.post(self.url(path)).header("content-type", "application/json");
        told(request.header("x-api-key", &self.key).body(body).send().await.expect("an answer")).await
    }

    pub async fn get(&self, path: &str) -> Told {
        let request = self.client.get(self.url(path)).header("x-api-key", &self.key);
        told(request.send().await.expect("an answer")).await
    }

    pub async fn delete(&self, path: &str) -> Told {
        let request = self.client.delete(self.url(path)).header("x-api-key", &self.key);
        told(request.send().await.expect("an answer")).await
    }
}

pub async fn told(response: Response) -> Told {
    let status = response.status().as_u16();
    let media_type = response.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.to_owned();
    let text = response.text().await.expect("text");
    let body = serde_json::from_str(&text).unwrap_or_else(|_| json!(text));
    Told { status, media_type, body }
}
