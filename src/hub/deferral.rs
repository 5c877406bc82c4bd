//! Records that refer to something which is not there yet.
//!
//! Invariants
//! - Only the newest document of a key waits, by version and else by receipt; the one it replaces is superseded.
//! - The transaction that creates a link makes its waiters due; a sweep catches what slipped through between the two.
//! - After `defer_for` a waiting record becomes a dead letter `missing_reference`, grouped by the missing code, and the
//!   arrival of that code replays it.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    leases::interval,
    messages::{self, Claimed, NewMessage},
    states::MessageState,
};
use crate::canonical::{Entity, Version};

/// A record to be parked and what it waits for.
#[derive(Debug, Clone)]
pub struct Parked {
    pub message: NewMessage,
    pub waits_for: Vec<(Entity, String)>,
}

/// A document among the others of its key.
#[derive(Debug, Clone, Copy)]
pub struct Rival<'a> {
    pub key: &'a str,
    pub version: Option<&'a Version>,
    pub received_at: DateTime<Utc>,
    /// Place in the document that brought it.
    pub ordinal: i64,
}

/// What of an entity is open and may be concerned by its records: asked once per page, so that a page which concerns
/// nobody pays nothing more.
#[derive(Debug, Clone, Copy)]
pub struct OpenWork {
    /// There are dead letters of it.
    pub letters: bool,
    /// Records of it wait.
    pub waiting: bool,
    /// Something waits for records of it.
    pub waited_for: bool,
}

impl OpenWork {
    pub const fn is_any(self) -> bool {
        self.letters || self.waiting || self.waited_for
    }
}

pub async fn open_work(db: &mut PgConnection, connector: &str, entity: Entity) -> Result<OpenWork, sqlx::Error> {
    sqlx::query_as!(
        OpenWork,
        r#"select
               exists (select from hub.dead_letter where connector = $1 and entity = $2 and key is not null) as "letters!",
               exists (select from hub.message where connector = $1 and entity = $2 and state = 'deferred') as "waiting!",
               exists (select from hub.message_wait where connector = $1 and entity = $2) as "waited_for!""#,
        connector,
        entity.as_str(),
    )
    .fetch_one(db)
    .await
}

/// The same of several entities at once.
pub async fn open_work_of(
    db: &mut PgConnection,
    connector: &str,
    entities: &[&str],
) -> Result<HashMap<String, OpenWork>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select e.entity as "entity!",
               exists (select from hub.dead_letter d
                       where d.connector = $1 and d.entity = e.entity and d.key is not null) as "letters!",
               exists (select from hub.message m
                       where m.connector = $1 and m.entity = e.entity and m.state = 'deferred') as "waiting!",
               exists (select from hub.message_wait w where w.connector = $1 and w.entity = e.entity) as "waited_for!"
           from unnest($2::text[]) as e (entity)"#,
        connector,
        entities as &[&str],
    )
    .fetch_all(db)
    .await?;
    let open = rows
        .into_iter()
        .map(|row| (row.entity, OpenWork { letters: row.letters, waiting: row.waiting, waited_for: row.waited_for }));
    Ok(open.collect())
}

/// The keys of all that is open of these entities: letters, records that wait, and codes that something waits for. `None`:
/// `most` or more.
pub async fn open_keys(
    db: &mut PgConnection,
    connector: &str,
    entities: &[&str],
    most: usize,
) -> Result<Option<HashSet<(String, String)>>, sqlx::Error> {
    let limit = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = sqlx::query!(
        r#"select e.entity as "entity!", open.key as "key!"
           from unnest($2::text[]) as e (entity)
           cross join lateral (
               (select d.key from hub.dead_letter d
                where d.connector = $1 and d.entity = e.entity and d.key is not null limit $3)
               union all
               (select m.key from hub.message m
                where m.connector = $1 and m.entity = e.entity and m.state = 'deferred' and m.key is not null limit $3)
               union all
               (select w.code from hub.message_wait w where w.connector = $1 and w.entity = e.entity limit $3)
           ) open
           limit $3"#,
        connector,
        entities as &[&str],
        limit,
    )
    .fetch_all(db)
    .await?;
    let all = rows.len() < most;
    Ok(all.then(|| rows.into_iter().map(|row| (row.entity, row.key)).collect()))
}

