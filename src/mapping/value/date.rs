//! Dates and times as LOGO and its neighbours write them.

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone};
use chrono_tz::Tz;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::mapping) enum DateFormat {
    /// `2026-03-02`, with or without a time behind it.
    Iso,
    /// `02.03.2026`, also with `/` or `-`. Never month first.
    DayFirst,
    /// year·65536 + month·256 + day
    Packed,
    /// Whichever of the three it is; they cannot be mistaken for each other.
    #[default]
    Auto,
}

impl DateFormat {
    pub(in crate::mapping) const NAMES: [&'static str; 4] = ["iso", "dd.MM.yyyy", "packed", "auto"];

    pub(in crate::mapping) fn parse(name: &str) -> Option<Self> {
        match name {
            "iso" => Some(DateFormat::Iso),
            "dd.MM.yyyy" => Some(DateFormat::DayFirst),
            "packed" => Some(DateFormat::Packed),
            "auto" => Some(DateFormat::Auto),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mapping) struct NotADate;

/// A moment, local unless it named its offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mapping) struct Stamp {
    pub at: NaiveDateTime,
    pub offset_seconds: Option<i32>,
}

/// `None` is LOGO's empty date (1899-12-30), SQL Server's (1900-01-01), and whatever lies before them.
pub(in crate::mapping) fn parse_date(text: &str, format: DateFormat) -> Result<Option<NaiveDate>, NotADate> {
    let text = text.trim();
    if text.is_empty() || text == "0" {
        return Ok(None);
    }
    let bytes = text.as_bytes();
    let date = match format {
        DateFormat::Iso => iso_date(text),
        DateFormat::DayFirst => day_first(text),
        DateFormat::Packed => packed(text),
        DateFormat::Auto if bytes.get(4) == Some(&b'-') => iso_date(text),
        DateFormat::Auto if bytes.iter().all(u8::is_ascii_digit) => packed(text),
        DateFormat::Auto => day_first(text),
    };
    date.map(meant).ok_or(NotADate)
}

/// A packed time (hour·16777216 + minute·65536 + second·256 + hundredths) in seconds; seconds above 59 are carried.
pub(in crate::mapping) fn parse_packed_time(number: i64) -> Option<i64> {
    let number = u32::try_from(number).ok()?;
    let [hour, minute, second, _] = number.to_be_bytes();
    Some(i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second))
}

/// `2026-02-27T16:05:31`, with a blank for the `T`, a fraction, or an offset (`Z`, `+03:00`). An empty date is none.
pub(in crate::mapping) fn parse_stamp(text: &str) -> Result<Option<Stamp>, NotADate> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let Some(date) = meant(iso_digits(text).ok_or(NotADate)?) else { return Ok(None) };
    let rest = &text[10..];
    if rest.is_empty() {
        return Ok(Some(Stamp { at: date.and_time(NaiveTime::MIN), offset_seconds: None }));
    }
    let rest = rest.strip_prefix(['T', 't', ' ']).ok_or(NotADate)?;
    let (clock, offset) = split_offset(rest)?;
    let clock = clock.split_once('.').map_or(Ok(clock), |(clock, fraction)| {
        if fraction.is_empty() || fraction.bytes().any(|b| !b.is_ascii_digit()) { Err(NotADate) } else { Ok(clock) }
    })?;
    let bytes = clock.as_bytes();
    if bytes.len() != 8 || bytes[2] != b':' || bytes[5] != b':' {
        return Err(NotADate);
    }
    let time = NaiveTime::from_hms_opt(two(&bytes[0..2])?, two(&bytes[3..5])?, two(&bytes[6..8])?).ok_or(NotADate)?;
    Ok(Some(Stamp { at: date.and_time(time), offset_seconds: offset }))
}

/// Seconds since 1970. A local time that the clock skipped is read with the offset before it, one that it showed twice
/// as the first of the two.
pub(in crate::mapping) fn to_epoch(stamp: Stamp, zone: Tz) -> i64 {
    let utc = stamp.at.and_utc().timestamp();
    if let Some(offset) = stamp.offset_seconds {
        return utc - i64::from(offset);
    }
    match zone.from_local_datetime(&stamp.at).earliest() {
        Some(moment) => moment.timestamp(),
        None => stamp
            .at
            .checked_add_signed(TimeDelta::hours(1))
            .and_then(|later| zone.from_local_datetime(&later).earliest())
            .map_or(utc, |moment| moment.timestamp()),
    }
}

