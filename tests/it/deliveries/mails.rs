//! Mails over real SMTP, against the sandbox's server and its faults.

use std::{path::PathBuf, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use kopru::{
    clock::Clock,
    hub::{
        daemon::Daemon,
        deliveries::{
            Target, list,
            smtp::{Protection, Server, Smtp},
            store, targets,
        },
        housekeeping,
    },
    mail::{self, Locale, Mail, MailKind},
    seal::Sealer,
};
use kopru_sdk::{
    sandbox::{
        RunningSandbox, Sandbox,
        mail::{MailServer, Mailbox, ReceivedMail},
    },
    settings::Secret,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{hub::Hub, listener::deliver};

struct Office {
    hub: Hub,
    sealer: Sealer,
    sandbox: RunningSandbox,
    mailbox: Arc<Mailbox>,
}

async fn sandbox(dir: Option<PathBuf>) -> (RunningSandbox, Arc<Mailbox>) {
    let bind = || TcpListener::bind("127.0.0.1:0");
    let mailbox = Arc::new(Mailbox::open(dir).expect("a mailbox"));
    let server = MailServer { listener: bind().await.expect("a port"), mailbox: Arc::clone(&mailbox) };
    let running = Sandbox::start_with_mail(bind().await.expect("a port"), Vec::new(), Some(server), None);
    (running.expect("a sandbox"), mailbox)
}

fn server(sandbox: &RunningSandbox) -> Server {
    let address = sandbox.mail_addr.expect("it takes mail");
    Server {
        host: address.ip().to_string(),
        port: address.port(),
        protection: Protection::Plain,
        user: String::new(),
        password: Secret::default(),
        from: "Köprü <kopru@example.com>".to_owned(),
        timeout: Duration::from_secs(20),
        public_url: "https://bayi.example.com".to_owned(),
    }
}

impl Office {
    async fn new() -> Office {
        Office::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Server)) -> Office {
        let hub = Hub::with(|build| {
            build.polled = &[];
            build.settings.retry.longest_wait = Duration::from_millis(5);
        })
        .await;
        let sealer = Sealer::random().expect("a key");
        let (sandbox, mailbox) = sandbox(None).await;
        let mut server = server(&sandbox);
        change(&mut server);
        let smtp: Arc<dyn Target> = Arc::new(Smtp::new(server, sealer.clone()).expect("a server"));
        hub.engine.targets.put(mail::TARGET, smtp);
        targets::register(&hub.engine).await.expect("registered");
        Office { hub, sealer, sandbox, mailbox }
    }

    async fn ask(&self, kind: MailKind, to: &str, token: &str) {
        self.ask_until(kind, to, token, Clock::system().now() + TimeDelta::hours(1)).await;
    }

    async fn ask_until(&self, kind: MailKind, to: &str, token: &str, expires_at: DateTime<Utc>) {
        let mail = Mail {
            kind,
            to,
            full_name: "Ayşe Öz",
            locale: Locale::Tr,
            token: Some(token),
            reason: None,
            expires_at,
            origin: "user:1",
            correlation_id: "test",
        };
        let mut tx = self.hub.pool().begin().await.expect("begin");
        mail::request(&mut tx, &self.sealer, &mail).await.expect("asked for");
        tx.commit().await.expect("committed");
    }

    async fn faults(&self, rules: Value) {
        let url = format!("http://{}/_sandbox/faults", self.sandbox.addr);
        let answer = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("a client")
            .put(url)
            .json(&rules)
            .send()
            .await
            .expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.text().await.expect("a text"));
    }

    /// Until nothing is open.
    async fn work(&self) {
        self.hub
            .eventually("nothing is open", || async {
                deliver(&self.hub).await;
                self.hub.count("hub.delivery where state <> 'dead'").await == 0
            })
            .await;
    }

    fn received(&self, to: &str) -> Vec<ReceivedMail> {
        self.mailbox.mails(Some(to))
    }
}

#[tokio::test]
async fn each_mail_arrives_with_its_link_and_the_secret_is_kept_nowhere() {
    let office = Office::new().await;
    for (kind, page) in MailKind::ALL.into_iter().zip(["invitation", "verify-email", "reset-password"]) {
        office.ask(kind, "ayse@bayi.example", &format!("secret-{page}")).await;
    }
    office.work().await;
    let received = office.received("ayse@bayi.example");
    assert_eq!(received.len(), 3);
    for page in ["invitation", "verify-email", "reset-password"] {
        let link = format!("https://bayi.example.com/{page}#token=secret-{page}\n");
        assert_eq!(received.iter().filter(|mail| mail.text.contains(&link)).count(), 1, "{received:?}");
    }
    let first = &received[0];
    assert_eq!(first.from, "kopru@example.com");
    assert!(first.text.contains("Merhaba Ayşe Öz,"));
    assert!(first.message_id.as_deref().is_some_and(|id| id.ends_with("@example.com>")));
    assert!(first.raw.contains("Auto-Submitted: auto-generated"));

    let tables = office.hub.rows("select format('hub.%I', tablename) as name from pg_tables where schemaname = 'hub'");
    for table in tables.await {
        let name = table["name"].as_str().expect("a name").to_owned();
        let kept =
            office.hub.rows(&format!("select t::text as row from {name} t where t::text like '%secret-%'")).await;
        assert_eq!(kept, Vec::<Value>::new(), "{name}");
    }
    let finished = list::list(office.hub.pool(), &list::DeliveryFilter::default(), None, 10).await.expect("a list");
    assert!(finished.iter().all(|row| row.state == "done" && row.label.as_deref() == Some("ayse@bayi.example")));
}

