//! What people change by hand.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Shop, figure};
use crate::support::served::{json_of, problem_of};

async fn audit(shop: &Shop, action: &str) -> Vec<(String, Value)> {
    sqlx::query_as("select actor, detail from identity.audit_event where action = $1 order by id")
        .bind(action)
        .fetch_all(shop.served.pool())
        .await
        .expect("audit")
}

#[tokio::test]
async fn a_card_is_made_changed_and_left_alone() {
    let shop = Shop::open().await;
    shop.category("G1", None).await;
    let card = json!({
        "code": "YENI-1", "name": "Yeni Ürün <b>", "sku": "Y1", "categoryCode": "G1", "unit": "ADET", "taxRate": 20,
        "units": [{"code": "ADET", "isMain": true}, {"code": "KOLI", "numerator": 12}],
        "attributes": {"renk": "kırmızı"}, "minimumOrderQuantity": 2, "description": "'; drop table commerce.product; --"
    });
    let made = json_of(shop.send(Method::POST, "/api/v1/products", card).await, StatusCode::CREATED).await;
    assert_eq!((&made["isNew"], &made["status"]), (&json!(true), &json!("created")));
    let id = made["id"].as_i64().expect("an id");
    let seen = shop.get(&format!("/api/v1/products/{id}"), &shop.owner).await;
    assert_eq!(seen["name"], "Yeni Ürün <b>");
    assert_eq!((&seen["units"][1]["code"], figure(&seen["units"][1]["numerator"])), (&json!("KOLI"), "12".to_owned()));
    assert_eq!((&seen["attributes"]["renk"], &seen["category"]["code"]), (&json!("kırmızı"), &json!("G1")));
    assert_eq!(seen["price"], Value::Null);

    let by_id = json!({"id": id, "name": "Başka", "description": null});
    let changed = json_of(shop.send(Method::POST, "/api/v1/products", by_id.clone()).await, StatusCode::OK).await;
    assert_eq!((&changed["status"], &changed["changed"]), (&json!("updated"), &json!(["description", "name"])));
    let again = json_of(shop.send(Method::POST, "/api/v1/products", by_id).await, StatusCode::OK).await;
    assert_eq!((&again["status"], &again["changed"]), (&json!("unchanged"), &json!([])));

    let (actor, detail) = audit(&shop, "product.edited").await.pop().expect("a row");
    assert!(actor.starts_with("user:"), "{actor}");
    assert_eq!((&detail["before"]["name"], &detail["after"]["name"]), (&json!("Yeni Ürün <b>"), &json!("Başka")));
    assert_eq!(audit(&shop, "product.edited").await.len(), 1, "nothing changed, nothing told");
    let events = shop.number("select count(*) from hub.outbox_event where type = 'product.updated'").await;
    assert_eq!(events, 2);
}

#[tokio::test]
async fn a_card_that_breaks_a_rule_changes_nothing() {
    let shop = Shop::open().await;
    shop.product("TAKEN", "A", None).await;
    let before = shop.number("select count(*) from commerce.product").await;
    for (card, field) in [
        (json!({"name": "x"}), "code"),
        (json!({"code": " ", "name": "x"}), "code"),
        (json!({"code": "N"}), "name"),
        (json!({"code": "N", "name": ""}), "name"),
        (json!({"code": "N", "name": "x".repeat(201)}), "name"),
        (json!({"code": "N\u{0}", "name": "x"}), "code"),
        (json!({"code": "N", "name": "x\u{0}"}), "name"),
        (json!({"code": "N", "name": "x", "sku": "SKU-TAKEN"}), "sku"),
        (json!({"code": "N", "name": "x", "categoryCode": "nowhere"}), "categoryCode"),
        (json!({"code": "N", "name": "x", "brandCode": "\u{0}"}), "brandCode"),
        (json!({"code": "N", "name": "x", "taxRate": 101}), "taxRate"),
        (json!({"code": "N", "name": "x", "weight": -1}), "weight"),
        (json!({"code": "N", "name": "x", "attributes": [1]}), "attributes"),
        (json!({"code": "N", "name": "x", "units": [{"code": "A", "numerator": 0}]}), "units"),
        (json!({"code": "N", "name": "x", "minimumOrderQuantity": "99999999999999999999"}), "minimumOrderQuantity"),
    ] {
        let problem = problem_of(shop.send(Method::POST, "/api/v1/products", card.clone()).await, 400, "invalid").await;
        assert_eq!(problem["errors"][0]["field"], field, "{card}");
    }
    for card in [
        json!({"code": "N", "name": "x", "price": 1}),
        json!([1]),
        json!({"code": 1}),
        json!({"code": "N", "isActive": "no"}),
    ] {
        problem_of(shop.send(Method::POST, "/api/v1/products", card).await, 400, "bad_request").await;
    }
    problem_of(shop.send(Method::POST, "/api/v1/products", json!({"id": 999, "name": "x"})).await, 404, "not_found")
        .await;
    assert_eq!(shop.number("select count(*) from commerce.product").await, before);
    let denied = shop.served.post("/api/v1/products", &shop.owner, &json!({"code": "N", "name": "x"})).await;
    problem_of(denied, 403, "permission_missing").await;
}

