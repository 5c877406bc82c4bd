//! The one function that appends events. Commands write through it, the hub's router reads the table.
//!
//! Invariants
//! - An event is written in the transaction of the change that it tells of.
//! - The caller holds the row lock of each aggregate and has raised its revision; (aggregate, id, revision) is unique.
//! - An event that somebody is to be told of is noted for the router in the same statement; a notification goes out only
//!   when the router sleeps, so that a flood of events is no flood of notifications.
//! - A payload names what changed and carries no secret and no personal data: receivers get the record itself, read
//!   at delivery.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::{ContextV7, Timestamp, Uuid};

use crate::audit::{Actor, Origin};

/// Who caused a change, and on what occasion.
#[derive(Debug, Clone, Copy)]
pub struct Provenance<'a> {
    /// An instance (`logo`), an API key, a user. What came from a target is not sent back to it.
    pub origin: &'a str,
    /// Part of a first or full pass: its events of states go only to those who asked for all of them. Facts are told to everybody.
    pub bulk: bool,
    pub correlation_id: &'a str,
    /// From where, if it came over the network.
    pub place: Option<Origin<'a>>,
    pub now: DateTime<Utc>,
}

impl<'a> Provenance<'a> {
    /// The same as audit rows name it.
    pub const fn actor(&self) -> Actor<'a> {
        Actor { name: self.origin, correlation_id: self.correlation_id, place: self.place }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    ProductUpdated,
    PriceChanged,
    StockChanged,
    CustomerRegistered,
    InvoiceCreated,
    ReturnRequested,
    ReturnApproved,
    ReturnRejected,
    OrderCreated,
    OrderApproved,
    OrderConfirmed,
    OrderUpdated,
    OrderShipped,
    OrderCancelled,
    SyncCompleted,
    DeadLetterCreated,
    WebhookEndpointDisabled,
}

impl EventType {
    pub const ALL: &'static [EventType] = &[
        EventType::ProductUpdated,
        EventType::PriceChanged,
        EventType::StockChanged,
        EventType::CustomerRegistered,
        EventType::InvoiceCreated,
        EventType::ReturnRequested,
        EventType::ReturnApproved,
        EventType::ReturnRejected,
        EventType::OrderCreated,
        EventType::OrderApproved,
        EventType::OrderConfirmed,
        EventType::OrderUpdated,
        EventType::OrderShipped,
        EventType::OrderCancelled,
        EventType::SyncCompleted,
        EventType::DeadLetterCreated,
        EventType::WebhookEndpointDisabled,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            EventType::ProductUpdated => "product.updated",
            EventType::PriceChanged => "price.changed",
            EventType::StockChanged => "stock.changed",
            EventType::CustomerRegistered => "customer.registered",
            EventType::InvoiceCreated => "invoice.created",
            EventType::ReturnRequested => "return.requested",
            EventType::ReturnApproved => "return.approved",
            EventType::ReturnRejected => "return.rejected",
            EventType::OrderCreated => "order.created",
            EventType::OrderApproved => "order.approved",
            EventType::OrderConfirmed => "order.confirmed",
            EventType::OrderUpdated => "order.updated",
            EventType::OrderShipped => "order.shipped",
            EventType::OrderCancelled => "order.cancelled",
            EventType::SyncCompleted => "sync.completed",
            EventType::DeadLetterCreated => "hub.dead_letter.created",
            EventType::WebhookEndpointDisabled => "hub.webhook_endpoint.disabled",
        }
    }

    /// Whether it is one of [`STATE_EVENTS`].
    pub fn is_state(self) -> bool {
        STATE_EVENTS.contains(&self)
    }

    /// The pattern of all types whose name begins with the same word: `order.*`.
    pub fn family(self) -> String {
        let word = self.as_str().split('.').next().unwrap_or_default();
        format!("{word}.*")
    }

    /// The kind of record whose revision the event bears.
    pub const fn aggregate(self) -> &'static str {
        match self {
            EventType::ProductUpdated => "product",
            EventType::PriceChanged => "price",
            EventType::StockChanged => "stock",
            EventType::CustomerRegistered => "customer",
            EventType::InvoiceCreated => "invoice",
            EventType::ReturnRequested | EventType::ReturnApproved | EventType::ReturnRejected => "return",
            EventType::OrderCreated
            | EventType::OrderApproved
            | EventType::OrderConfirmed
            | EventType::OrderUpdated
            | EventType::OrderShipped
            | EventType::OrderCancelled => "order",
            EventType::SyncCompleted => "sync",
            EventType::DeadLetterCreated => "dead_letter",
            EventType::WebhookEndpointDisabled => "webhook_endpoint",
        }
    }
}

/// Channel that wakes the router; its poll is the truth.
pub const CHANNEL: &str = "hub_outbox";

/// Events of which only the newest of an aggregate matters: they say that a record is another one now, and the receiver
/// gets the record. All others are facts, and each of them is told.
pub const STATE_EVENTS: &[EventType] = &[EventType::ProductUpdated, EventType::PriceChanged, EventType::StockChanged];

/// Events of one type, to be appended by one statement.
#[derive(Debug)]
pub struct Events {
    kind: EventType,
    /// Of what they come from, when it is not what the others of one statement come from.
    correlation_id: Option<String>,
    aggregate_ids: Vec<i64>,
    revisions: Vec<i64>,
    payloads: Vec<String>,
}

impl Events {
    pub fn new(kind: EventType, capacity: usize) -> Events {
        Events {
            kind,
            correlation_id: None,
            aggregate_ids: Vec::with_capacity(capacity),
            revisions: Vec::with_capacity(capacity),
            payloads: Vec::with_capacity(capacity),
        }
    }

