//! Orders and carts, at the level of commands: each test on a database of its own.

mod carts;
mod concurrency;
mod listing;
mod moves;
mod numbers;
mod placement;
mod refusals;
mod routes;

use chrono::{DateTime, TimeDelta, Utc};
use kopru::{
    commerce::orders::{self, AskedLine, NewOrder, Order, OrderContext, OrderError, OrderRules, PaymentMethod},
    outbox::Provenance,
    principal::{Principal, Role},
};
use rust_decimal::Decimal;
use sqlx::{PgConnection, PgPool};

pub use crate::support::dealers::number;
use crate::support::{
    database::TestDatabase,
    dealers::{self, noon},
    event_schemas::events_are_as_described,
};

/// A database with goods and dealers, and the rules in force.
pub struct Market {
    pub database: TestDatabase,
    pub rules: OrderRules,
    pub now: DateTime<Utc>,
}

impl Market {
    pub async fn open() -> Market {
        Market { database: TestDatabase::new().await, rules: OrderRules::default(), now: noon() }
    }

    pub fn pool(&self) -> &PgPool {
        &self.database.pool
    }

    pub async fn dealer(&self, code: &str, credit_limit: Option<i64>) -> i64 {
        dealers::customer(self.pool(), code, credit_limit).await
    }

    /// A product with a list price in lira, and so many pieces in warehouse 0.
    pub async fn product(&self, code: &str, price: &str, stock: i64) -> i64 {
        let id = dealers::product(self.pool(), code).await;
        self.price(id, price).await;
        self.stock(id, "0", stock).await;
        id
    }

    pub async fn price(&self, product: i64, amount: &str) {
        self.price_row(product, &format!("list-{product}"), amount, "list", None, "TRY", None).await;
    }

    #[expect(clippy::too_many_arguments, reason = "a row of a price list")]
    pub async fn price_row(
        &self,
        product: i64,
        code: &str,
        amount: &str,
        role: &str,
        customer: Option<i64>,
        currency: &str,
        unit: Option<&str>,
    ) {
        sqlx::query(
            "insert into commerce.price (product_id, customer_id, code, role, currency, amount, unit, created_at,
                 updated_at, created_by, updated_by)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $8, 'test', 'test')
             on conflict (code) do update set amount = excluded.amount, currency = excluded.currency, is_active = true",
        )
        .bind(product)
        .bind(customer)
        .bind(code)
        .bind(role)
        .bind(currency)
        .bind(number(amount))
        .bind(unit)
        .bind(noon())
        .execute(self.pool())
        .await
        .expect("a price");
    }

    pub async fn stock(&self, product: i64, warehouse: &str, quantity: i64) -> i64 {
        let known: Option<i64> = sqlx::query_scalar("select id from commerce.warehouse where code = $1")
            .bind(warehouse)
            .fetch_optional(self.pool())
            .await
            .expect("asked");
        let warehouse = match known {
            Some(id) => id,
            None => dealers::warehouse(self.pool(), warehouse).await,
        };
        sqlx::query_scalar(
            "insert into commerce.stock_level (product_id, warehouse_id, quantity, created_at, updated_at)
             values ($1, $2, $3, $4, $4)
             on conflict (product_id, warehouse_id) do update set quantity = excluded.quantity returning id",
        )
        .bind(product)
        .bind(warehouse)
        .bind(Decimal::from(quantity))
        .bind(noon())
        .fetch_one(self.pool())
        .await
        .expect("a level")
    }

    pub async fn unit(&self, product: i64, unit: &str, numerator: i64, decimals: i16) {
        sqlx::query(
            "insert into commerce.product_unit (product_id, position, decimals, is_main, unit, numerator, denominator)
             select $1, count(*), $2, $3 = 1, $4, $3, 1 from commerce.product_unit where product_id = $1",
        )
        .bind(product)
        .bind(decimals)
        .bind(Decimal::from(numerator))
        .bind(unit)
        .execute(self.pool())
        .await
        .expect("a unit");
    }

    /// Sets columns of a product.
    pub async fn set(&self, product: i64, what: &str) {
        let text = format!("update commerce.product set {what} where id = $1");
        sqlx::query(sqlx::AssertSqlSafe(text)).bind(product).execute(self.pool()).await.expect("set");
    }

    pub async fn place(&self, who: &Principal, new: &NewOrder) -> Result<Order, OrderError> {
        place_in(self.pool(), self.rules, self.now, who, new).await
    }

    /// What `work` does as `who`, in a transaction that is committed if it went well.
    pub async fn act<T>(
        &self,
        who: &Principal,
        work: impl AsyncFnOnce(&mut PgConnection, &OrderContext<'_>) -> Result<T, OrderError>,
    ) -> Result<T, OrderError> {
        let actor = who.actor();
        let by = Provenance { origin: &actor, bulk: false, correlation_id: "test", place: None, now: self.now };
        let cx = OrderContext { principal: who, by, rules: &self.rules };
        let mut tx = self.pool().begin().await?;
        let done = work(&mut tx, &cx).await?;
        tx.commit().await?;
        Ok(done)
    }

    pub async fn cancel(&self, who: &Principal, order: i64) -> Result<Order, OrderError> {
        self.act(who, async |conn, cx| orders::cancel(conn, cx, order, None).await).await
    }

    pub async fn approve(&self, who: &Principal, order: i64) -> Result<Order, OrderError> {
        self.act(who, async |conn, cx| orders::approve(conn, cx, order, Some("tamam")).await).await
    }

    pub fn later(&mut self, by: TimeDelta) {
        self.now += by;
    }

    /// Held and available of a product, all warehouses together.
    pub async fn held(&self, product: i64) -> (Decimal, Decimal) {
        let (held, available): (Decimal, Decimal) = sqlx::query_as(
            "select coalesce(sum(held), 0), coalesce(sum(available), 0) from commerce.stock_level where product_id = $1",
        )
        .bind(product)
        .fetch_one(self.pool())
        .await
        .expect("asked");
        (held.normalize(), available.normalize())
    }

    /// Type and revision of the events of an order.
    pub async fn events(&self, order: i64) -> Vec<(String, i64)> {
        sqlx::query_as(
            "select type, revision from hub.outbox_event where aggregate = 'order' and aggregate_id = $1 order by revision",
        )
        .bind(order)
        .fetch_all(self.pool())
        .await
        .expect("events")
    }

    pub async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(self.pool()).await.expect("counted")
    }

    /// What the books of reservations and levels say about each other.
    pub async fn assert_books_agree(&self) {
        events_are_as_described(self.pool()).await;
        let wrong = self
            .count(
                "select count(*) from commerce.stock_level s
                 left join (select stock_level_id, sum(open) as open from commerce.stock_reservation group by 1) r
                     on r.stock_level_id = s.id
                 where s.held <> coalesce(r.open, 0) or s.held > greatest(s.quantity, 0)",
            )
            .await;
        assert_eq!(wrong, 0, "levels hold what their reservations say, and no more than there is");
    }
}

