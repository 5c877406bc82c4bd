//! A page in one transaction: what it leaves behind, what it does not, and that one bad record spoils nothing.

use kopru_sdk::Pass;
use serde_json::{Value, json};

use crate::support::{
    hub::{ERP, Hub},
    system::page,
};

fn brand(n: usize) -> Value {
    json!({ "code": format!("B{n:04}"), "id": n, "version": 1, "name": format!("Brand {n}") })
}

fn product(code: &str) -> Value {
    json!({ "code": code, "version": 1, "name": format!("Product {code}") })
}

#[tokio::test]
async fn what_a_page_causes_is_there_together() {
    let hub = Hub::new().await;
    let run = hub.full("products", [page([product("A"), product("B")])]).await;
    assert_eq!((run.state.as_str(), run.pages, run.records, run.created), ("done", 1, 2, 2));

    assert_eq!(hub.count("commerce.product").await, 2);
    assert_eq!(hub.count("hub.external_ref where entity = 'product' and content_hash is not null").await, 2);
    let events =
        hub.rows("select type, origin, bulk, correlation_id from hub.outbox_event where aggregate = 'product'").await;
    let event = json!({ "type": "product.updated", "origin": ERP, "bulk": true, "correlation_id": run.correlation_id });
    assert_eq!(events, [event.clone(), event]);
    let message = hub
        .row(
            "select m.id, kind, state, records, attempts, run_id, mapping, mapping_hash, correlation_id
             from hub.message_history m join hub.payload_history p on p.message_id = m.id",
        )
        .await;
    assert_eq!(message["kind"], "page");
    assert_eq!(message["records"], 2);
    assert_eq!(message["run_id"], json!(run.id));
    assert_eq!(message["mapping"], "test/products");
    assert_eq!(message["mapping_hash"].as_str().map(str::len), Some(64));
    let items = hub
        .rows("select ordinal, outcome, code, internal_id is not null as known from hub.message_item order by 1")
        .await;
    assert_eq!(items[1], json!({ "ordinal": 1, "outcome": "created", "code": "B", "known": true }));
    // The pass is over: the position that is kept is that of the changes.
    assert_eq!(
        hub.row("select pass, position from hub.cursor").await,
        json!({ "pass": "incremental", "position": { "mark": 0 } })
    );
}

#[tokio::test]
async fn the_same_page_again_writes_nothing() {
    let hub = Hub::new().await;
    let pages = [page((0..200).map(brand))];
    hub.full("brands", pages.clone()).await;
    hub.full("products", [page([product("A")])]).await;
    let before = hub.footprint().await;

    for pass in [Pass::Full, Pass::Incremental] {
        hub.system.changes("brands", pages.clone());
        let run = hub.run("brands", pass).await;
        assert_eq!((run.state.as_str(), run.records, run.unchanged), ("done", 200, 200));
        let run = hub.run("products", Pass::Full).await;
        assert_eq!(run.unchanged, 1);
    }
    assert_eq!(hub.footprint().await, before);
}

#[tokio::test]
async fn one_code_twice_in_a_page_the_newer_wins_else_the_later() {
    let hub = Hub::new().await;
    let run = hub
        .full(
            "brands",
            [page([
                json!({ "code": "A", "version": 5, "name": "new" }),
                json!({ "code": "A", "version": 4, "name": "old" }),
                json!({ "code": "B", "name": "first" }),
                json!({ "code": "B", "name": "last" }),
                // Blanks on the right are no part of a code.
                json!({ "code": "B  ", "name": "really last" }),
            ])],
        )
        .await;
    assert_eq!((run.created, run.superseded, run.failed), (2, 3, 0));
    let names = hub.rows("select name from commerce.brand order by code").await;
    assert_eq!(names, [json!({ "name": "new" }), json!({ "name": "really last" })]);
}

#[tokio::test]
async fn one_code_in_two_pages_and_in_two_runs_is_one_record() {
    let hub = Hub::new().await;
    let with = |version: i32, name: &str| page([json!({ "code": "A", "version": version, "name": name })]);
    let run = hub.full("brands", [with(1, "one"), with(2, "two"), with(1, "one")]).await;
    assert_eq!((run.created, run.updated, run.stale), (1, 1, 1));
    let run = hub.changes("brands", [with(3, "three")]).await;
    assert_eq!(run.updated, 1);
    assert_eq!(hub.row("select name, revision from commerce.brand").await, json!({ "name": "three", "revision": 3 }));
}

#[tokio::test]
async fn codes_differ_by_case_and_by_the_dot_of_an_i() {
    let hub = Hub::new().await;
    let codes = ["I", "İ", "i", "ı", "Ş1", "ş1"];
    let run = hub.full("brands", [page(codes.map(|code| json!({ "code": code, "name": "Işık İplik" })))]).await;
    assert_eq!((run.created, run.failed), (6, 0));
}