fn meant(date: NaiveDate) -> Option<NaiveDate> {
    let empty = date.year() < 1900 || (date.year() == 1900 && date.ordinal() == 1);
    (!empty).then_some(date)
}

fn two(bytes: &[u8]) -> Result<u32, NotADate> {
    match bytes {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => Ok(u32::from(tens - b'0') * 10 + u32::from(ones - b'0')),
        _ => Err(NotADate),
    }
}

fn number(bytes: &[u8]) -> Option<u32> {
    if bytes.is_empty() || bytes.len() > 4 {
        return None;
    }
    bytes.iter().try_fold(0_u32, |sum, b| b.is_ascii_digit().then(|| sum * 10 + u32::from(b - b'0')))
}

/// The ten characters of `2026-03-02` at the start of the text.
fn iso_digits(text: &str) -> Option<NaiveDate> {
    let bytes = text.as_bytes();
    if bytes.len() < 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    NaiveDate::from_ymd_opt(i32::try_from(number(&bytes[0..4])?).ok()?, number(&bytes[5..7])?, number(&bytes[8..10])?)
}

fn iso_date(text: &str) -> Option<NaiveDate> {
    let date = iso_digits(text)?;
    let rest = &text.as_bytes()[10..];
    let time = rest.is_empty()
        || (matches!(rest[0], b'T' | b't' | b' ') && rest.len() >= 6 && rest[1].is_ascii_digit() && rest[3] == b':');
    time.then_some(date)
}

fn day_first(text: &str) -> Option<NaiveDate> {
    let day_part = text.split([' ', 'T']).next().unwrap_or(text);
    let mark = ['.', '/', '-'].into_iter().find(|mark| day_part.contains(*mark))?;
    let mut parts = day_part.split(mark);
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 || day.len() > 2 || month.len() > 2 {
        return None;
    }
    NaiveDate::from_ymd_opt(
        i32::try_from(number(year.as_bytes())?).ok()?,
        number(month.as_bytes())?,
        number(day.as_bytes())?,
    )
}

fn packed(text: &str) -> Option<NaiveDate> {
    let text = super::number::whole(text).unwrap_or(text);
    let number: u32 = text.parse().ok()?;
    NaiveDate::from_ymd_opt(i32::try_from(number >> 16).ok()?, (number >> 8) & 0xFF, number & 0xFF)
}

