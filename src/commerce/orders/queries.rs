//! Statements of a placement.

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde_json::Value;
use sqlx::{PgConnection, postgres::types::PgInterval};

use super::{
    PaymentMethod, State,
    allocate::{Level, Taken},
    lines::{Goods, LineKind, Unit},
    totals::{LineAmounts, Totals},
};
use crate::{commerce::pricing::Rule, outbox::Provenance};

/// A customer as an order must know it.
#[derive(Debug)]
pub(super) struct Buyer {
    pub(super) currency: String,
    pub(super) code: String,
    pub(super) title: String,
    pub(super) is_active: bool,
    pub(super) is_approved: bool,
    pub(super) is_deleted: bool,
    pub(super) discount_rate: Option<Decimal>,
    pub(super) has_limit: bool,
    pub(super) overdue: Decimal,
    /// `None`: the day has no order yet.
    pub(super) day_base: Option<i64>,
    pub(super) orders_before: i64,
    pub(super) billing: Value,
    pub(super) address: Option<i64>,
    pub(super) shipping: Option<Value>,
}

pub(super) async fn buyer(
    conn: &mut PgConnection,
    customer: i64,
    day: NaiveDate,
    address: Option<i64>,
    orders_asked: u32,
) -> Result<Option<Buyer>, sqlx::Error> {
    sqlx::query_file_as!(Buyer, "src/commerce/orders/sql/customer.sql", customer, day, address, i64::from(orders_asked))
        .fetch_optional(conn)
        .await
}

/// Opens the day for numbers. Of several that are first, one does; the others wait for it to end, and see it.
pub(super) async fn open_day(conn: &mut PgConnection, day: NaiveDate) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into commerce.sales_order_day (day, base)
         values ($1, nextval('commerce.sales_order_number_seq'))
         on conflict on constraint sales_order_day_pkey do nothing",
        day,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What was asked for, each by id or SKU; `None` where there is no such product.
pub(crate) async fn goods(
    conn: &mut PgConnection,
    asked: &[(Option<i64>, Option<&str>)],
) -> Result<Vec<Option<Goods>>, sqlx::Error> {
    let rows = sqlx::query_file!(
        "src/commerce/orders/sql/goods.sql",
        &asked.iter().map(|(id, _)| *id).collect::<Vec<_>>() as _,
        &asked.iter().map(|(_, sku)| *sku).collect::<Vec<_>>() as _,
    )
    .fetch_all(conn)
    .await?;
    let mut found = vec![None; asked.len()];
    for row in rows {
        let facts = row
            .numerators
            .unwrap_or_default()
            .into_iter()
            .zip(row.denominators.unwrap_or_default())
            .zip(row.decimals.unwrap_or_default())
            .zip(row.mains.unwrap_or_default());
        let units = row.units.unwrap_or_default().into_iter().zip(facts).map(
            |(unit, (((numerator, denominator), decimals), is_main))| Unit {
                unit,
                numerator,
                denominator,
                decimals,
                is_main,
            },
        );
        let there = row.warehouses.unwrap_or_default().into_iter().zip(row.available.unwrap_or_default());
        let levels = row.levels.unwrap_or_default().into_iter().zip(there).map(|(id, (warehouse, available))| Level {
            id,
            product: row.id,
            warehouse,
            available,
        });
        found[row.place as usize - 1] = Some(Goods {
            id: row.id,
            code: row.code,
            sku: row.sku,
            name: row.name,
            is_active: row.is_active,
            track_stock: row.track_stock,
            vat_rate: row.vat_rate,
            minimum: row.minimum_order_quantity,
            multiple: row.order_multiple,
            unit: row.unit,
            units: units.collect(),
            levels: levels.collect(),
        });
    }
    Ok(found)
}

/// The levels of these products, locked by rising id until the transaction ends.
pub(super) async fn lock_levels(conn: &mut PgConnection, products: &[i64]) -> Result<Vec<Level>, sqlx::Error> {
    sqlx::query_as!(
        Level,
        r#"
        select s.id, s.product_id as product, w.code as warehouse, s.available as "available!"
        from commerce.stock_level s
        join commerce.warehouse w on w.id = s.warehouse_id
        where s.product_id = any($1) and w.is_active and w.deleted_at is null
        order by s.id
        for no key update of s
        "#,
        products,
    )
    .fetch_all(conn)
    .await
}

/// The dealer's own discount, in percent.
pub(crate) async fn discount_rate(conn: &mut PgConnection, customer: i64) -> Result<Option<Decimal>, sqlx::Error> {
    sqlx::query_scalar!("select discount_rate from commerce.customer where id = $1", customer).fetch_one(conn).await
}

