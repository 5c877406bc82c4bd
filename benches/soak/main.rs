//! An hour in the life of a shop: people who browse, people who order, prices that change, all through HTTP, the hub being a process
//! of its own. What is asked: does it stay as quick as it began, and is nothing lost?
//!
//! `cargo bench --bench soak` takes an hour; `-- --seconds 60` shortens it. It ends with 1 when an answer was wrong, when the store
//! does not hold the orders that were answered, or when more was promised than is there.

#[path = "../support/cluster.rs"]
mod cluster;
#[path = "../support/people.rs"]
mod people;
mod shop;
mod users;

use std::{error::Error, net::TcpListener, process::ExitCode, sync::Arc, time::Duration};

use clap::Parser;
use serde::Serialize;
use sqlx::postgres::PgPoolOptions;
use tokio::time::Instant;

use cluster::{Cluster, interrupt, peak_rss_kib};
use users::{Figures, Kind, Plan, Session};

pub type Failure = Box<dyn Error + Send + Sync>;

#[derive(Debug, Clone, Parser)]
pub struct Options {
    /// How long it takes.
    #[arg(long, default_value_t = 3_600)]
    seconds: u64,
    /// People who browse.
    #[arg(long, default_value_t = 1_000)]
    browsing: usize,
    /// People who order.
    #[arg(long, default_value_t = 100)]
    ordering: usize,
    /// The longest that somebody who browses looks at an answer; who orders takes ten times as long.
    #[arg(long, default_value_t = 2_000)]
    think_ms: u64,
    #[arg(long, default_value_t = 100_000)]
    products: i64,
    #[arg(long, default_value_t = 100)]
    dealers: i64,
    #[arg(long)]
    json: bool,
    /// `cargo bench` passes it.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    seconds: u64,
    browsing: usize,
    ordering: usize,
    asked: Vec<Figures>,
    orders_answered: usize,
    orders_written: i64,
    /// Levels that promise more than they have.
    oversold: i64,
    peak_rss_mib: u64,
}

impl Report {
    fn is_good(&self) -> bool {
        let answered = i64::try_from(self.orders_answered).unwrap_or(i64::MAX);
        let all_good = self.asked.iter().all(|figures| figures.errors == 0);
        all_good && self.orders_written == answered && self.oversold == 0
    }
}

fn told(error: Box<dyn Error>) -> Failure {
    Failure::from(error.to_string())
}

async fn soak(options: &Options) -> Result<Report, Failure> {
    let cluster = Cluster::new("soak").map_err(told)?;
    let address = format!("127.0.0.1:{}", TcpListener::bind("127.0.0.1:0")?.local_addr()?.port());
    let mut serve = cluster.serve(&address).env("KOPRU__RATE_LIMIT__ENABLED", "false").spawn()?;
    cluster.ready().await.map_err(told)?;
    let pool = PgPoolOptions::new().max_connections(2).connect(&cluster.hub_url()).await?;
    shop::fill(&pool, options).await?;
    let dir = cluster.dir().join("data");
    let count = options.browsing + options.ordering;
    let sessions = people::sessions(&pool, &dir, options.dealers, count).await.map_err(told)?;
    let period = Duration::from_secs(options.seconds);
    let plan = Arc::new(Plan {
        base: format!("http://{address}"),
        started: Instant::now(),
        period,
        think: Duration::from_millis(options.think_ms),
        products: options.products,
    });
    let writer = shop::writer(pool.clone(), options.products);
    let mut tasks = Vec::new();
    for (number, tokens) in sessions.into_iter().enumerate() {
        let session = Session { access: tokens.access, refresh: tokens.refresh.expose().to_owned() };
        let (plan, orders) = (Arc::clone(&plan), number >= options.browsing);
        tasks.push(tokio::spawn(async move { users::live(&plan, number, session, orders).await }));
    }
    let mut seen = Vec::new();
    for task in tasks {
        seen.extend(task.await??);
    }
    writer.abort();
    let orders_answered = seen.iter().filter(|one| one.kind == Kind::Order && one.is_good).count();
    let report = Report {
        seconds: options.seconds,
        browsing: options.browsing,
        ordering: options.ordering,
        asked: Kind::ALL.iter().map(|kind| Figures::of(*kind, &seen, period)).collect(),
        orders_answered,
        orders_written: sqlx::query_scalar("select count(*) from commerce.sales_order").fetch_one(&pool).await?,
        oversold: sqlx::query_scalar("select count(*) from commerce.stock_level where available < 0")
            .fetch_one(&pool)
            .await?,
        peak_rss_mib: peak_rss_kib(&serve).map_err(told)? / 1024,
    };
    pool.close().await;
    interrupt(&mut serve).map_err(told)?;
    cluster.remove().map_err(told)?;
    Ok(report)
}

fn print(report: &Report) {
    println!("{} s, {} people browse, {} order", report.seconds, report.browsing, report.ordering);
    println!(
        "{:<10} {:>9} {:>9} {:>9} {:>9} {:>7}   p99 by tenths of the time, ms",
        "", "asked", "p50 ms", "p95 ms", "p99 ms", "errors"
    );
    for one in &report.asked {
        let tenths: Vec<String> = one.p99_by_tenths_ms.iter().map(|p99| format!("{p99:.0}")).collect();
        println!(
            "{:<10} {:>9} {:>9.1} {:>9.1} {:>9.1} {:>7}   {}",
            one.what,
            one.asked,
            one.p50_ms,
            one.p95_ms,
            one.p99_ms,
            one.errors,
            tenths.join(" ")
        );
    }
    println!(
        "{} orders answered, {} in the store, {} levels oversold, at most {} MiB",
        report.orders_answered, report.orders_written, report.oversold, report.peak_rss_mib
    );
}

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(soak(&options)) {
        Ok(report) => {
            if options.json {
                println!("{}", serde_json::to_string_pretty(&report).unwrap_or_default());
            } else {
                print(&report);
            }
            if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("the soak broke off: {error}");
            ExitCode::FAILURE
        }
    }
}
