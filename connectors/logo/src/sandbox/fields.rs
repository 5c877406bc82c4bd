//! The fields of the data objects that can be written: their types and lengths, and how a body is read by them.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde_json::{Map, Number, Value};

use super::{answer::Refusal, json::NO_DATE, stamp};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// At most this many characters.
    Text(usize),
    Int,
    /// A JSON double.
    Double,
    Date,
    /// `{"items": […]}`
    Children,
}

pub type Fields = &'static [(&'static str, Kind)];

use Kind::{Children, Date, Double, Int, Text};

pub const ITEM: Fields = &[
    ("RECORD_STATUS", Int),
    ("CARD_TYPE", Int),
    ("CODE", Text(24)),
    ("NAME", Text(50)),
    ("NAME2", Text(50)),
    ("NAME3", Text(50)),
    ("NAME4", Text(50)),
    ("GROUP_CODE", Text(24)),
    ("PRODUCER_CODE", Text(50)),
    ("AUXIL_CODE", Text(10)),
    ("AUXIL_CODE2", Text(10)),
    ("AUXIL_CODE3", Text(10)),
    ("AUXIL_CODE4", Text(10)),
    ("AUXIL_CODE5", Text(10)),
    ("AUTH_CODE", Text(10)),
    ("CLASS_TYPE", Int),
    ("USEF_PURCHASING", Int),
    ("USEF_SALES", Int),
    ("USEF_MM", Int),
    ("VAT", Double),
    ("SELVAT", Double),
    ("RETURNVAT", Double),
    ("TRACK_TYPE", Int),
    ("UNITSET_CODE", Text(10)),
    ("MARKCODE", Text(16)),
    ("GTIPCODE", Text(16)),
    ("EAN_BARCODE", Text(50)),
    ("MIN_ORD_AMNT", Double),
    ("SHELF_LIFE", Double),
    ("KEYWORD1", Text(50)),
    ("KEYWORD2", Text(50)),
    ("UNITS", Children),
    ("WH_PARAMS", Children),
    ("SUPPLIERS", Children),
    ("ALTERNATIVES", Children),
];

pub const ARP: Fields = &[
    ("RECORD_STATUS", Int),
    ("ACCOUNT_TYPE", Int),
    ("CODE", Text(16)),
    ("TITLE", Text(200)),
    ("AUXIL_CODE", Text(10)),
    ("AUXIL_CODE2", Text(10)),
    ("AUXIL_CODE3", Text(10)),
    ("AUTH_CODE", Text(10)),
    ("ADDRESS1", Text(200)),
    ("ADDRESS2", Text(200)),
    ("DISTRICT", Text(50)),
    ("TOWN", Text(50)),
    ("CITY", Text(50)),
    ("CITY_CODE", Text(12)),
    ("COUNTRY", Text(50)),
    ("COUNTRY_CODE", Text(12)),
    ("POSTAL_CODE", Text(10)),
    ("TELEPHONE1", Text(15)),
    ("TELEPHONE1_CODE", Text(5)),
    ("TELEPHONE2", Text(15)),
    ("CELL_PHONE", Text(20)),
    ("FAX", Text(15)),
    ("TAX_ID", Text(15)),
    ("TAX_OFFICE", Text(30)),
    ("TAX_OFFICE_CODE", Text(12)),
    ("CONTACT", Text(50)),
    ("DISCOUNT_RATE", Double),
    ("PAYMENT_CODE", Text(16)),
    ("E_MAIL", Text(250)),
    ("WEB_URL", Text(100)),
    ("BLOCKED", Int),
    ("TRADING_GRP", Text(16)),
    ("GL_CODE", Text(24)),
    ("PERSCOMPANY", Int),
    ("TCKNO", Text(15)),
    ("NAME", Text(50)),
    ("SURNAME", Text(50)),
    ("PROFILE_ID", Int),
    ("NOTES", Children),
];

