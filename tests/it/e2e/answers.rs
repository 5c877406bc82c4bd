//! Answers that are none: each in the middle of a pass, once or twice in a row. The pass gets over it, and every record
//! arrives once.

use serde_json::{Value, json};

use super::installation::{CATALOGUE, Installation, STREAMS, Setup};

const QUERY: &str = "/api/v1/queries/unsafe";

/// A rule for single queries of a run; the first one asks for the server's clock.
fn at(nth: u64, effect: &str, value: Option<Value>) -> Value {
    let mut rule = json!({"match": {"path": QUERY, "nth": nth}, "do": effect});
    if let (Some(value), Some(rule)) = (value, rule.as_object_mut()) {
        rule.insert("value".to_owned(), value);
    }
    rule
}

/// Changes every card, runs an incremental pass through these faults, and sees all of them there.
async fn get_over(hub: &Installation, rules: Vec<Value>) {
    let round = hub.number("select max(revision) from commerce.product").await;
    hub.sandbox.change(json!({"mutateAll": {"salt": round + 100}})).await;
    let count = rules.len();
    let told = json!(rules);
    hub.sandbox.faults(told.clone()).await;
    let run = hub.sync("items", &[]);
    assert_eq!(hub.sandbox.fired().await, vec![1; count], "{told}: {run}");
    hub.sandbox.faults(json!([])).await;
    assert_eq!(
        (&run["state"], &run["updated"], &run["failed"], &run["deferred"]),
        (&"done".into(), &120.into(), &0.into(), &0.into()),
        "{told}: {run}"
    );
    let there = hub
        .number("select count(*) from commerce.product where revision = (select max(revision) from commerce.product)");
    assert_eq!(there.await, 120, "{told}");
    hub.expect_nothing_open().await;
}

async fn hub() -> Installation {
    let hub = Setup::items(120).logo("sql_page", 10).logo("cmd_timeout", 1).logo("timeouts.read", 1).start().await;
    hub.load(&CATALOGUE);
    hub
}

#[tokio::test]
async fn broken_answers_in_mid_pass() {
    let hub = hub().await;
    for effect in ["truncate", "html", "wrong_charset", "garbage", "cut_before", "cut_after"] {
        // Twice in a row, and once more later.
        get_over(&hub, vec![at(3, effect, None), at(4, effect, None), at(9, effect, None)]).await;
    }
    hub.expect_all_of(&["items"]).await;
    hub.expect_like_logo(20).await;
}

#[tokio::test]
async fn silence_errors_and_floods_in_mid_pass() {
    let hub = hub().await;
    get_over(&hub, vec![at(5, "hang", None)]).await;
    get_over(&hub, vec![at(5, "garbage", Some(json!(100 * 1024 * 1024)))]).await;
    get_over(&hub, vec![at(2, "status", Some(json!(500))), at(3, "status", Some(json!(502)))]).await;
    get_over(&hub, vec![at(6, "expire_token", None)]).await;
    get_over(&hub, vec![at(6, "expire_token", None), at(7, "cut_after", None), at(9, "expire_token", None)]).await;
    let text = json!({"code": 200, "body": "{\"items\":[{\"INTERNAL_REFERENCE\":1,\"CODE\":\"A\""});
    get_over(&hub, vec![at(4, "status", Some(text))]).await;
    let empty = json!({"code": 200, "body": ""});
    get_over(&hub, vec![at(4, "status", Some(empty))]).await;
    let login = json!({"code": 200, "body": {"Message": "x", "ModelState": {"LoginError": ["Oturum yok."]}}});
    get_over(&hub, vec![at(4, "status", Some(login))]).await;
    hub.expect_all_of(&["items"]).await;
    hub.expect_like_logo(20).await;
}

#[tokio::test]
async fn a_remote_that_asks_for_patience_gets_it_and_is_not_taken_for_down() {
    let hub = hub().await;
    let wait = || Some(json!({"code": 429, "retryAfter": 1}));
    let since = std::time::Instant::now();
    // More often than opens a breaker.
    get_over(&hub, (3..7).map(|nth| at(nth, "status", wait())).collect()).await;
    assert!(since.elapsed().as_secs() >= 4, "it did not wait: {:?}", since.elapsed());
    hub.expect_all_of(&["items"]).await;
}

#[tokio::test]
async fn pages_larger_than_an_answer_may_be_come_in_smaller_ones_and_one_giant_stops_only_its_stream() {
    // A page of all cards at once has some two megabytes.
    let hub = Setup::items(3_000).logo("sql_page", 10_000).logo("max_answer_mib", 1).start().await;
    hub.load(&STREAMS);
    hub.expect_all_of(&["items"]).await;
    let faults = "select coalesce(max(faults_in_a_row), 0)::bigint from hub.breaker";
    assert_eq!(hub.number(faults).await, 0, "nothing of this is an outage");

    let code = &hub.texts("select code from commerce.product order by md5(code) limit 1").await[0];
    let giant = "ğ".repeat(600 * 1024);
    hub.sandbox.change(json!({"items": [{"code": code, "fields": {"NAME3": giant}}]})).await;
    for _ in 0..4 {
        let run = hub.run(&["sync", "run", "logo.items", "--json"]).expect(1).json();
        let error = run["error"].as_str().expect("it says why");
        assert_eq!(run["state"], "failed", "{run}");
        assert!(error.contains("raise `max_answer_mib`") && error.contains("`sql_page`"), "{error}");
    }
    assert_eq!(hub.number(faults).await, 0, "{}", hub.picture().await);
    let paused = hub.texts("select stream from hub.stream where paused_at is not null").await;
    assert_eq!(paused, ["items"], "it alone waits for a person");
    hub.load(&["customers", "prices", "stock"]);

    hub.sandbox.change(json!({"items": [{"code": code, "fields": {"NAME3": "Kısa"}}]})).await;
    hub.run(&["sync", "resume", "logo.items"]).expect(0);
    hub.load(&["items"]);
    hub.expect_all_of(&["items"]).await;
}
