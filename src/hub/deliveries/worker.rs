//! The worker of the outbound lane: claims what is due for each target's free places, calls, writes what came of it.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use kopru_sdk::{Cause, Fault};
use tokio::{task::JoinSet, time::timeout};
use tracing::Instrument;

use super::{
    super::{
        breaker,
        engine::{Engine, InHand},
        keyed,
        pages::Failure,
        scheduler,
        verdict::{self, Tries, Verdict, failure_of},
        webhooks::{change::Off, keep},
    },
    fence::Fenced,
    horizon::Horizon,
    outcome::{self, Finish, Outcome},
    store::{self, Claimed, Free},
    target::{Target, Tried},
    targets,
};

/// How often it looks by itself, whether it was woken or not.
const POLL: Duration = Duration::from_secs(1);

/// Outcomes that are written by one transaction.
const BATCH: usize = 200;

/// How often outcomes are tried to be written: what is lost is an unknown outcome.
const WRITES: u32 = 6;

/// A call that came back.
struct Made {
    delivery: Claimed,
    /// `None`: it was let go, since its lease may be lost.
    tried: Option<Tried>,
    /// Its lease is kept until its outcome is written.
    held: InHand,
}

/// Runs until the engine stops; what is under way is finished first.
pub async fn run(engine: Engine) {
    let mut calls: JoinSet<Made> = JoinSet::new();
    let mut busy: BTreeMap<String, usize> = BTreeMap::new();
    let mut horizon = Horizon::default();
    loop {
        // Listening before looking: what is rung in between is not missed.
        let rung = engine.deliveries.notified();
        tokio::pin!(rung);
        rung.as_mut().enable();
        let stopping = engine.stop.is_cancelled();
        if stopping && calls.is_empty() {
            return;
        }
        if !stopping && let Err(error) = claim(&engine, &mut calls, &mut busy, &mut horizon).await {
            tracing::warn!(%error, "no deliveries could be claimed; they wait");
        }
        let mut made = Vec::new();
        tokio::select! {
            Some(first) = calls.join_next() => made.extend(ended(first)),
            () = rung, if !stopping => {}
            () = tokio::time::sleep(POLL), if !stopping => {}
            () = engine.stop.cancelled(), if !stopping => {}
        }
        while made.len() < BATCH
            && let Some(next) = calls.try_join_next()
        {
            made.extend(ended(next));
        }
        for Made { delivery, .. } in &made {
            let tried_before = delivery.attempts > 0 || delivery.document.unknown_since.is_some();
            horizon.finished(&delivery.target, delivery.due_at, tried_before);
        }
        settle(&engine, made, &mut busy).await;
        if calls.is_empty() {
            // A call that panicked has given its place back like any other.
            busy.clear();
        }
    }
}

fn ended(joined: Result<Made, tokio::task::JoinError>) -> Option<Made> {
    joined.inspect_err(|error| tracing::error!(%error, "a delivery broke off; its lease runs out")).ok()
}

/// One look and everything that is due by then, called one after the other: for a process that works and ends.
/// Returns how many deliveries it were.
pub async fn turn(engine: &Engine) -> Result<usize, sqlx::Error> {
    let (mut calls, mut busy) = (JoinSet::new(), BTreeMap::new());
    let claimed = claim(engine, &mut calls, &mut busy, &mut Horizon::default()).await?;
    let mut made = Vec::new();
    while let Some(joined) = calls.join_next().await {
        made.extend(ended(joined));
    }
    write(engine, made).await?;
    Ok(claimed)
}

