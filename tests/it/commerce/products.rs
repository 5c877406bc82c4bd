//! Products: outcomes, patches, keys, ownership.

use kopru::commerce::{
    Outcome, Patch,
    products::{self, ProductUpsert},
};
use rust_decimal::Decimal;
use serde_json::json;

use super::{Shop, assert_refused, by_a_person, change, ids, product, refusal};

#[tokio::test]
async fn each_row_has_its_own_outcome() {
    let mut shop = Shop::open().await;
    let known = shop.stocked_with(&["A", "B"]).await;
    let new = ids(&mut shop.conn().await, 1).await[0];
    let outcomes = shop
        .products(&[
            ProductUpsert { name: Patch::Set("Kayıt cihazı"), ..change(known[0], "A") },
            ProductUpsert { name: Patch::Set("Kamera"), ..change(known[1], "B") },
            product(new, "C"),
            ProductUpsert { name: Patch::Set("Yok"), ..change(999_999, "D") },
        ])
        .await;
    assert_eq!(outcomes[..3], [Outcome::Updated, Outcome::Unchanged, Outcome::Created]);
    assert_refused(&outcomes[3], "id", "missing_record");

    let events = shop.events().await;
    let told: Vec<(i64, i64)> = events.iter().map(|event| (event.aggregate_id, event.revision)).collect();
    assert_eq!(told, [(known[0], 1), (known[1], 1), (new, 1), (known[0], 2)]);
    assert!(events.iter().all(|event| event.kind == "product.updated" && event.origin == "logo" && !event.bulk));
    assert_eq!(events[3].payload, json!({"id": known[0], "code": "A", "sku": "A", "revision": 2, "changed": ["name"]}));
}

#[tokio::test]
async fn a_new_product_gets_the_defaults_and_a_slug() {
    let mut shop = Shop::open().await;
    let id = ids(&mut shop.conn().await, 1).await[0];
    shop.products(&[ProductUpsert { name: Patch::Set("Çift Işıklı İP Kamera"), ..product(id, "A") }]).await;
    let row = shop.row("product", id).await;
    assert_eq!(row["slug"], json!(format!("cift-isikli-ip-kamera-{id}")));
    for (column, value) in [
        ("is_active", json!(true)),
        ("track_stock", json!(true)),
        ("is_featured", json!(false)),
        ("requires_serial_number", json!(false)),
        ("category_id", json!(null)),
        ("vat_rate", json!(null)),
        ("revision", json!(1)),
        ("created_by", json!("logo")),
    ] {
        assert_eq!(row[column], value, "{column}");
    }
}

#[tokio::test]
async fn absent_keeps_and_null_clears() {
    let mut shop = Shop::open().await;
    let id = ids(&mut shop.conn().await, 1).await[0];
    let full = ProductUpsert {
        barcode: Patch::Set("869"),
        vat_rate: Patch::Set(Decimal::from(20)),
        is_active: Patch::Set(false),
        ..product(id, "A")
    };
    shop.products(&[full]).await;
    let outcomes =
        shop.products(&[ProductUpsert { barcode: Patch::Clear, is_active: Patch::Clear, ..change(id, "A") }]).await;
    assert_eq!(outcomes, [Outcome::Updated]);
    let row = shop.row("product", id).await;
    assert_eq!((&row["barcode"], &row["is_active"]), (&json!(null), &json!(true)), "a flag goes back to its default");
    assert_eq!((&row["vat_rate"], &row["name"], &row["sku"]), (&json!(20), &json!("Kamera"), &json!("A")));
    assert_eq!(
        shop.products(&[ProductUpsert { barcode: Patch::Set(""), ..change(id, "A") }]).await,
        [Outcome::Unchanged]
    );
}

