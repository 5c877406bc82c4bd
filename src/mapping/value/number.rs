//! Numbers, read from their text and never through a float.

use rust_decimal::Decimal;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::mapping) enum NumberFormat {
    /// `1234.56`
    #[default]
    Dot,
    /// `1.234,56`
    Comma,
    /// The last of `.` and `,` is the decimal mark if both occur; a lone mark of either kind is decimal.
    Auto,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mapping) enum NumberFault {
    NotANumber,
    TooLarge,
}

impl NumberFormat {
    pub(in crate::mapping) const NAMES: [&'static str; 3] = ["dot", "comma", "auto"];

    pub(in crate::mapping) fn parse(name: &str) -> Option<Self> {
        match name {
            "dot" => Some(NumberFormat::Dot),
            "comma" => Some(NumberFormat::Comma),
            "auto" => Some(NumberFormat::Auto),
            _ => None,
        }
    }
}

/// Digits that fit an i64 with room for the sign.
const FAST_DIGITS: usize = 18;

pub(in crate::mapping) fn parse_number(text: &str, format: NumberFormat) -> Result<Decimal, NumberFault> {
    let text = text.trim();
    match format {
        NumberFormat::Dot => plain(text),
        NumberFormat::Comma => marked(text, b',', b'.'),
        NumberFormat::Auto => {
            let comma = text.rfind(',');
            let dot = text.rfind('.');
            match (comma, dot) {
                (None, None) => plain(text),
                (Some(comma), Some(dot)) if comma > dot => marked(text, b',', b'.'),
                (Some(_), Some(_)) => marked(text, b'.', b','),
                (Some(_), None) if text.matches(',').count() > 1 => marked(text, b'.', b','),
                (Some(_), None) => marked(text, b',', b'.'),
                (None, Some(_)) if text.matches('.').count() > 1 => marked(text, b',', b'.'),
                (None, Some(_)) => plain(text),
            }
        }
    }
}

/// `12.0` as `12`: a code that a database delivered as a double.
pub(in crate::mapping) fn whole(text: &str) -> Option<&str> {
    let (whole, fraction) = text.split_once('.')?;
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    (plain && !fraction.is_empty() && fraction.bytes().all(|b| b == b'0')).then_some(whole)
}

/// Sign, digits, at most one dot, an exponent.
fn plain(text: &str) -> Result<Decimal, NumberFault> {
    let bytes = text.as_bytes();
    let negative = bytes.first() == Some(&b'-');
    let start = usize::from(matches!(bytes.first(), Some(b'-' | b'+')));
    let mut mantissa: i64 = 0;
    let mut digits = 0_usize;
    let mut scale: Option<u32> = None;
    for byte in bytes.get(start..).unwrap_or_default() {
        match byte {
            b'0'..=b'9' => {
                digits += 1;
                if digits > FAST_DIGITS {
                    return long(text);
                }
                mantissa = mantissa * 10 + i64::from(byte - b'0');
                if let Some(scale) = &mut scale {
                    *scale += 1;
                }
            }
            b'.' if scale.is_none() => scale = Some(0),
            b'e' | b'E' if digits > 0 => return long(text),
            _ => return Err(NumberFault::NotANumber),
        }
    }
    if digits == 0 {
        return Err(NumberFault::NotANumber);
    }
    let mut scale = scale.unwrap_or(0);
    while scale > 0 && mantissa % 10 == 0 {
        mantissa /= 10;
        scale -= 1;
    }
    Ok(Decimal::new(if negative { -mantissa } else { mantissa }, scale))
}

/// Many digits or an exponent. Digits beyond the 28th are rounded; a number beyond the type is too large.
fn long(text: &str) -> Result<Decimal, NumberFault> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().map_err(|_| NumberFault::NotANumber)?),
        None => (text, 0),
    };
    let unsigned = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !all_digits(whole) || !all_digits(fraction) {
        return Err(NumberFault::NotANumber);
    }
    let significant = whole.trim_start_matches('0');
    if significant.is_empty() && fraction.bytes().all(|b| b == b'0') {
        return Ok(Decimal::ZERO);
    }
    // The place of the decimal mark after the exponent: beyond 28 digits no decimal holds it, far below 0 it is 0.
    let magnitude = i64::try_from(significant.len()).unwrap_or(i64::MAX).saturating_add(i64::from(exponent));
    if magnitude > 29 && !significant.is_empty() {
        return Err(NumberFault::TooLarge);
    }
    if exponent < -200 {
        return Ok(Decimal::ZERO);
    }
    if exponent > 200 {
        return Err(NumberFault::TooLarge);
    }
    // Shift the mark by hand, so that neither a long mantissa nor the exponent meets a limit of the parser.
    let digits: String = [whole, fraction].concat();
    let mark = whole.len() as i64 + i64::from(exponent);
    let mut shifted = String::with_capacity(digits.len() + 8);
    if mantissa.starts_with('-') {
        shifted.push('-');
    }
    if mark <= 0 {
        shifted.push_str("0.");
        shifted.extend(std::iter::repeat_n('0', mark.unsigned_abs() as usize));
        shifted.push_str(&digits);
    } else {
        let mark = mark as usize;
        if mark >= digits.len() {
            shifted.push_str(&digits);
            shifted.extend(std::iter::repeat_n('0', mark - digits.len()));
        } else {
            shifted.push_str(&digits[..mark]);
            shifted.push('.');
            shifted.push_str(&digits[mark..]);
        }
    }
    shifted.parse::<Decimal>().map(|number| number.normalize()).map_err(|_| NumberFault::TooLarge)
}

