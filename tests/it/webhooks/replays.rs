//! Events told again: since a time, by filter, one.

use chrono::{DateTime, TimeDelta, Utc};
use kopru::{
    clock::Clock,
    hub::{
        deliveries::manage,
        webhooks::{
            address::Subscription,
            replay::{self, Choice, Plan},
        },
    },
    outbox::EventType::{OrderCreated, OrderUpdated, StockChanged},
};
use uuid::Uuid;

use super::office::{BY, Office};
use crate::support::{listener::happen, webhook_receiver::Answer};

fn since(since: DateTime<Utc>) -> Choice {
    Choice { since, until: None, types: None, object: None, correlation_id: None, undelivered: false }
}

impl Office {
    async fn plan(&self, id: i64, choice: &Choice) -> Plan {
        let mut tx = self.hub.pool().begin().await.expect("begin");
        replay::plan(&mut tx, id, choice).await.expect("a plan")
    }

    async fn replay(&self, id: i64, choice: &Choice) -> i64 {
        let mut tx = self.hub.pool().begin().await.expect("begin");
        let count = replay::start(&mut tx, BY, id, choice).await.expect("replayed");
        tx.commit().await.expect("committed");
        self.deliver().await;
        count
    }
}

#[tokio::test]
async fn what_an_endpoint_missed_or_lost_is_told_again_under_the_same_ids() {
    let office = Office::new().await;
    let begin = Clock::system().now() - TimeDelta::minutes(1);
    happen(office.hub.pool(), OrderCreated, &[(1, 1)]).await;
    let id = office.endpoint(&["order.*"]).await;
    happen(office.hub.pool(), OrderUpdated, &[(1, 2), (2, 1)]).await;
    happen(office.hub.pool(), StockChanged, &[(9, 1)]).await;
    office.deliver().await;
    assert_eq!(office.receiver.received().len(), 2);

    let missed = Choice { undelivered: true, ..since(begin) };
    let plan = office.plan(id, &missed).await;
    assert_eq!((plan.total, plan.shares[0].kind.as_str()), (1, "order.created"));
    assert_eq!(office.hub.count("hub.delivery").await, 0, "a plan does nothing");
    assert_eq!(office.replay(id, &missed).await, 1);
    assert_eq!(office.plan(id, &missed).await.total, 0);

    assert_eq!(office.plan(id, &since(begin)).await.total, 3);
    assert_eq!(office.replay(id, &since(begin)).await, 3);
    let received = office.receiver.received();
    assert_eq!(received.len(), 6);
    let ids = |place: std::ops::Range<usize>| {
        let mut ids: Vec<_> = received[place].iter().map(|one| one.header("webhook-id").to_owned()).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(0..3), ids(3..6));
    assert_eq!(office.hub.count("identity.audit_event where action = 'webhook_endpoint.replayed'").await, 2);
}

#[tokio::test]
async fn a_replay_is_narrowed_by_type_record_and_time() {
    let office = Office::new().await;
    let id = office.endpoint(&["*"]).await;
    let begin = Clock::system().now() - TimeDelta::minutes(1);
    happen(office.hub.pool(), OrderCreated, &[(1, 1), (2, 1)]).await;
    happen(office.hub.pool(), OrderUpdated, &[(1, 2)]).await;
    office.deliver().await;
    let types = Some(Subscription::parse(&["order.created"]).expect("known"));
    assert_eq!(office.plan(id, &Choice { types, ..since(begin) }).await.total, 2);
    let object = Some(("order".to_owned(), 1));
    assert_eq!(office.plan(id, &Choice { object, ..since(begin) }).await.total, 2);
    assert_eq!(office.plan(id, &Choice { until: Some(begin), ..since(begin) }).await.total, 0);
    assert_eq!(office.plan(id, &since(Clock::system().now() + TimeDelta::minutes(1))).await.total, 0);
    let other = Some("another".to_owned());
    assert_eq!(office.plan(id, &Choice { correlation_id: other, ..since(begin) }).await.total, 0);
}

#[tokio::test]
async fn what_is_open_is_not_made_twice() {
    let office = Office::new().await;
    let id = office.endpoint(&["*"]).await;
    let begin = Clock::system().now() - TimeDelta::minutes(1);
    office.receiver.then([Answer::With(429, "retry-after: 3600\r\n", "")]);
    happen(office.hub.pool(), OrderCreated, &[(1, 1)]).await;
    office.deliver().await;
    assert_eq!(office.plan(id, &since(begin)).await.total, 0);
    assert_eq!(office.replay(id, &since(begin)).await, 0);
    assert_eq!(office.hub.count("hub.delivery").await, 1);
}

#[tokio::test]
async fn one_finished_delivery_is_told_again() {
    let office = Office::new().await;
    office.endpoint(&["*"]).await;
    happen(office.hub.pool(), OrderCreated, &[(1, 1)]).await;
    office.deliver().await;
    let finished: Uuid = sqlx::query_scalar("select id from hub.delivery_history")
        .fetch_one(office.hub.pool())
        .await
        .expect("the delivery");
    assert_eq!(manage::replay(office.hub.pool(), BY, &[finished]).await.expect("again"), 1);
    office.deliver().await;
    let received = office.receiver.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0].body, received[1].body);
    let nobody = manage::replay(office.hub.pool(), BY, &[Uuid::now_v7()]).await;
    assert!(matches!(nobody, Err(manage::ManageError::NotOpen(_))));
}