/// Claims for every free place and begins the calls.
async fn claim(
    engine: &Engine,
    calls: &mut JoinSet<Made>,
    busy: &mut BTreeMap<String, usize>,
    horizon: &mut Horizon,
) -> Result<usize, sqlx::Error> {
    let wide = horizon.is_wide();
    let all = engine.targets.now();
    let mut free = Vec::new();
    for (name, target) in all.iter() {
        let places = target.at_once().saturating_sub(busy.get(name).copied().unwrap_or_default());
        if places > 0 && target.unready().is_none() {
            free.push(Free { target: name.clone(), places, from: horizon.from(name).filter(|_| !wide) });
        }
    }
    if free.is_empty() {
        return Ok(0);
    }
    keep_exclusive(engine, &mut free).await?;
    if free.is_empty() {
        return Ok(0);
    }
    let began = Instant::now();
    let leased_until = began + engine.settings.lease;
    let mut claimed = store::claim(&engine.pool, engine.id, &free, engine.settings.lease).await?;
    horizon.looked(wide, began.elapsed());
    claimed.iter().for_each(|delivery| horizon.claimed(&delivery.target, delivery.due_at));
    let count = claimed.len();
    if count == 0 {
        return Ok(0);
    }
    // From here on the heartbeat keeps their leases.
    let held: Vec<InHand> =
        claimed.iter().map(|delivery| engine.hold_until(vec![delivery.document.id], leased_until)).collect();
    store::take_edits(&engine.pool, &mut claimed).await?;
    for (delivery, held) in claimed.into_iter().zip(held) {
        let Some(target) = all.get(&delivery.target).cloned() else { continue };
        *busy.entry(delivery.target.clone()).or_default() += 1;
        let span = tracing::error_span!(
            "delivery", correlation_id = %delivery.correlation_id, delivery.id = %delivery.document.id,
            target_name = %delivery.target, kind = %delivery.document.kind
        );
        let engine = engine.clone();
        let call = async move {
            let tried = attempt(&engine, target, &delivery).await;
            Made { delivery, tried, held }
        };
        calls.spawn(call.instrument(span));
    }
    Ok(count)
}

/// Leaves out the systems that only one process may call and another one does.
async fn keep_exclusive(engine: &Engine, free: &mut Vec<Free>) -> Result<(), sqlx::Error> {
    let mut elsewhere = Vec::new();
    for name in free.iter().map(|free| &free.target) {
        if let Some(instance) = engine.instances.get(name)
            && !scheduler::may_call(engine, instance).await?
        {
            elsewhere.push(name.clone());
        }
    }
    free.retain(|free| !elsewhere.contains(&free.target));
    Ok(())
}

/// The call itself, unless there is no use in it.
async fn attempt(engine: &Engine, target: Arc<dyn Target>, delivery: &Claimed) -> Option<Tried> {
    if useless(engine, delivery).is_some() || hopeless(engine, delivery) {
        return Some(Tried::not_asked(Ok(None)));
    }
    let cx = engine.context(delivery.correlation_id.clone());
    let call = Fenced::new(engine, delivery.document.id, target.deliver(&cx, &delivery.document));
    match timeout(target.timeout(), call).await {
        Ok(tried) => tried,
        Err(_) => Some(Tried::not_asked(Err(Fault::UnknownOutcome {
            detail: format!("no answer within {} s", target.timeout().as_secs_f32()),
        }))),
    }
}

fn hopeless(engine: &Engine, delivery: &Claimed) -> bool {
    u32::try_from(delivery.claims).is_ok_and(|claims| claims > engine.settings.max_claims)
}

/// Why there is no use in it any more.
fn useless(engine: &Engine, delivery: &Claimed) -> Option<Failure> {
    let expired = delivery.document.expires_at.is_some_and(|at| at <= engine.clock.now());
    expired.then(|| Failure {
        cause: Cause::Remote,
        reason: "expired".to_owned(),
        field: None,
        value: None,
        detail: "it could not go out before what it says had expired".to_owned(),
    })
}

/// Writes outcomes, and gives the places back. What cannot be written now is of an unknown outcome when its lease has run
/// out.
async fn settle(engine: &Engine, made: Vec<Made>, busy: &mut BTreeMap<String, usize>) {
    if made.is_empty() {
        return;
    }
    for one in &made {
        if let Some(count) = busy.get_mut(&one.delivery.target) {
            *count = count.saturating_sub(1);
        }
    }
    if let Err(error) = write(engine, made).await {
        tracing::warn!(%error, "outcomes of deliveries could not be written; they are looked at again");
    }
}