/// A number with the given decimal mark, and groups of three by the other mark.
fn marked(text: &str, decimal: u8, group: u8) -> Result<Decimal, NumberFault> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = match unsigned.bytes().position(|b| b == decimal) {
        Some(at) => (&unsigned[..at], &unsigned[at + 1..]),
        None => (unsigned, ""),
    };
    if fraction.bytes().any(|b| !b.is_ascii_digit()) {
        return Err(NumberFault::NotANumber);
    }
    let mut groups = whole.split(char::from(group));
    let first = groups.next().unwrap_or_default();
    let mut clean = String::with_capacity(text.len());
    if text.starts_with('-') {
        clean.push('-');
    }
    clean.push_str(first);
    let mut grouped = false;
    for part in groups {
        if part.len() != 3 {
            return Err(NumberFault::NotANumber);
        }
        grouped = true;
        clean.push_str(part);
    }
    if grouped && (first.is_empty() || first.len() > 3) {
        return Err(NumberFault::NotANumber);
    }
    if clean.bytes().skip(usize::from(clean.starts_with('-'))).any(|b| !b.is_ascii_digit()) {
        return Err(NumberFault::NotANumber);
    }
    clean.push('.');
    clean.push_str(fraction);
    plain(&clean)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str, format: NumberFormat) -> Option<String> {
        parse_number(text, format).ok().map(|number| number.to_string())
    }

    #[test]
    fn the_three_formats() {
        use NumberFormat::{Auto, Comma, Dot};
        for (text, format, want) in [
            ("1845.5", Dot, Some("1845.5")),
            ("20.0", Dot, Some("20")),
            ("-0.0", Dot, Some("0")),
            ("1E-05", Dot, Some("0.00001")),
            ("1.5e+2", Dot, Some("150")),
            ("98.400000000000006", Dot, Some("98.400000000000006")),
            ("1,5", Dot, None),
            ("1.2.3", Dot, None),
            ("", Dot, None),
            (".", Dot, None),
            ("-", Dot, None),
            ("1e", Dot, None),
            ("1.234,56", Comma, Some("1234.56")),
            ("1234,56", Comma, Some("1234.56")),
            ("-1.234.567,8", Comma, Some("-1234567.8")),
            ("1.23,4", Comma, None),
            ("1234.567,8", Comma, None),
            ("1.234,56", Auto, Some("1234.56")),
            ("1,234.56", Auto, Some("1234.56")),
            ("1,5", Auto, Some("1.5")),
            ("1.500", Auto, Some("1.5")),
            ("1.234.567", Auto, Some("1234567")),
            ("1,234,567", Auto, Some("1234567")),
            ("1.2,3.4", Auto, None),
            ("12 TL", Auto, None),
        ] {
            assert_eq!(read(text, format).as_deref(), want, "{text} as {format:?}");
        }
    }

    #[test]
    fn what_no_decimal_can_hold_is_too_large() {
        assert_eq!(parse_number(&"9".repeat(40), NumberFormat::Dot), Err(NumberFault::TooLarge));
        assert_eq!(parse_number("1e400", NumberFormat::Dot), Err(NumberFault::TooLarge));
        assert_eq!(parse_number("1e-400", NumberFormat::Dot), Ok(Decimal::ZERO));
        assert_eq!(parse_number("0e999", NumberFormat::Dot), Ok(Decimal::ZERO));
    }

    #[test]
    fn whole_numbers_lose_their_empty_fraction() {
        assert_eq!(whole("12.0"), Some("12"));
        assert_eq!(whole("-1.00"), Some("-1"));
        assert_eq!(whole("12"), None);
        assert_eq!(whole("1.5"), None);
        assert_eq!(whole("A.0"), None);
    }

    fn grouped(number: Decimal, decimal: char, group: char) -> String {
        let text = number.abs().to_string();
        let (whole, fraction) = text.split_once('.').map_or((text.as_str(), None), |(w, f)| (w, Some(f)));
        let mut out = String::from(if number.is_sign_negative() && !number.is_zero() { "-" } else { "" });
        for (place, digit) in whole.chars().enumerate() {
            if place > 0 && (whole.len() - place).is_multiple_of(3) {
                out.push(group);
            }
            out.push(digit);
        }
        if let Some(fraction) = fraction {
            out.push(decimal);
            out.push_str(fraction);
        }
        out
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(mantissa in any::<i64>(), scale in 0_u32..12) {
            let number = Decimal::new(mantissa, scale);
            prop_assert_eq!(parse_number(&number.to_string(), NumberFormat::Dot), Ok(number));
            prop_assert_eq!(parse_number(&grouped(number, ',', '.'), NumberFormat::Comma), Ok(number));
            if scale > 0 {
                prop_assert_eq!(parse_number(&number.to_string(), NumberFormat::Auto), Ok(number));
                prop_assert_eq!(parse_number(&grouped(number, ',', '.'), NumberFormat::Auto), Ok(number));
                prop_assert_eq!(parse_number(&grouped(number, '.', ','), NumberFormat::Auto), Ok(number));
            }
        }

        #[test]
        fn exponents_agree_with_the_library(mantissa in -999_999_i64..999_999, exponent in -12_i32..12) {
            let text = format!("{mantissa}E{exponent}");
            let want = Decimal::from_scientific(&text).unwrap();
            prop_assert_eq!(parse_number(&text, NumberFormat::Dot), Ok(want));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*", digits in "[-+0-9.,eE]{0,60}") {
            for format in [NumberFormat::Dot, NumberFormat::Comma, NumberFormat::Auto] {
                let _ = parse_number(&text, format);
                let _ = parse_number(&digits, format);
            }
            let _ = whole(&text);
        }
    }
}
