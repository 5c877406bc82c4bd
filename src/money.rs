//! Decimals of money and quantities: how they are rounded, and what fits into the store.

use std::fmt;

use rust_decimal::{Decimal, RoundingStrategy};

/// The shape of a `numeric(precision, scale)` column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    precision: u32,
    scale: u32,
}

/// Amounts, credit limits.
pub const AMOUNT: Shape = Shape { precision: 18, scale: 4 };
/// Prices of one unit.
pub const UNIT_PRICE: Shape = Shape { precision: 19, scale: 6 };
pub const QUANTITY: Shape = Shape { precision: 18, scale: 4 };
/// Factors between units, exchange rates.
pub const RATE: Shape = Shape { precision: 18, scale: 8 };
pub const WEIGHT: Shape = Shape { precision: 18, scale: 6 };
pub const PERCENT: Shape = Shape { precision: 7, scale: 4 };

/// Half away from zero, as tax offices and PostgreSQL do.
pub fn round(number: Decimal, scale: u32) -> Decimal {
    number.round_dp_with_strategy(scale, RoundingStrategy::MidpointAwayFromZero)
}

impl Shape {
    /// The number as the store will hold it, so that what is read back equals what was written; `None` if too large.
    pub fn fit(self, number: Decimal) -> Option<Decimal> {
        let rounded = if number.scale() > self.scale { round(number, self.scale) } else { number };
        let limit = Decimal::from_i128_with_scale(10_i128.pow(self.precision - self.scale), 0);
        (rounded.abs() < limit).then_some(rounded)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} digits before and {} after the point", self.precision - self.scale, self.scale)
    }
}

/// Three capital letters of ISO 4217. Which of them a site trades in is configuration.
pub fn is_currency(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Decimal {
        text.parse().expect("a number")
    }

    #[test]
    fn halves_go_away_from_zero() {
        assert_eq!(round(number("0.005"), 2), number("0.01"));
        assert_eq!(round(number("-0.005"), 2), number("-0.01"));
        assert_eq!(round(number("2.345"), 2), number("2.35"));
    }

    #[test]
    fn what_is_too_large_does_not_fit() {
        assert_eq!(AMOUNT.fit(number("99999999999999.9999")), Some(number("99999999999999.9999")));
        assert_eq!(AMOUNT.fit(number("99999999999999.99995")), None, "rounding carries it over the limit");
        assert_eq!(AMOUNT.fit(Decimal::MAX), None);
    }

    proptest! {
        #[test]
        fn fitting_is_final(units in any::<i64>(), scale in 0_u32..12) {
            if let Some(fitted) = UNIT_PRICE.fit(Decimal::new(units, scale)) {
                prop_assert!(fitted.scale() <= 6);
                prop_assert_eq!(UNIT_PRICE.fit(fitted), Some(fitted));
            }
        }
    }
}
