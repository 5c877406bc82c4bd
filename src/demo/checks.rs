//! Everything once, and whether it arrived.

use std::{sync::Arc, time::Instant};

use kopru_sdk::Pass;
use serde::Serialize;
use serde_json::Value;

use super::{drop, invoiced, orders, webhook};
use crate::{
    app::{self, App, AppError},
    hub::{
        daemon,
        engine::{Engine, Instance},
        files::Folder,
        housekeeping, links,
        runs::{self, NewRun, Run},
        scheduler,
        states::Trigger,
        streams,
        webhooks::EndpointError,
        worker,
    },
};

#[derive(Debug, Clone, Serialize)]
pub struct StreamLine {
    pub name: String,
    /// Records that the simulated system holds for this stream.
    pub expected: Option<i64>,
    /// Of them the ones that are in the commerce database now.
    pub applied: i64,
    pub unchanged: i64,
    pub deferred: i64,
    pub failed: i64,
    pub seconds: f64,
}

#[derive(Debug, Clone, Serialize)]
pub struct Check {
    pub name: &'static str,
    /// `None`: not built yet.
    pub ok: Option<bool>,
    pub detail: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub ok: bool,
    pub streams: Vec<StreamLine>,
    pub checks: Vec<Check>,
}

/// Runs every stream once, in the order of their references, works off what they made due, and compares with what the
/// simulated systems say they hold. `told` hears of each finished stream.
pub async fn once(
    app: &App,
    expected: &Value,
    control: &str,
    receiver: &str,
    mut told: impl FnMut(&StreamLine),
) -> Result<Report, AppError> {
    let engine = app.engine()?;
    let folders = app::folders(&app.config, engine.library.now().library())?;
    let folder = folders.into_iter().find(|folder| folder.name == drop::FOLDER);
    let beat = tokio::spawn(housekeeping::keep_leases(engine.clone()));
    let outcome = async {
        // Before anything happens that it is to be told of.
        let endpoint = webhook::register(&engine, receiver).await;
        let (streams, mut checks) = synchronise(&engine, expected, folder, &mut told).await?;
        let (sent, order) = orders::check(app, &engine).await?;
        checks.push(sent);
        checks.extend(invoiced::check(&engine, control, order).await?);
        let received = match endpoint {
            Ok(id) => webhook::check(&engine, id, receiver).await,
            Err(error) => Err(error),
        };
        checks.push(match received {
            Ok(check) => check,
            Err(EndpointError::Database(error)) => return Err(error),
            Err(error) => Check { name: webhook::CHECK, ok: Some(false), detail: error.to_string() },
        });
        Ok((streams, checks))
    }
    .await;
    engine.stop.cancel();
    // An error means that it had panicked, which the log has told.
    let _ = beat.await;
    daemon::leave(&engine).await;
    let (streams, mut checks) = outcome.map_err(crate::hub::engine::EngineError::from)?;
    checks.push(Check { name: "order_paid", ok: None, detail: "not built yet".to_owned() });
    let arrived =
        streams.iter().all(|line| line.failed == 0 && line.expected.is_none_or(|count| count == line.applied));
    let ok = arrived && checks.iter().all(|check| check.ok != Some(false));
    Ok(Report { ok, streams, checks })
}

async fn synchronise(
    engine: &Engine,
    expected: &Value,
    folder: Option<Arc<Folder>>,
    told: &mut impl FnMut(&StreamLine),
) -> Result<(Vec<StreamLine>, Vec<Check>), sqlx::Error> {
    let mut lines = Vec::new();
    for instance in engine.instances.values() {
        for stream in in_order(instance) {
            let began = Instant::now();
            let run = run_stream(engine, instance, stream).await?;
            while worker::turn(engine).await? > 0 {}
            let line = StreamLine {
                name: format!("{}.{stream}", instance.name),
                expected: expected[&instance.kind]["streams"][stream].as_i64(),
                applied: count(engine, instance, stream).await?,
                unchanged: run.unchanged,
                deferred: run.deferred,
                failed: run.failed,
                seconds: (began.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
            };
            told(&line);
            lines.push(line);
        }
    }
    let mut checks = Vec::new();
    if let Some(folder) = folder {
        checks.push(drop::check(engine, folder).await?);
        while worker::turn(engine).await? > 0 {}
    }
    let open = crate::hub::messages::open_counts(&engine.pool).await?;
    let waiting: i64 = open.iter().map(|row| row.count).sum();
    let letters = crate::hub::dead_letters::count(&engine.pool, &crate::hub::dead_letters::Filter::default()).await?;
    checks.extend([
        Check { name: "nothing_waits", ok: Some(waiting == 0), detail: format!("{waiting} open messages") },
        Check { name: "no_dead_letters", ok: Some(letters == 0), detail: format!("{letters} dead letters") },
    ]);
    Ok((lines, checks))
}

/// The enabled streams, each behind those that it refers to.
fn in_order(instance: &Instance) -> Vec<&'static str> {
    let mut waiting: Vec<_> = instance.streams.iter().filter(|stream| stream.enabled).collect();
    let mut ordered: Vec<&'static str> = Vec::new();
    while !waiting.is_empty() {
        let names: Vec<&str> = waiting.iter().map(|stream| stream.spec.name).collect();
        let free = waiting.iter().position(|stream| !stream.spec.after.iter().any(|name| names.contains(name)));
        // A circle of references is broken anywhere; deferral takes care of it.
        ordered.push(waiting.remove(free.unwrap_or(0)).spec.name);
    }
    ordered
}

/// What these streams of every instance have by now.
pub(super) async fn read(engine: &Engine, names: &[&str]) -> Result<(), sqlx::Error> {
    for instance in engine.instances.values() {
        for stream in in_order(instance).into_iter().filter(|stream| names.contains(stream)) {
            run_stream(engine, instance, stream).await?;
            while worker::turn(engine).await? > 0 {}
        }
    }
    Ok(())
}

async fn run_stream(engine: &Engine, instance: &Instance, stream: &str) -> Result<Run, sqlx::Error> {
    while !scheduler::may_poll(engine, instance, stream).await? {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    let known = streams::get(&engine.pool, &instance.name, stream).await?;
    let incremental = instance.streams.iter().any(|one| one.spec.name == stream && one.spec.incremental);
    let loaded = known.is_some_and(|row| row.last_full_at.is_some());
    let pass = if loaded && incremental { Pass::Incremental } else { Pass::Full };
    let new = NewRun { connector: &instance.name, stream, pass, trigger: Trigger::Manual, dry_run: false, since: None };
    let id = runs::create(&engine.pool, &new, None).await?;
    scheduler::run_alone(engine, id).await?;
    runs::get(&engine.pool, id).await?.ok_or(sqlx::Error::RowNotFound)
}

/// Records of the stream's entity that the instance has linked, those of files apart.
async fn count(engine: &Engine, instance: &Instance, stream: &str) -> Result<i64, sqlx::Error> {
    let mapping =
        instance.streams.iter().find(|one| one.spec.name == stream).and_then(|one| engine.library.get(&one.mapping));
    match mapping {
        Some(mapping) => links::count(&engine.pool, &instance.name, mapping.entity(), "files.").await,
        None => Ok(0),
    }
}