#[tokio::test]
async fn one_bad_record_of_a_thousand_is_put_aside_by_itself() {
    let hub = Hub::new().await;
    let mut records: Vec<Value> = (0..1000).map(brand).collect();
    records[417]["name"] = json!("x".repeat(201));
    let run = hub.full("brands", [page(records.clone())]).await;
    assert_eq!((run.state.as_str(), run.created, run.failed), ("done", 999, 1));
    let letter = hub.row("select * from hub.dead_letter").await;
    assert_eq!(letter["cause"], "data");
    assert_eq!(letter["reason"], "too_long");
    assert!(letter["field"].as_str().is_some_and(|field| field.starts_with("name")), "{letter}");
    assert_eq!(letter["value"].as_str().map(str::len), Some(200));
    assert_eq!(letter["key"], "B0417");
    assert_eq!(letter["seen"], 1);
    assert_eq!(letter["attempts"], 1);
    assert_eq!(letter["run_id"], json!(run.id));
    assert_eq!(hub.row("select outcome, code from hub.message_item where ordinal = 417").await["outcome"], "failed");

    // The next pass finds the same: it is the same letter.
    let run = hub.full("brands", [page(records)]).await;
    assert_eq!((run.unchanged, run.failed), (999, 1));
    let again = hub.row("select id, seen, state from hub.dead_letter").await;
    assert_eq!(again, json!({ "id": letter["id"], "seen": 2, "state": "dead" }));
}

#[tokio::test]
async fn failures_of_one_kind_share_a_fingerprint() {
    let hub = Hub::new().await;
    let long = "x".repeat(201);
    hub.full(
        "brands",
        [page([
            json!({ "code": "A", "name": long }),
            json!({ "code": "B", "name": format!("{long}y") }),
            json!({ "code": "C" }),
        ])],
    )
    .await;
    let prints = hub.rows("select count(*) as letters from hub.dead_letter group by fingerprint order by 1").await;
    assert_eq!(prints, [json!({ "letters": 1 }), json!({ "letters": 2 })]);
}

#[tokio::test]
async fn records_without_a_code_are_known_by_what_they_say() {
    let hub = Hub::new().await;
    let nameless = json!({ "name": "no code" });
    let run =
        hub.full("brands", [page([nameless.clone(), brand(1), nameless.clone(), json!({ "name": "other" })])]).await;
    assert_eq!((run.state.as_str(), run.created, run.failed), ("done", 1, 3));
    assert_eq!(hub.count("hub.dead_letter where reason = 'missing_code'").await, 2);
    hub.full("brands", [page([nameless])]).await;
    assert_eq!(
        hub.rows("select seen from hub.dead_letter order by seen").await,
        [json!({ "seen": 1 }), json!({ "seen": 2 })]
    );
}

#[tokio::test]
async fn of_two_codes_that_claim_one_sku_the_first_has_it() {
    let hub = Hub::new().await;
    let with = |code: &str| json!({ "code": code, "sku": "S-1", "name": "one" });
    let run = hub.full("products", [page([with("A"), with("B"), product("C")])]).await;
    assert_eq!((run.created, run.failed), (2, 1));
    let letter = hub.row("select key, reason, field, value, detail from hub.dead_letter").await;
    assert_eq!((&letter["key"], &letter["reason"], &letter["field"]), (&json!("B"), &json!("unique"), &json!("sku")));
    assert_eq!(letter["value"], "S-1");
    assert_eq!(hub.count("hub.external_ref where external_code = 'B'").await, 0);
    // In another page it is the same.
    hub.full("products", [page([with("D")])]).await;
    assert_eq!(hub.count("hub.dead_letter where key = 'D' and reason = 'unique'").await, 1);
}

#[tokio::test]
async fn what_only_the_database_refuses_is_found_by_halving() {
    let hub = Hub::new().await;
    hub.execute("alter table commerce.brand add constraint brand_name_decent check (name <> 'Brand 700')").await;
    let run = hub.full("brands", [page((0..1000).map(brand))]).await;
    assert_eq!((run.state.as_str(), run.created, run.failed), ("done", 999, 1));
    let letter = hub.row("select key, cause, detail from hub.dead_letter").await;
    assert_eq!(letter["key"], "B0700");
    assert!(letter["detail"].as_str().is_some_and(|detail| detail.contains("brand_name_decent")), "{letter}");
    assert_eq!(hub.count("hub.external_ref").await, 999);
}

