//! A target whose answers are scripted by the revision that it is told, and that notes what it was told.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use kopru::{
    clock::Clock,
    hub::deliveries::{Document, Target, Tried, Wants, router, targets, worker},
    outbox::{self, EventType, Events, Provenance},
};
use kopru_sdk::{Ctx, Fault, async_trait};
use serde_json::json;
use sqlx::{PgConnection, PgPool};
use tokio::sync::Semaphore;

use super::hub::Hub;

/// The target's name.
pub const EAR: &str = "ear";

/// What it was told: record and revision.
pub type Told = (i64, i64);

pub struct Listener {
    pub wants: Wants,
    pub at_once: usize,
    /// Orders that it says it was never told of.
    pub missed: Vec<i64>,
    faults: Mutex<HashMap<Told, VecDeque<Fault>>>,
    told: Mutex<Vec<Told>>,
    /// Records that are being told right now; of one never two.
    under_way: Mutex<BTreeMap<i64, usize>>,
    pub twice_at_once: AtomicBool,
    pub unknown: AtomicUsize,
    down: AtomicBool,
    checks: AtomicUsize,
    /// Calls go on only as far as it is opened.
    gate: Option<Semaphore>,
}

impl Listener {
    pub fn new(events: &[&str]) -> Listener {
        Listener {
            wants: Wants { events: events.iter().map(|one| (*one).to_owned()).collect(), bulk: false, blocks: true },
            at_once: 16,
            missed: Vec::new(),
            faults: Mutex::default(),
            told: Mutex::default(),
            under_way: Mutex::default(),
            twice_at_once: AtomicBool::default(),
            unknown: AtomicUsize::default(),
            down: AtomicBool::default(),
            checks: AtomicUsize::default(),
            gate: None,
        }
    }

    pub fn gated(mut self) -> Listener {
        self.gate = Some(Semaphore::new(0));
        self
    }

    pub fn let_through(&self, calls: usize) {
        self.gate.as_ref().expect("a gate").add_permits(calls);
    }

    pub fn fail(&self, told: Told, faults: impl IntoIterator<Item = Fault>) {
        self.faults.lock().expect("faults").entry(told).or_default().extend(faults);
    }

    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    pub fn checks(&self) -> usize {
        self.checks.load(Ordering::SeqCst)
    }

    /// In the order in which it was told, with what failed.
    pub fn told(&self) -> Vec<Told> {
        self.told.lock().expect("told").clone()
    }

    pub fn under_way(&self) -> usize {
        self.under_way.lock().expect("under way").values().sum()
    }
}

#[async_trait]
impl Target for Listener {
    fn kind(&self) -> &'static str {
        "test"
    }

    fn wants(&self) -> Wants {
        self.wants.clone()
    }

    async fn untold(&self, _conn: &mut PgConnection) -> Result<Vec<(&'static str, Vec<i64>)>, sqlx::Error> {
        Ok(vec![(EventType::OrderConfirmed.as_str(), self.missed.clone())])
    }

    fn at_once(&self) -> usize {
        self.at_once
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn check(&self, _cx: &Ctx) -> Result<(), Fault> {
        self.checks.fetch_add(1, Ordering::SeqCst);
        if self.down.load(Ordering::SeqCst) { Err(Fault::transient("connection refused")) } else { Ok(()) }
    }

    async fn deliver(&self, _cx: &Ctx, document: &Document) -> Tried {
        let told = (document.aggregate_id.unwrap_or(0), document.revision.unwrap_or(0));
        let running = {
            let mut under_way = self.under_way.lock().expect("under way");
            let running = under_way.entry(told.0).or_default();
            *running += 1;
            *running
        };
        if running > 1 {
            self.twice_at_once.store(true, Ordering::SeqCst);
        }
        if document.unknown_since.is_some() {
            self.unknown.fetch_add(1, Ordering::SeqCst);
        }
        match &self.gate {
            Some(gate) => gate.acquire().await.expect("open").forget(),
            None => tokio::task::yield_now().await,
        }
        self.told.lock().expect("told").push(told);
        let fault = self.faults.lock().expect("faults").get_mut(&told).and_then(VecDeque::pop_front);
        let down = self.down.load(Ordering::SeqCst).then(|| Fault::transient("connection refused"));
        *self.under_way.lock().expect("under way").entry(told.0).or_default() -= 1;
        let outcome = match down.or(fault) {
            Some(fault) => Err(fault),
            None => Ok(Some(format!("ok {}@{}", told.0, told.1))),
        };
        Tried {
            outcome,
            asked: Some(document.payload.to_string()),
            answered: Some("an answer".to_owned()),
            effect: None,
        }
    }
}

/// A hub with this target, known to the store.
pub async fn hub_with(listener: &Arc<Listener>) -> Hub {
    let hub = Hub::with(|build| build.polled = &[]).await;
    attach(&hub, listener).await;
    hub
}

pub async fn attach(hub: &Hub, listener: &Arc<Listener>) {
    let target: Arc<dyn Target> = Arc::<Listener>::clone(listener);
    hub.engine.targets.put(EAR, target);
    targets::register(&hub.engine).await.expect("registered");
}

/// Events of one type, each committed by itself.
pub async fn happen(pool: &PgPool, kind: EventType, told: &[Told]) {
    for (id, revision) in told {
        say(pool, kind, "user:1", false, &[(*id, *revision)]).await;
    }
}

/// Events of one type in one transaction.
pub async fn say(pool: &PgPool, kind: EventType, origin: &str, bulk: bool, told: &[Told]) {
    let mut events = Events::new(kind, told.len());
    for (id, revision) in told {
        events.push(*id, *revision, &json!({ "id": id, "revision": revision })).expect("a payload");
    }
    let by = Provenance { origin, bulk, correlation_id: "test", place: None, now: Clock::system().now() };
    let mut tx = pool.begin().await.expect("begin");
    outbox::append(&mut tx, &by, &events).await.expect("appended");
    tx.commit().await.expect("committed");
}

/// Routes everything that happened.
pub async fn route(hub: &Hub) {
    while router::turn(&hub.engine).await.expect("routed") != router::Routed::Events(0) {}
}

/// Routes and delivers until nothing is due.
pub async fn deliver(hub: &Hub) {
    route(hub).await;
    while worker::turn(&hub.engine).await.expect("a turn") > 0 {}
}
