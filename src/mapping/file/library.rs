//! All mappings of a directory, or those compiled into the program.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::mapping::compiled::Mapping;
use crate::mapping::outbound::Outbound;
use crate::mapping::parts;
use crate::mapping::problem::{Problem, Report};

use super::compile::compile;
use super::files::Files;
use super::outbound;
use super::section::{Section, parse_document};
use super::tables::Tables;

/// The mappings, by `system/subject`. Loading again makes a new one; nothing in it changes.
#[derive(Debug, Default)]
pub struct Library {
    mappings: BTreeMap<String, Arc<Mapping>>,
    outbound: BTreeMap<String, Arc<Outbound>>,
    cases: Vec<CaseFile>,
    shared: BTreeMap<String, Tables>,
    hash: String,
    own: BTreeMap<String, String>,
}

/// The golden cases beside a mapping.
#[derive(Debug)]
pub(in crate::mapping) struct CaseFile {
    pub mapping: String,
    pub file: String,
    pub text: String,
}

impl Library {
    /// The built-in mappings, and those of `dir` in the place of their systems: see [`Files::in_force`].
    pub fn in_force(dir: Option<&Path>) -> Result<Library, Vec<Problem>> {
        Files::in_force(dir)?.library()
    }

    /// Those of them that are sound, beside the problems of the others.
    pub fn inspect_in_force(dir: Option<&Path>) -> (Library, Vec<Problem>) {
        Library::sound(Files::in_force_all(dir))
    }

    /// Reads and checks everything. All problems of all files are told at once, and then there is no library.
    pub fn load(dir: Option<&Path>) -> Result<Library, Vec<Problem>> {
        Files::read(dir)?.library()
    }

    /// The mappings that are sound, beside the problems of the others.
    pub fn inspect(dir: Option<&Path>) -> (Library, Vec<Problem>) {
        Library::sound(Files::read_all(dir))
    }

    fn sound((files, mut problems): (Files, Vec<Problem>)) -> (Library, Vec<Problem>) {
        let (library, found) = Library::build(&files);
        problems.extend(found);
        (library, problems)
    }

    /// The systems whose mappings are not the built-in ones, each with its directory.
    pub fn own(&self) -> &BTreeMap<String, String> {
        &self.own
    }

    /// Of the files that it was made of.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The tables that the mappings of a system share, each code with its value.
    pub fn shared_tables(&self, system: &str) -> BTreeMap<String, BTreeMap<String, String>> {
        self.shared.get(system).map(Tables::contents).unwrap_or_default()
    }

    pub fn get(&self, name: &str) -> Option<Arc<Mapping>> {
        self.mappings.get(name).cloned()
    }

    /// One that makes documents for its system.
    pub fn outbound(&self, name: &str) -> Option<Arc<Outbound>> {
        self.outbound.get(name).cloned()
    }

    /// All that make documents.
    pub fn outbounds(&self) -> impl Iterator<Item = &Arc<Outbound>> {
        self.outbound.values()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Mapping>> {
        self.mappings.values()
    }

    pub(in crate::mapping) fn cases(&self) -> &[CaseFile] {
        &self.cases
    }

    /// From texts in memory, each with its path below the directory.
    pub fn from_texts(files: &[(&str, &str)]) -> Result<Library, Vec<Problem>> {
        let mut all = Files::default();
        for (path, text) in files {
            all.put(path, path, text);
        }
        all.library()
    }

    pub(super) fn build(files: &Files) -> (Library, Vec<Problem>) {
        let mut problems = Vec::new();
        let mut shared: BTreeMap<String, Tables> = BTreeMap::new();
        for file in files.iter() {
            if let Some(system) = file.path.strip_suffix("/tables.toml") {
                let mut report = Report::new(file.shown, file.text);
                let document = parse_document(file.text, &mut report);
                let section = Section::new(&document, 0..0, "the file");
                shared.entry(system.to_owned()).or_default().read(&section, &mut report);
                problems.extend(report.into_problems());
            }
        }
        let mut library = Library { hash: files.hash(), own: files.own().clone(), ..Library::default() };
        let mut compiled = BTreeMap::new();
        let none = Tables::default();
        for file in files.iter() {
            if let Some(mapping) = file.path.strip_suffix(".cases.toml") {
                let (file, text) = (file.shown.to_owned(), file.text.to_owned());
                let case = CaseFile { mapping: mapping.to_owned(), file, text };
                library.cases.push(case);
                continue;
            }
            let Some(name) = file.path.strip_suffix(".toml").filter(|name| !name.ends_with("/tables")) else {
                continue;
            };
            let system = name.split_once('/').map(|(system, _)| system).unwrap_or_default();
            let mut report = Report::new(file.shown, file.text);
            if outbound::is_outbound(file.text) {
                let tables = shared.get(system).unwrap_or(&none);
                if let Some(made) = outbound::compile(name, file.text, tables, &mut report) {
                    library.outbound.insert(name.to_owned(), Arc::new(made));
                }
                problems.extend(report.into_problems());
                continue;
            }
            if let Some(mapping) = compile(name, file.text, shared.get(system).unwrap_or(&none), &mut report) {
                compiled.insert(name.to_owned(), mapping);
            }
            problems.extend(report.into_problems());
        }
        let file_of = |name: &str| files.iter().find(|file| file.path.strip_suffix(".toml") == Some(name));
        let (mappings, wrong_parts) = parts::link(compiled, |name| file_of(name).is_some());
        library.mappings = mappings;
        for (name, span, what, remedy) in wrong_parts {
            let Some(file) = file_of(&name) else { continue };
            let mut report = Report::new(file.shown, file.text);
            report.add(&span, what, remedy);
            problems.extend(report.into_problems());
        }
        let all_sound = problems.is_empty();
        for case in &library.cases {
            let known = library.mappings.contains_key(&case.mapping) || library.outbound.contains_key(&case.mapping);
            if all_sound && !known {
                problems.push(Problem {
                    file: case.file.clone(),
                    line: 1,
                    column: 1,
                    what: format!("there is no mapping `{}` beside these cases", case.mapping),
                    remedy: "name the file after its mapping".to_owned(),
                });
            }
        }
        library.shared = shared;
        (library, problems)
    }
}
