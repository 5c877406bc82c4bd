//! What follows over here from what came of a call: written in the transaction of the outcome, under its lease.

use sqlx::PgConnection;

use super::ties::{self, Tie};
use crate::{commerce::orders::outgoing, outbox::Provenance};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The system has the order.
    OrderTaken { tie: Tie, number: Option<String> },
    /// It has not, for sure.
    OrderGivenBack { order: i64 },
    /// It cancelled the order, or never had it and is not to get it.
    OrderCancelled { order: i64 },
}

/// Whom it comes from: what the system did is not told back to it.
pub async fn apply(conn: &mut PgConnection, by: &Provenance<'_>, effect: &Effect) -> Result<(), sqlx::Error> {
    match effect {
        Effect::OrderTaken { tie, number } => {
            ties::tie(conn, by.origin, tie).await?;
            outgoing::taken(conn, by, tie.internal_id, number.as_deref()).await.map_err(refused)
        }
        Effect::OrderGivenBack { order } => {
            if outgoing::given_back(conn, by, *order).await.map_err(refused)? {
                tracing::info!(order, "an order was cancelled, as was asked while it was on its way");
            }
            Ok(())
        }
        Effect::OrderCancelled { order } => {
            if !outgoing::cancel_agreed(conn, by, *order).await.map_err(refused)? {
                tracing::warn!(order, "an order was cancelled over there and could not be cancelled here any more");
            }
            Ok(())
        }
    }
}

fn refused(error: crate::commerce::orders::OrderError) -> sqlx::Error {
    match error {
        crate::commerce::orders::OrderError::Database(error) => error,
        other => sqlx::Error::Protocol(other.to_string()),
    }
}
