//! Applies the records of a page within the caller's transaction and tells what became of each.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use kopru_sdk::Cause;
use sqlx::{Connection, PgConnection};

use super::plan::{Incoming, Standing, fold, is_older, standing};
use crate::{
    canonical::{Change, Entity, Value},
    commerce::{CommandError, Outcome, Violation, WriteContext},
    hub::{
        entities::{self, Resolved},
        links::{self, Link, LinkWrite},
    },
    mapping::OnMissing,
};

/// What a page's records share.
#[derive(Debug, Clone)]
pub struct ApplyContext<'a> {
    /// The instance whose links are meant.
    pub connector: &'a str,
    pub entity: Entity,
    /// The reference fields of the mapping, and what to do when the record they name is not there.
    pub references: &'a [(usize, Entity, OnMissing)],
    pub write: WriteContext<'a>,
    /// Whether the instance may create records of this entity, or only finds existing ones by their code.
    pub may_create: bool,
    /// Starting over has not helped: what looks like another writer is a record's own fault, and is isolated.
    pub isolate: bool,
    /// When the records come from a complete pass: its start, by the database's clock.
    pub full_pass_started: Option<DateTime<Utc>>,
}

/// Why a record was not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub cause: Cause,
    /// Stable code, `snake_case`.
    pub reason: String,
    pub field: Option<String>,
    pub value: Option<String>,
    pub detail: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Created(i64),
    Updated(i64),
    Unchanged,
    Stale,
    /// A newer document of the same code stands in the same page.
    Superseded,
    /// Refers to records that are not there yet.
    Deferred(Vec<(Entity, String)>),
    Refused(Failure),
}

#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Somebody else wrote the same links meanwhile, or the database chose us to end a deadlock: start the page over.
    #[error("another writer was faster; the page starts over")]
    Conflict,
    /// Another daemon has taken over the stream: stop, write nothing.
    #[error("the stream's lease was lost to another daemon")]
    LeaseLost,
    #[error("the database failed: {0}")]
    Database(#[source] sqlx::Error),
    #[error("a command failed: {0}")]
    Command(#[source] CommandError),
}

impl From<sqlx::Error> for ApplyError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|database| database.code());
        match code.as_deref() {
            // serialization_failure, deadlock_detected, lock_not_available
            Some("40001" | "40P01" | "55P03") => ApplyError::Conflict,
            _ => ApplyError::Database(error),
        }
    }
}

/// A record that is going to be written.
struct Row<'a> {
    place: usize,
    incoming: Incoming<'a>,
    link: Option<Link>,
    internal_id: i64,
    /// No commerce row is known for it yet.
    is_new: bool,
    refs: Vec<Option<i64>>,
}

