//! Recorded answers, read without network or database.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::PathBuf,
    process::Stdio,
    sync::{Arc, LazyLock},
};

use kopru::{
    hub::{
        mappings::{InForce, Shelf},
        reading::{self, Outcome},
    },
    mapping::Library,
};
use kopru_sdk::{Ctx, Recorded, Settings};
use serde_json::{Value, json};

use crate::support::kopru::{Kopru, Run};

/// Compiled once.
static BUILT_IN: LazyLock<Arc<InForce>> =
    LazyLock::new(|| Shelf::new(Arc::new(Library::load(None).expect("the built-in mappings"))).now());

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn read(kind: &str, operation: &str, status: u16, content_type: &str, body: Vec<u8>) -> Outcome {
    let descriptor = kopru_bundle::find(kind).expect("a connector");
    let values = (descriptor.offline)();
    let settings = Settings { instance: kind.to_owned(), values, dir: PathBuf::new() };
    let connector = (descriptor.build)(&settings).expect("it is built");
    let mapping = connector.operations().iter().find(|one| one.name == operation).and_then(|one| one.mapping);
    let recorded = Recorded {
        operation: operation.to_owned(),
        status,
        content_type: Some(content_type.to_owned()),
        body: body.into(),
    };
    let cx = Ctx { now: "2026-03-02T06:30:00Z".parse().expect("a time"), correlation_id: "test".to_owned() };
    reading::read(&*connector, &BUILT_IN, mapping, &cx, &recorded)
}

/// In one line: class, reason and field, codes of the records.
fn told(outcome: &Outcome) -> String {
    let codes: Vec<&str> = outcome.records.iter().filter_map(|record| record["code"].as_str()).collect();
    let mut told = outcome.class.to_owned();
    for part in [&outcome.reason, &outcome.field].into_iter().flatten() {
        told = format!("{told} {part}");
    }
    if codes.is_empty() { told } else { format!("{told}: {}", codes.join(" ")) }
}