#[tokio::test]
async fn what_the_source_owns_is_changed_there() {
    let shop = Shop::open().await;
    let id = shop.product("LG", "LOGO'dan", Some("9")).await;
    shop.link("product", id).await;
    let edit = |body: Value| shop.send(Method::POST, "/api/v1/products", body);
    let refused = edit(json!({"id": id, "name": "Benim", "taxRate": 10, "description": "güzel"})).await;
    let problem = problem_of(refused, 409, "source_owned").await;
    assert_eq!(problem["owner"], "logo");
    let fields: Vec<&str> = problem["errors"]
        .as_array()
        .expect("fields")
        .iter()
        .map(|error| error["field"].as_str().expect("a name"))
        .collect();
    assert_eq!(fields, ["name", "taxRate"]);
    assert!(problem["detail"].as_str().expect("words").contains("logo"));
    let seen = shop.get(&format!("/api/v1/products/{id}"), &shop.owner).await;
    assert_eq!((&seen["name"], &seen["description"]), (&json!("LOGO'dan"), &Value::Null), "nothing of it was done");

    let kept = edit(json!({"id": id, "name": "LOGO'dan", "description": "güzel", "isFeatured": true})).await;
    let kept = json_of(kept, StatusCode::OK).await;
    assert_eq!(kept["changed"], json!(["description", "isFeatured"]), "what is equal is no change");

    let price = shop.number("select id from commerce.price").await;
    shop.link("price", price).await;
    let path = format!("/api/v1/products/{id}/price");
    let refused = shop.send(Method::PUT, &path, json!({"dealerPrice": 8})).await;
    assert_eq!(problem_of(refused, 409, "source_owned").await["errors"][0]["field"], "dealerPrice");
    let listed =
        json_of(shop.send(Method::PUT, &path, json!({"dealerPrice": 9, "listPrice": 12})).await, StatusCode::OK).await;
    assert_eq!(listed["changed"], json!(["listPrice"]), "the same figure is no change, and the list price is nobody's");

    shop.stock(id, "0", "5").await;
    let level = shop.number("select id from commerce.stock_level").await;
    shop.link("stock", level).await;
    let path = format!("/api/v1/products/{id}/stock");
    let refused = shop.send(Method::PUT, &path, json!({"quantity": 4})).await;
    assert_eq!(problem_of(refused, 409, "source_owned").await["owner"], "logo");
    let same = json_of(shop.send(Method::PUT, &path, json!({"quantity": 5})).await, StatusCode::OK).await;
    assert_eq!(same["status"], "unchanged");
}

