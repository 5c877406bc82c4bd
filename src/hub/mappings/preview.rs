//! What a document would change, record by record and field by field, for the person who writes a mapping.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    iter::once,
};

use chrono::{DateTime, Utc};
use kopru_sdk::encoding::{Undecodable, decode};
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::trial::{Counts, FieldChange, Judged, judge, word};
use crate::{
    hub::{
        engine::Engine,
        pages::{ApplyError, Failure, Verdict, rejected},
    },
    mapping::{Effective, Explained, ExplainedField, Fate, Format, Mapping, Rejected, Unreadable},
};

/// As which instance's document, and by which rules.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub connector: &'a str,
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

/// A record of a previewed document, or a part of one: what goes in together with it, as the prices and the stock level
/// of a product that is pushed.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    pub ordinal: u32,
    pub mapping: String,
    pub entity: &'static str,
    pub code: Option<String>,
    /// `created` … `failed`, `skipped`: of a record, with all its parts; of a part, its own. `mapped` without a store,
    /// and for a part that another record of its item keeps out.
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
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Record>,
}

/// A previewed document.
#[derive(Debug, Clone, Serialize)]
pub struct Preview {
    pub counts: Counts,
    pub records: Vec<Record>,
    pub unmapped: Vec<Json>,
    pub skipped: Vec<Json>,
}

/// The whole of a document. `engine`: over the store that it would go into; none: only what the mapping makes of it.
pub async fn preview(engine: Option<&Engine>, subject: &Subject<'_>, body: &[u8]) -> Result<Preview, PreviewError> {
    let mapping = subject.mapping;
    let body = &mapping.standalone(subject.format, body);
    let document = mapping.map_with_parts(subject.format, body)?;
    let told = mapping.explain_with_parts(subject.format, body)?;
    let mut judged = match engine {
        Some(engine) => Some(judge(engine, subject, &document).await?),
        None => None,
    };
    let own = document.first();
    let counts = own.map_or_else(Counts::default, |own| Counts::of(own, judged.as_deref()));
    let all: Vec<&Mapping> = once(&**mapping).chain(mapping.parts().iter().map(AsRef::as_ref)).collect();
    let refused: Vec<HashMap<u32, &Rejected>> =
        document.iter().map(|mapped| mapped.rejected.iter().map(|record| (record.ordinal, record)).collect()).collect();
    let mut told = told.into_iter();
    let own_told = told.next().unwrap_or_default();
    let mut parts_told: Vec<HashMap<u32, Explained>> =
        told.map(|part| part.into_iter().map(|record| (record.ordinal, record)).collect()).collect();
    let records = own_told
        .into_iter()
        .map(|explained| {
            let ordinal = explained.ordinal;
            let judged = judged.as_mut().and_then(|all| all.get_mut(ordinal as usize)).and_then(Option::take);
            let refused_in = |part: usize| refused.get(part).and_then(|refused| refused.get(&ordinal)).copied();
            let mut record = record(all[0], 0, explained, judged.as_ref(), refused_in(0));
            if record.outcome == "skipped" || refused_in(0).is_some() {
                return record;
            }
            for (part, told) in (1..).zip(&mut parts_told) {
                if let (Some(mapping), Some(explained)) = (all.get(part), told.remove(&ordinal)) {
                    record.parts.push(self::record(mapping, part, explained, judged.as_ref(), refused_in(part)));
                }
            }
            record
        })
        .collect();
    let unmapped = document.iter().flat_map(|mapped| &mapped.unmapped);
    Ok(Preview {
        counts,
        records,
        unmapped: unmapped
            .map(|one| json!({ "table": one.table, "code": one.code, "count": one.count, "example": one.example }))
            .collect(),
        skipped: own
            .into_iter()
            .flat_map(|own| &own.skipped)
            .map(|(reason, count)| json!({ "reason": reason, "count": count }))
            .collect(),
    })
}

/// One of the records that an item is.
fn record(
    mapping: &Mapping,
    part: usize,
    explained: Explained,
    judged: Option<&Judged>,
    refused: Option<&Rejected>,
) -> Record {
    let mut record = Record {
        ordinal: explained.ordinal,
        mapping: mapping.name().to_owned(),
        entity: mapping.entity().as_str(),
        code: explained.code,
        outcome: "mapped",
        reason: None,
        fields: explained.fields.iter().map(field).collect(),
        changes: Vec::new(),
        missing: Vec::new(),
        failure: None,
        parts: Vec::new(),
    };
    if let Fate::Skipped(reason) = explained.fate {
        record.outcome = "skipped";
        record.reason = Some(reason);
        return record;
    }
    if let Some(refused) = refused {
        record.outcome = "failed";
        record.failure = Some(failure(&rejected(refused)));
        return record;
    }
    let Some(judged) = judged else { return record };
    let tried = judged.tried.get(&part);
    // The record stands for its item; so does what an item was said to be before any of it was tried.
    let verdict = match (part, tried) {
        (0, _) => Some(&judged.fate.verdict),
        (_, Some(tried)) => Some(&tried.verdict),
        (_, None) if judged.fate.part == part || matches!(judged.fate.verdict, Verdict::Superseded(_)) => {
            Some(&judged.fate.verdict)
        }
        (_, None) => None,
    };
    record.changes = tried.map(|tried| tried.changes.clone()).unwrap_or_default();
    if let Some(verdict) = verdict {
        record.outcome = word(verdict);
        match verdict {
            Verdict::Refused(refused) => record.failure = Some(failure(refused)),
            Verdict::Deferred(missing) => {
                let missing = missing.iter().map(|(entity, code)| json!({ "entity": entity.as_str(), "code": code }));
                record.missing = missing.collect();
            }
            _ => {}
        }
    }
    record
}

fn field(field: &ExplainedField) -> Json {
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
}

fn failure(failure: &Failure) -> Json {
    json!({ "reason": failure.reason, "field": failure.field, "value": failure.value, "detail": failure.detail })
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
