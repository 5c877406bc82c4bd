//! What records of JSON documents became, by their bytes: one that is sent again as it was is not read again.
//!
//! Invariants
//! - It changes no result. A mapping, with the answers that lie over it, gives the same for the same bytes; so what it gave is
//!   as good as asking again. Another mapping, another answer, or another instance has other fingerprints.
//! - The link that a record is said to have is a hint: whoever keeps the links proves it.
//! - A change that comes from here is only good for comparing: it has its code, number, version and hash, and no values.
//! - It is bounded in bytes; what is asked for least goes first.

use std::borrow::Cow;
use std::mem::size_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

use crate::canonical::{Change, Hash, Version};

use super::compiled::{Mapped, Mapping};

/// Cheap to share between threads.
#[derive(Debug)]
pub struct Memory {
    kept: Cache<Fingerprint, Arc<[Kept]>, Weight>,
}

/// The bytes of a record and what reads them.
pub(super) type Fingerprint = u128;

/// One record by a mapping or by one of its parts, in their order.
#[derive(Debug)]
pub(super) struct Kept {
    /// 0 is the mapping itself.
    part: usize,
    /// See [`Recalled::link`]; 0: not known yet.
    link: AtomicI64,
    code: Piece,
    external_id: Option<Piece>,
    version: Option<Version>,
    hash: Hash,
}

/// A text out of a record.
#[derive(Debug)]
enum Piece {
    /// It stands there as it is; the record comes with the same bytes.
    At {
        start: u32,
        end: u32,
    },
    Own(Box<str>),
}

impl Piece {
    fn of(text: &str, record: &str) -> Piece {
        let own = || Piece::Own(text.into());
        // Nearly always it lies within the record. Elsewhere what stands at that place is another text, or one as good.
        let Some(start) = (text.as_ptr() as usize).checked_sub(record.as_ptr() as usize) else { return own() };
        match (u32::try_from(start), u32::try_from(start + text.len())) {
            (Ok(start), Ok(end)) if record.get(start as usize..end as usize) == Some(text) => Piece::At { start, end },
            _ => own(),
        }
    }

    fn read<'a>(&'a self, record: &'a str) -> &'a str {
        match self {
            Piece::At { start, end } => record.get(*start as usize..*end as usize).unwrap_or_default(),
            Piece::Own(text) => text,
        }
    }

    /// The same for longer than the memory keeps it.
    fn lasting<'a>(&self, record: &'a str) -> Cow<'a, str> {
        match self {
            Piece::At { start, end } => record.get(*start as usize..*end as usize).unwrap_or_default().into(),
            Piece::Own(text) => text.to_string().into(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Piece::At { .. } => 0,
            Piece::Own(text) => text.len(),
        }
    }
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<Fingerprint, Arc<[Kept]>> for Weight {
    fn weight(&self, _: &Fingerprint, kept: &Arc<[Kept]>) -> u64 {
        let texts: usize =
            kept.iter().map(|one| one.code.bytes() + one.external_id.as_ref().map_or(0, Piece::bytes)).sum();
        // The entry of the map itself, and what the allocator rounds up.
        (96 + kept.len() * size_of::<Kept>() + texts) as u64
    }
}

/// About what a card of a product takes.
const TYPICAL: u64 = 256;

impl Memory {
    pub fn new(bytes: u64) -> Memory {
        let records = usize::try_from(bytes / TYPICAL).unwrap_or(usize::MAX);
        Memory { kept: Cache::with_weighter(records, bytes, Weight) }
    }

    pub(super) fn find(&self, fingerprint: Fingerprint) -> Option<Arc<[Kept]>> {
        self.kept.get(&fingerprint)
    }

    /// Keeps what was read of the records that went in, and what is learned of those that are known. `went_in`: by a
    /// record's ordinal, whether it did; `link`: by its ordinal and part, what it was compared with, as far as there was
    /// something.
    pub fn learn(
        &self,
        read: &Read<'_>,
        mut went_in: impl FnMut(u32) -> bool,
        link: impl Fn(u32, usize) -> Option<i64>,
    ) {
        let Some((own, parts)) = read.document.split_first() else { return };
        // Codes without a meaning are counted whenever they come.
        if read.records.is_empty() || read.document.iter().any(|mapped| !mapped.unmapped.is_empty()) {
            return;
        }
        for change in &own.changes {
            let ordinal = change.ordinal;
            if !went_in(ordinal) {
                continue;
            }
            if let Some(Some(known)) = read.known.get(ordinal as usize) {
                known.iter().for_each(|one| one.is_linked_by(link(ordinal, one.part)));
                continue;
            }
            let Some((fingerprint, record)) = read.records.get(ordinal as usize) else { continue };
            let of_parts = parts.iter().enumerate().filter_map(|(place, mapped)| {
                let found = mapped.changes.binary_search_by_key(&ordinal, |part| part.ordinal).ok()?;
                Some(Kept::of(place + 1, mapped.changes.get(found)?, record))
            });
            let kept: Arc<[Kept]> = std::iter::once(Kept::of(0, change, record)).chain(of_parts).collect();
            kept.iter().for_each(|one| one.is_linked_by(link(ordinal, one.part)));
            self.kept.insert(*fingerprint, kept);
        }
    }
}

