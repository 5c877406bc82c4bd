//! Dealers with what is theirs, written by plain statements: for tests of what is read and reckoned, not of how it is
//! placed.

use chrono::{DateTime, NaiveDate, Utc};
use kopru::{commerce::WriteContext, outbox::Provenance};
use rust_decimal::Decimal;
use sqlx::PgPool;

pub fn day(text: &str) -> NaiveDate {
    text.parse().expect("a day")
}

pub fn number(text: &str) -> Decimal {
    text.parse().expect("a number")
}

pub fn noon() -> DateTime<Utc> {
    "2026-11-21T09:00:00Z".parse().expect("a time")
}

/// The ERP speaks.
pub fn erp() -> WriteContext<'static> {
    WriteContext::source(Provenance { origin: "logo", bulk: false, correlation_id: "test", place: None, now: noon() })
}

/// Somebody of the house acts.
pub fn somebody() -> WriteContext<'static> {
    WriteContext::person(Provenance { origin: "user:7", bulk: false, correlation_id: "test", place: None, now: noon() })
}

pub async fn customer(pool: &PgPool, code: &str, credit_limit: Option<i64>) -> i64 {
    sqlx::query_scalar(
        "insert into commerce.customer (code, title, is_approved, credit_limit, created_at, updated_at, created_by, updated_by)
         values ($1, 'Bayi ' || $1, true, $2, $3, $3, 'test', 'test') returning id",
    )
    .bind(code)
    .bind(credit_limit)
    .bind(noon())
    .fetch_one(pool)
    .await
    .expect("a customer")
}

pub async fn product(pool: &PgPool, code: &str) -> i64 {
    sqlx::query_scalar(
        "insert into commerce.product (code, sku, name, slug, unit, created_at, updated_at, created_by, updated_by)
         values ($1, $1, 'Kamera', lower($1), 'ADET', $2, $2, 'test', 'test') returning id",
    )
    .bind(code)
    .bind(noon())
    .fetch_one(pool)
    .await
    .expect("a product")
}

pub async fn warehouse(pool: &PgPool, code: &str) -> i64 {
    sqlx::query_scalar(
        "insert into commerce.warehouse (code, name, created_at, updated_at, created_by, updated_by)
         values ($1, $1, $2, $2, 'test', 'test') returning id",
    )
    .bind(code)
    .bind(noon())
    .fetch_one(pool)
    .await
    .expect("a warehouse")
}

/// An order with one line: id and line. Each piece costs 10.00 and 20 % VAT.
pub async fn order(pool: &PgPool, customer: i64, product: i64, pieces: i64, state: &str) -> (i64, i64) {
    order_in(pool, customer, product, pieces, state, "TRY").await
}

pub async fn order_in(
    pool: &PgPool,
    customer: i64,
    product: i64,
    pieces: i64,
    state: &str,
    currency: &str,
) -> (i64, i64) {
    let order: i64 = sqlx::query_scalar(
        "insert into commerce.sales_order (
             customer_id, revision, created_at, updated_at, expires_at, confirmed_at, subtotal, discount, shipping, tax,
             total, number, state, payment_method, currency, origin, placed_by, approval_reasons, billing_address)
         values ($1, 1, $2, $2, case when $4 = 'pending_payment' then $2 end,
             case when $4 not in ('pending_approval', 'pending_payment') then $2 end, $3 * 10, 0, 0, $3 * 2, $3 * 12,
             'ORD20261121' || lpad(nextval('commerce.sales_order_number_seq')::text, 4, '0'), $4,
             case when $4 = 'pending_payment' then 'card' else 'account' end, $5, 'test', 'test', '{}', '{}')
         returning id",
    )
    .bind(customer)
    .bind(noon())
    .bind(pieces)
    .bind(state)
    .bind(currency)
    .fetch_one(pool)
    .await
    .expect("an order");
    let line: i64 = sqlx::query_scalar(
        "insert into commerce.sales_order_line (
             order_id, product_id, position, vat_included, ordered, numerator, denominator, unit_price, listed_price,
             amount, discount, vat_rate, vat_base, vat, kind, code, unit, name)
         values ($1, $2, 1, false, $3, 1, 1, 10, 10, $3 * 10, 0, 20, $3 * 10, $3 * 2, 'product', 'P', 'ADET', 'Kamera')
         returning id",
    )
    .bind(order)
    .bind(product)
    .bind(pieces)
    .fetch_one(pool)
    .await
    .expect("a line");
    (order, line)
}

pub async fn delivered(pool: &PgPool, line: i64, pieces: i64) {
    sqlx::query("update commerce.sales_order_line set shipped = $2, delivered = $2 where id = $1")
        .bind(line)
        .bind(pieces)
        .execute(pool)
        .await
        .expect("delivered");
}
