//! Paths into a record: `CODE`, `UNITS.items.0.BARCODE`, `UNITS.items[CONV_FACT1=1, CONV_FACT2=1].UNIT_CODE`.

use serde_json::value::RawValue;

use super::json::{find_key, items_of};
use super::shape::{Row, Shape};
use crate::mapping::value::{Literal, Refusal, Scalar};

#[derive(Debug, Clone)]
pub(in crate::mapping) struct Path {
    slot: u16,
    rest: Box<[Segment]>,
    /// As written, for messages.
    pub text: Box<str>,
}

#[derive(Debug, Clone)]
enum Segment {
    Key(Box<str>),
    /// The nth item of a list, from 0.
    At(usize),
    /// The first item in which all of these hold.
    Where(Box<[(Box<str>, Literal)]>),
}

/// Deeper paths than this are a mistake.
const MAX_SEGMENTS: usize = 16;

impl Path {
    /// Parses a path and reserves the slot of its first key.
    pub(in crate::mapping) fn parse(text: &str, shape: &mut Shape) -> Result<Path, String> {
        let mut segments = Vec::new();
        let mut rest = text;
        loop {
            let (key, after) = key(rest)?;
            segments.push(match key.parse::<usize>() {
                Ok(index) if !segments.is_empty() && !rest.starts_with('\'') => Segment::At(index),
                _ => Segment::Key(key.into()),
            });
            rest = after;
            while let Some(inside) = rest.strip_prefix('[') {
                let Some((filter, after)) = inside.split_once(']') else {
                    return Err("a `[` is not closed".to_owned());
                };
                segments.push(filter_of(filter)?);
                rest = after;
            }
            match rest.strip_prefix('.') {
                Some(after) => rest = after,
                None if rest.is_empty() => break,
                None => return Err(format!("`{rest}` was not expected here")),
            }
        }
        if segments.len() > MAX_SEGMENTS {
            return Err(format!("it has more than {MAX_SEGMENTS} parts"));
        }
        let mut segments = segments.into_iter();
        match segments.next() {
            Some(Segment::Key(head)) => {
                Ok(Path { slot: shape.slot(&head), rest: segments.collect(), text: text.into() })
            }
            _ => Err("it must begin with a field name".to_owned()),
        }
    }

    /// Whether the record carries the first key of the path at all.
    pub(in crate::mapping) fn head_is_present(&self, row: Row<'_, '_>) -> bool {
        row.slots.get(usize::from(self.slot)).is_some_and(Option::is_some)
    }

    /// The raw JSON at the first key of the path.
    pub(in crate::mapping) fn head<'a>(&self, row: Row<'_, 'a>) -> Option<&'a str> {
        *row.slots.get(usize::from(self.slot))?
    }

    /// The raw JSON at the path.
    pub(in crate::mapping) fn raw<'a>(&self, row: Row<'_, 'a>) -> Option<&'a str> {
        let mut raw = (*row.slots.get(usize::from(self.slot))?)?;
        for segment in &self.rest {
            raw = segment.step(raw)?;
        }
        Some(raw)
    }

    pub(in crate::mapping) fn get<'a>(&self, row: Row<'_, 'a>) -> Result<Scalar<'a>, Refusal> {
        match self.raw(row) {
            None => Ok(Scalar::Missing),
            Some(raw) => Scalar::from_json(own_text(raw)),
        }
    }

    /// What stands at the path, for messages.
    pub(in crate::mapping) fn shown(&self, row: Row<'_, '_>) -> Option<String> {
        let raw = own_text(self.raw(row)?);
        Some(
            Scalar::from_json(raw)
                .ok()
                .and_then(|scalar| scalar.shown().map(str::to_owned))
                .unwrap_or_else(|| raw.into()),
        )
    }
}

/// An XML element with attributes and a text stands for its text.
fn own_text(raw: &str) -> &str {
    if raw.starts_with("{\"#text\":") { find_key(raw, "#text").unwrap_or(raw) } else { raw }
}

impl Segment {
    fn step<'a>(&self, raw: &'a str) -> Option<&'a str> {
        match self {
            Segment::Key(key) => find_key(raw, key),
            Segment::At(index) => items_of(raw).get(*index).map(|item| item.get()),
            Segment::Where(wanted) => items_of(raw).into_iter().map(RawValue::get).find(|item| {
                wanted.iter().all(|(key, literal)| {
                    find_key(item, key)
                        .and_then(|raw| Scalar::from_json(own_text(raw)).ok())
                        .is_some_and(|scalar| literal.matches(&scalar))
                })
            }),
        }
    }
}

/// A key, bare or in single quotes, and what follows it.
fn key(text: &str) -> Result<(&str, &str), String> {
    if let Some(quoted) = text.strip_prefix('\'') {
        return match quoted.split_once('\'') {
            Some(("", _)) | None => Err("a quoted name is empty or not closed".to_owned()),
            Some(parts) => Ok(parts),
        };
    }
    let end = text.find(['.', '[']).unwrap_or(text.len());
    match text[..end].trim() {
        "" => Err("a name is empty".to_owned()),
        name if name.contains(']') => Err(format!("`{name}` holds a `]` that nothing opened")),
        _ => Ok((&text[..end], &text[end..])),
    }
}

fn filter_of(text: &str) -> Result<Segment, String> {
    let conditions: Result<Vec<_>, String> = text
        .split(',')
        .map(|condition| match condition.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                let value = value.trim();
                let numeric = value.parse::<rust_decimal::Decimal>().is_ok();
                Ok((key.trim().into(), Literal::new(value, numeric)))
            }
            _ => Err(format!("`{condition}` must have the form FIELD=value")),
        })
        .collect();
    Ok(Segment::Where(conditions?.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str, record: &str) -> Option<String> {
        let mut shape = Shape::default();
        let path = Path::parse(path, &mut shape).unwrap();
        let mut slots = vec![None; shape.len()];
        assert!(super::super::json::read_row(record, &shape, &mut slots));
        path.raw(Row { ordinal: 0, slots: &slots, whole: None }).map(str::to_owned)
    }

    const ITEM: &str = r#"{"CODE":"A","UNITS":{"Meta":{},"items":[
        {"UNIT_CODE":"KOLI","CONV_FACT1":1.0,"CONV_FACT2":12.0},
        {"UNIT_CODE":"ADET","CONV_FACT1":1.0,"CONV_FACT2":1.0}]},"a.b":{"1":"x"}}"#;

    #[test]
    fn paths_find_keys_places_and_matches() {
        assert_eq!(get("CODE", ITEM).as_deref(), Some("\"A\""));
        assert_eq!(get("UNITS.items.0.UNIT_CODE", ITEM).as_deref(), Some("\"KOLI\""));
        assert_eq!(get("UNITS.items[CONV_FACT1=1, CONV_FACT2=1].UNIT_CODE", ITEM).as_deref(), Some("\"ADET\""));
        assert_eq!(get("'a.b'.'1'", ITEM).as_deref(), Some("\"x\""));
        assert_eq!(get("UNITS.items.7.UNIT_CODE", ITEM), None);
        assert_eq!(get("CODE.deeper", ITEM), None);
    }

    #[test]
    fn broken_paths_are_told() {
        let mut shape = Shape::default();
        for broken in ["", ".", "A..B", "A[", "A[x]", "A[=1]", "'A", "A]x", "A[B=1]C", &"A.".repeat(20)] {
            assert!(Path::parse(broken, &mut shape).is_err(), "{broken}");
        }
    }
}
