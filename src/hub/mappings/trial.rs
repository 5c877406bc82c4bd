//! A document applied as it would be, with its parts, in a transaction that is rolled back.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde_json::{Map, Value as Json};
use sqlx::Connection;

use super::preview::{PreviewError, Subject};
use crate::{
    canonical::Entity,
    commerce::{self, WriteContext},
    hub::{
        engine::Engine,
        pages::{Fate, Items, ItemsContext, Receipt, Verdict},
        patience::Patience,
    },
    mapping::{Effective, Mapped},
    outbox::Provenance,
    transaction,
};

/// How many records would end how; one with parts is one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub records: usize,
    pub created: usize,
    pub updated: usize,
    pub unchanged: usize,
    pub stale: usize,
    pub superseded: usize,
    pub deferred: usize,
    pub failed: usize,
    pub skipped: usize,
}

/// A field that would get another value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldChange {
    pub field: String,
    pub from: Json,
    pub to: Json,
}

/// What would become of one record of a document and of its parts.
#[derive(Debug, Clone)]
pub struct Judged {
    pub fate: Fate,
    /// The own record and the parts that were tried, by their numbers as in [`Fate::part`].
    pub tried: BTreeMap<usize, Tried>,
}

#[derive(Debug, Clone)]
pub struct Tried {
    pub verdict: Verdict,
    /// Of a record that is made: everything that it would hold.
    pub changes: Vec<FieldChange>,
}

impl Counts {
    /// Without a judgement only what the mapping says.
    pub fn of(mapped: &Mapped<'_>, judged: Option<&[Option<Judged>]>) -> Counts {
        let mut counts = Counts {
            records: mapped.records,
            skipped: mapped.skipped.iter().map(|(_, count)| count).sum(),
            ..Counts::default()
        };
        let Some(judged) = judged else {
            counts.failed = mapped.rejected.len();
            return counts;
        };
        for one in judged.iter().flatten() {
            *match one.fate.verdict {
                Verdict::Created(_) => &mut counts.created,
                Verdict::Updated(_) => &mut counts.updated,
                Verdict::Unchanged(_) => &mut counts.unchanged,
                Verdict::Stale(_) => &mut counts.stale,
                Verdict::Superseded(_) => &mut counts.superseded,
                Verdict::Deferred(_) => &mut counts.deferred,
                Verdict::Refused(_) => &mut counts.failed,
            } += 1;
        }
        counts
    }

    pub fn add(&mut self, other: &Counts) {
        self.records += other.records;
        self.created += other.created;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.stale += other.stale;
        self.superseded += other.superseded;
        self.deferred += other.deferred;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// The entity of the mapping itself (0) or of one of its parts.
pub fn entity_of(mapping: &Effective, part: usize) -> Entity {
    let part = part.checked_sub(1).and_then(|place| mapping.parts().get(place));
    part.map_or(mapping.entity(), |part| part.entity())
}

/// Applies a document, as [`Effective::map_with_parts`] reads it, and takes it back. By ordinal; `None`: the mapping
/// skips the record.
pub async fn judge(
    engine: &Engine,
    subject: &Subject<'_>,
    document: &[Mapped<'_>],
) -> Result<Vec<Option<Judged>>, PreviewError> {
    let mut patience = Patience::default();
    loop {
        match judge_once(engine, subject, document, patience.isolates()).await {
            Err(PreviewError::Apply(error)) if patience.starts_over(&error) => {}
            outcome => return outcome,
        }
    }
}

async fn judge_once(
    engine: &Engine,
    subject: &Subject<'_>,
    document: &[Mapped<'_>],
    isolate: bool,
) -> Result<Vec<Option<Judged>>, PreviewError> {
    let records = document.first().map_or(0, |own| own.records);
    let mut items = Items::new(records, None);
    let receipt = Receipt { at: subject.received_at, first: 0 };
    items.add(subject.mapping, document, receipt, |ordinal| ordinal as usize);
    let context = ItemsContext {
        connector: subject.connector,
        stream: None,
        write: WriteContext::source(Provenance {
            origin: subject.connector,
            bulk: true,
            correlation_id: "preview",
            place: None,
            now: engine.clock.now(),
        }),
        isolate,
        replaying: &[],
        stands_alone: false,
    };
    let mut tx = transaction::begin(&engine.pool).await?;
    // Which rows it is about is known when it was done; how they were is asked when that has been taken back.
    let mut trial = tx.begin().await?;
    let mut tried: Vec<(usize, usize, Verdict)> = Vec::new();
    let fates = items
        .apply_telling(&mut trial, engine, &context, |item, part, verdict, _| tried.push((item, part, verdict.clone())))
        .await?;
    let mut written: BTreeMap<&str, (Entity, Vec<i64>)> = BTreeMap::new();
    for (_, part, verdict) in &tried {
        if let Verdict::Created(id) | Verdict::Updated(id) = verdict {
            let entity = entity_of(subject.mapping, *part);
            written.entry(entity.as_str()).or_insert_with(|| (entity, Vec::new())).1.push(*id);
        }
    }
    let mut after = HashMap::new();
    for (entity, ids) in written.values() {
        after.insert(entity.as_str(), commerce::snapshots(&mut trial, *entity, ids).await?);
    }
    trial.rollback().await?;
    let mut before = HashMap::new();
    for (entity, ids) in written.values() {
        before.insert(entity.as_str(), commerce::snapshots(&mut tx, *entity, ids).await?);
    }
    tx.rollback().await?;

    let mut judged: Vec<Option<Judged>> =
        fates.into_iter().map(|fate| Some(Judged { fate: fate?, tried: BTreeMap::new() })).collect();
    for (item, part, verdict) in tried {
        let Some(Some(judged)) = judged.get_mut(item) else { continue };
        let changes = match verdict {
            Verdict::Created(id) | Verdict::Updated(id) => {
                let entity = entity_of(subject.mapping, part).as_str();
                let row = |rows: &mut HashMap<&str, HashMap<i64, Map<String, Json>>>| {
                    rows.get_mut(entity).and_then(|rows| rows.remove(&id)).unwrap_or_default()
                };
                differences(row(&mut before), row(&mut after))
            }
            _ => Vec::new(),
        };
        judged.tried.insert(part, Tried { verdict, changes });
    }
    Ok(judged)
}

fn differences(mut before: Map<String, Json>, after: Map<String, Json>) -> Vec<FieldChange> {
    after
        .into_iter()
        .filter_map(|(field, to)| {
            let from = before.remove(&field).unwrap_or(Json::Null);
            (from != to).then_some(FieldChange { field, from, to })
        })
        .collect()
}

pub(super) fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Created(_) => "created",
        Verdict::Updated(_) => "updated",
        Verdict::Unchanged(_) => "unchanged",
        Verdict::Stale(_) => "stale",
        Verdict::Superseded(_) => "superseded",
        Verdict::Deferred(_) => "deferred",
        Verdict::Refused(_) => "failed",
    }
}
