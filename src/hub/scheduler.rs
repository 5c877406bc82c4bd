//! Who polls what, and when. The clock ticks by tokio-cron-scheduler; what is due is read from the store, so that any
//! daemon can take over and nothing is forgotten while all were down.

use std::{collections::HashSet, sync::Arc, time::Duration};

use chrono::{DateTime, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;
use kopru_sdk::Pass;
use tokio::{sync::Mutex, task::JoinSet};
use tokio_cron_scheduler::{Job, JobScheduler};
use uuid::Uuid;

use super::{
    breaker, cursors,
    engine::{Engine, EngineError, Instance, Stream},
    leases, pull, retention,
    runs::{self, NewRun, Requested, Run},
    states::{BreakerState, Trigger},
    streams::{self, StreamRow},
};

/// Runs of one instance at the same time; LOGO serves one user's calls nearly serially.
const RUNS_PER_INSTANCE: usize = 2;

/// Drives the schedule until the engine stops; running passes end at their next page.
pub async fn run(engine: Engine) -> Result<(), EngineError> {
    let clock = JobScheduler::new().await?;
    let ring = engine.clone();
    clock
        .add(Job::new_repeated(Duration::from_secs(1), move |_, _| {
            ring.due.notify_one();
        })?)
        .await?;
    let daily = engine.clone();
    clock
        .add(Job::new_async_tz("0 10 4 * * *", engine.settings.timezone, move |_, _| {
            let engine = daily.clone();
            Box::pin(async move { trim(&engine).await })
        })?)
        .await?;
    clock.start().await?;
    let mut clock = clock;

    let busy: Arc<Mutex<HashSet<(String, String)>>> = Arc::default();
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            () = engine.due.notified() => {
                if let Err(error) = dispatch(&engine, &busy, &mut running).await {
                    tracing::warn!(%error, "the schedule could not be read; it is tried again in a second");
                }
            }
            Some(_) = running.join_next() => engine.due.notify_one(),
            () = engine.stop.cancelled() => break,
        }
    }
    // Runs see the same token and stop behind the page that is in their hand.
    while running.join_next().await.is_some() {}
    clock.shutdown().await?;
    Ok(())
}

/// Daily housekeeping of history; any daemon may do it, an advisory lock keeps them apart.
async fn trim(engine: &Engine) {
    match retention::round_now(engine).await {
        Ok(round) => tracing::info!(made = round.made.len(), dropped = round.dropped.len(), "history trimmed"),
        Err(error) => tracing::error!(%error, "history could not be trimmed; it is tried again tomorrow"),
    }
}

/// Starts everything that is due and may run now.
async fn dispatch(
    engine: &Engine,
    busy: &Arc<Mutex<HashSet<(String, String)>>>,
    running: &mut JoinSet<()>,
) -> Result<(), sqlx::Error> {
    for run in runs::requested(&engine.pool, &engine.instance_names()).await? {
        start(engine, busy, running, &run).await?;
    }
    let rows = streams::list(&engine.pool).await?;
    let open: HashSet<String> = breaker::list(&engine.pool)
        .await?
        .into_iter()
        .filter(|breaker| breaker.state != BreakerState::Closed)
        .map(|breaker| breaker.connector)
        .collect();
    let now = engine.database_now().await?;
    for instance in engine.instances.values() {
        if open.contains(&instance.name) {
            continue;
        }
        for stream in instance.streams.iter().filter(|stream| stream.enabled) {
            let row = rows.iter().find(|row| row.connector == instance.name && row.stream == stream.spec.name);
            if is_full(busy, &instance.name).await {
                break;
            }
            if due(stream, row, now, engine.settings.timezone).is_some() && ready(instance, stream, &rows) {
                plan(engine, busy, running, instance, stream).await?;
            }
        }
    }
    Ok(())
}

