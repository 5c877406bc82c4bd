//! JSON pages: one pass, no tree, strings and numbers left in the page.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::page::{Found, Taker, Unreadable};
use super::shape::{KeyOrder, Row, Shape};

/// Where the records of a JSON page are: the first of these paths that is there. An empty path is the document itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::mapping) struct JsonRecords {
    pub paths: Vec<Vec<String>>,
    /// A document with one of these top-level keys and without records is an empty page.
    pub empty_if_has: Vec<String>,
}

/// Reads all records of a page into slots. With `want_whole` each record's own text goes along.
pub(super) fn read_records<'a>(
    body: &'a str,
    records: &JsonRecords,
    shape: &Shape,
    want_whole: bool,
    taker: &mut impl Taker<'a>,
) -> Result<(), Unreadable> {
    let slots = vec![None; shape.len()];
    let mut elements = Slotted { shape, order: KeyOrder::default(), slots, want_whole, ordinal: 0, taker };
    walk(body, records, &mut elements).map(drop)
}

/// Standalone documents of the same shape that hold one record each.
pub(super) fn standalone(body: &str, records: &JsonRecords, wanted: &[u32]) -> Result<Vec<(u32, Vec<u8>)>, Unreadable> {
    let mut elements = Raw { wanted, ordinal: 0, kept: Vec::new() };
    let path = walk(body, records, &mut elements)?;
    let kept = elements.kept;
    Ok(kept.into_iter().map(|(ordinal, raw)| (ordinal, wrapped(&path, raw).into_bytes())).collect())
}

/// A page whose only record this is.
pub(in crate::mapping) fn wrapped(path: &[String], raw: &str) -> String {
    let mut out = String::with_capacity(raw.len() + 16);
    for key in path {
        out.push('{');
        out.push_str(&serde_json::Value::from(key.as_str()).to_string());
        out.push(':');
    }
    out.push('[');
    out.push_str(raw);
    out.push(']');
    out.extend(std::iter::repeat_n('}', path.len()));
    out
}

/// Takes the items of the list of records, one by one.
trait Elements<'a> {
    /// False when there is no further one.
    fn next<A: SeqAccess<'a>>(&mut self, items: &mut A) -> Result<bool, A::Error>;
}

struct Slotted<'s, 'a, T> {
    shape: &'s Shape,
    order: KeyOrder<'a>,
    slots: Vec<Option<&'a str>>,
    want_whole: bool,
    ordinal: u32,
    taker: &'s mut T,
}

impl<'a, T: Taker<'a>> Elements<'a> for Slotted<'_, 'a, T> {
    fn next<A: SeqAccess<'a>>(&mut self, items: &mut A) -> Result<bool, A::Error> {
        self.slots.fill(None);
        let seed = RecordSeed { shape: self.shape, order: &mut self.order, slots: &mut self.slots };
        let (is_object, whole) = if self.want_whole || self.taker.has_memory() {
            let Some(raw) = items.next_element::<&'a RawValue>()? else { return Ok(false) };
            if self.taker.recalls(self.ordinal, raw.get()) {
                self.ordinal = self.ordinal.saturating_add(1);
                return Ok(true);
            }
            let mut reader = serde_json::Deserializer::from_str(raw.get());
            (seed.deserialize(&mut reader).map_err(A::Error::custom)?, Some(raw.get()))
        } else {
            let Some(is_object) = items.next_element_seed(seed)? else { return Ok(false) };
            (is_object, None)
        };
        if is_object {
            self.taker.lasting(Found::Record(Row { ordinal: self.ordinal, slots: &self.slots, whole }));
        } else {
            self.taker.lasting(Found::Broken { ordinal: self.ordinal, detail: "the record is not an object" });
        }
        self.ordinal = self.ordinal.saturating_add(1);
        Ok(true)
    }
}

struct Raw<'w, 'a> {
    wanted: &'w [u32],
    ordinal: u32,
    kept: Vec<(u32, &'a str)>,
}

impl<'a> Elements<'a> for Raw<'_, 'a> {
    fn next<A: SeqAccess<'a>>(&mut self, items: &mut A) -> Result<bool, A::Error> {
        if self.wanted.contains(&self.ordinal) {
            let Some(raw) = items.next_element::<&'a RawValue>()? else { return Ok(false) };
            self.kept.push((self.ordinal, raw.get()));
        } else if items.next_element::<IgnoredAny>()?.is_none() {
            return Ok(false);
        }
        self.ordinal = self.ordinal.saturating_add(1);
        Ok(true)
    }
}

