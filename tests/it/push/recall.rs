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

use super::intake::{catalogue, hub, hub_with, product, products, push, with};
use crate::support::hub::{ERP, Hub};

const BY: Actor<'_> = Actor { name: "cli:test", correlation_id: "test" };

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
    let page = products([product("A")]);
    push(&hub, "integration/products", &page).await;
    push(&hub, "integration/products", &products([with(product("A"), json!({ "listPrice": -1 }))])).await;
    assert_eq!(hub.count("hub.dead_letter").await, 1);
    assert_eq!(statuses(&push(&hub, "integration/products", &page).await), ["unchanged"]);
    assert_eq!(hub.count("hub.dead_letter").await, 0);
}

/// A record out of few, so that the same ones come again and again.
fn record(random: &mut StdRng) -> Value {
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
    set(0.1, "categoryCode", &[json!("YOK"), json!(null)]);
    set(0.1, "listPrice", &[json!(-1), json!(7)]);
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

#[tokio::test]
async fn a_hub_that_recalls_does_what_one_does_that_reads_everything() {
    for seed in 0..2 {
        let (recalling, reading) = (hub().await, hub_with(|build| build.settings.recall_bytes = 0).await);
        for hub in [&recalling, &reading] {
            catalogue(hub).await;
        }
        let mut random = StdRng::seed_from_u64(seed);
        for step in 0..20 {
            let (mapping, body) = match random.random_range(0..8) {
                0 => {
                    let code = ["A", "B", "C", "D"][random.random_range(0..4)];
                    let level = json!({ "code": code, "quantity": random.random_range(0..3) });
                    ("integration/product_stock", json!({ "items": [level] }))
                }
                _ => {
                    let count = random.random_range(1..6);
                    ("integration/products", products((0..count).map(|_| record(&mut random))))
                }
            };
            let (one, other) = (push(&recalling, mapping, &body).await, push(&reading, mapping, &body).await);
            assert_eq!(told(&one), told(&other), "seed {seed}, step {step}: {body}");
        }
        for (one, other) in state(&recalling).await.into_iter().zip(state(&reading).await) {
            assert_eq!(one, other, "seed {seed}");
        }
    }
}
