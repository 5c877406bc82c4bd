//! Codes that no table knows: counted, answered, and what waited for them.

use std::{fs, path::Path};

use kopru::{
    audit::{self, Actor},
    hub::{
        mappings::{
            overlay::{self, AnswerError, Place},
            unmapped::{self, Filter, UnmappedCode},
            waiting,
            watch::Watcher,
        },
        worker,
    },
};
use kopru_sdk::Pass;
use serde_json::{Value, json};

use super::support::{Mapped, TABLES, settle};
use crate::support::{database::TestDatabase, kopru::Kopru, system::page};

const BY: Actor<'static> = Actor::new("cli:1000", "test");

fn product(code: &str, unit: &str) -> Value {
    json!({ "code": code, "version": 1, "name": code, "unit": unit })
}

const fn unit(code: &str) -> Place<'_> {
    Place { system: "test", table: "unit", code, instance: None }
}

async fn waiting(mapped: &Mapped) -> Vec<UnmappedCode> {
    unmapped::list(mapped.hub.pool(), &Filter::default(), None, 100).await.expect("the store")
}

#[tokio::test]
async fn codes_are_counted_by_page_whatever_becomes_of_their_records() {
    let mapped = Mapped::new().await;
    let hub = &mapped.hub;
    let lenient = json!({ "code": "L", "version": 1, "name": "l", "unit": "AD", "measure": "OZ" });
    let pages =
        [page([product("A", "KT"), product("B", "KT "), product("C", "AD"), lenient]), page([product("D", "KT")])];
    hub.system.full("products", pages.clone());
    let run = hub.run_by(&hub.engine, "products", Pass::Full, true).await;
    assert_eq!((run.failed, waiting(&mapped).await.len()), (3, 0), "a dry run counts nothing");

    hub.full("products", pages.clone()).await;
    let told: Vec<_> = waiting(&mapped)
        .await
        .into_iter()
        .map(|row| (row.table, row.code, row.seen, row.example, row.connector, row.mapping))
        .collect();
    let row = |table: &str, code: &str, seen, example: &str| {
        (
            table.to_owned(),
            code.to_owned(),
            seen,
            Some(example.to_owned()),
            "erp".to_owned(),
            "test/products".to_owned(),
        )
    };
    assert_eq!(told, [row("measure", "OZ", 1, "L"), row("unit", "KT", 3, "D")]);
    // The record with a lenient field went in with the code itself, and is unchanged when it comes again.
    assert_eq!(hub.row("select weight_unit from commerce.product where code = 'L'").await["weight_unit"], "OZ");
    hub.full("products", pages).await;
    assert_eq!(waiting(&mapped).await.iter().map(|row| row.seen).collect::<Vec<_>>(), [2, 6]);

    assert_eq!(unmapped::ignore(hub.pool(), unit("KT"), BY).await.expect("put aside"), 1);
    assert_eq!(unmapped::ignore(hub.pool(), unit("KT"), BY).await.expect("put aside"), 0, "once");
    assert_eq!(waiting(&mapped).await.len(), 1);
    let all = Filter { ignored: true, table: Some("unit".into()), ..Filter::default() };
    let aside = unmapped::list(hub.pool(), &all, None, 10).await.expect("the store");
    assert_eq!((aside.len(), aside[0].ignored_by.as_deref()), (1, Some("cli:1000")));
}

