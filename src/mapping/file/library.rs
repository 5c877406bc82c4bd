//! All mappings of a directory, or those compiled into the program.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::mapping::compiled::Mapping;
use crate::mapping::parts;
use crate::mapping::problem::{Problem, Report};

use super::built_in::BUILT_IN;
use super::compile::compile;
use super::section::{Section, parse_document};
use super::tables::Tables;

/// The mappings, by `system/subject`. Loading again makes a new one; nothing in it changes.
#[derive(Debug, Default)]
pub struct Library {
    mappings: BTreeMap<String, Arc<Mapping>>,
    cases: Vec<CaseFile>,
}

/// The golden cases beside a mapping.
#[derive(Debug)]
pub(in crate::mapping) struct CaseFile {
    pub mapping: String,
    pub file: String,
    pub text: String,
}

/// A file, by its path below the directory: `logo/items.toml`.
struct Source {
    path: String,
    /// For messages.
    shown: String,
    text: String,
}

impl Library {
    /// Reads and checks everything. All problems of all files are told at once, and then there is no library.
    pub fn load(dir: Option<&Path>) -> Result<Library, Vec<Problem>> {
        strictly(Library::inspect(dir))
    }

    /// The mappings that are sound, beside the problems of the others.
    pub fn inspect(dir: Option<&Path>) -> (Library, Vec<Problem>) {
        match dir.map(read_dir) {
            None => Library::build(built_in()),
            Some(Ok(files)) => Library::build(files),
            Some(Err(problems)) => (Library::default(), problems),
        }
    }

    pub fn get(&self, name: &str) -> Option<Arc<Mapping>> {
        self.mappings.get(name).cloned()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Mapping>> {
        self.mappings.values()
    }

    pub(in crate::mapping) fn cases(&self) -> &[CaseFile] {
        &self.cases
    }

    /// From texts in memory, each with its path below the directory.
    pub fn from_texts(files: &[(&str, &str)]) -> Result<Library, Vec<Problem>> {
        let file = |(path, text): &(&str, &str)| Source {
            path: (*path).to_owned(),
            shown: (*path).to_owned(),
            text: (*text).to_owned(),
        };
        strictly(Library::build(files.iter().map(file).collect()))
    }

    fn build(files: Vec<Source>) -> (Library, Vec<Problem>) {
        let mut problems = Vec::new();
        let mut shared: BTreeMap<&str, Tables> = BTreeMap::new();
        for file in &files {
            if let Some(system) = file.path.strip_suffix("/tables.toml") {
                let mut report = Report::new(&file.shown, &file.text);
                let document = parse_document(&file.text, &mut report);
                let section = Section::new(&document, 0..0, "the file");
                shared.entry(system).or_default().read(&section, &mut report);
                problems.extend(report.into_problems());
            }
        }
        let mut library = Library::default();
        let mut compiled = BTreeMap::new();
        let none = Tables::default();
        for file in &files {
            if let Some(mapping) = file.path.strip_suffix(".cases.toml") {
                let case = CaseFile { mapping: mapping.to_owned(), file: file.shown.clone(), text: file.text.clone() };
                library.cases.push(case);
                continue;
            }
            let Some(name) = file.path.strip_suffix(".toml").filter(|name| !name.ends_with("/tables")) else {
                continue;
            };
            let system = name.split_once('/').map(|(system, _)| system).unwrap_or_default();
            let mut report = Report::new(&file.shown, &file.text);
            if let Some(mapping) = compile(name, &file.text, shared.get(system).unwrap_or(&none), &mut report) {
                compiled.insert(name.to_owned(), mapping);
            }
            problems.extend(report.into_problems());
        }
        let file_of = |name: &str| files.iter().find(|file| file.path.strip_suffix(".toml") == Some(name));
        let (mappings, wrong_parts) = parts::link(compiled, |name| file_of(name).is_some());
        library.mappings = mappings;
        for (name, span, what, remedy) in wrong_parts {
            let Some(file) = file_of(&name) else { continue };
            let mut report = Report::new(&file.shown, &file.text);
            report.add(&span, what, remedy);
            problems.extend(report.into_problems());
        }
        let all_sound = problems.is_empty();
        for case in &library.cases {
            if all_sound && !library.mappings.contains_key(&case.mapping) {
                problems.push(Problem {
                    file: case.file.clone(),
                    line: 1,
                    column: 1,
                    what: format!("there is no mapping `{}` beside these cases", case.mapping),
                    remedy: "name the file after its mapping".to_owned(),
                });
            }
        }
        (library, problems)
    }
}

fn strictly((library, problems): (Library, Vec<Problem>)) -> Result<Library, Vec<Problem>> {
    if problems.is_empty() { Ok(library) } else { Err(problems) }
}

fn built_in() -> Vec<Source> {
    let file = |(path, text): &(&str, &str)| Source {
        path: (*path).to_owned(),
        shown: format!("mappings/{path}"),
        text: (*text).to_owned(),
    };
    BUILT_IN.iter().map(file).collect()
}

/// `<dir>/<system>/<subject>.toml`, in the order of their names.
fn read_dir(dir: &Path) -> Result<Vec<Source>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut files = Vec::new();
    let unreadable = |path: &Path, error: &std::io::Error| Problem {
        file: path.display().to_string(),
        line: 0,
        column: 0,
        what: format!("it cannot be read: {error}"),
        remedy: "check that it exists and may be read".to_owned(),
    };
    let listed = |path: &Path, problems: &mut Vec<Problem>| -> Vec<std::path::PathBuf> {
        match std::fs::read_dir(path) {
            Ok(entries) => {
                let mut paths: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
                paths.sort();
                paths
            }
            Err(error) => {
                problems.push(unreadable(path, &error));
                Vec::new()
            }
        }
    };
    for system in listed(dir, &mut problems).into_iter().filter(|path| path.is_dir()) {
        for path in listed(&system, &mut problems) {
            if path.extension().is_none_or(|extension| extension != "toml") {
                continue;
            }
            match std::fs::read_to_string(&path) {
                Ok(text) => {
                    let below = path.strip_prefix(dir).unwrap_or(&path);
                    let below = below.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
                    files.push(Source { path: below, shown: path.display().to_string(), text });
                }
                Err(error) => problems.push(unreadable(&path, &error)),
            }
        }
    }
    if problems.is_empty() { Ok(files) } else { Err(problems) }
}
