//! The queued lane: messages that are stored, answered, then claimed: deferred records, replays, whatever waits.
//!
//! Invariants
//! - A claim is a short transaction of its own and no attempt; an attempt counts when its outcome is written.
//! - Only the owner of a live lease may finish a message; an expired lease gives it back as it was.
//! - On finishing, a message moves to `message_history` in the same statement; no way out is silent.

use std::{borrow::Cow, cell::RefCell, time::Duration};

use chrono::{DateTime, Utc};
use kopru_sdk::Cause;
use serde::Serialize;
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use super::{keyed, leases::interval, pages::Failure, states::MessageState};
use crate::canonical::Version;

/// The kind of a message whose body is a document to be mapped and applied.
pub const DOCUMENT: &str = "document";

/// Channel that tells workers of new work; the poll is the truth.
pub const CHANNEL: &str = "hub_message";

/// A message to be stored.
#[derive(Debug, Clone)]
pub struct NewMessage {
    pub id: Uuid,
    pub kind: Cow<'static, str>,
    pub connector: String,
    pub stream: Option<String>,
    pub entity: Option<&'static str>,
    pub key: Option<String>,
    /// What orders it among the documents of its key, besides its receipt.
    pub version: Option<Version>,
    pub mapping: Option<String>,
    pub mapping_hash: Option<String>,
    pub format: &'static str,
    /// Uncompressed.
    pub body: Vec<u8>,
    pub correlation_id: String,
    pub run_id: Option<Uuid>,
    pub dead_letter_id: Option<Uuid>,
    pub received_at: DateTime<Utc>,
    /// Its place in the document that brought it.
    pub ordinal: i64,
}

/// A message that is ours to work on until its lease runs out.
#[derive(Debug, Clone)]
pub struct Claimed {
    pub id: Uuid,
    pub kind: String,
    pub connector: String,
    pub stream: Option<String>,
    pub entity: Option<String>,
    pub key: Option<String>,
    pub mapping: Option<String>,
    pub format: String,
    /// Compressed; see [`unpack`].
    pub body: Vec<u8>,
    pub correlation_id: String,
    pub run_id: Option<Uuid>,
    pub dead_letter_id: Option<Uuid>,
    pub received_at: DateTime<Utc>,
    /// Its place in the document that brought it.
    pub ordinal: i64,
    pub version_kind: Option<String>,
    pub source_version: Option<i64>,
    pub first_attempt_at: Option<DateTime<Utc>>,
    pub attempts: i32,
    pub claims: i32,
    /// It has waited for a missing reference as long as it may.
    pub gives_up: bool,
}

impl Claimed {
    /// What orders it among the documents of its key, besides its receipt.
    pub fn version(&self) -> Option<Version> {
        let (kind, value) = self.version_kind.clone().zip(self.source_version)?;
        Some(Version { kind: kind.into(), value })
    }
}

/// What became of a claimed message.
#[derive(Debug, Clone)]
pub enum Finish {
    /// Moves to history.
    Final { state: MessageState, internal_id: Option<i64>, failure: Option<Failure> },
    /// Tried and failed remotely: again after this wait.
    Retry { after: Duration, failure: Failure },
    /// Its system is down: waits, with its attempts kept.
    Hold { failure: Failure },
    /// Given back untouched, no attempt.
    Release,
}

pub fn pack(body: &[u8]) -> Result<Vec<u8>, std::io::Error> {
    // A context is a large thing to make, and a bulk that is refused has a thousand small bodies.
    thread_local! {
        static CONTEXT: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
    }
    CONTEXT.with_borrow_mut(|context| match context {
        Some(context) => context.compress(body),
        None => context.insert(zstd::bulk::Compressor::new(1)?).compress(body),
    })
}

pub fn unpack(body: &[u8]) -> Result<Vec<u8>, std::io::Error> {
    zstd::decode_all(body)
}

/// Stores messages as received and wakes the workers when the transaction commits.
pub async fn enqueue(db: &mut PgConnection, messages: &[NewMessage]) -> Result<(), sqlx::Error> {
    insert(db, messages, MessageState::Received, None).await?;
    sqlx::query!("select pg_notify($1, '')", CHANNEL).fetch_one(&mut *db).await?;
    Ok(())
}

