//! Sales orders: echo and read-back, refusals, one at a time.

use std::time::{Duration, Instant};

use kopru_logo::sql::{Query, Warehouses};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    queries::{stamp, stock_page},
    support::Logo,
};

/// Two lines and a discount on the first, as the reference's order 1.
async fn order(logo: &Logo, reference: &str) -> Value {
    let (_, code, unit) = logo.item(1).await;
    let (_, other, _) = logo.item(2).await;
    let today = logo.sql(&Query::ServerTime).await[0]["STAMP"].as_str().unwrap()[..10].to_owned();
    json!({
        "INTERNAL_REFERENCE": 0, "NUMBER": "~", "DATE": format!("{today}T00:00:00"), "TIME": 236847104,
        "DOC_NUMBER": reference, "CUST_ORD_NO": reference, "ARP_CODE": logo.buyer().await, "SOURCE_WH": 1,
        "ORDER_STATUS": 4, "NOTES1": "B2B portal siparişi", "TRANSACTIONS": {"items": [
            {"TYPE": 0, "MASTER_CODE": code, "QUANTITY": 12, "PRICE": "1845.50", "VAT_RATE": 20, "UNIT_CODE": unit,
             "EDT_CURR": 1},
            {"TYPE": 2, "DETAIL_LEVEL": 1, "CALC_TYPE": 0, "DISCOUNT_RATE": 5},
            {"TYPE": 0, "MASTER_CODE": other, "QUANTITY": 3, "PRICE": 4120, "VAT_RATE": 20}]}
    })
}

async fn created(logo: &Logo, order: &Value) -> i64 {
    let (status, echo) = logo.post("/salesOrders", order).await;
    assert_eq!(status, StatusCode::OK, "{echo}");
    echo["INTERNAL_REFERENCE"].as_i64().unwrap()
}

async fn read(logo: &Logo, reference: i64) -> Value {
    logo.get(&format!("/salesOrders/{reference}?expandLevel=full")).await
}

#[tokio::test]
async fn a_slip_in_another_currency_tells_its_total_in_that_one() {
    let logo = Logo::small().await;
    let mut slip = order(&logo, "KPR-USD").await;
    slip["CURR_TRANSACTIN"] = json!(1);
    let foreign = read(&logo, created(&logo, &slip).await).await;
    // The books are kept in lira.
    assert_eq!(
        [&foreign["TC_RATE"], &foreign["TC_NET"], &foreign["TOTAL_NET"]].map(Value::to_string),
        ["41.2575", "40078.44", "1653536.24"]
    );
    let own = created(&logo, &order(&logo, "KPR-TRY").await).await;
    assert_eq!(read(&logo, own).await["TC_NET"], Value::Null);
}

#[tokio::test]
async fn a_create_echoes_and_only_the_read_back_is_true() {
    let logo = Logo::small().await;
    let (status, echo) = logo.post("/salesOrders", &order(&logo, "KPR-1").await).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(echo["NUMBER"], "~");
    assert_eq!(echo["TRANSACTIONS"]["items"][0]["INTERNAL_REFERENCE"], Value::Null);
    assert_eq!(echo["TRANSACTIONS"]["items"][0]["QUANTITY"].to_string(), "12.0");
    assert!(echo.get("TOTAL_NET").is_none());

    let record = read(&logo, echo["INTERNAL_REFERENCE"].as_i64().unwrap()).await;
    assert_eq!(record["NUMBER"], "0000000000000001");
    assert_eq!((&record["TYPE"], &record["ORDER_STATUS"]), (&json!(1), &json!(4)));
    for (name, amount) in [
        ("TOTAL_GROSS", "34506.0"),
        ("TOTAL_DISCOUNTS", "1107.3"),
        ("TOTAL_DISCOUNTED", "33398.7"),
        ("TOTAL_VAT", "6679.74"),
        ("TOTAL_NET", "40078.44"),
    ] {
        assert_eq!(record[name].to_string(), amount, "{name}");
    }
    let lines = record["TRANSACTIONS"]["items"].as_array().unwrap();
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| line["INTERNAL_REFERENCE"].as_i64().unwrap() > 2_000));
    assert_eq!(lines[0]["EDT_CURR"], 160, "not what was sent");
    assert!(record["PAYMENT_LIST"].get("items").is_none());
    let second = created(&logo, &order(&logo, "KPR-2").await).await;
    assert_eq!(read(&logo, second).await["NUMBER"], "0000000000000002");
}

#[tokio::test]
async fn an_explicit_number_is_unique_and_our_reference_is_not() {
    let logo = Logo::small().await;
    let mut order = order(&logo, "KPR-1").await;
    order["NUMBER"] = json!("KPR2026000000041");
    created(&logo, &order).await;
    let (status, body) = logo.post("/salesOrders", &order).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(body["ModelState"]["DBError"], json!(["23000"]));
    order["NUMBER"] = json!("~");
    created(&logo, &order).await;
    let found = logo.get("/salesOrders?q=CUST_ORD_NO eq 'KPR-1'").await;
    assert_eq!(found["count"], 2, "the hub must protect itself");
    assert_eq!(logo.state("kind=orders&reference=KPR-1").await["count"], 2);
}

