//! A price as it is shown: small, and written down without detours.

use rust_decimal::{Decimal, prelude::ToPrimitive};

use super::query::Rule;

/// Decimals of a unit price.
const SCALE: u32 = 6;
const ONE: u64 = 1_000_000;
/// More than any price: nothing that could be shown.
const NONE: u64 = u64::MAX;

/// A net price of one unit, and which rule gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote {
    /// Unit prices have six decimals and end below 10,000,000,000,000 (`sql/net.sql`).
    pub(super) millionths: u64,
    pub(super) currency: [u8; 3],
    pub rule: Rule,
}

impl Quote {
    /// `None` for the amount: it is larger than any price.
    pub(super) fn new(amount: Option<Decimal>, currency: &str, rule: Rule) -> Quote {
        let scaled = amount.and_then(|amount| (amount * Decimal::from(ONE)).trunc().to_u64());
        // Three letters: the store sees to it.
        let currency = currency.as_bytes().try_into().unwrap_or(*b"   ");
        Quote { millionths: scaled.unwrap_or(NONE), currency, rule }
    }

    pub fn of(amount: Decimal, currency: &str, rule: Rule) -> Option<Quote> {
        Some(Quote::new(Some(amount), currency, rule)).filter(Quote::is_some)
    }

    pub(super) const fn is_some(&self) -> bool {
        self.millionths != NONE
    }

    pub fn amount(&self) -> Decimal {
        Decimal::from_i128_with_scale(i128::from(self.millionths), SCALE)
    }

    pub fn currency(&self) -> &str {
        std::str::from_utf8(&self.currency).unwrap_or_default()
    }

    /// The amount, with every digit that says something.
    pub fn write_amount(&self, to: &mut Vec<u8>) {
        push(to, self.millionths / ONE, 1);
        let mut rest = self.millionths % ONE;
        if rest == 0 {
            return;
        }
        let mut digits = SCALE as usize;
        while rest.is_multiple_of(10) {
            rest /= 10;
            digits -= 1;
        }
        to.push(b'.');
        push(to, rest, digits);
    }
}

/// At least so many digits.
fn push(to: &mut Vec<u8>, mut number: u64, least: usize) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    while number > 0 {
        at -= 1;
        // Below ten.
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    to.extend_from_slice(&digits[at.min(digits.len() - least)..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_as_numbers_are() {
        for text in
            ["0", "1", "10", "0.000001", "99.999999", "1845.5", "33.333333", "9999999999999.999999", "0.1", "100.05"]
        {
            let amount: Decimal = text.parse().expect("a number");
            let quote = Quote::of(amount, "TRY", Rule::List).expect("a price");
            let mut written = Vec::new();
            quote.write_amount(&mut written);
            assert_eq!((String::from_utf8(written).expect("text").as_str(), quote.amount()), (text, amount));
        }
        let long: Decimal = "12.500000".parse().expect("a number");
        let mut written = Vec::new();
        Quote::of(long, "TRY", Rule::List).expect("a price").write_amount(&mut written);
        assert_eq!(written, b"12.5");
    }
}
