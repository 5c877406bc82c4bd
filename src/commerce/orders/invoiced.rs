//! What invoices change in orders.

use sqlx::PgConnection;

use super::events::Told;
use crate::{
    commerce::CommandError,
    outbox::{self, EventType, Events, Provenance},
};

/// Tells that invoiced quantities of these orders were written, under their row locks: a revision, a line of history and
/// an event each.
pub(crate) async fn invoiced(conn: &mut PgConnection, by: &Provenance<'_>, orders: &[i64]) -> Result<(), CommandError> {
    if orders.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query!(
        r#"with raised as (
               update commerce.sales_order
               set revision = revision + 1, updated_at = $2
               where id = any ($1)
               returning id, revision, number, customer_id, state, payment_method, total, currency
           ), noted as (
               insert into commerce.sales_order_history
                   (order_id, revision, at, action, from_state, state, actor, correlation_id)
               select id, revision, $2, 'invoiced', state, state, $3, $4 from raised
           )
           select id, revision, number, customer_id, state, payment_method, total, currency from raised order by id"#,
        orders,
        by.now,
        by.origin,
        by.correlation_id,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut events = Events::new(EventType::OrderUpdated, rows.len());
    for row in rows {
        let told = Told {
            id: row.id,
            number: &row.number,
            customer_id: row.customer_id,
            state: &row.state,
            payment_method: &row.payment_method,
            total: row.total,
            currency: &row.currency,
            revision: row.revision,
            cause: Some("invoiced"),
        };
        events.push(row.id, row.revision, &told)?;
    }
    outbox::append(conn, by, &events).await?;
    Ok(())
}
