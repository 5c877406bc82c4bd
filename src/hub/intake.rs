//! The inline lane for documents that a caller hands over and waits for: pushes, slices of files.
//!
//! Invariants
//! - A document is one message; what each of its items came to is told in their order, and commits with them.
//! - An item goes in with all its parts or not at all.
//! - Of two items of one code in one document the newer counts, the other is its duplicate.
//! - A document that changes nothing writes nothing; records of it that went in before as they are, are not even read again,
//!   and if that is all of them, one look at their links ends it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    engine::Engine,
    keyed, letter_ids,
    mappings::unmapped,
    pages::{
        ApplyContext, ApplyError, Failure, Fate, Incoming, Items, ItemsContext, Receipt, StoredPage, StoredRecord,
        Verdict, drop_overtaken, overtake_left, store,
    },
    patience::Patience,
    recalled,
    runs::Tally,
};
use crate::{
    canonical::{Change, Entity, Version},
    commerce::WriteContext,
    mapping::{Effective, Format, Mapped, Mapping, OnMissing, Rejected, Unmapped, Unreadable},
    outbox::Provenance,
};

/// A document and how it is to be taken.
#[derive(Debug, Clone)]
pub struct Submission<'a> {
    /// The instance whose document it is.
    pub connector: &'a str,
    /// `push.products`, `files.items`
    pub stream: &'a str,
    /// `integration/products`; its parts go along.
    pub mapping: &'a str,
    pub format: Format,
    pub body: &'a [u8],
    pub correlation_id: &'a str,
    /// See [`Provenance::origin`].
    pub origin: &'a str,
    pub run_id: Option<Uuid>,
    /// Instead of waiting for a record that is not there. What a mapping says other than `defer` stands.
    pub on_missing: Option<OnMissing>,
    /// Failed items become dead letters.
    pub keep_failed: bool,
    /// See [`Provenance::bulk`].
    pub bulk: bool,
    /// By the database's clock.
    pub received_at: DateTime<Utc>,
    /// Records that came before it: a slice is a part of a longer document.
    pub first: i64,
    /// See [`ApplyContext::isolate`].
    pub isolate: bool,
    /// Records that went in before as they are only compared with their links. When that does not do, the try ends as
    /// [`ApplyError::Recalled`].
    pub recalls: bool,
    /// See [`ItemsContext::stands_alone`].
    pub stands_alone: bool,
}

impl Submission<'_> {
    fn receipt(&self) -> Receipt {
        Receipt { at: self.received_at, first: self.first }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemStatus {
    Created,
    Updated,
    Unchanged,
    /// Older than what is there.
    Stale,
    /// A newer item of the same code in the same document counts.
    Duplicate,
    /// Kept until what it refers to arrives.
    Deferred,
    Failed,
}

impl ItemStatus {
    pub const fn as_str(self) -> &'static str {
        match self {
            ItemStatus::Created => "created",
            ItemStatus::Updated => "updated",
            ItemStatus::Unchanged => "unchanged",
            ItemStatus::Stale => "stale",
            ItemStatus::Duplicate => "duplicate",
            ItemStatus::Deferred => "deferred",
            ItemStatus::Failed => "failed",
        }
    }

    const fn went_in(self) -> bool {
        matches!(self, ItemStatus::Created | ItemStatus::Updated | ItemStatus::Unchanged)
    }
}

/// What became of one item.
#[derive(Debug, Clone)]
pub struct Item {
    /// Its place in the document, from 0.
    pub ordinal: u32,
    pub code: Option<String>,
    pub status: ItemStatus,
    pub internal_id: Option<i64>,
    pub is_new: bool,
    pub failure: Option<Box<Failure>>,
    /// Where in the document the field of the failure stands: `categoryCode`.
    pub source: Option<String>,
    /// Of the failure, whether it is new or was there already.
    pub dead_letter_id: Option<Uuid>,
}

impl Item {
    pub(super) fn unchanged(ordinal: u32, code: &str, internal_id: i64) -> Item {
        Item {
            ordinal,
            code: Some(code.to_owned()),
            status: ItemStatus::Unchanged,
            internal_id: Some(internal_id),
            is_new: false,
            failure: None,
            source: None,
            dead_letter_id: None,
        }
    }
}

