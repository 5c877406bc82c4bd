//! Runs: page by page, over faults, stops and crashes, without losing a record.

use std::time::Duration;

use kopru::hub::{
    breaker, cursors, pull,
    runs::{self, NewRun, Run},
    scheduler,
    states::{BreakerState, Trigger},
    streams,
};
use kopru_sdk::{Fault, Pass};
use serde_json::{Value, json};

use crate::support::{
    courier::down,
    hub::{ERP, Hub, eventually},
    system::page,
};

fn brands(range: std::ops::Range<usize>) -> String {
    page(range.map(|n| json!({ "code": format!("B{n:04}"), "version": 1, "name": format!("Brand {n}") })))
}

/// `pages` pages of ten.
fn many(pages: usize) -> Vec<String> {
    (0..pages).map(|n| brands(n * 10..n * 10 + 10)).collect()
}

async fn count(hub: &Hub) -> i64 {
    hub.count("commerce.brand").await
}

async fn cursor(hub: &Hub, pass: Pass) -> Option<Value> {
    cursors::read(hub.pool(), ERP, "brands", pass).await.expect("the store").map(|at| at.cursor.0)
}

/// A run that is going on beside the test.
async fn begin(hub: &Hub, pass: Pass) -> (uuid::Uuid, tokio::task::JoinHandle<()>) {
    let engine = hub.engine.clone();
    let new = NewRun { connector: ERP, stream: "brands", pass, trigger: Trigger::Manual, dry_run: false, since: None };
    let id = runs::create(hub.pool(), &new, None).await.expect("a run");
    let going = tokio::spawn(async move {
        scheduler::run_alone(&engine, id).await.expect("the run ends");
    });
    (id, going)
}

async fn run_of(hub: &Hub, id: uuid::Uuid) -> Run {
    runs::get(hub.pool(), id).await.expect("the store").expect("the run")
}

#[tokio::test]
async fn a_pass_of_many_pages_reads_ahead_but_not_far() {
    let hub = Hub::new().await;
    hub.system.full("brands", many(30));
    // The first page cannot be applied as long as its brand is locked.
    hub.execute("create table blocker ()").await;
    let mut lock = hub.pool().begin().await.expect("a transaction");
    sqlx::raw_sql("lock table commerce.brand in access exclusive mode").execute(&mut *lock).await.expect("locked");
    let (id, going) = begin(&hub, Pass::Full).await;
    eventually("pages are read ahead", || async { hub.system.pulls().len() == 3 }).await;
    assert_eq!(run_of(&hub, id).await.pages, 0);
    lock.rollback().await.expect("unlocked");
    going.await.expect("ended");
    let run = run_of(&hub, id).await;
    assert_eq!((run.state.as_str(), run.pages, run.created, run.expected), ("done", 30, 300, Some(30)));
    let pulls = hub.system.pulls();
    assert_eq!(pulls.len(), 30);
    assert!(pulls[0].first && pulls[0].cursor.is_none() && !pulls[1].first);
    assert_eq!(pulls[29].cursor, Some(json!({ "page": 29 })));
}

#[tokio::test]
async fn a_fault_in_mid_run_is_tried_again() {
    let hub = Hub::new().await;
    hub.system.fail([down(), Fault::RateLimited { wait: None, detail: "slow down".to_owned() }]);
    let run = hub.full("brands", many(5)).await;
    assert_eq!((run.state.as_str(), run.created), ("done", 50));
    assert_eq!(hub.system.pulls().len(), 7);
    assert_eq!(breaker::state(hub.pool(), ERP).await.expect("the breaker"), BreakerState::Closed);
}

