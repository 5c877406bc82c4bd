//! What a document carries beside its own record outlives documents that carry less.

use std::sync::Arc;

use kopru::mapping::Library;
use serde_json::{Value, json};

use super::intake::{catalogue, hub, product, products, push, with};
use crate::support::{
    hub::{Hub, mapping_files},
    system::page,
};

const LETTERS: &str = "select key, reason, parts, seen from hub.dead_letter order by key";

pub fn card(code: &str) -> Value {
    json!({ "code": code, "name": format!("Kart {code}"), "categoryCode": "KMR", "brandCode": "ACME" })
}

#[tokio::test]
async fn a_card_without_prices_ends_no_letter_that_carries_some() {
    let hub = hub().await;
    catalogue(&hub).await;
    let no_category = with(product("A"), json!({ "categoryCode": "YOK" }));
    // A part may be why it failed, and then its code is known as well.
    let bad_price = with(product("B"), json!({ "listPrice": "1.234,56" }));
    push(&hub, "integration/products", &products([no_category.clone(), bad_price])).await;
    let carried = json!(["price A|dealer", "price A|list", "stock A|0"]);
    assert_eq!(hub.rows(LETTERS).await[0]["parts"], carried);
    let standing = hub.rows(LETTERS).await;

    push(&hub, "integration/products", &products([card("A"), card("B")])).await;
    assert_eq!(hub.count("commerce.product").await, 2);
    let priced = with(card("A"), json!({ "listPrice": 1, "dealerPrice": 1 }));
    push(&hub, "integration/products", &products([priced])).await;
    assert_eq!(hub.rows(LETTERS).await, standing, "the stock level is missing still");

    // A later failure that carries less does not take the letter's place.
    let lesser = with(card("A"), json!({ "brandCode": "YOK" }));
    let told = push(&hub, "integration/products", &products([lesser])).await;
    assert!(told.items[0].dead_letter_id.is_some());
    assert_eq!(hub.rows(LETTERS).await, standing);

    push(&hub, "integration/products", &products([product("A"), with(product("B"), json!({ "costPrice": 1 }))])).await;
    assert_eq!(hub.rows(LETTERS).await, [] as [Value; 0]);
    assert_eq!(hub.count("hub.dead_letter_history where resolution = 'superseded'").await, 2);
}

#[tokio::test]
async fn a_letter_of_a_card_alone_gives_way_to_one_that_carries_more() {
    let hub = hub().await;
    catalogue(&hub).await;
    let failing = json!({ "categoryCode": "YOK" });
    push(&hub, "integration/products", &products([with(card("A"), failing.clone())])).await;
    assert_eq!(hub.row(LETTERS).await["parts"], json!([]));
    push(&hub, "integration/products", &products([with(product("A"), failing)])).await;
    let letter = hub.row(LETTERS).await;
    assert_eq!((&letter["seen"], letter["parts"].as_array().map(Vec::len)), (&json!(2), Some(3)));
}

#[tokio::test]
async fn a_polled_card_leaves_the_prices_of_a_failed_push_to_be_replayed() {
    let hub = Hub::with(|build| {
        let mut files = mapping_files();
        let products = files.iter().find(|(path, _)| *path == "test/products.toml").expect("a file").1.clone();
        files.push(("test/pushed.toml", format!("parts = [\"test/list_prices\"]\n{products}")));
        let price = "entity = \"price\"\n[records]\njson = \"items\"\n[key]\njoin = [\"code\", \"=list\"]\n\
            separator = \"|\"\n[[skip]]\nreason = \"no_price\"\nwhen = { field = \"listPrice\", filled = false }\n\
            [fields.product]\nfrom = \"code\"\non_missing = \"fail\"\n[fields.role]\nvalue = \"list\"\n\
            [fields.amount]\nfrom = \"listPrice\"\n[fields.currency]\nvalue = \"TRY\"\n";
        files.push(("test/list_prices.toml", price.to_owned()));
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        build.library = Arc::new(Library::from_texts(&files).unwrap_or_else(|problems| panic!("{problems:?}")));
    })
    .await;
    let record = json!({ "code": "A", "name": "a", "unitSet": "ADET" });
    let pushed = json!({ "items": [with(record.clone(), json!({ "listPrice": "9.50" }))] });
    let told = push(&hub, "test/pushed", &pushed).await;
    let letter = told.items[0].dead_letter_id.expect("a letter: the unit set is missing");

    let run = hub.full("products", [page([json!({ "code": "A", "version": 1, "name": "polled" })])]).await;
    assert_eq!(run.created, 1);
    assert_eq!(hub.row("select id, key from hub.dead_letter").await["id"], json!(letter));
    assert_eq!(hub.count("commerce.price").await, 0);

    // A polled page that fails carries less as well.
    let failing = json!({ "code": "A", "version": 2, "name": "polled", "unitSet": "NONE" });
    hub.changes("products", [page([failing])]).await;
    assert_eq!(hub.row(LETTERS).await["parts"], json!(["price A|list"]));

    hub.execute(
        "insert into commerce.unit_set (code, name, created_at, updated_at, created_by, updated_by)
         values ('ADET', 'Adet', now(), now(), 'test', 'test')",
    )
    .await;
    hub.execute(
        "insert into hub.external_ref (connector, entity, external_code, internal_id)
         select 'erp', 'unit_set', code, id from commerce.unit_set",
    )
    .await;
    let by = kopru::audit::Actor::new("cli:test", "test");
    kopru::hub::dead_letters::replay(hub.pool(), by, &[letter]).await.expect("queued");
    hub.work().await;
    assert_eq!(hub.rows(LETTERS).await, [] as [Value; 0]);
    assert_eq!(hub.row("select amount::text from commerce.price").await["amount"], "9.500000");
}
