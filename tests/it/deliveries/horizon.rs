//! The lane is not looked at from its beginning each time, and nothing is passed by.

use std::{sync::Arc, time::Duration};

use kopru::{
    clock::Clock,
    hub::daemon::Daemon,
    outbox::{self, EventType::OrderConfirmed, Events, Provenance},
};
use serde_json::json;

use crate::support::{
    hub::eventually,
    listener::{Listener, happen, hub_with},
};

#[tokio::test]
async fn what_is_due_long_before_what_was_claimed_last_is_told_too() {
    let listener = Arc::new(Listener::new(&["order.confirmed"]));
    let hub = hub_with(&listener).await;
    let daemon = Daemon::start(&hub.engine).await.expect("a daemon");
    happen(hub.pool(), OrderConfirmed, &[(1, 1)]).await;
    eventually("the first is told", || async { listener.told().len() == 1 }).await;
    hub.execute(
        "insert into hub.delivery (id, target, type, aggregate, aggregate_id, revision, origin, payload, correlation_id, due_at)
         values (hub.new_id(), 'ear', 'order.confirmed', 'order', 2, 1, 'test', '{}', 'test', now() - interval '1 hour')",
    )
    .await;
    eventually("the older one is told", || async { listener.told().contains(&(2, 1)) }).await;
    daemon.stop().await;
}

#[tokio::test]
async fn an_event_that_is_committed_late_is_told_and_in_its_order() {
    let listener = Arc::new(Listener::new(&["order.confirmed"]));
    let hub = hub_with(&listener).await;
    let daemon = Daemon::start(&hub.engine).await.expect("a daemon");
    let mut late = hub.pool().begin().await.expect("begin");
    let mut events = Events::new(OrderConfirmed, 1);
    events.push(1, 1, &json!({ "id": 1 })).expect("a payload");
    let by =
        Provenance { origin: "user:1", bulk: false, correlation_id: "test", place: None, now: Clock::system().now() };
    outbox::append(&mut late, &by, &events).await.expect("appended");
    // The places behind it are routed, second after second.
    for id in 2..6 {
        happen(hub.pool(), OrderConfirmed, &[(id, 1)]).await;
        eventually("it is told", || async { listener.told().contains(&(id, 1)) }).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    late.commit().await.expect("committed");
    happen(hub.pool(), OrderConfirmed, &[(1, 2)]).await;
    eventually("both are told", || async { listener.told().len() == 6 }).await;
    assert_eq!(listener.told()[4..], [(1, 1), (1, 2)]);
    daemon.stop().await;
}
