//! A list of rows: the units of a product, the addresses of a customer.

use crate::canonical::Value;
use crate::mapping::source::{Format, Path, Row, Shape, items_of, read_row};
use crate::mapping::value::{Reason, Refusal};

use super::condition::{Condition, all_hold};
use super::field::{Failure, Field, FieldKind, Page};
use super::scalar::Source;

#[derive(Debug)]
pub(in crate::mapping) struct ListRule {
    pub rows: Rows,
    pub fields: Vec<Field>,
    /// How many fields a row of the canonical list has.
    pub width: usize,
    /// Rows in which one of these groups holds are left out.
    pub skip: Vec<Vec<Condition>>,
    /// Of this flag only the first true one stays.
    pub single_true: Option<usize>,
    /// A list without rows counts as absent.
    pub keep_when_empty: bool,
}

#[derive(Debug)]
pub(in crate::mapping) enum Rows {
    /// The items of the first of these lists that is there.
    Of { paths: Vec<Path>, shape: Shape },
    /// One row, made of the record itself.
    Itself,
}

/// More rows than this in one record are taken for a mistake of the source.
const MAX_ROWS: usize = 10_000;

impl ListRule {
    pub(in crate::mapping) fn value<'a>(&self, row: Row<'_, 'a>, page: &mut Page<'_>) -> Result<Value<'a>, Failure> {
        let mut out = Vec::new();
        match &self.rows {
            Rows::Itself => {
                self.push(row, page, &mut out)?;
                if out.is_empty() && !self.fields.iter().any(|field| mentions(field, row)) {
                    return Ok(Value::Absent);
                }
            }
            Rows::Of { paths, shape } => {
                let Some((path, raw)) = paths.iter().find_map(|path| Some((path, path.raw(row)?))) else {
                    // The collection is there but has no list in it: it is empty.
                    let carried = paths.iter().any(|path| path.head_is_present(row));
                    return match paths
                        .iter()
                        .find_map(|path| path.head(row).filter(|raw| !may_hold_list(raw, page.format)))
                    {
                        Some(raw) => Err(self.no_list(raw)),
                        None => Ok(self.ended(out, carried)),
                    };
                };
                let is_list = raw.starts_with('[') || (page.format == Format::Xml && raw.starts_with('{'));
                if !is_list && !is_blank(raw, page.format) {
                    return Err(Failure { source: path.text.to_string(), ..self.no_list(raw) });
                }
                let items = items_of(raw);
                if items.len() > MAX_ROWS {
                    let detail = format!("{} rows, and at most {MAX_ROWS} are taken", items.len());
                    return Err(Failure {
                        below: String::new(),
                        source: self.described(),
                        value: None,
                        refusal: Refusal::new(Reason::TooLong, detail),
                    });
                }
                let mut slots = vec![None; shape.len()];
                for (place, item) in items.into_iter().enumerate() {
                    slots.fill(None);
                    if !read_row(item.get(), shape, &mut slots) {
                        return Err(Failure {
                            below: format!("[{place}]"),
                            source: self.described(),
                            value: Some(item.get().to_owned()),
                            refusal: Refusal::new(Reason::WrongType, "the row is not an object"),
                        });
                    }
                    let item = Row { ordinal: place as u32, slots: &slots, whole: Some(item.get()) };
                    self.push(item, page, &mut out)
                        .map_err(|failure| Failure { below: format!("[{place}]{}", failure.below), ..failure })?;
                }
            }
        }
        Ok(self.ended(out, true))
    }

    fn no_list(&self, raw: &str) -> Failure {
        Failure {
            below: String::new(),
            source: self.described(),
            value: Some(raw.to_owned()),
            refusal: Refusal::new(Reason::WrongType, "a list was expected"),
        }
    }

    fn ended<'a>(&self, mut rows: Vec<Vec<Value<'a>>>, carried: bool) -> Value<'a> {
        if rows.is_empty() && (self.keep_when_empty || !carried) {
            return Value::Absent;
        }
        if let Some(place) = self.single_true {
            let flags = rows.iter_mut().filter_map(|row| row.get_mut(place));
            for flag in flags.filter(|flag| **flag == Value::Bool(true)).skip(1) {
                *flag = Value::Bool(false);
            }
        }
        Value::List(rows)
    }

    /// Adds a row, unless it is skipped or the source gives nothing for it.
    fn push<'a>(&self, row: Row<'_, 'a>, page: &mut Page<'_>, out: &mut Vec<Vec<Value<'a>>>) -> Result<(), Failure> {
        if self.skip.iter().any(|conditions| all_hold(conditions, row)) || !self.has_content(row) {
            return Ok(());
        }
        let mut values = vec![Value::Absent; self.width];
        for field in &self.fields {
            let value = field
                .value(row, page)
                .map_err(|failure| Failure { below: format!(".{}{}", field.spec.name, failure.below), ..failure })?;
            if let Some(place) = values.get_mut(field.target) {
                *place = value;
            }
        }
        out.push(values);
        Ok(())
    }

    fn has_content(&self, row: Row<'_, '_>) -> bool {
        self.fields.iter().any(|field| match &field.kind {
            FieldKind::Scalar(rule) => match &rule.source {
                Source::From(paths) => paths.iter().any(|path| is_filled(path, row)),
                Source::Join(join) => join.paths().any(|path| is_filled(path, row)),
                Source::Cel(_) => true,
                Source::Nothing | Source::Constant(_) => false,
            },
            FieldKind::List(_) | FieldKind::Object(_) => true,
        })
    }

    pub(in crate::mapping) fn given(&self, row: Row<'_, '_>) -> Option<String> {
        match &self.rows {
            Rows::Of { paths, .. } => paths.iter().find_map(|path| path.shown(row)),
            Rows::Itself => None,
        }
    }

    pub(in crate::mapping) fn described(&self) -> String {
        match &self.rows {
            Rows::Of { paths, .. } => paths.iter().map(|path| &*path.text).collect::<Vec<_>>().join(" or "),
            Rows::Itself => "the record".to_owned(),
        }
    }
}

/// Nothing: null, and an XML element without content.
fn is_blank(raw: &str, format: Format) -> bool {
    raw == "null" || (format != Format::Json && raw.trim_matches('"').trim().is_empty())
}

/// Whether a list could stand further down in it.
fn may_hold_list(raw: &str, format: Format) -> bool {
    raw.starts_with(['{', '[']) || is_blank(raw, format)
}

/// Whether the record carries any of the keys that the field reads.
fn mentions(field: &Field, row: Row<'_, '_>) -> bool {
    match &field.kind {
        FieldKind::Scalar(rule) => match &rule.source {
            Source::From(paths) => paths.iter().any(|path| path.head_is_present(row)),
            Source::Join(join) => join.paths().any(|path| path.head_is_present(row)),
            Source::Cel(_) => true,
            Source::Nothing | Source::Constant(_) => false,
        },
        FieldKind::List(_) | FieldKind::Object(_) => true,
    }
}

fn is_filled(path: &Path, row: Row<'_, '_>) -> bool {
    path.get(row).is_ok_and(|scalar| match scalar.text() {
        Some(text) => !text.trim().is_empty(),
        None => !scalar.is_empty(),
    })
}
