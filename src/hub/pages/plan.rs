//! What a record means for its link, decided without the database: the newer one wins, equal content costs nothing.

use std::{
    cmp::Ordering,
    collections::{HashMap, hash_map::Entry},
};

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

/// Compares a record with what the link holds.
pub fn standing(incoming: Incoming<'_>, link: &Link, full_pass_started: Option<DateTime<Utc>>) -> Standing {
    let change = incoming.change;
    let equal = link.hash == Some(change.hash);
    if is_older(incoming, link, full_pass_started) {
        return if equal { Standing::Unchanged { note: false } } else { Standing::Stale };
    }
    if !equal {
        return Standing::Changed;
    }
    let moved = match (compare(change.version.as_ref(), link.version.as_ref()), &change.version, &link.version) {
        // A smaller one comes this far only with a complete pass.
        (Some(order), ..) => order != Ordering::Equal,
        (None, Some(_), None) => true,
        (None, ..) => false,
    };
    let recreated = change.external_id.is_some() && change.external_id.as_deref() != link.external_id.as_deref();
    Standing::Unchanged { note: moved || recreated }
}

/// Whether the link has seen a newer document. `full_pass_started`: of a complete pass that the record comes from; one
/// that began after the link's last document beats its version.
pub fn is_older(incoming: Incoming<'_>, link: &Link, full_pass_started: Option<DateTime<Utc>>) -> bool {
    let older = match compare(incoming.change.version.as_ref(), link.version.as_ref()) {
        Some(order) => order == Ordering::Less,
        None => incoming.received_at < link.last_synced_at,
    };
    // A placeholder has seen no document yet: any is newer.
    older && link.hash.is_some() && full_pass_started.is_none_or(|started| started <= link.last_synced_at)
}

/// Versions are ordered only within their kind.
fn compare(new: Option<&Version>, held: Option<&Version>) -> Option<Ordering> {
    match (new, held) {
        (Some(new), Some(held)) if new.kind == held.kind => Some(new.value.cmp(&held.value)),
        _ => None,
    }
}

/// The records that count, one per code and per external id, sorted by code, as places in `incoming`; the others were
/// overtaken within the page itself, and stand beside the one that won. Of two the newer version wins, else the later one.
pub fn fold(incoming: &[Incoming<'_>]) -> (Vec<usize>, Vec<(usize, usize)>) {
    let mut overtaken = Vec::new();
    let places = newest(incoming, 0..incoming.len(), &mut overtaken, |change| Some(change.code.as_ref()));
    // A card that was renamed while its list was read comes under both names.
    let mut places = newest(incoming, places, &mut overtaken, |change| change.external_id.as_deref());
    places.sort_unstable_by(|a, b| incoming[*a].change.code.cmp(&incoming[*b].change.code));
    let winner: HashMap<usize, usize> = overtaken.iter().copied().collect();
    for (_, by) in &mut overtaken {
        // Who won by code may have lost by external id.
        while let Some(better) = winner.get(by) {
            *by = *better;
        }
    }
    (places, overtaken)
}

/// One place for each key; records without a key all stay.
fn newest<'a>(
    incoming: &[Incoming<'a>],
    places: impl IntoIterator<Item = usize>,
    overtaken: &mut Vec<(usize, usize)>,
    key: impl Fn(&'a Change<'a>) -> Option<&'a str>,
) -> Vec<usize> {
    let mut keyless = Vec::new();
    let mut winner: HashMap<&str, usize> = HashMap::with_capacity(incoming.len());
    for place in places {
        let Some(key) = key(incoming[place].change) else {
            keyless.push(place);
            continue;
        };
        match winner.entry(key) {
            Entry::Vacant(free) => {
                free.insert(place);
            }
            Entry::Occupied(mut held) => {
                let (first, later) = (place.min(*held.get()), place.max(*held.get()));
                let versions = [first, later].map(|place| incoming[place].change.version.as_ref());
                let wins = if compare(versions[1], versions[0]) == Some(Ordering::Less) { first } else { later };
                overtaken.push((if wins == first { later } else { first }, wins));
                held.insert(wins);
            }
        }
    }
    keyless.extend(winner.into_values());
    keyless
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
        // Equal content: the version is put right.
        assert_eq!(standing(incoming, &link(2, Some(9), at(40)), Some(at(45))), Standing::Unchanged { note: true });
        assert_eq!(standing(incoming, &link(2, Some(9), at(40)), Some(at(35))), Standing::Unchanged { note: false });
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
        assert_eq!(overtaken, [(2, 1), (0, 3)]);
    }

    #[test]
    fn folding_keeps_one_name_of_a_card() {
        let named = |code, version, id| Change { external_id: Some(id), ..change(code, 1, Some(version)) };
        let records = [
            named("new", 2, "7".into()),
            named("old", 1, "7".into()),
            named("other", 1, "8".into()),
            change("none", 1, None),
        ];
        let incoming: Vec<_> = records.iter().map(|change| Incoming { change, received_at: at(0) }).collect();
        let (places, overtaken) = fold(&incoming);
        assert_eq!(places, [0, 3, 2]);
        assert_eq!(overtaken, [(1, 0)]);
    }
}
