//! What a person holds against a product's source.

use kopru::{
    commerce::{
        Outcome, Patch, WriteContext,
        products::{ProductUpsert, upsert_products},
    },
    outbox::Provenance,
    principal::Role,
};
use reqwest::{Method, StatusCode};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{Shop, figure};
use crate::support::served::{json_of, problem_of};

/// The source says this of a product that it knows.
async fn source(shop: &Shop, row: ProductUpsert<'_>) -> Outcome {
    let by =
        Provenance { origin: "logo", bulk: false, correlation_id: "c", place: None, now: chrono::DateTime::UNIX_EPOCH };
    let mut tx = shop.served.pool().begin().await.expect("a transaction");
    let outcomes = upsert_products(&mut tx, &WriteContext::source(by), &[row]).await.expect("applied");
    tx.commit().await.expect("committed");
    outcomes.into_iter().next().expect("one")
}

fn card(id: i64) -> ProductUpsert<'static> {
    ProductUpsert { id, code: "LG", ..ProductUpsert::default() }
}

async fn linked(shop: &Shop) -> i64 {
    let id = shop.product("LG", "KAMERA", Some("9")).await;
    shop.link("product", id).await;
    id
}

/// Versions of the rows that an unchanged reload must not touch.
async fn versions(shop: &Shop) -> i64 {
    shop.number(
        "select sum(v)::bigint from (select xmin::text::bigint as v from commerce.product
         union all select xmin::text::bigint from commerce.product_override
         union all select count(*) from hub.outbox_event) as all_versions",
    )
    .await
}

#[tokio::test]
async fn an_override_holds_until_it_is_taken_back() {
    let shop = Shop::open().await;
    let id = linked(&shop).await;
    let path = format!("/api/v1/products/{id}/overrides/name");
    let body = json!({"value": "IP kamera 4 MP", "reason": "LOGO'daki ad kısa"});
    let set = json_of(shop.send(Method::PUT, &path, body.clone()).await, StatusCode::OK).await;
    assert_eq!((&set["status"], &set["changed"]), (&json!("updated"), &json!(["name"])));
    let again = json_of(shop.send(Method::PUT, &path, body).await, StatusCode::OK).await;
    assert_eq!(again["status"], "unchanged");
    assert_eq!(shop.get(&format!("/api/v1/products/{id}"), &shop.owner).await["name"], "IP kamera 4 MP");

    let named = |name: &'static str| ProductUpsert { name: Patch::Set(name), ..card(id) };
    let before = versions(&shop).await;
    assert_eq!(source(&shop, named("KAMERA")).await, Outcome::Unchanged, "what the source said before");
    assert_eq!(versions(&shop).await, before, "an unchanged reload writes nothing");
    assert_eq!(source(&shop, named("KAMERA 2")).await, Outcome::Unchanged);
    let other = ProductUpsert { barcode: Patch::Set("869"), ..named("KAMERA 3") };
    assert_eq!(source(&shop, other).await, Outcome::Updated, "other fields follow the source");

    let shown = shop.get(&format!("/api/v1/products/{id}"), &shop.editor).await;
    assert_eq!((&shown["name"], &shown["barcode"]), (&json!("IP kamera 4 MP"), &json!("869")));
    let held = &shown["overrides"][0];
    assert_eq!((&held["field"], &held["value"]), (&json!("name"), &json!("IP kamera 4 MP")));
    assert_eq!((&held["sourceValue"], &held["reason"]), (&json!("KAMERA 3"), &json!("LOGO'daki ad kısa")));
    assert!(held["createdBy"].as_str().is_some_and(|by| by.starts_with("user:")), "{held}");
    let dealers = shop.get(&format!("/api/v1/products/{id}"), &shop.owner).await;
    assert_eq!(dealers.get("overrides"), None, "nothing of it is a dealer's");

    let removed = json_of(shop.send(Method::DELETE, &path, Value::Null).await, StatusCode::OK).await;
    assert_eq!(removed["changed"], json!(["name"]));
    let again = json_of(shop.send(Method::DELETE, &path, Value::Null).await, StatusCode::OK).await;
    assert_eq!(again["status"], "unchanged");
    assert_eq!(shop.get(&format!("/api/v1/products/{id}"), &shop.owner).await["name"], "KAMERA 3");
    assert_eq!(source(&shop, named("KAMERA 4")).await, Outcome::Updated, "it is the source's again");
    let list = shop.get(&format!("/api/v1/products/{id}/overrides"), &shop.editor).await;
    assert_eq!(list["items"], json!([]));

    let told: Vec<(String, Value)> = sqlx::query_as(
        "select action, detail from identity.audit_event where action like 'product.override%' order by id",
    )
    .fetch_all(shop.served.pool())
    .await
    .expect("audit");
    let actions: Vec<&str> = told.iter().map(|(action, _)| action.as_str()).collect();
    assert_eq!(actions, ["product.override_set", "product.override_removed"]);
    assert_eq!(told[0].1["before"], json!({"name": "KAMERA"}));
    assert_eq!(told[0].1["after"], json!({"name": "IP kamera 4 MP", "reason": "LOGO'daki ad kısa"}));
    assert_eq!(told[1].1["after"], json!({"name": "KAMERA 3"}));
    // Set, the barcode, taken back, the source again.
    assert_eq!(shop.number("select count(*) from hub.outbox_event where type = 'product.updated'").await, 4);
}

