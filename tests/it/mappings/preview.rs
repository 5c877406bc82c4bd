//! What a document, or what is stored, would change; nothing is written.

use std::{fs, sync::Arc};

use kopru::{
    hub::{
        engine::Engine,
        mappings::{
            InForce, Shelf,
            preview::{Preview, Subject, preview},
            stored::preview_stored,
        },
    },
    mapping::{Files, Format},
};
use serde_json::{Value, json};

use super::support::Mapped;
use crate::support::{database::TestDatabase, kopru::Kopru, system::page};

async fn previewed(engine: &Engine, mapping: &str, body: &str) -> Preview {
    let mapping = engine.library.get(mapping).expect("a mapping");
    let received_at = engine.database_now().await.expect("the store");
    let subject = Subject { connector: "erp", mapping: &mapping, format: Format::Json, received_at };
    preview(Some(engine), &subject, body.as_bytes()).await.expect("a preview")
}

fn product(code: &str, version: i64, name: &str) -> Value {
    json!({ "code": code, "version": version, "name": name, "unit": "AD" })
}

#[tokio::test]
async fn a_document_tells_what_would_become_of_each_record_and_writes_nothing() {
    let mapped = Mapped::new().await;
    let hub = &mapped.hub;
    hub.full("brands", [page([json!({ "code": "X", "version": 1, "name": "Marka" })])]).await;
    hub.full("products", [page([product("A", 5, "a"), product("B", 5, "b"), product("C", 5, "c")])]).await;
    let before = hub.footprint().await;
    let mut changed = product("A", 6, "  A new  name ");
    changed["brand"] = "X".into();
    changed["vat"] = 18.into();
    let mut waits = product("W", 1, "w");
    waits["brand"] = "NONE".into();
    let body = page([
        changed,
        product("B", 6, "b"),
        product("C", 4, "older"),
        product("N", 1, "new"),
        waits,
        json!({ "code": "F", "version": 1, "name": "f", "unit": "KT" }),
        json!({ "code": "S", "version": 1, "name": "s", "unitSet": "NONE" }),
        product("D", 1, "first"),
        product("D", 2, "second"),
    ]);
    let found = previewed(&hub.engine, "test/products", &body).await;
    let told: Vec<(&str, &str)> =
        found.records.iter().map(|record| (record.code.as_deref().unwrap_or("-"), record.outcome)).collect();
    assert_eq!(
        told,
        [
            ("A", "updated"),
            ("B", "unchanged"),
            ("C", "stale"),
            ("N", "created"),
            ("W", "deferred"),
            ("F", "failed"),
            ("S", "failed"),
            ("D", "superseded"),
            ("D", "created")
        ]
    );
    let counts = serde_json::to_value(found.counts).expect("JSON");
    assert_eq!(
        counts,
        json!({ "records": 9, "created": 2, "updated": 1, "unchanged": 1, "stale": 1, "superseded": 1, "deferred": 1,
            "failed": 2, "skipped": 0 })
    );
    let changes = serde_json::to_value(&found.records[0].changes).expect("JSON");
    assert_eq!(
        changes,
        json!([
            { "field": "brand", "from": null, "to": "X" },
            { "field": "name", "from": "a", "to": "A new  name" },
            { "field": "vatRate", "from": null, "to": 18 },
        ])
    );
    let name = found.records[0].fields.iter().find(|field| field["field"] == "name").expect("the name");
    assert_eq!((&name["source"], &name["given"]), (&json!("name"), &json!("  A new  name ")));
    assert_eq!(found.records[4].missing, [json!({ "entity": "brand", "code": "NONE" })]);
    let failure = found.records[5].failure.as_ref().expect("a failure");
    assert_eq!((&failure["reason"], &failure["value"]), (&json!("unmapped_code"), &json!("KT")));
    assert_eq!(found.records[6].failure.as_ref().expect("a failure")["reason"], "missing_reference");
    assert_eq!(found.unmapped[0]["code"], "KT");
    assert_eq!(hub.footprint().await, before);
    assert_eq!(hub.count("identity.audit_event").await, 0);
}

/// The mapping as an edited file would have it.
fn edited(mapped: &Mapped, path: &str, from: &str, to: &str) -> Arc<InForce> {
    let mut files = Files::in_force(Some(mapped.dir.path())).expect("files");
    let text = mapped.read(path);
    assert!(text.contains(from));
    files.put(path, path, &text.replace(from, to));
    let library = files.library().unwrap_or_else(|problems| panic!("{problems:?}"));
    Shelf::new(Arc::new(library)).now()
}

