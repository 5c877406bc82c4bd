//! Items: records that go in together or not at all, one of a mapping and those of its parts.
//!
//! Invariants
//! - An item of which any record is refused leaves nothing; so does one that has to wait.
//! - Of two items of one code only the newer one counts, with all its records; the older one when the newer is refused.
//! - Items of one external id under several codes go in one after the other: the last code keeps it.
//! - Entities are applied in the order of [`Entity::ALL`], records of one entity by one call, whichever part they are of.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::{
    ahead::{self, Ahead},
    apply::{ApplyContext, ApplyError, Guard, Verdict, apply_guarded},
    plan::{Incoming, Twins, twins},
    record::{Settled, settle_with, went_in},
};
use crate::{
    canonical::{Change, Entity},
    commerce::WriteContext,
    hub::{dead_letters, deferral, engine::Engine},
    mapping::{Mapped, Mapping, OnMissing},
};

/// What the items of a document share.
#[derive(Debug, Clone, Copy)]
pub struct ItemsContext<'a> {
    pub connector: &'a str,
    /// See [`ApplyContext::stream`].
    pub stream: Option<&'a str>,
    pub write: WriteContext<'a>,
    /// See [`ApplyContext::isolate`].
    pub isolate: bool,
    /// Letters whose own documents these are.
    pub replaying: &'a [Uuid],
    /// There is one item, and whoever called undoes everything when it is refused: it asks [`ahead`], and needs no
    /// savepoint. What only a savepoint could isolate ends as [`ApplyError::Unguarded`].
    pub stands_alone: bool,
}

/// When a document was received, and the place of its first record in it.
#[derive(Debug, Clone, Copy)]
pub struct Receipt {
    pub at: DateTime<Utc>,
    pub first: i64,
}

impl Receipt {
    pub fn of<'a>(self, change: &'a Change<'a>) -> Incoming<'a> {
        Incoming { change, received_at: self.at, ordinal: self.first.saturating_add(i64::from(change.ordinal)) }
    }
}

/// What became of an item.
#[derive(Debug, Clone, PartialEq)]
pub struct Fate {
    pub verdict: Verdict,
    /// Which record of the item said so: 0 is its own, the others are those of the parts in their order.
    pub part: usize,
}

/// The records of one entity.
struct Sheet<'a> {
    entity: Entity,
    references: Vec<(usize, Entity, OnMissing)>,
    known_unit: Option<usize>,
    rows: Vec<SheetRow<'a>>,
}

#[derive(Clone, Copy)]
struct SheetRow<'a> {
    item: usize,
    part: usize,
    incoming: Incoming<'a>,
}

/// The items of one code that wait for their turn: each with its number and its external id.
struct Queue<'a> {
    next: (usize, Option<&'a str>),
    /// They count when the next one is refused, the last first.
    others: Vec<(usize, Option<&'a str>)>,
}

/// Items that are about to be applied. They are numbered by whoever adds them.
pub struct Items<'a> {
    /// Whose references say nothing else wait for what is missing, or do this.
    on_missing: Option<OnMissing>,
    sheets: Vec<Sheet<'a>>,
    fates: Vec<Option<Fate>>,
}

