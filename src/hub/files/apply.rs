//! The second pass: slice after slice through the intake, each in one transaction with the file's progress. While a
//! slice is applied, the next one is read on a thread of its own.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    path::PathBuf,
    time::Duration,
};

use kopru_sdk::Cause;
use sqlx::PgConnection;
use tokio::{sync::mpsc, time::Instant};

use super::{
    FileFailure, FileRow, FilesError, Folder,
    slices::{Operation, Segment, Slice, cut},
    store,
    survey::Reading,
};
use crate::{
    hub::{
        deactivate::{Deactivation, deactivate},
        dead_letters::{self, NewLetter},
        engine::Engine,
        intake::{self, IntakeError, Submission},
        keyed, leases, letter_ids, links,
        messages::{self, NewMessage},
        meters,
        pages::{ApplyError, Failure},
        patience::Patience,
        pull::is_outage,
        runs::Tally,
    },
    outbox::Provenance,
};

/// Slices that are read ahead of the one in hand.
const AHEAD: usize = 2;

/// How long a slice waits for a lost database.
const PATIENCE: Duration = Duration::from_secs(120);

/// A file of more records than this is no news to whoever listens for single changes.
const BULK: i64 = 1_000;

/// A file that is being applied.
struct Scope<'a> {
    engine: &'a Engine,
    folder: &'a Folder,
    file: &'a FileRow,
    reading: &'a Reading,
    correlation_id: String,
    stream: String,
}

/// What a slice brought.
#[derive(Debug, Default)]
struct Outcome {
    tally: Tally,
    deactivated: i64,
    failures: Vec<FileFailure>,
}

/// Applies what the file still holds, behind the records that are in already.
pub(super) async fn apply(
    engine: &Engine,
    folder: &Folder,
    file: &FileRow,
    reading: &Reading,
    path: PathBuf,
) -> Result<(), FilesError> {
    let subject = reading.mapping.name().rsplit('/').next().unwrap_or_default();
    let scope = Scope {
        engine,
        folder,
        file,
        reading,
        correlation_id: file.id.to_string(),
        stream: format!("files.{subject}"),
    };
    let skip = u64::try_from(file.records).unwrap_or_default();
    let (sender, mut slices) = mpsc::channel::<Slice>(AHEAD);
    let read = reading.clone();
    let reader =
        tokio::task::spawn_blocking(move || cut(&read, &path, skip, |slice| sender.blocking_send(slice).is_ok()));
    while let Some(slice) = slices.recv().await {
        if engine.stop.is_cancelled() {
            return Err(FilesError::Stopped);
        }
        apply_with_patience(&scope, &slice).await?;
    }
    match reader.await {
        Ok(read) => read,
        Err(error) => Err(FilesError::Slice(format!("broken off by a bug of ours, the log has its trace: {error}"))),
    }
}

/// Starts over when another writer was faster, waits while the database is away.
async fn apply_with_patience(scope: &Scope<'_>, slice: &Slice) -> Result<(), FilesError> {
    let began = Instant::now();
    let mut patience = Patience::default();
    loop {
        match apply_slice(scope, slice, patience.isolates()).await {
            Err(FilesError::Apply(error)) if patience.starts_over(&error) => {
                meters::page_conflict(&scope.file.connector, &scope.stream);
            }
            Err(FilesError::Database(error)) if is_outage(&error) && began.elapsed() < PATIENCE => {
                tracing::warn!(%error, "the database is away; the file waits");
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(500)) => {}
                    () = scope.engine.stop.cancelled() => return Err(FilesError::Stopped),
                }
            }
            result => return result,
        }
    }
}

async fn apply_slice(scope: &Scope<'_>, slice: &Slice, isolate: bool) -> Result<(), FilesError> {
    let Scope { engine, folder, file, .. } = scope;
    let mut tx = keyed::begin(&engine.pool).await.map_err(ApplyError::from)?;
    let mut outcome = Outcome::default();
    for segment in &slice.segments {
        match &segment.operation {
            Operation::Apply => submit(scope, &mut tx, segment, isolate, &mut outcome).await?,
            Operation::Deactivate => switch_off(scope, &mut tx, segment, &mut outcome).await?,
            Operation::Unknown(word) => refuse(scope, &mut tx, segment, word, &mut outcome).await?,
        }
    }
    let Outcome { tally, deactivated, failures } = &outcome;
    if !store::advance(&mut tx, file.id, slice.first, slice.records, tally, *deactivated).await? {
        return Err(FilesError::LeaseLost);
    }
    store::keep_failures(&mut tx, file.id, failures).await?;
    if !leases::fence(&mut *tx, &folder.lease(), engine.id, engine.settings.lease).await? {
        return Err(FilesError::LeaseLost);
    }
    tx.commit().await?;
    meters::submitted(&file.connector, &scope.stream, tally);
    Ok(())
}

