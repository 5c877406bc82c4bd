//! A database with products, prices, stock, dealers and orders of before, and placements on it.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use kopru::{
    commerce::orders::{self, AskedLine, NewOrder, OrderContext, OrderRules, PaymentMethod},
    outbox::Provenance,
    principal::{Principal, Role},
};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool, postgres::PgConnectOptions};

use crate::{Failure, LINES, Options};

/// Orders that are there before anything is measured: a book that was begun long ago, and that the planner knows.
const BEFORE: i64 = 5_000;

#[derive(Debug)]
pub struct Shop {
    url: String,
    options: PgConnectOptions,
    name: String,
    products: i64,
    dealers: i64,
    rules: OrderRules,
    now: DateTime<Utc>,
}

#[expect(clippy::disallowed_methods, reason = "a program of its own; the time only fills columns")]
fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Goods and dealers.
pub async fn fill(pool: &PgPool, options: &Options) -> Result<(), sqlx::Error> {
    let Options { products, dealers, .. } = *options;
    let limit = if options.limits { "1000000000000" } else { "null" };
    let text = format!(
        "insert into commerce.customer (code, title, is_approved, credit_limit, discount_rate, created_at, updated_at,
             created_by, updated_by)
         select '120.' || n, 'Bayi ' || n, true, {limit}, 5, now(), now(), 'b', 'b' from generate_series(1, {dealers}) n;
         insert into commerce.warehouse (code, name, created_at, updated_at, created_by, updated_by)
         values ('0', 'Merkez', now(), now(), 'b', 'b') on conflict do nothing;
         insert into commerce.product (code, sku, name, slug, unit, vat_rate, created_at, updated_at, created_by,
             updated_by)
         select 'P' || n, 'P' || n, 'Kamera ' || n, 'p' || n, 'ADET', 20, now(), now(), 'b', 'b'
         from generate_series(1, {products}) n;
         insert into commerce.stock_level (product_id, warehouse_id, quantity, created_at, updated_at)
         select p.id, w.id, 100000000, now(), now() from commerce.product p, commerce.warehouse w where w.code = '0';
         insert into commerce.price (product_id, code, role, currency, amount, created_at, updated_at, created_by,
             updated_by)
         select id, 'L' || id, 'list', 'TRY', 10 + id % 90, now(), now(), 'b', 'b' from commerce.product;"
    );
    pool.execute(AssertSqlSafe(text)).await?;
    Ok(())
}

/// No orders but those of before, nothing held, nothing left to do of an earlier measurement.
pub async fn reset(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    // The books let nobody take rows out of them.
    conn.execute("alter table identity.audit_event disable trigger user").await?;
    conn.execute(
        "truncate commerce.sales_order, hub.outbox_event, identity.audit_event, identity.audit_unsealed
         restart identity cascade",
    )
    .await?;
    conn.execute("alter table identity.audit_event enable trigger user").await?;
    let text = format!(
        "update commerce.stock_level set held = 0 where held <> 0;
         insert into commerce.sales_order (customer_id, revision, created_at, updated_at, confirmed_at, subtotal, discount,
             shipping, tax, total, number, state, payment_method, currency, origin, placed_by, approval_reasons,
             billing_address)
         select c.id, 2, now(), now(), now(), 100, 0, 0, 20, 120, 'ORD20260101' || lpad(n::text, 8, '0'), 'completed',
             'account', 'TRY', 'user:1', 'user:1', '{{}}', '{{}}'
         from generate_series(1, {BEFORE}) n
         join (select id, row_number() over (order by id) as place, count(*) over () as count from commerce.customer) c
             on c.place = 1 + n % c.count;
         insert into commerce.sales_order_line (order_id, product_id, price_id, position, vat_included, ordered, confirmed,
             shipped, delivered, invoiced, numerator, denominator, unit_price, listed_price, amount, discount, vat_rate,
             vat_base, vat, kind, code, name)
         select o.id, p.product_id, p.id, l, false, 2, 2, 2, 2, 2, 1, 1, p.amount, p.amount, 20, 0, 20, 20, 4, 'product',
             'P', 'Kamera'
         from commerce.sales_order o
         cross join generate_series(1, {LINES}) l
         join (select id, product_id, amount, row_number() over (order by id) as place, count(*) over () as count
               from commerce.price) p on p.place = 1 + (o.id * 7919 + l * 13) % p.count;
         insert into commerce.sales_order_history (order_id, revision, at, action, state, actor, correlation_id)
         select id, 2, now(), 'placed', 'confirmed', 'user:1', 'bench' from commerce.sales_order;
         insert into hub.outbox_event (id, type, aggregate, aggregate_id, revision, origin, bulk, payload, correlation_id,
             created_at)
         select gen_random_uuid(), 'order.created', 'order', id, 1, 'user:1', false, '{{}}', 'bench', now()
         from commerce.sales_order;"
    );
    conn.execute(AssertSqlSafe(text)).await?;
    conn.execute("vacuum analyze").await?;
    conn.execute("checkpoint").await?;
    Ok(())
}

