//! The catalogue over HTTP beside a floor: a bare axum handler with one query on the same PostgreSQL and the same table. Floor,
//! hub (twice: with nothing kept, and as it comes) and this program, which asks, are separate processes.
//! `cargo bench --bench catalogue`.
//!
//! Measured, in one run: a list of 20 with a dealer's prices (pages by Zipf's law, each asked for by any dealer), one product
//! by its id, a search, the list at 1,000 connections, and the list while prices are written.

mod client;
mod floor;
mod hub;
mod seed;

use std::{error::Error, process::ExitCode, time::Duration};

use clap::Parser;
use serde::Serialize;

use client::{Load, Seen};
use hub::{Daemon, Site};

#[derive(Debug, Parser)]
struct Options {
    /// Products; also the pages of 20 that are asked for.
    #[arg(long, default_value_t = 100_000)]
    products: i64,
    /// Dealers, each with a price list of their own.
    #[arg(long, default_value_t = 100)]
    dealers: i64,
    /// Rows of each price list.
    #[arg(long, default_value_t = 10_000)]
    list_rows: i64,
    #[arg(long, default_value_t = 32)]
    connections: usize,
    #[arg(long, default_value_t = 1_000)]
    many_connections: usize,
    /// Of each measurement.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    #[arg(long)]
    json: bool,
    /// Serves the floor on this address, of the database in `--url`: what this program starts beside the hub.
    #[arg(long, hide = true)]
    floor: Option<String>,
    #[arg(long, hide = true)]
    url: Option<String>,
    /// `cargo bench` passes it.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Serialize)]
struct Line {
    what: &'static str,
    floor: Seen,
    uncached: Seen,
    cached: Seen,
    /// Answers that were kept, of all.
    hit_rate: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Figures {
    products: i64,
    dealers: i64,
    list_rows: i64,
    lines: Vec<Line>,
    peak_rss_kib: u64,
}

/// 5,000 pages, as many as 100,000 products have.
fn pages(products: i64) -> usize {
    usize::try_from(products / 20).unwrap_or(1).max(1)
}

async fn measure(options: &Options) -> Result<Figures, Box<dyn Error>> {
    let site = Site::start().await?;
    seed::fill(&site, options).await?;
    let tokens = seed::tokens(&site, options.dealers).await?;
    let floor = site.floor().await?;
    let uncached = site.daemon(0).await?;
    let cached = site.daemon(64).await?;
    let pages = pages(options.products);
    let period = Duration::from_secs(options.seconds);
    let mut lines = Vec::new();
    let kinds: [(&'static str, client::Ask, usize, bool); 5] = [
        ("list of 20", client::page_path, options.connections, false),
        ("list of 20, prices written meanwhile", client::page_path, options.connections, true),
        ("list of 20, many connections", client::page_path, options.many_connections, false),
        ("product by id", client::product_path, options.connections, false),
        ("search", client::search_path, options.connections, false),
    ];
    for (what, ask, connections, written) in kinds {
        let load = |address: &str, bare: bool| Load {
            address: address.to_owned(),
            tokens: if bare { Vec::new() } else { tokens.clone() },
            ask,
            pages,
            products: options.products,
            connections,
            period,
        };
        let writing = written.then(|| seed::writer(&site, options.products)).transpose()?;
        let on_floor = load(&floor.address, true).run().await?;
        let plain = load(&uncached.address, false).run().await?;
        let before = cached.hits().await?;
        let kept = load(&cached.address, false).run().await?;
        let after = cached.hits().await?;
        if let Some(writing) = writing {
            writing.abort();
        }
        let asked = (after.0 + after.1) - (before.0 + before.1);
        let hit_rate = (asked > 0.0).then(|| (after.0 - before.0) / asked);
        lines.push(Line { what, floor: on_floor, uncached: plain, cached: kept, hit_rate });
    }
    let peak_rss_kib = cached.peak_rss_kib()?;
    for daemon in [floor, uncached, cached] {
        Daemon::stop(daemon)?;
    }
    site.stop().await?;
    let Options { products, dealers, list_rows, .. } = *options;
    Ok(Figures { products, dealers, list_rows, lines, peak_rss_kib })
}

fn shown(figures: &Figures) -> String {
    let mut text = format!(
        "{} products, {} dealers with price lists of {} rows\n{:<38} {:>22} {:>30} {:>38}\n",
        figures.products, figures.dealers, figures.list_rows, "", "floor", "nothing kept", "as it comes"
    );
    let of = |seen: &Seen| format!("{} /s p50 {:.1} p99 {:.1}", seen.per_second, seen.p50_ms, seen.p99_ms);
    for line in &figures.lines {
        let share = |seen: &Seen| seen.per_second as f64 * 100.0 / line.floor.per_second.max(1) as f64;
        let hits = line.hit_rate.map_or_else(String::new, |rate| format!(", {:.0} % kept", rate * 100.0));
        text.push_str(&format!(
            "{:<38} {:>22} | {}, {:.0} % | {}, {:.0} %{hits} | errors {} {} {}\n",
            line.what,
            of(&line.floor),
            of(&line.uncached),
            share(&line.uncached),
            of(&line.cached),
            share(&line.cached),
            line.floor.errors,
            line.uncached.errors,
            line.cached.errors,
        ));
    }
    text.push_str(&format!("peak memory of kopru serve               {} KiB\n", figures.peak_rss_kib));
    text
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let options = Options::parse();
    let done = match (&options.floor, &options.url) {
        (Some(address), Some(url)) => floor::serve(address, url).await.map(|()| String::new()),
        _ => measure(&options).await.map(|figures| match options.json {
            true => serde_json::to_string_pretty(&figures).unwrap_or_default(),
            false => shown(&figures),
        }),
    };
    match done {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("the catalogue could not be measured: {error}");
            ExitCode::FAILURE
        }
    }
}
