//! The first pass over a file: is all of it sound, what is it, and how many records does it hold. Nothing is applied
//! before this is known.

use std::{
    fs::File,
    io::{ErrorKind, Read},
    path::Path,
};

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::{FilesError, Folder, Take};
use crate::mapping::{
    Effective, Format, Mapped, Unreadable,
    stream::{Broken, Charset, MAX_RECORD, RecordStream, StreamError, Text, Utf8Check, root_of},
};

const CHUNK: usize = 256 * 1024;

/// As much as the declaration of an XML file may take.
pub(super) const HEAD: usize = 1024;

/// What a sound file is.
#[derive(Debug, Clone)]
pub(super) struct Survey {
    pub sha256: [u8; 32],
    pub format: Format,
    pub charset: Charset,
    pub mapping: String,
    pub records: u64,
}

/// What a file turned out to be.
#[derive(Debug)]
pub(super) enum Found {
    Sound(Survey),
    Broken { sha256: Option<[u8; 32]>, broken: Broken },
}

/// How a file's records are read: settled by the first pass, followed by the second.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub format: Format,
    pub charset: Charset,
    pub mapping: Effective,
}

impl Reading {
    pub fn open(&self, path: &Path) -> Result<RecordStream<File>, StreamError> {
        self.over(File::open(path)?)
    }

    pub fn over<R: Read>(&self, source: R) -> Result<RecordStream<R>, StreamError> {
        self.mapping.stream(self.format, Text::new(source, self.charset, MAX_RECORD))
    }

    /// A document of some of the records, by the mapping and its parts.
    pub fn map(&self, body: &str) -> Result<Vec<Mapped<'static>>, Unreadable> {
        let document = self.mapping.map_with_parts(self.format, body.as_bytes())?;
        Ok(document.into_iter().map(Mapped::into_owned).collect())
    }
}

/// Why a pass over a file ended early.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The file's own fault.
    Broken(Broken),
    /// Nothing that the file is to blame for.
    Passing(FilesError),
}

impl From<FilesError> for Trouble {
    fn from(error: FilesError) -> Trouble {
        Trouble::Passing(error)
    }
}

impl From<Broken> for Trouble {
    fn from(broken: Broken) -> Trouble {
        Trouble::Broken(broken)
    }
}

impl Trouble {
    pub fn of(path: &Path) -> impl Fn(StreamError) -> Trouble {
        move |error| match error {
            StreamError::Broken(broken) => Trouble::Broken(broken),
            StreamError::Io(error) => Trouble::Passing(FilesError::disk("read", path)(error)),
        }
    }
}

/// Reads a file through; `name` is how it lay in the folder.
pub(super) fn survey(
    folder: &Folder,
    find: &dyn Fn(&str) -> Option<Effective>,
    name: &str,
    path: &Path,
    stop: &CancellationToken,
) -> Result<Found, FilesError> {
    let metadata = || std::fs::metadata(path).map_err(FilesError::disk("read", path));
    let before = metadata()?;
    if before.len() > folder.max_bytes {
        let detail = format!("{} bytes, and at most {} are taken: see max_bytes", before.len(), folder.max_bytes);
        return Ok(Found::Broken { sha256: None, broken: Broken::at_start("too_large", detail) });
    }
    let bytes = read_through(path, stop)?;
    let found = match look_into(folder, find, name, path, &bytes, stop) {
        Ok((reading, records)) => Found::Sound(Survey {
            sha256: bytes.sha256,
            format: reading.format,
            charset: reading.charset,
            mapping: reading.mapping.name().to_owned(),
            records,
        }),
        Err(Trouble::Broken(broken)) => Found::Broken { sha256: Some(bytes.sha256), broken },
        Err(Trouble::Passing(error)) => return Err(error),
    };
    let after = metadata()?;
    if (before.len(), before.modified().ok()) != (after.len(), after.modified().ok()) {
        return Err(FilesError::Changed);
    }
    Ok(found)
}

