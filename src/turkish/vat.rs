//! VAT (KDV) rates in force by date.

use chrono::NaiveDate;

/// In percent. Besides these there is 0 (exempt or export), at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VatRates {
    pub general: u32,
    pub reduced: u32,
    pub basic: u32,
}

/// The day from which 18 % became 20 % and 8 % became 10 %.
const SINCE_2023: NaiveDate = NaiveDate::from_ymd_opt(2023, 7, 10).expect("a day of the calendar");

/// Rates since 2001-05-15; an earlier date gets the oldest known.
pub fn vat_rates_on(date: NaiveDate) -> VatRates {
    if date >= SINCE_2023 {
        VatRates { general: 20, reduced: 10, basic: 1 }
    } else {
        VatRates { general: 18, reduced: 8, basic: 1 }
    }
}

impl VatRates {
    pub fn contains(self, percent: u32) -> bool {
        [0, self.basic, self.reduced, self.general].contains(&percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_change_of_2023() {
        let day = |text: &str| text.parse::<NaiveDate>().expect("a date");
        assert_eq!(vat_rates_on(day("2023-07-09")).general, 18);
        assert_eq!(vat_rates_on(day("2023-07-10")).general, 20);
        assert!(vat_rates_on(day("2026-01-01")).contains(0));
        assert!(!vat_rates_on(day("2026-01-01")).contains(18));
    }
}
