//! What follows over here from what came of a call: written in the transaction of the outcome, under its lease.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
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

/// An effect, and the delivery that it follows from.
#[derive(Debug, Clone, Copy)]
pub struct Following<'a> {
    /// Whose doing it is: what the system did is not told back to it.
    pub target: &'a str,
    pub correlation_id: &'a str,
    pub effect: &'a Effect,
}

impl Effect {
    const fn order(&self) -> Option<i64> {
        match self {
            Effect::OrderTaken { tie, .. } => Some(tie.internal_id),
            Effect::OrderGivenBack { order } | Effect::OrderCancelled { order } => Some(*order),
            Effect::ReturnTaken { .. } | Effect::ReturnGivenBack { .. } | Effect::ReturnWithdrawn { .. } => None,
        }
    }
}

/// Orders that were taken follow together, as most do; the others one by one. What a rule of ours refuses does not take the
/// outcome back, which is a fact of the other side: it is told to whoever reads the log.
pub async fn apply(conn: &mut PgConnection, now: DateTime<Utc>, all: &[Following<'_>]) -> Result<(), sqlx::Error> {
    let orders: Vec<i64> = all.iter().filter_map(|one| one.effect.order()).collect();
    if orders.len() > 1 {
        orders::outgoing::lock_all(conn, &orders).await?;
    }
    let mut rest = Vec::new();
    let mut taken: BTreeMap<&str, Vec<&Following<'_>>> = BTreeMap::new();
    let mut known: HashSet<(&str, &str)> = HashSet::new();
    for one in all {
        match one.effect {
            // Of one id twice the later one has it: they are taken one after the other.
            Effect::OrderTaken { tie, .. } if known.insert((one.target, &tie.external_id)) => {
                taken.entry(one.target).or_default().push(one);
            }
            _ => rest.push(one),
        }
    }
    for (target, group) in taken {
        told(take_orders(conn, target, now, &group).await, &group)?;
    }
    for one in rest {
        told(follow(conn, now, one).await, one)?;
    }
    Ok(())
}

fn told(outcome: Result<(), Stopped>, of: &impl std::fmt::Debug) -> Result<(), sqlx::Error> {
    match outcome {
        Ok(()) => Ok(()),
        Err(Stopped::Database(error)) => Err(error),
        Err(Stopped::Refused { reason, detail }) => {
            tracing::error!(reason, detail, ?of, "what came of a call could not be taken over here");
            Ok(())
        }
    }
}

async fn take_orders(
    conn: &mut PgConnection,
    target: &str,
    now: DateTime<Utc>,
    group: &[&Following<'_>],
) -> Result<(), Stopped> {
    let mut ties = Vec::with_capacity(group.len());
    let mut taken = Vec::with_capacity(group.len());
    for one in group {
        if let Effect::OrderTaken { tie, number, holds_goods } = one.effect {
            ties.push(tie);
            taken.push(orders::outgoing::Taken {
                order: tie.internal_id,
                number: number.as_deref(),
                holds_goods: *holds_goods,
                correlation_id: one.correlation_id,
            });
        }
    }
    ties::tie_all(conn, target, "order", &ties).await?;
    // Each of them says itself what it was sent by.
    let by = Provenance { origin: target, bulk: false, correlation_id: "", place: None, now };
    Ok(orders::outgoing::taken(conn, &by, &taken).await?)
}

async fn follow(conn: &mut PgConnection, now: DateTime<Utc>, one: &Following<'_>) -> Result<(), Stopped> {
    let by = &Provenance { origin: one.target, bulk: false, correlation_id: one.correlation_id, place: None, now };
    match one.effect {
        Effect::OrderTaken { .. } => take_orders(conn, one.target, now, &[one]).await?,
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
