//! CSV files: a header line names the columns.

use std::collections::HashSet;

use csv::{ByteRecord, Reader, ReaderBuilder, StringRecord};

use super::json::read_row;
use super::page::{Found, Unreadable};
use super::shape::{Row, Shape};

#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::mapping) struct CsvRecords {
    /// None: whichever of `;`, tab, `|` and `,` the header line holds most of.
    pub delimiter: Option<u8>,
}

impl CsvRecords {
    /// The mark between the columns of a file with this header line.
    pub(in crate::mapping) fn delimiter_of(&self, header: &str) -> u8 {
        self.delimiter.unwrap_or_else(|| {
            let count = |mark: &u8| header.bytes().filter(|b| b == mark).count();
            // `max_by_key` takes the last of equals: a comma when there is none of them at all.
            [b';', b'\t', b'|', b','].into_iter().max_by_key(count).unwrap_or(b',')
        })
    }

    fn reader<'a>(&self, body: &'a str) -> Reader<&'a [u8]> {
        let delimiter = self.delimiter_of(body.lines().next().unwrap_or_default());
        ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(body.as_bytes())
    }
}

pub(super) fn read_records(
    body: &str,
    records: &CsvRecords,
    shape: &Shape,
    want_whole: bool,
    mut take: impl FnMut(Found<'_, '_>),
) -> Result<(), Unreadable> {
    let mut reader = records.reader(body);
    let header = header_of(&mut reader)?;
    if let Some(twice) = named_twice(&header, shape) {
        let detail = format!("the header has the column `{twice}` twice, and which of them counts is not known");
        return Err(Unreadable::new("wrong_shape", detail));
    }
    let mut record = StringRecord::new();
    let mut object = String::new();
    let mut ordinal = 0_u32;
    loop {
        match reader.read_record(&mut record) {
            Ok(false) => return Ok(()),
            Ok(true) => {}
            Err(error) => return Err(unreadable(&error)),
        }
        if record.len() == header.len() {
            object.clear();
            write_object(&header, &record, &mut object);
            let mut slots = vec![None; shape.len()];
            read_row(&object, shape, &mut slots);
            take(Found::Record(Row { ordinal, slots: &slots, whole: want_whole.then_some(object.as_str()) }));
        } else {
            take(Found::Broken { ordinal, detail: "the line has another number of columns than the header" });
        }
        ordinal = ordinal.saturating_add(1);
    }
}

pub(super) fn standalone(body: &str, records: &CsvRecords, wanted: &[u32]) -> Result<Vec<(u32, Vec<u8>)>, Unreadable> {
    let mut reader = records.reader(body);
    header_of(&mut reader)?;
    let bytes = body.as_bytes();
    // The header as it was written: up to where the first record begins.
    let mut record = ByteRecord::new();
    let mut kept = Vec::new();
    let mut ordinal = 0_u32;
    let header = &bytes[..place(&reader, bytes.len())];
    loop {
        let start = place(&reader, bytes.len());
        match reader.read_byte_record(&mut record) {
            Ok(false) => return Ok(kept),
            Ok(true) => {}
            Err(error) => return Err(unreadable(&error)),
        }
        if wanted.contains(&ordinal) {
            let mut document = header.to_vec();
            if !document.ends_with(b"\n") {
                document.push(b'\n');
            }
            document.extend_from_slice(&bytes[start..place(&reader, bytes.len())]);
            kept.push((ordinal, document));
        }
        ordinal = ordinal.saturating_add(1);
    }
}

fn place(reader: &Reader<&[u8]>, end: usize) -> usize {
    usize::try_from(reader.position().byte()).unwrap_or(end).min(end)
}

fn header_of(reader: &mut Reader<&[u8]>) -> Result<StringRecord, Unreadable> {
    let header = reader.headers().map_err(|error| unreadable(&error))?;
    Ok(header.iter().map(str::trim).collect())
}

/// A column that the mapping asks for and that the header has more than once.
fn named_twice<'h>(header: &'h StringRecord, shape: &Shape) -> Option<&'h str> {
    let mut seen = HashSet::new();
    header.iter().filter(|name| shape.find(name).is_some()).find(|name| !seen.insert(*name))
}

fn unreadable(error: &csv::Error) -> Unreadable {
    let position = error.position();
    Unreadable {
        what: "not_csv",
        byte: position.and_then(|position| usize::try_from(position.byte()).ok()),
        line: position.and_then(|position| usize::try_from(position.line()).ok()),
        detail: error.to_string(),
    }
}

/// Every column a string; an empty one is an empty string.
fn write_object(header: &StringRecord, record: &StringRecord, out: &mut String) {
    out.push('{');
    for (place, (name, text)) in header.iter().zip(record).enumerate() {
        if place > 0 {
            out.push(',');
        }
        super::xml::write_string(name, out);
        out.push(':');
        super::xml::write_string(text, out);
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(body: &str) -> Vec<String> {
        let mut shape = Shape::default();
        shape.slot("Stok Kodu");
        let mut codes = Vec::new();
        read_records(body, &CsvRecords::default(), &shape, false, |found| {
            codes.push(match found {
                Found::Record(row) => row.slots[0].unwrap_or("-").to_owned(),
                Found::Broken { .. } => "broken".to_owned(),
            });
        })
        .unwrap();
        codes
    }

    #[test]
    fn the_header_tells_columns_and_mark() {
        assert_eq!(codes("Ad;Stok Kodu\r\nx,y;A\r\n\"a;\"\"b\";\"B\n2\"\r\n"), ["\"A\"", "\"B\\n2\""]);
        assert_eq!(codes("Stok Kodu\nA\n"), ["\"A\""]);
        assert_eq!(codes("Ad\tStok Kodu\nx\tA\nx\nx\tB"), ["\"A\"", "broken", "\"B\""]);
    }

    #[test]
    fn one_record_stands_alone_under_the_header() {
        let body = "Ad;Stok Kodu\r\nx;A\r\n\"a\nb\";B\r\ny;C";
        let kept = standalone(body, &CsvRecords::default(), &[1, 2]).unwrap();
        assert_eq!(codes(std::str::from_utf8(&kept[0].1).unwrap()), ["\"B\""]);
        assert_eq!(codes(std::str::from_utf8(&kept[1].1).unwrap()), ["\"C\""]);
    }
}