/// Whether as many runs of an instance are going as it bears.
async fn is_full(busy: &Mutex<HashSet<(String, String)>>, connector: &str) -> bool {
    busy.lock().await.iter().filter(|(of, _)| of == connector).count() >= RUNS_PER_INSTANCE
}

/// Makes the run of a due stream, if nobody else polls it.
async fn plan(
    engine: &Engine,
    busy: &Arc<Mutex<HashSet<(String, String)>>>,
    running: &mut JoinSet<()>,
    instance: &Instance,
    stream: &Stream,
) -> Result<(), sqlx::Error> {
    let key = (instance.name.clone(), stream.spec.name.to_owned());
    if busy.lock().await.contains(&key) || !may_poll(engine, instance, stream.spec.name).await? {
        return Ok(());
    }
    // Whoever had the stream before us may be gone, and what it was asked for goes on first: somebody follows it.
    runs::take_up_orphans(&engine.pool).await?;
    if runs::is_requested(&engine.pool, &instance.name, stream.spec.name).await? {
        return leases::release(&engine.pool, &pull::stream_lease(&instance.name, stream.spec.name), engine.id).await;
    }
    // Read again under the lease: another daemon may have run it since the schedule was looked at.
    let row = streams::get(&engine.pool, &instance.name, stream.spec.name).await?;
    let now = engine.database_now().await?;
    let Some(pass) = due(stream, row.as_ref(), now, engine.settings.timezone) else {
        return leases::release(&engine.pool, &pull::stream_lease(&instance.name, stream.spec.name), engine.id).await;
    };
    let unfinished = cursors::read(&engine.pool, &instance.name, stream.spec.name, Pass::Full).await?.is_some()
        || runs::owes_full(&engine.pool, &instance.name, stream.spec.name).await?;
    let (pass, trigger) = if unfinished { (Pass::Full, Trigger::Resume) } else { (pass, Trigger::Schedule) };
    let new =
        NewRun { connector: &instance.name, stream: stream.spec.name, pass, trigger, dry_run: false, since: None };
    let id = runs::create(&engine.pool, &new, Some(engine.id)).await?;
    if let Some(run) = runs::get(&engine.pool, id).await? {
        launch(engine, busy, running, run).await;
    }
    Ok(())
}

/// Starts a run that was asked for, unless its stream is busy; then it stays as it is for whoever can take it.
async fn start(
    engine: &Engine,
    busy: &Arc<Mutex<HashSet<(String, String)>>>,
    running: &mut JoinSet<()>,
    asked: &Requested,
) -> Result<(), sqlx::Error> {
    let key = (asked.connector.clone(), asked.stream.clone());
    let Ok(instance) = engine.instance(&asked.connector) else { return Ok(()) };
    if is_full(busy, &asked.connector).await
        || busy.lock().await.contains(&key)
        || !may_poll(engine, instance, &asked.stream).await?
    {
        return Ok(());
    }
    if let Some(run) = claim(engine, asked.id, &asked.connector, &asked.stream).await? {
        launch(engine, busy, running, run).await;
    }
    Ok(())
}

/// Takes up a requested run whose stream's lease is ours; gives the lease back when somebody else was faster.
async fn claim(engine: &Engine, id: Uuid, connector: &str, stream: &str) -> Result<Option<Run>, sqlx::Error> {
    let run = runs::claim(&engine.pool, id, engine.id).await?;
    if run.is_none() {
        leases::release(&engine.pool, &pull::stream_lease(connector, stream), engine.id).await?;
    }
    Ok(run)
}

