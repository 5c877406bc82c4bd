//! `kopru demo`: everything together, on realistic data.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;

use super::{
    failure::Failure,
    logging::Voice,
    output,
    run::{Global, stop_signal},
    sandbox::MOST_ITEMS,
};
use crate::{
    app::App,
    clock::Clock,
    config::{Config, Sources},
    daemon,
    demo::{self, Report, SandboxProcess, StreamLine},
    hub::streams,
};

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Synchronise everything once, say whether it arrived, and end
    #[arg(long)]
    once: bool,
    /// Item cards of the simulated ERP
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=MOST_ITEMS))]
    items: u64,
    /// Everything generated follows from it
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Address of the hub
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

/// Where the demo lives, and where files are dropped.
struct Places {
    dir: PathBuf,
    folder: PathBuf,
}

/// Where the demo lives unless --data-dir says otherwise: beside an installation's own data, not in it.
const DATA_DIR: &str = "./data/demo";

pub(super) async fn demo(global: &Global, args: DemoArgs) -> Result<(), Failure> {
    let stopped = stop_signal()?;
    let voice = if args.once { Voice::Command } else { Voice::Daemon };
    let dir = global.load_with(voice, |sources| in_demo_dir(global, sources))?.data.dir;
    let cannot =
        |error: std::io::Error| Failure::Failed(format!("cannot use the data directory {}: {error}", dir.display()));
    std::fs::create_dir_all(&dir).map_err(cannot)?;
    let sandbox = SandboxProcess::start(args.items, args.seed, &dir.join("sandbox"))
        .await
        .map_err(|error| Failure::Failed(error.to_string()))?;
    demo::write_settings(&dir, &sandbox, args.listen).map_err(|error| Failure::Failed(error.to_string()))?;
    let folder = demo::drop_sample(&dir).map_err(cannot)?;
    let config = Config::load(&in_demo_dir(global, global.sources()).set("http.listen", args.listen.to_string()))?;
    let places = Places { dir, folder };
    let outcome = tokio::select! {
        outcome = work(global, &args, config, &sandbox, &places) => outcome,
        () = stopped => Ok(()),
        never = sandbox.keep() => match never {},
    };
    sandbox.stop().await;
    outcome
}

fn in_demo_dir(global: &Global, sources: Sources) -> Sources {
    if global.names_data_dir() { sources } else { sources.set("data.dir", DATA_DIR) }
}

async fn work(
    global: &Global,
    args: &DemoArgs,
    config: Config,
    sandbox: &SandboxProcess,
    places: &Places,
) -> Result<(), Failure> {
    let app = App::open(config, Clock::system()).await?;
    let outcome = if args.once { once(global, &app, sandbox).await } else { live(&app, sandbox, places).await };
    app.close().await;
    outcome
}

async fn once(global: &Global, app: &App, sandbox: &SandboxProcess) -> Result<(), Failure> {
    let expected = sandbox.expected().await.map_err(|error| Failure::Failed(error.to_string()))?;
    let report = demo::once(app, &expected, sandbox.control(), &sandbox.hooks(), |line| {
        if !global.json {
            eprintln!("{}: {} in {:.1} s", line.name, line.applied, line.seconds);
        }
    })
    .await?;
    if global.json {
        output::print_json(&report)?;
    } else {
        output::print(&shown(&report))?;
    }
    if report.ok { Ok(()) } else { Err(Failure::Told(1)) }
}

fn shown(report: &Report) -> String {
    let row = |line: &StreamLine| {
        vec![
            line.name.clone(),
            line.expected.map_or_else(|| "-".to_owned(), |count| count.to_string()),
            line.applied.to_string(),
            line.unchanged.to_string(),
            line.deferred.to_string(),
            line.failed.to_string(),
            format!("{:.1}", line.seconds),
        ]
    };
    let rows: Vec<Vec<String>> = report.streams.iter().map(row).collect();
    let mut text =
        output::table(&["STREAM", "EXPECTED", "APPLIED", "UNCHANGED", "DEFERRED", "FAILED", "SECONDS"], &rows);
    text.push('\n');
    let rows: Vec<Vec<String>> = report
        .checks
        .iter()
        .map(|check| {
            let verdict = match check.ok {
                Some(true) => "ok",
                Some(false) => "FAILED",
                None => "-",
            };
            vec![check.name.to_owned(), verdict.to_owned(), check.detail.clone()]
        })
        .collect();
    text.push_str(&output::table(&["CHECK", "", "DETAIL"], &rows));
    text.push_str(if report.ok { "\neverything arrived\n" } else { "\nsomething is missing\n" });
    text
}

/// The daemon, with what somebody needs to look around.
async fn live(app: &App, sandbox: &SandboxProcess, places: &Places) -> Result<(), Failure> {
    let Places { dir, folder } = places;
    let api_key = demo::api_key(app, dir).await?;
    let accounts = demo::accounts_of(app, dir).await?;
    let running = daemon::start(app).await?;
    demo::register_webhook(&running.engine, &sandbox.hooks()).await?;
    let base_url = format!("http://{}", running.address);
    let path = demo::write_description(dir, &demo::description(&base_url, &api_key, accounts, sandbox))
        .map_err(|error| Failure::Failed(format!("cannot write demo.json in {}: {error}", dir.display())))?;
    let systems: String = sandbox
        .addresses_with_mail()
        .iter()
        .map(|(kind, address)| format!("  {kind:<8} {}   (simulated)\n", address.as_str().unwrap_or_default()))
        .collect();
    output::print(&format!(
        "Köprü is running.\n\n  hub      {base_url}/health/ready\n  API      {base_url}/docs\n  metrics  {base_url}/metrics\n\
         {systems}  faults   {}/faults\n  mails    {}/mails\n  webhooks {}\n  files    {}   (drop XML or CSV here)\n  \
         addresses, accounts and keys: {}\n\nIn another terminal:\n  {program} --data-dir {dir} sync list\n  \
         {program} --data-dir {dir} messages list\n  {program} --data-dir {dir} dead-letters list\n  \
         {program} --data-dir {dir} files list\n\n\
         Ctrl-C stops everything.",
        sandbox.control(),
        sandbox.control(),
        sandbox.hooks(),
        folder.display(),
        path.display(),
        program = program(),
        dir = dir.display()
    ))?;
    let outcome = watch(&running).await;
    running.stop().await;
    outcome
}

/// As it was called, so that what is printed can be pasted.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "kopru".to_owned())
}

/// Tells when the first load is complete, then just lives.
async fn watch(running: &daemon::Running) -> Result<(), Failure> {
    let engine = &running.engine;
    let enabled: usize =
        engine.instances.values().map(|instance| instance.streams.iter().filter(|stream| stream.enabled).count()).sum();
    let mut told = false;
    let stopped = stop_signal()?;
    tokio::pin!(stopped);
    loop {
        tokio::select! {
            () = &mut stopped => return Ok(()),
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
        if !told {
            let rows = streams::list(&engine.pool).await?;
            if rows.iter().filter(|row| row.last_full_at.is_some()).count() >= enabled {
                told = true;
                output::print("The first load is complete; from now on only changes are read.")?;
            }
        }
    }
}
