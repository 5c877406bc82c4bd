//! Webhooks of the real program: daemons that are killed, the command line, and what the log says.

use std::{collections::BTreeMap, time::Duration};

use kopru::outbox::EventType::OrderUpdated;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::installation::{Installation, Setup};
use crate::support::{
    listener::happen,
    soak,
    webhook_receiver::{Answer, WebhookReceiver},
};

fn quiet() -> Setup {
    Setup::items(1)
        .with_mail()
        .only(&[])
        .set("retry.lease_secs", 2)
        .set("retry.heartbeat_secs", 1)
        .set("retry.probe_secs", 1)
        .set("webhooks.allow", "127.0.0.0/8")
}

fn add(hub: &Installation, receiver: &WebhookReceiver) -> i64 {
    let added =
        hub.run(&["webhook-endpoints", "add", &receiver.url(), "--event", "order.*", "--json"]).expect(0).json();
    added["id"].as_i64().expect("an id")
}

fn secret(hub: &Installation, id: i64) -> String {
    let shown = hub.run(&["webhook-endpoints", "secrets", &id.to_string(), "--json"]).expect(0).json();
    shown["items"][0]["secret"].as_str().expect("a secret").to_owned()
}

#[tokio::test]
async fn webhooks_survive_kills_at_any_moment() {
    let hub = quiet().start().await;
    let receiver = WebhookReceiver::start().await;
    let id = add(&hub, &receiver);
    let (kills, records) = if soak() { (50, 2_000) } else { (5, 150) };
    let seed = 20_261_124;
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let told: Vec<_> = (1..=records).flat_map(|record| [(record, 1), (record, 2)]).collect();
    happen(&hub.database.pool, OrderUpdated, &told).await;
    receiver.always(Answer::With(200, "", "slowly"));
    for _ in 0..kills {
        let mut daemon = hub.launch();
        tokio::time::sleep(Duration::from_millis(random.random_range(300..1_200))).await;
        daemon.kill();
    }
    let daemon = hub.daemon().await;
    hub.until(
        "all are told",
        "select (select count(*) from hub.delivery) + (select count(*) from hub.outbox_unrouted) = 0",
    )
    .await;
    let log = daemon.process.log();
    daemon.stop();

    let secret = secret(&hub, id);
    assert!(!log.contains(&secret) && !log.contains("/hooks"), "{log}");
    let mut seen: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for request in receiver.received() {
        assert!(request.is_signed_with(&secret));
        let body = request.json();
        let number = |key: &str| body["object"][key].as_i64().expect("a number");
        seen.entry(number("id")).or_default().push(number("revision"));
    }
    assert_eq!(i64::try_from(seen.len()), Ok(records), "each arrived");
    for (record, revisions) in seen {
        assert!(
            revisions.is_sorted() && revisions.first() == Some(&1) && revisions.last() == Some(&2),
            "{record}: {revisions:?}"
        );
    }
    assert_eq!(hub.number("select count(*) from hub.dead_letter").await, 0);
    assert_eq!(
        hub.number("select count(*) from hub.delivery_history where state = 'done' and target <> 'logo'").await,
        records * 2
    );
}

// Commands are waited for while the receiver answers them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_are_looked_after_on_the_command_line() {
    let hub = quiet().start().await;
    let receiver = WebhookReceiver::start().await;
    let id = add(&hub, &receiver).to_string();
    let run = |more: &[&str]| hub.run(&[&["webhook-endpoints"], more].concat());
    let refused = run(&["add", "http://10.0.0.1/", "--event", "*"]).expect(2);
    assert!(refused.stderr.contains("[webhooks] allow"), "{}", refused.stderr);
    run(&["add", &receiver.url(), "--event", "orders.*"]).expect(2);
    run(&["show", "99"]).expect(1);
    assert!(run(&["list"]).expect(0).stdout.contains(&receiver.url()));
    assert!(hub.run(&["webhook", "show", &id]).expect(0).stdout.contains("order.*"), "by its short name");

    assert!(run(&["test", &id]).expect(0).stdout.contains("204"));
    receiver.then([Answer::Status(500)]);
    run(&["test", &id]).expect(1);
    let rotated = run(&["rotate", &id, "--overlap-hours", "1", "--json"]).expect(0).json();
    assert_eq!(rotated["items"].as_array().map(Vec::len), Some(2));
    run(&["set", &id, "--event", "order.updated", "--rate", "100"]).expect(0);

    let daemon = hub.daemon().await;
    happen(&hub.database.pool, OrderUpdated, &[(1, 1), (2, 1)]).await;
    hub.until(
        "both are told",
        "select count(*) = 2 from hub.delivery_history where state = 'done' and target <> 'logo'",
    )
    .await;
    let since = ["--since", "2026-01-01T00:00:00Z"];
    let plan = run(&[&["replay", &id, "--json"][..], &since].concat()).expect(0).json();
    assert_eq!((&plan["total"], &plan["shares"][0]["type"]), (&json!(2), &json!("order.updated")));
    let one = run(&[&["replay", &id, "--yes", "--record", "order:2", "--json"][..], &since].concat()).expect(0).json();
    assert_eq!(one["replayed"], 1);
    hub.until(
        "it is told again",
        "select count(*) = 3 from hub.delivery_history where state = 'done' and target <> 'logo'",
    )
    .await;

    receiver.then([Answer::Status(410)]);
    happen(&hub.database.pool, OrderUpdated, &[(3, 1)]).await;
    hub.until("it is off", "select count(*) = 1 from hub.target where disabled_cause = 'gone'").await;
    let told = hub.run(&["doctor", "--json"]).json();
    let checks = told["checks"].as_array().expect("checks");
    let warned = checks.iter().find(|check| check["name"] == format!("target webhook:{id}")).expect("a line");
    assert_eq!(warned["verdict"], "warning", "{warned}");
    run(&["enable", &id]).expect(0);
    hub.until(
        "it is told at last",
        "select count(*) = 4 from hub.delivery_history where state = 'done' and target <> 'logo'",
    )
    .await;
    run(&["disable", &id]).expect(0);
    run(&["remove", &id]).expect(0);
    run(&["show", &id]).expect(1);
    daemon.stop();
    let listed: Value = run(&["list", "--json"]).expect(0).json();
    assert_eq!(listed["items"], json!([]));
    assert!(run(&["events", "--markdown"]).expect(0).stdout.starts_with("# Events"));
}
