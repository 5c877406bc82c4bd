//! `kopru sync …`: runs, and the streams that they belong to.

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{
    failure::Failure,
    output,
    run::{Global, interruptible, stop_signal},
    sweeps::{self, SweepsCommand},
};
use crate::{
    app::App,
    hub::{
        daemon, daemons,
        engine::Engine,
        housekeeping, pull,
        runs::{self, Run, Wanted},
        scheduler::{self, Alone},
        states::RunState,
        streams, worker,
    },
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a stream now: handed to a daemon if one is up, else worked off here
    Run(RunArgs),
    /// Every stream with its state and last run
    List,
    /// Stop polling one stream (`logo.items`) or a whole instance (`logo`)
    Pause {
        /// CONNECTOR or CONNECTOR.STREAM
        target: String,
        /// Why, for whoever sees it paused
        #[arg(long, default_value = "paused by hand")]
        reason: String,
    },
    /// Poll again, after a pause by hand or for refused credentials or a closed period
    Resume {
        /// CONNECTOR or CONNECTOR.STREAM
        target: String,
    },
    /// What complete passes did not find any more: list, show, approve, reject, undo
    #[command(subcommand)]
    Sweeps(SweepsCommand),
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// CONNECTOR.STREAM, for example logo.items
    target: String,
    /// A complete pass instead of what changed
    #[arg(long)]
    full: bool,
    /// Say what would change and write nothing
    #[arg(long)]
    dry_run: bool,
    /// What changed since then (RFC 3339), instead of since the last pass; a full pass has no beginning
    #[arg(long, value_name = "TIME", conflicts_with = "full")]
    since: Option<DateTime<Utc>>,
}

pub(super) async fn sync(global: &Global, command: Command) -> Result<(), Failure> {
    // Waiting for a server to start is nothing that a signal must not cut.
    let app = interruptible(global.open()).await?;
    let outcome = match app.engine() {
        Ok(engine) => match command {
            // It holds leases, which a signal must not leave behind.
            Command::Run(args) => run(global, &engine, &args).await,
            Command::List => interruptible(list(global, &engine)).await,
            Command::Pause { target, reason } => interruptible(pause(&engine, &target, &reason)).await,
            Command::Resume { target } => interruptible(resume(&engine, &target)).await,
            Command::Sweeps(command) => interruptible(sweeps::sweeps(global, &engine, command)).await,
        },
        Err(error) => Err(error.into()),
    };
    App::close(app).await;
    outcome
}

pub(super) fn split(target: &str) -> Result<(&str, &str), Failure> {
    target.split_once('.').ok_or_else(|| {
        Failure::Usage(format!("`{target}` is not CONNECTOR.STREAM; `kopru sync list` shows the streams"))
    })
}

async fn run(global: &Global, engine: &Engine, args: &RunArgs) -> Result<(), Failure> {
    let (connector, stream) = split(&args.target)?;
    let (_, spec) = engine.stream(connector, stream).map_err(|error| Failure::Usage(error.to_string()))?;
    let wanted = Wanted { full: args.full, dry_run: args.dry_run, since: args.since };
    let (id, _) = runs::request(&mut *engine.pool.acquire().await?, connector, &spec.spec, wanted).await?;
    tell(global, &work_off(global, engine, id, &args.target).await?)
}

/// Follows a run that was asked for to its end, and works it off here when no daemon does.
pub(super) async fn work_off(global: &Global, engine: &Engine, id: uuid::Uuid, target: &str) -> Result<Run, Failure> {
    let keeper = tokio::spawn(housekeeping::keep_leases(engine.clone()));
    let stopped = stop_signal()?;
    let working = async { tokio::try_join!(follow(global, engine, id), stand_in(engine, id, target)) };
    tokio::pin!(working);
    let outcome = tokio::select! {
        outcome = &mut working => outcome,
        () = stopped => {
            // What is in hand here is finished; a daemon's run goes on without us.
            engine.stop.cancel();
            working.await
        }
    };
    engine.stop.cancel();
    // An error means that it had panicked, which the log has told.
    let _ = keeper.await;
    daemon::leave(engine).await;
    Ok(outcome?.0)
}

