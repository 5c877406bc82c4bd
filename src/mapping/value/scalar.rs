//! One field as the source wrote it, whatever the format.

use std::borrow::Cow;

use rust_decimal::Decimal;

use super::number::{NumberFormat, parse_number};
use super::refusal::{Reason, Refusal};

#[derive(Debug, Clone, PartialEq)]
pub(in crate::mapping) enum Scalar<'a> {
    /// The source does not carry the field.
    Missing,
    Null,
    Text(Cow<'a, str>),
    /// The text of a JSON number, digit for digit.
    Number(Cow<'a, str>),
    Bool(bool),
    /// An object or a list, as JSON.
    Nested(&'a str),
}

impl<'a> Scalar<'a> {
    /// Reads a valid JSON value. Strings without escapes are borrowed.
    pub(in crate::mapping) fn from_json(raw: &'a str) -> Result<Self, Refusal> {
        Ok(match raw.as_bytes().first() {
            None => Scalar::Missing,
            Some(b'"') => {
                let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
                if inner.as_bytes().contains(&b'\\') {
                    let text: String = serde_json::from_str(raw)
                        .map_err(|_| Refusal::new(Reason::BadCharacter, "the text holds a broken escape sequence"))?;
                    Scalar::Text(Cow::Owned(text))
                } else {
                    Scalar::Text(Cow::Borrowed(inner))
                }
            }
            Some(b'n') => Scalar::Null,
            Some(b't') => Scalar::Bool(true),
            Some(b'f') => Scalar::Bool(false),
            Some(b'{' | b'[') => Scalar::Nested(raw),
            Some(_) => Scalar::Number(Cow::Borrowed(raw)),
        })
    }

    pub(in crate::mapping) const fn is_empty(&self) -> bool {
        matches!(self, Scalar::Missing | Scalar::Null)
    }

    /// The text of a text or a number.
    pub(in crate::mapping) fn text(&self) -> Option<&str> {
        match self {
            Scalar::Text(text) | Scalar::Number(text) => Some(text),
            _ => None,
        }
    }

    /// For messages: what the source gave.
    pub(in crate::mapping) fn shown(&self) -> Option<&str> {
        match self {
            Scalar::Missing => None,
            Scalar::Null => Some("null"),
            Scalar::Bool(true) => Some("true"),
            Scalar::Bool(false) => Some("false"),
            Scalar::Text(text) | Scalar::Number(text) => Some(text),
            Scalar::Nested(raw) => Some(raw),
        }
    }
}

/// A value written in a mapping file to compare with. Numbers compare by value (`20` equals `20.0`), texts exactly
/// but for blanks on the right.
#[derive(Debug, Clone)]
pub(in crate::mapping) struct Literal {
    text: Box<str>,
    number: Option<Decimal>,
    /// Written as a number: compares with the value of a text as well.
    numeric: bool,
}

impl Literal {
    pub(in crate::mapping) fn new(text: &str, numeric: bool) -> Self {
        Literal { text: text.into(), number: parse_number(text, NumberFormat::Dot).ok(), numeric }
    }

    pub(in crate::mapping) fn matches(&self, scalar: &Scalar<'_>) -> bool {
        match scalar {
            Scalar::Text(text) => {
                let text = text.trim_end();
                text == &*self.text || (self.numeric && self.equals_number(text))
            }
            Scalar::Number(text) => **text == *self.text || self.equals_number(text),
            Scalar::Bool(flag) => &*self.text == if *flag { "true" } else { "false" },
            Scalar::Missing | Scalar::Null | Scalar::Nested(_) => false,
        }
    }

    fn equals_number(&self, text: &str) -> bool {
        self.number.is_some_and(|number| parse_number(text, NumberFormat::Dot) == Ok(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_borrowed_unless_escaped() {
        assert!(matches!(Scalar::from_json(r#""ÇNR-6U305""#), Ok(Scalar::Text(Cow::Borrowed("ÇNR-6U305")))));
        let escaped = Scalar::from_json(r#""a\u00fcb\n""#).unwrap();
        assert_eq!(escaped, Scalar::Text("aüb\n".into()));
        assert_eq!(Scalar::from_json(r#""\ud800""#).unwrap_err().reason, Reason::BadCharacter);
    }

    #[test]
    fn literals_compare_numbers_by_value_and_texts_exactly() {
        let twenty = Literal::new("20", true);
        assert!(twenty.matches(&Scalar::Number("20.0".into())));
        assert!(twenty.matches(&Scalar::Text("20".into())));
        assert!(twenty.matches(&Scalar::Text("20.00 ".into())));
        let text = Literal::new("01", false);
        assert!(!text.matches(&Scalar::Text("1".into())));
        assert!(text.matches(&Scalar::Text("01  ".into())));
        assert!(!text.matches(&Scalar::Null));
    }
}