#[tokio::test]
async fn when_the_breaker_opens_the_run_stops_and_the_next_goes_on() {
    let hub = Hub::new().await;
    let gate = hub.system.gate("brands", 3);
    hub.system.full("brands", many(10));
    let (id, going) = begin(&hub, Pass::Full).await;
    eventually("three pages are applied", || async { count(&hub).await == 30 }).await;
    hub.system.set_down(true);
    gate.add_permits(1000);
    going.await.expect("ended");
    let run = run_of(&hub, id).await;
    assert_eq!((run.state.as_str(), run.cause.as_deref(), run.created), ("interrupted", Some("remote"), 30));
    assert!(run.error.is_some_and(|error| error.contains("circuit breaker") && error.contains("connection refused")));
    assert_eq!(cursor(&hub, Pass::Full).await, Some(json!({ "page": 3 })));
    assert_eq!(breaker::state(hub.pool(), ERP).await.expect("the breaker"), BreakerState::Open);

    // While it is open nobody calls.
    let calls = hub.system.pulls().len();
    let refused = hub.run("brands", Pass::Full).await;
    assert_eq!((refused.state.as_str(), hub.system.pulls().len()), ("interrupted", calls));

    hub.system.set_down(false);
    breaker::close(hub.pool(), ERP).await.expect("closed");
    let run = hub.run("brands", Pass::Full).await;
    assert_eq!((run.state.as_str(), run.pages, run.created), ("done", 7, 70));
    assert_eq!(hub.system.pulls()[calls].cursor, Some(json!({ "page": 3 })));
    assert_eq!(count(&hub).await, 100);
}

#[tokio::test]
async fn a_page_that_cannot_be_read_stops_the_stream_for_a_person() {
    let hub = Hub::new().await;
    let run = hub.full("brands", [brands(0..10), "<html>Bad gateway</html>".to_owned(), brands(10..20)]).await;
    assert_eq!((run.state.as_str(), run.cause.as_deref(), run.created), ("failed", Some("contract"), 10));
    let row = streams::get(hub.pool(), ERP, "brands").await.expect("the store").expect("the stream");
    assert_eq!((row.paused_cause.as_deref(), row.failures_in_a_row), (Some("contract"), 1));
    assert_eq!(cursor(&hub, Pass::Full).await, Some(json!({ "page": 1 })), "it goes on at the page that was bad");
    // Cut off in the middle it is no better.
    let run = hub.full("brands", [brands(0..10), brands(10..20)[..300].to_owned()]).await;
    assert_eq!((run.state.as_str(), run.created), ("failed", 0));
}

#[tokio::test]
async fn refused_credentials_stop_the_run_and_pause_the_instance() {
    let hub = Hub::new().await;
    hub.system.fail([Fault::Unauthenticated { detail: "the password has changed".to_owned() }]);
    let run = hub.full("brands", many(1)).await;
    assert_eq!((run.state.as_str(), run.cause.as_deref()), ("failed", Some("credential")));
    assert_eq!(hub.count("hub.stream where paused_cause = 'credential'").await, 6);
    assert_eq!(hub.system.pulls().len(), 1, "a refused password is not tried again");
}

#[tokio::test]
async fn a_record_that_can_never_come_pauses_its_stream_alone() {
    let hub = Hub::new().await;
    hub.system.fail([Fault::too_large("one record of brands alone is larger than 32 MiB")]);
    let run = hub.full("brands", many(1)).await;
    assert_eq!((run.state.as_str(), run.cause.as_deref()), ("failed", Some("data")));
    let paused = hub
        .rows(
            "select stream, paused_cause as cause, paused_reason as reason from hub.stream where paused_at is not null",
        )
        .await;
    assert_eq!(
        paused,
        [json!({ "stream": "brands", "cause": "data", "reason": "one record of brands alone is larger than 32 MiB" })]
    );
    assert!(!streams::is_cut_off(hub.pool(), ERP).await.expect("the store"), "the others go on");
    assert_eq!(hub.full("warehouses", [page([])]).await.state, "done");
    // A dry run looks and pauses nothing.
    streams::resume(hub.pool(), ERP, &["brands".to_owned()]).await.expect("resumed");
    hub.system.fail([Fault::too_large("still")]);
    hub.run_by(&hub.engine, "brands", Pass::Full, true).await;
    assert_eq!(hub.count("hub.stream where paused_at is not null").await, 0);
    assert_eq!(hub.full("brands", many(1)).await.state, "done");
}

#[tokio::test]
async fn rows_that_come_again_on_the_next_page_are_counted_and_not_written() {
    let hub = Hub::new().await;
    let run = hub.full("brands", [brands(0..10), brands(5..15), brands(10..20)]).await;
    assert_eq!((run.records, run.created, run.unchanged), (30, 20, 10));
    assert_eq!(hub.count("hub.external_ref").await, 20);
}