async fn launch(engine: &Engine, busy: &Arc<Mutex<HashSet<(String, String)>>>, running: &mut JoinSet<()>, run: Run) {
    let key = (run.connector.clone(), run.stream.clone());
    busy.lock().await.insert(key.clone());
    let (engine, busy) = (engine.clone(), Arc::clone(busy));
    running.spawn(async move {
        if let Err(error) = pull::work(&engine, &run, &engine.stop).await {
            tracing::warn!(run.id = %run.id, %error, "the end of a run could not be written; it will be taken up again");
        }
        if engine.stop.is_cancelled()
            && let Err(error) = runs::hand_on(&engine.pool, run.id).await
        {
            tracing::warn!(run.id = %run.id, %error, "a run that was asked for could not be handed on");
        }
        let lease = pull::stream_lease(&run.connector, &run.stream);
        if let Err(error) = leases::release(&engine.pool, &lease, engine.id).await {
            tracing::warn!(lease, %error, "a lease could not be given back; it runs out by itself");
        }
        busy.lock().await.remove(&key);
    });
}

/// Takes the leases that polling needs: the instance's, when only one daemon may call it, and the stream's.
pub async fn may_poll(engine: &Engine, instance: &Instance, stream: &str) -> Result<bool, sqlx::Error> {
    if !may_call(engine, instance).await? {
        return Ok(false);
    }
    let lease = pull::stream_lease(&instance.name, stream);
    leases::acquire(&engine.pool, &lease, engine.id, engine.settings.lease).await
}

/// Whether this process may call the system: always, unless only one at a time may and another one does.
pub async fn may_call(engine: &Engine, instance: &Instance) -> Result<bool, sqlx::Error> {
    if !instance.exclusive {
        return Ok(true);
    }
    leases::keep(&engine.pool, &connector_lease(&instance.name), engine.id, engine.settings.lease).await
}

/// The name of the lease of an instance that only one daemon may call.
pub fn connector_lease(connector: &str) -> String {
    format!("connector:{connector}")
}

/// Which pass of a stream is due, if any. `now` by the database's clock.
pub fn due(stream: &Stream, row: Option<&StreamRow>, now: DateTime<Utc>, timezone: Tz) -> Option<Pass> {
    let Some(row) = row else { return Some(Pass::Full) };
    if row.paused_at.is_some() {
        return None;
    }
    let every = chrono::TimeDelta::from_std(stream.every).unwrap_or(chrono::TimeDelta::MAX);
    if row.last_started_at.is_some_and(|started| now - started < every) {
        // Interrupted work does not wait for its period.
        let interrupted = row.failures_in_a_row == 0 && row.last_success_at < row.last_started_at;
        if !interrupted {
            return None;
        }
    }
    let Some(last_full) = row.last_full_at else { return Some(Pass::Full) };
    if !stream.spec.incremental {
        return Some(Pass::Full);
    }
    let boundary = stream.full_at.and_then(|at| last_boundary(now, at, timezone));
    if boundary.is_some_and(|boundary| last_full < boundary) { Some(Pass::Full) } else { Some(Pass::Incremental) }
}

/// The last time that it was `at` o'clock in `timezone`.
fn last_boundary(now: DateTime<Utc>, at: NaiveTime, timezone: Tz) -> Option<DateTime<Utc>> {
    let today = now.with_timezone(&timezone).date_naive();
    [today, today.pred_opt()?]
        .into_iter()
        .filter_map(|day| timezone.from_local_datetime(&day.and_time(at)).earliest())
        .map(|boundary| boundary.to_utc())
        .find(|boundary| *boundary <= now)
}

/// A stream waits for the first load of those it refers to, unless they have failed: then deferral takes over.
fn ready(instance: &Instance, stream: &Stream, rows: &[StreamRow]) -> bool {
    stream.spec.after.iter().all(|name| {
        let enabled = instance.streams.iter().any(|one| one.spec.name == *name && one.enabled);
        let row = rows.iter().find(|row| row.connector == instance.name && row.stream == *name);
        !enabled
            || row.is_some_and(|row| {
                row.last_success_at.is_some() || row.failures_in_a_row > 0 || row.paused_at.is_some()
            })
    })
}

/// What became of a run that this process tried to work off itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alone {
    Worked,
    /// Somebody else has taken it meanwhile.
    Taken,
    /// Another process polls the stream, or holds an instance that only one process may call. The run is asked for
    /// still.
    Busy,
}

