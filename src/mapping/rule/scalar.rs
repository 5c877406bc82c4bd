//! A single value: cases, alternatives, transforms, code table, default.

use std::borrow::Cow;
use std::sync::Arc;

use rust_decimal::Decimal;

use crate::canonical::{FieldType, Value};
use crate::mapping::source::{Path, Row};
use crate::mapping::value::{
    Formats, NumberFormat, OnUnmapped, Reason, Refusal, Scalar, Table, Transform, convert, parse_date, parse_number,
};

use super::condition::{Condition, all_hold};
use super::expression::Expression;
use super::field::{Failure, Page};

#[derive(Debug)]
pub(in crate::mapping) struct ScalarRule {
    /// The first whose conditions hold decides.
    pub cases: Vec<Case>,
    pub source: Source,
    pub transforms: Vec<Transform>,
    pub table: Option<TableUse>,
    pub kind: FieldType,
    pub formats: Formats,
    pub default: Option<Value<'static>>,
}

#[derive(Debug)]
pub(in crate::mapping) struct Case {
    pub when: Vec<Condition>,
    pub then: Then,
}

#[derive(Debug)]
pub(in crate::mapping) enum Then {
    Value(Value<'static>),
    From(Vec<Path>),
    Join(Join),
}

#[derive(Debug)]
pub(in crate::mapping) enum Source {
    /// Only cases or a default.
    Nothing,
    Constant(Value<'static>),
    /// The first that gives something.
    From(Vec<Path>),
    Join(Join),
    Cel(Expression),
}

/// Several values put together.
#[derive(Debug)]
pub(in crate::mapping) struct Join {
    pub pieces: Vec<Piece>,
    pub separator: String,
    pub blanks: Blanks,
}

#[derive(Debug)]
pub(in crate::mapping) enum Piece {
    Path(Path),
    /// Written the same whichever way it came; this value counts as nothing.
    Number {
        path: Path,
        empty: Option<Decimal>,
    },
    /// As a day.
    Date(Path),
    Constant(Box<str>),
}

/// What a piece that is empty means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::mapping) enum Blanks {
    /// It is left out.
    #[default]
    Skip,
    /// There is nothing at all unless each piece is filled.
    Never,
    /// Its place stays empty, so that the others keep theirs; places at the end are left out. There is nothing at all
    /// unless the first piece is filled.
    Keep,
}

impl Blanks {
    pub(in crate::mapping) const NAMES: [&'static str; 3] = ["skip", "never", "keep"];

    pub(in crate::mapping) fn parse(name: &str) -> Option<Self> {
        match name {
            "skip" => Some(Blanks::Skip),
            "never" => Some(Blanks::Never),
            "keep" => Some(Blanks::Keep),
            _ => None,
        }
    }
}

#[derive(Debug)]
pub(in crate::mapping) struct TableUse {
    pub table: Arc<Table>,
    pub on_unmapped: OnUnmapped,
}

impl Case {
    fn is_carried(&self, row: Row<'_, '_>) -> bool {
        self.when.iter().any(|condition| condition.path.head_is_present(row))
    }
}

impl ScalarRule {
    /// Whether it is a value that stands in the record as it is, and the record has none.
    pub(super) fn is_missing(&self, row: Row<'_, '_>) -> bool {
        let plain = match &self.source {
            Source::From(paths) if self.cases.is_empty() => paths,
            _ => return false,
        };
        !plain.iter().any(|path| path.head_is_present(row))
    }

    pub(in crate::mapping) fn value<'a>(&self, row: Row<'_, 'a>, page: &mut Page<'_>) -> Result<Value<'a>, Failure> {
        match self.cases.iter().find(|case| all_hold(&case.when, row)).map(|case| &case.then) {
            Some(Then::Value(value)) => Ok(value.clone()),
            Some(Then::From(paths)) => self.first_of(paths, row, page),
            Some(Then::Join(join)) => self.joined(join, row, page),
            None => match &self.source {
                // The record carries what the cases ask for, and none of them holds.
                Source::Nothing if self.cases.iter().any(|case| case.is_carried(row)) => Ok(Value::Null),
                Source::Nothing => Ok(Value::Absent),
                Source::Constant(value) => Ok(value.clone()),
                Source::From(paths) => self.first_of(paths, row, page),
                Source::Join(join) => self.joined(join, row, page),
                Source::Cel(expression) => {
                    let scalar = expression.evaluate(row, self.kind).map_err(|refusal| self.failure(None, refusal))?;
                    let shown = scalar.clone();
                    self.finished(scalar, page).map_err(|(refusal, _)| self.failure(shown.shown(), refusal))
                }
            },
        }
    }

