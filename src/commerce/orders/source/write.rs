//! Statements of what an ERP says of orders.

use rust_decimal::Decimal;
use sqlx::PgConnection;

use super::plan::{LinePlan, Ours, Plan};
use crate::{
    commerce::{
        CommandError, WriteContext, invoices,
        orders::{
            State,
            error::OrderError,
            moves::{self, Change, Held},
            queries::release,
        },
    },
    outbox::EventType,
};

/// Locks the customers of these orders by rising id.
pub(super) async fn lock_customers(conn: &mut PgConnection, orders: &[i64]) -> Result<(), sqlx::Error> {
    sqlx::query_scalar!(
        "select id from commerce.customer
         where id in (select customer_id from commerce.sales_order where id = any ($1))
         order by id
         for no key update",
        orders,
    )
    .fetch_all(conn)
    .await?;
    Ok(())
}

pub(super) async fn lines(conn: &mut PgConnection, origin: &str, orders: &[i64]) -> Result<Vec<Ours>, sqlx::Error> {
    sqlx::query_as!(
        Ours,
        r#"select l.id, l.order_id, l.position, l.kind <> 'product' as "is_service!", l.code, l.unit, l.ordered, l.shipped,
               l.cancelled, l.unit_price, l.listed_price, l.vat_included, l.agreed_quantity, l.agreed_base, l.agreed_vat, l.amount, l.discount, l.vat_rate, l.vat_base, l.vat, r.external_id as "reference?"
           from commerce.sales_order_line l
           left join commerce.order_line_reference r on r.line_id = l.id and r.origin = $2
           where l.order_id = any ($1)
           order by l.order_id, l.position"#,
        orders,
        origin,
    )
    .fetch_all(conn)
    .await
}

/// What of an order its lines do not tell.
pub(super) struct Head {
    pub(super) id: i64,
    /// The ERP's, as far as it is known.
    pub(super) number: Option<String>,
    pub(super) currency: String,
}

pub(super) async fn heads(conn: &mut PgConnection, orders: &[i64]) -> Result<Vec<Head>, sqlx::Error> {
    sqlx::query_as!(
        Head,
        "select id, external_number as number, currency from commerce.sales_order where id = any ($1)",
        orders,
    )
    .fetch_all(conn)
    .await
}

/// Writes a plan. `number`: the ERP's, when it is another one than we know. Whether anything changed.
pub(super) async fn apply(
    conn: &mut PgConnection,
    cx: &WriteContext<'_>,
    held: &Held,
    plan: &Plan<'_>,
    number: Option<&str>,
) -> Result<bool, OrderError> {
    let differs = note_differences(conn, cx, held.id, plan).await?;
    let changed = number.is_some() || !plan.lines.is_empty() || plan.to.is_some();
    if changed {
        revise(conn, cx, held, plan, number).await?;
    }
    // Behind the order's own revision: an invoice that is bound raises another one.
    if !plan.references.is_empty() {
        learn(conn, cx, &plan.references).await.map_err(back)?;
    }
    Ok(changed || differs || !plan.references.is_empty())
}

async fn revise(
    conn: &mut PgConnection,
    cx: &WriteContext<'_>,
    held: &Held,
    plan: &Plan<'_>,
    number: Option<&str>,
) -> Result<(), OrderError> {
    let (by, state) = (&cx.by, held.state()?);
    if let Some(number) = number {
        sqlx::query!("update commerce.sales_order set external_number = $2 where id = $1", held.id, number)
            .execute(&mut *conn)
            .await?;
    }
    // Reservations and levels before lines, as everywhere.
    if plan.to == Some(State::Cancelled) {
        release(conn, by.now, &[held.id], "cancelled").await?;
    } else {
        free(conn, cx, &plan.lines).await?;
    }
    write_lines(conn, held.id, &plan.lines, plan.to == Some(State::Cancelled)).await?;
    let (to, action, audited, event, cause) = match plan.to {
        Some(State::Cancelled) => {
            (State::Cancelled, "cancelled", "order.cancelled", EventType::OrderCancelled, Some("cancelled"))
        }
        Some(State::Shipped) => (State::Shipped, "shipped", "order.shipped", EventType::OrderShipped, None),
        other => (other.unwrap_or(state), "updated", "order.updated", EventType::OrderUpdated, Some("erp")),
    };
    let change = Change { to, action, audited, events: &[event], cause, note: None, detail: None };
    moves::write(conn, by, held, &change, None).await
}

fn back(error: CommandError) -> OrderError {
    match error {
        CommandError::Database(error) => OrderError::Database(error),
        CommandError::Event(error) => OrderError::Event(error),
    }
}

/// Keeps what the ERP calls lines of ours; invoices that named them so are of them from now on.
async fn learn(conn: &mut PgConnection, cx: &WriteContext<'_>, references: &[(i64, &str)]) -> Result<(), CommandError> {
    let lines: Vec<i64> = references.iter().map(|(line, _)| *line).collect();
    sqlx::query!(
        "insert into commerce.order_line_reference (line_id, origin, external_id)
         select line_id, $1, external_id from unnest($2::bigint[], $3::text[]) as r (line_id, external_id)
         on conflict (origin, external_id) do update set line_id = excluded.line_id",
        cx.by.origin,
        &lines,
        &references.iter().map(|(_, reference)| *reference).collect::<Vec<_>>() as _,
    )
    .execute(&mut *conn)
    .await?;
    invoices::bind(conn, cx, &lines).await
}

