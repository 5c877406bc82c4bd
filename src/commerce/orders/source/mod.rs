//! What an ERP says of orders of ours that it took.
//!
//! Invariants
//! - Nothing here makes an order; orders of the ERP's that are not ours never come here.
//! - Quantities, what was shipped, prices and the cancellation are the ERP's word and are taken over as a revision. What was agreed
//!   is kept beside its figures, and what differs from it is told as long as it does.
//! - The customers of the orders are locked first, then the orders, each by rising id: invoices do the same, and bind themselves to
//!   the references that are learned here, whichever of the two comes first.

mod differences;
mod figures;
mod plan;
mod write;

use std::collections::HashMap;

use rust_decimal::Decimal;
use sqlx::PgConnection;

pub use differences::{Difference, DifferenceFilter, differences};
pub use plan::{SourceLine, SourceOrder};

use self::plan::{Ours, plan};
use super::{error::OrderError, moves};
use crate::{
    commerce::{CommandError, Outcome, WriteContext, outcome::Outcomes},
    principal::Scope,
};

/// Takes over what the ERP `cx.by.origin` says of these orders.
pub async fn upsert_orders(
    conn: &mut PgConnection,
    cx: &WriteContext<'_>,
    rows: &[SourceOrder<'_>],
) -> Result<Vec<Outcome>, CommandError> {
    let mut outcomes = Outcomes::new(rows.len());
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    write::lock_customers(conn, &ids).await?;
    let mut held: HashMap<i64, moves::Held> = HashMap::new();
    let mut rising = ids.clone();
    rising.sort_unstable();
    for id in rising {
        match moves::lock(conn, Scope::house(), id).await {
            Ok(order) => drop(held.insert(id, order)),
            // The link leads nowhere, which the outcome tells.
            Err(OrderError::NotFound) => {}
            Err(error) => return Err(of_order(error)),
        }
    }
    let mut lines: HashMap<i64, Vec<Ours>> = HashMap::new();
    for line in write::lines(conn, cx.by.origin, &ids).await? {
        lines.entry(line.order_id).or_default().push(line);
    }
    let heads: HashMap<i64, write::Head> =
        write::heads(conn, &ids).await?.into_iter().map(|head| (head.id, head)).collect();
    for (place, row) in rows.iter().enumerate() {
        let (Some(order), Some(head)) = (held.get(&row.id), heads.get(&row.id)) else { continue };
        let row = row.clone().in_currency(&head.currency);
        let state = order.state().map_err(of_order)?;
        let ours = lines.get(&row.id).map(Vec::as_slice).unwrap_or_default();
        let mut plan = plan(state, ours, &row);
        if let Some(theirs) = row.currency.filter(|theirs| *theirs != head.currency) {
            plan.differences.push(("currency".to_owned(), head.currency.clone(), theirs.to_owned()));
        }
        let number = row.number.filter(|number| head.number.as_deref() != Some(*number));
        let changed = write::apply(conn, cx, order, &plan, number).await.map_err(of_order)?;
        outcomes.set(place, if changed { Outcome::Updated } else { Outcome::Unchanged });
    }
    Ok(outcomes.finish())
}

fn of_order(error: OrderError) -> CommandError {
    match error {
        OrderError::Database(error) => CommandError::Database(error),
        OrderError::Event(error) => CommandError::Event(error),
        // The plan makes moves of the table only.
        other => CommandError::Database(sqlx::Error::Protocol(other.to_string())),
    }
}

/// The orders with these numbers of ours: number and id.
pub async fn ids_by_number(conn: &mut PgConnection, numbers: &[&str]) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let rows = sqlx::query!("select number, id from commerce.sales_order where number = any ($1)", numbers as _)
        .fetch_all(conn)
        .await?;
    Ok(rows.into_iter().map(|row| (row.number, row.id)).collect())
}

/// The lines of orders: order, place and line.
pub async fn lines_by_place(conn: &mut PgConnection, orders: &[i64]) -> Result<Vec<(i64, i64, i64)>, sqlx::Error> {
    let rows =
        sqlx::query!("select order_id, position, id from commerce.sales_order_line where order_id = any ($1)", orders)
            .fetch_all(conn)
            .await?;
    Ok(rows.into_iter().map(|row| (row.order_id, row.position.into(), row.id)).collect())
}

/// As people write a figure.
fn plain(figure: Decimal) -> String {
    figure.normalize().to_string()
}
