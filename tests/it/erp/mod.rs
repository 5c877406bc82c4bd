//! What an ERP says of our orders, invoices, accounts and stock, through its streams: the built-in mappings of LOGO over a
//! scripted system.

mod accounts;
mod interleavings;
mod invoices;
mod orders;
mod reconciled;
mod reservations;

use std::sync::Arc;

use kopru::{
    hub::{
        handover::{self, Announced},
        intake::{self, Submission},
        keyed::by_key,
        runs::Run,
    },
    mapping::{Format, Library, OnMissing},
};
use kopru_sdk::Pass;
use serde_json::{Value, json};

use crate::support::{
    dealers,
    hub::{ERP, Hub},
    system::page,
};

/// Our reference of the order.
pub const ORDER: &str = "KPR-1";
pub const DEALER: &str = "120.01";

/// A dealer, goods of which ten lie in warehouse 0, and a confirmed order of ten pieces that the ERP has.
pub struct Shop {
    pub hub: Hub,
    pub dealer: i64,
    pub level: i64,
    pub order: i64,
    pub line: i64,
}

impl Shop {
    pub async fn open() -> Shop {
        let shop = Shop::without_link().await;
        shop.link("order", shop.order, ORDER).await;
        shop
    }

    pub async fn without_link() -> Shop {
        Shop::reading(&["orders", "invoices", "ledger", "levels"]).await
    }

    /// Whose ERP is polled for these streams; what else there is it pushes.
    pub async fn reading(streams: &'static [&'static str]) -> Shop {
        let hub = Hub::with(|build| {
            build.library = Arc::new(Library::load(None).expect("the built-in mappings"));
            build.polled = streams;
        })
        .await;
        let pool = hub.pool();
        let dealer = dealers::customer(pool, DEALER, None).await;
        let goods = dealers::product(pool, "P").await;
        let warehouse = dealers::warehouse(pool, "0").await;
        let (order, line) = dealers::order(pool, dealer, goods, 10, "confirmed").await;
        let level: i64 = sqlx::query_scalar(
            "insert into commerce.stock_level (product_id, warehouse_id, quantity, created_at, updated_at)
             values ($1, $2, 25, now(), now()) returning id",
        )
        .bind(goods)
        .bind(warehouse)
        .fetch_one(pool)
        .await
        .expect("a level");
        let shop = Shop { hub, dealer, level, order, line };
        shop.link("customer", dealer, DEALER).await;
        shop.link("product", goods, "P").await;
        shop.link("warehouse", warehouse, "0").await;
        shop.link("stock", level, "P|0").await;
        shop
    }

    /// A record that the ERP has under this code.
    pub async fn link(&self, entity: &str, id: i64, code: &str) {
        let sql = "insert into hub.external_ref (connector, entity, internal_id, external_code, last_synced_at)
                   values ($1, $2, $3, $4, '2000-01-01Z')";
        sqlx::query(sql).bind(ERP).bind(entity).bind(id).bind(code).execute(self.hub.pool()).await.expect("a link");
    }

    /// What the order holds back of the level, as placing it does.
    pub async fn reserve(&self, pieces: i64) {
        self.hub
            .execute(&format!(
                "insert into commerce.stock_reservation (order_id, line_id, stock_level_id, created_at, quantity, open)
                     values ({}, {}, {}, now(), {pieces}, {pieces});
                 update commerce.stock_level set held = held + {pieces} where id = {};
                 update commerce.sales_order_line set reserved = {pieces} where id = {}",
                self.order, self.line, self.level, self.level, self.line
            ))
            .await;
    }

    /// The ERP took the order.
    pub async fn sent(&self) {
        self.says_sent(self.order).await;
    }

    pub async fn says_sent(&self, order: i64) {
        self.hub
            .execute(&format!("update commerce.sales_order set handed_at = now(), sent_at = now() where id = {order}"))
            .await;
    }

    pub async fn reads(&self, stream: &str, records: impl IntoIterator<Item = Value>) -> Run {
        let run = self.hub.changes(stream, [page(records)]).await;
        let letters = self.hub.rows("select entity, key, reason, field, value, detail from hub.dead_letter").await;
        assert_eq!((run.state.as_str(), run.failed), ("done", 0), "{letters:?}");
        run
    }

    pub async fn reads_all(&self, stream: &str, records: impl IntoIterator<Item = Value>) -> Run {
        self.hub.system.full(stream, [page(records)]);
        self.hub.run(stream, Pass::Full).await
    }

    /// The ERP says that it begins to read its stock.
    pub async fn begins(&self) -> i64 {
        let mut tx = self.hub.pool().begin().await.expect("begin");
        let number = handover::begin(&mut tx, &self.hub.engine, ERP).await.expect("begun");
        tx.commit().await.expect("commit");
        number
    }

    /// Levels that the ERP pushes, as part of a reading or of none. `false`: the reading is not the last one.
    pub async fn pushes(&self, reading: Option<i64>, levels: &[(&str, i64)]) -> bool {
        let items = levels
            .iter()
            .map(|(code, quantity)| json!({ "productCode": code, "warehouseCode": "0", "quantity": quantity }));
        let body = json!({ "items": items.collect::<Vec<_>>() }).to_string();
        let mut tx = self.hub.pool().begin().await.expect("begin");
        let announced = reading.map(|number| Announced { engine: &self.hub.engine, connector: ERP, number });
        if let Some(announced) = announced
            && !announced.stands(&mut tx).await.expect("the store")
        {
            return false;
        }
        let submission = Submission {
            connector: ERP,
            stream: "push.stock",
            mapping: "integration/stock",
            format: Format::Json,
            body: body.as_bytes(),
            correlation_id: "test",
            origin: ERP,
            run_id: None,
            on_missing: Some(OnMissing::Fail),
            keep_failed: true,
            bulk: false,
            received_at: by_key(&mut tx).await.expect("a time"),
            first: 0,
            isolate: false,
            recalls: false,
            stands_alone: false,
        };
        let submitted = intake::submit(&mut tx, &self.hub.engine, &submission).await.expect("submitted");
        assert_eq!(submitted.tally.failed, 0, "{:?}", submitted.items);
        if let Some(announced) = announced {
            let levels: Vec<i64> = submitted.items.iter().filter_map(|item| item.internal_id).collect();
            announced.wrote(&mut tx, &levels).await.expect("ended");
        }
        tx.commit().await.expect("commit");
        true
    }

    pub async fn order_row(&self) -> Value {
        self.hub
            .row(&format!(
                "select o.state, o.external_number as number, o.total::float8 as total,
                     l.ordered::float8 as ordered, l.shipped::float8 as shipped, l.cancelled::float8 as cancelled,
                     l.invoiced::float8 as invoiced, l.reserved::float8 as reserved
                 from commerce.sales_order o join commerce.sales_order_line l on l.order_id = o.id where o.id = {}",
                self.order
            ))
            .await
    }

    pub async fn events(&self) -> Vec<String> {
        let rows = self.hub.rows("select type from hub.outbox_event where aggregate = 'order' order by revision").await;
        rows.iter().filter_map(|row| row["type"].as_str().map(str::to_owned)).collect()
    }

    pub async fn differences(&self) -> Vec<Value> {
        self.hub.rows("select field, ours, theirs from commerce.order_difference order by field").await
    }
}

