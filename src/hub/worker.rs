//! The worker of the queued lane: claims what is due, has it done, writes what came of it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use kopru_sdk::{Cause, Fault};
use sqlx::PgConnection;
use tracing::{Instrument, Span, field::Empty};
use uuid::Uuid;

use super::{
    breaker,
    dead_letters::{self, NewLetter},
    documents,
    engine::{Engine, Handler},
    keyed,
    messages::{self, Claimed, DOCUMENT, Finish, NewMessage, unpack},
    pages::{ApplyError, Failure},
    patience::Patience,
    pull::is_outage,
    retry::{Next, next_after},
    states::{BreakerState, MessageState},
    streams,
    verdict::{self, Tries, Verdict, failure_of},
};
use crate::canonical::Entity;

/// How often a worker looks by itself, whether it was woken or not.
const POLL: Duration = Duration::from_secs(1);

/// Runs until the engine stops; what is in hand is finished first.
pub async fn run(engine: Engine) {
    while !engine.stop.is_cancelled() {
        // Listening before looking: what is rung in between is not missed.
        let rung = engine.work.notified();
        tokio::pin!(rung);
        rung.as_mut().enable();
        match turn(&engine).await {
            Ok(0) => {
                tokio::select! {
                    () = rung => {}
                    () = tokio::time::sleep(POLL) => {}
                    () = engine.stop.cancelled() => return,
                }
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "queued messages could not be worked on; they wait");
                tokio::select! {
                    () = tokio::time::sleep(POLL) => {}
                    () = engine.stop.cancelled() => return,
                }
            }
        }
    }
}

/// Claims one batch and works it off. Returns how many messages it was.
pub async fn turn(engine: &Engine) -> Result<usize, sqlx::Error> {
    let settings = &engine.settings;
    let mut claimed = messages::claim(&engine.pool, engine.id, settings.batch, settings.lease).await?;
    // Documents of one key in the order of their receipt: of two without a version the later one stands.
    claimed.sort_by_key(|message| (message.received_at, message.ordinal, message.id));
    let count = claimed.len();
    let _in_hand = engine.take_in_hand(&claimed);
    let (sound, hopeless): (Vec<_>, Vec<_>) = claimed
        .into_iter()
        .partition(|message| u32::try_from(message.claims).is_ok_and(|claims| claims <= settings.max_claims));
    for message in hopeless {
        let failure = messages::quarantined(message.claims);
        let span = batch_span(&message.kind, &message.connector, std::slice::from_ref(&message));
        bury(engine, &message, failure).instrument(span).await?;
    }
    // Kind, connector, mapping, stream.
    type Batch = (String, String, Option<String>, Option<String>);
    let mut batches: BTreeMap<Batch, Vec<Claimed>> = BTreeMap::new();
    for message in sound {
        let mapping = message.mapping.clone().filter(|_| message.kind == DOCUMENT);
        let stream = message.stream.clone().filter(|_| message.kind == DOCUMENT);
        batches.entry((message.kind.clone(), message.connector.clone(), mapping, stream)).or_default().push(message);
    }
    for ((kind, connector, mapping, _), batch) in batches {
        let span = batch_span(&kind, &connector, &batch);
        work_batch(engine, &kind, &connector, mapping.as_deref(), batch).instrument(span).await?;
    }
    Ok(count)
}

/// What log lines about a batch carry. A batch of several origins has no correlation id of its own.
fn batch_span(kind: &str, connector: &str, batch: &[Claimed]) -> Span {
    let span = tracing::error_span!(
        "batch",
        correlation_id = Empty,
        run.id = Empty,
        connector,
        stream = Empty,
        kind,
        messages = batch.len()
    );
    if let [first, rest @ ..] = batch {
        if rest.iter().all(|message| message.correlation_id == first.correlation_id) {
            span.record("correlation_id", &first.correlation_id);
        }
        if let Some(run) = first.run_id.filter(|_| rest.iter().all(|message| message.run_id == first.run_id)) {
            span.record("run.id", tracing::field::display(run));
        }
        if let Some(stream) = first.stream.as_ref().filter(|_| rest.iter().all(|other| other.stream == first.stream)) {
            span.record("stream", stream);
        }
    }
    span
}

