//! The addresses of a customer.

use std::borrow::Cow;

use crate::commerce::{
    check::{self, violation},
    outcome::Violation,
};

/// `code` is the source's; without one the address is known by its place in the list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AddressLine<'a> {
    pub code: Option<&'a str>,
    pub title: Option<&'a str>,
    pub line1: Option<&'a str>,
    pub line2: Option<&'a str>,
    pub district: Option<&'a str>,
    pub town: Option<&'a str>,
    pub city: Option<&'a str>,
    pub country: Option<&'a str>,
    pub postal_code: Option<&'a str>,
    pub phone: Option<&'a str>,
    /// If no line says so, the first one is.
    pub is_default: bool,
}

/// An address as the store holds it.
#[derive(Debug)]
pub(super) struct StoredAddress<'a> {
    pub(super) position: i16,
    pub(super) code: Cow<'a, str>,
    pub(super) line: AddressLine<'a>,
}

const FIELD: &str = "addresses";
const MAX_LINES: usize = 1000;

pub(super) fn stored<'a>(lines: &[AddressLine<'a>]) -> Result<Vec<StoredAddress<'a>>, Violation> {
    if lines.len() > MAX_LINES {
        return Err(violation(FIELD, "too_many", lines.len(), &format!("has more than {MAX_LINES} lines")));
    }
    let defaults = lines.iter().filter(|line| line.is_default).count();
    if defaults > 1 {
        return Err(violation(FIELD, "one_default", defaults, "has more than one default address"));
    }
    let mut stored: Vec<StoredAddress<'a>> = Vec::with_capacity(lines.len());
    for (line, position) in lines.iter().zip(1_i16..) {
        let code = match line.code.filter(|code| !code.is_empty()) {
            Some(code) => Cow::Borrowed(check::text(FIELD, code, 50)?),
            None => Cow::Owned(format!("#{position}")),
        };
        if stored.iter().any(|earlier| earlier.code == code) {
            return Err(violation(FIELD, "unique", code, "names an address twice"));
        }
        let is_default = line.is_default || (defaults == 0 && position == 1);
        stored.push(StoredAddress { position, code, line: AddressLine { is_default, ..checked(line)? } });
    }
    Ok(stored)
}

fn checked<'a>(line: &AddressLine<'a>) -> Result<AddressLine<'a>, Violation> {
    let text = |value: Option<&'a str>, max| -> Result<Option<&'a str>, Violation> {
        value.filter(|value| !value.is_empty()).map(|value| check::text(FIELD, value, max)).transpose()
    };
    Ok(AddressLine {
        code: line.code,
        title: text(line.title, 200)?,
        line1: text(line.line1, 250)?,
        line2: text(line.line2, 250)?,
        district: text(line.district, 100)?,
        town: text(line.town, 100)?,
        city: text(line.city, 100)?,
        country: text(line.country, 100)?,
        postal_code: text(line.postal_code, 20)?,
        phone: text(line.phone, 50)?,
        is_default: line.is_default,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_the_default_are_completed() {
        let lines = [AddressLine { code: Some("DEPO"), ..AddressLine::default() }, AddressLine::default()];
        let stored = stored(&lines).expect("good");
        assert_eq!(stored.iter().map(|address| address.code.as_ref()).collect::<Vec<_>>(), ["DEPO", "#2"]);
        assert_eq!(stored.iter().map(|address| address.line.is_default).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn nonsense_is_refused() {
        let named = AddressLine { code: Some("A"), ..AddressLine::default() };
        assert_eq!(stored(&[named, named]).expect_err("refused").rule, "unique");
        let default = AddressLine { is_default: true, ..AddressLine::default() };
        assert_eq!(stored(&[default, default]).expect_err("refused").rule, "one_default");
        let long = "x".repeat(251);
        let line = AddressLine { line1: Some(&long), ..AddressLine::default() };
        assert_eq!(stored(&[line]).expect_err("refused").rule, "too_long");
    }
}
