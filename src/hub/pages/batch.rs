//! Rows and their links, written together; a row that the database refuses is isolated from its neighbours.

use std::collections::HashMap;

use kopru_sdk::Cause;
use sqlx::{Connection, PgConnection};

use super::{
    apply::{ApplyContext, ApplyError, Failure, Guard, Row, Verdict},
    plan::Incoming,
    references::missing_reference,
};
use crate::{
    canonical::{Change, Entity, Value},
    commerce::{CommandError, Outcome, Violation, WriteContext},
    hub::{
        deactivate,
        entities::{self, Resolved},
        links::{self, Link, LinkWrite},
    },
    mapping::OnMissing,
};

/// Writes rows and their links. Keys are taken for free until one is not; from then on it is looked who has them. What
/// still raises in the database is isolated: the batch is halved under savepoints until the record that is to blame
/// stands alone.
pub(super) async fn write(
    tx: &mut PgConnection,
    cx: &ApplyContext<'_>,
    rows: &[Row<'_>],
    guard: Guard,
    verdicts: &mut [Verdict],
) -> Result<(), ApplyError> {
    let mut command = match guard {
        Guard::Wary => cx.write,
        Guard::Savepoints | Guard::Without => cx.write.trusting_keys(),
    };
    if guard == Guard::Without {
        let batch: Vec<&Row<'_>> = rows.iter().collect();
        return match write_batch(tx, cx, &command, &batch).await {
            Ok(outcomes) => {
                judge(cx, &batch, outcomes, verdicts);
                Ok(())
            }
            Err(BatchError::KeyTaken | BatchError::OneOfThem(_)) => Err(ApplyError::Unguarded),
            Err(BatchError::Whole(error)) => Err(error),
        };
    }
    let mut pending: Vec<Vec<&Row<'_>>> = vec![rows.iter().collect()];
    let mut halved = false;
    while let Some(mut batch) = pending.pop() {
        if batch.is_empty() {
            continue;
        }
        let mut savepoint = tx.begin().await?;
        let failure = match write_batch(&mut savepoint, cx, &command, &batch).await {
            Ok(outcomes) => {
                savepoint.commit().await?;
                judge(cx, &batch, outcomes, verdicts);
                continue;
            }
            Err(BatchError::KeyTaken) => {
                savepoint.rollback().await?;
                command = cx.write;
                pending.push(batch);
                continue;
            }
            Err(BatchError::Whole(error)) => return Err(error),
            Err(BatchError::OneOfThem(failure)) => failure,
        };
        savepoint.rollback().await?;
        if let [row] = batch.as_slice() {
            verdicts[row.place] = Verdict::Refused(failure.into());
            continue;
        }
        if !halved {
            halved = true;
            parents_first(cx, &mut batch);
        }
        let right = batch.split_off(batch.len() / 2);
        pending.push(right);
        pending.push(batch);
    }
    Ok(())
}

fn judge(cx: &ApplyContext<'_>, rows: &[&Row<'_>], outcomes: Vec<Outcome>, verdicts: &mut [Verdict]) {
    for (row, outcome) in rows.iter().zip(outcomes) {
        verdicts[row.place] = match outcome {
            Outcome::Created => Verdict::Created(row.internal_id),
            Outcome::Updated => Verdict::Updated(row.internal_id),
            Outcome::Unchanged => Verdict::Unchanged(row.internal_id),
            Outcome::Refused(violation) => without_its_parent(cx, row, &violation)
                .unwrap_or_else(|| Verdict::Refused(Failure::from(violation).into())),
        };
    }
}

/// The field by which records of this entity refer to each other.
fn own_reference<'c>(cx: &'c ApplyContext<'_>) -> Option<&'c (usize, Entity, OnMissing)> {
    cx.references.iter().find(|(_, entity, _)| *entity == cx.entity)
}

/// So that a half never holds children without the parents that came with them.
fn parents_first(cx: &ApplyContext<'_>, batch: &mut [&Row<'_>]) {
    let Some((field, ..)) = own_reference(cx) else { return };
    let parents: HashMap<&str, &str> =
        batch.iter().filter_map(|row| Some((row.code(), row.incoming.change.values[*field].as_text()?))).collect();
    let limit = batch.len();
    // A circle is refused by the command; here it only has to end.
    let depth =
        |row: &&Row<'_>| std::iter::successors(Some(row.code()), |code| parents.get(code).copied()).take(limit).count();
    batch.sort_by_cached_key(depth);
}