/// Parks records of one entity; a record of the same key that waits already is superseded.
pub async fn park(
    db: &mut PgConnection,
    connector: &str,
    entity: Entity,
    parked: &[Parked],
    full_pass_started: Option<DateTime<Utc>>,
    defer_for: Duration,
) -> Result<(), sqlx::Error> {
    if parked.is_empty() {
        return Ok(());
    }
    let rivals: Vec<Rival<'_>> = parked
        .iter()
        .filter_map(|record| {
            let NewMessage { key, version, received_at, ordinal, .. } = &record.message;
            let (received_at, ordinal) = (*received_at, *ordinal);
            Some(Rival { key: key.as_deref()?, version: version.as_ref(), received_at, ordinal })
        })
        .collect();
    supersede(db, connector, entity, &rivals, full_pass_started).await?;
    let messages: Vec<NewMessage> = parked.iter().map(|record| record.message.clone()).collect();
    messages::insert(db, &messages, MessageState::Deferred, Some(defer_for)).await?;
    let mut ids = Vec::new();
    let mut entities = Vec::new();
    let mut codes = Vec::new();
    for record in parked {
        for (entity, code) in &record.waits_for {
            ids.push(record.message.id);
            entities.push(entity.as_str());
            codes.push(code.as_str());
        }
    }
    // Joined with the messages: a twin that was parked at the same moment by another writer keeps its place.
    sqlx::query!(
        "insert into hub.message_wait (message_id, connector, entity, code)
         select u.message_id, $1, u.entity, u.code
         from unnest($2::uuid[], $3::text[], $4::text[]) as u (message_id, entity, code)
         join hub.message m on m.id = u.message_id
         on conflict do nothing",
        connector,
        &ids,
        &entities as &[&str],
        &codes as &[&str],
    )
    .execute(&mut *db)
    .await?;
    Ok(())
}

pub(super) struct Columns<'a> {
    pub(super) keys: Vec<&'a str>,
    pub(super) kinds: Vec<Option<&'a str>>,
    pub(super) versions: Vec<Option<i64>>,
    pub(super) received_at: Vec<DateTime<Utc>>,
    pub(super) ordinals: Vec<i64>,
}

