//! One file that makes documents for another system.

use std::collections::HashMap;

use crate::canonical::FieldType;
use crate::mapping::outbound::{OutField, OutKind, OutRows, Outbound, Told};
use crate::mapping::problem::Report;
use crate::mapping::source::Shape;

use super::compile::content_hash;
use super::condition::{conditions, path_of};
use super::field::{Defaults, Fields};
use super::section::{Section, parse_document, section_of};
use super::tables::Tables;

/// Longer texts are a mistake of ours; what the other side takes, its connector knows.
const LONGEST: usize = 100_000;

/// Whether the file makes documents instead of reading them.
pub(super) fn is_outbound(text: &str) -> bool {
    let mut report = Report::new("", text);
    parse_document(text, &mut report).contains_key("document")
}

/// None when there were problems; they are in the report.
pub(super) fn compile(name: &str, text: &str, shared: &Tables, report: &mut Report<'_>) -> Option<Outbound> {
    let before = report.len();
    let document = parse_document(text, report);
    if report.len() > before {
        return None;
    }
    let mut root = Section::new(&document, 0..0, "the file");
    let told = root.word("document", &Told::ALL.map(Told::as_str), Told::parse, report);
    let mut tables = shared.clone();
    if let Some(section) = root.section("tables", report) {
        tables.read(&section, report);
    }
    let defaults = root.section("defaults", report).map(|section| Defaults::read(section, report)).unwrap_or_default();
    let mut rules = HashMap::new();
    if let Some(section) = root.section("rules", report) {
        rules.extend(section.entries().map(|(name, _, value)| (name, (value, false))));
    }
    let mut fields = Fields { defaults, tables: &mut tables, rules, needs_whole: false };
    let mut shape = Shape::default();
    let section = root.value("fields").and_then(|value| section_of(value, "[fields]".into(), "fields", report));
    root.finish(report);
    let Some(section) = section else {
        report.add(&(0..0), "there is no [fields]", "add [fields.NAME] for each field of the other system");
        return None;
    };
    let compiled = read_all(&mut fields, &section, &mut shape, report);
    if report.len() > before {
        return None;
    }
    Some(Outbound { name: name.to_owned(), told: told?, hash: content_hash(text, &tables), shape, fields: compiled })
}

fn read_all<'d>(
    fields: &mut Fields<'_, 'd>,
    section: &Section<'d>,
    shape: &mut Shape,
    report: &mut Report<'_>,
) -> Vec<OutField> {
    let mut read = Vec::new();
    for (name, _, value) in section.entries() {
        let Some(mut table) = section_of(value, format!("[fields.{name}]"), name, report) else { continue };
        let required = table.flag("required", report).unwrap_or(false);
        let kind = if table.has("each") {
            rows(fields, &mut table, shape, report).map(OutKind::Rows)
        } else {
            let kind = table.word("type", &TYPES.map(|(name, _)| name), kind_of, report).unwrap_or(TYPES[0].1);
            let transforms = fields.defaults.transforms.clone();
            Some(OutKind::Scalar(fields.scalar(&mut table, kind, transforms, shape, report)))
        };
        table.finish(report);
        read.extend(kind.map(|kind| OutField { name: name.to_owned(), required, kind }));
    }
    read
}

const TYPES: [(&str, FieldType); 5] = [
    ("text", FieldType::Text(LONGEST)),
    ("integer", FieldType::Int),
    ("number", FieldType::Decimal { scale: 8, negative: true }),
    ("flag", FieldType::Bool),
    ("date", FieldType::Date),
];

fn kind_of(name: &str) -> Option<FieldType> {
    TYPES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}

fn rows<'d>(
    fields: &mut Fields<'_, 'd>,
    section: &mut Section<'d>,
    shape: &mut Shape,
    report: &mut Report<'_>,
) -> Option<OutRows> {
    let each = section.text("each", report).and_then(|(text, span)| path_of(&text, &span, shape, report));
    let wrap = section.text("wrap", report).map(|(key, _)| key);
    let mut own = Shape::default();
    let skip = section
        .sections("skip", report)
        .into_iter()
        .map(|mut table| {
            let when = conditions(&mut table, &mut own, report);
            table.finish(report);
            when
        })
        .collect();
    let Some(inner) = section.section("fields", report) else {
        report.add(&section.span, format!("{} has no `fields`", section.name), "add [fields.LIST.fields.NAME]");
        return None;
    };
    let compiled = read_all(fields, &inner, &mut own, report);
    Some(OutRows { each: each?, shape: own, fields: compiled, skip, wrap })
}