/// What is known of a file's bytes before anything is made of them.
struct Bytes {
    sha256: [u8; 32],
    is_utf8: bool,
    head: Vec<u8>,
}

fn read_through(path: &Path, stop: &CancellationToken) -> Result<Bytes, FilesError> {
    let disk = |error| FilesError::disk("read", path)(error);
    let mut file = File::open(path).map_err(disk)?;
    let (mut hash, mut utf8, mut head) = (Sha256::new(), Utf8Check::default(), Vec::new());
    let mut chunk = vec![0; CHUNK];
    loop {
        if stop.is_cancelled() {
            return Err(FilesError::Stopped);
        }
        let count = match file.read(&mut chunk) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(disk(error)),
        };
        let bytes = &chunk[..count];
        if count == 0 {
            return Ok(Bytes { sha256: hash.finalize().into(), is_utf8: utf8.end(), head });
        }
        if head.len() < HEAD {
            head.extend_from_slice(&bytes[..count.min(HEAD - head.len())]);
        }
        hash.update(bytes);
        utf8.take(bytes);
    }
}

/// Checks and counts the records.
fn look_into(
    folder: &Folder,
    find: &dyn Fn(&str) -> Option<Effective>,
    name: &str,
    path: &Path,
    bytes: &Bytes,
    stop: &CancellationToken,
) -> Result<(Reading, u64), Trouble> {
    if bytes.head.is_empty() {
        return Err(Broken::at_start("empty_body", "the file is empty").into());
    }
    let Some((take, format)) = folder.take_of(name).and_then(|take| Some((take, take.format_of(name)?))) else {
        let detail = format!("no pattern of [files.{}] fits the name any more", folder.name);
        return Err(Broken::at_start("not_wanted", detail).into());
    };
    let charset = charset_of(take, format, &bytes.head, bytes.is_utf8)?;
    let wanted = match &take.mapping {
        Some(mapping) => mapping.clone(),
        None => {
            let file = File::open(path).map_err(FilesError::disk("read", path))?;
            mapping_by_root(folder, root_of(Text::new(file, charset, MAX_RECORD)).map_err(Trouble::of(path))?)?
        }
    };
    let mapping = find(&wanted).ok_or(FilesError::UnknownMapping(wanted))?;
    let reading = Reading { format, charset, mapping };
    let mut stream = reading.open(path).map_err(Trouble::of(path))?;
    let records = count(&mut stream, || stop.is_cancelled()).map_err(Trouble::of(path))?;
    Ok((reading, records.ok_or(FilesError::Stopped)?))
}

/// Reads a file's records through to its end; `None`: stopped before it.
pub(super) fn count<R: Read>(
    stream: &mut RecordStream<R>,
    is_stopped: impl Fn() -> bool,
) -> Result<Option<u64>, StreamError> {
    let mut records = 0_u64;
    while stream.next_piece()?.is_some() {
        records += 1;
        if records.is_multiple_of(4096) && is_stopped() {
            return Ok(None);
        }
    }
    Ok(Some(records))
}

/// As the configuration says, or the file itself.
pub(super) fn charset_of(take: &Take, format: Format, head: &[u8], is_utf8: bool) -> Result<Charset, Broken> {
    match &take.encoding {
        Some(label) => Charset::by_name(label)?.with_mark(head),
        None if format == Format::Xml => Charset::of_xml(head),
        None => Charset::of_list(head, is_utf8),
    }
}

pub(super) fn mapping_by_root(folder: &Folder, root: String) -> Result<String, Broken> {
    folder.roots.get(&root).cloned().ok_or_else(|| {
        let known: Vec<&str> = folder.roots.keys().map(String::as_str).collect();
        let known = known.join(", ");
        let detail = format!("the root element is `{root}`, and [files.{}] has roots for {known}", folder.name);
        Broken::at_start("no_records", detail)
    })
}
