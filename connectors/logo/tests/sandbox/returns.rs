//! Return slips: dispatches of goods that come back.

use kopru_logo::sql::Query;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::Logo;

async fn slip(logo: &Logo, reference: &str) -> Value {
    let (_, code, unit) = logo.item(1).await;
    let today = logo.sql(&Query::ServerTime).await[0]["STAMP"].as_str().unwrap()[..10].to_owned();
    json!({
        "TYPE": 3, "NUMBER": "~", "DATE": format!("{today}T00:00:00"), "DOC_NUMBER": reference,
        "ARP_CODE": logo.buyer().await, "SOURCE_WH": 1, "TRANSACTIONS": {"items": [
            {"TYPE": 0, "MASTER_CODE": code, "QUANTITY": 2, "PRICE": "1845.50", "VAT_RATE": 20, "UNIT_CODE": unit},
            {"TYPE": 2, "DETAIL_LEVEL": 1, "CALC_TYPE": 0, "DISCOUNT_RATE": 5}]}
    })
}

async fn on_hand(logo: &Logo) -> f64 {
    let (_, code, _) = logo.item(1).await;
    let rows = logo.state(&format!("kind=stock&reference={code}")).await;
    let row = rows.as_array().unwrap().iter().find(|row| row["warehouse"] == 1);
    row.map_or(0.0, |row| row["onHand"].as_f64().unwrap())
}

#[tokio::test]
async fn what_comes_back_is_in_the_warehouse_until_the_slip_is_cancelled() {
    let logo = Logo::small().await;
    let before = on_hand(&logo).await;
    let (status, echo) = logo.post("/salesDispatches", &slip(&logo, "KPR-R1").await).await;
    assert_eq!((status, &echo["NUMBER"]), (StatusCode::OK, &json!("~")));
    let reference = echo["INTERNAL_REFERENCE"].as_i64().unwrap();
    let read = logo.get(&format!("/salesDispatches/{reference}?expandLevel=full")).await;
    assert_eq!(
        (&read["TYPE"], &read["IOCODE"], read["TOTAL_NET"].to_string()),
        (&json!(3), &json!(1), "4207.74".into())
    );
    assert_eq!(read["NUMBER"].as_str().map(str::len), Some(16));
    assert_eq!(on_hand(&logo).await, before + 2.0);

    let found = logo.get("/salesDispatches?q=DOC_NUMBER%20eq%20'KPR-R1'").await;
    assert_eq!(found["items"][0]["INTERNAL_REFERENCE"], reference);
    let cancel = json!({"INTERNAL_REFERENCE": reference, "CANCELLED": 1});
    let (status, _) = logo.call(Method::PATCH, &format!("/salesDispatches/{reference}"), Some(&cancel)).await;
    assert_eq!((status, on_hand(&logo).await), (StatusCode::OK, before));
}

#[tokio::test]
async fn a_dispatch_that_is_no_return_is_refused() {
    let logo = Logo::small().await;
    let mut outgoing = slip(&logo, "KPR-R2").await;
    outgoing["TYPE"] = json!(8);
    let (status, refused) = logo.post("/salesDispatches", &outgoing).await;
    assert_eq!(
        (status, &refused["ModelState"]["ValError0"][0]),
        (StatusCode::BAD_REQUEST, &json!("TYPE geçersiz. [3]"))
    );
}
