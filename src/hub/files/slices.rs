//! The second pass over a file: documents of up to a thousand records, each the size of a page.

use std::path::Path;

use super::{
    FilesError,
    survey::{Reading, Trouble},
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
    mut send: impl FnMut(Slice) -> bool,
) -> Result<(), FilesError> {
    let failed = |error| match Trouble::of(path)(error) {
        Trouble::Passing(error) => error,
        // It was sound at the first pass.
        Trouble::Broken(_) => FilesError::Changed,
    };
    let mut stream = reading.open(path).map_err(failed)?;
    let mut at = 0_u64;
    let mut slice = Slice { first: skip, records: 0, segments: Vec::new() };
    let mut bytes = 0;
    while let Some(mut piece) = stream.next().map_err(failed)? {
        at += 1;
        if at <= skip {
            continue;
        }
        let operation = Operation::of(piece.operation.take());
        let fits = |last: &Segment| last.operation == operation && last.place == piece.place;
        if !slice.segments.last().is_some_and(fits) {
            if let Some(last) = slice.segments.last_mut() {
                last.body.push_str(&stream.close(last.place));
            }
            let body = stream.open(piece.place);
            slice.segments.push(Segment { operation, first: at - 1, lines: Vec::new(), body, place: piece.place });
        }
        let text = stream.text(&piece);
        if let Some(last) = slice.segments.last_mut() {
            last.lines.push(piece.line);
            last.body.push_str(text);
        }
        bytes += text.len();
        slice.records += 1;
        if slice.records >= RECORDS as u64 || bytes >= BYTES {
            if let Some(last) = slice.segments.last_mut() {
                last.body.push_str(&stream.close(last.place));
            }
            let next = Slice { first: at, records: 0, segments: Vec::new() };
            bytes = 0;
            if !send(std::mem::replace(&mut slice, next)) {
                return Ok(());
            }
        }
    }
    if let Some(last) = slice.segments.last_mut() {
        last.body.push_str(&stream.close(last.place));
        send(slice);
    }
    Ok(())
}
