//! Item and customer cards written over REST.

use kopru_logo::sql::Query;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{queries::after, support::Logo};

#[tokio::test]
async fn a_created_card_is_read_by_both_ways() {
    let logo = Logo::small().await;
    let card = json!({"CODE": "YENİ-1", "NAME": "Yeni ürün", "CARD_TYPE": 1, "VAT": 20, "UNITSET_CODE": "UZUNLUK",
        "MARKCODE": "ORBEK", "UNITS": {"items": [{"UNIT_CODE": "MT", "BARCODE": "8690000000005"}]}});
    let (status, echo) = logo.post("/items", &card).await;
    assert_eq!((status, &echo["INTERNAL_REFERENCE"]), (StatusCode::OK, &json!(1_400)));
    let record = logo.get("/items/1400?expandLevel=full").await;
    assert_eq!((&record["NAME"], &record["MARKREF"]), (&json!("Yeni ürün"), &json!(10)));
    assert_eq!(record["VAT"].to_string(), "20.0");
    let rows = logo.sql(&Query::Items { firm: 7, after: after(1_399, 10) }).await;
    assert_eq!(rows.len(), 1);
    assert_eq!((&rows[0]["UNIT_CODE"], &rows[0]["EAN_BARCODE"]), (&json!("MT"), &json!("8690000000005")));
    assert_eq!(logo.get("/items?q=CODE eq 'YENİ-1'").await["count"], 1);

    let (status, body) = logo.post("/items", &card).await;
    assert_eq!((status, &body["ModelState"]["DBError"]), (StatusCode::BAD_REQUEST, &json!(["23000"])));
}

#[tokio::test]
async fn cards_are_checked() {
    let logo = Logo::small().await;
    let refused = async |path: &str, card: Value| logo.post(path, &card).await.1["ModelState"].clone();
    let unknown = refused("/items", json!({"CODE": "A", "UNITSET_CODE": "YOK", "MARKCODE": "YOK"})).await;
    assert_eq!(unknown["ValError0"], json!(["UNITSET_CODE bulunamadı. [6]"]));
    assert_eq!(unknown["ValError1"], json!(["MARKCODE bulunamadı. [6]"]));
    assert_eq!(refused("/items", json!({"NAME": "x"})).await["ValError0"], json!(["CODE boş olamaz. [1]"]));
    let long = refused("/Arps", json!({"CODE": "120.34.0187.00001"})).await;
    assert!(long["_code.String"].is_array(), "{long}");
    assert_eq!(logo.post("/items", &json!([])).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(logo.post("/unitSets", &json!({"CODE": "X"})).await.0, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn put_replaces_and_patch_changes_one_field() {
    let logo = Logo::small().await;
    let before = logo.get("/items/1005?expandLevel=full").await;
    let patch = json!({"INTERNAL_REFERENCE": 1005, "NAME": "Yeni ad"});
    assert_eq!(logo.call(Method::PATCH, "/items/1005", Some(&patch)).await.0, StatusCode::OK);
    let after_patch = logo.get("/items/1005?expandLevel=full").await;
    assert_eq!(after_patch["NAME"], "Yeni ad");
    assert_eq!((&after_patch["CODE"], &after_patch["UNITS"]), (&before["CODE"], &before["UNITS"]));
    assert_eq!(after_patch["DATE_CREATED"], before["DATE_CREATED"]);

    let put = json!({"CODE": before["CODE"], "NAME": "Yalın"});
    assert_eq!(logo.call(Method::PUT, "/items/1005", Some(&put)).await.0, StatusCode::OK);
    let record = logo.get("/items/1005?expandLevel=full").await;
    assert_eq!(record["NAME"], "Yalın");
    for gone in ["GROUP_CODE", "MARKCODE", "UNITSET_CODE"] {
        assert!(record.get(gone).is_none(), "{gone}");
    }
    assert!(record["UNITS"].get("items").is_none(), "lines left out are deleted");
}

#[tokio::test]
async fn what_is_referred_to_is_not_deleted() {
    let logo = Logo::small().await;
    let (status, body) = logo.call(Method::DELETE, "/items/1001", None).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    assert!(body["ModelState"]["LOError:"][0].is_string());
    let (_, echo) = logo.post("/Arps", &json!({"CODE": "120.01.X", "TITLE": "Şişli"})).await;
    let path = format!("/Arps/{}", echo["INTERNAL_REFERENCE"]);
    assert_eq!(logo.call(Method::DELETE, &path, None).await.0, StatusCode::OK);
    assert_eq!(logo.call(Method::GET, &path, None).await.0, StatusCode::NOT_FOUND);
}
