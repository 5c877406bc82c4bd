//! What was written outlives the process.

use kopru_logo::{
    sandbox::{self, world::World},
    sql::Query,
};
use kopru_sdk::sandbox::SandboxOptions;
use serde_json::{Value, json};

use crate::{
    queries::{after, stock_page},
    support::{Logo, options},
};

async fn everything(logo: &Logo) -> Vec<Vec<Value>> {
    let page = || stock_page(0, -1, 10_000, kopru_logo::sql::Warehouses::Each);
    let mut tables = Vec::new();
    for query in [
        Query::Items { firm: 7, after: after(0, 10_000) },
        Query::Prices { firm: 7, after: after(0, 10_000) },
        Query::Customers { firm: 7, after: after(0, 10_000) },
        Query::Brands { firm: 7, after: after(0, 1_000) },
        Query::Stock { firm: 7, page: page() },
    ] {
        tables.push(logo.sql(&query).await);
    }
    for kind in ["orders", "invoices", "movements", "expected"] {
        tables.push(vec![logo.state(&format!("kind={kind}")).await]);
    }
    tables
}

#[tokio::test]
async fn a_new_process_shows_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let options = SandboxOptions { dir: Some(dir.path().to_owned()), ..options(300, json!({"write_millis": 0})) };
    let logo = Logo::with(&options).await;
    let (_, code, _) = logo.item(4).await;
    let buyer = logo.buyer().await;
    let today = logo.sql(&Query::ServerTime).await[0]["STAMP"].as_str().unwrap()[..10].to_owned();
    logo.change(&json!({
        "items": [{"code": code, "name": "Kalıcı", "price": 12.5}],
        "insert": {"items": 3},
        "stock": [{"code": code, "warehouse": 2, "onHand": 7}],
        "brands": [{"code": "YENİ", "name": "Yeni"}],
    }))
    .await;
    logo.change(&json!({"mutateAll": {"stream": "prices", "salt": 2}})).await;
    logo.post("/Arps", &json!({"CODE": "120.77.0001", "TITLE": "Iğdır Şb."})).await;
    let line = json!({"TYPE": 0, "MASTER_CODE": code, "QUANTITY": 2.5, "PRICE": 10});
    let order = json!({"NUMBER": "~", "DATE": today, "ARP_CODE": buyer, "CUST_ORD_NO": "KPR-1",
        "TRANSACTIONS": {"items": [line]}});
    logo.post("/salesOrders", &order).await;
    logo.change(&json!({"orders": [{"order": "KPR-1", "ship": true, "invoice": true}]})).await;
    logo.change(&json!({"payments": [{"customer": buyer, "amount": 5}]})).await;
    let before = everything(&logo).await;
    // No orderly stop: the journal is what there is.
    drop(logo);

    let logo = Logo::with(&options).await;
    assert_eq!(everything(&logo).await, before);
    let (_, echo) = logo.post("/salesOrders", &order).await;
    let next = logo.get(&format!("/salesOrders/{}", echo["INTERNAL_REFERENCE"])).await;
    assert_eq!(next["NUMBER"], "0000000000000002");
}

#[test]
fn a_journal_of_another_world_is_not_mixed_in() {
    let dir = tempfile::tempdir().unwrap();
    let with = |items| SandboxOptions { dir: Some(dir.path().to_owned()), ..options(items, json!({})) };
    let first = sandbox::build(&with(10)).unwrap();
    first.change(&json!({"insert": {"items": 2}})).unwrap();
    let second = sandbox::build(&with(11)).unwrap();
    assert_eq!(second.state(None, None)["writtenItems"], 0);
    assert_eq!(World::new(1, 11).items, 11);
}