#[tokio::test]
async fn an_incremental_pass_begins_where_the_last_ended_and_says_so() {
    let hub = Hub::new().await;
    hub.full("brands", many(2)).await;
    hub.changes("brands", [brands(0..1), brands(1..2)]).await;
    hub.changes("brands", [page([])]).await;
    let asked: Vec<Value> = hub.system.pulls().iter().map(|pull| json!([pull.pass, pull.cursor, pull.first])).collect();
    assert_eq!(
        asked,
        [
            json!(["full", null, true]),
            json!(["full", { "page": 1 }, false]),
            json!(["incremental", { "mark": 1 }, true]),
            json!(["incremental", { "page": 1 }, false]),
            json!(["incremental", { "mark": 1 }, true]),
        ]
    );
    assert_eq!(cursor(&hub, Pass::Incremental).await, Some(json!({ "mark": 0 })));
    assert_eq!(cursor(&hub, Pass::Full).await, None);
}

#[tokio::test]
async fn pages_without_effect_move_the_cursor_too() {
    let hub = Hub::new().await;
    hub.full("brands", many(3)).await;
    let run = hub.full("brands", many(3)).await;
    assert_eq!((run.state.as_str(), run.pages, run.records, run.unchanged), ("done", 3, 30, 30));
    let row = streams::get(hub.pool(), ERP, "brands").await.expect("the store").expect("the stream");
    assert!(row.last_full_at >= row.last_started_at && row.last_success_at.is_some());
}

#[tokio::test]
async fn what_an_interrupted_run_had_counted_stays() {
    let hub = Hub::new().await;
    hub.full("brands", many(4)).await;
    hub.system.fail([Fault::contract("the period is closed")]);
    // Two pages that change nothing, then the fault: the first answer of the script is kept back until they are read.
    let gate = hub.system.gate("brands", 0);
    gate.add_permits(1);
    let run = hub.run("brands", Pass::Full).await;
    assert_eq!((run.state.as_str(), run.pages), ("failed", 0));
    hub.system.open_gates();
    streams::resume(hub.pool(), ERP, &["brands".to_owned()]).await.expect("resumed");
    let run = hub.full("brands", [brands(0..10), brands(10..20), "not a page".to_owned()]).await;
    assert_eq!((run.state.as_str(), run.pages, run.unchanged), ("failed", 2, 20));
}

#[tokio::test]
async fn a_dry_run_writes_nothing_but_its_counters() {
    let hub = Hub::new().await;
    hub.full("brands", [brands(0..10)]).await;
    let (before, at) = (hub.footprint().await, cursor(&hub, Pass::Incremental).await);
    let streams_before = hub.rows("select * from hub.stream").await;
    hub.system.full(
        "brands",
        [brands(5..20), page([json!({ "code": "bad" }), json!({ "code": "B0001", "version": 2, "name": "new" })])],
    );
    let run = hub.run_by(&hub.engine, "brands", Pass::Full, true).await;
    assert_eq!((run.state.as_str(), run.dry_run, run.records), ("done", true, 17));
    assert_eq!((run.created, run.updated, run.unchanged, run.failed), (10, 1, 5, 1));
    assert_eq!(hub.footprint().await, before);
    assert_eq!(cursor(&hub, Pass::Incremental).await, at);
    assert_eq!(cursor(&hub, Pass::Full).await, None);
    assert_eq!(hub.rows("select * from hub.stream").await, streams_before);
}

#[tokio::test]
async fn a_run_that_lost_its_stream_writes_nothing_more() {
    let hub = Hub::new().await;
    let gate = hub.system.gate("brands", 1);
    hub.system.full("brands", many(3));
    let (id, going) = begin(&hub, Pass::Full).await;
    eventually("a page is applied", || async { count(&hub).await == 10 }).await;
    hub.execute("update hub.lease set owner = gen_random_uuid()").await;
    gate.add_permits(1000);
    going.await.expect("ended");
    let run = run_of(&hub, id).await;
    assert_eq!((run.state.as_str(), run.created), ("interrupted", 10));
    assert_eq!(count(&hub).await, 10);
    assert_eq!(cursor(&hub, Pass::Full).await, Some(json!({ "page": 1 })));
    let row = streams::get(hub.pool(), ERP, "brands").await.expect("the store").expect("the stream");
    assert_eq!(row.failures_in_a_row, 0, "somebody else goes on with it");
}