#[tokio::test]
async fn stored_payloads_tell_what_an_edit_would_change_and_what_would_fail() {
    let mapped = Mapped::new().await;
    let hub = &mapped.hub;
    let record = |n: i64| {
        let mut record = product(&format!("P{n}"), 1, &format!("p{n}"));
        record["measure"] = if n % 5 == 0 { "K".into() } else { "G".into() };
        record["description"] = format!("d{n}").into();
        record
    };
    let old = page((0..10).map(record));
    hub.full("products", [old, page((10..20).map(record)), page((20..30).map(record))]).await;
    hub.changes("products", [page([json!({ "code": "L", "version": 1, "name": "l", "unit": "KT" })])]).await;
    let before = hub.footprint().await;
    let engine = &hub.engine;
    let held = engine.library.now();

    // The mapping in force changes nothing of it.
    let report = preview_stored(engine, &held, "test/products", 100, |_, _| {}).await.expect("a report");
    assert_eq!((report.payloads, report.letters, report.letters_mended), (4, 1, 0));
    assert_eq!((report.counts.unchanged, report.counts.failed, report.counts.records), (30, 2, 32));

    // An edit that takes the name from elsewhere, and does not let unknown measures pass any more.
    let other = edited(
        &mapped,
        "test/products.toml",
        "[fields.name]\nfrom = \"name\"",
        "[fields.name]\nfrom = \"description\"",
    );
    let report = preview_stored(engine, &other, "test/products", 100, |_, _| {}).await.expect("a report");
    assert_eq!((report.counts.updated, report.counts.unchanged), (30, 0));
    assert_eq!(
        report.changes[0],
        json!({ "entity": "product", "field": "name", "count": 30, "examples": [
            { "code": "P20", "from": "p20", "to": "d20" },
            { "code": "P21", "from": "p21", "to": "d21" },
            { "code": "P22", "from": "p22", "to": "d22" },
        ] })
    );
    let strict = edited(&mapped, "test/products.toml", "unmapped = \"keep\"", "unmapped = \"fail\"");
    let report = preview_stored(engine, &strict, "test/products", 100, |_, _| {}).await.expect("a report");
    assert_eq!((report.counts.unchanged, report.counts.failed), (6, 26));
    let failures: Vec<_> = report.failures.iter().map(|one| (&one["reason"], &one["field"], &one["count"])).collect();
    assert_eq!(failures[0], (&json!("unmapped_code"), &json!("weightUnit (measure)"), &json!(24)));
    assert_eq!(report.failures[0]["examples"].as_array().map(Vec::len), Some(3));

    // A letter that an edit mends, and only the last payloads.
    let lenient =
        edited(&mapped, "test/products.toml", "table = \"unit\"\n", "table = \"unit\"\nunmapped = \"null\"\n");
    let mut seen = Vec::new();
    let report = preview_stored(engine, &lenient, "test/products", 2, |done, all| seen.push((done, all)))
        .await
        .expect("a report");
    assert_eq!((report.payloads, report.letters, report.letters_mended), (1, 1, 1));
    assert_eq!(seen, [(0, 2), (1, 2), (2, 2)]);
    assert_eq!(hub.footprint().await, before);
}

#[tokio::test]
async fn the_command_previews_by_name_by_file_and_without_a_store() {
    let database = TestDatabase::new().await;
    let kopru = Kopru::new();
    kopru.write("config.toml", &format!("[database]\nurl = \"{}\"\n", database.url));
    kopru.write("cards.json", &page([json!({ "CODE": "A", "NAME": "kamera", "RECORD_STATUS": 0 })]));
    kopru.write("cards.xml", "<ITEMS><ITEM><CODE>A</CODE><NAME>kamera</NAME></ITEM></ITEMS>");
    let told = kopru.run(&["mapping", "preview", "logo/items", "--input", "cards.json", "--json"]).expect(0).json();
    assert_eq!(
        (&told["counts"]["created"], &told["instance"], &told["offline"]),
        (&json!(1), &json!("logo"), &json!(false))
    );
    assert_eq!(told["records"][0]["outcome"], "created");
    let told = kopru.run(&["mapping", "preview", "logo/items", "--input", "cards.xml"]).expect(0);
    assert!(told.stdout.contains("record 0  A  created") && told.stdout.contains("created 1"), "{}", told.stdout);
    let exchange = b"<?xml version=\"1.0\" encoding=\"ISO-8859-9\"?>\n\
        <ITEMS><ITEM DBOP=\"INS\"><CODE>A</CODE><NAME>\xDDstanbul</NAME></ITEM></ITEMS>";
    fs::write(kopru.path().join("exchange.xml"), exchange).expect("a file");
    let told = kopru.run(&["mapping", "preview", "logo/items", "--input", "exchange.xml", "--json"]).expect(0).json();
    assert_eq!(told["records"][0]["fields"][0]["value"], "İstanbul");
    let count: i64 =
        sqlx::query_scalar("select count(*) from commerce.product").fetch_one(&database.pool).await.expect("a count");
    assert_eq!(count, 0);

    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/mappings/logo/items.toml")).expect("a file");
    kopru.write("new.toml", &text.replace("from = \"NAME\"", "value = \"hep\""));
    let args =
        ["mapping", "preview", "logo/items", "--file", "new.toml", "--input", "cards.json", "--offline", "--json"];
    let told = kopru.run(&args).expect(0).json();
    assert_eq!(told["records"][0]["fields"][0]["value"], "hep");
    let stored = kopru.run(&["mapping", "preview", "logo/items", "--stored", "10", "--json"]).expect(0).json();
    assert_eq!((&stored["payloads"], &stored["mapping"]), (&json!(0), &json!("logo/items")));

    let bad = text.replacen("entity = \"product\"", "entity = \"brend\"", 1);
    kopru.write("bad.toml", &bad);
    kopru.write("cut.json", "{\"items\":[{\"CODE\":");
    for (args, code, said) in [
        (&["logo/itmes", "--input", "cards.json"][..], 2, "did you mean `logo/items`?"),
        (&["logo/items", "--input", "nowhere.json"], 1, "nowhere.json"),
        (&["logo/items", "--input", "cut.json"], 1, "cut_off"),
        (&["logo/items", "--input", "cards.json", "--format", "yaml"], 2, "json, xml or csv"),
        (&["logo/items", "--input", "cards.json", "--instance", "nobody"], 2, "nobody"),
        (&["logo/items", "--input", "cards.json", "--file", "bad.toml"], 2, "did you mean `brand`?"),
        (&["logo/items"], 2, "--input"),
        (&["logo/items", "--stored", "0"], 2, "0"),
    ] {
        let run = kopru.run(&[&["mapping", "preview"], args].concat()).expect(code);
        assert!(run.stderr.contains(said), "{args:?}: {}", run.stderr);
    }
}
