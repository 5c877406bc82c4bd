//! The queued lane: retries, the breaker, holding, pausing, leases.

use std::{sync::Arc, time::Duration};

use kopru::{
    audit::Actor,
    hub::{
        breaker, daemon::Daemon, dead_letters, housekeeping, messages, messages::Finish, retry::RetrySchedule,
        states::BreakerState, states::MessageState, streams, worker,
    },
};
use kopru_sdk::Fault;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    courier::{Courier, NOTE, down, post, refused},
    hub::{Build, ERP, Hub, eventually},
};

const BY: Actor<'_> = Actor::new("cli:ayse", "test");

async fn hub_with(courier: &Arc<Courier>, change: impl FnOnce(&mut Build)) -> Hub {
    let handler = Arc::clone(courier);
    let hub = Hub::with(|build| {
        build.handlers.push(handler);
        build.polled = &[];
        change(build);
    })
    .await;
    courier.over(&hub.system);
    hub
}

fn key(text: &str) -> [String; 1] {
    [text.to_owned()]
}

async fn open(hub: &Hub) -> Vec<Value> {
    hub.rows("select key, state, attempts from hub.message order by key").await
}

async fn done(hub: &Hub) -> i64 {
    hub.count("hub.message_history where state = 'done'").await
}

async fn breaker_of(hub: &Hub) -> BreakerState {
    breaker::state(hub.pool(), ERP).await.expect("the breaker")
}

async fn turn(hub: &Hub) -> usize {
    worker::turn(&hub.engine).await.expect("a turn")
}

#[tokio::test]
async fn a_passing_fault_is_tried_again_by_the_schedule() {
    let courier = Arc::new(Courier::default());
    let hub = hub_with(&courier, |build| {
        build.settings.breaker_threshold = 100;
        build.settings.retry.delays = [10, 20, 40].map(Duration::from_millis).to_vec();
    })
    .await;
    courier.fail("a", [down(), down()]);
    post(&hub, key("a")).await;
    assert_eq!(turn(&hub).await, 1);
    let waiting = hub
        .row("select state, attempts, cause, reason, lease_owner, due_at > first_attempt_at as later from hub.message")
        .await;
    assert_eq!(
        waiting,
        json!({ "state": "waiting", "attempts": 1, "cause": "remote", "reason": "transient", "lease_owner": null,
                "later": true })
    );
    eventually("it is delivered", || async { turn(&hub).await == 0 && done(&hub).await == 1 }).await;
    let attempts = hub.rows("select number, outcome, cause from hub.attempt order by number").await;
    assert_eq!(
        attempts,
        [
            json!({ "number": 1, "outcome": "waiting", "cause": "remote" }),
            json!({ "number": 2, "outcome": "waiting", "cause": "remote" }),
            json!({ "number": 3, "outcome": "done", "cause": null }),
        ]
    );
    assert_eq!(
        hub.row("select attempts, claims from hub.message_history").await,
        json!({ "attempts": 3, "claims": 1 })
    );
}

#[tokio::test]
async fn a_refusal_is_a_letter_at_once_and_its_neighbours_go_on() {
    let courier = Arc::new(Courier::default());
    let hub = hub_with(&courier, |_| {}).await;
    courier.fail("b", [refused()]);
    post(&hub, ["a", "b", "c"].map(str::to_owned)).await;
    assert_eq!(turn(&hub).await, 3);
    assert_eq!(done(&hub).await, 2);
    let letter = hub.row("select key, kind, cause, reason, field, value, attempts from hub.dead_letter").await;
    assert_eq!(
        letter,
        json!({ "key": "b", "kind": NOTE, "cause": "data", "reason": "unknown_code", "field": "ARP_CODE",
                "value": "120.07", "attempts": 1 })
    );
    assert_eq!(breaker_of(&hub).await, BreakerState::Closed, "a refusal is an answer");
}

#[tokio::test]
async fn a_letter_of_the_queue_is_replayed_by_its_own_handler() {
    let courier = Arc::new(Courier::default());
    let hub = hub_with(&courier, |_| {}).await;
    courier.fail("a", [refused(), refused()]);
    post(&hub, key("a")).await;
    turn(&hub).await;
    let ids = dead_letters::list(hub.pool(), &dead_letters::Filter::default(), None, 9).await.expect("letters");
    let ids: Vec<Uuid> = ids.iter().map(|letter| letter.id).collect();
    dead_letters::replay(hub.pool(), BY, &ids).await.expect("a replay");
    turn(&hub).await;
    let letter = hub.row("select id, state, attempts from hub.dead_letter").await;
    assert_eq!(letter, json!({ "id": ids[0], "state": "dead", "attempts": 2 }));
    dead_letters::replay(hub.pool(), BY, &ids).await.expect("a replay");
    turn(&hub).await;
    assert_eq!((hub.count("hub.dead_letter").await, done(&hub).await), (0, 1));
    assert_eq!(hub.row("select resolution from hub.dead_letter_history").await["resolution"], "replayed");
}

