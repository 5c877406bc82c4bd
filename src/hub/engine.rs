//! The engine itself: what all its parts share, and the daemon that runs them together.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, NaiveTime, Utc};
use chrono_tz::Tz;
use kopru_sdk::{Connector, Ctx, StreamSpec, What, async_trait, settings::unknown_key};
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    breaker::Probing, deliveries::Targets, mappings::Shelf, messages::Claimed, retry::RetrySchedule,
    sweeps::SweepPolicy, webhooks::WebhookSettings,
};
use crate::{
    canonical::Entity,
    clock::Clock,
    mapping::{Library, Memory},
};

/// Figures of `[retry]` and `[hub]` that the engine works by.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    pub retry: RetrySchedule,
    pub breaker_threshold: u32,
    pub probe_after: Duration,
    pub lease: Duration,
    pub heartbeat: Duration,
    pub defer_for: Duration,
    /// Claims without an outcome after which a message is put aside as a bug of ours.
    pub max_claims: u32,
    /// Messages that a worker claims at a time.
    pub batch: i64,
    pub workers: usize,
    /// Messages a second that are let go when a system is back.
    pub release_per_second: f64,
    pub timezone: Tz,
    pub payload_days: u32,
    pub history_days: u32,
    /// Where the mapping files are, so that an edit is taken over; `None`: nobody edits them.
    pub mappings_dir: Option<PathBuf>,
    /// How often they are looked at.
    pub mappings_every: Duration,
    pub webhooks: WebhookSettings,
    /// How many bytes of pushed records are recalled; 0: none.
    pub recall_bytes: u64,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            retry: RetrySchedule::default(),
            breaker_threshold: 3,
            probe_after: Duration::from_secs(10),
            lease: Duration::from_secs(10),
            heartbeat: Duration::from_secs(3),
            defer_for: Duration::from_secs(24 * 3600),
            max_claims: 10,
            batch: 500,
            workers: 2,
            release_per_second: 500.0,
            timezone: chrono_tz::Europe::Istanbul,
            payload_days: 30,
            history_days: 180,
            mappings_dir: None,
            mappings_every: Duration::from_secs(2),
            webhooks: WebhookSettings::default(),
            recall_bytes: 64 * 1024 * 1024,
        }
    }
}

/// A configured system: an instance of a connector kind.
pub struct Instance {
    pub name: String,
    pub kind: String,
    pub connector: Arc<dyn Connector>,
    /// Called only by the daemon that holds its lease.
    pub exclusive: bool,
    /// Entities of which this instance may create records; others it matches by code. `None`: all.
    pub master: Option<Vec<Entity>>,
    /// What it is told of what its connector can be told. `None`: all of it.
    pub send: Option<Vec<What>>,
    pub streams: Vec<Stream>,
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance").field("name", &self.name).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// A stream of an instance as it is configured.
#[derive(Debug, Clone)]
pub struct Stream {
    pub spec: StreamSpec,
    pub enabled: bool,
    pub every: Duration,
    /// When the daily complete pass is due, in the engine's time zone.
    pub full_at: Option<NaiveTime>,
    /// Mapping in the library, `logo/items`.
    pub mapping: String,
    /// What is done about records that a complete pass does not find any more.
    pub sweep: SweepPolicy,
}

/// Works on queued messages of one kind that are not plain documents.
#[async_trait]
pub trait Handler: Send + Sync {
    fn kind(&self) -> &'static str;

    /// Whether it calls the connector's system: then an open breaker or a pause holds its messages. After a fault
    /// `unknown_outcome` (told by the message's own history) it must look before it sends again.
    fn needs_system(&self) -> bool;

