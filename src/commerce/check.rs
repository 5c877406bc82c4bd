//! Checks of single values, by the rules that the tables enforce as well.

use rust_decimal::Decimal;
use serde_json::value::RawValue;

use super::{Patch, outcome::Violation};
use crate::money::Shape;

/// How much of an offending value a violation quotes.
const QUOTED_CHARS: usize = 120;

pub(crate) fn violation(field: &'static str, rule: &'static str, value: impl ToString, why: &str) -> Violation {
    let value: String = value.to_string().chars().take(QUOTED_CHARS).collect();
    Violation { field, rule, detail: format!("{field} {why}"), value: Some(value) }
}

pub(crate) fn required(field: &'static str) -> Violation {
    Violation { field, rule: "required", value: None, detail: format!("{field} is required") }
}

pub(crate) fn text<'a>(field: &'static str, value: &'a str, max_chars: usize) -> Result<&'a str, Violation> {
    if value.len() > max_chars && value.chars().count() > max_chars {
        return Err(violation(field, "too_long", value, &format!("is longer than {max_chars} characters")));
    }
    if value.contains('\0') {
        let shown = value.replace('\0', "\u{2400}");
        return Err(violation(field, "control_character", shown, "holds a NUL character"));
    }
    Ok(value)
}

/// A text whose emptiness says nothing: empty clears.
pub(crate) fn optional_text<'a>(
    field: &'static str,
    patch: Patch<&'a str>,
    max_chars: usize,
) -> Result<Patch<&'a str>, Violation> {
    match patch {
        Patch::Set("") => Ok(Patch::Clear),
        other => other.try_map(|value| text(field, value, max_chars)),
    }
}

/// A text that every record has: a new record must bring it, an existing one cannot lose it.
pub(crate) fn required_text<'a>(
    field: &'static str,
    patch: Patch<&'a str>,
    max_chars: usize,
    is_new: bool,
) -> Result<Patch<&'a str>, Violation> {
    match patch {
        Patch::Keep if !is_new => Ok(Patch::Keep),
        Patch::Set(value) if !value.is_empty() => text(field, value, max_chars).map(Patch::Set),
        Patch::Keep | Patch::Clear | Patch::Set(_) => Err(required(field)),
    }
}

pub(crate) fn code(value: &str, max_chars: usize) -> Result<&str, Violation> {
    if value.is_empty() {
        return Err(required("code"));
    }
    text("code", value, max_chars)
}

/// Rounded to what the store holds; may be negative.
pub(crate) fn signed(field: &'static str, value: Decimal, shape: Shape) -> Result<Decimal, Violation> {
    shape.fit(value).ok_or_else(|| violation(field, "out_of_range", value, &format!("has more than {shape}")))
}

/// Refuses what would have to be rounded: a person means every digit.
pub(crate) fn exact(field: &'static str, value: Decimal, shape: Shape) -> Result<Decimal, Violation> {
    let fitted = signed(field, value, shape)?;
    if fitted == value {
        return Ok(fitted);
    }
    Err(violation(field, "too_many_decimals", value, &format!("has more than {shape}")))
}

pub(crate) fn not_negative(field: &'static str, value: Decimal, shape: Shape) -> Result<Decimal, Violation> {
    if value.is_sign_negative() && !value.is_zero() {
        return Err(violation(field, "negative", value, "is below 0"));
    }
    signed(field, value, shape)
}

pub(crate) fn positive(field: &'static str, value: Decimal, shape: Shape) -> Result<Decimal, Violation> {
    let value = not_negative(field, value, shape)?;
    if value.is_zero() {
        return Err(violation(field, "not_positive", value, "must be above 0"));
    }
    Ok(value)
}

pub(crate) fn percent(field: &'static str, value: Decimal) -> Result<Decimal, Violation> {
    let value = not_negative(field, value, crate::money::PERCENT)?;
    if value > Decimal::ONE_HUNDRED {
        return Err(violation(field, "out_of_range", value, "is above 100"));
    }
    Ok(value)
}

pub(crate) fn whole(field: &'static str, value: i64, max: i32) -> Result<i32, Violation> {
    i32::try_from(value)
        .ok()
        .filter(|number| (0..=max).contains(number))
        .ok_or_else(|| violation(field, "out_of_range", value, &format!("is not between 0 and {max}")))
}

/// The text of a JSON object that `jsonb` can hold.
pub(crate) fn json_object<'a>(field: &'static str, value: &'a str) -> Result<&'a str, Violation> {
    let wrong = |why: &str| Err(violation(field, "format", value, why));
    if !value.trim_start().starts_with('{') || serde_json::from_str::<&RawValue>(value).is_err() {
        return wrong("is not a JSON object");
    }
    if value.contains("\\u0000") {
        return wrong("holds a NUL character");
    }
    Ok(value)
}

pub(crate) fn currency<'a>(field: &'static str, value: &'a str) -> Result<&'a str, Violation> {
    if crate::money::is_currency(value) {
        Ok(value)
    } else {
        Err(violation(field, "format", value, "is not a currency code of three capital letters"))
    }
}

pub(crate) fn one_of<'a>(field: &'static str, value: &'a str, known: &[&str]) -> Result<&'a str, Violation> {
    if known.contains(&value) {
        Ok(value)
    } else {
        Err(violation(field, "unknown_value", value, &format!("is none of {}", known.join(", "))))
    }
}
