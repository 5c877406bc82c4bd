//! The last step: a scalar becomes a value of the canonical type, within its bounds.

use std::borrow::Cow;

use rust_decimal::{Decimal, RoundingStrategy};

use super::date::{DateFormat, parse_date};
use super::number::{NumberFault, NumberFormat, parse_number};
use super::refusal::{Reason, Refusal};
use super::scalar::Scalar;
use super::transform::cut;
use crate::canonical::{Entity, FieldType, Value};

/// The longest external code. Those of prices and stock levels are put together of others.
const fn code_length(entity: Entity) -> usize {
    match entity {
        Entity::Price | Entity::Stock | Entity::Invoice | Entity::Ledger => 200,
        _ => 100,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::mapping) enum TooLong {
    #[default]
    Fail,
    Cut,
}

/// How the texts of one field are to be read.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::mapping) struct Formats {
    pub number: NumberFormat,
    pub date: DateFormat,
    pub too_long: TooLong,
}

/// Missing becomes absent; what absent means is decided by the field.
pub(in crate::mapping) fn convert<'a>(
    scalar: Scalar<'a>,
    kind: FieldType,
    formats: Formats,
) -> Result<Value<'a>, Refusal> {
    let scalar = match scalar {
        Scalar::Missing => return Ok(Value::Absent),
        Scalar::Null => return Ok(Value::Null),
        other => other,
    };
    match kind {
        FieldType::Text(longest) => text(scalar, longest, formats.too_long),
        FieldType::Ref(entity) => reference(scalar, code_length(entity)),
        FieldType::Int => integer(scalar, formats.number),
        FieldType::Decimal { scale, negative } => decimal(scalar, scale, negative, formats.number),
        FieldType::Bool => match flag(&scalar) {
            Some(flag) => Ok(Value::Bool(flag)),
            None => Err(Refusal::new(Reason::NotAFlag, "a flag must be 0 or 1, true or false")),
        },
        FieldType::Date => date(scalar, formats.date),
        FieldType::Json => json(&scalar),
        FieldType::List(_) => Err(Refusal::new(Reason::WrongType, "a list was expected")),
    }
}

