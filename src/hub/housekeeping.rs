//! What keeps several daemons on one database honest: heartbeats, expired leases, orphaned runs, probes of systems that
//! are down, records whose reference arrived. Every task here reads the store and converges; none takes input.

use std::time::Duration;

use kopru_sdk::Pass;

use super::{
    breaker, daemons, dead_letters, deferral,
    engine::Engine,
    leases, messages,
    runs::{self, NewRun},
    scheduler,
    states::{BreakerState, Trigger},
    streams,
};

/// Shows that this process lives and keeps what it holds. On its own task, so that no work delays it.
pub async fn heartbeat(engine: Engine) {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    loop {
        if let Err(error) = beat(&engine, &host).await {
            tracing::warn!(%error, "the heartbeat could not be written");
        }
        tokio::select! {
            () = tokio::time::sleep(engine.settings.heartbeat) => {}
            () = engine.stop.cancelled() => return,
        }
    }
}

/// The same for a process that works and ends: it keeps what it holds, and is no daemon that takes what is asked for.
pub async fn keep_leases(engine: Engine) {
    while !engine.stop.is_cancelled() {
        if let Err(error) = renew(&engine).await {
            tracing::warn!(%error, "the leases could not be renewed");
        }
        tokio::select! {
            () = tokio::time::sleep(engine.settings.heartbeat) => {}
            () = engine.stop.cancelled() => return,
        }
    }
}

async fn beat(engine: &Engine, host: &str) -> Result<(), sqlx::Error> {
    daemons::beat(&engine.pool, engine.id, host, std::process::id()).await?;
    renew(engine).await
}

async fn renew(engine: &Engine) -> Result<(), sqlx::Error> {
    leases::renew_all(&engine.pool, engine.id, engine.settings.lease).await?;
    messages::renew(&engine.pool, engine.id, engine.settings.lease).await
}

/// Takes back what daemons that are gone held, and probes systems that are down.
pub async fn mend(engine: Engine) {
    loop {
        if let Err(error) = mend_once(&engine).await {
            tracing::warn!(%error, "housekeeping failed; it is tried again in a second");
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            () = engine.stop.cancelled() => return,
        }
    }
}

async fn mend_once(engine: &Engine) -> Result<(), sqlx::Error> {
    let db = &engine.pool;
    let returned = messages::reap_expired(db).await?;
    for orphan in runs::reap_orphans(db).await? {
        tracing::warn!(connector = orphan.connector, stream = orphan.stream, "a run lost its daemon and is taken up");
        // What a person asked for is asked for again; scheduled work is found due by itself.
        if orphan.trigger == Trigger::Manual.as_str() && orphan.pass == Pass::Full.as_str() && !orphan.dry_run {
            let new = NewRun {
                connector: &orphan.connector,
                stream: &orphan.stream,
                pass: Pass::Full,
                trigger: Trigger::Resume,
                dry_run: false,
                since: None,
            };
            runs::create(db, &new, None).await?;
        }
        engine.due.notify_one();
    }
    if returned > 0 {
        engine.work.notify_waiters();
    }
    probe(engine).await
}

/// Asks a system that is down whether it is back; never with a message that failed.
pub async fn probe(engine: &Engine) -> Result<(), sqlx::Error> {
    let settings = &engine.settings;
    let mut names = Vec::new();
    for breaker in breaker::list(&engine.pool).await? {
        if breaker.state != BreakerState::Closed
            && let Ok(instance) = engine.instance(&breaker.connector)
            && scheduler::may_call(engine, instance).await?
        {
            names.push(breaker.connector);
        }
    }
    if names.is_empty() {
        return Ok(());
    }
    let Some(name) = breaker::claim_probe(&engine.pool, &names, settings.probe_after).await? else { return Ok(()) };
    let Ok(instance) = engine.instance(&name) else { return Ok(()) };
    match instance.connector.check(&engine.context(format!("probe-{name}"))).await {
        Ok(()) => {
            tracing::info!(connector = name, "the system answers again");
            breaker::record_success(&engine.pool, &name).await?;
            let released = messages::release_held(&engine.pool, &name, settings.release_per_second).await?;
            streams::forgive(&engine.pool, &name).await?;
            if released > 0 {
                tracing::info!(connector = name, messages = released, "held messages are released");
            }
            engine.due.notify_one();
            engine.work.notify_waiters();
        }
        Err(fault) => {
            let detail = fault.to_string();
            breaker::record_fault(&engine.pool, &name, &detail, settings.breaker_threshold, settings.probe_after)
                .await?;
        }
    }
    Ok(())
}

/// Records that wait for something, once a minute and at the start.
pub async fn sweep(engine: Engine) {
    loop {
        if let Err(error) = sweep_once(&engine).await {
            tracing::warn!(%error, "the sweep failed; it is tried again in a minute");
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(60)) => {}
            () = engine.stop.cancelled() => return,
        }
    }
}

/// One sweep: wakes what can go on, gives up what has waited too long, replays letters whose reference arrived.
pub async fn sweep_once(engine: &Engine) -> Result<(), sqlx::Error> {
    let mut db = engine.pool.acquire().await?;
    let woken = deferral::sweep(&mut db).await? + deferral::give_up_due(&mut db).await?;
    let arrived = dead_letters::arrived(&mut *db).await?;
    daemons::forget_silent(&mut *db).await?;
    drop(db);
    if !arrived.is_empty() {
        match dead_letters::replay(&engine.pool, &arrived, None).await {
            Ok(replayed) => {
                tracing::info!(letters = replayed.len(), "missing references arrived; letters are replayed")
            }
            Err(error) => tracing::warn!(%error, "letters could not be replayed"),
        }
    }
    if woken > 0 {
        engine.work.notify_waiters();
    }
    Ok(())
}

/// Rings the parts of this process when another one has queued something.
pub async fn listen(engine: Engine) {
    while !engine.stop.is_cancelled() {
        if let Err(error) = listen_once(&engine).await {
            tracing::debug!(%error, "the notification channel broke; polling goes on");
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(2)) => {}
            () = engine.stop.cancelled() => return,
        }
    }
}

async fn listen_once(engine: &Engine) -> Result<(), sqlx::Error> {
    let mut listener = sqlx::postgres::PgListener::connect_with(&engine.pool).await?;
    listener.listen_all([messages::CHANNEL, runs::CHANNEL]).await?;
    // What came before the channel was open.
    engine.work.notify_waiters();
    engine.due.notify_one();
    loop {
        tokio::select! {
            notification = listener.recv() => match notification?.channel() {
                runs::CHANNEL => engine.due.notify_one(),
                _ => engine.work.notify_waiters(),
            },
            () = engine.stop.cancelled() => return Ok(()),
        }
    }
}
