//! A connector that can be told things, as a target.

use std::{sync::Arc, time::Duration};

use kopru_sdk::{Cause, Ctx, Fault, Outlet, Sink, What, async_trait};
use serde_json::Value;
use sqlx::PgConnection;
use tokio::sync::Mutex;

use super::super::{
    deliveries::{Document, Target, Tried, Wants},
    engine::{Engine, Instance, WeakEngine},
    pages::Failure,
};
use super::{call::Errand, customers, orders, returns, stopped::Stopped};
use crate::{
    commerce::{orders::outgoing as orders_out, returns::outgoing as returns_out},
    outbox::EventType,
};

/// The kind of these targets.
pub const KIND: &str = "connector";

/// For what belongs to a delivery beside the connector's own call.
const BESIDE: Duration = Duration::from_secs(10);

/// An instance whose connector takes documents. It is registered even if it is to be told nothing, so that what was for it
/// earlier stays in view.
pub struct SinkTarget {
    engine: WeakEngine,
    instance: Arc<Instance>,
    /// Those that the configuration wants.
    outlets: Vec<Outlet>,
    /// Held by who finds or makes a card, so that of a customer that two deliveries name one is made.
    cards: Mutex<()>,
}

/// Makes a target of each instance that can be told things.
pub fn put_sinks(engine: &Engine) {
    for instance in engine.instances.values() {
        let Some(sink) = instance.connector.sink() else { continue };
        let wanted = |outlet: &Outlet| instance.send.as_ref().is_none_or(|send| send.contains(&outlet.what));
        let outlets = sink.outlets().into_iter().filter(wanted).collect();
        let target =
            SinkTarget { engine: engine.downgrade(), instance: Arc::clone(instance), outlets, cards: Mutex::new(()) };
        engine.targets.put(instance.name.clone(), Arc::new(target));
    }
}

/// The event that each document comes from.
const fn event_of(what: What) -> EventType {
    match what {
        What::Orders => EventType::OrderConfirmed,
        What::Cancellations => EventType::OrderUpdated,
        What::Customers => EventType::CustomerRegistered,
        What::Returns => EventType::ReturnApproved,
        What::ReturnCancellations => EventType::ReturnRejected,
    }
}

/// What a delivery works with.
pub(super) struct Work<'a> {
    pub engine: &'a Engine,
    pub instance: &'a Instance,
    pub sink: &'a dyn Sink,
    pub outlet: Outlet,
    pub outlets: &'a [Outlet],
    pub cards: &'a Mutex<()>,
    pub cx: &'a Ctx,
    pub told: &'a Document,
}

impl Work<'_> {
    /// What is to be sent of it, of a record that is not known over there.
    pub fn errand<'b>(&'b self, reference: &'b str, record: &'b Value, document: &'b Value) -> Errand<'b> {
        Errand {
            outlet: self.outlet,
            reference,
            attempt: self.told.attempt,
            unknown_since: self.told.unknown_since,
            external_id: None,
            was_there: false,
            record,
            document,
        }
    }

    /// The document of the mapping; without one there is nothing to say.
    pub fn map(&self, outlet: Outlet, record: &Value) -> Result<Value, Fault> {
        let Some(name) = outlet.mapping else { return Ok(Value::Null) };
        let in_force = self.engine.library.now();
        let mapping = in_force.library().outbound(name).ok_or_else(|| Fault::contract(lacking(name)))?;
        let system = name.split_once('/').map_or(name, |(system, _)| system);
        let overlay = in_force.overlay(system, Some(&self.instance.name));
        mapping.make(record, &overlay).map_err(|faults| {
            let detail: Vec<String> =
                faults.iter().map(|fault| format!("{} ({}): {}", fault.field, fault.source, fault.detail)).collect();
            let first = faults.into_iter().next();
            Fault::Permanent(kopru_sdk::Refusal {
                reason: first.as_ref().map_or("not_mapped", |fault| fault.reason.as_str()).to_owned(),
                field: first.as_ref().map(|fault| fault.field.clone()),
                value: first.and_then(|fault| fault.value),
                detail: format!("{name}: {}", detail.join("; ")),
            })
        })
    }
}

/// With what a person wrote under `document` when the letter was replayed: field by field, the others stay.
pub(super) fn amended(mut document: Value, payload: &Value) -> Value {
    if let (Value::Object(made), Value::Object(wanted)) = (&mut document, &payload["document"]) {
        for (name, value) in wanted {
            match value {
                Value::Null => made.remove(name),
                value => made.insert(name.clone(), value.clone()),
            };
        }
    }
    document
}

fn lacking(mapping: &str) -> String {
    format!("the mapping {mapping} is not there: copy the built-in one into your folder, or leave it out of `send`")
}

#[async_trait]
impl Target for SinkTarget {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn wants(&self) -> Wants {
        let events = self.outlets.iter().map(|outlet| event_of(outlet.what).as_str().to_owned()).collect();
        Wants { events, bulk: false, blocks: true }
    }

    async fn untold(&self, conn: &mut PgConnection) -> Result<Vec<(&'static str, Vec<i64>)>, sqlx::Error> {
        let mut untold = Vec::new();
        for outlet in &self.outlets {
            let records = match outlet.what {
                What::Orders => orders_out::untold(conn).await?,
                What::Returns => returns_out::untold(conn).await?,
                // Cards are made when an order names them, and there is nothing to cancel yet.
                What::Cancellations | What::Customers | What::ReturnCancellations => continue,
            };
            untold.push((event_of(outlet.what).as_str(), records));
        }
        Ok(untold)
    }

    fn at_once(&self) -> usize {
        self.instance.connector.sink().map_or(0, Sink::places)
    }

    fn timeout(&self) -> Duration {
        self.instance.connector.sink().map_or(BESIDE, |sink| sink.timeout() + BESIDE)
    }

    fn unready(&self) -> Option<Failure> {
        let library = self.engine.upgrade()?.library.now();
        let mut named = self.outlets.iter().filter_map(|outlet| outlet.mapping);
        let missing = named.find(|name| library.library().outbound(name).is_none())?;
        Some(Failure {
            cause: Cause::Contract,
            reason: "mapping_missing".to_owned(),
            field: None,
            value: None,
            detail: lacking(missing),
        })
    }

    async fn check(&self, cx: &Ctx) -> Result<(), Fault> {
        self.instance.connector.check(cx).await
    }

    async fn deliver(&self, cx: &Ctx, told: &Document) -> Tried {
        let Some(engine) = self.engine.upgrade() else {
            return Tried::not_asked(Err(Fault::transient("the engine has ended")));
        };
        let Some(sink) = self.instance.connector.sink() else { return Tried::not_asked(Ok(None)) };
        let outlet = self.outlets.iter().find(|outlet| event_of(outlet.what).as_str() == told.kind);
        let Some(outlet) = outlet.copied() else {
            return Tried::not_asked(Ok(Some("not sent: the configuration leaves it out".to_owned())));
        };
        let (outlets, cards) = (self.outlets.as_slice(), &self.cards);
        let work = Work { engine: &engine, instance: &self.instance, sink, outlet, outlets, cards, cx, told };
        let tried = match outlet.what {
            What::Orders => orders::confirmed(&work).await,
            What::Cancellations => orders::cancelled(&work).await,
            What::Customers => customers::registered(&work).await.map_err(Stopped::from),
            What::Returns => returns::approved(&work).await,
            What::ReturnCancellations => returns::rejected(&work).await,
        };
        // Nothing was sent: each of them reads the store first, and the outcome of a call is never lost in it.
        tried.unwrap_or_else(|stopped| Tried::not_asked(Err(stopped.into())))
    }
}