impl<'a> Items<'a> {
    /// `on_missing`: instead of waiting for a record that is not there.
    pub fn new(count: usize, on_missing: Option<OnMissing>) -> Items<'a> {
        Items { on_missing, sheets: Vec::new(), fates: vec![None; count] }
    }

    /// Adds what a document became, by [`Mapping::map_with_parts`]. `item` numbers its records by their ordinal.
    pub fn add(
        &mut self,
        mapping: &Mapping,
        document: &'a [Mapped<'_>],
        receipt: Receipt,
        item: impl Fn(u32) -> usize,
    ) {
        let mappings = std::iter::once(mapping).chain(mapping.parts().iter().map(AsRef::as_ref));
        for (part, (mapping, mapped)) in mappings.zip(document).enumerate() {
            for record in &mapped.rejected {
                let verdict = Verdict::Refused(super::record::rejected(record).into());
                if let Some(fate @ None) = self.fates.get_mut(item(record.ordinal)) {
                    *fate = Some(Fate { verdict, part });
                }
            }
            if mapped.changes.is_empty() {
                continue;
            }
            let sheet = self.sheet(mapping, part);
            sheet.rows.extend(mapped.changes.iter().map(|change| SheetRow {
                item: item(change.ordinal),
                part,
                incoming: receipt.of(change),
            }));
        }
    }

    /// The sheet of a mapping: that of its entity, if the same is to be done there about missing references.
    fn sheet(&mut self, mapping: &Mapping, part: usize) -> &mut Sheet<'a> {
        let references: Vec<_> = mapping
            .references()
            .iter()
            .map(|(field, entity, policy)| match (policy, &self.on_missing) {
                (OnMissing::Defer, Some(instead)) => (*field, *entity, instead.clone()),
                _ => (*field, *entity, policy.clone()),
            })
            .collect();
        let (entity, known_unit) = (mapping.entity(), mapping.known_unit());
        // The items' own records stand alone: which of them count is decided before any part.
        let fits = |sheet: &Sheet<'_>| {
            let own = sheet.rows.first().is_some_and(|row| row.part == 0);
            sheet.entity == entity
                && sheet.references == references
                && sheet.known_unit == known_unit
                && own == (part == 0)
        };
        let place = match self.sheets.iter().position(fits) {
            Some(place) => place,
            None => {
                self.sheets.push(Sheet { entity, references, known_unit, rows: Vec::new() });
                self.sheets.len() - 1
            }
        };
        &mut self.sheets[place]
    }

    /// Whether anything is left to be applied.
    pub fn is_settled(&self) -> bool {
        self.sheets.iter().flat_map(|sheet| &sheet.rows).all(|row| self.fates[row.item].is_some())
    }

    /// Applies them within the caller's transaction, and what that means for others. A fate for each item; `None` for
    /// numbers that no record has.
    pub async fn apply(
        self,
        tx: &mut PgConnection,
        engine: &Engine,
        cx: &ItemsContext<'_>,
    ) -> Result<Vec<Option<Fate>>, ApplyError> {
        self.apply_telling(tx, engine, cx, |_, _, _, _| ()).await
    }

    /// The same; tells what became of each record that was tried: its item, its part as in [`Fate::part`], its verdict, and
    /// the link that it had before.
    pub async fn apply_telling(
        mut self,
        tx: &mut PgConnection,
        engine: &Engine,
        cx: &ItemsContext<'_>,
        mut tell: impl FnMut(usize, usize, &Verdict, Option<i64>),
    ) -> Result<Vec<Option<Fate>>, ApplyError> {
        self.sheets.sort_by_key(|sheet| Entity::ALL.into_iter().position(|entity| entity == sheet.entity));
        let mut queues = self.queues();
        // Where there is one savepoint around all of it, the records need none until the store has refused one.
        let mut guard = Guard::Without;
        let mut ahead = self.look_ahead(tx, engine, cx).await?;
        while !queues.is_empty() {
            let turn = self.turn(&mut queues);
            // Items of a later turn meet what those before them have written.
            self.go_in(tx, engine, cx, &turn, (&mut guard, ahead.take()), &mut tell).await?;
            queues.retain_mut(|queue| self.is_open(queue));
        }
        Ok(self.fates)
    }

    /// What an item that stands alone asks before any of its records is applied.
    async fn look_ahead(
        &self,
        tx: &mut PgConnection,
        engine: &Engine,
        cx: &ItemsContext<'_>,
    ) -> Result<Option<Ahead>, ApplyError> {
        // Two sheets of one entity may be about one record.
        let are_others = self.sheets.windows(2).all(|two| two[0].entity != two[1].entity);
        if !cx.stands_alone || !are_others || self.is_settled() {
            return Ok(None);
        }
        let sheets = self
            .sheets
            .iter()
            .map(|sheet| (sheet.context(engine, cx), sheet.rows.iter().map(|row| row.incoming).collect::<Vec<_>>()));
        Ok(Some(ahead::look(tx, cx.connector, &sheets.collect::<Vec<_>>()).await?))
    }

    /// Items of each code that are not settled.
    fn queues(&self) -> Vec<Queue<'a>> {
        let mut seen = vec![false; self.fates.len()];
        let mut own: Vec<&SheetRow<'a>> = Vec::new();
        for row in self.sheets.iter().flat_map(|sheet| &sheet.rows).filter(|row| row.part == 0) {
            // A document that holds one record twice is one item.
            if self.fates[row.item].is_none() && !std::mem::replace(&mut seen[row.item], true) {
                own.push(row);
            }
        }
        let incoming: Vec<Incoming<'a>> = own.iter().map(|row| row.incoming).collect();
        let named = |place: usize| (own[place].item, incoming[place].change.external_id.as_deref());
        let queue =
            |twins: Twins| Queue { next: named(twins.wins), others: twins.others.into_iter().map(named).collect() };
        twins(&incoming).into_iter().map(queue).collect()
    }

    /// The items that are next: one of each code and of each external id.
    fn turn(&self, queues: &mut [Queue<'a>]) -> Vec<usize> {
        queues.sort_unstable_by_key(|queue| queue.next.0);
        let mut ids: HashSet<&str> = HashSet::new();
        let next = queues.iter().map(|queue| queue.next);
        next.filter(|(_, id)| id.is_none_or(|id| ids.insert(id))).map(|(item, _)| item).collect()
    }

    /// Whether another item of the code has to be tried. Those that were overtaken are told so.
    fn is_open(&mut self, queue: &mut Queue<'a>) -> bool {
        let verdict = match &self.fates[queue.next.0] {
            None => return true,
            Some(fate) => &fate.verdict,
        };
        if matches!(verdict, Verdict::Refused(_)) {
            return queue.others.pop().map(|next| queue.next = next).is_some();
        }
        let winner = verdict.internal_id();
        for (item, _) in queue.others.drain(..) {
            self.fates[item] = Some(Fate { verdict: Verdict::Superseded(winner), part: 0 });
        }
        false
    }

    /// Applies these items, none of which has the code or the external id of another.
    async fn go_in(
        &mut self,
        tx: &mut PgConnection,
        engine: &Engine,
        cx: &ItemsContext<'_>,
        items: &[usize],
        (guard, ahead): (&mut Guard, Option<Ahead>),
        tell: &mut impl FnMut(usize, usize, &Verdict, Option<i64>),
    ) -> Result<(), ApplyError> {
        let mut out = vec![true; self.fates.len()];
        items.iter().for_each(|item| out[*item] = false);
        loop {
            let ahead = ahead.as_ref();
            let attempt = if cx.stands_alone {
                let attempt = self.attempt(tx, engine, cx, out.clone(), Guard::Without, ahead).await?;
                if attempt.starts_over && !attempt.has_only_refusals() {
                    return Err(ApplyError::Unguarded);
                }
                attempt
            } else if self.have_several_records(&out) {
                let mut savepoint = tx.begin().await?;
                let attempt = match self.attempt(&mut savepoint, engine, cx, out.clone(), *guard, ahead).await {
                    Err(ApplyError::Unguarded) => {
                        savepoint.rollback().await?;
                        *guard = Guard::Wary;
                        continue;
                    }
                    attempt => attempt?,
                };
                if attempt.starts_over {
                    savepoint.rollback().await?;
                } else {
                    savepoint.commit().await?;
                }
                attempt
            } else {
                self.attempt(tx, engine, cx, out.clone(), Guard::Savepoints, ahead).await?
            };
            if attempt.starts_over {
                for (item, lost) in attempt.lost.into_iter().enumerate().filter(|(_, lost)| lost.is_some()) {
                    out[item] = true;
                    self.fates[item] = lost;
                }
                if cx.stands_alone {
                    return Ok(());
                }
                continue;
            }
            self.settle(tx, engine, cx, &attempt).await?;
            for (sheet, verdicts) in self.sheets.iter().zip(&attempt.verdicts) {
                for Tried { place, verdict, link } in verdicts {
                    let SheetRow { item, part, .. } = sheet.rows[*place];
                    tell(item, part, verdict, *link);
                }
            }
            for (item, (lost, applied)) in attempt.lost.into_iter().zip(attempt.applied).enumerate() {
                if let Some(fate) = self.fates.get_mut(item).filter(|fate| fate.is_none()) {
                    *fate = lost.or(applied);
                }
            }
            // Every item has a record of its own, or it would be in no queue.
            return Ok(());
        }
    }

    /// Whether an item could go in by halves.
    fn have_several_records(&self, out: &[bool]) -> bool {
        let mut seen = vec![false; self.fates.len()];
        let mut rows = self.sheets.iter().flat_map(|sheet| &sheet.rows).filter(|row| !out[row.item]);
        rows.any(|row| std::mem::replace(&mut seen[row.item], true))
    }

    async fn attempt(
        &self,
        tx: &mut PgConnection,
        engine: &Engine,
        cx: &ItemsContext<'_>,
        mut out: Vec<bool>,
        guard: Guard,
        ahead: Option<&Ahead>,
    ) -> Result<Attempt, ApplyError> {
        let count = self.fates.len();
        let mut attempt = Attempt {
            lost: vec![None; count],
            applied: vec![None; count],
            verdicts: Vec::with_capacity(self.sheets.len()),
            starts_over: false,
        };
        let mut known = ahead.map(|ahead| ahead.known.clone());
        for sheet in &self.sheets {
            let places: Vec<usize> = (0..sheet.rows.len()).filter(|place| !out[sheet.rows[*place].item]).collect();
            let incoming: Vec<Incoming<'_>> = places.iter().map(|place| sheet.rows[*place].incoming).collect();
            let mut context = sheet.context(engine, cx);
            context.known = known.as_ref();
            let held = ahead.and_then(|ahead| ahead.held.get(&sheet.entity));
            let held = held.map(|held| places.iter().map(|place| held[*place].clone()).collect());
            let mut seen = Vec::new();
            let verdicts = match incoming.is_empty() {
                true => Vec::new(),
                false => apply_guarded(tx, &context, &incoming, guard, held, &mut seen).await?,
            };
            let mut links = vec![None; incoming.len()];
            seen.into_iter().for_each(|(place, link)| links[place] = Some(link));
            for (place, verdict) in places.iter().zip(&verdicts) {
                let SheetRow { item, part, .. } = sheet.rows[*place];
                attempt.note(item, Fate { verdict: verdict.clone(), part });
                out[item] |= attempt.lost[item].is_some();
            }
            if let Some(known) = &mut known {
                // What comes after may refer to them, by the codes that they have from now on.
                let went_in = incoming.iter().zip(&verdicts).filter(|(_, verdict)| went_in(verdict));
                known.extend(went_in.filter_map(|(record, verdict)| {
                    Some(((sheet.entity, record.change.code.to_string()), verdict.internal_id()?))
                }));
            }
            let tried = places.into_iter().zip(verdicts).zip(links);
            attempt.verdicts.push(tried.map(|((place, verdict), link)| Tried { place, verdict, link }).collect());
        }
        Ok(attempt)
    }

    async fn settle(
        &self,
        tx: &mut PgConnection,
        engine: &Engine,
        cx: &ItemsContext<'_>,
        attempt: &Attempt,
    ) -> Result<(), ApplyError> {
        let mut entities: Vec<&str> = self.sheets.iter().map(|sheet| sheet.entity.as_str()).collect();
        entities.dedup();
        let open = deferral::open_work_of(tx, cx.connector, &entities).await?;
        let carried = if open.values().any(|open| open.letters) { self.carried(attempt) } else { Vec::new() };
        for (sheet, verdicts) in self.sheets.iter().zip(&attempt.verdicts) {
            let Some(open) = open.get(sheet.entity.as_str()).filter(|open| open.is_any()) else { continue };
            let carried: Vec<&[String]> = verdicts
                .iter()
                .map(|tried| carried.get(sheet.rows[tried.place].item).map(Vec::as_slice).unwrap_or_default())
                .collect();
            let incoming: Vec<Incoming<'_>> = verdicts.iter().map(|tried| sheet.rows[tried.place].incoming).collect();
            let verdicts: Vec<Verdict> = verdicts.iter().map(|tried| tried.verdict.clone()).collect();
            let settled = Settled { incoming: &incoming, verdicts: &verdicts, carried: &carried };
            settle_with(tx, &sheet.context(engine, cx), &settled, cx.replaying, *open).await?;
        }
        Ok(())
    }

    /// By item: all its records.
    fn carried(&self, attempt: &Attempt) -> Vec<Vec<String>> {
        let mut carried = vec![Vec::new(); self.fates.len()];
        for (sheet, verdicts) in self.sheets.iter().zip(&attempt.verdicts) {
            for tried in verdicts {
                let row = &sheet.rows[tried.place];
                carried[row.item].extend(dead_letters::names_of(sheet.entity, Some(&row.incoming.change.code)));
            }
        }
        carried
    }
}

