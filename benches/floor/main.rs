//! The store's own limit: what PostgreSQL does with the same rows in the same tables (page, product, link, outbox
//! event) when nothing stands between, neither HTTP nor mapping nor rules. The hub's speed is read beside this.
//!
//! `cargo bench --bench floor -- --url postgres://…` on a server with fsync on; it makes a database and drops it.

mod catalogue;
mod store;

use std::{process::ExitCode, sync::Arc, time::Instant};

use chrono::{DateTime, Utc};
use clap::Parser;
use kopru::commerce::CommandError;
use store::{Page, Store, Work, apply};

#[derive(Debug, Parser)]
struct Options {
    /// A server and a role that may create databases.
    #[arg(long, env = "DATABASE_URL")]
    url: String,
    #[arg(long, default_value_t = 100_000)]
    rows: i64,
    #[arg(long, default_value_t = 1_000)]
    page: usize,
    /// Connections to measure with, one measurement each.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2])]
    connections: Vec<usize>,
    /// Also without links, and the same through the command that the hub calls: what the rules cost.
    #[arg(long)]
    commands: bool,
    #[arg(long)]
    json: bool,
    /// `cargo bench` passes it.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, serde::Serialize)]
struct Measurement {
    what: &'static str,
    connections: usize,
    rows: i64,
    seconds: f64,
    rows_per_second: u64,
}

#[expect(clippy::disallowed_methods, reason = "a program of its own; the time only fills columns")]
fn now() -> DateTime<Utc> {
    Utc::now()
}

fn pages(options: &Options, edition: i64) -> Arc<Vec<Page>> {
    let pages = catalogue::pages(options.rows, options.page, edition);
    Arc::new(pages.into_iter().map(|items| Page { body: catalogue::body(&items), items }).collect())
}

/// Applies all pages; connection `n` of `m` takes every m-th.
async fn run(
    store: &Store,
    what: &'static str,
    work: Work,
    pages: &Arc<Vec<Page>>,
    connections: usize,
    rows: i64,
) -> Result<Measurement, CommandError> {
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(store.connect().await?);
    }
    let started = Instant::now();
    let mut tasks = Vec::new();
    for (offset, mut conn) in open.into_iter().enumerate() {
        let pages = Arc::clone(pages);
        tasks.push(tokio::spawn(async move {
            for page in pages.iter().skip(offset).step_by(connections) {
                apply(&mut conn, work, page, now()).await?;
            }
            Ok::<_, CommandError>(())
        }));
    }
    for task in tasks {
        task.await.map_err(|error| sqlx::Error::Io(std::io::Error::other(error)))??;
    }
    let seconds = started.elapsed().as_secs_f64();
    Ok(Measurement { what, connections, rows, seconds, rows_per_second: (rows as f64 / seconds) as u64 })
}

async fn measure(options: &Options) -> Result<Vec<Measurement>, CommandError> {
    let mut store = Store::create(&options.url).await?;
    let (first, second) = (pages(options, 1), pages(options, 2));
    let mut results = Vec::new();
    for &connections in &options.connections {
        for series in 0..if options.commands { 3 } else { 1 } {
            store.reset().await?;
            let steps = match series {
                0 => vec![
                    ("first load", Work::Load { links: true, units: false }, &first),
                    ("every row changed", Work::Change { links: true }, &second),
                    ("none changed, every statement run", Work::Change { links: true }, &second),
                    ("none changed, equal hashes dropped", Work::DropEqual, &second),
                ],
                1 => vec![
                    ("no links: first load", Work::Load { links: false, units: false }, &first),
                    ("no links: every row changed", Work::Change { links: false }, &second),
                    ("no links: none changed", Work::Change { links: false }, &second),
                ],
                _ => vec![
                    ("command: first load", Work::Command { is_new: true }, &first),
                    ("command: every row changed", Work::Command { is_new: false }, &second),
                    ("command: none changed", Work::Command { is_new: false }, &second),
                ],
            };
            for (what, work, pages) in steps {
                results.push(run(&store, what, work, pages, connections, options.rows).await?);
                store.settle().await?;
            }
        }
    }
    store.drop().await?;
    Ok(results)
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
            println!("{:<38} {:>11} {:>9} {:>14}", "the store's own limit", "connections", "seconds", "rows a second");
            for it in results {
                println!("{:<38} {:>11} {:>9.2} {:>14}", it.what, it.connections, it.seconds, it.rows_per_second);
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("the floor could not be measured: {error}. Give a server that may create databases with --url.");
            ExitCode::FAILURE
        }
    }
}
