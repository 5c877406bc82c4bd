//! From where on the lane is looked at. What was claimed or routed leaves dead entries behind, which stay as long as anybody has an
//! older snapshot open (a dump, a report): who looks from the beginning walks over all of them each time.
//!
//! Invariants
//! - Nothing is missed: now and then it is looked from the beginning, the more seldom the more that costs.
//! - The router passes no event by: it begins behind a place only when every transaction that may have taken a place up to it has
//!   ended, and what they wrote was routed.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

/// What is due so long before what was claimed last is looked for still: it may have been committed later.
const MARGIN: TimeDelta = TimeDelta::seconds(2);

/// The share of the time that looks from the beginning may take, one in so many; more when something is known to lie behind.
const SELDOM: u32 = 50;
const SOON: u32 = 10;

/// When it is looked from the beginning again.
#[derive(Debug, Default)]
struct Wide {
    last: Option<Instant>,
    cost: Duration,
}

impl Wide {
    fn is_due(&self, at_least: Duration, share: u32) -> bool {
        self.last.is_none_or(|last| last.elapsed() >= at_least.max(self.cost * share))
    }

    fn looked(&mut self, cost: Duration) {
        (self.last, self.cost) = (Some(Instant::now()), cost);
    }
}

/// For each target the time from which on its deliveries are claimed.
#[derive(Debug, Default)]
pub struct Horizon {
    wide: Wide,
    from: BTreeMap<String, DateTime<Utc>>,
    behind: bool,
}

impl Horizon {
    /// How often it is looked from the beginning when that costs nothing.
    const EVERY: Duration = Duration::from_secs(1);

    pub fn is_wide(&self) -> bool {
        self.wide.is_due(Horizon::EVERY, SELDOM) || (self.behind && self.wide.is_due(Duration::ZERO, SOON))
    }

    pub fn from(&self, target: &str) -> Option<DateTime<Utc>> {
        self.from.get(target).copied()
    }

    pub fn looked(&mut self, wide: bool, cost: Duration) {
        if wide {
            self.wide.looked(cost);
            self.behind = false;
        }
    }

    /// The earliest is claimed first: what is left is due later, but for what was in somebody's hands.
    pub fn claimed(&mut self, target: &str, due_at: DateTime<Utc>) {
        let from = due_at - MARGIN;
        match self.from.get_mut(target) {
            Some(known) => *known = from.max(*known),
            None => drop(self.from.insert(target.to_owned(), from)),
        }
    }

    /// What waited behind it on its key may be due before what is looked at.
    pub fn finished(&mut self, target: &str, due_at: DateTime<Utc>, tried_before: bool) {
        self.behind |= tried_before || self.from(target).is_some_and(|from| due_at < from);
    }
}

/// The place behind which events are routed.
#[derive(Debug, Default)]
pub struct Passed {
    wide: Wide,
    place: i64,
    next: Next,
    stepped: Option<Instant>,
}

/// How far it is known that nobody writes below a place any more.
#[derive(Debug, Default, Clone, Copy)]
enum Next {
    #[default]
    Unknown,
    /// This place was given out, a while ago.
    Given(i64),
    /// And whoever wrote at that time had a number below this one.
    Written { place: i64, below: i64 },
    /// They have all ended.
    Ended(i64),
}

impl Passed {
    const EVERY: Duration = Duration::from_secs(10);
    const STEP: Duration = Duration::from_secs(1);

    /// From where on to route now, and whether that is the beginning.
    pub async fn look(&mut self, conn: &mut PgConnection) -> Result<(i64, bool), sqlx::Error> {
        if self.stepped.is_none_or(|last| last.elapsed() >= Passed::STEP) {
            self.stepped = Some(Instant::now());
            self.step(conn).await?;
        }
        let wide = self.wide.is_due(Passed::EVERY, SELDOM);
        Ok((if wide { 0 } else { self.place }, wide))
    }

    /// A place is passed on from state to state by looks that are a second apart: who has taken one has its number by then.
    async fn step(&mut self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        let row = sqlx::query!(
            r#"select coalesce(pg_sequence_last_value('hub.outbox_unrouted_seq_seq'), 0) as "given!",
                      pg_snapshot_xmin(pg_current_snapshot())::text::bigint as "oldest!",
                      pg_snapshot_xmax(pg_current_snapshot())::text::bigint as "next!""#
        )
        .fetch_one(conn)
        .await?;
        self.next = match self.next {
            Next::Unknown => Next::Given(row.given),
            Next::Given(place) => Next::Written { place, below: row.next },
            Next::Written { place, below } if row.oldest >= below => Next::Ended(place),
            waits @ (Next::Written { .. } | Next::Ended(_)) => waits,
        };
        Ok(())
    }

    /// `all`: nothing that could be seen is left.
    pub fn looked(&mut self, wide: bool, cost: Duration, all: bool) {
        if wide {
            self.wide.looked(cost);
        }
        if let (true, Next::Ended(place)) = (all, self.next) {
            (self.place, self.next) = (self.place.max(place), Next::Unknown);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(second)
    }

    #[test]
    fn it_looks_from_the_beginning_first_and_then_from_shortly_before_what_was_claimed() {
        let mut horizon = Horizon::default();
        assert!(horizon.is_wide());
        horizon.looked(true, Duration::from_secs(3_600));
        horizon.claimed("a", at(100));
        horizon.claimed("a", at(90));
        assert_eq!((horizon.from("a"), horizon.from("b")), (Some(at(98)), None));
        assert!(!horizon.is_wide(), "what costs an hour is done seldom");
    }

    #[test]
    fn what_may_lie_behind_is_looked_for_sooner() {
        let mut horizon = Horizon::default();
        horizon.looked(true, Duration::ZERO);
        horizon.claimed("a", at(100));
        horizon.finished("a", at(99), false);
        assert!(!horizon.behind);
        horizon.finished("a", at(97), false);
        assert!(horizon.is_wide());
        horizon.looked(true, Duration::ZERO);
        assert!(!horizon.behind);
        horizon.finished("a", at(100), true);
        assert!(horizon.is_wide());
    }

    #[test]
    fn a_place_is_passed_when_all_below_it_have_ended_and_are_routed() {
        let mut passed = Passed { next: Next::Ended(7), ..Passed::default() };
        passed.looked(false, Duration::ZERO, false);
        assert_eq!(passed.place, 0);
        passed.looked(false, Duration::ZERO, true);
        assert_eq!(passed.place, 7);
        assert!(matches!(passed.next, Next::Unknown));
    }
}