/// Applies `incoming`, all of `cx.entity`, and answers a verdict for each in the same order.
pub async fn apply(
    tx: &mut PgConnection,
    cx: &ApplyContext<'_>,
    incoming: &[Incoming<'_>],
) -> Result<Vec<Verdict>, ApplyError> {
    let mut verdicts: Vec<Verdict> = vec![Verdict::Unchanged; incoming.len()];
    let (places, overtaken) = fold(incoming);
    for place in overtaken {
        verdicts[place] = Verdict::Superseded;
    }

    let mut places = places;
    while !places.is_empty() {
        places = round(tx, cx, incoming, &places, &mut verdicts).await?;
    }
    Ok(verdicts)
}

/// Applies the records in `places` and answers those that have to come after them: their code is given up by another
/// record of this page.
async fn round(
    tx: &mut PgConnection,
    cx: &ApplyContext<'_>,
    incoming: &[Incoming<'_>],
    places: &[usize],
    verdicts: &mut [Verdict],
) -> Result<Vec<usize>, ApplyError> {
    let codes: Vec<&str> = places.iter().map(|place| incoming[*place].change.code.as_ref()).collect();
    let mut held = links::by_code(tx, cx.connector, cx.entity, &codes).await?;
    let mut notes: Vec<(Link, usize)> = Vec::new();
    let mut rows: Vec<Row<'_>> = Vec::new();
    for place in places {
        let (place, record) = (*place, incoming[*place]);
        match held.remove(record.change.code.as_ref()) {
            None => rows.push(Row::new(place, record, None)),
            Some(link) => match standing(record, &link, cx.full_pass_started) {
                Standing::Unchanged { note: false } => {}
                Standing::Unchanged { note: true } => notes.push((link, place)),
                Standing::Stale => verdicts[place] = Verdict::Stale,
                Standing::Changed => rows.push(Row::new(place, record, Some(link))),
            },
        }
    }

    let mut postponed = Vec::new();
    if !rows.is_empty() {
        let renamed = adopt_renamed(tx, cx, &mut rows, verdicts).await?;
        let mut stays = |link: Option<&Link>, place: usize| {
            let taken = link.and_then(|link| renamed.get(&link.id)).is_some_and(|by| *by != place);
            if taken {
                postponed.push(place);
            }
            !taken
        };
        rows.retain(|row| stays(row.link.as_ref(), row.place));
        notes.retain(|(link, place)| stays(Some(link), *place));
    }
    let written = rows.iter().filter_map(|row| row.link.as_ref());
    lock(tx, written.chain(notes.iter().map(|(link, _)| link))).await?;
    if !rows.is_empty() {
        identify(tx, cx, &mut rows, verdicts).await?;
        let rows = resolve(tx, cx, rows, verdicts).await?;
        write(tx, cx, &rows, verdicts).await?;
    }
    if !notes.is_empty() {
        note_versions(tx, cx, incoming, &notes).await?;
    }
    Ok(postponed)
}

impl<'a> Row<'a> {
    fn new(place: usize, incoming: Incoming<'a>, link: Option<Link>) -> Row<'a> {
        let internal_id = link.as_ref().map_or(0, |link| link.internal_id);
        Row { place, incoming, link, internal_id, is_new: false, refs: Vec::new() }
    }

    fn code(&self) -> &str {
        self.incoming.change.code.as_ref()
    }
}

async fn lock(tx: &mut PgConnection, links: impl Iterator<Item = &Link>) -> Result<(), ApplyError> {
    let links: Vec<&Link> = links.collect();
    if links.is_empty() || links::lock(tx, &links).await? { Ok(()) } else { Err(ApplyError::Conflict) }
}

/// Code unknown but external id known: the card was renamed over there. Its link is kept, with the old code as alias.
/// Answers the links that were found so, and the place of the row that has each.
async fn adopt_renamed(
    tx: &mut PgConnection,
    cx: &ApplyContext<'_>,
    rows: &mut Vec<Row<'_>>,
    verdicts: &mut [Verdict],
) -> Result<HashMap<i64, usize>, ApplyError> {
    let mut adopted = HashMap::new();
    let ids: Vec<&str> = rows
        .iter()
        .filter(|row| row.link.is_none())
        .filter_map(|row| row.incoming.change.external_id.as_deref())
        .collect();
    if ids.is_empty() {
        return Ok(adopted);
    }
    let mut known = links::by_external_id(tx, cx.connector, cx.entity, &ids).await?;
    if known.is_empty() {
        return Ok(adopted);
    }
    let mut aliases: Vec<(String, i64)> = Vec::new();
    rows.retain_mut(|row| {
        let external_id = row.incoming.change.external_id.as_deref().filter(|_| row.link.is_none());
        let Some(link) = external_id.and_then(|id| known.remove(id)) else { return true };
        // An older document under a name that it had once changes nothing.
        if is_older(row.incoming, &link, cx.full_pass_started) {
            verdicts[row.place] = Verdict::Stale;
            return false;
        }
        // Equal content or not: the record's own code has to follow.
        aliases.push((link.code.clone(), link.internal_id));
        adopted.insert(link.id, row.place);
        row.internal_id = link.internal_id;
        row.link = Some(link);
        true
    });
    let aliases: Vec<(&str, i64)> = aliases.iter().map(|(code, id)| (code.as_str(), *id)).collect();
    if !aliases.is_empty() {
        links::remember_aliases(tx, cx.connector, cx.entity, &aliases).await?;
    }
    Ok(adopted)
}

/// Gives rows without a link an internal id: that of a record with the same natural code (of another instance, or made
/// by a person), else a new one.
async fn identify(
    tx: &mut PgConnection,
    cx: &ApplyContext<'_>,
    rows: &mut Vec<Row<'_>>,
    verdicts: &mut [Verdict],
) -> Result<(), ApplyError> {
    let fresh: Vec<usize> = (0..rows.len()).filter(|place| rows[*place].link.is_none()).collect();
    if fresh.is_empty() {
        return Ok(());
    }
    let codes: Vec<&str> = fresh.iter().map(|place| rows[*place].incoming.change.code.as_ref()).collect();
    let known = entities::ids_by_code(tx, cx.entity, &codes).await?;
    let missing = if cx.may_create { known.iter().filter(|id| id.is_none()).count() } else { 0 };
    let mut allocated = entities::allocate_ids(tx, cx.entity, missing).await?.into_iter();
    for (place, id) in fresh.into_iter().zip(known) {
        let row = &mut rows[place];
        if id.is_none() && !cx.may_create {
            verdicts[row.place] = Verdict::Refused(not_master(cx, row.code()));
            continue;
        }
        match id.or_else(|| {
            row.is_new = true;
            allocated.next()
        }) {
            Some(id) => row.internal_id = id,
            None => return Err(ApplyError::Conflict),
        }
    }
    rows.retain(|row| row.internal_id != 0);
    Ok(())
}

fn not_master(cx: &ApplyContext<'_>, code: &str) -> Failure {
    Failure {
        cause: Cause::Data,
        reason: "not_master".to_owned(),
        field: Some("code".to_owned()),
        value: Some(code.to_owned()),
        detail: format!("{} may not create a {}, and none has the code {code}", cx.connector, cx.entity),
    }
}

/// Turns the external codes of references into internal ids; rows that name something unknown are deferred, refused,
/// or have it made for them.
async fn resolve<'a>(
    tx: &mut PgConnection,
    cx: &ApplyContext<'_>,
    rows: Vec<Row<'a>>,
    verdicts: &mut [Verdict],
) -> Result<Vec<Row<'a>>, ApplyError> {
    if cx.references.is_empty() {
        return Ok(rows);
    }
    let mut wanted: BTreeSet<(Entity, &str)> = BTreeSet::new();
    for row in &rows {
        for (field, entity, _) in cx.references {
            if let Some(code) = row.incoming.change.values[*field].as_text() {
                wanted.insert((*entity, code));
            }
        }
    }
    let entities: Vec<&str> = wanted.iter().map(|(entity, _)| entity.as_str()).collect();
    let codes: Vec<&str> = wanted.iter().map(|(_, code)| *code).collect();
    let mut known =
        if wanted.is_empty() { HashMap::new() } else { links::resolve(tx, cx.connector, &entities, &codes).await? };
    for (_, entity, on_missing) in cx.references {
        if *on_missing == OnMissing::Create {
            let missing: Vec<&str> = wanted
                .iter()
                .filter(|(of, code)| of == entity && !known.contains_key(&(*of, (*code).to_owned())))
                .map(|(_, code)| *code)
                .collect();
            create_placeholders(tx, cx, *entity, &missing, &mut known).await?;
        }
    }

    // A record may refer to another one of its own page (a category to its parent), as long as that one goes in.
    let mut going: HashMap<&str, i64> = if cx.references.iter().any(|(_, entity, _)| *entity == cx.entity) {
        rows.iter().map(|row| (row.incoming.change.code.as_ref(), row.internal_id)).collect()
    } else {
        HashMap::new()
    };
    let mut dropped: HashSet<usize> = HashSet::new();
    loop {
        let before = dropped.len();
        for row in &rows {
            if dropped.contains(&row.place) {
                continue;
            }
            if let Some(verdict) = missing_of(cx, row.incoming.change, &known, &going) {
                going.remove(row.code());
                verdicts[row.place] = verdict;
                dropped.insert(row.place);
            }
        }
        if dropped.len() == before {
            break;
        }
    }
    let mut kept = rows;
    kept.retain(|row| !dropped.contains(&row.place));
    for row in &mut kept {
        let change = row.incoming.change;
        row.refs = vec![None; change.values.len()];
        for (field, entity, _) in cx.references {
            if let Some(code) = change.values[*field].as_text() {
                row.refs[*field] = lookup(cx, *entity, code, &known, &going);
            }
        }
    }
    Ok(kept)
}

fn lookup(
    cx: &ApplyContext<'_>,
    entity: Entity,
    code: &str,
    known: &HashMap<(Entity, String), i64>,
    going: &HashMap<&str, i64>,
) -> Option<i64> {
    let own = if entity == cx.entity { going.get(code).copied() } else { None };
    own.or_else(|| known.get(&(entity, code.to_owned())).copied())
}

/// What to do with a record because of the references that lead nowhere; a refusal weighs more than a wait.
fn missing_of(
    cx: &ApplyContext<'_>,
    change: &Change<'_>,
    known: &HashMap<(Entity, String), i64>,
    going: &HashMap<&str, i64>,
) -> Option<Verdict> {
    let mut waits = Vec::new();
    for (field, entity, on_missing) in cx.references {
        let Some(code) = change.values[*field].as_text() else { continue };
        if lookup(cx, *entity, code, known, going).is_some() {
            continue;
        }
        if *on_missing == OnMissing::Fail {
            return Some(Verdict::Refused(missing_reference(cx.entity, *field, *entity, code)));
        }
        waits.push((*entity, code.to_owned()));
    }
    (!waits.is_empty()).then_some(Verdict::Deferred(waits))
}

/// The failure of a record whose reference does not exist: `Category not found: X`.
pub fn missing_reference(of: Entity, field: usize, entity: Entity, code: &str) -> Failure {
    let name = entity.as_str().replace('_', " ");
    let mut letters = name.chars();
    let title: String = letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect();
    Failure {
        cause: Cause::Data,
        reason: "missing_reference".to_owned(),
        field: of.fields().get(field).map(|spec| spec.name.to_owned()),
        value: Some(code.to_owned()),
        detail: format!("{title} not found: {code}"),
    }
}

/// Makes records that a mapping says may be made (a warehouse of which only the number is known), with the code as
/// name and a link without content, so that the first real document about them fills them in.
async fn create_placeholders(
    tx: &mut PgConnection,
    cx: &ApplyContext<'_>,
    entity: Entity,
    codes: &[&str],
    known: &mut HashMap<(Entity, String), i64>,
) -> Result<(), ApplyError> {
    if codes.is_empty() {
        return Ok(());
    }
    let existing = entities::ids_by_code(tx, entity, codes).await?;
    let missing = existing.iter().filter(|id| id.is_none()).count();
    let mut allocated = entities::allocate_ids(tx, entity, missing).await?.into_iter().peekable();
    let changes: Vec<Change<'_>> = codes.iter().map(|code| placeholder(entity, code)).collect();
    let mut made = Vec::new();
    let mut new_links = Vec::new();
    let mut found_links = Vec::new();
    for (change, id) in changes.iter().zip(existing) {
        let link = |internal_id| LinkWrite {
            id: 0,
            internal_id,
            code: &change.code,
            external_id: None,
            hash: None,
            version: None,
            received_at: DateTime::UNIX_EPOCH,
        };
        match (id, allocated.next_if(|_| id.is_none())) {
            (Some(id), _) => found_links.push(link(id)),
            (None, Some(id)) => {
                made.push(Resolved { id, is_new: true, change, refs: &[] });
                new_links.push(link(id));
            }
            (None, None) => return Err(ApplyError::Conflict),
        }
    }
    // A record that this instance knows under another code is found all the same, without a second link.
    if !found_links.is_empty() {
        links::insert(tx, cx.connector, entity, &found_links).await?;
    }
    known.extend(found_links.iter().map(|link| ((entity, link.code.to_owned()), link.internal_id)));
    if made.is_empty() {
        return Ok(());
    }
    if !links::insert(tx, cx.connector, entity, &new_links).await? {
        return Err(ApplyError::Conflict);
    }
    let outcomes = entities::upsert(tx, entity, &cx.write, &made).await.map_err(|error| match error {
        error if error.retry_at_once() => ApplyError::Conflict,
        CommandError::Database(error) => error.into(),
        error => ApplyError::Command(error),
    })?;
    let mut refused = Vec::new();
    for (link, outcome) in new_links.iter().zip(outcomes) {
        match outcome {
            Outcome::Refused(_) => refused.push(link.code),
            _ => {
                known.insert((entity, link.code.to_owned()), link.internal_id);
            }
        }
    }
    if !refused.is_empty() {
        links::delete_new(tx, cx.connector, entity, &refused).await?;
    }
    Ok(())
}

fn placeholder<'a>(entity: Entity, code: &'a str) -> Change<'a> {
    let named = |name| if name == "name" { Value::Text(code.into()) } else { Value::Absent };
    Change {
        entity,
        code: code.into(),
        external_id: None,
        version: None,
        values: entity.fields().iter().map(|field| named(field.name)).collect(),
        hash: [0; 16],
        ordinal: 0,
    }
}