async fn work_batch(
    engine: &Engine,
    kind: &str,
    connector: &str,
    mapping: Option<&str>,
    batch: Vec<Claimed>,
) -> Result<(), sqlx::Error> {
    if kind == DOCUMENT {
        return work_documents(engine, connector, mapping, &batch).await;
    }
    if let Some(handler) = engine.handlers.get(kind) {
        return work_handled(engine, connector, handler, batch).await;
    }
    for message in &batch {
        let failure = Failure {
            cause: Cause::Ours,
            reason: "kind_unknown".to_owned(),
            field: None,
            value: Some(kind.to_owned()),
            detail: format!("this version of the program does not know messages of kind `{kind}`"),
        };
        bury(engine, message, failure).await?;
    }
    Ok(())
}

async fn work_documents(
    engine: &Engine,
    connector: &str,
    mapping: Option<&str>,
    batch: &[Claimed],
) -> Result<(), sqlx::Error> {
    let mut patience = Patience::default();
    loop {
        match documents::work(engine, connector, mapping, batch, patience.isolates()).await {
            Ok(()) => return Ok(()),
            Err(error) if patience.starts_over(&error) => {}
            Err(ApplyError::Database(error)) if is_outage(&error) => return Err(error),
            // What the batch as a whole cannot do, each of it is tried alone before it is put aside.
            Err(error) if batch.len() > 1 => {
                tracing::warn!(%error, "a batch of documents failed; each is tried alone");
                for message in batch {
                    Box::pin(work_documents(engine, connector, mapping, std::slice::from_ref(message))).await?;
                }
                return Ok(());
            }
            Err(error) => {
                for message in batch {
                    let failure = Failure {
                        cause: Cause::Ours,
                        reason: "not_applicable".to_owned(),
                        field: None,
                        value: None,
                        detail: error.to_string(),
                    };
                    bury(engine, message, failure).await?;
                }
                return Ok(());
            }
        }
    }
}

async fn work_handled(
    engine: &Engine,
    connector: &str,
    handler: &Arc<dyn Handler>,
    batch: Vec<Claimed>,
) -> Result<(), sqlx::Error> {
    let db = &engine.pool;
    let started_at = engine.database_now().await?;
    if handler.needs_system()
        && (breaker::state(db, connector).await? != BreakerState::Closed || streams::is_cut_off(db, connector).await?)
    {
        hold(engine, connector, handler).await?;
        return give_back_held(engine, started_at, &batch).await;
    }
    let results = handler.work(engine, &batch).await;
    let mut worked = false;
    let mut down = false;
    let mut outcomes: Vec<(&Claimed, Finish)> = Vec::with_capacity(batch.len());
    for (message, result) in batch.iter().zip(results) {
        let finish = match result {
            Ok(internal_id) => {
                worked = true;
                Finish::Final { state: MessageState::Done, internal_id, failure: None }
            }
            // Once it is known to be down, a batch of five hundred need not tell it five hundred times.
            Err(fault) if down && next_after(&fault, &engine.settings.retry) != Next::DeadLetter => {
                Finish::Hold { failure: failure_of(&fault) }
            }
            Err(fault) => {
                // Faults count in a row: what went well before this one comes first.
                if std::mem::take(&mut worked) {
                    breaker::record_success(db, connector).await?;
                }
                let finish = judge(engine, connector, message, &fault).await?;
                down = down || matches!(finish, Finish::Hold { .. });
                finish
            }
        };
        outcomes.push((message, finish));
    }
    if worked {
        breaker::record_success(db, connector).await?;
    }
    if down {
        hold(engine, connector, handler).await?;
    }
    let mut tx = keyed::begin(db).await?;
    let ids: Vec<Uuid> = batch.iter().map(|message| message.id).collect();
    let ours = messages::still_ours(&mut tx, engine.id, &ids).await?;
    outcomes.retain(|(message, _)| ours.contains(&message.id));
    settle_letters(engine, &mut tx, &outcomes).await?;
    messages::finish(&mut tx, engine.id, started_at, &outcomes).await?;
    tx.commit().await
}

