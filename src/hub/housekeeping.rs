//! What keeps several daemons on one database honest: heartbeats, expired leases, orphaned runs, probes of systems that
//! are down, records whose reference arrived. Every task here reads the store and converges; none takes input.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    breaker, daemons,
    dead_letters::{self, Slice},
    deferral,
    deliveries::{self, router},
    engine::Engine,
    keyed, leases, mappings, messages, runs, scheduler, streams, sweeps, webhooks,
};
use crate::{audit::Actor, outbox};

/// Shows that this process lives and keeps what it holds. On its own task, so that no work delays it.
/// `until`: it outlives the work in hand of a process that is stopping.
pub async fn heartbeat(engine: Engine, until: CancellationToken) {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    loop {
        if let Err(error) = beat(&engine, &host).await {
            tracing::warn!(%error, "the heartbeat could not be written");
        }
        tokio::select! {
            () = tokio::time::sleep(engine.settings.heartbeat) => {}
            () = until.cancelled() => return,
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
    let in_hand = engine.in_hand();
    messages::renew(&engine.pool, engine.id, &in_hand, engine.settings.lease).await?;
    let began = Instant::now();
    let renewed = deliveries::store::renew(&engine.pool, engine.id, &in_hand, engine.settings.lease).await?;
    engine.note_renewed(&renewed, began + engine.settings.lease);
    Ok(())
}

/// Leases that ran out since then are looked at each second. Those of older ones leave their entries in the index for as long as
/// anybody has an old snapshot open, and who looks at all walks over them.
const JUST_NOW: Duration = Duration::from_secs(120);

/// Takes back what daemons that are gone held, and lets go what is held for no reason any more.
pub async fn mend(engine: Engine) {
    // What ran out long ago ran out while nobody was there, or is found a minute later.
    let mut all = std::iter::once(true).chain(std::iter::repeat_n(false, 59)).cycle();
    loop {
        let within = (!all.next().unwrap_or(true)).then_some(JUST_NOW);
        if let Err(error) = mend_once(&engine, within).await {
            tracing::warn!(%error, "housekeeping failed; it is tried again in a second");
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            () = engine.stop.cancelled() => return,
        }
    }
}

async fn mend_once(engine: &Engine, within: Option<Duration>) -> Result<(), sqlx::Error> {
    let db = &engine.pool;
    let returned = messages::reap_expired(db).await?;
    for orphan in runs::take_up_orphans(db).await? {
        tracing::warn!(connector = orphan.connector, stream = orphan.stream, "a run lost its daemon and is taken up");
        engine.due.notify_one();
    }
    let mut released = 0;
    for connector in messages::held_for_nothing(db).await? {
        released += messages::release_held(db, &connector, engine.settings.release_per_second).await?;
    }
    if returned + released > 0 {
        engine.work.notify_waiters();
    }
    mend_lane(engine, within).await
}

/// What is true of messages, for deliveries: expired leases, what is to be held, what may go.
pub async fn mend_deliveries(engine: &Engine) -> Result<(), sqlx::Error> {
    mend_lane(engine, None).await
}

/// `within`: only leases that ran out so shortly ago.
async fn mend_lane(engine: &Engine, within: Option<Duration>) -> Result<(), sqlx::Error> {
    // Locks are only taken of what is free: it waits for nobody, nor anybody long for it.
    let mut tx = keyed::begin(&engine.pool).await?;
    let returned = deliveries::store::reap_expired(&mut *tx, engine.id, &engine.in_hand(), within).await?;
    deliveries::store::hold_uncallable(&mut *tx).await?;
    let mut ready = Vec::new();
    for (name, target) in engine.targets.now().iter() {
        match target.unready() {
            Some(why) => {
                deliveries::store::hold_unready(&mut *tx, name, &why.reason, &why.detail).await?;
            }
            None => ready.push(name.clone()),
        }
    }
    let released = deliveries::store::release_held(&mut *tx, &ready, engine.settings.release_per_second).await?;
    tx.commit().await?;
    if returned + released > 0 {
        engine.deliveries.notify_waiters();
    }
    Ok(())
}

/// How long a probe may take: a system that answers later is no system to send work to.
const PROBE_TIMEOUT: Duration = Duration::from_secs(30);

/// Asks systems that are down whether they are back; never with a message that failed. Each on its own task, so that one
/// that hangs keeps nobody else waiting.
pub async fn probe(engine: Engine) {
    let mut asked: JoinSet<String> = JoinSet::new();
    let mut asking: HashSet<String> = HashSet::new();
    let pause = engine.settings.probe_after.min(Duration::from_secs(1));
    loop {
        if let Err(error) = probe_due(&engine, &mut asked, &mut asking).await {
            tracing::warn!(%error, "no system could be probed; it is tried again in a second");
        }
        tokio::select! {
            Some(done) = asked.join_next() => match done {
                Ok(name) => {
                    asking.remove(&name);
                }
                // Which one it was is unknown; a claim that nobody answers falls due again.
                Err(_) => asking.clear(),
            },
            () = tokio::time::sleep(pause) => {}
            () = engine.stop.cancelled() => return,
        }
    }
}

/// Every probe that is due, one after the other: for a process that works and ends.
pub async fn probe_once(engine: &Engine) -> Result<(), sqlx::Error> {
    for name in breaker::due_probes(&engine.pool, &probed(engine)).await? {
        if may_probe(engine, &name).await?
            && breaker::claim_probe(&engine.pool, &name, engine.settings.probe_after).await?
        {
            probe_one(engine, &name).await?;
        }
    }
    Ok(())
}

/// Everybody who has a breaker and whom this process can ask.
fn probed(engine: &Engine) -> Vec<String> {
    let mut names = engine.instance_names();
    names.extend(engine.targets.names());
    names.sort();
    names.dedup();
    names
}

/// An exclusive system is asked by the holder of its lease alone.
async fn may_probe(engine: &Engine, name: &str) -> Result<bool, sqlx::Error> {
    match engine.instances.get(name) {
        Some(instance) => scheduler::may_call(engine, instance).await,
        None => Ok(true),
    }
}

async fn probe_due(
    engine: &Engine,
    asked: &mut JoinSet<String>,
    asking: &mut HashSet<String>,
) -> Result<(), sqlx::Error> {
    let settings = &engine.settings;
    for name in breaker::due_probes(&engine.pool, &probed(engine)).await? {
        if asking.contains(&name) || !may_probe(engine, &name).await? {
            continue;
        }
        if breaker::claim_probe(&engine.pool, &name, settings.probe_after).await? {
            asking.insert(name.clone());
            let engine = engine.clone();
            asked.spawn(async move {
                if let Err(error) = probe_one(&engine, &name).await {
                    tracing::warn!(connector = name, %error, "the result of a probe could not be written");
                }
                name
            });
        }
    }
    Ok(())
}

async fn probe_one(engine: &Engine, name: &str) -> Result<(), sqlx::Error> {
    let (db, settings) = (&engine.pool, &engine.settings);
    let cx = engine.context(format!("probe-{name}"));
    let asked = async {
        match (engine.instances.get(name), engine.targets.get(name)) {
            (Some(instance), _) => instance.connector.check(&cx).await,
            (None, Some(target)) => target.check(&cx).await,
            (None, None) => Ok(()),
        }
    };
    let detail = match tokio::time::timeout(PROBE_TIMEOUT, asked).await {
        Ok(Ok(())) => {
            tracing::info!(connector = name, "the system answers again");
            match engine.targets.get(name).and_then(|target| target.given_up_after()) {
                Some(_) => breaker::let_try(db, name, settings.breaker_threshold).await?,
                None => breaker::close(db, name).await?,
            }
            return let_go(engine, name).await;
        }
        Ok(Err(fault)) => fault.to_string(),
        Err(_) => format!("no answer to a probe within {} s", PROBE_TIMEOUT.as_secs()),
    };
    breaker::record_fault(db, name, &detail, settings.breaker_threshold, engine.probing(name)).await?;
    Ok(())
}

/// The breaker of a system is closed: what was held for it goes on.
pub async fn let_go(engine: &Engine, name: &str) -> Result<(), sqlx::Error> {
    let (db, settings) = (&engine.pool, &engine.settings);
    let released = messages::release_held(db, name, settings.release_per_second).await?;
    let released =
        released + deliveries::store::release_held(db, &[name.to_owned()], settings.release_per_second).await?;
    streams::forgive(db, name).await?;
    if released > 0 {
        tracing::info!(connector = name, messages = released, "held messages are released");
    }
    engine.due.notify_one();
    engine.work.notify_waiters();
    engine.deliveries.notify_waiters();
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
    router::trim(engine).await?;
    give_up(engine).await?;
    dead_letters::forget_unused(&engine.pool).await?;
    sweeps::forget_old(&engine.pool, engine.settings.history_days).await?;
    if !arrived.is_empty() {
        let correlation_id = Uuid::now_v7().to_string();
        let by = Actor::new("hub", &correlation_id);
        match dead_letters::replay(&engine.pool, by, &arrived).await {
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

/// Switches off whoever has failed for too long.
pub async fn give_up(engine: &Engine) -> Result<(), sqlx::Error> {
    for (name, target) in engine.targets.now().iter() {
        let Some(after) = target.given_up_after() else { continue };
        if let Some(fault) = breaker::has_failed_for(&engine.pool, name, after).await? {
            webhooks::keep::switch_off(engine, name, webhooks::change::Off::Failing, &fault).await?;
        }
    }
    Ok(())
}

/// Works running plans over dead letters off, slice by slice.
pub async fn work_plans(engine: Engine) {
    loop {
        let pause = match dead_letters::slice(&engine.pool).await {
            Ok(Slice::Idle) => Duration::from_secs(1),
            Ok(Slice::NotYet | Slice::Taken(_)) => Duration::from_millis(200),
            Err(error) => {
                tracing::warn!(%error, "a plan over dead letters could not go on; it is tried again in a second");
                Duration::from_secs(1)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = engine.stop.cancelled() => return,
        }
    }
}

/// Sweeps that a person has approved, or that a process left behind.
pub async fn work_sweeps(engine: Engine) {
    loop {
        match sweeps::advance(&engine).await {
            Ok(true) if !engine.stop.is_cancelled() => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "a sweep could not go on; it is tried again"),
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            () = engine.stop.cancelled() => return,
        }
    }
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
    let channels = [
        messages::CHANNEL,
        runs::CHANNEL,
        mappings::overlay::CHANNEL,
        deliveries::manage::CHANNEL,
        outbox::CHANNEL,
        webhooks::CHANNEL,
    ];
    listener.listen_all(channels).await?;
    // What came before the channel was open.
    engine.work.notify_waiters();
    engine.due.notify_one();
    engine.events.notify_one();
    engine.deliveries.notify_waiters();
    engine.webhooks_changed.notify_waiters();
    loop {
        tokio::select! {
            notification = listener.recv() => match notification?.channel() {
                runs::CHANNEL => engine.due.notify_one(),
                mappings::overlay::CHANNEL => engine.mappings_changed.notify_one(),
                deliveries::manage::CHANNEL => engine.deliveries.notify_waiters(),
                outbox::CHANNEL => engine.events.notify_one(),
                webhooks::CHANNEL => engine.webhooks_changed.notify_waiters(),
                _ => engine.work.notify_waiters(),
            },
            () = engine.stop.cancelled() => return Ok(()),
        }
    }
}
