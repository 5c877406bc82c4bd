//! A handler whose system is a [`System`]: its answers are scripted by the key of the message.

use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use kopru::hub::{
    engine::{Engine, Handler},
    messages::{self, Claimed, NewMessage},
};
use kopru_sdk::{Fault, Refusal, async_trait};
use uuid::Uuid;

use super::{
    hub::{ERP, Hub},
    system::System,
};

pub const NOTE: &str = "note.deliver";

#[derive(Default)]
pub struct Courier {
    system: Mutex<Option<Arc<System>>>,
    faults: Mutex<HashMap<String, VecDeque<Fault>>>,
    /// Keys in the order in which they were tried.
    tried: Mutex<Vec<String>>,
}

impl Courier {
    /// Its deliveries fail while this system is down.
    pub fn over(&self, system: &Arc<System>) {
        *self.system.lock().expect("the system") = Some(Arc::clone(system));
    }

    pub fn fail(&self, key: &str, faults: impl IntoIterator<Item = Fault>) {
        self.faults.lock().expect("faults").entry(key.to_owned()).or_default().extend(faults);
    }

    pub fn tried(&self) -> Vec<String> {
        self.tried.lock().expect("tried").clone()
    }

    fn deliver(&self, message: &Claimed) -> Result<Option<i64>, Fault> {
        let key = message.key.clone().unwrap_or_default();
        self.tried.lock().expect("tried").push(key.clone());
        if self.system.lock().expect("the system").as_ref().is_some_and(|system| system.is_down()) {
            return Err(Fault::transient("connection refused"));
        }
        let fault = self.faults.lock().expect("faults").get_mut(&key).and_then(VecDeque::pop_front);
        fault.map_or(Ok(Some(1)), Err)
    }
}

#[async_trait]
impl Handler for Courier {
    fn kind(&self) -> &'static str {
        NOTE
    }

    fn needs_system(&self) -> bool {
        true
    }

    async fn work(&self, _engine: &Engine, messages: &[Claimed]) -> Vec<Result<Option<i64>, Fault>> {
        messages.iter().map(|message| self.deliver(message)).collect()
    }
}

pub fn down() -> Fault {
    Fault::transient("connection refused")
}

pub fn refused() -> Fault {
    Fault::Permanent(Refusal {
        reason: "unknown_code".to_owned(),
        field: Some("ARP_CODE".to_owned()),
        value: Some("120.07".to_owned()),
        detail: "there is no such card".to_owned(),
    })
}

/// Queues a note for each key.
pub async fn post(hub: &Hub, keys: impl IntoIterator<Item = String>) -> Vec<Uuid> {
    let received_at = hub.engine.database_now().await.expect("now");
    let notes: Vec<NewMessage> = keys
        .into_iter()
        .map(|key| NewMessage {
            id: Uuid::now_v7(),
            kind: Cow::Borrowed(NOTE),
            connector: ERP.to_owned(),
            stream: None,
            entity: None,
            key: Some(key),
            version: None,
            mapping: None,
            mapping_hash: None,
            format: "json",
            body: b"{}".to_vec(),
            correlation_id: "test".to_owned(),
            run_id: None,
            dead_letter_id: None,
            received_at,
            ordinal: 0,
        })
        .collect();
    let mut connection = hub.pool().acquire().await.expect("a connection");
    messages::enqueue(&mut connection, &notes).await.expect("queued");
    notes.iter().map(|note| note.id).collect()
}
