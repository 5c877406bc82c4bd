//! How much each address, each key and each person may ask.
//!
//! Invariants
//! - A limit is a bucket of its size that refills evenly within a minute.
//! - Each daemon enforces its share: the configured limit divided by the daemons that live, at least 1.
//! - An address that keeps failing to authenticate gets half as much with every few failures, and recovers by itself.
//! - Memory is bounded, however many addresses come: those at rest are dropped, too many at once share buckets.

mod buckets;
mod penalty;

use std::{
    net::IpAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant,
};

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use self::{
    buckets::{Buckets, Subject},
    penalty::Penalties,
};
use super::problem::Problem;

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// Requests a minute, of all daemons together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimits {
    pub enabled: bool,
    pub per_user: u32,
    pub per_api_key: u32,
    pub per_ip: u32,
}

/// What is left of a limit after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub limit: u32,
    pub remaining: u32,
    /// Seconds until the whole limit is there again.
    pub reset: u64,
}

/// One request too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exceeded {
    pub limit: u32,
    /// Seconds until one more is allowed.
    pub retry_after: u64,
    pub reset: u64,
}

pub(super) struct RateLimiter {
    limits: RateLimits,
    daemons: AtomicU32,
    buckets: Buckets,
    penalties: Mutex<Penalties>,
}

impl RateLimiter {
    pub fn new(limits: RateLimits) -> RateLimiter {
        let penalties = Mutex::default();
        RateLimiter { limits, daemons: AtomicU32::new(1), buckets: Buckets::default(), penalties }
    }

    /// `None`: nothing is limited.
    pub fn address(&self, address: IpAddr) -> Option<Result<Window, Exceeded>> {
        let subject = Subject::of(address);
        let level = self.lock().level(&subject, Instant::now());
        self.limits.enabled.then(|| self.buckets.take(self.share(self.limits.per_ip) >> level, subject))
    }

    /// `own` is the key's own limit, if it has one.
    pub fn key(&self, id: i64, own: Option<u32>) -> Option<Result<Window, Exceeded>> {
        let limit = own.unwrap_or(self.limits.per_api_key);
        self.limits.enabled.then(|| self.buckets.take(self.share(limit), Subject::Key(id)))
    }

    pub fn user(&self, id: i64) -> Option<Result<Window, Exceeded>> {
        self.limits.enabled.then(|| self.buckets.take(self.share(self.limits.per_user), Subject::User(id)))
    }

    /// Somebody at this address failed to authenticate.
    pub fn failed(&self, address: IpAddr) {
        self.lock().failed(Subject::of(address), Instant::now());
    }

    pub fn set_daemons(&self, alive: usize) {
        self.daemons.store(u32::try_from(alive).unwrap_or(u32::MAX).max(1), Ordering::Relaxed);
    }

    /// Forgets who is at rest.
    pub fn forget(&self) {
        self.buckets.forget();
        self.lock().forget(Instant::now());
    }

    fn share(&self, limit: u32) -> u32 {
        limit / self.daemons.load(Ordering::Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Penalties> {
        self.penalties.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    pub fn write(&self, headers: &mut HeaderMap) {
        headers.insert(LIMIT, HeaderValue::from(self.limit));
        headers.insert(REMAINING, HeaderValue::from(self.remaining));
        headers.insert(RESET, HeaderValue::from(self.reset));
    }
}

impl Exceeded {
    /// `whose`: "this address", "this API key".
    pub fn problem(&self, whose: &str) -> Problem {
        let Exceeded { limit, retry_after, .. } = self;
        let detail = format!("{whose} may send {limit} requests a minute; try again in {retry_after} s");
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "Too many requests", detail)
            .header(header::RETRY_AFTER, HeaderValue::from(*retry_after))
    }

    pub fn window(&self) -> Window {
        Window { limit: self.limit, remaining: 0, reset: self.reset }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(per_ip: u32) -> RateLimiter {
        RateLimiter::new(RateLimits { enabled: true, per_user: 6, per_api_key: 4, per_ip })
    }

    fn limit_of(limiter: &RateLimiter, address: &str) -> u32 {
        match limiter.address(address.parse().expect("an address")).expect("limited") {
            Ok(window) => window.limit,
            Err(exceeded) => exceeded.limit,
        }
    }

    #[test]
    fn a_limit_is_spent_and_says_when_it_is_back() {
        let limiter = limiter(2);
        let take = || limiter.address("203.0.113.9".parse().expect("an address")).expect("limited");
        assert_eq!(take().map(|window| window.remaining), Ok(1));
        assert_eq!(take().map(|window| window.remaining), Ok(0));
        let exceeded = take().expect_err("spent");
        assert!((1..=30).contains(&exceeded.retry_after) && exceeded.reset <= 60, "{exceeded:?}");
        // Another one has its own; addresses of one IPv6 network are one.
        assert!(limiter.address("203.0.113.10".parse().expect("an address")).expect("limited").is_ok());
        assert!(limiter.address("2001:db8::1".parse().expect("an address")).expect("limited").is_ok());
        assert!(limiter.address("2001:db8::2".parse().expect("an address")).expect("limited").is_ok());
        assert!(limiter.address("2001:db8::3".parse().expect("an address")).expect("limited").is_err());
    }

    #[test]
    fn daemons_share_a_limit_and_a_key_may_have_its_own() {
        let limiter = limiter(10);
        limiter.set_daemons(2);
        assert_eq!(limit_of(&limiter, "203.0.113.9"), 5);
        assert_eq!(limiter.key(1, None).expect("limited").map(|window| window.limit), Ok(2));
        assert_eq!(limiter.user(1).expect("limited").map(|window| window.limit), Ok(3));
        assert_eq!(limiter.key(2, Some(60)).expect("limited").map(|window| window.limit), Ok(30));
        limiter.set_daemons(1_000);
        assert_eq!(limit_of(&limiter, "203.0.113.9"), 1);
    }

    #[test]
    fn an_address_that_keeps_failing_gets_less_and_less_and_never_nothing() {
        let limiter = limiter(100);
        let address: IpAddr = "203.0.113.9".parse().expect("an address");
        let mut limits = vec![limit_of(&limiter, "203.0.113.9")];
        for _ in 0..9 {
            (0..penalty::FAILURES).for_each(|_| limiter.failed(address));
            limits.push(limit_of(&limiter, "203.0.113.9"));
        }
        assert_eq!(limits, [100, 50, 25, 12, 6, 3, 1, 1, 1, 1]);
        assert_eq!(limit_of(&limiter, "203.0.113.10"), 100);
    }

    #[test]
    fn nothing_is_limited_when_it_is_switched_off() {
        let limiter = RateLimiter::new(RateLimits { enabled: false, per_user: 1, per_api_key: 1, per_ip: 1 });
        assert_eq!(limiter.address("203.0.113.9".parse().expect("an address")), None);
        assert_eq!(limiter.key(1, Some(1)), None);
        assert_eq!(limiter.user(1), None);
    }
}
