//! What becomes of deliveries that fail: retries, letters, held and blocked ones.

use std::{sync::Arc, time::Duration};

use kopru::{
    audit::Actor,
    hub::{
        daemon::Daemon,
        dead_letters,
        deliveries::{manage, store, targets, worker},
        housekeeping,
    },
    outbox::EventType::{OrderConfirmed, OrderUpdated, ProductUpdated},
};
use kopru_sdk::Fault;
use serde_json::json;
use uuid::Uuid;

use crate::support::{
    courier::{down, refused},
    hub::Hub,
    listener::{EAR, Listener, attach, deliver, happen, hub_with, route},
};

const BY: Actor<'_> = Actor::new("cli:ayse", "test");

async fn states(hub: &Hub) -> Vec<serde_json::Value> {
    let rows = hub.rows("select revision, state from hub.delivery order by aggregate_id, revision").await;
    rows.into_iter().map(|row| json!([row["revision"], row["state"]])).collect()
}

async fn letters(hub: &Hub) -> Vec<Uuid> {
    let open = dead_letters::list(hub.pool(), &dead_letters::Filter::default(), None, 100).await.expect("letters");
    open.iter().map(|letter| letter.id).collect()
}

#[tokio::test]
async fn a_passing_fault_is_tried_again_until_it_passes() {
    let listener = Arc::new(Listener::new(&["*"]));
    let hub = Hub::with(|build| {
        build.polled = &[];
        build.settings.breaker_threshold = 100;
    })
    .await;
    attach(&hub, &listener).await;
    listener.fail((1, 1), [down(), down(), Fault::RateLimited { wait: None, detail: "slowly".to_owned() }]);
    happen(hub.pool(), OrderUpdated, &[(1, 1)]).await;
    hub.eventually("it is told", || async {
        deliver(&hub).await;
        hub.count("hub.delivery_history where state = 'done' and attempts = 4").await == 1
    })
    .await;
    let outcomes = hub.rows("select outcome, cause, reason from hub.attempt order by number").await;
    assert_eq!(outcomes.len(), 4);
    assert_eq!(outcomes[0], json!({ "outcome": "waiting", "cause": "remote", "reason": "transient" }));
}

