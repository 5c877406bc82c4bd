//! The day of a moment, as books are kept: Istanbul's.

use chrono::{DateTime, NaiveDate, Utc};

pub fn day_of(now: DateTime<Utc>) -> NaiveDate {
    now.with_timezone(&chrono_tz::Europe::Istanbul).date_naive()
}
