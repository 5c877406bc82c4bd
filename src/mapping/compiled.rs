//! A compiled mapping, and the pass over a page.

use crate::canonical::{Change, Entity, Value, Version, hash_of};

use super::parts::PartSet;
use super::rule::{Condition, Failure, Field, OnMissing, Page, ScalarRule, VersionRule, all_hold};
use super::source::{Format, Found, Records, Row, Shape, Taker, Unreadable, read_page, standalone, wrapped};
use super::value::{Overlay, Reason, Refusal, Unmapped, UnmappedCount};

/// One mapping file, checked and compiled. Immutable; shared between threads.
#[derive(Debug)]
pub struct Mapping {
    pub(super) name: String,
    pub(super) entity: Entity,
    pub(super) hash: String,
    pub(super) records: Records,
    pub(super) shape: Shape,
    /// An expression asks for the record's own text.
    pub(super) needs_whole: bool,
    pub(super) skips: Vec<Skip>,
    pub(super) code: ScalarRule,
    pub(super) external_id: Option<ScalarRule>,
    pub(super) version: Option<VersionRule>,
    pub(super) fields: Vec<Field>,
    pub(super) references: Vec<(usize, Entity, OnMissing)>,
    pub(super) search_keys: Vec<usize>,
    /// Further mappings that read the same document.
    pub(super) parts: PartSet,
}

/// Records that are no business of ours, with the reason under which they are counted.
#[derive(Debug)]
pub(super) struct Skip {
    pub reason: String,
    pub when: Vec<Condition>,
}

/// What a page became. `records` = changes + rejected + skipped.
#[derive(Debug, Default, PartialEq)]
pub struct Mapped<'a> {
    pub changes: Vec<Change<'a>>,
    pub rejected: Vec<Rejected>,
    /// How many records each skip rule left out.
    pub skipped: Vec<(String, usize)>,
    /// Which ones those were, as far as it can be read: they exist over there. Of a part nothing is told.
    pub left_out: Vec<Identity>,
    pub unmapped: Vec<Unmapped>,
    pub records: usize,
}

/// By what a record is known over there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    pub code: Option<String>,
    pub external_id: Option<String>,
}

impl Mapped<'_> {
    /// The same apart from the page that it was read from.
    pub fn into_owned(self) -> Mapped<'static> {
        let Mapped { changes, rejected, skipped, left_out, unmapped, records } = self;
        Mapped {
            changes: changes.into_iter().map(Change::into_owned).collect(),
            rejected,
            skipped,
            left_out,
            unmapped,
            records,
        }
    }
}

/// A record that cannot be taken, by itself. The first fault stands here, all others in `further`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    pub ordinal: u32,
    /// The external code, when that much could be read.
    pub code: Option<String>,
    /// The system's own number, when that much could be read.
    pub external_id: Option<String>,
    /// The target field; `code`, `version` and `record` stand for the parts that are no field.
    pub field: String,
    /// Where in the source the value was looked for.
    pub source: String,
    pub reason: Reason,
    /// Cut to 200 characters.
    pub value: Option<String>,
    pub detail: String,
    /// When that much could be read.
    pub version: Option<Version>,
    pub further: Vec<Fault>,
}

/// One more fault of a rejected record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub field: String,
    pub source: String,
    pub reason: Reason,
    pub value: Option<String>,
    pub detail: String,
}

/// How much of a refused value is kept.
const SHOWN: usize = 200;

impl Fault {
    pub(super) fn new(field: String, failure: Failure) -> Self {
        let Failure { below, source, value, refusal } = failure;
        let value = value.map(|text| match text.char_indices().nth(SHOWN) {
            Some((end, _)) => storable(&text[..end]),
            None => storable(&text),
        });
        Fault { field: field + &below, source, reason: refusal.reason, value, detail: storable(&refusal.detail) }
    }
}

/// No store keeps a NUL character in a text; what is told of a record shows that there was one.
pub(super) fn storable(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}

impl Rejected {
    fn new(ordinal: u32, identity: Identity, version: Option<Version>, first: Fault, further: Vec<Fault>) -> Self {
        let Fault { field, source, reason, value, detail } = first;
        let Identity { code, external_id } = identity;
        Rejected { ordinal, code, external_id, version, field, source, reason, value, detail, further }
    }
}

enum Outcome<'a> {
    Change(Change<'a>),
    Rejected(Rejected),
}

