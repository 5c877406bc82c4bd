//! LOGO is down: its breaker opens and is seen, nothing is given up, and everything is there once it is back.

use serde_json::{Value, json};

use super::installation::{CATALOGUE, Setup};

#[tokio::test]
async fn an_outage_with_five_thousand_changes_waiting_costs_no_dead_letter() {
    let mut hub = Setup::items(5_000).logo("sql_page", 500).every(&CATALOGUE, 1).set("retry.probe_secs", 1);
    hub = hub.only(&CATALOGUE);
    let mut hub = hub.start().await;
    hub.load(&CATALOGUE);
    hub.sandbox.change(json!({"mutateAll": {"salt": 7}})).await;
    hub.sandbox.kill();

    let daemon = hub.daemon().await;
    hub.until("the breaker is open", "select exists (select from hub.breaker where state <> 'closed')").await;
    let since = hub.number("select extract(epoch from clock_timestamp())::bigint").await;

    // Seen from outside.
    let ready = reqwest::get(format!("{}/health/ready", daemon.address)).await.expect("an answer");
    assert_eq!(ready.status(), 200);
    let ready: Value = serde_json::from_str(&ready.text().await.expect("a body")).expect("JSON");
    assert_eq!((&ready["status"], &ready["openBreakers"][0]["connector"]), (&"degraded".into(), &"logo".into()));
    hub.until("a stream tells why", "select exists (select from hub.stream where last_error like '%breaker%')").await;
    let list = hub.run(&["sync", "list", "--json"]).expect(0).json();
    let told: Vec<&Value> = list["items"].as_array().expect("a list").iter().collect();
    assert!(
        told.iter().any(|stream| stream["state"] == "failing"
            && stream["lastError"].as_str().is_some_and(|error| error.contains("logo is down"))),
        "{list}"
    );
    let shown = hub.run(&["sync", "list"]).expect(0).stdout;
    assert!(shown.contains("logo is down (circuit breaker open after:"), "{shown}");

    // The metrics do not lag behind: the gauges are read every 10 s, the breakers when they are asked for.
    let metrics = reqwest::get(format!("{}/metrics", daemon.address)).await.expect("an answer");
    let metrics = metrics.text().await.expect("a body");
    assert!(metrics.contains("kopru_breaker_open{connector=\"logo\"} 1"), "{metrics}");

    // Down for a while: probes come and go, nothing else is tried.
    hub.until("it was probed a few times", "select max(faults_in_a_row) >= 6 from hub.breaker").await;
    let tried = "select count(*) from hub.run where started_at > to_timestamp($1::float8) + interval '1 second'";
    let tried: i64 = sqlx::query_scalar(tried).bind(since as f64).fetch_one(&hub.database.pool).await.expect("a count");
    assert_eq!(tried, 0, "runs were started against an open breaker: {}", hub.picture().await);
    hub.expect_nothing_open().await;

    // It is back where it was: what was written to it outlived its own kill -9.
    let kopru = &hub.kopru;
    hub.sandbox.restart(kopru).await;
    hub.until("the breaker is closed", "select bool_and(state = 'closed') from hub.breaker").await;
    hub.until("all changes are there", "select count(*) = 5000 from commerce.product where revision = 2").await;
    hub.until("no stream is failing", "select bool_and(failures_in_a_row = 0) from hub.stream").await;
    daemon.stop();
    hub.expect_all_of(&["items"]).await;
}

#[tokio::test]
async fn a_run_by_hand_finds_out_that_a_system_is_back() {
    let hub = Setup::items(50).set("retry.probe_secs", 1).start().await;
    let down = json!([{"match": {"path": "/api"}, "do": "status", "value": 503}]);
    hub.sandbox.faults(down).await;
    let run = hub.run(&["sync", "run", "logo.brands"]).expect(1);
    assert!(run.stderr.contains("logo is down") && run.stderr.contains("503"), "{}", run.stderr);

    // No daemon probes it.
    hub.sandbox.faults(json!([])).await;
    hub.until("the next probe is due", "select bool_and(next_probe_at < clock_timestamp()) from hub.breaker").await;
    hub.load(&["brands"]);
    hub.expect_all_of(&["brands"]).await;
}
