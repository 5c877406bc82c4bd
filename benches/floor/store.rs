//! The bare statements, and a database to run them on. They are plain text, not checked macros: the program makes its
//! database while it runs, and one function binds the two that write.

use std::{collections::HashMap, str::FromStr};

use chrono::{DateTime, Utc};
use kopru::{
    commerce::{
        CommandError, Patch, WriteContext,
        products::{ProductUpsert, upsert_products},
    },
    outbox::Provenance,
};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool, Row, postgres::PgConnectOptions};
use uuid::{ContextV7, Timestamp, Uuid};

use crate::catalogue::{self, Item};

pub const CONNECTOR: &str = "logo";

/// A database of this run's own, dropped at its end.
#[derive(Debug)]
pub struct Store {
    server: PgConnection,
    options: PgConnectOptions,
    name: String,
}

impl Store {
    pub async fn create(url: &str) -> Result<Store, sqlx::Error> {
        let mut server = PgConnection::connect(url).await?;
        let name = format!("kopru_floor_{}", std::process::id());
        server.execute(AssertSqlSafe(format!("create database {name}"))).await?;
        let options = PgConnectOptions::from_str(url)?.database(&name);
        let pool = PgPool::connect_with(options.clone()).await?;
        kopru::database::migrate(&pool).await?;
        pool.close().await;
        Ok(Store { server, options, name })
    }

    pub async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect_with(&self.options).await
    }

    /// Empty tables, but for what products refer to.
    pub async fn reset(&mut self) -> Result<(), sqlx::Error> {
        let mut conn = self.connect().await?;
        conn.execute(
            "truncate commerce.product, commerce.category, commerce.brand, commerce.unit_set, hub.external_ref,
                hub.outbox_event, hub.message_history, hub.payload_history restart identity cascade",
        )
        .await?;
        for (table, rows) in [("category", catalogue::CATEGORIES), ("brand", catalogue::BRANDS), ("unit_set", 1)] {
            conn.execute(AssertSqlSafe(format!(
                "insert into commerce.{table} (code, name, created_at, updated_at, created_by, updated_by)
                 select 'C' || n, 'Ad ' || n, now(), now(), 'floor', 'floor' from generate_series(1, {rows}) n"
            )))
            .await?;
        }
        self.settle().await
    }

    /// What an earlier measurement left to do is done before the next one.
    pub async fn settle(&mut self) -> Result<(), sqlx::Error> {
        let mut conn = self.connect().await?;
        conn.execute("vacuum analyze").await?;
        self.server.execute("checkpoint").await?;
        Ok(())
    }

    pub async fn drop(mut self) -> Result<(), sqlx::Error> {
        self.server.execute(AssertSqlSafe(format!("drop database {} with (force)", self.name))).await?;
        Ok(())
    }
}

/// A page and its stored form, made before the clock runs.
#[derive(Debug, Clone)]
pub struct Page {
    pub items: Vec<Item>,
    pub body: Vec<u8>,
}

fn ids(now: DateTime<Utc>, count: usize) -> Vec<Uuid> {
    let context = ContextV7::new();
    let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
    (0..count).map(|_| Uuid::new_v7(Timestamp::from_unix(&context, seconds, now.timestamp_subsec_nanos()))).collect()
}

async fn write_page(conn: &mut PgConnection, page: &Page, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    let id = ids(now, 1).pop().unwrap_or_default();
    sqlx::query(include_str!("sql/page.sql"))
        .bind(id)
        .bind(page.items.len() as i32)
        .bind(now)
        .bind(&page.body)
        .execute(conn)
        .await?;
    Ok(())
}

