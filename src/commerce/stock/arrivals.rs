//! Goods that come in through the hub: what was returned.

use rust_decimal::Decimal;
use sqlx::PgConnection;

use super::upsert::told;
use crate::{
    commerce::CommandError,
    outbox::{self, EventType, Events, Provenance},
};

/// So much of a product, in its main unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    pub product: i64,
    pub warehouse: i64,
    pub quantity: Decimal,
}

/// Adds to the levels, under their locks, with a movement and an event for each. A place without a level gets one. Where a
/// source counts the stock, its next figure takes the place of ours.
pub async fn take_in(
    conn: &mut PgConnection,
    by: &Provenance<'_>,
    reason: &str,
    arrivals: &[Arrival],
) -> Result<(), CommandError> {
    if arrivals.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query_file!(
        "src/commerce/stock/sql/take_in.sql",
        &arrivals.iter().map(|arrival| arrival.product).collect::<Vec<_>>(),
        &arrivals.iter().map(|arrival| arrival.warehouse).collect::<Vec<_>>(),
        &arrivals.iter().map(|arrival| arrival.quantity).collect::<Vec<_>>(),
        by.now,
        reason,
        by.origin,
        by.correlation_id,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut events = Events::new(EventType::StockChanged, rows.len());
    for row in rows {
        let level = (row.id, row.product_id, row.warehouse_id);
        events.push(row.id, row.revision, &told(level, row.quantity, row.revision, Some(vec!["quantity"])))?;
    }
    outbox::append(conn, by, &events).await?;
    Ok(())
}
