//! Pages over a table that changes while it is read, equal stamps, old editions, and codes that look alike.

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;

use super::{
    installation::{CATALOGUE, Installation, Setup},
    process::Process,
};
use crate::support::kopru::Run;

/// Starts a run that takes a while, and gives time to do something to the tables meanwhile.
async fn slowly(hub: &Installation, more: &[&str], meanwhile: impl AsyncFnOnce()) -> serde_json::Value {
    let slow = json!([{"match": {"path": "/api/v1/queries/unsafe"}, "do": "latency", "value": 60}]);
    hub.sandbox.faults(slow).await;
    let command = hub.command(&[&["sync", "run", "logo.items", "--json"], more].concat());
    let mut run = Process::start(command, hub.kopru.path(), "run");
    hub.until("the run is in its middle", "select exists (select from hub.run where state = 'running' and pages > 2)")
        .await;
    meanwhile().await;
    let status = run.ended();
    hub.sandbox.faults(json!([])).await;
    Run { code: status.code(), stdout: run.output(), stderr: run.log() }.expect(0).json()
}

#[tokio::test]
async fn rows_inserted_and_changed_while_paging_are_neither_lost_nor_doubled() {
    let hub = Setup::items(300).logo("sql_page", 10).start().await;
    hub.load(&["group_codes", "brands", "unit_sets"]);
    // A full pass: new rows come at its end, changed ones where they were.
    let run = slowly(&hub, &[], async || {
        hub.sandbox.change(json!({"insert": {"items": 25}, "mutateAll": {"salt": 1}})).await;
    })
    .await;
    assert_eq!(run["created"], 325, "{run}");
    // Rows that were behind the pass already: the next one brings their change, although it began before the change.
    hub.load(&["items"]);
    hub.expect_all_of(&["items"]).await;

    // A pass over changes: a row that changes again moves to its end and comes twice.
    hub.sandbox.change(json!({"mutateAll": {"salt": 2}})).await;
    let run = slowly(&hub, &[], async || {
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        hub.sandbox.change(json!({"insert": {"items": 5}, "touch": {"from": 1, "to": 200}})).await;
    })
    .await;
    assert!(run["records"].as_i64() > Some(330), "{run}");
    hub.load(&["items"]);
    hub.expect_all_of(&["items"]).await;
    let most = "select max(revision) from commerce.product";
    assert!(hub.number(most).await <= 3, "a row that came twice was written twice");
}

#[tokio::test]
async fn equal_stamps_across_page_borders_lose_nothing() {
    let hub = Setup::items(200).logo("sql_page", 7).logo("overlap", 0).start().await;
    hub.load(&CATALOGUE);
    // All rows of the table get the stamp of one second; 200 is no multiple of 7.
    hub.sandbox.change(json!({"mutateAll": {"salt": 9}})).await;
    let run = hub.sync("items", &[]);
    assert_eq!((&run["pass"], &run["updated"]), (&"incremental".into(), &200.into()), "{run}");
    // Nothing new: one empty page.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    hub.sync("items", &[]);
    let run = hub.sync("items", &[]);
    assert_eq!((&run["records"], &run["state"]), (&0.into(), &"done".into()), "{run}");
    hub.expect_all_of(&["items"]).await;
}

#[tokio::test]
async fn an_older_edition_after_a_newer_one_is_stale_until_a_complete_pass() {
    let hub = Setup::items(50).start().await;
    hub.load(&CATALOGUE);
    let code = hub.texts("select code from commerce.product order by md5(code) limit 1").await.remove(0);
    let name = async || {
        let sql = "select name from commerce.product where code = $1";
        sqlx::query_scalar::<_, String>(sql).bind(&code).fetch_one(&hub.database.pool).await.expect("a name")
    };
    hub.sandbox.change(json!({"items": [{"code": code, "name": "Yeni"}]})).await;
    hub.sync("items", &[]);
    assert_eq!(name().await, "Yeni");
    // A restored backup: the card is as it was five minutes ago.
    hub.sandbox.shift_clock(-300).await;
    hub.sandbox.change(json!({"items": [{"code": code, "name": "Eski"}]})).await;
    let run = hub.sync("items", &[]);
    assert_eq!((&run["stale"], &run["updated"]), (&1.into(), &0.into()), "{run}");
    assert_eq!(name().await, "Yeni");
    // What a complete pass sees is what is there.
    let run = hub.sync("items", &["--full"]);
    assert_eq!((&run["stale"], &run["updated"]), (&0.into(), &1.into()), "{run}");
    assert_eq!(name().await, "Eski");
    hub.sandbox.shift_clock(0).await;
    hub.expect_all_of(&["items"]).await;
}

