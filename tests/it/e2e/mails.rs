//! Mails of the real program: daemons that are killed, and what a person sees of deliveries.

use std::{collections::BTreeMap, time::Duration};

use chrono::TimeDelta;
use kopru::{
    clock::Clock,
    mail::{self, Locale, Mail, MailKind},
    seal::Sealer,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::installation::{Installation, Setup};
use crate::support::soak;

fn quiet() -> Setup {
    Setup::items(1).with_mail().only(&[]).set("retry.lease_secs", 2).set("retry.heartbeat_secs", 1)
}

async fn ask(hub: &Installation, to: &str) {
    let sealer = Sealer::read(&hub.kopru.path().join("master.key")).expect("the key");
    let mail = Mail {
        kind: MailKind::Invitation,
        to,
        full_name: "Ayşe Öz",
        locale: Locale::Tr,
        token: Some("the-secret"),
        reason: None,
        expires_at: Clock::system().now() + TimeDelta::hours(1),
        origin: "user:1",
        correlation_id: "test",
    };
    let mut tx = hub.database.pool.begin().await.expect("begin");
    mail::request(&mut tx, &sealer, &mail).await.expect("asked for");
    tx.commit().await.expect("committed");
}

#[tokio::test]
async fn mails_survive_kills_at_any_moment() {
    let hub = quiet().start().await;
    let slow = json!([{ "match": { "system": "mail", "method": "DATA" }, "do": "latency", "value": 60 }]);
    hub.sandbox.faults(slow).await;
    let (kills, mails) = if soak() { (50, 600) } else { (6, 80) };
    let seed = 20_261_123;
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for number in 0..mails {
        ask(&hub, &format!("u{number}@bayi.example")).await;
    }
    for _ in 0..kills {
        let mut daemon = hub.launch();
        tokio::time::sleep(Duration::from_millis(random.random_range(300..1_500))).await;
        daemon.kill();
    }
    hub.sandbox.faults(json!([])).await;
    let daemon = hub.daemon().await;
    hub.until("all are out", "select count(*) = 0 from hub.delivery").await;
    daemon.stop();

    let mut ids: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for mail in hub.sandbox.mails().await {
        let text = |key: &str| mail[key].as_str().expect("a text").to_owned();
        ids.entry(mail["to"][0].as_str().expect("an address").to_owned()).or_default().push(text("messageId"));
    }
    assert_eq!(ids.len(), mails, "each arrived");
    assert!(ids.values().all(|ids| ids.iter().all(|id| *id == ids[0])), "each under one id: {ids:?}");
    let twice: usize = ids.values().map(|ids| ids.len() - 1).sum();
    assert!(twice <= kills * 4, "{twice} came again, more than were under way when a daemon died");
    let letters = "select (select count(*) from hub.dead_letter) + (select count(*) from hub.dead_letter_history)";
    assert_eq!(hub.number(letters).await, 0);
    let done = "select count(*) from hub.delivery_history where state = 'done'";
    assert_eq!(usize::try_from(hub.number(done).await), Ok(mails));
}

#[tokio::test]
async fn deliveries_are_seen_and_handled_on_the_command_line() {
    let hub = quiet().start().await;
    hub.sandbox
        .faults(json!([{ "match": { "system": "mail", "method": "RCPT", "path": "gone@*" }, "do": "status", "value": 550 }]))
        .await;
    ask(&hub, "gone@bayi.example").await;
    ask(&hub, "here@bayi.example").await;
    let daemon = hub.daemon().await;
    hub.until(
        "one is dead and one is out",
        "select (select count(*) from hub.delivery where state = 'dead') = 1
              and (select count(*) from hub.delivery_history where state = 'done') = 1",
    )
    .await;
    let log = daemon.process.log();
    assert!(!log.contains("gone@") && !log.contains("the-secret"), "{log}");

    let dead = hub.run(&["deliveries", "list", "--state", "dead", "--json"]).expect(0).json();
    let id = dead["items"][0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(dead["items"][0]["label"], "gone@bayi.example");
    let shown = hub.run(&["deliveries", "show", &id, "--json"]).expect(0).json();
    assert_eq!(shown["attemptsMade"][0]["reason"], "smtp_550");
    assert_eq!(shown["payload"]["token"], Value::Null, "what is sealed is not shown");
    let targets = hub.run(&["deliveries", "targets", "--json"]).expect(0).json();
    let mut targets = targets["items"].as_array().expect("targets").iter();
    let mail = targets.find(|target| target["name"] == "mail").expect("the mail server");
    assert_eq!(mail["dead"], json!(1));

    hub.run(&["deliveries", "list", "--state", "finished"]).expect(2);
    hub.run(&["deliveries", "cancel", &id, "--reason", " "]).expect(2);
    let gone = hub.run(&["deliveries", "show", "00000000-0000-7000-8000-000000000000"]).expect(1);
    assert!(gone.stderr.contains("there is no delivery"), "{}", gone.stderr);
    hub.run(&["deliveries", "pause", "nobody"]).expect(1);

    // Once more, refused again; then the address exists.
    hub.run(&["deliveries", "replay", &id]).expect(0);
    hub.until("it was tried again", "select count(*) = 2 from hub.attempt where outcome = 'dead'").await;
    hub.sandbox.faults(json!([])).await;
    let letter = hub.run(&["dead-letters", "list", "--json"]).expect(0).json();
    let letter = letter["items"][0]["id"].as_str().expect("an id").to_owned();
    hub.run(&["dead-letters", "show", &letter]).expect(0);
    hub.run(&["dead-letters", "replay", &letter]).expect(0);
    hub.until("it is out", "select count(*) = 2 from hub.delivery_history where state = 'done'").await;

    hub.run(&["deliveries", "pause", "mail"]).expect(0);
    ask(&hub, "later@bayi.example").await;
    hub.until("it is held", "select count(*) = 1 from hub.delivery where state = 'held'").await;
    let held = hub.run(&["deliveries", "list", "--state", "held", "--json"]).expect(0).json();
    let held = held["items"][0]["id"].as_str().expect("an id").to_owned();
    hub.run(&["deliveries", "replay", &held]).expect(1);
    hub.run(&["deliveries", "cancel", &held, "--reason", "not needed"]).expect(0);
    hub.run(&["deliveries", "resume", "mail"]).expect(0);
    daemon.stop();
    assert_eq!(hub.sandbox.mails().await.len(), 2);
}

#[tokio::test]
async fn without_a_mail_server_doctor_says_that_mails_wait() {
    let hub = Setup::items(1).only(&[]).start().await;
    let sealer = Sealer::read_or_make(&hub.kopru.path().join("master.key"));
    drop(sealer.expect("a key"));
    ask(&hub, "ayse@bayi.example").await;
    let daemon = hub.daemon().await;
    hub.until(
        "it is held",
        "select count(*) = 1 from hub.delivery where state = 'held' and reason = 'mail_not_configured'",
    )
    .await;
    let told = hub.run(&["doctor", "--json"]).json();
    let checks = told["checks"].as_array().expect("checks");
    let mail = checks.iter().find(|check| check["name"] == "mail").expect("a line about mail");
    assert_eq!(mail["verdict"], "warning");
    assert!(mail["detail"].as_str().is_some_and(|text| text.contains("[mail] host")), "{mail}");
    daemon.stop();
}

#[tokio::test]
async fn a_mail_server_without_what_it_needs_stops_the_start() {
    let hub = Setup::items(1).set("mail.host", "127.0.0.1").set("mail.from", "a@b.example").start().await;
    let refused = hub.run(&["serve"]).expect(2);
    for key in ["http.public_url", "auth.master_key_file"] {
        assert!(refused.stderr.contains(key), "{}", refused.stderr);
    }
}
