//! What a page would become, field by field, for the person who writes a mapping.

use serde_json::Value as Json;

use super::compiled::{Fault, Mapping};
use super::rule::{Page, all_hold};
use super::source::{Format, Found, Row, Taker, Unreadable, read_page};
use super::value::{Overlay, UnmappedCount};

/// One record and the way of each of its fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    pub ordinal: u32,
    pub code: Option<String>,
    pub fate: Fate,
    pub fields: Vec<ExplainedField>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    Change,
    Rejected,
    /// With the reason of the rule.
    Skipped(String),
}

#[derive(Debug, Clone, PartialEq)]
pub struct ExplainedField {
    pub target: &'static str,
    /// Where the mapping looks.
    pub source: String,
    /// What the source gives before anything is done to it.
    pub given: Option<String>,
    /// None: the field is left alone.
    pub value: Option<Json>,
    pub fault: Option<Fault>,
}

impl Mapping {
    /// The same evaluation as [`Mapping::map`], told instead of used.
    pub fn explain(&self, format: Format, body: &[u8], overlay: &Overlay) -> Result<Vec<Explained>, Unreadable> {
        let mut teller = Teller { mapping: self, format, overlay, told: Vec::new() };
        read_page(format, body, &self.records, &self.shape, self.needs_whole, &mut teller)?;
        Ok(teller.told)
    }
}

struct Teller<'m> {
    mapping: &'m Mapping,
    format: Format,
    overlay: &'m Overlay,
    told: Vec<Explained>,
}

impl Teller<'_> {
    fn tell(&mut self, found: Found<'_, '_>) {
        let explained = match found {
            Found::Broken { ordinal, .. } => {
                Explained { ordinal, code: None, fate: Fate::Rejected, fields: Vec::new() }
            }
            Found::Record(row) => self.record(row),
        };
        self.told.push(explained);
    }

    fn record(&self, row: Row<'_, '_>) -> Explained {
        let mut unmapped = UnmappedCount::default();
        let mut page = Page { format: self.format, overlay: self.overlay, unmapped: &mut unmapped };
        let code = self.mapping.code(row, &mut page);
        if let Some(skip) = self.mapping.skips.iter().find(|skip| all_hold(&skip.when, row)) {
            let code = code.ok().map(|code| code.into_owned());
            return Explained {
                ordinal: row.ordinal,
                code,
                fate: Fate::Skipped(skip.reason.clone()),
                fields: Vec::new(),
            };
        }
        let mut fields = Vec::new();
        for field in &self.mapping.fields {
            let (value, fault) = match field.value(row, &mut page) {
                Ok(value) => (value.is_present().then(|| value.to_json(field.spec.kind)), None),
                Err(failure) => (None, Some(Fault::new(field.spec.name.to_owned(), failure))),
            };
            fields.push(ExplainedField {
                target: field.spec.name,
                source: field.source(),
                given: field.given(row),
                value,
                fault,
            });
        }
        let fine = code.is_ok() && fields.iter().all(|field| field.fault.is_none());
        let fate = if fine { Fate::Change } else { Fate::Rejected };
        Explained { ordinal: row.ordinal, code: code.ok().map(|code| code.into_owned()), fate, fields }
    }
}

impl<'a> Taker<'a> for Teller<'_> {
    fn lasting(&mut self, found: Found<'_, 'a>) {
        self.tell(found);
    }

    fn passing(&mut self, found: Found<'_, '_>) {
        self.tell(found);
    }
}