#[tokio::test]
async fn the_third_fault_in_a_row_opens_the_breaker_and_holds_everything() {
    let courier = Arc::new(Courier::default());
    let hub = hub_with(&courier, |build| build.settings.batch = 1).await;
    courier.fail("a", [down(), down(), down()]);
    post(&hub, key("a")).await;
    for expected in ["waiting", "waiting", "held"] {
        hub.execute("update hub.message set due_at = clock_timestamp() where key = 'a'").await;
        turn(&hub).await;
        assert_eq!(hub.row("select state from hub.message where key = 'a'").await["state"], expected);
        post(&hub, key(&format!("b-{expected}"))).await;
        hub.execute("update hub.message set due_at = 'infinity' where key <> 'a' and state = 'received'").await;
    }
    assert_eq!(breaker_of(&hub).await, BreakerState::Open);
    // The two that were there when it opened are held, and so is the one that came after when its turn is there.
    hub.execute("update hub.message set due_at = clock_timestamp() where state = 'received'").await;
    turn(&hub).await;
    let held = open(&hub).await;
    assert_eq!(held[0], json!({ "key": "a", "state": "held", "attempts": 2 }), "its attempts are kept");
    assert!(held.iter().all(|message| message["state"] == "held"), "{held:?}");
    assert_eq!(courier.tried(), ["a", "a", "a"], "nobody else was tried");
}

#[tokio::test]
async fn a_success_between_the_faults_keeps_the_breaker_closed() {
    let courier = Arc::new(Courier::default());
    let hub = hub_with(&courier, |_| {}).await;
    for bad in ["b", "d", "f", "h"] {
        courier.fail(bad, [down()]);
    }
    post(&hub, ["a", "b", "c", "d", "e", "f", "g", "h"].map(str::to_owned)).await;
    turn(&hub).await;
    assert_eq!(breaker_of(&hub).await, BreakerState::Closed);
    eventually("all are delivered", || async { turn(&hub).await == 0 && done(&hub).await == 8 }).await;
}

#[tokio::test]
async fn five_thousand_messages_wait_for_a_system_that_is_down_and_none_dies() {
    let courier = Arc::new(Courier::default());
    let hub = hub_with(&courier, |_| {}).await;
    hub.system.set_down(true);
    post(&hub, (0..5000).map(|n| format!("n{n:04}"))).await;
    let daemon = Daemon::start(&hub.engine).await.expect("a daemon");
    eventually("all are held", || async { hub.count("hub.message where state = 'held'").await == 5000 }).await;
    let tried = courier.tried().len();
    let checks = || hub.system.checks.load(std::sync::atomic::Ordering::SeqCst);
    eventually("it is probed", || async { checks() >= 2 }).await;
    assert_eq!(courier.tried().len(), tried, "probes never send a message");
    assert_ne!(breaker_of(&hub).await, BreakerState::Closed);

    hub.system.set_down(false);
    eventually("all are delivered", || async { done(&hub).await == 5000 }).await;
    daemon.stop().await;
    assert_eq!(breaker_of(&hub).await, BreakerState::Closed);
    assert_eq!(hub.count("hub.message").await + hub.count("hub.dead_letter").await, 0);
}

#[tokio::test]
async fn what_had_failed_is_released_last_and_at_the_systems_rate() {
    let courier = Arc::new(Courier::default());
    let hub = hub_with(&courier, |build| build.settings.breaker_threshold = 1).await;
    courier.fail("a", [down()]);
    post(&hub, ["a", "b", "c"].map(str::to_owned)).await;
    hub.execute("update hub.message set due_at = 'infinity' where key <> 'a'").await;
    turn(&hub).await;
    assert!(open(&hub).await.iter().all(|message| message["state"] == "held"));
    breaker::close(hub.pool(), ERP).await.expect("closed");
    assert_eq!(messages::release_held(hub.pool(), ERP, 2.0).await.expect("released"), 3);
    let order = hub
        .rows("select key, round(extract(epoch from due_at - min(due_at) over ()), 1)::text as after from hub.message order by due_at")
        .await;
    assert_eq!(
        order,
        [
            json!({ "key": "b", "after": "0.0" }),
            json!({ "key": "c", "after": "0.5" }),
            json!({ "key": "a", "after": "1.0" }),
        ]
    );
}