/// Writes rows and their links. What still raises in the database is isolated: the batch is halved under savepoints
/// until the record that is to blame stands alone.
async fn write(
    tx: &mut PgConnection,
    cx: &ApplyContext<'_>,
    rows: &[Row<'_>],
    verdicts: &mut [Verdict],
) -> Result<(), ApplyError> {
    let mut pending: Vec<Vec<&Row<'_>>> = vec![rows.iter().collect()];
    let mut halved = false;
    while let Some(mut batch) = pending.pop() {
        if batch.is_empty() {
            continue;
        }
        let mut savepoint = tx.begin().await?;
        let failure = match write_batch(&mut savepoint, cx, &batch).await {
            Ok(outcomes) => {
                savepoint.commit().await?;
                for (row, outcome) in batch.iter().zip(outcomes) {
                    verdicts[row.place] = match outcome {
                        Outcome::Created => Verdict::Created(row.internal_id),
                        Outcome::Updated => Verdict::Updated(row.internal_id),
                        Outcome::Unchanged => Verdict::Unchanged,
                        Outcome::Refused(violation) => without_its_parent(cx, row, &violation)
                            .unwrap_or_else(|| Verdict::Refused(refused(violation))),
                    };
                }
                continue;
            }
            Err(BatchError::Whole(error)) => return Err(error),
            Err(BatchError::OneOfThem(failure)) => failure,
        };
        savepoint.rollback().await?;
        if let [row] = batch.as_slice() {
            verdicts[row.place] = Verdict::Refused(failure);
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
    Some(match on_missing {
        OnMissing::Fail => Verdict::Refused(missing_reference(cx.entity, *field, *entity, code)),
        OnMissing::Defer | OnMissing::Create => Verdict::Deferred(vec![(*entity, code.to_owned())]),
    })
}

/// Why a batch could not be written.
enum BatchError {
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
    rows: &[&Row<'_>],
) -> Result<Vec<Outcome>, BatchError> {
    let fresh: Vec<LinkWrite<'_>> = rows.iter().filter(|row| row.link.is_none()).map(|row| row.link_write()).collect();
    // Links first: a second writer of the same new code waits here for our end instead of making a second row.
    if !fresh.is_empty() && !links::insert(tx, cx.connector, cx.entity, &fresh).await? {
        return Err(if cx.isolate {
            BatchError::OneOfThem(link_conflict(fresh[0].code))
        } else {
            BatchError::Whole(ApplyError::Conflict)
        });
    }
    let resolved: Vec<Resolved<'_>> = rows
        .iter()
        .map(|row| Resolved { id: row.internal_id, is_new: row.is_new, change: row.incoming.change, refs: &row.refs })
        .collect();
    let outcomes = match entities::upsert(tx, cx.entity, &cx.write, &resolved).await {
        Ok(outcomes) => outcomes,
        Err(error) if error.retry_at_once() && !cx.isolate => return Err(BatchError::Whole(ApplyError::Conflict)),
        Err(CommandError::Database(error)) => return Err(error.into()),
        Err(error) => return Err(BatchError::Whole(ApplyError::Command(error))),
    };

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
        links::update(tx, &applied).await?;
    }
    Ok(outcomes)
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
        }
    }
}

/// Equal content under a newer version or a new id: only the link moves.
async fn note_versions(
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
            LinkWrite {
                id: link.id,
                internal_id: link.internal_id,
                code: record.change.code.as_ref(),
                external_id: record.change.external_id.as_deref(),
                hash: Some(&record.change.hash),
                version: record.change.version.as_ref(),
                received_at: record.received_at.max(link.last_synced_at),
            }
        })
        .collect();
    links::update(tx, &writes).await?;
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

fn refused(violation: Violation) -> Failure {
    Failure {
        cause: Cause::Data,
        reason: violation.rule.to_owned(),
        field: Some(violation.field.to_owned()),
        value: violation.value,
        detail: violation.detail,
    }
}

/// Whether the database refused what a record says (and which rule), rather than being in trouble itself.
fn blame(error: &sqlx::Error) -> Option<Failure> {
    if let Some(violation) = crate::commerce::violation_of(error) {
        return Some(refused(violation));
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
