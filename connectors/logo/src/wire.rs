//! LOGO's words: lists, tokens, periods. Pure: bytes in, values out.

use bytes::Bytes;
use chrono::{NaiveDate, NaiveDateTime};
use kopru_sdk::{Fault, Secret};
use serde::Deserialize;
use serde_json::{Value, error::Category, value::RawValue};

use crate::{
    faults::{self, Refused},
    sql::STAMP,
};

/// A page of records, of the REST service's lists and of its queries alike.
#[derive(Debug, Clone, PartialEq)]
pub struct List {
    /// The records under `items`, whatever the service called them.
    pub body: Bytes,
    pub rows: usize,
    /// Where the last record stands.
    pub last: Key,
    /// Records in all, when the service was asked and answered.
    pub total: Option<u64>,
}

/// The columns by which pages follow each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Key {
    #[serde(rename = "INTERNAL_REFERENCE", deserialize_with = "lenient::number")]
    pub reference: Option<i64>,
    #[serde(rename = "STAMP", deserialize_with = "lenient::stamp")]
    pub stamp: Option<NaiveDateTime>,
    #[serde(rename = "STOCKREF", deserialize_with = "lenient::number")]
    pub item: Option<i64>,
    #[serde(rename = "INVENNO", deserialize_with = "lenient::number")]
    pub warehouse: Option<i64>,
    #[serde(rename = "UNITSETREF", deserialize_with = "lenient::number")]
    pub set: Option<i64>,
    /// Of a line: the document that it belongs to.
    #[serde(rename = "DOCUMENTREF", deserialize_with = "lenient::number")]
    pub document: Option<i64>,
    /// Of an item's unit: the last line of its set.
    #[serde(rename = "LASTLINE", deserialize_with = "lenient::number")]
    pub last_line: Option<i64>,
}

/// Why an answer of status 200 is not a list.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NotAList {
    #[error("the answer is cut off")]
    Cut,
    #[error("the answer is not JSON ({0})")]
    NotJson(String),
    #[error("the answer is JSON, but no list of records ({0})")]
    OtherShape(String),
    #[error("the answer holds no records")]
    NoRecords,
    /// A refusal under a successful status.
    #[error("the answer is a refusal")]
    Refused(Box<Refused>),
}

impl NotAList {
    /// Anything that is not LOGO's own word may be right when read again.
    pub fn fault(self, call: &str, transient_texts: &[String]) -> Fault {
        match self {
            NotAList::Refused(refused) => {
                let detail = format!(
                    "{call}: LOGO refused, though the status tells success: {}",
                    refused.message.as_deref().unwrap_or("")
                );
                faults::refusal(&refused, transient_texts, &detail).unwrap_or(Fault::Contract { detail })
            }
            other => Fault::transient(format!("{call}: {other}")),
        }
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
    #[serde(borrow, rename = "Items")]
    items_upper: Option<Vec<&'a RawValue>>,
    #[serde(rename = "totalCount", default, deserialize_with = "lenient::number")]
    total: Option<i64>,
    #[serde(rename = "Meta")]
    meta: Option<serde::de::IgnoredAny>,
    count: Option<serde::de::IgnoredAny>,
}

/// Reads a list: `{"items":[…]}`, `{"Items":[…]}` or a bare array. An empty list may lack its key.
pub fn read_list(bytes: Bytes) -> Result<List, NotAList> {
    let text = bytes.as_ref();
    if text.trim_ascii_start().first() == Some(&b'[') {
        let rows: Vec<&RawValue> = serde_json::from_slice(text).map_err(|error| unreadable(&error))?;
        return list(wrap(&rows), &rows, None);
    }
    let envelope: Envelope<'_> = serde_json::from_slice(text).map_err(|error| unreadable(&error))?;
    let total = envelope.total.and_then(|total| u64::try_from(total).ok());
    match (envelope.items, envelope.items_upper) {
        (Some(rows), _) => list(bytes.clone(), &rows, total),
        (None, Some(rows)) => list(wrap(&rows), &rows, total),
        (None, None) => match Refused::read(text) {
            Some(refused) => Err(NotAList::Refused(Box::new(refused))),
            None if envelope.meta.is_some() || envelope.count.is_some() => list(wrap(&[]), &[], total),
            None => Err(NotAList::NoRecords),
        },
    }
}

fn list(body: Bytes, rows: &[&RawValue], total: Option<u64>) -> Result<List, NotAList> {
    let last = match rows.last() {
        Some(row) => serde_json::from_str(row.get()).map_err(|error| unreadable(&error))?,
        None => Key::default(),
    };
    Ok(List { body, rows: rows.len(), last, total })
}

fn wrap(rows: &[&RawValue]) -> Bytes {
    let mut text = String::with_capacity(rows.iter().map(|row| row.get().len() + 1).sum::<usize>() + 16);
    text.push_str("{\"items\":[");
    for (place, row) in rows.iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        text.push_str(row.get());
    }
    text.push_str("]}");
    Bytes::from(text)
}