/// Goes down to the records; the path on which they were found.
fn walk<'a>(body: &'a str, records: &JsonRecords, elements: &mut impl Elements<'a>) -> Result<Vec<String>, Unreadable> {
    let mut trail = Trail::default();
    let mut reader = serde_json::Deserializer::from_str(body);
    let paths = records.paths.iter().map(|path| (path.as_slice(), path.as_slice())).collect();
    let step = Step { paths, depth: 0, empty_if_has: &records.empty_if_has, trail: &mut trail, elements };
    step.deserialize(&mut reader).and_then(|()| reader.end()).map_err(|error| unreadable(body, &error))?;
    if let Some(path) = trail.found {
        return Ok(path.to_vec());
    }
    if trail.wrong_shape {
        return Err(Unreadable::new("wrong_shape", "what should be the list of records is something else"));
    }
    if trail.is_empty_page {
        return Ok(records.paths.first().cloned().unwrap_or_default());
    }
    let places: Vec<String> = records
        .paths
        .iter()
        .map(|path| if path.is_empty() { "the document".to_owned() } else { path.join(".") })
        .collect();
    Err(Unreadable::new("no_records", format!("no list of records at {}", places.join(" or "))))
}

fn unreadable(body: &str, error: &serde_json::Error) -> Unreadable {
    let what = if error.is_eof() { "cut_off" } else { "not_json" };
    let line_start = body.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
    Unreadable {
        what,
        byte: Some((line_start + error.column().saturating_sub(1)).min(body.len())),
        line: Some(error.line()),
        detail: error.to_string(),
    }
}

#[derive(Default)]
struct Trail<'r> {
    found: Option<&'r [String]>,
    wrong_shape: bool,
    is_empty_page: bool,
}

/// One level on the way to the records: the paths that still fit, each whole and from here on.
struct Step<'w, 'r, E> {
    paths: Vec<(&'r [String], &'r [String])>,
    depth: usize,
    empty_if_has: &'r [String],
    trail: &'w mut Trail<'r>,
    elements: &'w mut E,
}

impl<'r, E> Step<'_, 'r, E> {
    fn here(&self) -> Option<&'r [String]> {
        self.paths.iter().find(|(_, rest)| rest.is_empty()).map(|(whole, _)| *whole)
    }

    /// A scalar where the list should be. Null is a list without items.
    fn scalar(self, is_null: bool) {
        if let Some(whole) = self.here() {
            if is_null {
                self.trail.found = Some(whole);
            } else if self.depth > 0 {
                self.trail.wrong_shape = true;
            }
        }
    }
}

impl<'a, E: Elements<'a>> DeserializeSeed<'a> for Step<'_, '_, E> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'a, E: Elements<'a>> Visitor<'a> for Step<'_, '_, E> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a page of records")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        if self.depth > 0 && self.here().is_some() {
            self.trail.wrong_shape = true;
        }
        while let Some(key) = map.next_key_seed(KeySeed)? {
            if self.depth == 0 && self.empty_if_has.iter().any(|name| *name == key) {
                self.trail.is_empty_page = true;
            }
            let paths: Vec<_> = self
                .paths
                .iter()
                .filter_map(|(whole, rest)| match rest.split_first() {
                    Some((head, tail)) if *head == key => Some((*whole, tail)),
                    _ => None,
                })
                .collect();
            if paths.is_empty() || self.trail.found.is_some() {
                map.next_value::<IgnoredAny>()?;
            } else {
                map.next_value_seed(Step {
                    paths,
                    depth: self.depth + 1,
                    empty_if_has: self.empty_if_has,
                    trail: self.trail,
                    elements: self.elements,
                })?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut items: A) -> Result<(), A::Error> {
        if let Some(whole) = self.here() {
            self.trail.found = Some(whole);
            while self.elements.next(&mut items)? {}
        } else {
            while items.next_element::<IgnoredAny>()?.is_some() {}
        }
        Ok(())
    }

    fn visit_unit<R: Error>(self) -> Result<(), R> {
        self.scalar(true);
        Ok(())
    }

    fn visit_bool<R: Error>(self, _: bool) -> Result<(), R> {
        self.scalar(false);
        Ok(())
    }

    fn visit_i64<R: Error>(self, _: i64) -> Result<(), R> {
        self.scalar(false);
        Ok(())
    }

    fn visit_u64<R: Error>(self, _: u64) -> Result<(), R> {
        self.scalar(false);
        Ok(())
    }

    fn visit_f64<R: Error>(self, _: f64) -> Result<(), R> {
        self.scalar(false);
        Ok(())
    }

    fn visit_str<R: Error>(self, _: &str) -> Result<(), R> {
        self.scalar(false);
        Ok(())
    }
}

