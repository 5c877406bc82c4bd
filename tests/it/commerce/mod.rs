//! The commerce commands, each test on a database of its own.

mod account;
mod catalogue;
mod concurrency;
mod customer_admin;
mod customers;
mod invoices;
mod money_at_once;
mod money_once;
mod offers;
mod prices;
mod pricing;
mod product_parts;
mod products;
mod returns;
mod stock;

use chrono::{DateTime, TimeDelta, Utc};
use kopru::{
    commerce::{
        CodeListUpsert, CommandError, Outcome, Patch, Violation, WriteContext, brands,
        categories::{self, CategoryUpsert},
        products::{ProductUpsert, allocate_ids, upsert_products},
        warehouses,
    },
    outbox::Provenance,
};
use sqlx::{Connection, PgConnection, Row};

use crate::support::database::TestDatabase;

/// A database and a clock that goes on by a minute with every page.
struct Shop {
    database: TestDatabase,
    minutes: i64,
}

#[derive(Debug, PartialEq)]
struct Event {
    kind: String,
    aggregate_id: i64,
    revision: i64,
    origin: String,
    bulk: bool,
    payload: serde_json::Value,
}

/// What must not move when nothing changes.
#[derive(Debug, PartialEq)]
struct Trace {
    xmin: String,
    revision: i64,
    updated_at: DateTime<Utc>,
}

impl Shop {
    async fn open() -> Shop {
        Shop { database: TestDatabase::new().await, minutes: 0 }
    }

    async fn conn(&self) -> PgConnection {
        PgConnection::connect(&self.database.url).await.expect("a connection")
    }

    fn tick(&mut self) -> WriteContext<'static> {
        self.minutes += 1;
        context(self.minutes)
    }

    async fn products(&mut self, rows: &[ProductUpsert<'_>]) -> Vec<Outcome> {
        let cx = self.tick();
        self.products_by(cx, rows).await.expect("the page is applied")
    }

    async fn products_by(
        &mut self,
        cx: WriteContext<'_>,
        rows: &[ProductUpsert<'_>],
    ) -> Result<Vec<Outcome>, CommandError> {
        let mut tx = self.database.pool.begin().await?;
        let outcomes = upsert_products(&mut tx, &cx, rows).await?;
        tx.commit().await?;
        Ok(outcomes)
    }

    /// Products with these codes, each its own SKU.
    async fn stocked_with(&mut self, codes: &[&str]) -> Vec<i64> {
        let ids = allocate_ids(&mut self.conn().await, codes.len()).await.expect("ids");
        let rows: Vec<ProductUpsert<'_>> = ids.iter().zip(codes).map(|(id, code)| product(*id, code)).collect();
        assert!(self.products(&rows).await.iter().all(|outcome| *outcome == Outcome::Created));
        ids
    }

    async fn category(&mut self, code: &str) -> i64 {
        let cx = self.tick();
        let mut conn = self.conn().await;
        let id = categories::allocate_ids(&mut conn, 1).await.expect("an id")[0];
        let row = CategoryUpsert { id, is_new: true, code, name: Patch::Set(code), ..CategoryUpsert::default() };
        categories::upsert_categories(&mut conn, &cx, &[row]).await.expect("created");
        id
    }

    async fn brand(&mut self, code: &str) -> i64 {
        let cx = self.tick();
        let mut conn = self.conn().await;
        let id = brands::allocate_ids(&mut conn, 1).await.expect("an id")[0];
        let row = CodeListUpsert { id, is_new: true, code, name: Patch::Set(code), is_active: Patch::Keep };
        brands::upsert_brands(&mut conn, &cx, &[row]).await.expect("created");
        id
    }

    async fn warehouse(&mut self, code: &str) -> i64 {
        let cx = self.tick();
        let mut conn = self.conn().await;
        let id = warehouses::allocate_ids(&mut conn, 1).await.expect("an id")[0];
        let row = CodeListUpsert { id, is_new: true, code, name: Patch::Set(code), is_active: Patch::Keep };
        warehouses::upsert_warehouses(&mut conn, &cx, &[row]).await.expect("created");
        id
    }

    /// One row of a table as JSON, its decimals without trailing zeros.
    async fn row(&self, table: &str, id: i64) -> serde_json::Value {
        let text = format!("select to_jsonb(t) from commerce.{table} t where id = $1");
        let mut row: serde_json::Value = sqlx::query_scalar(sqlx::AssertSqlSafe(text))
            .bind(id)
            .fetch_one(&self.database.pool)
            .await
            .expect("the row is there");
        for value in row.as_object_mut().expect("an object").values_mut() {
            if let serde_json::Value::Number(number) = value {
                let plain = number.to_string().parse::<rust_decimal::Decimal>().expect("a number").normalize();
                *value = serde_json::from_str(&plain.to_string()).expect("a number");
            }
        }
        row
    }

    async fn trace(&self, table: &str, id: i64) -> Trace {
        let text = format!("select xmin::text, revision, updated_at from commerce.{table} where id = $1");
        let row = sqlx::query(sqlx::AssertSqlSafe(text))
            .bind(id)
            .fetch_one(&self.database.pool)
            .await
            .expect("the row is there");
        Trace { xmin: row.get(0), revision: row.get(1), updated_at: row.get(2) }
    }

    async fn count(&self, table: &str) -> i64 {
        sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select count(*) from {table}")))
            .fetch_one(&self.database.pool)
            .await
            .expect("counted")
    }

    async fn events(&self) -> Vec<Event> {
        let rows = sqlx::query(
            "select type, aggregate_id, revision, origin, bulk, payload from hub.outbox_event order by created_at, id",
        )
        .fetch_all(&self.database.pool)
        .await
        .expect("events");
        rows.into_iter()
            .map(|row| Event {
                kind: row.get(0),
                aggregate_id: row.get(1),
                revision: row.get(2),
                origin: row.get(3),
                bulk: row.get(4),
                payload: row.get(5),
            })
            .collect()
    }
}

fn context(minutes: i64) -> WriteContext<'static> {
    let now = DateTime::from_timestamp(1_770_000_000, 0).expect("a time") + TimeDelta::minutes(minutes);
    WriteContext::source(Provenance { origin: "logo", bulk: false, correlation_id: "test", place: None, now })
}

fn by_a_person(cx: WriteContext<'static>) -> WriteContext<'static> {
    WriteContext::person(Provenance { origin: "user:7", ..cx.by })
}

/// A new product with what it must have.
fn product<'a>(id: i64, code: &'a str) -> ProductUpsert<'a> {
    ProductUpsert {
        id,
        is_new: true,
        code,
        sku: Patch::Set(code),
        name: Patch::Set("Kamera"),
        ..ProductUpsert::default()
    }
}

/// A change of a known product that so far says nothing.
fn change<'a>(id: i64, code: &'a str) -> ProductUpsert<'a> {
    ProductUpsert { id, code, ..ProductUpsert::default() }
}

fn refusal(outcome: &Outcome) -> &Violation {
    match outcome {
        Outcome::Refused(violation) => violation,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[track_caller]
fn assert_refused(outcome: &Outcome, field: &str, rule: &str) {
    let violation = refusal(outcome);
    assert_eq!((violation.field, violation.rule), (field, rule), "{violation:?}");
}

async fn ids(conn: &mut PgConnection, count: usize) -> Vec<i64> {
    allocate_ids(conn, count).await.expect("ids")
}
