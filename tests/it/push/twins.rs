//! Records of one document that have one code, or one number under several codes; and which of two documents is newer.

use kopru::{audit::Actor, hub::dead_letters};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    intake::{catalogue, hub, product, products, push, with},
    parts::card,
    site::Site,
};

const BY: Actor<'_> = Actor::new("cli:test", "test");

const LETTERS: &str = "select key, reason, value from hub.dead_letter order by key";

fn statuses(told: &Value) -> Vec<&str> {
    let items = told["items"].as_array().expect("items");
    items.iter().map(|item| item["status"].as_str().unwrap_or_default()).collect()
}

#[tokio::test]
async fn twins_that_are_refused_are_told_and_kept_however_many_they_are() {
    let site = Site::new().await;
    let bad = |code: &str, n: usize| with(product(code), json!({ "categoryCode": format!("NO{n}") }));
    let items = std::iter::once(product("G")).chain((0..60).map(|n| bad("B", n)));
    let told = site.post("products/bulk", &products(items)).await.ok();
    assert_eq!((&told["createdCount"], &told["failedCount"], &told["totalCount"]), (&json!(1), &json!(60), &json!(61)));
    for (n, item) in told["items"].as_array().expect("items").iter().skip(1).enumerate() {
        assert_eq!(item["error"], format!("Category not found: NO{n}"));
        assert!(item["deadLetterId"].is_string(), "{item}");
    }
    let letter = json!({ "key": "B", "reason": "missing_reference", "value": "NO59" });
    assert_eq!(site.hub.rows(LETTERS).await, std::slice::from_ref(&letter));

    // The newest that can go in counts, however far up it stands.
    let good = ["first", "second"].map(|name| with(product("C"), json!({ "name": name })));
    let items = good.into_iter().chain((0..60).map(|n| bad("C", n)));
    let told = site.post("products/bulk", &products(items)).await.ok();
    assert_eq!(statuses(&told)[..3], ["duplicate", "created", "failed"]);
    assert_eq!(told["items"][0]["entityId"], told["items"][1]["entityId"]);
    assert_eq!(site.hub.row("select name from commerce.product where code = 'C'").await["name"], "second");
    // The letter is of a newer one than what went in.
    assert_eq!(site.hub.rows(LETTERS).await.len(), 2);
}