impl Kept {
    fn of(part: usize, change: &Change<'_>, record: &str) -> Kept {
        Kept {
            part,
            link: AtomicI64::new(0),
            code: Piece::of(&change.code, record),
            external_id: change.external_id.as_deref().map(|id| Piece::of(id, record)),
            version: change.version.clone(),
            hash: change.hash,
        }
    }

    pub(super) fn part(&self) -> usize {
        self.part
    }

    fn is_linked_by(&self, link: Option<i64>) {
        if let Some(link) = link {
            self.link.store(link, Ordering::Relaxed);
        }
    }

    /// `record`: the bytes that came again.
    pub(super) fn change<'a>(&self, mapping: &Mapping, record: &'a str, ordinal: u32) -> Change<'a> {
        Change {
            entity: mapping.entity(),
            code: self.code.lasting(record),
            external_id: self.external_id.as_ref().map(|id| id.lasting(record)),
            version: self.version.clone(),
            values: Vec::new(),
            hash: self.hash,
            ordinal,
        }
    }
}

/// A document that was read beside a memory.
#[derive(Debug)]
pub struct Read<'a> {
    /// What it became by the mapping, then by each of its parts.
    pub document: Vec<Mapped<'a>>,
    /// By their ordinals; empty where nothing is kept.
    pub(super) records: Vec<(Fingerprint, &'a str)>,
    /// Beside those: what is known of each.
    pub(super) known: Vec<Option<Arc<[Kept]>>>,
}

/// A record of a mapping or of a part that came before as it is.
#[derive(Debug, Clone, Copy)]
pub struct Recalled<'r> {
    pub ordinal: u32,
    /// 0 is the mapping itself.
    pub part: usize,
    /// The link that it was compared with when it came last; a hint, which whoever keeps the links has to prove.
    pub link: i64,
    pub code: &'r str,
    pub external_id: Option<&'r str>,
    pub version: Option<&'r Version>,
    pub hash: Hash,
}

impl Read<'_> {
    /// Every record with its parts, in the order of the document, when all of them came before as they are and it is known
    /// what each was compared with.
    pub fn recalled(&self) -> Option<Vec<Recalled<'_>>> {
        if self.known.is_empty() || self.known.len() != self.records.len() {
            return None;
        }
        let mut all = Vec::with_capacity(self.known.len());
        for (ordinal, (kept, (_, record))) in (0..).zip(self.known.iter().zip(&self.records)) {
            for one in kept.as_ref()?.iter() {
                all.push(Recalled {
                    ordinal,
                    part: one.part,
                    link: Some(one.link.load(Ordering::Relaxed)).filter(|link| *link != 0)?,
                    code: one.code.read(record),
                    external_id: one.external_id.as_ref().map(|id| id.read(record)),
                    version: one.version.as_ref(),
                    hash: one.hash,
                });
            }
        }
        Some(all)
    }
}

/// The memory as one reading of a document uses it.
#[derive(Debug)]
pub(super) struct Recollection<'m, 'a> {
    memory: &'m Memory,
    /// Of the mapping, the answers and the instance.
    seed: u64,
    /// Else it only learns.
    recalls: bool,
    records: Vec<(Fingerprint, &'a str)>,
    known: Vec<Option<Arc<[Kept]>>>,
}

impl<'m, 'a> Recollection<'m, 'a> {
    pub(super) fn new(memory: &'m Memory, (reader, connector): (&str, &str), recalls: bool) -> Recollection<'m, 'a> {
        let seed = xxh3_64(reader.as_bytes()) ^ xxh3_64(connector.as_bytes()).rotate_left(1);
        Recollection { memory, seed, recalls, records: Vec::new(), known: Vec::new() }
    }

    /// What the record became before; called for each record in its turn.
    pub(super) fn of(&mut self, record: &'a str) -> Option<&[Kept]> {
        let fingerprint = xxh3_128_with_seed(record.as_bytes(), self.seed);
        let known = if self.recalls { self.memory.find(fingerprint) } else { None };
        self.records.push((fingerprint, record));
        self.known.push(known);
        self.known.last()?.as_deref()
    }