pub const ORDER: Fields = &[
    ("TYPE", Int),
    ("NUMBER", Text(16)),
    ("DOC_TRACK_NR", Text(20)),
    ("DATE", Date),
    ("TIME", Int),
    ("DOC_NUMBER", Text(32)),
    ("AUXIL_CODE", Text(10)),
    ("AUTH_CODE", Text(10)),
    ("ARP_CODE", Text(16)),
    ("ARP_CODE_SHPM", Text(16)),
    ("SHIPLOC_CODE", Text(24)),
    ("GL_CODE", Text(24)),
    ("SOURCE_WH", Int),
    ("SOURCE_COST_GRP", Int),
    ("NOTES1", Text(50)),
    ("NOTES2", Text(50)),
    ("NOTES3", Text(50)),
    ("NOTES4", Text(50)),
    ("NOTES5", Text(50)),
    ("NOTES6", Text(50)),
    ("PAYMENT_CODE", Text(16)),
    ("DIVISION", Int),
    ("DEPARTMENT", Int),
    ("FACTORY", Int),
    ("ORDER_STATUS", Int),
    ("SALESMAN_CODE", Text(24)),
    ("SHIPMENT_TYPE", Text(12)),
    ("SHIPPING_AGENT", Text(12)),
    ("CURRSEL_TOTAL", Int),
    ("CURRSEL_DETAILS", Int),
    ("TRADING_GRP", Text(16)),
    ("CUST_ORD_NO", Text(24)),
    ("CURR_TRANSACTIN", Int),
    ("TC_RATE", Double),
    ("WITH_PAYMENT", Int),
    ("PROJECT_CODE", Text(100)),
    ("AFFECT_RISK", Int),
    ("CANCELLED", Int),
    ("EINVOICE", Int),
    ("TRANSACTIONS", Children),
    ("PAYMENT_LIST", Children),
];

pub const ORDER_LINE: Fields = &[
    ("TYPE", Int),
    ("MASTER_CODE", Text(24)),
    ("DETAIL_LEVEL", Int),
    ("CALC_TYPE", Int),
    ("AUXIL_CODE", Text(10)),
    ("DELVRY_CODE", Text(10)),
    ("QUANTITY", Double),
    ("PRICE", Double),
    ("TOTAL", Double),
    ("DISCOUNT_RATE", Double),
    ("VAT_RATE", Double),
    ("VAT_INCLUDED", Int),
    ("TRANS_DESCRIPTION", Text(250)),
    ("UNIT_CODE", Text(10)),
    ("UNIT_CONV1", Double),
    ("UNIT_CONV2", Double),
    ("ORDER_CLOSED", Int),
    ("ORDER_RESERVE", Int),
    ("RESERVE_DATE", Date),
    ("RESERVE_AMOUNT", Double),
    ("DUE_DATE", Date),
    ("CURR_PRICE", Int),
    ("PC_PRICE", Double),
    ("PR_RATE", Double),
    ("PAYMENT_CODE", Text(16)),
    ("SOURCE_WH", Int),
    ("SALESMAN_CODE", Text(24)),
    ("EDT_PRICE", Double),
    ("EDT_CURR", Int),
    ("VARIANTCODE", Text(24)),
    ("PRCLISTCODE", Text(24)),
];

/// Reads a body by its fields: what is empty, null or unknown is left out, what is given as text but meant as a number
/// is taken as one, and dates become ISO. Too long or wrong-typed values are noted in `refusal`.
pub fn read(body: &Map<String, Value>, fields: Fields, refusal: &mut Refusal) -> Map<String, Value> {
    let mut record = Map::new();
    for (name, kind) in fields {
        let Some(given) = body.get(*name).filter(|given| !given.is_null()) else { continue };
        let read = match kind {
            Text(most) => text(given).filter(|text| text.chars().count() <= *most).map(Value::String),
            Int => integer(given).map(Value::from),
            Double => decimal(given).map(double),
            Date => given.as_str().and_then(stamp::read_date).map(|day| Value::String(iso(day))),
            Children => given.is_object().then(|| given.clone()),
        };
        match read {
            Some(Value::String(text)) if text.is_empty() || text == NO_DATE => {}
            Some(value) => {
                record.insert((*name).to_owned(), value);
            }
            None => {
                let sort = match kind {
                    Text(_) => "String",
                    Int => "Int32",
                    Double => "Double",
                    Date => "DateTime",
                    Children => "Object",
                };
                let text = format!("{name} alanının değeri geçersiz veya çok uzun.");
                refusal.fields.push((format!("{}.{sort}", inner_name(name)), text));
            }
        }
    }
    record
}

/// A body's numbers as the service echoes them: doubles with a decimal point.
pub fn echo(body: &mut Map<String, Value>, fields: Fields) {
    for (name, kind) in fields {
        if let (Double, Some(value)) = (kind, body.get_mut(*name))
            && let Some(number) = decimal(value)
        {
            *value = double(number);
        }
    }
}

