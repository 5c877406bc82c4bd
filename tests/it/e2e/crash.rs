//! kill -9 of the daemon at random moments under load: nothing lost, nothing twice, taken over by another.

use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use rustix::process::Signal;
use serde_json::json;

use super::installation::{CATALOGUE, EVERYTHING_LOADED, Installation, STREAMS, Setup};
use crate::support::soak;

/// How often the daemon is killed.
fn points() -> u32 {
    if soak() { 100 } else { 10 }
}

/// Leases that run out quickly, so that a killed daemon's work is free again soon.
fn brittle(items: u64) -> Setup {
    Setup::items(items).set("retry.lease_secs", 2).set("retry.heartbeat_secs", 1)
}

/// Kills daemons, each at a random moment of its life; the last one may live.
async fn kill_again_and_again(hub: &Installation, seed: u64, mut between: impl AsyncFnMut(&Installation, u32)) {
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for point in 0..points() {
        let mut daemon = hub.launch();
        between(hub, point).await;
        tokio::time::sleep(Duration::from_millis(random.random_range(150..3_000))).await;
        daemon.kill();
        // At any moment, not only at the end.
        hub.audit().await;
    }
}

#[tokio::test]
async fn a_first_load_survives_kills_at_any_moment() {
    let hub = brittle(1_500).logo("sql_page", 20).every(&CATALOGUE, 2).only(&CATALOGUE).start().await;
    let slow = json!([{"match": {"path": "/api/v1/queries/unsafe"}, "do": "latency", "value": 80}]);
    hub.sandbox.faults(slow).await;
    kill_again_and_again(&hub, 20_261_121, async |_, _| {}).await;

    hub.sandbox.faults(json!([])).await;
    let daemon = hub.daemon().await;
    hub.until("the first load is complete", "select count(*) >= 4 from hub.stream where last_full_at is not null")
        .await;
    drop(daemon);
    hub.expect_all_of(&CATALOGUE).await;
    let twice = "select count(*) from commerce.product where revision > 1";
    assert_eq!(hub.number(twice).await, 0, "cards that nobody changed were changed");
}

#[tokio::test]
async fn changes_survive_kills_at_any_moment() {
    let hub = brittle(400).logo("sql_page", 25).every(&STREAMS, 1).start().await;
    hub.load(&STREAMS);
    let slow = json!([{"match": {"path": "/api/v1/queries/unsafe"}, "do": "latency", "value": 25}]);
    hub.sandbox.faults(slow).await;
    let before = hub.number("select count(*) from commerce.product").await;

    kill_again_and_again(&hub, 20_261_122, async |hub, point| {
        // All cards and all stock in one second, single ones, and new ones.
        let sort = ["items", "prices", "stock", "customers"][point as usize % 4];
        hub.sandbox.change(json!({"mutateAll": {"stream": sort, "salt": point + 1}})).await;
        hub.sandbox.change(json!({"insert": {"items": 3}, "touch": {"from": 1, "to": 60}})).await;
    })
    .await;

    hub.sandbox.faults(json!([])).await;
    let daemon = hub.daemon().await;
    hub.until(
        "a quiet round of every stream",
        "select count(distinct stream) = 7 from hub.run
         where state = 'done' and created + updated + deferred = 0 and stream not in ('orders', 'invoices', 'ledger')
           and started_at > (select max(finished_at) from hub.run
                             where state = 'interrupted' or created + updated + deferred > 0)",
    )
    .await;
    daemon.stop();
    hub.expect_all_of(&STREAMS).await;
    assert_eq!(hub.number("select count(*) from commerce.product").await, before + 3 * i64::from(points()));
}

#[tokio::test]
async fn a_killed_daemons_work_is_taken_over_within_fifteen_seconds() {
    // With the leases of an ordinary installation.
    let hub = Setup::items(1_000).logo("sql_page", 10).only(&CATALOGUE).start().await;
    let slow = json!([{"match": {"path": "/api/v1/queries/unsafe"}, "do": "latency", "value": 150}]);
    hub.sandbox.faults(slow).await;
    let mut first = hub.daemon().await;
    hub.until("items come in", "select count(*) > 50 from commerce.product").await;
    let second = hub.daemon().await;
    let done = hub.number("select count(*) from commerce.product").await;
    first.process.kill();
    let since = Instant::now();
    hub.until(
        "the other daemon goes on where the first one was",
        "select count(*) > 0 from hub.run where trigger = 'resume' and created > 0",
    )
    .await;
    let taken = since.elapsed();
    assert!(taken < Duration::from_secs(15), "{taken:?}");
    assert!(hub.number("select count(*) from commerce.product").await > done);
    let again = "select count(*) from hub.run where trigger = 'resume' and unchanged > 10";
    assert_eq!(hub.number(again).await, 0, "it began anew: {}", hub.picture().await);

    hub.sandbox.faults(json!([])).await;
    hub.until("the load is complete", "select count(*) = 4 from hub.stream where last_full_at is not null").await;
    second.stop();
    hub.expect_all_of(&["items"]).await;
}

#[tokio::test]
async fn two_daemons_share_the_streams_and_never_poll_one_together() {
    let hub = Setup::items(300).logo("sql_page", 20).every(&STREAMS, 1).start().await;
    let (first, second) = tokio::join!(hub.daemon(), hub.daemon());
    hub.until("both are there", "select count(*) = 2 from hub.daemon").await;
    hub.until("everything is loaded", EVERYTHING_LOADED).await;
    hub.sandbox.change(json!({"mutateAll": {"salt": 5}})).await;
    hub.until("the change is there", "select count(*) = 300 from commerce.product where revision = 2").await;
    let together = hub
        .texts(
            "select concat_ws(' ', a.stream, a.id, b.id) from hub.run a join hub.run b
                 on a.stream = b.stream and a.id < b.id and b.started_at < coalesce(a.finished_at, 'infinity')",
        )
        .await;
    assert!(together.is_empty(), "{together:?}");
    // LOGO has one seat for us: one daemon at a time calls it.
    let callers = "select count(distinct owner) from hub.run";
    assert_eq!(hub.number(callers).await, 1, "{}", hub.picture().await);

    // The one that calls goes down in good order, and the other one goes on at once.
    let owner =
        "select pid::bigint from hub.daemon where id = (select owner from hub.lease where name = 'connector:logo')";
    let caller = hub.number(owner).await;
    let (mut leaving, staying) =
        if i64::from(first.process.id()) == caller { (first, second) } else { (second, first) };
    leaving.process.signal(Signal::TERM);
    assert!(leaving.process.ended().success());
    let since = Instant::now();
    hub.until("the other one polls", "select count(distinct owner) = 2 from hub.run").await;
    assert!(since.elapsed() < Duration::from_secs(8), "it waited for the lease to run out: {:?}", since.elapsed());
    staying.stop();
    hub.audit().await;
}
