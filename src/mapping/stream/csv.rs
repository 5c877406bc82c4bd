//! The records of a CSV file, one after the other: a header line names the columns.

use std::io::{BufRead, Read};

use ::csv::{ByteRecord, Reader, ReaderBuilder};

use super::{Broken, Piece, StreamError, text::Text};
use crate::mapping::source::CsvRecords;

/// What the reader takes from the text at a time.
const BUFFER: usize = 64 * 1024;

pub struct CsvStream<R> {
    reader: Reader<Text<R>>,
    /// Where the header begins.
    base: u64,
    delimiter: u8,
    header: String,
    columns: usize,
    record: ByteRecord,
    /// Line and byte of the last record, when it ends within a quoted field.
    unclosed: Option<(u64, u64)>,
}

impl<R: Read> CsvStream<R> {
    pub(super) fn open(mut text: Text<R>, records: &CsvRecords) -> Result<CsvStream<R>, StreamError> {
        let base = skip_preamble(&mut text)?;
        let delimiter = records.delimiter_of(&text.first_line()?);
        let mut reader =
            ReaderBuilder::new().delimiter(delimiter).flexible(true).buffer_capacity(BUFFER).from_reader(text);
        let columns = match reader.byte_headers() {
            Ok(header) => header.len(),
            Err(error) => return Err(fault(&mut reader, base, &error)),
        };
        let end = base + reader.position().byte();
        let text = reader.get_ref();
        let mut header = text.since_release(end).to_owned();
        if header.trim().is_empty() {
            return Err(Broken::at_start("empty_body", "the file has no header line").into());
        }
        if ends_in_quotes(&header, delimiter) {
            return Err(text.broken("not_csv", base, "a quoted column name is never closed").into());
        }
        if !header.ends_with('\n') {
            header.push('\n');
        }
        Ok(CsvStream { reader, base, delimiter, header, columns, record: ByteRecord::new(), unclosed: None })
    }

    pub(super) fn next_piece(&mut self) -> Result<Option<Piece>, StreamError> {
        let before = self.base + self.reader.position().byte();
        self.reader.get_mut().release(before);
        let found = match self.reader.read_byte_record(&mut self.record) {
            Ok(found) => found,
            Err(error) => return Err(fault(&mut self.reader, self.base, &error)),
        };
        if !found {
            let Some((line, byte)) = self.unclosed else { return Ok(None) };
            let detail = "a quoted field of the record that begins here is never closed".to_owned();
            return Err(Broken { what: "cut_off", line, byte, detail }.into());
        }
        let end = self.base + self.reader.position().byte();
        let text = self.reader.get_ref();
        let written = text.since_release(end);
        // The break behind the record before it.
        let breaks = written.bytes().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let (line, byte) = text.place();
        let line = line + written[..breaks].matches('\n').count() as u64;
        self.unclosed = ends_in_quotes(written, self.delimiter).then_some((line, byte + breaks as u64));
        Ok(Some(Piece { place: 0, operation: None, line, end }))
    }

    pub(super) fn text(&self, piece: &Piece) -> &str {
        self.reader.get_ref().since_release(piece.end)
    }

    /// A list of one line that has a value in every column.
    pub(super) fn filled(&self) -> String {
        let line = vec!["1"; self.columns].join(&char::from(self.delimiter).to_string());
        format!("{}{line}\n", self.header)
    }

    /// With its line break.
    pub(super) fn header(&self) -> &str {
        &self.header
    }
}

/// Blank lines in front of the header, and the `sep=;` that a spreadsheet writes there. Answers where the header begins.
fn skip_preamble<R: Read>(text: &mut Text<R>) -> Result<u64, StreamError> {
    let mut base = 0;
    loop {
        let line = text.first_line()?;
        let is_hint = line.trim().to_ascii_lowercase().starts_with("sep=") && line.trim().len() <= 5;
        let length = text.fill_buf().map_or(0, |rest| rest.len().min(line.len() + 1));
        if length == 0 || !(is_hint || line.trim().is_empty()) {
            return Ok(base);
        }
        text.consume(length);
        base += length as u64;
        text.release(base);
    }
}

fn fault<R: Read>(reader: &mut Reader<Text<R>>, base: u64, error: &::csv::Error) -> StreamError {
    let at = base + error.position().map_or(0, ::csv::Position::byte);
    let text = reader.get_mut();
    text.stopped().unwrap_or_else(|| text.broken("not_csv", at, error.to_string()).into())
}

/// Whether a record ends while a quoted field is open.
fn ends_in_quotes(record: &str, delimiter: u8) -> bool {
    let bytes = record.as_bytes();
    if bytes.iter().filter(|byte| **byte == b'"').count() % 2 == 0 {
        return false;
    }
    let (mut quoted, mut at_start, mut place) = (false, true, 0);
    while let Some(byte) = bytes.get(place) {
        place += 1;
        if quoted {
            if *byte == b'"' {
                // A doubled one is a letter.
                if bytes.get(place) == Some(&b'"') { place += 1 } else { quoted = false }
            }
            continue;
        }
        quoted = at_start && *byte == b'"';
        at_start = *byte == delimiter || matches!(byte, b'\r' | b'\n');
    }
    quoted
}

impl<R> std::fmt::Debug for CsvStream<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CsvStream").field("header", &self.header).finish_non_exhaustive()
    }
}