impl Mapping {
    /// `system/subject`, as the file is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn entity(&self) -> Entity {
        self.entity
    }

    /// SHA-256 (hex) of the file and of the code tables that it uses.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    pub fn formats(&self) -> Vec<Format> {
        self.records.formats().collect()
    }

    /// The fields that refer to other records: place in the entity's fields, entity, what to do when it is missing.
    pub fn references(&self) -> &[(usize, Entity, OnMissing)] {
        &self.references
    }

    /// The field whose unit must be a known one.
    pub fn known_unit(&self) -> Option<usize> {
        self.fields.iter().find(|field| field.known_unit).map(|field| field.target)
    }

    pub fn reference_policy(&self, field: usize) -> OnMissing {
        let found = self.references.iter().find(|(place, _, _)| *place == field);
        found.map(|(_, _, policy)| policy.clone()).unwrap_or_default()
    }

    /// Where in the source a field is looked for, for people.
    pub fn source_of(&self, field: &str) -> Option<String> {
        if field == "code" {
            return Some(self.code.described());
        }
        let place = self.entity.field(field)?;
        self.fields.iter().find(|rule| rule.target == place).map(Field::source)
    }

    /// The fields by whose values a person searches for the record's messages, beside its code.
    pub fn search_keys(&self) -> &[usize] {
        &self.search_keys
    }

    /// Maps a page. The bytes are UTF-8; a bad record is rejected by itself, a bad page is unreadable as a whole.
    pub fn map<'a>(&self, format: Format, body: &'a [u8], overlay: &Overlay) -> Result<Mapped<'a>, Unreadable> {
        let mut run = Run::new(self, format, overlay, true);
        read_page(format, body, &self.records, &self.shape, self.needs_whole, &mut run)?;
        Ok(run.ended())
    }

    /// A document of the same shape that holds only that record: mapping it again gives the same change.
    pub fn raw_record(&self, format: Format, body: &[u8], ordinal: u32) -> Option<Vec<u8>> {
        self.raw_records(format, body, &[ordinal]).pop().map(|(_, document)| document)
    }

    /// Several such documents in one pass over the page, in its order.
    pub fn raw_records(&self, format: Format, body: &[u8], ordinals: &[u32]) -> Vec<(u32, Vec<u8>)> {
        // The page has been read before, or there would be no ordinals: what cannot be read now holds none of them.
        standalone(format, body, &self.records, ordinals).unwrap_or_default()
    }

    /// A JSON page of just that record.
    pub(super) fn page_of(&self, record: &str) -> String {
        let path = self.records.json.as_ref().and_then(|records| records.paths.first());
        wrapped(path.map(Vec::as_slice).unwrap_or_default(), record)
    }

    /// The skip rule that leaves the record out.
    fn skip_of(&self, row: Row<'_, '_>) -> Option<usize> {
        self.skips.iter().position(|skip| all_hold(&skip.when, row))
    }

    fn identity(&self, row: Row<'_, '_>, page: &mut Page<'_>) -> Identity {
        let code = self.code(row, page).ok().map(|code| storable(&code));
        let external_id = match self.external_id.as_ref().map(|rule| rule.value(row, page)) {
            Some(Ok(Value::Text(text))) => Some(storable(&text)),
            _ => None,
        };
        Identity { code, external_id }
    }

    fn evaluate<'a>(&self, row: Row<'_, 'a>, page: &mut Page<'_>) -> Outcome<'a> {
        let mut faults = Vec::new();
        let mut code = None;
        match self.code(row, page) {
            Ok(text) => code = Some(text),
            Err(failure) => faults.push(Fault::new("code".to_owned(), failure)),
        }
        let mut external_id = None;
        if let Some(rule) = &self.external_id {
            match rule.value(row, page) {
                Ok(Value::Text(text)) => external_id = Some(text),
                Ok(_) => {}
                Err(failure) => faults.push(Fault::new("externalId".to_owned(), failure)),
            }
        }
        let mut version = None;
        if let Some(rule) = &self.version {
            match rule.version(row) {
                Ok(found) => version = found,
                Err(failure) => faults.push(Fault::new("version".to_owned(), failure)),
            }
        }
        let mut values = Vec::new();
        values.resize_with(self.entity.fields().len(), Value::default);
        for field in &self.fields {
            if field.is_untouched(row, page.format) {
                continue;
            }
            match field.value(row, page) {
                Ok(value) => {
                    if let Some(place) = values.get_mut(field.target) {
                        *place = value;
                    }
                }
                Err(failure) => faults.push(Fault::new(field.spec.name.to_owned(), failure)),
            }
        }
        let mut faults = faults.into_iter();
        match (code, faults.next()) {
            (Some(code), None) => Outcome::Change(Change {
                entity: self.entity,
                code,
                external_id,
                version,
                hash: hash_of(self.entity, &values),
                values,
                ordinal: row.ordinal,
            }),
            (code, Some(first)) => {
                let identity = Identity {
                    code: code.map(|code| code.into_owned()),
                    external_id: external_id.map(|id| id.into_owned()),
                };
                Outcome::Rejected(Rejected::new(row.ordinal, identity, version, first, faults.collect()))
            }
            (None, None) => Outcome::Rejected(self.broken(row.ordinal, "the record has no code")),
        }
    }

    pub(super) fn code<'a>(&self, row: Row<'_, 'a>, page: &mut Page<'_>) -> Result<std::borrow::Cow<'a, str>, Failure> {
        match self.code.value(row, page)? {
            Value::Text(code) => Ok(code),
            _ => Err(Failure {
                below: String::new(),
                source: self.code.described(),
                value: None,
                refusal: Refusal::new(Reason::MissingCode, "the record has no code"),
            }),
        }
    }

    fn broken(&self, ordinal: u32, detail: &str) -> Rejected {
        let refusal = Refusal::new(Reason::WrongType, detail);
        let failure = Failure { below: String::new(), source: String::new(), value: None, refusal };
        Rejected::new(ordinal, Identity::default(), None, Fault::new("record".to_owned(), failure), Vec::new())
    }
}

