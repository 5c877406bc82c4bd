//! Letters tried again, as they came or as a person has mended them.

use std::borrow::Cow;

use serde_json::json;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    super::{
        deliveries,
        engine::Engine,
        messages::{self, pack, unpack},
    },
    store::LetterError,
};
use crate::{
    audit::{self, Actor, Entry},
    mapping::{Effective, Format},
    transaction,
};

/// Queues letters for another try with today's mapping, the edited document before the one that came. A letter that is
/// being replayed already is left alone, so a replay asked for twice happens once. Returns the letters that were queued.
pub async fn replay(db: &PgPool, by: Actor<'_>, ids: &[Uuid]) -> Result<Vec<Uuid>, LetterError> {
    let mut tx = transaction::begin(db).await?;
    let queued = replay_within(&mut tx, by, ids).await?;
    tx.commit().await?;
    Ok(queued)
}

/// The same in the caller's transaction.
pub async fn replay_within(tx: &mut PgConnection, by: Actor<'_>, ids: &[Uuid]) -> Result<Vec<Uuid>, LetterError> {
    let queued = queue(tx, by.name, ids).await?;
    let entries: Vec<Entry> = queued
        .iter()
        .map(|id| Entry {
            action: "dead_letter.replayed",
            subject_kind: "dead_letter",
            subject: id.to_string(),
            detail: json!({}),
        })
        .collect();
    audit::record(tx, by, &entries).await?;
    Ok(queued)
}

/// Makes letters messages again: with the receipt and the version that they have, and the bytes as they are stored.
pub(super) async fn queue(tx: &mut PgConnection, by: &str, ids: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
    let fresh: Vec<Uuid> = ids.iter().map(|_| Uuid::now_v7()).collect();
    let queued = sqlx::query_scalar!(
        r#"with free as (
               select d.id from hub.dead_letter d where d.id = any($1) and d.state = 'dead' order by d.id for update
           ), taken as (
               update hub.dead_letter d
               set state = 'replaying', replayed_by = $3, updated_at = clock_timestamp()
               from free where d.id = free.id and d.state = 'dead'
               returning d.*
           ), queued as (
               insert into hub.message
                   (id, kind, state, connector, stream, entity, key, mapping, format, body, correlation_id, run_id,
                    dead_letter_id, received_at, document_ordinal, version_kind, source_version)
               select u.message, t.kind, 'received', t.connector, t.stream, t.entity, t.key, t.mapping, t.format,
                      coalesce(t.edited_body, t.body), t.correlation_id, t.run_id, t.id, t.received_at,
                      t.document_ordinal, t.version_kind,
                      t.source_version
               from taken t join (select distinct on (letter) letter, message
                                  from unnest($1::uuid[], $2::uuid[]) as u (letter, message)) u on u.letter = t.id
               where t.kind <> $4
               returning dead_letter_id
           ), again as (
               -- A delivery has stayed where it was; it keeps its place on its key. What was put before a person may be over
               -- there, so it is looked for first, as after an outcome that was not known, long ago.
               update hub.delivery d
               set state = 'received', due_at = clock_timestamp(), attempts = 0, patience = 0, claims = 0, first_attempt_at = null,
                   unknown_since = coalesce(d.unknown_since, d.created_at - interval '1 day')
               from taken t where t.kind = $4 and d.id = t.message_id and d.state = 'dead'
               returning t.id
           )
           select dead_letter_id as "id!" from queued union all select id from again"#,
        ids,
        &fresh,
        by,
        deliveries::KIND,
    )
    .fetch_all(&mut *tx)
    .await?;
    if !queued.is_empty() {
        for channel in [messages::CHANNEL, deliveries::manage::CHANNEL] {
            sqlx::query!("select pg_notify($1, '')", channel).fetch_one(&mut *tx).await?;
        }
    }
    Ok(queued)
}

/// Why an edited document was not taken. The letter is as it was.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    #[error("there is no open dead letter {0}; it may have been resolved")]
    Unknown(Uuid),
    #[error("letter {0} is being replayed right now; look again when that has ended")]
    Busy(Uuid),
    #[error("the letter's mapping `{0}` is not there any more; bring it back, or discard the letter")]
    NoMapping(String),
    #[error("the edited document is not taken: {0}")]
    Refused(String),
    #[error(transparent)]
    Letter(#[from] LetterError),
}