async fn write(engine: &Engine, made: Vec<Made>) -> Result<(), sqlx::Error> {
    let db = &engine.pool;
    let mut outcomes = Vec::with_capacity(made.len());
    let mut held = Vec::with_capacity(made.len());
    // Faults count in a row: what went well before one comes first.
    let mut worked: BTreeMap<String, bool> = BTreeMap::new();
    let mut down = false;
    for one in made {
        let Made { delivery, tried, held: lease } = one;
        held.push(lease);
        let Some(tried) = tried else {
            outcomes.push(let_go(delivery));
            continue;
        };
        let finish = match &tried.outcome {
            _ if useless(engine, &delivery).is_some() && tried.asked.is_none() => match useless(engine, &delivery) {
                Some(failure) => Finish::Discarded { failure },
                None => Finish::Release,
            },
            Ok(_) if hopeless(engine, &delivery) => {
                Finish::Dead { failure: super::super::messages::quarantined(delivery.claims) }
            }
            Ok(receipt) => {
                worked.insert(delivery.target.clone(), true);
                Finish::Done { receipt: receipt.clone() }
            }
            Err(fault) => {
                if worked.insert(delivery.target.clone(), false) == Some(true) {
                    breaker::record_success(db, &delivery.target).await?;
                }
                judge(engine, &delivery, fault).await?
            }
        };
        down = down || matches!(finish, Finish::Hold { .. });
        let Tried { asked, answered, effect, .. } = tried;
        outcomes.push(Outcome { delivery, finish, asked, answered, effect });
    }
    for target in worked.iter().filter(|(_, worked)| **worked).map(|(target, _)| target) {
        breaker::record_success(db, target).await?;
    }
    let mut tries = 1;
    while let Err(error) = write_down(engine, outcomes.clone()).await {
        // Another writer was faster, or the database was away for a moment. The leases hold meanwhile.
        if tries == WRITES {
            return Err(error);
        }
        tokio::time::sleep(Duration::from_millis(50) * tries).await;
        tries += 1;
    }
    drop(held);
    if down {
        store::hold_uncallable(db).await?;
    }
    Ok(())
}

/// What became of a call whose lease may be lost: neither its system nor the work is to blame.
fn let_go(delivery: Claimed) -> Outcome {
    let detail = "its lease ran out while it was under way, so another process may have taken it over".to_owned();
    let failure = failure_of(&Fault::UnknownOutcome { detail });
    let finish = Finish::Retry { after: Duration::ZERO, failure, unknown: true, counts: false };
    Outcome { delivery, finish, asked: None, answered: None, effect: None }
}

async fn write_down(engine: &Engine, outcomes: Vec<Outcome>) -> Result<(), sqlx::Error> {
    let mut tx = keyed::begin(&engine.pool).await?;
    outcome::write(&mut tx, engine.id, engine.clock.now(), outcomes).await?;
    tx.commit().await
}

async fn judge(engine: &Engine, delivery: &Claimed, fault: &Fault) -> Result<Finish, sqlx::Error> {
    let failure = failure_of(fault);
    let unknown = matches!(fault, Fault::UnknownOutcome { .. });
    if engine.targets.get(&delivery.target).is_some_and(|target| target.is_farewell(fault)) {
        keep::switch_off(engine, &delivery.target, Off::Gone, &failure.detail).await?;
        return Ok(Finish::Hold { failure, unknown });
    }
    let (before, waited) = (delivery.attempts - delivery.patience, delivery.patience);
    let tries = Tries { before, waited, first_at: delivery.first_attempt_at };
    Ok(match verdict::judge(engine, &delivery.target, tries, fault).await? {
        Verdict::Retry { after } => Finish::Retry { after, failure, unknown, counts: true },
        Verdict::Later { after } => Finish::Retry { after, failure, unknown, counts: false },
        Verdict::Hold => Finish::Hold { failure, unknown },
        Verdict::Pause(cause) => {
            targets::cut_off(engine, &delivery.target, cause, &failure.detail).await?;
            Finish::Hold { failure, unknown }
        }
        Verdict::Dead => {
            tracing::warn!(
                target_name = delivery.target, delivery.id = %delivery.document.id, reason = failure.reason,
                "a delivery is a dead letter"
            );
            Finish::Dead { failure }
        }
    })
}
