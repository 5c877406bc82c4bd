//! Local times as seconds since 1970 without a zone, the way LOGO keeps them, and their texts.

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveDateTime, Timelike as _, Utc};
use chrono_tz::Europe::Istanbul;

pub const DAY: i64 = 86_400;

/// Midnight of a day.
pub const fn seconds_of(year: i64, month: i64, day: i64) -> i64 {
    // Days from a civil date: years begin in March, so that the leap day is the last one.
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    (era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468) * DAY
}

/// Year, month and day of a time.
pub const fn date_of(seconds: i64) -> (i64, i64, i64) {
    let days = seconds.div_euclid(DAY) + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let years = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * years + years / 4 - years / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (years + era * 400 + (month <= 2) as i64, month, day)
}

/// Hour, minute and second of a time.
pub const fn clock_of(seconds: i64) -> (i64, i64, i64) {
    let rest = seconds.rem_euclid(DAY);
    (rest / 3_600, rest / 60 % 60, rest % 60)
}

/// The server's wall clock.
pub fn local(now: DateTime<Utc>) -> i64 {
    now.with_timezone(&Istanbul).naive_local().and_utc().timestamp()
}

pub fn of_naive(time: NaiveDateTime) -> i64 {
    time.and_utc().timestamp()
}

/// LOGO's packed time of day. Its own documentation shows seconds above 59; `odd` writes such a one.
pub const fn packed_time(seconds: i64, odd: bool) -> i64 {
    let (hour, minute, second) = clock_of(seconds);
    let (minute, second) = if odd && minute > 0 && second < 40 { (minute - 1, second + 60) } else { (minute, second) };
    hour * 16_777_216 + minute * 65_536 + second * 256
}

/// A date as written in a record: ISO, with or without a time. `dd.MM.yyyy` is read month first where that gives a
/// date, as LOGO's own sample shows.
pub fn read_date(text: &str) -> Option<i64> {
    let text = text.trim();
    let date = text.split(['T', ' ']).next().unwrap_or_default();
    if let Ok(iso) = NaiveDate::parse_from_str(date, "%Y-%m-%d") {
        return Some(seconds_of(iso.year().into(), iso.month().into(), iso.day().into()));
    }
    let mut parts = date.split('.').map(|part| part.parse::<u32>().ok());
    let (Some(Some(month)), Some(Some(day)), Some(Some(year)), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    Some(seconds_of(year.into(), month.into(), day.into()))
}

/// A date in a filter: `dd.MM.yyyy`, day first, or ISO; and a time of day with either.
pub fn read_filter_date(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, ""));
    let date = NaiveDate::parse_from_str(date, "%d.%m.%Y").or_else(|_| NaiveDate::parse_from_str(date, "%Y-%m-%d"));
    let date = date.ok()?;
    let time = if time.is_empty() {
        0
    } else {
        let time = chrono::NaiveTime::parse_from_str(time, "%H:%M:%S").ok()?;
        i64::from(time.num_seconds_from_midnight())
    };
    Some(seconds_of(date.year().into(), date.month().into(), date.day().into()) + time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_come_back_as_they_went() {
        for (year, month, day) in [(1899, 12, 30), (1970, 1, 1), (2024, 2, 29), (2025, 12, 31), (2026, 3, 1)] {
            let seconds = seconds_of(year, month, day);
            assert_eq!(date_of(seconds), (year, month, day));
            assert_eq!(date_of(seconds + DAY - 1), (year, month, day));
            let chrono = NaiveDate::from_ymd_opt(year as i32, month as u32, day as u32).unwrap();
            assert_eq!(of_naive(chrono.and_hms_opt(0, 0, 0).unwrap()), seconds);
        }
    }

    #[test]
    fn dotted_dates_are_read_month_first_in_records_and_day_first_in_filters() {
        assert_eq!(read_date("02.05.2016"), Some(seconds_of(2016, 2, 5)));
        assert_eq!(read_date("25.05.2016"), None);
        assert_eq!(read_date("2016-05-02T00:00:00"), Some(seconds_of(2016, 5, 2)));
        assert_eq!(read_filter_date("02.05.2016"), Some(seconds_of(2016, 5, 2)));
        assert_eq!(read_filter_date("2016-05-02T10:00:01"), Some(seconds_of(2016, 5, 2) + 36_001));
    }

    #[test]
    fn packed_times_are_those_of_the_reference() {
        assert_eq!(packed_time(14 * 3_600 + 30 * 60, false), 236_847_104);
        assert_eq!(packed_time(9 * 3_600 + 5 * 60 + 12, false), 151_325_696);
        assert_eq!(packed_time(6 * 3_600 + 30 * 60 + 8, true) >> 8 & 0xff, 68);
    }
}