fn unreadable(error: &serde_json::Error) -> NotAList {
    let place = format!("line {}, column {}", error.line(), error.column());
    match error.classify() {
        Category::Eof => NotAList::Cut,
        Category::Data => NotAList::OtherShape(place),
        Category::Syntax | Category::Io => NotAList::NotJson(place),
    }
}

#[derive(Deserialize)]
struct Records<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

/// The same list without the records that `keep` refuses. `rows` still counts what was received, since paging does.
pub fn retain(list: List, keep: impl Fn(&Value) -> bool) -> Result<List, NotAList> {
    let records: Records<'_> = serde_json::from_slice(&list.body).map_err(|error| unreadable(&error))?;
    let mut kept = Vec::with_capacity(records.items.len());
    for row in records.items {
        if keep(&serde_json::from_str(row.get()).map_err(|error| unreadable(&error))?) {
            kept.push(row);
        }
    }
    Ok(List { body: wrap(&kept), ..list })
}

/// First and last reference of a page that is ordered by it.
pub fn reference_range(list: &List) -> Result<Option<(i64, i64)>, NotAList> {
    let records: Records<'_> = serde_json::from_slice(&list.body).map_err(|error| unreadable(&error))?;
    let key = |row: Option<&&RawValue>| row.and_then(|row| serde_json::from_str::<Key>(row.get()).ok()?.reference);
    Ok(key(records.items.first()).zip(key(records.items.last())))
}

/// The references of a page's records, in its order.
pub fn references(list: &List) -> Result<Vec<i64>, NotAList> {
    #[derive(Deserialize)]
    struct Row {
        #[serde(rename = "INTERNAL_REFERENCE", deserialize_with = "lenient::number")]
        reference: Option<i64>,
    }
    #[derive(Deserialize)]
    struct Rows {
        items: Vec<Row>,
    }
    let rows: Rows = serde_json::from_slice(&list.body).map_err(|error| unreadable(&error))?;
    Ok(rows.items.iter().filter_map(|row| row.reference).collect())
}

/// Puts the units of items, read by a query of their own, where the REST service has them: under `UNITS.items`. An item
/// of which no line came stays without the key, which leaves its units as they are.
pub fn join_item_units(items: List, lines: &[List]) -> Result<List, NotAList> {
    #[derive(Deserialize)]
    struct Line<'a> {
        #[serde(rename = "STOCKREF", deserialize_with = "lenient::number")]
        item: Option<i64>,
        #[serde(borrow, rename = "UNIT_CODE")]
        code: Option<&'a RawValue>,
        #[serde(borrow, rename = "CONV_FACT1")]
        factor1: Option<&'a RawValue>,
        #[serde(borrow, rename = "CONV_FACT2")]
        factor2: Option<&'a RawValue>,
        #[serde(borrow, rename = "WEIGHT")]
        weight: Option<&'a RawValue>,
        #[serde(borrow, rename = "BARCODE")]
        barcode: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Lines<'a> {
        #[serde(borrow)]
        items: Vec<Line<'a>>,
    }
    let mut by_item = std::collections::HashMap::<i64, String>::with_capacity(items.rows);
    for list in lines {
        let read: Lines<'_> = serde_json::from_slice(&list.body).map_err(|error| unreadable(&error))?;
        for line in read.items {
            let (Some(item), Some(code)) = (line.item, line.code) else { continue };
            let text = by_item.entry(item).or_default();
            text.push_str(if text.is_empty() { "{\"UNIT_CODE\":" } else { ",{\"UNIT_CODE\":" });
            text.push_str(code.get());
            let members = [
                (",\"CONV_FACT1\":", line.factor1),
                (",\"CONV_FACT2\":", line.factor2),
                (",\"WEIGHT\":", line.weight),
                (",\"BARCODE\":", line.barcode),
            ];
            for (key, value) in members {
                if let Some(value) = value {
                    text.push_str(key);
                    text.push_str(value.get());
                }
            }
            text.push('}');
        }
    }
    let records: Records<'_> = serde_json::from_slice(&items.body).map_err(|error| unreadable(&error))?;
    let references = references(&items)?;
    if references.len() != records.items.len() {
        return Err(NotAList::NoRecords);
    }
    let more: usize = by_item.values().map(|text| text.len() + 32).sum();
    let mut text = String::with_capacity(items.body.len() + more + 16);
    text.push_str("{\"items\":[");
    for (place, (row, reference)) in records.items.iter().zip(references).enumerate() {
        if place > 0 {
            text.push(',');
        }
        match (by_item.get(&reference), row.get().trim_end().strip_suffix('}')) {
            (Some(units), Some(open)) => {
                text.push_str(open);
                text.push_str(",\"UNITS\":{\"items\":[");
                text.push_str(units);
                text.push_str("]}}");
            }
            _ => text.push_str(row.get()),
        }
    }
    text.push_str("]}");
    Ok(List { body: Bytes::from(text), ..items })
}

