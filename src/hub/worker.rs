//! The worker of the queued lane: claims what is due, has it done, writes what came of it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use kopru_sdk::{Cause, Fault};
use uuid::Uuid;

use super::{
    breaker,
    dead_letters::{self, NewLetter},
    documents,
    engine::{Engine, Handler},
    messages::{self, Claimed, DOCUMENT, Finish, NewMessage, unpack},
    pages::{ApplyError, Failure},
    pull::{ISOLATE_AFTER, is_outage},
    retry::{Next, next_after},
    states::{BreakerState, MessageState},
    streams,
};
use crate::canonical::Entity;

/// How often a worker looks by itself, whether it was woken or not.
const POLL: Duration = Duration::from_secs(1);

/// Runs until the engine stops; what is in hand is finished first.
pub async fn run(engine: Engine) {
    while !engine.stop.is_cancelled() {
        match turn(&engine).await {
            Ok(0) => {
                tokio::select! {
                    () = engine.work.notified() => {}
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
    let claimed = messages::claim(&engine.pool, engine.id, settings.batch, settings.lease).await?;
    let count = claimed.len();
    let (sound, hopeless): (Vec<_>, Vec<_>) = claimed
        .into_iter()
        .partition(|message| u32::try_from(message.claims).is_ok_and(|claims| claims <= settings.max_claims));
    for message in hopeless {
        let failure = messages::quarantined(message.claims);
        bury(engine, &message, failure).await?;
    }
    let mut batches: BTreeMap<(String, String, Option<String>), Vec<Claimed>> = BTreeMap::new();
    for message in sound {
        let mapping = message.mapping.clone().filter(|_| message.kind == DOCUMENT);
        batches.entry((message.kind.clone(), message.connector.clone(), mapping)).or_default().push(message);
    }
    for ((kind, connector, mapping), batch) in batches {
        if kind == DOCUMENT {
            work_documents(engine, &connector, mapping.as_deref(), &batch).await?;
        } else if let Some(handler) = engine.handlers.get(kind.as_str()) {
            work_handled(engine, &connector, handler, batch).await?;
        } else {
            for message in &batch {
                let failure = Failure {
                    cause: Cause::Ours,
                    reason: "kind_unknown".to_owned(),
                    field: None,
                    value: Some(kind.clone()),
                    detail: format!("this version of the program does not know messages of kind `{kind}`"),
                };
                bury(engine, message, failure).await?;
            }
        }
    }
    Ok(count)
}

async fn work_documents(
    engine: &Engine,
    connector: &str,
    mapping: Option<&str>,
    batch: &[Claimed],
) -> Result<(), sqlx::Error> {
    let mut conflicts = 0;
    loop {
        match documents::work(engine, connector, mapping, batch, conflicts >= ISOLATE_AFTER).await {
            Ok(()) => return Ok(()),
            Err(ApplyError::Conflict) if conflicts < 20 => conflicts += 1,
            Err(ApplyError::Database(error)) if is_outage(&error) => return Err(error),
            // What the batch as a whole cannot do, each of it is tried alone before it is put aside.
            Err(error) if batch.len() > 1 => {
                tracing::warn!(connector, %error, "a batch of documents failed; each is tried alone");
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
    if handler.needs_system() && breaker::state(db, connector).await? != BreakerState::Closed {
        hold(engine, connector, handler).await?;
        return release(engine, started_at, batch.iter().collect(), true).await;
    }
    let results = handler.work(engine, &batch).await;
    let mut worked = false;
    let mut outcomes: Vec<(&Claimed, Finish)> = Vec::with_capacity(batch.len());
    let mut letters = Vec::new();
    for (message, result) in batch.iter().zip(results) {
        let fault = match result {
            Ok(internal_id) => {
                worked = true;
                let finish = Finish::Final { state: MessageState::Done, internal_id, failure: None };
                outcomes.push((message, finish));
                continue;
            }
            Err(fault) => fault,
        };
        let finish = judge(engine, connector, handler, message, &fault).await?;
        if let Finish::Final { state: MessageState::Dead, failure: Some(failure), .. } = &finish {
            letters.push(letter_of(message, failure.clone()));
        }
        outcomes.push((message, finish));
    }
    if worked {
        breaker::record_success(db, connector).await?;
    }
    let mut tx = db.begin().await?;
    let ids: Vec<Uuid> = batch.iter().map(|message| message.id).collect();
    let ours = messages::still_ours(&mut tx, engine.id, &ids).await?;
    outcomes.retain(|(message, _)| ours.contains(&message.id));
    letters.retain(|letter| ours.contains(&letter.message.id));
    dead_letters::record(&mut tx, &letters).await?;
    messages::finish(&mut tx, engine.id, started_at, &outcomes).await?;
    tx.commit().await
}

/// What a fault means for a message: the one place where the retry policy, the breaker and the pause meet.
async fn judge(
    engine: &Engine,
    connector: &str,
    handler: &Arc<dyn Handler>,
    message: &Claimed,
    fault: &Fault,
) -> Result<Finish, sqlx::Error> {
    let settings = &engine.settings;
    let failure = failure_of(fault);
    let number = u32::try_from(message.attempts + 1).unwrap_or(u32::MAX);
    match next_after(fault, &settings.retry) {
        Next::Retry | Next::FindFirst => {}
        // However often it asks for patience, the message is not to blame.
        Next::Wait { at_least } => {
            let delay = settings.retry.delay_after(number).or(settings.retry.delays.last().copied());
            return Ok(Finish::Retry { after: delay.unwrap_or_default().max(at_least), failure });
        }
        Next::PauseConnector => {
            if let Ok(instance) = engine.instance(connector) {
                let names: Vec<String> = instance.streams.iter().map(|stream| stream.spec.name.to_owned()).collect();
                streams::pause(&engine.pool, connector, &names, fault.cause().as_str(), &failure.detail).await?;
            }
            return Ok(Finish::Hold { failure });
        }
        Next::DeadLetter => {
            return Ok(Finish::Final { state: MessageState::Dead, internal_id: None, failure: Some(failure) });
        }
    }
    let state = breaker::record_fault(
        &engine.pool,
        connector,
        &failure.detail,
        settings.breaker_threshold,
        settings.probe_after,
    )
    .await?;
    if state != BreakerState::Closed {
        hold(engine, connector, handler).await?;
        return Ok(Finish::Hold { failure });
    }
    if let Some(delay) = settings.retry.delay_after(number) {
        return Ok(Finish::Retry { after: delay, failure });
    }
    // Out of attempts. It is the message's fault only if its system worked for others meanwhile.
    let answered_others = sqlx::query_scalar!(
        r#"select exists (select from hub.breaker where connector = $1 and last_success_at > $2) as "yes!""#,
        connector,
        message.first_attempt_at,
    )
    .fetch_one(&engine.pool)
    .await?;
    if answered_others {
        Ok(Finish::Final { state: MessageState::Dead, internal_id: None, failure: Some(failure) })
    } else {
        Ok(Finish::Hold { failure })
    }
}

async fn hold(engine: &Engine, connector: &str, handler: &Arc<dyn Handler>) -> Result<(), sqlx::Error> {
    messages::hold_all(&engine.pool, connector, &[handler.kind().to_owned()]).await?;
    Ok(())
}

/// Gives claimed messages back untouched, or held when their system is known to be down.
async fn release(
    engine: &Engine,
    started_at: DateTime<Utc>,
    batch: Vec<&Claimed>,
    held: bool,
) -> Result<(), sqlx::Error> {
    let mut tx = engine.pool.begin().await?;
    let ids: Vec<Uuid> = batch.iter().map(|message| message.id).collect();
    let ours = messages::still_ours(&mut tx, engine.id, &ids).await?;
    let outcomes: Vec<(&Claimed, Finish)> = batch
        .into_iter()
        .filter(|message| ours.contains(&message.id))
        .map(|message| (message, Finish::Release))
        .collect();
    messages::finish(&mut tx, engine.id, started_at, &outcomes).await?;
    if held {
        sqlx::query!("update hub.message set state = 'held' where id = any($1) and state = 'received'", &ours)
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await
}

fn failure_of(fault: &Fault) -> Failure {
    match fault {
        Fault::Permanent(refusal) => Failure {
            cause: fault.cause(),
            reason: refusal.reason.clone(),
            field: refusal.field.clone(),
            value: refusal.value.clone(),
            detail: refusal.detail.clone(),
        },
        other => Failure {
            cause: other.cause(),
            reason: other.class().to_owned(),
            field: None,
            value: None,
            detail: other.to_string(),
        },
    }
}

fn letter_of(message: &Claimed, failure: Failure) -> NewLetter {
    NewLetter {
        message: NewMessage {
            id: message.id,
            kind: DOCUMENT,
            connector: message.connector.clone(),
            stream: message.stream.clone(),
            entity: message.entity.as_deref().and_then(Entity::parse).map(Entity::as_str),
            key: message.key.clone(),
            mapping: message.mapping.clone(),
            mapping_hash: None,
            format: documents::format_word(&message.format),
            body: unpack(&message.body).unwrap_or_else(|_| message.body.clone()),
            correlation_id: message.correlation_id.clone(),
            run_id: message.run_id,
            dead_letter_id: None,
            received_at: message.received_at,
        },
        failure,
        missing: None,
        attempts: message.attempts + 1,
    }
}

/// Puts a claimed message among the dead letters by itself.
async fn bury(engine: &Engine, message: &Claimed, failure: Failure) -> Result<(), sqlx::Error> {
    let started_at = engine.database_now().await?;
    let mut tx = engine.pool.begin().await?;
    if messages::still_ours(&mut tx, engine.id, &[message.id]).await?.is_empty() {
        return Ok(());
    }
    match message.dead_letter_id {
        Some(letter) => dead_letters::reopen(&mut tx, letter, &failure, None, None).await?,
        None => {
            dead_letters::record(&mut tx, &[letter_of(message, failure.clone())]).await?;
        }
    }
    let finish = Finish::Final { state: MessageState::Dead, internal_id: None, failure: Some(failure) };
    messages::finish(&mut tx, engine.id, started_at, &[(message, finish)]).await?;
    tx.commit().await
}
