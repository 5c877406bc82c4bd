//! What a connector can be told: orders, returns, their cancellations, cards.
//!
//! The hub says what is to be made over there, under which reference, and whether an earlier call may have made it
//! already. The connector looks and sends; it never waits and never asks twice: when it is looked for and when it is sent
//! again is the hub's business, so that it is the same for every system.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::{
    connector::Ctx,
    fault::{Fault, Refusal},
};

/// A kind of document that a sink takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlet {
    /// What it is for; what `[connectors.NAME] send` names.
    pub what: What,
    /// Mapping file below `mappings/`, without `.toml`, that makes the document; `None`: there is nothing to map.
    pub mapping: Option<&'static str>,
    /// Sending it twice is sending it once: nobody has to look first.
    pub idempotent: bool,
}

/// What can be told. The hub knows which event each comes from and what follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// A confirmed order becomes a sales order.
    Orders,
    /// A sales order that was made is cancelled.
    Cancellations,
    /// A dealer who was approved has a customer card, found by its tax number or made.
    Customers,
    /// A return that was approved becomes a return slip.
    Returns,
    /// A return slip that was made is cancelled: the return was rejected after all.
    ReturnCancellations,
}

impl What {
    pub const ALL: [What; 5] =
        [What::Orders, What::Cancellations, What::Customers, What::Returns, What::ReturnCancellations];

    pub const fn as_str(self) -> &'static str {
        match self {
            What::Orders => "orders",
            What::Cancellations => "cancellations",
            What::Customers => "customers",
            What::Returns => "returns",
            What::ReturnCancellations => "return_cancellations",
        }
    }

    pub fn parse(text: &str) -> Option<What> {
        What::ALL.into_iter().find(|what| what.as_str() == text)
    }
}

/// One document to be sent.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    pub what: What,
    /// Ours, the same however often it is tried: what it is looked for by over there.
    pub reference: &'a str,
    /// From 1.
    pub attempt: u32,
    /// When an earlier call of which the outcome is not known ended.
    pub unknown_since: Option<DateTime<Utc>>,
    /// Of a record that is over there already: its own id there, if it is known. It is looked for by our reference otherwise.
    pub external_id: Option<&'a str>,
    /// It was over there for certain: that it is not found then proves nothing.
    pub was_there: bool,
    /// What it is made from, in our words.
    pub record: &'a Value,
    /// What the mapping made of it, in the system's words; null without a mapping.
    pub document: &'a Value,
}

/// What is over there now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// The system's own id.
    pub external_id: String,
    /// What its people call it.
    pub number: Option<String>,
    /// What a person may want to know, such as figures that differ by a rounding.
    pub note: Option<String>,
    /// The system holds all goods of it by a reservation of its own, and said so when it was asked.
    pub holds_goods: bool,
}

/// What came of a look or of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    Done(Taken),
    /// There is nothing over there. Only a look answers this.
    Nothing,
    /// Something is there that only a person can judge; nothing is sent before that.
    Parked(Refusal),
}

/// A fault other than an unknown outcome says that nothing was made over there.
#[async_trait]
pub trait Sink: Send + Sync {
    fn outlets(&self) -> Vec<Outlet>;

    /// Documents that one process may have in hand at a time.
    fn places(&self) -> usize {
        4
    }

    /// How long one document may take with everything that belongs to it, waiting for its turn included.
    fn timeout(&self) -> Duration;

    /// How long after an unknown outcome the system may still be at it. Nothing is sent again before.
    fn settle(&self) -> Duration;

    /// Looks for what an earlier call may have made. Changes nothing.
    async fn find(&self, cx: &Ctx, outgoing: &Outgoing<'_>) -> Result<Sent, Fault>;

    async fn send(&self, cx: &Ctx, outgoing: &Outgoing<'_>) -> Result<Sent, Fault>;
}