pub async fn place_in(
    pool: &PgPool,
    rules: OrderRules,
    now: DateTime<Utc>,
    who: &Principal,
    new: &NewOrder,
) -> Result<Order, OrderError> {
    let actor = who.actor();
    let by = Provenance { origin: &actor, bulk: false, correlation_id: "test", place: None, now };
    let cx = OrderContext { principal: who, by, rules: &rules };
    let mut tx = pool.begin().await?;
    let order = orders::place(&mut tx, &cx, new).await?;
    tx.commit().await?;
    Ok(order)
}

/// The owner of a dealer company.
pub fn owner(company: i64) -> Principal {
    Principal::user(100 + company, Role::DealerOwner, Some(company))
}

pub fn manager() -> Principal {
    Principal::user(7, Role::SalesManager, None)
}

pub fn of(lines: &[(i64, &str)]) -> NewOrder {
    NewOrder {
        customer: None,
        lines: Some(lines.iter().map(|(product, quantity)| line(*product, quantity)).collect()),
        payment_method: PaymentMethod::Account,
        shipping_address: None,
        note: None,
    }
}

/// What is in the cart.
pub fn cart() -> NewOrder {
    NewOrder { lines: None, ..of(&[]) }
}

pub fn by_card(new: NewOrder) -> NewOrder {
    NewOrder { payment_method: PaymentMethod::Card, ..new }
}

pub fn line(product: i64, quantity: &str) -> AskedLine {
    AskedLine { product: Some(product), sku: None, quantity: number(quantity), unit: None }
}

pub fn in_unit(line: AskedLine, unit: &str) -> AskedLine {
    AskedLine { unit: Some(unit.to_owned()), ..line }
}

/// Field and code of what was wrong.
#[track_caller]
pub fn faults(refused: Result<Order, OrderError>) -> Vec<(String, &'static str)> {
    match refused {
        Err(OrderError::Invalid(faults) | OrderError::NotEnough(faults) | OrderError::Changed(faults)) => {
            faults.into_iter().map(|fault| (fault.field, fault.code)).collect()
        }
        other => panic!("expected faults, got {other:?}"),
    }
}
