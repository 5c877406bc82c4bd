//! What people do, one thing after the other, and how long it took.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use reqwest::{Client, Method, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::Failure;

/// What somebody is known by.
#[derive(Debug)]
pub struct Session {
    pub access: String,
    pub refresh: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    List,
    ByPrice,
    Search,
    Product,
    Order,
}

impl Kind {
    pub const ALL: [Kind; 5] = [Kind::List, Kind::ByPrice, Kind::Search, Kind::Product, Kind::Order];

    const fn what(self) -> &'static str {
        match self {
            Kind::List => "lists",
            Kind::ByPrice => "by price",
            Kind::Search => "searches",
            Kind::Product => "products",
            Kind::Order => "orders",
        }
    }
}

/// One answer.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    pub kind: Kind,
    pub is_good: bool,
    at: Duration,
    took: Duration,
}

#[derive(Debug)]
pub struct Plan {
    pub base: String,
    pub started: Instant,
    pub period: Duration,
    pub think: Duration,
    pub products: i64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    pub what: &'static str,
    pub asked: usize,
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub errors: usize,
    pub p99_by_tenths_ms: Vec<f64>,
}

impl Figures {
    pub fn of(kind: Kind, seen: &[Seen], period: Duration) -> Figures {
        let of_kind: Vec<&Seen> = seen.iter().filter(|one| one.kind == kind).collect();
        let mut taken: Vec<f64> = of_kind.iter().map(|one| millis(one.took)).collect();
        let tenth = |number: u32| {
            let (from, to) = (period * number / 10, period * (number + 1) / 10);
            let mut taken: Vec<f64> =
                of_kind.iter().filter(|one| one.at >= from && one.at < to).map(|one| millis(one.took)).collect();
            at(&mut taken, 0.99)
        };
        Figures {
            what: kind.what(),
            asked: of_kind.len(),
            p50_ms: at(&mut taken, 0.50),
            p95_ms: at(&mut taken, 0.95),
            p99_ms: at(&mut taken, 0.99),
            errors: of_kind.iter().filter(|one| !one.is_good).count(),
            p99_by_tenths_ms: (0..10).map(tenth).collect(),
        }
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn at(taken: &mut [f64], share: f64) -> f64 {
    taken.sort_unstable_by(f64::total_cmp);
    let place = ((taken.len() as f64 * share) as usize).min(taken.len().saturating_sub(1));
    taken.get(place).copied().unwrap_or_default()
}

/// Until the time is over.
pub async fn live(plan: &Plan, number: usize, mut session: Session, orders: bool) -> Result<Vec<Seen>, Failure> {
    /// Tokens are good for a quarter of an hour.
    const FRESH: Duration = Duration::from_secs(600);
    let client = Client::builder().tcp_nodelay(true).timeout(Duration::from_secs(60)).build()?;
    let mut random = StdRng::seed_from_u64(number as u64);
    let longest = if orders { plan.think * 10 } else { plan.think };
    let mut seen = Vec::new();
    // They do not come all at once.
    tokio::time::sleep(random.random_range(Duration::ZERO..=longest)).await;
    let mut signed_in = plan.started;
    while plan.started.elapsed() < plan.period {
        if signed_in.elapsed() > FRESH {
            session = renewed(plan, &client, &session).await?;
            signed_in = Instant::now();
        }
        let kind = if orders { Kind::Order } else { chosen(&mut random) };
        let (method, path, body, expected) = asked(plan, kind, &mut random);
        let asked_at = Instant::now();
        let mut request = client.request(method, format!("{}{path}", plan.base)).bearer_auth(&session.access);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let is_good = match request.send().await {
            Ok(answer) if answer.status() == expected => answer.bytes().await.is_ok(),
            _ => false,
        };
        seen.push(Seen { kind, is_good, at: asked_at - plan.started, took: asked_at.elapsed() });
        tokio::time::sleep(random.random_range(Duration::ZERO..=longest)).await;
    }
    Ok(seen)
}

fn chosen(random: &mut StdRng) -> Kind {
    match random.random_range(0..20) {
        0..9 => Kind::List,
        9..11 => Kind::ByPrice,
        11..13 => Kind::Search,
        _ => Kind::Product,
    }
}

fn asked(plan: &Plan, kind: Kind, random: &mut StdRng) -> (Method, String, Option<Value>, StatusCode) {
    const WORDS: [&str; 5] = ["kamera", "isikli", "kablo%207", "p00001", "guven"];
    let product = |random: &mut StdRng| random.random_range(1..=plan.products);
    let get = |path: String| (Method::GET, path, None, StatusCode::OK);
    match kind {
        Kind::List => get(format!("/api/v1/products?category=G{}", random.random_range(1..=200))),
        Kind::ByPrice => match random.random_range(0..3) {
            0 => get("/api/v1/products?sort=price".to_owned()),
            1 => get("/api/v1/products?sort=-price&inStock=true".to_owned()),
            _ => get(format!("/api/v1/products?sort=price&minPrice={}", random.random_range(10..9_000))),
        },
        Kind::Search => get(format!("/api/v1/products?search={}", WORDS[random.random_range(0..WORDS.len())])),
        Kind::Product => get(format!("/api/v1/products/{}", product(random))),
        Kind::Order => {
            let first = product(random);
            let step = (plan.products / 5).max(1);
            let line = |line| json!({ "productId": (first + line * step) % plan.products + 1, "quantity": 2 });
            let lines: Vec<Value> = (0..5).map(line).collect();
            (Method::POST, "/api/v1/orders".to_owned(), Some(json!({ "lines": lines })), StatusCode::CREATED)
        }
    }
}

async fn renewed(plan: &Plan, client: &Client, session: &Session) -> Result<Session, Failure> {
    let url = format!("{}/api/v1/auth/refresh", plan.base);
    let answer = client.post(url).json(&json!({ "refreshToken": session.refresh })).send().await?;
    let tokens: Value = answer.error_for_status()?.json().await?;
    let text = |name: &str| tokens[name].as_str().map(str::to_owned).ok_or("the answer has no tokens");
    Ok(Session { access: text("accessToken")?, refresh: text("refreshToken")? })
}