#[tokio::test]
async fn an_address_that_the_server_refuses_is_a_letter_at_once_and_the_others_arrive() {
    let office = Office::new().await;
    office
        .faults(json!([{ "match": { "system": "mail", "method": "RCPT", "path": "gone@*" }, "do": "status", "value": 550 }]))
        .await;
    office.ask(MailKind::Invitation, "gone@bayi.example", "a").await;
    office.ask(MailKind::Invitation, "here@bayi.example", "b").await;
    office.work().await;
    assert_eq!(office.received("here@bayi.example").len(), 1);
    let letter =
        office.hub.row("select kind, connector, cause, reason, field, detail, attempts from hub.dead_letter").await;
    assert_eq!(letter["reason"], "smtp_550");
    assert_eq!(letter["attempts"], 1);
    assert!(!letter["detail"].to_string().contains("gone@"), "{letter}");
    assert_eq!(office.hub.count("hub.breaker where state <> 'closed'").await, 0, "a refusal is an answer");
}

#[tokio::test]
async fn a_letter_is_replayed_and_the_mail_arrives() {
    let office = Office::new().await;
    office
        .faults(json!([{ "match": { "system": "mail", "method": "RCPT" }, "do": "status", "value": 550, "times": 1 }]))
        .await;
    office.ask(MailKind::Invitation, "ayse@bayi.example", "the-token").await;
    office.work().await;
    let ids: Vec<uuid::Uuid> =
        sqlx::query_scalar("select id from hub.dead_letter").fetch_all(office.hub.pool()).await.expect("letters");
    let by = kopru::audit::Actor::new("cli:ayse", "test");
    kopru::hub::dead_letters::replay(office.hub.pool(), by, &ids).await.expect("a replay");
    office.work().await;
    let received = office.received("ayse@bayi.example");
    assert!(received.len() == 1 && received[0].text.contains("#token=the-token"));
    assert_eq!(office.hub.count("hub.dead_letter_history where resolution = 'replayed'").await, 1);
}

#[tokio::test]
async fn a_server_that_asks_for_patience_is_given_it_without_counting() {
    let office = Office::new().await;
    office
        .faults(json!([{ "match": { "system": "mail", "method": "RCPT" }, "do": "status", "value": 451, "times": 9 }]))
        .await;
    office.ask(MailKind::Verification, "ayse@bayi.example", "a").await;
    office.work().await;
    assert_eq!(office.received("ayse@bayi.example").len(), 1);
    assert_eq!(office.hub.count("hub.dead_letter").await, 0);
    assert_eq!(office.hub.count("hub.breaker where state <> 'closed'").await, 0);
    assert_eq!(office.hub.row("select attempts from hub.delivery_history").await, json!({ "attempts": 10 }));
}

#[tokio::test]
async fn a_mail_whose_outcome_is_unknown_goes_again_under_the_same_id() {
    let office = Office::new().await;
    office.faults(json!([{ "match": { "system": "mail", "method": "DATA" }, "do": "cut_after", "times": 1 }])).await;
    office.ask(MailKind::PasswordReset, "ayse@bayi.example", "a").await;
    office.work().await;
    let received = office.received("ayse@bayi.example");
    assert_eq!(received.len(), 2, "at least once");
    assert_eq!(received[0].message_id, received[1].message_id, "and known for the same");
}

