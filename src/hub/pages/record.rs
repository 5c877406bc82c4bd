//! The inline lane: a polled page is one message, written in the transaction of its effect.

use std::borrow::Cow;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use kopru_sdk::{Cause, Pass};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    apply::{ApplyContext, ApplyError, Failure, Verdict, apply_marking},
    items::Receipt,
    plan::Incoming,
    store::{StoredPage, StoredRecord, overtake_left, store},
};
use crate::{
    canonical::Entity,
    commerce::WriteContext,
    hub::{
        cursors::{self, Position},
        dead_letters::{self, Arrival},
        deferral::{self, OpenWork, Rival},
        engine::Engine,
        handover::StockReading,
        leases, letter_ids,
        mappings::unmapped,
        reconcile::Held,
        runs::{self, Tally},
        sweeps::{self, Preview, Seen, SweepPolicy},
    },
    mapping::{Effective, Format, Mapped},
    outbox::Provenance,
    transaction,
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
    /// It is a reconciliation: what differs is noted.
    pub compares: bool,
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
    pub mapping: &'a Effective,
    pub mapped: &'a Mapped<'a>,
    pub received_at: DateTime<Utc>,
    pub step: &'a Step,
}

impl MappedPage<'_> {
    fn receipt(&self) -> Receipt {
        Receipt { at: self.received_at, first: 0 }
    }
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
    let mut tx = transaction::begin(&engine.pool).await?;
    let write = WriteContext::source(Provenance {
        origin: cx.connector,
        bulk: cx.bulk,
        correlation_id: cx.correlation_id,
        place: None,
        now: engine.clock.now(),
    });
    let context = ApplyContext {
        connector: cx.connector,
        entity: page.mapping.entity(),
        stream: Some(cx.stream),
        references: page.mapping.references(),
        known_unit: page.mapping.known_unit(),
        write,
        may_create: engine.is_master(cx.connector, page.mapping.entity()),
        isolate: cx.isolate,
        compares: cx.compares,
        full_pass_started: (cx.pass == Pass::Full).then_some(cx.pass_started_at),
        known: None,
    };
    let incoming: Vec<Incoming<'_>> = page.mapped.changes.iter().map(|change| page.receipt().of(change)).collect();
    let reading = StockReading { engine, connector: cx.connector, lease: cx.lease };
    let is_due = context.entity == Entity::Stock && !cx.dry_run && reading.locks(&mut tx).await?;
    let held = match cx.compares {
        true => Some(Held::read(&mut tx, cx.connector, context.entity, page.mapped).await?),
        false => None,
    };
    let mut links = Vec::new();
    let mut verdicts = apply_marking(&mut tx, &context, &incoming, &mut links).await?;
    drop_overtaken(&mut tx, &context, &incoming, &mut verdicts).await?;
    if is_due {
        reading.wrote(&mut tx, &verdicts).await?;
    }
    let compared = match held {
        Some(held) => Some(held.compare(&mut tx, context.entity, page.mapped, &verdicts).await?),
        None => None,
    };
    let tally = count(page.mapped, &verdicts);
    let seen = match cx.sweep {
        Some(_) => Seen::of_page(links.into_iter().map(|(_, link)| link).collect(), page.mapped, &verdicts),
        None => Seen::default(),
    };

    let open = deferral::open_work(&mut tx, cx.connector, context.entity).await?;
    let settled = Settled { incoming: &incoming, verdicts: &verdicts, carried: &[] };
    settle_with(&mut tx, &context, &settled, &[], open).await?;
    if tally.has_effect() {
        if !cx.dry_run && !leases::fence(&mut *tx, cx.lease, engine.id, engine.settings.lease).await? {
            return Err(ApplyError::LeaseLost);
        }
        leave(&mut tx, engine, cx, page, &context, &verdicts).await?;
        let mut sum = pending.tally;
        sum.add(&tally);
        if cx.dry_run {
            tx.rollback().await?;
            runs::progress(&engine.pool, cx.run_id, &sum, page.step.expected).await?;
            pending.seen.append(seen);
        } else {
            advance(&mut tx, cx, context.entity, page.step, &[&pending.seen, &seen]).await?;
            runs::progress(&mut *tx, cx.run_id, &sum, page.step.expected).await?;
            unmapped::count(&mut tx, cx.connector, page.mapping, &page.mapped.unmapped).await?;
            tx.commit().await?;
        }
        pending.written(cx.dry_run);
    } else {
        if cx.dry_run {
            tx.rollback().await?;
        } else {
            unmapped::count(&mut tx, cx.connector, page.mapping, &page.mapped.unmapped).await?;
            tx.commit().await?;
        }
        pending.tally.add(&tally);
        pending.seen.append(seen);
    }
    if cx.dry_run {
        pending.preview.add(page.mapped, &verdicts);
    }
    if let Some(compared) = compared {
        let mut tx = transaction::begin(&engine.pool).await?;
        compared.note(&mut tx, cx.run_id).await?;
        tx.commit().await?;
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
    let mut tx = transaction::begin(&engine.pool).await?;
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

/// Records of one entity that were applied.
pub(super) struct Settled<'a> {
    pub(super) incoming: &'a [Incoming<'a>],
    pub(super) verdicts: &'a [Verdict],
    /// By record: what went in together with it. Empty: nothing did, with any of them.
    pub(super) carried: &'a [&'a [String]],
}

