//! Reading over REST: pages, filters, shapes.

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Logo, message};

fn rows(list: &Value) -> &Vec<Value> {
    list["items"].as_array().unwrap()
}

#[tokio::test]
async fn pages_are_ten_by_default_and_never_above_the_ceiling() {
    let logo = Logo::small().await;
    assert_eq!(rows(&logo.get("/items").await).len(), 10);
    let capped = logo.get("/items?limit=50").await;
    assert_eq!((rows(&capped).len(), capped["count"].clone(), capped["limit"].clone()), (25, json!(25), json!(25)));
    let free = Logo::new(400, json!({"page_ceiling": 0})).await;
    assert_eq!(rows(&free.get("/items?limit=300").await).len(), 300);
}

#[tokio::test]
async fn walking_by_rows_received_sees_each_record_once() {
    let logo = Logo::small().await;
    let mut seen = BTreeSet::new();
    let mut offset = 0;
    loop {
        let list = logo.get(&format!("/items?limit=100&offset={offset}&sort=INTERNAL_REFERENCE&withCount=true")).await;
        assert_eq!(list["totalCount"], 406, "400 items, 5 classes, the template");
        let page = rows(&list);
        assert_eq!(list.get("next").is_some(), offset + page.len() < 406);
        if page.is_empty() {
            break;
        }
        offset += page.len();
        for row in page {
            assert!(seen.insert(row["INTERNAL_REFERENCE"].as_i64().unwrap()));
        }
    }
    assert_eq!(seen.len(), 406);
    assert!(logo.get("/items?offset=5").await.get("totalCount").is_none());
}

#[tokio::test]
async fn links_carry_an_inner_host_unless_switched() {
    let logo = Logo::small().await;
    let next = logo.get("/items").await["next"]["href"].as_str().unwrap().to_owned();
    assert!(next.starts_with("http://logo-app01.sirket.yerel:32001/api/v1/items?offset=10"), "{next}");
    let honest = Logo::new(40, json!({"wrong_inner_host": false})).await;
    let next = honest.get("/items").await["next"]["href"].as_str().unwrap().to_owned();
    assert!(next.starts_with(&honest.url("/items")), "{next}");
}

#[tokio::test]
async fn offset_zero_is_refused_by_a_switch() {
    let logo = Logo::new(40, json!({"offset_zero_refused": true})).await;
    let (status, body) = logo.call(Method::GET, "/items?offset=0", None).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(!message(&body).is_empty());
    assert_eq!(rows(&logo.get("/items?offset=10").await).len(), 10);
}

