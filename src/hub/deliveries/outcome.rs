//! What came of deliveries, written in one transaction: attempts, letters, history, what goes on behind them.
//!
//! Invariants
//! - Only outcomes of deliveries whose lease is still ours are written.
//! - What is finished moves to history in the statement that finishes it; what died stays beside its letter.
//! - What follows from an outcome over here is written with it, or neither.
//! - Behind a dead fact that blocks, what is open on its key is `blocked`, and goes on when the dead one is gone.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

use super::{
    super::{
        dead_letters::{self, Created, fingerprint},
        leases::interval,
        messages::pack,
        pages::Failure,
        sinks::{
            Effect,
            effect::{self, Following},
        },
    },
    KIND,
    store::Claimed,
};
/// What became of a claimed delivery.
#[derive(Debug, Clone)]
pub enum Finish {
    Done {
        receipt: Option<String>,
    },
    /// No use in it any more.
    Discarded {
        failure: Failure,
    },
    Dead {
        failure: Failure,
    },
    Retry {
        after: Duration,
        failure: Failure,
        unknown: bool,
        /// Whether it was a try, and not only asked for patience.
        counts: bool,
    },
    /// Its target is down: waits, with its attempts kept.
    Hold {
        failure: Failure,
        unknown: bool,
    },
    /// Given back untouched, no attempt.
    Release,
}

impl Finish {
    const fn word(&self) -> &'static str {
        match self {
            Finish::Done { .. } => "done",
            Finish::Discarded { .. } => "discarded",
            Finish::Dead { .. } => "dead",
            Finish::Retry { .. } => "waiting",
            Finish::Hold { .. } => "held",
            Finish::Release => "received",
        }
    }

    const fn failure(&self) -> Option<&Failure> {
        match self {
            Finish::Done { .. } | Finish::Release => None,
            Finish::Discarded { failure }
            | Finish::Dead { failure }
            | Finish::Retry { failure, .. }
            | Finish::Hold { failure, .. } => Some(failure),
        }
    }
}

/// An outcome with what is kept of the attempt.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub delivery: Claimed,
    pub finish: Finish,
    pub asked: Option<String>,
    pub answered: Option<String>,
    pub effect: Option<Effect>,
}

/// The longest text that is kept of a request or an answer.
const KEPT: usize = 2_000;

/// Writes outcomes; those whose lease was lost are passed over. Returns how many were written.
pub async fn write(
    tx: &mut PgConnection,
    owner: Uuid,
    now: DateTime<Utc>,
    mut outcomes: Vec<Outcome>,
) -> Result<usize, sqlx::Error> {
    let ids: Vec<Uuid> = outcomes.iter().map(|outcome| outcome.delivery.document.id).collect();
    let ours: Vec<Uuid> = sqlx::query_scalar!(
        "select id from hub.delivery where id = any($1) and state = 'working' and lease_owner = $2
         order by id for update",
        &ids,
        owner,
    )
    .fetch_all(&mut *tx)
    .await?;
    outcomes.retain(|outcome| ours.contains(&outcome.delivery.document.id));
    release(tx, &outcomes).await?;
    outcomes.retain(|outcome| !matches!(outcome.finish, Finish::Release));
    if outcomes.is_empty() {
        return Ok(ours.len());
    }
    write_attempts(tx, owner, &outcomes).await?;
    requeue(tx, &outcomes).await?;
    bury(tx, &outcomes).await?;
    finish(tx, &outcomes).await?;
    follow(tx, now, &mut outcomes).await?;
    let again: Vec<Uuid> = outcomes
        .iter()
        .filter(|outcome| outcome.delivery.newest_only && !matches!(outcome.finish, Finish::Done { .. }))
        .map(|outcome| outcome.delivery.document.id)
        .collect();
    supersede(tx, &again).await?;
    Ok(ours.len())
}

