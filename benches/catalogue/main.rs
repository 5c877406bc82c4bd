//! The catalogue over HTTP beside a floor: a bare axum handler with one query on the same PostgreSQL and the same table. Floor,
//! hub (twice: with nothing kept, and as it comes) and this program, which asks, are separate processes.
//! `cargo bench --bench catalogue`.
//!
//! Measured, in one run: a list of 20 with a dealer's prices (pages by Zipf's law, each asked for by any dealer), one product
//! by its id, a search, the list at 1,000 connections, and the list while prices are written. With `--browse-seconds` 1,000 people
//! browse; with `--grown` the catalogue grows, and list, product and search are measured again.

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
    /// Grows the catalogue to so many products at the end and measures it again: what a page costs must not grow with it.
    #[arg(long)]
    grown: Option<i64>,
    /// How long so many people browse as there are many connections, while prices are written; 0: not at all.
    #[arg(long, default_value_t = 0)]
    browse_seconds: u64,
    /// The longest that somebody who browses looks at an answer.
    #[arg(long, default_value_t = 1_000)]
    think_ms: u64,
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
    browsed: Option<Seen>,
    grown_to: Option<i64>,
    grown: Vec<Line>,
    peak_rss_kib: u64,
}

/// 5,000 pages, as many as 100,000 products have.
fn pages(products: i64) -> usize {
    usize::try_from(products / 20).unwrap_or(1).max(1)
}

/// Who is asked, all on one store.
struct Rivals {
    floor: Daemon,
    uncached: Daemon,
    cached: Daemon,
    tokens: Vec<String>,
}

type Kind = (&'static str, client::Ask, usize, bool);

/// Floor, hub without and hub with a cache are asked the same, one after the other.
async fn compared(
    site: &Site,
    rivals: &Rivals,
    options: &Options,
    products: i64,
    kinds: &[Kind],
) -> Result<Vec<Line>, Box<dyn Error>> {
    let mut lines = Vec::new();
    for (what, ask, connections, written) in kinds.iter().copied() {
        let load = |address: &str, bare: bool| Load {
            address: address.to_owned(),
            tokens: if bare { Vec::new() } else { rivals.tokens.clone() },
            ask,
            pages: pages(products),
            products,
            connections,
            period: Duration::from_secs(options.seconds),
            think: Duration::ZERO,
        };
        let writing = written.then(|| seed::writer(site, products)).transpose()?;
        let floor = load(&rivals.floor.address, true).run().await?;
        let uncached = load(&rivals.uncached.address, false).run().await?;
        let before = rivals.cached.hits().await?;
        let cached = load(&rivals.cached.address, false).run().await?;
        let after = rivals.cached.hits().await?;
        if let Some(writing) = writing {
            writing.abort();
        }
        let asked = (after.0 + after.1) - (before.0 + before.1);
        let hit_rate = (asked > 0.0).then(|| (after.0 - before.0) / asked);
        lines.push(Line { what, floor, uncached, cached, hit_rate });
    }
    Ok(lines)
}

/// So many people who look at lists, products and searches, and at what they see, while prices are written.
async fn browsed(site: &Site, rivals: &Rivals, options: &Options) -> Result<Option<Seen>, Box<dyn Error>> {
    if options.browse_seconds == 0 {
        return Ok(None);
    }
    let writing = seed::writer(site, options.products)?;
    let load = Load {
        address: rivals.cached.address.clone(),
        tokens: rivals.tokens.clone(),
        ask: client::browse_path,
        pages: pages(options.products),
        products: options.products,
        connections: options.many_connections,
        period: Duration::from_secs(options.browse_seconds),
        think: Duration::from_millis(options.think_ms),
    };
    let seen = load.run().await?;
    writing.abort();
    Ok(Some(seen))
}

async fn measure(options: &Options) -> Result<Figures, Box<dyn Error>> {
    let site = Site::start().await?;
    seed::fill(&site, options).await?;
    let rivals = Rivals {
        tokens: seed::tokens(&site, options.dealers).await?,
        floor: site.floor().await?,
        uncached: site.daemon(Some(0)).await?,
        cached: site.daemon(None).await?,
    };
    let (few, many) = (options.connections, options.many_connections);
    let kinds: [Kind; 5] = [
        ("list of 20", client::page_path, few, false),
        ("list of 20, prices written meanwhile", client::page_path, few, true),
        ("list of 20, many connections", client::page_path, many, false),
        ("product by id", client::product_path, few, false),
        ("search", client::search_path, few, false),
    ];
    let lines = compared(&site, &rivals, options, options.products, &kinds).await?;
    let browsed = browsed(&site, &rivals, options).await?;
    let mut grown = Vec::new();
    if let Some(products) = options.grown {
        seed::grow(&site, options.products, products).await?;
        grown = compared(&site, &rivals, options, products, &[kinds[0], kinds[3], kinds[4]]).await?;
    }
    let peak_rss_kib = rivals.cached.peak_rss_kib()?;
    for daemon in [rivals.floor, rivals.uncached, rivals.cached] {
        Daemon::stop(daemon)?;
    }
    site.stop().await?;
    let Options { products, dealers, list_rows, .. } = *options;
    Ok(Figures { products, dealers, list_rows, lines, browsed, grown_to: options.grown, grown, peak_rss_kib })
}

fn told(line: &Line) -> String {
    let of = |seen: &Seen| format!("{} /s p50 {:.1} p99 {:.1}", seen.per_second, seen.p50_ms, seen.p99_ms);
    let share = |seen: &Seen| seen.per_second as f64 * 100.0 / line.floor.per_second.max(1) as f64;
    let hits = line.hit_rate.map_or_else(String::new, |rate| format!(", {:.0} % kept", rate * 100.0));
    format!(
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
    )
}

fn shown(figures: &Figures) -> String {
    let mut text = format!(
        "{} products, {} dealers with price lists of {} rows\n{:<38} {:>22} {:>30} {:>38}\n",
        figures.products, figures.dealers, figures.list_rows, "", "floor", "nothing kept", "as it comes"
    );
    figures.lines.iter().for_each(|line| text.push_str(&told(line)));
    if let Some(products) = figures.grown_to {
        text.push_str(&format!("the same catalogue grown to {products} products\n"));
        figures.grown.iter().for_each(|line| text.push_str(&told(line)));
    }
    if let Some(seen) = &figures.browsed {
        text.push_str(&format!(
            "people who browse                      {} /s p50 {:.1} p95 {:.1} p99 {:.1}, errors {}\n",
            seen.per_second, seen.p50_ms, seen.p95_ms, seen.p99_ms, seen.errors
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
