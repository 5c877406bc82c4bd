//! A file that somebody kept, read as a watched folder would read it. No folder, no network, no database.

use super::{
    Folder, Take,
    folder::format_by_ending,
    slices::{Operation, Slice, cut_stream},
    survey::{HEAD, Reading, Trouble, charset_of, count, mapping_by_root},
};
use crate::{
    hub::{mappings::InForce, reading::Outcome},
    mapping::{
        Format,
        stream::{Charset, MAX_RECORD, StreamError, Text, Utf8Check, root_of},
    },
};

/// A kept file and whose it would be.
#[derive(Debug, Clone)]
pub struct KeptFile<'a> {
    /// How it lay in the folder.
    pub name: &'a str,
    pub bytes: &'a [u8],
    pub folder: &'a Folder,
    /// Instead of what the folder says.
    pub mapping: Option<&'a str>,
    pub format: Option<Format>,
}

pub fn begins_as_xml(bytes: &[u8]) -> bool {
    bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes).trim_ascii_start().starts_with(b"<")
}

impl KeptFile<'_> {
    /// Whether it is an exchange file of which the folder knows what it holds.
    pub fn is_exchanged(&self) -> bool {
        let root = || {
            let charset = Charset::of_xml(&self.bytes[..self.bytes.len().min(HEAD)]).ok()?;
            root_of(Text::new(self.bytes, charset, MAX_RECORD)).ok()
        };
        begins_as_xml(self.bytes) && root().is_some_and(|root| self.folder.roots.contains_key(&root))
    }

    fn take(&self) -> Take {
        let fitting = self.folder.take_of(self.name).cloned();
        let any = Take { pattern: "*".to_owned(), mapping: None, format: None, encoding: None };
        let mut take = fitting.unwrap_or(any);
        take.mapping = self.mapping.map(str::to_owned).or(take.mapping);
        take.format = self.format.or(take.format);
        take
    }

    fn reading(&self, in_force: &InForce) -> Result<Result<Reading, Outcome>, Trouble> {
        let take = self.take();
        let head = &self.bytes[..self.bytes.len().min(HEAD)];
        let format = take.format.or_else(|| format_by_ending(self.name)).unwrap_or(Format::Xml);
        let mut utf8 = Utf8Check::default();
        utf8.take(self.bytes);
        let charset = charset_of(&take, format, head, utf8.end())?;
        let wanted = match (take.mapping, format) {
            (Some(mapping), _) => mapping,
            (None, Format::Xml) => {
                let root = root_of(Text::new(self.bytes, charset, MAX_RECORD)).map_err(of_bytes)?;
                mapping_by_root(self.folder, root)?
            }
            (None, _) => {
                let detail = "a list does not say what it holds: name a mapping, as in --mapping csv/products";
                return Ok(Err(Outcome::contract("mapping_unknown", detail)));
            }
        };
        Ok(match in_force.get(&wanted) {
            Some(mapping) => Ok(Reading { format, charset, mapping }),
            None => {
                let detail = format!("the mapping `{wanted}` is not in the library");
                Err(Outcome::contract("mapping_missing", &detail))
            }
        })
    }
}

fn of_bytes(error: StreamError) -> Trouble {
    match error {
        StreamError::Broken(broken) => Trouble::Broken(broken),
        StreamError::Io(source) => {
            Trouble::Passing(super::FilesError::Disk { what: "read", path: "the file".into(), source })
        }
    }
}

/// Reads it, twice as a watched folder does: a broken file gives no record at all.
pub fn read(in_force: &InForce, file: &KeptFile<'_>) -> Outcome {
    let outcome = match file.reading(in_force) {
        Ok(Ok(reading)) => records(&reading, file.bytes),
        Ok(Err(outcome)) => return outcome,
        Err(trouble) => Err(trouble),
    };
    match outcome {
        Ok(outcome) => outcome,
        Err(Trouble::Broken(broken)) => Outcome::contract(broken.what, &broken.to_string()),
        Err(Trouble::Passing(error)) => Outcome::contract("unreadable", &error.to_string()),
    }
}

fn records(reading: &Reading, bytes: &[u8]) -> Result<Outcome, Trouble> {
    let mut stream = reading.over(bytes).map_err(of_bytes)?;
    let all = count(&mut stream, || false).map_err(of_bytes)?.unwrap_or_default();
    let mut outcome = Outcome::of_records();
    outcome.notes.push(format!(
        "{all} records of a file in {} as {}, by {}",
        reading.charset.name(),
        reading.format,
        reading.mapping.name()
    ));
    let send = |slice: Slice| {
        for segment in slice.segments {
            match segment.operation {
                Operation::Apply => outcome.add(&segment.document, segment.first),
                Operation::Deactivate => outcome.delete(&segment.document, segment.first),
                Operation::Unknown(word) => outcome.refuse(&segment.document, segment.first, &word),
            }
        }
        true
    };
    cut_stream(reading, reading.over(bytes).map_err(of_bytes)?, 0, of_bytes, send)?;
    outcome.settle();
    Ok(outcome)
}
