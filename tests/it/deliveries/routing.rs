//! Which events become deliveries, and of whom.

use std::sync::Arc;

use kopru::{
    hub::deliveries::{Wants, list, router, targets},
    outbox::EventType::{OrderConfirmed, OrderUpdated, ProductUpdated},
};
use serde_json::json;

use crate::support::{
    hub::Hub,
    listener::{EAR, Listener, attach, deliver, happen, hub_with, route, say},
};

#[tokio::test]
async fn an_event_is_told_once_to_whom_it_concerns() {
    let listener = Arc::new(Listener::new(&["order.confirmed"]));
    let hub = hub_with(&listener).await;
    happen(hub.pool(), OrderConfirmed, &[(1, 1), (2, 1)]).await;
    happen(hub.pool(), OrderUpdated, &[(1, 2)]).await;
    deliver(&hub).await;
    let mut told = listener.told();
    told.sort_unstable();
    assert_eq!(told, [(1, 1), (2, 1)]);
    assert_eq!(hub.count("hub.outbox_unrouted").await, 0);
    assert_eq!(hub.count("hub.delivery").await, 0);
    let finished = hub.row("select target, type, state, aggregate, revision, attempts, receipt from hub.delivery_history where aggregate_id = 1").await;
    assert_eq!(
        finished,
        json!({ "target": EAR, "type": "order.confirmed", "state": "done", "aggregate": "order", "revision": 1,
                "attempts": 1, "receipt": "ok 1@1" })
    );
    let attempt = hub.row("select outcome, asked, answered from hub.attempt where asked like '%\"id\": 1%' or asked like '%\"id\":1%'").await;
    assert_eq!(attempt["answered"], "an answer");
    deliver(&hub).await;
    assert_eq!(listener.told().len(), 2, "and not again");
}

#[tokio::test]
async fn what_came_from_a_target_does_not_go_back_to_it() {
    let listener = Arc::new(Listener::new(&["*"]));
    let hub = hub_with(&listener).await;
    say(hub.pool(), OrderUpdated, EAR, false, &[(1, 1)]).await;
    say(hub.pool(), OrderUpdated, "user:1", false, &[(2, 1)]).await;
    deliver(&hub).await;
    assert_eq!(listener.told(), [(2, 1)]);
}

#[tokio::test]
async fn events_of_complete_passes_go_only_to_those_who_asked() {
    let listener = Arc::new(Listener::new(&["*"]));
    let hub = hub_with(&listener).await;
    let mut all = Listener::new(&[]);
    all.wants = Wants { events: vec!["*".to_owned()], bulk: true, blocks: false };
    let all = Arc::new(all);
    hub.engine.targets.put("all", Arc::<Listener>::clone(&all));
    targets::register(&hub.engine).await.expect("registered");
    say(hub.pool(), ProductUpdated, "erp", true, &[(1, 1), (2, 1)]).await;
    say(hub.pool(), ProductUpdated, "erp", false, &[(3, 1)]).await;
    // That goods were shipped is no state that somebody could read later.
    say(hub.pool(), OrderUpdated, "erp", true, &[(4, 1)]).await;
    deliver(&hub).await;
    let (mut told, mut of_all) = (listener.told(), all.told());
    told.sort_unstable();
    of_all.sort_unstable();
    assert_eq!(told, [(3, 1), (4, 1)]);
    assert_eq!(of_all, [(1, 1), (2, 1), (3, 1), (4, 1)]);
}

#[tokio::test]
async fn of_a_state_only_the_newest_is_told() {
    let listener = Arc::new(Listener::new(&["*"]));
    let hub = hub_with(&listener).await;
    happen(hub.pool(), ProductUpdated, &[(1, 1), (1, 2), (2, 1), (1, 3)]).await;
    route(&hub).await;
    happen(hub.pool(), ProductUpdated, &[(2, 2)]).await;
    deliver(&hub).await;
    let mut told = listener.told();
    told.sort_unstable();
    assert_eq!(told, [(1, 3), (2, 2)]);
    assert_eq!(hub.count("hub.delivery_history where state = 'superseded'").await, 3, "none is just gone");
}

