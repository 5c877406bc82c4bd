//! `when = [{ field = "ARP_CODE", filled = true }]`

use toml::Spanned;
use toml::de::DeValue;

use crate::mapping::problem::Report;
use crate::mapping::rule::{Condition, Pattern, Test};
use crate::mapping::source::{Path, Shape};
use crate::mapping::value::Literal;

use super::section::{Section, Span, items, literal, section_of, wrong};

/// A path; a broken one is reported.
pub(super) fn path_of(text: &str, span: &Span, shape: &mut Shape, report: &mut Report<'_>) -> Option<Path> {
    match Path::parse(text, shape) {
        Ok(path) => Some(path),
        Err(what) => {
            report.add(
                span,
                format!("`{text}` is no path: {what}"),
                "write names with dots between: UNITS.items.0.BARCODE",
            );
            None
        }
    }
}

pub(super) fn paths_of(texts: &[(String, Span)], shape: &mut Shape, report: &mut Report<'_>) -> Vec<Path> {
    texts.iter().filter_map(|(text, span)| path_of(text, span, shape, report)).collect()
}

/// Literals of a value or a list of values.
pub(super) fn literals(key: &str, value: &Spanned<DeValue<'_>>, report: &mut Report<'_>) -> Vec<Literal> {
    let mut found = Vec::new();
    let all: Vec<(&DeValue<'_>, Span)> = match value.get_ref() {
        DeValue::Array(list) => list.iter().map(|item| (item.get_ref(), item.span())).collect(),
        other => vec![(other, value.span())],
    };
    for (item, span) in all {
        match literal(item) {
            Some((text, numeric)) => found.push(Literal::new(&text, numeric)),
            None => wrong(report, &span, key, "a text, a number, or a list of them", item),
        }
    }
    found
}

/// The conditions of a `when`: all of them must hold.
pub(super) fn conditions<'d>(section: &mut Section<'d>, shape: &mut Shape, report: &mut Report<'_>) -> Vec<Condition> {
    let Some(value) = section.value("when") else {
        report.add(&section.span, format!("{} has no `when`", section.name), "say which records it is about");
        return Vec::new();
    };
    let tables: Vec<Section<'d>> =
        items(value).into_iter().filter_map(|item| section_of(item, "a condition".into(), "when", report)).collect();
    if tables.is_empty() {
        report.add(&value.span(), "`when` holds no condition", "write { field = \"…\", is = … }");
    }
    tables.into_iter().filter_map(|table| condition(table, shape, report)).collect()
}

fn condition(mut table: Section<'_>, shape: &mut Shape, report: &mut Report<'_>) -> Option<Condition> {
    let span = table.span.clone();
    let field = table.text("field", report);
    let mut tests = Vec::new();
    if let Some(flag) = table.flag("filled", report) {
        tests.push(Test::Filled(flag));
    }
    if let Some(value) = table.value("is") {
        tests.push(Test::Is(literals("is", value, report)));
    }
    if let Some(value) = table.value("is_not") {
        tests.push(Test::IsNot(literals("is_not", value, report)));
    }
    if let Some((pattern, _)) = table.text("like", report) {
        tests.push(Test::Like(Pattern::new(&pattern)));
    }
    if let Some((pattern, _)) = table.text("not_like", report) {
        tests.push(Test::NotLike(Pattern::new(&pattern)));
    }
    if let Some((part, _)) = table.text("has", report) {
        tests.push(Test::Has(part.into()));
    }
    if let Some((part, _)) = table.text("has_not", report) {
        tests.push(Test::HasNot(part.into()));
    }
    table.finish(report);
    if tests.is_empty() {
        report.add(
            &span,
            "the condition tests nothing",
            "add one of: is, is_not, like, not_like, has, has_not, filled",
        );
    }
    let Some((text, at)) = field else {
        report.add(&span, "the condition names no field", "add `field = \"…\"`");
        return None;
    };
    Some(Condition { path: path_of(&text, &at, shape, report)?, tests })
}