impl Sheet<'_> {
    fn context<'c>(&'c self, engine: &Engine, cx: &ItemsContext<'c>) -> ApplyContext<'c> {
        ApplyContext {
            connector: cx.connector,
            entity: self.entity,
            stream: cx.stream,
            references: &self.references,
            known_unit: self.known_unit,
            write: cx.write,
            may_create: engine.is_master(cx.connector, self.entity),
            isolate: cx.isolate,
            compares: false,
            full_pass_started: None,
            known: None,
        }
    }
}

/// One pass over all sheets.
struct Attempt {
    /// By item: refused, or has to wait.
    lost: Vec<Option<Fate>>,
    /// By item: what its records that went in came to.
    applied: Vec<Option<Fate>>,
    /// By sheet: which of its rows were applied, and what was said of each.
    verdicts: Vec<Vec<Tried>>,
    /// A record of an item went in of which another was refused: nothing of it may stay.
    starts_over: bool,
}

/// A row of a sheet that was applied.
struct Tried {
    place: usize,
    verdict: Verdict,
    /// That it had before.
    link: Option<i64>,
}

impl Attempt {
    fn has_only_refusals(&self) -> bool {
        self.lost.iter().flatten().all(|fate| matches!(fate.verdict, Verdict::Refused(_)))
    }

    fn note(&mut self, item: usize, fate: Fate) {
        if matches!(fate.verdict, Verdict::Refused(_) | Verdict::Deferred(_)) {
            self.starts_over |= self.applied[item].is_some();
            self.lost[item].get_or_insert(fate);
            return;
        }
        let held = &mut self.applied[item];
        *held = Some(match held.take() {
            None => fate,
            Some(held) => together(held, fate),
        });
    }
}

/// An item is named by its own record, and changed when any of its records is.
fn together(one: Fate, other: Fate) -> Fate {
    let (own, further) = if one.part <= other.part { (one, other) } else { (other, one) };
    let verdict = match (&own.verdict, &further.verdict) {
        (Verdict::Unchanged(id) | Verdict::Stale(Some(id)), Verdict::Created(_) | Verdict::Updated(_)) => {
            Verdict::Updated(*id)
        }
        _ => own.verdict,
    };
    Fate { verdict, part: own.part }
}
