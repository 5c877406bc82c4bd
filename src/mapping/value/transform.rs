//! The named steps that a text passes through before it becomes a value.

use std::borrow::Cow;

use super::contact;
use super::number::whole;
use super::refusal::{Reason, Refusal};
use super::scalar::{Literal, Scalar};

#[derive(Debug, Clone)]
pub(in crate::mapping) enum Transform {
    Trim,
    TrimEnd,
    CollapseSpaces,
    NullIfEmpty,
    NullIf(Vec<Literal>),
    Digits,
    /// `12.0` becomes `12`.
    Integer,
    UpperTr,
    LowerTr,
    Invert,
    Negate,
    Phone,
    Email,
    TaxNumber,
    Cut(usize),
    Strip(Box<str>),
    Replace(Box<str>, Box<str>),
    Prefix(Box<str>),
}

impl Transform {
    /// Those that are written as a bare word.
    pub(in crate::mapping) const WORDS: [&'static str; 13] = [
        "trim",
        "trim_end",
        "collapse_spaces",
        "null_if_empty",
        "digits",
        "integer",
        "upper_tr",
        "lower_tr",
        "invert",
        "negate",
        "phone",
        "email",
        "tax_number",
    ];
    /// Those that are written as a table with one key.
    pub(in crate::mapping) const TABLES: [&'static str; 5] = ["null_if", "cut", "strip", "replace", "prefix"];

    pub(in crate::mapping) fn word(name: &str) -> Option<Self> {
        Some(match name {
            "trim" => Transform::Trim,
            "trim_end" => Transform::TrimEnd,
            "collapse_spaces" => Transform::CollapseSpaces,
            "null_if_empty" => Transform::NullIfEmpty,
            "digits" => Transform::Digits,
            "integer" => Transform::Integer,
            "upper_tr" => Transform::UpperTr,
            "lower_tr" => Transform::LowerTr,
            "invert" => Transform::Invert,
            "negate" => Transform::Negate,
            "phone" => Transform::Phone,
            "email" => Transform::Email,
            "tax_number" => Transform::TaxNumber,
            _ => return None,
        })
    }

    /// Changes the letters of what it is given; a code must not pass through it.
    pub(in crate::mapping) const fn folds_case(&self) -> bool {
        matches!(self, Transform::UpperTr | Transform::LowerTr)
    }

    pub(in crate::mapping) fn apply<'a>(&self, scalar: Scalar<'a>) -> Result<Scalar<'a>, Refusal> {
        match self {
            Transform::Invert => return invert(scalar),
            Transform::NullIf(literals) => {
                return Ok(if literals.iter().any(|literal| literal.matches(&scalar)) { Scalar::Null } else { scalar });
            }
            _ => {}
        }
        Ok(match scalar {
            Scalar::Text(text) => match self.on_text(text) {
                Some(text) => Scalar::Text(text),
                None => Scalar::Null,
            },
            Scalar::Number(text) => match self {
                Transform::Integer => Scalar::Number(match whole(&text) {
                    Some(short) => Cow::Owned(short.to_owned()),
                    None => text,
                }),
                Transform::Negate => Scalar::Number(negated(text)),
                Transform::Trim | Transform::TrimEnd | Transform::CollapseSpaces | Transform::NullIfEmpty => {
                    Scalar::Number(text)
                }
                // What shapes text shapes a number as the text that it stands for: a code delivered as a number.
                _ => match self.on_text(text) {
                    Some(text) => Scalar::Text(text),
                    None => Scalar::Null,
                },
            },
            other => other,
        })
    }

    /// `None` is null.
    fn on_text<'a>(&self, text: Cow<'a, str>) -> Option<Cow<'a, str>> {
        Some(match self {
            Transform::Trim => slice(text, str::trim),
            Transform::TrimEnd => slice(text, str::trim_end),
            Transform::CollapseSpaces => collapse(text),
            Transform::NullIfEmpty => {
                if text.trim_end().is_empty() {
                    return None;
                }
                text
            }
            Transform::Digits => keep(text, |c| c.is_ascii_digit()),
            Transform::Integer => match whole(text.trim()) {
                Some(short) => Cow::Owned(short.to_owned()),
                None => text,
            },
            Transform::UpperTr => Cow::Owned(upper_tr(&text)),
            Transform::LowerTr => Cow::Owned(lower_tr(&text)),
            Transform::Negate => negated(text),
            Transform::Phone => return contact::phone(text),
            Transform::Email => return contact::email(text),
            Transform::TaxNumber => {
                let digits = keep(text, |c| c.is_ascii_digit());
                if digits.is_empty() || digits.bytes().all(|b| b == b'0') {
                    return None;
                }
                digits
            }
            Transform::Cut(characters) => cut(text, *characters),
            Transform::Strip(unwanted) => keep(text, |c| !unwanted.contains(c)),
            Transform::Replace(from, to) => {
                if text.contains(&**from) {
                    Cow::Owned(text.replace(&**from, to))
                } else {
                    text
                }
            }
            Transform::Prefix(prefix) => {
                if text.is_empty() {
                    text
                } else {
                    Cow::Owned(format!("{prefix}{text}"))
                }
            }
            Transform::Invert | Transform::NullIf(_) => text,
        })
    }
}

/// A part of the text, without a copy when the text is borrowed.
pub(super) fn slice<'a>(text: Cow<'a, str>, part: impl Fn(&str) -> &str) -> Cow<'a, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(part(text)),
        Cow::Owned(text) => {
            let short = part(&text);
            if short.len() == text.len() { Cow::Owned(text) } else { Cow::Owned(short.to_owned()) }
        }
    }
}

