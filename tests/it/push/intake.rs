//! A document that a caller hands over: what is told of each item, and what it leaves.

use std::sync::Arc;

use kopru::{
    hub::intake::{Item, ItemStatus, Submission, Submitted, submit_alone},
    mapping::{Format, Library, OnMissing},
};
use serde_json::{Value, json};

use crate::support::hub::{Build, ERP, Hub};

pub async fn hub() -> Hub {
    hub_with(|_| {}).await
}

pub async fn hub_with(change: impl FnOnce(&mut Build)) -> Hub {
    Hub::with(|build| {
        build.library = Arc::new(Library::load(None).expect("the built-in mappings"));
        build.polled = &[];
        build.beside = &["another"];
        change(build);
    })
    .await
}

pub fn products(items: impl IntoIterator<Item = Value>) -> Value {
    json!({ "products": items.into_iter().collect::<Vec<_>>() })
}

pub fn product(code: &str) -> Value {
    json!({ "code": code, "name": format!("Ürün {code}"), "sku": code, "categoryCode": "KMR", "brandCode": "ACME",
            "listPrice": "120.5000", "dealerPrice": 100, "stockQuantity": 5, "taxRate": 20 })
}

pub fn with(mut item: Value, more: Value) -> Value {
    let (Some(item_fields), Value::Object(more)) = (item.as_object_mut(), more) else { panic!("objects") };
    item_fields.extend(more);
    item
}

pub async fn push(hub: &Hub, mapping: &str, body: &Value) -> Submitted {
    push_bytes(hub, mapping, body.to_string().as_bytes()).await
}

pub async fn push_bytes(hub: &Hub, mapping: &str, body: &[u8]) -> Submitted {
    submit_bytes(hub, mapping, body, true, false).await
}

/// One item that leaves nothing when it is refused, as a push of one does.
pub async fn push_one(hub: &Hub, mapping: &str, body: &Value, stands_alone: bool) -> Submitted {
    submit_bytes(hub, mapping, body.to_string().as_bytes(), false, stands_alone).await
}

async fn submit_bytes(hub: &Hub, mapping: &str, body: &[u8], keep_failed: bool, stands_alone: bool) -> Submitted {
    let received_at = hub.engine.database_now().await.expect("the time");
    let submission = Submission {
        connector: ERP,
        stream: "push.products",
        mapping,
        format: Format::Json,
        body,
        correlation_id: "c-1",
        origin: "api-key:test",
        run_id: None,
        on_missing: Some(OnMissing::Fail),
        keep_failed,
        bulk: false,
        received_at,
        first: 0,
        isolate: false,
        recalls: true,
        stands_alone,
    };
    submit_alone(&hub.engine, &submission).await.expect("submitted")
}

pub async fn catalogue(hub: &Hub) {
    push(hub, "integration/categories", &json!({ "items": [{ "code": "KMR", "name": "Kameralar" }] })).await;
    push(hub, "integration/brands", &json!({ "items": [{ "code": "ACME", "name": "Acme" }] })).await;
}

const BY: kopru::audit::Actor<'_> = kopru::audit::Actor::new("cli:test", "test");

fn statuses(submitted: &Submitted) -> Vec<&'static str> {
    submitted.items.iter().map(|item| item.status.as_str()).collect()
}

fn reason(item: &Item) -> &str {
    item.failure.as_ref().map_or("", |failure| &failure.reason)
}

