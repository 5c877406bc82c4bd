//! `kopru sync …` and `kopru messages …`, alone and beside a daemon.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{
    installation::{CATALOGUE, EVERYTHING_LOADED, Installation, STREAMS, Setup},
    process::Process,
};

fn stream(hub: &Installation, name: &str) -> Value {
    let list = hub.run(&["sync", "list", "--json"]).expect(0).json();
    let items = list["items"].as_array().expect("a list");
    items.iter().find(|item| item["stream"] == name).expect(name).clone()
}

#[tokio::test]
async fn a_run_alone_full_dry_and_since() {
    let hub = Setup::items(80).start().await;
    let first = hub.run(&["sync", "run", "logo.group_codes"]).expect(0);
    assert!(first.stdout.contains("60 created"), "{}", first.stdout);
    hub.load(&["brands", "unit_sets"]);

    // A dry run counts and writes nothing: no row, no link, no letter, no message, no cursor, no time of success.
    let dry = hub.sync("items", &["--dry-run"]);
    assert_eq!((&dry["created"], &dry["dryRun"], &dry["pass"]), (&80.into(), &true.into(), &"full".into()), "{dry}");
    let written = "select (select count(*) from commerce.product) + (select count(*) from hub.external_ref where entity = 'product')
                 + (select count(*) from hub.outbox_event) + (select count(*) from hub.message_history where stream = 'items')
                 + (select count(*) from hub.cursor where stream = 'items') + (select count(*) from hub.stream where stream = 'items')";
    assert_eq!(hub.number(written).await, 0);
    let shown = hub.run(&["sync", "run", "logo.items", "--dry-run"]).expect(0).stdout;
    assert!(shown.contains("nothing was written"), "{shown}");

    assert_eq!(hub.sync("items", &[])["pass"], "full", "the first pass is a complete one");
    assert_eq!(hub.sync("items", &[])["pass"], "incremental");
    let full = hub.sync("items", &["--full"]);
    assert_eq!(
        (&full["pass"], &full["unchanged"], &full["updated"]),
        (&"full".into(), &80.into(), &0.into()),
        "{full}"
    );
    // From before the firm's first day: everything is a change since then.
    let since = hub.sync("items", &["--since", "2010-01-01T00:00:00Z"]);
    assert_eq!((&since["pass"], &since["unchanged"]), (&"incremental".into(), &80.into()), "{since}");
    hub.expect_all_of(&["items"]).await;

    for (arguments, told) in [
        (["sync", "run", "logo.itmes"], "did you mean `items`?"),
        (["sync", "run", "lgo.items"], "did you mean `logo`?"),
        (["sync", "run", "items"], "CONNECTOR.STREAM"),
        (["sync", "pause", "logo.iade"], "its streams are group_codes, brands, unit_sets"),
    ] {
        let run = hub.run(&arguments).expect(2);
        assert!(run.stderr.contains(told), "{arguments:?}: {}", run.stderr);
    }
}