#[tokio::test]
async fn however_often_it_is_asked_for_patience_a_fault_has_all_its_tries() {
    let listener = Arc::new(Listener::new(&["*"]));
    let hub = Hub::with(|build| {
        build.polled = &[];
        build.settings.breaker_threshold = 100;
    })
    .await;
    attach(&hub, &listener).await;
    let later = || Fault::RateLimited { wait: None, detail: "slowly".to_owned() };
    let tries = hub.engine.settings.retry.delays.len();
    listener.fail((1, 1), (0..tries + 2).map(|_| later()).chain([down(), down()]));
    happen(hub.pool(), OrderUpdated, &[(1, 1)]).await;
    for other in 2.. {
        // Others go well meanwhile, and are seen to.
        happen(hub.pool(), OrderUpdated, &[(other, 1)]).await;
        hub.execute("update hub.breaker set last_success_at = null").await;
        deliver(&hub).await;
        assert!(letters(&hub).await.is_empty());
        if hub.count("hub.delivery_history where aggregate_id = 1 and state = 'done'").await == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_refused_fact_is_a_letter_at_once_and_holds_its_key_until_it_is_replayed() {
    let listener = Arc::new(Listener::new(&["*"]));
    let hub = hub_with(&listener).await;
    listener.fail((1, 1), [refused(), refused()]);
    happen(hub.pool(), OrderConfirmed, &[(1, 1)]).await;
    happen(hub.pool(), OrderUpdated, &[(1, 2), (2, 1)]).await;
    deliver(&hub).await;
    assert_eq!(states(&hub).await, [json!([1, "dead"]), json!([2, "blocked"])]);
    let letter = hub
        .row("select kind, connector, stream, entity, key, cause, reason, field, attempts from hub.dead_letter")
        .await;
    assert_eq!(
        letter,
        json!({ "kind": "delivery", "connector": EAR, "stream": "order.confirmed", "entity": "order", "key": "1@1",
                "cause": "data", "reason": "unknown_code", "field": "ARP_CODE", "attempts": 1 })
    );
    // What happens now waits behind it as well.
    happen(hub.pool(), OrderUpdated, &[(1, 3)]).await;
    deliver(&hub).await;
    assert_eq!(states(&hub).await, [json!([1, "dead"]), json!([2, "blocked"]), json!([3, "blocked"])]);

    let ids = letters(&hub).await;
    dead_letters::replay(hub.pool(), BY, &ids).await.expect("a replay");
    deliver(&hub).await;
    assert_eq!(letters(&hub).await, ids, "refused again, it is the same letter");
    assert_eq!(states(&hub).await, [json!([1, "dead"]), json!([2, "blocked"]), json!([3, "blocked"])]);

    dead_letters::replay(hub.pool(), BY, &ids).await.expect("a replay");
    deliver(&hub).await;
    let first: Vec<i64> = listener.told().iter().filter(|told| told.0 == 1).map(|told| told.1).collect();
    assert_eq!(first, [1, 1, 1, 2, 3]);
    assert_eq!(hub.count("hub.delivery").await, 0);
    let resolved = hub.row("select resolution, resolved_by from hub.dead_letter_history").await;
    assert_eq!(resolved, json!({ "resolution": "replayed", "resolved_by": "cli:ayse" }));
}

#[tokio::test]
async fn what_was_blocked_goes_on_when_the_letter_is_discarded_or_the_delivery_called_off() {
    let listener = Arc::new(Listener::new(&["*"]));
    let hub = hub_with(&listener).await;
    listener.fail((1, 1), [refused()]);
    listener.fail((2, 1), [refused()]);
    happen(hub.pool(), OrderUpdated, &[(1, 1), (1, 2), (2, 1), (2, 2)]).await;
    deliver(&hub).await;
    let ids = letters(&hub).await;
    dead_letters::discard(hub.pool(), BY, &ids[..1], "typed by hand").await.expect("discarded");
    let dead = hub.row("select id, dead_letter_id from hub.delivery where state = 'dead'").await;
    let id: Uuid = serde_json::from_value(dead["id"].clone()).expect("an id");
    let no_reason = manage::cancel(hub.pool(), BY, &[id], " ").await;
    assert!(matches!(no_reason, Err(manage::ManageError::NoReason)));
    manage::cancel(hub.pool(), BY, &[id], "the customer is gone").await.expect("called off");
    deliver(&hub).await;
    let mut told = listener.told();
    told.sort_unstable();
    assert_eq!(told, [(1, 1), (1, 2), (2, 1), (2, 2)]);
    assert_eq!(hub.count("hub.delivery").await, 0);
    assert_eq!(letters(&hub).await, Vec::<Uuid>::new());
    let mut ends = hub.rows("select state, detail from hub.delivery_history where state <> 'done'").await;
    ends.sort_by_key(|row| row["state"].to_string());
    assert_eq!(
        ends,
        [
            json!({ "state": "cancelled", "detail": "the customer is gone" }),
            json!({ "state": "discarded", "detail": "typed by hand" })
        ]
    );
    assert_eq!(hub.count("identity.audit_event where action = 'delivery.cancelled'").await, 1);
}

#[tokio::test]
async fn an_edited_document_is_told_in_place_of_the_one_that_was_refused() {
    let listener = Arc::new(Listener::new(&["*"]));
    let hub = hub_with(&listener).await;
    listener.fail((1, 1), [refused()]);
    happen(hub.pool(), OrderUpdated, &[(1, 1)]).await;
    deliver(&hub).await;
    let id = letters(&hub).await[0];
    for bad in [&b"no json"[..], b"[1]"] {
        let refused = dead_letters::edit(&hub.engine, BY, id, bad).await;
        assert!(matches!(refused, Err(dead_letters::EditError::Refused(_))));
    }
    dead_letters::edit(&hub.engine, BY, id, br#"{"mended": true}"#).await.expect("an edit");
    deliver(&hub).await;
    let asked = hub.rows("select asked from hub.attempt where outcome = 'done'").await;
    assert_eq!(asked, [json!({ "asked": r#"{"mended":true}"# })]);
}

#[tokio::test]
async fn a_dead_state_is_superseded_by_the_next_and_holds_nothing() {
    let listener = Arc::new(Listener::new(&["*"]));
    let hub = hub_with(&listener).await;
    listener.fail((1, 1), [refused()]);
    happen(hub.pool(), ProductUpdated, &[(1, 1)]).await;
    deliver(&hub).await;
    assert_eq!(letters(&hub).await.len(), 1);
    happen(hub.pool(), ProductUpdated, &[(1, 2)]).await;
    deliver(&hub).await;
    assert_eq!(listener.told(), [(1, 1), (1, 2)]);
    assert_eq!(letters(&hub).await, Vec::<Uuid>::new());
    assert_eq!(hub.row("select resolution from hub.dead_letter_history").await, json!({ "resolution": "superseded" }));
}

#[tokio::test]
async fn an_outage_holds_everything_and_kills_nothing() {
    let listener = Arc::new(Listener::new(&["*"]));
    let hub = hub_with(&listener).await;
    listener.set_down(true);
    let told: Vec<_> = (1..=40).map(|record| (record, 1)).collect();
    happen(hub.pool(), OrderUpdated, &told).await;
    let daemon = Daemon::start(&hub.engine).await.expect("a daemon");
    hub.eventually("everything is held", || async {
        hub.count("hub.delivery where state = 'held'").await == 40 && listener.checks() > 2
    })
    .await;
    let tried = listener.told().len();
    assert!(tried < 40, "{tried} calls to a system that is down");
    assert_eq!(hub.count("hub.dead_letter").await, 0);
    listener.set_down(false);
    hub.eventually("everything is told", || async {
        hub.count("hub.delivery_history where state = 'done'").await == 40
    })
    .await;
    daemon.stop().await;
    assert_eq!(hub.count("hub.dead_letter").await, 0);
    assert_eq!(hub.count("hub.dead_letter_history").await, 0);
}

#[tokio::test]
async fn what_fails_while_others_go_well_is_a_letter_when_its_attempts_are_used_up() {
    let listener = Arc::new(Listener::new(&["*"]));
    let hub = Hub::with(|build| {
        build.polled = &[];
        build.settings.breaker_threshold = 100;
        build.settings.retry.delays = vec![Duration::ZERO; 5];
    })
    .await;
    attach(&hub, &listener).await;
    listener.fail((1, 1), std::iter::repeat_with(down).take(6));
    happen(hub.pool(), OrderUpdated, &[(1, 1)]).await;
    route(&hub).await;
    for record in 2..8 {
        worker::turn(&hub.engine).await.expect("a turn");
        // Its success is noted again, however soon after the last one.
        hub.execute("update hub.breaker set last_success_at = last_success_at - interval '1 hour'").await;
        happen(hub.pool(), OrderUpdated, &[(record, 1)]).await;
        route(&hub).await;
    }
    deliver(&hub).await;
    assert_eq!(letters(&hub).await.len(), 1);
    assert_eq!(hub.row("select attempts from hub.dead_letter").await, json!({ "attempts": 6 }));
}

#[tokio::test]
async fn refused_credentials_pause_the_target_until_somebody_resumes_it() {
    let listener = Arc::new(Listener::new(&["*"]));
    let hub = hub_with(&listener).await;
    listener.fail((1, 1), [Fault::Unauthenticated { detail: "wrong password".to_owned() }]);
    happen(hub.pool(), OrderUpdated, &[(1, 1), (2, 1)]).await;
    deliver(&hub).await;
    happen(hub.pool(), OrderUpdated, &[(3, 1)]).await;
    deliver(&hub).await;
    store::hold_uncallable(hub.pool()).await.expect("held");
    let row = targets::list(hub.pool()).await.expect("targets").remove(0);
    assert_eq!((row.paused_cause.as_deref(), row.held, row.dead), (Some("credential"), 2, 0));
    assert!(manage::set_paused(hub.pool(), BY, EAR, None).await.expect("resumed"));
    assert!(!manage::set_paused(hub.pool(), BY, EAR, None).await.expect("resumed before"));
    let unknown = manage::set_paused(hub.pool(), BY, "nobody", None).await;
    assert!(matches!(unknown, Err(manage::ManageError::UnknownTarget(_))));
    store::release_held(hub.pool(), &[EAR.to_owned()], 1e6).await.expect("released");
    deliver(&hub).await;
    assert_eq!(hub.count("hub.delivery_history where state = 'done'").await, 3);
}

#[tokio::test]
async fn only_what_waits_for_its_time_can_be_hurried() {
    let listener = Arc::new(Listener::new(&["*"]));
    let hub = Hub::with(|build| {
        build.polled = &[];
        build.settings.breaker_threshold = 100;
        build.settings.retry.delays = vec![Duration::from_secs(3600); 5];
    })
    .await;
    attach(&hub, &listener).await;
    listener.fail((1, 1), [down()]);
    happen(hub.pool(), OrderUpdated, &[(1, 1)]).await;
    deliver(&hub).await;
    let id: Uuid = sqlx::query_scalar("select id from hub.delivery").fetch_one(hub.pool()).await.expect("the delivery");
    assert_eq!(manage::replay(hub.pool(), BY, &[id]).await.expect("hurried"), 1);
    deliver(&hub).await;
    assert_eq!(hub.count("hub.delivery_history where state = 'done'").await, 1);
    let gone = manage::replay(hub.pool(), BY, &[id]).await;
    assert!(matches!(gone, Err(manage::ManageError::NotOpen(_))));
}

#[tokio::test]
async fn housekeeping_asks_the_target_itself_before_it_lets_go() {
    let listener = Arc::new(Listener::new(&["*"]));
    let hub = hub_with(&listener).await;
    listener.set_down(true);
    happen(hub.pool(), OrderUpdated, &[(1, 1)]).await;
    hub.eventually("the breaker opens", || async {
        deliver(&hub).await;
        hub.count("hub.breaker where connector = 'ear' and state = 'open'").await == 1
    })
    .await;
    let tried = listener.told().len();
    hub.eventually("it is asked", || async {
        housekeeping::probe_once(&hub.engine).await.expect("a probe");
        listener.checks() > 1
    })
    .await;
    deliver(&hub).await;
    assert_eq!(listener.told().len(), tried, "never with what failed");
    listener.set_down(false);
    hub.eventually("it is let go", || async {
        housekeeping::probe_once(&hub.engine).await.expect("a probe");
        deliver(&hub).await;
        hub.count("hub.delivery_history where state = 'done'").await == 1
    })
    .await;
}
