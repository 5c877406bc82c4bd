//! Previews of pushes: a card, its prices and its stock level, field by field.

use kopru::{
    hub::mappings::{
        preview::{Preview, Record, Subject, preview},
        stored::preview_stored,
    },
    mapping::Format,
};
use serde_json::{Value, json};

use super::{
    intake::{catalogue, hub, product, products, push, with},
    parts::card,
};
use crate::support::{
    database::TestDatabase,
    hub::{ERP, Hub},
    kopru::Kopru,
};

async fn previewed(hub: &Hub, body: &Value) -> Preview {
    let mapping = hub.engine.library.get("integration/products").expect("a mapping");
    let received_at = hub.engine.database_now().await.expect("the time");
    let subject = Subject { connector: ERP, mapping: &mapping, format: Format::Json, received_at };
    preview(Some(&hub.engine), &subject, body.to_string().as_bytes()).await.expect("a preview")
}

fn told(record: &Record) -> Vec<(&str, &str, &str)> {
    let parts = record.parts.iter();
    std::iter::once(record)
        .chain(parts)
        .map(|one| (one.entity, one.code.as_deref().unwrap_or("-"), one.outcome))
        .collect()
}

#[tokio::test]
async fn a_preview_shows_the_card_its_prices_and_its_stock() {
    let hub = hub().await;
    catalogue(&hub).await;
    push(&hub, "integration/products", &products([product("A"), product("B"), product("C")])).await;
    let before = hub.footprint().await;
    let body = products([
        with(product("A"), json!({ "listPrice": 99, "stockQuantity": null, "costPrice": 80 })),
        product("B"),
        with(product("C"), json!({ "currency": "abc", "name": "c" })),
        with(product("D"), json!({ "dealerPrice": "1.234,56" })),
        with(product("E"), json!({ "categoryCode": "YOK" })),
    ]);
    let found = previewed(&hub, &body).await;
    assert_eq!(
        told(&found.records[0]),
        [
            ("product", "A", "updated"),
            ("price", "A|list", "updated"),
            ("price", "A|dealer", "unchanged"),
            ("price", "A|cost", "created"),
            ("stock", "A|0", "skipped"),
        ]
    );
    let list = &found.records[0].parts[0];
    assert_eq!(
        serde_json::to_value(&list.changes).expect("JSON"),
        json!([{ "field": "amount", "from": 120.5, "to": 99 }])
    );
    assert!(found.records[0].changes.is_empty(), "the card stays as it is");
    assert_eq!(found.records[0].parts[3].reason.as_deref(), Some("no_stock"));
    let made = &found.records[0].parts[2].changes;
    assert!(made.iter().any(|change| change.field == "amount" && change.from.is_null() && change.to == 80));
    assert!(list.fields.iter().any(|field| field["field"] == "amount" && field["given"] == "99"));

    let all: Vec<&str> = told(&found.records[1]).into_iter().map(|(_, _, outcome)| outcome).collect();
    assert_eq!(all, ["unchanged", "unchanged", "unchanged", "skipped", "unchanged"]);
    // What fails is said where it fails, and nothing becomes of the rest.
    let refused = &found.records[2];
    assert_eq!((refused.outcome, refused.parts[0].outcome), ("failed", "failed"));
    assert_eq!(refused.parts[0].failure.as_ref().expect("a failure")["field"], "currency");
    let garbled = &found.records[3];
    assert_eq!((garbled.outcome, garbled.parts[0].outcome, garbled.parts[1].outcome), ("failed", "mapped", "failed"));
    assert_eq!((found.records[4].outcome, found.records[4].parts[0].outcome), ("failed", "mapped"));
    let counts = serde_json::to_value(found.counts).expect("JSON");
    assert_eq!((&counts["updated"], &counts["unchanged"], &counts["failed"]), (&json!(1), &json!(1), &json!(3)));
    assert_eq!(hub.footprint().await, before);

    // The same without a store: what the mappings make of it.
    let mapping = hub.engine.library.get("integration/products").expect("a mapping");
    let received_at = chrono::DateTime::UNIX_EPOCH;
    let subject = Subject { connector: ERP, mapping: &mapping, format: Format::Json, received_at };
    let alone = preview(None, &subject, body.to_string().as_bytes()).await.expect("a preview");
    assert_eq!(told(&alone.records[0])[1..3], [("price", "A|list", "mapped"), ("price", "A|dealer", "mapped")]);
    assert_eq!(alone.records[3].parts[1].outcome, "failed");
}

/// As a push of one carries it.
#[tokio::test]
async fn a_product_that_stands_by_itself_is_previewed_like_a_list_of_one() {
    let hub = hub().await;
    catalogue(&hub).await;
    let (alone, listed) = (previewed(&hub, &product("A")).await, previewed(&hub, &products([product("A")])).await);
    assert_eq!((alone.counts.records, alone.counts.created), (1, 1));
    assert_eq!(told(&alone.records[0]), told(&listed.records[0]));
}

#[tokio::test]
async fn stored_pushes_tell_what_would_become_of_their_prices() {
    let hub = hub().await;
    catalogue(&hub).await;
    push(&hub, "integration/products", &products([product("A"), product("B")])).await;
    push(&hub, "integration/products", &products([with(product("C"), json!({ "currency": "abc" }))])).await;
    hub.execute("update commerce.price set amount = 1 where code = 'A|list'").await;
    hub.execute("update hub.external_ref set content_hash = null where external_code = 'A|list'").await;
    let in_force = hub.engine.library.now();
    let report = preview_stored(&hub.engine, &in_force, "integration/products", 10, |_, _| {}).await.expect("a report");
    assert_eq!((report.payloads, report.letters, report.counts.updated, report.counts.unchanged), (2, 1, 1, 1));
    assert_eq!(
        report.changes,
        [json!({ "entity": "price", "field": "amount", "count": 1,
                 "examples": [{ "code": "A|list", "from": 1, "to": 120.5 }] })]
    );
    let failures: Vec<_> = report.failures.iter().map(|one| (&one["entity"], &one["field"], &one["count"])).collect();
    assert_eq!(failures, [(&json!("price"), &json!("currency"), &json!(2))]);
}

#[tokio::test]
async fn the_command_prints_the_parts() {
    let database = TestDatabase::new().await;
    let kopru = Kopru::new();
    kopru.write("config.toml", &format!("[database]\nurl = \"{}\"\n", database.url));
    kopru.write("product.json", &products([with(card("A"), json!({ "listPrice": 5 }))]).to_string());
    let args = ["mapping", "preview", "integration/products", "--input", "product.json", "--offline"];
    let run = kopru.run(&args).expect(0);
    assert!(
        run.stdout.contains("record 0  A  mapped") && run.stdout.contains("price  A|list  mapped"),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("stock  A|0  skipped (no_stock)"), "{}", run.stdout);
    let told = kopru.run(&[&args[..], &["--json"]].concat()).expect(0).json();
    assert_eq!(told["records"][0]["parts"][0]["code"], "A|list");
    // Its category is missing: the whole item fails, and nothing of it is there.
    let told = kopru.run(&[&args[..5], &["--json"]].concat()).expect(0).json();
    assert_eq!((&told["counts"]["failed"], &told["records"][0]["parts"][0]["outcome"]), (&json!(1), &json!("mapped")));
}