#[tokio::test]
async fn unknown_codes_long_texts_and_closed_dates_are_refused() {
    let logo = Logo::small().await;
    let refusal = async |edit: &dyn Fn(&mut Value)| {
        let mut order = order(&logo, "KPR-1").await;
        edit(&mut order);
        let (status, body) = logo.post("/salesOrders", &order).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(body["Message"], "The request is invalid.");
        body["ModelState"].clone()
    };
    let unknown = refusal(&|order| {
        order["ARP_CODE"] = json!("120.99.9999");
        order["TRANSACTIONS"]["items"][0]["MASTER_CODE"] = json!("YOK-1");
        order["TRANSACTIONS"]["items"][2]["UNIT_CODE"] = json!("VARİL");
    })
    .await;
    assert_eq!(unknown["LOError:"], json!(["Cari hesap kaydı bulunamadı."]));
    assert_eq!(unknown["ValError0"], json!(["ARP_CODE bulunamadı. [6]"]));
    assert_eq!(unknown["ValError1"], json!(["MASTER_CODE bulunamadı. [6]"]));
    assert_eq!(unknown["ValError2"], json!(["UNIT_CODE bulunamadı. [6]"]));
    let long = refusal(&|order| {
        order["DOC_NUMBER"] = json!("X".repeat(33));
        order["NOTES4"] = json!("X".repeat(51));
    })
    .await;
    let keys: Vec<&String> = long.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["_genExp4.String", "_iDoCode.String"]);
    let closed = refusal(&|order| order["DATE"] = json!("2019-03-02T00:00:00")).await;
    assert!(closed["ValError0"][0].as_str().unwrap().contains("[202]"));
}

#[tokio::test]
async fn dotted_dates_are_read_month_first() {
    let logo =
        Logo::new(400, json!({"write_millis": 0, "period_begin": "2016-01-01", "period_end": "2016-12-31"})).await;
    let mut order = order(&logo, "KPR-1").await;
    order["DATE"] = json!("02.05.2016");
    let reference = created(&logo, &order).await;
    assert_eq!(read(&logo, reference).await["DATE"], "2016-02-05T00:00:00");
}

#[tokio::test]
async fn put_empties_and_deletes_and_patch_leaves_lines_alone() {
    let logo = Logo::small().await;
    let order = order(&logo, "KPR-1").await;
    let reference = created(&logo, &order).await;
    let path = format!("/salesOrders/{reference}");
    let patch = json!({"INTERNAL_REFERENCE": reference, "NOTES2": "yeni", "NOTES1": "", "TRANSACTIONS": {"items": []}});
    assert_eq!(logo.call(Method::PATCH, &path, Some(&patch)).await.0, StatusCode::OK);
    let record = read(&logo, reference).await;
    assert_eq!((record.get("NOTES1"), &record["NOTES2"]), (None, &json!("yeni")));
    assert_eq!(record["TRANSACTIONS"]["items"].as_array().unwrap().len(), 3);
    assert_ne!(record["DATE_MODIFIED"], "1899-12-30T00:00:00");

    let mut put = order.clone();
    put.as_object_mut().unwrap().remove("DOC_NUMBER");
    put["TRANSACTIONS"]["items"].as_array_mut().unwrap().truncate(1);
    assert_eq!(logo.call(Method::PUT, &path, Some(&put)).await.0, StatusCode::OK);
    let record = read(&logo, reference).await;
    assert!(record.get("DOC_NUMBER").is_none() && record.get("NOTES2").is_none());
    assert_eq!(record["NUMBER"], "0000000000000001");
    assert_eq!(record["TRANSACTIONS"]["items"].as_array().unwrap().len(), 1);

    assert_eq!(logo.call(Method::DELETE, &path, None).await.0, StatusCode::OK);
    assert_eq!(logo.call(Method::GET, &path, None).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_order_is_seen_in_the_stock_of_its_warehouse() {
    let logo = Logo::small().await;
    let before = logo.sql(&Query::ServerTime).await[0]["STAMP"].as_str().unwrap().to_owned();
    let changed =
        Query::StockChanged { firm: 7, stamp: stamp(&before), page: stock_page(0, -1, 100, Warehouses::Each) };
    assert!(logo.sql(&changed).await.is_empty());
    let reference = created(&logo, &order(&logo, "KPR-1").await).await;
    let ordered = async || {
        let rows = logo.sql(&changed).await;
        let row = rows.iter().find(|row| row["STOCKREF"] == 1_001 && row["INVENNO"] == 1);
        row.map_or(0, |row| row["ACTSORDER"].to_string().replace('.', "").parse().unwrap())
    };
    let with_order: i64 = ordered().await;
    logo.call(Method::DELETE, &format!("/salesOrders/{reference}"), None).await;
    assert_eq!(with_order - ordered().await, 120_000);
}

#[tokio::test]
async fn one_write_at_a_time() {
    let logo = Logo::new(400, json!({"write_millis": 100})).await;
    let (first, second) = (order(&logo, "KPR-1").await, order(&logo, "KPR-2").await);
    let begun = Instant::now();
    let (a, b) = tokio::join!(created(&logo, &first), created(&logo, &second));
    assert_ne!(a, b);
    assert!(begun.elapsed() >= Duration::from_millis(200));
}
