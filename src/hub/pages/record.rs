//! The inline lane: a polled page is one message, written in the transaction of its effect.

use std::collections::HashMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use kopru_sdk::{Cause, Pass};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    apply::{ApplyContext, ApplyError, Failure, Verdict, apply_marking},
    plan::Incoming,
};
use crate::{
    canonical::{Entity, Version},
    commerce::WriteContext,
    hub::{
        cursors::{self, Position},
        dead_letters::{self, NewLetter},
        deferral::{self, Parked, Rival},
        engine::Engine,
        leases,
        messages::{self, NewMessage, pack},
        runs::{self, Tally},
        sweeps::{self, Preview, Seen, SweepPolicy},
    },
    mapping::{Format, Mapped, Mapping},
    outbox::Provenance,
};

/// The run that a page belongs to.
#[derive(Debug, Clone)]
pub struct PageContext<'a> {
    pub run_id: Uuid,
    pub connector: &'a str,
    pub stream: &'a str,
    /// The lease under which the run writes.
    pub lease: &'a str,
    pub pass: Pass,
    pub pass_started_at: DateTime<Utc>,
    /// The first load of a stream and full passes mark their events, so that nobody is flooded by them.
    pub bulk: bool,
    pub dry_run: bool,
    pub correlation_id: &'a str,
    /// See [`ApplyContext::isolate`].
    pub isolate: bool,
    /// What is seen is kept for the sweep behind the pass, under this policy.
    pub sweep: Option<SweepPolicy>,
}

/// What pages without effect leave to be written by a later one.
#[derive(Debug, Default)]
pub struct Pending {
    pub tally: Tally,
    pub seen: Seen,
    /// Of a dry run; stays to its end, like what it has seen.
    pub preview: Preview,
}

impl Pending {
    /// What was written is not pending any more.
    fn written(&mut self, dry_run: bool) {
        self.tally = Tally::default();
        if !dry_run {
            self.seen = Seen::default();
        }
    }
}

/// A fetched and mapped page.
pub struct MappedPage<'a> {
    pub body: &'a Bytes,
    pub format: Format,
    pub mapping: &'a Mapping,
    pub mapped: &'a Mapped<'a>,
    pub received_at: DateTime<Utc>,
    pub step: &'a Step,
}

/// How far a pass is with a page.
#[derive(Debug)]
pub struct Step {
    /// Where the pass stands after it; when it is the last one: where the next incremental pass begins.
    pub position: Position,
    pub end: bool,
    pub expected: Option<i64>,
}

/// Applies a page in one transaction of its own. `pending` are counters and marks of earlier pages without effect that
/// were not written yet; they go along, and are emptied, when this page writes anything.
pub async fn apply_page(
    engine: &Engine,
    cx: &PageContext<'_>,
    page: &MappedPage<'_>,
    pending: &mut Pending,
) -> Result<Tally, ApplyError> {
    let mut tx = engine.pool.begin().await?;
    let write = WriteContext::source(Provenance {
        origin: cx.connector,
        bulk: cx.bulk,
        correlation_id: cx.correlation_id,
        now: engine.clock.now(),
    });
    let context = ApplyContext {
        connector: cx.connector,
        entity: page.mapping.entity(),
        stream: Some(cx.stream),
        references: page.mapping.references(),
        write,
        may_create: engine.is_master(cx.connector, page.mapping.entity()),
        isolate: cx.isolate,
        full_pass_started: (cx.pass == Pass::Full).then_some(cx.pass_started_at),
    };
    let incoming: Vec<Incoming<'_>> =
        page.mapped.changes.iter().map(|change| Incoming { change, received_at: page.received_at }).collect();
    let mut links = Vec::new();
    let mut verdicts = apply_marking(&mut tx, &context, &incoming, &mut links).await?;
    drop_overtaken(&mut tx, &context, &incoming, &mut verdicts).await?;
    let tally = count(page.mapped, &verdicts);
    let seen = match cx.sweep {
        Some(_) => Seen::of_page(links, page.mapped, &verdicts),
        None => Seen::default(),
    };

    settle(&mut tx, &context, &incoming, &verdicts, &[]).await?;
    if tally.has_effect() {
        if !cx.dry_run && !leases::fence(&mut *tx, cx.lease, engine.id, engine.settings.lease).await? {
            return Err(ApplyError::LeaseLost);
        }
        let message_id = Uuid::now_v7();
        store(&mut tx, cx, page, &context, message_id, &verdicts, engine).await?;
        let mut sum = pending.tally;
        sum.add(&tally);
        if cx.dry_run {
            tx.rollback().await?;
            runs::progress(&engine.pool, cx.run_id, &sum, page.step.expected).await?;
            pending.seen.append(seen);
        } else {
            advance(&mut tx, cx, context.entity, page.step, &[&pending.seen, &seen]).await?;
            runs::progress(&mut *tx, cx.run_id, &sum, page.step.expected).await?;
            tx.commit().await?;
        }
        pending.written(cx.dry_run);
    } else {
        if cx.dry_run {
            tx.rollback().await?;
        } else {
            tx.commit().await?;
        }
        pending.tally.add(&tally);
        pending.seen.append(seen);
    }
    if cx.dry_run {
        pending.preview.add(page.mapped, &verdicts);
    }
    Ok(tally)
}