    fn joined<'a>(&self, join: &Join, row: Row<'_, 'a>, page: &mut Page<'_>) -> Result<Value<'a>, Failure> {
        let joined = join.of(row, self.formats).map_err(|refusal| self.failure(None, refusal))?;
        self.finished(joined, page).map_err(|(refusal, _)| {
            let shown = join.of(row, self.formats).ok();
            self.failure(shown.as_ref().and_then(Scalar::shown), refusal)
        })
    }

    /// Takes the alternatives in order until one gives something. Null beats absent.
    fn first_of<'a>(&self, paths: &[Path], row: Row<'_, 'a>, page: &mut Page<'_>) -> Result<Value<'a>, Failure> {
        let mut nothing = Value::Absent;
        for path in paths {
            let found = path.get(row);
            // Nothing is made of what is not there, and most fields of most records are not.
            if matches!(found, Ok(Scalar::Missing)) {
                continue;
            }
            let value = found
                .map_err(|refusal| (refusal, None))
                .and_then(|scalar| self.finished(scalar, page))
                .map_err(|(refusal, shown)| Failure {
                    below: String::new(),
                    source: path.text.to_string(),
                    value: shown.or_else(|| path.shown(row)),
                    refusal,
                })?;
            match value {
                Value::Absent => {}
                Value::Null => nothing = Value::Null,
                value => return Ok(value),
            }
        }
        Ok(nothing)
    }

    /// Transforms, table, type. A refusal comes with the value if that is another than the source's.
    fn finished<'a>(&self, scalar: Scalar<'a>, page: &mut Page<'_>) -> Result<Value<'a>, (Refusal, Option<String>)> {
        let mut scalar = scalar;
        for transform in &self.transforms {
            scalar = transform.apply(scalar).map_err(|refusal| (refusal, None))?;
        }
        if let Some(used) = &self.table
            && let Some(code) = scalar.shown().filter(|_| !scalar.is_empty())
        {
            scalar = match used.table.get(code, page.overlay) {
                Some("") => Scalar::Null,
                Some(value) => Scalar::Text(Cow::Owned(value.to_owned())),
                None => {
                    page.unmapped.add(&used.table.name, code);
                    match used.on_unmapped {
                        OnUnmapped::Keep => scalar,
                        OnUnmapped::Null => Scalar::Null,
                        OnUnmapped::Fail => {
                            let detail = format!("the code stands in no row of the table `{}`", used.table.name);
                            return Err((Refusal::new(Reason::UnmappedCode, detail), Some(code.to_owned())));
                        }
                    }
                }
            };
        }
        convert(scalar, self.kind, self.formats).map_err(|refusal| (refusal, None))
    }

    fn failure(&self, value: Option<&str>, refusal: Refusal) -> Failure {
        Failure { below: String::new(), source: self.described(), value: value.map(str::to_owned), refusal }
    }

    /// What the source gives before anything is done to it, for people.
    pub(in crate::mapping) fn given(&self, row: Row<'_, '_>) -> Option<String> {
        let decided = self.cases.iter().find(|case| all_hold(&case.when, row)).map(|case| &case.then);
        match (decided, &self.source) {
            (Some(Then::From(paths)), _) | (None, Source::From(paths)) => paths.iter().find_map(|path| path.shown(row)),
            (Some(Then::Join(join)), _) | (None, Source::Join(join)) => {
                join.of(row, self.formats).ok().and_then(|joined| joined.shown().map(str::to_owned))
            }
            _ => None,
        }
    }

    pub(in crate::mapping) fn described(&self) -> String {
        let names = |paths: &[Path]| paths.iter().map(|path| &*path.text).collect::<Vec<_>>().join(" or ");
        match &self.source {
            Source::From(paths) => names(paths),
            Source::Join(join) => {
                let names: Vec<&str> = join.paths().map(|path| &*path.text).collect();
                names.join(&format!(" + {:?} + ", join.separator))
            }
            Source::Cel(expression) => expression.text().to_owned(),
            Source::Constant(_) => "a constant".to_owned(),
            Source::Nothing if self.cases.is_empty() => "the default".to_owned(),
            Source::Nothing => "the cases".to_owned(),
        }
    }
}

impl Piece {
    /// What is no number or no date stays as it came: its own field tells that.
    fn normal<'a>(&self, scalar: Scalar<'a>, formats: Formats) -> Scalar<'a> {
        let found = match (self, scalar.text()) {
            (Piece::Number { empty, .. }, Some(text)) => {
                let format = if matches!(scalar, Scalar::Number(_)) { NumberFormat::Dot } else { formats.number };
                parse_number(text, format).ok().map(|number| match *empty == Some(number) {
                    true => String::new(),
                    false => number.normalize().to_string(),
                })
            }
            (Piece::Date(_), Some(text)) => {
                let day = parse_date(text, formats.date).ok();
                day.map(|day| day.map(|day| day.format("%F").to_string()).unwrap_or_default())
            }
            _ => None,
        };
        found.map_or(scalar, |text| Scalar::Text(Cow::Owned(text)))
    }
}

impl Join {
    pub(in crate::mapping) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Path(path) | Piece::Number { path, .. } | Piece::Date(path) => Some(path),
            Piece::Constant(_) => None,
        })
    }

    fn of<'a>(&self, row: Row<'_, 'a>, formats: Formats) -> Result<Scalar<'a>, Refusal> {
        let mut out = String::new();
        let mut carried = false;
        // Places that are left empty so far, written only when something follows them.
        let mut empty_places = 0;
        for (place, piece) in self.pieces.iter().enumerate() {
            let scalar = match piece {
                Piece::Constant(text) => Scalar::Text(Cow::Borrowed(&**text)),
                Piece::Path(path) | Piece::Number { path, .. } | Piece::Date(path) => {
                    let scalar = path.get(row)?;
                    carried |= !matches!(scalar, Scalar::Missing);
                    piece.normal(scalar, formats)
                }
            };
            let text = match &scalar {
                Scalar::Number(text) => crate::mapping::value::whole(text).unwrap_or(text),
                other => other.text().unwrap_or_default().trim_end(),
            };
            if text.is_empty() {
                match self.blanks {
                    Blanks::Never => return Ok(Scalar::Null),
                    Blanks::Keep if place == 0 => return Ok(Scalar::Null),
                    Blanks::Keep => empty_places += 1,
                    Blanks::Skip => {}
                }
                continue;
            }
            (0..std::mem::take(&mut empty_places)).for_each(|_| out.push_str(&self.separator));
            if !out.is_empty() {
                out.push_str(&self.separator);
            }
            out.push_str(text);
        }
        Ok(match (out.is_empty(), carried) {
            (false, _) => Scalar::Text(Cow::Owned(out)),
            (true, true) => Scalar::Null,
            (true, false) => Scalar::Missing,
        })
    }
}
