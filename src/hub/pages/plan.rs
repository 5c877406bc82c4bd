//! What a record means for its link, decided without the database: the newer one wins, equal content costs nothing.

use std::{cmp::Ordering, collections::HashMap};

use chrono::{DateTime, Utc};

use crate::{
    canonical::{Change, Version},
    hub::links::Link,
};

/// A record with the time at which it was received, by the database's clock.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    pub change: &'a Change<'a>,
    pub received_at: DateTime<Utc>,
}

/// How a record stands to its link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Changed,
    /// Equal content. `note`: the link's version or external id moves all the same.
    Unchanged {
        note: bool,
    },
    Stale,
}

/// Compares a record with what the link holds. `full_pass_started`: of a complete pass that the record comes from; a
/// pass that began after the link's last document beats its version.
pub fn standing(incoming: Incoming<'_>, link: &Link, full_pass_started: Option<DateTime<Utc>>) -> Standing {
    let change = incoming.change;
    let versions = compare(change.version.as_ref(), link.version.as_ref());
    if link.hash == Some(change.hash) {
        let moved = matches!(
            (versions, &change.version, &link.version),
            (Some(Ordering::Greater), ..) | (None, Some(_), None)
        );
        let recreated = change.external_id.is_some() && change.external_id.as_deref() != link.external_id.as_deref();
        return Standing::Unchanged { note: moved || (recreated && versions != Some(Ordering::Less)) };
    }
    let older = match versions {
        Some(order) => order == Ordering::Less,
        None => incoming.received_at < link.last_synced_at,
    };
    // A placeholder has seen no document yet: any is newer.
    if older && link.hash.is_some() && full_pass_started.is_none_or(|started| started <= link.last_synced_at) {
        return Standing::Stale;
    }
    Standing::Changed
}

/// Versions are ordered only within their kind.
fn compare(new: Option<&Version>, held: Option<&Version>) -> Option<Ordering> {
    match (new, held) {
        (Some(new), Some(held)) if new.kind == held.kind => Some(new.value.cmp(&held.value)),
        _ => None,
    }
}

/// The records that count, one per code and sorted by it, as places in `incoming`; the others were overtaken within
/// the page itself. Of two with the same code the newer version wins, else the later one.
pub fn fold(incoming: &[Incoming<'_>]) -> (Vec<usize>, Vec<usize>) {
    let mut winner: HashMap<&str, usize> = HashMap::with_capacity(incoming.len());
    let mut overtaken = Vec::new();
    for (place, record) in incoming.iter().enumerate() {
        match winner.entry(record.change.code.as_ref()) {
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(place);
            }
            std::collections::hash_map::Entry::Occupied(mut held) => {
                let before = incoming[*held.get()].change.version.as_ref();
                if compare(record.change.version.as_ref(), before) == Some(Ordering::Less) {
                    overtaken.push(place);
                } else {
                    overtaken.push(held.insert(place));
                }
            }
        }
    }
    let mut places: Vec<usize> = winner.into_values().collect();
    places.sort_unstable_by(|a, b| incoming[*a].change.code.cmp(&incoming[*b].change.code));
    (places, overtaken)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::canonical::Entity;

    fn change(code: &'static str, hash: u8, version: Option<i64>) -> Change<'static> {
        Change {
            entity: Entity::Brand,
            code: code.into(),
            external_id: None,
            version: version.map(|value| Version { kind: "logo.stamp".into(), value }),
            values: Vec::new(),
            hash: [hash; 16],
            ordinal: 0,
        }
    }

    fn link(hash: u8, version: Option<i64>, at: DateTime<Utc>) -> Link {
        Link {
            id: 1,
            internal_id: 1,
            code: "A".into(),
            external_id: None,
            hash: Some([hash; 16]),
            version: version.map(|value| Version { kind: "logo.stamp".into(), value }),
            last_synced_at: at,
        }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    #[test]
    fn newer_wins_equal_version_with_other_content_wins_older_is_stale() {
        let stands = |version, held| {
            let record = change("A", 2, version);
            standing(Incoming { change: &record, received_at: at(50) }, &link(1, held, at(40)), None)
        };
        assert_eq!(stands(Some(7), Some(6)), Standing::Changed);
        assert_eq!(stands(Some(6), Some(6)), Standing::Changed);
        assert_eq!(stands(Some(5), Some(6)), Standing::Stale);
        // Without a comparable version the receipt decides.
        assert_eq!(stands(None, Some(6)), Standing::Changed);
        let record = change("A", 2, None);
        let late = standing(Incoming { change: &record, received_at: at(30) }, &link(1, Some(6), at(40)), None);
        assert_eq!(late, Standing::Stale);
    }

    #[test]
    fn equal_content_is_unchanged_and_only_a_newer_version_is_noted() {
        let stands = |version, held| {
            let record = change("A", 1, version);
            standing(Incoming { change: &record, received_at: at(50) }, &link(1, held, at(40)), None)
        };
        assert_eq!(stands(Some(6), Some(6)), Standing::Unchanged { note: false });
        assert_eq!(stands(Some(5), Some(6)), Standing::Unchanged { note: false });
        assert_eq!(stands(Some(7), Some(6)), Standing::Unchanged { note: true });
        assert_eq!(stands(None, Some(6)), Standing::Unchanged { note: false });
    }

    #[test]
    fn a_full_pass_that_began_later_beats_the_version() {
        let record = change("A", 2, Some(1));
        let incoming = Incoming { change: &record, received_at: at(50) };
        assert_eq!(standing(incoming, &link(1, Some(9), at(40)), Some(at(45))), Standing::Changed);
        assert_eq!(standing(incoming, &link(1, Some(9), at(40)), Some(at(35))), Standing::Stale);
    }

    #[test]
    fn folding_keeps_the_newest_of_a_code_and_sorts_bytewise() {
        let records = [
            change("b", 1, Some(1)),
            change("A", 1, Some(5)),
            change("A", 2, Some(4)),
            change("b", 3, Some(1)),
            change("Ç", 1, None),
        ];
        let incoming: Vec<_> = records.iter().map(|change| Incoming { change, received_at: at(0) }).collect();
        let (places, overtaken) = fold(&incoming);
        assert_eq!(places, [1, 3, 4]);
        assert_eq!(overtaken, [2, 0]);
    }
}
