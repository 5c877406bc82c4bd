//! Cases of mappings that make documents.

use toml::de::DeValue;

use super::case::{CaseResult, overlay, tables};
use super::compare;
use crate::mapping::file::{CaseFile, Section};
use crate::mapping::outbound::Outbound;
use crate::mapping::problem::{Report, place};

/// `given` is a record of ours, `expect` what its document has, `absent` what it has not, `rejected` what keeps it from
/// becoming one.
pub(super) fn run_case<'d>(
    mapping: &Outbound,
    file: &CaseFile,
    mut case: Section<'d>,
    report: &mut Report<'_>,
) -> Option<CaseResult> {
    let (line, _) = place(&file.text, case.span.start);
    let name = case.text("name", report).map(|(name, _)| name);
    if name.is_none() {
        report.add(&case.span, "the case has no `name`", "say in a few words what it shows");
    }
    let overlay = overlay(&mut case, report);
    let mut record = String::new();
    match case.value("given").map(|value| value.get_ref()) {
        Some(given @ DeValue::Table(_)) => compare::to_json(given, &mut record),
        _ => report.add(&case.span, "the case needs `given`", "given = { … } is one record of ours"),
    }
    let expect = tables(&mut case, "expect", report);
    let absent = case.texts("absent", report);
    let rejected = tables(&mut case, "rejected", report);
    case.finish(report);
    let record = serde_json::from_str(&record).ok()?;
    let mut misses = Vec::new();
    match mapping.make(&record, &overlay) {
        Ok(_) if !rejected.is_empty() => misses.push("it became a document, expected it to be refused".to_owned()),
        Ok(document) => {
            expect.iter().for_each(|wanted| compare::table("", wanted, &document, &mut misses));
            for (name, _) in absent {
                if let Some(value) = document.get(&name) {
                    misses.push(format!("{name} is {value}, expected it to be absent"));
                }
            }
        }
        Err(faults) => {
            if rejected.len() != faults.len() {
                misses.push(format!("{} faults, expected {}: {faults:?}", faults.len(), rejected.len()));
            }
            for (fault, wanted) in faults.iter().zip(&rejected) {
                let actual = serde_json::json!({
                    "field": fault.field, "source": fault.source, "reason": fault.reason.as_str(), "value": fault.value,
                });
                compare::table("rejected", wanted, &actual, &mut misses);
            }
        }
    }
    Some(CaseResult { mapping: mapping.name().to_owned(), name: name?, file: file.file.clone(), line, misses })
}
