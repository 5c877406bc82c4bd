//! A table of cards: the generated ones, and over them what was written since.
//!
//! Invariants
//! - An edit holds the card's effective stamps; `by_stamp` holds each edit's latest one, deleted cards apart.
//! - Reads go by LOGICALREF, or by (latest stamp, LOGICALREF), each exactly once, generated and written ones alike.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::world::timeline::Timeline;

/// The generated cards of a table.
pub trait Base {
    /// Whether there is a card at every index.
    const DENSE: bool;
    /// Index numbers in use.
    fn len(&self) -> u64;
    fn exists(&self, index: u64) -> bool;
    /// Rises with the index.
    fn reference(&self, index: u64) -> i64;
    fn index(&self, reference: i64) -> Option<u64>;
}

/// What was written to one card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Edit {
    /// Whether the generated card lies below; otherwise the fields are all there is.
    pub generated: bool,
    /// By the names of the data object.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Value>,
    pub created: i64,
    pub modified: Option<i64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

impl Edit {
    pub fn stamp(&self) -> i64 {
        self.modified.unwrap_or(self.created)
    }
}

/// Every card changed at once, as by a bulk tool: one stamp for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bulk {
    pub salt: u64,
    pub at: i64,
}

/// A card that was found: where it is generated, and what was written over it.
#[derive(Debug, Clone, Copy)]
pub struct Found<'t> {
    pub reference: i64,
    /// Index of the generated card below, if there is one.
    pub index: Option<u64>,
    pub edit: Option<&'t Edit>,
    pub created: i64,
    pub modified: Option<i64>,
}

#[derive(Debug)]
pub struct Table<B> {
    pub base: B,
    timeline: Timeline,
    edits: BTreeMap<i64, Edit>,
    by_stamp: BTreeSet<(i64, i64)>,
    bulk: Option<Bulk>,
    /// Generated cards that were deleted.
    gaps: BTreeSet<i64>,
    next: i64,
}

impl<B: Base> Table<B> {
    pub fn new(base: B, timeline: Timeline) -> Table<B> {
        let next = base.reference(base.len());
        Table {
            base,
            timeline,
            edits: BTreeMap::new(),
            by_stamp: BTreeSet::new(),
            bulk: None,
            gaps: BTreeSet::new(),
            next,
        }
    }

    /// What names were salted with when every card was changed at once; 0 before.
    pub fn salt(&self) -> u64 {
        self.bulk.map_or(0, |bulk| bulk.salt)
    }

    /// LOGICALREF of the next new card.
    pub const fn next_reference(&self) -> i64 {
        self.next
    }

    pub fn edits(&self) -> impl Iterator<Item = (i64, &Edit)> {
        self.edits.iter().map(|(reference, edit)| (*reference, edit))
    }

