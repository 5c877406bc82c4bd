//! The other direction: a record of ours becomes a document of another system.
//!
//! The same rules as for reading (paths, cases, joins, code tables, expressions), with the other system's fields as targets.
//! What comes to nothing is left out of the document.

use std::str::FromStr;

use rust_decimal::Decimal;
use serde_json::{Map, Number, Value as Json};

use super::compiled::Fault;
use super::rule::{Condition, Failure, Page, ScalarRule, all_hold};
use super::source::{Format, Path, Row, Shape, items_of, read_row};
use super::value::{Overlay, Reason, Refusal, UnmappedCount};
use crate::canonical::Value;

/// What a document is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    Order,
    Customer,
    Return,
}

impl Told {
    pub const ALL: [Told; 3] = [Told::Order, Told::Customer, Told::Return];

    pub const fn as_str(self) -> &'static str {
        match self {
            Told::Order => "order",
            Told::Customer => "customer",
            Told::Return => "return",
        }
    }

    pub fn parse(text: &str) -> Option<Told> {
        Told::ALL.into_iter().find(|told| told.as_str() == text)
    }
}

/// One file that makes documents, checked and compiled.
#[derive(Debug)]
pub struct Outbound {
    pub(super) name: String,
    pub(super) told: Told,
    pub(super) hash: String,
    pub(super) shape: Shape,
    pub(super) fields: Vec<OutField>,
}

#[derive(Debug)]
pub(super) struct OutField {
    /// Of the other system.
    pub name: String,
    pub required: bool,
    pub kind: OutKind,
}

#[derive(Debug)]
pub(super) enum OutKind {
    Scalar(ScalarRule),
    Rows(OutRows),
}

#[derive(Debug)]
pub(super) struct OutRows {
    pub each: Path,
    pub shape: Shape,
    pub fields: Vec<OutField>,
    /// Rows in which one of these groups holds are left out.
    pub skip: Vec<Vec<Condition>>,
    /// The list stands under this key of an object of its own.
    pub wrap: Option<String>,
}

impl Outbound {
    /// `system/subject`, as the file is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn told(&self) -> Told {
        self.told
    }

    /// SHA-256 (hex) of the file and of the code tables that it uses.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The document that a record becomes, or everything that keeps it from becoming one.
    pub fn make(&self, record: &Json, overlay: &Overlay) -> Result<Json, Vec<Fault>> {
        let text = record.to_string();
        let mut unmapped = UnmappedCount::default();
        let mut page = Page { format: Format::Json, overlay, unmapped: &mut unmapped };
        let mut faults = Vec::new();
        let made = object(&self.fields, &self.shape, &text, 0, &mut page, "", &mut faults);
        if faults.is_empty() { Ok(Json::Object(made)) } else { Err(faults) }
    }
}

fn object(
    fields: &[OutField],
    shape: &Shape,
    text: &str,
    ordinal: u32,
    page: &mut Page<'_>,
    above: &str,
    faults: &mut Vec<Fault>,
) -> Map<String, Json> {
    let mut slots = vec![None; shape.len()];
    read_row(text, shape, &mut slots);
    let row = Row { ordinal, slots: &slots, whole: Some(text) };
    object_of(fields, row, page, above, faults)
}

fn object_of(
    fields: &[OutField],
    row: Row<'_, '_>,
    page: &mut Page<'_>,
    above: &str,
    faults: &mut Vec<Fault>,
) -> Map<String, Json> {
    let mut made = Map::new();
    for field in fields {
        let place = format!("{above}{}", field.name);
        let value = match &field.kind {
            OutKind::Scalar(rule) => match scalar(rule, row, page) {
                Ok(value) => value,
                Err(failure) => {
                    faults.push(Fault::new(place, failure));
                    continue;
                }
            },
            OutKind::Rows(rows) => rows.made(row, page, &place, faults),
        };
        match value {
            Some(value) => {
                made.insert(field.name.clone(), value);
            }
            None if field.required => {
                let source = match &field.kind {
                    OutKind::Scalar(rule) => rule.described(),
                    OutKind::Rows(rows) => rows.each.text.to_string(),
                };
                let refusal = Refusal::new(Reason::MissingField, "the field is required, and there is nothing for it");
                let failure = Failure { below: String::new(), source, value: None, refusal };
                faults.push(Fault::new(place, failure));
            }
            None => {}
        }
    }
    made
}

