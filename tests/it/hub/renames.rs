//! Which record a code means: renamed and re-created cards, and instances that are not the master.

use std::sync::Arc;

use kopru::canonical::Entity;
use kopru_sdk::Pass;
use serde_json::{Value, json};

use crate::support::{
    hub::{Build, Hub},
    system::{System, page},
};

fn brand(code: &str, id: i64, version: i64, name: &str) -> Value {
    json!({ "code": code, "id": id, "version": version, "name": name })
}

async fn brands(hub: &Hub) -> Vec<Value> {
    hub.rows("select id, code, name from commerce.brand order by id").await
}

async fn links(hub: &Hub) -> Vec<Value> {
    hub.rows(
        "select internal_id, external_code as code, external_id as ext from hub.external_ref where connector = 'erp'
         order by internal_id",
    )
    .await
}

#[tokio::test]
async fn a_renamed_card_keeps_its_record_and_its_old_code_still_finds_it() {
    let hub = Hub::new().await;
    hub.full("brands", [page([brand("OLD", 7, 1, "Acme")])]).await;
    let before = brands(&hub).await;
    let run = hub.changes("brands", [page([brand("NEW", 7, 2, "Acme Ltd")])]).await;
    assert_eq!((run.created, run.updated), (0, 1));
    assert_eq!(brands(&hub).await, [json!({ "id": before[0]["id"], "code": "NEW", "name": "Acme Ltd" })]);
    assert_eq!(links(&hub).await, [json!({ "internal_id": before[0]["id"], "code": "NEW", "ext": "7" })]);
    // A product that still names the old code finds its brand.
    let run = hub.full("products", [page([json!({ "code": "P", "name": "p", "brand": "OLD" })])]).await;
    assert_eq!(run.created, 1);
    assert_eq!(hub.row("select brand_id from commerce.product").await["brand_id"], before[0]["id"]);
}

#[tokio::test]
async fn a_rename_alone_reaches_the_record() {
    let hub = Hub::new().await;
    hub.full("brands", [page([brand("OLD", 7, 1, "Acme")])]).await;
    let run = hub.changes("brands", [page([brand("NEW", 7, 2, "Acme")])]).await;
    assert_eq!(run.updated, 1);
    assert_eq!(brands(&hub).await[0]["code"], "NEW");
}

#[tokio::test]
async fn a_rename_wakes_what_waits_for_the_new_code() {
    let hub = Hub::new().await;
    hub.full("brands", [page([brand("OLD", 7, 1, "Acme")])]).await;
    hub.full("products", [page([json!({ "code": "P", "name": "p", "brand": "NEW" })])]).await;
    hub.changes("brands", [page([brand("NEW", 7, 2, "Acme")])]).await;
    assert_eq!(hub.work().await, 1);
    assert_eq!(hub.count("commerce.product where brand_id is not null").await, 1);
}

#[tokio::test]
async fn an_older_document_under_the_old_code_does_not_rename_back() {
    let hub = Hub::new().await;
    hub.full("brands", [page([brand("OLD", 7, 1, "Acme")])]).await;
    hub.changes("brands", [page([brand("NEW", 7, 2, "Acme")])]).await;
    for name in ["Acme", "Other"] {
        let run = hub.changes("brands", [page([brand("OLD", 7, 1, name)])]).await;
        assert_eq!(run.stale, 1, "{name}");
    }
    assert_eq!(links(&hub).await[0]["code"], "NEW");
    assert_eq!(hub.row("select source_version as v from hub.external_ref").await["v"], 2);
}

#[tokio::test]
async fn a_rename_within_one_page_is_one_record() {
    let hub = Hub::new().await;
    // The row was read twice, before and after it was renamed.
    let run = hub.full("brands", [page([brand("OLD", 7, 1, "Acme"), brand("NEW", 7, 2, "Acme")])]).await;
    assert_eq!((run.created, run.updated, run.failed), (1, 1, 0));
    assert_eq!(links(&hub).await[0]["code"], "NEW");
    // And when it was known before.
    let run = hub.changes("brands", [page([brand("NEW", 7, 3, "Acme 3"), brand("NEWER", 7, 4, "Acme 4")])]).await;
    assert_eq!((run.updated, run.failed), (2, 0));
    assert_eq!(brands(&hub).await.len(), 1);
    assert_eq!(brands(&hub).await[0]["code"], "NEWER");
    // The older name may stand behind the newer one; then it is stale.
    let run = hub.changes("brands", [page([brand("LAST", 7, 6, "Acme"), brand("NEWER", 7, 5, "Acme")])]).await;
    assert_eq!((run.updated, run.stale, run.failed), (1, 1, 0));
    assert_eq!(brands(&hub).await[0]["code"], "LAST");
}

#[tokio::test]
async fn a_card_that_was_made_again_under_its_code_is_the_same_record() {
    let hub = Hub::new().await;
    hub.full("brands", [page([brand("A", 7, 1, "Acme")])]).await;
    let before = brands(&hub).await;
    for name in ["Acme", "Acme again"] {
        hub.changes("brands", [page([brand("A", 8, 2, name)])]).await;
        assert_eq!(links(&hub).await, [json!({ "internal_id": before[0]["id"], "code": "A", "ext": "8" })]);
    }
    assert_eq!(brands(&hub).await, [json!({ "id": before[0]["id"], "code": "A", "name": "Acme again" })]);
}

