//! Placements of orders of five lines, beside what PostgreSQL does with the same rows in one transaction.
//!
//! - *floor*: five prices read, five guarded rows of stock, order, five lines, history, events; prepared statements over
//!   sets, nothing checked, nothing computed.
//! - *placed*: the command that the API calls, each order in a transaction of its own: customer, goods and prices are read
//!   again, the dealer's account is asked, stock is chosen and reserved, totals are reckoned, the order is audited.
//!
//! - *load*: users who order through HTTP all at once, hub and this program being processes of their own.
//!
//! `cargo bench --bench orders` runs on a private cluster with fsync on; `--url postgres://…` measures floor and placements on
//! another server, in a database that is made for it and dropped.

#[path = "../support/cluster.rs"]
mod cluster;
mod floor;
mod load;
#[path = "../support/people.rs"]
mod people;
mod shop;

use std::{process::ExitCode, sync::Arc, time::Instant};

use clap::Parser;
use load::{Hub, Seen};
use shop::Shop;

/// Lines of each order.
pub const LINES: usize = 5;

#[derive(Debug, Clone, Parser)]
pub struct Options {
    /// A server and a role that may create databases; without it a private cluster is made.
    #[arg(long)]
    url: Option<String>,
    #[arg(long, default_value_t = 10_000)]
    orders: usize,
    #[arg(long, default_value_t = 10_000)]
    products: i64,
    #[arg(long, default_value_t = 100)]
    dealers: i64,
    /// Dealers have a credit limit: their row is locked while an order of theirs is placed.
    #[arg(long)]
    limits: bool,
    /// Connections to measure with, one measurement each.
    #[arg(long, value_delimiter = ',', default_values_t = [4, 16])]
    connections: Vec<usize>,
    /// Users who order through HTTP at once; 0: none.
    #[arg(long, default_value_t = 100)]
    users: usize,
    /// How long they do.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    #[arg(long)]
    json: bool,
    /// `cargo bench` passes it.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy)]
enum Work {
    Floor,
    Placed,
}

#[derive(Debug, serde::Serialize)]
struct Figures {
    placements: Vec<Measurement>,
    load: Option<Seen>,
}

#[derive(Debug, serde::Serialize)]
struct Measurement {
    what: &'static str,
    connections: usize,
    orders: usize,
    seconds: f64,
    orders_per_second: u64,
    p50_ms: f64,
    p99_ms: f64,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn run(shop: &Arc<Shop>, work: Work, connections: usize, orders: usize) -> Result<Measurement, Failure> {
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(shop.connect().await?);
    }
    let started = Instant::now();
    let mut tasks = Vec::new();
    for (offset, mut conn) in open.into_iter().enumerate() {
        let shop = Arc::clone(shop);
        tasks.push(tokio::spawn(async move {
            let mut took = Vec::new();
            for number in (offset..orders).step_by(connections) {
                let began = Instant::now();
                match work {
                    Work::Floor => floor::write(&mut conn, &shop, number).await?,
                    Work::Placed => shop.place(&mut conn, number).await?,
                }
                took.push(began.elapsed().as_secs_f64() * 1_000.0);
            }
            Ok::<_, Failure>(took)
        }));
    }
    let mut took = Vec::with_capacity(orders);
    for task in tasks {
        took.extend(task.await??);
    }
    let seconds = started.elapsed().as_secs_f64();
    took.sort_by(f64::total_cmp);
    let at = |share: f64| took.get((took.len() as f64 * share) as usize).copied().unwrap_or_default();
    Ok(Measurement {
        what: match work {
            Work::Floor => "floor: the same rows in one transaction",
            Work::Placed => "placed",
        },
        connections,
        orders,
        seconds,
        orders_per_second: (orders as f64 / seconds) as u64,
        p50_ms: at(0.50),
        p99_ms: at(0.99),
    })
}

async fn placements(url: &str, options: &Options) -> Result<Vec<Measurement>, Failure> {
    let shop = Arc::new(Shop::create(url, options).await?);
    let mut results = Vec::new();
    for &connections in &options.connections {
        for work in [Work::Floor, Work::Placed] {
            shop.reset().await?;
            results.push(run(&shop, work, connections, options.orders).await?);
        }
    }
    shop.remove().await?;
    Ok(results)
}

async fn measure(options: &Options) -> Result<Figures, Failure> {
    if let Some(url) = &options.url {
        return Ok(Figures { placements: placements(url, options).await?, load: None });
    }
    let hub = Hub::start().await?;
    let placements = placements(&hub.cluster.server_url(), options).await?;
    let load = if options.users > 0 { Some(hub.load(options).await?) } else { None };
    hub.stop()?;
    Ok(Figures { placements, load })
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let options = Options::parse();
    match measure(&options).await {
        Ok(results) if options.json => {
            println!("{}", serde_json::to_string_pretty(&results).unwrap_or_default());
            ExitCode::SUCCESS
        }
        Ok(results) => {
            println!(
                "{:<42} {:>11} {:>9} {:>10} {:>9} {:>9}",
                "orders of 5 lines", "connections", "seconds", "a second", "p50 ms", "p99 ms"
            );
            for it in results.placements {
                println!(
                    "{:<42} {:>11} {:>9.2} {:>10} {:>9.2} {:>9.2}",
                    it.what, it.connections, it.seconds, it.orders_per_second, it.p50_ms, it.p99_ms
                );
            }
            if let Some(Seen { users, orders, per_second, p50_ms, p95_ms, p99_ms, longest_ms, errors, written }) =
                results.load
            {
                println!(
                    "{users} users through HTTP: {orders} orders, {per_second} a second, p50 {p50_ms:.1} ms, p95 {p95_ms:.1} ms, \
                     p99 {p99_ms:.1} ms, longest {longest_ms:.1} ms, {errors} errors, {written} orders written"
                );
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("orders could not be measured: {error}");
            ExitCode::FAILURE
        }
    }
}
