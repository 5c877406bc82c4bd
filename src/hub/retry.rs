//! The one retry policy: how long to wait after a fault, and what a fault means for a message.
//!
//! Waiting for an open breaker or a missing reference is not retrying and spends no attempt.

use std::time::Duration;

use kopru_sdk::Fault;
use rand::RngExt;

/// The schedule of `[retry]`: 1, 2, 4, 8, 16 s by default, each within ± `jitter`.
#[derive(Debug, Clone, PartialEq)]
pub struct RetrySchedule {
    pub delays: Vec<Duration>,
    /// Share of a delay by which it may be shorter or longer, 0 to 1.
    pub jitter: f64,
    /// A remote's own wish (Retry-After) is honoured up to this.
    pub longest_wait: Duration,
}

impl Default for RetrySchedule {
    fn default() -> Self {
        Self {
            delays: [1, 2, 4, 8, 16].map(Duration::from_secs).to_vec(),
            jitter: 0.2,
            longest_wait: Duration::from_secs(3600),
        }
    }
}

impl RetrySchedule {
    /// The wait before attempt `number + 1`, after `number` failed attempts (from 1). `None`: they are used up.
    pub fn delay_after(&self, number: u32) -> Option<Duration> {
        let base = *self.delays.get(usize::try_from(number).ok()?.checked_sub(1)?)?;
        let spread = if self.jitter > 0.0 { rand::rng().random_range(-self.jitter..=self.jitter) } else { 0.0 };
        Some(base.mul_f64((1.0 + spread).max(0.0)))
    }

    /// The same schedule for [`backon`], which drives the waiting of calls that stay within one run.
    pub fn backoff(&self) -> impl Iterator<Item = Duration> + use<> {
        let schedule = self.clone();
        (1..).map_while(move |number| schedule.delay_after(number))
    }
}

/// What the engine does with a message after a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Try again by the schedule. The remote is in trouble: it counts on the breaker.
    Retry,
    /// The same, but not before this wait. The remote works and asks for patience, which says nothing of a breakdown.
    Wait { at_least: Duration },
    /// Ask the other side first what became of the last call.
    FindFirst,
    /// The connector pauses and alerts; its messages wait.
    PauseConnector,
    /// No retry can mend it.
    DeadLetter,
}

pub fn next_after(fault: &Fault, schedule: &RetrySchedule) -> Next {
    match fault {
        Fault::Transient { .. } => Next::Retry,
        Fault::RateLimited { wait, .. } => Next::Wait { at_least: wait.unwrap_or_default().min(schedule.longest_wait) },
        Fault::UnknownOutcome { .. } => Next::FindFirst,
        Fault::Unauthenticated { .. } | Fault::Contract { .. } => Next::PauseConnector,
        Fault::Permanent(_) | Fault::NotFound { .. } => Next::DeadLetter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_delays_double_within_the_jitter_and_then_end() {
        let schedule = RetrySchedule::default();
        for (number, expected) in [(1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 16.0)] {
            let delay = schedule.delay_after(number).expect("five attempts").as_secs_f64();
            assert!((delay - expected).abs() <= expected * 0.2 + 1e-9, "attempt {number}: {delay}");
        }
        assert_eq!(schedule.delay_after(6), None);
        assert_eq!(schedule.delay_after(0), None);
        assert_eq!(schedule.backoff().count(), 5);
    }

    #[test]
    fn a_remotes_wish_stretches_the_wait_within_bounds() {
        let schedule = RetrySchedule::default();
        let fault = |secs| Fault::RateLimited { wait: Some(Duration::from_secs(secs)), detail: String::new() };
        assert_eq!(next_after(&fault(30), &schedule), Next::Wait { at_least: Duration::from_secs(30) });
        assert_eq!(next_after(&fault(86_400), &schedule), Next::Wait { at_least: Duration::from_secs(3600) });
    }
}