pub(super) async fn insert(
    db: &mut PgConnection,
    messages: &[NewMessage],
    state: MessageState,
    give_up_after: Option<Duration>,
) -> Result<(), sqlx::Error> {
    let mut bodies = Vec::with_capacity(messages.len());
    for message in messages {
        bodies.push(pack(&message.body).map_err(|error| sqlx::Error::Encode(Box::new(error)))?);
    }
    let column =
        |pick: fn(&NewMessage) -> Option<String>| -> Vec<Option<String>> { messages.iter().map(pick).collect() };
    sqlx::query!(
        "insert into hub.message
             (id, kind, state, connector, stream, entity, key, mapping, mapping_hash, format, body, correlation_id,
              run_id, dead_letter_id, received_at, version_kind, source_version, document_ordinal, give_up_at)
         select u.id, u.kind, $14, u.connector, u.stream, u.entity, u.key, u.mapping, u.mapping_hash, u.format, u.body,
                u.correlation_id, u.run_id, u.dead_letter_id, u.received_at,
                u.version_kind, u.source_version, u.document_ordinal, clock_timestamp() + $15::interval
         from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                     $9::text[], $10::bytea[], $11::text[], $12::uuid[], $13::uuid[], $16::timestamptz[],
                     $17::text[], $18::bigint[], $19::bigint[])
              as u (id, kind, connector, stream, entity, key, mapping, mapping_hash, format, body, correlation_id,
                    run_id, dead_letter_id, received_at, version_kind, source_version, document_ordinal)
         on conflict do nothing",
        &messages.iter().map(|message| message.id).collect::<Vec<_>>(),
        &messages.iter().map(|message| message.kind.clone().into_owned()).collect::<Vec<_>>(),
        &messages.iter().map(|message| message.connector.clone()).collect::<Vec<_>>(),
        column(|message| message.stream.clone()) as _,
        column(|message| message.entity.map(str::to_owned)) as _,
        column(|message| message.key.clone()) as _,
        column(|message| message.mapping.clone()) as _,
        column(|message| message.mapping_hash.clone()) as _,
        &messages.iter().map(|message| message.format.to_owned()).collect::<Vec<_>>(),
        &bodies,
        &messages.iter().map(|message| message.correlation_id.clone()).collect::<Vec<_>>(),
        messages.iter().map(|message| message.run_id).collect::<Vec<_>>() as _,
        messages.iter().map(|message| message.dead_letter_id).collect::<Vec<_>>() as _,
        state.as_str(),
        give_up_after.map(interval) as _,
        &messages.iter().map(|message| message.received_at).collect::<Vec<_>>(),
        column(|message| message.version.as_ref().map(|version| version.kind.clone().into_owned())) as _,
        messages.iter().map(|message| message.version.as_ref().map(|it| it.value)).collect::<Vec<_>>() as _,
        &messages.iter().map(|message| message.ordinal).collect::<Vec<_>>(),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Claims up to `limit` due messages for `lease`. Raises `claims`, not `attempts`.
pub async fn claim(pool: &PgPool, owner: Uuid, limit: i64, lease: Duration) -> Result<Vec<Claimed>, sqlx::Error> {
    let mut tx = keyed::begin(pool).await?;
    let claimed = sqlx::query_as!(
        Claimed,
        r#"with due as (
             select id from hub.message
             where state in ('received', 'waiting') and due_at <= clock_timestamp()
             order by due_at, id
             limit $2
             for update skip locked
         )
         update hub.message m
         set state = 'working', claims = claims + 1, lease_owner = $1, lease_until = clock_timestamp() + $3::interval
         where m.id = any(array(select id from due))
         returning m.id, m.kind, m.connector, m.stream, m.entity, m.key, m.mapping, m.format, m.body, m.correlation_id,
                   m.run_id, m.dead_letter_id, m.received_at, m.document_ordinal as ordinal, m.version_kind, m.source_version, m.first_attempt_at,
                   m.attempts, m.claims,
                   coalesce(m.give_up_at <= clock_timestamp(), false) as "gives_up!""#,
        owner,
        limit,
        interval(lease),
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(claimed)
}

/// Keeps the leases of messages that are being worked on. One that this process holds but has dropped, because its turn
/// broke off, is not among them and goes back to the others.
pub async fn renew<'e>(
    db: impl PgExecutor<'e>,
    owner: Uuid,
    in_hand: &[Uuid],
    lease: Duration,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update hub.message set lease_until = clock_timestamp() + $3::interval
         where id = any($2) and state = 'working' and lease_owner = $1 and lease_until >= clock_timestamp()",
        owner,
        in_hand,
        interval(lease),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Of these messages the ones that are still ours, locked until the transaction ends: the fence of every outcome.
pub async fn still_ours(tx: &mut PgConnection, owner: Uuid, ids: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select id from hub.message where id = any($1) and state = 'working' and lease_owner = $2
         order by id for update",
        ids,
        owner,
    )
    .fetch_all(tx)
    .await
}

