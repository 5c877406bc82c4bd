//! What a target is: somebody who is told of things.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use chrono::{DateTime, Utc};
use kopru_sdk::{Ctx, Fault, async_trait};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::super::{pages::Failure, sinks::Effect};

/// Which events a target is told, and what a dead one means for the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wants {
    /// Types of events; `*` is every type, `order.*` every one that begins so.
    pub events: Vec<String>,
    /// Events of first and full passes as well.
    pub bulk: bool,
    /// A dead fact holds what follows on its key.
    pub blocks: bool,
}

/// What is to be told.
#[derive(Debug, Clone)]
pub struct Document {
    /// Stays the same however often it is tried.
    pub id: Uuid,
    pub kind: String,
    pub event_id: Option<Uuid>,
    pub aggregate: String,
    pub aggregate_id: Option<i64>,
    pub revision: Option<i64>,
    pub payload: Value,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    /// Set when an earlier call may have been worked on: look before it is done again.
    pub unknown_since: Option<DateTime<Utc>>,
    /// From 1.
    pub attempt: u32,
}

/// One attempt. What it says is kept for people: short, and without secrets.
#[derive(Debug)]
pub struct Tried {
    /// What the target called it, when it did.
    pub outcome: Result<Option<String>, Fault>,
    pub asked: Option<String>,
    pub answered: Option<String>,
    /// What follows over here, in the transaction of the outcome.
    pub effect: Option<Effect>,
}

impl Tried {
    /// Nothing was sent.
    pub const fn not_asked(outcome: Result<Option<String>, Fault>) -> Tried {
        Tried { outcome, asked: None, answered: None, effect: None }
    }

    #[must_use]
    pub fn with(self, effect: Effect) -> Tried {
        Tried { effect: Some(effect), ..self }
    }
}

#[async_trait]
pub trait Target: Send + Sync {
    /// `smtp`, `webhook`, or a connector's kind.
    fn kind(&self) -> &'static str;

    fn wants(&self) -> Wants {
        Wants::default()
    }

    /// What happened before there was such a target and it is to be told all the same: types of events, and the records that
    /// they are of.
    async fn untold(&self, conn: &mut PgConnection) -> Result<Vec<(&'static str, Vec<i64>)>, sqlx::Error> {
        let _ = conn;
        Ok(Vec::new())
    }

    /// Its row in the store is somebody else's, and not written when a daemon starts.
    fn is_kept(&self) -> bool {
        false
    }

    /// After how long without any success it is switched off; `None`: never, what is for it is held for as long as it
    /// takes. Of one that is given up some day a check tells only that somebody is there: it is let try, and the next fault
    /// is one too many.
    fn given_up_after(&self) -> Option<Duration> {
        None
    }

    /// Whether by this fault it asks to be told nothing any more.
    fn is_farewell(&self, fault: &Fault) -> bool {
        let _ = fault;
        false
    }

    /// Deliveries that one process may have under way at a time. None at the moment: it asked for patience.
    fn at_once(&self) -> usize {
        4
    }

    /// How long a call may take; one that takes longer is given up.
    fn timeout(&self) -> Duration;

    /// Why nothing can be sent as it is configured; everything is held until it is mended.
    fn unready(&self) -> Option<Failure> {
        None
    }

    /// The cheapest call that tells whether it can be reached. Changes nothing over there.
    async fn check(&self, cx: &Ctx) -> Result<(), Fault>;

    async fn deliver(&self, cx: &Ctx, document: &Document) -> Tried;
}

type Named = BTreeMap<String, Arc<dyn Target>>;

/// The targets that this process can call, by name.
#[derive(Default)]
pub struct Targets(RwLock<Arc<Named>>);

impl Targets {
    pub fn now(&self) -> Arc<Named> {
        // A map that was swapped whole is whole whatever happened to who swapped it.
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn get(&self, name: &str) -> Option<Arc<dyn Target>> {
        self.now().get(name).cloned()
    }

    pub fn put(&self, name: impl Into<String>, target: Arc<dyn Target>) {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut named = Named::clone(&held);
        named.insert(name.into(), target);
        *held = Arc::new(named);
    }

    pub fn take_away(&self, name: &str) {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut named = Named::clone(&held);
        named.remove(name);
        *held = Arc::new(named);
    }

    pub fn names(&self) -> Vec<String> {
        self.now().keys().cloned().collect()
    }
}
