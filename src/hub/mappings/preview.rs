//! What a document would change: mapped and applied as it would be, in a transaction that is rolled back.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use chrono::{DateTime, Utc};
use kopru_sdk::encoding::{Undecodable, decode};
use serde::Serialize;
use serde_json::{Map, Value as Json, json};
use sqlx::{Connection, PgPool};

use crate::{
    commerce::{self, WriteContext},
    hub::{
        engine::Engine,
        pages::{ApplyContext, ApplyError, Failure, Incoming, Verdict, apply, rejected},
        patience::Patience,
    },
    mapping::{Effective, Explained, Fate, Format, Mapped, Unreadable},
    outbox::Provenance,
};

/// As which instance's document, and by which rules.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub connector: &'a str,
    pub may_create: bool,
    pub mapping: &'a Effective,
    pub format: Format,
    /// By the database's clock.
    pub received_at: DateTime<Utc>,
}

#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    #[error("a stored payload cannot be read: {0}")]
    Payload(#[from] std::io::Error),
    #[error("the document is no text: {0}; name its charset, such as windows-1254")]
    Charset(#[from] Undecodable),
}

/// How many records would end how.
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

/// What would become of one mapped record.
#[derive(Debug, Clone)]
pub struct Judged {
    pub verdict: Verdict,
    /// Of an update.
    pub changes: Vec<FieldChange>,
}

impl Counts {
    pub fn of(mapped: &Mapped<'_>, judged: &[Judged]) -> Counts {
        let mut counts = Counts {
            records: mapped.records,
            failed: mapped.rejected.len(),
            skipped: mapped.skipped.iter().map(|(_, count)| count).sum(),
            ..Counts::default()
        };
        for one in judged {
            *match one.verdict {
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

/// The document as UTF-8. Without a charset that of its XML declaration holds; a byte order mark wins over both.
pub fn decoded(bytes: Vec<u8>, charset: Option<&str>) -> Result<Vec<u8>, PreviewError> {
    let declared = charset.or_else(|| declared_charset(&bytes));
    match decode(&bytes, declared)? {
        Cow::Owned(text) => Ok(text.into_bytes()),
        Cow::Borrowed(text) if text.len() == bytes.len() => Ok(bytes),
        Cow::Borrowed(text) => Ok(text.as_bytes().to_vec()),
    }
}

/// `ISO-8859-9` of `<?xml version="1.0" encoding="ISO-8859-9"?>`.
fn declared_charset(bytes: &[u8]) -> Option<&str> {
    let head = bytes.strip_prefix(b"<?xml")?;
    let end = head.iter().take(200).position(|byte| *byte == b'>')?;
    let (_, after) = std::str::from_utf8(&head[..end]).ok()?.split_once("encoding")?;
    let after = after.trim_start().strip_prefix('=')?.trim_start();
    let quote = after.chars().next().filter(|quote| ['"', '\''].contains(quote))?;
    after[1..].split_once(quote).map(|(charset, _)| charset)
}

/// The instance whose stream goes through this mapping, or the only one that there is.
pub fn instance_of<'e>(engine: &'e Engine, mapping: &str) -> Option<&'e str> {
    let mut users =
        engine.instances.values().filter(|instance| instance.streams.iter().any(|stream| stream.mapping == mapping));
    match (users.next(), engine.instances.len()) {
        (Some(instance), _) => Some(&instance.name),
        (None, 1) => engine.instances.keys().next().map(String::as_str),
        (None, _) => None,
    }
}

/// Applies the mapped records and takes it back. One verdict for each change, in their order.
pub async fn judge(
    pool: &PgPool,
    subject: &Subject<'_>,
    mapped: &Mapped<'_>,
    now: DateTime<Utc>,
) -> Result<Vec<Judged>, PreviewError> {
    if mapped.changes.is_empty() {
        return Ok(Vec::new());
    }
    let mut patience = Patience::default();
    loop {
        match judge_once(pool, subject, mapped, now, patience.isolates()).await {
            Err(PreviewError::Apply(error)) if patience.starts_over(&error) => {}
            outcome => return outcome,
        }
    }
}

async fn judge_once(
    pool: &PgPool,
    subject: &Subject<'_>,
    mapped: &Mapped<'_>,
    now: DateTime<Utc>,
    isolate: bool,
) -> Result<Vec<Judged>, PreviewError> {
    let entity = subject.mapping.entity();
    let context = ApplyContext {
        connector: subject.connector,
        stream: None,
        entity,
        references: subject.mapping.references(),
        write: WriteContext::source(Provenance {
            origin: subject.connector,
            bulk: true,
            correlation_id: "preview",
            now,
        }),
        may_create: subject.may_create,
        isolate,
        full_pass_started: None,
    };
    let incoming: Vec<Incoming<'_>> =
        mapped.changes.iter().map(|change| Incoming { change, received_at: subject.received_at }).collect();
    let mut tx = pool.begin().await?;
    // Which rows it is about is known when it was done; how they were is asked when that has been taken back.
    let mut trial = tx.begin().await?;
    let verdicts = apply(&mut trial, &context, &incoming).await?;
    let updated: Vec<i64> = verdicts
        .iter()
        .filter_map(|verdict| if let Verdict::Updated(id) = verdict { Some(*id) } else { None })
        .collect();
    let mut after = commerce::snapshots(&mut trial, entity, &updated).await?;
    trial.rollback().await?;
    let mut before = commerce::snapshots(&mut tx, entity, &updated).await?;
    tx.rollback().await?;
    Ok(verdicts
        .into_iter()
        .map(|verdict| {
            let changes = match verdict {
                Verdict::Updated(id) => {
                    differences(before.remove(&id).unwrap_or_default(), after.remove(&id).unwrap_or_default())
                }
                _ => Vec::new(),
            };
            Judged { verdict, changes }
        })
        .collect())
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

/// A record of a previewed document.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    pub ordinal: u32,
    pub code: Option<String>,
    /// `created` … `failed`, `skipped`; without a store `mapped`.
    pub outcome: &'static str,
    /// Why it is skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub fields: Vec<Json>,
    pub changes: Vec<FieldChange>,
    /// Records that it refers to and that are not there.
    pub missing: Vec<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Json>,
}

/// A previewed document.
#[derive(Debug, Clone, Serialize)]
pub struct Preview {
    pub counts: Counts,
    pub records: Vec<Record>,
    pub unmapped: Vec<Json>,
    pub skipped: Vec<Json>,
}

/// The whole of a document. `pool`: the store that it would go into; none: only what the mapping makes of it.
pub async fn preview(
    pool: Option<&PgPool>,
    subject: &Subject<'_>,
    body: &[u8],
    now: DateTime<Utc>,
) -> Result<Preview, PreviewError> {
    let mapped = subject.mapping.map(subject.format, body)?;
    let told = subject.mapping.explain(subject.format, body)?;
    let judged = match pool {
        Some(pool) => Some(judge(pool, subject, &mapped, now).await?),
        None => None,
    };
    let counts = Counts::of(&mapped, judged.as_deref().unwrap_or_default());
    let mut judged: HashMap<u32, Judged> =
        mapped.changes.iter().map(|change| change.ordinal).zip(judged.into_iter().flatten()).collect();
    let refused: HashMap<u32, Failure> =
        mapped.rejected.iter().map(|record| (record.ordinal, rejected(record))).collect();
    let records = told
        .into_iter()
        .map(|explained| {
            let ordinal = explained.ordinal;
            record(explained, judged.remove(&ordinal), refused.get(&ordinal))
        })
        .collect();
    let unmapped = mapped.unmapped.iter();
    Ok(Preview {
        counts,
        records,
        unmapped: unmapped
            .map(|one| json!({ "table": one.table, "code": one.code, "count": one.count, "example": one.example }))
            .collect(),
        skipped: mapped.skipped.iter().map(|(reason, count)| json!({ "reason": reason, "count": count })).collect(),
    })
}

fn record(explained: Explained, judged: Option<Judged>, refused: Option<&Failure>) -> Record {
    let mut record = Record {
        ordinal: explained.ordinal,
        code: explained.code,
        outcome: "mapped",
        reason: None,
        fields: explained
            .fields
            .iter()
            .map(|field| {
                let mut told = json!({
                    "field": field.target, "source": field.source, "given": field.given, "value": field.value,
                });
                if field.value.is_none() {
                    told["absent"] = true.into();
                }
                if let Some(fault) = &field.fault {
                    told["fault"] = json!({
                        "reason": fault.reason.to_string(), "value": fault.value, "detail": fault.detail,
                    });
                }
                told
            })
            .collect(),
        changes: Vec::new(),
        missing: Vec::new(),
        failure: None,
    };
    match explained.fate {
        Fate::Skipped(reason) => {
            record.outcome = "skipped";
            record.reason = Some(reason);
        }
        Fate::Rejected => {
            record.outcome = "failed";
            record.failure = refused.map(failure);
        }
        Fate::Change => {
            if let Some(Judged { verdict, changes }) = judged {
                record.outcome = word(&verdict);
                record.changes = changes;
                match verdict {
                    Verdict::Refused(refused) => record.failure = Some(failure(&refused)),
                    Verdict::Deferred(missing) => {
                        let missing =
                            missing.iter().map(|(entity, code)| json!({ "entity": entity.as_str(), "code": code }));
                        record.missing = missing.collect();
                    }
                    _ => {}
                }
            }
        }
    }
    record
}

fn failure(failure: &Failure) -> Json {
    json!({ "reason": failure.reason, "field": failure.field, "value": failure.value, "detail": failure.detail })
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

/// Counts by a key, with the first few examples of each.
#[derive(Debug, Clone)]
pub(super) struct Groups<K> {
    groups: BTreeMap<K, (usize, Vec<Json>)>,
}

const EXAMPLES: usize = 3;

impl<K: Ord> Groups<K> {
    pub(super) fn new() -> Self {
        Groups { groups: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, key: K, example: impl FnOnce() -> Json) {
        let (count, examples) = self.groups.entry(key).or_default();
        *count += 1;
        if examples.len() < EXAMPLES {
            examples.push(example());
        }
    }

    /// The most frequent first.
    pub(super) fn into_list(self) -> Vec<(K, usize, Vec<Json>)> {
        let mut list: Vec<_> = self.groups.into_iter().map(|(key, (count, examples))| (key, count, examples)).collect();
        list.sort_by_key(|(_, count, _)| std::cmp::Reverse(*count));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declaration_the_mark_or_the_caller_says_what_the_bytes_are() {
        let text =
            |bytes: &[u8], charset| decoded(bytes.to_vec(), charset).map(|text| String::from_utf8(text).unwrap());
        let xml = b"<?xml version='1.0' encoding = 'ISO-8859-9' ?><A>\xDD\xFE</A>";
        assert!(text(xml, None).unwrap().ends_with("<A>\u{130}\u{15f}</A>"));
        assert_eq!(text(b"KOD;\xDD", Some("windows-1254")).unwrap(), "KOD;\u{130}");
        assert_eq!(text(b"\xEF\xBB\xBF{}", None).unwrap(), "{}");
        assert!(text(b"KOD;\xDD", None).is_err_and(|error| error.to_string().contains("name its charset")));
        assert_eq!(declared_charset(b"<?xml version=\"1.0\"?><A encoding=\"x\"/>"), None);
    }
}