fn split_offset(clock: &str) -> Result<(&str, Option<i32>), NotADate> {
    if let Some(clock) = clock.strip_suffix(['Z', 'z']) {
        return Ok((clock, Some(0)));
    }
    let Some(at) = clock.rfind(['+', '-']) else { return Ok((clock, None)) };
    let sign = if clock.as_bytes()[at] == b'-' { -1 } else { 1 };
    let digits: Vec<u8> = clock.as_bytes()[at + 1..].iter().copied().filter(|b| *b != b':').collect();
    if digits.len() != 4 {
        return Err(NotADate);
    }
    let (hours, minutes) = (two(&digits[0..2])?, two(&digits[2..4])?);
    if hours > 14 || minutes > 59 {
        return Err(NotADate);
    }
    Ok((&clock[..at], Some(sign * (hours * 3600 + minutes * 60) as i32)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn day(text: &str, format: DateFormat) -> Result<Option<String>, NotADate> {
        parse_date(text, format).map(|date| date.map(|date| date.to_string()))
    }

    #[test]
    fn dates_in_all_their_dresses() {
        use DateFormat::{Auto, DayFirst, Iso, Packed};
        for (text, format, want) in [
            ("2026-03-02T00:00:00", Iso, Ok(Some("2026-03-02"))),
            ("2026-03-02", Iso, Ok(Some("2026-03-02"))),
            ("2026-03-02x", Iso, Err(NotADate)),
            ("1899-12-30T00:00:00", Iso, Ok(None)),
            ("1900-01-01T00:00:00", Iso, Ok(None)),
            ("1900-01-02", Iso, Ok(Some("1900-01-02"))),
            ("0001-01-01T00:00:00", Iso, Ok(None)),
            ("", Iso, Ok(None)),
            ("02.05.2016", DayFirst, Ok(Some("2016-05-02"))),
            ("2/5/2016", DayFirst, Ok(Some("2016-05-02"))),
            ("02-05-2016 14:00", DayFirst, Ok(Some("2016-05-02"))),
            ("13.13.2016", DayFirst, Err(NotADate)),
            ("02.05.16", DayFirst, Err(NotADate)),
            ("132776706", Packed, Ok(Some("2026-03-02"))),
            ("132384519", Packed, Ok(Some("2020-07-07"))),
            ("124455966", Packed, Ok(None)),
            ("0", Packed, Ok(None)),
            ("132776706", Auto, Ok(Some("2026-03-02"))),
            ("02.03.2026", Auto, Ok(Some("2026-03-02"))),
            ("2026-03-02T10:11:12", Auto, Ok(Some("2026-03-02"))),
            ("yarın", Auto, Err(NotADate)),
        ] {
            assert_eq!(day(text, format), want.map(|date| date.map(str::to_owned)), "{text} as {format:?}");
        }
    }

    #[test]
    fn packed_times_carry_their_seconds() {
        assert_eq!(parse_packed_time(236_847_104), Some(14 * 3600 + 30 * 60));
        assert_eq!(parse_packed_time(151_325_696), Some(9 * 3600 + 5 * 60 + 12));
        assert_eq!(parse_packed_time(102_581_337), Some(6 * 3600 + 29 * 60 + 68));
        assert_eq!(parse_packed_time(-1), None);
    }

    #[test]
    fn stamps_are_istanbul_time_unless_they_say_otherwise() {
        let epoch = |text: &str| parse_stamp(text).unwrap().map(|stamp| to_epoch(stamp, chrono_tz::Europe::Istanbul));
        assert_eq!(epoch("2026-02-27T16:05:31"), Some(1_772_197_531));
        assert_eq!(epoch("2026-02-27 16:05:31.997"), Some(1_772_197_531));
        assert_eq!(epoch("2026-02-27T13:05:31Z"), Some(1_772_197_531));
        assert_eq!(epoch("2026-02-27T16:05:31+03:00"), Some(1_772_197_531));
        assert_eq!(epoch("1899-12-30T00:00:00"), None);
        assert_eq!(parse_stamp("2026-02-27T25:00:00"), Err(NotADate));
        assert_eq!(parse_stamp("2026-02-27T16:05"), Err(NotADate));
        // Winter time ended on 2016-03-27 at 03:00, which the clock never showed.
        assert_eq!(epoch("2016-03-27T03:30:00"), epoch("2016-03-27T04:30:00"));
    }

    proptest! {
        #[test]
        fn a_packed_date_is_read_back(days in 693_600_i32..1_000_000) {
            let date = NaiveDate::from_num_days_from_ce_opt(days).unwrap();
            let packed = date.year() * 65536 + date.month() as i32 * 256 + date.day() as i32;
            prop_assert_eq!(parse_date(&packed.to_string(), DateFormat::Auto), Ok(Some(date)));
            prop_assert_eq!(parse_date(&date.format("%d.%m.%Y").to_string(), DateFormat::Auto), Ok(Some(date)));
            prop_assert_eq!(parse_date(&date.format("%Y-%m-%dT00:00:00").to_string(), DateFormat::Auto), Ok(Some(date)));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*", near in "[-0-9./:TZ+ ]{0,30}") {
            for text in [&text, &near] {
                for format in [DateFormat::Iso, DateFormat::DayFirst, DateFormat::Packed, DateFormat::Auto] {
                    let _ = parse_date(text, format);
                }
                if let Ok(Some(stamp)) = parse_stamp(text) {
                    let _ = to_epoch(stamp, chrono_tz::Europe::Istanbul);
                }
            }
        }
    }
}