/// Puts the lines of unit sets, read by a query of their own, where the REST service has them: under `UNITS.items`.
pub fn join_unit_lines(sets: List, lines: &[List]) -> Result<List, NotAList> {
    #[derive(Deserialize)]
    struct Rows {
        items: Vec<serde_json::Map<String, Value>>,
    }
    let read = |list: &List| serde_json::from_slice::<Rows>(&list.body).map_err(|error| unreadable(&error));
    let mut by_set = std::collections::BTreeMap::<i64, Vec<Value>>::new();
    for list in lines {
        for mut line in read(list)?.items {
            let set = line.remove("UNITSETREF").and_then(|set| set.as_i64()).ok_or(NotAList::NoRecords)?;
            by_set.entry(set).or_default().push(Value::Object(line));
        }
    }
    let mut rows = read(&sets)?.items;
    for row in &mut rows {
        let reference = row.get("INTERNAL_REFERENCE").and_then(Value::as_i64).unwrap_or_default();
        let lines = by_set.remove(&reference).unwrap_or_default();
        row.insert("UNITS".to_owned(), serde_json::json!({"items": lines}));
    }
    let body = Bytes::from(serde_json::json!({"items": rows}).to_string());
    Ok(List { body, ..sets })
}

/// Puts what belongs to documents, read by a query of its own, where the REST service has it: under `NAME.items`.
pub fn join_children(documents: List, children: &[List], name: &str) -> Result<List, NotAList> {
    #[derive(Deserialize)]
    struct Rows {
        items: Vec<serde_json::Map<String, Value>>,
    }
    let read = |list: &List| serde_json::from_slice::<Rows>(&list.body).map_err(|error| unreadable(&error));
    let mut by_document = std::collections::BTreeMap::<i64, Vec<Value>>::new();
    for list in children {
        for mut child in read(list)?.items {
            let document = child.remove("DOCUMENTREF").and_then(|document| document.as_i64());
            by_document.entry(document.ok_or(NotAList::NoRecords)?).or_default().push(Value::Object(child));
        }
    }
    let mut rows = read(&documents)?.items;
    for row in &mut rows {
        let reference = row.get("INTERNAL_REFERENCE").and_then(Value::as_i64).unwrap_or_default();
        let children = by_document.remove(&reference).unwrap_or_default();
        row.insert(name.to_owned(), serde_json::json!({"items": children}));
    }
    let body = Bytes::from(serde_json::json!({"items": rows}).to_string());
    Ok(List { body, ..documents })
}

/// A token as the service issues it. Opaque: never parsed, never printed.
#[derive(Debug, Deserialize)]
pub struct Token {
    pub access_token: Secret,
    /// Seconds.
    #[serde(default, deserialize_with = "lenient::number")]
    pub expires_in: Option<i64>,
}

/// A period of a firm, as L_CAPIPERIOD has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    pub number: u16,
    pub begins: NaiveDate,
    pub ends: NaiveDate,
    pub active: bool,
}

impl Period {
    pub fn covers(&self, day: NaiveDate) -> bool {
        self.begins <= day && day <= self.ends
    }
}

