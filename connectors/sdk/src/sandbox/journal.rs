//! What was written to a system, one JSON document a line, appended before the write is answered.
//!
//! The file is handed to the operating system with each entry and so outlives a kill -9 of the process; it is not
//! synced to disk. A last line that was cut short is what the process was writing when it died: nobody was answered,
//! so it is dropped.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::Path,
    sync::{Mutex, PoisonError},
};

use serde::{Serialize, de::DeserializeOwned};

#[derive(Debug)]
pub struct Journal {
    file: Option<Mutex<File>>,
}

impl Journal {
    /// Nothing is kept.
    pub const fn in_memory() -> Journal {
        Journal { file: None }
    }

    /// Opens `<dir>/<name>.journal`, handing every whole entry to `replay` in the order in which it was written.
    pub fn open<T: DeserializeOwned>(dir: &Path, name: &str, mut replay: impl FnMut(T)) -> io::Result<Journal> {
        fs::create_dir_all(dir)?;
        let path = dir.join(format!("{name}.journal"));
        let written = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let whole = written.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        for (number, line) in written[..whole].split(|&byte| byte == b'\n').enumerate().filter(|(_, l)| !l.is_empty()) {
            let entry = serde_json::from_slice(line).map_err(|error| {
                io::Error::other(format!(
                    "{}, line {}: {error}; remove the file to start anew",
                    path.display(),
                    number + 1
                ))
            })?;
            replay(entry);
        }
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        file.set_len(whole as u64)?;
        Ok(Journal { file: Some(Mutex::new(file)) })
    }

    pub fn append<T: Serialize>(&self, entry: &T) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        let before = file.metadata()?.len();
        // A line that could not be written whole must not stand before the next one.
        file.write_all(&line).inspect_err(|_| drop(file.set_len(before)))
    }
}