/// What follows over here. By rising record, as whoever locks several of them does.
async fn follow(tx: &mut PgConnection, now: DateTime<Utc>, outcomes: &mut [Outcome]) -> Result<(), sqlx::Error> {
    outcomes.sort_by_key(|outcome| outcome.delivery.document.aggregate_id);
    let following: Vec<Following<'_>> = outcomes
        .iter()
        .filter_map(|outcome| {
            let Claimed { target, correlation_id, .. } = &outcome.delivery;
            Some(Following { target, correlation_id, effect: outcome.effect.as_ref()? })
        })
        .collect();
    effect::apply(tx, now, &following).await
}

async fn release(tx: &mut PgConnection, outcomes: &[Outcome]) -> Result<(), sqlx::Error> {
    let ids = ids_of(outcomes, |finish| matches!(finish, Finish::Release));
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update hub.delivery set state = 'received', lease_owner = null, lease_until = null, claims = claims - 1
         where id = any($1)",
        &ids,
    )
    .execute(tx)
    .await?;
    Ok(())
}

fn ids_of(outcomes: &[Outcome], which: impl Fn(&Finish) -> bool) -> Vec<Uuid> {
    outcomes.iter().filter(|outcome| which(&outcome.finish)).map(|outcome| outcome.delivery.document.id).collect()
}

