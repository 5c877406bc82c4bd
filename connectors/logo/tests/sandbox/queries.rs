//! The connector's SQL texts through `queries/unsafe`.

use std::collections::BTreeMap;

use chrono::NaiveDateTime;
use kopru_logo::sql::{self, After, Query, STAMP, Since, StockFormula, StockPage, StockTable, Warehouses, WhichItems};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{Logo, message};

pub fn stamp(text: &str) -> NaiveDateTime {
    NaiveDateTime::parse_from_str(text, STAMP).unwrap()
}

pub fn after(reference: i64, limit: u32) -> After {
    After { reference, limit }
}

pub fn stock_page(item: i64, warehouse: i64, limit: u32, warehouses: Warehouses) -> StockPage {
    let (table, formula) = (StockTable::View, StockFormula::default());
    StockPage { period: 1, table, formula, warehouses, item, warehouse, limit }
}

/// Every row of a table by pages of (stamp, LOGICALREF), from the beginning.
pub async fn changed_since(logo: &Logo, since: &str, limit: u32) -> Vec<Value> {
    let mut rows: Vec<Value> = Vec::new();
    let mut at = Since { stamp: stamp(since), reference: 0, limit };
    loop {
        let page = logo.sql(&Query::ItemsChanged { firm: 7, since: at }).await;
        let Some(last) = page.last() else { return rows };
        at.stamp = stamp(last["STAMP"].as_str().unwrap());
        at.reference = last["INTERNAL_REFERENCE"].as_i64().unwrap();
        rows.extend(page);
    }
}

#[tokio::test]
async fn pages_by_reference_and_by_stamp_bring_the_same_rows() {
    let logo = Logo::small().await;
    let all = logo.sql(&Query::Items { firm: 7, after: after(0, 10_000) }).await;
    assert_eq!(all.len(), 405, "400 items and 5 classes, no template");
    assert_eq!(all[0]["INTERNAL_REFERENCE"], 2);

    let second = logo.sql(&Query::Items { firm: 7, after: after(1_199, 100) }).await;
    assert_eq!(second.len(), 100);
    assert_eq!(second[0], all[205]);

    let by_stamp = changed_since(&logo, "2000-01-01T00:00:00", 10).await;
    let key = |row: &Value| (row["STAMP"].as_str().unwrap().to_owned(), row["INTERNAL_REFERENCE"].as_i64().unwrap());
    assert!(by_stamp.is_sorted_by_key(key), "in the strict order of (stamp, LOGICALREF)");
    let mut sorted = all.clone();
    sorted.sort_by_key(key);
    assert_eq!(by_stamp, sorted);

    let borders = by_stamp.chunks(10).zip(by_stamp.chunks(10).skip(1));
    let split = borders.filter(|(a, b)| a.last().unwrap()["STAMP"] == b[0]["STAMP"]).count();
    assert!(split > 5, "page borders fall among equal stamps");
}

