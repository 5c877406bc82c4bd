//! The shapes of the Integration API, as an integrator sees them.

use serde_json::{Value, json};

use super::{
    intake::{product, products, with},
    site::Site,
};

/// Ids and times differ from run to run.
fn redacted(mut value: Value) -> String {
    fn walk(value: &mut Value) {
        match value {
            Value::Object(members) => {
                for (name, member) in members.iter_mut() {
                    match (name.as_str(), &member) {
                        ("id" | "vesmarketId" | "entityId", Value::Number(_)) => *member = json!("[id]"),
                        ("deadLetterId", Value::String(_)) => *member = json!("[letter]"),
                        ("correlationId", _) => *member = json!("[correlation]"),
                        ("lastSyncedAt" | "updatedAt", _) => *member = json!("[time]"),
                        _ => walk(member),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(walk),
            _ => {}
        }
    }
    walk(&mut value);
    serde_json::to_string_pretty(&value).expect("JSON")
}

#[tokio::test]
async fn one_product() {
    let site = Site::new().await;
    let created = site.post("products", &with(product("A"), json!({ "logoId": 7, "version": 3 }))).await.ok();
    assert_eq!(created["id"], created["vesmarketId"]);
    insta::assert_snapshot!("one_created", redacted(created));
    let missing = site.post("products", &with(product("B"), json!({ "categoryCode": "YOK" }))).await;
    insta::assert_snapshot!("one_without_its_category", redacted(missing.refused(400, "invalid")));
    let no_brand = with(product("B"), json!({ "brandCode": null }));
    insta::assert_snapshot!(
        "one_without_a_brand",
        redacted(site.post("products", &no_brand).await.refused(400, "invalid"))
    );
    assert_eq!(site.hub.count("hub.dead_letter").await, 0, "one that fails alone is told and not kept");

    insta::assert_snapshot!("product_shown", redacted(site.get("products/A").await.ok()));
    insta::assert_snapshot!("product_deactivated", redacted(site.delete("products/A").await.ok()));
    assert_eq!(site.delete("products/A").await.ok()["status"], "unchanged");
    assert_eq!(site.get("products/A").await.ok()["isActive"], false);
    let audit = site.hub.row("select action, subject from identity.audit_event where action like 'record.%'").await;
    assert_eq!(audit, json!({ "action": "record.deactivated", "subject": "A" }));
    // The same push as before brings it back.
    let again = site.post("products", &with(product("A"), json!({ "logoId": 7, "version": 3 }))).await.ok();
    assert_eq!(again["status"], "updated");
    assert_eq!(site.get("products/A").await.ok()["isActive"], true);
    insta::assert_snapshot!("product_unknown", redacted(site.get("products/YOK").await.refused(404, "not_found")));
    site.delete("products/YOK").await.refused(404, "not_found");
}

#[tokio::test]
async fn many_products() {
    let site = Site::new().await;
    let body = products([
        product("A"),
        with(product("B"), json!({ "categoryCode": "YOK" })),
        with(product("A"), json!({ "name": "son" })),
        with(product("C"), json!({ "listPrice": "1.234,56" })),
        json!({ "name": "codeless" }),
    ]);
    let told = site.post("products/bulk", &body).await.ok();
    insta::assert_snapshot!("many", redacted(told.clone()));
    for place in [1, 3, 4] {
        let letter = told["items"][place]["deadLetterId"].as_str().expect("a letter");
        assert_eq!(site.hub.count(&format!("hub.dead_letter where id = '{letter}'")).await, 1);
    }
    let again = site.post("products/bulk", &body).await.ok();
    assert_eq!(again["unchangedCount"], 1);
    assert_eq!(again["items"][1]["deadLetterId"], told["items"][1]["deadLetterId"]);
}

#[tokio::test]
async fn the_short_forms_answer_with_the_product() {
    let site = Site::new().await;
    let product = site.post("products", &product("A")).await.ok();
    let prices = json!({ "code": "A", "listPrice": 7.25, "dealerPrice": "6.5000" });
    let told = site.post("products/prices", &prices).await.ok();
    assert_eq!(told["id"], product["id"]);
    insta::assert_snapshot!("short_form_of_prices", redacted(told));
    assert_eq!(site.post("products/prices", &prices).await.ok()["status"], "unchanged");
    site.pulled("warehouse", "2").await;
    let told = site.post("products/stock", &json!({ "code": "A", "quantity": 9, "warehouseCode": "2" })).await.ok();
    assert_eq!((told["id"].clone(), told["status"].clone()), (product["id"].clone(), json!("updated")));

    let unknown = site.post("products/stock", &json!({ "code": "YOK", "quantity": 9 })).await.refused(400, "invalid");
    assert_eq!((&unknown["success"], &unknown["error"]), (&json!(false), &json!("Product not found: YOK")));
    for (path, body, field) in [
        ("products/prices", json!({ "code": "A", "dealerPrice": 1 }), "listPrice"),
        ("products/stock", json!({ "code": "A" }), "quantity"),
    ] {
        let refused = site.post(path, &body).await.refused(400, "invalid");
        assert_eq!(refused["errors"][0]["field"], field, "{refused}");
        assert_eq!(refused["success"], false);
    }
}

#[tokio::test]
async fn the_other_entities() {
    let site = Site::new().await;
    site.post("products", &product("A")).await.ok();
    site.pulled("warehouse", "3").await;
    let customer = json!({ "code": "120.01", "title": "Örnek Ltd. Şti.", "taxNumber": "1234567890", "logoId": 4,
        "creditLimit": 1000.5, "addresses": [{ "code": "M", "line1": "Sokak 1", "city": "İstanbul", "isDefault": true }] });
    let price =
        json!({ "productCode": "A", "customerCode": "120.01", "price": 9.5, "currency": "TRY", "minQuantity": 10 });
    for (path, item) in [
        ("categories", json!({ "code": "ALT", "name": "Alt", "parentCode": "KMR" })),
        ("brands", json!({ "code": "B2", "name": "İkinci" })),
        ("customers", customer),
        ("prices", price),
        ("stock", json!({ "productCode": "A", "warehouseCode": "3", "quantity": -4 })),
    ] {
        let created = site.post(path, &item).await.ok();
        assert_eq!((&created["status"], &created["isNew"]), (&json!("created"), &json!(true)), "{path}: {created}");
        let code = created["externalCode"].as_str().expect("a code").to_owned();
        let many = site.post(&format!("{path}/bulk"), &json!({ "items": [item] })).await.ok();
        assert_eq!((&many["unchangedCount"], &many["isSuccess"]), (&json!(1), &json!(true)), "{path}: {many}");
        assert_eq!(many["items"][0]["entityId"], created["id"], "{path}");
        let path = format!("{path}/{}", code.replace('|', "%7C"));
        let shown = site.get(&path).await.ok();
        assert_eq!((&shown["externalCode"], &shown["id"]), (&json!(code), &created["id"]), "{shown}");
        assert_eq!(site.delete(&path).await.ok()["status"], "updated", "{path}");
        site.delete(&format!("{path}x")).await.refused(404, "not_found");
    }
    let shown = site.get("prices/A%7Cspecial%7C120.01%7C%7C10").await.ok();
    insta::assert_snapshot!("price_shown", redacted(shown));
    insta::assert_snapshot!("stock_shown", redacted(site.get("stock/A%7C3").await.ok()));
    insta::assert_snapshot!("customer_shown", redacted(site.get("customers/120.01").await.ok()));
    let lost = site.post("categories", &json!({ "code": "Z", "name": "z", "parentCode": "YOK" })).await;
    assert_eq!(lost.refused(400, "invalid")["error"], "Category not found: YOK");
}

#[tokio::test]
async fn codes_are_taken_byte_for_byte_and_percent_encoded_in_paths() {
    let site = Site::new().await;
    for (code, path) in [
        ("İIŞ ığ", "%C4%B0I%C5%9E%20%C4%B1%C4%9F"),
        ("A/B", "A%2FB"),
        ("%41", "%2541"),
        ("iiş", "ii%C5%9F"),
        ("..", "%2E%2E"),
    ] {
        let id = site.post("products", &with(product(code), json!({ "sku": null }))).await.ok()["id"].clone();
        let shown = site.get(&format!("products/{path}")).await;
        // A client resolves dots before it asks; the others come as they are.
        if code != ".." {
            let shown = shown.ok();
            assert_eq!((&shown["externalCode"], &shown["id"]), (&json!(code), &id));
            site.delete(&format!("products/{path}")).await.ok();
        }
    }
    assert_eq!(site.hub.count("commerce.product").await, 5);
    site.get("products/%FF").await.refused(400, "bad_request");
    // No store keeps a NUL character, so nothing has such a code.
    site.get("products/a%00b").await.refused(404, "not_found");
    site.delete("products/a%00b").await.refused(404, "not_found");
}

#[tokio::test]
async fn an_instance_sees_only_its_own_codes_and_a_reader_only_reads() {
    let mut site = Site::new().await;
    site.post("products", &product("A")).await.ok();
    let reader = site.key_for("erp", &["integration:read"]).await;
    let other = site.key_for("another", &["integration:write"]).await;
    site.key = reader;
    site.get("products/A").await.ok();
    site.post("products", &product("A")).await.refused(403, "scope_missing");
    site.delete("products/A").await.refused(403, "scope_missing");
    site.key = other;
    site.get("products/A").await.refused(404, "not_found");
    site.delete("products/A").await.refused(404, "not_found");
    site.key = site.key_for("nope", &["integration:write"]).await;
    let before = site.hub.footprint().await;
    for refused in [
        site.post("brands", &json!({ "code": "ACME", "name": "stolen" })).await,
        site.get("products/A").await,
        site.delete("products/A").await,
    ] {
        let problem = refused.refused(403, "instance_not_configured");
        assert!(
            problem["detail"].as_str().is_some_and(|it| it.contains("`nope`") && it.contains("another, erp")),
            "{problem}"
        );
    }
    assert_eq!(site.hub.footprint().await, before);
    site.key = "nobody".to_owned();
    site.post("products", &product("A")).await.refused(401, "api_key_unknown");
}

#[tokio::test]
async fn a_record_that_is_known_is_not_sent_again() {
    let site = Site::new().await;
    let ask = async |tag: &str| {
        let request = site.client.get(site.url("brands/ACME")).header("x-api-key", &site.key);
        request.header("if-none-match", tag).send().await.expect("an answer")
    };
    let first = ask("none").await;
    assert_eq!(first.status(), 200);
    let tag = first.headers()["etag"].to_str().expect("text").to_owned();
    let strong = tag.trim_start_matches("W/").to_owned();
    for known in [tag.clone(), strong, "*".to_owned(), format!("\"other\", {tag}")] {
        assert_eq!(ask(&known).await.status(), 304, "{known}");
    }
    site.post("brands", &json!({ "code": "ACME", "name": "Başka" })).await.ok();
    assert_eq!(ask(&tag).await.status(), 200);
}