/// Notes what messages were mapped with, which may be another mapping than when they came in.
pub async fn mapped_with(db: &mut PgConnection, ids: &[Uuid], mapping_hash: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update hub.message set mapping_hash = $2 where id = any($1) and mapping_hash is distinct from $2",
        ids,
        mapping_hash,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Writes outcomes of messages that [`still_ours`] locked, with an attempt row for each that was tried.
pub async fn finish(
    tx: &mut PgConnection,
    owner: Uuid,
    started_at: DateTime<Utc>,
    outcomes: &[(&Claimed, Finish)],
) -> Result<(), sqlx::Error> {
    let released: Vec<Uuid> = outcomes
        .iter()
        .filter(|(_, finish)| matches!(finish, Finish::Release))
        .map(|(message, _)| message.id)
        .collect();
    if !released.is_empty() {
        sqlx::query!(
            "update hub.message set state = 'received', lease_owner = null, lease_until = null, claims = claims - 1
             where id = any($1)",
            &released
        )
        .execute(&mut *tx)
        .await?;
    }
    let tried: Vec<&(&Claimed, Finish)> =
        outcomes.iter().filter(|(_, finish)| !matches!(finish, Finish::Release)).collect();
    if tried.is_empty() {
        return Ok(());
    }
    write_attempts(tx, owner, started_at, &tried).await?;
    move_final(tx, &tried).await?;
    requeue(tx, &tried).await
}

fn failure_of(finish: &Finish) -> Option<&Failure> {
    match finish {
        Finish::Final { failure, .. } => failure.as_ref(),
        Finish::Retry { failure, .. } | Finish::Hold { failure } => Some(failure),
        Finish::Release => None,
    }
}

async fn write_attempts(
    tx: &mut PgConnection,
    owner: Uuid,
    started_at: DateTime<Utc>,
    tried: &[&(&Claimed, Finish)],
) -> Result<(), sqlx::Error> {
    let failures: Vec<Option<&Failure>> = tried.iter().map(|(_, finish)| failure_of(finish)).collect();
    sqlx::query!(
        "insert into hub.attempt (id, message_id, number, owner, started_at, outcome, cause, reason, detail)
         select u.id, u.message_id, u.number, $1, $2, u.outcome, u.cause, u.reason, u.detail
         from unnest($3::uuid[], $4::uuid[], $5::int[], $6::text[], $7::text[], $8::text[], $9::text[])
              as u (id, message_id, number, outcome, cause, reason, detail)",
        owner,
        started_at,
        &tried.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>(),
        &tried.iter().map(|(message, _)| message.id).collect::<Vec<_>>(),
        &tried.iter().map(|(message, _)| message.attempts + 1).collect::<Vec<_>>(),
        &tried.iter().map(|(_, finish)| outcome_word(finish).to_owned()).collect::<Vec<_>>(),
        failures.iter().map(|failure| failure.map(|it| it.cause.as_str().to_owned())).collect::<Vec<_>>() as _,
        failures.iter().map(|failure| failure.map(|it| it.reason.clone())).collect::<Vec<_>>() as _,
        failures.iter().map(|failure| failure.map(|it| it.detail.clone())).collect::<Vec<_>>() as _,
    )
    .execute(tx)
    .await?;
    Ok(())
}

const fn outcome_word(finish: &Finish) -> &'static str {
    match finish {
        Finish::Final { state, .. } => state.as_str(),
        Finish::Retry { .. } => MessageState::Waiting.as_str(),
        Finish::Hold { .. } => MessageState::Held.as_str(),
        Finish::Release => MessageState::Received.as_str(),
    }
}

