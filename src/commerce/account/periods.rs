//! Periods of days, as lists and statements are asked for.

use chrono::{Datelike, NaiveDate};

/// The most days of a statement.
pub const LONGEST_DAYS: i64 = 3_660;

/// Days from the first to the last, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    from: NaiveDate,
    to: NaiveDate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPeriod {
    #[error("the period begins on {0} and ends before that, on {1}; exchange the two")]
    Reversed(NaiveDate, NaiveDate),
    #[error("the period has {0} days, and at most {LONGEST_DAYS} are shown at once; ask for a shorter one")]
    TooLong(i64),
    #[error("{0} is not a day of the years 1900 to 2999")]
    Far(NaiveDate),
}

impl Period {
    /// Without a last day it ends today, without a first one it begins with the month of its last day.
    pub fn new(from: Option<NaiveDate>, to: Option<NaiveDate>, today: NaiveDate) -> Result<Period, BadPeriod> {
        let to = to.unwrap_or_else(|| from.map_or(today, |from| today.max(from)));
        let from = from.or_else(|| to.with_day(1)).unwrap_or(to);
        ordered(Some(from), Some(to))?;
        match (to - from).num_days() + 1 {
            days if days > LONGEST_DAYS => Err(BadPeriod::TooLong(days)),
            _ => Ok(Period { from, to }),
        }
    }

    pub const fn from(self) -> NaiveDate {
        self.from
    }

    pub const fn to(self) -> NaiveDate {
        self.to
    }
}

/// Refuses two ends that are exchanged, and days that nobody means.
pub(in crate::commerce) fn ordered(from: Option<NaiveDate>, to: Option<NaiveDate>) -> Result<(), BadPeriod> {
    if let Some(far) = from.into_iter().chain(to).find(|day| !(1900..3000).contains(&day.year())) {
        return Err(BadPeriod::Far(far));
    }
    match (from, to) {
        (Some(from), Some(to)) if from > to => Err(BadPeriod::Reversed(from, to)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a day")
    }

    #[test]
    fn ends_that_are_left_out_are_found() {
        let today = day("2026-11-21");
        let period = |from: Option<&str>, to: Option<&str>| {
            let period = Period::new(from.map(day), to.map(day), today).expect("a period");
            (period.from().to_string(), period.to().to_string())
        };
        assert_eq!(period(None, None), ("2026-11-01".into(), "2026-11-21".into()));
        assert_eq!(period(None, Some("2026-02-28")), ("2026-02-01".into(), "2026-02-28".into()));
        assert_eq!(period(Some("2026-12-05"), None), ("2026-12-05".into(), "2026-12-05".into()));
        assert_eq!(period(Some("2026-11-21"), Some("2026-11-21")), ("2026-11-21".into(), "2026-11-21".into()));
    }

    #[test]
    fn nonsense_is_refused() {
        let of = |from, to| Period::new(Some(day(from)), Some(day(to)), day("2026-11-21")).expect_err("refused");
        assert_eq!(of("2026-02-02", "2026-02-01"), BadPeriod::Reversed(day("2026-02-02"), day("2026-02-01")));
        assert_eq!(of("2000-01-01", "2026-02-01"), BadPeriod::TooLong(9_529));
        assert_eq!(of("0001-01-01", "9999-12-31"), BadPeriod::Far(day("0001-01-01")));
        assert!(matches!(of("2026-01-01", "9999-12-31"), BadPeriod::Far(_)));
    }
}