#[tokio::test]
async fn halving_does_not_tear_children_from_their_parents() {
    let hub = Hub::new().await;
    hub.execute("alter table commerce.category add constraint category_name_decent check (name <> 'bad')").await;
    let run = hub
        .full(
            "categories",
            [page([
                json!({ "code": "A", "name": "leaf", "parent": "Z" }),
                json!({ "code": "B", "name": "leaf", "parent": "Y" }),
                json!({ "code": "C", "name": "bad" }),
                json!({ "code": "D", "name": "leaf of the bad one", "parent": "C" }),
                json!({ "code": "Y", "name": "branch", "parent": "Z" }),
                json!({ "code": "Z", "name": "root" }),
            ])],
        )
        .await;
    assert_eq!((run.created, run.failed, run.deferred), (4, 1, 1));
    assert_eq!(hub.row("select key from hub.dead_letter").await["key"], "C");
    assert_eq!(
        hub.row("select entity, code from hub.message_wait").await,
        json!({ "entity": "category", "code": "C" })
    );
    // It comes right, and its child with it.
    hub.changes("categories", [page([json!({ "code": "C", "name": "good" })])]).await;
    hub.work().await;
    assert_eq!(hub.count("commerce.category where parent_id is not null").await, 4);
    assert_eq!(hub.count("hub.dead_letter").await, 0);
}

#[tokio::test]
async fn a_code_too_long_for_any_index_is_that_records_own_trouble() {
    let hub = Hub::new().await;
    // Random enough that no compression makes it fit.
    let code: String =
        (0..4000_u32).map(|n| char::from(b'a' + (n.wrapping_mul(2_654_435_761) >> 27) as u8 % 26)).collect();
    let run = hub
        .full(
            "products",
            [page([
                product("A"),
                product(&code),
                json!({ "code": "B", "name": "b", "category": code }),
                json!({ "code": "C", "name": "c", "brand": code }),
                json!({ "code": "D", "name": "d", "id": code }),
            ])],
        )
        .await;
    assert_eq!((run.state.as_str(), run.created, run.error), ("done", 1, None));
    assert_eq!(run.failed + run.deferred, 4);
}

#[tokio::test]
async fn an_empty_page_is_a_page() {
    let hub = Hub::new().await;
    let run = hub.full("brands", [page([]), page([brand(1)]), page([])]).await;
    assert_eq!((run.state.as_str(), run.pages, run.records, run.created), ("done", 3, 1, 1));
    assert_eq!(hub.count("hub.message_history").await, 1);
}

#[tokio::test]
async fn what_the_hub_owns_is_not_overwritten_and_not_told_again() {
    let hub = Hub::new().await;
    let with =
        |text: &str, version: i32| page([json!({ "code": "A", "version": version, "name": "a", "description": text })]);
    hub.full("products", [with("from the source", 1)]).await;
    let before = hub.row("select revision, updated_at, description from commerce.product").await;
    let run = hub.changes("products", [with("another", 2)]).await;
    assert_eq!((run.updated, run.unchanged), (0, 1));
    assert_eq!(hub.row("select revision, updated_at, description from commerce.product").await, before);
    assert_eq!(hub.count("hub.outbox_event where aggregate = 'product'").await, 1);
}

#[tokio::test]
async fn a_nul_character_is_that_records_own_trouble() {
    let hub = Hub::new().await;
    let good = json!({ "code": "A", "id": 1, "version": 1, "name": "a" });
    let bad = [
        json!({ "code": "B", "id": 2, "version": 1, "name": "b\u{0}b" }),
        json!({ "code": "C\u{0}", "id": 3, "version": 1, "name": "c" }),
        json!({ "code": "D", "id": "4\u{0}", "version": 1, "name": "d" }),
    ];
    let run = hub.full("brands", [page([good].into_iter().chain(bad))]).await;
    assert_eq!((run.created, run.failed), (1, 3));
    let values = hub.rows("select value from hub.dead_letter order by value").await;
    assert!(values.contains(&json!({ "value": "b\u{FFFD}b" })), "{values:?}");
}

#[tokio::test]
async fn a_record_without_a_code_has_one_letter_until_it_gets_one() {
    let hub = Hub::new().await;
    let card = |version: i64, name: &str| json!({ "id": 7, "version": version, "name": name });
    hub.changes("brands", [page([card(1, "a")])]).await;
    hub.changes("brands", [page([card(2, "b")])]).await;
    let letter = "select reason, seen from hub.dead_letter";
    assert_eq!(hub.rows(letter).await, [json!({ "reason": "missing_code", "seen": 2 })]);
    let mended = json!({ "code": "A", "id": 7, "version": 3, "name": "b" });
    assert_eq!(hub.changes("brands", [page([mended])]).await.created, 1);
    assert_eq!(hub.count("hub.dead_letter").await, 0);
    assert_eq!(hub.row("select resolution from hub.dead_letter_history").await["resolution"], "superseded");
}