#[tokio::test]
async fn a_product_is_a_card_its_prices_and_a_stock_level() {
    let hub = hub().await;
    catalogue(&hub).await;
    let whole = with(product("A"), json!({ "costPrice": 80, "logoId": 7 }));
    let submitted = push(&hub, "integration/products", &products([whole.clone(), product("B")])).await;
    assert_eq!(statuses(&submitted), ["created", "created"]);
    assert!(submitted.items.iter().all(|item| item.is_new && item.internal_id.is_some()));
    let prices = hub.rows("select code, role, amount::text, currency from commerce.price order by code").await;
    assert_eq!(
        prices.iter().map(|price| price["code"].as_str().unwrap_or_default()).collect::<Vec<_>>(),
        ["A|cost", "A|dealer", "A|list", "B|dealer", "B|list"]
    );
    assert_eq!(prices[2], json!({ "code": "A|list", "role": "list", "amount": "120.500000", "currency": "TRY" }));
    let stock = hub.rows("select external_code as code from hub.external_ref where entity = 'stock' order by 1").await;
    assert_eq!(stock, [json!({ "code": "A|0" }), json!({ "code": "B|0" })]);

    // The same again writes nothing at all.
    let before = hub.footprint().await;
    let again = push(&hub, "integration/products", &products([whole.clone(), product("B")])).await;
    assert_eq!(statuses(&again), ["unchanged", "unchanged"]);
    assert_eq!(again.items[0].internal_id, submitted.items[0].internal_id);
    assert_eq!(hub.footprint().await, before);

    // A price alone makes the item an updated one, and touches no card.
    let cheaper = with(whole, json!({ "listPrice": 99 }));
    let events = hub.count("hub.outbox_event").await;
    let third = push(&hub, "integration/products", &products([cheaper])).await;
    assert_eq!(statuses(&third), ["updated"]);
    assert_eq!(third.items[0].internal_id, submitted.items[0].internal_id);
    assert_eq!(hub.count("hub.outbox_event").await, events + 1);
    assert_eq!(hub.row("select revision from commerce.product where code = 'A'").await["revision"], 1);
}

#[tokio::test]
async fn an_item_of_which_a_part_is_refused_leaves_nothing_and_its_neighbours_stay() {
    let hub = hub().await;
    catalogue(&hub).await;
    // The currency passes the mapping and is refused by the command, after the card went in.
    let bad_currency = with(product("B"), json!({ "currency": "abc" }));
    let bad_price = with(product("C"), json!({ "listPrice": -1 }));
    let no_category = with(product("D"), json!({ "categoryCode": "YOK" }));
    let body = products([product("A"), bad_currency, bad_price, no_category, product("E")]);
    let submitted = push(&hub, "integration/products", &body).await;
    assert_eq!(statuses(&submitted), ["created", "failed", "failed", "failed", "created"]);
    assert_eq!(submitted.items[3].failure.as_ref().expect("a failure").detail, "Category not found: YOK");
    let sources: Vec<_> = submitted.items.iter().map(|item| item.source.as_deref()).collect();
    assert_eq!(sources, [None, Some("currency"), Some("listPrice"), Some("categoryCode"), None]);
    assert_eq!(
        hub.rows("select code from commerce.product order by 1").await,
        [json!({"code": "A"}), json!({"code": "E"})]
    );
    assert_eq!(hub.count("commerce.price where code like 'B%' or code like 'C%' or code like 'D%'").await, 0);
    assert_eq!(hub.count("hub.external_ref where external_code similar to '(B|C|D)%'").await, 0);

    // Each is a letter with its own record alone, known by its code.
    let letters = hub.rows("select id, entity, key, reason, mapping from hub.dead_letter order by key").await;
    assert_eq!(letters.len(), 3);
    for (letter, item) in letters.iter().zip(&submitted.items[1..4]) {
        assert_eq!(letter["entity"], "product");
        assert_eq!(letter["mapping"], "integration/products");
        assert_eq!(letter["key"].as_str(), item.code.as_deref());
        assert_eq!(letter["id"], json!(item.dead_letter_id));
        assert_eq!(letter["reason"], reason(item));
    }
    // The same failure again is the same letter.
    let again =
        push(&hub, "integration/products", &products([with(product("D"), json!({ "categoryCode": "YOK" }))])).await;
    assert_eq!(again.items[0].dead_letter_id, submitted.items[3].dead_letter_id);
    // A later good push supersedes it.
    push(&hub, "integration/products", &products([product("D")])).await;
    assert_eq!(hub.count("hub.dead_letter where key = 'D'").await, 0);
    assert_eq!(hub.count("hub.dead_letter_history where key = 'D' and resolution = 'superseded'").await, 1);
}