#[test]
fn every_fixture_reads_as_the_live_answer_would() {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for operation in fs::read_dir(fixtures().join("logo")).expect("fixtures") {
        let operation = operation.expect("readable").file_name().into_string().expect("a name");
        for case in ["ok", "refused", "garbled"] {
            let path = fixtures().join(format!("logo/{operation}/{case}.response.json"));
            let response: Value = serde_json::from_slice(&fs::read(path).expect("a fixture")).expect("JSON");
            let body = response["text"].as_str().map_or_else(|| response["body"].to_string(), str::to_owned);
            let status = response["status"].as_u64().and_then(|status| u16::try_from(status).ok()).expect("a status");
            let content_type = response["contentType"].as_str().expect("a type");
            let outcome = read("logo", &operation, status, content_type, body.into_bytes());
            all.insert(format!("{operation}/{case}"), told(&outcome));
        }
    }
    insta::assert_snapshot!(serde_json::to_string_pretty(&all).expect("JSON"), @r#"
    {
      "brands/garbled": "transient",
      "brands/ok": "ok: ORBEK ÇINARKAB",
      "brands/refused": "transient",
      "customers/garbled": "transient",
      "customers/ok": "ok: 120.34.0187 120.16.0042",
      "customers/refused": "unauthenticated",
      "group_codes/garbled": "transient",
      "group_codes/ok": "ok: KAMERA KABLO",
      "group_codes/refused": "transient",
      "invoices/garbled": "transient",
      "invoices/ok": "ok: KPR2026000000041",
      "invoices/refused": "contract",
      "item_units/garbled": "transient",
      "item_units/ok": "ok",
      "item_units/refused": "contract",
      "items/garbled": "transient",
      "items/ok": "ok: KMR-DM4-2812 KBL-C6-305 GKY-12V5A",
      "items/refused": "unauthenticated",
      "ledger/garbled": "transient",
      "ledger/ok": "ok: 01|9001 01|9002",
      "ledger/refused": "contract",
      "orders/garbled": "transient",
      "orders/ok": "ok: KPR-318",
      "orders/refused": "contract",
      "periods/garbled": "transient",
      "periods/ok": "ok",
      "periods/refused": "contract",
      "prices/garbled": "transient",
      "prices/ok": "ok: LST2026-01 USD2026-01",
      "prices/refused": "contract",
      "stock/garbled": "transient",
      "stock/ok": "ok: KMR-DM4-2812|0 KMR-DM4-2812|1 KBL-C6-305|0",
      "stock/refused": "contract",
      "token/garbled": "transient",
      "token/ok": "ok",
      "token/refused": "unauthenticated",
      "unit_sets/garbled": "transient",
      "unit_sets/ok": "ok: 05 UZUNLUK",
      "unit_sets/refused": "transient"
    }
    "#);
}

#[test]
fn records_are_canonical_and_what_is_refused_skipped_and_unmapped_is_told() {
    let card = |code: &str, rest: Value| {
        let mut card = json!({ "INTERNAL_REFERENCE": 1, "CODE": code, "TITLE": "t" });
        card.as_object_mut().expect("an object").extend(rest.as_object().cloned().unwrap_or_default());
        card
    };
    let body = json!({ "items": [
        card("120.01", json!({ "CURRENCY": 13, "TRADING_GRP": "XX" })),
        card("120.02", json!({ "CURRENCY": 20 })),
        { "INTERNAL_REFERENCE": 3, "TITLE": "no code" },
    ]});
    let outcome = read("logo", "customers", 200, "application/json", body.to_string().into_bytes());
    let value = serde_json::to_value(&outcome).expect("JSON");
    assert_eq!(value["class"], "partial", "{value}");
    assert!(value["rejected"].as_array().is_some_and(|list| !list.is_empty()), "{value}");
    assert!(value["records"].as_array().is_some_and(|list| !list.is_empty()), "{value}");
    assert!(value["unmapped"].as_array().is_some_and(|list| list.iter().any(|one| one["code"] == "13")), "{value}");
    for key in ["records", "unmapped", "skipped", "notes"] {
        assert!(value[key].is_array(), "{key}");
    }
    let skipped = json!({ "items": [{ "CODE": "X", "NAME": "n", "CARD_TYPE": 22 }] });
    let outcome = read("logo", "items", 200, "application/json", skipped.to_string().into_bytes());
    assert_eq!((outcome.class, outcome.skipped), ("ok", vec![json!({ "reason": "default_row", "count": 1 })]));
    let none = read("logo", "items", 200, "application/json", br#"{"items":[{"NAME":"n"}]}"#.to_vec());
    assert_eq!(
        (none.class, none.reason.as_deref(), none.field.as_deref()),
        ("permanent", Some("missing_code"), Some("code"))
    );
}

#[test]
fn every_class_of_a_read_has_its_answer() {
    let class = |status, body: &str| read("logo", "items", status, "application/json", body.as_bytes().to_vec()).class;
    assert_eq!(class(200, r#"{"items":[]}"#), "ok");
    assert_eq!(class(401, ""), "unauthenticated");
    assert_eq!(class(403, "{}"), "contract");
    assert_eq!(class(404, "{}"), "contract");
    assert_eq!(class(429, ""), "rate_limited");
    assert_eq!(class(500, "<html>"), "transient");
    assert_eq!(class(502, ""), "transient");
    assert_eq!(class(302, ""), "contract");
    let latin = read(
        "logo",
        "brands",
        200,
        "application/json; charset=iso-8859-9",
        b"{\"items\":[{\"CODE\":\"\xDD\",\"NAME\":\"\xFE\"}]}".to_vec(),
    );
    assert_eq!((latin.class, &latin.records[0]["code"]), ("ok", &json!("İ")), "{latin:?}");
}

#[test]
fn hostile_inputs_are_classed_and_end() {
    let kopru = Kopru::new();
    let dir = kopru.path();
    fs::write(dir.join("empty"), b"").expect("a file");
    fs::write(dir.join("binary"), [0_u8, 159, 146, 150, 255, 254, 0].repeat(1000)).expect("a file");
    fs::write(dir.join("deep"), format!("{{\"items\":[{}", "[".repeat(1_000_000))).expect("a file");
    fs::write(dir.join("html"), "<html><body>login</body></html>").expect("a file");
    // Sparse: a hundred million zero bytes cost no disk.
    fs::File::create(dir.join("huge")).and_then(|file| file.set_len(100_000_000)).expect("a file");
    for file in ["empty", "binary", "deep", "html", "huge"] {
        let run = kopru.run(&["connector", "read", "logo", "items", "--input", file]).expect(0);
        let told = run.json();
        // The same call would bring the same flood again.
        let class = if file == "huge" { "permanent" } else { "transient" };
        assert_eq!((&told["class"], &told["records"]), (&json!(class), &json!([])), "{file}: {told}");
        assert!(told["detail"].as_str().is_some_and(|detail| detail.len() < 300), "{file}: {told}");
    }
    let run = kopru.run(&["connector", "read", "logo", "items", "--input", "huge"]).expect(0);
    assert!(run.stdout.contains("larger than 32 MiB"), "{}", run.stdout);
}

#[test]
fn the_command_reads_bodies_recorded_answers_and_standard_input() {
    let kopru = Kopru::new();
    let fixture = fixtures().join("logo/items/ok.response.json").display().to_string();
    let told = kopru.run(&["connector", "read", "logo", "items", "--input", &fixture]).expect(0).json();
    assert_eq!((&told["class"], told["records"].as_array().map(Vec::len)), (&json!("ok"), Some(3)));
    let told =
        kopru.run(&["connector", "read", "logo", "items", "--input", &fixture, "--status", "503"]).expect(0).json();
    assert_eq!(told["class"], "transient");
    let periods = fixtures().join("logo/periods/ok.response.json").display().to_string();
    let at = |time: &str| {
        kopru.run(&["connector", "read", "logo", "periods", "--input", &periods, "--at", time]).expect(0).json()
    };
    assert_eq!(at("2026-03-02T06:30:00Z")["class"], "ok");
    assert_eq!(at("2031-03-02T06:30:00Z")["class"], "contract", "no period covers that day");

    let mut command = kopru.command(&["connector", "read", "logo", "brands", "--input", "-"]);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("kopru runs");
    child.stdin.take().expect("a pipe").write_all(br#"{"items":[{"CODE":"X","NAME":"n"}]}"#).expect("written");
    let run = Run::from(child.wait_with_output().expect("it ends")).expect(0);
    assert_eq!(run.json()["records"][0]["code"], "X");

    for (args, code, said) in [
        (&["lgo", "items", "--input", "x"][..], 2, "did you mean `logo`?"),
        (&["logo", "itmes", "--input", "x"], 2, "did you mean `items`?"),
        (&["logo", "items", "--input", "nowhere"], 1, "nowhere"),
        (&["logo", "items"], 2, "--input"),
        (&["logo", "items", "--input", "x", "--status", "99"], 2, "99"),
        (&["logo", "items", "--input", "x", "--at", "gestern"], 2, "gestern"),
    ] {
        let run = kopru.run(&[&["connector", "read"], args].concat()).expect(code);
        assert!(run.stderr.contains(said), "{args:?}: {}", run.stderr);
    }
}

#[test]
fn systems_are_listed_and_asked_without_a_database() {
    let kopru = Kopru::new();
    let listed = kopru.run(&["connector", "list", "--json"]).expect(0).json();
    assert_eq!((&listed["items"], &listed["kinds"][0]["kind"]), (&json!([]), &json!("logo")));
    kopru.run(&["connector", "check", "logo"]).expect(2);

    kopru.write(
        "config.toml",
        "[connectors.erp]\nkind = \"logo\"\nbase_url = \"http://127.0.0.1:1\"\nclient_id = \"k\"\n\
         client_secret = \"gizli\"\nusername = \"k\"\npassword = \"\"\nfirm = 7\n\
         transient_error_texts = [\"bir dakika\"]\n",
    );
    let listed = kopru.run(&["connector", "list", "--json"]).expect(0).json();
    let erp = &listed["items"][0];
    assert_eq!((&erp["name"], &erp["kind"], &erp["breaker"]), (&json!("erp"), &json!("logo"), &Value::Null));
    assert_eq!(erp["streams"].as_array().map(Vec::len), Some(10));
    let check = kopru.run(&["connector", "check", "erp", "--json"]).expect(1).json();
    assert_eq!(
        (&check["ok"], &check["class"], &check["cause"]),
        (&json!(false), &json!("transient"), &json!("remote"))
    );
    assert!(!check.to_string().contains("gizli"), "{check}");
    let unknown = kopru.run(&["connector", "check", "erb"]).expect(2);
    assert!(unknown.stderr.contains("did you mean `erp`?"), "{}", unknown.stderr);

    // An instance reads with its own settings.
    kopru.write("answer", "{\"Message\":\"x\",\"ModelState\":{\"OtherError\":[\"Bir dakika lütfen\"]}}");
    let class = |name: &str| {
        let run = kopru.run(&["connector", "read", name, "items", "--input", "answer", "--status", "400"]);
        run.expect(0).json()["class"].clone()
    };
    assert_eq!((class("erp"), class("logo")), (json!("transient"), json!("contract")));
    assert!(!kopru.data_dir().exists(), "nothing was made for it");
}

#[test]
fn exchange_files_and_lists_are_read_as_a_watched_folder_takes_them() {
    let kopru = Kopru::new();
    let read = |args: &[&str]| kopru.run(&[&["connector", "read", "logo"], args].concat()).expect(0).json();
    let exchange = |name: &str| fixtures().join("exchange").join(name).display().to_string();
    let items = exchange("items.xml");
    for operation in ["file", "items"] {
        let told = read(&[operation, "--input", &items]);
        assert_eq!((&told["class"], told["records"].as_array().map(Vec::len)), (&json!("ok"), Some(3)), "{told}");
        assert_eq!(told["records"][1]["name"], "CAT6 U/UTP Kablo %100 Bakır Gri");
        assert_eq!(told["notes"], json!(["3 records of a file in windows-1254 as xml, by logo/items"]));
        for key in ["unmapped", "skipped", "rejected"] {
            assert!(told[key].is_array(), "{key}");
        }
    }
    let customers = read(&["file", "--input", &exchange("customers.xml")]);
    assert!(customers["notes"][0].as_str().is_some_and(|note| note.ends_with("by logo/customers")), "{customers}");
    // What an operation brings is not what another one's file holds.
    assert_eq!(read(&["stock", "--input", &items])["class"], "contract");

    // Deleted, of an unknown operation, refused: each record by itself.
    let mixed = read(&["items", "--input", &exchange("mixed.xml")]);
    assert_eq!((&mixed["class"], &mixed["deleted"]), (&json!("partial"), &json!(["KBL-C6-305"])), "{mixed}");
    let rejected: Vec<_> = mixed["rejected"].as_array().expect("a list").iter().map(|one| &one["reason"]).collect();
    assert_eq!(rejected, [&json!("unknown_operation"), &json!("missing_code")], "{mixed}");
    assert_eq!((&mixed["rejected"][0]["ordinal"], &mixed["rejected"][1]["ordinal"]), (&json!(2), &json!(3)));
    assert_eq!(mixed["records"].as_array().map(Vec::len), Some(1), "{mixed}");

    // A broken file gives nothing of itself, and says where it breaks.
    let cut = read(&["items", "--input", &exchange("cut.xml")]);
    assert_eq!(
        (&cut["class"], &cut["reason"], &cut["records"]),
        (&json!("contract"), &json!("cut_off"), &json!([])),
        "{cut}"
    );
    assert!(cut["detail"].as_str().is_some_and(|detail| detail.contains("line 4, byte")), "{cut}");
    let other = read(&["file", "--input", "-"]);
    assert_eq!((&other["class"], &other["reason"]), (&json!("contract"), &json!("mapping_unknown")), "{other}");

    let list = exchange("products.csv");
    let told = read(&["file", "--input", &list, "--mapping", "csv/products"]);
    assert_eq!((&told["class"], &told["records"][0]["name"]), (&json!("ok"), &json!("Çift Işıklı Kamera")), "{told}");
    assert_eq!(read(&["items", "--input", &list])["reason"], "mapping_unknown");
    // A configured folder says by which mapping its lists are read.
    kopru.write(
        "config.toml",
        "[connectors.erp]\nkind = \"logo\"\nbase_url = \"http://127.0.0.1:1\"\nclient_id = \"k\"\n\
         client_secret = \"k\"\nusername = \"k\"\npassword = \"k\"\nfirm = 7\n[files.lists]\ndir = \"drop\"\n\
         instance = \"erp\"\n[[files.lists.take]]\npattern = \"products*.csv\"\nmapping = \"csv/products\"\n",
    );
    let told = kopru.run(&["connector", "read", "erp", "items", "--input", &list]).expect(0).json();
    assert_eq!((&told["class"], told["records"].as_array().map(Vec::len)), (&json!("ok"), Some(2)), "{told}");
    let run = kopru.run(&["connector", "read", "erp", "file", "--input", &list, "--mapping", "csv/prodcts"]).expect(2);
    assert!(run.stderr.contains("did you mean `csv/products`?"), "{}", run.stderr);
    assert!(!kopru.path().join("drop").exists() && !kopru.data_dir().exists(), "nothing was made for it");
}