/// An object key, borrowed unless it holds an escape.
struct KeySeed;

impl<'a> DeserializeSeed<'a> for KeySeed {
    type Value = Cow<'a, str>;

    fn deserialize<D: Deserializer<'a>>(self, reader: D) -> Result<Cow<'a, str>, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'a> Visitor<'a> for KeySeed {
    type Value = Cow<'a, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<R: Error>(self, key: &'a str) -> Result<Cow<'a, str>, R> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<R: Error>(self, key: &str) -> Result<Cow<'a, str>, R> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

/// Reads one record into the slots; the value is whether it was an object.
struct RecordSeed<'s, 'a> {
    shape: &'s Shape,
    order: &'s mut KeyOrder<'a>,
    slots: &'s mut [Option<&'a str>],
}

impl<'a> DeserializeSeed<'a> for RecordSeed<'_, 'a> {
    type Value = bool;

    fn deserialize<D: Deserializer<'a>>(self, reader: D) -> Result<bool, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for RecordSeed<'_, 'a> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut place = 0;
        while let Some(key) = map.next_key_seed(KeySeed)? {
            let slot = match &key {
                Cow::Borrowed(key) => self.order.slot(place, key, self.shape),
                Cow::Owned(key) => self.shape.find(key),
            };
            place += 1;
            match slot.and_then(|slot| self.slots.get_mut(usize::from(slot))) {
                Some(slot) => *slot = Some(map.next_value::<&'a RawValue>()?.get()),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(true)
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut items: A) -> Result<bool, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(false)
    }

    fn visit_unit<R: Error>(self) -> Result<bool, R> {
        Ok(false)
    }

    fn visit_bool<R: Error>(self, _: bool) -> Result<bool, R> {
        Ok(false)
    }

    fn visit_i64<R: Error>(self, _: i64) -> Result<bool, R> {
        Ok(false)
    }

    fn visit_u64<R: Error>(self, _: u64) -> Result<bool, R> {
        Ok(false)
    }

    fn visit_f64<R: Error>(self, _: f64) -> Result<bool, R> {
        Ok(false)
    }

    fn visit_str<R: Error>(self, _: &str) -> Result<bool, R> {
        Ok(false)
    }
}

/// Reads one object into slots; false if it is none.
pub(in crate::mapping) fn read_row<'a>(raw: &'a str, shape: &Shape, slots: &mut [Option<&'a str>]) -> bool {
    let mut order = KeyOrder::default();
    let mut reader = serde_json::Deserializer::from_str(raw);
    RecordSeed { shape, order: &mut order, slots }.deserialize(&mut reader).unwrap_or(false)
}

/// The value of a key of an object.
pub(super) fn find_key<'a>(raw: &'a str, key: &str) -> Option<&'a str> {
    struct Finder<'k, 'f, 'a> {
        key: &'k str,
        found: &'f mut Option<&'a str>,
    }
    impl<'a> Visitor<'a> for Finder<'_, '_, 'a> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
            while let Some(key) = map.next_key_seed(KeySeed)? {
                if key == self.key {
                    *self.found = Some(map.next_value::<&'a RawValue>()?.get());
                    return Ok(());
                }
                map.next_value::<IgnoredAny>()?;
            }
            Ok(())
        }
    }
    if !raw.starts_with('{') {
        return None;
    }
    let mut found = None;
    // Leaving the object early is reported as an error by the parser; what was found counts.
    let _ = serde_json::Deserializer::from_str(raw).deserialize_map(Finder { key, found: &mut found });
    found
}

