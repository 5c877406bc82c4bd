//! Who failed to authenticate, and how often of late.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::buckets::Subject;

/// Failures that halve what an address may ask.
pub(super) const FAILURES: u32 = 5;
/// A failure is forgiven after so long, the next one after it: a minute takes back one halving.
const FORGIVES: Duration = Duration::from_secs(12);
/// A hundredth, about, is the least.
const DEEPEST: u32 = 7;
/// Addresses that are remembered.
const MOST: usize = 20_000;

struct Penalty {
    /// When the last of its failures is forgiven.
    until: Instant,
}

impl Penalty {
    /// Failures that are not forgiven yet.
    fn at(&self, now: Instant) -> u32 {
        let left = self.until.saturating_duration_since(now).as_millis().div_ceil(FORGIVES.as_millis());
        u32::try_from(left).unwrap_or(u32::MAX)
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
        let penalty = self.0.entry(who).or_insert(Penalty { until: now });
        penalty.until = (penalty.until.max(now) + FORGIVES).min(now + FORGIVES * FAILURES * DEEPEST);
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
        let after = |minutes: u64| start + Duration::from_secs(60 * minutes);
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
    fn who_fails_now_and_then_is_forgiven_meanwhile() {
        let (mut penalties, start, who) = (Penalties::default(), Instant::now(), Subject::Address(1));
        for number in 0..1_000 {
            let now = start + Duration::from_secs(30) * number;
            penalties.failed(who.clone(), now);
            assert_eq!(penalties.level(&who, now), 0, "{number}");
        }
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