/// What of the lines is not wanted any more is not held back any more.
async fn free(conn: &mut PgConnection, cx: &WriteContext<'_>, lines: &[LinePlan]) -> Result<(), sqlx::Error> {
    let freed: Vec<&LinePlan> = lines.iter().filter(|line| line.freed > Decimal::ZERO).collect();
    if freed.is_empty() {
        return Ok(());
    }
    sqlx::query_file!(
        "src/commerce/orders/sql/free.sql",
        &freed.iter().map(|line| line.id).collect::<Vec<_>>(),
        &freed.iter().map(|line| line.freed).collect::<Vec<_>>(),
        cx.by.now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// `released`: what is not shipped of them was cancelled already.
async fn write_lines(
    conn: &mut PgConnection,
    order: i64,
    lines: &[LinePlan],
    released: bool,
) -> Result<(), sqlx::Error> {
    if lines.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "with changed as (
             update commerce.sales_order_line l
             set ordered = c.ordered, shipped = c.shipped,
                 cancelled = case when $9 then greatest(c.ordered - c.shipped, 0) else c.cancelled end,
                 confirmed = case when $9 then l.confirmed else c.ordered - c.cancelled end,
                 amount = c.amount, discount = c.discount, vat_base = c.amount - c.discount, vat = c.vat,
                 unit_price = c.unit_price, listed_price = c.listed_price,
                 agreed_quantity = coalesce(l.agreed_quantity, case when c.is_repriced then l.ordered end),
                 agreed_base = coalesce(l.agreed_base, case when c.is_repriced then l.vat_base end),
                 agreed_vat = coalesce(l.agreed_vat, case when c.is_repriced then l.vat end)
             from unnest($2::bigint[], $3::numeric[], $4::numeric[], $5::numeric[], $6::numeric[], $7::numeric[],
                         $8::numeric[], $10::numeric[], $11::numeric[], $12::boolean[])
                      as c (id, ordered, shipped, cancelled, amount, discount, vat, unit_price, listed_price, is_repriced)
             where l.id = c.id
             returning l.id, l.amount, l.discount, l.vat, c.is_repriced
         ), discounts as (
             update commerce.sales_order_discount d
             set amount = c.discount
             from changed c
             where d.line_id = c.id and d.position = 1 and c.is_repriced and d.amount <> c.discount
         ), summed as (
             select sum(coalesce(c.amount, l.amount)) filter (where l.kind = 'product') as subtotal,
                    sum(coalesce(c.discount, l.discount)) filter (where l.kind = 'product') as discount,
                    sum(coalesce(c.amount, l.amount) - coalesce(c.discount, l.discount))
                        filter (where l.kind <> 'product') as shipping,
                    sum(coalesce(c.vat, l.vat)) as tax
             from commerce.sales_order_line l
             left join changed c on c.id = l.id
             where l.order_id = $1
         )
         update commerce.sales_order o
         set subtotal = coalesce(s.subtotal, 0), discount = coalesce(s.discount, 0), shipping = coalesce(s.shipping, 0),
             tax = coalesce(s.tax, 0),
             total = coalesce(s.subtotal, 0) - coalesce(s.discount, 0) + coalesce(s.shipping, 0) + coalesce(s.tax, 0)
         from summed s
         where o.id = $1",
        order,
        &lines.iter().map(|line| line.id).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.ordered).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.shipped).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.cancelled).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.amount).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.discount).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.vat).collect::<Vec<_>>(),
        released,
        &lines.iter().map(|line| line.unit_price).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.listed_price).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.is_repriced).collect::<Vec<_>>(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Differences that are new or other than before, and those that are gone. Whether there were any.
async fn note_differences(
    conn: &mut PgConnection,
    cx: &WriteContext<'_>,
    order: i64,
    plan: &Plan<'_>,
) -> Result<bool, sqlx::Error> {
    let fields: Vec<&str> = plan.differences.iter().map(|(field, ..)| field.as_str()).collect();
    let gone = sqlx::query!(
        "delete from commerce.order_difference where order_id = $1 and origin = $2 and field <> all ($3)",
        order,
        cx.by.origin,
        &fields as _,
    )
    .execute(&mut *conn)
    .await?;
    if fields.is_empty() {
        return Ok(gone.rows_affected() > 0);
    }
    let noted = sqlx::query!(
        "insert into commerce.order_difference as d (order_id, noted_at, field, origin, ours, theirs)
         select $1, $2, field, $3, ours, theirs from unnest($4::text[], $5::text[], $6::text[]) as n (field, ours, theirs)
         on conflict (order_id, field) do update
             set noted_at = excluded.noted_at, origin = excluded.origin, ours = excluded.ours, theirs = excluded.theirs
             where (d.ours, d.theirs) is distinct from (excluded.ours, excluded.theirs)",
        order,
        cx.by.now,
        cx.by.origin,
        &fields as _,
        &plan.differences.iter().map(|(_, ours, _)| ours.as_str()).collect::<Vec<_>>() as _,
        &plan.differences.iter().map(|(.., theirs)| theirs.as_str()).collect::<Vec<_>>() as _,
    )
    .execute(conn)
    .await?;
    Ok(gone.rows_affected() + noted.rows_affected() > 0)
}