/// Writes the counters, the marks and the position of pages that had no effect.
pub async fn flush(
    engine: &Engine,
    cx: &PageContext<'_>,
    entity: Entity,
    step: &Step,
    pending: &mut Pending,
) -> Result<(), ApplyError> {
    let mut tx = engine.pool.begin().await?;
    if !cx.dry_run {
        if !leases::fence(&mut *tx, cx.lease, engine.id, engine.settings.lease).await? {
            return Err(ApplyError::LeaseLost);
        }
        advance(&mut tx, cx, entity, step, &[&pending.seen]).await?;
    }
    runs::progress(&mut *tx, cx.run_id, &pending.tally, step.expected).await?;
    tx.commit().await?;
    pending.written(cx.dry_run);
    Ok(())
}

/// The last page of a complete pass ends it in the same transaction: nobody may find the position of the changes under
/// the name of the pass.
async fn advance(
    tx: &mut PgConnection,
    cx: &PageContext<'_>,
    entity: Entity,
    step: &Step,
    seen: &[&Seen],
) -> Result<(), sqlx::Error> {
    if let Some(policy) = cx.sweep {
        let (of, started) = ((cx.connector, cx.stream), cx.pass_started_at);
        for seen in seen.iter().filter(|seen| seen.records > 0) {
            sweeps::write(&mut *tx, cx.connector, cx.stream, started, seen).await?;
        }
        if step.end {
            sweeps::complete(&mut *tx, cx.run_id, of, entity, started, policy, cx.correlation_id).await?;
        }
    }
    let mut pass = cx.pass;
    if step.end && pass == Pass::Full {
        cursors::clear(&mut *tx, cx.connector, cx.stream, pass).await?;
        pass = Pass::Incremental;
    }
    cursors::write(&mut *tx, cx.connector, cx.stream, pass, &step.position).await
}

/// What the records that went in mean for others: who waited for them is woken, letters and parked documents of the
/// same codes are superseded unless they are newer. `replaying`: letters whose own documents these are.
pub async fn settle(
    tx: &mut PgConnection,
    cx: &ApplyContext<'_>,
    incoming: &[Incoming<'_>],
    verdicts: &[Verdict],
    replaying: &[Uuid],
) -> Result<(), ApplyError> {
    let current: Vec<Rival<'_>> = incoming
        .iter()
        .zip(verdicts)
        .filter(|(_, verdict)| matches!(verdict, Verdict::Created(_) | Verdict::Updated(_) | Verdict::Unchanged))
        .map(|(record, _)| rival(record))
        .collect();
    if current.is_empty() {
        return Ok(());
    }
    let open = deferral::open_work(tx, cx.connector, cx.entity).await?;
    if open.waited_for {
        let codes: Vec<&str> = current.iter().map(|record| record.key).collect();
        deferral::wake(tx, cx.connector, cx.entity, &codes).await?;
    }
    if open.letters {
        dead_letters::supersede(tx, cx.connector, cx.entity, &current, replaying).await?;
    }
    if open.waiting {
        deferral::supersede(tx, cx.connector, cx.entity, &current, cx.full_pass_started).await?;
    }
    Ok(())
}

fn rival<'a>(record: &Incoming<'a>) -> Rival<'a> {
    let change = record.change;
    Rival { key: change.code.as_ref(), version: change.version.as_ref(), received_at: record.received_at }
}