#[tokio::test]
async fn an_outage_of_the_mail_server_costs_no_letter() {
    let office = Office::new().await;
    office.faults(json!([{ "match": { "system": "mail", "method": "CONNECT" }, "do": "cut_before" }])).await;
    for number in 0..20 {
        office.ask(MailKind::Invitation, &format!("u{number}@bayi.example"), "a").await;
    }
    let daemon = Daemon::start(&office.hub.engine).await.expect("a daemon");
    office
        .hub
        .eventually("all are held", || async { office.hub.count("hub.delivery where state = 'held'").await == 20 })
        .await;
    office.faults(json!([])).await;
    office
        .hub
        .eventually("all arrived", || async {
            office.hub.count("hub.delivery_history where state = 'done'").await == 20
        })
        .await;
    daemon.stop().await;
    assert_eq!(office.mailbox.mails(None).len(), 20);
    assert_eq!(office.hub.count("hub.dead_letter").await + office.hub.count("hub.dead_letter_history").await, 0);
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_after_its_time() {
    let office = Office::with(|server| server.timeout = Duration::from_millis(200)).await;
    office.faults(json!([{ "match": { "system": "mail", "method": "MAIL" }, "do": "hang", "times": 1 }])).await;
    office.ask(MailKind::Invitation, "ayse@bayi.example", "a").await;
    office.work().await;
    assert_eq!(office.received("ayse@bayi.example").len(), 1);
    assert_eq!(
        office.hub.rows("select outcome from hub.attempt order by number").await[0],
        json!({ "outcome": "waiting" })
    );
}

#[tokio::test]
async fn a_refused_sign_in_pauses_all_mail() {
    let office = Office::with(|server| {
        server.user = "kopru".to_owned();
        server.password = Secret::new("wrong");
    })
    .await;
    office.faults(json!([{ "match": { "system": "mail", "method": "AUTH" }, "do": "status", "value": 535 }])).await;
    office.ask(MailKind::Invitation, "ayse@bayi.example", "a").await;
    deliver(&office.hub).await;
    let row = targets::list(office.hub.pool()).await.expect("targets").remove(0);
    assert_eq!((row.paused_cause.as_deref(), row.dead), (Some("credential"), 0));
    office.faults(json!([])).await;
    targets::resume(office.hub.pool(), mail::TARGET).await.expect("resumed");
    store::release_held(office.hub.pool(), &[mail::TARGET.to_owned()], 1e6).await.expect("released");
    office.work().await;
    assert_eq!(office.received("ayse@bayi.example").len(), 1);
}

#[tokio::test]
async fn nothing_is_said_in_the_clear_to_a_server_that_was_to_speak_tls() {
    let office = Office::with(|server| server.protection = Protection::StartTls).await;
    office.ask(MailKind::Invitation, "ayse@bayi.example", "a").await;
    deliver(&office.hub).await;
    assert!(office.mailbox.mails(None).is_empty());
    assert_eq!(office.hub.count("hub.delivery where state in ('waiting', 'held')").await, 1);
}

#[tokio::test]
async fn a_mail_that_has_expired_is_not_sent_any_more() {
    let office = Office::new().await;
    office
        .ask_until(MailKind::PasswordReset, "ayse@bayi.example", "a", Clock::system().now() - TimeDelta::seconds(1))
        .await;
    office.work().await;
    assert!(office.mailbox.mails(None).is_empty());
    let ended = office.hub.row("select state, reason from hub.delivery_history").await;
    assert_eq!(ended, json!({ "state": "discarded", "reason": "expired" }));
}

#[tokio::test]
async fn without_a_server_mails_are_held_with_the_reason_and_go_out_when_there_is_one() {
    let office = Office::new().await;
    let configured = office.hub.engine.targets.get(mail::TARGET).expect("the target");
    office.hub.engine.targets.put(mail::TARGET, Arc::new(Smtp::unconfigured()));
    office.ask(MailKind::Invitation, "ayse@bayi.example", "a").await;
    deliver(&office.hub).await;
    housekeeping::mend_deliveries(&office.hub.engine).await.expect("mended");
    let held = office.hub.row("select state, reason, detail from hub.delivery").await;
    assert_eq!((held["state"].as_str(), held["reason"].as_str()), (Some("held"), Some("mail_not_configured")));
    office.hub.engine.targets.put(mail::TARGET, configured);
    housekeeping::mend_deliveries(&office.hub.engine).await.expect("mended");
    office.work().await;
    assert_eq!(office.received("ayse@bayi.example").len(), 1);
}

#[tokio::test]
async fn the_sandbox_shows_its_mails_and_keeps_them() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut office = Office::new().await;
    let (running, mailbox) = sandbox(Some(dir.path().to_owned())).await;
    let smtp: Arc<dyn Target> = Arc::new(Smtp::new(server(&running), office.sealer.clone()).expect("a server"));
    office.hub.engine.targets.put(mail::TARGET, smtp);
    office.mailbox = mailbox;
    office.ask(MailKind::Invitation, "ayse@bayi.example", "a").await;
    office.work().await;
    let url = format!("http://{}/_sandbox/mails?to=AYSE@bayi.example", running.addr);
    let shown: Value = reqwest::get(&url).await.expect("an answer").json().await.expect("JSON");
    assert_eq!(shown["items"].as_array().map(Vec::len), Some(1));
    running.shutdown().await;
    let again = Mailbox::open(Some(dir.path().to_owned())).expect("opened again");
    assert_eq!(again.mails(None), office.mailbox.mails(None));
}
