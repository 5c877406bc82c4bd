//! Order on a key, whatever happens around it.

use std::{sync::Arc, time::Duration};

use kopru::{
    hub::{
        daemon::Daemon,
        deliveries::{Target, worker},
        retry::RetrySchedule,
    },
    outbox::EventType::{OrderUpdated, ProductUpdated},
};
use kopru_sdk::Fault;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use tokio::task::JoinSet;

use crate::support::{
    courier::down,
    hub::Hub,
    listener::{EAR, Listener, Told, attach, happen, hub_with, route, say},
};

/// Of each record the revisions that were told, in their order, without what failed and came again.
fn by_record(told: &[Told], record: i64) -> Vec<i64> {
    let mut revisions: Vec<i64> = told.iter().filter(|(id, _)| *id == record).map(|(_, revision)| *revision).collect();
    revisions.dedup();
    revisions
}

#[tokio::test]
async fn sixteen_workers_keep_the_order_of_one_key() {
    let listener = Arc::new(Listener::new(&["*"]));
    let hub = hub_with(&listener).await;
    let revisions: Vec<Told> = (1..=60).map(|revision| (1, revision)).collect();
    say(hub.pool(), OrderUpdated, "user:1", false, &revisions).await;
    route(&hub).await;
    let mut workers = JoinSet::new();
    for _ in 0..16 {
        let engine = hub.engine.clone();
        workers.spawn(async move {
            for _ in 0..30 {
                worker::turn(&engine).await.expect("a turn");
            }
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended.expect("a worker");
    }
    while worker::turn(&hub.engine).await.expect("a turn") > 0 {}
    assert_eq!(listener.told(), revisions);
    assert!(!listener.twice_at_once.load(std::sync::atomic::Ordering::SeqCst));
}

#[tokio::test]
async fn other_keys_do_not_wait_for_one_that_fails() {
    let listener = Arc::new(Listener::new(&["*"]));
    let hub = Hub::with(|build| {
        build.polled = &[];
        build.settings.breaker_threshold = 100;
        build.settings.retry.delays = vec![Duration::from_secs(3600); 5];
    })
    .await;
    attach(&hub, &listener).await;
    listener.fail((1, 1), [down()]);
    happen(hub.pool(), OrderUpdated, &[(1, 1), (1, 2), (2, 1), (2, 2)]).await;
    crate::support::listener::deliver(&hub).await;
    let mut told = listener.told();
    told.sort_unstable();
    assert_eq!(told, [(1, 1), (2, 1), (2, 2)], "the second of the first record waits behind the first");
    let waiting = hub.rows("select revision, state, attempts from hub.delivery order by revision").await;
    assert_eq!(
        waiting,
        [
            serde_json::json!({ "revision": 1, "state": "waiting", "attempts": 1 }),
            serde_json::json!({ "revision": 2, "state": "received", "attempts": 0 }),
        ]
    );
}

#[tokio::test]
async fn a_state_that_is_overtaken_while_it_fails_is_not_tried_again() {
    let listener = Arc::new(Listener::new(&["*"]).gated());
    let hub = hub_with(&listener).await;
    listener.fail((1, 1), [down()]);
    happen(hub.pool(), ProductUpdated, &[(1, 1)]).await;
    route(&hub).await;
    let engine = hub.engine.clone();
    let first = tokio::spawn(async move { worker::turn(&engine).await });
    hub.eventually("it is under way", || async { listener.under_way() == 1 }).await;
    happen(hub.pool(), ProductUpdated, &[(1, 2)]).await;
    route(&hub).await;
    assert_eq!(worker::turn(&hub.engine).await.expect("a turn"), 0, "the newer one waits for the end of the older");
    listener.let_through(10);
    first.await.expect("joined").expect("a turn");
    crate::support::listener::deliver(&hub).await;
    assert_eq!(listener.told(), [(1, 1), (1, 2)]);
    assert_eq!(hub.count("hub.delivery_history where state = 'superseded' and revision = 1").await, 1);
}

#[tokio::test]
async fn two_daemons_tell_everything_once_and_in_order() {
    let listener = Arc::new(Listener::new(&["*"]));
    let hub = hub_with(&listener).await;
    let other = hub.beside();
    other.targets.put(EAR, Arc::<Listener>::clone(&listener) as Arc<dyn Target>);
    let daemons =
        [Daemon::start(&hub.engine).await.expect("a daemon"), Daemon::start(&other).await.expect("another daemon")];
    for revision in 1..=10 {
        let told: Vec<Told> = (1..=20).map(|record| (record, revision)).collect();
        say(hub.pool(), OrderUpdated, "user:1", false, &told).await;
    }
    hub.eventually("all are told", || async { hub.count("hub.delivery_history where state = 'done'").await == 200 })
        .await;
    for daemon in daemons {
        daemon.stop().await;
    }
    let told = listener.told();
    assert_eq!(told.len(), 200, "none twice");
    for record in 1..=20 {
        assert_eq!(by_record(&told, record), (1..=10).collect::<Vec<_>>());
    }
    assert!(!listener.twice_at_once.load(std::sync::atomic::Ordering::SeqCst));
}

/// One step of a history: a few events of a record, or some of the work.
#[derive(Debug, Clone)]
enum Step {
    Happens { record: i64, count: i64 },
    Route,
    Work,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (1i64..4, 1i64..4).prop_map(|(record, count)| Step::Happens { record, count }),
        2 => Just(Step::Route),
        3 => Just(Step::Work),
    ];
    proptest::collection::vec(step, 1..25)
}

fn faults() -> impl Strategy<Value = Vec<(i64, i64, u8)>> {
    proptest::collection::vec((1i64..4, 1i64..8, 0u8..3), 0..8)
}

#[test]
fn whatever_fails_each_record_is_told_in_order() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let hub = runtime.block_on(Hub::with(|build| {
        build.polled = &[];
        build.settings.breaker_threshold = 1000;
        build.settings.retry =
            RetrySchedule { delays: vec![Duration::ZERO; 50], jitter: 0.0, longest_wait: Duration::ZERO };
    }));
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&(steps(), faults()), |(steps, faults)| {
        let told = runtime.block_on(history(&hub, &steps, &faults));
        for record in 1..4 {
            let happened: i64 = steps
                .iter()
                .map(|step| match step {
                    Step::Happens { record: of, count } if *of == record => *count,
                    _ => 0,
                })
                .sum();
            prop_assert_eq!(by_record(&told, record), (1..=happened).collect::<Vec<_>>());
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    drop(hub);
}

async fn history(hub: &Hub, steps: &[Step], faults: &[(i64, i64, u8)]) -> Vec<Told> {
    hub.execute("delete from hub.delivery; delete from hub.outbox_unrouted; delete from hub.outbox_event").await;
    let listener = Arc::new(Listener::new(&["*"]));
    attach(hub, &listener).await;
    for (record, revision, sort) in faults {
        let fault = match sort {
            0 => down(),
            1 => Fault::RateLimited { wait: None, detail: "slowly".to_owned() },
            _ => Fault::UnknownOutcome { detail: "cut".to_owned() },
        };
        listener.fail((*record, *revision), [fault]);
    }
    let mut revisions = [0i64; 4];
    for step in steps {
        match step {
            Step::Happens { record, count } => {
                let last = &mut revisions[usize::try_from(*record).expect("small")];
                let told: Vec<Told> = (1..=*count).map(|n| (*record, *last + n)).collect();
                *last += count;
                say(hub.pool(), OrderUpdated, "user:1", false, &told).await;
            }
            Step::Route => route(hub).await,
            Step::Work => {
                worker::turn(&hub.engine).await.expect("a turn");
            }
        }
    }
    crate::support::listener::deliver(hub).await;
    listener.told()
}
