//! Records that are sent again byte for byte: they are not read again, and nobody can tell.

use kopru::{
    audit::Actor,
    canonical::Entity,
    hub::{
        deactivate::deactivate_one,
        intake::{Item, Submitted},
    },
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::intake::{catalogue, hub, hub_with, product, products, push, push_one, with};
use crate::support::{
    hub::{ERP, Hub},
    soak,
};

const BY: Actor<'_> = Actor::new("cli:test", "test");

/// What was told of each item: place, code, status, why not.
fn told(submitted: &Submitted) -> Vec<(u32, Option<&str>, &str, Option<String>)> {
    let why = |item: &Item| item.failure.as_ref().map(|failure| failure.reason.clone());
    submitted.items.iter().map(|item| (item.ordinal, item.code.as_deref(), item.status.as_str(), why(item))).collect()
}

fn statuses(submitted: &Submitted) -> Vec<&str> {
    submitted.items.iter().map(|item| item.status.as_str()).collect()
}

async fn stock_of(hub: &Hub, code: &str) -> Value {
    let rows = hub
        .rows(
            "select p.code, s.quantity::text from commerce.stock_level s join commerce.product p on p.id = s.product_id
             order by 1",
        )
        .await;
    rows.into_iter().find(|row| row["code"] == code).map_or(Value::Null, |row| row["quantity"].clone())
}

#[tokio::test]
async fn what_others_changed_meanwhile_goes_in_again() {
    let hub = hub().await;
    catalogue(&hub).await;
    let page = products([product("A"), product("B")]);
    push(&hub, "integration/products", &page).await;
    assert_eq!(statuses(&push(&hub, "integration/products", &page).await), ["unchanged", "unchanged"]);

    let stock = json!({ "items": [{ "code": "A", "quantity": 90 }] });
    push(&hub, "integration/product_stock", &stock).await;
    assert_eq!(stock_of(&hub, "A").await, "90.0000");
    assert_eq!(statuses(&push(&hub, "integration/products", &page).await), ["updated", "unchanged"]);
    assert_eq!(stock_of(&hub, "A").await, "5.0000");

    // So does one that was deactivated.
    let mut tx = hub.pool().begin().await.expect("a transaction");
    deactivate_one(&mut tx, &hub.engine, ERP, Entity::Product, "B", BY).await.expect("deactivated");
    tx.commit().await.expect("committed");
    assert_eq!(statuses(&push(&hub, "integration/products", &page).await), ["unchanged", "updated"]);
    assert_eq!(hub.count("commerce.product where is_active").await, 2);
}

#[tokio::test]
async fn a_recalled_record_ends_the_letter_of_its_code() {
    let hub = hub().await;
    catalogue(&hub).await;
    let page = products([with(product("A"), json!({ "logoId": 7 })), product("B")]);
    for _ in 0..2 {
        push(&hub, "integration/products", &page).await;
    }
    for bad in [json!({ "listPrice": -1 }), json!({ "code": null, "logoId": 7 })] {
        push(&hub, "integration/products", &products([with(product("A"), bad)])).await;
        assert_eq!(hub.count("hub.dead_letter").await, 1);
        assert_eq!(statuses(&push(&hub, "integration/products", &page).await), ["unchanged", "unchanged"]);
        assert_eq!(hub.count("hub.dead_letter").await, 0);
    }
    // One of another record stays.
    push(&hub, "integration/products", &products([with(product("C"), json!({ "listPrice": -1 }))])).await;
    assert_eq!(statuses(&push(&hub, "integration/products", &page).await), ["unchanged", "unchanged"]);
    assert_eq!(hub.count("hub.dead_letter").await, 1);
}

/// A code that a card gave up belongs to the next one that comes with it, and so does what comes along.
#[tokio::test]
async fn what_comes_with_a_new_card_under_an_old_code_is_that_cards() {
    let hub = hub().await;
    catalogue(&hub).await;
    for (code, number, sku, quantity) in [("A", 7, "A", 5), ("B", 7, "A", 5), ("A", 99, "A99", 3)] {
        let card = json!({ "code": code, "logoId": number, "sku": sku, "stockQuantity": quantity });
        let told = push_one(&hub, "integration/products", &products([with(product("A"), card)]), true).await;
        assert_eq!(told.tally.failed, 0);
    }
    assert_eq!((stock_of(&hub, "A").await, stock_of(&hub, "B").await), (json!("3.0000"), json!("5.0000")));
}

/// Two pushes of one product at once: what the second one waited for is not what it had seen.
#[tokio::test]
async fn an_item_that_waits_for_another_writer_starts_over() {
    let hub = hub().await;
    catalogue(&hub).await;
    let card =
        |name: &str, quantity: i64| products([with(product("A"), json!({ "name": name, "stockQuantity": quantity }))]);
    push(&hub, "integration/products", &card("x", 5)).await;

    let mut first = hub.pool().begin().await.expect("a transaction");
    sqlx::raw_sql(
        "update commerce.product set name = 'y', revision = revision + 1 where code = 'A';
         update commerce.stock_level set quantity = 7, revision = revision + 1;
         update hub.external_ref set content_hash = decode(md5('y'), 'hex'), last_synced_at = clock_timestamp()
         where entity in ('product', 'stock')",
    )
    .execute(&mut *first)
    .await
    .expect("another writer");
    let last = card("z", 5);
    let (told, ()) = tokio::join!(push_one(&hub, "integration/products", &last, true), async {
        while hub.count("pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()").await == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        first.commit().await.expect("committed");
    });
    // Received before the other one wrote, and so it is older: all of it, or none.
    let (name, quantity) =
        (hub.row("select name from commerce.product").await["name"].clone(), stock_of(&hub, "A").await);
    match statuses(&told).as_slice() {
        ["stale"] => assert_eq!((name, quantity), (json!("y"), json!("7.0000"))),
        ["updated"] => assert_eq!((name, quantity), (json!("z"), json!("5.0000"))),
        other => panic!("{other:?}"),
    }
}

/// A record out of few, so that the same ones come again and again.
fn record(random: &mut StdRng, is_rough: bool) -> Value {
    let mut record = product(["A", "B", "C", "D"][random.random_range(0..4)]);
    let mut set = |chance: f64, key: &str, values: &[Value]| {
        if random.random_bool(chance) {
            record[key] = values[random.random_range(0..values.len())].clone();
        }
    };
    set(0.3, "name", &[json!("x"), json!("y")]);
    set(0.3, "logoId", &[json!(7), json!(8)]);
    set(0.3, "version", &[json!(1), json!(2), json!(3)]);
    set(0.2, "stockQuantity", &[json!(3), json!(null)]);
    let (bad_category, bad_price) = if is_rough { (json!("YOK"), json!(-1)) } else { (json!(null), json!(8)) };
    set(0.1, "categoryCode", &[bad_category, json!(null)]);
    set(0.1, "listPrice", &[bad_price, json!(7)]);
    record
}

/// What there is, but for ids and times.
async fn state(hub: &Hub) -> Vec<Vec<Value>> {
    let mut all = Vec::new();
    for sql in [
        "select code, name, is_active, revision from commerce.product order by 1",
        "select code, role, amount::text from commerce.price order by 1, 2",
        "select p.code, s.quantity::text from commerce.stock_level s join commerce.product p on p.id = s.product_id
         order by 1",
        "select entity, external_code, external_id, encode(content_hash, 'hex') as hash, source_version, stream
         from hub.external_ref order by 1, 2",
        "select entity, external_code from hub.external_ref_alias order by 1, 2",
        "select key, reason, value from hub.dead_letter order by 1",
        "select key, resolution from hub.dead_letter_history order by 1, 2",
        "select type, count(*) as n from hub.outbox_event group by 1 order by 1",
        "select kind, state, records, count(*) as n from hub.message_history group by 1, 2, 3 order by 1, 2, 3",
    ] {
        all.push(hub.rows(sql).await);
    }
    all
}

/// Sends random documents to a hub that recalls, takes single items without savepoints and asks ahead, and to one that
/// does none of it. `is_rough`: some are refused, and their letters are open from then on.
async fn both_do_the_same(seed: u64, is_rough: bool) {
    let (recalling, reading) = (hub().await, hub_with(|build| build.settings.recall_bytes = 0).await);
    for hub in [&recalling, &reading] {
        catalogue(hub).await;
    }
    let mut random = StdRng::seed_from_u64(seed);
    let mut sent: Vec<(&str, Value)> = Vec::new();
    for step in 0..20 {
        let (mapping, body) = match random.random_range(0..10) {
            0..4 if !sent.is_empty() => sent[random.random_range(0..sent.len())].clone(),
            4 => {
                let code = ["A", "B", "C", "D"][random.random_range(0..4)];
                let level = json!({ "code": code, "quantity": random.random_range(0..3) });
                ("integration/product_stock", json!({ "items": [level] }))
            }
            _ => {
                let count = random.random_range(1..6);
                ("integration/products", products((0..count).map(|_| record(&mut random, is_rough))))
            }
        };
        let list = if mapping == "integration/products" { "products" } else { "items" };
        let (one, other) = if body[list].as_array().is_some_and(|items| items.len() == 1) {
            (push_one(&recalling, mapping, &body, true).await, push_one(&reading, mapping, &body, false).await)
        } else {
            (push(&recalling, mapping, &body).await, push(&reading, mapping, &body).await)
        };
        assert_eq!(told(&one), told(&other), "seed {seed}, step {step}: {body}");
        sent.push((mapping, body));
    }
    for (one, other) in state(&recalling).await.into_iter().zip(state(&reading).await) {
        assert_eq!(one, other, "seed {seed}");
    }
}

#[tokio::test]
async fn a_hub_that_recalls_does_what_one_does_that_reads_everything() {
    for seed in 0..if soak() { 200 } else { 2 } {
        both_do_the_same(seed, false).await;
    }
}

#[tokio::test]
async fn so_it_does_while_letters_are_open() {
    for seed in 0..if soak() { 200 } else { 1 } {
        both_do_the_same(seed, true).await;
    }
}

/// The number of a card is all that says that it has another code now.
#[tokio::test]
async fn a_card_that_was_renamed_and_comes_again_under_its_old_code_goes_back() {
    let hub = hub().await;
    catalogue(&hub).await;
    let page = |code: &str| products([with(product("A"), json!({ "code": code, "logoId": 7 })), product("B")]);
    push(&hub, "integration/products", &page("A")).await;
    for _ in 0..2 {
        assert_eq!(statuses(&push(&hub, "integration/products", &page("A")).await), ["unchanged", "unchanged"]);
        assert_eq!(statuses(&push(&hub, "integration/products", &page("A2")).await), ["updated", "unchanged"]);
        assert_eq!(statuses(&push(&hub, "integration/products", &page("A2")).await), ["unchanged", "unchanged"]);
        assert_eq!(statuses(&push(&hub, "integration/products", &page("A")).await), ["updated", "unchanged"]);
    }
    assert_eq!(hub.count("commerce.product").await, 2);
}
