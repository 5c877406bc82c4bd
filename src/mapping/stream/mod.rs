//! Documents too long for memory: checked and cut into records while they are read.
//!
//! [`Mapping::stream`] gives the records of an XML exchange file or a CSV list one after the other, each as it was
//! written. Some of them, put together by [`RecordStream::open`] and [`RecordStream::close`], are a document of the same
//! shape, which [`Mapping::map`] reads.
//!
//! Invariants
//! - Never more than one record is in memory, and a record is bounded.
//! - What a stream lets through, the reader of whole documents takes as well: the same limits hold, so that no part of a
//!   file that was found sound is refused later.
//! - A fault is told with line and byte of the file itself, whatever its encoding.

mod csv;
mod text;
mod xml;

use std::{fmt, io, io::Read};

use self::{csv::CsvStream, xml::XmlStream};
use super::{
    Format, Mapping, Overlay, Reason,
    rule::Page,
    source::{Found, Taker, read_page},
    value::UnmappedCount,
};

pub use text::{Charset, Text, Utf8Check};
pub use xml::root_of;

/// Bytes of text that one record may have.
pub const MAX_RECORD: usize = 1024 * 1024;

/// Why a file cannot be taken, and where. `what` is a word of [`super::Unreadable`], or `encoding`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    pub what: &'static str,
    /// From 1.
    pub line: u64,
    /// From 0, in the file's own bytes.
    pub byte: u64,
    pub detail: String,
}

impl Broken {
    pub fn at_start(what: &'static str, detail: impl Into<String>) -> Broken {
        Broken { what, line: 1, byte: 0, detail: detail.into() }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}, byte {}: {}", self.what, self.line, self.byte, self.detail)
    }
}

/// Why a stream ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The file's own fault.
    #[error("{0}")]
    Broken(Broken),
    /// The disk's or the network's.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl From<Broken> for StreamError {
    fn from(broken: Broken) -> StreamError {
        StreamError::Broken(broken)
    }
}

/// A record that was found; its text is [`RecordStream::text`] until the next one is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Which of the mapping's places of records it stands at; pieces of one document have the same.
    pub place: usize,
    /// What the record says is to be done with it: the attribute `DBOP` of a LOGO exchange file.
    pub operation: Option<String>,
    /// Where it begins.
    pub line: u64,
    /// Behind its last character.
    end: u64,
}

/// The records of one file.
pub enum RecordStream<R> {
    Xml(Box<XmlStream<R>>),
    Csv(Box<CsvStream<R>>),
}

impl<R: Read> RecordStream<R> {
    /// `None`: the file has ended, and all of it is sound.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, StreamError> {
        match self {
            RecordStream::Xml(xml) => xml.next_piece(),
            RecordStream::Csv(csv) => csv.next_piece(),
        }
    }

    /// The record as it was written.
    pub fn text(&self, piece: &Piece) -> &str {
        match self {
            RecordStream::Xml(xml) => xml.text(piece),
            RecordStream::Csv(csv) => csv.text(piece),
        }
    }

    /// What stands before records of this place in a document of their own.
    pub fn open(&self, place: usize) -> String {
        match self {
            RecordStream::Xml(xml) => xml.open(place),
            RecordStream::Csv(csv) => csv.header().to_owned(),
        }
    }

    /// What stands behind them.
    pub fn close(&self, place: usize) -> String {
        match self {
            RecordStream::Xml(xml) => xml.close(place),
            RecordStream::Csv(_) => String::new(),
        }
    }
}

impl Mapping {
    /// The records of a text, in the places where this mapping looks for them.
    pub fn stream<R: Read>(&self, format: Format, text: Text<R>) -> Result<RecordStream<R>, StreamError> {
        let unsupported = || {
            let detail = format!("the mapping {} reads no {format}", self.name());
            StreamError::Broken(Broken::at_start("format_not_supported", detail))
        };
        match format {
            Format::Xml => {
                let records = self.records.xml.as_ref().ok_or_else(unsupported)?;
                Ok(RecordStream::Xml(Box::new(XmlStream::new(text, records.paths.clone()))))
            }
            Format::Csv => {
                let records = self.records.csv.as_ref().ok_or_else(unsupported)?;
                let stream = CsvStream::open(text, records)?;
                self.check_header(&stream.filled())?;
                Ok(RecordStream::Csv(Box::new(stream)))
            }
            Format::Json => Err(unsupported()),
        }
    }

    /// A list without the column of the code is another list. `filled` has a value in each of its columns.
    fn check_header(&self, filled: &str) -> Result<(), Broken> {
        let mut probe = CodeProbe { mapping: self, missing: None };
        read_page(Format::Csv, filled.as_bytes(), &self.records, &self.shape, self.needs_whole, &mut probe)
            .map_err(|unreadable| Broken::at_start(unreadable.what, unreadable.detail))?;
        match probe.missing {
            None => Ok(()),
            Some(source) => {
                let detail = format!("no column of the header gives the record's code ({source})");
                Err(Broken::at_start("wrong_shape", detail))
            }
        }
    }
}

/// Asks records for nothing but their code.
struct CodeProbe<'m> {
    mapping: &'m Mapping,
    /// Where it was looked for in vain.
    missing: Option<String>,
}

impl Taker<'_> for CodeProbe<'_> {
    fn lasting(&mut self, found: Found<'_, '_>) {
        self.passing(found);
    }

    fn passing(&mut self, found: Found<'_, '_>) {
        let Found::Record(row) = found else { return };
        let (overlay, mut unmapped) = (Overlay::default(), UnmappedCount::default());
        let mut page = Page { format: Format::Csv, overlay: &overlay, unmapped: &mut unmapped };
        if let Err(failure) = self.mapping.code(row, &mut page)
            && failure.refusal.reason == Reason::MissingCode
        {
            self.missing = Some(failure.source);
        }
    }
}