#[tokio::test]
async fn an_answer_replays_what_waited_for_it_even_in_a_process_that_has_not_heard_of_it() {
    let mapped = Mapped::new().await;
    let hub = &mapped.hub;
    hub.full("products", [page([product("A", "KT"), product("B", "PK"), product("C", "AD")])]).await;
    assert_eq!(hub.count("hub.dead_letter where reason = 'unmapped_code'").await, 2);
    let before = hub.engine.library.get("test/products").expect("a mapping").hash().to_owned();
    let deaf = hub.beside();

    overlay::check(&hub.engine.library.now(), unit("KT"), "KUTU").expect("it fits");
    overlay::answer(hub.pool(), unit("KT"), "KUTU", BY).await.expect("an answer");
    assert!(overlay::refresh(hub.pool(), &hub.engine.library).await.expect("the store"));
    assert!(!overlay::refresh(hub.pool(), &hub.engine.library).await.expect("the store"), "there is nothing newer");
    assert_eq!(waiting::replay_known(hub.pool(), &hub.engine.library, BY).await.expect("a replay"), 1);
    while worker::turn(&deaf).await.expect("a turn") > 0 {}
    assert_eq!(hub.row("select unit from commerce.product where code = 'A'").await["unit"], "KUTU");
    assert_eq!(hub.row("select key from hub.dead_letter").await["key"], "B");
    assert_eq!(waiting(&mapped).await.iter().map(|row| row.code.as_str()).collect::<Vec<_>>(), ["PK"]);
    // What was mapped under the answer says so.
    let after = hub.engine.library.get("test/products").expect("a mapping").hash().to_owned();
    assert_ne!(before, after);
    let document = hub.row("select mapping_hash from hub.message_history where kind = 'document'").await;
    assert_eq!(document["mapping_hash"], after);

    let of_the_code = audit::Filter { subject: Some("test/unit:KT".to_owned()), ..audit::Filter::default() };
    let audit = audit::list(hub.pool(), &of_the_code, None, 10).await.expect("the store");
    assert_eq!(audit.len(), 1);
    assert_eq!((audit[0].action.as_str(), audit[0].subject.as_str()), ("mapping_code.answered", "test/unit:KT"));
    assert_eq!((audit[0].actor.as_str(), &audit[0].detail["value"]), ("cli:1000", &json!("KUTU")));

    // A second answer is another version; taken back, the code is unknown again.
    assert!(overlay::remove(hub.pool(), unit("KT"), BY).await.expect("the store"));
    assert!(!overlay::remove(hub.pool(), unit("KT"), BY).await.expect("the store"));
    overlay::refresh(hub.pool(), &hub.engine.library).await.expect("the store");
    assert_eq!(hub.engine.library.get("test/products").expect("a mapping").hash(), before);
    assert_eq!(waiting::replay_known(hub.pool(), &hub.engine.library, BY).await.expect("nothing"), 0);
}

#[tokio::test]
async fn an_answer_must_fit_a_table_a_code_and_a_field() {
    let mapped = Mapped::new().await;
    let now = mapped.hub.engine.library.now();
    let check = |place, value: &str| overlay::check(&now, place, value);
    assert!(matches!(check(unit("KT"), &"x".repeat(21)), Err(AnswerError::Value(_))));
    assert!(matches!(check(unit("13.0"), "KUTU"), Err(AnswerError::NotPlain(plain)) if plain == "13"));
    assert!(matches!(check(unit("  "), "KUTU"), Err(AnswerError::Empty)));
    let nowhere = Place { table: "unite", ..unit("KT") };
    assert!(check(nowhere, "KUTU").is_err_and(|error| error.to_string().contains("its tables are: measure, unit")));
    assert!(check(Place { system: "logo", ..unit("KT") }, "KUTU").is_err());
    check(unit("KT"), "").expect("nothing for it is an answer");
}

#[tokio::test]
async fn a_code_that_is_written_into_the_file_frees_its_letters_too() {
    let mapped = Mapped::new().await;
    let hub = &mapped.hub;
    let mut watcher = Watcher::default();
    watcher.look(&hub.engine, false).await;
    hub.full("products", [page([product("A", "KT"), product("B", "PK")])]).await;
    mapped.write("test/tables.toml", &TABLES.replace("[unit]", "[unit]\nKT = \"KUTU\""));
    settle(&mut watcher, &hub.engine).await;
    hub.work().await;
    assert_eq!(hub.row("select code, unit from commerce.product").await, json!({ "code": "A", "unit": "KUTU" }));
    assert_eq!(hub.row("select key, seen from hub.dead_letter").await, json!({ "key": "B", "seen": 1 }));
    assert_eq!(waiting(&mapped).await.iter().map(|row| row.code.as_str()).collect::<Vec<_>>(), ["PK"]);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("readable");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}

