//! Receivers that are slow, redirect, break off, refuse, ask for patience, fail for days.

use std::time::Duration;

use kopru::{
    hub::{daemon::Daemon, deliveries::worker, housekeeping, webhooks::change::EndpointChange},
    outbox::EventType::{OrderCreated, OrderUpdated},
};
use serde_json::json;

use super::office::Office;
use crate::support::{
    listener::{happen, route},
    webhook_receiver::Answer,
};

impl Office {
    /// Whatever waits is due now, a breaker's probe too.
    async fn time_passes(&self) {
        self.hub.execute("update hub.delivery set due_at = clock_timestamp() where state = 'waiting'").await;
        self.hub.execute("update hub.breaker set next_probe_at = clock_timestamp() where state <> 'closed'").await;
        housekeeping::probe_once(&self.hub.engine).await.expect("probed");
        housekeeping::mend_deliveries(&self.hub.engine).await.expect("mended");
        self.deliver().await;
    }

    async fn until_done(&self, count: i64) {
        self.hub
            .eventually("everything is told", || async {
                self.time_passes().await;
                self.done().await == count
            })
            .await;
    }
}

#[tokio::test]
async fn what_breaks_off_or_is_refused_is_told_again_under_its_id_with_a_new_signature() {
    let office = Office::with(|build| build.settings.breaker_threshold = 100).await;
    let id = office.endpoint(&["*"]).await;
    office.receiver.then([Answer::Reset, Answer::Half, Answer::Status(500), Answer::Status(404)]);
    happen(office.hub.pool(), OrderCreated, &[(1, 1)]).await;
    office.until_done(1).await;
    let received = office.receiver.received();
    assert_eq!(received.len(), 5);
    let secret = office.secrets(id).await.remove(0);
    assert!(received.iter().all(|one| one.is_signed_with(&secret)));
    assert!(received.iter().all(|one| one.header("webhook-id") == received[0].header("webhook-id")));
    assert!(received.iter().all(|one| one.body == received[0].body));
    let attempts = office.hub.rows("select outcome, cause, answered from hub.attempt order by number").await;
    assert_eq!(attempts[0], json!({ "outcome": "waiting", "cause": "remote", "answered": null }));
    assert_eq!(attempts[2], json!({ "outcome": "waiting", "cause": "remote", "answered": "500" }));
    assert_eq!(attempts[4], json!({ "outcome": "done", "cause": null, "answered": "204" }));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let office = Office::with(|build| build.settings.breaker_threshold = 100).await;
    office.endpoint(&["*"]).await;
    let elsewhere = crate::support::webhook_receiver::WebhookReceiver::start().await;
    let location: &'static str = Box::leak(format!("location: {}\r\n", elsewhere.url()).into_boxed_str());
    office.receiver.then([Answer::With(302, location, ""), Answer::With(308, location, "")]);
    happen(office.hub.pool(), OrderCreated, &[(1, 1)]).await;
    office.until_done(1).await;
    assert_eq!((office.receiver.received().len(), elsewhere.connections()), (3, 0));
    let detail = office.hub.rows("select detail from hub.attempt where number = 1").await.remove(0);
    assert!(detail["detail"].as_str().is_some_and(|text| text.contains("redirects are not followed")), "{detail}");
}

#[tokio::test]
async fn a_receiver_that_says_nothing_is_given_up_after_the_time_of_a_call() {
    let office = Office::with(|build| {
        build.settings.breaker_threshold = 100;
        build.settings.webhooks.timeout = Duration::from_millis(300);
    })
    .await;
    office.endpoint(&["*"]).await;
    office.receiver.then([Answer::Hang]);
    happen(office.hub.pool(), OrderCreated, &[(1, 1)]).await;
    office.until_done(1).await;
    assert_eq!(office.receiver.received().len(), 2);
}

#[tokio::test]
async fn an_answer_without_end_is_read_as_far_as_it_is_kept() {
    let office = Office::new().await;
    office.endpoint(&["*"]).await;
    office.receiver.then([Answer::Endless]);
    happen(office.hub.pool(), OrderCreated, &[(1, 1)]).await;
    office.deliver().await;
    assert_eq!(office.done().await, 1);
    let kept = office.hub.row("select length(answered) as length from hub.attempt").await;
    assert_eq!(kept, json!({ "length": 304 }));
}

