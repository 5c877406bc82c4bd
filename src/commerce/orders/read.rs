//! Orders for whoever may see them.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, TimeZone, Utc};
use sqlx::{PgConnection, PgExecutor};

use super::{
    State,
    view::{HistoryLine, Order, OrderDiscount, OrderLine, OrderSummary, object},
};
use crate::{
    page::{BadPage, Page, PageRequest},
    principal::Scope,
};

/// Which orders are meant; every field narrows.
#[derive(Debug, Clone, Default)]
pub struct OrderFilter {
    /// Any of these; empty: all.
    pub states: Vec<State>,
    /// Placed on this day of Istanbul or later.
    pub from: Option<NaiveDate>,
    /// Placed on this day of Istanbul or earlier.
    pub to: Option<NaiveDate>,
    pub customer: Option<i64>,
}

#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error(transparent)]
    Page(#[from] BadPage),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

const LIST: &str = "orders:newest";

/// Newest first.
pub async fn list<'e>(
    db: impl PgExecutor<'e>,
    scope: Scope,
    filter: &OrderFilter,
    page: &PageRequest,
) -> Result<Page<OrderSummary>, ListError> {
    let before: Option<i64> = page.after(LIST)?;
    let wanted = Wanted::of(filter);
    let rows = sqlx::query_as!(
        OrderSummary,
        r#"
        select o.id, o.number, o.state, o.revision, o.customer_id, c.code as customer_code, c.title as customer_title,
            o.payment_method, o.currency, o.subtotal, o.discount, o.shipping, o.tax, o.total,
            o.external_number as logo_number,
            o.cancel_requested_at is not null and o.state <> 'cancelled' as "cancel_requested!",
            o.approval_reasons, o.expires_at, o.confirmed_at, o.created_at, o.updated_at
        from commerce.sales_order o
        join commerce.customer c on c.id = o.customer_id
        where ($1 or o.customer_id = $2)
          and ($3::bigint is null or o.customer_id = $3)
          and ($4::text[] = '{}' or o.state = any($4))
          and ($5::timestamptz is null or o.created_at >= $5)
          and ($6::timestamptz is null or o.created_at < $6)
          and ($7::bigint is null or o.id < $7)
        order by o.id desc
        limit $8
        "#,
        scope.is_house(),
        scope.company_id(),
        filter.customer,
        &wanted.states,
        wanted.from,
        wanted.before,
        before,
        page.rows(),
    )
    .fetch_all(db)
    .await?;
    Ok(page.page(LIST, rows, |order| order.id))
}

/// How many there are of these.
pub async fn count<'e>(db: impl PgExecutor<'e>, scope: Scope, filter: &OrderFilter) -> Result<i64, sqlx::Error> {
    let wanted = Wanted::of(filter);
    sqlx::query_scalar!(
        r#"
        select count(*) as "count!"
        from commerce.sales_order o
        where ($1 or o.customer_id = $2)
          and ($3::bigint is null or o.customer_id = $3)
          and ($4::text[] = '{}' or o.state = any($4))
          and ($5::timestamptz is null or o.created_at >= $5)
          and ($6::timestamptz is null or o.created_at < $6)
        "#,
        scope.is_house(),
        scope.company_id(),
        filter.customer,
        &wanted.states,
        wanted.from,
        wanted.before,
    )
    .fetch_one(db)
    .await
}

struct Wanted {
    states: Vec<String>,
    from: Option<DateTime<Utc>>,
    before: Option<DateTime<Utc>>,
}

impl Wanted {
    fn of(filter: &OrderFilter) -> Wanted {
        Wanted {
            states: filter.states.iter().map(|state| state.as_str().to_owned()).collect(),
            from: filter.from.and_then(midnight),
            before: filter.to.and_then(|day| day.succ_opt()).and_then(midnight),
        }
    }
}

/// When the day begins in Istanbul, where no midnight is skipped or comes twice since 2016.
fn midnight(day: NaiveDate) -> Option<DateTime<Utc>> {
    let local = day.and_hms_opt(0, 0, 0)?;
    Some(chrono_tz::Europe::Istanbul.from_local_datetime(&local).earliest()?.to_utc())
}

/// What an order is asked for by.
#[derive(Debug, Clone, Copy)]
pub enum OrderKey<'a> {
    Id(i64),
    Number(&'a str),
}

