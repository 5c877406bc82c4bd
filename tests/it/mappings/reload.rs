//! Edits of the files: taken over whole, or not at all and told.

use std::{fs, time::Duration};

use kopru::hub::{
    daemon::Daemon,
    mappings::{
        overlay::{self, Place},
        state,
        watch::Watcher,
    },
    runs::{self, NewRun},
    scheduler,
    states::Trigger,
};
use kopru_sdk::Pass;
use serde_json::{Value, json};

use super::support::{Mapped, settle, sign_on};
use crate::support::{hub::eventually, system::page};

const BY: kopru::audit::Actor<'static> = kopru::audit::Actor::new("cli:1000", "test");

fn brand(code: &str, version: i64) -> Value {
    json!({ "code": code, "version": version, "name": format!("name {code}"), "title": format!("title {code}") })
}

async fn names(mapped: &Mapped) -> Vec<String> {
    let rows = mapped.hub.rows("select name from commerce.brand order by code").await;
    rows.iter().map(|row| row["name"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn a_good_edit_is_in_force_once_it_is_seen_whole() {
    let mapped = Mapped::new().await;
    let engine = &mapped.hub.engine;
    let mut watcher = Watcher::default();
    watcher.look(engine, false).await;
    mapped.hub.full("brands", [page([brand("A", 1)])]).await;
    let before = engine.library.get("test/brands").expect("a mapping").hash().to_owned();

    mapped.edit("test/brands.toml", "from = \"name\"", "from = \"title\"");
    watcher.look(engine, false).await;
    assert_eq!(engine.library.get("test/brands").expect("a mapping").hash(), before, "it may be half written");
    watcher.look(engine, false).await;
    let after = engine.library.get("test/brands").expect("a mapping").hash().to_owned();
    assert_ne!(after, before);
    mapped.hub.full("brands", [page([brand("A", 2), brand("B", 1)])]).await;
    assert_eq!(names(&mapped).await, ["title A", "title B"]);
    let hashes = mapped.hub.rows("select mapping_hash from hub.message_history order by id").await;
    assert_eq!(hashes, [json!({ "mapping_hash": before }), json!({ "mapping_hash": after })]);

    // Who says that it is whole need not wait.
    mapped.edit("test/brands.toml", "from = \"title\"", "from = \"name\"");
    watcher.look(engine, true).await;
    assert_eq!(engine.library.get("test/brands").expect("a mapping").hash(), before);
}

#[tokio::test]
async fn a_bad_edit_leaves_the_old_one_in_force_and_says_why() {
    let mapped = Mapped::new().await;
    let engine = &mapped.hub.engine;
    sign_on(engine, "here").await;
    let held = engine.library.now().library().hash().to_owned();
    let mut watcher = Watcher::default();
    let told = async || {
        let mut all = state::list(&engine.pool, Duration::from_secs(3600)).await.expect("the store");
        assert_eq!(all.len(), 1);
        let one = all.remove(0);
        assert_eq!((one.hash.as_str(), one.mappings.len()), (held.as_str(), 33));
        (one.error, one.error_at)
    };
    settle(&mut watcher, engine).await;
    assert_eq!(told().await, (None, None));

    let sound = mapped.read("test/brands.toml");
    mapped.edit("test/brands.toml", "entity = \"brand\"", "entity = \"brend\"");
    settle(&mut watcher, engine).await;
    let (error, since) = told().await;
    let error = error.expect("an error");
    assert!(error.contains("brands.toml:1:10: `brend`") && error.contains("did you mean `brand`"), "{error}");
    settle(&mut watcher, engine).await;
    assert_eq!(told().await, (Some(error), since), "told once");

    // Without its mapping a stream cannot go on, however sound the others are.
    fs::remove_file(mapped.dir.path().join("test/brands.toml")).expect("removed");
    settle(&mut watcher, engine).await;
    let error = told().await.0.expect("an error");
    assert!(error.contains("erp.brands needs test/brands"), "{error}");
    assert!(engine.library.get("test/brands").is_some());

    // Bytes that are no text, and a directory that has gone.
    fs::write(mapped.dir.path().join("test/brands.toml"), b"entity = \"\xff\"").expect("a file");
    settle(&mut watcher, engine).await;
    assert!(watcher.error().is_some_and(|error| error.contains("brands.toml") && error.contains("is not UTF-8")));
    let aside = mapped.dir.path().with_extension("aside");
    fs::rename(mapped.dir.path(), &aside).expect("renamed");
    settle(&mut watcher, engine).await;
    assert!(watcher.error().is_some_and(|error| error.contains("is not there any more")), "{:?}", watcher.error());
    fs::rename(&aside, mapped.dir.path()).expect("renamed");

    mapped.write("test/brands.toml", &sound);
    settle(&mut watcher, engine).await;
    assert_eq!(told().await, (None, None));
    mapped.hub.full("brands", [page([brand("A", 1)])]).await;
    assert_eq!(names(&mapped).await, ["name A"]);
}

#[tokio::test]
async fn an_edit_in_mid_run_is_in_force_from_a_page_on() {
    let mapped = Mapped::new().await;
    let hub = &mapped.hub;
    let pages = (0..4).map(|n| page((0..50).map(|m| brand(&format!("{n}{m:02}"), 1))));
    hub.system.full("brands", pages);
    let gate = hub.system.gate("brands", 2);
    let new = NewRun {
        connector: "erp",
        stream: "brands",
        pass: Pass::Full,
        trigger: Trigger::Manual,
        dry_run: false,
        since: None,
    };
    let id = runs::create(hub.pool(), &new, None).await.expect("a run");
    let engine = hub.engine.clone();
    let run = tokio::spawn(async move { scheduler::run_alone(&engine, id).await });
    hub.eventually("two pages are in", async || hub.count("commerce.brand").await == 100).await;
    mapped.edit("test/brands.toml", "from = \"name\"", "from = \"title\"");
    Watcher::default().look(&hub.engine, true).await;
    gate.add_permits(1000);
    run.await.expect("no panic").expect("the run ends");
    let by_page = hub
        .rows(
            "select left(code, 1) as page, split_part(name, ' ', 1) as rule, count(*) as n from commerce.brand
             group by 1, 2 order by 1",
        )
        .await;
    let of = |page: &str, rule: &str| json!({ "page": page, "rule": rule, "n": 50 });
    assert_eq!(by_page, [of("0", "name"), of("1", "name"), of("2", "title"), of("3", "title")]);
}

#[tokio::test]
async fn two_daemons_take_over_edits_and_answers_and_tell_so() {
    let mapped = Mapped::new().await;
    let (one, other) = (mapped.hub.engine.clone(), mapped.hub.beside());
    let first = Daemon::start(&one).await.expect("started");
    let second = Daemon::start(&other).await.expect("started");
    let pool = mapped.hub.pool();
    mapped.edit("test/brands.toml", "from = \"name\"", "from = \"title\"");
    let place = Place { system: "test", table: "unit", code: "KT", instance: None };
    overlay::answer(pool, place, "KUTU", BY).await.expect("an answer");
    eventually("both have it", async || {
        let told = state::list(pool, Duration::from_secs(3600)).await.expect("the store");
        let current = told.iter().filter(|one| one.overlay_version == 1 && one.error.is_none());
        let hashes: Vec<&str> = current.map(|one| one.hash.as_str()).collect();
        hashes.len() == 2
            && hashes[0] == hashes[1]
            && hashes[0] == one.library.now().library().hash()
            && hashes[0] == kopru::mapping::Files::in_force(Some(mapped.dir.path())).expect("files").hash()
    })
    .await;
    for engine in [&one, &other] {
        assert!(engine.library.get("test/products").expect("a mapping").knows("unit", "KT"));
    }
    first.stop().await;
    second.stop().await;
    assert!(state::list(pool, Duration::from_secs(3600)).await.expect("the store").is_empty(), "gone with its daemon");
}
