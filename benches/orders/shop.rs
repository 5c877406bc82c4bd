//! A database with products, prices, stock and dealers, and placements on it.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use kopru::{
    commerce::orders::{self, AskedLine, NewOrder, OrderContext, OrderRules, PaymentMethod},
    principal::{Principal, Role},
};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool, postgres::PgConnectOptions};

use crate::{Failure, LINES};

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

impl Shop {
    pub async fn create(url: &str, products: i64, dealers: i64, limits: bool) -> Result<Shop, Failure> {
        let mut server = PgConnection::connect(url).await?;
        let name = format!("kopru_orders_{}", std::process::id());
        server.execute(AssertSqlSafe(format!("create database {name}"))).await?;
        let options = PgConnectOptions::from_str(url)?.database(&name);
        let pool = PgPool::connect_with(options.clone()).await?;
        kopru::database::migrate(&pool).await?;
        let limit = if limits { "1000000000000" } else { "null" };
        for text in [
            format!(
                "insert into commerce.customer (code, title, is_approved, credit_limit, discount_rate, created_at,
                     updated_at, created_by, updated_by)
                 select '120.' || n, 'Bayi ' || n, true, {limit}, 5, now(), now(), 'b', 'b'
                 from generate_series(1, {dealers}) n"
            ),
            "insert into commerce.warehouse (code, name, created_at, updated_at, created_by, updated_by)
             values ('0', 'Merkez', now(), now(), 'b', 'b')"
                .to_owned(),
            format!(
                "insert into commerce.product (code, sku, name, slug, unit, vat_rate, created_at, updated_at, created_by,
                     updated_by)
                 select 'P' || n, 'P' || n, 'Kamera ' || n, 'p' || n, 'ADET', 20, now(), now(), 'b', 'b'
                 from generate_series(1, {products}) n"
            ),
            "insert into commerce.stock_level (product_id, warehouse_id, quantity, created_at, updated_at)
             select p.id, w.id, 100000000, now(), now() from commerce.product p, commerce.warehouse w"
                .to_owned(),
            "insert into commerce.price (product_id, code, role, currency, amount, created_at, updated_at, created_by,
                 updated_by)
             select id, 'L' || id, 'list', 'TRY', 10 + id % 90, now(), now(), 'b', 'b' from commerce.product"
                .to_owned(),
        ] {
            pool.execute(AssertSqlSafe(text)).await?;
        }
        pool.close().await;
        Ok(Shop { url: url.to_owned(), options, name, products, dealers, rules: OrderRules::default(), now: now() })
    }

    pub async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect_with(&self.options).await
    }

    /// No orders, nothing held, nothing left to do of an earlier measurement.
    pub async fn reset(&self) -> Result<(), Failure> {
        let mut conn = self.connect().await?;
        // The books let nobody take rows out of them.
        conn.execute("alter table identity.audit_event disable trigger user").await?;
        conn.execute(
            "truncate commerce.sales_order, hub.outbox_event, identity.audit_event, identity.audit_unsealed
             restart identity cascade",
        )
        .await?;
        conn.execute("alter table identity.audit_event enable trigger user").await?;
        conn.execute("update commerce.stock_level set held = 0 where held <> 0").await?;
        conn.execute("vacuum analyze").await?;
        conn.execute("checkpoint").await?;
        Ok(())
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

    /// Products of an order: spread, all different, the same in every measurement.
    pub fn basket(&self, number: usize) -> Vec<i64> {
        let step = self.products / LINES as i64;
        let first = (number as i64).wrapping_mul(7919) % self.products;
        (0..LINES as i64).map(|line| 1 + (first + line * step) % self.products).collect()
    }

    pub async fn place(&self, conn: &mut PgConnection, number: usize) -> Result<(), Failure> {
        let dealer = self.dealer(number);
        let principal = Principal::user(dealer, Role::DealerOwner, Some(dealer));
        let actor = principal.actor();
        let cx = OrderContext::new(&principal, &actor, "bench", self.now, &self.rules);
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