/// An order whole; `None` when the scope does not cover it or it is not there.
pub async fn find(conn: &mut PgConnection, scope: Scope, key: OrderKey<'_>) -> Result<Option<Order>, sqlx::Error> {
    let (id, number) = match key {
        OrderKey::Id(id) => (Some(id), None),
        // What the store could not compare is nobody's number.
        OrderKey::Number(number) if number.contains('\0') => return Ok(None),
        OrderKey::Number(number) => (None, Some(number)),
    };
    let row = sqlx::query!(
        r#"
        select o.id, o.number, o.state, o.revision, o.customer_id, c.code as customer_code, c.title as customer_title,
            o.payment_method, o.currency, o.subtotal, o.discount, o.shipping, o.tax, o.total,
            o.external_number as logo_number,
            o.cancel_requested_at is not null and o.state <> 'cancelled' as "cancel_requested!",
            o.approval_reasons, o.expires_at, o.confirmed_at, o.created_at, o.updated_at, o.placed_by, o.note,
            o.billing_address, o.shipping_address
        from commerce.sales_order o
        join commerce.customer c on c.id = o.customer_id
        where o.id = coalesce($1, (select n.id from commerce.sales_order n where n.number = $2))
          and ($3 or o.customer_id = $4)
        "#,
        id,
        number,
        scope.is_house(),
        scope.company_id(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let lines = lines(conn, row.id).await?;
    let summary = OrderSummary {
        id: row.id,
        number: row.number,
        state: row.state,
        revision: row.revision,
        customer_id: row.customer_id,
        customer_code: row.customer_code,
        customer_title: row.customer_title,
        payment_method: row.payment_method,
        currency: row.currency,
        subtotal: row.subtotal,
        discount: row.discount,
        shipping: row.shipping,
        tax: row.tax,
        total: row.total,
        logo_number: row.logo_number,
        cancel_requested: row.cancel_requested,
        approval_reasons: row.approval_reasons,
        expires_at: row.expires_at,
        confirmed_at: row.confirmed_at,
        created_at: row.created_at,
        updated_at: row.updated_at,
    };
    Ok(Some(Order {
        summary,
        placed_by: row.placed_by,
        note: row.note,
        billing_address: object(row.billing_address),
        shipping_address: row.shipping_address.map(object),
        lines,
    }))
}

async fn lines(conn: &mut PgConnection, order: i64) -> Result<Vec<OrderLine>, sqlx::Error> {
    let discounts = sqlx::query!(
        "select d.line_id, d.kind, d.rate, d.amount
         from commerce.sales_order_line l
         join commerce.sales_order_discount d on d.line_id = l.id
         where l.order_id = $1
         order by d.line_id, d.position",
        order,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut of_lines: HashMap<i64, Vec<OrderDiscount>> = HashMap::new();
    for row in discounts {
        let discount = OrderDiscount { kind: row.kind, rate: row.rate, amount: row.amount };
        of_lines.entry(row.line_id).or_default().push(discount);
    }
    let rows = sqlx::query!(
        "select id, position, kind, product_id, sku, code, name, unit, numerator, denominator, ordered, confirmed,
            reserved, shipped, delivered, invoiced, cancelled, unit_price, price_rule, amount, discount, vat_rate,
            vat_base, vat
         from commerce.sales_order_line
         where order_id = $1
         order by position",
        order,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| OrderLine {
            discounts: of_lines.remove(&row.id).unwrap_or_default(),
            id: row.id,
            position: row.position,
            kind: row.kind,
            product_id: row.product_id,
            sku: row.sku,
            code: row.code,
            name: row.name,
            unit: row.unit,
            numerator: row.numerator,
            denominator: row.denominator,
            quantity: row.ordered,
            confirmed: row.confirmed,
            reserved: row.reserved,
            shipped: row.shipped,
            delivered: row.delivered,
            invoiced: row.invoiced,
            cancelled: row.cancelled,
            unit_price: row.unit_price,
            price_rule: row.price_rule,
            amount: row.amount,
            discount: row.discount,
            vat_rate: row.vat_rate,
            vat_base: row.vat_base,
            total: row.vat_base + row.vat,
            vat: row.vat,
        })
        .collect())
}

/// What was done to an order, oldest first; `None` when the scope does not cover it or it is not there.
pub async fn history(
    conn: &mut PgConnection,
    scope: Scope,
    order: i64,
) -> Result<Option<Vec<HistoryLine>>, sqlx::Error> {
    let rows = sqlx::query_as!(
        HistoryLine,
        "select h.revision, h.at, h.action, h.from_state, h.state, h.actor, h.note
         from commerce.sales_order_history h
         join commerce.sales_order o on o.id = h.order_id
         where h.order_id = $1 and ($2 or o.customer_id = $3)
         order by h.revision",
        order,
        scope.is_house(),
        scope.company_id(),
    )
    .fetch_all(conn)
    .await?;
    // An order has a history from its beginning.
    Ok(Some(rows).filter(|rows| !rows.is_empty()))
}

/// The same lines with the request or run that each was done in.
pub async fn trace<'e>(
    db: impl PgExecutor<'e>,
    scope: Scope,
    order: i64,
) -> Result<Vec<(HistoryLine, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        "select h.revision, h.at, h.action, h.from_state, h.state, h.actor, h.note, h.correlation_id
         from commerce.sales_order_history h
         join commerce.sales_order o on o.id = h.order_id
         where h.order_id = $1 and ($2 or o.customer_id = $3)
         order by h.revision",
        order,
        scope.is_house(),
        scope.company_id(),
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let line = HistoryLine {
                revision: row.revision,
                at: row.at,
                action: row.action,
                from_state: row.from_state,
                state: row.state,
                actor: row.actor,
                note: row.note,
            };
            (line, row.correlation_id)
        })
        .collect())
}
