//! A page of any format: its records one by one, or the reason why it cannot be read at all.

use std::fmt;

use super::csv::{self, CsvRecords};
use super::json::{self, JsonRecords};
use super::shape::{Row, Shape};
use super::xml::{self, XmlRecords};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    Json,
    Xml,
    Csv,
}

impl Format {
    pub const ALL: [Format; 3] = [Format::Json, Format::Xml, Format::Csv];

    pub const fn as_str(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Xml => "xml",
            Format::Csv => "csv",
        }
    }

    pub fn parse(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.as_str() == name)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A page of which no record can be trusted. `what` is one of `empty_body, too_large, not_utf8, html, not_json, not_xml,
/// not_csv, cut_off, wrong_shape, no_records, too_deep, dtd, entity, format_not_supported`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    pub what: &'static str,
    pub byte: Option<usize>,
    pub line: Option<usize>,
    pub detail: String,
}

impl Unreadable {
    pub(super) fn new(what: &'static str, detail: impl Into<String>) -> Self {
        Unreadable { what, byte: None, line: None, detail: detail.into() }
    }

    pub(super) fn at(what: &'static str, body: &str, byte: usize, detail: impl Into<String>) -> Self {
        let (line, _) = crate::mapping::problem::place(body, byte);
        Unreadable { what, byte: Some(byte), line: Some(line), detail: detail.into() }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the page cannot be read ({}", self.what)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(byte) = self.byte {
            write!(f, ", byte {byte}")?;
        }
        write!(f, "): {}", self.detail)
    }
}

impl std::error::Error for Unreadable {}

/// Where the records are, for each format that the mapping reads.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::mapping) struct Records {
    pub json: Option<JsonRecords>,
    pub xml: Option<XmlRecords>,
    pub csv: Option<CsvRecords>,
}

impl Records {
    pub(in crate::mapping) fn formats(&self) -> impl Iterator<Item = Format> {
        let known = [
            self.json.as_ref().map(|_| Format::Json),
            self.xml.as_ref().map(|_| Format::Xml),
            self.csv.as_ref().map(|_| Format::Csv),
        ];
        known.into_iter().flatten()
    }

    fn missing(&self, format: Format) -> Unreadable {
        let known: Vec<&str> = self.formats().map(Format::as_str).collect();
        Unreadable::new("format_not_supported", format!("the mapping reads {} and not {format}", known.join(", ")))
    }
}

/// What a reader hands over.
pub(in crate::mapping) enum Found<'s, 'a> {
    Record(Row<'s, 'a>),
    /// The record itself has no shape that fields could be read from.
    Broken {
        ordinal: u32,
        detail: &'static str,
    },
}

/// Takes the records of a page: those of JSON live as long as the page, those of XML and CSV only for the call.
pub(in crate::mapping) trait Taker<'a> {
    fn lasting(&mut self, found: Found<'_, 'a>);
    fn passing(&mut self, found: Found<'_, '_>);

    /// Whether it is asked about the text of each JSON record before that is read.
    fn has_memory(&self) -> bool {
        false
    }

    /// Whether it knows what this record becomes; then it has taken it.
    fn recalls(&mut self, _ordinal: u32, _record: &'a str) -> bool {
        false
    }
}

/// Larger bodies are refused by the transport; this is the second line.
const MAX_BODY: usize = 256 * 1024 * 1024;

pub(in crate::mapping) fn read_page<'a>(
    format: Format,
    body: &'a [u8],
    records: &Records,
    shape: &Shape,
    want_whole: bool,
    taker: &mut impl Taker<'a>,
) -> Result<(), Unreadable> {
    let text = text_of(format, body)?;
    match format {
        Format::Json => {
            let records = records.json.as_ref().ok_or_else(|| records.missing(format))?;
            json::read_records(text, records, shape, want_whole, taker)
        }
        Format::Xml => {
            let records = records.xml.as_ref().ok_or_else(|| records.missing(format))?;
            xml::read_records(text, records, shape, want_whole, |found| taker.passing(found))
        }
        Format::Csv => {
            let records = records.csv.as_ref().ok_or_else(|| records.missing(format))?;
            csv::read_records(text, records, shape, want_whole, |found| taker.passing(found))
        }
    }
}

/// Documents of the same shape that hold just one record each, in the order of the page.
pub(in crate::mapping) fn standalone(
    format: Format,
    body: &[u8],
    records: &Records,
    wanted: &[u32],
) -> Result<Vec<(u32, Vec<u8>)>, Unreadable> {
    let text = text_of(format, body)?;
    match format {
        Format::Json => json::standalone(text, records.json.as_ref().ok_or_else(|| records.missing(format))?, wanted),
        Format::Xml => xml::standalone(text, records.xml.as_ref().ok_or_else(|| records.missing(format))?, wanted),
        Format::Csv => csv::standalone(text, records.csv.as_ref().ok_or_else(|| records.missing(format))?, wanted),
    }
}

/// The text of a body: UTF-8, with or without a byte order mark. What looks like a web page is called one.
fn text_of(format: Format, body: &[u8]) -> Result<&str, Unreadable> {
    if body.len() > MAX_BODY {
        return Err(Unreadable::new("too_large", format!("{} bytes, and at most {MAX_BODY} are read", body.len())));
    }
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let text = std::str::from_utf8(body).map_err(|error| {
        let byte = error.valid_up_to();
        let line = body[..byte].iter().filter(|b| **b == b'\n').count() + 1;
        Unreadable {
            what: "not_utf8",
            byte: Some(byte),
            line: Some(line),
            detail: "the bytes are not UTF-8; was the body decoded with its own encoding?".to_owned(),
        }
    })?;
    let start = text.trim_start();
    if start.is_empty() {
        return Err(Unreadable::new("empty_body", "the body is empty"));
    }
    if start.get(..9).is_some_and(|head| head.eq_ignore_ascii_case("<!doctype"))
        && start.get(9..).is_some_and(|rest| rest.trim_start().get(..4).is_some_and(|n| n.eq_ignore_ascii_case("html")))
        || start.get(..5).is_some_and(|head| head.eq_ignore_ascii_case("<html"))
    {
        return Err(Unreadable::new("html", "the body is a web page"));
    }
    if format == Format::Json && start.starts_with('<') {
        return Err(Unreadable::new("not_json", "the body is XML or a web page, JSON was expected"));
    }
    Ok(text)
}