/// A line that is ready to be written.
#[derive(Debug, Clone)]
pub(super) struct NewLine {
    pub(super) position: i16,
    pub(super) kind: LineKind,
    pub(super) product: Option<i64>,
    pub(super) price: Option<i64>,
    pub(super) rule: Option<Rule>,
    pub(super) vat_included: bool,
    pub(super) ordered: Decimal,
    /// In the line's unit; 0 of products whose stock is not kept.
    pub(super) reserved: Decimal,
    pub(super) numerator: Decimal,
    pub(super) denominator: Decimal,
    pub(super) listed_price: Decimal,
    pub(super) vat_rate: Decimal,
    pub(super) discount_rate: Decimal,
    pub(super) amounts: LineAmounts,
    pub(super) code: String,
    pub(super) sku: Option<String>,
    pub(super) unit: Option<String>,
    pub(super) name: String,
}

/// An order that is ready to be written.
#[derive(Debug)]
pub(super) struct NewRow<'a> {
    pub(super) customer: i64,
    pub(super) revision: i64,
    pub(super) day: NaiveDate,
    pub(super) state: State,
    pub(super) method: PaymentMethod,
    /// How long it may stay unpaid; `None`: it does not run out.
    pub(super) expires_in: Option<std::time::Duration>,
    pub(super) currency: &'a str,
    pub(super) reasons: &'a [String],
    pub(super) note: Option<&'a str>,
    pub(super) billing: &'a Value,
    pub(super) shipping: Option<&'a Value>,
    pub(super) totals: Totals,
    pub(super) lines: &'a [NewLine],
}

pub(super) struct Written {
    pub(super) id: i64,
    pub(super) number: String,
    pub(super) expires_at: Option<DateTime<Utc>>,
    pub(super) lines: Vec<i64>,
}

/// Writes the order and takes what it reserves, `taken` naming lines by their place. `None`, and nothing is written: a level
/// has less by now; all levels of `products` are locked then.
pub(super) async fn insert(
    conn: &mut PgConnection,
    by: &Provenance<'_>,
    new: &NewRow<'_>,
    products: &[i64],
    taken: &[Taken],
) -> Result<Option<Written>, sqlx::Error> {
    fn column<'l, C>(lines: &'l [NewLine], of: impl Fn(&'l NewLine) -> C) -> Vec<C> {
        lines.iter().map(of).collect()
    }
    let lines = new.lines;
    let reduced: Vec<&NewLine> = lines.iter().filter(|line| line.discount_rate > Decimal::ZERO).collect();
    let place = |taken: &Taken| lines.get(taken.line).map_or(0, |line| line.position);
    sqlx::query_file_as!(
        Written,
        "src/commerce/orders/sql/place.sql",
        new.customer,
        new.revision,
        by.now,
        new.expires_in.map(interval) as _,
        new.state == State::Confirmed,
        new.totals.subtotal,
        new.totals.discount,
        new.totals.shipping,
        new.totals.tax,
        new.totals.total,
        new.day,
        new.state.as_str(),
        new.method.as_str(),
        new.currency,
        by.origin,
        new.reasons,
        new.note,
        new.billing,
        new.shipping,
        &column(lines, |l| l.position),
        &column(lines, |l| l.kind.as_str()) as _,
        &column(lines, |l| l.product) as _,
        &column(lines, |l| l.price) as _,
        &column(lines, |l| l.rule.map(rule_name)) as _,
        &column(lines, |l| l.vat_included),
        &column(lines, |l| l.ordered),
        &column(lines, |l| l.reserved),
        &column(lines, |l| l.numerator),
        &column(lines, |l| l.denominator),
        &column(lines, |l| l.amounts.unit_price),
        &column(lines, |l| l.listed_price),
        &column(lines, |l| l.amounts.amount),
        &column(lines, |l| l.amounts.discount),
        &column(lines, |l| l.vat_rate),
        &column(lines, |l| l.amounts.vat_base),
        &column(lines, |l| l.amounts.vat),
        &column(lines, |l| l.code.as_str()) as _,
        &column(lines, |l| l.sku.as_deref()) as _,
        &column(lines, |l| l.unit.as_deref()) as _,
        &column(lines, |l| l.name.as_str()) as _,
        &reduced.iter().map(|line| line.position).collect::<Vec<_>>(),
        &reduced.iter().map(|line| line.discount_rate).collect::<Vec<_>>(),
        &reduced.iter().map(|line| line.amounts.discount).collect::<Vec<_>>(),
        &taken.iter().map(place).collect::<Vec<_>>(),
        &taken.iter().map(|taken| taken.level).collect::<Vec<_>>(),
        &taken.iter().map(|taken| taken.quantity).collect::<Vec<_>>(),
        by.correlation_id,
        products,
    )
    .fetch_optional(conn)
    .await
}

/// Ends what these orders reserve, and cancels what of their lines is not shipped.
pub(super) async fn release(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    orders: &[i64],
    cause: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query_file!("src/commerce/orders/sql/release.sql", orders, now, cause).execute(conn).await?;
    Ok(())
}

pub(super) const fn rule_name(rule: Rule) -> &'static str {
    match rule {
        Rule::Special => "special",
        Rule::PriceList => "price_list",
        Rule::Tier => "tier",
        Rule::Dealer => "dealer",
        Rule::List => "list",
    }
}

pub(crate) fn interval(duration: std::time::Duration) -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX) }
}
