//! Transactions begin whole: whoever asked for one may be gone before the server has answered.
//!
//! sqlx 0.9.0 forgets a `BEGIN` that it has sent when the future that waits for the answer is dropped
//! (<https://github.com/transact-rs/sqlx/issues/4393>, mended after that release): the connection goes back to the pool inside a transaction
//! that nobody knows of, and what others write over it is lost. A caller that hangs up is enough. So the waiting is not dropped here.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use sqlx::{PgPool, PgTransaction, SqlSafeStr};

type Beginning = Pin<Box<dyn Future<Output = Result<PgTransaction<'static>, sqlx::Error>> + Send>>;

/// A transaction that is waited for to the end: by somebody else, when whoever began it has gone. It is rolled back then.
struct Whole(Option<Beginning>);

impl Future for Whole {
    type Output = Result<PgTransaction<'static>, sqlx::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(beginning) = &mut self.0 else { return Poll::Pending };
        let begun = beginning.as_mut().poll(cx);
        if begun.is_ready() {
            self.0 = None;
        }
        begun
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        if let (Some(beginning), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(beginning);
        }
    }
}

/// Begins a transaction.
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub async fn begin(pool: &PgPool) -> Result<PgTransaction<'static>, sqlx::Error> {
    let pool = pool.clone();
    Whole(Some(Box::pin(async move { pool.begin().await }))).await
}

/// The same by these statements.
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub async fn begin_with(pool: &PgPool, statements: &'static str) -> Result<PgTransaction<'static>, sqlx::Error> {
    let pool = pool.clone();
    Whole(Some(Box::pin(async move { pool.begin_with(statements.into_sql_str()).await }))).await
}