impl<'a> Columns<'a> {
    pub(super) fn of(rivals: &[Rival<'a>]) -> Columns<'a> {
        Columns {
            keys: rivals.iter().map(|rival| rival.key).collect(),
            kinds: rivals.iter().map(|rival| rival.version.map(|version| version.kind.as_ref())).collect(),
            versions: rivals.iter().map(|rival| rival.version.map(|version| version.value)).collect(),
            received_at: rivals.iter().map(|rival| rival.received_at).collect(),
            ordinals: rivals.iter().map(|rival| rival.ordinal).collect(),
        }
    }
}

/// The keys of which a newer document is open already. A complete pass that began after its receipt beats its version.
pub async fn overtaken(
    db: &mut PgConnection,
    connector: &str,
    entity: Entity,
    rivals: &[Rival<'_>],
    full_pass_started: Option<DateTime<Utc>>,
) -> Result<HashSet<String>, sqlx::Error> {
    let columns = Columns::of(rivals);
    let keys = sqlx::query_scalar!(
        r#"select u.key as "key!"
           from unnest($3::text[], $4::text[], $5::bigint[], $6::timestamptz[], $9::bigint[])
                as u (key, kind, version, received_at, ordinal)
           join hub.message m on m.connector = $1 and m.entity = $2 and m.key = u.key
           where m.kind = $7 and m.dead_letter_id is null
             and case when m.version_kind = u.kind and ($8::timestamptz is null or m.received_at >= $8)
                      then m.source_version > u.version
                      else (m.received_at, m.document_ordinal) > (u.received_at, u.ordinal) end"#,
        connector,
        entity.as_str(),
        &columns.keys as &[&str],
        &columns.kinds as &[Option<&str>],
        &columns.versions as &[Option<i64>],
        &columns.received_at,
        messages::DOCUMENT,
        full_pass_started,
        &columns.ordinals,
    )
    .fetch_all(db)
    .await?;
    Ok(keys.into_iter().collect())
}

/// Ends waiting records whose key got a newer document.
pub async fn supersede(
    db: &mut PgConnection,
    connector: &str,
    entity: Entity,
    rivals: &[Rival<'_>],
    full_pass_started: Option<DateTime<Utc>>,
) -> Result<(), sqlx::Error> {
    let columns = Columns::of(rivals);
    sqlx::query!(
        "with gone as (
             delete from hub.message m
             using unnest($3::text[], $4::text[], $5::bigint[], $6::timestamptz[], $8::bigint[])
                   as u (key, kind, version, received_at, ordinal)
             where m.connector = $1 and m.entity = $2 and m.key = u.key and m.state = 'deferred'
               and case when m.version_kind = u.kind and ($7::timestamptz is null or m.received_at >= $7)
                        then m.source_version <= u.version
                        else (m.received_at, m.document_ordinal) <= (u.received_at, u.ordinal) end
             returning m.*
         ), kept as (
             insert into hub.payload_history (message_id, body) select id, body from gone
         )
         insert into hub.message_history
             (id, kind, state, connector, stream, entity, key, mapping, mapping_hash, format, correlation_id, run_id,
              attempts, claims, received_at)
         select id, kind, 'superseded', connector, stream, entity, key, mapping, mapping_hash, format, correlation_id,
                run_id, attempts, claims, received_at
         from gone",
        connector,
        entity.as_str(),
        &columns.keys as &[&str],
        &columns.kinds as &[Option<&str>],
        &columns.versions as &[Option<i64>],
        &columns.received_at,
        full_pass_started,
        &columns.ordinals,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Makes the records due that waited for one of these codes. Called in the transaction that made the links.
pub async fn wake(db: &mut PgConnection, connector: &str, entity: Entity, codes: &[&str]) -> Result<u64, sqlx::Error> {
    let reached = sqlx::query_scalar!(
        "delete from hub.message_wait
         where connector = $1 and entity = $2 and code = any($3)
         returning message_id",
        connector,
        entity.as_str(),
        codes as &[&str],
    )
    .fetch_all(&mut *db)
    .await?;
    if reached.is_empty() {
        return Ok(0);
    }
    // Somebody else may be bringing the rest of what a record waits for: who comes second has to see what the first
    // one did, so the records are locked before anybody looks, and looked at by another statement.
    sqlx::query!(
        "select id from hub.message where id = any($1) and state = 'deferred' order by id for update",
        &reached
    )
    .fetch_all(&mut *db)
    .await?;
    let woken = make_due(db, &reached).await?;
    if woken > 0 {
        sqlx::query!("select pg_notify($1, '')", messages::CHANNEL).fetch_one(&mut *db).await?;
    }
    Ok(woken)
}

/// Of these records the ones that wait for nothing any more.
async fn make_due(db: &mut PgConnection, ids: &[Uuid]) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "update hub.message m set state = 'received', due_at = clock_timestamp()
         where m.id = any($1) and m.state = 'deferred'
           and not exists (select from hub.message_wait o where o.message_id = m.id)",
        ids
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Wakes what waits for codes that exist, or for nothing at all: a link made between a record's look-up and its parking
/// is caught here.
pub async fn sweep(db: &mut PgConnection) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        "delete from hub.message_wait w
         where exists (select from hub.external_ref r
                       where r.connector = w.connector and r.entity = w.entity and r.external_code = w.code)
            or exists (select from hub.external_ref_alias a
                       where a.connector = w.connector and a.entity = w.entity and a.external_code = w.code)"
    )
    .execute(&mut *db)
    .await?;
    let ready = sqlx::query_scalar!(
        "select id from hub.message m
         where state = 'deferred' and not exists (select from hub.message_wait o where o.message_id = m.id)
         order by id
         for update skip locked"
    )
    .fetch_all(&mut *db)
    .await?;
    make_due(db, &ready).await
}

/// Deferred messages whose time is up, claimed for giving up: they become due once more, and the worker that finds
/// their reference still missing writes the letter.
pub async fn give_up_due(db: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "update hub.message set state = 'received', due_at = clock_timestamp()
         where state = 'deferred' and give_up_at <= clock_timestamp()"
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// A claimed record still lacks what it waits for: parks it again, with the time it had. If a newer document of its key
/// waits by now, this one is superseded.
pub async fn wait_again(
    tx: &mut PgConnection,
    message: &Claimed,
    waits_for: &[(Entity, String)],
    defer_for: Duration,
) -> Result<(), sqlx::Error> {
    let parked = sqlx::query!(
        "update hub.message m
         set state = 'deferred', lease_owner = null, lease_until = null, claims = 0,
             give_up_at = coalesce(give_up_at, clock_timestamp() + $2::interval)
         where id = $1 and not exists (select from hub.message o
                                       where o.connector = m.connector and o.entity = m.entity and o.key = m.key
                                         and o.state = 'deferred' and o.id <> m.id)",
        message.id,
        interval(defer_for),
    )
    .execute(&mut *tx)
    .await?;
    if parked.rows_affected() == 0 {
        sqlx::query!(
            "with gone as (delete from hub.message where id = $1 returning *),
                  kept as (insert into hub.payload_history (message_id, body) select id, body from gone)
             insert into hub.message_history
                 (id, kind, state, connector, stream, entity, key, mapping, mapping_hash, format, correlation_id, run_id,
                  attempts, claims, received_at)
             select id, kind, 'superseded', connector, stream, entity, key, mapping, mapping_hash, format,
                    correlation_id, run_id, attempts, claims, received_at
             from gone",
            message.id
        )
        .execute(&mut *tx)
        .await?;
        return Ok(());
    }
    let entities: Vec<String> = waits_for.iter().map(|(entity, _)| entity.as_str().to_owned()).collect();
    let codes: Vec<String> = waits_for.iter().map(|(_, code)| code.clone()).collect();
    sqlx::query!(
        "insert into hub.message_wait (message_id, connector, entity, code)
         select $1, $2, * from unnest($3::text[], $4::text[])
         on conflict do nothing",
        message.id,
        message.connector,
        &entities,
        &codes,
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
}
