//! PostgreSQL goes away under load.

use std::time::Duration;

use rustix::process::{Signal, kill_process};
use serde_json::json;

use super::installation::{CATALOGUE, EVERYTHING_LOADED, STREAMS, Setup};

#[tokio::test]
async fn connections_cut_under_load_lose_nothing() {
    let hub = Setup::items(600).logo("sql_page", 20).every(&STREAMS, 1).start().await;
    let slow = json!([{"match": {"path": "/api/v1/queries/unsafe"}, "do": "latency", "value": 20}]);
    hub.sandbox.faults(slow).await;
    let daemon = hub.daemon().await;
    for round in 1..=12 {
        // As an administrator does it, or a server that restarts: every connection at once, in the middle of anything.
        let cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                   where datname = current_database() and pid <> pg_backend_pid() and application_name = 'kopru'";
        hub.number(cut).await;
        if round % 4 == 0 {
            hub.sandbox.change(json!({"mutateAll": {"salt": round}})).await;
        }
        tokio::time::sleep(Duration::from_millis(350)).await;
    }
    hub.sandbox.faults(json!([])).await;
    hub.until("everything is loaded", EVERYTHING_LOADED).await;
    hub.until(
        "a quiet round of every stream",
        "select count(distinct stream) = 7 from hub.run
         where state = 'done' and created + updated + deferred = 0 and stream not in ('orders', 'invoices', 'ledger')
           and started_at > (select max(coalesce(finished_at, 'infinity')) from hub.run where created + updated + deferred > 0)",
    )
    .await;
    daemon.stop();
    hub.expect_all_of(&STREAMS).await;
}

#[tokio::test]
async fn a_private_server_killed_under_load_is_started_again_and_nothing_is_lost() {
    let hub = Setup::items(600).set("database.url", "").logo("sql_page", 20).every(&CATALOGUE, 1).only(&CATALOGUE);
    let hub = hub.start().await;
    let slow = json!([{"match": {"path": "/api/v1/queries/unsafe"}, "do": "latency", "value": 40}]);
    hub.sandbox.faults(slow).await;
    let daemon = hub.daemon().await;
    for round in 1..=3 {
        tokio::time::sleep(Duration::from_millis(900)).await;
        if let [server] = hub.kopru.servers()[..] {
            // It may be between two lives.
            let _ = kill_process(server, Signal::KILL);
        }
        hub.sandbox.change(json!({"mutateAll": {"salt": round}})).await;
    }
    hub.sandbox.faults(json!([])).await;
    let since = std::time::Instant::now();
    loop {
        let run = hub.run(&["sync", "run", "logo.items", "--full", "--dry-run", "--json"]);
        let run: serde_json::Value = serde_json::from_str(&run.stdout).unwrap_or_default();
        if run["unchanged"] == 600 {
            assert_eq!((&run["created"], &run["updated"], &run["failed"]), (&0.into(), &0.into(), &0.into()), "{run}");
            break;
        }
        assert!(since.elapsed() < super::process::PATIENCE, "{run}");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let letters = hub.run(&["dead-letters", "list", "--json"]).expect(0).json();
    assert_eq!(letters["totalCount"], 0, "{letters}");
    daemon.stop();
    assert_eq!(hub.kopru.servers(), []);
}
