//! Daemons: what is due is polled by one of them, whoever dies is replaced, and what is asked for is done.

use std::{sync::Arc, time::Duration};

use kopru::hub::{
    daemon::Daemon,
    daemons,
    runs::{self, NewRun, Run},
    states::{RunState, Trigger},
    streams,
};
use kopru_sdk::Pass;
use serde_json::json;
use uuid::Uuid;

use crate::support::{
    hub::{Build, ERP, Hub, eventually},
    system::{System, page},
};

fn brands(range: std::ops::Range<usize>) -> String {
    page(range.map(|n| json!({ "code": format!("B{n:04}"), "version": 1, "name": format!("Brand {n}") })))
}

fn many(pages: usize) -> Vec<String> {
    (0..pages).map(|n| brands(n * 10..n * 10 + 10)).collect()
}

fn quick(build: &mut Build) {
    build.polled = &["brands"];
    build.settings.lease = Duration::from_secs(1);
    build.settings.heartbeat = Duration::from_millis(100);
}

async fn start(engine: &kopru::hub::engine::Engine) -> Daemon {
    Daemon::start(engine).await.expect("a daemon")
}

async fn count(hub: &Hub) -> i64 {
    hub.count("commerce.brand").await
}

async fn ask(hub: &Hub, stream: &str, pass: Pass) -> Uuid {
    let new = NewRun { connector: ERP, stream, pass, trigger: Trigger::Manual, dry_run: false, since: None };
    runs::create(hub.pool(), &new, None).await.expect("a run")
}

async fn run_of(hub: &Hub, id: Uuid) -> Run {
    runs::get(hub.pool(), id).await.expect("the store").expect("the run")
}

async fn ends(hub: &Hub, id: Uuid) -> Run {
    eventually("the run ends", || async { run_of(hub, id).await.finished_at.is_some() }).await;
    run_of(hub, id).await
}