#[tokio::test]
async fn a_row_shows_the_same_values_as_the_record() {
    let logo = Logo::small().await;
    for row in logo.sql(&Query::Items { firm: 7, after: after(0, 60) }).await {
        let reference = row["INTERNAL_REFERENCE"].as_i64().unwrap();
        let record = logo.get(&format!("/items/{reference}?expandLevel=full")).await;
        compare(&row, &record, &["STAMP", "UNIT_CODE"]);
        assert_eq!(row["UNIT_CODE"], record["UNITS"]["items"][0]["UNIT_CODE"]);
        assert_eq!(row["STAMP"], rest_stamp(&record));
    }
    let units = Query::ItemUnits { firm: 7, items: WhichItems::Range(2, 1_060), item: 0, line: 0, limit: 10_000 };
    let mut packings_with_barcode = 0;
    for row in logo.sql(&units).await {
        let record = logo.get(&format!("/items/{}?expandLevel=full", row["STOCKREF"])).await;
        let unit =
            record["UNITS"]["items"].as_array().unwrap().iter().find(|unit| unit["UNIT_CODE"] == row["UNIT_CODE"]);
        let unit = unit.unwrap();
        assert_eq!((&row["CONV_FACT1"], &row["CONV_FACT2"]), (&unit["CONV_FACT1"], &unit["CONV_FACT2"]));
        assert_eq!(row["BARCODE"], unit["BARCODE_LIST"]["items"][0]["BARCODE"]);
        assert_eq!(row["WEIGHT"], *unit.get("WEIGHT").unwrap_or(&json!(0.0)));
        packings_with_barcode += u32::from(row["CONV_FACT2"] != 1.0 && !row["BARCODE"].is_null());
    }
    assert!(packings_with_barcode > 5);
    for row in logo.sql(&Query::Customers { firm: 7, after: after(0, 60) }).await {
        let record = logo.get(&format!("/Arps/{}", row["INTERNAL_REFERENCE"])).await;
        compare(&row, &record, &["STAMP", "CURRENCY"]);
        assert_eq!(row["STAMP"], rest_stamp(&record));
    }
    for row in logo.sql(&Query::Prices { firm: 7, after: after(0, 60) }).await {
        let mut record = logo.get(&format!("/salesItemPrices/{}", row["INTERNAL_REFERENCE"])).await;
        if let Some(code) = record.get("CARD_CODE").cloned() {
            record["OWNER_CODE"] = code;
        }
        compare(&row, &record, &["STAMP", "PRICE"]);
        let price = |value: &Value| value.to_string().trim_end_matches('0').trim_end_matches('.').to_owned();
        assert_eq!(price(&row["PRICE"]), price(&record["PRICE"]));
    }
}

fn compare(row: &Value, record: &Value, besides: &[&str]) {
    for (name, value) in row.as_object().unwrap().iter().filter(|(name, _)| !besides.contains(&name.as_str())) {
        let shown = record.get(name).cloned().unwrap_or(Value::Null);
        let same = shown == *value || (shown.is_null() && (value.is_null() || value == ""));
        assert!(same, "{name}: {value} and {shown}");
    }
}

/// The latest stamp of a record from its date and clock members.
fn rest_stamp(record: &Value) -> String {
    let read = |kind: &str| {
        let number = |name: &str| record[format!("{name}_{kind}")].as_i64().unwrap();
        let date = record[format!("DATE_{kind}")].as_str().unwrap();
        let (h, m, s) = (number("HOUR"), number("MIN"), number("SEC"));
        format!("{}T{h:02}:{m:02}:{s:02}", &date[..10])
    };
    let modified = read("MODIFIED");
    if modified.starts_with("1899") { read("CREATED") } else { modified }
}

#[tokio::test]
async fn stock_has_rows_by_warehouse_or_their_sum() {
    let logo = Logo::small().await;
    let query = |page| Query::Stock { firm: 7, page };
    let each = logo.sql(&query(stock_page(0, -1, 10_000, Warehouses::Each))).await;
    let expected = logo.state("kind=expected").await;
    assert_eq!(json!(each.len()), expected["streams"]["stock"]);
    assert!(each.iter().any(|row| row["ONHAND"].to_string().starts_with('-')), "negative stock is real");

    let mut sums: BTreeMap<i64, i64> = BTreeMap::new();
    let units = |value: &Value| value.to_string().replace('.', "").parse::<i64>().unwrap();
    for row in &each {
        assert_eq!(units(&row["AVAILABLE"]), units(&row["ONHAND"]) - units(&row["RESERVED"]));
        *sums.entry(row["STOCKREF"].as_i64().unwrap()).or_default() += units(&row["ONHAND"]);
    }
    let totals = logo.sql(&query(stock_page(0, -2, 10_000, Warehouses::Total))).await;
    assert_eq!(totals.len(), sums.len());
    for row in &totals {
        assert_eq!(row["INVENNO"], -1);
        assert_eq!(units(&row["ONHAND"]), sums[&row["STOCKREF"].as_i64().unwrap()]);
    }

    let mut paged: Vec<Value> = Vec::new();
    let mut at = (0, -1);
    loop {
        let page = logo.sql(&query(stock_page(at.0, at.1, 7, Warehouses::Each))).await;
        let Some(last) = page.last() else { break };
        at = (last["STOCKREF"].as_i64().unwrap(), last["INVENNO"].as_i64().unwrap());
        paged.extend(page);
    }
    assert_eq!(paged, each);
    let some = logo.sql(&query(stock_page(0, -1, 10_000, Warehouses::Only(vec![0, 2])))).await;
    assert!(some.iter().all(|row| row["INVENNO"] == 0 || row["INVENNO"] == 2) && some.len() > 400);
}

