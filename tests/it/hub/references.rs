//! Records that refer to others: waited for, made, or refused.

use std::time::Duration;

use kopru::{
    canonical::Entity,
    hub::{deferral, housekeeping},
};
use serde_json::{Value, json};

use crate::support::{hub::Hub, system::page};

fn product(code: &str, brand: &str, version: i64) -> Value {
    json!({ "code": code, "version": version, "name": format!("{code} {version}"), "brand": brand })
}

fn brand(code: &str) -> Value {
    json!({ "code": code, "version": 1, "name": code })
}

async fn branded(hub: &Hub) -> Vec<Value> {
    hub.rows(
        "select p.code, p.name, b.code as brand from commerce.product p left join commerce.brand b on b.id = p.brand_id
         order by p.code",
    )
    .await
}

#[tokio::test]
async fn an_unknown_brand_is_waited_for_and_its_arrival_wakes_the_product() {
    let hub = Hub::new().await;
    let run = hub.full("products", [page([product("P", "X", 1), product("Q", "Y", 1)])]).await;
    assert_eq!((run.deferred, run.created, run.failed), (2, 0, 0));
    let waiting = hub
        .row(
            "select m.state, kind, key, w.entity, w.code, give_up_at > now() + interval '23 hours' as long
                           from hub.message m join hub.message_wait w on w.message_id = m.id where key = 'P'",
        )
        .await;
    assert_eq!(
        waiting,
        json!({ "state": "deferred", "kind": "document", "key": "P", "entity": "brand", "code": "X", "long": true })
    );
    assert_eq!(hub.work().await, 0, "nothing is due");

    hub.full("brands", [page([brand("X")])]).await;
    // Woken in the transaction that made the brand; no sweep has run.
    assert_eq!(
        hub.rows("select key, state from hub.message order by key").await,
        [json!({ "key": "P", "state": "received" }), json!({ "key": "Q", "state": "deferred" }),]
    );
    assert_eq!(hub.work().await, 1);
    assert_eq!(branded(&hub).await, [json!({ "code": "P", "name": "P 1", "brand": "X" })]);
    let done = hub
        .row("select state, attempts, internal_id is not null as known from hub.message_history where key = 'P'")
        .await;
    assert_eq!(done, json!({ "state": "done", "attempts": 1, "known": true }));
    assert_eq!(hub.count("hub.outbox_event where type = 'product.updated'").await, 1);
}

#[tokio::test]
async fn only_the_newest_of_a_key_waits() {
    let hub = Hub::new().await;
    hub.changes("products", [page([product("P", "X", 1)])]).await;
    hub.changes("products", [page([product("P", "X", 2)])]).await;
    assert_eq!(hub.count("hub.message where state = 'deferred'").await, 1);
    assert_eq!(hub.row("select state from hub.message_history where key = 'P'").await["state"], "superseded");
    hub.full("brands", [page([brand("X")])]).await;
    hub.work().await;
    assert_eq!(branded(&hub).await, [json!({ "code": "P", "name": "P 2", "brand": "X" })]);
}

#[tokio::test]
async fn an_older_version_does_not_take_the_place_of_a_newer_that_waits() {
    let hub = Hub::new().await;
    hub.changes("products", [page([product("P", "X", 5)])]).await;
    let run = hub.changes("products", [page([product("P", "X", 3)])]).await;
    assert_eq!((run.stale, run.deferred), (1, 0));
    // Nor does one that could go in at once.
    let run = hub.changes("products", [page([json!({ "code": "P", "version": 2, "name": "P 2" })])]).await;
    assert_eq!(run.created, 1, "it is the only one that can be shown meanwhile");
    hub.full("brands", [page([brand("X")])]).await;
    hub.work().await;
    assert_eq!(branded(&hub).await, [json!({ "code": "P", "name": "P 5", "brand": "X" })]);
}

#[tokio::test]
async fn a_newer_document_that_goes_in_ends_the_waiting_one() {
    let hub = Hub::new().await;
    let free = |version: i64| page([json!({ "code": "P", "version": version, "name": "free" })]);
    hub.full("products", [free(1)]).await;
    hub.changes("products", [page([product("P", "X", 2)])]).await;
    // Back to what it was: unchanged, and yet newer than what waits.
    let run = hub.changes("products", [free(3)]).await;
    assert_eq!(run.unchanged, 1);
    assert_eq!(hub.count("hub.message").await, 0);
    assert_eq!(hub.row("select state from hub.message_history where key = 'P'").await["state"], "superseded");
}

