//! Mark and sweep: what a complete pass does not find any more.

use kopru::{
    audit::Actor,
    hub::{
        runs::Run,
        sweeps::{self, Mode, Sweep, SweepPolicy},
    },
};
use kopru_sdk::Pass;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{hub::Hub, system::page};

const AYSE: Actor<'_> = Actor::new("cli:ayse", "test");

fn brand(n: usize) -> Value {
    json!({ "code": format!("B{n:03}"), "id": n.to_string(), "version": 1, "name": format!("brand {n}") })
}

fn brands(range: impl IntoIterator<Item = usize>) -> String {
    page(range.into_iter().map(brand))
}

async fn active(hub: &Hub) -> i64 {
    hub.count("commerce.brand where is_active").await
}

async fn all(hub: &Hub) -> Vec<Sweep> {
    sweeps::list(hub.pool(), None, None, 100).await.expect("sweeps")
}

async fn only(hub: &Hub) -> Sweep {
    let mut all = all(hub).await;
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

async fn advance(hub: &Hub) {
    while sweeps::advance(&hub.engine).await.expect("a step") {}
}

async fn dry_run(hub: &Hub, stream: &str, pages: Vec<String>) -> Run {
    hub.system.full(stream, pages);
    hub.run_by(&hub.engine, stream, Pass::Full, true).await
}

#[tokio::test]
async fn what_is_gone_is_deactivated_and_comes_back() {
    let hub = Hub::new().await;
    hub.full("brands", [brands(0..30), brands(30..50)]).await;
    assert_eq!(all(&hub).await.len(), 0, "nothing is missing, nothing is told");
    let run = hub.full("brands", [brands(0..30), brands(30..48)]).await;
    assert_eq!((run.state.as_str(), run.unchanged), ("done", 48));
    let sweep = only(&hub).await;
    assert_eq!((sweep.state.as_str(), sweep.run_id), ("done", run.id));
    assert_eq!((sweep.candidates, sweep.total, sweep.seen, sweep.deactivated), (2, 50, 48, 2));
    let gone = hub.rows("select code from commerce.brand where not is_active order by code").await;
    assert_eq!(gone, [json!({ "code": "B048" }), json!({ "code": "B049" })]);
    assert_eq!(hub.count("hub.pass_seen").await, 0, "marks are gone with their pass");
    let told = hub.rows("select actor, action from identity.audit_event order by id").await;
    assert_eq!(told, ["sweep.approved", "sweep.finished"].map(|action| json!({ "actor": "hub", "action": action })));

    // What is inactive already is not found missing again.
    hub.full("brands", [brands(0..48)]).await;
    assert_eq!(all(&hub).await.len(), 1);
    // The very same document makes it active again.
    let run = hub.full("brands", [brands(0..49)]).await;
    assert_eq!((run.updated, run.unchanged), (1, 48));
    assert_eq!(active(&hub).await, 49);
}

#[tokio::test]
async fn above_the_guard_it_stops_and_asks() {
    let hub = Hub::new().await;
    hub.full("brands", [brands(0..50)]).await;
    hub.full("brands", [brands(0..39)]).await;
    let asked = only(&hub).await;
    assert_eq!((asked.state.as_str(), asked.candidates, asked.deactivated), ("asked", 11, 0));
    assert!(asked.asks.as_deref().is_some_and(|why| why.contains("11 of 50")), "{asked:?}");
    advance(&hub).await;
    assert_eq!(active(&hub).await, 50);
    assert!(sweeps::undo(&hub.engine, AYSE, asked.id).await.is_err(), "nothing was done");

    sweeps::approve(hub.pool(), AYSE, asked.id).await.expect("approved");
    // One of them came back before the work began.
    hub.changes("brands", [page([json!({ "code": "B039", "version": 2, "name": "back" })])]).await;
    advance(&hub).await;
    let done = only(&hub).await;
    assert_eq!((done.state.as_str(), done.deactivated, done.decided_by.as_deref()), ("done", 10, Some("cli:ayse")));
    assert_eq!(active(&hub).await, 40);
    let told = hub.rows("select actor, action, subject from identity.audit_event order by id").await;
    let entry = |actor, action| json!({ "actor": actor, "action": action, "subject": asked.id });
    assert_eq!(
        told,
        [entry("hub", "sweep.asked"), entry("cli:ayse", "sweep.approved"), entry("hub", "sweep.finished")]
    );
    assert!(sweeps::approve(hub.pool(), AYSE, asked.id).await.is_err(), "it is over");
    assert!(sweeps::approve(hub.pool(), AYSE, Uuid::now_v7()).await.is_err(), "there is none");
}

#[tokio::test]
async fn an_empty_pass_asks_however_small_the_list() {
    let hub = Hub::new().await;
    hub.full("brands", [brands(0..3)]).await;
    hub.full("brands", [page([])]).await;
    let sweep = only(&hub).await;
    assert_eq!((sweep.state.as_str(), sweep.seen), ("asked", 0));
    assert_eq!(active(&hub).await, 3);
    // The next pass finds them all: the question is answered.
    hub.full("brands", [brands(0..3)]).await;
    assert_eq!(only(&hub).await.state, "superseded");
}

#[tokio::test]
async fn what_was_rejected_stays_and_is_not_asked_about_again() {
    let hub = Hub::with(|build| build.sweep = SweepPolicy { mode: Mode::Ask, guard_percent: 10 }).await;
    hub.full("brands", [brands(0..20)]).await;
    hub.full("brands", [brands(0..19)]).await;
    let asked = only(&hub).await;
    assert_eq!(asked.state, "asked");
    sweeps::reject(hub.pool(), AYSE, asked.id).await.expect("rejected");
    hub.full("brands", [brands(0..19)]).await;
    advance(&hub).await;
    assert_eq!((only(&hub).await.state.as_str(), active(&hub).await), ("rejected", 20));
    // Its next document ends that.
    hub.changes("brands", [page([json!({ "code": "B019", "version": 2, "name": "new" })])]).await;
    hub.full("brands", [brands(0..19)]).await;
    assert_eq!(all(&hub).await[0].state, "asked");
    // Switched off nothing is marked.
    let hub = Hub::with(|build| build.sweep = SweepPolicy { mode: Mode::Off, guard_percent: 10 }).await;
    hub.full("brands", [brands(0..20)]).await;
    hub.full("brands", [brands(0..19)]).await;
    assert_eq!((all(&hub).await.len(), active(&hub).await), (0, 20));
}

#[tokio::test]
async fn undo_brings_back_what_nothing_has_changed_since() {
    let hub = Hub::new().await;
    let inactive = json!({ "code": "OFF", "version": 1, "name": "off" });
    hub.full("brands", [brands(0..40), page([inactive])]).await;
    hub.execute("update commerce.brand set is_active = false where code = 'OFF'").await;
    hub.full("brands", [brands(0..37)]).await;
    let sweep = only(&hub).await;
    assert_eq!((sweep.candidates, sweep.deactivated), (4, 3), "one was inactive before");
    // One comes with a new document, which says that it is there.
    hub.changes("brands", [page([json!({ "code": "B038", "version": 5, "name": "came back" })])]).await;
    let before = hub.row("select revision from commerce.brand where code = 'B038'").await;
    assert_eq!(sweeps::undo(&hub.engine, AYSE, sweep.id).await.expect("undone"), 2);
    assert_eq!(hub.row("select revision from commerce.brand where code = 'B038'").await, before);
    let off = hub.rows("select code from commerce.brand where not is_active").await;
    assert_eq!(off, [json!({ "code": "OFF" })]);
    assert_eq!(only(&hub).await.state, "undone");
    // The next pass misses them still, and leaves them alone.
    let run = hub.full("brands", [brands((0..37).chain([38]))]).await;
    assert_eq!((run.state.as_str(), active(&hub).await), ("done", 40));
    assert_eq!(all(&hub).await.len(), 1);
    // What comes back as it was is unchanged.
    let run = hub.full("brands", [brands(0..37), brands([37, 39])]).await;
    assert_eq!((run.updated, run.unchanged), (0, 39));
    assert!(sweeps::undo(&hub.engine, AYSE, sweep.id).await.is_err(), "once");
}

#[tokio::test]
async fn an_interrupted_pass_sweeps_nothing_and_a_resumed_one_keeps_its_marks() {
    let hub = Hub::new().await;
    hub.full("brands", [brands(0..20), brands(20..40), brands(40..60)]).await;
    // A page with an effect writes the position and the marks before it.
    let changed = page((20..39).map(brand).chain([json!({ "code": "NEW", "version": 1, "name": "new" })]));
    hub.system.full("brands", [brands(0..20), changed, "{\"cut".to_owned()]);
    let run = hub.run("brands", Pass::Full).await;
    assert_eq!(run.state, "failed");
    advance(&hub).await;
    assert_eq!((all(&hub).await.len(), active(&hub).await), (0, 61));
    assert!(hub.count("hub.pass_seen").await > 1);

    hub.execute("update hub.stream set paused_at = null, paused_cause = null, paused_reason = null").await;
    hub.system.full("brands", [page([]), page([]), brands(40..60)]);
    let run = hub.run("brands", Pass::Full).await;
    assert_eq!((run.state.as_str(), run.records), ("done", 20), "it went on behind the second page");
    let sweep = only(&hub).await;
    assert_eq!((sweep.candidates, sweep.seen), (1, 60));
    let gone = hub.rows("select code from commerce.brand where not is_active").await;
    assert_eq!(gone, [json!({ "code": "B039" })]);
}

#[tokio::test]
async fn a_pass_that_was_not_marked_from_its_beginning_sweeps_nothing() {
    let hub = Hub::new().await;
    hub.full("brands", [brands(0..20), brands(20..40)]).await;
    hub.system.full(
        "brands",
        [page((0..19).map(brand).chain([json!({ "code": "X", "version": 1, "name": "x" })])), "{\"cut".to_owned()],
    );
    assert_eq!(hub.run("brands", Pass::Full).await.state, "failed");
    hub.execute("update hub.stream set paused_at = null, paused_cause = null, paused_reason = null").await;
    // As if the first half had been read by a program, or under a setting, that marks nothing.
    hub.execute("delete from hub.pass_seen").await;
    hub.system.full("brands", [page([]), brands(20..40)]);
    assert_eq!(hub.run("brands", Pass::Full).await.state, "done");
    assert_eq!((all(&hub).await.len(), active(&hub).await), (0, 41));
}

#[tokio::test]
async fn what_is_there_and_did_not_go_in_is_seen() {
    let hub = Hub::new().await;
    let product = |code: &str, id: &str| json!({ "code": code, "id": id, "version": 1, "name": code });
    let ids = ["1", "2", "3", "4", "5", "6"];
    hub.full("products", [page(ids.map(|id| product(&format!("P{id}"), id)))]).await;
    let records = [
        // Rejected by the mapping, refused for a reference, waiting for one, older than what is there.
        json!({ "code": "P1", "id": "1", "version": 2 }),
        json!({ "code": "P2", "id": "2", "version": 2, "name": "p", "unitSet": "NONE" }),
        json!({ "code": "P3", "id": "3", "version": 2, "name": "p", "brand": "NONE" }),
        // Renamed, and rejected under the new name.
        json!({ "code": "P4-NEW", "id": "4", "version": 2 }),
        product("P5", "5"),
    ];
    let run = hub.full("products", [page(records)]).await;
    assert_eq!((run.failed, run.deferred, run.unchanged), (3, 1, 1));
    let sweep = only(&hub).await;
    assert_eq!((sweep.state.as_str(), sweep.candidates), ("done", 1));
    let gone = hub.rows("select code from commerce.product where not is_active").await;
    assert_eq!(gone, [json!({ "code": "P6" })]);
}

#[tokio::test]
async fn a_record_without_a_readable_code_may_be_any_and_asks() {
    let hub = Hub::new().await;
    hub.full("brands", [brands(0..20)]).await;
    hub.full("brands", [page((0..19).map(brand).chain([json!({ "name": "whose?" })]))]).await;
    let sweep = only(&hub).await;
    assert_eq!((sweep.state.as_str(), sweep.candidates, active(&hub).await), ("asked", 1, 20));
    assert!(sweep.asks.as_deref().is_some_and(|why| why.contains("without a readable code")), "{sweep:?}");
}

#[tokio::test]
async fn what_is_made_while_the_pass_runs_is_not_swept() {
    let hub = Hub::new().await;
    hub.full("brands", [brands(0..20), brands(20..40)]).await;
    hub.system.full("brands", [brands(0..20), brands(20..40)]);
    let gate = hub.system.gate("brands", 1);
    let running = hub.run("brands", Pass::Full);
    let meanwhile = async {
        hub.eventually("the first page was asked for", || async {
            hub.count("hub.run where state = 'running'").await == 1 && hub.system.pulls().len() >= 4
        })
        .await;
        // By the changes of the same stream, in another process.
        hub.execute(
            "insert into commerce.brand (code, name, created_at, updated_at, created_by, updated_by)
             values ('FRESH', 'fresh', now(), now(), 'erp', 'erp');
             insert into hub.external_ref (internal_id, connector, entity, external_code, content_hash, stream)
             select id, 'erp', 'brand', code, decode(repeat('ab', 16), 'hex'), 'brands'
             from commerce.brand where code = 'FRESH'",
        )
        .await;
        gate.add_permits(10);
    };
    let (run, ()) = tokio::join!(running, meanwhile);
    assert_eq!(run.state, "done");
    assert_eq!((all(&hub).await.len(), active(&hub).await), (0, 41));
}

#[tokio::test]
async fn records_of_other_streams_are_not_swept() {
    let hub = Hub::new().await;
    hub.full("categories", [page(["A", "B"].map(|code| json!({ "code": code, "version": 1, "name": code })))]).await;
    // The same entity by another stream, and by no stream at all.
    hub.full("made_categories", [page([json!({ "code": "C", "version": 1, "name": "c", "parent": "D" })])]).await;
    hub.full("categories", [page([json!({ "code": "A", "version": 1, "name": "A" })])]).await;
    let off = hub.rows("select code from commerce.category where not is_active").await;
    assert_eq!(off, [json!({ "code": "B" })]);
    let streams = hub.rows("select external_code as code, stream from hub.external_ref order by 1").await;
    let link = |code, stream: Option<&str>| json!({ "code": code, "stream": stream });
    assert_eq!(
        streams,
        [
            link("A", Some("categories")),
            link("B", Some("categories")),
            link("C", Some("made_categories")),
            link("D", None),
        ]
    );
}

#[tokio::test]
async fn unit_sets_and_stock_are_never_swept() {
    let hub = Hub::new().await;
    hub.full("products", [page([json!({ "code": "P", "version": 1, "name": "p" })])]).await;
    let level = |code: &str| json!({ "code": code, "version": 1, "product": "P", "warehouse": code, "quantity": 5 });
    hub.full("stock", [page(["S1", "S2"].map(level))]).await;
    hub.full("stock", [page([level("S1")])]).await;
    assert_eq!(all(&hub).await.len(), 0);
    assert_eq!(hub.count("hub.pass_seen").await, 0);
    assert_eq!(hub.count("commerce.stock_level where quantity = 5").await, 2);
}

#[tokio::test]
async fn a_dry_run_says_what_would_change_and_writes_nothing() {
    let hub = Hub::new().await;
    hub.full("brands", [brands(0..20), brands(20..40)]).await;
    let before = hub.footprint().await;
    let new = json!({ "code": "NEW", "version": 1, "name": "new" });
    let other = json!({ "code": "B001", "version": 2, "name": "other" });
    let bad = json!({ "code": "B002", "version": 2 });
    let run = dry_run(&hub, "brands", vec![page([brand(0), other, bad, new]), brands(3..28)]).await;
    assert_eq!(hub.footprint().await, before);
    assert_eq!((run.created, run.updated, run.failed, run.unchanged), (1, 1, 1, 26));
    let preview = run.preview.expect("a preview");
    assert_eq!(preview["created"], json!({ "count": 1, "codes": ["NEW"] }));
    assert_eq!(preview["updated"], json!({ "count": 1, "codes": ["B001"] }));
    assert_eq!(preview["failed"], json!({ "count": 1, "codes": ["B002"] }));
    let removal = &preview["deactivated"];
    assert_eq!((&removal["count"], &removal["total"], &removal["codes"][0]), (&json!(12), &json!(40), &json!("B028")));
    assert!(removal["asks"].as_str().is_some_and(|why| why.contains("12 of 40")), "{removal}");
    assert_eq!(active(&hub).await, 40);
}

#[tokio::test]
async fn an_unchanged_pass_writes_no_record_and_no_link() {
    let hub = Hub::new().await;
    let pages: Vec<String> = (0..5).map(|n| brands(n * 20..(n + 1) * 20)).collect();
    hub.full("brands", pages.clone()).await;
    let before = hub.footprint().await;
    let run = hub.full("brands", pages).await;
    assert_eq!(run.unchanged, 100);
    assert_eq!(hub.footprint().await, before);
}

#[tokio::test]
async fn a_sweep_left_behind_is_taken_up() {
    let hub = Hub::new().await;
    hub.full("brands", [brands(0..1500)]).await;
    hub.full("brands", [brands(0..1400)]).await;
    let sweep = only(&hub).await;
    assert_eq!((sweep.deactivated, active(&hub).await), (100, 1400));
    // As a process leaves it that dies between two slices.
    hub.execute("update hub.sweep set state = 'approved', finished_at = null").await;
    hub.execute(
        "update hub.sweep_item set outcome = null where code > 'B1450';
         update hub.external_ref r set content_hash = i.content_hash, last_synced_at = i.last_synced_at
         from hub.sweep_item i where i.link_id = r.id and i.outcome is null;
         update commerce.brand set is_active = true where code > 'B1450'",
    )
    .await;
    advance(&hub).await;
    assert_eq!((only(&hub).await.state.as_str(), active(&hub).await), ("done", 1400));
}
