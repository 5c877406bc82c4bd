//! Buckets by subject, one set for each size.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    net::IpAddr,
    num::NonZeroU32,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use governor::{
    Quota,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::DashMapStateStore,
};

use super::{Exceeded, Window};

const MINUTE: Duration = Duration::from_secs(60);
/// Subjects of one size that have a bucket of their own; further ones share [`CROWD`] buckets.
const MOST: usize = 100_000;
const CROWD: u64 = 1024;

/// Whose requests are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    /// An IPv6 network of 64 bits, which one subscriber has whole, counts as one.
    Address(u128),
    Key(i64),
    User(i64),
    Crowd(u64),
}

impl Subject {
    pub fn of(address: IpAddr) -> Subject {
        Subject::Address(match address.to_canonical() {
            IpAddr::V4(address) => u128::from(address.to_bits()),
            IpAddr::V6(address) => address.to_bits() & !u128::from(u64::MAX),
        })
    }

    fn in_the_crowd(&self) -> Subject {
        let mut hash = DefaultHasher::new();
        self.hash(&mut hash);
        Subject::Crowd(hash.finish() % CROWD)
    }
}

type Keyed = governor::RateLimiter<Subject, DashMapStateStore<Subject>, DefaultClock, StateInformationMiddleware>;

#[derive(Default)]
pub(super) struct Buckets {
    sizes: RwLock<HashMap<NonZeroU32, Arc<Keyed>>>,
}

impl Buckets {
    /// One request of `subject`, of `limit` a minute (at least 1).
    pub fn take(&self, limit: u32, subject: Subject) -> Result<Window, Exceeded> {
        let limit = NonZeroU32::new(limit).unwrap_or(NonZeroU32::MIN);
        let buckets = self.of_size(limit);
        let subject = if buckets.len() < MOST { subject } else { subject.in_the_crowd() };
        let (limit, one) = (limit.get(), MINUTE / limit.get());
        match buckets.check_key(&subject) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                Ok(Window { limit, remaining, reset: seconds(one * limit.saturating_sub(remaining)) })
            }
            Err(not_until) => {
                let wait = not_until.wait_time_from(DefaultClock::default().now());
                // What is missing to one is a wait; the rest of the bucket comes after it.
                let reset = seconds(wait + one * (limit - 1));
                Err(Exceeded { limit, retry_after: seconds(wait), reset })
            }
        }
    }

    fn of_size(&self, limit: NonZeroU32) -> Arc<Keyed> {
        if let Some(buckets) = self.sizes.read().unwrap_or_else(PoisonError::into_inner).get(&limit) {
            return Arc::clone(buckets);
        }
        let mut sizes = self.sizes.write().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Arc::new(governor::RateLimiter::dashmap(Quota::per_minute(limit)).with_middleware());
        Arc::clone(sizes.entry(limit).or_insert_with(fresh))
    }

    /// Drops buckets that are full again.
    pub fn forget(&self) {
        let sizes: Vec<_> = self
            .sizes
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|(size, all)| (*size, all.clone()))
            .collect();
        for (size, buckets) in sizes {
            buckets.retain_recent();
            buckets.shrink_to_fit();
            if buckets.is_empty() {
                let mut sizes = self.sizes.write().unwrap_or_else(PoisonError::into_inner);
                // Somebody may have come meanwhile.
                if sizes.get(&size).is_some_and(|now| now.is_empty()) {
                    sizes.remove(&size);
                }
            }
        }
    }
}

/// Rounded up: who waits that long may go on.
fn seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_shares_buckets() {
        let crowd: std::collections::HashSet<_> =
            (0..50_000).map(|number| Subject::Address(number).in_the_crowd()).collect();
        assert!(crowd.len() <= usize::try_from(CROWD).expect("small"));
    }

    #[test]
    fn a_size_that_nobody_uses_any_more_is_dropped() {
        let buckets = Buckets::default();
        let rate = 60_000_000;
        assert!(buckets.take(rate, Subject::Key(1)).is_ok());
        // Its one microsecond is over by the time it is looked at again.
        while !buckets.sizes.read().expect("not poisoned").is_empty() {
            std::thread::yield_now();
            buckets.forget();
        }
    }
}
