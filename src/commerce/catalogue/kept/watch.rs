//! Looking at the feed of changes, by a task of its own, as long as somebody reads.

use std::{
    mem,
    sync::{
        Arc, Mutex as Lock, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::PgPool;
use tokio::{
    sync::{Mutex, Notify},
    task::AbortHandle,
    time::timeout,
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
/// A question that is not answered by then is asked anew, on another connection.
const GIVE_UP: Duration = Duration::from_secs(5);
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
    /// 0: not yet.
    used: AtomicU64,
    begun: Notify,
    /// What the last looks saw, until somebody takes it.
    news: Lock<News>,
    has_news: Notify,
}

/// More changed products than that are a load of data: nobody reads them before they are asked for.
const MOST_CHANGED: usize = 1_000;

/// What was kept and holds no more.
#[derive(Debug, Default)]
pub(super) struct News {
    pub all: bool,
    pub products: Vec<i64>,
}

/// What was seen, for whoever waits for it.
#[derive(Debug, Clone)]
pub(super) struct Signals(Arc<Inner>);

impl Signals {
    pub fn stamps(&self) -> &Stamps {
        &self.0.stamps
    }

    /// Until somebody has read something.
    pub async fn begun(&self) {
        if self.0.used.load(Ordering::Relaxed) == 0 {
            self.0.begun.notified().await;
        }
    }

    /// What changed since the last call; waits for something. Nothing is lost when it is not waited for to the end.
    pub async fn news(&self) -> News {
        loop {
            let news = mem::take(&mut *self.0.lock_news());
            if news.all || !news.products.is_empty() {
                return news;
            }
            self.0.has_news.notified().await;
        }
    }
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
            begun: Notify::new(),
            news: Lock::default(),
            has_news: Notify::new(),
        });
        let task = tokio::spawn(watch(Arc::downgrade(&inner)));
        Watched(inner, Arc::new(Task(task.abort_handle())))
    }

    pub fn stamps(&self) -> &Stamps {
        &self.0.stamps
    }

    pub fn signals(&self) -> Signals {
        Signals(Arc::clone(&self.0))
    }

    /// Whether what is kept may be shown. Asking keeps the task awake.
    pub fn is_fresh(&self) -> bool {
        let inner = &self.0;
        let now = inner.now();
        if inner.used.swap(now.max(1), Ordering::Relaxed) == 0 {
            inner.begun.notify_one();
        }
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

    fn lock_news(&self) -> MutexGuard<'_, News> {
        // Ids are whole whatever happened to who held them.
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, changes: Changes) {
        if !changes.all && changes.products.is_empty() {
            return;
        }
        let mut news = self.lock_news();
        news.all |= changes.all;
        if news.products.len() + changes.products.len() <= MOST_CHANGED {
            news.products.extend(changes.products);
        } else {
            news.products.clear();
        }
        drop(news);
        self.has_news.notify_one();
    }

    async fn look(&self) -> Result<(), sqlx::Error> {
        let mut feed = self.feed.lock().await;
        let mut began = self.now();
        let asked = async {
            feed.connect(&self.pool).await?;
            began = self.now();
            feed.ask().await
        };
        match timeout(GIVE_UP, asked).await.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
            Ok(changes) => {
                self.stamps.change(&changes);
                self.tell(changes);
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
