//! The texts of mapping files, read once: what is compared, checked and compiled are the same bytes.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::mapping::problem::Problem;

use super::Library;
use super::built_in::BUILT_IN;

/// A mapping file is written by hand; what is longer is something else.
const LONGEST: u64 = 4 * 1024 * 1024;

/// The system by whose mappings pushes go in: every route has its own.
const PUSHED: &str = "integration";

/// By their path below the directory: `logo/items.toml`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Files {
    files: BTreeMap<String, File>,
    /// Systems whose built-in mappings do not hold, each with the directory that takes their place.
    own: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq)]
struct File {
    /// For messages.
    shown: String,
    text: String,
}

pub(super) struct FileRef<'f> {
    pub path: &'f str,
    pub shown: &'f str,
    pub text: &'f str,
}

impl Files {
    /// Those that are compiled into the program; a system's folder in `dir` takes the place of that system whole.
    pub fn in_force(dir: Option<&Path>) -> Result<Files, Vec<Problem>> {
        let (files, problems) = Files::in_force_all(dir);
        if problems.is_empty() { Ok(files) } else { Err(problems) }
    }

    /// Those that can be read, beside what is wrong with the others.
    pub(super) fn in_force_all(dir: Option<&Path>) -> (Files, Vec<Problem>) {
        let (mut files, _) = Files::read_all(None);
        let Some(dir) = dir else { return (files, Vec::new()) };
        let (own, mut problems) = Files::read_all(Some(dir));
        for path in own.files.keys() {
            let system = system_of(path);
            if !files.own.contains_key(system) {
                files.own.insert(system.to_owned(), dir.join(system).display().to_string());
            }
        }
        files.files.retain(|path, _| !files.own.contains_key(system_of(path)));
        if let Some(place) = files.own.get(PUSHED) {
            let lacking = BUILT_IN.iter().map(|(path, _)| *path).filter(|path| {
                system_of(path) == PUSHED && !path.ends_with(".cases.toml") && !own.files.contains_key(*path)
            });
            problems.extend(lacking.map(|path| Problem {
                file: place.clone(),
                line: 0,
                column: 0,
                what: format!("{path} is not there, and what is pushed goes through it"),
                remedy: format!("copy the built-in one, or remove the folder {PUSHED} for all the built-in ones"),
            }));
        }
        files.files.extend(own.files);
        (files, problems)
    }

    /// `<dir>/<system>/<subject>.toml` and nothing else; without a directory those that are compiled into the program.
    pub fn read(dir: Option<&Path>) -> Result<Files, Vec<Problem>> {
        let (files, problems) = Files::read_all(dir);
        if problems.is_empty() { Ok(files) } else { Err(problems) }
    }

    /// Those that can be read, beside what is wrong with the others.
    pub(super) fn read_all(dir: Option<&Path>) -> (Files, Vec<Problem>) {
        let mut files = Files::default();
        let Some(dir) = dir else {
            for (path, text) in BUILT_IN {
                files.put(path, &format!("mappings/{path}"), text);
            }
            return (files, Vec::new());
        };
        let mut problems = Vec::new();
        for system in listed(dir, &mut problems).into_iter().filter(|path| path.is_dir()) {
            for path in listed(&system, &mut problems) {
                if path.extension().is_none_or(|extension| extension != "toml") {
                    continue;
                }
                match read_text(&path) {
                    Ok(text) => {
                        let below = path.strip_prefix(dir).unwrap_or(&path);
                        let below = below.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
                        files.put(&below, &path.display().to_string(), &text);
                    }
                    Err(problem) => problems.push(problem),
                }
            }
        }
        (files, problems)
    }

    /// Adds a file, or replaces the one of its path. `shown`: how it is called in messages.
    pub fn put(&mut self, path: &str, shown: &str, text: &str) {
        self.files.insert(path.to_owned(), File { shown: shown.to_owned(), text: text.to_owned() });
    }

    /// Adds the file of another place under this path.
    pub fn put_file(&mut self, path: &str, from: &Path) -> Result<(), Problem> {
        let text = read_text(from)?;
        self.put(path, &from.display().to_string(), &text);
        Ok(())
    }

    /// See [`Library::own`].
    pub fn own(&self) -> &BTreeMap<String, String> {
        &self.own
    }

    /// Of every path and text.
    pub fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        for (path, file) in &self.files {
            for part in [path, &file.text] {
                hasher.update(part.len().to_le_bytes());
                hasher.update(part);
            }
        }
        hasher.finalize().iter().fold(String::with_capacity(64), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        })
    }

    /// Checks and compiles them. All problems of all files are told at once, and then there is no library.
    pub fn library(&self) -> Result<Library, Vec<Problem>> {
        let (library, problems) = Library::build(self);
        if problems.is_empty() { Ok(library) } else { Err(problems) }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = FileRef<'_>> {
        self.files.iter().map(|(path, file)| FileRef { path, shown: &file.shown, text: &file.text })
    }
}

fn system_of(path: &str) -> &str {
    path.split_once('/').map_or(path, |(system, _)| system)
}

fn listed(dir: &Path, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
    match entries {
        Ok(entries) => {
            let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
            paths.sort();
            paths
        }
        Err(error) => {
            problems.push(unreadable(dir, &error.to_string()));
            Vec::new()
        }
    }
}

fn read_text(path: &Path) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| unreadable(path, &error.to_string()))?;
    let read = file.take(LONGEST + 1).read_to_end(&mut bytes);
    read.map_err(|error| unreadable(path, &error.to_string()))?;
    if bytes.len() as u64 > LONGEST {
        return Err(unreadable(path, &format!("it is longer than {} MiB", LONGEST / (1024 * 1024))));
    }
    String::from_utf8(bytes).map_err(|error| {
        let sound = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + sound.iter().filter(|byte| **byte == b'\n').count();
        let column = 1 + sound.iter().rev().take_while(|byte| **byte != b'\n').count();
        Problem {
            file: path.display().to_string(),
            line,
            column,
            what: "it is not UTF-8 from here on".to_owned(),
            remedy: "save it as UTF-8; an editor set to Turkish may write windows-1254".to_owned(),
        }
    })
}

fn unreadable(path: &Path, error: &str) -> Problem {
    Problem {
        file: path.display().to_string(),
        line: 0,
        column: 0,
        what: format!("it cannot be read: {error}"),
        remedy: "check that it exists and may be read".to_owned(),
    }
}
