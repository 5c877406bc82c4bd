//! Applies the records of a page within the caller's transaction and tells what became of each.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use kopru_sdk::Cause;
use sqlx::PgConnection;

use super::{
    ahead::Known,
    batch::{note_versions, write},
    plan::{Incoming, Standing, fold, is_older, standing, turns},
    references::resolve,
};
use crate::{
    canonical::Entity,
    commerce::{CommandError, WriteContext},
    hub::{
        entities::{self, Resolved},
        links::{self, Asked, Held, Link},
    },
    mapping::OnMissing,
};

/// What a page's records share.
#[derive(Debug, Clone)]
pub struct ApplyContext<'a> {
    /// The instance whose links are meant.
    pub connector: &'a str,
    pub entity: Entity,
    /// The stream to which the links belong that are written; `None`: they stay whose they are.
    pub stream: Option<&'a str>,
    /// The reference fields of the mapping, and what to do when the record they name is not there.
    pub references: &'a [(usize, Entity, OnMissing)],
    /// The field whose unit must be one of the product's, or at least of somebody's.
    pub known_unit: Option<usize>,
    pub write: WriteContext<'a>,
    /// Whether the instance may create records of this entity, or only finds existing ones by their code.
    pub may_create: bool,
    /// Starting over has not helped: what looks like another writer is a record's own fault, and is isolated.
    pub isolate: bool,
    /// Equal content is written all the same: the store may have been changed behind it.
    pub compares: bool,
    /// When the records come from a complete pass: its start, by the database's clock.
    pub full_pass_started: Option<DateTime<Utc>>,
    /// What was asked before; whatever is not in it is asked when it is needed.
    pub known: Option<&'a Known>,
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
    Unchanged(i64),
    /// Overtaken by what the record has had; or by what waits for it, and then there may be no record yet. Also a record
    /// that is none of ours ([`entities::is_only_linked`]).
    Stale(Option<i64>),
    /// A newer document of the same code stands in the same page; the record that it made or changed, if it did.
    Superseded(Option<i64>),
    /// Refers to records that are not there yet.
    Deferred(Vec<(Entity, String)>),
    /// Boxed: of nearly every record nothing of it is there.
    Refused(Box<Failure>),
}