async fn write_attempts(tx: &mut PgConnection, owner: Uuid, outcomes: &[Outcome]) -> Result<(), sqlx::Error> {
    let text = |pick: fn(&Outcome) -> Option<String>| -> Vec<Option<String>> { outcomes.iter().map(pick).collect() };
    sqlx::query!(
        "insert into hub.attempt
             (id, message_id, number, owner, started_at, outcome, cause, reason, detail, asked, answered)
         select u.id, u.message_id, u.number, $1, u.started_at, u.outcome, u.cause, u.reason, u.detail, u.asked,
                u.answered
         from unnest($2::uuid[], $3::uuid[], $4::int[], $5::timestamptz[], $6::text[], $7::text[], $8::text[],
                     $9::text[], $10::text[], $11::text[])
              as u (id, message_id, number, started_at, outcome, cause, reason, detail, asked, answered)",
        owner,
        &outcomes.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>(),
        &outcomes.iter().map(|outcome| outcome.delivery.document.id).collect::<Vec<_>>(),
        &outcomes.iter().map(|outcome| outcome.delivery.attempts + 1).collect::<Vec<_>>(),
        &outcomes.iter().map(|outcome| outcome.delivery.claimed_at).collect::<Vec<_>>(),
        &outcomes.iter().map(|outcome| outcome.finish.word().to_owned()).collect::<Vec<_>>(),
        text(|outcome| outcome.finish.failure().map(|failure| failure.cause.as_str().to_owned())) as _,
        text(|outcome| outcome.finish.failure().map(|failure| failure.reason.clone())) as _,
        text(|outcome| outcome.finish.failure().map(|failure| short(&failure.detail))) as _,
        text(|outcome| outcome.asked.as_deref().map(short)) as _,
        text(|outcome| outcome.answered.as_deref().map(short)) as _,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Shortened, and without what PostgreSQL's texts cannot hold.
fn short(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(KEPT).collect()
}

async fn requeue(tx: &mut PgConnection, outcomes: &[Outcome]) -> Result<(), sqlx::Error> {
    let mut ids = Vec::new();
    let mut waits = Vec::new();
    let mut states = Vec::new();
    let mut unknowns = Vec::new();
    let mut patiences = Vec::new();
    let mut failures: Vec<&Failure> = Vec::new();
    for Outcome { delivery, finish, .. } in outcomes {
        let (after, failure, unknown, counts) = match finish {
            Finish::Retry { after, failure, unknown, counts } => (*after, failure, *unknown, *counts),
            Finish::Hold { failure, unknown } => (Duration::ZERO, failure, *unknown, true),
            _ => continue,
        };
        ids.push(delivery.document.id);
        waits.push(interval(after));
        states.push(finish.word().to_owned());
        unknowns.push(unknown);
        patiences.push(i32::from(!counts));
        failures.push(failure);
    }
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update hub.delivery d
         set state = u.state, due_at = clock_timestamp() + u.wait, attempts = d.attempts + (u.state = 'waiting')::int,
             patience = d.patience + u.patience,
             first_attempt_at = coalesce(d.first_attempt_at, clock_timestamp()), lease_owner = null, lease_until = null,
             unknown_since = case when u.unknown then clock_timestamp() else d.unknown_since end,
             claims = 0, cause = u.cause, reason = u.reason, detail = u.detail
         from unnest($1::uuid[], $2::text[], $3::interval[], $4::bool[], $5::text[], $6::text[], $7::text[], $8::int[])
              as u (id, state, wait, unknown, cause, reason, detail, patience)
         where d.id = u.id and d.id = any($1)",
        &ids,
        &states,
        &waits,
        &unknowns,
        &failures.iter().map(|failure| failure.cause.as_str().to_owned()).collect::<Vec<_>>(),
        &failures.iter().map(|failure| failure.reason.clone()).collect::<Vec<_>>(),
        &failures.iter().map(|failure| short(&failure.detail)).collect::<Vec<_>>(),
        &patiences,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Deliveries that cannot be made: each stays beside its letter, and what follows on its key is blocked.
async fn bury(tx: &mut PgConnection, outcomes: &[Outcome]) -> Result<(), sqlx::Error> {
    let mut dead = Vec::new();
    for outcome in outcomes {
        let Finish::Dead { failure } = &outcome.finish else { continue };
        let letter = match outcome.delivery.dead_letter_id {
            Some(letter) => {
                dead_letters::reopen(tx, letter, failure, None, None).await?;
                letter
            }
            None => write_letter(tx, &outcome.delivery, failure).await?,
        };
        dead.push((outcome.delivery.document.id, letter, failure));
    }
    if dead.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = dead.iter().map(|(id, ..)| *id).collect();
    sqlx::query!(
        "update hub.delivery d
         set state = 'dead', dead_letter_id = u.letter, attempts = d.attempts + 1,
             first_attempt_at = coalesce(d.first_attempt_at, clock_timestamp()), lease_owner = null, lease_until = null,
             cause = u.cause, reason = u.reason, field = u.field, value = u.value, detail = u.detail
         from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
              as u (id, letter, cause, reason, field, value, detail)
         where d.id = u.id and d.id = any($1)",
        &ids,
        &dead.iter().map(|(_, letter, _)| *letter).collect::<Vec<_>>(),
        &dead.iter().map(|(.., failure)| failure.cause.as_str().to_owned()).collect::<Vec<_>>(),
        &dead.iter().map(|(.., failure)| failure.reason.clone()).collect::<Vec<_>>(),
        &dead.iter().map(|(.., failure)| failure.field.clone()).collect::<Vec<_>>() as _,
        &dead.iter().map(|(.., failure)| failure.value.clone()).collect::<Vec<_>>() as _,
        &dead.iter().map(|(.., failure)| short(&failure.detail)).collect::<Vec<_>>(),
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "update hub.delivery d set state = 'blocked'
         from hub.delivery dead
         where dead.id = any($1) and dead.blocks and d.target = dead.target and d.aggregate = dead.aggregate
           and d.aggregate_id = dead.aggregate_id and d.revision > dead.revision
           and d.state in ('received', 'waiting', 'held')",
        &ids,
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn write_letter(tx: &mut PgConnection, delivery: &Claimed, failure: &Failure) -> Result<Uuid, sqlx::Error> {
    let document = &delivery.document;
    let body = serde_json::to_vec(&document.payload).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    let packed = pack(&body).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    let kept = sqlx::query!(
        r#"insert into hub.dead_letter as d
               (id, message_id, kind, connector, stream, entity, key, format, body, body_hash, correlation_id, cause,
                reason, field, value, detail, fingerprint, attempts, received_at)
           values ($1, $2, $3, $4, $5, $6, $7, 'json', $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
           on conflict (connector, entity, key) where key is not null do update set updated_at = clock_timestamp()
           returning id, d.xmax = 0 as "is_new!""#,
        Uuid::now_v7(),
        document.id,
        KIND,
        delivery.target,
        document.kind,
        document.aggregate,
        key_of(delivery),
        packed,
        xxh3_128(&body).to_be_bytes().to_vec(),
        delivery.correlation_id,
        failure.cause.as_str(),
        failure.reason,
        failure.field,
        failure.value,
        short(&failure.detail),
        fingerprint(&delivery.target, &document.aggregate, failure, None),
        delivery.attempts + 1,
        document.created_at,
    )
    .fetch_one(&mut *tx)
    .await?;
    if kept.is_new {
        let created = Created {
            id: kept.id,
            kind: KIND.to_owned(),
            connector: delivery.target.clone(),
            stream: Some(document.kind.clone()),
            entity: Some(document.aggregate.clone()),
            code: None,
            cause: failure.cause.as_str().to_owned(),
            reason: failure.reason.clone(),
            field: failure.field.clone(),
            correlation_id: delivery.correlation_id.clone(),
        };
        dead_letters::tell(tx, &[created]).await?;
    }
    Ok(kept.id)
}

/// By what the letter of a delivery is known: the record and its revision, or itself.
fn key_of(delivery: &Claimed) -> String {
    let document = &delivery.document;
    match document.aggregate_id.zip(document.revision) {
        Some((id, revision)) => format!("{id}@{revision}"),
        None => document.id.to_string(),
    }
}

/// Moves what is finished to history, resolves the letters of replays, and lets go on what was blocked behind them.
async fn finish(tx: &mut PgConnection, outcomes: &[Outcome]) -> Result<(), sqlx::Error> {
    let mut done = Vec::new();
    let mut replayed = Vec::new();
    let mut useless = Vec::new();
    for outcome in outcomes {
        let (receipt, failure) = match &outcome.finish {
            Finish::Done { receipt } => (receipt.as_deref().map(short), None),
            Finish::Discarded { failure } => (None, Some(failure)),
            _ => continue,
        };
        match (outcome.delivery.dead_letter_id, failure) {
            (Some(letter), None) => replayed.push(letter),
            (Some(letter), Some(_)) => useless.push(letter),
            (None, _) => {}
        }
        done.push((outcome.delivery.document.id, outcome.finish.word(), receipt, failure));
    }
    if done.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "with gone as (
             delete from hub.delivery where id = any($1) returning *
         )
         insert into hub.delivery_history
             (id, target, type, state, event_id, aggregate, aggregate_id, revision, origin, label, correlation_id,
              created_at, attempts, claims, receipt, cause, reason, field, value, detail)
         select g.id, g.target, g.type, u.state, g.event_id, g.aggregate, g.aggregate_id, g.revision, g.origin,
                g.label, g.correlation_id, g.created_at, g.attempts + 1, g.claims, u.receipt, u.cause, u.reason,
                u.field, u.value, u.detail
         from gone g
         join unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
              as u (id, state, receipt, cause, reason, field, value, detail) on u.id = g.id",
        &done.iter().map(|(id, ..)| *id).collect::<Vec<_>>(),
        &done.iter().map(|(_, state, ..)| (*state).to_owned()).collect::<Vec<_>>(),
        &done.iter().map(|(_, _, receipt, _)| receipt.clone()).collect::<Vec<_>>() as _,
        &done.iter().map(|(.., failure)| failure.map(|it| it.cause.as_str().to_owned())).collect::<Vec<_>>() as _,
        &done.iter().map(|(.., failure)| failure.map(|it| it.reason.clone())).collect::<Vec<_>>() as _,
        &done.iter().map(|(.., failure)| failure.and_then(|it| it.field.clone())).collect::<Vec<_>>() as _,
        &done.iter().map(|(.., failure)| failure.and_then(|it| it.value.clone())).collect::<Vec<_>>() as _,
        &done.iter().map(|(.., failure)| failure.map(|it| short(&it.detail))).collect::<Vec<_>>() as _,
    )
    .execute(&mut *tx)
    .await?;
    dead_letters::resolve(tx, &replayed, "replayed", "hub", None).await?;
    dead_letters::resolve(tx, &useless, "discarded", "hub", Some("it expired before it could go out")).await?;
    if replayed.len() + useless.len() > 0 { unblock(tx).await } else { Ok(()) }
}

/// Lets go on what nothing dead stands before any more.
pub(super) async fn unblock(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update hub.delivery d set state = 'received', due_at = clock_timestamp()
         where d.state = 'blocked'
           and not exists (select from hub.delivery e
                           where e.target = d.target and e.aggregate = d.aggregate
                             and e.aggregate_id = d.aggregate_id and e.revision < d.revision and e.blocks
                             and (e.state = 'dead' or e.dead_letter_id is not null))"
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Takes deliveries that are not under way out of the lane, for good.
pub(super) async fn end(
    tx: &mut PgConnection,
    ids: &[Uuid],
    state: &str,
    note: Option<&str>,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "with gone as (
             delete from hub.delivery where id = any($1) and state <> 'working' returning *
         )
         insert into hub.delivery_history
             (id, target, type, state, event_id, aggregate, aggregate_id, revision, origin, label, correlation_id,
              created_at, attempts, claims, cause, reason, field, value, detail)
         select id, target, type, $2, event_id, aggregate, aggregate_id, revision, origin, label, correlation_id,
                created_at, attempts, claims, cause, reason, field, value, coalesce($3, detail)
         from gone",
        ids,
        state,
        note,
    )
    .execute(&mut *tx)
    .await?
    .rows_affected();
    if done > 0 {
        unblock(tx).await?;
    }
    Ok(done)
}

/// Of the keys of these deliveries, ends what tells of an older state than another one that is open. What somebody has in
/// hand right now is told, in its order.
pub(in crate::hub) async fn supersede(tx: &mut PgConnection, ids: &[Uuid]) -> Result<(), sqlx::Error> {
    if ids.is_empty() {
        return Ok(());
    }
    let letters: Vec<Option<Uuid>> = sqlx::query_scalar!(
        "with keys as (
             select distinct target, aggregate, aggregate_id from hub.delivery
             where id = any($1) and newest_only and aggregate_id is not null
         ), gone as (
             delete from hub.delivery where id in (
                 select old.id from keys k
                 cross join lateral (
                     select d.id from hub.delivery d
                     where d.target = k.target and d.aggregate = k.aggregate and d.aggregate_id = k.aggregate_id
                       and d.newest_only and d.state in ('received', 'waiting', 'held', 'dead')
                       and exists (select from hub.delivery n
                                   where n.target = d.target and n.aggregate = d.aggregate
                                     and n.aggregate_id = d.aggregate_id and n.newest_only and n.revision > d.revision
                                   offset 0)
                     offset 0
                     for update skip locked) old)
             returning *
         ), kept as (
             insert into hub.delivery_history
                 (id, target, type, state, event_id, aggregate, aggregate_id, revision, origin, label, correlation_id,
                  created_at, attempts, claims, cause, reason, field, value, detail)
             select id, target, type, 'superseded', event_id, aggregate, aggregate_id, revision, origin, label,
                    correlation_id, created_at, attempts, claims, cause, reason, field, value, detail
             from gone
         )
         select dead_letter_id from gone where dead_letter_id is not null",
        ids,
    )
    .fetch_all(&mut *tx)
    .await?;
    let letters: Vec<Uuid> = letters.into_iter().flatten().collect();
    dead_letters::overtaken(tx, &letters).await
}
