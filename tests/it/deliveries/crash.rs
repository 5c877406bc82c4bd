//! Workers that die between the claim and the outcome.

use std::{sync::Arc, sync::atomic::Ordering, time::Duration};

use kopru::{
    hub::deliveries::{store, worker},
    outbox::EventType::OrderUpdated,
};
use serde_json::json;

use crate::support::hub::Hub;
use crate::support::listener::{EAR, Listener, attach, deliver, happen, hub_with, route};

#[tokio::test]
async fn what_a_dead_worker_held_is_told_again_as_of_an_unknown_outcome() {
    let listener = Arc::new(Listener::new(&["*"]));
    let hub = hub_with(&listener).await;
    happen(hub.pool(), OrderUpdated, &[(1, 1), (1, 2)]).await;
    route(&hub).await;
    let free = [store::Free { target: EAR.to_owned(), places: 9, from: None }];
    let lost = store::claim(hub.pool(), uuid::Uuid::now_v7(), &free, Duration::ZERO).await.expect("a claim");
    assert_eq!(lost.len(), 1, "the first of the key alone");
    hub.eventually("it is given back", || async {
        store::reap_expired(hub.pool(), hub.engine.id, &hub.engine.in_hand(), None).await.expect("reaped") == 1
    })
    .await;
    deliver(&hub).await;
    assert_eq!(listener.told(), [(1, 1), (1, 2)]);
    assert_eq!(listener.unknown.load(Ordering::SeqCst), 1, "the target is told to look first");
    assert_eq!(
        hub.row("select attempts, claims from hub.delivery_history where revision = 1").await,
        json!({ "attempts": 1, "claims": 2 })
    );
}

#[tokio::test]
async fn an_outcome_without_its_lease_changes_nothing() {
    let listener = Arc::new(Listener::new(&["*"]).gated());
    let hub = hub_with(&listener).await;
    happen(hub.pool(), OrderUpdated, &[(1, 1)]).await;
    route(&hub).await;
    let engine = hub.engine.clone();
    let slow = tokio::spawn(async move { worker::turn(&engine).await });
    hub.eventually("it is under way", || async { listener.under_way() == 1 }).await;
    // Its lease is lost to another process, which is at it still.
    hub.execute("update hub.delivery set lease_owner = '00000000-0000-7000-8000-000000000001'").await;
    listener.let_through(1);
    slow.await.expect("joined").expect("a turn");
    assert_eq!(hub.count("hub.delivery where state = 'working'").await, 1);
    assert_eq!(hub.count("hub.delivery_history").await, 0);
    assert_eq!(hub.count("hub.attempt").await, 0);
}

/// A process that stood still for longer than its lease has calls in hand that another one may have made meanwhile.
#[tokio::test]
async fn a_call_that_waited_longer_than_its_lease_is_not_made() {
    let listener = Arc::new(Listener::new(&["*"]).gated());
    let hub = Hub::with(|build| {
        build.polled = &[];
        build.settings.lease = Duration::from_millis(300);
    })
    .await;
    attach(&hub, &listener).await;
    happen(hub.pool(), OrderUpdated, &[(1, 1)]).await;
    route(&hub).await;
    let engine = hub.engine.clone();
    let slow = tokio::spawn(async move { worker::turn(&engine).await });
    hub.eventually("it is under way", || async { listener.under_way() == 1 }).await;
    hub.eventually("its lease has run out", || async {
        hub.count("hub.delivery where lease_until < clock_timestamp() - interval '10 ms'").await == 1
    })
    .await;
    listener.let_through(1);
    slow.await.expect("joined").expect("a turn");
    assert!(listener.told().is_empty());
    assert_eq!(
        hub.count("hub.delivery where unknown_since is not null").await,
        1,
        "whoever takes it up looks for it first"
    );
    assert_eq!(hub.count("hub.breaker where faults_in_a_row > 0").await, 0, "its system is not to blame");
    assert_eq!(hub.count("hub.delivery where state = 'waiting' and attempts = patience").await, 1, "nor is that a try");
}

#[tokio::test]
async fn what_kills_every_worker_that_takes_it_is_set_aside() {
    let listener = Arc::new(Listener::new(&["*"]));
    let hub = Hub::with(|build| {
        build.polled = &[];
        build.settings.max_claims = 2;
    })
    .await;
    attach(&hub, &listener).await;
    happen(hub.pool(), OrderUpdated, &[(1, 1), (2, 1)]).await;
    route(&hub).await;
    hub.execute("update hub.delivery set claims = 2 where aggregate_id = 1").await;
    deliver(&hub).await;
    assert_eq!(listener.told(), [(2, 1)]);
    let letter = hub.row("select cause, reason from hub.dead_letter").await;
    assert_eq!(letter, json!({ "cause": "ours", "reason": "no_outcome" }));
}