/// Works off a requested run here, without a daemon, under the same leases.
pub async fn run_alone(engine: &Engine, id: Uuid) -> Result<Alone, sqlx::Error> {
    let Some(asked) = runs::get(&engine.pool, id).await? else { return Ok(Alone::Taken) };
    if let Ok(instance) = engine.instance(&asked.connector)
        && !may_poll(engine, instance, &asked.stream).await?
    {
        return Ok(Alone::Busy);
    }
    let Some(run) = claim(engine, id, &asked.connector, &asked.stream).await? else { return Ok(Alone::Taken) };
    retention::round_now(engine).await?;
    pull::work(engine, &run, &engine.stop).await?;
    leases::release(&engine.pool, &pull::stream_lease(&run.connector, &run.stream), engine.id).await?;
    Ok(Alone::Worked)
}

#[cfg(test)]
mod tests {
    use kopru_sdk::StreamSpec;

    use crate::hub::sweeps::SweepPolicy;

    use super::*;

    fn stream(incremental: bool) -> Stream {
        Stream {
            spec: StreamSpec { name: "items", mapping: "logo/items", after: &[], incremental, every_secs: 300 },
            enabled: true,
            every: Duration::from_secs(300),
            full_at: NaiveTime::from_hms_opt(3, 30, 0),
            mapping: "logo/items".to_owned(),
            sweep: SweepPolicy::default(),
        }
    }

    fn row(started: &str, success: &str, full: &str) -> StreamRow {
        let at = |text: &str| DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc());
        StreamRow {
            connector: "logo".to_owned(),
            stream: "items".to_owned(),
            paused_at: None,
            paused_cause: None,
            paused_reason: None,
            last_run_id: None,
            last_started_at: at(started),
            last_success_at: at(success),
            last_full_at: at(full),
            last_error: None,
            failures_in_a_row: 0,
        }
    }

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    const ISTANBUL: Tz = chrono_tz::Europe::Istanbul;

    #[test]
    fn a_stream_that_never_ran_begins_with_a_complete_pass() {
        assert_eq!(due(&stream(true), None, at("2026-11-21T10:00:00Z"), ISTANBUL), Some(Pass::Full));
    }

    #[test]
    fn changes_are_due_by_period_and_a_complete_pass_at_half_past_three_in_istanbul() {
        let held = row("2026-11-21T00:00:00Z", "2026-11-21T00:00:10Z", "2026-11-20T00:31:00Z");
        // 00:29 UTC is 03:29 in Istanbul.
        assert_eq!(due(&stream(true), Some(&held), at("2026-11-21T00:29:59Z"), ISTANBUL), Some(Pass::Incremental));
        assert_eq!(due(&stream(true), Some(&held), at("2026-11-21T00:30:00Z"), ISTANBUL), Some(Pass::Full));
        assert_eq!(due(&stream(true), Some(&held), at("2026-11-21T00:04:00Z"), ISTANBUL), None);
        assert_eq!(due(&stream(false), Some(&held), at("2026-11-21T00:06:00Z"), ISTANBUL), Some(Pass::Full));
    }

    #[test]
    fn interrupted_work_is_due_at_once_and_a_paused_stream_never() {
        let mut held = row("2026-11-21T00:00:00Z", "2026-11-20T23:00:00Z", "2026-11-21T00:00:00Z");
        assert_eq!(due(&stream(true), Some(&held), at("2026-11-21T00:00:05Z"), ISTANBUL), Some(Pass::Incremental));
        held.failures_in_a_row = 1;
        assert_eq!(due(&stream(true), Some(&held), at("2026-11-21T00:00:05Z"), ISTANBUL), None);
        held.paused_at = Some(at("2026-11-21T00:00:00Z"));
        assert_eq!(due(&stream(true), Some(&held), at("2026-11-22T00:00:05Z"), ISTANBUL), None);
    }
}
