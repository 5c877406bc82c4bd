//! Looking at the feed of changes, by a task of its own, as long as somebody reads.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::PgPool;
use tokio::{
    sync::{Mutex, Notify},
    task::AbortHandle,
};

use super::{
    feed::Feed,
    stamps::{Changes, Stamps},
};

/// How old what is shown may be, counted from before the store was last asked what changed.
pub const MAX_AGE: Duration = Duration::from_secs(1);
/// Between what is decided here and the answer's first byte.
const MARGIN: Duration = Duration::from_millis(50);
const EVERY: Duration = Duration::from_millis(300);
/// When nobody has read for so long, nobody looks.
const IDLE: Duration = Duration::from_secs(10);

/// Cheap to clone; the task ends with the last of them.
#[derive(Debug, Clone)]
pub(super) struct Watched(Arc<Inner>, #[expect(dead_code, reason = "it ends the task")] Arc<Task>);

#[derive(Debug)]
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Debug)]
struct Inner {
    pool: PgPool,
    stamps: Stamps,
    feed: Mutex<Feed>,
    wake: Notify,
    born: Instant,
    /// In milliseconds since `born`.
    fresh_until: AtomicU64,
    used: AtomicU64,
}

impl Watched {
    pub fn start(pool: PgPool) -> Watched {
        let inner = Arc::new(Inner {
            pool,
            stamps: Stamps::default(),
            feed: Mutex::default(),
            wake: Notify::new(),
            born: Instant::now(),
            fresh_until: AtomicU64::new(0),
            used: AtomicU64::new(0),
        });
        let task = tokio::spawn(watch(Arc::downgrade(&inner)));
        Watched(inner, Arc::new(Task(task.abort_handle())))
    }

    pub fn stamps(&self) -> &Stamps {
        &self.0.stamps
    }

    /// Whether what is kept may be shown. Asking keeps the task awake.
    pub fn is_fresh(&self) -> bool {
        let inner = &self.0;
        let now = inner.now();
        inner.used.store(now, Ordering::Relaxed);
        let fresh = now < inner.fresh_until.load(Ordering::Acquire);
        if !fresh {
            inner.wake.notify_one();
        }
        fresh
    }

    /// Looks now.
    pub async fn look(&self) {
        if let Err(error) = self.0.look().await {
            tracing::debug!(%error, "what changed in the catalogue is unknown; nothing that is kept is shown");
        }
    }
}

impl Inner {
    fn now(&self) -> u64 {
        millis(self.born.elapsed())
    }

    async fn look(&self) -> Result<(), sqlx::Error> {
        let mut feed = self.feed.lock().await;
        let began = self.now();
        match feed.ask(&self.pool).await {
            Ok(changes) => {
                self.stamps.change(&changes);
                self.fresh_until.store(began + millis(MAX_AGE - MARGIN), Ordering::Release);
                Ok(())
            }
            Err(error) => {
                self.stamps.change(&Changes { all: true, ..Changes::default() });
                Err(error)
            }
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

async fn watch(inner: Weak<Inner>) {
    let mut failing = false;
    while let Some(inner) = inner.upgrade() {
        if inner.now() - inner.used.load(Ordering::Relaxed).min(inner.now()) > millis(IDLE) {
            inner.wake.notified().await;
        }
        match inner.look().await {
            Ok(()) => failing = false,
            Err(error) => {
                if !failing {
                    tracing::warn!(%error, "what changed in the catalogue is unknown; it is read from the store until then");
                }
                failing = true;
            }
        }
        drop(inner);
        tokio::time::sleep(EVERY).await;
    }
}