#[tokio::test]
async fn every_kind_of_field_comes_back_as_it_was() {
    let shop = Shop::open().await;
    let id = linked(&shop).await;
    shop.category("G1", None).await;
    let category = shop.category("G2", None).await;
    shop.sql(&format!("update commerce.product set category_id = {category}, options = '{{\"renk\": \"siyah\"}}'"))
        .await;
    let before = shop.get(&format!("/api/v1/products/{id}"), &shop.editor).await;
    let fields = [
        ("categoryCode", json!("G1")),
        ("brandCode", json!(null)),
        ("barcode", json!("869")),
        ("taxRate", json!(10)),
        ("isActive", json!(false)),
        ("trackStock", json!(false)),
        ("requiresSerialNumber", json!(true)),
        ("productTypeCode", json!("CAMERA")),
        ("warrantyMonths", json!(24)),
        ("weight", json!("1.25")),
        ("weightUnit", json!("kg")),
        ("minimumOrderQuantity", json!(2.5)),
        ("orderMultiple", json!(5)),
        ("variantGroup", json!("V")),
        ("options", json!({"renk": "beyaz"})),
    ];
    for (field, value) in &fields {
        let path = format!("/api/v1/products/{id}/overrides/{field}");
        let body = json!({"value": value, "reason": "deneme"});
        let set = json_of(shop.send(Method::PUT, &path, body).await, StatusCode::OK).await;
        assert_eq!(set["changed"], json!([field]));
    }
    let held = shop.get(&format!("/api/v1/products/{id}"), &shop.editor).await;
    assert_eq!((&held["category"]["code"], figure(&held["taxRate"])), (&json!("G1"), "10".to_owned()));
    assert_eq!((figure(&held["weight"]), &held["isActive"]), ("1.25".to_owned(), &json!(false)));
    let shown = held["overrides"].as_array().expect("overrides");
    let of = |field: &str| shown.iter().find(|one| one["field"] == field).expect("it is shown");
    assert_eq!((&of("categoryCode")["value"], &of("categoryCode")["sourceValue"]), (&json!("G1"), &json!("G2")));
    assert_eq!((figure(&of("taxRate")["value"]), figure(&of("taxRate")["sourceValue"])), ("10".into(), "20".into()));

    let said = ProductUpsert {
        category: Patch::Set(category),
        vat_rate: Patch::Set(Decimal::new(200, 1)),
        is_active: Patch::Set(true),
        warranty_months: Patch::Clear,
        weight: Patch::Clear,
        options: Patch::Set(r#"{"renk":"siyah"}"#),
        ..card(id)
    };
    let untouched = versions(&shop).await;
    assert_eq!(source(&shop, said).await, Outcome::Unchanged);
    assert_eq!(versions(&shop).await, untouched, "a source that says the same in other words has said the same");

    for (field, _) in &fields {
        let path = format!("/api/v1/products/{id}/overrides/{field}");
        json_of(shop.send(Method::DELETE, &path, Value::Null).await, StatusCode::OK).await;
    }
    let mut after = shop.get(&format!("/api/v1/products/{id}"), &shop.editor).await;
    let mut expected = before;
    for document in [&mut after, &mut expected] {
        let fields = document.as_object_mut().expect("a document");
        fields.retain(|name, _| !["revision", "updatedAt"].contains(&name.as_str()));
    }
    assert_eq!(after, expected);
    assert_eq!(shop.number("select overridden from commerce.product").await, 0);
}

#[tokio::test]
async fn what_cannot_be_held_is_refused() {
    let shop = Shop::open().await;
    let id = linked(&shop).await;
    let put = |field: &str, body: Value| {
        let path = format!("/api/v1/products/{id}/overrides/{field}");
        let shop = &shop;
        async move { shop.send(Method::PUT, &path, body).await }
    };
    for (field, value, named) in [
        ("code", json!("X"), "field"),
        ("sku", json!("X"), "field"),
        ("description", json!("X"), "field"),
        ("nothing", json!("X"), "field"),
        ("name", json!(null), "name"),
        ("name", json!(7), "name"),
        ("name", json!("x".repeat(201)), "name"),
        ("taxRate", json!(101), "taxRate"),
        ("taxRate", json!("ten"), "taxRate"),
        ("isActive", json!("yes"), "isActive"),
        ("warrantyMonths", json!(1.5), "warrantyMonths"),
        ("categoryCode", json!("nowhere"), "categoryCode"),
        ("options", json!([1]), "options"),
    ] {
        let body = json!({"value": value, "reason": "deneme"});
        let problem = problem_of(put(field, body).await, 400, "invalid").await;
        assert_eq!(problem["errors"][0]["field"], named, "{field} {value}");
    }
    let problem = problem_of(put("name", json!({"value": "x", "reason": " "})).await, 400, "invalid").await;
    assert_eq!(problem["errors"][0]["field"], "reason");
    problem_of(put("name", json!({"value": "x"})).await, 400, "bad_request").await;
    assert_eq!(shop.number("select count(*) from commerce.product_override").await, 0);

    let own = shop.product("OWN", "Bizim", None).await;
    let body = json!({"value": "x", "reason": "deneme"});
    let path = format!("/api/v1/products/{own}/overrides/name");
    problem_of(shop.send(Method::PUT, &path, body.clone()).await, 409, "not_source_owned").await;
    problem_of(shop.send(Method::PUT, "/api/v1/products/999/overrides/name", body.clone()).await, 404, "not_found")
        .await;
    let service = shop.served.token(Role::CustomerService, None).await;
    let path = format!("/api/v1/products/{id}/overrides/name");
    for token in [&shop.owner, &service] {
        problem_of(shop.served.send(Method::PUT, &path, token, &body).await, 403, "permission_missing").await;
    }
}
