//! How letters come and how they end: the statements behind all the ways.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value as Json, json};
use sqlx::PgConnection;
use uuid::Uuid;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::{
    super::{
        deferral::{Columns, Rival},
        letter_ids,
        messages::{NewMessage, pack},
        pages::Failure,
    },
    told::{Created, tell},
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
    /// See [`carried`](super::carried).
    pub carried: Vec<String>,
}

/// A record that went in.
#[derive(Debug, Clone)]
pub struct Arrival<'a> {
    /// Its code, or what stands for it.
    pub key: String,
    /// How it stands among the documents of its key.
    pub rival: Rival<'a>,
    /// What went in together with it.
    pub carried: &'a [String],
}

#[derive(Debug, thiserror::Error)]
pub enum LetterError {
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    #[error("the stored payload cannot be read: {0}")]
    Payload(#[from] std::io::Error),
    #[error("say why, so that whoever looks for the letter later knows")]
    NoReason,
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

/// Keeps failed records. Of two of one key the newer stands, by version and else by receipt, unless it carries less.
pub async fn record(db: &mut PgConnection, letters: &[NewLetter]) -> Result<(), sqlx::Error> {
    let mut by_key: BTreeMap<(&str, &str, String), (u128, &NewLetter)> = BTreeMap::new();
    for letter in letters {
        let message = &letter.message;
        let hash = xxh3_128(&message.body);
        let place = (message.connector.as_str(), message.entity.unwrap_or(""), letter_ids::key_of(message));
        let overtaken = by_key.get(&place).is_some_and(|(_, held)| {
            let (one, other) = (&held.message, message);
            let is_newer = match (&one.version, &other.version) {
                (Some(one), Some(other)) if one.kind == other.kind && one.value != other.value => {
                    one.value > other.value
                }
                _ => (one.received_at, one.ordinal) > (other.received_at, other.ordinal),
            };
            is_newer || !held.carried.iter().all(|part| letter.carried.contains(part))
        });
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
    let kept = sqlx::query!(
        r#"insert into hub.dead_letter as d
             (id, message_id, kind, connector, stream, entity, key, mapping, mapping_hash, format, body, body_hash,
              correlation_id, run_id, cause, reason, field, value, detail, fingerprint, missing_entity, missing_code,
              attempts, received_at, version_kind, source_version, parts, document_ordinal)
         select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                              $8::text[], $9::text[], $10::text[], $11::bytea[], $12::bytea[], $13::text[], $14::uuid[],
                              $15::text[], $16::text[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[],
                              $22::text[], $23::int[], $24::timestamptz[], $25::text[], $26::bigint[], $27::jsonb[],
                              $28::bigint[])
         on conflict (connector, entity, key) where key is not null do update set
             seen = d.seen + 1,
             updated_at = clock_timestamp(),
             state = case when d.body_hash = excluded.body_hash then d.state else 'dead' end,
             message_id = excluded.message_id, mapping = excluded.mapping, mapping_hash = excluded.mapping_hash,
             format = excluded.format, body = excluded.body, body_hash = excluded.body_hash,
             correlation_id = excluded.correlation_id, run_id = excluded.run_id, cause = excluded.cause,
             reason = excluded.reason, field = excluded.field, value = excluded.value, detail = excluded.detail,
             fingerprint = excluded.fingerprint, missing_entity = excluded.missing_entity,
             missing_code = excluded.missing_code, received_at = excluded.received_at,
             version_kind = excluded.version_kind, source_version = excluded.source_version, parts = excluded.parts,
             document_ordinal = excluded.document_ordinal,
             -- What a person made of another document says nothing about this one.
             edited_body = case when d.body_hash = excluded.body_hash then d.edited_body end,
             edited_by = case when d.body_hash = excluded.body_hash then d.edited_by end,
             edited_at = case when d.body_hash = excluded.body_hash then d.edited_at end
         where d.parts <@ excluded.parts
           and case when d.version_kind = excluded.version_kind and d.source_version <> excluded.source_version
                    then d.source_version < excluded.source_version
                    else (d.received_at, d.document_ordinal) <= (excluded.received_at, excluded.document_ordinal) end
         returning d.id, d.kind, d.connector, d.stream, d.entity, d.key as code, d.cause, d.reason, d.field,
                   d.correlation_id, d.xmax = 0 as "is_new!""#,
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
        maybe(|letter| letter.message.version.as_ref().map(|version| version.kind.clone().into_owned())) as _,
        letters.iter().map(|letter| letter.message.version.as_ref().map(|it| it.value)).collect::<Vec<_>>() as _,
        &letters.iter().map(|letter| json!(letter.carried)).collect::<Vec<_>>(),
        &letters.iter().map(|letter| letter.message.ordinal).collect::<Vec<_>>(),
    )
    .fetch_all(&mut *db)
    .await?;
    let created: Vec<Created> = kept
        .into_iter()
        .filter(|row| row.is_new)
        .map(|row| Created {
            id: row.id,
            kind: row.kind,
            connector: row.connector,
            stream: row.stream,
            entity: row.entity,
            code: row.code,
            cause: row.cause,
            reason: row.reason,
            field: row.field,
            correlation_id: row.correlation_id,
        })
        .collect();
    tell(db, &created).await
}

/// A refused value is shown to a person; a megabyte of it helps nobody.
fn shorten(value: &str) -> String {
    value.chars().take(200).collect()
}

/// Ends the letters of keys whose record went in by another way, if that is not the older one, by version and else by
/// receipt, and all that the letter's document carried went in with it. `except`: letters that are being replayed right
/// now. A complete pass that began after a letter's receipt beats its version.
pub async fn supersede(
    db: &mut PgConnection,
    connector: &str,
    entity: Entity,
    arrivals: &[Arrival<'_>],
    except: &[Uuid],
    full_pass_started: Option<DateTime<Utc>>,
) -> Result<u64, sqlx::Error> {
    let rivals: Vec<Rival<'_>> =
        arrivals.iter().map(|record| Rival { key: record.key.as_str(), ..record.rival }).collect();
    let columns = Columns::of(&rivals);
    let carried: Vec<Json> = arrivals.iter().map(|record| json!(record.carried)).collect();
    let done = sqlx::query!(
        "with gone as (
             delete from hub.dead_letter d
             using unnest($3::text[], $5::timestamptz[], $6::jsonb[], $7::bigint[], $8::text[], $9::bigint[])
                   as u (key, received_at, carried, ordinal, kind, version)
             where d.connector = $1 and d.entity = $2 and d.key = u.key
               and d.parts <@ u.carried and not d.id = any($4)
               and case when d.version_kind = u.kind and d.source_version <> u.version
                             and ($10::timestamptz is null or d.received_at >= $10)
                        then d.source_version < u.version
                        else (d.received_at, d.document_ordinal) <= (u.received_at, u.ordinal) end
             returning d.*
         )
         insert into hub.dead_letter_history
             (id, message_id, kind, resolution, resolved_by, connector, stream, entity, key, mapping, mapping_hash,
              format, body, correlation_id, run_id, cause, reason, field, value, detail, fingerprint, attempts, seen,
              received_at, created_at, version_kind, source_version, edited_body, edited_by, edited_at)
         select id, message_id, kind, 'superseded', 'hub', connector, stream, entity, key, mapping, mapping_hash,
                format, body, correlation_id, run_id, cause, reason, field, value, detail, fingerprint, attempts, seen,
                received_at, created_at, version_kind, source_version, edited_body, edited_by, edited_at
         from gone",
        connector,
        entity.as_str(),
        &columns.keys as &[&str],
        except,
        &columns.received_at,
        &carried,
        &columns.ordinals,
        &columns.kinds as &[Option<&str>],
        &columns.versions as &[Option<i64>],
        full_pass_started,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Ends letters whose replay was worked off, in the name of whoever asked for it. One that got a newer document
/// meanwhile stays.
pub async fn resolve(
    db: &mut PgConnection,
    ids: &[Uuid],
    resolution: &str,
    by: &str,
    note: Option<&str>,
) -> Result<u64, sqlx::Error> {
    close(db, ids, "replaying", resolution, by, note).await
}

/// Ends letters of deliveries that a newer one has made needless, being replayed or not.
pub async fn overtaken(db: &mut PgConnection, ids: &[Uuid]) -> Result<(), sqlx::Error> {
    close(db, ids, "dead", "superseded", "hub", None).await?;
    close(db, ids, "replaying", "superseded", "hub", None).await?;
    Ok(())
}

/// Ends letters of deliveries that a person has called off, being replayed or not.
pub async fn called_off(db: &mut PgConnection, ids: &[Uuid], by: &str, reason: &str) -> Result<(), sqlx::Error> {
    close(db, ids, "dead", "discarded", by, Some(reason)).await?;
    close(db, ids, "replaying", "discarded", by, Some(reason)).await?;
    Ok(())
}

/// Moves letters that are in `state` to history.
pub(super) async fn close(
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
        "with gone as (
             delete from hub.dead_letter
             where id in (select id from hub.dead_letter where id = any($1) and state = $5 order by id for update)
               and state = $5
             returning *
         )
         insert into hub.dead_letter_history
             (id, message_id, kind, resolution, resolved_by, note, connector, stream, entity, key, mapping,
              mapping_hash, format, body, correlation_id, run_id, cause, reason, field, value, detail, fingerprint,
              attempts, seen, received_at, created_at, version_kind, source_version, edited_body, edited_by, edited_at)
         select id, message_id, kind, $2, case $5 when 'replaying' then coalesce(replayed_by, $3) else $3 end, $4, connector, stream, entity, key, mapping, mapping_hash, format,
                body, correlation_id, run_id, cause, reason, field, value, detail, fingerprint, attempts, seen,
                received_at, created_at, version_kind, source_version, edited_body, edited_by, edited_at
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