/// The order as LOGO shows it. Each piece costs 10.00 and 20 % VAT.
pub fn order(quantity: i64, shipped: i64, minute: u32) -> Value {
    json!({
        "INTERNAL_REFERENCE": 735, "NUMBER": "0000000000000318", "CUST_ORD_NO": ORDER, "CANCELLED": 0,
        "TOTAL_NET": quantity * 12, "STAMP": format!("2026-03-02T14:{minute:02}:00"),
        "TRANSACTIONS": { "items": [{ "INTERNAL_REFERENCE": 2109, "TYPE": 0, "MASTER_CODE": "P", "QUANTITY": quantity,
            "QUANTITY_SHIPPED": shipped, "UNIT_CODE": "ADET", "ORDER_CLOSED": 0, "VAT_BASE": quantity * 10,
            "VAT_AMOUNT": quantity * 2 }] }
    })
}

/// An invoice over so many pieces of the order.
pub fn invoice(number: &str, pieces: i64, minute: u32) -> Value {
    json!({
        "INTERNAL_REFERENCE": 5203, "GRPCODE": 2, "TYPE": 8, "NUMBER": number, "DATE": "2026-03-05", "ARP_CODE": DEALER,
        "TOTAL_GROSS": pieces * 10, "TOTAL_DISCOUNTS": 0, "TOTAL_VAT": pieces * 2, "TOTAL_NET": pieces * 12, "EINVOICE": 1,
        "PROFILE_ID": 2, "ESTATUS": 0, "CANCELLED": 0, "GUID": "E5A9C3D4-22B7-4C3E-8F10-6B0C9D415203",
        "STAMP": format!("2026-03-05T10:{minute:02}:00"),
        "TRANSACTIONS": { "items": [{ "INTERNAL_REFERENCE": 60117, "TYPE": 0, "MASTER_CODE": "P", "QUANTITY": pieces,
            "PRICE": 10, "TOTAL": pieces * 10, "VAT_RATE": 20, "VAT_AMOUNT": pieces * 2, "VAT_BASE": pieces * 10,
            "UNIT_CODE": "ADET", "UNIT_CONV1": 1, "UNIT_CONV2": 1, "ORDER_REFERENCE": 2109 }] },
        "PAYMENT_LIST": { "items": [{ "INTERNAL_REFERENCE": 1, "DATE": "2026-04-04", "TOTAL": pieces * 12 }] }
    })
}

/// The movement of an invoice.
pub fn movement(number: &str, pieces: i64, minute: u32) -> Value {
    json!({
        "INTERNAL_REFERENCE": 9001, "PERIOD": "01", "ARP_CODE": DEALER, "MODULENR": 4, "TRCODE": 38, "SIGN": 0,
        "AMOUNT": pieces * 12, "DATE": "2026-03-05", "DUE_DATE": "2026-04-04", "TRANNO": "7", "INVOICE_NUMBER": number,
        "DOC_NUMBER": ORDER, "CUST_ORD_NO": ORDER, "CANCELLED": 0, "STAMP": format!("2026-03-05T10:{minute:02}:00")
    })
}