    pub(super) fn into_read(self, document: Vec<Mapped<'a>>) -> Read<'a> {
        Read { document, records: self.records, known: self.known }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::{Effective, Format, Library, Overlay};

    const CARDS: &str = r#"
entity = "brand"
parts = ["x/prices"]
[records]
json = "items"
[key]
from = "CODE"
[external_id]
from = "REF"
[fields.name]
from = "NAME"
table = "names"
[tables.names]
A = "Anadolu"
B = "Bursa"
"#;

    const PRICES: &str = r#"
entity = "category"
[records]
json = "items"
[key]
from = "CODE"
[fields.name]
from = "PRICE"
required = true
[[skip]]
reason = "without"
when = { field = "PRICE", filled = false }
"#;

    fn cards(answers: &[(&str, &str, &str)]) -> Effective {
        let library = Library::from_texts(&[("x/cards.toml", CARDS), ("x/prices.toml", PRICES)]).unwrap();
        let mut overlay = Overlay::new();
        answers.iter().for_each(|(table, code, value)| overlay.insert(*table, *code, *value));
        Effective::new(library.get("x/cards").unwrap(), Arc::new(overlay))
    }

    fn learned(mapping: &Effective, memory: &Memory, page: &str) {
        let read = mapping.read(Format::Json, page.as_bytes(), Some(memory), "erp", true).unwrap();
        memory.learn(&read, |_| true, |ordinal, part| Some(i64::from(ordinal) * 10 + part as i64 + 1));
    }

    fn recalled(mapping: &Effective, memory: &Memory, page: &str) -> Vec<Vec<(String, bool)>> {
        let read = mapping.read(Format::Json, page.as_bytes(), Some(memory), "erp", true).unwrap();
        let told = |mapped: &Mapped<'_>| {
            mapped.changes.iter().map(|change| (change.code.to_string(), change.is_recalled())).collect()
        };
        read.document.iter().map(told).collect()
    }

    #[test]
    fn what_comes_again_is_recalled_beside_what_is_new_with_all_its_parts() {
        let (mapping, memory) = (cards(&[]), Memory::new(1 << 20));
        learned(
            &mapping,
            &memory,
            r#"{"items":[{"CODE":"1","REF":7,"NAME":"A","PRICE":"x"},{"CODE":"2","NAME":"B"}]}"#,
        );
        let page = r#"{"items":[{"CODE":"3","NAME":"A","PRICE":"y"},{"CODE":"2","NAME":"B"},{"CODE":"1","REF":7,"NAME":"A","PRICE":"x"}]}"#;
        let told = |texts: &[(&str, bool)]| texts.iter().map(|(code, known)| ((*code).to_owned(), *known)).collect();
        let expected: Vec<Vec<(String, bool)>> =
            vec![told(&[("3", false), ("2", true), ("1", true)]), told(&[("3", false), ("1", true)])];
        assert_eq!(recalled(&mapping, &memory, page), expected);

        let read = |memory| mapping.read(Format::Json, page.as_bytes(), memory, "erp", true).unwrap().document;
        let (with, without) = (read(Some(&memory)), read(None));
        for (with, without) in with.iter().zip(&without) {
            assert_eq!(with.changes.len(), without.changes.len());
            for (with, without) in with.changes.iter().zip(&without.changes) {
                assert_eq!(
                    (with.hash, &with.external_id, with.ordinal),
                    (without.hash, &without.external_id, without.ordinal)
                );
            }
        }
        assert_eq!((with[0].records, with[1].records), (3, 2));
    }

    #[test]
    fn another_byte_another_mapping_and_another_answer_are_read_anew() {
        let (mapping, memory) = (cards(&[]), Memory::new(1 << 20));
        let page = r#"{"items":[{"CODE":"1","NAME":"A"}]}"#;
        learned(&mapping, &memory, page);
        assert!(recalled(&mapping, &memory, page)[0][0].1);
        assert!(!recalled(&mapping, &memory, r#"{"items":[{"CODE":"1","NAME":"B"}]}"#)[0][0].1);
        assert!(!recalled(&cards(&[("names", "C", "Ceyhan")]), &memory, page)[0][0].1);
        let twice = mapping.read(Format::Json, page.as_bytes(), Some(&memory), "erp", false).unwrap();
        assert!(!twice.document[0].changes[0].is_recalled());
    }

    #[test]
    fn what_was_not_worth_it_and_what_holds_unknown_codes_is_not_kept() {
        let (mapping, memory) = (cards(&[]), Memory::new(1 << 20));
        let page = r#"{"items":[{"CODE":"1","NAME":"A"}]}"#;
        let read = mapping.read(Format::Json, page.as_bytes(), Some(&memory), "erp", true).unwrap();
        memory.learn(&read, |_| false, |_, _| None);
        assert!(!recalled(&mapping, &memory, page)[0][0].1);
        let unknown = r#"{"items":[{"CODE":"1","NAME":"A"},{"CODE":"2","NAME":"Z"}]}"#;
        learned(&mapping, &memory, unknown);
        assert!(!recalled(&mapping, &memory, page)[0][0].1);
    }

    #[test]
    fn it_stays_within_its_bytes() {
        let (mapping, memory) = (cards(&[]), Memory::new(64 * 1024));
        for page in 0..50 {
            let items: Vec<String> = (0..100).map(|n| format!(r#"{{"CODE":"{page}-{n}","NAME":"A"}}"#)).collect();
            learned(&mapping, &memory, &format!(r#"{{"items":[{}]}}"#, items.join(",")));
        }
        assert!(memory.kept.weight() <= 64 * 1024);
        assert!(memory.kept.len() > 50);
    }
}