/// Works a run off here, and the records that it makes due or that have waited too long, when there is no daemon to do
/// it. A daemon that was killed counts as one until its lease has run out.
async fn stand_in(engine: &Engine, id: uuid::Uuid, target: &str) -> Result<(), Failure> {
    let db = &engine.pool;
    let patience = Instant::now() + engine.settings.lease;
    let mut id = id;
    while let Some(run) = runs::get(db, id).await? {
        if run.finished_at.is_some() {
            match runs::heir(db, id).await? {
                Some(heir) => id = heir,
                None => return Ok(()),
            }
            continue;
        }
        if engine.stop.is_cancelled() {
            return Err(Failure::Interrupted);
        }
        if daemons::alive(db, engine.settings.lease).await? == 0 {
            // Is a system that was down back by now?
            housekeeping::probe_once(engine).await?;
            match scheduler::run_alone(engine, id).await? {
                Alone::Worked => {
                    housekeeping::sweep_once(engine).await?;
                    while !engine.stop.is_cancelled() && worker::turn(engine).await? > 0 {}
                    return if engine.stop.is_cancelled() { Err(Failure::Interrupted) } else { Ok(()) };
                }
                // Whoever holds the lease may have been killed; if so it runs out.
                Alone::Busy if Instant::now() < patience => {}
                Alone::Busy => {
                    runs::withdraw(db, id).await?;
                    let text = format!("{target} is being run by another process; try again when it is done");
                    return Err(Failure::Failed(text));
                }
                // By a daemon that is gone now, perhaps.
                Alone::Taken => {
                    runs::take_up_orphans(db).await?;
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
            () = engine.stop.cancelled() => {}
        }
    }
    Ok(())
}

/// Shows a run as it goes: a bar on a terminal, a line now and then elsewhere.
async fn follow(global: &Global, engine: &Engine, id: uuid::Uuid) -> Result<Run, Failure> {
    let bar = if std::io::stderr().is_terminal() && !global.json {
        ProgressBar::new_spinner()
    } else {
        ProgressBar::hidden()
    };
    bar.enable_steady_tick(Duration::from_millis(100));
    let mut told = Instant::now();
    let plain = bar.is_hidden() && !global.json;
    let run = pull::follow(engine, id, |run| {
        if let Some(expected) =
            run.expected.filter(|_| bar.length() != run.expected.and_then(|n| u64::try_from(n).ok()))
        {
            bar.set_length(u64::try_from(expected).unwrap_or(0));
            if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} {eta}") {
                bar.set_style(style);
            }
        }
        bar.set_position(u64::try_from(run.records).unwrap_or(0));
        bar.set_message(format!("{}.{} {}", run.connector, run.stream, run.state));
        if plain && told.elapsed() > Duration::from_secs(2) {
            told = Instant::now();
            eprintln!("{}.{}: {} records", run.connector, run.stream, run.records);
        }
    })
    .await?;
    bar.finish_and_clear();
    run.ok_or_else(|| Failure::Failed("the run has vanished from the store".to_owned()))
}

fn tell(global: &Global, run: &Run) -> Result<(), Failure> {
    if global.json {
        output::print_json(run)?;
    } else {
        let dry = if run.dry_run { " (dry run: nothing was written)" } else { "" };
        output::print(&format!(
            "{}.{} {} pass {}{dry}: {} records: {} created, {} updated, {} unchanged, {} stale, {} superseded, {} \
             deferred, {} failed, {} skipped",
            run.connector,
            run.stream,
            run.pass,
            run.state,
            run.records,
            run.created,
            run.updated,
            run.unchanged,
            run.stale,
            run.superseded,
            run.deferred,
            run.failed,
            run.skipped
        ))?;
        if let Some(preview) = &run.preview {
            output::print(&previewed(preview))?;
        }
        if run.failed > 0 {
            eprintln!(
                "kopru: {} records failed; `kopru dead-letters list --connector {}` shows why",
                run.failed, run.connector
            );
        }
    }
    if run.state == RunState::Done.as_str() {
        return Ok(());
    }
    if let Some(error) = &run.error {
        eprintln!("kopru: {}.{}: {error}", run.connector, run.stream);
    }
    Err(Failure::Told(1))
}

