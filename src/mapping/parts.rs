//! Parts: further mappings that read the same document, because one record of it is several of ours. A product that is
//! pushed is a card, its prices and a stock level.
//!
//! Invariants
//! - A mapping and its parts find their records at the same places, so a record has one ordinal in all of them.
//! - A document is read once, however many parts there are; a record that the mapping itself refuses or leaves out has
//!   none.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::canonical::Change;

use super::compiled::{Mapped, Mapping, Run};
use super::memory::{Read, Recollection};
use super::problem::suggest;
use super::source::{Format, Found, Row, Shape, Taker, Unreadable, read_page};
use super::value::Overlay;

/// The parts of a mapping, its parts' own among them, and how their fields are found in one reading of a record.
#[derive(Debug, Default)]
pub(super) struct PartSet {
    /// As the file names them.
    wanted: Vec<(String, Range<usize>)>,
    mappings: Vec<Arc<Mapping>>,
    /// The keys that any of them needs.
    shape: Shape,
    /// For each part: where its own slots are among those. The mapping's own come first, in their order.
    slots: Vec<Vec<u16>>,
}

impl PartSet {
    pub(super) fn wanted(names: Vec<(String, Range<usize>)>) -> PartSet {
        PartSet { wanted: names, ..PartSet::default() }
    }

    fn linked(own: &Mapping, mappings: Vec<Arc<Mapping>>) -> PartSet {
        let mut shape = own.shape.clone();
        let mut slots = Vec::with_capacity(mappings.len());
        for mapping in &mappings {
            let mut places = vec![0; mapping.shape.len()];
            for (key, slot) in mapping.shape.iter() {
                if let Some(place) = places.get_mut(usize::from(slot)) {
                    *place = shape.slot(key);
                }
            }
            slots.push(places);
        }
        PartSet { wanted: Vec::new(), mappings, shape, slots }
    }
}

impl Mapping {
    /// The mappings that go in together with this one.
    pub fn parts(&self) -> &[Arc<Mapping>] {
        &self.parts.mappings
    }

    /// What the document becomes by this mapping, then by each of its [`Mapping::parts`].
    pub fn map_with_parts<'a>(
        &self,
        format: Format,
        body: &'a [u8],
        overlay: &Overlay,
    ) -> Result<Vec<Mapped<'a>>, Unreadable> {
        Ok(self.read(format, body, overlay, None)?.document)
    }

    /// The same beside a memory, which says what it knows of the records. A part that has nothing of a record does not count
    /// one that is recalled as left out.
    pub(super) fn read<'a>(
        &self,
        format: Format,
        body: &'a [u8],
        overlay: &Overlay,
        memory: Option<Recollection<'_, 'a>>,
    ) -> Result<Read<'a>, Unreadable> {
        let mut reading = Reading::new(self, format, overlay, memory);
        let shape = if self.parts.mappings.is_empty() { &self.shape } else { &self.parts.shape };
        let needs_whole = self.needs_whole || self.parts.mappings.iter().any(|part| part.needs_whole);
        read_page(format, body, &self.records, shape, needs_whole, &mut reading)?;
        let document = std::iter::once(reading.own).chain(reading.parts).map(Run::ended).collect();
        Ok(match reading.memory {
            Some(memory) => memory.into_read(document),
            None => Read { document, records: Vec::new(), known: Vec::new() },
        })
    }
}

/// One pass over a page by a mapping and its parts.
struct Reading<'m, 'a> {
    own: Run<'m, 'a>,
    parts: Vec<Run<'m, 'a>>,
    mapping: &'m Mapping,
    /// The slots of one part, while it has its turn.
    slots: Vec<Option<&'a str>>,
    memory: Option<Recollection<'m, 'a>>,
}

impl<'m, 'a> Reading<'m, 'a> {
    fn new(mapping: &'m Mapping, format: Format, overlay: &'m Overlay, memory: Option<Recollection<'m, 'a>>) -> Self {
        let parts = mapping.parts.mappings.iter().map(|part| Run::new(part, format, overlay, false)).collect();
        Reading { own: Run::new(mapping, format, overlay, true), parts, mapping, slots: Vec::new(), memory }
    }
}