#[tokio::test]
async fn the_short_lists_come_whole_and_by_pages() {
    let logo = Logo::small().await;
    let groups = |limit| Query::GroupCodes { firm: 7, code_type: 4, card_type: 0, after: after(0, limit) };
    assert_eq!(logo.sql(&groups(100)).await.len(), 60);
    assert_eq!(logo.sql(&groups(7)).await.len(), 7);
    let special = Query::GroupCodes { firm: 7, code_type: 1, card_type: 0, after: after(0, 100) };
    assert!(logo.sql(&special).await.is_empty());
    assert_eq!(logo.sql(&Query::Brands { firm: 7, after: after(0, 100) }).await.len(), 40);
    assert_eq!(logo.sql(&Query::UnitSets { firm: 7, after: after(5, 100) }).await.len(), 4);
    let lines = Query::UnitSetLines { firm: 7, first: 5, last: 11, set: 9, line: 31, limit: 10 };
    let codes: Vec<String> =
        logo.sql(&lines).await.iter().map(|row| row["CODE"].as_str().unwrap().to_owned()).collect();
    assert_eq!(codes, ["MAKARA", "ADET", "KOLİ"]);
}

#[tokio::test]
async fn the_period_covers_today_unless_switched() {
    let logo = Logo::small().await;
    let now = logo.sql(&Query::ServerTime).await[0]["STAMP"].as_str().unwrap().to_owned();
    let periods = logo.sql(&Query::Periods { firm: 7 }).await;
    assert_eq!((&periods[0]["NR"], &periods[0]["ACTIVE"]), (&json!(1), &json!(1)));
    assert_eq!(periods[0]["BEGDATE"], format!("{}-01-01", &now[..4]));
    assert!(logo.sql(&Query::Periods { firm: 8 }).await.is_empty());
    let closed = Logo::new(10, json!({"period_begin": "2020-01-01", "period_end": "2020-12-31"})).await;
    assert_eq!(closed.sql(&Query::Periods { firm: 7 }).await[0]["ENDDATE"], "2020-12-31");
}

#[tokio::test]
async fn only_known_texts_as_json_strings_are_answered() {
    let logo = Logo::small().await;
    for body in [json!({"query": "SELECT 1"}), json!(7)] {
        assert_eq!(logo.post("/queries/unsafe", &body).await.0, StatusCode::BAD_REQUEST);
    }
    let (status, body) = logo.post("/queries/unsafe", &json!("SELECT * FROM LG_007_ITEMS")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body["ModelState"]["207"][0].is_string(), "{body}");
    let (status, body) = logo.raw_sql(&Query::Items { firm: 8, after: after(0, 1) }).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(body["ModelState"]["207"][0], "Invalid object name 'LG_008_ITEMS'.");
}

#[tokio::test]
async fn sql_may_be_forbidden_and_has_a_time_limit() {
    let logo = Logo::new(10, json!({"sql_allowed": false})).await;
    let (status, body) = logo.raw_sql(&Query::ServerTime).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(message(&body).contains("SQL"));
    let slow = Logo::new(10, json!({"query_millis": 2_000})).await;
    let (status, body) = slow.post("/queries/unsafe?cmdTimeout=1", &json!(sql::render(&Query::ServerTime))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body["ModelState"]["207"][0].as_str().unwrap().contains("zaman aşımı"));
}