/// The first codes of a dry run, a line for each kind.
fn previewed(preview: &serde_json::Value) -> String {
    let mut text = String::new();
    for kind in ["created", "updated", "deferred", "failed", "deactivated"] {
        let listed = &preview[kind];
        let count = listed["count"].as_i64().unwrap_or(0);
        if count == 0 {
            continue;
        }
        let codes: Vec<&str> =
            listed["codes"].as_array().into_iter().flatten().filter_map(|code| code.as_str()).take(10).collect();
        let more = if i64::try_from(codes.len()).is_ok_and(|shown| shown < count) { " …" } else { "" };
        text.push_str(&format!(
            "would be {kind}: {count}: {}{more}
",
            codes.join(", ")
        ));
        if let Some(why) = listed["asks"].as_str() {
            text.push_str(&format!(
                "  and a person would be asked first: {why}
"
            ));
        }
    }
    text.truncate(text.trim_end().len());
    text
}

async fn list(global: &Global, engine: &Engine) -> Result<(), Failure> {
    let rows = streams::list(&engine.pool).await?;
    let now = engine.database_now().await?;
    let mut listed = Vec::new();
    for instance in engine.instances.values() {
        for stream in &instance.streams {
            let row = rows.iter().find(|row| row.connector == instance.name && row.stream == stream.spec.name);
            let last = match row.and_then(|row| row.last_run_id) {
                Some(id) => runs::get(&engine.pool, id).await?,
                None => None,
            };
            let running = last.as_ref().is_some_and(|run| run.finished_at.is_none());
            let state = match row {
                Some(row) => row.state(stream.every, running, now).as_str(),
                None => "silent",
            };
            listed.push((instance.name.clone(), stream.clone(), row.cloned(), last, state));
        }
    }
    if global.json {
        let items: Vec<_> = listed
            .iter()
            .map(|(connector, stream, row, last, state)| {
                json!({
                    "connector": connector, "stream": stream.spec.name, "state": state, "enabled": stream.enabled,
                    "everySecs": stream.every.as_secs(), "mapping": stream.mapping, "incremental": stream.spec.incremental,
                    "lastSuccessAt": row.as_ref().and_then(|row| row.last_success_at),
                    "lastFullAt": row.as_ref().and_then(|row| row.last_full_at),
                    "pausedReason": row.as_ref().and_then(|row| row.paused_reason.clone()),
                    "lastError": row.as_ref().and_then(|row| row.last_error.clone()),
                    "lastRun": last,
                })
            })
            .collect();
        return output::print_json(&json!({ "items": items }));
    }
    let rows: Vec<Vec<String>> = listed
        .iter()
        .map(|(connector, stream, row, last, state)| {
            vec![
                format!("{connector}.{}", stream.spec.name),
                (*state).to_owned(),
                format!("{} s", stream.every.as_secs()),
                row.as_ref()
                    .and_then(|row| row.last_success_at)
                    .map_or_else(|| "never".to_owned(), |at| at.format("%F %T").to_string()),
                last.as_ref().map_or_else(String::new, |run| {
                    format!("{} {}: {} records, {} failed", run.pass, run.state, run.records, run.failed)
                }),
                row.as_ref()
                    .and_then(|row| row.paused_reason.clone().or_else(|| row.last_error.clone()))
                    .unwrap_or_default(),
            ]
        })
        .collect();
    output::print(&output::table(&["STREAM", "STATE", "EVERY", "LAST SUCCESS (UTC)", "LAST RUN", "NOTE"], &rows))
}

/// The streams that `logo` or `logo.items` names.
fn targets<'a>(engine: &'a Engine, target: &'a str) -> Result<(&'a str, Vec<String>), Failure> {
    let usage = |error: crate::hub::engine::EngineError| Failure::Usage(error.to_string());
    match target.split_once('.') {
        Some((connector, stream)) => {
            engine.stream(connector, stream).map_err(usage)?;
            Ok((connector, vec![stream.to_owned()]))
        }
        None => {
            let instance = engine.instance(target).map_err(usage)?;
            Ok((target, instance.streams.iter().map(|stream| stream.spec.name.to_owned()).collect()))
        }
    }
}

async fn pause(engine: &Engine, target: &str, reason: &str) -> Result<(), Failure> {
    let (connector, names) = targets(engine, target)?;
    streams::pause(&engine.pool, connector, &names, "person", reason).await?;
    output::print(&format!("{target} is paused; `kopru sync resume {target}` lets it go on"))
}

async fn resume(engine: &Engine, target: &str) -> Result<(), Failure> {
    let (connector, names) = targets(engine, target)?;
    let resumed = streams::resume(&engine.pool, connector, &names).await?;
    output::print(&match resumed {
        0 => format!("{target} was not paused"),
        _ => format!("{target} goes on"),
    })
}
