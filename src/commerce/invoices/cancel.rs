//! An invoice of which its source says nothing more than that it is cancelled.

use std::collections::HashMap;

use sqlx::PgConnection;

use super::queries;
use crate::commerce::{CommandError, Outcome, WriteContext, account, orders, outcome::Outcomes};

/// Cancels known invoices: their orders get their quantities back, and their provisional movements do not count any more.
pub async fn cancel_invoices(
    conn: &mut PgConnection,
    cx: &WriteContext<'_>,
    ids: &[i64],
) -> Result<Vec<Outcome>, CommandError> {
    let mut outcomes = Outcomes::new(ids.len());
    queries::lock_customers(conn, &[], ids).await?;
    let lines: Vec<i64> = queries::lock_order_lines(conn, &[], ids).await?.into_iter().map(|(line, _)| line).collect();
    let rows = sqlx::query!(
        r#"with current as materialized (
               select id, status from commerce.invoice where id = any ($1) order by id for no key update
           ), changed as (
               update commerce.invoice i
               set status = 'cancelled', revision = i.revision + 1, updated_at = $2, updated_by = $3
               from current c
               where i.id = c.id and c.status <> 'cancelled'
           )
           select id as "id!", status <> 'cancelled' as "changed!" from current"#,
        ids,
        cx.by.now,
        cx.by.origin,
    )
    .fetch_all(&mut *conn)
    .await?;
    let changed: HashMap<i64, bool> = rows.into_iter().map(|row| (row.id, row.changed)).collect();
    for (place, id) in ids.iter().enumerate() {
        if let Some(changed) = changed.get(id) {
            outcomes.set(place, if *changed { Outcome::Updated } else { Outcome::Unchanged });
        }
    }
    let cancelled: Vec<i64> = changed.iter().filter(|(_, changed)| **changed).map(|(id, _)| *id).collect();
    if !cancelled.is_empty() {
        let orders = queries::sum_up(conn, &lines).await?;
        orders::invoiced(conn, &cx.by, &orders).await?;
        let keys: Vec<String> = cancelled.iter().map(|id| format!("invoice:{id}")).collect();
        account::withdraw(conn, &cx.by, &keys).await?;
    }
    Ok(outcomes.finish())
}