#[tokio::test]
async fn who_asks_for_patience_is_left_alone_until_then_and_no_breaker_opens() {
    let office = Office::new().await;
    office.endpoint(&["*"]).await;
    office.receiver.then([Answer::With(429, "retry-after: 3600\r\n", "")]);
    happen(office.hub.pool(), OrderCreated, &[(1, 1)]).await;
    office.deliver().await;
    happen(office.hub.pool(), OrderCreated, &[(2, 1)]).await;
    office.deliver().await;
    assert_eq!(office.receiver.received().len(), 1, "nothing else is tried meanwhile");
    let waits = office
        .hub
        .row("select state, due_at > clock_timestamp() + interval '59 min' as late from hub.delivery where aggregate_id = 1")
        .await;
    assert_eq!(waits, json!({ "state": "waiting", "late": true }));
    assert_eq!(office.hub.count("hub.breaker where state <> 'closed'").await, 0);
    // Another process, or this one later, goes on.
    office.keep().await;
    office.until_done(2).await;
}

#[tokio::test]
async fn gone_switches_the_endpoint_off_and_the_others_are_told() {
    let office = Office::new().await;
    let id = office.endpoint(&["*"]).await;
    let other = crate::support::webhook_receiver::WebhookReceiver::start().await;
    let watcher = office.new_endpoint(&other.url(), &["hub.*"]).await.expect("an endpoint");
    office.register(&watcher).await;
    office.receiver.then([Answer::Status(410)]);
    happen(office.hub.pool(), OrderCreated, &[(1, 1)]).await;
    happen(office.hub.pool(), OrderUpdated, &[(1, 2)]).await;
    office.deliver().await;
    housekeeping::mend_deliveries(&office.hub.engine).await.expect("mended");
    office.deliver().await;
    assert_eq!(office.receiver.received().len(), 1);
    let shown = office.show(id).await;
    assert_eq!((shown.enabled, shown.disabled_cause.as_deref(), shown.held, shown.dead), (false, Some("gone"), 2, 0));
    let told = other.received().remove(0).json();
    assert_eq!(told["type"], "hub.webhook_endpoint.disabled");
    assert_eq!((&told["data"]["id"], &told["data"]["cause"]), (&json!(id), &json!("gone")));
    assert_eq!(office.hub.count("identity.audit_event where action = 'webhook_endpoint.disabled'").await, 1);
    // A person knows better.
    office.change(id, &EndpointChange { enabled: Some(true), ..EndpointChange::default() }).await;
    office.until_done(3).await;
    assert_eq!(office.receiver.revisions(), [1, 1, 2]);
}

#[tokio::test]
async fn a_receiver_that_fails_for_a_day_costs_no_letter_and_little_noise() {
    let office = Office::new().await;
    let id = office.endpoint(&["*"]).await;
    office.receiver.always(Answer::Status(500));
    let records: Vec<_> = (1..=60).map(|record| (record, 1)).collect();
    happen(office.hub.pool(), OrderCreated, &records).await;
    office.deliver().await;
    for hour in 1..=24 {
        office
            .hub
            .execute(&format!("update hub.breaker set failing_since = clock_timestamp() - interval '{hour} hours'"))
            .await;
        office.time_passes().await;
    }
    housekeeping::give_up(&office.hub.engine).await.expect("looked");
    let shown = office.show(id).await;
    assert!(shown.enabled && shown.dead == 0, "{shown:?}");
    assert_eq!(shown.open, 60);
    let calls = office.receiver.received().len();
    assert!(calls < 25 * 20, "{calls} calls in a day");
    // The longer it lasts the less often it is asked.
    let pause = office
        .hub
        .row("select next_probe_at - last_fault_at > interval '59 min' as long from hub.breaker where state = 'open'")
        .await;
    assert_eq!(pause, json!({ "long": true }));
    office.receiver.always(Answer::Status(200));
    office.until_done(60).await;
    assert_eq!(office.show(id).await.failing_since, None);
    assert_eq!(office.hub.count("hub.dead_letter").await + office.hub.count("hub.dead_letter_history").await, 0);
}

#[tokio::test]
async fn who_fails_for_longer_than_that_is_switched_off_with_an_event() {
    let office = Office::new().await;
    let id = office.endpoint(&["*"]).await;
    office.receiver.always(Answer::Status(500));
    happen(office.hub.pool(), OrderCreated, &[(1, 1)]).await;
    for _ in 0..4 {
        office.time_passes().await;
    }
    housekeeping::give_up(&office.hub.engine).await.expect("looked");
    assert!(office.show(id).await.enabled);
    office.hub.execute("update hub.breaker set failing_since = clock_timestamp() - interval '121 hours'").await;
    housekeeping::give_up(&office.hub.engine).await.expect("looked");
    housekeeping::give_up(&office.hub.engine).await.expect("looked again");
    let shown = office.show(id).await;
    assert_eq!((shown.enabled, shown.disabled_cause.as_deref()), (false, Some("failing")));
    assert!(shown.disabled_reason.is_some_and(|reason| reason.contains("500")));
    assert_eq!(office.hub.count("hub.outbox_event where type = 'hub.webhook_endpoint.disabled'").await, 1);
    let calls = office.receiver.received().len();
    office.time_passes().await;
    assert_eq!(office.receiver.received().len(), calls);
    office.receiver.always(Answer::Status(204));
    office.change(id, &EndpointChange { enabled: Some(true), ..EndpointChange::default() }).await;
    office.until_done(1).await;
}

