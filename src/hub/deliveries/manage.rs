//! Deliveries tried again or called off by a person.

use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    super::{dead_letters, webhooks},
    outcome, targets,
};
use crate::{
    audit::{self, Actor, Entry},
    mail, transaction,
};

/// Channel that tells the workers of deliveries; the poll is the truth.
pub const CHANNEL: &str = "hub_delivery";

#[derive(Debug, thiserror::Error)]
pub enum ManageError {
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Letter(#[from] dead_letters::LetterError),
    #[error("there is no open delivery {0}; `kopru deliveries show {0}` tells what became of it")]
    NotOpen(Uuid),
    #[error("delivery {0} is being made right now; look again when that has ended")]
    UnderWay(Uuid),
    #[error("delivery {id} is {state}; it goes out by itself when {until}")]
    Waits { id: Uuid, state: String, until: &'static str },
    #[error("no target is called `{0}`; `kopru deliveries targets` lists them")]
    UnknownTarget(String),
    #[error("say why, so that whoever looks for the deliveries later knows")]
    NoReason,
}

/// Tries deliveries again now: a dead one by its letter, one that waits for its next attempt at once, a finished one of a
/// webhook endpoint by telling its event once more. Those that wait for something else than time are told, and then nothing
/// happens.
pub async fn replay(db: &PgPool, by: Actor<'_>, ids: &[Uuid]) -> Result<usize, ManageError> {
    let mut tx = transaction::begin(db).await?;
    let done = replay_within(&mut tx, by, ids).await?;
    tx.commit().await?;
    Ok(done)
}

/// The same in the caller's transaction.
pub async fn replay_within(tx: &mut PgConnection, by: Actor<'_>, ids: &[Uuid]) -> Result<usize, ManageError> {
    let mut letters = Vec::new();
    let mut waiting = Vec::new();
    let rows = sqlx::query!("select id, state, dead_letter_id from hub.delivery where id = any($1)", ids)
        .fetch_all(&mut *tx)
        .await?;
    let mut again = Vec::new();
    for id in ids {
        let Some(row) = rows.iter().find(|row| row.id == *id) else {
            webhooks::replay::again(tx, *id).await?.ok_or(ManageError::NotOpen(*id))?;
            again.push(*id);
            continue;
        };
        let until = match (row.state.as_str(), row.dead_letter_id) {
            ("dead", Some(letter)) => {
                letters.push(letter);
                continue;
            }
            ("received" | "waiting", _) => {
                waiting.push(*id);
                continue;
            }
            ("working", _) => return Err(ManageError::UnderWay(*id)),
            ("blocked", _) => "the dead one before it is replayed or discarded",
            _ => "its target can be reached again",
        };
        return Err(ManageError::Waits { id: *id, state: row.state.clone(), until });
    }
    note(tx, by, "delivery.replayed", &again, &json!({})).await?;
    let queued = dead_letters::replay_within(tx, by, &letters).await?.len();
    let hurried = hurry(tx, by, &waiting).await?;
    Ok(again.len() + queued + hurried)
}

async fn hurry(tx: &mut PgConnection, by: Actor<'_>, ids: &[Uuid]) -> Result<usize, sqlx::Error> {
    if ids.is_empty() {
        return Ok(0);
    }
    let hurried = sqlx::query_scalar!(
        "update hub.delivery set due_at = clock_timestamp()
         where id = any($1) and state in ('received', 'waiting') returning id",
        ids,
    )
    .fetch_all(&mut *tx)
    .await?;
    note(&mut *tx, by, "delivery.replayed", &hurried, &json!({})).await?;
    sqlx::query!("select pg_notify($1, '')", CHANNEL).fetch_one(tx).await?;
    Ok(hurried.len())
}

async fn note(
    tx: &mut PgConnection,
    by: Actor<'_>,
    action: &'static str,
    ids: &[Uuid],
    detail: &Value,
) -> Result<(), sqlx::Error> {
    let entries: Vec<Entry> = ids
        .iter()
        .map(|id| Entry { action, subject_kind: "delivery", subject: id.to_string(), detail: detail.clone() })
        .collect();
    audit::record(tx, by, &entries).await
}

/// Calls deliveries off: all of them, or none when one is gone or under way. A dead one's letter goes with it.
pub async fn cancel(db: &PgPool, by: Actor<'_>, ids: &[Uuid], reason: &str) -> Result<u64, ManageError> {
    let mut tx = transaction::begin(db).await?;
    let done = cancel_within(&mut tx, by, ids, reason).await?;
    tx.commit().await?;
    Ok(done)
}

/// The same in the caller's transaction.
pub async fn cancel_within(
    tx: &mut PgConnection,
    by: Actor<'_>,
    ids: &[Uuid],
    reason: &str,
) -> Result<u64, ManageError> {
    if reason.trim().is_empty() {
        return Err(ManageError::NoReason);
    }
    let rows = sqlx::query!(
        "select id, state, dead_letter_id from hub.delivery where id = any($1) order by id for update",
        ids
    )
    .fetch_all(&mut *tx)
    .await?;
    for id in ids {
        let row = rows.iter().find(|row| row.id == *id).ok_or(ManageError::NotOpen(*id))?;
        if row.state == "working" {
            return Err(ManageError::UnderWay(*id));
        }
    }
    let letters: Vec<Uuid> = rows.iter().filter_map(|row| row.dead_letter_id).collect();
    let done = outcome::end(tx, ids, "cancelled", Some(reason)).await?;
    dead_letters::called_off(tx, &letters, by.name, reason).await?;
    note(tx, by, "delivery.cancelled", ids, &json!({ "reason": reason })).await?;
    Ok(done)
}

/// Calls off everything that a target was not told yet, but for what is under way.
pub(in crate::hub) async fn call_off_all(
    tx: &mut PgConnection,
    by: Actor<'_>,
    target: &str,
    reason: &str,
) -> Result<u64, sqlx::Error> {
    let rows = sqlx::query!(
        "select id, dead_letter_id from hub.delivery where target = $1 and state <> 'working' order by id for update",
        target
    )
    .fetch_all(&mut *tx)
    .await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let letters: Vec<Uuid> = rows.iter().filter_map(|row| row.dead_letter_id).collect();
    let done = outcome::end(tx, &ids, "cancelled", Some(reason)).await?;
    dead_letters::called_off(tx, &letters, by.name, reason).await?;
    Ok(done)
}

/// Ends dead deliveries whose letters are discarded; what was blocked behind them goes on.
pub(in crate::hub) async fn discarded(tx: &mut PgConnection, ids: &[Uuid], reason: &str) -> Result<(), sqlx::Error> {
    if !ids.is_empty() {
        outcome::end(tx, ids, "discarded", Some(reason)).await?;
    }
    Ok(())
}

/// Stops calling a target, or lets it be called again.
pub async fn set_paused(db: &PgPool, by: Actor<'_>, target: &str, reason: Option<&str>) -> Result<bool, ManageError> {
    let mut tx = transaction::begin(db).await?;
    sqlx::query!("select from hub.target where name = $1 for update", target)
        .fetch_optional(&mut *tx)
        .await?
        .ok_or_else(|| ManageError::UnknownTarget(target.to_owned()))?;
    let (action, changed) = match reason {
        Some(reason) => ("target.paused", targets::pause(&mut *tx, target, "person", reason).await?),
        None => ("target.resumed", targets::resume(&mut *tx, target).await?),
    };
    if changed {
        let detail = json!({ "reason": reason });
        let entry = Entry { action, subject_kind: "target", subject: target.to_owned(), detail };
        audit::record(&mut tx, by, &[entry]).await?;
    }
    tx.commit().await?;
    Ok(changed)
}

/// Whether a person's document can stand for that of a delivery of this kind.
pub fn check_edit(kind: &str, document: &[u8]) -> Result<(), String> {
    let value: Value = serde_json::from_slice(document).map_err(|error| format!("it is not JSON: {error}"))?;
    if !value.is_object() {
        return Err("it must be a JSON object".to_owned());
    }
    if mail::MailKind::ALL.iter().any(|mail| mail.as_str() == kind) {
        serde_json::from_value::<mail::Stored>(value).map_err(|error| format!("it is not a mail: {error}"))?;
    }
    Ok(())
}
