//! Keys of which each belongs to one record: who may have what a page asks for.
//!
//! The first claimant in the order of the page has the key, unless a record of the store holds it. A holder that gives
//! its key up in the same page makes room.

use std::collections::{HashMap, HashSet};

use super::{
    check::violation,
    outcome::{Outcomes, Violation},
};

/// A record of the store and the key that it holds.
#[derive(Debug)]
pub(crate) struct Holder {
    pub(crate) key: String,
    pub(crate) id: i64,
    pub(crate) code: String,
}

/// A row of the page: `key` is what it asks for, if anything; `leaves` says that it gives up any other key it has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim<'a> {
    pub(crate) id: i64,
    pub(crate) code: &'a str,
    pub(crate) key: Option<&'a str>,
    pub(crate) leaves: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Index into the claims, and why.
    pub(crate) refused: HashMap<usize, Violation>,
    /// Records whose key goes to another row of this page and must be freed first.
    pub(crate) vacated: Vec<i64>,
}

pub(crate) fn settle(field: &'static str, claims: &[Claim<'_>], held: &[Holder]) -> Verdict {
    let mut verdict = Verdict::default();
    let holders: HashMap<&str, &Holder> = held.iter().map(|holder| (holder.key.as_str(), holder)).collect();
    let by_id: HashMap<i64, usize> = if held.is_empty() {
        HashMap::new()
    } else {
        claims.iter().enumerate().map(|(i, claim)| (claim.id, i)).collect()
    };
    // A refusal can take back a key that its row would have given up, so go on until nothing changes.
    loop {
        let before = verdict.refused.len();
        verdict.vacated.clear();
        let mut taken: HashMap<&str, &str> = HashMap::with_capacity(claims.len());
        for (index, claim) in claims.iter().enumerate() {
            let Some(key) = claim.key else { continue };
            if verdict.refused.contains_key(&index) {
                continue;
            }
            let owner = match holders.get(key) {
                Some(holder) if holder.id != claim.id => {
                    let leaving = by_id.get(&holder.id).is_some_and(|place| {
                        claims[*place].leaves && claims[*place].key != Some(key) && !verdict.refused.contains_key(place)
                    });
                    if leaving { None } else { Some(holder.code.as_str()) }
                }
                _ => None,
            };
            match owner.or_else(|| taken.get(key).copied()) {
                Some(owner) => {
                    let why = format!("is already that of {owner}");
                    verdict.refused.insert(index, violation(field, "unique", key, &why));
                }
                None => {
                    taken.insert(key, claim.code);
                    if let Some(holder) = holders.get(key).filter(|holder| holder.id != claim.id) {
                        verdict.vacated.push(holder.id);
                    }
                }
            }
        }
        if verdict.refused.len() == before {
            return verdict;
        }
    }
}

/// Codes: those that a page asks for and that another record has are refused; none is given up in favour of another.
pub(crate) fn codes<'a>(rows: impl Iterator<Item = (i64, &'a str)>, held: &[Holder]) -> HashMap<usize, Violation> {
    let claims: Vec<Claim<'_>> = rows.map(|(id, code)| Claim { id, code, key: Some(code), leaves: false }).collect();
    settle("code", &claims, held).refused
}

/// Takes the refused rows out of a page, and notes why.
pub(crate) fn drop_refused<T>(
    rows: Vec<T>,
    mut refused: HashMap<usize, Violation>,
    place: impl Fn(&T) -> usize,
    outcomes: &mut Outcomes,
) -> Vec<T> {
    if refused.is_empty() {
        return rows;
    }
    let mut kept = Vec::with_capacity(rows.len());
    for (index, row) in rows.into_iter().enumerate() {
        match refused.remove(&index) {
            Some(violation) => outcomes.refuse(place(&row), violation),
            None => kept.push(row),
        }
    }
    kept
}

/// The ids that occur, for `= any (…)`.
pub(crate) fn distinct(ids: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut ids: Vec<i64> = ids.collect::<HashSet<_>>().into_iter().collect();
    ids.sort_unstable();
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim<'a>(id: i64, code: &'a str, key: &'a str) -> Claim<'a> {
        Claim { id, code, key: Some(key), leaves: true }
    }

    fn holder(key: &str, id: i64, code: &str) -> Holder {
        Holder { key: key.to_owned(), id, code: code.to_owned() }
    }

    #[test]
    fn the_first_claimant_of_a_page_has_it() {
        let verdict = settle("sku", &[claim(1, "A", "x"), claim(2, "B", "x"), claim(3, "C", "y")], &[]);
        assert_eq!(verdict.refused.keys().collect::<Vec<_>>(), [&1]);
        assert!(verdict.refused[&1].detail.contains("that of A"));
    }

    #[test]
    fn a_holder_outside_the_page_keeps_it() {
        let verdict = settle("sku", &[claim(1, "A", "x")], &[holder("x", 9, "Z")]);
        assert!(verdict.refused[&0].detail.contains("that of Z"));
        let own = settle("sku", &[claim(9, "Z", "x")], &[holder("x", 9, "Z")]);
        assert!(own.refused.is_empty() && own.vacated.is_empty());
    }

    #[test]
    fn two_records_may_swap() {
        let held = [holder("x", 1, "A"), holder("y", 2, "B")];
        let mut verdict = settle("sku", &[claim(1, "A", "y"), claim(2, "B", "x")], &held);
        verdict.vacated.sort_unstable();
        assert!(verdict.refused.is_empty());
        assert_eq!(verdict.vacated, [1, 2]);
    }

    #[test]
    fn a_refused_row_gives_nothing_up() {
        let held = [holder("x", 1, "A"), holder("taken", 7, "Q")];
        let verdict = settle("sku", &[claim(1, "A", "taken"), claim(2, "B", "x")], &held);
        assert_eq!(verdict.refused.len(), 2);
        assert!(verdict.vacated.is_empty());
    }
}