#[tokio::test]
async fn facts_are_all_told_in_their_order() {
    let listener = Arc::new(Listener::new(&["*"]));
    let hub = hub_with(&listener).await;
    say(hub.pool(), OrderUpdated, "user:1", false, &[(1, 1), (1, 2), (1, 3)]).await;
    happen(hub.pool(), OrderConfirmed, &[(1, 4)]).await;
    deliver(&hub).await;
    assert_eq!(listener.told(), [(1, 1), (1, 2), (1, 3), (1, 4)]);
}

#[tokio::test]
async fn an_event_of_which_nobody_is_told_costs_the_router_nothing() {
    let hub = Hub::new().await;
    happen(hub.pool(), OrderConfirmed, &[(1, 1)]).await;
    assert_eq!(hub.count("hub.outbox_event").await, 1);
    assert_eq!(hub.count("hub.outbox_unrouted").await, 0);
    let listener = Arc::new(Listener::new(&["*"]));
    attach(&hub, &listener).await;
    deliver(&hub).await;
    assert!(listener.told().is_empty(), "it was not asked for when it happened");
}

#[tokio::test]
async fn an_event_that_is_committed_late_is_told_all_the_same() {
    let listener = Arc::new(Listener::new(&["*"]));
    let hub = hub_with(&listener).await;
    let mut early = hub.pool().begin().await.expect("begin");
    sqlx::query("insert into hub.outbox_event (id, aggregate_id, revision, created_at, bulk, type, aggregate, origin, correlation_id, payload)
                 values (hub.uuid_at('2020-01-01'), 7, 1, now(), false, 'order.updated', 'order', 'user:1', 'test', '{}')")
        .execute(&mut *early).await.expect("inserted");
    sqlx::query("insert into hub.outbox_unrouted (event_id) values (hub.uuid_at('2020-01-01'))")
        .execute(&mut *early)
        .await
        .expect("noted");
    happen(hub.pool(), OrderUpdated, &[(8, 1)]).await;
    deliver(&hub).await;
    early.commit().await.expect("committed");
    deliver(&hub).await;
    assert_eq!(listener.told(), [(8, 1), (7, 1)]);
}

#[tokio::test]
async fn routed_events_are_kept_as_long_as_payloads_and_unrouted_ones_longer() {
    let listener = Arc::new(Listener::new(&["*"]));
    let hub = hub_with(&listener).await;
    let insert = "insert into hub.outbox_event (id, aggregate_id, revision, created_at, bulk, type, aggregate, origin, correlation_id, payload)
                  select hub.uuid_at(now() - make_interval(days => days)), days, 1, now(), false, 'order.updated', 'order', 'x', 'x', '{}'
                  from unnest(array[1, 29, 40, 50]) days";
    hub.execute(insert).await;
    hub.execute("insert into hub.outbox_unrouted (event_id) select id from hub.outbox_event where aggregate_id = 50")
        .await;
    assert_eq!(router::trim(&hub.engine).await.expect("trimmed"), 1);
    let left = hub.rows("select aggregate_id as days from hub.outbox_event order by 1").await;
    assert_eq!(left, [json!({ "days": 1 }), json!({ "days": 29 }), json!({ "days": 50 })]);
}

#[tokio::test]
async fn a_delivery_is_found_and_shown_with_what_was_tried() {
    let listener = Arc::new(Listener::new(&["*"]));
    let hub = hub_with(&listener).await;
    happen(hub.pool(), OrderUpdated, &[(1, 1), (2, 1)]).await;
    deliver(&hub).await;
    let filter = list::DeliveryFilter {
        target: Some(EAR.to_owned()),
        state: Some("done".to_owned()),
        aggregate_id: Some(2),
        ..Default::default()
    };
    let found = list::list(hub.pool(), &filter, None, 10).await.expect("a list");
    assert_eq!(found.len(), 1);
    let shown = list::show(hub.pool(), found[0].id).await.expect("the store").expect("there");
    assert_eq!(shown.attempts_made.len(), 1);
    assert_eq!(shown.payload, Some(json!({ "id": 2, "revision": 1 })));
}
