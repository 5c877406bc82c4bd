//! What is asked of the store by somebody who does not wait for the answer.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use kopru::transaction;
use sqlx::{PgExecutor, Row as _, postgres::PgPoolOptions};

use crate::support::database::TestDatabase;

/// Polls so often, a little apart, and drops.
async fn cut_off(work: impl Future, polls: u32) {
    let mut work = pin!(work);
    for _ in 0..polls {
        let done = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx).is_ready())).await;
        if done {
            return;
        }
        tokio::time::sleep(Duration::from_micros(50)).await;
    }
}

async fn is_in_transaction(db: impl PgExecutor<'_>) -> bool {
    // The time of a transaction is that of its first statement. As one message: each has a time.
    let row = sqlx::raw_sql("select now() <> statement_timestamp()").fetch_one(db).await.expect("asked");
    row.get(0)
}

#[tokio::test]
async fn a_transaction_that_nobody_waited_for_is_not_left_open() {
    let database = TestDatabase::new().await;
    let options = database.pool.connect_options();
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .test_before_acquire(false)
        .connect_with((*options).clone())
        .await
        .expect("a pool");
    let plain = "begin; set local enable_seqscan = off";
    for polls in 1..20 {
        cut_off(transaction::begin(&pool), polls).await;
        assert!(!is_in_transaction(&pool).await, "begun and left after {polls} polls");
        cut_off(transaction::begin_with(&pool, plain), polls).await;
        assert!(!is_in_transaction(&pool).await, "begun with statements and left after {polls} polls");
    }
    // What is begun and waited for is one.
    let mut tx = transaction::begin(&pool).await.expect("begun");
    sqlx::query("select pg_sleep(0.001)").execute(&mut *tx).await.expect("slept");
    assert!(is_in_transaction(&mut *tx).await);
}

/// Why [`transaction::begin`] is there. When this fails, sqlx can be asked directly.
#[tokio::test]
async fn sqlx_leaves_one_open() {
    let database = TestDatabase::new().await;
    let options = database.pool.connect_options();
    let mut left = false;
    for polls in 1..20 {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .test_before_acquire(false)
            .connect_with((*options).clone())
            .await
            .expect("a pool");
        cut_off(pool.begin(), polls).await;
        left |= is_in_transaction(&pool).await;
    }
    assert!(left);
}