#[tokio::test]
async fn what_is_held_by_mistake_is_let_go() {
    let courier = Arc::new(Courier::default());
    let hub = hub_with(&courier, |_| {}).await;
    post(&hub, key("a")).await;
    // The breaker was closed by one daemon while another was about to hold the message.
    hub.execute("update hub.message set state = 'held'").await;
    let daemon = Daemon::start(&hub.engine).await.expect("a daemon");
    eventually("it is delivered", || async { done(&hub).await == 1 }).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_message_is_exhausted_only_if_its_system_worked_for_others() {
    let courier = Arc::new(Courier::default());
    let hub = hub_with(&courier, |build| {
        build.settings.batch = 1;
        build.settings.retry = RetrySchedule { delays: vec![Duration::ZERO; 2], ..RetrySchedule::default() };
    })
    .await;
    courier.fail("a", vec![down(); 99]);
    post(&hub, key("a")).await;
    for n in 0..3 {
        turn(&hub).await;
        if n < 2 {
            post(&hub, key(&format!("good {n}"))).await;
            hub.execute("update hub.message set due_at = 'infinity' where key = 'a'").await;
            turn(&hub).await;
            hub.execute("update hub.message set due_at = clock_timestamp() where key = 'a'").await;
        }
    }
    let letter = hub.row("select key, cause, attempts from hub.dead_letter").await;
    assert_eq!(letter, json!({ "key": "a", "cause": "remote", "attempts": 3 }));
    assert_eq!(breaker_of(&hub).await, BreakerState::Closed);
}

#[tokio::test]
async fn out_of_attempts_without_any_success_opens_the_breaker() {
    let courier = Arc::new(Courier::default());
    let hub = hub_with(&courier, |build| {
        build.settings.breaker_threshold = 100;
        build.settings.retry = RetrySchedule { delays: vec![Duration::ZERO; 2], ..RetrySchedule::default() };
    })
    .await;
    courier.fail("a", [down(), down(), down()]);
    post(&hub, key("a")).await;
    for _ in 0..3 {
        turn(&hub).await;
    }
    assert_eq!(open(&hub).await, [json!({ "key": "a", "state": "held", "attempts": 2 })]);
    assert_eq!(breaker_of(&hub).await, BreakerState::Open, "or nobody would ever let it go");
}

#[tokio::test]
async fn refused_credentials_pause_the_connector_and_hold_its_messages() {
    for (fault, cause) in [
        (Fault::Unauthenticated { detail: "the password has changed".to_owned() }, "credential"),
        (Fault::contract("the period is closed"), "contract"),
    ] {
        let courier = Arc::new(Courier::default());
        let hub = hub_with(&courier, |build| build.polled = &["brands"]).await;
        courier.fail("a", [fault.clone()]);
        post(&hub, key("a")).await;
        turn(&hub).await;
        post(&hub, key("b")).await;
        turn(&hub).await;
        assert_eq!(courier.tried(), ["a"], "{cause}");
        assert!(open(&hub).await.iter().all(|message| message["state"] == "held" && message["attempts"] == 0));
        let row = streams::get(hub.pool(), ERP, "brands").await.expect("the store").expect("the stream");
        assert_eq!((row.paused_cause.as_deref(), row.paused_reason), (Some(cause), Some(fault.to_string())));
        assert_eq!(breaker_of(&hub).await, BreakerState::Closed);

        streams::resume(hub.pool(), ERP, &["brands".to_owned()]).await.expect("resumed");
        let daemon = Daemon::start(&hub.engine).await.expect("a daemon");
        eventually("both are delivered", || async { done(&hub).await == 2 }).await;
        daemon.stop().await;
    }
}

#[tokio::test]
async fn a_lease_that_ran_out_gives_the_message_back_as_it_was() {
    let courier = Arc::new(Courier::default());
    let hub = hub_with(&courier, |_| {}).await;
    let ids = post(&hub, key("a")).await;
    let gone = Uuid::now_v7();
    let claimed = messages::claim(hub.pool(), gone, 10, Duration::ZERO).await.expect("claimed");
    assert_eq!(claimed[0].claims, 1);
    assert_eq!(turn(&hub).await, 0, "it is somebody's");
    eventually("the lease runs out", || async { messages::reap_expired(hub.pool()).await.expect("reaped") == 1 }).await;
    let message = hub.row("select state, attempts, claims, lease_owner from hub.message").await;
    assert_eq!(message, json!({ "state": "received", "attempts": 0, "claims": 1, "lease_owner": null }));

    // Whoever lost it cannot finish it any more, neither before nor after another has it.
    let again = messages::claim(hub.pool(), hub.engine.id, 10, Duration::from_secs(60)).await.expect("claimed");
    assert_eq!(again.len(), 1);
    let mut tx = hub.pool().begin().await.expect("a transaction");
    assert!(messages::still_ours(&mut tx, gone, &ids).await.expect("the fence").is_empty());
    assert_eq!(messages::still_ours(&mut tx, hub.engine.id, &ids).await.expect("the fence"), ids);
    let now = hub.engine.database_now().await.expect("now");
    let finish = Finish::Final { state: MessageState::Done, internal_id: None, failure: None };
    messages::finish(&mut tx, hub.engine.id, now, &[(&again[0], finish)]).await.expect("finished");
    tx.commit().await.expect("committed");
    assert_eq!(done(&hub).await, 1);
}

#[tokio::test]
async fn a_message_that_ends_its_workers_is_put_aside() {
    let courier = Arc::new(Courier::default());
    let hub = hub_with(&courier, |build| build.settings.max_claims = 3).await;
    post(&hub, key("a")).await;
    for _ in 0..3 {
        messages::claim(hub.pool(), Uuid::now_v7(), 10, Duration::ZERO).await.expect("claimed");
        eventually("it is free", || async { messages::reap_expired(hub.pool()).await.expect("reaped") == 1 }).await;
    }
    turn(&hub).await;
    assert!(courier.tried().is_empty());
    let letter = hub.row("select key, cause, reason from hub.dead_letter").await;
    assert_eq!(letter, json!({ "key": "a", "cause": "ours", "reason": "no_outcome" }));
}

#[tokio::test]
async fn a_message_that_is_held_in_many_outages_ends_nobody() {
    let courier = Arc::new(Courier::default());
    let hub = hub_with(&courier, |build| {
        build.settings.max_claims = 3;
        build.settings.breaker_threshold = 1;
    })
    .await;
    courier.fail("a", vec![down(); 5]);
    post(&hub, key("a")).await;
    for _ in 0..5 {
        turn(&hub).await;
        assert_eq!(open(&hub).await[0]["state"], "held");
        breaker::close(hub.pool(), ERP).await.expect("closed");
        messages::release_held(hub.pool(), ERP, 1_000_000.0).await.expect("released");
    }
    eventually("it is delivered", || async { turn(&hub).await == 0 && done(&hub).await == 1 }).await;
}

#[tokio::test]
async fn only_what_is_worked_on_keeps_its_lease() {
    let courier = Arc::new(Courier::default());
    let hub = hub_with(&courier, |build| {
        build.settings.lease = Duration::from_secs(1);
        build.settings.heartbeat = Duration::from_millis(100);
    })
    .await;
    post(&hub, key("a")).await;
    // A turn that broke off, say because the database was away: this process lives, and has forgotten the message.
    messages::claim(hub.pool(), hub.engine.id, 10, Duration::from_secs(1)).await.expect("claimed");
    let daemon = Daemon::start(&hub.engine).await.expect("a daemon");
    eventually("it is delivered", || async { done(&hub).await == 1 }).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_probe_that_hangs_stops_nobody() {
    let courier = Arc::new(Courier::default());
    let hub = hub_with(&courier, |_| {}).await;
    hub.system.hang_checks();
    breaker::record_fault(hub.pool(), "erp", "down", 1, Duration::ZERO).await.expect("open");
    let daemon = Daemon::start(&hub.engine).await.expect("a daemon");
    let checks = || hub.system.checks.load(std::sync::atomic::Ordering::SeqCst);
    eventually("it is probed", || async { checks() >= 1 }).await;
    // Work of a process that is gone is taken back all the same.
    post(&hub, key("a")).await;
    messages::claim(hub.pool(), Uuid::now_v7(), 10, Duration::ZERO).await.expect("claimed");
    eventually("it is taken back", || async { hub.count("hub.message where state <> 'working'").await == 1 }).await;
    daemon.stop().await;
}

#[tokio::test]
async fn messages_of_an_unknown_kind_are_kept_for_a_person() {
    let hub = Hub::new().await;
    post(&hub, key("a")).await;
    turn(&hub).await;
    let letter = hub.row("select kind, cause, reason from hub.dead_letter").await;
    assert_eq!(letter, json!({ "kind": NOTE, "cause": "ours", "reason": "kind_unknown" }));
    housekeeping::sweep_once(&hub.engine).await.expect("a sweep");
}
