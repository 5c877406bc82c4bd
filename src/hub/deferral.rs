//! Records that refer to something which is not there yet.
//!
//! Invariants
//! - Only the newest document of a key waits; the one it replaces is superseded.
//! - The transaction that creates a link makes its waiters due; a sweep catches what slipped through between the two.
//! - After `defer_for` a waiting record becomes a dead letter `missing_reference`, grouped by the missing code, and the
//!   arrival of that code replays it.

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    leases::interval,
    messages::{self, Claimed, NewMessage},
    states::MessageState,
};
use crate::canonical::Entity;

/// A record to be parked and what it waits for.
#[derive(Debug, Clone)]
pub struct Parked {
    pub message: NewMessage,
    pub waits_for: Vec<(Entity, String)>,
}

/// Parks records; a record of the same key that waits already is superseded.
pub async fn park(db: &mut PgConnection, parked: &[Parked], defer_for: Duration) -> Result<(), sqlx::Error> {
    if parked.is_empty() {
        return Ok(());
    }
    supersede_waiting(db, parked).await?;
    let messages: Vec<NewMessage> = parked.iter().map(|record| record.message.clone()).collect();
    messages::insert(db, &messages, MessageState::Deferred, Some(defer_for)).await?;
    let mut ids = Vec::new();
    let mut connectors = Vec::new();
    let mut entities = Vec::new();
    let mut codes = Vec::new();
    for record in parked {
        for (entity, code) in &record.waits_for {
            ids.push(record.message.id);
            connectors.push(record.message.connector.clone());
            entities.push(entity.as_str().to_owned());
            codes.push(code.clone());
        }
    }
    // Joined with the messages: a twin that was parked at the same moment by another writer keeps its place.
    sqlx::query!(
        "insert into hub.message_wait (message_id, connector, entity, code)
         select u.* from unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) as u (message_id, connector, entity, code)
         join hub.message m on m.id = u.message_id
         on conflict do nothing",
        &ids,
        &connectors,
        &entities,
        &codes,
    )
    .execute(&mut *db)
    .await?;
    Ok(())
}

async fn supersede_waiting(db: &mut PgConnection, parked: &[Parked]) -> Result<(), sqlx::Error> {
    let mut connectors = Vec::new();
    let mut entities = Vec::new();
    let mut keys = Vec::new();
    for record in parked {
        if let (Some(entity), Some(key)) = (record.message.entity, &record.message.key) {
            connectors.push(record.message.connector.clone());
            entities.push(entity.to_owned());
            keys.push(key.clone());
        }
    }
    supersede(db, &connectors, &entities, &keys, &[]).await
}

/// Ends waiting records whose key got a newer document. `except` names messages that are being worked on.
pub async fn supersede(
    db: &mut PgConnection,
    connectors: &[String],
    entities: &[String],
    keys: &[String],
    except: &[Uuid],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with gone as (
             delete from hub.message m
             using unnest($1::text[], $2::text[], $3::text[]) as u (connector, entity, key)
             where m.connector = u.connector and m.entity = u.entity and m.key = u.key and m.state = 'deferred'
               and not m.id = any($4)
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
        connectors,
        entities,
        keys,
        except,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Makes the records due that waited for one of these codes. Called in the transaction that made the links.
pub async fn wake(db: &mut PgConnection, connector: &str, entity: Entity, codes: &[&str]) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "with woken as (
             delete from hub.message_wait
             where connector = $1 and entity = $2 and code = any($3)
             returning message_id
         )
         update hub.message m
         set state = 'received', due_at = clock_timestamp()
         from (select distinct message_id from woken) w
         where m.id = w.message_id and m.state = 'deferred'
           and not exists (select from hub.message_wait o
                           where o.message_id = m.id and not (o.connector = $1 and o.entity = $2 and o.code = any($3)))",
        connector,
        entity.as_str(),
        codes as &[&str],
    )
    .execute(&mut *db)
    .await?;
    if done.rows_affected() > 0 {
        sqlx::query!("select pg_notify($1, '')", messages::CHANNEL).fetch_one(&mut *db).await?;
    }
    Ok(done.rows_affected())
}

/// Wakes what waits for codes that exist: a link made between a record's look-up and its parking is caught here.
pub async fn sweep(db: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "with arrived as (
             delete from hub.message_wait w
             where exists (select from hub.external_ref r
                           where r.connector = w.connector and r.entity = w.entity and r.external_code = w.code)
             returning w.message_id, w.entity, w.code
         )
         update hub.message m set state = 'received', due_at = clock_timestamp()
         where m.state = 'deferred'
           and m.id in (select message_id from arrived)
           and not exists (select from hub.message_wait o
                           where o.message_id = m.id
                             and not exists (select from arrived a
                                             where a.message_id = o.message_id and a.entity = o.entity and a.code = o.code))"
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
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