/// Also holds the bit of every field in the SQL against the list of fields.
#[tokio::test]
async fn every_field_is_written_and_told_by_its_name() {
    let mut shop = Shop::open().await;
    let (category, brand) = (shop.category("K").await, shop.brand("M").await);
    let id = shop.stocked_with(&["A"]).await[0];
    let base = || change(id, "A");
    let changes = [
        ("code", "code", json!("A-2"), ProductUpsert { code: "A-2", ..base() }),
        ("sku", "sku", json!("S"), ProductUpsert { sku: Patch::Set("S"), ..base() }),
        ("name", "name", json!("N"), ProductUpsert { name: Patch::Set("N"), ..base() }),
        ("category", "category_id", json!(category), ProductUpsert { category: Patch::Set(category), ..base() }),
        ("brand", "brand_id", json!(brand), ProductUpsert { brand: Patch::Set(brand), ..base() }),
        ("unit", "unit", json!("MT"), ProductUpsert { unit: Patch::Set("MT"), ..base() }),
        ("barcode", "barcode", json!("8"), ProductUpsert { barcode: Patch::Set("8"), ..base() }),
        ("vatRate", "vat_rate", json!(10), ProductUpsert { vat_rate: Patch::Set(Decimal::TEN), ..base() }),
        ("isActive", "is_active", json!(false), ProductUpsert { is_active: Patch::Set(false), ..base() }),
        ("trackStock", "track_stock", json!(false), ProductUpsert { track_stock: Patch::Set(false), ..base() }),
        (
            "requiresSerialNumber",
            "requires_serial_number",
            json!(true),
            ProductUpsert { requires_serial_number: Patch::Set(true), ..base() },
        ),
        (
            "productTypeCode",
            "product_type_code",
            json!("T"),
            ProductUpsert { product_type_code: Patch::Set("T"), ..base() },
        ),
        ("warrantyMonths", "warranty_months", json!(24), ProductUpsert { warranty_months: Patch::Set(24), ..base() }),
        ("weight", "weight", json!(1.5), ProductUpsert { weight: Patch::Set(Decimal::new(15, 1)), ..base() }),
        ("weightUnit", "weight_unit", json!("KG"), ProductUpsert { weight_unit: Patch::Set("KG"), ..base() }),
        (
            "minimumOrderQuantity",
            "minimum_order_quantity",
            json!(2),
            ProductUpsert { minimum_order_quantity: Patch::Set(Decimal::TWO), ..base() },
        ),
        (
            "orderMultiple",
            "order_multiple",
            json!(10),
            ProductUpsert { order_multiple: Patch::Set(Decimal::TEN), ..base() },
        ),
        ("variantGroup", "variant_group", json!("G"), ProductUpsert { variant_group: Patch::Set("G"), ..base() }),
        (
            "options",
            "options",
            json!({"renk": "gri"}),
            ProductUpsert { options: Patch::Set(r#"{"renk":"gri"}"#), ..base() },
        ),
        (
            "shortDescription",
            "short_description",
            json!("kısa"),
            ProductUpsert { short_description: Patch::Set("kısa"), ..base() },
        ),
        ("description", "description", json!("uzun"), ProductUpsert { description: Patch::Set("uzun"), ..base() }),
        (
            "attributes",
            "attributes",
            json!({"mp": 4}),
            ProductUpsert { attributes: Patch::Set(r#"{"mp":4}"#), ..base() },
        ),
        ("isFeatured", "is_featured", json!(true), ProductUpsert { is_featured: Patch::Set(true), ..base() }),
        ("slug", "slug", json!("adres"), ProductUpsert { slug: Patch::Set("adres"), ..base() }),
    ];
    let mut before = shop.row("product", id).await;
    for (field, column, value, mut row) in changes {
        if before["code"] == json!("A-2") {
            row.code = "A-2";
        }
        let cx = by_a_person(shop.tick());
        let outcomes = shop.products_by(cx, std::slice::from_ref(&row)).await.expect("applied");
        assert_eq!(outcomes, [Outcome::Updated], "{field}");
        let after = shop.row("product", id).await;
        let differing: Vec<&String> = after
            .as_object()
            .expect("an object")
            .iter()
            .filter(|(name, value)| before[name.as_str()] != **value)
            .map(|(name, _)| name)
            .filter(|name| !["revision", "search_text", "updated_at", "updated_by"].contains(&name.as_str()))
            .collect();
        assert_eq!(differing, [column], "{field}");
        assert_eq!(after[column], value, "{field}");
        assert_eq!(shop.events().await.pop().expect("an event").payload["changed"], json!([field]));
        assert_eq!(shop.products_by(cx, &[row]).await.expect("applied"), [Outcome::Unchanged], "{field} again");
        before = after;
    }
}

#[tokio::test]
async fn what_is_unchanged_is_not_touched() {
    let mut shop = Shop::open().await;
    let codes: Vec<String> = (0..200).map(|n| format!("P{n:03}")).collect();
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    let ids = shop.stocked_with(&codes).await;
    let (before, events) = (shop.trace("product", ids[17]).await, shop.count("hub.outbox_event").await);
    let rows: Vec<ProductUpsert<'_>> = ids
        .iter()
        .zip(&codes)
        .map(|(id, code)| ProductUpsert {
            sku: Patch::Set(code),
            name: Patch::Set("Kamera"),
            // More decimals than the store keeps, and another spelling of nothing.
            weight: Patch::Clear,
            order_multiple: Patch::Set(Decimal::new(0, 3)),
            ..change(*id, code)
        })
        .collect();
    assert!(shop.products(&rows).await.iter().all(|outcome| *outcome == Outcome::Unchanged));
    assert_eq!(shop.trace("product", ids[17]).await, before);
    assert_eq!(shop.count("hub.outbox_event").await, events);
}

#[tokio::test]
async fn decimals_beyond_the_store_do_not_differ_for_ever() {
    let mut shop = Shop::open().await;
    let id = shop.stocked_with(&["A"]).await[0];
    let row = ProductUpsert { weight: Patch::Set("1.23456789".parse().expect("a number")), ..change(id, "A") };
    assert_eq!(shop.products(std::slice::from_ref(&row)).await, [Outcome::Updated]);
    assert_eq!(shop.products(&[row]).await, [Outcome::Unchanged]);
    let stored: Decimal = sqlx::query_scalar("select weight from commerce.product")
        .fetch_one(&shop.database.pool)
        .await
        .expect("the row");
    assert_eq!(stored.to_string(), "1.234568");
}

#[tokio::test]
async fn one_sku_belongs_to_one_product() {
    let mut shop = Shop::open().await;
    shop.stocked_with(&["OWNER"]).await;
    let new = ids(&mut shop.conn().await, 4).await;
    let claim = |id, code, sku| ProductUpsert { sku: Patch::Set(sku), ..product(id, code) };
    let outcomes = shop
        .products(&[
            claim(new[0], "A", "OWNER"),
            claim(new[1], "B", "S-1"),
            claim(new[2], "C", "S-1"),
            claim(new[3], "D", "S-2"),
        ])
        .await;
    assert_refused(&outcomes[0], "sku", "unique");
    assert_refused(&outcomes[2], "sku", "unique");
    assert_eq!(refusal(&outcomes[0]).value.as_deref(), Some("OWNER"));
    assert!(refusal(&outcomes[2]).detail.contains("that of B"), "{:?}", outcomes[2]);
    assert_eq!((&outcomes[1], &outcomes[3]), (&Outcome::Created, &Outcome::Created));
    assert_eq!(shop.count("commerce.product").await, 3);
}

#[tokio::test]
async fn skus_may_change_hands_within_a_page() {
    let mut shop = Shop::open().await;
    let ids = shop.stocked_with(&["A", "B"]).await;
    let outcomes = shop
        .products(&[
            ProductUpsert { sku: Patch::Set("B"), ..change(ids[0], "A") },
            ProductUpsert { sku: Patch::Set("A"), ..change(ids[1], "B") },
        ])
        .await;
    assert_eq!(outcomes, [Outcome::Updated, Outcome::Updated]);
    assert_eq!(shop.row("product", ids[0]).await["sku"], json!("B"));
    assert_eq!(shop.row("product", ids[1]).await["sku"], json!("A"));
    assert_eq!(shop.row("product", ids[0]).await["revision"], json!(2));

    let outcomes = shop
        .products(&[
            ProductUpsert { sku: Patch::Clear, ..change(ids[0], "A") },
            ProductUpsert { sku: Patch::Set("B"), ..change(ids[1], "B") },
        ])
        .await;
    assert_eq!(outcomes, [Outcome::Updated, Outcome::Updated], "giving it up is a change as well");
    assert_eq!(shop.row("product", ids[0]).await["sku"], json!(null));
    assert_eq!(shop.events().await.pop().expect("an event").payload["changed"], json!(["sku"]));
}

#[tokio::test]
async fn a_code_belongs_to_one_product() {
    let mut shop = Shop::open().await;
    let known = shop.stocked_with(&["A", "B"]).await;
    let new = ids(&mut shop.conn().await, 1).await[0];
    let outcomes = shop
        .products(&[
            ProductUpsert { sku: Patch::Keep, ..product(new, "A") },
            ProductUpsert { code: "A", ..change(known[1], "B") },
        ])
        .await;
    assert_refused(&outcomes[0], "code", "unique");
    assert_refused(&outcomes[1], "code", "unique");
}

#[tokio::test]
async fn one_bad_row_spoils_nothing() {
    let mut shop = Shop::open().await;
    let new = ids(&mut shop.conn().await, 12).await;
    let long = "ş".repeat(201);
    let exactly = "ş".repeat(200);
    let bad = [
        ("name", "too_long", ProductUpsert { name: Patch::Set(&long), ..product(new[0], "A") }),
        ("name", "required", ProductUpsert { name: Patch::Keep, ..product(new[1], "B") }),
        ("name", "required", ProductUpsert { name: Patch::Clear, ..product(new[2], "C") }),
        ("name", "control_character", ProductUpsert { name: Patch::Set("a\0b"), ..product(new[3], "D") }),
        ("weight", "negative", ProductUpsert { weight: Patch::Set(Decimal::NEGATIVE_ONE), ..product(new[4], "E") }),
        ("vatRate", "out_of_range", ProductUpsert { vat_rate: Patch::Set(Decimal::from(101)), ..product(new[5], "F") }),
        ("warrantyMonths", "out_of_range", ProductUpsert { warranty_months: Patch::Set(-1), ..product(new[6], "G") }),
        ("attributes", "format", ProductUpsert { attributes: Patch::Set("[1]"), ..product(new[7], "H") }),
        ("options", "format", ProductUpsert { options: Patch::Set(r#"{"a":"\u0000"}"#), ..product(new[8], "I") }),
        ("weight", "out_of_range", ProductUpsert { weight: Patch::Set(Decimal::MAX), ..product(new[9], "J") }),
        ("code", "required", ProductUpsert { sku: Patch::Keep, ..product(new[10], "") }),
    ];
    let good = ProductUpsert { name: Patch::Set(&exactly), ..product(new[11], "Z") };
    let rows: Vec<ProductUpsert<'_>> = bad.iter().map(|(.., row)| row.clone()).chain([good]).collect();
    let outcomes = shop.products(&rows).await;
    for ((field, rule, _), outcome) in bad.iter().zip(&outcomes) {
        assert_refused(outcome, field, rule);
    }
    assert_eq!(outcomes.last(), Some(&Outcome::Created));
    assert_eq!(shop.count("commerce.product").await, 1);
    assert_eq!(shop.count("hub.outbox_event").await, 1);
}

#[tokio::test]
async fn initial_fields_become_the_hubs() {
    let mut shop = Shop::open().await;
    let id = ids(&mut shop.conn().await, 1).await[0];
    let says = |text: &'static str| ProductUpsert {
        name: Patch::Set(text),
        description: Patch::Set(text),
        attributes: Patch::Set(r#"{"a":1}"#),
        slug: Patch::Set("kaynaktan"),
        ..change(id, "A")
    };
    shop.products(&[ProductUpsert { is_new: true, ..says("ilk") }]).await;
    assert_ne!(shop.row("product", id).await["slug"], json!("kaynaktan"), "the hub's own from the start");
    assert_eq!(shop.products(&[says("ikinci")]).await, [Outcome::Updated]);
    let row = shop.row("product", id).await;
    assert_eq!((&row["name"], &row["description"]), (&json!("ikinci"), &json!("ilk")));

    let cx = by_a_person(shop.tick());
    let edit = ProductUpsert { description: Patch::Set("elle"), ..change(id, "A") };
    assert_eq!(shop.products_by(cx, &[edit]).await.expect("applied"), [Outcome::Updated]);
    assert_eq!(shop.products(&[says("ikinci")]).await, [Outcome::Unchanged]);
    let row = shop.row("product", id).await;
    assert_eq!((&row["description"], &row["updated_by"]), (&json!("elle"), &json!("user:7")));
}

#[tokio::test]
async fn codes_compare_by_their_bytes() {
    let mut shop = Shop::open().await;
    let codes = ["IŞIK", "Işık", "ışık", "İŞIK", "isik"];
    let ids = shop.stocked_with(&codes).await;
    let mut conn = shop.conn().await;
    let found = products::ids_by_code(&mut conn, &["ışık", "nowhere", "IŞIK", "ISIK"]).await.expect("found");
    assert_eq!(found, [(0, ids[2]), (2, ids[0])]);
}

#[tokio::test]
async fn an_empty_page_does_nothing() {
    let mut shop = Shop::open().await;
    assert!(shop.products(&[]).await.is_empty());
    assert!(ids(&mut shop.conn().await, 0).await.is_empty());
}
