//! Invoices that came before it was known which lines of ours they are of.

use sqlx::PgConnection;

use super::queries;
use crate::commerce::{
    CommandError, WriteContext,
    account::{self, EntryKind, PostError, Posting},
    orders,
};

/// These order lines of ours have got references of `cx.by.origin`: invoices that named them by those are of them from now on, and
/// of their order. The customers are locked.
pub(crate) async fn bind(conn: &mut PgConnection, cx: &WriteContext<'_>, lines: &[i64]) -> Result<(), CommandError> {
    let bound = sqlx::query_scalar!(
        r#"with bound as (
               update commerce.invoice_line v
               set order_line_id = r.line_id
               from commerce.order_line_reference r
               join commerce.sales_order_line l on l.id = r.line_id
               join commerce.sales_order o on o.id = l.order_id
               join commerce.invoice i on i.origin = r.origin and i.customer_id = o.customer_id
               where r.line_id = any ($1) and r.origin = $2
                   and v.invoice_id = i.id and v.order_reference = r.external_id and v.order_line_id is null
               returning v.invoice_id, l.order_id
           ), named as (
               update commerce.invoice i
               set order_id = b.order_id, revision = i.revision + 1, updated_at = $3, updated_by = $2
               from (select invoice_id, min(order_id) as order_id from bound group by invoice_id
                     having count(distinct order_id) = 1) b
               where i.id = b.invoice_id and i.order_id is null
           )
           select distinct invoice_id as "id!" from bound order by 1"#,
        lines,
        cx.by.origin,
        cx.by.now,
    )
    .fetch_all(&mut *conn)
    .await?;
    if bound.is_empty() {
        return Ok(());
    }
    let orders = queries::sum_up(conn, lines).await?;
    orders::invoiced(conn, &cx.by, &orders).await?;
    post(conn, cx, &bound).await
}

/// What these invoices owe, until the ERP's movements come.
async fn post(conn: &mut PgConnection, cx: &WriteContext<'_>, invoices: &[i64]) -> Result<(), CommandError> {
    let rows = sqlx::query!(
        "select id, customer_id, order_id, kind, status, number, currency, total, issued_on, due_date
         from commerce.invoice where id = any ($1) order by id",
        invoices,
    )
    .fetch_all(&mut *conn)
    .await?;
    let keys: Vec<String> = rows.iter().map(|row| format!("invoice:{}", row.id)).collect();
    let postings: Vec<Posting<'_>> = rows
        .iter()
        .zip(&keys)
        .map(|(row, key)| {
            let zero = rust_decimal::Decimal::ZERO;
            let (kind, debit, credit) = match row.kind.as_str() {
                "return" => (EntryKind::Return, zero, row.total),
                _ => (EntryKind::Invoice, row.total, zero),
            };
            Posting {
                key,
                customer: row.customer_id,
                kind,
                currency: &row.currency,
                debit,
                credit,
                booked_at: row.issued_on,
                due_date: row.due_date,
                document_number: Some(&row.number),
                reference: None,
                description: None,
                order: row.order_id,
                is_cancelled: row.status == "cancelled",
            }
        })
        .collect();
    account::post(conn, cx, &postings).await.map_err(|error| match error {
        PostError::Command(error) => error,
        PostError::Refused(violation) => CommandError::Database(sqlx::Error::Protocol(violation.detail)),
    })
}