#[tokio::test]
async fn codes_differ_by_a_dot_and_names_keep_their_letters() {
    let hub = Setup::items(60).start().await;
    hub.load(&CATALOGUE);
    let codes = hub.texts("select code from commerce.product order by md5(code) limit 6").await;
    let alike = ["KİLİT-I", "KILIT-I", "kilit-i", "kılıt-ı", "KİLİT-İ", "KILİT-I"];
    let cards: Vec<_> = codes
        .iter()
        .zip(alike)
        .map(|(code, new)| json!({"code": code, "newCode": new, "name": format!("Iğdır ışığı İÇİN ğüşöç {new}")}))
        .collect();
    hub.sandbox.change(json!({"items": cards})).await;
    let run = hub.sync("items", &[]);
    assert_eq!((&run["updated"], &run["created"], &run["failed"]), (&6.into(), &0.into(), &0.into()), "{run}");
    for code in alike {
        let names = "select name from commerce.product where code = $1";
        let names: Vec<String> =
            sqlx::query_scalar(names).bind(code).fetch_all(&hub.database.pool).await.expect("names");
        assert_eq!(names, [format!("Iğdır ışığı İÇİN ğüşöç {code}")]);
        let found = hub.run(&["messages", "list", "--code", code, "--json"]).expect(0).json();
        assert_eq!(found["items"].as_array().map(Vec::len), Some(1), "{code}: {found}");
    }
    // Renamed cards are found under their old codes.
    let known = hub.texts("select external_code from hub.external_ref_alias order by external_code").await;
    assert_eq!(BTreeSet::from_iter(known), BTreeSet::from_iter(codes));
    // Codes with two dots more or less are groups of their own.
    let groups = json!([{"code": "İSKELE", "name": "İskele"}, {"code": "ISKELE", "name": "Iskele"}]);
    hub.sandbox.change(json!({"groups": groups})).await;
    assert_eq!(hub.sync("group_codes", &[])["created"], 2);
    hub.expect_all_of(&["group_codes", "items"]).await;
}

#[tokio::test]
async fn two_cards_that_claim_one_sku_are_told_apart() {
    let hub = Setup::items(50).start().await;
    // A site whose SKU is another field of the card.
    let built_in = concat!(env!("CARGO_MANIFEST_DIR"), "/mappings/logo");
    std::fs::create_dir_all(hub.kopru.path().join("mappings/logo")).expect("a directory");
    for file in std::fs::read_dir(built_in).expect("mappings").flatten() {
        let text = std::fs::read_to_string(file.path()).expect("a mapping");
        let text = text.replace("[fields.sku]\nfrom = \"CODE\"", "[fields.sku]\nfrom = [\"AUXIL_CODE5\", \"CODE\"]");
        hub.kopru.write(&format!("mappings/logo/{}", file.file_name().to_string_lossy()), &text);
    }
    hub.load(&CATALOGUE);
    let codes = hub.texts("select code from commerce.product order by code limit 3").await;
    let claims = json!([
        {"code": codes[0], "fields": {"AUXIL_CODE5": "SKU-1"}}, {"code": codes[1], "fields": {"AUXIL_CODE5": "SKU-1"}},
        {"code": codes[2], "fields": {"AUXIL_CODE5": "SKU-2"}},
    ]);
    hub.sandbox.change(json!({"items": claims})).await;
    let run = hub.sync("items", &[]);
    assert_eq!((&run["updated"], &run["failed"]), (&2.into(), &1.into()), "{run}");
    let letters = hub.run(&["dead-letters", "list", "--json"]).expect(0).json();
    let letter = &letters["items"][0];
    assert_eq!((&letter["field"], &letter["value"]), (&"sku".into(), &"SKU-1".into()), "{letter}");
    assert_eq!(letter["detail"], format!("sku is already that of {}", codes[0]), "{letter}");
    // The two swap: possible in one pass, whatever the order.
    let swap = json!([
        {"code": codes[0], "fields": {"AUXIL_CODE5": "SKU-2"}}, {"code": codes[1], "fields": {"AUXIL_CODE5": "SKU-3"}},
        {"code": codes[2], "fields": {"AUXIL_CODE5": "SKU-1"}},
    ]);
    hub.sandbox.change(json!({"items": swap})).await;
    let run = hub.sync("items", &[]);
    assert_eq!((&run["updated"], &run["failed"]), (&3.into(), &0.into()), "{run}");
    assert_eq!(
        hub.texts("select sku from commerce.product where sku like 'SKU-%' order by code").await,
        ["SKU-2", "SKU-3", "SKU-1"]
    );
    hub.expect_all_of(&["items"]).await;
}
