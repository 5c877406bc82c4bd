//! The second pass over a file: documents of up to a thousand records, each the size of a page.

use std::{io::Read, path::Path};

use super::{
    FilesError,
    survey::{Reading, Trouble},
};
use crate::mapping::{
    Mapped,
    stream::{RecordStream, StreamError},
};

/// Records of a slice.
const RECORDS: usize = 1_000;

/// A slice ends with the record that makes it longer.
const BYTES: usize = 4 * 1024 * 1024;

/// What is to be done with the records of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Operation {
    Apply,
    Deactivate,
    /// A word that nobody knows.
    Unknown(String),
}

impl Operation {
    /// By the attribute `DBOP`; a record without one is applied.
    fn of(word: Option<String>) -> Operation {
        match word.as_deref().map(str::to_ascii_uppercase).as_deref() {
            None | Some("INS" | "UPD" | "") => Operation::Apply,
            Some("DEL") => Operation::Deactivate,
            Some(_) => Operation::Unknown(word.unwrap_or_default()),
        }
    }
}

/// Records that follow each other and are treated alike, as a document of their own.
#[derive(Debug)]
pub(super) struct Segment {
    pub operation: Operation,
    /// Place of the first one in the file, from 0.
    pub first: u64,
    /// The line at which each begins.
    pub lines: Vec<u64>,
    pub body: String,
    /// What the body became by the mapping, then by its parts.
    pub document: Vec<Mapped<'static>>,
    place: usize,
}

/// What goes into one transaction.
#[derive(Debug)]
pub(super) struct Slice {
    /// Records of the file that come before it.
    pub first: u64,
    pub records: u64,
    pub segments: Vec<Segment>,
}

/// Cuts the file behind its first `skip` records; `send` answers whether there is to be another slice.
pub(super) fn cut(
    reading: &Reading,
    path: &Path,
    skip: u64,
    send: impl FnMut(Slice) -> bool,
) -> Result<(), FilesError> {
    let failed = |error| match Trouble::of(path)(error) {
        Trouble::Passing(error) => error,
        // It was sound at the first pass.
        Trouble::Broken(_) => FilesError::Changed,
    };
    cut_stream(reading, reading.open(path).map_err(failed)?, skip, failed, send)
}

/// The same for records that are read from anywhere.
pub(super) fn cut_stream<R: Read, E: From<FilesError>>(
    reading: &Reading,
    mut stream: RecordStream<R>,
    skip: u64,
    failed: impl Fn(StreamError) -> E,
    mut send: impl FnMut(Slice) -> bool,
) -> Result<(), E> {
    let mut at = 0_u64;
    let mut slice = Slice { first: skip, records: 0, segments: Vec::new() };
    let mut bytes = 0;
    while let Some(mut piece) = stream.next_piece().map_err(&failed)? {
        at += 1;
        if at <= skip {
            continue;
        }
        let operation = Operation::of(piece.operation.take());
        let fits = |last: &Segment| last.operation == operation && last.place == piece.place;
        if !slice.segments.last().is_some_and(fits) {
            end(reading, &stream, slice.segments.last_mut())?;
            let body = stream.open(piece.place);
            slice.segments.push(Segment {
                operation,
                first: at - 1,
                lines: Vec::new(),
                body,
                document: Vec::new(),
                place: piece.place,
            });
        }
        let text = stream.text(&piece);
        if let Some(last) = slice.segments.last_mut() {
            last.lines.push(piece.line);
            last.body.push_str(text);
        }
        bytes += text.len();
        slice.records += 1;
        if slice.records >= RECORDS as u64 || bytes >= BYTES {
            end(reading, &stream, slice.segments.last_mut())?;
            let next = Slice { first: at, records: 0, segments: Vec::new() };
            bytes = 0;
            if !send(std::mem::replace(&mut slice, next)) {
                return Ok(());
            }
        }
    }
    if slice.records > 0 {
        end(reading, &stream, slice.segments.last_mut())?;
        send(slice);
    }
    Ok(())
}

/// Makes a document of the last segment, and maps it while the slices before it are applied.
fn end<R: Read>(reading: &Reading, stream: &RecordStream<R>, last: Option<&mut Segment>) -> Result<(), FilesError> {
    if let Some(last) = last {
        last.body.push_str(&stream.close(last.place));
        last.document = reading.map(&last.body).map_err(|unreadable| FilesError::Slice(unreadable.to_string()))?;
    }
    Ok(())
}
