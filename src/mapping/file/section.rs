//! A table of a TOML file, read key by key: what was never asked for is unknown.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::mapping::problem::{Report, suggest};

pub(in crate::mapping) type Span = Range<usize>;

pub(in crate::mapping) struct Section<'d> {
    table: &'d DeTable<'d>,
    pub span: Span,
    /// As a person would call it: `[fields.vatRate]`.
    pub name: String,
    asked: Vec<&'static str>,
}

/// Parses a whole file; syntax errors go to the report, what could be understood is returned.
pub(in crate::mapping) fn parse_document<'d>(text: &'d str, report: &mut Report<'_>) -> DeTable<'d> {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        report.add(&error.span().unwrap_or(0..0), format!("this is not TOML: {}", error.message()), "mend the syntax");
    }
    table.into_inner()
}

impl<'d> Section<'d> {
    pub(in crate::mapping) fn new(table: &'d DeTable<'d>, span: Span, name: impl Into<String>) -> Self {
        Section { table, span, name: name.into(), asked: Vec::new() }
    }

    pub(in crate::mapping) fn value(&mut self, key: &'static str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.asked.push(key);
        self.table.get(key)
    }

    pub(in crate::mapping) fn table(&self) -> &'d DeTable<'d> {
        self.table
    }

    pub(in crate::mapping) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// All keys, for sections whose keys are names.
    pub(in crate::mapping) fn entries(
        &self,
    ) -> impl Iterator<Item = (&'d str, Span, &'d Spanned<DeValue<'d>>)> + use<'d> {
        self.table.iter().map(|(key, value)| (key.get_ref().as_ref(), key.span(), value))
    }

    pub(in crate::mapping) fn text(&mut self, key: &'static str, report: &mut Report<'_>) -> Option<(String, Span)> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some((text.to_string(), value.span())),
            other => {
                wrong(report, &value.span(), key, "a text in quotes", other);
                None
            }
        }
    }

    /// A text, or a list of texts.
    pub(in crate::mapping) fn texts(&mut self, key: &'static str, report: &mut Report<'_>) -> Vec<(String, Span)> {
        let Some(value) = self.value(key) else { return Vec::new() };
        items(value)
            .into_iter()
            .filter_map(|item| match item.get_ref() {
                DeValue::String(text) => Some((text.to_string(), item.span())),
                other => {
                    wrong(report, &item.span(), key, "a text in quotes, or a list of them", other);
                    None
                }
            })
            .collect()
    }

    pub(in crate::mapping) fn flag(&mut self, key: &'static str, report: &mut Report<'_>) -> Option<bool> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            other => {
                wrong(report, &value.span(), key, "true or false", other);
                None
            }
        }
    }

    /// One of a few words.
    pub(in crate::mapping) fn word<T>(
        &mut self,
        key: &'static str,
        names: &[&str],
        parse: impl Fn(&str) -> Option<T>,
        report: &mut Report<'_>,
    ) -> Option<T> {
        let (text, span) = self.text(key, report)?;
        let parsed = parse(&text);
        if parsed.is_none() {
            report.add(&span, format!("`{text}` is no value of `{key}`"), suggest(&text, names.iter().copied()));
        }
        parsed
    }

    pub(in crate::mapping) fn section(&mut self, key: &'static str, report: &mut Report<'_>) -> Option<Section<'d>> {
        let value = self.value(key)?;
        section_of(value, format!("[{key}]"), key, report)
    }

    /// A list of tables; a single table is a list of one.
    pub(in crate::mapping) fn sections(&mut self, key: &'static str, report: &mut Report<'_>) -> Vec<Section<'d>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        items(value).into_iter().filter_map(|item| section_of(item, format!("[[{key}]]"), key, report)).collect()
    }

    /// Reports every key that nobody asked for.
    pub(in crate::mapping) fn finish(self, report: &mut Report<'_>) {
        for (key, span, _) in self.entries() {
            if !self.asked.contains(&key) {
                let remedy = suggest(key, self.asked.iter().copied());
                report.add(&span, format!("unknown key `{key}` in {}", self.name), remedy);
            }
        }
    }
}

/// The items of a list, or the value itself.
pub(in crate::mapping) fn items<'d>(value: &'d Spanned<DeValue<'d>>) -> Vec<&'d Spanned<DeValue<'d>>> {
    match value.get_ref() {
        DeValue::Array(items) => items.iter().collect(),
        _ => vec![value],
    }
}

pub(in crate::mapping) fn section_of<'d>(
    value: &'d Spanned<DeValue<'d>>,
    name: String,
    key: &str,
    report: &mut Report<'_>,
) -> Option<Section<'d>> {
    match value.get_ref() {
        DeValue::Table(table) => Some(Section::new(table, value.span(), name)),
        other => {
            wrong(report, &value.span(), key, "a table", other);
            None
        }
    }
}

pub(in crate::mapping) fn wrong(report: &mut Report<'_>, span: &Span, key: &str, wanted: &str, found: &DeValue<'_>) {
    report.add(span, format!("`{key}` is of the type {}", found.type_str()), format!("write {wanted}"));
}

/// The text of a plain value, and whether it was written as a number.
pub(in crate::mapping) fn literal(value: &DeValue<'_>) -> Option<(String, bool)> {
    match value {
        DeValue::String(text) => Some((text.to_string(), false)),
        DeValue::Integer(number) if number.radix() == 10 => Some((number.as_str().to_owned(), true)),
        DeValue::Float(number) => Some((number.as_str().to_owned(), true)),
        DeValue::Boolean(flag) => Some((flag.to_string(), false)),
        DeValue::Datetime(moment) => Some((moment.to_string(), false)),
        DeValue::Integer(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}