#[tokio::test]
async fn cards_that_swapped_their_numbers_keep_their_codes() {
    let hub = Hub::new().await;
    hub.full("brands", [page([brand("A", 1, 1, "a"), brand("B", 2, 1, "b"), brand("C", 3, 1, "c")])]).await;
    // Equal content, other numbers: nothing but the links moves, and the page goes in.
    let run = hub.changes("brands", [page([brand("A", 2, 2, "a"), brand("B", 1, 2, "b")])]).await;
    assert_eq!((run.state.as_str(), run.failed), ("done", 0));
    let by_code: Vec<Value> = links(&hub).await.iter().map(|link| json!([link["code"], link["ext"]])).collect();
    assert_eq!(by_code, [json!(["A", "2"]), json!(["B", "1"]), json!(["C", "3"])]);
    // Other content, and a number that a card outside the page has.
    let run = hub.changes("brands", [page([brand("A", 3, 3, "a3"), brand("B", 2, 3, "b3")])]).await;
    assert_eq!((run.updated, run.failed), (2, 0));
    let by_code: Vec<Value> = links(&hub).await.iter().map(|link| json!([link["code"], link["ext"]])).collect();
    assert_eq!(by_code, [json!(["A", "3"]), json!(["B", "2"]), json!(["C", null])]);
}

#[tokio::test]
async fn a_new_card_may_take_the_code_that_a_renamed_one_gave_up_in_the_same_page() {
    let hub = Hub::new().await;
    hub.full("brands", [page([brand("A", 7, 1, "first")])]).await;
    let first = brands(&hub).await[0]["id"].clone();
    let run = hub.changes("brands", [page([brand("A", 9, 2, "second"), brand("B", 7, 2, "first")])]).await;
    assert_eq!((run.state.as_str(), run.created, run.updated, run.failed), ("done", 1, 1, 0));
    let all = brands(&hub).await;
    assert_eq!(all[0], json!({ "id": first, "code": "B", "name": "first" }));
    assert_eq!((&all[1]["code"], &all[1]["name"]), (&json!("A"), &json!("second")));
}

#[tokio::test]
async fn an_instance_that_is_not_the_master_finds_by_code_and_creates_nothing() {
    let hub = Hub::new().await;
    hub.full("brands", [page([brand("A", 7, 1, "Acme")])]).await;
    let build = Build { master: Some(vec![Entity::Product]), ..Build::default() };
    let system = Arc::new(System::default());
    let other = build.engine(hub.pool(), &system, "shop");
    system.full("brands", [page([brand("A", 900, 1, "Acme Inc"), brand("Z", 901, 1, "unknown")])]);
    let run = hub.run_by(&other, "brands", Pass::Full, false).await;
    assert_eq!((run.created, run.updated, run.failed), (0, 1, 1));
    let letter = hub.row("select connector, key, reason, field from hub.dead_letter").await;
    assert_eq!(letter, json!({ "connector": "shop", "key": "Z", "reason": "not_master", "field": "code" }));
    let both = hub.rows("select connector, external_id as ext from hub.external_ref order by 1").await;
    assert_eq!(both, [json!({ "connector": "erp", "ext": "7" }), json!({ "connector": "shop", "ext": "900" })]);
    assert_eq!(brands(&hub).await.len(), 1);
}

#[tokio::test]
async fn stock_of_a_renamed_product_goes_on_under_the_new_code() {
    let hub = Hub::new().await;
    let stock = |code: &str, version: i64, quantity: i64| json!({ "code": format!("{code}|1"), "version": version, "product": code, "warehouse": "1", "quantity": quantity });
    let product = |code: &str, version: i64| json!({ "code": code, "id": 7, "version": version, "name": "p" });
    hub.full("products", [page([product("OLD", 1)])]).await;
    hub.full("stock", [page([stock("OLD", 1, 5)])]).await;
    hub.changes("products", [page([product("NEW", 2)])]).await;

    let run = hub.full("stock", [page([stock("NEW", 2, 3)])]).await;
    assert_eq!((run.created, run.updated, run.failed), (0, 1, 0));
    let level = "select count(*)::bigint as levels, sum(quantity)::text as quantity from commerce.stock_level";
    assert_eq!(hub.row(level).await, json!({ "levels": 1, "quantity": "3.0000" }));
    let link = "select external_code as code from hub.external_ref where entity = 'stock'";
    assert_eq!(hub.rows(link).await, [json!({ "code": "NEW|1" })]);
    // A late document under the old code takes nothing back, and a later one of the new code goes in as ever.
    let late = hub.changes("stock", [page([stock("OLD", 1, 9)])]).await;
    assert_eq!((late.updated, late.stale), (0, 1));
    assert_eq!(hub.changes("stock", [page([stock("NEW", 3, 2)])]).await.updated, 1);
    assert_eq!(hub.row(level).await["quantity"], "2.0000");
}
