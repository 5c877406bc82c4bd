//! The version of a record: what orders two documents of one key.

use chrono::NaiveTime;
use chrono_tz::Tz;

use crate::canonical::Version;
use crate::mapping::source::{Path, Row};
use crate::mapping::value::{
    DateFormat, NumberFormat, Reason, Refusal, Scalar, Stamp, parse_date, parse_number, parse_packed_time, parse_stamp,
    to_epoch,
};

use super::field::Failure;

#[derive(Debug)]
pub(in crate::mapping) struct VersionRule {
    pub kind: &'static str,
    pub zone: Tz,
    /// The first that gives something.
    pub from: Vec<VersionSource>,
}

#[derive(Debug)]
pub(in crate::mapping) enum VersionSource {
    /// One text: `2026-02-27T16:05:31`.
    Stamp(Path),
    /// A date, and the clock beside it in parts or as a packed time.
    Parts { date: Path, hour: Option<Path>, minute: Option<Path>, second: Option<Path>, time: Option<Path> },
    /// A number that the source counts up.
    Number(Path),
}

impl VersionRule {
    pub(in crate::mapping) fn version(&self, row: Row<'_, '_>) -> Result<Option<Version>, Failure> {
        for source in &self.from {
            if let Some(value) = source.value(row, self.zone)? {
                return Ok(Some(Version { kind: self.kind.into(), value }));
            }
        }
        Ok(None)
    }
}

impl VersionSource {
    fn value(&self, row: Row<'_, '_>, zone: Tz) -> Result<Option<i64>, Failure> {
        match self {
            VersionSource::Stamp(path) => {
                let Some(text) = text(path, row)? else { return Ok(None) };
                let stamp = parse_stamp(&text).map_err(|_| not_a_date(path, row))?;
                Ok(stamp.map(|stamp| to_epoch(stamp, zone)))
            }
            VersionSource::Number(path) => {
                let Some(text) = text(path, row)? else { return Ok(None) };
                let number = parse_number(&text, NumberFormat::Dot).ok().filter(|number| number.fract().is_zero());
                match number.and_then(|number| i64::try_from(number).ok()) {
                    Some(number) => Ok(Some(number)),
                    None => Err(failure(path, row, Reason::NotAnInteger, "a version must be a whole number")),
                }
            }
            VersionSource::Parts { date, hour, minute, second, time } => {
                let Some(text) = text(date, row)? else { return Ok(None) };
                let Some(day) = parse_date(&text, DateFormat::Auto).map_err(|_| not_a_date(date, row))? else {
                    return Ok(None);
                };
                let mut seconds = 0;
                for (path, worth) in [(hour, 3600), (minute, 60), (second, 1)] {
                    seconds += part(path.as_ref(), row)?.clamp(0, 86_400) * worth;
                }
                if let Some(path) = time {
                    seconds += parse_packed_time(part(Some(path), row)?)
                        .ok_or_else(|| failure(path, row, Reason::NotADate, "this is not a packed time"))?;
                }
                let at = day.and_time(NaiveTime::MIN) + chrono::TimeDelta::seconds(seconds);
                Ok(Some(to_epoch(Stamp { at, offset_seconds: None }, zone)))
            }
        }
    }
}

fn failure(path: &Path, row: Row<'_, '_>, reason: Reason, detail: &str) -> Failure {
    Failure {
        below: String::new(),
        source: path.text.to_string(),
        value: path.shown(row),
        refusal: Refusal::new(reason, detail),
    }
}

fn not_a_date(path: &Path, row: Row<'_, '_>) -> Failure {
    failure(path, row, Reason::NotADate, "this is not a date and time")
}

fn text<'a>(path: &Path, row: Row<'_, 'a>) -> Result<Option<std::borrow::Cow<'a, str>>, Failure> {
    match path.get(row) {
        Ok(Scalar::Missing | Scalar::Null) => Ok(None),
        Ok(Scalar::Text(text) | Scalar::Number(text)) => Ok(Some(text)),
        Ok(Scalar::Bool(_) | Scalar::Nested(_)) => Err(not_a_date(path, row)),
        Err(refusal) => Err(failure(path, row, refusal.reason, &refusal.detail)),
    }
}

/// A part that is missing or empty counts as 0.
fn part(path: Option<&Path>, row: Row<'_, '_>) -> Result<i64, Failure> {
    let Some(path) = path else { return Ok(0) };
    match text(path, row)? {
        None => Ok(0),
        Some(text) if text.trim().is_empty() => Ok(0),
        Some(text) => parse_number(&text, NumberFormat::Dot)
            .ok()
            .filter(|number| number.fract().is_zero())
            .and_then(|number| i64::try_from(number).ok())
            .ok_or_else(|| not_a_date(path, row)),
    }
}