#[tokio::test]
async fn a_record_waits_for_all_that_it_lacks() {
    let hub = Hub::new().await;
    hub.full("categories", [page([json!({ "code": "C", "name": "c", "parent": "R1" })])]).await;
    hub.changes("products", [page([product("P", "X", 1)])]).await;
    // The product is mapped anew when it is due: what it lacks by then is waited for.
    hub.execute("update hub.message_wait set code = 'Z' where entity = 'brand'").await;
    hub.full("brands", [page([brand("Z")])]).await;
    hub.work().await;
    assert_eq!(hub.row("select code from hub.message_wait where entity = 'brand'").await["code"], "X");
    assert_eq!(
        hub.row("select state, claims from hub.message where key = 'P'").await,
        json!({ "state": "deferred", "claims": 0 })
    );
}

#[tokio::test]
async fn what_waited_too_long_is_a_letter_that_the_missing_code_replays() {
    let hub = Hub::with(|build| build.settings.defer_for = Duration::ZERO).await;
    hub.full("products", [page([product("P", "X", 1), product("Q", "X", 1), product("R", "Y", 1)])]).await;
    housekeeping::sweep_once(&hub.engine).await.expect("a sweep");
    assert_eq!(hub.work().await, 3);
    let letters = hub
        .rows("select key, cause, reason, field, value, detail, missing_entity, missing_code from hub.dead_letter order by key")
        .await;
    assert_eq!(
        letters[0],
        json!({ "key": "P", "cause": "data", "reason": "missing_reference", "field": "brand", "value": "X",
                "detail": "Brand not found: X", "missing_entity": "brand", "missing_code": "X" })
    );
    let groups = hub.rows("select count(*) as n from hub.dead_letter group by fingerprint order by 1").await;
    assert_eq!(groups, [json!({ "n": 1 }), json!({ "n": 2 })], "grouped by the missing code");

    hub.full("brands", [page([brand("X")])]).await;
    housekeeping::sweep_once(&hub.engine).await.expect("a sweep");
    hub.work().await;
    assert_eq!(branded(&hub).await.len(), 2);
    assert_eq!(hub.row("select key from hub.dead_letter").await["key"], "R");
    assert_eq!(hub.count("hub.dead_letter_history where resolution = 'replayed'").await, 2);
}

#[tokio::test]
async fn the_sweep_wakes_what_slipped_through() {
    let hub = Hub::new().await;
    hub.full("products", [page([product("P", "X", 1)])]).await;
    // A brand whose transaction had not seen the waiting product yet.
    hub.execute(
        "with made as (insert into commerce.brand (code, name, created_at, updated_at, created_by, updated_by)
                       values ('X', 'x', now(), now(), 'erp', 'erp') returning id)
         insert into hub.external_ref (internal_id, connector, entity, external_code)
         select id, 'erp', 'brand', 'X' from made",
    )
    .await;
    assert_eq!(hub.work().await, 0);
    housekeeping::sweep_once(&hub.engine).await.expect("a sweep");
    assert_eq!(hub.work().await, 1);
    assert_eq!(branded(&hub).await[0]["brand"], "X");
}

#[tokio::test]
async fn two_writers_that_bring_the_two_things_a_record_waits_for_wake_it_between_them() {
    let hub = Hub::new().await;
    hub.full("products", [page([product("P", "X", 1)])]).await;
    hub.execute(
        "insert into hub.message_wait (message_id, connector, entity, code)
         select id, 'erp', 'category', 'C' from hub.message",
    )
    .await;
    let mut first = hub.pool().begin().await.expect("a transaction");
    assert_eq!(deferral::wake(&mut first, "erp", Entity::Brand, &["X"]).await.expect("woken"), 0);
    let pool = hub.pool().clone();
    let second = tokio::spawn(async move {
        let mut second = pool.begin().await.expect("a transaction");
        let woken = deferral::wake(&mut second, "erp", Entity::Category, &["C"]).await.expect("woken");
        second.commit().await.expect("committed");
        woken
    });
    hub.eventually("the second one waits for the first", async || {
        hub.count(
            "pg_locks where not granted and database = (select oid from pg_database where datname = current_database())
                   or not granted and locktype = 'transactionid'",
        )
        .await
            > 0
    })
    .await;
    first.commit().await.expect("committed");
    assert_eq!(second.await.expect("ended"), 1);
    assert_eq!(hub.row("select state from hub.message").await["state"], "received");
}