    pub fn find(&self, reference: i64) -> Option<Found<'_>> {
        match self.edits.get(&reference) {
            Some(edit) if edit.deleted => None,
            Some(edit) => Some(self.edited(reference, edit)),
            None => {
                let index = self.base.index(reference).filter(|&i| i < self.base.len() && self.base.exists(i))?;
                Some(self.generated(index))
            }
        }
    }

    fn edited<'t>(&self, reference: i64, edit: &'t Edit) -> Found<'t> {
        let index = if edit.generated { self.base.index(reference) } else { None };
        Found { reference, index, edit: Some(edit), created: edit.created, modified: edit.modified }
    }

    fn generated(&self, index: u64) -> Found<'_> {
        let (created, modified) = self.timeline.stamps(index);
        let modified = self.bulk.map_or(modified, |bulk| Some(bulk.at));
        Found { reference: self.base.reference(index), index: Some(index), edit: None, created, modified }
    }

    /// Writes a card as it is from now on.
    pub fn put(&mut self, reference: i64, edit: Edit) {
        if let Some(old) = self.edits.get(&reference) {
            self.by_stamp.remove(&(old.stamp(), reference));
        }
        if edit.deleted {
            if self.base.index(reference).is_some_and(|index| index < self.base.len()) {
                self.gaps.insert(reference);
            }
        } else {
            self.by_stamp.insert((edit.stamp(), reference));
        }
        self.next = self.next.max(reference + 1);
        self.edits.insert(reference, edit);
    }

    pub fn change_all(&mut self, bulk: Bulk) {
        self.bulk = Some(bulk);
        self.by_stamp.clear();
        for (reference, edit) in self.edits.iter_mut().filter(|(_, edit)| !edit.deleted) {
            edit.modified = Some(edit.stamp().max(bulk.at));
            self.by_stamp.insert((edit.stamp(), *reference));
        }
    }

    /// Cards above this LOGICALREF, ascending.
    pub fn after(&self, reference: i64) -> impl Iterator<Item = Found<'_>> {
        let first = first_above(&self.base, reference);
        self.starting_at(first, reference)
    }

    /// Cards in the order of LOGICALREFs without the first `offset` ones.
    pub fn skip(&self, offset: u64) -> Box<dyn Iterator<Item = Found<'_>> + '_> {
        if B::DENSE && self.gaps.is_empty() && offset < self.base.len() {
            let before = if offset == 0 { i64::MIN } else { self.base.reference(offset - 1) };
            return Box::new(self.starting_at(offset, before));
        }
        Box::new(self.after(i64::MIN).skip(usize::try_from(offset).unwrap_or(usize::MAX)))
    }

    fn starting_at(&self, first: u64, reference: i64) -> impl Iterator<Item = Found<'_>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let mut edits = self.edits.range((Excluded(reference), Unbounded)).peekable();
        let mut index = first;
        std::iter::from_fn(move || {
            loop {
                if index < self.base.len() {
                    let at = self.base.reference(index);
                    match edits.peek() {
                        Some((edited, _)) if **edited <= at => {}
                        _ => {
                            index += 1;
                            if self.base.exists(index - 1) {
                                return Some(self.generated(index - 1));
                            }
                            continue;
                        }
                    }
                }
                let (&edited, edit) = edits.next()?;
                if index < self.base.len() && self.base.reference(index) == edited {
                    index += 1;
                }
                if !edit.deleted {
                    return Some(self.edited(edited, edit));
                }
            }
        })
    }

    /// Cards after (`stamp`, `reference`) in the strict order of (latest stamp, LOGICALREF).
    pub fn changed_after(&self, stamp: i64, reference: i64) -> Box<dyn Iterator<Item = Found<'_>> + '_> {
        use std::ops::Bound::{Excluded, Unbounded};
        let written = self.by_stamp.range((Excluded((stamp, reference)), Unbounded)).copied();
        let untouched: Box<dyn Iterator<Item = (i64, u64)> + '_> = match self.bulk {
            Some(bulk) => {
                let first = match bulk.at.cmp(&stamp) {
                    std::cmp::Ordering::Less => self.base.len(),
                    std::cmp::Ordering::Equal => first_above(&self.base, reference),
                    std::cmp::Ordering::Greater => 0,
                };
                Box::new((first..self.base.len()).map(move |index| (bulk.at, index)))
            }
            None => Box::new(
                self.timeline
                    .since(stamp)
                    .skip_while(move |&(at, index)| (at, self.base.reference(index)) <= (stamp, reference)),
            ),
        };
        let mut untouched = untouched
            .filter(|&(_, i)| self.base.exists(i) && !self.edits.contains_key(&self.base.reference(i)))
            .peekable();
        let mut written = written.peekable();
        Box::new(std::iter::from_fn(move || {
            let generated = untouched.peek().map(|&(at, index)| (at, self.base.reference(index)));
            match (generated, written.peek()) {
                (Some(generated), Some(edited)) if generated < *edited => {
                    untouched.next().map(|(_, index)| self.generated(index))
                }
                (Some(_), None) => untouched.next().map(|(_, index)| self.generated(index)),
                (_, Some(_)) => {
                    let (_, reference) = written.next()?;
                    self.edits.get(&reference).map(|edit| self.edited(reference, edit))
                }
                (None, None) => None,
            }
        }))
    }
}

/// The first index whose reference is above.
fn first_above(base: &impl Base, reference: i64) -> u64 {
    let (mut low, mut high) = (0, base.len());
    while low < high {
        let middle = low + (high - low) / 2;
        if base.reference(middle) > reference {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}