/// What became of a document.
#[derive(Debug, Clone)]
pub struct Submitted {
    /// Under which the document is kept, if it had an effect.
    pub message_id: Uuid,
    /// In the order of the document; records that the mapping skips are absent.
    pub items: Vec<Item>,
    pub tally: Tally,
}

#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    #[error("the mapping `{0}` is not in the library")]
    UnknownMapping(String),
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

impl From<sqlx::Error> for IntakeError {
    fn from(error: sqlx::Error) -> Self {
        IntakeError::Apply(error.into())
    }
}

/// Maps and applies a document in a transaction of its own; starts over when another writer was faster. An item that stands
/// alone and is refused leaves nothing.
pub async fn submit_alone(engine: &Engine, submission: &Submission<'_>) -> Result<Submitted, IntakeError> {
    let undoes = submission.stands_alone;
    let mut patience = Patience::default();
    loop {
        let submission = Submission {
            isolate: submission.isolate || patience.isolates(),
            recalls: submission.recalls && patience.is_first(),
            stands_alone: submission.stands_alone && patience.is_first(),
            ..submission.clone()
        };
        let mut tx = keyed::begin(&engine.pool).await?;
        match submit(&mut tx, engine, &submission).await {
            Ok(submitted) if undoes && submitted.tally.failed > 0 => return Ok(submitted),
            Ok(submitted) => match tx.commit().await.map_err(ApplyError::from) {
                Ok(()) => return Ok(submitted),
                Err(error) if patience.starts_over(&error) => {}
                Err(error) => return Err(error.into()),
            },
            Err(IntakeError::Apply(error)) if patience.starts_over(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Maps and applies a document within the caller's transaction.
pub async fn submit(
    tx: &mut PgConnection,
    engine: &Engine,
    submission: &Submission<'_>,
) -> Result<Submitted, IntakeError> {
    let mapping = engine
        .library
        .get_for(submission.connector, submission.mapping)
        .ok_or_else(|| IntakeError::UnknownMapping(submission.mapping.to_owned()))?;
    let memory = engine.memory.as_ref();
    let read = mapping.read(submission.format, submission.body, memory, submission.connector, submission.recalls)?;
    if let Some(submitted) = recalled::unchanged(tx, submission.connector, &mapping, &read).await? {
        return Ok(submitted);
    }
    let parts = read.document.len();
    let records = if memory.is_some() { read.document.first().map_or(0, |own| own.records) } else { 0 };
    let mut links = vec![None; records * parts];
    let tell = |item: usize, part: usize, _: &Verdict, link| {
        if let Some(held) = links.get_mut(item * parts + part) {
            *held = link;
        }
    };
    let submitted = submit_telling(tx, engine, submission, &mapping, &read.document, tell).await?;
    if let Some(memory) = memory {
        // They stand in the order of the document, as its records do.
        let mut items = submitted.items.iter().peekable();
        let went_in = |ordinal| {
            while items.next_if(|item| item.ordinal < ordinal).is_some() {}
            items.peek().is_some_and(|item| item.ordinal == ordinal && item.status.went_in())
        };
        memory.learn(&read, went_in, |ordinal, part| links.get(ordinal as usize * parts + part).copied().flatten());
    }
    Ok(submitted)
}

/// The same for a document that its mapping and the parts of it have read already.
pub async fn submit_mapped(
    tx: &mut PgConnection,
    engine: &Engine,
    submission: &Submission<'_>,
    mapping: &Effective,
    document: &[Mapped<'_>],
) -> Result<Submitted, IntakeError> {
    submit_telling(tx, engine, submission, mapping, document, |_, _, _, _| ()).await
}

/// `tell`: as in [`Items::apply_telling`]; items are numbered by their ordinals.
async fn submit_telling(
    tx: &mut PgConnection,
    engine: &Engine,
    submission: &Submission<'_>,
    mapping: &Effective,
    document: &[Mapped<'_>],
    tell: impl FnMut(usize, usize, &Verdict, Option<i64>),
) -> Result<Submitted, IntakeError> {
    let records = document.first().map_or(0, |own| own.records);
    let mut items = Items::new(records, submission.on_missing.clone());
    items.add(mapping, document, submission.receipt(), |ordinal| ordinal as usize);

    let write = WriteContext::source(Provenance {
        origin: submission.origin,
        bulk: submission.bulk,
        correlation_id: submission.correlation_id,
        place: None,
        now: engine.clock.now(),
    });
    let cx = ItemsContext {
        connector: submission.connector,
        stream: Some(submission.stream),
        write,
        isolate: submission.isolate,
        replaying: &[],
        stands_alone: submission.stands_alone,
    };
    let fates = items.apply_telling(tx, engine, &cx, tell).await?;
    let mut told: Vec<Told<'_>> = told(mapping, document, fates);
    drop_waiting(tx, submission, mapping, write, &mut told).await?;

    let tally = count(document, &told, records);
    let message_id = Uuid::now_v7();
    let mut letters = HashMap::new();
    if tally.created + tally.updated + tally.deferred > 0 || (tally.failed > 0 && submission.keep_failed) {
        letters = leave(tx, engine, submission, mapping, message_id, &told).await?;
    }
    let items = told.into_iter().map(|told| told.item(mapping, &mut letters)).collect();
    let found: Vec<Unmapped> = document.iter().flat_map(|mapped| mapped.unmapped.clone()).collect();
    unmapped::count(tx, submission.connector, mapping, &found).await?;
    Ok(Submitted { message_id, items, tally })
}

/// An item with its fate.
struct Told<'a> {
    ordinal: u32,
    /// Absent when the mapping refused it.
    change: Option<&'a Change<'a>>,
    rejected: Option<&'a Rejected>,
    /// What the mapping of a part refused.
    part_rejected: Option<&'a Rejected>,
    fate: Fate,
    entity: Entity,
}

/// Fates beside what they are about, in the order of the document.
fn told<'a>(mapping: &Mapping, document: &'a [Mapped<'a>], fates: Vec<Option<Fate>>) -> Vec<Told<'a>> {
    let Some((own, parts)) = document.split_first() else { return Vec::new() };
    let mut told: Vec<Option<Told<'a>>> = fates
        .into_iter()
        .enumerate()
        .map(|(ordinal, fate)| {
            let fate = fate?;
            let entity = part_of(mapping, fate.part).entity();
            let ordinal = u32::try_from(ordinal).unwrap_or(u32::MAX);
            Some(Told { ordinal, change: None, rejected: None, part_rejected: None, fate, entity })
        })
        .collect();
    let mut at = |ordinal: u32, set: &mut dyn FnMut(&mut Told<'a>)| {
        if let Some(Some(held)) = told.get_mut(ordinal as usize) {
            set(held);
        }
    };
    for change in &own.changes {
        at(change.ordinal, &mut |held| held.change = Some(change));
    }
    for record in &own.rejected {
        at(record.ordinal, &mut |held| held.rejected = Some(record));
    }
    for (part, mapped) in parts.iter().enumerate() {
        for record in &mapped.rejected {
            at(record.ordinal, &mut |held| {
                if held.fate.part == part + 1 {
                    held.part_rejected = Some(record);
                }
            });
        }
    }
    told.into_iter().flatten().collect()
}

fn part_of(mapping: &Mapping, part: usize) -> &Mapping {
    match part.checked_sub(1) {
        Some(place) => mapping.parts().get(place).map_or(mapping, AsRef::as_ref),
        None => mapping,
    }
}

impl Told<'_> {
    fn code(&self) -> Option<&str> {
        self.change.map(|change| change.code.as_ref()).or_else(|| self.rejected?.code.as_deref())
    }

    fn external_id(&self) -> Option<&str> {
        let own = self.change.and_then(|change| change.external_id.as_deref());
        own.or_else(|| self.rejected?.external_id.as_deref())
    }

    fn version(&self) -> Option<&Version> {
        self.change.and_then(|change| change.version.as_ref()).or_else(|| self.rejected?.version.as_ref())
    }

    fn item(self, mapping: &Mapping, letters: &mut HashMap<u32, Uuid>) -> Item {
        let code = self.code().map(str::to_owned);
        let internal_id = self.fate.verdict.internal_id();
        let rejected = self.rejected.or(self.part_rejected);
        let mut item = Item {
            ordinal: self.ordinal,
            code,
            status: ItemStatus::Unchanged,
            internal_id,
            is_new: false,
            failure: None,
            source: None,
            dead_letter_id: letters.remove(&self.ordinal),
        };
        item.status = match self.fate.verdict {
            Verdict::Created(_) => {
                item.is_new = true;
                ItemStatus::Created
            }
            Verdict::Updated(_) => ItemStatus::Updated,
            Verdict::Unchanged(_) => ItemStatus::Unchanged,
            Verdict::Stale(_) => ItemStatus::Stale,
            Verdict::Superseded(_) => ItemStatus::Duplicate,
            Verdict::Deferred(_) => ItemStatus::Deferred,
            Verdict::Refused(failure) => {
                item.source = match rejected {
                    Some(record) => Some(record.source.clone()),
                    None => {
                        failure.field.as_deref().and_then(|field| part_of(mapping, self.fate.part).source_of(field))
                    }
                };
                item.failure = Some(failure);
                ItemStatus::Failed
            }
        };
        item
    }
}

/// What would have to wait while a newer document of its code waits already is stale.
async fn drop_waiting(
    tx: &mut PgConnection,
    submission: &Submission<'_>,
    mapping: &Mapping,
    write: WriteContext<'_>,
    told: &mut [Told<'_>],
) -> Result<(), ApplyError> {
    let waiting: Vec<usize> =
        (0..told.len()).filter(|place| matches!(told[*place].fate.verdict, Verdict::Deferred(_))).collect();
    if waiting.is_empty() {
        return Ok(());
    }
    let context = ApplyContext {
        connector: submission.connector,
        entity: mapping.entity(),
        stream: Some(submission.stream),
        references: &[],
        known_unit: None,
        write,
        may_create: false,
        isolate: false,
        compares: false,
        full_pass_started: None,
        known: None,
    };
    let receipt = submission.receipt();
    let rows = waiting.iter().filter_map(|place| Some((*place, receipt.of(told[*place].change?))));
    let (places, incoming): (Vec<usize>, Vec<Incoming<'_>>) = rows.unzip();
    let mut verdicts: Vec<Verdict> = places.iter().map(|place| told[*place].fate.verdict.clone()).collect();
    drop_overtaken(tx, &context, &incoming, &mut verdicts).await?;
    for (place, verdict) in places.into_iter().zip(verdicts) {
        told[place].fate.verdict = verdict;
    }
    Ok(())
}

fn count(document: &[Mapped<'_>], told: &[Told<'_>], records: usize) -> Tally {
    let skipped: usize = document.first().map_or(0, |own| own.skipped.iter().map(|(_, count)| *count).sum());
    let mut tally = Tally {
        pages: 1,
        records: i64::try_from(records).unwrap_or(i64::MAX),
        skipped: i64::try_from(skipped).unwrap_or(i64::MAX),
        ..Tally::default()
    };
    for told in told {
        *match told.fate.verdict {
            Verdict::Created(_) => &mut tally.created,
            Verdict::Updated(_) => &mut tally.updated,
            Verdict::Unchanged(_) => &mut tally.unchanged,
            Verdict::Stale(_) => &mut tally.stale,
            Verdict::Superseded(_) => &mut tally.superseded,
            Verdict::Deferred(_) => &mut tally.deferred,
            Verdict::Refused(_) => &mut tally.failed,
        } += 1;
    }
    tally
}

/// Stores the document and what its items leave; answers the letters by their items.
async fn leave(
    tx: &mut PgConnection,
    engine: &Engine,
    submission: &Submission<'_>,
    mapping: &Effective,
    message_id: Uuid,
    told: &[Told<'_>],
) -> Result<HashMap<u32, Uuid>, ApplyError> {
    let page = StoredPage {
        message_id,
        connector: submission.connector,
        stream: submission.stream,
        mapping,
        format: submission.format,
        body: submission.body,
        correlation_id: submission.correlation_id,
        run_id: submission.run_id,
        records: told.len(),
        receipt: submission.receipt(),
        full_pass_started: None,
        keeps_failed: submission.keep_failed,
    };
    let records: Vec<StoredRecord<'_>> = told
        .iter()
        .map(|told| StoredRecord {
            ordinal: told.ordinal,
            code: told.code(),
            external_id: told.external_id(),
            version: told.version(),
            verdict: &told.fate.verdict,
            entity: told.entity,
        })
        .collect();
    let left = store(tx, engine, &page, &records).await?;
    if left.is_empty() {
        return Ok(HashMap::new());
    }
    let keys: Vec<&str> = left.iter().map(|letter| letter.key.as_str()).collect();
    let ids = letter_ids::by_key(tx, submission.connector, mapping.entity(), &keys).await?;
    overtake_left(tx, &page, &records, &left).await?;
    Ok(left.into_iter().filter_map(|letter| Some((letter.ordinal, *ids.get(&letter.key)?))).collect())
}