#[tokio::test]
async fn messages_are_listed_and_shown() {
    let hub = Setup::items(30).start().await;
    hub.load(&CATALOGUE);
    let code = &hub.texts("select code from commerce.product order by code limit 1").await[0];
    let list = hub.run(&["messages", "list", "--stream", "items", "--json"]).expect(0).json();
    let page = &list["items"][0];
    assert_eq!(
        (&page["state"], &page["kind"], &page["records"]),
        (&"done".into(), &"page".into(), &35.into()),
        "{list}"
    );
    let id = page["id"].as_str().expect("an id");
    let shown = hub.run(&["messages", "show", id, "--json"]).expect(0).json();
    let items = shown["items"].as_array().expect("the records");
    assert!(items.iter().any(|item| item["code"] == code.as_str() && item["outcome"] == "created"), "{shown}");
    assert!(shown["payload"].as_str().is_some_and(|body| body.contains(code)), "the page as it came");
    assert!(hub.run(&["messages", "show", id]).expect(0).stdout.contains(code));
    let by_code = hub.run(&["messages", "list", "--code", code, "--json"]).expect(0).json();
    assert_eq!(by_code["items"][0]["id"], id);

    // Page by page.
    let mut seen = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut arguments = vec!["messages", "list", "--limit", "2", "--json"];
        if let Some(cursor) = &cursor {
            arguments.extend(["--cursor", cursor.as_str()]);
        }
        let list = hub.run(&arguments).expect(0).json();
        seen.extend(list["items"].as_array().expect("a list").iter().map(|item| item["id"].clone()));
        cursor = list["nextCursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    let all = hub.number("select count(*) from hub.message_history").await;
    assert_eq!(i64::try_from(seen.len()).expect("a count"), all);
    seen.dedup();
    assert_eq!(i64::try_from(seen.len()).expect("a count"), all);

    hub.run(&["messages", "list", "--state", "finished"]).expect(2);
    hub.run(&["messages", "show", "00000000-0000-7000-8000-000000000000"]).expect(1);
}

#[tokio::test]
async fn a_run_beside_a_daemon_is_the_daemons() {
    let hub = Setup::items(80).every(&STREAMS, 3_600).start().await;
    let daemon = hub.daemon().await;
    hub.until("everything is loaded", EVERYTHING_LOADED).await;
    hub.sandbox.change(json!({"mutateAll": {"salt": 2}})).await;
    let run = hub.sync("items", &[]);
    assert_eq!(
        (&run["updated"], &run["state"], &run["trigger"]),
        (&80.into(), &"done".into(), &"manual".into()),
        "{run}"
    );
    assert_eq!(hub.number("select count(distinct owner) from hub.run").await, 1, "the daemon did it");
    assert_eq!(hub.sync("items", &["--full", "--dry-run"])["unchanged"], 80);

    // Paused: not polled, and seen as paused, until it is resumed.
    let paused = hub.run(&["sync", "pause", "logo.items", "--reason", "Sayım var"]).expect(0);
    assert!(paused.stdout.contains("sync resume logo.items"), "{}", paused.stdout);
    let items = stream(&hub, "items");
    assert_eq!((&items["state"], &items["pausedReason"]), (&"paused".into(), &"Sayım var".into()));
    assert_eq!(stream(&hub, "brands")["state"], "on_time");
    hub.run(&["sync", "resume", "logo"]).expect(0);
    assert_eq!(stream(&hub, "items")["state"], "on_time");
    daemon.stop();
    hub.expect_all_of(&STREAMS).await;
}

#[tokio::test]
async fn a_run_outlives_the_daemon_that_was_to_do_it() {
    let hub = Setup::items(300).set("retry.lease_secs", 2).set("retry.heartbeat_secs", 1).logo("sql_page", 10);
    let hub = hub.every(&STREAMS, 3_600).only(&CATALOGUE).start().await;
    let mut daemon = hub.daemon().await;
    hub.until("everything is loaded", "select count(*) = 4 from hub.stream where last_full_at is not null").await;
    hub.sandbox.change(json!({"mutateAll": {"salt": 2}})).await;
    daemon.process.kill();
    // It looks alive still.
    assert_eq!(hub.sync("items", &[])["updated"], 300);
    hub.expect_all_of(&["items"]).await;
}

#[tokio::test]
async fn runs_by_hand_keep_apart_and_leave_nothing_behind_when_interrupted() {
    let hub = Setup::items(300).set("retry.lease_secs", 2).set("retry.heartbeat_secs", 1).logo("sql_page", 5);
    let hub = hub.start().await;
    hub.load(&["group_codes", "brands", "unit_sets"]);
    let slow = json!([{"match": {"path": "/api/v1/queries/unsafe"}, "do": "latency", "value": 100}]);
    hub.sandbox.faults(slow).await;
    let mut run = Process::start(hub.command(&["sync", "run", "logo.items"]), hub.kopru.path(), "run");
    hub.until("it works", "select exists (select from hub.run where stream = 'items' and pages > 1)").await;
    // LOGO has one seat for us, whatever the stream.
    let refused = hub.run(&["sync", "run", "logo.brands"]).expect(1);
    assert!(refused.stderr.contains("being run by another process"), "{}", refused.stderr);

    run.signal(Signal::INT);
    assert_eq!(run.ended().code(), Some(130), "{}", run.log());
    assert_eq!(hub.number("select count(*) from hub.lease").await, 0);
    assert_eq!(hub.number("select count(*) from hub.run where finished_at is null").await, 0);
    hub.sandbox.faults(json!([])).await;
    // It goes on where it was.
    let run = hub.sync("items", &[]);
    assert!(run["created"].as_i64() < Some(300) && run["state"] == "done", "{run}");
    hub.expect_all_of(&["items"]).await;
}

#[tokio::test]
async fn refused_credentials_pause_the_connector_and_say_so() {
    let hub = Setup::items(30).logo("password", "yanlış").start().await;
    let run = hub.run(&["sync", "run", "logo.brands"]).expect(1);
    assert!(run.stderr.contains("LOGO refuses user, password or firm 7"), "{}", run.stderr);
    for name in STREAMS {
        let stream = stream(&hub, name);
        assert_eq!(stream["state"], "paused", "{stream}");
        assert!(
            stream["pausedReason"].as_str().is_some_and(|text| text.contains("refuses user, password")),
            "{stream}"
        );
    }
    // No further try locks the user: a daemon leaves it alone.
    let daemon = hub.daemon().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    daemon.stop();
    assert_eq!(hub.number("select count(*) from hub.run").await, 1);
    hub.expect_nothing_open().await;
}

#[tokio::test]
async fn a_closed_period_pauses_the_connector_and_says_so() {
    let hub =
        Setup::items(30).logo("period", "").switch("period_begin", "2024-01-01").switch("period_end", "2024-12-31");
    let hub = hub.start().await;
    hub.load(&["brands"]);
    let run = hub.run(&["sync", "run", "logo.stock"]).expect(1);
    assert!(run.stderr.contains("no period of firm 7 covers"), "{}", run.stderr);
    let stock = stream(&hub, "stock");
    assert_eq!(stock["state"], "paused");
    assert!(stock["pausedReason"].as_str().is_some_and(|text| text.contains("open the new period in LOGO")), "{stock}");
}
