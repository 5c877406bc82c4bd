//! What follows over here from what came of a call: written in the transaction of the outcome, under its lease.

use sqlx::PgConnection;

use super::{
    stopped::Stopped,
    ties::{self, Tie},
};
use crate::{
    commerce::{orders, returns},
    outbox::Provenance,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The system has the order.
    OrderTaken { tie: Tie, number: Option<String>, holds_goods: bool },
    /// It has not, for sure.
    OrderGivenBack { order: i64 },
    /// It cancelled the order, or never had it and is not to get it.
    OrderCancelled { order: i64 },
    /// The system has the return slip.
    ReturnTaken { tie: Tie, number: Option<String> },
    /// It has not, for sure.
    ReturnGivenBack { id: i64 },
    /// It cancelled the slip.
    ReturnWithdrawn { id: i64 },
}

/// Whom it comes from: what the system did is not told back to it. What a rule of ours refuses does not take the outcome
/// back, which is a fact of the other side: it is told to whoever reads the log.
pub async fn apply(conn: &mut PgConnection, by: &Provenance<'_>, effect: &Effect) -> Result<(), sqlx::Error> {
    match follow(conn, by, effect).await {
        Ok(()) => Ok(()),
        Err(Stopped::Database(error)) => Err(error),
        Err(Stopped::Refused { reason, detail }) => {
            tracing::error!(reason, detail, ?effect, "what came of a call could not be taken over here");
            Ok(())
        }
    }
}

async fn follow(conn: &mut PgConnection, by: &Provenance<'_>, effect: &Effect) -> Result<(), Stopped> {
    match effect {
        Effect::OrderTaken { tie, number, holds_goods } => {
            ties::tie(conn, by.origin, tie).await?;
            orders::outgoing::taken(conn, by, tie.internal_id, number.as_deref(), *holds_goods).await?;
        }
        Effect::OrderGivenBack { order } => {
            if orders::outgoing::given_back(conn, by, *order).await? {
                tracing::info!(order, "an order was cancelled, as was asked while it was on its way");
            }
        }
        Effect::OrderCancelled { order } => {
            if !orders::outgoing::cancel_agreed(conn, by, *order).await? {
                tracing::warn!(order, "an order was cancelled over there and could not be cancelled here any more");
            }
        }
        Effect::ReturnTaken { tie, number } => {
            ties::tie(conn, by.origin, tie).await?;
            returns::outgoing::taken(conn, by, tie.internal_id, number.as_deref()).await?;
        }
        Effect::ReturnGivenBack { id } => returns::outgoing::given_back(conn, *id).await?,
        Effect::ReturnWithdrawn { id } => returns::outgoing::withdrawn(conn, by, *id).await?,
    }
    Ok(())
}
