//! Signing keys in a file.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::keys::{self, KeyProblem};

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

pub(super) fn read(path: &Path) -> Result<Vec<Vec<u8>>, KeyProblem> {
    let text =
        fs::read_to_string(path).map_err(|source| KeyProblem::File { what: "read", path: path.to_owned(), source })?;
    let no_key = || KeyProblem::NoKey(path.to_owned());
    let mut keys = Vec::new();
    for block in text.split(BEGIN).skip(1) {
        let (body, _) = block.split_once(END).ok_or_else(no_key)?;
        let packed: String = body.split_whitespace().collect();
        keys.push(STANDARD.decode(packed).map_err(|_| no_key())?);
    }
    if keys.is_empty() { Err(no_key()) } else { Ok(keys) }
}

/// Two processes that start at once end with one file: whoever links first has made it.
pub(super) fn make(path: &Path) -> Result<(), KeyProblem> {
    let draft = write_draft(path, &[keys::make()?])?;
    let linked = match fs::hard_link(&draft, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    };
    fs::remove_file(&draft).and(linked).map_err(|source| broken("write", path, source))
}

/// Puts a new key before the one that signed until now; older ones go. Gives the new one's name.
pub(super) fn rotate(path: &Path) -> Result<String, KeyProblem> {
    let mut all = vec![keys::make()?];
    let kid = keys::kid_of_key(&all[0])?;
    if path.exists() {
        all.extend(read(path)?.into_iter().take(1));
    }
    let draft = write_draft(path, &all)?;
    fs::rename(&draft, path).map_err(|source| broken("write", path, source))?;
    Ok(kid)
}

fn write_draft(path: &Path, all: &[Vec<u8>]) -> Result<PathBuf, KeyProblem> {
    let text: String = all.iter().map(|key| format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode(key))).collect();
    let draft = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .map_err(|source| broken("make", path, source))?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.map_err(|source| broken("write", path, source))?;
    Ok(draft)
}

fn broken(what: &'static str, path: &Path, source: io::Error) -> KeyProblem {
    KeyProblem::File { what, path: path.to_owned(), source }
}
