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

/// A record with the time at which its document was received, by the database's clock, and its place in that document.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    pub change: &'a Change<'a>,
    pub received_at: DateTime<Utc>,
    pub ordinal: i64,
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
        Some(Ordering::Less) => true,
        Some(Ordering::Greater) => false,
        Some(Ordering::Equal) | None => (incoming.received_at, incoming.ordinal) < (link.last_synced_at, link.ordinal),
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

/// The records that count, one per code, sorted by code, as places in `incoming`; the others were overtaken within the page
/// itself, and stand beside the one that won.
pub fn fold(incoming: &[Incoming<'_>]) -> (Vec<usize>, Vec<(usize, usize)>) {
    let mut places = Vec::with_capacity(incoming.len());
    let mut overtaken = Vec::new();
    for Twins { wins, others } in twins(incoming) {
        places.push(wins);
        overtaken.extend(others.into_iter().map(|place| (place, wins)));
    }
    places.sort_unstable_by(|a, b| incoming[*a].change.code.cmp(&incoming[*b].change.code));
    (places, overtaken)
}

/// The records of one code.
#[derive(Debug, PartialEq, Eq)]
pub struct Twins {
    /// The place of the one that counts: of two the newer version, else the later one.
    pub wins: usize,
    /// The others, the next best last.
    pub others: Vec<usize>,
}

/// The records of each code.
pub fn twins(incoming: &[Incoming<'_>]) -> Vec<Twins> {
    let mut codes: HashMap<&str, usize> = HashMap::with_capacity(incoming.len());
    let mut all: Vec<Twins> = Vec::with_capacity(incoming.len());
    for (place, record) in incoming.iter().enumerate() {
        match codes.entry(record.change.code.as_ref()) {
            Entry::Vacant(free) => {
                free.insert(all.len());
                all.push(Twins { wins: place, others: Vec::new() });
            }
            Entry::Occupied(held) => {
                let Twins { wins, others } = &mut all[*held.get()];
                let is_older = |than: usize| {
                    let versions = [record, &incoming[than]].map(|record| record.change.version.as_ref());
                    compare(versions[0], versions[1]) == Some(Ordering::Less)
                };
                if !is_older(*wins) {
                    others.push(std::mem::replace(wins, place));
                    continue;
                }
                let newer = others.iter().rev().take_while(|than| is_older(**than)).count();
                others.insert(others.len() - newer, place);
            }
        }
    }
    all
}

/// Records of one external id under several codes come one after the other, in the order of the page: a card that was
/// renamed while its list was read. The places in turns of which none has an external id twice.
pub fn turns(incoming: &[Incoming<'_>], places: Vec<usize>) -> Vec<Vec<usize>> {
    let mut in_order = places.clone();
    in_order.sort_unstable();
    let mut uses: HashMap<&str, usize> = HashMap::with_capacity(places.len());
    let mut turn_of: HashMap<usize, usize> = HashMap::new();
    for place in in_order {
        let Some(id) = incoming[place].change.external_id.as_deref() else { continue };
        let uses = uses.entry(id).or_default();
        if *uses > 0 {
            turn_of.insert(place, *uses);
        }
        *uses += 1;
    }
    if turn_of.is_empty() {
        return vec![places];
    }
    let mut turns = vec![Vec::new(); turn_of.values().max().map_or(1, |last| last + 1)];
    for place in places {
        turns[turn_of.get(&place).copied().unwrap_or_default()].push(place);
    }
    turns
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
            ordinal: 0,
        }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    #[test]
    fn newer_wins_equal_version_with_other_content_wins_older_is_stale() {
        let stands = |version, held| {
            let record = change("A", 2, version);
            standing(Incoming { change: &record, received_at: at(50), ordinal: 0 }, &link(1, held, at(40)), None)
        };
        assert_eq!(stands(Some(7), Some(6)), Standing::Changed);
        assert_eq!(stands(Some(6), Some(6)), Standing::Changed);
        assert_eq!(stands(Some(5), Some(6)), Standing::Stale);
        // Without a comparable version the receipt decides.
        assert_eq!(stands(None, Some(6)), Standing::Changed);
        let record = change("A", 2, None);
        let late =
            standing(Incoming { change: &record, received_at: at(30), ordinal: 0 }, &link(1, Some(6), at(40)), None);
        assert_eq!(late, Standing::Stale);
    }

    #[test]
    fn equal_content_is_unchanged_and_only_a_newer_version_is_noted() {
        let stands = |version, held| {
            let record = change("A", 1, version);
            standing(Incoming { change: &record, received_at: at(50), ordinal: 0 }, &link(1, held, at(40)), None)
        };
        assert_eq!(stands(Some(6), Some(6)), Standing::Unchanged { note: false });
        assert_eq!(stands(Some(5), Some(6)), Standing::Unchanged { note: false });
        assert_eq!(stands(Some(7), Some(6)), Standing::Unchanged { note: true });
        assert_eq!(stands(None, Some(6)), Standing::Unchanged { note: false });
    }

    #[test]
    fn a_full_pass_that_began_later_beats_the_version() {
        let record = change("A", 2, Some(1));
        let incoming = Incoming { change: &record, received_at: at(50), ordinal: 0 };
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
        let incoming: Vec<_> =
            records.iter().map(|change| Incoming { change, received_at: at(0), ordinal: 0 }).collect();
        let (places, overtaken) = fold(&incoming);
        assert_eq!(places, [1, 3, 4]);
        assert_eq!(overtaken, [(0, 3), (2, 1)]);
    }

    #[test]
    fn names_of_one_card_come_one_after_the_other() {
        let named = |code, id| Change { external_id: Some(id), ..change(code, 1, None) };
        let records = [
            named("new", "7".into()),
            named("old", "7".into()),
            named("other", "8".into()),
            change("none", 1, None),
            named("a", "7".into()),
        ];
        let incoming: Vec<_> =
            records.iter().map(|change| Incoming { change, received_at: at(0), ordinal: 0 }).collect();
        let (places, overtaken) = fold(&incoming);
        assert_eq!((places.as_slice(), overtaken.as_slice()), ([4, 0, 3, 1, 2].as_slice(), [].as_slice()));
        assert_eq!(turns(&incoming, places), [vec![0, 3, 2], vec![1], vec![4]]);
    }

    #[test]
    fn of_one_document_the_later_record_is_newer() {
        let record = change("A", 2, Some(7));
        let held = Link { ordinal: 5, ..link(1, Some(7), at(40)) };
        let stands = |ordinal| standing(Incoming { change: &record, received_at: at(40), ordinal }, &held, None);
        assert_eq!([4, 5, 6].map(stands), [Standing::Stale, Standing::Changed, Standing::Changed]);
    }
}
