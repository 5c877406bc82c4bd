//! Writes JSON straight into a byte buffer: pages of thousands of rows are made without a value tree or an allocation
//! per row.

use serde_json::Value;

use super::stamp::{clock_of, date_of};

#[derive(Debug, Default)]
pub struct Out(Vec<u8>);

const POWERS: [i64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

impl Out {
    pub fn with_capacity(bytes: usize) -> Out {
        Out(Vec::with_capacity(bytes))
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    pub fn since(&self, start: usize) -> &[u8] {
        &self.0[start..]
    }

    #[inline]
    pub fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    pub fn raw_bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// A quoted text.
    #[inline]
    pub fn text(&mut self, text: &str) {
        self.0.push(b'"');
        let bytes = text.as_bytes();
        if bytes.iter().all(|&byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
            self.0.extend_from_slice(bytes);
        } else {
            self.escaped(bytes);
        }
        self.0.push(b'"');
    }

    #[cold]
    fn escaped(&mut self, bytes: &[u8]) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        for &byte in bytes {
            match byte {
                b'"' | b'\\' => self.0.extend_from_slice(&[b'\\', byte]),
                b'\n' => self.0.extend_from_slice(b"\\n"),
                b'\r' => self.0.extend_from_slice(b"\\r"),
                b'\t' => self.0.extend_from_slice(b"\\t"),
                0..0x20 => {
                    self.0.extend_from_slice(b"\\u00");
                    self.0.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
                }
                _ => self.0.push(byte),
            }
        }
    }

    #[inline]
    pub fn int(&mut self, number: i64) {
        if number < 0 {
            self.0.push(b'-');
        }
        self.digits(number.unsigned_abs(), 1);
    }

    fn digits(&mut self, number: u64, width: usize) {
        let mut digits = [b'0'; 20];
        let mut at = digits.len();
        let mut rest = number;
        while rest > 0 || digits.len() - at < width {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        self.0.extend_from_slice(&digits[at..]);
    }

    /// `units` ÷ 10^`scale` with all its decimals, as SQL's `decimal` is written.
    pub fn decimal(&mut self, units: i64, scale: usize) {
        if units < 0 {
            self.0.push(b'-');
        }
        let (units, power) = (units.unsigned_abs(), POWERS[scale].unsigned_abs());
        self.digits(units / power, 1);
        if scale > 0 {
            self.0.push(b'.');
            self.digits(units % power, scale);
        }
    }

    /// The same as a double is written: the shortest text, with at least one decimal.
    pub fn double(&mut self, units: i64, scale: usize) {
        let (mut units, mut scale) = (units, scale);
        while scale > 1 && units % 10 == 0 {
            units /= 10;
            scale -= 1;
        }
        self.decimal(units, scale);
        if scale == 0 {
            self.raw(".0");
        }
    }

    /// `"2026-02-27T16:05:31"`
    #[inline]
    pub fn stamp(&mut self, seconds: i64) {
        let (hour, minute, second) = clock_of(seconds);
        self.0.push(b'"');
        self.day(seconds);
        let pair = |number: i64| [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        let ([h1, h2], [m1, m2], [s1, s2]) = (pair(hour), pair(minute), pair(second));
        self.0.extend_from_slice(&[b'T', h1, h2, b':', m1, m2, b':', s1, s2, b'"']);
    }

    /// `"2026-02-27T00:00:00"`
    pub fn date(&mut self, seconds: i64) {
        self.0.push(b'"');
        self.day(seconds);
        self.raw("T00:00:00\"");
    }

    fn day(&mut self, seconds: i64) {
        let (year, month, day) = date_of(seconds);
        let year = year.clamp(0, 9_999);
        let two = |number: i64, by: i64| b'0' + (number / by % 10) as u8;
        self.0.extend_from_slice(&[
            two(year, 1_000),
            two(year, 100),
            two(year, 10),
            two(year, 1),
            b'-',
            two(month, 10),
            two(month, 1),
            b'-',
            two(day, 10),
            two(day, 1),
        ]);
    }

    pub fn value(&mut self, value: &Value) {
        self.raw(&value.to_string());
    }

    /// `"KEY":` after a comma. Keys are ours and need no escape.
    #[inline]
    pub fn key(&mut self, key: &str) {
        self.raw(",\"");
        self.raw(key);
        self.raw("\":");
    }

    /// A member that is left out when empty.
    pub fn text_member(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.key(key);
            self.text(text);
        }
    }

    pub fn int_member(&mut self, key: &str, number: i64) {
        self.key(key);
        self.int(number);
    }

    pub fn double_member(&mut self, key: &str, units: i64, scale: usize) {
        self.key(key);
        self.double(units, scale);
    }
}

/// LOGO's null date.
pub const NO_DATE: &str = "1899-12-30T00:00:00";

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Out)) -> String {
        let mut out = Out::default();
        write(&mut out);
        String::from_utf8(out.into_bytes()).unwrap()
    }

    #[test]
    fn numbers_are_written_as_the_service_writes_them() {
        assert_eq!(written(|out| out.double(184_550, 2)), "1845.5");
        assert_eq!(written(|out| out.double(2_000, 2)), "20.0");
        assert_eq!(written(|out| out.double(-7, 2)), "-0.07");
        assert_eq!(written(|out| out.double(3, 0)), "3.0");
        assert_eq!(written(|out| out.decimal(-20_000, 4)), "-2.0000");
        assert_eq!(written(|out| out.decimal(1_845_500_000, 6)), "1845.500000");
        assert_eq!(written(|out| out.int(i64::MIN)), i64::MIN.to_string());
    }

    #[test]
    fn texts_are_escaped() {
        let text = "a\"b\\c\n\u{1}ğİ";
        assert_eq!(serde_json::from_str::<String>(&written(|out| out.text(text))).unwrap(), text);
    }

    #[test]
    fn stamps_are_local_iso_text() {
        assert_eq!(written(|out| out.stamp(1_772_208_331)), "\"2026-02-27T16:05:31\"");
        assert_eq!(written(|out| out.date(1_772_208_331)), "\"2026-02-27T00:00:00\"");
    }
}