/// The letters of what died, and of replays.
async fn settle_letters(
    engine: &Engine,
    tx: &mut PgConnection,
    outcomes: &[(&Claimed, Finish)],
) -> Result<(), sqlx::Error> {
    let mut fresh = Vec::new();
    let mut replayed = Vec::new();
    for (message, finish) in outcomes {
        let Finish::Final { failure, .. } = finish else { continue };
        match (message.dead_letter_id, failure) {
            (Some(letter), Some(failure)) => dead_letters::reopen(tx, letter, failure, None, None).await?,
            (Some(letter), None) => replayed.push(letter),
            (None, Some(failure)) => fresh.push(letter_of(engine, message, failure.clone())),
            (None, None) => {}
        }
    }
    dead_letters::resolve(tx, &replayed, "replayed", "hub", None).await?;
    dead_letters::record(tx, &fresh).await
}

/// What a fault means for a message. To hold it means that everything of its system is to be held.
async fn judge(engine: &Engine, connector: &str, message: &Claimed, fault: &Fault) -> Result<Finish, sqlx::Error> {
    let failure = failure_of(fault);
    let tries = Tries { before: message.attempts, waited: 0, first_at: message.first_attempt_at };
    Ok(match verdict::judge(engine, connector, tries, fault).await? {
        Verdict::Retry { after } | Verdict::Later { after } => Finish::Retry { after, failure },
        Verdict::Hold => Finish::Hold { failure },
        Verdict::Pause(cause) => {
            streams::cut_off(engine, connector, cause, &failure.detail).await?;
            Finish::Hold { failure }
        }
        Verdict::Dead => Finish::Final { state: MessageState::Dead, internal_id: None, failure: Some(failure) },
    })
}

async fn hold(engine: &Engine, connector: &str, handler: &Arc<dyn Handler>) -> Result<(), sqlx::Error> {
    messages::hold_all(&engine.pool, connector, &[handler.kind().to_owned()]).await?;
    Ok(())
}

/// Gives claimed messages back untouched, and held: their system is known to be down.
async fn give_back_held(engine: &Engine, started_at: DateTime<Utc>, batch: &[Claimed]) -> Result<(), sqlx::Error> {
    let mut tx = keyed::begin(&engine.pool).await?;
    let ids: Vec<Uuid> = batch.iter().map(|message| message.id).collect();
    let ours = messages::still_ours(&mut tx, engine.id, &ids).await?;
    let outcomes: Vec<(&Claimed, Finish)> =
        batch.iter().filter(|message| ours.contains(&message.id)).map(|message| (message, Finish::Release)).collect();
    messages::finish(&mut tx, engine.id, started_at, &outcomes).await?;
    sqlx::query!("update hub.message set state = 'held' where id = any($1) and state = 'received'", &ours)
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}

fn letter_of(engine: &Engine, message: &Claimed, failure: Failure) -> NewLetter {
    let attempts = message.attempts + 1;
    let message = NewMessage {
        id: message.id,
        kind: message.kind.clone().into(),
        connector: message.connector.clone(),
        stream: message.stream.clone(),
        entity: message.entity.as_deref().and_then(Entity::parse).map(Entity::as_str),
        key: message.key.clone(),
        version: message.version(),
        mapping: message.mapping.clone(),
        mapping_hash: None,
        format: documents::format_word(&message.format),
        body: unpack(&message.body).unwrap_or_else(|_| message.body.clone()),
        correlation_id: message.correlation_id.clone(),
        run_id: message.run_id,
        dead_letter_id: None,
        received_at: message.received_at,
        ordinal: message.ordinal,
    };
    let carried = dead_letters::carried_by(engine, &message);
    NewLetter { message, failure, missing: None, attempts, carried }
}

/// Puts a claimed message among the dead letters by itself.
async fn bury(engine: &Engine, message: &Claimed, failure: Failure) -> Result<(), sqlx::Error> {
    let started_at = engine.database_now().await?;
    let mut tx = keyed::begin(&engine.pool).await?;
    if messages::still_ours(&mut tx, engine.id, &[message.id]).await?.is_empty() {
        return Ok(());
    }
    match message.dead_letter_id {
        Some(letter) => dead_letters::reopen(&mut tx, letter, &failure, None, None).await?,
        None => {
            dead_letters::record(&mut tx, &[letter_of(engine, message, failure.clone())]).await?;
        }
    }
    let finish = Finish::Final { state: MessageState::Dead, internal_id: None, failure: Some(failure) };
    messages::finish(&mut tx, engine.id, started_at, &[(message, finish)]).await?;
    tx.commit().await
}
