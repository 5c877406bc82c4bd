//! Webhooks out: how soon an event is at a receiver, and how many a second are delivered, beside a bare queue.
//!
//! - *idle*: events one by one into a hub that sleeps; from the commit of the event to the first byte at the receiver.
//! - *bare queue*: claim, commit, complete, commit, with the same batch size and workers on the same server; a finished job moves
//!   to a table of its own. Nothing is signed, called or told.
//! - *delivered*: the hub, a process of its own, from events that wait to be routed to finished deliveries; each signed, posted to
//!   a receiver on this machine, its attempt stored.
//!
//! - *steady* (`--steady-seconds 600`): `--rate` events a second beside an open snapshot, by tenths of the time.
//!
//! `cargo bench --bench deliveries -- --history 5000000` puts so many finished deliveries before it first.

#[path = "../support/cluster.rs"]
mod cluster;
mod floor;
mod hub;
mod receiver;
mod steady;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use hub::Hub;
use receiver::Receiver;

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, Parser)]
struct Options {
    /// Deliveries to measure with.
    #[arg(long, default_value_t = 50_000)]
    deliveries: i64,
    /// Finished deliveries, each with its attempt, that lie in history before.
    #[arg(long, default_value_t = 0)]
    history: i64,
    /// Events of the idle measurement.
    #[arg(long, default_value_t = 200)]
    idle: usize,
    /// Workers of the bare queue.
    #[arg(long, default_value_t = 8)]
    workers: usize,
    /// Calls of the hub at a time.
    #[arg(long, default_value_t = 64)]
    at_once: usize,
    /// Jobs that a worker of the bare queue claims and completes at a time.
    #[arg(long, default_value_t = 1)]
    batch: i64,
    /// For so long events come at `--rate` beside an open snapshot, afterwards; 0: not at all.
    #[arg(long, default_value_t = 0)]
    steady_seconds: u32,
    /// Events a second of that.
    #[arg(long, default_value_t = 1_000)]
    rate: u32,
    #[arg(long)]
    json: bool,
    /// `cargo bench` passes it.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, serde::Serialize)]
struct Report {
    history: i64,
    workers: usize,
    batch: i64,
    idle_p50_ms: f64,
    idle_p99_ms: f64,
    bare_per_second: u64,
    delivered_per_second: u64,
    share_of_bare: f64,
    steady: Vec<steady::Tenth>,
}

async fn measure(options: &Options) -> Result<Report, Failure> {
    let receiver = Receiver::start().await?;
    let mut hub = Hub::start(options.at_once, &receiver.url()).await?;
    let outcome = work(options, &hub, &receiver).await;
    hub.stop()?;
    outcome
}

async fn work(options: &Options, hub: &Hub, receiver: &Receiver) -> Result<Report, Failure> {
    hub.fill_history(options.history).await?;
    let (idle_p50_ms, idle_p99_ms) = idle(options.idle, hub, receiver).await?;
    let jobs = options.deliveries;
    let bare = floor::run(&hub.url(), jobs, options.workers, options.batch).await?;
    let began = Instant::now();
    let before = receiver.count();
    hub.happen(jobs).await?;
    hub.until_finished(jobs).await?;
    let delivered = per_second(jobs, began.elapsed());
    let arrived = receiver.count() - before;
    if i64::try_from(arrived)? < jobs {
        return Err(format!("only {arrived} of {jobs} arrived").into());
    }
    let share_of_bare = ((delivered as f64 / bare as f64) * 1_000.0).round() / 1_000.0;
    let steady = match options.steady_seconds {
        0 => Vec::new(),
        seconds => steady::run(hub, receiver, options.rate, seconds).await?,
    };
    Ok(Report {
        history: options.history,
        workers: options.workers,
        batch: options.batch,
        idle_p50_ms,
        idle_p99_ms,
        bare_per_second: bare,
        delivered_per_second: delivered,
        share_of_bare,
        steady,
    })
}

async fn idle(events: usize, hub: &Hub, receiver: &Receiver) -> Result<(f64, f64), Failure> {
    let mut took = Vec::with_capacity(events);
    for number in 0..events {
        // Long enough that everything sleeps, and out of step with what polls each second.
        tokio::time::sleep(Duration::from_millis(60 + (number as u64 * 37) % 90)).await;
        let before = receiver.count();
        let began = Instant::now();
        hub.happen(1).await?;
        let committed = began.elapsed();
        let arrived = receiver.after(before).await?;
        took.push(arrived.duration_since(began).saturating_sub(committed).as_secs_f64() * 1_000.0);
    }
    took.sort_by(f64::total_cmp);
    let at = |share: f64| took.get((took.len() as f64 * share) as usize).copied().unwrap_or_default();
    Ok((at(0.50), at(0.99)))
}

pub fn per_second(count: i64, took: Duration) -> u64 {
    (count as f64 / took.as_secs_f64()) as u64
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let options = Options::parse();
    match measure(&options).await {
        Ok(report) if options.json => {
            println!("{}", serde_json::to_string_pretty(&report).unwrap_or_default());
            ExitCode::SUCCESS
        }
        Ok(report) => {
            println!("finished deliveries before       {:>10}", report.history);
            println!("event to first byte, idle, p50   {:>10.1} ms", report.idle_p50_ms);
            println!("event to first byte, idle, p99   {:>10.1} ms", report.idle_p99_ms);
            println!(
                "bare queue, {} workers, {} a batch {:>10} a second",
                report.workers, report.batch, report.bare_per_second
            );
            println!("delivered                        {:>10} a second", report.delivered_per_second);
            println!("share                            {:>10.2}", report.share_of_bare);
            for (place, tenth) in report.steady.iter().enumerate() {
                println!(
                    "tenth {:>2}: {:>6} a second, made to claimed p50 {:>7.1} ms, p99 {:>7.1} ms",
                    place + 1,
                    tenth.delivered_per_second,
                    tenth.claimed_p50_ms,
                    tenth.claimed_p99_ms
                );
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("deliveries could not be measured: {error}");
            ExitCode::FAILURE
        }
    }
}
