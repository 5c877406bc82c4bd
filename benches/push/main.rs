//! Pushes over HTTP beside the store's own limit: hub and this program are separate processes on one private PostgreSQL
//! with fsync on. `cargo bench --bench push`.
//!
//! Measured: products by 1,000 a request (first load, changed, unchanged; one caller and two), as cards alone, which is
//! what the limit writes, and as whole products (card, two prices, a stock level); one product at a time; stock by 100 a
//! request in a large table; the peak memory of `kopru serve`.

#[path = "../floor/catalogue.rs"]
#[allow(dead_code)]
mod catalogue;
#[path = "../support/cluster.rs"]
mod cluster;
mod hub;
#[path = "../floor/store.rs"]
#[allow(dead_code)]
mod store;

use std::{error::Error, process::ExitCode, sync::Arc, time::Instant};

use chrono::{DateTime, Utc};
use clap::Parser;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::Executor;

use catalogue::Item;
use hub::{Hub, Sender};
use store::{Page, Store, Work, apply};

type Failure = Box<dyn Error + Send + Sync>;

#[derive(Debug, Parser)]
struct Options {
    /// Products.
    #[arg(long, default_value_t = 50_000)]
    items: i64,
    /// Stock levels in the table before batches of 100 are pushed.
    #[arg(long, default_value_t = 1_000_000)]
    stock_rows: i64,
    /// Requests of each of the two latencies.
    #[arg(long, default_value_t = 500)]
    requests: usize,
    #[arg(long)]
    json: bool,
    /// `cargo bench` passes it.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Products a second.
#[derive(Debug, Default, Serialize)]
struct Rates {
    first_load: u64,
    changed: u64,
    unchanged: u64,
}

#[derive(Debug, Default, Serialize)]
struct Figures {
    items: i64,
    limit: [Rates; 2],
    cards: [Rates; 2],
    whole: [Rates; 2],
    commerce_rows_written_unchanged: i64,
    link_rows_written_unchanged: i64,
    single_p50_ms: f64,
    single_p99_ms: f64,
    stock_rows: i64,
    stock_p50_ms: f64,
    stock_p99_ms: f64,
    peak_rss_kib: u64,
}

#[expect(clippy::disallowed_methods, reason = "a program of its own; the time only fills columns")]
fn now() -> DateTime<Utc> {
    Utc::now()
}

fn rate(rows: i64, seconds: f64) -> u64 {
    (rows as f64 / seconds) as u64
}

/// The best bare statements, on the hub's own server.
async fn limit(url: &str, rows: i64, connections: usize) -> Result<Rates, Box<dyn Error>> {
    let mut store = Store::create(url).await?;
    store.reset().await?;
    let pages = |edition| -> Arc<Vec<Page>> {
        let pages = catalogue::pages(rows, 1_000, edition);
        Arc::new(pages.into_iter().map(|items| Page { body: catalogue::body(&items), items }).collect())
    };
    let (first, second) = (pages(1), pages(2));
    let mut rates = Vec::new();
    for (work, pages) in [
        (Work::Load { links: true, units: false }, &first),
        (Work::Change { links: true }, &second),
        (Work::DropEqual, &second),
    ] {
        let mut open = Vec::new();
        for _ in 0..connections {
            open.push(store.connect().await?);
        }
        let started = Instant::now();
        let tasks: Vec<_> = open
            .into_iter()
            .enumerate()
            .map(|(offset, mut conn)| {
                let pages = Arc::clone(pages);
                tokio::spawn(async move {
                    for page in pages.iter().skip(offset).step_by(connections) {
                        apply(&mut conn, work, page, now()).await?;
                    }
                    Ok::<_, kopru::commerce::CommandError>(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        rates.push(rate(rows, started.elapsed().as_secs_f64()));
        store.settle().await?;
    }
    store.drop().await?;
    Ok(Rates { first_load: rates[0], changed: rates[1], unchanged: rates[2] })
}

/// The same products as the limit writes. `series` tells those of one measurement from those of another.
fn bodies(rows: i64, edition: i64, series: &str, whole: bool) -> Vec<String> {
    let product = |item: &Item| -> Value {
        let mut product = json!({
            "code": format!("{series}{}", item.code), "name": item.name, "sku": format!("{series}{}", item.code),
            "categoryCode": format!("G{}", item.category), "brandCode": format!("M{}", item.brand), "unit": "ADET",
            "taxRate": 20, "isActive": true, "requiresSerialNumber": false, "minimumOrderQuantity": 1,
            "version": item.stamp,
        });
        if whole {
            product["listPrice"] = json!(1000 + edition);
            product["dealerPrice"] = json!(900 + edition);
            product["stockQuantity"] = json!(10 + edition);
        }
        product
    };
    let page = |items: Vec<Item>| json!({ "products": items.iter().map(product).collect::<Vec<_>>() }).to_string();
    catalogue::pages(rows, 1_000, edition).into_iter().map(page).collect()
}

/// The counters of a bulk's answer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    total_count: u64,
    created_count: u64,
    updated_count: u64,
    unchanged_count: u64,
}

impl Counts {
    fn all_are(&self, expected: &str) -> bool {
        let count = match expected {
            "created" => self.created_count,
            "updated" => self.updated_count,
            _ => self.unchanged_count,
        };
        count == self.total_count
    }
}

/// Sends all bodies; caller `n` of `m` takes every m-th. Every product must have become what is `expected`.
async fn push(hub: &Hub, bodies: Vec<String>, callers: usize, rows: i64, expected: &str) -> Result<u64, Failure> {
    let shared = Arc::new(bodies);
    let started = Instant::now();
    let mut tasks = Vec::new();
    for offset in 0..callers {
        let (bodies, sender, expected) = (Arc::clone(&shared), hub.sender()?, expected.to_owned());
        tasks.push(tokio::spawn(async move {
            for body in bodies.iter().skip(offset).step_by(callers) {
                let told = sender.post("products/bulk", body.clone()).await?;
                if !serde_json::from_slice::<Counts>(&told)?.all_are(&expected) {
                    return Err(Failure::from(format!("not all {expected}: {}", String::from_utf8_lossy(&told))));
                }
            }
            Ok(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(rate(rows, started.elapsed().as_secs_f64()))
}

async fn series(hub: &Hub, rows: i64, callers: usize, whole: bool) -> Result<Rates, Box<dyn Error>> {
    let name = format!("{}{callers}-", if whole { "W" } else { "C" });
    let mut rates = Rates::default();
    let first = bodies(rows, 1, &name, whole);
    rates.first_load = push(hub, first, callers, rows, "created").await.map_err(|error| error.to_string())?;
    hub.settle().await?;
    let second = bodies(rows, 2, &name, whole);
    rates.changed = push(hub, second.clone(), callers, rows, "updated").await.map_err(|error| error.to_string())?;
    hub.settle().await?;
    rates.unchanged = push(hub, second, callers, rows, "unchanged").await.map_err(|error| error.to_string())?;
    Ok(rates)
}

/// The p50 and p99 of requests that were timed one by one, in milliseconds.
async fn latency(
    sender: &Sender,
    path: &str,
    requests: usize,
    body: impl Fn(usize) -> String,
) -> Result<(f64, f64), Failure> {
    let mut taken = Vec::with_capacity(requests);
    for number in 0..requests {
        let body = body(number);
        let started = Instant::now();
        sender.post(path, body).await?;
        taken.push(started.elapsed().as_secs_f64() * 1e3);
    }
    taken.sort_by(f64::total_cmp);
    let at = |share: f64| taken.get(((taken.len() as f64 * share) as usize).min(taken.len().saturating_sub(1)));
    Ok((at(0.5).copied().unwrap_or_default(), at(0.99).copied().unwrap_or_default()))
}

/// Products and a stock level for each, as pushes would have made them.
async fn fill_stock(hub: &Hub, rows: i64) -> Result<(), Box<dyn Error>> {
    let mut db = hub.connect().await?;
    db.execute(sqlx::AssertSqlSafe(format!(
        "insert into commerce.warehouse (code, name, created_at, updated_at, created_by, updated_by)
         values ('0', 'Merkez', now(), now(), 'bench', 'bench') on conflict do nothing;
         insert into hub.external_ref (connector, entity, internal_id, external_code)
         select 'logo', 'warehouse', id, '0' from commerce.warehouse where code = '0' on conflict do nothing;
         insert into commerce.product (code, sku, name, slug, created_at, updated_at, created_by, updated_by)
         select 'S' || n, 'S' || n, 'Stok ' || n, 'stok-' || n, now(), now(), 'bench', 'bench'
         from generate_series(1, {rows}) n;
         insert into hub.external_ref (connector, entity, internal_id, external_code, content_hash)
         select 'logo', 'product', id, code, decode(md5(code), 'hex') from commerce.product where code like 'S%';
         insert into commerce.stock_level (product_id, warehouse_id, quantity, created_at, updated_at)
         select p.id, w.id, 5, now(), now() from commerce.product p, commerce.warehouse w
         where p.code like 'S%' and w.code = '0';
         insert into hub.external_ref (connector, entity, internal_id, external_code, content_hash)
         select 'logo', 'stock', s.id, p.code || '|0', decode(md5(p.code), 'hex')
         from commerce.stock_level s join commerce.product p on p.id = s.product_id where p.code like 'S%'"
    )))
    .await?;
    hub.settle().await
}

async fn measure(options: &Options) -> Result<Figures, Box<dyn Error>> {
    let hub = Hub::start().await?;
    let mut figures = Figures { items: options.items, stock_rows: options.stock_rows, ..Figures::default() };
    for (place, connections) in [1, 2].into_iter().enumerate() {
        figures.limit[place] = limit(&hub.server_url(), options.items, connections).await?;
    }
    let sender = hub.sender()?;
    let items = |prefix: &str, count: i64| json!({ "items": (1..=count).map(|n| json!({ "code": format!("{prefix}{n}"), "name": format!("Ad {n}") })).collect::<Vec<_>>() });
    for (path, body) in
        [("categories/bulk", items("G", catalogue::CATEGORIES)), ("brands/bulk", items("M", catalogue::BRANDS))]
    {
        sender.post(path, body.to_string()).await.map_err(|error| error.to_string())?;
    }
    for (place, callers) in [1, 2].into_iter().enumerate() {
        figures.cards[place] = series(&hub, options.items, callers, false).await?;
        hub.settle().await?;
    }
    let before = hub.rows_written().await?;
    let again = bodies(options.items, 2, "C1-", false);
    push(&hub, again, 1, options.items, "unchanged").await.map_err(|error| error.to_string())?;
    let after = hub.rows_written().await?;
    figures.commerce_rows_written_unchanged = after.commerce - before.commerce;
    figures.link_rows_written_unchanged = after.links - before.links;
    for (place, callers) in [1, 2].into_iter().enumerate() {
        figures.whole[place] = series(&hub, options.items, callers, true).await?;
        hub.settle().await?;
    }

    let whole = |number: usize| {
        json!({ "code": format!("ONE{}", number % 100), "name": format!("Ürün {number}"), "sku": format!("ONE{}", number % 100),
                "categoryCode": "G1", "brandCode": "M1", "listPrice": 10 + number, "dealerPrice": 9 + number,
                "stockQuantity": number })
        .to_string()
    };
    latency(&sender, "products", 100, whole).await.map_err(|error| error.to_string())?;
    (figures.single_p50_ms, figures.single_p99_ms) =
        latency(&sender, "products", options.requests, |n| whole(n + 100)).await.map_err(|error| error.to_string())?;

    fill_stock(&hub, options.stock_rows).await?;
    let rows = usize::try_from(options.stock_rows)?.max(1);
    let batch = |number: usize| {
        let level = |n: usize| json!({ "productCode": format!("S{}", (number * 7919 + n * 104_729) % rows + 1), "quantity": number + n });
        json!({ "items": (0..100).map(level).collect::<Vec<_>>() }).to_string()
    };
    latency(&sender, "stock/bulk", 20, batch).await.map_err(|error| error.to_string())?;
    (figures.stock_p50_ms, figures.stock_p99_ms) =
        latency(&sender, "stock/bulk", options.requests, |n| batch(n + 20)).await.map_err(|error| error.to_string())?;
    figures.peak_rss_kib = hub.peak_rss_kib()?;
    hub.stop()?;
    Ok(figures)
}

fn shown(figures: &Figures) -> String {
    let mut text = format!("{} products, 1,000 a request; products a second\n", figures.items);
    text.push_str(&format!("{:<44} {:>11} {:>9} {:>10}\n", "", "first load", "changed", "unchanged"));
    let lines = [
        ("store's own limit, 1 connection", &figures.limit[0]),
        ("store's own limit, 2 connections", &figures.limit[1]),
        ("cards, 1 caller", &figures.cards[0]),
        ("cards, 2 callers", &figures.cards[1]),
        ("whole products (4 records each), 1 caller", &figures.whole[0]),
        ("whole products (4 records each), 2 callers", &figures.whole[1]),
    ];
    for (what, rates) in lines {
        let Rates { first_load, changed, unchanged } = rates;
        text.push_str(&format!("{what:<44} {first_load:>11} {changed:>9} {unchanged:>10}\n"));
    }
    let share = |one: u64, other: u64| one as f64 * 100.0 / other.max(1) as f64;
    let (own, limit) = (&figures.cards[0], &figures.limit[0]);
    text.push_str(&format!(
        "cards, 1 caller, of the limit: first load {:.0} %, changed {:.0} %, unchanged {:.0} %\n\
         rows written by an unchanged reload          {} commerce, {} links\n\
         one whole product, changed                   p50 {:.2} ms, p99 {:.2} ms\n\
         100 stock levels among {:>9}             p50 {:.2} ms, p99 {:.2} ms\n\
         peak memory of kopru serve                   {} KiB\n",
        share(own.first_load, limit.first_load),
        share(own.changed, limit.changed),
        share(own.unchanged, limit.unchanged),
        figures.commerce_rows_written_unchanged,
        figures.link_rows_written_unchanged,
        figures.single_p50_ms,
        figures.single_p99_ms,
        figures.stock_rows,
        figures.stock_p50_ms,
        figures.stock_p99_ms,
        figures.peak_rss_kib,
    ));
    text
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let options = Options::parse();
    match measure(&options).await {
        Ok(figures) if options.json => {
            println!("{}", serde_json::to_string_pretty(&figures).unwrap_or_default());
            ExitCode::SUCCESS
        }
        Ok(figures) => {
            println!("{}", shown(&figures));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("the pushes could not be measured: {error}");
            ExitCode::FAILURE
        }
    }
}