pub fn read_periods(list: &List) -> Result<Vec<Period>, NotAList> {
    #[derive(Deserialize)]
    struct Row {
        #[serde(rename = "NR", deserialize_with = "lenient::number")]
        number: Option<i64>,
        #[serde(rename = "BEGDATE")]
        begins: String,
        #[serde(rename = "ENDDATE")]
        ends: String,
        #[serde(rename = "ACTIVE", default, deserialize_with = "lenient::number")]
        active: Option<i64>,
    }
    #[derive(Deserialize)]
    struct Rows {
        items: Vec<Row>,
    }
    let rows: Rows = serde_json::from_slice(&list.body).map_err(|error| unreadable(&error))?;
    let day = |text: &str| text.get(..10).and_then(|text| text.parse().ok());
    Ok(rows
        .items
        .iter()
        .filter_map(|row| {
            Some(Period {
                number: u16::try_from(row.number?).ok()?,
                begins: day(&row.begins)?,
                ends: day(&row.ends)?,
                active: row.active == Some(1),
            })
        })
        .collect())
}

/// Numbers that come as text and stamps that come as null: LOGO's builds differ.
mod lenient {
    use serde::{Deserialize, Deserializer};

    use super::{NaiveDateTime, STAMP, Value};

    pub fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
        Ok(match Option::<Value>::deserialize(deserializer)? {
            Some(Value::Number(number)) => {
                let text = number.to_string();
                text.split('.').next().and_then(|whole| whole.parse().ok())
            }
            Some(Value::String(text)) => text.trim().parse().ok(),
            _ => None,
        })
    }

    pub fn stamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NaiveDateTime>, D::Error> {
        Ok(match Option::<Value>::deserialize(deserializer)? {
            Some(Value::String(text)) => {
                text.get(..19).and_then(|text| NaiveDateTime::parse_from_str(text, STAMP).ok())
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Result<List, NotAList> {
        read_list(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn lists_come_in_three_shapes() {
        let list = read(r#"{"Meta":{},"totalCount":3187,"items":[{"INTERNAL_REFERENCE":1041},{"INTERNAL_REFERENCE":"1042","STAMP":"2026-02-27T16:05:31"}]}"#).unwrap();
        assert_eq!((list.rows, list.total, list.last.reference), (2, Some(3187), Some(1042)));
        assert_eq!(list.last.stamp.unwrap().to_string(), "2026-02-27 16:05:31");
        for text in [r#"{"Items":[{"CODE":"ğ","P":1.50}]}"#, r#" [{"CODE":"ğ","P":1.50}]"#] {
            let list = read(text).unwrap();
            assert_eq!(list.rows, 1);
            assert_eq!(list.body, r#"{"items":[{"CODE":"ğ","P":1.50}]}"#.as_bytes());
        }
    }

    #[test]
    fn an_empty_list_may_lack_its_key_and_nothing_else_may() {
        assert_eq!(read(r#"{"Meta":{"href":"x"}}"#).unwrap().body, r#"{"items":[]}"#.as_bytes());
        assert_eq!(read(r#"{"items":[]}"#).unwrap().rows, 0);
        assert_eq!(read("{}"), Err(NotAList::NoRecords));
        assert_eq!(read("[]").unwrap().rows, 0);
    }

    #[test]
    fn cut_and_garbled_answers_are_no_lists() {
        assert_eq!(read(r#"{"items":[{"CODE":"A"},{"CO"#), Err(NotAList::Cut));
        assert_eq!(read(""), Err(NotAList::Cut));
        assert!(matches!(read("\u{1}\u{2}garbage"), Err(NotAList::NotJson(_))));
        assert!(matches!(read(r#"{"items":[]} trailing"#), Err(NotAList::NotJson(_))));
        assert!(matches!(read(r#"{"items":"none"}"#), Err(NotAList::OtherShape(_))));
        assert!(matches!(read("[1]"), Err(NotAList::OtherShape(_))));
        assert!(matches!(read("null"), Err(NotAList::OtherShape(_))));
    }

    #[test]
    fn a_refusal_under_status_200_is_told() {
        let refused = read(r#"{"Message":"x","ModelState":{"LoginError":["y"]}}"#).unwrap_err();
        assert_eq!(refused.fault("GET /x", &[]).class(), "unauthenticated");
        assert_eq!(read(r#"{"Message":"x"}"#).unwrap_err().fault("GET /x", &[]).class(), "contract");
    }

    #[test]
    fn unit_lines_are_put_into_their_sets() {
        let sets = read(r#"{"items":[{"INTERNAL_REFERENCE":5,"CODE":"05"},{"INTERNAL_REFERENCE":9,"CODE":"UZUNLUK"},{"INTERNAL_REFERENCE":11,"CODE":"BOŞ"}]}"#).unwrap();
        assert_eq!(reference_range(&sets).unwrap(), Some((5, 11)));
        let lines = [
            read(r#"{"items":[{"UNITSETREF":5,"CODE":"ADET","MAIN_UNIT":1,"CONV_FACT1":1.0},{"UNITSETREF":9,"CODE":"MT"}]}"#).unwrap(),
            read(r#"{"items":[{"UNITSETREF":9,"CODE":"MAKARA","CONV_FACT2":305.0}]}"#).unwrap(),
        ];
        let joined = join_unit_lines(sets, &lines).unwrap();
        let body: Value = serde_json::from_slice(&joined.body).unwrap();
        assert_eq!(body["items"][0]["UNITS"]["items"][0]["CODE"], "ADET");
        assert_eq!(body["items"][1]["UNITS"]["items"][1]["CODE"], "MAKARA");
        assert_eq!(body["items"][1]["UNITS"]["items"][1]["CONV_FACT2"].to_string(), "305.0");
        assert_eq!(body["items"][2]["UNITS"]["items"], serde_json::json!([]));
    }

    #[test]
    fn units_are_put_into_their_items() {
        let items = read(r#"{"items":[{"INTERNAL_REFERENCE":7,"CODE":"}"},{"INTERNAL_REFERENCE":5,"CODE":"A" } ,{"INTERNAL_REFERENCE":6,"CODE":"B"}]}"#).unwrap();
        let lines = [
            read(r#"{"items":[{"STOCKREF":5,"INTERNAL_REFERENCE":31,"LASTLINE":32,"UNIT_CODE":"MT","CONV_FACT1":1.0,"CONV_FACT2":1.0,"WEIGHT":0.740,"BARCODE":null}]}"#).unwrap(),
            read(r#"{"items":[{"STOCKREF":5,"INTERNAL_REFERENCE":32,"LASTLINE":32,"UNIT_CODE":"MAKARA","CONV_FACT1":1.0,"CONV_FACT2":305.0,"BARCODE":"869"},
              {"STOCKREF":6,"INTERNAL_REFERENCE":0,"LASTLINE":0,"UNIT_CODE":null}]}"#).unwrap(),
        ];
        assert_eq!((lines[1].last.item, lines[1].last.reference, lines[1].last.last_line), (Some(6), Some(0), Some(0)));
        let joined = join_item_units(items, &lines).unwrap();
        let expected = r#"{"items":[{"INTERNAL_REFERENCE":7,"CODE":"}"},{"INTERNAL_REFERENCE":5,"CODE":"A" ,"UNITS":{"items":[{"UNIT_CODE":"MT","CONV_FACT1":1.0,"CONV_FACT2":1.0,"WEIGHT":0.740},{"UNIT_CODE":"MAKARA","CONV_FACT1":1.0,"CONV_FACT2":305.0,"BARCODE":"869"}]}},{"INTERNAL_REFERENCE":6,"CODE":"B"}]}"#;
        assert_eq!(std::str::from_utf8(&joined.body).unwrap(), expected);
        assert_eq!((joined.rows, joined.last.reference), (3, Some(6)));
    }

    #[test]
    fn records_can_be_left_out_without_changing_the_count() {
        let list = read(r#"{"items":[{"SPE_CODE_TYPE":0},{"SPE_CODE_TYPE":26}]}"#).unwrap();
        let list = retain(list, |row| row["SPE_CODE_TYPE"] == 0).unwrap();
        assert_eq!((list.rows, list.body.as_ref()), (2, br#"{"items":[{"SPE_CODE_TYPE":0}]}"#.as_slice()));
    }

    #[test]
    fn periods_are_read() {
        let list =
            read(r#"{"items":[{"NR":1,"BEGDATE":"2026-01-01","ENDDATE":"2026-12-31T00:00:00","ACTIVE":1}]}"#).unwrap();
        let periods = read_periods(&list).unwrap();
        assert_eq!(periods.len(), 1);
        assert!(periods[0].covers("2026-12-31".parse().unwrap()) && !periods[0].covers("2027-01-01".parse().unwrap()));
        assert!(periods[0].active);
    }
}