/// A record whose parent came with it and was refused waits for it like one whose parent has not come yet.
fn without_its_parent(cx: &ApplyContext<'_>, row: &Row<'_>, violation: &Violation) -> Option<Verdict> {
    let (field, entity, on_missing) = own_reference(cx)?;
    let names_it = cx.entity.fields().get(*field).is_some_and(|spec| spec.name == violation.field);
    if violation.rule != "missing_reference" || !names_it {
        return None;
    }
    let code = row.incoming.change.values[*field].as_text()?;
    Some(match on_missing.refuses() {
        true => Verdict::Refused(missing_reference(cx.entity, *field, *entity, code).into()),
        false => Verdict::Deferred(vec![(*entity, code.to_owned())]),
    })
}

/// Why a batch could not be written.
enum BatchError {
    /// A key that was taken for free is not.
    KeyTaken,
    /// Nothing to do with what the records say.
    Whole(ApplyError),
    /// Some record of it is to blame, for this.
    OneOfThem(Failure),
}

impl From<sqlx::Error> for BatchError {
    fn from(error: sqlx::Error) -> Self {
        match blame(&error) {
            Some(failure) => BatchError::OneOfThem(failure),
            None => BatchError::Whole(error.into()),
        }
    }
}

async fn write_batch(
    tx: &mut PgConnection,
    cx: &ApplyContext<'_>,
    command: &WriteContext<'_>,
    rows: &[&Row<'_>],
) -> Result<Vec<Outcome>, BatchError> {
    let fresh: Vec<LinkWrite<'_>> = rows.iter().filter(|row| row.link.is_none()).map(|row| row.link_write()).collect();
    // Links first: a second writer of the same new code waits here for our end instead of making a second row.
    if !fresh.is_empty() && !links::insert_new(tx, cx.connector, cx.entity, cx.stream, &fresh).await? {
        return Err(if cx.isolate {
            BatchError::OneOfThem(link_conflict(fresh[0].code))
        } else {
            BatchError::Whole(ApplyError::Conflict)
        });
    }
    let revived: Vec<Option<Change<'_>>> = rows.iter().map(|row| revived(cx, row)).collect();
    let resolved: Vec<Resolved<'_>> = rows
        .iter()
        .zip(&revived)
        .map(|(row, revived)| match revived {
            Some(change) => Resolved { change, ..row.resolved() },
            None => row.resolved(),
        })
        .collect();
    let outcomes = match entities::upsert(tx, cx.entity, command, &resolved).await {
        Ok(outcomes) => outcomes,
        Err(error) if command.trusts_keys() && error.is_taken_key() => return Err(BatchError::KeyTaken),
        Err(error) if error.retry_at_once() && !cx.isolate => return Err(BatchError::Whole(ApplyError::Conflict)),
        Err(CommandError::Database(error)) => return Err(error.into()),
        Err(error) => return Err(BatchError::Whole(ApplyError::Command(error))),
    };
    // When the code was looked for, nobody had it: another writer made the record in between, and the next look finds it.
    let overtaken = |row: &Row<'_>, outcome: &Outcome| {
        row.is_new && matches!(outcome, Outcome::Refused(why) if why.field == "code" && why.rule == "unique")
    };
    if !cx.isolate && rows.iter().zip(&outcomes).any(|(row, outcome)| overtaken(row, outcome)) {
        return Err(BatchError::Whole(ApplyError::Conflict));
    }

    let refused_new: Vec<&str> = rows
        .iter()
        .zip(&outcomes)
        .filter(|(row, outcome)| row.link.is_none() && matches!(outcome, Outcome::Refused(_)))
        .map(|(row, _)| row.code())
        .collect();
    if !refused_new.is_empty() {
        links::delete_new(tx, cx.connector, cx.entity, &refused_new).await?;
    }
    let applied: Vec<LinkWrite<'_>> = rows
        .iter()
        .zip(&outcomes)
        .filter(|(row, outcome)| row.link.is_some() && !matches!(outcome, Outcome::Refused(_)))
        .map(|(row, _)| row.link_write())
        .collect();
    if !applied.is_empty() {
        let written = rows.iter().zip(&outcomes).filter(|(_, outcome)| !matches!(outcome, Outcome::Refused(_)));
        vacate(tx, cx, written.filter_map(|(row, _)| Some((row.link.as_ref()?, row.incoming.change)))).await?;
        links::update(tx, cx.stream, &applied).await?;
    }
    Ok(outcomes)
}

