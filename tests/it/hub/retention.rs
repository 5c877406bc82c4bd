//! History by partitions: made ahead, dropped when their time is up.

use chrono::{DateTime, TimeDelta, Utc};
use kopru::hub::retention::{self, Partitions};
use serde_json::json;
use sqlx::PgPool;
use uuid::{ContextV7, Timestamp, Uuid};

use crate::support::{database::TestDatabase, hub::Hub, system::page};

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).expect("a time").to_utc()
}

async fn partitions(hub: &Hub, table: &str) -> Vec<String> {
    hub.rows(&format!(
        "select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
         where i.inhparent = 'hub.{table}'::regclass order by 1"
    ))
    .await
    .iter()
    .map(|row| row["name"].as_str().expect("a name").to_owned())
    .collect()
}

#[tokio::test]
async fn partitions_are_made_ahead_once() {
    let hub = Hub::new().await;
    let now = at("2026-11-21T10:00:00Z");
    let (one, two) =
        tokio::join!(retention::round(hub.pool(), now, 30, 180), retention::round(hub.pool(), now, 30, 180));
    assert_eq!(one.expect("one").made.len() + two.expect("two").made.len(), 18, "three weeks of six tables");
    assert_eq!(
        partitions(&hub, "attempt").await,
        ["attempt_20261116", "attempt_20261123", "attempt_20261130", "attempt_default"]
    );
    let round = retention::round(hub.pool(), now + TimeDelta::days(3), 30, 180).await.expect("a round");
    assert_eq!(round.made.len(), 6);
    assert!(round.dropped.is_empty());
}

#[tokio::test]
async fn rows_go_into_their_week_and_payloads_go_before_the_rest() {
    let hub = Hub::new().await;
    let now = hub.engine.database_now().await.expect("now");
    retention::round(hub.pool(), now, 30, 180).await.expect("a round");
    hub.full("brands", [page([json!({ "code": "A", "name": "a" }), json!({ "code": "B" })])]).await;
    assert!(retention::strays(hub.pool()).await.expect("strays").is_empty());

    let later = now + TimeDelta::days(45);
    let round = retention::round(hub.pool(), later, 30, 180).await.expect("a round");
    assert!(round.dropped.iter().all(|name| name.starts_with("payload_history_")), "{:?}", round.dropped);
    assert_eq!((hub.count("hub.payload_history").await, hub.count("hub.message_history").await), (0, 1));

    let later = now + TimeDelta::days(200);
    let round = retention::round(hub.pool(), later, 30, 180).await.expect("a round");
    assert!(round.dropped.iter().any(|name| name.starts_with("message_history_")));
    assert_eq!(hub.count("hub.message_history").await + hub.count("hub.message_item").await, 0);
    assert_eq!(hub.count("hub.dead_letter").await, 1, "what is open stays");
    assert_eq!(hub.count("hub.external_ref").await, 1);
}

/// A body that came in at `time`.
async fn keep(pool: &PgPool, time: DateTime<Utc>) -> Uuid {
    let seconds = u64::try_from(time.timestamp()).expect("after 1970");
    let id = Uuid::new_v7(Timestamp::from_unix(ContextV7::new(), seconds, 0));
    sqlx::query("insert into hub.payload_history (message_id, body) values ($1, 'x')")
        .bind(id)
        .execute(pool)
        .await
        .expect("insert");
    id
}

async fn place_of(pool: &PgPool, id: Uuid) -> Option<String> {
    sqlx::query_scalar("select tableoid::regclass::text from hub.payload_history where message_id = $1")
        .bind(id)
        .fetch_optional(pool)
        .await
        .expect("select")
}

#[tokio::test]
async fn strays_are_brought_to_their_week_or_dropped_with_it() {
    let database = TestDatabase::new().await;
    let pool = &database.pool;
    let now = at("2026-11-21T10:00:00Z");
    let expired = keep(pool, now - TimeDelta::days(90)).await;
    let older = keep(pool, now - TimeDelta::days(20)).await;
    let fresh = keep(pool, now).await;

    let found = retention::partitions_at(pool, now, 30, 180).await.expect("looked");
    assert_eq!(found.strays, [("hub.payload_history_default".to_owned(), 3)]);
    assert!(found.missing.contains(&"hub.attempt_20261116".to_owned()), "{:?}", found.missing);

    retention::round(pool, now, 30, 180).await.expect("a round");
    assert_eq!(retention::partitions_at(pool, now, 30, 180).await.expect("looked"), Partitions::default());
    assert_eq!(place_of(pool, expired).await, None);
    assert_eq!(place_of(pool, older).await.as_deref(), Some("hub.payload_history_20261026"));
    assert_eq!(place_of(pool, fresh).await.as_deref(), Some("hub.payload_history_20261116"));
    let again = retention::round(pool, now, 30, 180).await.expect("a round");
    assert_eq!((again.made.len(), again.dropped.len()), (0, 0));

    // Bodies go before the fact that they came.
    let later = now + TimeDelta::days(40);
    let overdue = retention::partitions_at(pool, later, 30, 180).await.expect("looked").overdue;
    assert_eq!(overdue, ["hub.payload_history_20261026", "hub.payload_history_20261116"]);
    let round = retention::round(pool, later, 30, 180).await.expect("a round");
    assert_eq!(round.dropped, [20261026, 20261116, 20261123].map(|week| format!("payload_history_{week}")));
    assert_eq!(place_of(pool, fresh).await, None);
}