fn is_bulk(file: &FileRow) -> bool {
    file.expected.is_some_and(|records| records > BULK)
}

async fn submit(
    scope: &Scope<'_>,
    tx: &mut PgConnection,
    segment: &Segment,
    isolate: bool,
    outcome: &mut Outcome,
) -> Result<(), FilesError> {
    let submission = Submission {
        connector: &scope.file.connector,
        stream: &scope.stream,
        mapping: scope.reading.mapping.name(),
        format: scope.reading.format,
        body: segment.body.as_bytes(),
        correlation_id: &scope.correlation_id,
        origin: &scope.file.connector,
        run_id: Some(scope.file.id),
        on_missing: None,
        keep_failed: true,
        bulk: is_bulk(scope.file),
        received_at: scope.file.received_at,
        first: i64::try_from(segment.first).unwrap_or(i64::MAX),
        isolate,
        recalls: false,
        stands_alone: false,
    };
    let mapping = &scope.reading.mapping;
    let submitted =
        intake::submit_mapped(tx, scope.engine, &submission, mapping, &segment.document).await.map_err(|error| {
            match error {
                IntakeError::Apply(error) => FilesError::from(error),
                error => FilesError::Slice(error.to_string()),
            }
        })?;
    outcome.tally.add(&submitted.tally);
    for item in submitted.items {
        if let Some(failure) = item.failure {
            let mut kept = failure_of(segment, item.ordinal, item.code, &failure);
            kept.dead_letter_id = item.dead_letter_id;
            outcome.failures.push(kept);
        }
    }
    Ok(())
}

fn place_in_file(segment: &Segment, ordinal: u32) -> i64 {
    i64::try_from(segment.first).unwrap_or(i64::MAX).saturating_add(i64::from(ordinal))
}

fn failure_of(segment: &Segment, ordinal: u32, code: Option<String>, failure: &Failure) -> FileFailure {
    let line = usize::try_from(ordinal).ok().and_then(|place| segment.lines.get(place)).copied();
    FileFailure {
        ordinal: place_in_file(segment, ordinal),
        line: line.and_then(|line| i64::try_from(line).ok()).unwrap_or_default(),
        code,
        field: failure.field.clone(),
        reason: failure.reason.clone(),
        value: failure.value.clone(),
        detail: failure.detail.clone(),
        dead_letter_id: None,
    }
}

/// The codes of a segment's records, in their order, and how many the mapping skips; a record that is to be deleted
/// needs to say nothing else.
fn codes_of(segment: &Segment) -> (Vec<(u32, Option<String>)>, i64) {
    let Some(mapped) = segment.document.first() else { return (Vec::new(), 0) };
    let changes = mapped.changes.iter().map(|change| (change.ordinal, Some(change.code.as_ref().to_owned())));
    let rejected = mapped.rejected.iter().map(|record| (record.ordinal, record.code.clone()));
    let mut codes: Vec<(u32, Option<String>)> = changes.chain(rejected).collect();
    codes.sort_unstable_by_key(|(ordinal, _)| *ordinal);
    let skipped = mapped.skipped.iter().map(|(_, count)| i64::try_from(*count).unwrap_or(i64::MAX)).sum();
    (codes, skipped)
}

