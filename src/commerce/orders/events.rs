//! What is told of an order.

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::Serialize;
use sqlx::PgConnection;

use super::error::OrderError;
use crate::outbox::{self, EventType, Events, Provenance};

/// The day in Istanbul, which is an order's.
pub(crate) fn istanbul_day(now: DateTime<Utc>) -> NaiveDate {
    now.with_timezone(&chrono_tz::Europe::Istanbul).date_naive()
}

/// An order in an event: what it is, and no person's data.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Told<'a> {
    pub(super) id: i64,
    pub(super) number: &'a str,
    pub(super) customer_id: i64,
    pub(super) state: &'a str,
    pub(super) payment_method: &'a str,
    #[serde(serialize_with = "super::view::amount")]
    pub(super) total: Decimal,
    pub(super) currency: &'a str,
    pub(super) revision: i64,
    /// Why it was cancelled, or what of it changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cause: Option<&'static str>,
}

/// Appends events of one order, one revision each from `told.revision` on.
pub(super) async fn tell(
    conn: &mut PgConnection,
    by: &Provenance<'_>,
    kinds: &[EventType],
    told: &Told<'_>,
) -> Result<(), OrderError> {
    let mut events = Vec::with_capacity(kinds.len());
    for (kind, revision) in kinds.iter().zip(told.revision..) {
        let mut one = Events::new(*kind, 1);
        one.push(told.id, revision, &Told { revision, ..told.clone() })?;
        events.push(one);
    }
    outbox::append_all(conn, by, &events).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_is_istanbuls() {
        let day = |text: &str| istanbul_day(text.parse().expect("a time")).to_string();
        assert_eq!(day("2026-03-02T20:59:59Z"), "2026-03-02");
        assert_eq!(day("2026-03-02T21:00:00Z"), "2026-03-03");
    }
}