/// Takes a record by a mapping and its parts. `slots`: empty ones, for the parts' use.
fn take<'r, 'a>(
    (own, parts): (&mut Run<'_, 'a>, &mut [Run<'_, 'a>]),
    set: &PartSet,
    found: Found<'_, 'r>,
    slots: &mut Vec<Option<&'r str>>,
    keep: impl Fn(Change<'r>) -> Change<'a>,
) {
    let Found::Record(row) = found else { return own.take(found, keep) };
    let before = own.taken();
    own.take(Found::Record(row), &keep);
    if own.taken() == before {
        return;
    }
    for (run, mine) in parts.iter_mut().zip(&set.slots) {
        slots.clear();
        slots.extend(mine.iter().map(|slot| row.slots.get(usize::from(*slot)).copied().flatten()));
        run.take(Found::Record(Row { ordinal: row.ordinal, slots, whole: row.whole }), &keep);
    }
}

impl<'a> Taker<'a> for Reading<'_, 'a> {
    fn lasting(&mut self, found: Found<'_, 'a>) {
        take((&mut self.own, &mut self.parts), &self.mapping.parts, found, &mut self.slots, |change| change);
    }

    fn passing(&mut self, found: Found<'_, '_>) {
        let runs = (&mut self.own, self.parts.as_mut_slice());
        take(runs, &self.mapping.parts, found, &mut Vec::new(), |change| change.into_owned());
    }

    fn has_memory(&self) -> bool {
        self.memory.is_some()
    }

    fn recalls(&mut self, ordinal: u32, record: &'a str) -> bool {
        let Some(kept) = self.memory.as_mut().and_then(|memory| memory.of(record)) else { return false };
        for one in kept {
            match one.part().checked_sub(1) {
                None => self.own.recall(one.change(self.mapping, record, ordinal)),
                Some(place) => {
                    if let (Some(run), Some(part)) = (self.parts.get_mut(place), self.mapping.parts().get(place)) {
                        run.recall(one.change(part, record, ordinal));
                    }
                }
            }
        }
        true
    }
}

/// Something wrong with the parts of a mapping: whose, where in its file, what, and what mends it.
pub(super) type PartProblem = (String, Range<usize>, String, String);

/// Joins mappings with their parts. `is_told`: a file of that name has problems of its own already.
pub(super) fn link(
    compiled: BTreeMap<String, Mapping>,
    is_told: impl Fn(&str) -> bool,
) -> (BTreeMap<String, Arc<Mapping>>, Vec<PartProblem>) {
    let wanted = compiled.iter().map(|(name, mapping)| (name.clone(), mapping.parts.wanted.clone())).collect();
    let mut linker = Linker { compiled, wanted, linked: BTreeMap::new(), problems: Vec::new() };
    let names: Vec<String> = linker.compiled.keys().cloned().collect();
    for name in &names {
        linker.link(name, &mut Vec::new(), &is_told);
    }
    (linker.linked, linker.problems)
}

struct Linker {
    compiled: BTreeMap<String, Mapping>,
    wanted: BTreeMap<String, Vec<(String, Range<usize>)>>,
    linked: BTreeMap<String, Arc<Mapping>>,
    problems: Vec<PartProblem>,
}

impl Linker {
    fn link(&mut self, name: &str, above: &mut Vec<String>, is_told: &impl Fn(&str) -> bool) -> Option<Arc<Mapping>> {
        if let Some(done) = self.linked.get(name) {
            return Some(Arc::clone(done));
        }
        // A mapping that has had its turn and is not linked has told why.
        let mut own = self.compiled.remove(name)?;
        above.push(name.to_owned());
        let mut sound = true;
        let mut parts: Vec<Arc<Mapping>> = Vec::new();
        for (wanted, span) in std::mem::take(&mut own.parts.wanted) {
            let mut tell =
                |what: String, remedy: String| self.problems.push((name.to_owned(), span.clone(), what, remedy));
            if above.contains(&wanted) {
                tell(format!("`{wanted}` is part of itself"), "a part cannot lead back to its mapping".to_owned());
            } else if !self.wanted.contains_key(&wanted) && !is_told(&wanted) {
                let remedy = suggest(&wanted, self.wanted.keys().map(String::as_str));
                tell(format!("there is no mapping `{wanted}`"), remedy);
            } else if let Some(part) = self.link(&wanted, above, is_told) {
                if part.records == own.records {
                    for one in std::iter::once(&part).chain(part.parts()) {
                        if !parts.iter().any(|known| known.name == one.name) {
                            parts.push(Arc::clone(one));
                        }
                    }
                    continue;
                }
                let what = format!("`{wanted}` looks for its records elsewhere");
                let remedy = "give both the same [records]".to_owned();
                self.problems.push((name.to_owned(), span.clone(), what, remedy));
            }
            sound = false;
        }
        above.pop();
        if !sound {
            return None;
        }
        if !parts.is_empty() {
            own.hash = hash_of(&own, &parts);
            own.parts = PartSet::linked(&own, parts);
        }
        let own = Arc::new(own);
        self.linked.insert(name.to_owned(), Arc::clone(&own));
        Some(own)
    }
}

/// What goes in together is told together.
fn hash_of(own: &Mapping, parts: &[Arc<Mapping>]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(own.hash.as_bytes());
    for part in parts {
        hasher.update([0]);
        hasher.update(part.hash.as_bytes());
    }
    super::hex(&hasher.finalize())
}