    /// One result for each message, in order: the internal id of what was done, or the fault.
    async fn work(&self, engine: &Engine, messages: &[Claimed]) -> Vec<Result<Option<i64>, kopru_sdk::Fault>>;
}

pub struct Inner {
    /// This process among all that share the database.
    pub id: Uuid,
    pub pool: PgPool,
    pub clock: Clock,
    /// The mappings in force.
    pub library: Shelf,
    /// What pushed records became, while they come again as they are.
    pub memory: Option<Memory>,
    pub instances: BTreeMap<String, Arc<Instance>>,
    pub handlers: BTreeMap<&'static str, Arc<dyn Handler>>,
    /// Whom deliveries go to.
    pub targets: Targets,
    pub settings: EngineSettings,
    pub stop: CancellationToken,
    /// Rung when there may be queued messages.
    pub work: Notify,
    /// Rung when there may be events to route.
    pub events: Notify,
    /// Rung when there may be deliveries to make.
    pub deliveries: Notify,
    /// Rung when webhook endpoints may have changed.
    pub webhooks_changed: Notify,
    /// Rung when a stream may be due.
    pub due: Notify,
    /// Rung when the mapping files or the answers of people may have changed.
    pub mappings_changed: Notify,
    /// Somebody says that the mapping files are whole: they are taken over at the next look.
    pub reload_asked: AtomicBool,
    /// Claimed messages and deliveries that some task of this process is working on.
    in_hand: Mutex<HashMap<Uuid, Instant>>,
}

/// While it lives, the heartbeat keeps the leases of what it names.
#[derive(Debug)]
pub struct InHand {
    engine: Engine,
    ids: Vec<Uuid>,
}

impl Drop for InHand {
    fn drop(&mut self) {
        let mut all = self.engine.lock_in_hand();
        self.ids.iter().for_each(|id| {
            all.remove(id);
        });
    }
}

/// Cheap to clone; every part of the engine holds one.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

/// An engine as its own parts know it, so that it ends when nobody else holds it.
#[derive(Clone)]
pub struct WeakEngine(Weak<Inner>);

impl WeakEngine {
    pub fn upgrade(&self) -> Option<Engine> {
        self.0.upgrade().map(Engine)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("id", &self.0.id).finish_non_exhaustive()
    }
}

impl std::ops::Deref for Engine {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    #[error("no connector instance is called `{name}`: {hint}")]
    UnknownInstance { name: String, hint: String },
    #[error("`{instance}` has no stream `{stream}`: {hint}")]
    UnknownStream { instance: String, stream: String, hint: String },
    #[error("the stream {0} names the mapping `{1}`, which is not in the library")]
    UnknownMapping(String, String),
    #[error("the scheduler failed: {0}")]
    Scheduler(#[from] tokio_cron_scheduler::JobSchedulerError),
}

/// What was meant, or what there is.
fn nearest(name: &str, known: &[&str], sort: &str) -> String {
    let text = unknown_key(name, known);
    let hint = text.split_once("; ").map_or(text.as_str(), |(_, hint)| hint);
    hint.replace("known keys", sort)
}

impl Engine {
    pub fn new(
        pool: PgPool,
        clock: Clock,
        library: Arc<Library>,
        instances: Vec<Instance>,
        handlers: Vec<Arc<dyn Handler>>,
        settings: EngineSettings,
    ) -> Result<Engine, EngineError> {
        for instance in &instances {
            for stream in instance.streams.iter().filter(|stream| stream.enabled) {
                if library.get(&stream.mapping).is_none() {
                    let name = format!("{}.{}", instance.name, stream.spec.name);
                    return Err(EngineError::UnknownMapping(name, stream.mapping.clone()));
                }
            }
        }
        Ok(Engine(Arc::new(Inner {
            id: Uuid::now_v7(),
            pool,
            clock,
            library: Shelf::new(library),
            memory: (settings.recall_bytes > 0).then(|| Memory::new(settings.recall_bytes)),
            instances: instances.into_iter().map(|one| (one.name.clone(), Arc::new(one))).collect(),
            handlers: handlers.into_iter().map(|one| (one.kind(), one)).collect(),
            targets: Targets::default(),
            settings,
            stop: CancellationToken::new(),
            work: Notify::new(),
            events: Notify::new(),
            deliveries: Notify::new(),
            webhooks_changed: Notify::new(),
            due: Notify::new(),
            mappings_changed: Notify::new(),
            reload_asked: AtomicBool::new(false),
            in_hand: Mutex::default(),
        })))
    }

