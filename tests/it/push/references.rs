//! What a push refers to, and the key of what has no code of its own.

use serde_json::json;

use super::{
    intake::{product, with},
    site::Site,
};

#[tokio::test]
async fn what_a_push_names_and_is_not_there_fails_it_and_is_not_made() {
    let site = Site::new().await;
    site.post("products", &product("A")).await.ok();
    let before = site.hub.footprint().await;
    for (path, body, says) in [
        ("stock", json!({ "productCode": "A", "quantity": 5, "warehouseCode": "YOK" }), "Warehouse not found: YOK"),
        ("products/stock", json!({ "code": "A", "quantity": 5, "warehouseCode": "YOK" }), "Warehouse not found: YOK"),
        ("products", with(product("B"), json!({ "warehouseCode": "YOK" })), "Warehouse not found: YOK"),
        (
            "prices",
            json!({ "productCode": "A", "price": 5, "currency": "TRY", "priceListCode": "YOK" }),
            "Price list not found: YOK",
        ),
        ("prices", json!({ "productCode": "A", "price": 5, "currency": "TRY", "unit": "YOK" }), "Unit not found: YOK"),
    ] {
        let refused = site.post(path, &body).await.refused(400, "invalid");
        assert_eq!(refused["error"], says, "{path} {body}");
        assert_eq!(refused["errors"][0]["code"], "missing_reference");
    }
    assert_eq!(site.hub.footprint().await, before);
    site.pulled("warehouse", "YOK").await;
    site.pulled("price_list", "YOK").await;
    site.post("stock", &json!({ "productCode": "A", "quantity": 5, "warehouseCode": "YOK" })).await.ok();
    site.post("products", &with(product("A"), json!({ "unit": "YOK" }))).await.ok();
    site.post("prices", &json!({ "productCode": "A", "price": 5, "currency": "TRY", "unit": "YOK" })).await.ok();
    site.post("prices", &json!({ "productCode": "A", "price": 5, "currency": "TRY", "priceListCode": "YOK" }))
        .await
        .ok();
}

#[tokio::test]
async fn one_price_has_one_key_however_its_numbers_and_days_are_written() {
    let site = Site::new().await;
    site.post("products", &product("A")).await.ok();
    let row = |more| with(json!({ "productCode": "A", "price": 12, "currency": "TRY" }), more);
    for (same, key) in [
        (vec![json!({}), json!({ "minQuantity": 0 }), json!({ "minQuantity": "0.0" })], "A|list"),
        (
            vec![json!({ "minQuantity": 5 }), json!({ "minQuantity": "5.0" }), json!({ "minQuantity": 5e0 })],
            "A|list||5",
        ),
        (
            vec![
                json!({ "validFrom": "2026-03-01" }),
                json!({ "validFrom": "2026-03-01T00:00:00Z", "minQuantity": 0 }),
            ],
            "A|list|||2026-03-01",
        ),
    ] {
        for more in same {
            let told = site.post("prices", &row(more.clone())).await.ok();
            assert_eq!(told["externalCode"], key, "{more}");
        }
    }
    let shown = site.get("products/A").await.ok();
    let lists: Vec<_> =
        shown["prices"].as_array().expect("prices").iter().filter(|price| price["role"] == "list").collect();
    assert_eq!(lists.len(), 3, "{shown}");
    assert_eq!(lists[1]["minQuantity"].as_f64(), Some(5.0), "{shown}");
    assert_eq!(lists[2]["validFrom"], "2026-03-01", "{shown}");
    // What is no number is told by its own field.
    let refused = site.post("prices", &row(json!({ "minQuantity": "1.234,5" }))).await.refused(400, "invalid");
    assert_eq!(refused["errors"][0]["field"], "minQuantity");
}

#[tokio::test]
async fn what_is_no_list_is_refused_and_empties_none() {
    let site = Site::new().await;
    let customer = |more| {
        let known = json!({ "code": "120.Y", "title": "T", "taxNumber": "1234567890",
            "addresses": [{ "code": "M", "line1": "Sokak 1" }] });
        with(known, more)
    };
    site.post("customers", &customer(json!({}))).await.ok();
    for list in [json!("x"), json!(5), json!(true), json!({ "line1": "q" }), json!(""), json!(["x"])] {
        let refused = site.post("customers", &customer(json!({ "addresses": list }))).await.refused(400, "invalid");
        assert_eq!(refused["errors"][0]["code"], "wrong_type", "{list}");
    }
    let refused = site.post("products", &with(product("A"), json!({ "units": "x" }))).await.refused(400, "invalid");
    assert_eq!(
        (&refused["errors"][0]["code"], &refused["errors"][0]["field"]),
        (&json!("wrong_type"), &json!("units"))
    );
    assert_eq!(site.hub.count("commerce.customer_address where is_active").await, 1);
    site.post("customers", &customer(json!({ "addresses": null }))).await.ok();
    assert_eq!(site.hub.count("commerce.customer_address where is_active").await, 0);
}

#[tokio::test]
async fn the_code_stands_in_for_an_sku_however_long_it_is() {
    let site = Site::new().await;
    let long = "K".repeat(100);
    let without = |more| {
        let mut item = with(product(&long), more);
        item.as_object_mut().expect("an object").remove("sku");
        item
    };
    assert_eq!(site.post("products", &without(json!({}))).await.ok()["status"], "created");
    assert_eq!(site.get(&format!("products/{long}")).await.ok()["sku"], long.as_str());
    // One that it has stays when a document carries none.
    site.post("products", &with(without(json!({})), json!({ "sku": "S1" }))).await.ok();
    site.post("products", &without(json!({ "name": "other" }))).await.ok();
    let shown = site.get(&format!("products/{long}")).await.ok();
    assert_eq!((&shown["sku"], &shown["name"]), (&json!("S1"), &json!("other")));
    let refused = site.post("products", &with(product("B"), json!({ "sku": "S".repeat(51) }))).await;
    assert_eq!(refused.refused(400, "invalid")["errors"][0]["field"], "sku");
}

#[tokio::test]
async fn every_refusal_says_so_in_the_words_of_those_who_push() {
    let site = Site::new().await;
    for (path, body) in [
        ("products", "{\"code\": ".to_owned()),
        ("products", String::new()),
        ("products/bulk", "{\"products\":[]}".to_owned()),
        ("products/bulk", json!({ "products": vec![json!({}); 1001] }).to_string()),
        ("products/prices", "[]".to_owned()),
    ] {
        let problem = site.post_bytes(path, body).await.refused(400, "bad_request");
        assert_eq!((&problem["success"], &problem["error"]), (&json!(false), &problem["detail"]), "{path}");
    }
    for problem in [site.get("brands/YOK").await, site.delete("brands/YOK").await] {
        let problem = problem.refused(404, "not_found");
        assert_eq!((&problem["success"], &problem["error"]), (&json!(false), &problem["detail"]));
    }
}

#[tokio::test]
async fn a_code_may_be_a_word_of_the_paths() {
    let site = Site::new().await;
    for (code, encoded) in [("bulk", "%62ulk"), ("prices", "%70rices"), ("stock", "%73tock")] {
        let made = site.post("products", &product(code)).await.ok();
        let path = format!("products/{encoded}");
        assert_eq!(site.get(&path).await.ok()["id"], made["id"]);
        assert_eq!(site.delete(&path).await.ok()["status"], "updated");
    }
    site.post("brands", &json!({ "code": "bulk", "name": "Bulk" })).await.ok();
    assert_eq!(site.get("brands/%62ulk").await.ok()["name"], "Bulk");
}
