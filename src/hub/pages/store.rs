//! What a page leaves behind beside its records: the message itself, a row for each item with an effect, letters, and
//! parked records.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    apply::{ApplyError, Verdict},
    items::Receipt,
    record::went_in,
};
use crate::{
    canonical::{Entity, Version},
    hub::{
        dead_letters::{self, Arrival, NewLetter},
        deferral::{self, Parked, Rival},
        engine::Engine,
        letter_ids,
        messages::{self, NewMessage, pack},
        pages::missing_of,
    },
    mapping::{Effective, Format},
};

/// A page that had an effect.
pub(in crate::hub) struct StoredPage<'a> {
    pub(in crate::hub) message_id: Uuid,
    pub(in crate::hub) connector: &'a str,
    pub(in crate::hub) stream: &'a str,
    pub(in crate::hub) mapping: &'a Effective,
    pub(in crate::hub) format: Format,
    pub(in crate::hub) body: &'a [u8],
    pub(in crate::hub) correlation_id: &'a str,
    pub(in crate::hub) run_id: Option<Uuid>,
    pub(in crate::hub) records: usize,
    pub(in crate::hub) receipt: Receipt,
    pub(in crate::hub) full_pass_started: Option<DateTime<Utc>>,
    /// Failed records become letters.
    pub(in crate::hub) keeps_failed: bool,
}

/// A record of the page and what became of it.
#[derive(Debug, Clone, Copy)]
pub(in crate::hub) struct StoredRecord<'a> {
    pub(in crate::hub) ordinal: u32,
    pub(in crate::hub) code: Option<&'a str>,
    pub(in crate::hub) external_id: Option<&'a str>,
    pub(in crate::hub) version: Option<&'a Version>,
    pub(in crate::hub) verdict: &'a Verdict,
    /// Of the record that was refused: the item's own or that of a part.
    pub(in crate::hub) entity: Entity,
}

/// A letter that a page left, by the record that it is about.
#[derive(Debug, Clone)]
pub(in crate::hub) struct LeftLetter {
    pub(in crate::hub) ordinal: u32,
    pub(in crate::hub) key: String,
}

pub(in crate::hub) async fn store(
    tx: &mut PgConnection,
    engine: &Engine,
    page: &StoredPage<'_>,
    records: &[StoredRecord<'_>],
) -> Result<Vec<LeftLetter>, ApplyError> {
    let entity = page.mapping.entity();
    let mut items = Items::default();
    let mut letters: Vec<(u32, NewLetter)> = Vec::new();
    let mut parked: Vec<Parked> = Vec::new();
    let mut bodies = bodies_of(page, records);
    let mut document = |record: &StoredRecord<'_>| NewMessage {
        id: Uuid::now_v7(),
        kind: messages::DOCUMENT.into(),
        connector: page.connector.to_owned(),
        stream: Some(page.stream.to_owned()),
        entity: Some(entity.as_str()),
        key: record.code.map(str::to_owned).or_else(|| record.external_id.map(letter_ids::key_of_number)),
        version: record.version.cloned(),
        mapping: Some(page.mapping.name().to_owned()),
        mapping_hash: Some(page.mapping.hash().to_owned()),
        format: page.format.as_str(),
        // The mapping found the record in this very page.
        body: bodies.remove(&record.ordinal).unwrap_or_else(|| page.body.to_vec()),
        correlation_id: page.correlation_id.to_owned(),
        run_id: page.run_id,
        dead_letter_id: None,
        received_at: page.receipt.at,
        ordinal: page.receipt.first.saturating_add(i64::from(record.ordinal)),
    };
    for record in records {
        match record.verdict {
            Verdict::Created(id) => items.push(record, "created", Some(*id)),
            Verdict::Updated(id) => items.push(record, "updated", Some(*id)),
            Verdict::Deferred(waits_for) => {
                items.push(record, "deferred", None);
                parked.push(Parked { message: document(record), waits_for: waits_for.clone() });
            }
            Verdict::Refused(failure) => {
                items.push(record, "failed", None);
                if page.keeps_failed {
                    let missing = missing_of(failure, record.entity);
                    let message = document(record);
                    let carried = dead_letters::carried(page.mapping, page.format, &message.body);
                    let letter = NewLetter { message, failure: (**failure).clone(), missing, attempts: 1, carried };
                    letters.push((record.ordinal, letter));
                }
            }
            Verdict::Unchanged(_) | Verdict::Stale(_) | Verdict::Superseded(_) => {}
        }
    }
    // Two records of one code may both be bad; the letter is of the later.
    letters.sort_by_key(|(ordinal, _)| *ordinal);
    let left = letters
        .iter()
        .map(|(ordinal, letter)| LeftLetter { ordinal: *ordinal, key: letter_ids::key_of(&letter.message) })
        .collect();
    let letters: Vec<NewLetter> = letters.into_iter().map(|(_, letter)| letter).collect();
    if !letters.is_empty() {
        dead_letters::record(tx, &letters).await?;
    }
    let defer_for = engine.settings.defer_for;
    deferral::park(tx, page.connector, entity, &parked, page.full_pass_started, defer_for).await?;
    write(tx, page, &items).await?;
    Ok(left)
}