#[tokio::test]
async fn the_letter_of_an_earlier_twin_is_overtaken_by_the_later_one() {
    let site = Site::new().await;
    let bad = with(product("A"), json!({ "listPrice": -1 }));
    let told = site.post("products/bulk", &products([bad.clone(), product("A")])).await.ok();
    assert_eq!(statuses(&told), ["failed", "created"]);
    let letter = told["items"][0]["deadLetterId"].as_str().expect("kept");
    assert_eq!(site.hub.rows(LETTERS).await, [] as [Value; 0]);
    let ended = site.hub.row("select id, resolution from hub.dead_letter_history").await;
    assert_eq!(ended, json!({ "id": letter, "resolution": "superseded" }));

    // The other way round it is the newer one, and stays.
    let told = site.post("products/bulk", &products([product("A"), bad])).await.ok();
    assert_eq!(statuses(&told), ["unchanged", "failed"]);
    assert_eq!(site.hub.rows(LETTERS).await.len(), 1);
    let id = told["items"][1]["deadLetterId"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    // A record by itself is as good as one in a list.
    let mended = with(product("A"), json!({ "name": "mended" })).to_string();
    dead_letters::edit(&site.hub.engine, BY, id, mended.as_bytes()).await.expect("taken");
    site.hub.work().await;
    assert_eq!(site.hub.row("select name from commerce.product").await["name"], "mended");
}

#[tokio::test]
async fn a_replay_of_an_earlier_twin_overwrites_nothing() {
    let hub = hub().await;
    catalogue(&hub).await;
    // It carries a stock level that the later one does not, so its letter stays.
    let bad = with(product("A"), json!({ "listPrice": -1, "name": "older" }));
    let newer = with(card("A"), json!({ "listPrice": 7, "name": "newer" }));
    let told = push(&hub, "integration/products", &products([bad, newer])).await;
    let id: Uuid = told.items[0].dead_letter_id.expect("kept");
    let mended = products([with(product("A"), json!({ "name": "older" }))]).to_string();
    dead_letters::edit(&hub.engine, BY, id, mended.as_bytes()).await.expect("taken");
    hub.work().await;
    assert_eq!(hub.row("select name from commerce.product").await["name"], "newer");
    let prices = hub.rows("select amount::bigint as price from commerce.price where role = 'list'").await;
    assert_eq!(prices, [json!({ "price": 7 })]);
    // What nobody else carried goes in.
    assert_eq!(hub.count("commerce.stock_level").await, 1);
}

#[tokio::test]
async fn a_letter_is_ended_by_nothing_that_has_a_lower_version() {
    let hub = hub().await;
    catalogue(&hub).await;
    let versioned = |version: i64, more: Value| with(with(product("A"), json!({ "version": version })), more);
    push(&hub, "integration/products", &products([versioned(5, json!({}))])).await;
    push(&hub, "integration/products", &products([versioned(7, json!({ "listPrice": "x" }))])).await;
    push(&hub, "integration/products", &products([versioned(6, json!({ "name": "six" }))])).await;
    assert_eq!(hub.rows(LETTERS).await.len(), 1);
    // A lesser one that fails takes its place as little.
    push(&hub, "integration/products", &products([versioned(6, json!({ "listPrice": "y" }))])).await;
    assert_eq!(hub.rows(LETTERS).await[0]["value"], "x");
    push(&hub, "integration/products", &products([versioned(8, json!({ "name": "eight" }))])).await;
    assert_eq!(hub.rows(LETTERS).await, [] as [Value; 0]);
}

#[tokio::test]
async fn one_number_under_several_codes_is_one_record_with_its_old_names() {
    let site = Site::new().await;
    let named = |code: &str| with(product(code), json!({ "logoId": 4242 }));
    let told = site.post("products/bulk", &products(["Z0", "Z1", "Z2"].map(named))).await.ok();
    assert_eq!(statuses(&told), ["created", "updated", "updated"], "{told}");
    let id = &told["items"][0]["entityId"];
    for code in ["Z0", "Z1", "Z2"] {
        let shown = site.get(&format!("products/{code}")).await.ok();
        assert_eq!((&shown["id"], &shown["externalCode"]), (id, &json!("Z2")), "{code}");
    }
    assert_eq!(site.hub.count("commerce.product").await, 1);
}

#[tokio::test]
async fn cards_pass_their_codes_and_skus_to_each_other_within_one_document() {
    let site = Site::new().await;
    let card = |id: i64, code: &str| with(product(code), json!({ "logoId": id, "name": format!("card {id}") }));
    let shown = async |code: &str| {
        let shown = site.get(&format!("products/{code}")).await.ok();
        (shown["id"].clone(), shown["name"].clone(), shown["sku"].clone())
    };
    let made = site.post("products/bulk", &products([card(1, "P-A"), card(2, "P-B"), card(3, "P-C")])).await.ok();
    let id = |place: usize| made["items"][place]["entityId"].clone();
    // Each takes the code of the one before it, which stands before it in the document, and then behind it.
    let told = site.post("products/bulk", &products([card(3, "P-D"), card(2, "P-C"), card(1, "P-B")])).await.ok();
    assert_eq!(statuses(&told), ["updated"; 3], "{told}");
    for (place, code) in [(0, "P-B"), (1, "P-C"), (2, "P-D")] {
        let name = json!(format!("card {}", place + 1));
        assert_eq!(shown(code).await, (id(place), name, json!(code)), "{code}");
    }
    let told = site.post("products/bulk", &products([card(1, "P-C"), card(2, "P-D"), card(3, "P-E")])).await.ok();
    assert_eq!(statuses(&told), ["updated"; 3], "{told}");
    for (place, code) in [(0, "P-C"), (1, "P-D"), (2, "P-E")] {
        assert_eq!(shown(code).await.0, id(place), "{code}");
    }
    assert_eq!(site.hub.count("commerce.product").await, 3);
    let levels = "select product_id, sum(quantity)::int as held from commerce.stock_level group by 1 order by 1";
    let held = |place: usize| json!({ "product_id": id(place), "held": 5 });
    assert_eq!(site.hub.rows(levels).await, [held(0), held(1), held(2)], "no level is left behind or counted twice");
    assert_eq!(site.hub.rows(LETTERS).await, [] as [Value; 0]);
}

#[tokio::test]
async fn a_former_code_that_comes_again_without_its_number_is_the_same_record() {
    let site = Site::new().await;
    let first = site.post("brands", &json!({ "code": "L1", "name": "l", "logoId": 777 })).await.ok();
    site.post("brands", &json!({ "code": "L2", "name": "l", "logoId": 777 })).await.ok();
    let again = site.post("brands", &json!({ "code": "L1", "name": "l again" })).await.ok();
    assert_eq!((&again["id"], &again["isNew"], &again["status"]), (&first["id"], &json!(false), &json!("updated")));
    for code in ["L1", "L2"] {
        assert_eq!(site.get(&format!("brands/{code}")).await.ok()["name"], "l again", "{code}");
    }
    // Both names at once, and another card that took one of them.
    let both = json!({ "items": [{ "code": "L2", "name": "two" }, { "code": "L1", "name": "one" }] });
    let told = site.post("brands/bulk", &both).await.ok();
    assert_eq!((&told["items"][0]["entityId"], &told["items"][1]["entityId"]), (&first["id"], &first["id"]));
    let other = site.post("brands", &json!({ "code": "L2", "name": "other", "logoId": 778 })).await.ok();
    assert_ne!(other["id"], first["id"]);
}
