//! The pull of a LOGO catalogue, end to end, beside the store's own limit: sandbox, hub and this program are separate
//! processes on one private PostgreSQL with fsync on. `cargo bench --bench pull`.
//!
//! Measured: the first load and an unchanged complete pass of `items` by SQL pages of 1,000 (HTTP, JSON, mapping,
//! links, command, events), the peak memory of `kopru serve`, and what a bare client needs to fetch, parse and drop the
//! same pages.

#[path = "../floor/catalogue.rs"]
#[allow(dead_code)]
mod catalogue;
mod client;
#[path = "../support/cluster.rs"]
mod cluster;
mod hub;
#[path = "../floor/store.rs"]
#[allow(dead_code)]
mod store;

use std::{error::Error, process::ExitCode, sync::Arc, time::Instant};

use chrono::{DateTime, Utc};
use clap::Parser;
use serde::Serialize;

use hub::Hub;
use store::{Page, Store, Work, apply};

#[derive(Debug, Parser)]
struct Options {
    /// Item cards.
    #[arg(long, default_value_t = 100_000)]
    items: u64,
    /// Also the peak memory with this many item cards (0: leave out).
    #[arg(long, default_value_t = 0)]
    memory_items: u64,
    /// Also the pull by REST pages of 25, with this many item cards (0: leave out).
    #[arg(long, default_value_t = 0)]
    rest_items: u64,
    #[arg(long)]
    json: bool,
    /// `cargo bench` passes it.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Default, Serialize)]
struct Figures {
    items: u64,
    floor_first_load: u64,
    floor_equal_dropped: u64,
    pull_first_load: u64,
    pull_unchanged: u64,
    bare_client: u64,
    commerce_rows_written_unchanged: i64,
    link_rows_written_unchanged: i64,
    peak_rss_kib: u64,
    ready_ms: u64,
    first_load_share: f64,
    unchanged_share: f64,
    memory_items: u64,
    memory_peak_rss_kib: u64,
    rest_items: u64,
    rest_first_load: u64,
}

#[expect(clippy::disallowed_methods, reason = "a program of its own; the time only fills columns")]
fn now() -> DateTime<Utc> {
    Utc::now()
}

fn rate(rows: i64, seconds: f64) -> u64 {
    (rows as f64 / seconds) as u64
}

/// The best bare statements on one connection, on the hub's own server.
async fn floor(url: &str, rows: i64) -> Result<(u64, u64), Box<dyn Error>> {
    let mut store = Store::create(url).await?;
    store.reset().await?;
    let pages: Vec<Page> = catalogue::pages(rows, 1_000, 1)
        .into_iter()
        .map(|items| Page { body: catalogue::body(&items), items })
        .collect();
    let pages = Arc::new(pages);
    let mut rates = Vec::new();
    for work in [Work::Load { links: true, units: true }, Work::DropEqual] {
        let mut conn = store.connect().await?;
        let started = Instant::now();
        for page in pages.iter() {
            apply(&mut conn, work, page, now()).await?;
        }
        rates.push(rate(rows, started.elapsed().as_secs_f64()));
        store.settle().await?;
    }
    store.drop().await?;
    Ok((rates[0], rates[1]))
}

async fn measure(options: &Options) -> Result<Figures, Box<dyn Error>> {
    let mut figures = Figures { items: options.items, ..Figures::default() };
    let hub = Hub::start(options.items, "sql").await?;
    (figures.floor_first_load, figures.floor_equal_dropped) =
        floor(&hub.server_url(), i64::try_from(options.items)?).await?;
    hub.load("group_codes").await?;
    hub.load("brands").await?;
    hub.load("unit_sets").await?;
    hub.settle().await?;

    let first = hub.load("items").await?;
    figures.pull_first_load = rate(first.records, first.seconds);
    hub.settle().await?;

    let before = hub.rows_written().await?;
    let again = hub.load("items").await?;
    let after = hub.rows_written().await?;
    figures.pull_unchanged = rate(again.records, again.seconds);
    figures.commerce_rows_written_unchanged = after.commerce - before.commerce;
    figures.link_rows_written_unchanged = after.links - before.links;
    figures.peak_rss_kib = hub.peak_rss_kib()?;
    let fetched = client::fetch_and_drop(hub.logo_url()).await?;
    figures.bare_client = rate(fetched.records, fetched.seconds);
    figures.ready_ms = hub.restart().await?;
    hub.stop().await?;
    figures.first_load_share = figures.pull_first_load as f64 / figures.floor_first_load as f64;
    figures.unchanged_share = figures.pull_unchanged as f64 / figures.bare_client as f64;

    if options.memory_items > 0 {
        let hub = Hub::start(options.memory_items, "sql").await?;
        for stream in ["group_codes", "brands", "unit_sets", "items", "items"] {
            hub.load(stream).await?;
        }
        figures.memory_items = options.memory_items;
        figures.memory_peak_rss_kib = hub.peak_rss_kib()?;
        hub.stop().await?;
    }
    if options.rest_items > 0 {
        let hub = Hub::start(options.rest_items, "rest").await?;
        for stream in ["group_codes", "brands", "unit_sets"] {
            hub.load(stream).await?;
        }
        let run = hub.load("items").await?;
        figures.rest_items = options.rest_items;
        figures.rest_first_load = rate(run.records, run.seconds);
        hub.stop().await?;
    }
    Ok(figures)
}

fn shown(figures: &Figures) -> String {
    let mut text = format!(
        "{} items, pages of 1,000\n\
         store's own limit, first load (1 connection)   {:>9} rows/s\n\
         pull, first load                               {:>9} rows/s   {:.0} % of the limit\n\
         bare client: fetch, parse, drop                {:>9} rows/s\n\
         pull, unchanged complete pass                  {:>9} rows/s   {:.0} % of the bare client\n\
         rows written by the unchanged pass             {} commerce, {} links\n\
         peak memory of kopru serve                     {:>9} KiB\n\
         start to ready on the existing cluster         {:>9} ms\n",
        figures.items,
        figures.floor_first_load,
        figures.pull_first_load,
        figures.first_load_share * 100.0,
        figures.bare_client,
        figures.pull_unchanged,
        figures.unchanged_share * 100.0,
        figures.commerce_rows_written_unchanged,
        figures.link_rows_written_unchanged,
        figures.peak_rss_kib,
        figures.ready_ms,
    );
    if figures.memory_items > 0 {
        text.push_str(&format!(
            "peak memory with {} items             {:>9} KiB\n",
            figures.memory_items, figures.memory_peak_rss_kib
        ));
    }
    if figures.rest_items > 0 {
        text.push_str(&format!(
            "pull by REST pages of 25, {} items         {:>9} rows/s\n",
            figures.rest_items, figures.rest_first_load
        ));
    }
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
            eprintln!("the pull could not be measured: {error}");
            ExitCode::FAILURE
        }
    }
}