async fn move_final(tx: &mut PgConnection, tried: &[&(&Claimed, Finish)]) -> Result<(), sqlx::Error> {
    let mut ids = Vec::new();
    let mut states = Vec::new();
    let mut internal_ids = Vec::new();
    let mut failures: Vec<Option<&Failure>> = Vec::new();
    for (message, finish) in tried {
        if let Finish::Final { state, internal_id, failure } = finish {
            ids.push(message.id);
            states.push(state.as_str().to_owned());
            internal_ids.push(*internal_id);
            failures.push(failure.as_ref());
        }
    }
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "with u as (
             select * from unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
                                  $8::text[])
                      as u (id, state, internal_id, cause, reason, field, value, detail)
         ), gone as (
             delete from hub.message m using u where m.id = u.id and m.id = any($1) returning m.*
         ), kept as (
             insert into hub.payload_history (message_id, body) select id, body from gone
         )
         insert into hub.message_history
             (id, kind, state, connector, stream, entity, key, mapping, mapping_hash, format, correlation_id, run_id,
              attempts, claims, received_at, internal_id, cause, reason, field, value, detail)
         select g.id, g.kind, u.state, g.connector, g.stream, g.entity, g.key, g.mapping, g.mapping_hash, g.format,
                g.correlation_id, g.run_id, g.attempts + 1, g.claims, g.received_at, u.internal_id, u.cause, u.reason,
                u.field, u.value, u.detail
         from gone g join u on u.id = g.id",
        &ids,
        &states,
        internal_ids as _,
        failures.iter().map(|failure| failure.map(|it| it.cause.as_str().to_owned())).collect::<Vec<_>>() as _,
        failures.iter().map(|failure| failure.map(|it| it.reason.clone())).collect::<Vec<_>>() as _,
        failures.iter().map(|failure| failure.and_then(|it| it.field.clone())).collect::<Vec<_>>() as _,
        failures.iter().map(|failure| failure.and_then(|it| it.value.clone())).collect::<Vec<_>>() as _,
        failures.iter().map(|failure| failure.map(|it| it.detail.clone())).collect::<Vec<_>>() as _,
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn requeue(tx: &mut PgConnection, tried: &[&(&Claimed, Finish)]) -> Result<(), sqlx::Error> {
    let mut ids = Vec::new();
    let mut states = Vec::new();
    let mut waits = Vec::new();
    let mut failures: Vec<&Failure> = Vec::new();
    for (message, finish) in tried {
        match finish {
            Finish::Retry { after, failure } => {
                ids.push(message.id);
                states.push(MessageState::Waiting.as_str().to_owned());
                waits.push(interval(*after));
                failures.push(failure);
            }
            Finish::Hold { failure } => {
                ids.push(message.id);
                states.push(MessageState::Held.as_str().to_owned());
                waits.push(interval(Duration::ZERO));
                failures.push(failure);
            }
            Finish::Final { .. } | Finish::Release => {}
        }
    }
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update hub.message m
         set state = u.state, due_at = clock_timestamp() + u.wait, attempts = m.attempts + (u.state = 'waiting')::int,
             first_attempt_at = coalesce(m.first_attempt_at, clock_timestamp()), lease_owner = null, lease_until = null,
             claims = 0, cause = u.cause, reason = u.reason, detail = u.detail
         from unnest($1::uuid[], $2::text[], $3::interval[], $4::text[], $5::text[], $6::text[])
              as u (id, state, wait, cause, reason, detail)
         where m.id = u.id and m.id = any($1)",
        &ids,
        &states,
        &waits,
        &failures.iter().map(|failure| failure.cause.as_str().to_owned()).collect::<Vec<_>>(),
        &failures.iter().map(|failure| failure.reason.clone()).collect::<Vec<_>>(),
        &failures.iter().map(|failure| failure.detail.clone()).collect::<Vec<_>>(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Gives back the messages of leases that ran out, as they were. Returns how many.
pub async fn reap_expired<'e>(db: impl PgExecutor<'e>) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "update hub.message set state = 'received', lease_owner = null, lease_until = null
         where id = any(array(
             select id from hub.message where state = 'working' and lease_until < clock_timestamp()
             for update skip locked))"
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Holds everything of a connector that needs its system, because its breaker is open or it is paused.
pub async fn hold_all<'e>(db: impl PgExecutor<'e>, connector: &str, kinds: &[String]) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "update hub.message set state = 'held'
         where connector = $1 and kind = any($2) and state in ('received', 'waiting')",
        connector,
        kinds,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Releases held messages at `per_second`, the ones that had already failed last.
pub async fn release_held<'e>(db: impl PgExecutor<'e>, connector: &str, per_second: f64) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "with held as (
             select id, row_number() over (order by first_attempt_at is not null, attempts, id) as place
             from hub.message where connector = $1 and state = 'held'
         )
         update hub.message m
         set state = 'received', due_at = clock_timestamp() + make_interval(secs => held.place / $2::float8)
         from held where m.id = held.id and m.id = any(array(select id from held)) and m.state = 'held'",
        connector,
        per_second.max(0.1),
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Instances of which messages are held for no reason that still stands: their system was found well, or a person let
/// it go on, while somebody was about to hold them.
pub async fn held_for_nothing<'e>(db: impl PgExecutor<'e>) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "select distinct m.connector from hub.message m
         where m.state = 'held'
           and not exists (select from hub.breaker b where b.connector = m.connector and b.state <> 'closed')
           and not exists (select from hub.stream s
                           where s.connector = m.connector and s.paused_cause in ('credential', 'contract'))"
    )
    .fetch_all(db)
    .await
}

/// How many messages are open, by connector and state.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenCount {
    pub connector: String,
    pub state: String,
    pub count: i64,
}

pub async fn open_counts<'e>(db: impl PgExecutor<'e>) -> Result<Vec<OpenCount>, sqlx::Error> {
    sqlx::query_as!(
        OpenCount,
        r#"select connector, state, count(*) as "count!" from hub.message group by 1, 2 order by 1, 2"#
    )
    .fetch_all(db)
    .await
}

/// The failure of a message that was claimed again and again without an outcome.
pub fn quarantined(claims: i32) -> Failure {
    Failure {
        cause: Cause::Ours,
        reason: "no_outcome".to_owned(),
        field: None,
        value: None,
        detail: format!("claimed {claims} times without an outcome: something ends the worker that takes it"),
    }
}
