//! `[version]`: what orders two documents of one key.

use std::sync::Mutex;

use chrono_tz::Tz;

use crate::mapping::problem::Report;
use crate::mapping::rule::{VersionRule, VersionSource};
use crate::mapping::source::Shape;

use super::condition::path_of;
use super::section::Section;

pub(super) fn version(mut section: Section<'_>, shape: &mut Shape, report: &mut Report<'_>) -> Option<VersionRule> {
    let kind = match section.text("kind", report) {
        Some((kind, span)) => {
            let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'.';
            if kind.is_empty() || kind.len() > 40 || !kind.bytes().all(fine) {
                report.add(&span, "a version's kind is 1 to 40 of a-z, 0-9, `_` and `.`", "for example \"logo.stamp\"");
                None
            } else {
                Some(interned(&kind))
            }
        }
        None => {
            report.add(&section.span, "[version] has no `kind`", "add `kind = \"logo.stamp\"`");
            None
        }
    };
    let zone = match section.text("timezone", report) {
        None => Tz::Europe__Istanbul,
        Some((name, span)) => match name.parse::<Tz>() {
            Ok(zone) => zone,
            Err(_) => {
                report.add(&span, format!("`{name}` is no time zone"), "write one like \"Europe/Istanbul\"");
                Tz::Europe__Istanbul
            }
        },
    };
    let sources = section.sections("from", report);
    if sources.is_empty() {
        report.add(&section.span, "[version] has no `from`", "add `from = [{ stamp = \"…\" }]`");
    }
    let from = sources.into_iter().filter_map(|table| source(table, shape, report)).collect();
    section.finish(report);
    Some(VersionRule { kind: kind?, zone, from })
}

fn source(mut table: Section<'_>, shape: &mut Shape, report: &mut Report<'_>) -> Option<VersionSource> {
    let span = table.span.clone();
    let mut path = |key: &'static str, report: &mut Report<'_>| {
        let (text, at) = table.text(key, report)?;
        path_of(&text, &at, shape, report)
    };
    let stamp = path("stamp", report);
    let number = path("number", report);
    let date = path("date", report);
    let (hour, minute, second) = (path("hour", report), path("minute", report), path("second", report));
    let time = path("time", report);
    table.finish(report);
    match (stamp, number, date) {
        (Some(stamp), None, None) => Some(VersionSource::Stamp(stamp)),
        (None, Some(number), None) => Some(VersionSource::Number(number)),
        (None, None, Some(date)) => Some(VersionSource::Parts { date, hour, minute, second, time }),
        _ => {
            report.add(
                &span,
                "a source of the version is one of `stamp`, `number` or `date`",
                "write exactly one of them",
            );
            None
        }
    }
}

/// Kinds are few and live as long as the program, however often the files are loaded again.
fn interned(kind: &str) -> &'static str {
    static KINDS: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());
    let mut kinds = KINDS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(known) = kinds.iter().find(|known| **known == kind) {
        return known;
    }
    let kept: &'static str = Box::leak(kind.to_owned().into_boxed_str());
    kinds.push(kept);
    kept
}