#[tokio::test]
async fn a_dead_fact_of_an_endpoint_holds_nothing_and_the_gap_shows_in_the_revisions() {
    let office = Office::with(|build| {
        build.settings.breaker_threshold = 100;
        build.settings.retry.delays = vec![Duration::ZERO; 5];
    })
    .await;
    office.endpoint(&["*"]).await;
    office.receiver.then(std::iter::repeat_n(Answer::Status(422), 5));
    happen(office.hub.pool(), OrderCreated, &[(1, 1)]).await;
    route(&office.hub).await;
    for _ in 0..5 {
        worker::turn(&office.hub.engine).await.expect("a turn");
    }
    // Others went well meanwhile, so it is this one.
    happen(office.hub.pool(), OrderCreated, &[(2, 1)]).await;
    route(&office.hub).await;
    office.hub.execute("update hub.delivery set due_at = due_at + interval '1 hour' where aggregate_id = 1").await;
    worker::turn(&office.hub.engine).await.expect("a turn");
    office.receiver.then([Answer::Status(422)]);
    office.hub.execute("update hub.delivery set due_at = clock_timestamp()").await;
    worker::turn(&office.hub.engine).await.expect("a turn");
    assert_eq!(office.hub.count("hub.delivery where state = 'dead'").await, 1);
    happen(office.hub.pool(), OrderUpdated, &[(1, 2)]).await;
    office.deliver().await;
    assert_eq!(office.receiver.revisions().last(), Some(&2));
    assert_eq!(office.hub.count("hub.delivery where state = 'blocked'").await, 0);
}

#[tokio::test]
async fn an_endpoint_is_called_no_faster_than_it_bears() {
    let office = Office::new().await;
    let mut slow = office.new_endpoint(&office.receiver.url(), &["*"]).await.expect("an endpoint");
    slow.rate_per_second = Some(20);
    office.register(&slow).await;
    let records: Vec<_> = (1..=15).map(|record| (record, 1)).collect();
    happen(office.hub.pool(), OrderCreated, &records).await;
    let began = std::time::Instant::now();
    office.deliver().await;
    assert_eq!(office.done().await, 15);
    // Fourteen waits of 50 ms: however slow the machine is, it is never less.
    assert!(began.elapsed() >= Duration::from_millis(690), "{:?}", began.elapsed());
}

#[tokio::test]
async fn two_daemons_tell_each_event_once_and_in_order() {
    let office = Office::new().await;
    office.endpoint(&["*"]).await;
    let beside = office.hub.beside();
    let daemons =
        [Daemon::start(&office.hub.engine).await.expect("a daemon"), Daemon::start(&beside).await.expect("a daemon")];
    let told: Vec<_> = (1..=40).flat_map(|record| [(record, 1), (record, 2), (record, 3)]).collect();
    happen(office.hub.pool(), OrderUpdated, &told).await;
    office.hub.eventually("all are told", || async { office.done().await == 120 }).await;
    for daemon in daemons {
        daemon.stop().await;
    }
    let received = office.receiver.received();
    assert_eq!(received.len(), 120);
    let mut seen = std::collections::BTreeMap::new();
    for body in received.iter().map(|one| one.json()) {
        let (record, revision) = (body["object"]["id"].as_i64(), body["object"]["revision"].as_i64());
        let before = seen.insert(record, revision);
        assert_eq!(before.flatten().unwrap_or(0) + 1, revision.expect("a revision"), "{body}");
    }
}

#[tokio::test]
async fn who_does_nothing_but_ask_for_patience_is_given_up_as_well() {
    let office = Office::new().await;
    let id = office.endpoint(&["*"]).await;
    office.receiver.always(Answer::Status(429));
    happen(office.hub.pool(), OrderCreated, &[(1, 1)]).await;
    office.deliver().await;
    housekeeping::give_up(&office.hub.engine).await.expect("looked");
    assert!(office.show(id).await.enabled, "days have to pass");
    office.hub.execute("update hub.breaker set failing_since = failing_since - interval '121 hours'").await;
    housekeeping::give_up(&office.hub.engine).await.expect("looked");
    let shown = office.show(id).await;
    assert_eq!((shown.enabled, shown.disabled_cause.as_deref()), (false, Some("failing")));
    assert!(shown.disabled_reason.is_some_and(|reason| reason.contains("429")));
    // One that takes something in between begins anew.
    office.receiver.always(Answer::Status(204));
    office.change(id, &EndpointChange { enabled: Some(true), ..EndpointChange::default() }).await;
    office.until_done(1).await;
    assert_eq!(office.show(id).await.failing_since, None);
}