/// A record that was deactivated because it was gone is active again with its next document, if that says nothing else.
fn revived<'a>(cx: &ApplyContext<'_>, row: &Row<'a>) -> Option<Change<'a>> {
    let held = row.link.as_ref()?.hash?;
    let place = cx.entity.field("isActive")?;
    let change = row.incoming.change;
    let silent = matches!(change.values.get(place), Some(Value::Absent));
    if !silent || deactivate::hash(cx.entity) != Some(held) {
        return None;
    }
    let mut change = change.clone();
    change.values[place] = Value::Bool(true);
    Some(change)
}

/// Makes room for external ids that are new to their link.
async fn vacate<'l>(
    tx: &mut PgConnection,
    cx: &ApplyContext<'_>,
    links: impl Iterator<Item = (&'l Link, &'l Change<'l>)>,
) -> Result<(), sqlx::Error> {
    let wanted: Vec<(i64, &str)> = links
        .filter_map(|(link, change)| Some((link, change.external_id.as_deref()?)))
        .filter(|(link, id)| link.external_id.as_deref() != Some(*id))
        .map(|(link, id)| (link.id, id))
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    links::vacate_external_ids(tx, cx.connector, cx.entity, &wanted).await
}

impl Row<'_> {
    fn link_write(&self) -> LinkWrite<'_> {
        let change = self.incoming.change;
        LinkWrite {
            id: self.link.as_ref().map_or(0, |link| link.id),
            internal_id: self.internal_id,
            code: change.code.as_ref(),
            external_id: change.external_id.as_deref(),
            hash: Some(&change.hash),
            version: change.version.as_ref(),
            received_at: self.incoming.received_at,
            ordinal: self.incoming.ordinal,
        }
    }
}

/// Equal content under a newer version or a new id: only the link moves.
pub(super) async fn note_versions(
    tx: &mut PgConnection,
    cx: &ApplyContext<'_>,
    incoming: &[Incoming<'_>],
    notes: &[(Link, usize)],
) -> Result<(), ApplyError> {
    vacate(tx, cx, notes.iter().map(|(link, place)| (link, incoming[*place].change))).await?;
    let writes: Vec<LinkWrite<'_>> = notes
        .iter()
        .map(|(link, place)| {
            let record = incoming[*place];
            let held = (link.last_synced_at, link.ordinal);
            let (received_at, ordinal) = (record.received_at, record.ordinal).max(held);
            LinkWrite {
                id: link.id,
                internal_id: link.internal_id,
                code: record.change.code.as_ref(),
                external_id: record.change.external_id.as_deref(),
                hash: Some(&record.change.hash),
                version: record.change.version.as_ref(),
                received_at,
                ordinal,
            }
        })
        .collect();
    links::update(tx, cx.stream, &writes).await?;
    Ok(())
}

fn link_conflict(code: &str) -> Failure {
    Failure {
        cause: Cause::Data,
        reason: "link_conflict".to_owned(),
        field: Some("code".to_owned()),
        value: Some(code.to_owned()),
        detail: format!("{code} claims an external id or a record that another code has"),
    }
}

impl From<Violation> for Failure {
    fn from(violation: Violation) -> Failure {
        Failure {
            cause: Cause::Data,
            reason: violation.rule.to_owned(),
            field: Some(violation.field.to_owned()),
            value: violation.value,
            detail: violation.detail,
        }
    }
}

/// Whether the database refused what a record says (and which rule), rather than being in trouble itself.
fn blame(error: &sqlx::Error) -> Option<Failure> {
    if let Some(violation) = crate::commerce::violation_of(error) {
        return Some(violation.into());
    }
    let database = error.as_database_error()?;
    let code = database.code()?;
    // 22: the value cannot be stored; 23: a constraint says no.
    (code.starts_with("22") || code.starts_with("23")).then(|| Failure {
        cause: Cause::Ours,
        reason: database.constraint().map_or_else(|| format!("database_{code}"), str::to_owned),
        field: None,
        value: None,
        detail: format!("the store refused the record: {}", database.message()),
    })
}