    pub fn downgrade(&self) -> WeakEngine {
        WeakEngine(Arc::downgrade(&self.0))
    }

    /// Has the mapping files read at once.
    pub fn reload_mappings(&self) {
        self.reload_asked.store(true, Ordering::Release);
        self.mappings_changed.notify_one();
    }

    pub fn take_in_hand(&self, claimed: &[Claimed]) -> InHand {
        self.hold_in_hand(claimed.iter().map(|message| message.id).collect())
    }

    /// The same for whatever else has a lease of its own.
    pub fn hold_in_hand(&self, ids: Vec<Uuid>) -> InHand {
        self.hold_until(ids, Instant::now() + self.settings.lease)
    }

    /// The same with the time until which they are leased for certain.
    pub fn hold_until(&self, ids: Vec<Uuid>, until: Instant) -> InHand {
        self.lock_in_hand().extend(ids.iter().map(|id| (*id, until)));
        InHand { engine: self.clone(), ids }
    }

    /// Until when this is leased for certain; `None`: it is not in hand.
    pub fn leased_until(&self, id: Uuid) -> Option<Instant> {
        self.lock_in_hand().get(&id).copied()
    }

    /// The leases of these were renewed.
    pub(super) fn note_renewed(&self, ids: &[Uuid], until: Instant) {
        let mut all = self.lock_in_hand();
        for id in ids {
            if let Some(known) = all.get_mut(id) {
                *known = until.max(*known);
            }
        }
    }

    pub fn in_hand(&self) -> Vec<Uuid> {
        self.lock_in_hand().keys().copied().collect()
    }

    fn lock_in_hand(&self) -> MutexGuard<'_, HashMap<Uuid, Instant>> {
        // A map of ids is whole whatever happened to who held it.
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn instance(&self, name: &str) -> Result<&Arc<Instance>, EngineError> {
        self.instances.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.instances.keys().map(String::as_str).collect();
            let hint = match known[..] {
                [] => "none is configured; see [connectors.NAME] in config.toml".to_owned(),
                _ => nearest(name, &known, "configured instances"),
            };
            EngineError::UnknownInstance { name: name.to_owned(), hint }
        })
    }

    pub fn stream(&self, instance: &str, stream: &str) -> Result<(&Arc<Instance>, &Stream), EngineError> {
        let found = self.instance(instance)?;
        found.streams.iter().find(|one| one.spec.name == stream).map(|one| (found, one)).ok_or_else(|| {
            let known: Vec<&str> = found.streams.iter().map(|one| one.spec.name).collect();
            let hint = nearest(stream, &known, "its streams");
            EngineError::UnknownStream { instance: instance.to_owned(), stream: stream.to_owned(), hint }
        })
    }

    /// Whether this instance may create records of `entity`.
    pub fn is_master(&self, instance: &str, entity: Entity) -> bool {
        let listed = self.instances.get(instance).and_then(|instance| instance.master.as_ref());
        entity.is_document() || listed.is_none_or(|entities| entities.contains(&entity))
    }

    pub fn instance_names(&self) -> Vec<String> {
        self.instances.keys().cloned().collect()
    }

    /// How a system that is down is asked. One that is given up some day is not ours to look after: it is asked ever
    /// less often.
    pub fn probing(&self, system: &str) -> Probing {
        const LONGEST: Duration = Duration::from_secs(3600);
        let given_up = self.targets.get(system).and_then(|target| target.given_up_after());
        Probing { after: self.settings.probe_after, longest: given_up.map(|_| LONGEST) }
    }

    /// What a connector call is given.
    pub fn context(&self, correlation_id: impl Into<String>) -> Ctx {
        Ctx { now: self.clock.now(), correlation_id: correlation_id.into() }
    }

    /// The time by the database's clock: receipts, leases and due times are told by it.
    pub async fn database_now(&self) -> Result<DateTime<Utc>, sqlx::Error> {
        sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#).fetch_one(&self.pool).await
    }
}