impl Verdict {
    /// The record that it is about, as far as there is one.
    pub fn internal_id(&self) -> Option<i64> {
        match self {
            Verdict::Created(id) | Verdict::Updated(id) | Verdict::Unchanged(id) => Some(*id),
            Verdict::Stale(id) | Verdict::Superseded(id) => *id,
            Verdict::Deferred(_) | Verdict::Refused(_) => None,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Somebody else wrote the same links meanwhile, or the database chose us to end a deadlock: start the page over.
    #[error("another writer was faster; the page starts over")]
    Conflict,
    /// A record that was recalled is not what its link holds: start over and read all of them.
    #[error("a record has to be read again; the page starts over")]
    Recalled,
    /// Another daemon has taken over the stream: stop, write nothing.
    #[error("the stream's lease was lost to another daemon")]
    LeaseLost,
    /// See [`Guard::Without`]: start over with savepoints.
    #[error("the store refused a record outside of a savepoint")]
    Unguarded,
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

/// What is done about a record that only the store refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guard {
    /// Records are written under savepoints, and that one is isolated.
    Savepoints,
    /// The same where the store has refused one already: it is looked first who has the keys of the others.
    Wary,
    /// The try ends as [`ApplyError::Unguarded`]; who called undoes it, to a savepoint of his own or as a whole.
    Without,
}

/// A record that is going to be written.
pub(super) struct Row<'a> {
    pub(super) place: usize,
    pub(super) incoming: Incoming<'a>,
    pub(super) link: Option<Link>,
    pub(super) internal_id: i64,
    /// No commerce row is known for it yet.
    pub(super) is_new: bool,
    pub(super) refs: Vec<Option<i64>>,
}

/// A link that a record had when it came: the record's place, and the link's own id.
pub type Had = (usize, i64);

/// Applies `incoming`, all of `cx.entity`, and answers a verdict for each in the same order; adds to `seen`.
pub async fn apply_marking(
    tx: &mut PgConnection,
    cx: &ApplyContext<'_>,
    incoming: &[Incoming<'_>],
    seen: &mut Vec<Had>,
) -> Result<Vec<Verdict>, ApplyError> {
    apply_guarded(tx, cx, incoming, Guard::Savepoints, None, seen).await
}

/// The same where the caller may have a savepoint of his own. `ahead`: what the records have, asked before by
/// [`links::take`].
pub(super) async fn apply_guarded(
    tx: &mut PgConnection,
    cx: &ApplyContext<'_>,
    incoming: &[Incoming<'_>],
    guard: Guard,
    mut ahead: Option<Vec<Held>>,
    seen: &mut Vec<Had>,
) -> Result<Vec<Verdict>, ApplyError> {
    let mut verdicts: Vec<Verdict> = vec![Verdict::Superseded(None); incoming.len()];
    let (places, overtaken) = fold(incoming);
    for mut places in turns(incoming, places) {
        while !places.is_empty() {
            let how = (guard, ahead.take());
            places = round(tx, cx, incoming, &places, how, &mut verdicts, seen).await?;
        }
    }
    for (place, by) in overtaken {
        verdicts[place] = Verdict::Superseded(verdicts[by].internal_id());
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
    (guard, ahead): (Guard, Option<Vec<Held>>),
    verdicts: &mut [Verdict],
    seen: &mut Vec<Had>,
) -> Result<Vec<usize>, ApplyError> {
    let are_locked = ahead.is_some();
    let held = match ahead {
        Some(mut all) => places.iter().map(|place| std::mem::replace(&mut all[*place], Held::Nothing)).collect(),
        None => look(tx, cx, incoming, places).await?,
    };
    let mut notes: Vec<(Link, usize)> = Vec::new();
    let mut rows: Vec<Row<'_>> = Vec::new();
    for (place, held) in places.iter().zip(held) {
        let (place, record) = (*place, incoming[*place]);
        match held {
            Held::Nothing => rows.push(Row::new(place, record, None)),
            // As `standing` would say.
            Held::Same { id, internal_id } => {
                seen.push((place, id));
                verdicts[place] = Verdict::Unchanged(internal_id);
            }
            Held::Other(link) => {
                seen.push((place, link.id));
                match standing(record, &link, cx.full_pass_started) {
                    Standing::Unchanged { .. } if cx.compares => rows.push(Row::new(place, record, Some(*link))),
                    Standing::Unchanged { note } => {
                        verdicts[place] = Verdict::Unchanged(link.internal_id);
                        if note {
                            notes.push((*link, place));
                        }
                    }
                    Standing::Stale => verdicts[place] = Verdict::Stale(Some(link.internal_id)),
                    Standing::Changed => rows.push(Row::new(place, record, Some(*link))),
                }
            }
        }
    }

    if rows.iter().any(|row| row.incoming.change.is_recalled()) {
        return Err(ApplyError::Recalled);
    }
    let mut postponed = Vec::new();
    let mut renamed = HashMap::new();
    if entities::is_only_linked(cx.entity) {
        // Nor is one of ours taken for another: numbers of documents begin anew with a period.
        rows.retain(|row| {
            if row.link.is_none() {
                verdicts[row.place] = Verdict::Stale(None);
            }
            row.link.is_some()
        });
    } else if !rows.is_empty() {
        renamed = adopt_renamed(tx, cx, &mut rows, verdicts, &mut postponed).await?;
        seen.extend(renamed.iter().map(|(link, place)| (*place, *link)));
        let mut given_up: HashSet<i64> = HashSet::new();
        for (link, place) in held_by(&rows, &notes) {
            if renamed.get(&link.id).is_some_and(|by| *by != place) {
                given_up.insert(link.id);
            }
        }
        follow(&rows, &notes, &mut given_up);
        let mut stays = |link: Option<&Link>, place: usize| {
            let taken = link
                .is_some_and(|link| given_up.contains(&link.id) && renamed.get(&link.id).is_none_or(|by| *by != place));
            if taken {
                postponed.push(place);
            }
            !taken
        };
        rows.retain(|row| stays(row.link.as_ref(), row.place));
        notes.retain(|(link, place)| stays(Some(link), *place));
    }
    let written = rows.iter().filter_map(|row| row.link.as_ref()).chain(notes.iter().map(|(link, _)| link));
    lock(tx, written.filter(|link| !are_locked || renamed.contains_key(&link.id))).await?;
    if !rows.is_empty() {
        let rows = if entities::known_by_references(cx.entity) {
            let mut rows = resolve(tx, cx, rows, verdicts).await?;
            identify(tx, cx, &mut rows, verdicts).await?;
            rows
        } else {
            identify(tx, cx, &mut rows, verdicts).await?;
            resolve(tx, cx, rows, verdicts).await?
        };
        write(tx, cx, &rows, guard, verdicts).await?;
    }
    if !notes.is_empty() {
        note_versions(tx, cx, incoming, &notes).await?;
    }
    Ok(postponed)
}

async fn look(
    tx: &mut PgConnection,
    cx: &ApplyContext<'_>,
    incoming: &[Incoming<'_>],
    places: &[usize],
) -> Result<Vec<Held>, ApplyError> {
    let asked: Vec<Asked<'_>> = places.iter().map(|place| asked_about(incoming[*place])).collect();
    Ok(match cx.compares {
        // Of a link that is the same nothing would come but its ids.
        true => whole(tx, cx, &asked).await?,
        false => links::compare(tx, cx.connector, cx.entity, &asked).await?,
    })
}

async fn whole(tx: &mut PgConnection, cx: &ApplyContext<'_>, asked: &[Asked<'_>]) -> Result<Vec<Held>, ApplyError> {
    let codes: Vec<&str> = asked.iter().map(|one| one.code).collect();
    let mut links = links::by_code(tx, cx.connector, cx.entity, &codes).await?;
    let held = codes.iter().map(|code| links.remove(*code).map_or(Held::Nothing, |link| Held::Other(Box::new(link))));
    Ok(held.collect())
}

pub(super) fn asked_about(record: Incoming<'_>) -> Asked<'_> {
    let change = record.change;
    let (code, external_id) = (change.code.as_ref(), change.external_id.as_deref());
    Asked { code, external_id, hash: &change.hash, version: change.version.as_ref() }
}

/// The links that records of this round have, and the place of the record.
fn held_by<'r>(rows: &'r [Row<'_>], notes: &'r [(Link, usize)]) -> impl Iterator<Item = (&'r Link, usize)> {
    let written = rows.iter().filter_map(|row| Some((row.link.as_ref()?, row.place)));
    written.chain(notes.iter().map(|(link, place)| (link, *place)))
}

/// Who comes to a code that is given up in this round gives up another one in the next: who comes to that one waits as
/// well, however long the chain.
fn follow(rows: &[Row<'_>], notes: &[(Link, usize)], given_up: &mut HashSet<i64>) {
    if given_up.is_empty() {
        return;
    }
    let by_external_id: HashMap<&str, i64> =
        held_by(rows, notes).filter_map(|(link, _)| Some((link.external_id.as_deref()?, link.id))).collect();
    let coming: HashMap<i64, &str> = rows
        .iter()
        .filter_map(|row| Some((row.link.as_ref()?, row.incoming.change.external_id.as_deref()?)))
        .filter(|(link, id)| link.external_id.as_deref() != Some(*id))
        .map(|(link, id)| (link.id, id))
        .collect();
    let mut next: Vec<i64> = given_up.iter().copied().collect();
    while let Some(link) = next.pop() {
        let left = coming.get(&link).and_then(|id| by_external_id.get(id)).copied();
        if let Some(left) = left.filter(|left| *left != link)
            && given_up.insert(left)
        {
            next.push(left);
        }
    }
}

impl<'a> Row<'a> {
    fn new(place: usize, incoming: Incoming<'a>, link: Option<Link>) -> Row<'a> {
        let internal_id = link.as_ref().map_or(0, |link| link.internal_id);
        Row { place, incoming, link, internal_id, is_new: false, refs: Vec::new() }
    }

    pub(super) fn resolved(&self) -> Resolved<'_> {
        Resolved { id: self.internal_id, is_new: self.is_new, change: self.incoming.change, refs: &self.refs }
    }

    pub(super) fn code(&self) -> &str {
        self.incoming.change.code.as_ref()
    }

    /// Whether its code, which no link has, may be one that a record had before.
    fn may_be_alias(&self, cx: &ApplyContext<'_>) -> bool {
        let is_own = !entities::is_of_another(cx.entity);
        is_own && self.link.is_none() && self.incoming.change.external_id.is_none()
    }
}

async fn lock(tx: &mut PgConnection, links: impl Iterator<Item = &Link>) -> Result<(), ApplyError> {
    let links: Vec<&Link> = links.collect();
    if links.is_empty() || links::lock(tx, &links).await? { Ok(()) } else { Err(ApplyError::Conflict) }
}

/// Code unknown but external id known: the card was renamed over there. So it was when the code is one that the card had
/// before, and the document tells no external id that says otherwise. Its link is kept, with the old code as alias.
/// Answers the links that were found so, and the place of the row that has each.
async fn adopt_renamed(
    tx: &mut PgConnection,
    cx: &ApplyContext<'_>,
    rows: &mut Vec<Row<'_>>,
    verdicts: &mut [Verdict],
    postponed: &mut Vec<usize>,
) -> Result<HashMap<i64, usize>, ApplyError> {
    let mut adopted = HashMap::new();
    let ids: Vec<&str> = rows
        .iter()
        .filter(|row| row.link.is_none())
        .filter_map(|row| row.incoming.change.external_id.as_deref())
        .collect();
    let former: Vec<&str> = rows.iter().filter(|row| row.may_be_alias(cx)).map(Row::code).collect();
    let mut known = HashMap::new();
    if !ids.is_empty() {
        known = links::by_external_id(tx, cx.connector, cx.entity, &ids).await?;
    }
    let mut former = match former.is_empty() {
        true => HashMap::new(),
        false => links::by_alias(tx, cx.connector, cx.entity, &former).await?,
    };
    if known.is_empty() && former.is_empty() {
        return Ok(adopted);
    }
    let former_ids: HashSet<i64> = former.values().map(|link| link.id).collect();
    let taken: HashSet<i64> =
        rows.iter().filter_map(|row| Some(row.link.as_ref()?.id)).filter(|id| former_ids.contains(id)).collect();
    let mut aliases: Vec<(String, i64)> = Vec::new();
    rows.retain_mut(|row| {
        if row.link.is_some() {
            return true;
        }
        let found = match row.incoming.change.external_id.as_deref() {
            Some(id) => known.remove(id),
            None => former.remove(row.code()),
        };
        let Some(link) = found else { return true };
        // The record comes under another of its names as well: one after the other.
        if taken.contains(&link.id) || adopted.contains_key(&link.id) {
            postponed.push(row.place);
            return false;
        }
        // An older document under a name that it had once changes nothing.
        if is_older(row.incoming, &link, cx.full_pass_started) {
            verdicts[row.place] = Verdict::Stale(Some(link.internal_id));
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

/// Gives rows without a link an internal id: that of a record which is the same (of another instance, or made by a
/// person), else a new one.
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
    let unlinked: Vec<Resolved<'_>> = fresh.iter().map(|place| rows[*place].resolved()).collect();
    let known = entities::existing_ids(tx, cx.entity, &unlinked).await?;
    let missing = if cx.may_create { known.iter().filter(|id| id.is_none()).count() } else { 0 };
    let mut allocated = entities::allocate_ids(tx, cx.entity, missing).await?.into_iter();
    for (place, id) in fresh.into_iter().zip(known) {
        let row = &mut rows[place];
        if id.is_none() && !cx.may_create {
            verdicts[row.place] = Verdict::Refused(not_master(cx, row.code()).into());
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
    adopt_recoded(tx, cx, rows, verdicts).await
}

/// Found by what it is, under a code that is new: a stock level whose product was renamed, for one. The record keeps
/// the link that it has, and the link follows the code.
async fn adopt_recoded(
    tx: &mut PgConnection,
    cx: &ApplyContext<'_>,
    rows: &mut Vec<Row<'_>>,
    verdicts: &mut [Verdict],
) -> Result<(), ApplyError> {
    let found: Vec<i64> =
        rows.iter().filter(|row| row.link.is_none() && !row.is_new).map(|row| row.internal_id).collect();
    if found.is_empty() {
        return Ok(());
    }
    let mut known = links::by_internal_id(tx, cx.connector, cx.entity, &found).await?;
    // A link that comes under its own code in this page stays where it is: two codes that claim one record.
    known.retain(|_, link| !rows.iter().any(|row| row.link.as_ref().is_some_and(|held| held.id == link.id)));
    if known.is_empty() {
        return Ok(());
    }
    lock(tx, known.values()).await?;
    let mut aliases: Vec<(String, i64)> = Vec::new();
    rows.retain_mut(|row| {
        if row.link.is_some() || row.is_new {
            return true;
        }
        let Some(link) = known.remove(&row.internal_id) else { return true };
        if is_older(row.incoming, &link, cx.full_pass_started) {
            verdicts[row.place] = Verdict::Stale(Some(link.internal_id));
            return false;
        }
        aliases.push((link.code.clone(), link.internal_id));
        row.link = Some(link);
        true
    });
    let aliases: Vec<(&str, i64)> = aliases.iter().map(|(code, id)| (code.as_str(), *id)).collect();
    if !aliases.is_empty() {
        links::remember_aliases(tx, cx.connector, cx.entity, &aliases).await?;
    }
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
