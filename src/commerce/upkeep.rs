//! What runs out is ended: orders that nobody paid, carts that nobody changed, notes of changes that everybody has seen. By a task of its own in every daemon; each
//! takes what no other has in hand, so that several share the work, and the database's clock says what is due.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::{carts, catalogue, orders};
use crate::clock::Clock;

const EVERY: Duration = Duration::from_secs(5);
/// Carts are looked at every so many times.
const CARTS_EVERY: u32 = 60;
/// Notes of changes in the catalogue likewise.
const CHANGES_EVERY: u32 = 12;

/// Looks at the start, then every five seconds at orders and every five minutes at carts.
pub async fn run(pool: PgPool, clock: Clock, until: CancellationToken) {
    for round in (0..CARTS_EVERY).cycle() {
        match orders::expire(&pool, &clock).await {
            Ok(0) => {}
            Ok(expired) => tracing::info!(expired, "orders were not paid or approved in time and are cancelled"),
            Err(error) => {
                tracing::warn!(%error, "orders that ran out could not be looked at; it is tried again in 5 s")
            }
        }
        if round % CHANGES_EVERY == 0
            && let Err(error) = catalogue::trim(&pool).await
        {
            tracing::warn!(%error, "old notes of changes could not be removed; it is tried again in a minute");
        }
        if round == 0
            && let Err(error) = carts::trim(&pool).await
        {
            tracing::warn!(%error, "old carts could not be removed; it is tried again in five minutes");
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = until.cancelled() => return,
        }
    }
}
