//! The sandbox's own now: the real clock, shifted. A simulated system stands in for a foreign machine with a clock of
//! its own, so it does not take the hub's.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use chrono::{DateTime, TimeDelta, Utc};

/// Clones share the shift.
#[derive(Debug, Clone, Default)]
pub struct SandboxClock(Arc<AtomicI64>);

impl SandboxClock {
    #[expect(clippy::disallowed_methods, reason = "the simulated machine's own clock, not the hub's")]
    pub fn now(&self) -> DateTime<Utc> {
        Utc::now() + TimeDelta::seconds(self.0.load(Ordering::Relaxed))
    }

    /// Adds to the shift; a century either way is as far as it goes.
    pub fn shift(&self, seconds: i64) {
        const CENTURY: i64 = 100 * 366 * 86_400;
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |shift| {
            Some(shift.saturating_add(seconds).clamp(-CENTURY, CENTURY))
        });
    }

    pub fn shifted_by(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}