/// One statement writes product, link and event.
async fn write_items(
    conn: &mut PgConnection,
    text: &'static str,
    items: &[Item],
    links: bool,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let payloads: Vec<String> = items
        .iter()
        .map(|item| format!(r#"{{"id":{},"code":"{}","sku":"{}","revision":1}}"#, item.id, item.code, item.code))
        .collect();
    sqlx::query(text)
        .bind(now)
        .bind(CONNECTOR)
        .bind(items.iter().map(|item| item.id).collect::<Vec<_>>())
        .bind(items.iter().map(|item| item.category).collect::<Vec<_>>())
        .bind(items.iter().map(|item| item.brand).collect::<Vec<_>>())
        .bind(items.iter().map(|item| item.code.as_str()).collect::<Vec<_>>())
        .bind(items.iter().map(|item| item.name.as_str()).collect::<Vec<_>>())
        .bind(items.iter().map(|item| item.slug.as_str()).collect::<Vec<_>>())
        .bind(items.iter().map(|item| item.barcode.as_str()).collect::<Vec<_>>())
        .bind(items.iter().map(|item| item.vat_rate).collect::<Vec<_>>())
        .bind(items.iter().map(|item| item.minimum).collect::<Vec<_>>())
        .bind(items.iter().map(|item| item.logicalref.as_str()).collect::<Vec<_>>())
        .bind(items.iter().map(|item| item.stamp).collect::<Vec<_>>())
        .bind(items.iter().map(|item| item.hash.as_slice()).collect::<Vec<_>>())
        .bind(ids(now, items.len()))
        .bind(payloads)
        .bind(links)
        .execute(conn)
        .await?;
    Ok(())
}

async fn write_units(conn: &mut PgConnection, items: &[Item]) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("sql/units.sql"))
        .bind(items.iter().map(|item| item.id).collect::<Vec<_>>())
        .bind(items.iter().map(|item| item.barcode.as_str()).collect::<Vec<_>>())
        .execute(conn)
        .await?;
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    Load {
        links: bool,
        /// Unit lines as well.
        units: bool,
    },
    /// Products, links and events are written where something differs.
    Change { links: bool },
    /// Hashes are read first; what is equal is dropped.
    DropEqual,
    /// Through the command that the hub calls, rules and all.
    Command { is_new: bool },
}

/// One page in one transaction.
pub async fn apply(conn: &mut PgConnection, work: Work, page: &Page, now: DateTime<Utc>) -> Result<(), CommandError> {
    let mut tx = conn.begin().await?;
    write_page(&mut tx, page, now).await?;
    match work {
        Work::Load { links, units } => {
            write_items(&mut tx, include_str!("sql/load.sql"), &page.items, links, now).await?;
            if units {
                write_units(&mut tx, &page.items).await?;
            }
        }
        Work::Change { links } => write_items(&mut tx, include_str!("sql/change.sql"), &page.items, links, now).await?,
        Work::DropEqual => {
            let differ = differing(&mut tx, &page.items).await?;
            if !differ.is_empty() {
                write_items(&mut tx, include_str!("sql/change.sql"), &differ, true, now).await?;
            }
        }
        Work::Command { is_new } => {
            let by = Provenance { origin: CONNECTOR, bulk: true, correlation_id: "floor", place: None, now };
            let rows: Vec<ProductUpsert<'_>> = page.items.iter().map(|item| upsert(item, is_new)).collect();
            upsert_products(&mut tx, &WriteContext::source(by), &rows).await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

async fn differing(conn: &mut PgConnection, items: &[Item]) -> Result<Vec<Item>, sqlx::Error> {
    let codes: Vec<&str> = items.iter().map(|item| item.code.as_str()).collect();
    let known: HashMap<String, Vec<u8>> = sqlx::query(include_str!("sql/hashes.sql"))
        .bind(CONNECTOR)
        .bind(codes)
        .fetch_all(conn)
        .await?
        .into_iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect();
    Ok(items.iter().filter(|item| known.get(&item.code) != Some(&item.hash)).cloned().collect())
}

fn upsert(item: &Item, is_new: bool) -> ProductUpsert<'_> {
    ProductUpsert {
        id: item.id,
        is_new,
        code: &item.code,
        sku: Patch::Set(&item.code),
        name: Patch::Set(&item.name),
        category: Patch::Set(item.category),
        brand: Patch::Set(item.brand),
        unit_set: Patch::Set(1),
        unit: Patch::Set("ADET"),
        barcode: Patch::Set(&item.barcode),
        vat_rate: Patch::Set(item.vat_rate),
        is_active: Patch::Set(true),
        requires_serial_number: Patch::Set(false),
        minimum_order_quantity: Patch::Set(item.minimum),
        ..ProductUpsert::default()
    }
}