/// A letter whose key got a good record further on in the same page has been overtaken by it.
pub(in crate::hub) async fn overtake_left(
    tx: &mut PgConnection,
    page: &StoredPage<'_>,
    records: &[StoredRecord<'_>],
    left: &[LeftLetter],
) -> Result<(), ApplyError> {
    if left.is_empty() {
        return Ok(());
    }
    let open: HashMap<&str, u32> = left.iter().map(|letter| (letter.key.as_str(), letter.ordinal)).collect();
    let mut good: Vec<(String, &StoredRecord<'_>)> = Vec::new();
    for record in records.iter().filter(|record| went_in(record.verdict)) {
        let number = record.external_id.map(letter_ids::key_of_number);
        let keys = record.code.map(str::to_owned).into_iter().chain(number);
        good.extend(keys.filter(|key| open.contains_key(key.as_str())).map(|key| (key, record)));
    }
    if good.is_empty() {
        return Ok(());
    }
    let mut ordinals: Vec<u32> = good.iter().map(|(_, record)| record.ordinal).collect();
    ordinals.sort_unstable();
    ordinals.dedup();
    let bodies = page.mapping.raw_records(page.format, page.body, &ordinals);
    let carried: HashMap<u32, Vec<String>> = bodies
        .into_iter()
        .map(|(ordinal, body)| (ordinal, dead_letters::answered_for(page.mapping, page.format, &body)))
        .collect();
    let arrivals: Vec<Arrival<'_>> = good
        .iter()
        .map(|(key, record)| Arrival {
            key: key.clone(),
            rival: Rival {
                key: "",
                version: record.version,
                received_at: page.receipt.at,
                ordinal: page.receipt.first.saturating_add(i64::from(record.ordinal)),
            },
            carried: carried.get(&record.ordinal).map(Vec::as_slice).unwrap_or_default(),
        })
        .collect();
    let entity = page.mapping.entity();
    dead_letters::supersede(tx, page.connector, entity, &arrivals, &[], page.full_pass_started).await?;
    Ok(())
}

/// The records that get a message of their own, cut out of the page in one go.
fn bodies_of(page: &StoredPage<'_>, records: &[StoredRecord<'_>]) -> HashMap<u32, Vec<u8>> {
    let kept = |verdict: &Verdict| match verdict {
        Verdict::Deferred(_) => true,
        Verdict::Refused(_) => page.keeps_failed,
        _ => false,
    };
    let mut ordinals: Vec<u32> =
        records.iter().filter(|record| kept(record.verdict)).map(|record| record.ordinal).collect();
    if ordinals.is_empty() {
        return HashMap::new();
    }
    ordinals.sort_unstable();
    page.mapping.raw_records(page.format, page.body, &ordinals).into_iter().collect()
}

async fn write(tx: &mut PgConnection, page: &StoredPage<'_>, items: &Items<'_>) -> Result<(), ApplyError> {
    let body = pack(page.body).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    sqlx::query!(
        "with message as (
             insert into hub.message_history
                 (id, kind, state, connector, stream, entity, mapping, mapping_hash, format, correlation_id, run_id,
                  records, attempts, received_at)
             values ($1, 'page', 'done', $2, $3, $4, $5, $6, $7, $8, $9, $10, 1, $11)
         ), payload as (
             insert into hub.payload_history (message_id, body) values ($1, $12)
         )
         insert into hub.message_item (message_id, ordinal, outcome, code, internal_id)
         select $1, unnest($13::int[]), unnest($14::text[]), unnest($15::text[]), unnest($16::bigint[])",
        page.message_id,
        page.connector,
        page.stream,
        page.mapping.entity().as_str(),
        page.mapping.name(),
        page.mapping.hash(),
        page.format.as_str(),
        page.correlation_id,
        page.run_id,
        i32::try_from(page.records).unwrap_or(i32::MAX),
        page.receipt.at,
        body,
        &items.ordinals,
        &items.outcomes as _,
        &items.codes as _,
        &items.internal_ids as _,
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
    fn push(&mut self, record: &StoredRecord<'a>, outcome: &'static str, internal_id: Option<i64>) {
        self.ordinals.push(i32::try_from(record.ordinal).unwrap_or(i32::MAX));
        self.outcomes.push(outcome);
        self.codes.push(record.code);
        self.internal_ids.push(internal_id);
    }
}
