//! Reading and running the cases of a library.

use toml::de::{DeTable, DeValue};

use super::{compare, made};
use crate::mapping::compiled::{Mapped, Mapping, Rejected};
use crate::mapping::file::{CaseFile, Library, Section, parse_document};
use crate::mapping::problem::{Problem, Report, place};
use crate::mapping::source::{Format, Unreadable};
use crate::mapping::value::Overlay;

/// One case and what was wrong with its outcome; nothing, if it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseResult {
    pub mapping: String,
    pub name: String,
    pub file: String,
    pub line: usize,
    pub misses: Vec<String>,
}

/// Runs the cases of the mappings that are wanted. Files that cannot be understood are problems.
pub fn run_cases(library: &Library, wanted: impl Fn(&str) -> bool) -> Result<Vec<CaseResult>, Vec<Problem>> {
    let mut results = Vec::new();
    let mut problems = Vec::new();
    for file in library.cases().iter().filter(|file| wanted(&file.mapping)) {
        let (mapping, outbound) = (library.get(&file.mapping), library.outbound(&file.mapping));
        let mut report = Report::new(&file.file, &file.text);
        let document = parse_document(&file.text, &mut report);
        let mut root = Section::new(&document, 0..0, "the file");
        for case in root.sections("case", &mut report) {
            match (&mapping, &outbound) {
                (Some(mapping), _) => results.extend(run_case(mapping, file, case, &mut report)),
                (None, Some(outbound)) => results.extend(made::run_case(outbound, file, case, &mut report)),
                (None, None) => {}
            }
        }
        root.finish(&mut report);
        problems.extend(report.into_problems());
    }
    if problems.is_empty() { Ok(results) } else { Err(problems) }
}

/// What a case says, as far as it says it.
#[derive(Default)]
struct Wanted<'d> {
    changes: Vec<&'d DeTable<'d>>,
    null: Vec<String>,
    absent: Vec<String>,
    rejected: Vec<&'d DeTable<'d>>,
    skipped: Vec<String>,
    unmapped: Vec<&'d DeTable<'d>>,
    unreadable: Option<String>,
}

fn run_case<'d>(
    mapping: &Mapping,
    file: &CaseFile,
    mut case: Section<'d>,
    report: &mut Report<'_>,
) -> Option<CaseResult> {
    let (line, _) = place(&file.text, case.span.start);
    let name = case.text("name", report).map(|(name, _)| name);
    if name.is_none() {
        report.add(&case.span, "the case has no `name`", "say in a few words what it shows");
    }
    let format = case.word("format", &["json", "xml", "csv"], Format::parse, report).unwrap_or(Format::Json);
    let overlay = overlay(&mut case, report);
    let page = match (case.value("given").map(|value| value.get_ref()), case.text("page", report)) {
        (None, Some((page, _))) => Some(page),
        (Some(given @ DeValue::Table(_)), None) => {
            let mut record = String::new();
            compare::to_json(given, &mut record);
            Some(mapping.page_of(&record))
        }
        _ => {
            report.add(
                &case.span,
                "the case needs either `given` or `page`",
                "given = { … } is one record, page a text",
            );
            None
        }
    };
    let texts = |texts: Vec<(String, _)>| texts.into_iter().map(|(text, _)| text).collect();
    let wanted = Wanted {
        changes: tables(&mut case, "expect", report),
        null: texts(case.texts("null", report)),
        absent: texts(case.texts("absent", report)),
        rejected: tables(&mut case, "rejected", report),
        skipped: texts(case.texts("skipped", report)),
        unmapped: tables(&mut case, "unmapped", report),
        unreadable: case.text("unreadable", report).map(|(what, _)| what),
    };
    case.finish(report);
    let page = page?;
    let outcome = mapping.map(format, page.as_bytes(), &overlay);
    let mut misses = wanted.misses(&outcome);
    if let Ok(mapped) = &outcome {
        round_trip(mapping, format, page.as_bytes(), &overlay, mapped, &mut misses);
    }
    Some(CaseResult { mapping: mapping.name().to_owned(), name: name?, file: file.file.clone(), line, misses })
}

pub(super) fn tables<'d>(case: &mut Section<'d>, key: &'static str, report: &mut Report<'_>) -> Vec<&'d DeTable<'d>> {
    case.sections(key, report).into_iter().map(|section| section.table()).collect()
}