/// A record that would have to wait while a newer document of its code waits already is stale.
async fn drop_overtaken(
    tx: &mut PgConnection,
    cx: &ApplyContext<'_>,
    incoming: &[Incoming<'_>],
    verdicts: &mut [Verdict],
) -> Result<(), ApplyError> {
    let waits = |verdict: &Verdict| matches!(verdict, Verdict::Deferred(_));
    let rivals: Vec<Rival<'_>> = incoming
        .iter()
        .zip(&*verdicts)
        .filter(|(_, verdict)| waits(verdict))
        .map(|(record, _)| rival(record))
        .collect();
    if rivals.is_empty() {
        return Ok(());
    }
    let overtaken = deferral::overtaken(tx, cx.connector, cx.entity, &rivals, cx.full_pass_started).await?;
    for (record, verdict) in incoming.iter().zip(verdicts) {
        if waits(verdict) && overtaken.contains(record.change.code.as_ref()) {
            *verdict = Verdict::Stale;
        }
    }
    Ok(())
}

fn count(mapped: &Mapped<'_>, verdicts: &[Verdict]) -> Tally {
    let mut tally = Tally {
        pages: 1,
        records: i64::try_from(mapped.records).unwrap_or(i64::MAX),
        failed: i64::try_from(mapped.rejected.len()).unwrap_or(i64::MAX),
        skipped: mapped.skipped.iter().map(|(_, count)| i64::try_from(*count).unwrap_or(i64::MAX)).sum(),
        ..Tally::default()
    };
    for verdict in verdicts {
        match verdict {
            Verdict::Created(_) => tally.created += 1,
            Verdict::Updated(_) => tally.updated += 1,
            Verdict::Unchanged => tally.unchanged += 1,
            Verdict::Stale => tally.stale += 1,
            Verdict::Superseded => tally.superseded += 1,
            Verdict::Deferred(_) => tally.deferred += 1,
            Verdict::Refused(_) => tally.failed += 1,
        }
    }
    tally
}

/// The failure of a record that the mapping rejected.
pub fn rejected(record: &crate::mapping::Rejected) -> Failure {
    Failure {
        cause: Cause::Data,
        reason: record.reason.to_string(),
        field: Some(if record.source.is_empty() {
            record.field.clone()
        } else {
            format!("{} ({})", record.field, record.source)
        }),
        value: record.value.clone(),
        detail: record.detail.clone(),
    }
}

/// The reference that a refused record lacks, when that is why.
pub fn missing_of(failure: &Failure, entity: crate::canonical::Entity) -> Option<(crate::canonical::Entity, String)> {
    if failure.reason != "missing_reference" {
        return None;
    }
    let field = entity.field(failure.field.as_deref()?)?;
    match entity.fields()[field].kind {
        crate::canonical::FieldType::Ref(target) => Some((target, failure.value.clone()?)),
        _ => None,
    }
}

async fn store(
    tx: &mut PgConnection,
    cx: &PageContext<'_>,
    page: &MappedPage<'_>,
    context: &ApplyContext<'_>,
    message_id: Uuid,
    verdicts: &[Verdict],
    engine: &Engine,
) -> Result<(), ApplyError> {
    let mut items = Items::default();
    let mut letters: Vec<(u32, NewLetter)> = Vec::new();
    let mut parked: Vec<Parked> = Vec::new();
    let mut bodies = bodies_of(page, verdicts);
    let mut document = |ordinal: u32, key: Option<String>, version: Option<Version>| NewMessage {
        id: Uuid::now_v7(),
        kind: messages::DOCUMENT.into(),
        connector: cx.connector.to_owned(),
        stream: Some(cx.stream.to_owned()),
        entity: Some(context.entity.as_str()),
        key,
        version,
        mapping: Some(page.mapping.name().to_owned()),
        mapping_hash: Some(page.mapping.hash().to_owned()),
        format: page.format.as_str(),
        // The mapping found the record in this very page.
        body: bodies.remove(&ordinal).unwrap_or_else(|| page.body.to_vec()),
        correlation_id: cx.correlation_id.to_owned(),
        run_id: Some(cx.run_id),
        dead_letter_id: None,
        received_at: page.received_at,
    };
    for (change, verdict) in page.mapped.changes.iter().zip(verdicts) {
        let code = change.code.as_ref();
        match verdict {
            Verdict::Created(id) => items.push(change.ordinal, "created", Some(code), Some(*id)),
            Verdict::Updated(id) => items.push(change.ordinal, "updated", Some(code), Some(*id)),
            Verdict::Deferred(waits_for) => {
                items.push(change.ordinal, "deferred", Some(code), None);
                let message = document(change.ordinal, Some(code.to_owned()), change.version.clone());
                parked.push(Parked { message, waits_for: waits_for.clone() });
            }
            Verdict::Refused(failure) => {
                items.push(change.ordinal, "failed", Some(code), None);
                let message = document(change.ordinal, Some(code.to_owned()), change.version.clone());
                let missing = missing_of(failure, context.entity);
                letters.push((change.ordinal, NewLetter { message, failure: failure.clone(), missing, attempts: 1 }));
            }
            Verdict::Unchanged | Verdict::Stale | Verdict::Superseded => {}
        }
    }
    for record in &page.mapped.rejected {
        items.push(record.ordinal, "failed", record.code.as_deref(), None);
        let message = document(record.ordinal, record.code.clone(), record.version.clone());
        letters.push((record.ordinal, NewLetter { message, failure: rejected(record), missing: None, attempts: 1 }));
    }
    // Two records of one code may both be bad; the letter is of the later.
    letters.sort_by_key(|(ordinal, _)| *ordinal);
    let letters: Vec<NewLetter> = letters.into_iter().map(|(_, letter)| letter).collect();
    if !letters.is_empty() {
        dead_letters::record(tx, &letters).await?;
    }
    let defer_for = engine.settings.defer_for;
    deferral::park(tx, context.connector, context.entity, &parked, context.full_pass_started, defer_for).await?;
    write_message(tx, cx, page, context, message_id).await?;
    items.write(tx, message_id).await
}

/// The records that get a message of their own, cut out of the page in one go.
fn bodies_of(page: &MappedPage<'_>, verdicts: &[Verdict]) -> HashMap<u32, Vec<u8>> {
    let kept = |verdict: &Verdict| matches!(verdict, Verdict::Deferred(_) | Verdict::Refused(_));
    let changes = page.mapped.changes.iter().zip(verdicts).filter(|(_, verdict)| kept(verdict));
    let mut ordinals: Vec<u32> = changes.map(|(change, _)| change.ordinal).collect();
    ordinals.extend(page.mapped.rejected.iter().map(|record| record.ordinal));
    if ordinals.is_empty() {
        return HashMap::new();
    }
    ordinals.sort_unstable();
    page.mapping.raw_records(page.format, page.body, &ordinals).into_iter().collect()
}

async fn write_message(
    tx: &mut PgConnection,
    cx: &PageContext<'_>,
    page: &MappedPage<'_>,
    context: &ApplyContext<'_>,
    message_id: Uuid,
) -> Result<(), ApplyError> {
    let body = pack(page.body).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    sqlx::query!(
        "with message as (
             insert into hub.message_history
                 (id, kind, state, connector, stream, entity, mapping, mapping_hash, format, correlation_id, run_id,
                  records, attempts, received_at)
             values ($1, 'page', 'done', $2, $3, $4, $5, $6, $7, $8, $9, $10, 1, $11)
         )
         insert into hub.payload_history (message_id, body) values ($1, $12)",
        message_id,
        cx.connector,
        cx.stream,
        context.entity.as_str(),
        page.mapping.name(),
        page.mapping.hash(),
        page.format.as_str(),
        cx.correlation_id,
        cx.run_id,
        i32::try_from(page.mapped.records).unwrap_or(i32::MAX),
        page.received_at,
        body,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The item rows of a page.
#[derive(Default)]
struct Items<'a> {
    ordinals: Vec<i32>,
    outcomes: Vec<&'static str>,
    codes: Vec<Option<&'a str>>,
    internal_ids: Vec<Option<i64>>,
}

impl<'a> Items<'a> {
    fn push(&mut self, ordinal: u32, outcome: &'static str, code: Option<&'a str>, internal_id: Option<i64>) {
        self.ordinals.push(i32::try_from(ordinal).unwrap_or(i32::MAX));
        self.outcomes.push(outcome);
        self.codes.push(code);
        self.internal_ids.push(internal_id);
    }

    async fn write(self, tx: &mut PgConnection, message_id: Uuid) -> Result<(), ApplyError> {
        sqlx::query!(
            "insert into hub.message_item (message_id, ordinal, outcome, code, internal_id)
             select $1, * from unnest($2::int[], $3::text[], $4::text[], $5::bigint[])",
            message_id,
            &self.ordinals,
            self.outcomes as _,
            self.codes as _,
            self.internal_ids as _,
        )
        .execute(tx)
        .await?;
        Ok(())
    }
}