/// The lines of a child collection.
pub fn lines<'a>(record: &'a Map<String, Value>, name: &str) -> impl Iterator<Item = &'a Map<String, Value>> {
    let items = record.get(name).and_then(|children| children.get("items")).and_then(Value::as_array);
    items.into_iter().flatten().filter_map(Value::as_object)
}

/// The name of the field inside Logo Objects, as model states show it.
fn inner_name(name: &str) -> String {
    match name {
        "DOC_NUMBER" => return "_iDoCode".to_owned(),
        "AUTH_CODE" => return "_iCyphCode".to_owned(),
        _ => {}
    }
    if let Some(note) = name.strip_prefix("NOTES") {
        return format!("_genExp{note}");
    }
    let mut inner = String::from("_");
    let mut raise = false;
    for letter in name.chars() {
        match letter {
            '_' => raise = true,
            _ if raise => {
                inner.push(letter);
                raise = false;
            }
            _ => inner.push(letter.to_ascii_lowercase()),
        }
    }
    inner
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim_end().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

pub fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => {
            number.as_i64().or_else(|| decimal(value).filter(Decimal::is_integer).and_then(|d| i64::try_from(d).ok()))
        }
        Value::String(text) => text.trim().parse().ok(),
        Value::Bool(flag) => Some((*flag).into()),
        _ => None,
    }
}

pub fn decimal(value: &Value) -> Option<Decimal> {
    match value {
        Value::Number(number) => decimal_text(&number.to_string()),
        Value::String(text) => decimal_text(text.trim()),
        _ => None,
    }
}

fn decimal_text(text: &str) -> Option<Decimal> {
    text.parse().ok().or_else(|| Decimal::from_scientific(text).ok())
}

/// In units of 10^-`scale`; `None` when it does not fit.
pub fn scaled(value: &Value, scale: u32) -> Option<i64> {
    scaled_decimal(decimal(value)?, scale)
}

pub fn scaled_decimal(mut number: Decimal, scale: u32) -> Option<i64> {
    number = number.round_dp_with_strategy(scale, rust_decimal::RoundingStrategy::MidpointAwayFromZero);
    number.rescale(scale);
    (number.scale() == scale).then(|| i64::try_from(number.mantissa()).ok()).flatten()
}

/// A number as a double is written.
pub fn double(number: Decimal) -> Value {
    let mut text = number.normalize().to_string();
    if !text.contains('.') {
        text.push_str(".0");
    }
    // A decimal's text is a JSON number.
    text.parse::<Number>().map_or(Value::Null, Value::Number)
}

pub fn iso(seconds: i64) -> String {
    let (year, month, day) = stamp::date_of(seconds);
    format!("{year:04}-{month:02}-{day:02}T00:00:00")
}

/// A date as `YYYY-MM-DD`, strictly.
pub fn iso_day(text: &str) -> Option<i64> {
    NaiveDate::parse_from_str(text.get(..10)?, "%Y-%m-%d").ok()?;
    stamp::read_date(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_body_is_read_by_its_fields() {
        let body = json!({
            "CODE": "A-1  ", "VAT": "20", "TRACK_TYPE": "2", "NAME": "", "GROUP_CODE": null, "NO_SUCH_FIELD": 1,
            "AUTH_CODE": "ELEVEN-CHARS", "NAME2": ["x"], "UNITS": {"items": []}
        });
        let mut refusal = Refusal::default();
        let record = read(body.as_object().unwrap(), ITEM, &mut refusal);
        let expected: Value =
            serde_json::from_str(r#"{"CODE":"A-1","VAT":20.0,"TRACK_TYPE":2,"UNITS":{"items":[]}}"#).unwrap();
        assert_eq!(Value::Object(record), expected);
        let keys: Vec<&str> = refusal.fields.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["_name2.String", "_iCyphCode.String"]);
    }

    #[test]
    fn inner_names_are_those_seen_in_the_field() {
        assert_eq!(inner_name("NOTES4"), "_genExp4");
        assert_eq!(inner_name("DOC_NUMBER"), "_iDoCode");
        assert_eq!(inner_name("CUST_ORD_NO"), "_custOrdNo");
    }

    #[test]
    fn numbers_are_scaled_exactly() {
        assert_eq!(scaled(&json!("1845.5"), 6), Some(1_845_500_000));
        assert_eq!(scaled(&json!(-2), 4), Some(-20_000));
        assert_eq!(scaled(&json!("1e3"), 2), Some(100_000));
        assert_eq!(scaled(&json!("x"), 2), None);
        assert_eq!(double(Decimal::new(1200, 2)).to_string(), "12.0");
    }
}