pub(super) fn overlay(case: &mut Section<'_>, report: &mut Report<'_>) -> Overlay {
    let mut overlay = Overlay::new();
    if let Some(section) = case.section("overlay", report) {
        for (table, _, codes) in section.entries() {
            for (code, value) in codes.get_ref().as_table().into_iter().flatten() {
                if let Some((text, _)) = crate::mapping::file::literal(value.get_ref()) {
                    overlay.insert(table, code.get_ref().as_ref(), text);
                }
            }
        }
    }
    overlay
}

impl Wanted<'_> {
    fn misses(&self, outcome: &Result<Mapped<'_>, Unreadable>) -> Vec<String> {
        let mut misses = Vec::new();
        let mapped = match (outcome, &self.unreadable) {
            (Err(unreadable), Some(wanted)) if unreadable.what == wanted => return misses,
            (Err(unreadable), _) => return vec![unreadable.to_string()],
            (Ok(_), Some(wanted)) => return vec![format!("the page was read, expected it to be unreadable: {wanted}")],
            (Ok(mapped), None) => mapped,
        };
        self.changes_missed(mapped, &mut misses);
        self.rejected_missed(&mapped.rejected, &mut misses);
        let skipped: Vec<&str> =
            mapped.skipped.iter().flat_map(|(reason, count)| std::iter::repeat_n(reason.as_str(), *count)).collect();
        if skipped != self.skipped {
            misses.push(format!("skipped for {skipped:?}, expected {:?}", self.skipped));
        }
        if mapped.unmapped.len() != self.unmapped.len() {
            misses.push(format!("unmapped codes are {:?}", mapped.unmapped));
        }
        for (unmapped, wanted) in mapped.unmapped.iter().zip(&self.unmapped) {
            let actual = serde_json::json!({
                "table": unmapped.table, "code": unmapped.code, "count": unmapped.count
            });
            compare::table("unmapped", wanted, &actual, &mut misses);
        }
        misses
    }

    fn changes_missed(&self, mapped: &Mapped<'_>, misses: &mut Vec<String>) {
        if mapped.changes.len() != self.changes.len() {
            misses.push(format!("{} changes, expected {}", mapped.changes.len(), self.changes.len()));
        }
        for (change, wanted) in mapped.changes.iter().zip(&self.changes) {
            let mut actual = change.to_json();
            // A case names the version by its value alone.
            if let Some(version) = &change.version {
                actual["version"] = version.value.into();
            }
            compare::table("", wanted, &actual, misses);
            for name in &self.null {
                if actual.get(name) != Some(&serde_json::Value::Null) {
                    misses.push(format!("{name} is {:?}, expected null", actual.get(name)));
                }
            }
            for name in &self.absent {
                if let Some(value) = actual.get(name) {
                    misses.push(format!("{name} is {value}, expected it to be absent"));
                }
            }
        }
    }

    fn rejected_missed(&self, rejected: &[Rejected], misses: &mut Vec<String>) {
        if rejected.len() != self.rejected.len() {
            misses.push(format!("{} records rejected, expected {}", rejected.len(), self.rejected.len()));
        }
        for rejected in rejected.iter().skip(self.rejected.len()) {
            misses.push(format!("{} ({}): {}", rejected.field, rejected.reason, rejected.detail));
        }
        for (rejected, wanted) in rejected.iter().zip(&self.rejected) {
            let actual = serde_json::json!({
                "ordinal": rejected.ordinal, "code": rejected.code, "field": rejected.field, "source": rejected.source,
                "reason": rejected.reason.as_str(), "value": rejected.value, "further": rejected.further.len(),
            });
            compare::table("rejected", wanted, &actual, misses);
        }
    }
}

/// Each record by itself must become what it became in its page.
fn round_trip(
    mapping: &Mapping,
    format: Format,
    page: &[u8],
    overlay: &Overlay,
    mapped: &Mapped<'_>,
    misses: &mut Vec<String>,
) {
    for change in &mapped.changes {
        let alone = mapping.raw_record(format, page, change.ordinal).unwrap_or_default();
        let again = mapping.map(format, &alone, overlay);
        let same = again.as_ref().is_ok_and(|again| match again.changes.as_slice() {
            [again] => again.hash == change.hash && again.code == change.code && again.version == change.version,
            _ => false,
        });
        if !same {
            misses.push(format!("record {} taken out by itself does not give the same change", change.ordinal));
        }
    }
    for rejected in &mapped.rejected {
        let alone = mapping.raw_record(format, page, rejected.ordinal).unwrap_or_default();
        let again = mapping.map(format, &alone, overlay);
        if !again.is_ok_and(|again| again.rejected.len() == 1) {
            misses.push(format!("record {} taken out by itself is not rejected again", rejected.ordinal));
        }
    }
}
