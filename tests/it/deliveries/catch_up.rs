//! What a target was not told while it was not to be told it, told when somebody says so.

use std::sync::Arc;

use kopru::{
    audit::Actor,
    hub::deliveries::{
        catch_up::{self, Plan, Share, Wanted},
        manage,
    },
    outbox::EventType::OrderConfirmed,
};

use crate::support::{
    hub::Hub,
    listener::{EAR, Listener, deliver, happen, hub_with, route},
};

const BY: Actor<'_> = Actor::new("user:7", "test");

/// Told of other things, when four orders were confirmed; the event of a fifth is not kept any more.
async fn late() -> (Hub, Arc<Listener>) {
    let mut listener = Listener::new(&["order.updated"]);
    listener.missed = vec![1, 2, 3, 5];
    let listener = Arc::new(listener);
    let hub = hub_with(&listener).await;
    happen(hub.pool(), OrderConfirmed, &[(1, 4), (2, 1), (3, 1), (4, 1)]).await;
    route(&hub).await;
    assert_eq!(hub.count("hub.delivery").await, 0);
    (hub, listener)
}

async fn plan(hub: &Hub) -> Plan {
    let mut conn = hub.pool().acquire().await.expect("a connection");
    catch_up::plan(&mut conn, &hub.engine.targets, EAR, Wanted::default()).await.expect("a plan")
}

async fn start(hub: &Hub) -> u64 {
    let mut tx = hub.pool().begin().await.expect("begin");
    let told = catch_up::start(&mut tx, BY, &hub.engine.targets, EAR, Wanted::default()).await.expect("started");
    tx.commit().await.expect("commit");
    told
}

fn figures(plan: &Plan) -> Vec<(i64, i64, i64)> {
    plan.shares.iter().map(|share: &Share| (share.count, share.called_off, share.not_kept)).collect()
}

#[tokio::test]
async fn what_it_says_it_missed_is_counted_and_told_with_a_word_that_it_may_be_known() {
    let (hub, listener) = late().await;
    let meant = plan(&hub).await;
    assert_eq!((meant.total, figures(&meant)), (3, vec![(3, 0, 1)]));
    assert_eq!(meant.shares[0].kind, "order.confirmed");
    assert_eq!(hub.count("hub.delivery").await, 0, "counted only");

    assert_eq!(start(&hub).await, 3);
    assert_eq!(start(&hub).await, 0, "what is open is not told twice");
    assert_eq!(plan(&hub).await.total, 0);
    deliver(&hub).await;
    let mut told = listener.told();
    told.sort_unstable();
    assert_eq!(told, [(1, 4), (2, 1), (3, 1)]);
    assert_eq!(listener.unknown.load(std::sync::atomic::Ordering::SeqCst), 3, "each is looked for first");
    assert_eq!(
        hub.row("select count(*) as n from identity.audit_event where action = 'target.caught_up'").await["n"],
        1
    );
}

#[tokio::test]
async fn what_somebody_called_off_stays_so() {
    let (hub, listener) = late().await;
    start(&hub).await;
    let id = hub.row("select id from hub.delivery where aggregate_id = 2").await["id"].clone();
    let id = id.as_str().expect("an id").parse().expect("an id");
    manage::cancel(hub.pool(), BY, &[id], "made by hand").await.expect("called off");
    deliver(&hub).await;
    assert_eq!(listener.told().len(), 2);
    // The target still says that it was told of none.
    assert_eq!(figures(&plan(&hub).await), [(2, 1, 1)]);
    assert_eq!(start(&hub).await, 2);
    deliver(&hub).await;
    // Somebody thought better of it.
    let mut tx = hub.pool().begin().await.expect("begin");
    let wanted = Wanted { called_off: true, ..Wanted::default() };
    let meant = catch_up::plan(&mut tx, &hub.engine.targets, EAR, wanted).await.expect("a plan");
    assert_eq!(meant.total, 3);
    assert_eq!(catch_up::start(&mut tx, BY, &hub.engine.targets, EAR, wanted).await.expect("started"), 3);
    tx.commit().await.expect("commit");
    deliver(&hub).await;
    assert_eq!(listener.told().iter().filter(|(order, _)| *order == 2).count(), 1);
}

#[tokio::test]
async fn only_what_happened_since_then_and_only_to_a_target_that_is_there() {
    let (hub, _listener) = late().await;
    let mut conn = hub.pool().acquire().await.expect("a connection");
    let later = hub.engine.database_now().await.expect("now");
    let since = catch_up::plan(&mut conn, &hub.engine.targets, EAR, Wanted { since: Some(later), called_off: false })
        .await
        .expect("a plan");
    assert_eq!(since.total, 0);
    let nobody =
        catch_up::plan(&mut conn, &hub.engine.targets, "nobody", Wanted::default()).await.expect_err("no such target");
    assert!(nobody.to_string().contains("no target is called `nobody`"), "{nobody}");
}