#[tokio::test]
async fn each_stream_is_polled_by_one_daemon() {
    let hub = Hub::with(|build| {
        build.polled = &["brands", "warehouses", "categories"];
        build.settings.heartbeat = Duration::from_millis(100);
    })
    .await;
    for stream in ["brands", "warehouses", "categories"] {
        hub.system.full(stream, many(3));
    }
    let other = hub.beside();
    let (one, two) = (start(&hub.engine).await, start(&other).await);
    eventually("all are loaded", || async { hub.count("hub.run where state = 'done'").await == 3 }).await;
    assert!(daemons::alive(hub.pool(), Duration::from_secs(5)).await.expect("daemons") == 2);
    tokio::join!(one.stop(), two.stop());
    assert_eq!(hub.count("hub.run").await, 3, "no stream was run twice");
    assert_eq!(hub.system.pulls().len(), 9);
    assert_eq!(hub.count("hub.lease").await + hub.count("hub.daemon").await, 0, "everything was given back");
    assert_eq!(hub.system.sign_outs.load(std::sync::atomic::Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_daemon_that_is_gone_is_replaced_and_its_pass_goes_on() {
    let hub = Hub::with(quick).await;
    hub.system.full("brands", many(6));
    let gate = hub.system.gate("brands", 3);
    let first = start(&hub.engine).await;
    eventually("three pages are applied", || async { count(&hub).await == 30 }).await;
    let other = hub.beside();
    let second = start(&other).await;
    // Gone without a word: it gives nothing back.
    drop(first);
    eventually("the other one takes over", || async { hub.count("hub.run where trigger = 'resume'").await == 1 }).await;
    hub.system.open_gates();
    gate.add_permits(1000);
    eventually("the pass is complete", || async { count(&hub).await == 60 }).await;
    eventually("the run ends", || async { hub.count("hub.run where state = 'done'").await == 1 }).await;
    eventually("the old one is closed", || async { hub.count("hub.run where state = 'running'").await == 0 }).await;
    second.stop().await;
    let runs = hub.rows("select state, trigger, created from hub.run order by id").await;
    assert_eq!(
        runs,
        [
            json!({ "state": "interrupted", "trigger": "schedule", "created": 30 }),
            json!({ "state": "done", "trigger": "resume", "created": 30 }),
        ]
    );
    // Nothing twice, nothing lost.
    assert_eq!(hub.count("hub.message_item where outcome = 'created'").await, 60);
}

#[tokio::test]
async fn a_run_that_was_asked_for_is_followed_from_the_daemon_that_is_gone_to_the_one_that_goes_on() {
    let hub = Hub::with(|build| {
        quick(build);
        build.settings.lease = Duration::from_secs(3);
    })
    .await;
    hub.full("brands", many(1)).await;
    hub.system.changes("brands", (1..6).map(|n| brands(n * 10..n * 10 + 10)));
    let gate = hub.system.gate("brands", 3);
    let first = start(&hub.engine).await;
    let id = ask(&hub, "brands", Pass::Incremental).await;
    eventually("three pages of it are applied", || async { count(&hub).await == 40 }).await;
    let watcher = hub.beside();
    let followed = tokio::spawn(async move { kopru::hub::pull::follow(&watcher, id, |_| ()).await });
    let second = start(&hub.beside()).await;
    drop(first);
    eventually("somebody goes on", || async { runs::heir(hub.pool(), id).await.expect("the store").is_some() }).await;
    hub.system.open_gates();
    gate.add_permits(1000);
    let run = followed.await.expect("no panic").expect("the store").expect("the run");
    assert_eq!((run.state.as_str(), run.pass.as_str(), run.trigger.as_str()), ("done", "incremental", "resume"));
    assert_ne!(run.id, id);
    assert_eq!((run.created, count(&hub).await), (50, 60), "its counters are those of both parts");
    assert_eq!(run_of(&hub, id).await.state, "interrupted");

    // A daemon that stops hands on what it was asked for.
    hub.system.changes("brands", (6..12).map(|n| brands(n * 10..n * 10 + 10)));
    let gate = hub.system.gate("brands", 3);
    let id = ask(&hub, "brands", Pass::Incremental).await;
    eventually("it is under way", || async { count(&hub).await == 90 }).await;
    let watcher = hub.beside();
    let followed = tokio::spawn(async move { kopru::hub::pull::follow(&watcher, id, |_| ()).await });
    let stopping = tokio::spawn(second.stop());
    hub.system.open_gates();
    gate.add_permits(1000);
    stopping.await.expect("it stops");
    let third = start(&hub.beside()).await;
    let run = followed.await.expect("no panic").expect("the store").expect("the run");
    assert_eq!((run.state.as_str(), count(&hub).await), ("done", 120));
    third.stop().await;
}

#[tokio::test]
async fn queued_work_of_a_daemon_that_is_gone_is_done_by_another() {
    let hub = Hub::with(quick).await;
    hub.system.full("brands", [page([])]);
    hub.build_products_waiting().await;
    kopru::hub::messages::claim(hub.pool(), Uuid::now_v7(), 100, Duration::from_millis(500)).await.expect("claimed");
    let daemon = start(&hub.engine).await;
    eventually("it is done", || async { hub.count("commerce.product").await == 1 }).await;
    daemon.stop().await;
    assert_eq!(
        hub.row("select claims, attempts from hub.message_history where kind = 'document'").await,
        json!({ "claims": 2, "attempts": 1 })
    );
}

#[tokio::test]
async fn a_requested_run_is_handed_to_a_daemon() {
    let hub = Hub::with(quick).await;
    hub.system.full("brands", many(2));
    let daemon = start(&hub.engine).await;
    eventually("the first load is done", || async { count(&hub).await == 20 }).await;
    hub.system.changes("brands", [brands(20..30)]);
    let id = ask(&hub, "brands", Pass::Incremental).await;
    let run = ends(&hub, id).await;
    assert_eq!((run.state.as_str(), run.trigger.as_str(), run.created), ("done", "manual", 10));
    daemon.stop().await;
}

#[tokio::test]
async fn a_requested_run_whose_stream_is_busy_keeps_nobody_waiting() {
    let hub = Hub::with(|build| {
        quick(build);
        build.polled = &["brands", "warehouses"];
        build.settings.lease = Duration::from_secs(30);
    })
    .await;
    // Somebody else polls the brands and takes his time.
    hub.execute(
        "insert into hub.lease (name, owner, expires_at) values ('stream:erp.brands', gen_random_uuid(), 'infinity')",
    )
    .await;
    let stuck = ask(&hub, "brands", Pass::Full).await;
    let free = ask(&hub, "warehouses", Pass::Full).await;
    let daemon = start(&hub.engine).await;
    assert_eq!(ends(&hub, free).await.state, RunState::Done.as_str());
    assert_eq!(run_of(&hub, stuck).await.state, RunState::Requested.as_str());
    hub.execute("delete from hub.lease where name = 'stream:erp.brands'").await;
    assert_eq!(ends(&hub, stuck).await.state, RunState::Done.as_str());
    daemon.stop().await;
}

#[tokio::test]
async fn an_exclusive_instance_is_called_by_one_daemon_only() {
    let hub = Hub::with(|build| {
        build.polled = &["brands", "warehouses"];
        build.exclusive = true;
    })
    .await;
    let system = Arc::new(System::default());
    let other = hub.build.engine(hub.pool(), &system, ERP);
    let one = start(&hub.engine).await;
    eventually("it is loaded", || async { hub.count("hub.run where state = 'done'").await == 2 }).await;
    let two = start(&other).await;
    let id = ask(&hub, "warehouses", Pass::Full).await;
    assert_eq!(ends(&hub, id).await.state, "done");
    assert!(system.pulls().is_empty(), "the other one never called");
    // The one that holds it leaves: the other one has it at once.
    one.stop().await;
    let id = ask(&hub, "warehouses", Pass::Full).await;
    assert_eq!(ends(&hub, id).await.state, "done");
    assert_eq!(system.pulls().len(), 1);
    two.stop().await;
}

#[tokio::test]
async fn a_paused_stream_is_left_alone_until_it_is_resumed() {
    let hub = Hub::with(quick).await;
    hub.system.full("brands", many(1));
    let names = ["brands".to_owned()];
    streams::pause(hub.pool(), ERP, &names, "person", "stock-taking").await.expect("paused");
    streams::pause(hub.pool(), ERP, &names, "person", "another reason").await.expect("paused");
    let row = streams::get(hub.pool(), ERP, "brands").await.expect("the store").expect("the stream");
    assert_eq!(row.paused_reason.as_deref(), Some("stock-taking"), "the first reason stays");
    let daemon = start(&hub.engine).await;
    // What a person asks for is done all the same; its end shows that the schedule was looked at meanwhile.
    let id = ask(&hub, "brands", Pass::Full).await;
    assert_eq!(ends(&hub, id).await.created, 10);
    assert_eq!(hub.count("hub.run where trigger <> 'manual'").await, 0);
    hub.execute("update hub.stream set last_started_at = null, last_full_at = null").await;
    assert_eq!(streams::resume(hub.pool(), ERP, &names).await.expect("resumed"), 1);
    eventually("it is polled", || async { hub.count("hub.run where trigger = 'schedule'").await >= 1 }).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_stream_is_polled_again_when_its_period_is_over() {
    let hub = Hub::with(|build| {
        quick(build);
        build.every = Duration::from_millis(100);
    })
    .await;
    hub.system.full("brands", many(1));
    hub.system.changes("brands", [brands(10..11)]);
    let daemon = start(&hub.engine).await;
    eventually("changes are read", || async { count(&hub).await == 11 }).await;
    daemon.stop().await;
    let first = hub.rows("select pass, trigger from hub.run order by id limit 2").await;
    assert_eq!(first[0], json!({ "pass": "full", "trigger": "schedule" }));
    assert_eq!(first[1], json!({ "pass": "incremental", "trigger": "schedule" }));
}

#[tokio::test]
async fn a_full_pass_that_was_refused_before_its_first_page_is_made_up_for() {
    let hub = Hub::with(|build| {
        quick(build);
        build.every = Duration::from_millis(100);
    })
    .await;
    assert_eq!(hub.full("brands", many(2)).await.state, "done");
    // A first page that cannot be read leaves no cursor.
    hub.system.full("brands", ["<html>Bad gateway</html>".to_owned()]);
    let refused = hub.run("brands", Pass::Full).await;
    assert_eq!((refused.state.as_str(), refused.pages), ("failed", 0));
    hub.system.full("brands", many(4));
    streams::resume(hub.pool(), ERP, &["brands".to_owned()]).await.expect("resumed");
    let daemon = start(&hub.engine).await;
    eventually("the whole pass is made", || async { count(&hub).await == 40 }).await;
    daemon.stop().await;
    // What is owed is owed once.
    assert!(!runs::owes_full(hub.pool(), ERP, "brands").await.expect("the store"));
}

#[tokio::test]
async fn an_outage_during_a_pass_costs_no_record() {
    let hub = Hub::with(quick).await;
    hub.system.full("brands", many(8));
    let gate = hub.system.gate("brands", 4);
    let daemon = start(&hub.engine).await;
    eventually("half of it is there", || async { count(&hub).await == 40 }).await;
    hub.system.set_down(true);
    hub.system.open_gates();
    gate.add_permits(1000);
    eventually("the run is interrupted", || async { hub.count("hub.run where state = 'interrupted'").await == 1 })
        .await;
    hub.system.set_down(false);
    eventually("the rest comes", || async { count(&hub).await == 80 }).await;
    daemon.stop().await;
    assert_eq!(hub.count("hub.dead_letter").await, 0);
}

#[tokio::test]
async fn connections_that_are_cut_cost_the_queue_nothing() {
    let hub = Hub::with(|build| {
        quick(build);
        build.settings.batch = 50;
    })
    .await;
    let loader = Build::default().engine(hub.pool(), &hub.system, ERP);
    let records = (0..1000).map(|n| json!({ "code": format!("P{n:04}"), "name": "p", "brand": "X" }));
    hub.system.full("products", [page(records)]);
    hub.run_by(&loader, "products", Pass::Full, false).await;
    hub.system.full("brands", [page([json!({ "code": "X", "name": "x" })])]);
    let daemon = start(&hub.engine).await;
    for part in [1, 300, 600] {
        eventually("it gets on", || async { hub.count("commerce.product").await >= part }).await;
        hub.database.cut_connections().await;
    }
    eventually("all are there", || async { hub.count("commerce.product").await == 1000 }).await;
    eventually("nothing is left in hand", || async { hub.count("hub.message").await == 0 }).await;
    daemon.stop().await;
    assert_eq!(hub.count("hub.dead_letter").await, 0);
    assert_eq!(hub.count("hub.outbox_event where type = 'product.updated'").await, 1000, "nothing twice");
}

#[tokio::test]
async fn a_graceful_stop_gives_back_what_it_holds() {
    let hub = Hub::with(quick).await;
    hub.system.full("brands", many(5));
    let gate = hub.system.gate("brands", 2);
    let daemon = start(&hub.engine).await;
    eventually("two pages are applied", || async { count(&hub).await == 20 }).await;
    tokio::time::timeout(Duration::from_secs(60), daemon.stop()).await.expect("soon");
    drop(gate);
    assert_eq!(hub.count("hub.lease").await + hub.count("hub.daemon").await, 0);
    assert_eq!(hub.row("select state from hub.run").await["state"], "interrupted");
    assert_eq!(count(&hub).await, 20);
}

impl Hub {
    /// A product that waits and may go in now.
    async fn build_products_waiting(&self) {
        let library = Build::default();
        let engine = library.engine(self.pool(), &self.system, ERP);
        self.system.full("products", [page([json!({ "code": "P", "name": "p", "brand": "X" })])]);
        self.run_by(&engine, "products", Pass::Full, false).await;
        self.system.full("brands", [page([json!({ "code": "X", "name": "x" })])]);
        self.run_by(&engine, "brands", Pass::Full, false).await;
        assert_eq!(self.count("hub.message where state = 'received'").await, 1);
    }
}
