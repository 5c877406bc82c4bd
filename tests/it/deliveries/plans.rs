//! The lane costs what is claimed from it, whatever the statistics of its tables say.

use std::sync::Arc;

use kopru::outbox::EventType::{OrderUpdated, ProductUpdated};

use crate::support::{
    hub::Hub,
    listener::{Listener, deliver, hub_with, say},
};

const LANE: [&str; 3] = ["hub.outbox_event", "hub.outbox_unrouted", "hub.delivery"];

/// Entries of indexes and rows of tables that were read of the lane, as soon as at least so many are known.
async fn read(hub: &Hub, at_least: i64) -> i64 {
    let read = "select (select sum(idx_tup_read) from pg_stat_all_indexes
                        where schemaname = 'hub' and relname in ('outbox_event', 'outbox_unrouted', 'delivery'))::bigint
                     + (select sum(seq_tup_read) from pg_stat_all_tables
                        where schemaname = 'hub' and relname in ('outbox_event', 'outbox_unrouted', 'delivery'))::bigint";
    loop {
        hub.execute("select pg_stat_force_next_flush()").await;
        let read: i64 = sqlx::query_scalar(read).fetch_one(hub.pool()).await.expect("statistics");
        if read >= at_least {
            return read;
        }
    }
}

/// A connection plans once, and it may have done so when the lane was empty and the store knew that.
#[tokio::test]
async fn plans_of_an_empty_lane_serve_a_full_one() {
    const EVENTS: i64 = 600;
    let listener = Arc::new(Listener::new(&["*"]));
    let hub = hub_with(&listener).await;
    for table in LANE {
        hub.execute(&format!("alter table {table} set (autovacuum_enabled = false)")).await;
    }
    say(hub.pool(), OrderUpdated, "user:1", false, &[(1, 1)]).await;
    say(hub.pool(), ProductUpdated, "user:1", false, &[(1, 1), (1, 2)]).await;
    deliver(&hub).await;
    hub.execute("delete from hub.outbox_event").await;
    for table in LANE {
        hub.execute(&format!("vacuum analyze {table}")).await;
    }
    // The store takes up to six to settle on a plan.
    for _ in 0..10 {
        deliver(&hub).await;
    }

    let before = read(&hub, 0).await;
    let of = |revision| (1..=EVENTS).map(|id| (id, revision)).collect::<Vec<(i64, i64)>>();
    say(hub.pool(), OrderUpdated, "user:1", false, &of(2)).await;
    say(hub.pool(), ProductUpdated, "user:1", false, &[of(3), of(4)].concat()).await;
    deliver(&hub).await;
    assert_eq!(listener.told().len(), 2 + 2 * EVENTS as usize, "the newest state of a product alone");
    let deliveries = 3 * EVENTS;
    let read = read(&hub, before + deliveries).await - before;
    assert!(read < 2_000 * deliveries, "{} rows and entries were read for each delivery", read / deliveries);
}
