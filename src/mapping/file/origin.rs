//! `[records]`: in which formats the source speaks, and where the records are in each.

use toml::de::DeValue;

use crate::mapping::problem::Report;
use crate::mapping::source::{CsvRecords, JsonRecords, Records, XmlRecords};

use super::section::{Section, Span, section_of, wrong};

pub(super) fn records(mut section: Section<'_>, report: &mut Report<'_>) -> Records {
    let mut records = Records::default();
    let empty_if_has: Vec<String> = section.texts("empty_if_has", report).into_iter().map(|(text, _)| text).collect();
    if section.has("json") {
        let paths = paths(section.texts("json", report), true, report);
        records.json = Some(JsonRecords { paths, empty_if_has });
    } else {
        let _ = section.value("json");
    }
    if section.has("xml") {
        records.xml = Some(XmlRecords { paths: paths(section.texts("xml", report), false, report) });
    } else {
        let _ = section.value("xml");
    }
    if let Some(value) = section.value("csv") {
        records.csv = match value.get_ref() {
            DeValue::Boolean(true) => Some(CsvRecords::default()),
            DeValue::Table(_) => {
                section_of(value, "[records.csv]".into(), "csv", report).map(|table| csv(table, report))
            }
            other => {
                wrong(report, &value.span(), "csv", "`true` or { delimiter = \";\" }", other);
                None
            }
        };
    }
    if records.formats().next().is_none() {
        report.add(&section.span, "[records] names no format", "say where the records are: json = \"items\"");
    }
    section.finish(report);
    records
}

fn csv(mut table: Section<'_>, report: &mut Report<'_>) -> CsvRecords {
    let delimiter = table.text("delimiter", report).and_then(|(text, span)| match text.as_bytes() {
        [byte] => Some(*byte),
        _ => {
            report.add(&span, "a delimiter is one ASCII character", "write `;`, `,`, `|` or a tab");
            None
        }
    });
    table.finish(report);
    CsvRecords { delimiter }
}

/// `items`, `Item.items`, and for JSON `.`: the document itself.
fn paths(texts: Vec<(String, Span)>, may_be_document: bool, report: &mut Report<'_>) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (text, span) in texts {
        if text == "." && may_be_document {
            found.push(Vec::new());
        } else if text.split('.').any(|part| part.trim().is_empty()) {
            report.add(&span, format!("`{text}` is no place for records"), "write names with dots between");
        } else {
            found.push(text.split('.').map(str::to_owned).collect());
        }
    }
    found
}
