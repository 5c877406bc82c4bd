//! Dead letters: what could not go in, kept with its payload until a person or a newer document resolves it.
//!
//! Invariants
//! - One open letter per key: a record that fails again is the same letter, seen once more.
//! - Equal failures share a fingerprint.
//! - A letter ends in history as replayed, superseded or discarded (with a reason); none is ever just deleted.
//! - A replay keeps the receipt and version of the original, so what has been overtaken writes nothing.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::{
    deferral::Rival,
    messages::{self, NewMessage, pack, unpack},
    pages::Failure,
};
use crate::canonical::Entity;

/// A record that failed, as it is to be kept.
#[derive(Debug, Clone)]
pub struct NewLetter {
    pub message: NewMessage,
    pub failure: Failure,
    /// For `missing_reference`: the record whose arrival replays it.
    pub missing: Option<(Entity, String)>,
    pub attempts: i32,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Letter {
    pub id: Uuid,
    pub state: String,
    pub kind: String,
    pub connector: String,
    pub stream: Option<String>,
    pub entity: Option<String>,
    pub code: Option<String>,
    pub cause: String,
    pub reason: String,
    pub field: Option<String>,
    pub value: Option<String>,
    pub detail: String,
    pub fingerprint: String,
    pub attempts: i32,
    /// How often the same record came and failed.
    pub seen: i64,
    pub mapping: Option<String>,
    pub mapping_hash: Option<String>,
    pub correlation_id: String,
    pub run_id: Option<Uuid>,
    pub message_id: Uuid,
    pub received_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A letter with its payload and how many others failed alike.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LetterDetail {
    #[serde(flatten)]
    pub letter: Letter,
    pub format: String,
    pub payload: String,
    /// Open letters with the same fingerprint, this one included.
    pub alike: i64,
}

/// Which letters are meant; every field narrows.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub connector: Option<String>,
    pub stream: Option<String>,
    pub entity: Option<String>,
    pub cause: Option<String>,
    pub reason: Option<String>,
    pub fingerprint: Option<String>,
    pub code: Option<String>,
    pub since: Option<DateTime<Utc>>,
}

/// Groups failures that have one reason: the same rule on the same field of the same entity, whatever the record.
pub fn fingerprint(connector: &str, entity: &str, failure: &Failure, missing: Option<&(Entity, String)>) -> String {
    let parts = [
        connector,
        entity,
        failure.cause.as_str(),
        &failure.reason,
        failure.field.as_deref().unwrap_or(""),
        missing.map_or("", |(_, code)| code),
    ];
    format!("{:016x}", xxh3_64(parts.join("\u{1f}").as_bytes()))
}

/// Keeps failed records. Of two of one key the one that was received later stands.
pub async fn record(db: &mut PgConnection, letters: &[NewLetter]) -> Result<(), sqlx::Error> {
    let mut by_key: BTreeMap<(&str, &str, String), (u128, &NewLetter)> = BTreeMap::new();
    for letter in letters {
        let message = &letter.message;
        let hash = xxh3_128(&message.body);
        // A record without a code is known by its content.
        let key = message.key.clone().unwrap_or_else(|| format!("#{hash:032x}"));
        let place = (message.connector.as_str(), message.entity.unwrap_or(""), key);
        let overtaken = by_key.get(&place).is_some_and(|(_, held)| held.message.received_at > message.received_at);
        if !overtaken {
            by_key.insert(place, (hash, letter));
        }
    }
    if by_key.is_empty() {
        return Ok(());
    }
    let mut letters = Vec::with_capacity(by_key.len());
    let mut bodies = Vec::with_capacity(by_key.len());
    let mut hashes = Vec::with_capacity(by_key.len());
    let mut keys = Vec::with_capacity(by_key.len());
    for ((_, _, key), (hash, letter)) in by_key {
        bodies.push(pack(&letter.message.body).map_err(|error| sqlx::Error::Encode(Box::new(error)))?);
        hashes.push(hash.to_be_bytes().to_vec());
        keys.push(key);
        letters.push(letter);
    }
    let text = |pick: fn(&NewLetter) -> String| -> Vec<String> { letters.iter().copied().map(pick).collect() };
    let maybe =
        |pick: fn(&NewLetter) -> Option<String>| -> Vec<Option<String>> { letters.iter().copied().map(pick).collect() };
    sqlx::query!(
        "insert into hub.dead_letter as d
             (id, message_id, kind, connector, stream, entity, key, mapping, mapping_hash, format, body, body_hash,
              correlation_id, run_id, cause, reason, field, value, detail, fingerprint, missing_entity, missing_code,
              attempts, received_at)
         select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                              $8::text[], $9::text[], $10::text[], $11::bytea[], $12::bytea[], $13::text[], $14::uuid[],
                              $15::text[], $16::text[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[],
                              $22::text[], $23::int[], $24::timestamptz[])
         on conflict (connector, entity, key) where key is not null do update set
             seen = d.seen + 1,
             updated_at = clock_timestamp(),
             state = case when d.body_hash = excluded.body_hash then d.state else 'dead' end,
             message_id = excluded.message_id, mapping = excluded.mapping, mapping_hash = excluded.mapping_hash,
             format = excluded.format, body = excluded.body, body_hash = excluded.body_hash,
             correlation_id = excluded.correlation_id, run_id = excluded.run_id, cause = excluded.cause,
             reason = excluded.reason, field = excluded.field, value = excluded.value, detail = excluded.detail,
             fingerprint = excluded.fingerprint, missing_entity = excluded.missing_entity,
             missing_code = excluded.missing_code, received_at = excluded.received_at
         where d.received_at <= excluded.received_at",
        &letters.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>(),
        &letters.iter().map(|letter| letter.message.id).collect::<Vec<_>>(),
        &text(|letter| letter.message.kind.clone().into_owned()),
        &text(|letter| letter.message.connector.clone()),
        maybe(|letter| letter.message.stream.clone()) as _,
        &text(|letter| letter.message.entity.unwrap_or("").to_owned()),
        &keys,
        maybe(|letter| letter.message.mapping.clone()) as _,
        maybe(|letter| letter.message.mapping_hash.clone()) as _,
        &text(|letter| letter.message.format.to_owned()),
        &bodies,
        &hashes,
        &text(|letter| letter.message.correlation_id.clone()),
        letters.iter().map(|letter| letter.message.run_id).collect::<Vec<_>>() as _,
        &text(|letter| letter.failure.cause.as_str().to_owned()),
        &text(|letter| letter.failure.reason.clone()),
        maybe(|letter| letter.failure.field.clone()) as _,
        maybe(|letter| letter.failure.value.as_deref().map(shorten)) as _,
        &text(|letter| letter.failure.detail.clone()),
        &letters
            .iter()
            .map(|NewLetter { message, failure, missing, .. }| {
                fingerprint(&message.connector, message.entity.unwrap_or(""), failure, missing.as_ref())
            })
            .collect::<Vec<_>>(),
        maybe(|letter| letter.missing.as_ref().map(|(entity, _)| entity.as_str().to_owned())) as _,
        maybe(|letter| letter.missing.as_ref().map(|(_, code)| code.clone())) as _,
        &letters.iter().map(|letter| letter.attempts).collect::<Vec<_>>(),
        &letters.iter().map(|letter| letter.message.received_at).collect::<Vec<_>>(),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A refused value is shown to a person; a megabyte of it helps nobody.
fn shorten(value: &str) -> String {
    value.chars().take(200).collect()
}

/// Ends the letters of keys whose record went in by another way, if it was received later. `except`: letters that are
/// being replayed right now.
pub async fn supersede(
    db: &mut PgConnection,
    connector: &str,
    entity: Entity,
    current: &[Rival<'_>],
    except: &[Uuid],
) -> Result<u64, sqlx::Error> {
    let keys: Vec<&str> = current.iter().map(|record| record.key).collect();
    let received_at: Vec<DateTime<Utc>> = current.iter().map(|record| record.received_at).collect();
    let done = sqlx::query!(
        "with gone as (
             delete from hub.dead_letter d
             using unnest($3::text[], $5::timestamptz[]) as u (key, received_at)
             where d.connector = $1 and d.entity = $2 and d.key = u.key and d.received_at <= u.received_at
               and not d.id = any($4)
             returning d.*
         )
         insert into hub.dead_letter_history
             (id, message_id, kind, resolution, resolved_by, connector, stream, entity, key, mapping, mapping_hash,
              format, body, correlation_id, run_id, cause, reason, field, value, detail, fingerprint, attempts, seen,
              received_at, created_at)
         select id, message_id, kind, 'superseded', 'hub', connector, stream, entity, key, mapping, mapping_hash,
                format, body, correlation_id, run_id, cause, reason, field, value, detail, fingerprint, attempts, seen,
                received_at, created_at
         from gone",
        connector,
        entity.as_str(),
        &keys as &[&str],
        except,
        &received_at,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Ends letters whose replay was worked off. One that got a newer document meanwhile stays.
pub async fn resolve(
    db: &mut PgConnection,
    ids: &[Uuid],
    resolution: &str,
    by: &str,
    note: Option<&str>,
) -> Result<u64, sqlx::Error> {
    close(db, ids, "replaying", resolution, by, note).await
}

/// Moves letters that are in `state` to history.
async fn close(
    db: &mut PgConnection,
    ids: &[Uuid],
    state: &str,
    resolution: &str,
    by: &str,
    note: Option<&str>,
) -> Result<u64, sqlx::Error> {
    if ids.is_empty() {
        return Ok(0);
    }
    let done = sqlx::query!(
        "with gone as (delete from hub.dead_letter where id = any($1) and state = $5 returning *)
         insert into hub.dead_letter_history
             (id, message_id, kind, resolution, resolved_by, note, connector, stream, entity, key, mapping,
              mapping_hash, format, body, correlation_id, run_id, cause, reason, field, value, detail, fingerprint,
              attempts, seen, received_at, created_at)
         select id, message_id, kind, $2, $3, $4, connector, stream, entity, key, mapping, mapping_hash, format, body,
                correlation_id, run_id, cause, reason, field, value, detail, fingerprint, attempts, seen, received_at,
                created_at
         from gone",
        ids,
        resolution,
        by,
        note,
        state,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// A replay failed again: the same letter stays, with today's reason. One that got a newer document meanwhile keeps
/// that one's.
pub async fn reopen(
    db: &mut PgConnection,
    id: Uuid,
    failure: &Failure,
    missing: Option<&(Entity, String)>,
    mapping_hash: Option<&str>,
) -> Result<(), sqlx::Error> {
    let Some(letter) = sqlx::query!(
        "select connector, entity from hub.dead_letter where id = $1 and state = 'replaying' for update",
        id
    )
    .fetch_optional(&mut *db)
    .await?
    else {
        return Ok(());
    };
    sqlx::query!(
        "update hub.dead_letter
         set state = 'dead', attempts = attempts + 1, updated_at = clock_timestamp(), cause = $2, reason = $3,
             field = $4, value = $5, detail = $6, mapping_hash = coalesce($7, mapping_hash), missing_entity = $8,
             missing_code = $9, fingerprint = $10
         where id = $1",
        id,
        failure.cause.as_str(),
        failure.reason,
        failure.field,
        failure.value.as_deref().map(shorten),
        failure.detail,
        mapping_hash,
        missing.map(|(entity, _)| entity.as_str()),
        missing.map(|(_, code)| code.as_str()),
        fingerprint(&letter.connector, letter.entity.as_deref().unwrap_or(""), failure, missing),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Newest first, a page at a time; `before` is the last id of the page before.
pub async fn list<'e>(
    db: impl PgExecutor<'e>,
    filter: &Filter,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Letter>, sqlx::Error> {
    sqlx::query_as!(
        Letter,
        "select id, state, kind, connector, stream, entity, key as code, cause, reason, field, value, detail,
                fingerprint, attempts, seen, mapping, mapping_hash, correlation_id, run_id, message_id, received_at,
                created_at, updated_at
         from hub.dead_letter
         where ($1::text is null or connector = $1)
           and ($2::text is null or stream = $2)
           and ($3::text is null or entity = $3)
           and ($4::text is null or cause = $4)
           and ($5::text is null or reason = $5)
           and ($6::text is null or fingerprint = $6)
           and ($7::text is null or key = $7)
           and ($8::timestamptz is null or created_at >= $8)
           and ($9::uuid is null or id < $9)
         order by id desc
         limit $10",
        filter.connector,
        filter.stream,
        filter.entity,
        filter.cause,
        filter.reason,
        filter.fingerprint,
        filter.code,
        filter.since,
        before,
        limit,
    )
    .fetch_all(db)
    .await
}

pub async fn count<'e>(db: impl PgExecutor<'e>, filter: &Filter) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "n!" from hub.dead_letter
         where ($1::text is null or connector = $1)
           and ($2::text is null or stream = $2)
           and ($3::text is null or entity = $3)
           and ($4::text is null or cause = $4)
           and ($5::text is null or reason = $5)
           and ($6::text is null or fingerprint = $6)
           and ($7::text is null or key = $7)
           and ($8::timestamptz is null or created_at >= $8)"#,
        filter.connector,
        filter.stream,
        filter.entity,
        filter.cause,
        filter.reason,
        filter.fingerprint,
        filter.code,
        filter.since,
    )
    .fetch_one(db)
    .await
}

/// How many letters are open, by connector and cause.
#[derive(Debug, Clone)]
pub struct OpenCount {
    pub connector: String,
    pub cause: String,
    pub count: i64,
}

pub async fn open_counts<'e>(db: impl PgExecutor<'e>) -> Result<Vec<OpenCount>, sqlx::Error> {
    sqlx::query_as!(
        OpenCount,
        r#"select connector, cause, count(*) as "count!" from hub.dead_letter group by 1, 2 order by 1, 2"#
    )
    .fetch_all(db)
    .await
}

/// One letter with its payload.
pub async fn show(db: &PgPool, id: Uuid) -> Result<Option<LetterDetail>, LetterError> {
    let letter = sqlx::query_as!(
        Letter,
        "select id, state, kind, connector, stream, entity, key as code, cause, reason, field, value, detail,
                fingerprint, attempts, seen, mapping, mapping_hash, correlation_id, run_id, message_id, received_at,
                created_at, updated_at
         from hub.dead_letter where id = $1",
        id
    )
    .fetch_optional(db)
    .await?;
    let Some(letter) = letter else { return Ok(None) };
    let row = sqlx::query!(
        r#"select format, body,
                  (select count(*) from hub.dead_letter o where o.fingerprint = d.fingerprint) as "alike!"
           from hub.dead_letter d where id = $1"#,
        id
    )
    .fetch_optional(db)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let payload = String::from_utf8_lossy(&unpack(&row.body)?).into_owned();
    Ok(Some(LetterDetail { letter, format: row.format, payload, alike: row.alike }))
}

#[derive(Debug, thiserror::Error)]
pub enum LetterError {
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    #[error("the stored payload cannot be read: {0}")]
    Payload(#[from] std::io::Error),
}

/// Queues letters for another try with today's mapping. A letter that is being replayed already is left alone, so a
/// replay asked for twice happens once. `edited` takes the place of the payload (of a single letter).
pub async fn replay(db: &PgPool, ids: &[Uuid], edited: Option<&[u8]>) -> Result<Vec<Uuid>, LetterError> {
    let mut tx = db.begin().await?;
    let rows = sqlx::query!(
        "update hub.dead_letter set state = 'replaying', updated_at = clock_timestamp()
         where id = any($1) and state = 'dead'
         returning id, kind, connector, stream, entity, key, mapping, format, body, correlation_id, run_id, received_at",
        ids
    )
    .fetch_all(&mut *tx)
    .await?;
    let mut queued = Vec::with_capacity(rows.len());
    let mut documents = Vec::with_capacity(rows.len());
    for row in rows {
        queued.push(row.id);
        documents.push(NewMessage {
            id: Uuid::now_v7(),
            kind: row.kind.into(),
            connector: row.connector,
            stream: row.stream,
            entity: row.entity.as_deref().and_then(Entity::parse).map(Entity::as_str),
            key: row.key,
            version: None,
            mapping: row.mapping,
            mapping_hash: None,
            format: super::documents::format_word(&row.format),
            body: match edited {
                Some(bytes) => bytes.to_vec(),
                None => unpack(&row.body)?,
            },
            correlation_id: row.correlation_id,
            run_id: row.run_id,
            dead_letter_id: Some(row.id),
            received_at: row.received_at,
        });
    }
    if !documents.is_empty() {
        messages::enqueue(&mut tx, &documents).await?;
    }
    tx.commit().await?;
    Ok(queued)
}

/// Replays everything that a filter names, a page at a time. Returns how many were queued.
pub async fn replay_matching(db: &PgPool, filter: &Filter) -> Result<u64, LetterError> {
    let mut queued = 0;
    let mut before = None;
    loop {
        let page = list(db, filter, before, 500).await?;
        let Some(last) = page.last() else { return Ok(queued) };
        before = Some(last.id);
        let ids: Vec<Uuid> = page.iter().map(|letter| letter.id).collect();
        queued += replay(db, &ids, None).await?.len() as u64;
    }
}

/// Puts letters aside for good. Those that are being replayed right now are left alone.
pub async fn discard(db: &PgPool, ids: &[Uuid], by: &str, reason: &str) -> Result<u64, LetterError> {
    let mut tx = db.begin().await?;
    let done = close(&mut tx, ids, "dead", "discarded", by, Some(reason)).await?;
    tx.commit().await?;
    Ok(done)
}

/// Letters that died of a missing record which exists now, for the sweep to replay.
pub async fn arrived<'e>(db: impl PgExecutor<'e>) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select d.id from hub.dead_letter d
         where d.state = 'dead' and d.missing_code is not null and d.reason = 'missing_reference'
           and exists (select from hub.external_ref r
                       where r.connector = d.connector and r.entity = d.missing_entity
                         and r.external_code = d.missing_code)
         limit 1000"
    )
    .fetch_all(db)
    .await
}