#[tokio::test]
async fn filters_pick_by_code_state_date_and_text() {
    let logo = Logo::small().await;
    let (reference, code, _) = logo.item(17).await;
    let list = logo.get(&format!("/items?q=CODE eq '{code}'")).await;
    assert_eq!(rows(&list).len(), 1);
    assert_eq!(rows(&list)[0]["INTERNAL_REFERENCE"], reference);

    let passive = logo.get("/items?q=RECORD_STATUS eq 1&withCount=true").await;
    let expected = logo.state("kind=expected").await;
    assert_eq!(passive["totalCount"], expected["detail"]["itemsPassive"]);

    let changed = logo.get("/items?q=DATE_MODIFIED gte '01.06.2025'&withCount=true&limit=25").await;
    assert!(changed["totalCount"].as_u64().unwrap() > 20);
    for row in rows(&changed) {
        assert!(row["DATE_MODIFIED"].as_str().unwrap() >= "2025-06-01", "{row}");
    }
    let like = logo.get("/items?q=NAME like '*kilit*' and CARD_TYPE neq 22&withCount=true").await;
    assert!(rows(&like).iter().all(|row| row["NAME"].as_str().unwrap().contains("Kilit")));
    assert!(!rows(&like).is_empty());
    assert_eq!(logo.call(Method::GET, "/items?q=CODE is 'x'", None).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn sort_and_fields_are_followed() {
    let logo = Logo::small().await;
    let list = logo.get("/items?sort=INTERNAL_REFERENCE desc&limit=5&fields=CODE").await;
    let references: Vec<i64> = rows(&list).iter().map(|row| row["INTERNAL_REFERENCE"].as_i64().unwrap()).collect();
    assert_eq!(references, [1399, 1398, 1397, 1396, 1395]);
    assert!(rows(&list)[0].get("NAME").is_none() && rows(&list)[0].get("CODE").is_some());
}

#[tokio::test]
async fn records_leave_out_what_is_empty() {
    let logo = Logo::small().await;
    let mut never_changed = 0;
    for n in 0..30 {
        let item = logo.get(&format!("/items/{}?expandLevel=full", 1_000 + n)).await;
        let fields = item.as_object().unwrap();
        assert!(fields.values().all(|value| value != ""), "{item}");
        assert!(item["UNITS"]["items"].is_array());
        assert!(item["ALTERNATIVES"].get("items").is_none(), "an empty child collection has no items");
        assert!(item["ALTERNATIVES"]["Meta"]["href"].as_str().unwrap().ends_with("/ALTERNATIVES"));
        if item["DATE_MODIFIED"] == "1899-12-30T00:00:00" {
            never_changed += 1;
            assert_eq!(item["HOUR_MODIFIED"], 0);
        }
    }
    assert_eq!(never_changed, 10);
    let short = logo.get("/items/1000").await;
    assert!(short["UNITS"].get("items").is_none(), "children only with expandLevel=full");
}

#[tokio::test]
async fn the_template_row_is_there() {
    let logo = Logo::small().await;
    for path in ["/items/1", "/arps/1"] {
        let template = logo.get(path).await;
        assert_eq!(template["CODE"], "ÿ");
        assert_eq!(template.get("CARD_TYPE").unwrap_or(&template["ACCOUNT_TYPE"]), &json!(22));
    }
}

#[tokio::test]
async fn every_collection_answers_and_unknown_ones_do_not() {
    let logo = Logo::small().await;
    for (path, least) in [("salesItemPrices", 10), ("itemBrands", 10), ("GROUPCODES", 10), ("unitSets", 5)] {
        assert!(rows(&logo.get(&format!("/{path}?expandLevel=full")).await).len() >= least, "{path}");
    }
    assert!(rows(&logo.get("/salesInvoices").await).is_empty());
    assert_eq!(logo.call(Method::GET, "/stock", None).await.0, StatusCode::NOT_FOUND);
    let sets = logo.get("/unitSets?expandLevel=full").await;
    assert_eq!(
        rows(&sets)[1]["UNITS"]["items"][1],
        json!({
            "INTERNAL_REFERENCE": 32, "CODE": "MAKARA", "NAME": "Makara (305 m)", "MAIN_UNIT": 0,
            "CONV_FACT1": serde_json::from_str::<Value>("1.0").unwrap(),
            "CONV_FACT2": serde_json::from_str::<Value>("305.0").unwrap(), "GLOBAL_CODE": "RL"
        })
    );
}

#[tokio::test]
async fn a_missing_record_is_404_or_400_by_switch() {
    let logo = Logo::small().await;
    assert_eq!(logo.call(Method::GET, "/items/999999", None).await.0, StatusCode::NOT_FOUND);
    let logo = Logo::new(10, json!({"missing_status": 400})).await;
    let (status, body) = logo.call(Method::GET, "/items/999999", None).await;
    assert_eq!((status, message(&body)), (StatusCode::BAD_REQUEST, "Kayıt bulunamadı.".to_owned()));
}

#[tokio::test]
async fn two_price_rows_name_their_item_differently() {
    let logo = Logo::new(400, json!({"page_ceiling": 0})).await;
    let prices = logo.get("/salesItemPrices?limit=200").await;
    let has = |name: &str| rows(&prices).iter().any(|row| row.get(name).is_some());
    assert!(has("OWNER_CODE") && has("CARD_CODE"));
}
