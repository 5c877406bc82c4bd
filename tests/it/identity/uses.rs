//! Counting uses: batches, several daemons at once, a database that is away, and the trimming.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use chrono::TimeDelta;
use kopru::{
    clock::Clock,
    identity::{
        trim,
        uses::{self, Filter, Outcome, Use, UseCounter},
    },
};

use crate::support::database::TestDatabase;

fn guess(address: [u8; 4], route: &str) -> Use {
    Use {
        key_id: None,
        address: Some(IpAddr::from(address)),
        method: "GET".to_owned(),
        route: route.to_owned(),
        outcome: Outcome::Unknown,
    }
}

async fn total(database: &TestDatabase) -> i64 {
    let total = sqlx::query_scalar("select coalesce(sum(uses), 0)::bigint from identity.api_key_use");
    total.fetch_one(&database.pool).await.expect("a sum")
}

#[tokio::test]
async fn daemons_count_into_the_same_rows() {
    let database = TestDatabase::new().await;
    let clock = Clock::fixed(Clock::system().now());
    let counting = (0..4).map(|_| {
        let counter = UseCounter::new(database.pool.clone(), clock.clone());
        async move {
            for _ in 0..10 {
                for host in 0..50 {
                    counter.count(guess([10, 0, 0, host], "/a"));
                }
                counter.flush().await.expect("written");
            }
        }
    });
    futures::future::join_all(counting).await;
    assert_eq!(total(&database).await, 4 * 10 * 50);
    let lines = uses::list(&database.pool, &Filter::default(), None, 1_000).await.expect("lines");
    assert_eq!((lines.len(), lines[0].uses), (50, 40));
}

#[tokio::test]
async fn what_cannot_be_written_is_kept_and_the_memory_stays_bounded() {
    let database = TestDatabase::new().await;
    let counter = Arc::new(UseCounter::new(database.pool.clone(), Clock::fixed(Clock::system().now())));
    for number in 0..30_000_u32 {
        counter.count(guess(number.to_be_bytes(), "/a"));
    }
    sqlx::raw_sql("alter table identity.api_key_use rename to away").execute(&database.pool).await.expect("away");
    counter.flush().await.expect_err("it is away");
    sqlx::raw_sql("alter table identity.away rename to api_key_use").execute(&database.pool).await.expect("back");
    counter.flush().await.expect("written");
    assert_eq!(total(&database).await, 30_000);
    let lines = uses::list(&database.pool, &Filter::default(), None, 50_000).await.expect("lines");
    assert!(lines.len() <= 20_001, "{}", lines.len());
    assert!(lines.iter().any(|line| line.address.is_none() && line.uses >= 9_999));
}

#[tokio::test]
async fn pages_of_uses_are_whole_and_newest_first() {
    let database = TestDatabase::new().await;
    let clock = Clock::fixed(Clock::system().now());
    let counter = UseCounter::new(database.pool.clone(), clock.clone());
    for minute in 0..5 {
        for host in [1, 2] {
            counter.count(guess([10, 0, minute, host], "/a"));
        }
        clock.advance(TimeDelta::minutes(1));
        counter.flush().await.expect("written");
    }
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = uses::list(&database.pool, &Filter::default(), cursor, 3).await.expect("a page");
        let Some(last) = page.last() else { break };
        cursor = Some(last.id);
        seen.extend(page);
        // A row that is there already goes on counting.
        counter.count(guess([10, 0, 4, 1], "/b"));
        counter.flush().await.expect("written");
    }
    let hosts: BTreeSet<_> = seen.iter().map(|line| line.address.clone()).collect();
    assert_eq!((seen.len(), hosts.len()), (10, 10));
    assert!(seen.is_sorted_by(|one, two| one.minute >= two.minute));
}

#[tokio::test]
async fn old_counts_are_trimmed_in_batches() {
    let database = TestDatabase::new().await;
    sqlx::raw_sql(
        "insert into identity.api_key_use (minute, method, route, outcome, uses)
         select now() - make_interval(days => 181, mins => n), 'GET', '/a', 'unknown', 1 from generate_series(1, 2500) n;
         insert into identity.api_key_use (minute, method, route, outcome, uses)
         values (now() - interval '179 days', 'GET', '/a', 'unknown', 7)",
    )
    .execute(&database.pool)
    .await
    .expect("rows");
    assert_eq!(trim::once(&database.pool, 180).await.expect("trimmed"), 2_500);
    assert_eq!(total(&database).await, 7);
}