fn scalar(rule: &ScalarRule, row: Row<'_, '_>, page: &mut Page<'_>) -> Result<Option<Json>, Failure> {
    let value = match (rule.value(row, page)?, &rule.default) {
        (Value::Absent | Value::Null, Some(default)) => default.clone(),
        (value, _) => value,
    };
    Ok(match value {
        Value::Absent | Value::Null | Value::List(_) => None,
        // An empty text is nothing, also when the file itself says so for a case.
        Value::Text(text) if text.is_empty() => None,
        Value::Text(text) => Some(Json::String(text.into_owned())),
        Value::Int(number) => Some(number.into()),
        Value::Decimal(number) => Some(figure(number)),
        Value::Bool(flag) => Some(flag.into()),
        Value::Date(date) => Some(Json::String(date.to_string())),
        Value::Json(text) => serde_json::from_str(&text).ok(),
    })
}

/// Every digit of it and no more.
fn figure(number: Decimal) -> Json {
    let text = number.normalize().to_string();
    Number::from_str(&text).map_or(Json::String(text), Json::Number)
}

impl OutRows {
    fn made(&self, row: Row<'_, '_>, page: &mut Page<'_>, place: &str, faults: &mut Vec<Fault>) -> Option<Json> {
        let mut rows = Vec::new();
        for (at, item) in items_of(self.each.raw(row)?).into_iter().enumerate() {
            let mut slots = vec![None; self.shape.len()];
            read_row(item.get(), &self.shape, &mut slots);
            let row = Row { ordinal: at as u32, slots: &slots, whole: Some(item.get()) };
            if self.skip.iter().any(|conditions| all_hold(conditions, row)) {
                continue;
            }
            rows.push(Json::Object(object_of(&self.fields, row, page, &format!("{place}[{at}]."), faults)));
        }
        if rows.is_empty() {
            return None;
        }
        let rows = Json::Array(rows);
        Some(match &self.wrap {
            Some(key) => Json::Object(Map::from_iter([(key.clone(), rows)])),
            None => rows,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::mapping::{Library, Overlay};

    const SLIPS: &str = r#"
document = "order"
[defaults]
transforms = ["trim", "null_if_empty"]
[fields.NO]
value = "~"
[fields.DATE]
join = ["day", "=T00:00:00"]
[fields.TIME]
type = "integer"
cel = "r.hour * 16777216 + r.minute * 65536"
[fields.CARI]
from = "customer.code"
required = true
[fields.CUR]
type = "integer"
from = "currency"
table = "numbers"
unmapped = "fail"
[fields.ROWS]
each = "lines"
wrap = "items"
required = true
skip = [{ when = { field = "kind", is = "gift" } }]
[fields.ROWS.fields.TYPE]
type = "integer"
cases = [{ when = { field = "kind", is = "discount" }, value = 2 }]
default = 0
[fields.ROWS.fields.PRICE]
type = "number"
from = "price"
[fields.ROWS.fields.CODE]
from = "code"
[tables.numbers]
TRY = ""
USD = 1
"#;

    fn slips() -> std::sync::Arc<super::Outbound> {
        let library = Library::from_texts(&[("x/slips.toml", SLIPS)]).unwrap_or_else(|problems| panic!("{problems:?}"));
        library.outbound("x/slips").expect("it is there")
    }

    #[test]
    fn a_record_becomes_a_document_and_what_is_nothing_is_left_out() {
        let order = json!({
            "day": "2026-03-02", "hour": 14, "minute": 30, "customer": {"code": "120.34"}, "currency": "TRY",
            "lines": [{"kind": "product", "code": "A ", "price": "1845.500000"}, {"kind": "gift"},
                      {"kind": "discount", "code": ""}],
        });
        let made = slips().make(&order, &Overlay::new()).expect("made");
        assert_eq!(
            made,
            json!({
                "NO": "~", "DATE": "2026-03-02T00:00:00", "TIME": 236847104, "CARI": "120.34",
                "ROWS": {"items": [{"TYPE": 0, "PRICE": 1845.5, "CODE": "A"}, {"TYPE": 2}]},
            })
        );
    }

    #[test]
    fn everything_that_is_wrong_is_told_with_its_place() {
        let order = json!({
            "day": "2026-03-02", "hour": 1, "minute": 1, "currency": "JPY", "lines": [{"price": "teklif"}]
        });
        let faults = slips().make(&order, &Overlay::new()).expect_err("refused");
        let told: Vec<_> = faults.iter().map(|fault| (fault.field.as_str(), fault.reason.as_str())).collect();
        assert_eq!(told, [("CARI", "missing_field"), ("CUR", "unmapped_code"), ("ROWS[0].PRICE", "not_a_number")]);
    }

    #[test]
    fn mistakes_of_the_file_are_told() {
        let text = "document = \"order\"\n[fields.A]\nfrom = \"x\"\ntype = \"txt\"\n[fields.B]\neach = \"y\"\n";
        let problems = Library::from_texts(&[("x/slips.toml", text)]).expect_err("problems");
        let told: Vec<String> = problems.iter().map(|problem| problem.what.clone()).collect();
        assert_eq!(told, ["`txt` is no value of `type`", "[fields.B] has no `fields`"]);
    }
}