#[tokio::test]
async fn of_one_code_twice_the_last_counts_with_all_its_parts() {
    let hub = hub().await;
    catalogue(&hub).await;
    let first = with(product("A"), json!({ "name": "eski", "costPrice": 1 }));
    let body = products([first.clone(), product("B"), with(product("A"), json!({ "name": "yeni" }))]);
    let submitted = push(&hub, "integration/products", &body).await;
    assert_eq!(statuses(&submitted), ["duplicate", "created", "created"]);
    assert_eq!(submitted.items[0].internal_id, submitted.items[2].internal_id);
    assert_eq!(hub.row("select name from commerce.product where code = 'A'").await["name"], "yeni");
    assert_eq!(hub.count("commerce.price where code = 'A|cost'").await, 0);

    // When the last one is refused, the one before it counts.
    let refused = with(product("A"), json!({ "name": "olmaz", "currency": "??" }));
    let submitted = push(&hub, "integration/products", &products([first, refused])).await;
    assert_eq!(statuses(&submitted), ["updated", "failed"]);
    assert_eq!(hub.row("select name from commerce.product where code = 'A'").await["name"], "eski");
}

#[tokio::test]
async fn skus_change_hands_within_a_document_and_one_of_somebody_else_is_refused() {
    let hub = hub().await;
    catalogue(&hub).await;
    push(&hub, "integration/products", &products(["A", "B", "C", "D"].map(product))).await;
    let swapped = [
        with(product("A"), json!({ "sku": "B" })),
        with(product("B"), json!({ "sku": "A" })),
        with(product("C"), json!({ "name": "yeni" })),
    ];
    let submitted = push(&hub, "integration/products", &products(swapped)).await;
    assert_eq!(statuses(&submitted), ["updated", "updated", "updated"]);
    let told = || hub.rows("select code, sku, revision from commerce.product order by code");
    let held = |code: &str, sku: &str, revision: i64| json!({ "code": code, "sku": sku, "revision": revision });
    assert_eq!(told().await, [held("A", "B", 2), held("B", "A", 2), held("C", "C", 2), held("D", "D", 1)]);
    assert_eq!(hub.count("hub.outbox_event where aggregate = 'product' and revision = 2").await, 3);

    // D is not in the document, and keeps what it has; who asks for nobody's goes in.
    let body = products([with(product("A"), json!({ "sku": "D" })), with(product("C"), json!({ "sku": "C-2" }))]);
    let submitted = push(&hub, "integration/products", &body).await;
    assert_eq!(statuses(&submitted), ["failed", "updated"]);
    assert_eq!(reason(&submitted.items[0]), "unique");
    assert_eq!(told().await, [held("A", "B", 2), held("B", "A", 2), held("C", "C-2", 3), held("D", "D", 1)]);
}

#[tokio::test]
async fn a_version_orders_pushes_and_a_product_without_its_parts_is_a_card() {
    let hub = hub().await;
    catalogue(&hub).await;
    let at = |version: i64, name: &str| products([with(product("A"), json!({ "version": version, "name": name }))]);
    assert_eq!(statuses(&push(&hub, "integration/products", &at(5, "beş")).await), ["created"]);
    let stale = push(&hub, "integration/products", &at(4, "dört")).await;
    assert_eq!(statuses(&stale), ["stale"]);
    assert!(stale.items[0].internal_id.is_some());
    assert_eq!(statuses(&push(&hub, "integration/products", &at(6, "altı")).await), ["updated"]);

    let card = json!({ "code": "K", "name": "k", "categoryCode": "KMR", "brandCode": "ACME" });
    assert_eq!(statuses(&push(&hub, "integration/products", &products([card])).await), ["created"]);
    assert_eq!(hub.count("commerce.price where code like 'K%'").await, 0);
    assert_eq!(
        hub.count("commerce.stock_level s join commerce.product p on p.id = s.product_id where p.code = 'K'").await,
        0
    );
}

#[tokio::test]
async fn a_price_keeps_its_currency_when_none_is_told() {
    let hub = hub().await;
    catalogue(&hub).await;
    push(&hub, "integration/products", &products([with(product("A"), json!({ "currency": "USD" }))])).await;
    let short = json!([{ "code": "A", "listPrice": 7, "dealerPrice": "6.5" }]);
    let submitted = push(&hub, "integration/product_list_prices", &short).await;
    assert_eq!(submitted.items[0].status, ItemStatus::Updated);
    assert_eq!(
        hub.rows("select code, amount::text, currency from commerce.price order by code").await,
        [
            json!({ "code": "A|dealer", "amount": "6.500000", "currency": "USD" }),
            json!({ "code": "A|list", "amount": "7.000000", "currency": "USD" }),
        ]
    );
    let unknown = push(&hub, "integration/product_list_prices", &json!([{ "code": "YOK", "listPrice": 7 }])).await;
    assert_eq!(unknown.items[0].failure.as_ref().expect("a failure").detail, "Product not found: YOK");
}