#[tokio::test]
async fn a_record_that_waits_for_nothing_any_more_is_found_by_the_sweep() {
    let hub = Hub::new().await;
    hub.full("products", [page([product("P", "X", 1)])]).await;
    hub.execute("delete from hub.message_wait").await;
    housekeeping::sweep_once(&hub.engine).await.expect("a sweep");
    assert_eq!(hub.row("select state from hub.message").await["state"], "received");
}

#[tokio::test]
async fn a_parent_may_stand_in_the_same_page_behind_its_child() {
    let hub = Hub::new().await;
    let run = hub
        .full(
            "categories",
            [page([
                json!({ "code": "A", "name": "leaf", "parent": "B" }),
                json!({ "code": "B", "name": "branch", "parent": "C" }),
                json!({ "code": "C", "name": "root" }),
                json!({ "code": "D", "name": "orphan", "parent": "E" }),
                json!({ "code": "F", "name": "child of the orphan", "parent": "D" }),
            ])],
        )
        .await;
    assert_eq!((run.created, run.deferred), (3, 2));
    hub.changes("categories", [page([json!({ "code": "E", "name": "found" })])]).await;
    hub.work().await;
    let chain = hub
        .rows("select c.code, p.code as parent from commerce.category c left join commerce.category p on p.id = c.parent_id order by 1")
        .await;
    assert_eq!(chain.len(), 6);
    assert_eq!(chain[5], json!({ "code": "F", "parent": "D" }));
    assert_eq!(hub.count("hub.message").await, 0);
}

#[tokio::test]
async fn what_may_be_made_is_made_and_filled_by_the_real_document() {
    let hub = Hub::new().await;
    let record = json!({ "code": "P", "version": 1, "name": "p", "category": "C7" });
    let run =
        hub.full("products", [page([record.clone(), json!({ "code": "Q", "name": "q", "category": "C7" })])]).await;
    assert_eq!(run.created, 2);
    let made = hub.row("select id, name from commerce.category").await;
    assert_eq!(made["name"], "C7");
    assert_eq!(
        hub.row("select content_hash from hub.external_ref where entity = 'category'").await["content_hash"],
        Value::Null
    );

    let run = hub.full("categories", [page([json!({ "code": "C7", "id": 70, "version": 1, "name": "Pumps" })])]).await;
    assert_eq!((run.created, run.updated), (0, 1));
    assert_eq!(hub.row("select id, name from commerce.category").await, json!({ "id": made["id"], "name": "Pumps" }));
    let run = hub.full("products", [page([record])]).await;
    assert_eq!(run.unchanged, 1);
}

#[tokio::test]
async fn a_parent_that_comes_in_the_same_page_is_not_made() {
    let hub = Hub::new().await;
    let record = |code: &str, parent: Option<&str>| json!({ "code": code, "name": "real", "parent": parent });
    let run =
        hub.full("made_categories", [page([record("A", Some("B")), record("B", None), record("C", Some("D"))])]).await;
    assert_eq!((run.state.as_str(), run.created, run.failed), ("done", 3, 0));
    let names = hub.rows("select code, name from commerce.category where name <> 'real'").await;
    assert_eq!(names, [json!({ "code": "D", "name": "D" })]);
}

#[tokio::test]
async fn what_cannot_be_made_refuses_the_record_that_names_it() {
    let hub = Hub::new().await;
    let long = "C".repeat(101);
    let run = hub
        .full(
            "products",
            [page([
                json!({ "code": "P", "name": "p", "category": long }),
                json!({ "code": "Q", "name": "q", "category": "C" }),
            ])],
        )
        .await;
    assert_eq!((run.created, run.failed), (1, 1));
    assert_eq!(hub.row("select key, field from hub.dead_letter").await["key"], "P");
    assert_eq!(hub.count("hub.external_ref where entity = 'category'").await, 1);
}