impl From<sqlx::Error> for EditError {
    fn from(error: sqlx::Error) -> EditError {
        EditError::Letter(error.into())
    }
}

/// Replays a letter with another document in place of its own. The document is mapped first; one that the mapping
/// refuses, or that is of another record, changes nothing. What came stays beside it.
pub async fn edit(engine: &Engine, by: Actor<'_>, id: Uuid, document: &[u8]) -> Result<(), EditError> {
    let mut tx = transaction::begin(&engine.pool).await?;
    edit_within(engine, &mut tx, by, id, document).await?;
    tx.commit().await?;
    Ok(())
}

/// The same in the caller's transaction.
pub async fn edit_within(
    engine: &Engine,
    tx: &mut PgConnection,
    by: Actor<'_>,
    id: Uuid,
    document: &[u8],
) -> Result<(), EditError> {
    let letter = sqlx::query!(
        "select kind, connector, stream, key, mapping, format, body from hub.dead_letter where id = $1",
        id
    )
    .fetch_optional(&mut *tx)
    .await?
    .ok_or(EditError::Unknown(id))?;
    let mut whole = Cow::Borrowed(document);
    if letter.kind == messages::DOCUMENT {
        let name = letter.mapping.unwrap_or_default();
        let mapping = engine.library.get_for(&letter.connector, &name).ok_or(EditError::NoMapping(name))?;
        let format = Format::parse(&letter.format).unwrap_or(Format::Json);
        whole = mapping.standalone(format, document);
        check(&mapping, format, &whole, letter.key.as_deref()).map_err(EditError::Refused)?;
    } else if letter.kind == deliveries::KIND {
        let kind = letter.stream.unwrap_or_default();
        deliveries::manage::check_edit(&kind, document).map_err(EditError::Refused)?;
    }
    let before = unpack(&letter.body).map_or(0, |bytes| bytes.len());
    let body = pack(&whole).map_err(LetterError::Payload)?;
    let taken = sqlx::query_scalar!(
        "update hub.dead_letter set edited_body = $2, edited_by = $3, edited_at = clock_timestamp()
         where id = $1 and state = 'dead' returning id",
        id,
        body,
        by.name,
    )
    .fetch_optional(&mut *tx)
    .await?;
    if taken.is_none() || queue(&mut *tx, by.name, &[id]).await?.is_empty() {
        return Err(EditError::Busy(id));
    }
    let entry = |action, detail| Entry { action, subject_kind: "dead_letter", subject: id.to_string(), detail };
    let sizes = json!({ "code": letter.key, "bytesBefore": before, "bytesAfter": document.len() });
    audit::record(tx, by, &[entry("dead_letter.edited", sizes), entry("dead_letter.replayed", json!({}))]).await?;
    Ok(())
}

/// Whether today's mapping makes exactly the letter's record of a document.
fn check(mapping: &Effective, format: Format, document: &[u8], key: Option<&str>) -> Result<(), String> {
    let mapped = mapping.map_with_parts(format, document).map_err(|unreadable| unreadable.to_string())?;
    if let Some(rejected) = mapped.iter().find_map(|mapped| mapped.rejected.first()) {
        let value = rejected.value.as_deref().map(|value| format!(", `{value}`")).unwrap_or_default();
        return Err(format!(
            "{} ({}{value}) {}: {}",
            rejected.field, rejected.source, rejected.reason, rejected.detail
        ));
    }
    let changes = mapped.first().map(|own| own.changes.as_slice()).unwrap_or_default();
    let [change] = changes else {
        return Err(format!("it must hold exactly one record that the mapping takes, and holds {}", changes.len()));
    };
    match key {
        // A record without a code is known by its content, which is what was mended.
        Some(key) if !key.starts_with('#') && key != change.code.as_ref() => {
            Err(format!("it is the record {} and not {key}, of which the letter is", change.code))
        }
        _ => Ok(()),
    }
}