/// 0 and 1 as number or text, true and false.
pub(super) fn flag(scalar: &Scalar<'_>) -> Option<bool> {
    match scalar {
        Scalar::Bool(flag) => Some(*flag),
        Scalar::Text(text) | Scalar::Number(text) => match text.trim() {
            "1" | "1.0" | "true" => Some(true),
            "0" | "0.0" | "false" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn into_text(scalar: Scalar<'_>) -> Result<Cow<'_, str>, Refusal> {
    match scalar {
        Scalar::Text(text) | Scalar::Number(text) => {
            if text.as_bytes().contains(&0) {
                return Err(Refusal::new(
                    Reason::BadCharacter,
                    "the text holds a NUL character, which cannot be stored",
                ));
            }
            Ok(text)
        }
        _ => Err(Refusal::new(Reason::WrongType, "a text was expected")),
    }
}

fn text(scalar: Scalar<'_>, longest: usize, too_long: TooLong) -> Result<Value<'_>, Refusal> {
    let text = into_text(scalar)?;
    // A text has at most as many characters as bytes.
    if text.len() <= longest {
        return Ok(Value::Text(text));
    }
    let length = text.chars().count();
    if length <= longest {
        return Ok(Value::Text(text));
    }
    match too_long {
        TooLong::Cut => Ok(Value::Text(cut(text, longest))),
        TooLong::Fail => {
            Err(Refusal::new(Reason::TooLong, format!("{length} characters, and at most {longest} are allowed")))
        }
    }
}

/// An external code: blanks on the right are no part of it, nothing else is touched.
fn reference(scalar: Scalar<'_>, longest: usize) -> Result<Value<'_>, Refusal> {
    let code = match into_text(scalar)? {
        Cow::Borrowed(code) => Cow::Borrowed(code.trim_end_matches(' ')),
        Cow::Owned(code) => Cow::Owned(code.trim_end_matches(' ').to_owned()),
    };
    if code.is_empty() {
        return Ok(Value::Null);
    }
    text(Scalar::Text(code), longest, TooLong::Fail)
}

fn number(scalar: &Scalar<'_>, format: NumberFormat) -> Result<Decimal, Refusal> {
    let parsed = match scalar {
        // A JSON number has one notation, whatever the texts of the source look like.
        Scalar::Number(text) => parse_number(text, NumberFormat::Dot),
        Scalar::Text(text) => parse_number(text, format),
        _ => return Err(Refusal::new(Reason::WrongType, "a number was expected")),
    };
    parsed.map_err(|fault| match fault {
        NumberFault::NotANumber => Refusal::new(Reason::NotANumber, not_a_number(scalar, format)),
        NumberFault::TooLarge => Refusal::new(Reason::TooLarge, "the number has too many digits"),
    })
}

/// A figure in another notation is told which one is meant here.
fn not_a_number(scalar: &Scalar<'_>, format: NumberFormat) -> &'static str {
    let figure = |text: &str| {
        let mut bytes = text.trim().bytes();
        bytes.clone().any(|b| b.is_ascii_digit()) && bytes.all(|b| b.is_ascii_digit() || b"+-.,".contains(&b))
    };
    match (scalar, format) {
        (Scalar::Text(text), NumberFormat::Dot) if figure(text) => {
            "this is not a number as it is to be written here: digits and one decimal point, 1234.56"
        }
        (Scalar::Text(text), NumberFormat::Comma) if figure(text) => {
            "this is not a number as it is to be written here: 1.234,56, with a decimal comma"
        }
        _ => "this is not a number",
    }
}

fn integer(scalar: Scalar<'_>, format: NumberFormat) -> Result<Value<'_>, Refusal> {
    let number = number(&scalar, format)?;
    if !number.fract().is_zero() {
        return Err(Refusal::new(Reason::NotAnInteger, "a whole number was expected"));
    }
    match i32::try_from(number) {
        Ok(number) => Ok(Value::Int(i64::from(number))),
        Err(_) => Err(Refusal::new(Reason::TooLarge, "the number is beyond ±2147483647")),
    }
}

/// Rounded half away from zero to the scale of the field: what a database of doubles adds behind it is noise.
fn decimal(scalar: Scalar<'_>, scale: u32, negative: bool, format: NumberFormat) -> Result<Value<'_>, Refusal> {
    let mut number = number(&scalar, format)?;
    if number.scale() > scale {
        number = number.round_dp_with_strategy(scale, RoundingStrategy::MidpointAwayFromZero).normalize();
    }
    if number.is_zero() {
        return Ok(Value::Decimal(Decimal::ZERO));
    }
    if number.is_sign_negative() && !negative {
        return Err(Refusal::new(Reason::Negative, "the number must not be negative"));
    }
    // The store's columns: numeric(18,4), numeric(19,6).
    let whole_digits = if scale > 4 { 13 } else { 14 };
    if number.abs() >= Decimal::from(10_i64.pow(whole_digits)) {
        return Err(Refusal::new(Reason::TooLarge, format!("more than {whole_digits} digits before the decimal mark")));
    }
    Ok(Value::Decimal(number))
}

fn date(scalar: Scalar<'_>, format: DateFormat) -> Result<Value<'_>, Refusal> {
    let parsed = match &scalar {
        Scalar::Text(text) => parse_date(text, format),
        Scalar::Number(text) => parse_date(text, DateFormat::Packed),
        _ => return Err(Refusal::new(Reason::WrongType, "a date was expected")),
    };
    match parsed {
        Ok(Some(date)) => Ok(Value::Date(date)),
        Ok(None) => Ok(Value::Null),
        Err(_) => Err(Refusal::new(Reason::NotADate, "this is not a date in the format of the mapping")),
    }
}

fn json<'a>(scalar: &Scalar<'a>) -> Result<Value<'a>, Refusal> {
    let wrong = || Refusal::new(Reason::WrongType, "a JSON object was expected");
    let raw = match scalar {
        Scalar::Nested(raw) => raw,
        Scalar::Text(text) => text.as_ref(),
        _ => return Err(wrong()),
    };
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(raw).map_err(|_| wrong())?;
    let object = serde_json::Value::Object(object);
    if holds_nul(&object) {
        return Err(Refusal::new(Reason::BadCharacter, "the object holds a NUL character, which cannot be stored"));
    }
    // serde_json's map is sorted, so writing it again sorts the keys at every depth.
    Ok(Value::Json(Cow::Owned(object.to_string())))
}

/// The parser has bounded the depth.
fn holds_nul(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::String(text) => text.contains('\0'),
        serde_json::Value::Array(items) => items.iter().any(holds_nul),
        serde_json::Value::Object(fields) => fields.iter().any(|(key, value)| key.contains('\0') || holds_nul(value)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MONEY: FieldType = FieldType::Decimal { scale: 4, negative: false };

    fn take(scalar: Scalar<'_>, kind: FieldType) -> Result<Value<'_>, Reason> {
        convert(scalar, kind, Formats::default()).map_err(|refusal| refusal.reason)
    }

    fn text(text: &str) -> Scalar<'_> {
        Scalar::Text(text.into())
    }

    fn number(text: &str) -> Scalar<'_> {
        Scalar::Number(text.into())
    }

    #[test]
    fn texts_are_measured_in_characters() {
        assert_eq!(take(text("şışş"), FieldType::Text(4)), Ok(Value::Text("şışş".into())));
        assert_eq!(take(text("şışşi"), FieldType::Text(4)), Err(Reason::TooLong));
        assert_eq!(take(number("12"), FieldType::Text(4)), Ok(Value::Text("12".into())));
        assert_eq!(take(Scalar::Nested("{}"), FieldType::Text(4)), Err(Reason::WrongType));
        assert_eq!(take(text("a\0"), FieldType::Text(4)), Err(Reason::BadCharacter));
        let cut = Formats { too_long: TooLong::Cut, ..Formats::default() };
        assert_eq!(convert(text("şışşi"), FieldType::Text(4), cut).unwrap(), Value::Text("şışş".into()));
    }

    #[test]
    fn codes_lose_blanks_on_the_right_only() {
        let product = FieldType::Ref(Entity::Product);
        assert_eq!(take(text(" ıİ  "), product), Ok(Value::Text(" ıİ".into())));
        assert_eq!(take(text("   "), product), Ok(Value::Null));
        assert_eq!(take(text(&"x".repeat(101)), product), Err(Reason::TooLong));
    }

    #[test]
    fn numbers_keep_their_digits_and_their_bounds() {
        assert_eq!(
            take(number("12345678901234.5678"), MONEY),
            Ok(Value::Decimal("12345678901234.5678".parse().unwrap()))
        );
        assert_eq!(take(number("98.40000000000006"), MONEY), Ok(Value::Decimal("98.4".parse().unwrap())));
        assert_eq!(take(number("0.00005"), MONEY), Ok(Value::Decimal("0.0001".parse().unwrap())));
        assert_eq!(take(number("100000000000000"), MONEY), Err(Reason::TooLarge));
        assert_eq!(take(number("1e60"), MONEY), Err(Reason::TooLarge));
        assert_eq!(take(number("-1"), MONEY), Err(Reason::Negative));
        assert_eq!(take(number("-0.00001"), MONEY), Ok(Value::Decimal(Decimal::ZERO)));
        assert_eq!(take(text("abc"), MONEY), Err(Reason::NotANumber));
        assert_eq!(take(Scalar::Bool(true), MONEY), Err(Reason::WrongType));
        assert_eq!(take(number("12.0"), FieldType::Int), Ok(Value::Int(12)));
        assert_eq!(take(number("12.5"), FieldType::Int), Err(Reason::NotAnInteger));
        assert_eq!(take(number("3000000000"), FieldType::Int), Err(Reason::TooLarge));
    }

    #[test]
    fn objects_are_written_with_sorted_keys() {
        let Ok(Value::Json(text)) = take(Scalar::Nested(r#"{ "b": {"z":1,"a":1.50}, "a": null }"#), FieldType::Json)
        else {
            panic!("not an object")
        };
        assert_eq!(text, r#"{"a":null,"b":{"a":1.50,"z":1}}"#);
        assert_eq!(take(Scalar::Nested("[1]"), FieldType::Json), Err(Reason::WrongType));
        assert_eq!(take(Scalar::Nested(r#"{"a":"\u0000"}"#), FieldType::Json), Err(Reason::BadCharacter));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(given in "\\PC*") {
            for kind in [MONEY, FieldType::Text(3), FieldType::Int, FieldType::Bool, FieldType::Date, FieldType::Json] {
                let _ = take(text(&given), kind);
            }
        }
    }
}