#[tokio::test]
async fn answers_are_given_exported_into_the_file_and_taken_back_by_hand() {
    let database = TestDatabase::new().await;
    let kopru = Kopru::new();
    kopru.write("config.toml", &format!("[database]\nurl = \"{}\"\n", database.url));
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings/logo"), &kopru.path().join("mappings/logo"));
    let card = json!({ "CARD_CODE": "A", "PRICE": 1, "CURRENCY": 250, "CODE": "F1", "INTERNAL_REFERENCE": 1 });
    kopru.write("price.json", &json!({ "items": [card] }).to_string());
    let currency = |args: &[&str]| {
        let preview =
            kopru.run(&[&["mapping", "preview", "logo/prices", "--input", "price.json", "--json"], args].concat());
        let told = preview.expect(0).json();
        let fields = told["records"][0]["fields"].as_array().expect("fields").clone();
        fields.into_iter().find(|field| field["field"] == "currency").expect("the currency")
    };
    assert_eq!(currency(&[])["fault"]["reason"], "unmapped_code");

    let refused = kopru.run(&["mapping", "unmapped", "answer", "currency", "250", "yen", "--system", "logo"]).expect(2);
    assert!(refused.stderr.contains("three capital letters"), "{}", refused.stderr);
    let refused = kopru.run(&["mapping", "unmapped", "answer", "curency", "250", "JPY", "--system", "logo"]).expect(2);
    assert!(
        refused.stderr.contains("its tables are: currency, invoice_profile, invoice_status, payment_days"),
        "{}",
        refused.stderr
    );
    let refused = kopru.run(&["mapping", "unmapped", "answer", "currency", "250", "JPY", "--system", "lgo"]).expect(2);
    assert!(refused.stderr.contains("there are: csv, integration, logo"), "{}", refused.stderr);
    let told = kopru
        .run(&["mapping", "unmapped", "answer", "currency", "250.0", "JPY", "--json", "--system", "logo"])
        .expect(0)
        .json();
    assert_eq!((&told["system"], &told["code"], &told["replayed"]), (&json!("logo"), &json!("250"), &json!(0)));
    assert_eq!(currency(&[])["value"], "JPY");
    assert_eq!(currency(&["--offline"])["fault"]["reason"], "unmapped_code", "the answer is in the store");

    let answers = kopru.run(&["mapping", "unmapped", "answers", "--json"]).expect(0).json();
    assert_eq!((&answers["items"][0]["value"], &answers["items"][0]["instance"]), (&json!("JPY"), &Value::Null));
    let args = ["mapping", "unmapped", "answer", "currency", "250", "CNY", "--system", "logo", "--instance", "erp"];
    assert_eq!(kopru.run(&[&args[..], &["--json"]].concat()).expect(0).json()["instance"], "erp");
    assert_eq!(currency(&[])["value"], "JPY", "it is for another instance");
    let export = kopru.run(&["mapping", "unmapped", "export", "logo", "--instance", "erp"]).expect(0).stdout;
    assert_eq!(export, "[currency]\n250 = \"CNY\"\n");
    let table = kopru.run(&["mapping", "unmapped", "answers"]).expect(0).stdout;
    assert!(table.lines().any(|line| line.contains(" erp ") && line.contains("CNY")), "{table}");
    kopru.run(&["mapping", "unmapped", "remove", "currency", "250", "--system", "logo", "--instance", "erp"]).expect(0);
    assert_eq!(kopru.run(&["mapping", "unmapped", "export", "logo"]).expect(0).stdout, "[currency]\n250 = \"JPY\"\n");
    let whole = kopru.run(&["mapping", "unmapped", "export", "logo", "--whole"]).expect(0).stdout;
    kopru.write("mappings/logo/tables.toml", &whole);
    kopru.run(&["mapping", "test"]).expect(0);
    kopru.run(&["mapping", "unmapped", "remove", "currency", "250", "--system", "logo"]).expect(0);
    kopru.run(&["mapping", "unmapped", "remove", "currency", "250", "--system", "logo"]).expect(1);
    assert_eq!(currency(&[])["value"], "JPY", "it stands in the file now");
    assert_eq!(currency(&["--offline"])["value"], "JPY");
    kopru.run(&["mapping", "unmapped", "list", "--cursor", "nonsense"]).expect(2);
    assert_eq!(kopru.run(&["mapping", "unmapped", "list", "--json"]).expect(0).json()["items"], json!([]));
    kopru.run(&["mapping", "unmapped", "ignore", "currency", "250", "--system", "logo"]).expect(1);
}