impl Shop {
    pub async fn create(url: &str, options: &Options) -> Result<Shop, Failure> {
        let mut server = PgConnection::connect(url).await?;
        let name = format!("kopru_orders_{}", std::process::id());
        server.execute(AssertSqlSafe(format!("create database {name}"))).await?;
        // As the hub connects.
        let settings = [("timezone", "UTC"), ("random_page_cost", "1.1"), ("jit", "off")];
        let connect = PgConnectOptions::from_str(url)?.database(&name).statement_cache_capacity(512).options(settings);
        let pool = PgPool::connect_with(connect.clone()).await?;
        kopru::database::migrate(&pool).await?;
        fill(&pool, options).await?;
        pool.close().await;
        let Options { products, dealers, .. } = *options;
        let rules = OrderRules::default();
        Ok(Shop { url: url.to_owned(), options: connect, name, products, dealers, rules, now: now() })
    }

    pub async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect_with(&self.options).await
    }

    pub async fn reset(&self) -> Result<(), Failure> {
        Ok(reset(&mut self.connect().await?).await?)
    }

    pub async fn remove(&self) -> Result<(), Failure> {
        let mut server = PgConnection::connect(&self.url).await?;
        server.execute(AssertSqlSafe(format!("drop database {} with (force)", self.name))).await?;
        Ok(())
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// The dealer of an order.
    pub fn dealer(&self, number: usize) -> i64 {
        1 + number as i64 % self.dealers
    }

    pub fn basket(&self, number: usize) -> Vec<i64> {
        basket(self.products, number)
    }

    pub async fn place(&self, conn: &mut PgConnection, number: usize) -> Result<(), Failure> {
        let dealer = self.dealer(number);
        let principal = Principal::user(dealer, Role::DealerOwner, Some(dealer));
        let actor = principal.actor();
        let by = Provenance { origin: &actor, bulk: false, correlation_id: "bench", place: None, now: self.now };
        let cx = OrderContext { principal: &principal, by, rules: &self.rules };
        let line = |product| AskedLine { product: Some(product), sku: None, quantity: 2.into(), unit: None };
        let new = NewOrder {
            customer: None,
            lines: Some(self.basket(number).into_iter().map(line).collect()),
            payment_method: PaymentMethod::Account,
            shipping_address: None,
            note: None,
        };
        let mut tx = conn.begin().await?;
        orders::place(&mut tx, &cx, &new).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Products of an order: spread, all different, the same in every measurement.
pub fn basket(products: i64, number: usize) -> Vec<i64> {
    let step = products / LINES as i64;
    let first = (number as i64).wrapping_mul(7919) % products;
    (0..LINES as i64).map(|line| 1 + (first + line * step) % products).collect()
}
