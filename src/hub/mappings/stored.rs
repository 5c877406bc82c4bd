//! What a mapping would make of what is stored: the last payloads that came in under it, and its open letters.
//!
//! One payload at a time is in memory, and each is tried in a transaction of its own that is rolled back.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value as Json, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::{
    InForce,
    preview::{Groups, PreviewError, Subject},
    trial::{Counts, entity_of, judge},
};
use crate::hub::{documents::parse_format, engine::Engine, messages::unpack, pages::Verdict};

/// What would become of everything that was looked at.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Stored pages and documents.
    pub payloads: usize,
    pub letters: usize,
    /// Letters that would go in.
    pub letters_mended: usize,
    /// Payloads whose form the mapping cannot read.
    pub unreadable: usize,
    /// When the oldest of them came in.
    pub since: Option<DateTime<Utc>>,
    pub counts: Counts,
    /// Fields that would get another value, each with how often and a few examples.
    pub changes: Vec<Json>,
    /// Why records would fail.
    pub failures: Vec<Json>,
    pub unmapped: Vec<Json>,
}

struct Stored {
    connector: String,
    format: String,
    body: Vec<u8>,
    received_at: DateTime<Utc>,
}

/// Looks at the last `limit` payloads of a mapping and its letters, the newest first, each by the rules for its instance. `seen` is told how many are done.
pub async fn preview_stored(
    engine: &Engine,
    in_force: &InForce,
    name: &str,
    limit: i64,
    mut seen: impl FnMut(usize, usize),
) -> Result<Report, PreviewError> {
    let pool = &engine.pool;
    let ids = last(pool, name, limit).await?;
    let mut report = Report {
        payloads: 0,
        letters: 0,
        letters_mended: 0,
        unreadable: 0,
        since: None,
        counts: Counts::default(),
        changes: Vec::new(),
        failures: Vec::new(),
        unmapped: Vec::new(),
    };
    let mut changes: Groups<(&str, String)> = Groups::new();
    let mut failures: Groups<(String, Option<String>, &str)> = Groups::new();
    let mut unmapped: BTreeMap<(String, String), (usize, Option<String>)> = Default::default();
    for (place, (id, is_letter)) in ids.iter().enumerate() {
        seen(place, ids.len());
        // Retention or a replay may have taken it away meanwhile.
        let Some(stored) = fetch(pool, *id, *is_letter).await? else { continue };
        report.payloads += usize::from(!is_letter);
        report.letters += usize::from(*is_letter);
        report.since = Some(report.since.map_or(stored.received_at, |since| since.min(stored.received_at)));
        let body = unpack(&stored.body)?;
        let Some(mapping) = in_force.get_for(&stored.connector, name) else { continue };
        let mapping = &mapping;
        let subject = Subject {
            connector: &stored.connector,
            mapping,
            format: parse_format(&stored.format),
            received_at: stored.received_at,
        };
        let document = match mapping.map_with_parts(subject.format, &body) {
            Ok(document) => document,
            Err(unreadable) => {
                report.unreadable += 1;
                failures.add(
                    (unreadable.what.to_string(), None, mapping.entity().as_str()),
                    || json!({ "message": id, "detail": unreadable.to_string() }),
                );
                continue;
            }
        };
        let judged = judge(engine, &subject, &document).await?;
        let Some(own) = document.first() else { continue };
        let counts = Counts::of(own, Some(&judged));
        report.letters_mended += usize::from(*is_letter && counts.failed + counts.deferred == 0);
        report.counts.add(&counts);
        let mut codes: Vec<HashMap<u32, &str>> = Vec::with_capacity(document.len());
        for mapped in &document {
            let taken = mapped.changes.iter().map(|change| (change.ordinal, change.code.as_ref()));
            let refused = mapped.rejected.iter().filter_map(|record| Some((record.ordinal, record.code.as_deref()?)));
            codes.push(taken.chain(refused).collect());
        }
        for (ordinal, judged) in (0..).zip(judged) {
            let Some(judged) = judged else { continue };
            let code_of = |part: usize| codes.get(part).and_then(|codes| codes.get(&ordinal)).copied();
            if let Verdict::Refused(failure) = &judged.fate.verdict {
                let entity = entity_of(mapping, judged.fate.part).as_str();
                failures.add((failure.reason.clone(), failure.field.clone(), entity), || {
                    json!({ "code": code_of(judged.fate.part), "value": failure.value, "detail": failure.detail,
                            "message": id })
                });
            }
            for (part, tried) in judged.tried {
                // What would be made is counted; listed is what would change.
                if !matches!(tried.verdict, Verdict::Updated(_)) {
                    continue;
                }
                for one in tried.changes {
                    let (from, to) = (one.from, one.to);
                    changes.add(
                        (entity_of(mapping, part).as_str(), one.field),
                        || json!({ "code": code_of(part), "from": from, "to": to }),
                    );
                }
            }
        }
        for one in document.into_iter().flat_map(|mapped| mapped.unmapped) {
            let (count, example) = unmapped.entry((one.table, one.code)).or_default();
            *count += one.count;
            *example = example.take().or(one.example);
        }
    }
    seen(ids.len(), ids.len());
    let changed = changes.into_list().into_iter();
    report.changes = changed
        .map(|((entity, field), count, examples)| {
            json!({ "entity": entity, "field": field, "count": count, "examples": examples })
        })
        .collect();
    let failed = failures.into_list().into_iter();
    report.failures = failed
        .map(|((reason, field, entity), count, examples)| {
            json!({ "entity": entity, "reason": reason, "field": field, "count": count, "examples": examples })
        })
        .collect();
    report.unmapped = unmapped
        .into_iter()
        .map(|((table, code), (count, example))| {
            json!({ "table": table, "code": code, "count": count, "example": example })
        })
        .collect();
    Ok(report)
}

/// The newest first; whether it is a letter.
async fn last(pool: &PgPool, mapping: &str, limit: i64) -> Result<Vec<(Uuid, bool)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select id as "id!", is_letter as "is_letter!" from (
             (select m.id, m.id as came, false as is_letter
              from hub.message_history m join hub.payload_history p on p.message_id = m.id
              where m.mapping = $1 and m.state <> 'dead'
              order by m.id desc limit $2)
             union all
             (select d.id, d.message_id as came, true as is_letter
              from hub.dead_letter d where d.mapping = $1
              order by d.message_id desc limit $2)
         ) all_of_it
         order by came desc
         limit $2"#,
        mapping,
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.is_letter)).collect())
}

async fn fetch(pool: &PgPool, id: Uuid, is_letter: bool) -> Result<Option<Stored>, sqlx::Error> {
    if is_letter {
        return sqlx::query_as!(
            Stored,
            "select connector, format, body, received_at from hub.dead_letter where id = $1",
            id
        )
        .fetch_optional(pool)
        .await;
    }
    sqlx::query_as!(
        Stored,
        "select m.connector, m.format, p.body, m.received_at
         from hub.message_history m join hub.payload_history p on p.message_id = m.id
         where m.id = $1 and p.message_id = $1",
        id
    )
    .fetch_optional(pool)
    .await
}
