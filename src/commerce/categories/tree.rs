//! Which rows of a page would break the tree.

use std::collections::{HashMap, HashSet};

use crate::commerce::{check::violation, outcome::Violation};

/// A row that names a parent: `is_new` rows are not in the store yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Move<'a> {
    pub(super) id: i64,
    pub(super) code: &'a str,
    pub(super) is_new: bool,
    pub(super) parent: Option<i64>,
    /// Whether the row says anything about its parent.
    pub(super) moves: bool,
}

/// `stored` holds the parents of all categories that lie above those of the page. Answers the refused, by index.
pub(super) fn judge(rows: &[Move<'_>], stored: &HashMap<i64, Option<i64>>) -> HashMap<usize, Violation> {
    let mut refused: HashMap<usize, Violation> = HashMap::new();
    loop {
        let before = refused.len();
        let mut parents = stored.clone();
        for (index, row) in rows.iter().enumerate() {
            if !refused.contains_key(&index) && (row.moves || row.is_new) {
                parents.insert(row.id, row.parent);
            }
        }
        for (index, row) in rows.iter().enumerate() {
            let Some(parent) = row.parent.filter(|_| row.moves && !refused.contains_key(&index)) else { continue };
            if !parents.contains_key(&parent) {
                refused.insert(index, violation("parent", "missing_reference", parent, "does not exist"));
            } else if is_below(row.id, parent, &parents) {
                refused.insert(index, violation("parent", "cycle", row.code, "lies below the category itself"));
                // The others of this circle may be good without this one.
                break;
            }
        }
        if refused.len() == before {
            return refused;
        }
    }
}

fn is_below(id: i64, start: i64, parents: &HashMap<i64, Option<i64>>) -> bool {
    let mut seen = HashSet::new();
    let mut at = Some(start);
    while let Some(here) = at {
        if here == id {
            return true;
        }
        if !seen.insert(here) {
            return false;
        }
        at = parents.get(&here).copied().flatten();
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(id: i64, parent: Option<i64>, is_new: bool) -> Move<'static> {
        Move { id, code: "C", is_new, parent, moves: true }
    }

    #[test]
    fn circles_and_strangers() {
        let stored = HashMap::from([(1, None), (2, Some(1)), (3, Some(2))]);
        assert_eq!(judge(&[row(1, Some(3), false)], &stored)[&0].rule, "cycle");
        assert_eq!(judge(&[row(1, Some(1), false)], &stored)[&0].rule, "cycle");
        assert_eq!(judge(&[row(4, Some(9), true)], &stored)[&0].rule, "missing_reference");
        assert!(judge(&[row(4, Some(5), true), row(5, Some(3), true)], &stored).is_empty());
        assert!(judge(&[row(1, Some(3), false), row(3, None, false)], &stored).is_empty(), "it moves out of the way");
    }

    #[test]
    fn a_child_of_a_refused_row_is_refused() {
        let refused = judge(&[row(4, Some(5), true), row(5, Some(9), true), row(6, None, true)], &HashMap::new());
        let mut places: Vec<usize> = refused.into_keys().collect();
        places.sort_unstable();
        assert_eq!(places, [0, 1]);
    }

    proptest! {
        #[test]
        fn what_is_left_has_no_circle(edges in prop::collection::vec((0_i64..8, prop::option::of(0_i64..8)), 0..8)) {
            let stored: HashMap<i64, Option<i64>> = (0..8).map(|id| (id, (id > 4).then(|| id - 1))).collect();
            let edges: HashMap<i64, Option<i64>> = edges.into_iter().collect();
            let rows: Vec<Move<'_>> = edges.iter().map(|(id, parent)| row(*id, *parent, false)).collect();
            let refused = judge(&rows, &stored);
            let mut after = stored.clone();
            for (index, row) in rows.iter().enumerate() {
                if !refused.contains_key(&index) {
                    after.insert(row.id, row.parent);
                }
            }
            for (id, parent) in &after {
                if let Some(parent) = parent {
                    prop_assert!(!is_below(*id, *parent, &after));
                }
            }
        }
    }
}
