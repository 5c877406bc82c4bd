//! `POST /_sandbox/change`: edits by the firm's own people, seen by both ways in.

use std::collections::BTreeSet;

use kopru_logo::sql::{Query, Since, Warehouses, WhichItems};
use serde_json::{Value, json};

use crate::{
    queries::{after, changed_since, stamp, stock_page},
    support::Logo,
};

async fn now(logo: &Logo) -> String {
    logo.sql(&Query::ServerTime).await[0]["STAMP"].as_str().unwrap().to_owned()
}

fn codes(rows: &[Value]) -> BTreeSet<String> {
    rows.iter().map(|row| row["CODE"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn edited_items_move_to_the_end_of_the_stamps() {
    let logo = Logo::small().await;
    let all = changed_since(&logo, "2000-01-01T00:00:00", 100).await;
    let before = now(&logo).await;
    let ((_, a, _), (reference, b, _)) = (logo.item(3).await, logo.item(250).await);
    let counts = logo
        .change(&json!({"items": [
            {"code": a, "name": "Değişmiş", "active": false, "group": "YOK"},
            {"ref": reference, "fields": {"AUXIL_CODE": "ÖZEL"}, "vat": 10},
        ]}))
        .await;
    assert_eq!(counts, json!({"items": 2}));
    let changed = changed_since(&logo, &before, 100).await;
    assert_eq!(codes(&changed), BTreeSet::from([a.clone(), b]));
    let first = changed.iter().find(|row| row["CODE"] == a).unwrap();
    assert_eq!(
        (&first["NAME"], &first["RECORD_STATUS"], &first["GROUP_CODE"]),
        (&json!("Değişmiş"), &json!(1), &json!("YOK"))
    );
    let again = changed_since(&logo, "2000-01-01T00:00:00", 100).await;
    assert_eq!(again.len(), all.len());
    assert_eq!(codes(&again), codes(&all));
    let record = logo.get("/items/1250").await;
    assert_eq!((&record["AUXIL_CODE"], record["SELVAT"].to_string().as_str()), (&json!("ÖZEL"), "10.0"));
}

#[tokio::test]
async fn inserted_items_get_references_above() {
    let logo = Logo::small().await;
    let before = now(&logo).await;
    logo.change(&json!({"insert": {"items": 30}})).await;
    let rows = logo.sql(&Query::Items { firm: 7, after: after(1_399, 100) }).await;
    assert_eq!((rows.len(), &rows[0]["INTERNAL_REFERENCE"]), (30, &json!(1_400)));
    assert_eq!(changed_since(&logo, &before, 7).await.len(), 30);
    assert_eq!(logo.get("/items?withCount=true").await["totalCount"], 436);
    assert_eq!(logo.state("kind=expected").await["streams"]["items"], 430);
}

#[tokio::test]
async fn prices_and_stock_are_booked() {
    let logo = Logo::small().await;
    let before = now(&logo).await;
    let (reference, code, _) = logo.item(7).await;
    logo.change(&json!({
        "items": [{"code": code, "price": "99.90"}],
        "prices": [{"code": code, "customer": "120.34.0001", "price": 80.5, "currency": 1}],
        "stock": [{"code": code, "warehouse": 9, "onHand": "-4.5", "reserved": 1}],
    }))
    .await;
    let since = Since { stamp: stamp(&before), reference: 0, limit: 100 };
    let prices = logo.sql(&Query::PricesChanged { firm: 7, since }).await;
    assert_eq!(prices.len(), 2);
    let of = |group: &str| prices.iter().find(|row| row["GRPCODE"] == group).unwrap();
    assert_eq!(of("LISTE")["PRICE"].to_string(), "99.900000");
    assert_eq!((&of("OZEL")["ARP_CODE"], &of("OZEL")["CURRENCY"]), (&json!("120.34.0001"), &json!(1)));
    assert_eq!(of("OZEL")["CARDREF"], reference);

    let page = stock_page(0, -1, 100, Warehouses::Each);
    let stock = logo.sql(&Query::StockChanged { firm: 7, stamp: stamp(&before), page }).await;
    let row = stock.iter().find(|row| row["INVENNO"] == 9).unwrap();
    assert_eq!((row["ONHAND"].to_string().as_str(), row["AVAILABLE"].to_string().as_str()), ("-4.5000", "-5.5000"));
    assert!(stock.iter().all(|row| row["STOCKREF"] == reference), "only what moved");
    assert_eq!(logo.state(&format!("kind=stock&reference={code}")).await.as_array().unwrap().len(), stock.len());
}

#[tokio::test]
async fn a_number_beyond_all_bounds_is_the_same_by_both_ways() {
    let logo = Logo::small().await;
    let price = &logo.sql(&Query::Prices { firm: 7, after: after(0, 5) }).await[4];
    let reference = price["INTERNAL_REFERENCE"].as_i64().unwrap();
    let (item, code, _) = logo.item(7).await;
    logo.change(&json!({
        "prices": [{"ref": reference, "price": 1e15}],
        "items": [{"code": code, "vat": 1e20}],
    }))
    .await;
    let row = &logo.sql(&Query::Prices { firm: 7, after: after(reference - 1, 1) }).await[0];
    let record = logo.get(&format!("/salesItemPrices/{reference}")).await;
    assert_eq!((row["PRICE"].as_f64(), &row["PRICE"]), (Some(1e15), &record["PRICE"]));
    let row = &logo.sql(&Query::Items { firm: 7, after: after(item - 1, 1) }).await[0];
    let record = logo.get(&format!("/items/{item}")).await;
    assert_eq!((row["VAT"].as_f64(), &row["VAT"], &row["SELVAT"]), (Some(1e20), &record["VAT"], &record["SELVAT"]));
}

#[tokio::test]
async fn units_that_were_written_are_the_same_by_both_ways() {
    let logo = Logo::small().await;
    let (item, code, unit) = logo.item(7).await;
    let units = json!({"items": [
        {"UNIT_CODE": unit, "CONV_FACT1": 1.0, "CONV_FACT2": 1.0, "BARCODE": "8690000000017"},
        {"UNIT_CODE": "PALET", "CONV_FACT1": 1.0, "CONV_FACT2": 480.0, "WEIGHT": 12.5},
    ]});
    logo.change(&json!({"items": [{"code": code, "fields": {"UNITS": units}}]})).await;
    let query = |line| Query::ItemUnits { firm: 7, items: WhichItems::Only(vec![item]), item, line, limit: 10 };
    let rows = logo.sql(&query(0)).await;
    assert_eq!((&rows[0]["UNIT_CODE"], &rows[0]["BARCODE"]), (&json!(unit), &json!("8690000000017")));
    assert_eq!((&rows[1]["CONV_FACT2"], &rows[1]["WEIGHT"]), (&json!(480.0), &json!(12.5)));
    assert_eq!((rows.len(), &rows[1]["INTERNAL_REFERENCE"]), (2, &rows[1]["LASTLINE"]));
    assert_eq!(logo.sql(&query(1)).await, rows[1..]);
}

#[tokio::test]
async fn old_movements_are_found_when_asked_far_back() {
    let logo = Logo::small().await;
    let all = logo.sql(&Query::Stock { firm: 7, page: stock_page(0, -1, 10_000, Warehouses::Each) }).await;
    let changed = |since: &str| Query::StockChanged {
        firm: 7,
        stamp: stamp(since),
        page: stock_page(0, -1, 10_000, Warehouses::Each),
    };
    assert_eq!(logo.sql(&changed("2000-01-01T00:00:00")).await, all);
    let some = logo.sql(&changed("2025-01-01T00:00:00")).await.len();
    assert!(some > 0 && some < all.len());
}

#[tokio::test]
async fn everything_changes_at_once_and_keeps_one_stamp() {
    let logo = Logo::small().await;
    let all = logo.sql(&Query::Items { firm: 7, after: after(0, 1_000) }).await;
    let before = now(&logo).await;
    logo.change(&json!({"mutateAll": {"stream": "items", "salt": 3}})).await;
    let changed = changed_since(&logo, &before, 33).await;
    assert_eq!(changed.len(), all.len());
    assert_eq!(changed.iter().map(|row| row["STAMP"].to_string()).collect::<BTreeSet<_>>().len(), 1);
    let renamed = changed.iter().filter(|row| row["NAME"].as_str().unwrap().ends_with(" r3")).count();
    assert_eq!(renamed, 400, "the classes apart");
    for stream in ["prices", "customers", "stock"] {
        logo.change(&json!({"mutateAll": {"stream": stream, "salt": 1}})).await;
    }
    let page = stock_page(0, -1, 10_000, Warehouses::Each);
    let stock = logo.sql(&Query::StockChanged { firm: 7, stamp: stamp(&before), page }).await;
    assert_eq!(json!(stock.len()), logo.state("kind=expected").await["streams"]["stock"]);
}

#[tokio::test]
async fn touched_and_deleted_and_renamed_cards() {
    let logo = Logo::small().await;
    let before = now(&logo).await;
    logo.change(&json!({"touch": {"from": 1_010, "to": 1_019}})).await;
    assert_eq!(changed_since(&logo, &before, 4).await.len(), 10);
    let expected = logo.state("kind=expected").await;
    logo.change(&json!({"items": [{"ref": 1_010, "delete": true}, {"ref": 1_011, "newCode": "BAŞKA-1"}]})).await;
    assert_eq!(logo.get("/items?q=CODE eq 'BAŞKA-1'").await["items"][0]["INTERNAL_REFERENCE"], 1_011);
    let prices = logo.sql(&Query::Prices { firm: 7, after: after(0, 10_000) }).await;
    assert!(prices.iter().all(|row| row["CARDREF"] != 1_010));
    assert!(prices.iter().any(|row| row["OWNER_CODE"] == "BAŞKA-1"));
    let later = logo.state("kind=expected").await;
    assert_eq!(later["streams"]["items"], expected["streams"]["items"].as_u64().unwrap() - 1);
    assert_eq!(later["streams"]["prices"], prices.len());
    assert_eq!(logo.sql(&Query::Items { firm: 7, after: after(0, 1_000) }).await.len(), 404);
}

#[tokio::test]
async fn codes_are_added_and_stamps_follow_the_shifted_clock() {
    let logo = Logo::small().await;
    logo.change(
        &json!({"groups": [{"code": "YENİ", "name": "Yeni grup"}], "brands": [{"code": "MARKA", "name": "M"}]}),
    )
    .await;
    assert_eq!(logo.get("/itemBrands?q=CODE eq 'MARKA'").await["items"][0]["INTERNAL_REFERENCE"], 50);
    let groups = Query::GroupCodes { firm: 7, code_type: 4, card_type: 0, after: after(159, 10) };
    assert_eq!(logo.sql(&groups).await[0]["CODE"], "YENİ");
    let before = now(&logo).await;
    logo.shift_clock(600).await;
    assert!(now(&logo).await > before);
    logo.change(&json!({"items": [{"ref": 1_000, "name": "x"}]})).await;
    let row = &changed_since(&logo, &before, 10).await[0];
    assert!(stamp(row["STAMP"].as_str().unwrap()) - stamp(&before) >= chrono::TimeDelta::seconds(600));
}

#[tokio::test]
async fn wrong_changes_are_refused_whole() {
    let logo = Logo::small().await;
    let cases = [
        (json!({"itmes": []}), "itmes: unknown key; did you mean `items`?"),
        (json!({"items": [{"ref": 1_000, "name": "x"}, {"code": "YOK"}]}), "items[1]: no such card: YOK"),
        (json!({"items": [{"ref": 1_000, "nmae": "x"}]}), "items[0]: nmae: unknown key; did you mean `name`?"),
        (json!({"items": [{"ref": 1_000, "active": 1}]}), "items[0]: active: must be true or false"),
        (json!({"mutateAll": {"stream": "orders", "salt": 1}}), "mutateAll.stream: `orders` is none of"),
        (json!({"insert": {"items": 0}}), "insert.items: must be a number from 1"),
        (json!({"stock": [{"ref": 1_000, "onHand": "çok"}]}), "stock[0]: onHand: must be a number"),
    ];
    for (change, error) in cases {
        let told = logo.refused_change(&change).await;
        assert!(told.starts_with(error), "{told}");
    }
    assert_eq!(logo.state("").await["writtenItems"], 0);
}
