//! Users who order through HTTP, each one order after the other on a connection of their own.

use std::{
    error::Error,
    net::TcpListener,
    process::Child,
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::{Client, StatusCode};
use serde::Serialize;
use serde_json::json;
use sqlx::{PgPool, postgres::PgPoolOptions};

use crate::{
    Failure, Options,
    cluster::{Cluster, interrupt},
    people,
    shop::{self, basket},
};

/// The release binary on a private cluster.
pub struct Hub {
    pub cluster: Cluster,
    serve: Child,
    address: String,
}

#[derive(Debug, Serialize)]
pub struct Seen {
    pub users: usize,
    pub orders: usize,
    pub per_second: u64,
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub longest_ms: f64,
    /// Answers that were no order.
    pub errors: usize,
    /// In the store behind them, which holds as many orders as were answered.
    pub written: i64,
}

impl Hub {
    pub async fn start() -> Result<Hub, Failure> {
        let told = |error: Box<dyn Error>| Failure::from(error.to_string());
        let cluster = Cluster::new("orders").map_err(told)?;
        let address = format!("127.0.0.1:{}", TcpListener::bind("127.0.0.1:0")?.local_addr()?.port());
        let serve = cluster.serve(&address).env("KOPRU__RATE_LIMIT__ENABLED", "false").spawn()?;
        let hub = Hub { cluster, serve, address };
        hub.cluster.ready().await.map_err(told)?;
        Ok(hub)
    }

    /// `options.users` dealers order for `options.seconds`.
    pub async fn load(&self, options: &Options) -> Result<Seen, Failure> {
        let told = |error: Box<dyn Error>| Failure::from(error.to_string());
        let users = options.users;
        let pool = PgPoolOptions::new().max_connections(2).connect(&self.cluster.hub_url()).await?;
        let dealers = Options { dealers: i64::try_from(users)?, ..options.clone() };
        shop::fill(&pool, &dealers).await?;
        shop::reset(&mut *pool.acquire().await?).await?;
        let dir = self.cluster.dir().join("data");
        let sessions = people::sessions(&pool, &dir, dealers.dealers, users).await.map_err(told)?;
        let before = count(&pool).await?;
        let (period, url) =
            (Duration::from_secs(options.seconds), Arc::new(format!("http://{}/api/v1/orders", self.address)));
        let started = Instant::now();
        let mut tasks = Vec::new();
        for (user, token) in sessions.into_iter().map(|session| session.access).enumerate() {
            let (url, products) = (Arc::clone(&url), options.products);
            tasks.push(tokio::spawn(async move {
                let client = Client::builder().tcp_nodelay(true).build()?;
                let (mut taken, mut errors) = (Vec::new(), 0);
                let mut number = user;
                while started.elapsed() < period {
                    let line = |product| json!({ "productId": product, "quantity": 2 });
                    let lines: Vec<_> = basket(products, number).into_iter().map(line).collect();
                    number += users;
                    let asked = Instant::now();
                    let sent =
                        client.post(url.as_str()).bearer_auth(&token).json(&json!({ "lines": lines })).send().await;
                    let status = match sent {
                        Ok(answer) => Some(answer.status()).zip(answer.bytes().await.ok()),
                        Err(_) => None,
                    };
                    match status {
                        Some((StatusCode::CREATED, _)) => taken.push(asked.elapsed().as_secs_f64() * 1e3),
                        _ => errors += 1,
                    }
                }
                Ok::<_, Failure>((taken, errors))
            }));
        }
        let (mut taken, mut errors) = (Vec::new(), 0);
        for task in tasks {
            let (times, refused) = task.await??;
            taken.extend(times);
            errors += refused;
        }
        let seconds = started.elapsed().as_secs_f64();
        taken.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = ((taken.len() as f64 * share) as usize).min(taken.len().saturating_sub(1));
            taken.get(place).copied().unwrap_or_default()
        };
        Ok(Seen {
            users,
            orders: taken.len(),
            per_second: (taken.len() as f64 / seconds) as u64,
            p50_ms: at(0.50),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            longest_ms: at(1.0),
            errors,
            written: count(&pool).await? - before,
        })
    }

    pub fn stop(mut self) -> Result<(), Failure> {
        let told = |error: Box<dyn Error>| Failure::from(error.to_string());
        interrupt(&mut self.serve).map_err(told)?;
        self.cluster.remove().map_err(told)
    }
}

async fn count(pool: &PgPool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("select count(*) from commerce.sales_order").fetch_one(pool).await
}