#[tokio::test]
async fn a_kept_letter_goes_in_with_its_parts_once_its_category_is_there() {
    let hub = hub().await;
    catalogue(&hub).await;
    let item = with(product("A"), json!({ "categoryCode": "YENİ", "version": 3 }));
    let submitted = push(&hub, "integration/products", &products([product("B"), item])).await;
    let letter = submitted.items[1].dead_letter_id.expect("a letter");
    // Too early: the same letter, with the same reason.
    kopru::hub::dead_letters::replay(hub.pool(), BY, &[letter]).await.expect("queued");
    hub.work().await;
    assert_eq!(
        hub.row("select id, reason from hub.dead_letter").await,
        json!({ "id": letter, "reason": "missing_reference" })
    );

    push(&hub, "integration/categories", &json!({ "items": [{ "code": "YENİ", "name": "Yeniler" }] })).await;
    kopru::hub::dead_letters::replay(hub.pool(), BY, &[letter]).await.expect("queued");
    hub.work().await;
    assert_eq!(hub.count("hub.dead_letter").await, 0);
    assert_eq!(hub.row("select name from commerce.product where code = 'A'").await["name"], "Ürün A");
    assert_eq!(hub.count("commerce.price where code like 'A|%'").await, 2);
    assert_eq!(
        hub.rows("select entity from hub.external_ref where source_version = 3 order by entity").await.len(),
        4,
        "card, two prices and a level have the version of the letter"
    );
}

#[tokio::test]
async fn an_overtaken_letter_writes_nothing() {
    let hub = hub().await;
    catalogue(&hub).await;
    let body = |price: &str| products([with(product("A"), json!({ "listPrice": price }))]);
    let submitted = push(&hub, "integration/products", &body("1.234,56")).await;
    assert_eq!(reason(&submitted.items[0]), "not_a_number");
    let letter = submitted.items[0].dead_letter_id.expect("a letter");
    let mended = products([with(product("A"), json!({ "name": "mended" }))]).to_string();
    kopru::hub::dead_letters::edit(&hub.engine, BY, letter, mended.as_bytes()).await.expect("queued");
    // While it waits for its turn, a newer push goes in.
    push(&hub, "integration/products", &body("1234.56")).await;
    hub.work().await;
    assert_eq!(hub.count("hub.dead_letter").await, 0);
    assert_eq!(hub.row("select name from commerce.product").await["name"], "Ürün A");
}

#[tokio::test]
async fn an_unreadable_document_is_refused_whole() {
    let hub = hub().await;
    let before = hub.footprint().await;
    for body in ["{", "[1,2", "<a/>", "", "{\"other\":[]}"] {
        let submission = Submission {
            connector: ERP,
            stream: "push.products",
            mapping: "integration/products",
            format: Format::Json,
            body: body.as_bytes(),
            correlation_id: "c",
            origin: "o",
            run_id: None,
            on_missing: None,
            keep_failed: true,
            bulk: false,
            received_at: chrono::DateTime::UNIX_EPOCH,
            first: 0,
            isolate: false,
            recalls: true,
            stands_alone: false,
        };
        submit_alone(&hub.engine, &submission).await.expect_err(body);
    }
    assert_eq!(hub.footprint().await, before);
}

#[tokio::test]
async fn a_category_finds_its_parent_in_the_same_document_and_fails_with_it() {
    let hub = hub().await;
    let items = json!({ "items": [
        { "code": "ALT", "name": "Alt", "parentCode": "ÜST" },
        { "code": "ÜST", "name": "Üst" },
        { "code": "YETİM", "name": "Yetim", "parentCode": "YOK" },
        { "code": "TORUN", "name": "Torun", "parentCode": "YETİM" },
    ] });
    let submitted = push(&hub, "integration/categories", &items).await;
    assert_eq!(statuses(&submitted), ["created", "created", "failed", "failed"]);
    assert_eq!(hub.count("commerce.category where parent_id is not null").await, 1);
}
