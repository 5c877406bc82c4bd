//! Who failed to authenticate, and how often of late.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::buckets::Subject;

/// Failures that halve what an address may ask.
pub(super) const FAILURES: u32 = 5;
/// A minute without a failure takes back one halving.
const FORGIVES: Duration = Duration::from_secs(60);
/// A hundredth, about, is the least.
const DEEPEST: u32 = 7;
/// Addresses that are remembered.
const MOST: usize = 20_000;

struct Penalty {
    failures: u32,
    last: Instant,
}

impl Penalty {
    fn at(&self, now: Instant) -> u32 {
        let minutes = now.saturating_duration_since(self.last).as_secs() / FORGIVES.as_secs();
        let forgiven = u32::try_from(minutes).unwrap_or(u32::MAX).saturating_mul(FAILURES);
        self.failures.saturating_sub(forgiven)
    }
}

#[derive(Default)]
pub(super) struct Penalties(HashMap<Subject, Penalty>);

impl Penalties {
    pub fn failed(&mut self, who: Subject, now: Instant) {
        if self.0.len() >= MOST && !self.0.contains_key(&who) {
            self.forget(now);
            if self.0.len() >= MOST {
                return;
            }
        }
        let penalty = self.0.entry(who).or_insert(Penalty { failures: 0, last: now });
        penalty.failures = (penalty.at(now) + 1).min(FAILURES * DEEPEST);
        penalty.last = now;
    }

    /// How many times the limit of this address is halved.
    pub fn level(&self, who: &Subject, now: Instant) -> u32 {
        self.0.get(who).map_or(0, |penalty| penalty.at(now) / FAILURES)
    }

    pub fn forget(&mut self, now: Instant) {
        self.0.retain(|_, penalty| penalty.at(now) > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_add_up_and_are_forgiven() {
        let (mut penalties, start, who) = (Penalties::default(), Instant::now(), Subject::Address(1));
        for _ in 0..FAILURES * 3 {
            penalties.failed(who.clone(), start);
        }
        let after = |minutes: u64| start + FORGIVES * u32::try_from(minutes).expect("few");
        assert_eq!([0, 1, 2, 3].map(|minutes| penalties.level(&who, after(minutes))), [3, 2, 1, 0]);
        penalties.forget(after(2));
        assert_eq!(penalties.0.len(), 1);
        penalties.forget(after(3));
        assert_eq!(penalties.0.len(), 0);
        for _ in 0..1_000 {
            penalties.failed(who.clone(), start);
        }
        assert_eq!(penalties.level(&who, start), DEEPEST);
    }

    #[test]
    fn many_who_fail_once_do_not_fill_the_memory() {
        let (mut penalties, now) = (Penalties::default(), Instant::now());
        for number in 0..u128::try_from(MOST).expect("small") + 10 {
            penalties.failed(Subject::Address(number), now);
        }
        assert_eq!(penalties.0.len(), MOST);
    }
}