/// One pass over a page.
pub(super) struct Run<'m, 'a> {
    mapping: &'m Mapping,
    format: Format,
    overlay: &'m Overlay,
    unmapped: UnmappedCount,
    skipped: Vec<usize>,
    tells_left_out: bool,
    left_out: Vec<Identity>,
    changes: Vec<Change<'a>>,
    rejected: Vec<Rejected>,
    records: usize,
}

impl<'m, 'a> Run<'m, 'a> {
    /// `tells_left_out`: see [`Mapped::left_out`].
    pub(super) fn new(mapping: &'m Mapping, format: Format, overlay: &'m Overlay, tells_left_out: bool) -> Self {
        Run {
            mapping,
            format,
            overlay,
            unmapped: UnmappedCount::default(),
            skipped: vec![0; mapping.skips.len()],
            tells_left_out,
            left_out: Vec::new(),
            changes: Vec::new(),
            rejected: Vec::new(),
            records: 0,
        }
    }

    pub(super) fn ended(self) -> Mapped<'a> {
        let skipped = self.mapping.skips.iter().zip(self.skipped).filter(|(_, count)| *count > 0);
        let mut counts: Vec<(String, usize)> = Vec::new();
        for (skip, count) in skipped {
            match counts.iter_mut().find(|(reason, _)| *reason == skip.reason) {
                Some((_, sum)) => *sum += count,
                None => counts.push((skip.reason.clone(), count)),
            }
        }
        Mapped {
            changes: self.changes,
            rejected: self.rejected,
            skipped: counts,
            left_out: self.left_out,
            unmapped: self.unmapped.into_list(),
            records: self.records,
        }
    }

    /// A record that became this before.
    pub(super) fn recall(&mut self, change: Change<'a>) {
        self.records += 1;
        self.changes.push(change);
    }

    /// How many records became changes so far.
    pub(super) fn taken(&self) -> usize {
        self.changes.len()
    }

    pub(super) fn take<'r>(&mut self, found: Found<'_, 'r>, keep: impl FnOnce(Change<'r>) -> Change<'a>) {
        self.records += 1;
        let outcome = match found {
            Found::Broken { ordinal, detail } => Outcome::Rejected(self.mapping.broken(ordinal, detail)),
            Found::Record(row) => {
                let mut page = Page { format: self.format, overlay: self.overlay, unmapped: &mut self.unmapped };
                if let Some(place) = self.mapping.skip_of(row) {
                    if self.tells_left_out {
                        self.left_out.push(self.mapping.identity(row, &mut page));
                    }
                    self.unmapped.found_in(None);
                    if let Some(count) = self.skipped.get_mut(place) {
                        *count += 1;
                    }
                    return;
                }
                self.mapping.evaluate(row, &mut page)
            }
        };
        self.unmapped.found_in(match &outcome {
            Outcome::Change(change) => Some(&change.code),
            Outcome::Rejected(rejected) => rejected.code.as_deref(),
        });
        match outcome {
            Outcome::Change(change) => self.changes.push(keep(change)),
            Outcome::Rejected(rejected) => self.rejected.push(rejected),
        }
    }
}

impl<'a> Taker<'a> for Run<'_, 'a> {
    fn lasting(&mut self, found: Found<'_, 'a>) {
        self.take(found, |change| change);
    }

    fn passing(&mut self, found: Found<'_, '_>) {
        self.take(found, |change| change.into_owned());
    }
}