#[tokio::test]
async fn a_stop_ends_the_run_behind_the_page_in_hand() {
    let hub = Hub::new().await;
    let gate = hub.system.gate("brands", 2);
    hub.system.full("brands", many(10));
    let (id, going) = begin(&hub, Pass::Full).await;
    eventually("two pages are applied", || async { count(&hub).await == 20 }).await;
    hub.engine.stop.cancel();
    tokio::time::timeout(Duration::from_secs(60), going).await.expect("soon").expect("ended");
    drop(gate);
    let run = run_of(&hub, id).await;
    assert_eq!((run.state.as_str(), run.created), ("interrupted", 20));
    assert_eq!(cursor(&hub, Pass::Full).await, Some(json!({ "page": 2 })));
    assert_eq!(hub.count("hub.lease").await, 0);
}

#[tokio::test]
async fn the_last_page_of_a_pass_ends_it_in_one_transaction() {
    let hub = Hub::new().await;
    hub.system.full("brands", many(2));
    // A crash right behind the commit of the last page: nothing that follows it is written.
    hub.execute(
        "create function no_end() returns trigger language plpgsql as $$ begin
             if new.state in ('done', 'failed') then raise exception 'the process is gone'; end if; return new; end $$;
         create trigger no_end before update on hub.run for each row execute function no_end()",
    )
    .await;
    let instance = hub.engine.instance(ERP).expect("the instance");
    assert!(scheduler::may_poll(&hub.engine, instance, "brands").await.expect("leases"));
    let new = NewRun {
        connector: ERP,
        stream: "brands",
        pass: Pass::Full,
        trigger: Trigger::Manual,
        dry_run: false,
        since: None,
    };
    let id = runs::create(hub.pool(), &new, Some(hub.engine.id)).await.expect("a run");
    assert!(pull::work(&hub.engine, &run_of(&hub, id).await, &hub.engine.stop).await.is_err());
    assert_eq!(cursor(&hub, Pass::Full).await, None);
    assert_eq!(cursor(&hub, Pass::Incremental).await, Some(json!({ "mark": 1 })));
    hub.execute("drop trigger no_end on hub.run").await;
    let run = hub.run("brands", Pass::Full).await;
    assert_eq!((run.state.as_str(), run.unchanged), ("done", 20));
}

#[tokio::test]
async fn connections_that_are_cut_cost_a_run_nothing() {
    let hub = Hub::new().await;
    hub.system.full("brands", many(60));
    let (id, going) = begin(&hub, Pass::Full).await;
    for n in 1..=4 {
        eventually("it gets on", || async { count(&hub).await >= n * 100 }).await;
        hub.database.cut_connections().await;
    }
    going.await.expect("ended");
    let run = run_of(&hub, id).await;
    assert_eq!((run.state.as_str(), run.error), ("done", None));
    assert_eq!(count(&hub).await, 600);
    assert_eq!(hub.count("hub.message_item where outcome = 'created'").await, 600, "nothing twice");
}

#[tokio::test]
async fn two_instances_that_load_the_same_codes_at_once_share_the_records() {
    let hub = Hub::new().await;
    let system = std::sync::Arc::new(crate::support::system::System::default());
    let shop = hub.build.engine(hub.pool(), &system, "shop");
    let pages: Vec<String> = (0..6).map(|n| brands(n * 50..n * 50 + 50)).collect();
    hub.system.full("brands", pages.clone());
    // The other way round, so that they meet.
    system.full("brands", pages.into_iter().rev());
    let (one, two) = tokio::join!(hub.run("brands", Pass::Full), hub.run_by(&shop, "brands", Pass::Full, false));
    assert_eq!((one.state.as_str(), two.state.as_str()), ("done", "done"));
    assert_eq!(hub.count("hub.dead_letter").await, 0);
    assert_eq!((count(&hub).await, hub.count("hub.external_ref").await), (300, 600));
    assert_eq!(one.failed + two.failed, 0);
    assert_eq!(one.created + two.created, 300);
}

#[tokio::test]
async fn a_connector_that_panics_is_a_failure_of_ours() {
    let hub = Hub::new().await;
    hub.system.full("brands", many(2));
    // The scripted system panics when its gate is closed under it.
    hub.system.gate("brands", 1).close();
    let run = hub.run("brands", Pass::Full).await;
    assert_eq!((run.state.as_str(), run.cause.as_deref(), run.created), ("failed", Some("ours"), 10));
    let row = streams::get(hub.pool(), ERP, "brands").await.expect("the store").expect("the stream");
    assert_eq!(row.failures_in_a_row, 1);
}