fn keep<'a>(text: Cow<'a, str>, wanted: impl Fn(char) -> bool) -> Cow<'a, str> {
    if text.chars().all(&wanted) { text } else { Cow::Owned(text.chars().filter(|c| wanted(*c)).collect()) }
}

/// At most this many characters.
pub(super) fn cut(text: Cow<'_, str>, characters: usize) -> Cow<'_, str> {
    match text.char_indices().nth(characters) {
        Some((end, _)) => slice(text, |text| text.get(..end).unwrap_or(text).trim_end()),
        None => text,
    }
}

/// Runs of white space (tabs, line ends, no-break spaces) as one blank each.
fn collapse(text: Cow<'_, str>) -> Cow<'_, str> {
    let mut after_space = false;
    let tidy = text.chars().all(|c| {
        let space = c.is_whitespace();
        let fine = !space || (c == ' ' && !after_space);
        after_space = space;
        fine
    });
    if tidy {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut after_space = false;
    for c in text.chars() {
        let space = c.is_whitespace();
        if !space {
            out.push(c);
        } else if !after_space {
            out.push(' ');
        }
        after_space = space;
    }
    Cow::Owned(out)
}

fn upper_tr(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            'i' => out.push('İ'),
            'ı' => out.push('I'),
            _ => out.extend(c.to_uppercase()),
        }
    }
    out
}

fn lower_tr(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            'İ' => out.push('i'),
            'I' => out.push('ı'),
            _ => out.extend(c.to_lowercase()),
        }
    }
    out
}

fn negated(text: Cow<'_, str>) -> Cow<'_, str> {
    match text.strip_prefix('-') {
        Some(rest) => Cow::Owned(rest.to_owned()),
        None => Cow::Owned(format!("-{}", text.trim_start_matches('+'))),
    }
}

/// A flag turned round: LOGO's RECORD_STATUS is 0 for "in use".
fn invert(scalar: Scalar<'_>) -> Result<Scalar<'_>, Refusal> {
    match super::convert::flag(&scalar) {
        Some(flag) => Ok(Scalar::Bool(!flag)),
        None if scalar.is_empty() => Ok(scalar),
        None => Err(Refusal::new(Reason::NotAFlag, "a flag must be 0 or 1, true or false")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn on(transform: &Transform, text: &str) -> Option<String> {
        match transform.apply(Scalar::Text(text.into())).unwrap() {
            Scalar::Text(text) => Some(text.into_owned()),
            _ => None,
        }
    }

    #[test]
    fn texts() {
        for (transform, given, want) in [
            (Transform::Trim, "  a b ", Some("a b")),
            (Transform::TrimEnd, " a  ", Some(" a")),
            (Transform::CollapseSpaces, "a\u{a0}\t b\r\nc", Some("a b c")),
            (Transform::CollapseSpaces, "a b", Some("a b")),
            (Transform::NullIfEmpty, "  ", None),
            (Transform::NullIf(vec![Literal::new("-", false)]), "-", None),
            (Transform::Digits, "990 000.00-11", Some("9900000011")),
            (Transform::Integer, "12.0", Some("12")),
            (Transform::UpperTr, "ığdır iğne", Some("IĞDIR İĞNE")),
            (Transform::LowerTr, "IĞDIR İĞNE", Some("ığdır iğne")),
            (Transform::Negate, "12,5", Some("-12,5")),
            (Transform::Negate, "-3", Some("3")),
            (Transform::TaxNumber, "TR 990.000.0011", Some("9900000011")),
            (Transform::TaxNumber, "0000000000", None),
            (Transform::Cut(3), "çığır", Some("çığ")),
            (Transform::Cut(9), "çığır", Some("çığır")),
            (Transform::Strip("()".into()), "(a)", Some("a")),
            (Transform::Replace(";".into(), ",".into()), "a;b", Some("a,b")),
            (Transform::Prefix("TR".into()), "1", Some("TR1")),
            (Transform::Prefix("TR".into()), "", Some("")),
        ] {
            assert_eq!(on(&transform, given).as_deref(), want, "{transform:?} on {given:?}");
        }
    }

    #[test]
    fn flags_turn_round_and_others_are_refused() {
        assert_eq!(Transform::Invert.apply(Scalar::Number("0".into())).unwrap(), Scalar::Bool(true));
        assert_eq!(Transform::Invert.apply(Scalar::Number("1.0".into())).unwrap(), Scalar::Bool(false));
        assert_eq!(Transform::Invert.apply(Scalar::Null).unwrap(), Scalar::Null);
        assert_eq!(Transform::Invert.apply(Scalar::Number("2".into())).unwrap_err().reason, Reason::NotAFlag);
    }

    #[test]
    fn numbers_stay_numbers_under_number_steps() {
        assert_eq!(Transform::Negate.apply(Scalar::Number("1.5".into())).unwrap(), Scalar::Number("-1.5".into()));
        assert_eq!(Transform::Trim.apply(Scalar::Number("1".into())).unwrap(), Scalar::Number("1".into()));
        assert_eq!(Transform::Prefix("A".into()).apply(Scalar::Number("1".into())).unwrap(), Scalar::Text("A1".into()));
    }

    proptest! {
        #[test]
        fn no_text_makes_a_step_panic(text in "\\PC*", length in 0_usize..40) {
            for word in Transform::WORDS {
                let _ = Transform::word(word).unwrap().apply(Scalar::Text(text.as_str().into()));
            }
            let cut = on(&Transform::Cut(length), &text).unwrap();
            prop_assert!(cut.chars().count() <= length);
        }
    }
}