/// Records that the source has deleted: they are deactivated, and what we never had is none of our business.
async fn switch_off(
    scope: &Scope<'_>,
    tx: &mut PgConnection,
    segment: &Segment,
    outcome: &mut Outcome,
) -> Result<(), FilesError> {
    let Scope { engine, file, reading, .. } = scope;
    let (records, skipped) = codes_of(segment);
    outcome.tally.skipped += skipped;
    outcome.tally.records += i64::try_from(segment.lines.len()).unwrap_or(i64::MAX);
    let codes: BTreeSet<&str> = records.iter().filter_map(|(_, code)| code.as_deref()).collect();
    let codes: Vec<&str> = codes.into_iter().collect();
    let entity = reading.mapping.entity();
    let held = links::by_code(tx, &file.connector, entity, &codes).await.map_err(ApplyError::from)?;
    // What came later than the file is newer than its wish to delete.
    let is_newer = |code: &str| held.get(code).is_some_and(|link| link.last_synced_at > file.received_at);
    let (newer, codes): (Vec<&str>, Vec<&str>) = codes.into_iter().partition(|code| is_newer(code));
    let newer: HashSet<&str> = newer.into_iter().collect();
    let provenance = Provenance {
        origin: &file.connector,
        bulk: is_bulk(file),
        correlation_id: &scope.correlation_id,
        place: None,
        now: engine.clock.now(),
    };
    let outcomes = deactivate(tx, engine, &file.connector, entity, &codes, provenance).await?;
    // The wish is as old as the file: what stands behind it in the file is newer.
    let places: HashMap<&str, i64> = records
        .iter()
        .filter_map(|(ordinal, code)| Some((code.as_deref()?, place_in_file(segment, *ordinal))))
        .collect();
    let ordinals: Vec<i64> = codes.iter().map(|code| places.get(code).copied().unwrap_or_default()).collect();
    links::received_at(tx, &file.connector, entity, &codes, &ordinals, file.received_at)
        .await
        .map_err(ApplyError::from)?;
    let mut became: HashMap<&str, Deactivation> = codes.into_iter().zip(outcomes).collect();
    for (ordinal, code) in &records {
        let refused = match code {
            None => Some(data_failure("missing_code", "code", None, "the record has no code".to_owned())),
            Some(code) if newer.contains(code.as_str()) => {
                outcome.tally.stale += 1;
                None
            }
            Some(code) => match became.remove(code.as_str()) {
                Some(Deactivation::Done(_)) => {
                    outcome.deactivated += 1;
                    None
                }
                // None: asked for twice.
                Some(Deactivation::Already(_)) | None => {
                    outcome.tally.unchanged += 1;
                    None
                }
                Some(Deactivation::Unknown) => {
                    outcome.tally.skipped += 1;
                    None
                }
                Some(Deactivation::Refused(failure)) => Some(failure),
            },
        };
        if let Some(failure) = refused {
            outcome.tally.failed += 1;
            // No letter: its replay would apply the record.
            outcome.failures.push(failure_of(segment, *ordinal, code.clone(), &failure));
        }
    }
    Ok(())
}

fn data_failure(reason: &str, field: &str, value: Option<String>, detail: String) -> Failure {
    let (reason, field) = (reason.to_owned(), Some(field.to_owned()));
    Failure { cause: Cause::Data, reason, field, value, detail }
}

/// Records that ask for something which nobody knows: letters, for a person to decide.
async fn refuse(
    scope: &Scope<'_>,
    tx: &mut PgConnection,
    segment: &Segment,
    word: &str,
    outcome: &mut Outcome,
) -> Result<(), FilesError> {
    let Scope { file, reading, .. } = scope;
    let (records, skipped) = codes_of(segment);
    outcome.tally.skipped += skipped;
    outcome.tally.records += i64::try_from(segment.lines.len()).unwrap_or(i64::MAX);
    outcome.tally.failed += i64::try_from(records.len()).unwrap_or(i64::MAX);
    let detail = format!("the record asks for `{word}`; known are INS, UPD and DEL");
    let failure = data_failure("unknown_operation", "@DBOP", Some(word.to_owned()), detail);
    let ordinals: Vec<u32> = records.iter().map(|(ordinal, _)| *ordinal).collect();
    let bodies = reading.mapping.raw_records(reading.format, segment.body.as_bytes(), &ordinals);
    let mut letters = Vec::with_capacity(records.len());
    let mut failures = Vec::with_capacity(records.len());
    for ((ordinal, code), (_, body)) in records.into_iter().zip(bodies) {
        failures.push(failure_of(segment, ordinal, code.clone(), &failure));
        let message = NewMessage {
            id: uuid::Uuid::now_v7(),
            kind: messages::DOCUMENT.into(),
            connector: file.connector.clone(),
            stream: Some(scope.stream.clone()),
            entity: Some(reading.mapping.entity().as_str()),
            key: code,
            version: None,
            mapping: Some(reading.mapping.name().to_owned()),
            mapping_hash: Some(reading.mapping.hash().to_owned()),
            format: reading.format.as_str(),
            body,
            correlation_id: scope.correlation_id.clone(),
            run_id: Some(file.id),
            dead_letter_id: None,
            received_at: file.received_at,
            ordinal: place_in_file(segment, ordinal),
        };
        let carried = dead_letters::carried(&reading.mapping, reading.format, &message.body);
        letters.push(NewLetter { message, failure: failure.clone(), missing: None, attempts: 1, carried });
    }
    dead_letters::record(tx, &letters).await?;
    let keys: Vec<String> = letters.iter().map(|letter| letter_ids::key_of(&letter.message)).collect();
    let wanted: Vec<&str> = keys.iter().map(String::as_str).collect();
    let ids = letter_ids::by_key(tx, &file.connector, reading.mapping.entity(), &wanted).await?;
    for (failure, key) in failures.iter_mut().zip(&keys) {
        failure.dead_letter_id = ids.get(key).copied();
    }
    outcome.failures.append(&mut failures);
    Ok(())
}