#[tokio::test]
async fn prices_and_stock_are_set_by_hand() {
    let shop = Shop::open().await;
    let id = shop.product("A", "A", None).await;
    let path = format!("/api/v1/products/{id}/price");
    let set = shop
        .send(Method::PUT, &path, json!({"listPrice": 100.5, "dealerPrice": "80", "costPrice": 1, "currency": "USD"}))
        .await;
    let mut changed = json_of(set, StatusCode::OK).await["changed"].as_array().expect("names").clone();
    changed.sort_by_key(|name| name.to_string());
    assert_eq!(changed, [json!("costPrice"), json!("dealerPrice"), json!("listPrice")]);
    let price = shop.get(&format!("/api/v1/products/{id}"), &shop.owner).await["price"].clone();
    assert_eq!((figure(&price["amount"]), &price["currency"]), ("80".to_owned(), &json!("USD")));
    let set = shop.send(Method::PUT, &path, json!({"dealerPrice": 79.123456})).await;
    assert_eq!(json_of(set, StatusCode::OK).await["status"], "updated");
    let price = shop.get(&format!("/api/v1/products/{id}"), &shop.owner).await["price"].clone();
    assert_eq!(
        (figure(&price["amount"]), &price["currency"]),
        ("79.123456".to_owned(), &json!("USD")),
        "the currency stays"
    );
    let (_, detail) = audit(&shop, "product.prices_set").await.pop().expect("a row");
    assert_eq!(
        (&detail["before"]["dealerPrice"], &detail["after"]["dealerPrice"]),
        (&json!("80 USD"), &json!("79.123456 USD"))
    );
    assert_eq!(shop.number("select count(*) from commerce.price").await, 3);

    for (body, field) in [
        (json!({"listPrice": -1}), "listPrice"),
        (json!({"dealerPrice": 1, "currency": "TL"}), "currency"),
        (json!({"dealerPrice": "100000000000000"}), "dealerPrice"),
    ] {
        let problem = problem_of(shop.send(Method::PUT, &path, body.clone()).await, 400, "invalid").await;
        assert_eq!(problem["errors"][0]["field"], field, "{body}");
    }

    let path = format!("/api/v1/products/{id}/stock");
    let set = json_of(shop.send(Method::PUT, &path, json!({"quantity": 12.5})).await, StatusCode::OK).await;
    assert_eq!(set["status"], "updated");
    assert_eq!(figure(&shop.list("").await["items"][0]["stockQuantity"]), "12.5");
    let set =
        json_of(shop.send(Method::PUT, &path, json!({"quantity": 3, "warehouseCode": "0"})).await, StatusCode::OK)
            .await;
    assert_eq!(set["changed"], json!(["quantity"]));
    let (_, detail) = audit(&shop, "product.stock_set").await.pop().expect("a row");
    assert_eq!((&detail["before"]["quantity"], &detail["after"]["quantity"]), (&json!("12.5"), &json!("3")));
    for (body, field) in [
        (json!({"quantity": -1}), "quantity"),
        (json!({"quantity": "999999999999999999"}), "quantity"),
        (json!({"quantity": 1, "warehouseCode": "nowhere"}), "warehouseCode"),
        (json!({"quantity": 1, "warehouseCode": "\u{0}"}), "warehouseCode"),
    ] {
        let problem = problem_of(shop.send(Method::PUT, &path, body.clone()).await, 400, "invalid").await;
        assert_eq!(problem["errors"][0]["field"], field, "{body}");
    }
    for path in ["/api/v1/products/999/stock", "/api/v1/products/x/stock"] {
        problem_of(shop.send(Method::PUT, path, json!({"quantity": 1})).await, 404, "not_found").await;
    }
    let denied = shop.served.send(Method::PUT, &path, &shop.manager, &json!({"quantity": 1})).await;
    problem_of(denied, 403, "permission_missing").await;
}

#[tokio::test]
async fn a_deleted_product_comes_back_only_by_a_person() {
    let shop = Shop::open().await;
    let id = shop.product("A", "A", Some("9")).await;
    shop.link("product", id).await;
    let path = format!("/api/v1/products/{id}");
    let delete = || shop.send(Method::DELETE, &path, json!({}));
    assert_eq!(json_of(delete().await, StatusCode::OK).await["status"], "updated");
    assert_eq!(json_of(delete().await, StatusCode::OK).await["status"], "unchanged");
    problem_of(shop.served.get(&path, &shop.owner).await, 404, "not_found").await;
    assert_eq!(shop.get(&path, &shop.editor).await["isDeleted"], true);
    let back = shop.send(Method::POST, "/api/v1/products", json!({"id": id, "isActive": true})).await;
    assert_eq!(json_of(back, StatusCode::OK).await["changed"], json!(["deleted"]));
    assert_eq!(shop.get(&path, &shop.owner).await["isDeleted"], false);
    let told = shop.number("select count(*) from hub.outbox_event where type = 'product.updated'").await;
    assert_eq!((told, audit(&shop, "product.deleted").await.len()), (2, 1));
    problem_of(shop.send(Method::DELETE, "/api/v1/products/999", json!({})).await, 404, "not_found").await;
    problem_of(shop.served.send(Method::DELETE, &path, &shop.manager, &json!({})).await, 403, "permission_missing")
        .await;
}

#[tokio::test]
async fn the_same_key_makes_one_product() {
    let shop = Shop::open().await;
    let card = json!({"code": "TEK", "name": "Tek"});
    let send = || {
        let request = shop.served.request(Method::POST, "/api/v1/products", &shop.editor);
        request.header("Idempotency-Key", "k1").json(&card).send()
    };
    let first = json_of(send().await.expect("an answer"), StatusCode::CREATED).await;
    let second = send().await.expect("an answer");
    assert_eq!(second.headers()["idempotency-replayed"], "true");
    assert_eq!(json_of(second, StatusCode::CREATED).await, first);
    let other = shop.served.request(Method::POST, "/api/v1/products", &shop.editor).header("Idempotency-Key", "k1");
    let other = other.json(&json!({"code": "IKI", "name": "x"})).send().await.expect("an answer");
    problem_of(other, 422, "idempotency_key_reused").await;
    assert_eq!(shop.number("select count(*) from commerce.product").await, 1);
}