#[tokio::test]
async fn where_the_mapping_says_fail_the_record_is_refused_at_once() {
    let hub = Hub::new().await;
    let run = hub.full("products", [page([json!({ "code": "P", "name": "p", "unitSet": "U", "brand": "X" })])]).await;
    assert_eq!((run.failed, run.deferred), (1, 0));
    let letter = hub.row("select reason, field, value, missing_entity, detail from hub.dead_letter").await;
    assert_eq!(
        letter,
        json!({ "reason": "missing_reference", "field": "unitSet", "value": "U", "missing_entity": "unit_set",
                "detail": "Unit set not found: U" })
    );
}

#[tokio::test]
async fn a_whole_first_load_may_wait() {
    let hub = Hub::new().await;
    let records = (0..1000).map(|n| product(&format!("P{n:04}"), &format!("B{}", n % 10), 1));
    let run = hub.full("products", [page(records)]).await;
    assert_eq!((run.state.as_str(), run.deferred), ("done", 1000));
    hub.full("brands", [page((0..10).map(|n| brand(&format!("B{n}"))))]).await;
    assert_eq!(hub.work().await, 1000);
    assert_eq!(hub.count("commerce.product where brand_id is not null").await, 1000);
    assert_eq!(hub.count("hub.message").await, 0);
}

#[tokio::test]
async fn stock_is_known_by_its_place_whoever_wrote_it_first() {
    let hub = Hub::new().await;
    let level = |product: &str, version: i64, quantity: i64| json!({ "code": format!("{product}|1"), "version": version, "product": product, "warehouse": "1", "quantity": quantity });
    hub.full("products", [page([json!({ "code": "P", "name": "p" })])]).await;
    let run = hub.full("stock", [page([level("P", 1, 7), level("Q", 1, -3)])]).await;
    assert_eq!((run.created, run.deferred), (1, 1));
    assert_eq!(hub.row("select code, name from commerce.warehouse").await, json!({ "code": "1", "name": "1" }));
    // Another instance tells of the same place under a code of its own.
    let system = std::sync::Arc::new(crate::support::system::System::default());
    let shop = hub.build.engine(hub.pool(), &system, "shop");
    hub.execute(
        "insert into hub.external_ref (internal_id, connector, entity, external_code)
         select internal_id, 'shop', entity, external_code from hub.external_ref where entity <> 'stock'",
    )
    .await;
    let mut other = level("P", 1, 9);
    other["code"] = json!("P in the shop");
    system.full("stock", [page([other])]);
    let run = hub.run_by(&shop, "stock", kopru_sdk::Pass::Full, false).await;
    assert_eq!((run.created, run.updated, run.failed), (0, 1, 0));
    assert_eq!(hub.count("commerce.stock_level").await, 1);

    hub.full("products", [page([json!({ "code": "P", "name": "p" }), json!({ "code": "Q", "name": "q" })])]).await;
    assert_eq!(hub.work().await, 1);
    assert_eq!(hub.rows("select quantity from commerce.stock_level order by quantity").await.len(), 2);
    let run = hub.full("stock", [page([level("Q", 1, -3)])]).await;
    assert_eq!(run.unchanged, 1);
}

#[tokio::test]
async fn what_waited_and_what_comes_anew_may_meet() {
    let hub = Hub::new().await;
    let all = |version: i64| page((0..400).map(|n| product(&format!("P{n:03}"), "X", version)));
    hub.full("products", [all(1)]).await;
    hub.full("brands", [page([brand("X")])]).await;
    // Two workers and a poller are at the same products.
    let (one, two) = (hub.engine.clone(), hub.beside());
    let worked = async |engine: &kopru::hub::engine::Engine| {
        while kopru::hub::worker::turn(engine).await.expect("a turn") > 0 {}
    };
    let (run, (), ()) = tokio::join!(hub.full("products", [all(2)]), worked(&one), worked(&two));
    assert_eq!((run.state.as_str(), run.failed, run.deferred), ("done", 0, 0));
    hub.work().await;
    assert_eq!(hub.count("commerce.product where name like '% 2' and brand_id is not null").await, 400);
    assert_eq!(hub.count("hub.message").await + hub.count("hub.dead_letter").await, 0);
    // Done, or overtaken: each document that waited has an end.
    assert_eq!(hub.count("hub.message_history where kind = 'document'").await, 400);
}
