//! The program's clock: the one place that reads the wall clock.
//!
//! Business rules take `now` from here; leases and due times are decided by the database's clock instead.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

/// Cheap to clone; all clones show the same time.
#[derive(Debug, Clone)]
pub struct Clock {
    /// `None` follows the wall clock.
    stopped_at: Option<DateTime<Utc>>,
    /// What [`Clock::advance`] added, in microseconds.
    offset: Arc<AtomicI64>,
}

impl Clock {
    pub fn system() -> Clock {
        Clock { stopped_at: None, offset: Arc::default() }
    }

    /// A clock that stands still until it is advanced.
    pub fn fixed(at: DateTime<Utc>) -> Clock {
        Clock { stopped_at: Some(at), offset: Arc::default() }
    }

    /// Whole microseconds, which is what PostgreSQL keeps: a time read back equals the one that was written.
    #[expect(clippy::disallowed_methods, reason = "the one permitted place")]
    pub fn now(&self) -> DateTime<Utc> {
        let base = self.stopped_at.unwrap_or_else(Utc::now);
        let now = base + TimeDelta::microseconds(self.offset.load(Ordering::Acquire));
        now.duration_trunc(TimeDelta::microseconds(1)).unwrap_or(now)
    }

    /// Moves every clone of this clock.
    pub fn advance(&self, by: TimeDelta) {
        let micros = by.num_microseconds().unwrap_or(i64::MAX);
        self.offset.fetch_add(micros, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_clock_moves_only_when_told_and_for_all_its_clones() {
        let start = DateTime::from_timestamp(1_772_200_000, 123_456_789).expect("in range");
        let clock = Clock::fixed(start);
        let clone = clock.clone();
        assert_eq!(clock.now().timestamp_subsec_nanos(), 123_456_000);
        clock.advance(TimeDelta::hours(2));
        assert_eq!(
            clone.now() - start.duration_trunc(TimeDelta::microseconds(1)).expect("in range"),
            TimeDelta::hours(2)
        );
    }
}