#[tokio::test]
async fn an_answer_for_one_instance_holds_for_it_alone_and_before_the_others() {
    let mapped = Mapped::new().await;
    let hub = &mapped.hub;
    let other = hub.build.engine(hub.pool(), &hub.system, "erp2");
    hub.full("products", [page([product("A", "KT")])]).await;
    hub.system.full("products", [page([product("B", "KT")])]);
    hub.run_by(&other, "products", Pass::Full, false).await;
    let waits = async || -> Vec<String> { waiting(&mapped).await.into_iter().map(|row| row.connector).collect() };
    assert_eq!(waits().await, ["erp", "erp2"]);

    let here = Place { instance: Some("erp"), ..unit("KT") };
    overlay::answer(hub.pool(), here, "KUTU", BY).await.expect("an answer");
    overlay::refresh(hub.pool(), &hub.engine.library).await.expect("the store");
    assert_eq!(waiting::replay_known(hub.pool(), &hub.engine.library, BY).await.expect("a replay"), 1);
    // In one round with the other one's letter, each by its own answers.
    while worker::turn(&other).await.expect("a turn") > 0 {}
    assert_eq!(hub.row("select code, unit from commerce.product").await, json!({ "code": "A", "unit": "KUTU" }));
    assert_eq!(
        (waits().await, hub.row("select connector from hub.dead_letter").await["connector"].as_str()),
        (vec!["erp2".to_owned()], Some("erp2"))
    );

    // For all: the other one has it, the first one keeps its own.
    overlay::answer(hub.pool(), unit("KT"), "KOLI", BY).await.expect("an answer");
    overlay::refresh(hub.pool(), &hub.engine.library).await.expect("the store");
    assert_eq!(waiting::replay_known(hub.pool(), &hub.engine.library, BY).await.expect("a replay"), 1);
    hub.work().await;
    let units = hub.rows("select code, unit from commerce.product order by code").await;
    assert_eq!(units, [json!({ "code": "A", "unit": "KUTU" }), json!({ "code": "B", "unit": "KOLI" })]);
    hub.changes("products", [page([json!({ "code": "C", "version": 1, "name": "c", "unit": "KT" })])]).await;
    assert_eq!(hub.row("select unit from commerce.product where code = 'C'").await["unit"], "KUTU");
    let listed = overlay::list(hub.pool(), None, None, 10).await.expect("the store");
    let told: Vec<_> = listed.iter().map(|one| (one.instance.as_deref(), one.value.as_str())).collect();
    assert_eq!(told, [(None, "KOLI"), (Some("erp"), "KUTU")]);
    let after = overlay::list(hub.pool(), None, Some(Place { instance: Some(""), ..unit("KT") }), 10).await;
    assert_eq!(after.expect("the store").len(), 1, "behind the one for all");

    // Taken back, the one for all holds for it too.
    assert!(overlay::remove(hub.pool(), here, BY).await.expect("the store"));
    assert!(!overlay::remove(hub.pool(), here, BY).await.expect("the store"));
    overlay::refresh(hub.pool(), &hub.engine.library).await.expect("the store");
    hub.changes("products", [page([json!({ "code": "D", "version": 1, "name": "d", "unit": "KT" })])]).await;
    assert_eq!(hub.row("select unit from commerce.product where code = 'D'").await["unit"], "KOLI");
    let of_the_code = audit::Filter { subject: Some("test/unit:KT@erp".to_owned()), ..audit::Filter::default() };
    assert_eq!(audit::list(hub.pool(), &of_the_code, None, 10).await.expect("the store").len(), 2);
}