    /// What these come from, whatever else is told with them.
    #[must_use]
    pub fn from_request(mut self, correlation_id: &str) -> Events {
        self.correlation_id = Some(correlation_id.to_owned());
        self
    }

    fn comes_from<'a>(&'a self, by: &Provenance<'a>) -> &'a str {
        self.correlation_id.as_deref().unwrap_or(by.correlation_id)
    }

    /// `payload` is to become a JSON object.
    pub fn push(
        &mut self,
        aggregate_id: i64,
        revision: i64,
        payload: &impl Serialize,
    ) -> Result<(), serde_json::Error> {
        self.payloads.push(serde_json::to_string(payload)?);
        self.aggregate_ids.push(aggregate_id);
        self.revisions.push(revision);
        Ok(())
    }
}

pub async fn append(conn: &mut PgConnection, by: &Provenance<'_>, events: &Events) -> Result<(), sqlx::Error> {
    if events.payloads.is_empty() {
        return Ok(());
    }
    let ids = ids_at(by.now, events.payloads.len());
    sqlx::query!(
        r#"
        with added as (
            insert into hub.outbox_event
                (id, type, aggregate, aggregate_id, revision, origin, bulk, payload, correlation_id, created_at)
            select unnest($7::uuid[]), $1, $2, unnest($8::bigint[]), unnest($9::bigint[]), $3, $4,
                unnest($10::text[])::jsonb, $5, $6
        ), noted as (
            insert into hub.outbox_unrouted (event_id)
            select e.id from unnest($7::uuid[]) with ordinality as e (id, place)
            where exists (select from hub.target t
                          where t.enabled and (t.bulk or not $4) and t.name <> $3
                            and t.events && array[$1, split_part($1, '.', 1) || '.*', '*'])
            order by e.place
            returning 1
        )
        select pg_notify($11, '') as rung
        where exists (select from noted) and exists (select from hub.doorbell where name = 'router' and asleep)
        "#,
        events.kind.as_str(),
        events.kind.aggregate(),
        by.origin,
        by.bulk && events.kind.is_state(),
        events.comes_from(by),
        by.now,
        &ids,
        &events.aggregate_ids,
        &events.revisions,
        &events.payloads,
        CHANNEL,
    )
    .fetch_optional(conn)
    .await?;
    Ok(())
}

/// The same for events of several types, by one statement: what one change of an aggregate tells of, in order.
pub async fn append_all(conn: &mut PgConnection, by: &Provenance<'_>, all: &[Events]) -> Result<(), sqlx::Error> {
    let count = all.iter().map(|events| events.payloads.len()).sum();
    if count == 0 {
        return Ok(());
    }
    let ids = ids_at(by.now, count);
    let kinds = || all.iter().flat_map(|events| std::iter::repeat_n(events.kind, events.payloads.len()));
    let requests = all.iter().flat_map(|events| std::iter::repeat_n(events.comes_from(by), events.payloads.len()));
    sqlx::query!(
        r#"
        with added as (
            insert into hub.outbox_event
                (id, type, aggregate, aggregate_id, revision, origin, bulk, payload, correlation_id, created_at)
            select e.id, e.type, e.aggregate, e.aggregate_id, e.revision, $1, e.bulk, e.payload::jsonb, e.correlation_id, $4
            from unnest($5::uuid[], $6::text[], $7::text[], $8::bigint[], $9::bigint[], $10::text[], $3::text[], $2::boolean[])
                 as e (id, type, aggregate, aggregate_id, revision, payload, correlation_id, bulk)
        ), wanted as (
            select k.type from (select distinct unnest($6::text[]) as type, unnest($2::boolean[]) as bulk) k
            where exists (select from hub.target t
                          where t.enabled and (t.bulk or not k.bulk) and t.name <> $1
                            and t.events && array[k.type, split_part(k.type, '.', 1) || '.*', '*'])
        ), noted as (
            insert into hub.outbox_unrouted (event_id)
            select e.id from unnest($5::uuid[], $6::text[]) with ordinality as e (id, type, place)
            join wanted on wanted.type = e.type
            order by e.place
            returning 1
        )
        select pg_notify($11, '') as rung
        where exists (select from noted) and exists (select from hub.doorbell where name = 'router' and asleep)
        "#,
        by.origin,
        &kinds().map(|kind| by.bulk && kind.is_state()).collect::<Vec<_>>(),
        &requests.collect::<Vec<_>>() as _,
        by.now,
        &ids,
        &kinds().map(EventType::as_str).collect::<Vec<_>>() as _,
        &kinds().map(EventType::aggregate).collect::<Vec<_>>() as _,
        &all.iter().flat_map(|events| events.aggregate_ids.iter().copied()).collect::<Vec<_>>(),
        &all.iter().flat_map(|events| events.revisions.iter().copied()).collect::<Vec<_>>(),
        &all.iter().flat_map(|events| events.payloads.iter().map(String::as_str)).collect::<Vec<_>>() as _,
        CHANNEL,
    )
    .fetch_optional(conn)
    .await?;
    Ok(())
}

/// UUIDv7s of one instant, rising, so that a page of events goes to the right edge of the index.
fn ids_at(now: DateTime<Utc>, count: usize) -> Vec<Uuid> {
    let context = ContextV7::new();
    let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
    (0..count).map(|_| Uuid::new_v7(Timestamp::from_unix(&context, seconds, now.timestamp_subsec_nanos()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_instant_rise() {
        let ids = ids_at(DateTime::UNIX_EPOCH + chrono::TimeDelta::days(20_000), 5_000);
        assert!(ids.is_sorted() && ids.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
