//! When the records of a table were created and last changed, and the records in the order of their change stamps,
//! both in closed form.
//!
//! Every third record was never changed; its stamp is its creation. The others were changed later, in an order of
//! their own (an affine permutation), [`CHANGED_TOGETHER`] in each second. Creation follows the record's number,
//! [`CREATED_TOGETHER`] in each second. All creations lie before all changes.

use super::rng::mix;
use crate::sandbox::stamp::seconds_of;

const CREATED_TOGETHER: u64 = 25;
/// No divisor of a page size, so that page borders fall among equal stamps.
const CHANGED_TOGETHER: u64 = 37;

const CREATED_FROM: i64 = seconds_of(2019, 1, 2);
const CREATED_TO: i64 = seconds_of(2023, 12, 31);
const CHANGED_FROM: i64 = seconds_of(2024, 1, 2);
const CHANGED_TO: i64 = seconds_of(2025, 12, 31);

#[derive(Debug, Clone, Copy)]
pub struct Timeline {
    seed: u64,
    count: u64,
    changed: u64,
    /// changed record number r stands at (factor · r + shift) mod changed; `inverse` undoes the factor.
    factor: u64,
    inverse: u64,
    shift: u64,
    created_step: i64,
    changed_step: i64,
}

impl Timeline {
    pub fn new(seed: u64, count: u64) -> Timeline {
        let changed = count - count.div_ceil(3);
        let modulus = changed.max(1);
        // Some number near 5/8 of the range that shares no divisor with it.
        let mut factor = (modulus / 2 + modulus / 8) | 1;
        while gcd(factor, modulus) != 1 {
            factor += 2;
        }
        let steps = |span: i64, count: u64, together: u64| (span / (count / together + 1) as i64).max(1);
        Timeline {
            seed,
            count,
            changed,
            factor: factor % modulus,
            inverse: invert(factor % modulus, modulus),
            shift: mix(seed, 0, 0) % modulus,
            created_step: steps(CREATED_TO - CREATED_FROM, count, CREATED_TOGETHER),
            changed_step: steps(CHANGED_TO - CHANGED_FROM, changed, CHANGED_TOGETHER),
        }
    }

    /// The record's creation, and its last change if it had one; local seconds.
    pub fn stamps(&self, index: u64) -> (i64, Option<i64>) {
        let created = self.created(index);
        if index.is_multiple_of(3) {
            return (created, None);
        }
        let modulus = u128::from(self.changed.max(1));
        let rank = u128::from(index - index / 3 - 1);
        let place = ((u128::from(self.factor) * rank + u128::from(self.shift)) % modulus) as u64;
        (created, Some(self.changed_at(place)))
    }

    /// The latest stamp of all.
    pub fn end(&self) -> i64 {
        if self.changed > 0 { self.changed_at(self.changed - 1) } else { self.created(self.count.saturating_sub(1)) }
    }

    /// Records in the order of (stamp, index), from the first whose stamp is at least `since`.
    pub fn since(&self, since: i64) -> Since {
        let never = self.count.div_ceil(3);
        let rank = first_where(never, |rank| self.created(rank * 3) >= since);
        let groups = self.changed.div_ceil(CHANGED_TOGETHER);
        let group = first_where(groups, |group| self.changed_at(group * CHANGED_TOGETHER) >= since);
        Since { line: *self, never: rank, group, together: Vec::new() }
    }

    fn created(&self, index: u64) -> i64 {
        let group = index / CREATED_TOGETHER;
        CREATED_FROM + group as i64 * self.created_step + self.within(1, group, self.created_step)
    }

    fn changed_at(&self, place: u64) -> i64 {
        let group = place / CHANGED_TOGETHER;
        CHANGED_FROM + group as i64 * self.changed_step + self.within(2, group, self.changed_step)
    }

    /// Somewhere within its step: stamps of different groups keep their order and look unlike each other.
    fn within(&self, subject: u64, group: u64, step: i64) -> i64 {
        (mix(self.seed, subject, group) % step.unsigned_abs()) as i64
    }

    fn index_at(&self, place: u64) -> u64 {
        let modulus = u128::from(self.changed.max(1));
        let back = u128::from(place) + modulus - u128::from(self.shift);
        let rank = (u128::from(self.inverse) * back % modulus) as u64;
        rank + rank / 2 + 1
    }
}

/// See [`Timeline::since`].
#[derive(Debug)]
pub struct Since {
    line: Timeline,
    /// Next of the records that were never changed, as a third of its index.
    never: u64,
    /// Next group of equal stamps.
    group: u64,
    /// What is left of the group in hand, highest index first.
    together: Vec<(i64, u64)>,
}

impl Iterator for Since {
    type Item = (i64, u64);

    fn next(&mut self) -> Option<(i64, u64)> {
        let line = self.line;
        if self.never * 3 < line.count {
            let index = self.never * 3;
            self.never += 1;
            return Some((line.created(index), index));
        }
        if self.together.is_empty() {
            let from = self.group * CHANGED_TOGETHER;
            let to = (from + CHANGED_TOGETHER).min(line.changed);
            if from < to {
                let stamp = line.changed_at(from);
                self.together.extend((from..to).map(|place| (stamp, line.index_at(place))));
                self.together.sort_unstable_by(|a, b| b.cmp(a));
                self.group += 1;
            }
        }
        self.together.pop()
    }
}

/// The first number below `count` for which a predicate holds that, once true, stays true; `count` if none.
fn first_where(count: u64, holds: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

const fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// x with a·x ≡ 1 (mod m), for a that shares no divisor with m.
fn invert(a: u64, modulus: u64) -> u64 {
    let m = i128::from(modulus);
    let (mut r0, mut r1, mut t0, mut t1) = (m, i128::from(a), 0_i128, 1_i128);
    while r1 > 0 {
        let q = r0 / r1;
        (r0, r1) = (r1, r0 - q * r1);
        (t0, t1) = (t1, t0 - q * t1);
    }
    t0.rem_euclid(m) as u64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_order_by_stamp_is_the_order_of_the_stamps() {
        for count in [1, 2, 3, 7, 206, 1_000, 20_006] {
            let line = Timeline::new(9, count);
            let listed: Vec<(i64, u64)> = line.since(i64::MIN).collect();
            assert_eq!(listed.len() as u64, count);
            assert_eq!(listed.iter().map(|row| row.1).collect::<BTreeSet<_>>().len() as u64, count);
            assert!(listed.is_sorted(), "{count}");
            for &(stamp, index) in &listed {
                let (created, changed) = line.stamps(index);
                assert_eq!(changed.unwrap_or(created), stamp);
                assert!(changed.is_none_or(|changed| changed > created));
            }
            assert_eq!(listed.last().map(|row| row.0), Some(line.end()));
            let (middle, _) = listed[listed.len() / 2];
            let later: Vec<_> = listed.iter().copied().filter(|row| row.0 >= middle).collect();
            assert_eq!(line.since(middle).collect::<Vec<_>>(), later);
        }
    }

    #[test]
    fn many_records_share_a_second() {
        let line = Timeline::new(1, 20_000);
        let stamps: BTreeSet<i64> = line.since(i64::MIN).map(|row| row.0).collect();
        assert!(stamps.len() < 20_000 / 8, "{}", stamps.len());
        assert!(line.end() < CHANGED_TO + line.changed_step);
    }
}
