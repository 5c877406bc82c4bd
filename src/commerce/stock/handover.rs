//! Reservations that go over into the source's own figures.
//!
//! A reservation holds goods until the source's figure of the level contains the order. That is so from a fact on: the source
//! took the order, or shipped it ([`Contained`]). Before a reading of stock begins, what follows from facts that are
//! committed by then is written down ([`mark`]); when a level of that reading is written, or was found unchanged, it
//! ends ([`end`]), in the same transaction. So a quantity is held by one of the two at any moment: never by none, since a
//! figure that was read later contains what was a fact before; and by both no longer than until that figure is written.
//!
//! Reservations are locked before levels, as by everybody who ends them ([`lock`]).

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// From which fact on the source's figures contain an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contained {
    /// It has the order: what is ordered is taken off its figure.
    WhenTaken,
    /// It has the order and reserved its goods; of other orders, it shipped the line.
    WhenReserved,
    /// It shipped the line: only what left the house is.
    WhenShipped,
}

impl Contained {
    const fn cause(self) -> &'static str {
        match self {
            // Of both kinds, and the row does not say which it was.
            Contained::WhenTaken | Contained::WhenReserved => "linked",
            Contained::WhenShipped => "shipped",
        }
    }
}

/// Orders that the source has and that hold something still.
pub async fn holding(conn: &mut PgConnection) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        "select distinct r.order_id from commerce.stock_reservation r
         join commerce.sales_order o on o.id = r.order_id
         where r.open > 0 and o.sent_at is not null
         order by 1"
    )
    .fetch_all(conn)
    .await
}

/// Writes down what of these orders' reservations the source's figures contain by now; to be committed before they are read.
pub async fn mark(conn: &mut PgConnection, contained: Contained, orders: &[i64]) -> Result<(), sqlx::Error> {
    sqlx::query_file!(
        "src/commerce/stock/sql/mark_due.sql",
        orders,
        contained == Contained::WhenTaken,
        contained == Contained::WhenReserved
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Locks what is due, if anything is: before any level is.
pub async fn lock(conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let rows = sqlx::query_scalar!(
        "select order_id from commerce.stock_reservation
         where due > 0
         order by order_id, line_id, stock_level_id
         for update"
    )
    .fetch_all(conn)
    .await?;
    Ok(!rows.is_empty())
}

/// Levels on which something is due.
pub async fn levels(conn: &mut PgConnection) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!("select distinct stock_level_id from commerce.stock_reservation where due > 0 order by 1")
        .fetch_all(conn)
        .await
}

/// Ends what is due on these levels. How many reservations that was of.
pub async fn end(
    conn: &mut PgConnection,
    contained: Contained,
    levels: &[i64],
    now: DateTime<Utc>,
) -> Result<i64, sqlx::Error> {
    sqlx::query_file_scalar!("src/commerce/stock/sql/end_due.sql", levels, now, contained.cause()).fetch_one(conn).await
}
