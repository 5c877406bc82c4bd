//! The rows of an order by bare statements over sets, in one transaction. Prices are those that hold for everybody, which
//! have an index of their own.

use rust_decimal::Decimal;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::{Failure, shop::Shop};

pub async fn write(conn: &mut PgConnection, shop: &Shop, number: usize) -> Result<(), Failure> {
    let (dealer, now) = (shop.dealer(number), shop.now());
    let mut products = shop.basket(number);
    products.sort_unstable();
    let mut tx = conn.begin().await?;
    let prices: Vec<(i64, i64, Decimal)> = sqlx::query_as(
        "select product_id, id, amount from commerce.price
             where product_id = any($1) and customer_id is null and price_list_id is null and is_active",
    )
    .bind(&products)
    .fetch_all(&mut *tx)
    .await?;
    let held = sqlx::query(
        "with levels as materialized (
            select id from commerce.stock_level where product_id = any($1) and available >= 2 order by id for no key update
         )
         update commerce.stock_level s set held = s.held + 2 from levels l where s.id = l.id",
    )
    .bind(&products)
    .execute(&mut *tx)
    .await?
    .rows_affected();
    if held != products.len() as u64 || prices.len() != products.len() {
        return Err("the floor's goods are not there".into());
    }
    let order: i64 = sqlx::query_scalar(
        "insert into commerce.sales_order (customer_id, revision, created_at, updated_at, confirmed_at, subtotal, discount,
             shipping, tax, total, number, state, payment_method, currency, origin, placed_by, approval_reasons,
             billing_address)
         values ($1, 2, $2, $2, $2, 100, 0, 0, 20, 120,
             'ORD20261121' || lpad(nextval('commerce.sales_order_number_seq')::text, 8, '0'), 'confirmed', 'account',
             'TRY', 'user:1', 'user:1', '{}', '{}')
         returning id",
    )
    .bind(dealer)
    .bind(now)
    .fetch_one(&mut *tx)
    .await?;
    sqlx::query(
        "with lines as (
            insert into commerce.sales_order_line (order_id, product_id, price_id, position, vat_included, ordered,
                confirmed, reserved, numerator, denominator, unit_price, listed_price, amount, discount, vat_rate,
                vat_base, vat, kind, code, name)
            select $1, p.product_id, p.id, p.position, false, 2, 2, 2, 1, 1, p.amount, p.amount, 20, 0, 20, 20, 4,
                'product', 'P', 'Kamera'
            from unnest($2::bigint[], $3::bigint[], $4::numeric[]) with ordinality
                as p (product_id, id, amount, position)
         )
         insert into commerce.sales_order_history (order_id, revision, at, action, state, actor, correlation_id)
         values ($1, 2, $5, 'placed', 'confirmed', 'user:1', 'bench')",
    )
    .bind(order)
    .bind(prices.iter().map(|(product, ..)| *product).collect::<Vec<_>>())
    .bind(prices.iter().map(|(_, price, _)| *price).collect::<Vec<_>>())
    .bind(prices.iter().map(|(.., amount)| *amount).collect::<Vec<_>>())
    .bind(now)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "insert into hub.outbox_event (id, type, aggregate, aggregate_id, revision, origin, bulk, payload,
             correlation_id, created_at)
         values ($1, 'order.created', 'order', $2, 1, 'user:1', false, '{}', 'bench', $3)",
    )
    .bind(Uuid::now_v7())
    .bind(order)
    .bind(now)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}