/// The items of a list. A lone object is a list of one, as XML does not tell the two apart.
pub(in crate::mapping) fn items_of(raw: &str) -> Vec<&RawValue> {
    match raw.as_bytes().first() {
        Some(b'[') => serde_json::from_str(raw).unwrap_or_default(),
        Some(b'{') => serde_json::from_str(raw).map(|item| vec![item]).unwrap_or_default(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(body: &str) -> Result<Vec<String>, &'static str> {
        let mut shape = Shape::default();
        shape.slot("CODE");
        let records = JsonRecords {
            paths: vec![vec!["items".into()], vec!["Item".into(), "items".into()], vec![]],
            empty_if_has: vec!["Meta".into()],
        };
        let mut codes = Codes::default();
        read_records(body, &records, &shape, false, &mut codes).map_err(|unreadable| unreadable.what)?;
        Ok(codes.0)
    }

    #[derive(Default)]
    struct Codes(Vec<String>);

    impl<'a> Taker<'a> for Codes {
        fn lasting(&mut self, found: Found<'_, 'a>) {
            self.passing(found);
        }

        fn passing(&mut self, found: Found<'_, '_>) {
            self.0.push(match found {
                Found::Record(row) => row.slots.first().copied().flatten().unwrap_or("-").to_owned(),
                Found::Broken { .. } => "broken".to_owned(),
            });
        }
    }

    #[test]
    fn records_are_found_wherever_they_may_be() {
        let want = Ok(vec!["\"A\"".to_owned(), "\"B\"".to_owned()]);
        assert_eq!(codes(r#"{"Meta":{"x":[1]},"items":[{"CODE":"A"},{"X":{"CODE":1},"CODE":"B"}],"count":2}"#), want);
        assert_eq!(codes(r#"[{"CODE":"A"},{"CODE":"B"}]"#), want);
        assert_eq!(codes(r#"{"Item":{"items":[{"CODE":"A"},{"CODE":"B"}]}}"#), want);
        assert_eq!(codes(r#"{"\u0069tems":[{"CODE":"A"},{"C\u004fDE":"B"}]}"#), want);
    }

    #[test]
    fn empty_pages_and_pages_that_are_none() {
        assert_eq!(codes(r#"{"items":[]}"#), Ok(vec![]));
        assert_eq!(codes(r#"{"items":null}"#), Ok(vec![]));
        assert_eq!(codes(r#"{"Meta":{}}"#), Ok(vec![]));
        assert_eq!(codes("[]"), Ok(vec![]));
        assert_eq!(codes(r#"{"Message":"x"}"#), Err("no_records"));
        assert_eq!(codes(r#"{"items":{"CODE":"A"}}"#), Err("wrong_shape"));
        assert_eq!(codes(r#"{"items":"A"}"#), Err("wrong_shape"));
        assert_eq!(codes("7"), Err("no_records"));
        assert_eq!(codes(r#"{"items":[{"CODE":"A"},{"CO"#), Err("cut_off"));
        assert_eq!(codes(r#"{"items":[{"CODE":A}]}"#), Err("not_json"));
        assert_eq!(codes(r#"{"items":[]} x"#), Err("not_json"));
    }

    #[test]
    fn what_is_no_object_is_told_apart_from_its_neighbours() {
        assert_eq!(
            codes(r#"{"items":[{"CODE":"A"},null,[1],"x",true,{"CODE":"B"}]}"#).unwrap(),
            ["\"A\"", "broken", "broken", "broken", "broken", "\"B\""]
        );
    }

    #[test]
    fn the_order_of_keys_may_change_from_record_to_record() {
        assert_eq!(
            codes(r#"[{"A":1,"CODE":"A"},{"CODE":"B","A":1},{"CODE":"C"},{},{"Z":1,"A":1,"CODE":"D"}]"#).unwrap(),
            ["\"A\"", "\"B\"", "\"C\"", "-", "\"D\""]
        );
    }

    #[test]
    fn deep_nesting_is_no_danger() {
        let deep = format!(r#"{{"items":[{{"CODE":"A","X":{}1{}}}]}}"#, "[".repeat(200_000), "]".repeat(200_000));
        assert_eq!(codes(&deep).unwrap(), ["\"A\""]);
        let deep = format!("{}1{}", "[".repeat(200_000), "]".repeat(200_000));
        assert!(codes(&deep).is_ok());
    }

    #[test]
    fn an_error_tells_its_place() {
        let records = JsonRecords { paths: vec![vec![]], empty_if_has: vec![] };
        let error =
            read_records("[\n{\"A\": ?}]", &records, &Shape::default(), false, &mut Codes::default()).unwrap_err();
        assert_eq!((error.line, error.byte), (Some(2), Some(8)));
    }
}