/// What the records that went in mean for others: who waited for them is woken, letters and parked documents of the
/// same codes are superseded unless they are newer. `replaying`: letters whose own documents these are.
pub(super) async fn settle_with(
    tx: &mut PgConnection,
    cx: &ApplyContext<'_>,
    settled: &Settled<'_>,
    replaying: &[Uuid],
    open: OpenWork,
) -> Result<(), ApplyError> {
    let Settled { incoming, verdicts, carried } = *settled;
    let current: Vec<Rival<'_>> = incoming
        .iter()
        .zip(verdicts)
        .filter(|(_, verdict)| went_in(verdict))
        .map(|(record, _)| rival(record))
        .collect();
    if current.is_empty() {
        return Ok(());
    }
    if open.waited_for {
        let codes: Vec<&str> = current.iter().map(|record| record.key).collect();
        deferral::wake(tx, cx.connector, cx.entity, &codes).await?;
    }
    if open.letters {
        // A record that had no usable code was known by its number.
        let mut arrivals = Vec::with_capacity(current.len());
        for (place, (record, _)) in incoming.iter().zip(verdicts).enumerate().filter(|(_, (_, it))| went_in(it)) {
            let carried = carried.get(place).copied().unwrap_or_default();
            let mut arrived = |key: Cow<'_, str>| {
                arrivals.push(Arrival { rival: rival(record), key: key.into_owned(), carried });
            };
            arrived(Cow::Borrowed(&record.change.code));
            if let Some(number) = record.change.external_id.as_deref() {
                arrived(Cow::Owned(letter_ids::key_of_number(number)));
            }
        }
        let full_pass = cx.full_pass_started;
        dead_letters::supersede(tx, cx.connector, cx.entity, &arrivals, replaying, full_pass).await?;
    }
    if open.waiting {
        deferral::supersede(tx, cx.connector, cx.entity, &current, cx.full_pass_started).await?;
    }
    Ok(())
}

pub(super) const fn went_in(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Created(_) | Verdict::Updated(_) | Verdict::Unchanged(_))
}

fn rival<'a>(record: &Incoming<'a>) -> Rival<'a> {
    let change = record.change;
    Rival {
        key: change.code.as_ref(),
        version: change.version.as_ref(),
        received_at: record.received_at,
        ordinal: record.ordinal,
    }
}

/// A record that would have to wait while a newer document of its code waits already is stale.
pub(in crate::hub) async fn drop_overtaken(
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
            *verdict = Verdict::Stale(None);
        }
    }
    Ok(())
}

/// Writes down what the page was and what became of its records.
async fn leave(
    tx: &mut PgConnection,
    engine: &Engine,
    cx: &PageContext<'_>,
    page: &MappedPage<'_>,
    context: &ApplyContext<'_>,
    verdicts: &[Verdict],
) -> Result<(), ApplyError> {
    let entity = context.entity;
    let refused: Vec<Verdict> =
        page.mapped.rejected.iter().map(|record| Verdict::Refused(rejected(record).into())).collect();
    let changes = page.mapped.changes.iter().zip(verdicts).map(|(change, verdict)| StoredRecord {
        ordinal: change.ordinal,
        code: Some(change.code.as_ref()),
        external_id: change.external_id.as_deref(),
        version: change.version.as_ref(),
        verdict,
        entity,
    });
    let rejected = page.mapped.rejected.iter().zip(&refused).map(|(record, verdict)| StoredRecord {
        ordinal: record.ordinal,
        code: record.code.as_deref(),
        external_id: record.external_id.as_deref(),
        version: record.version.as_ref(),
        verdict,
        entity,
    });
    let records: Vec<StoredRecord<'_>> = changes.chain(rejected).collect();
    let stored = StoredPage {
        message_id: Uuid::now_v7(),
        connector: cx.connector,
        stream: cx.stream,
        mapping: page.mapping,
        format: page.format,
        body: page.body,
        correlation_id: cx.correlation_id,
        run_id: Some(cx.run_id),
        records: page.mapped.records,
        receipt: page.receipt(),
        full_pass_started: context.full_pass_started,
        keeps_failed: true,
    };
    let left = store(tx, engine, &stored, &records).await?;
    overtake_left(tx, &stored, &records, &left).await
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
            Verdict::Unchanged(_) => tally.unchanged += 1,
            Verdict::Stale(_) => tally.stale += 1,
            Verdict::Superseded(_) => tally.superseded += 1,
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
