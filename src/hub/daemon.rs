//! The daemon: all parts of the engine, started together and stopped so that nothing in hand is lost.

use std::{sync::Arc, time::Duration};

use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    daemons, deliveries,
    engine::{Engine, EngineError},
    files::{self, Folder},
    housekeeping, leases, mappings, meters, retention, scheduler, webhooks, worker,
};

/// A started engine.
#[derive(Debug)]
pub struct Daemon {
    engine: Engine,
    tasks: JoinSet<()>,
    /// The heartbeat goes on until the last work in hand has ended.
    heart: (DropGuard, JoinHandle<()>),
}

/// How long work in hand may take to end.
const GRACE: Duration = Duration::from_secs(30);

impl Daemon {
    /// Starts polling and working. Partitions are made first, so that history has its place.
    pub async fn start(engine: &Engine) -> Result<Daemon, EngineError> {
        retention::round_now(engine).await?;
        deliveries::targets::register(engine).await?;
        mappings::overlay::refresh(&engine.pool, &engine.library).await?;
        let mut tasks = JoinSet::new();
        let heart = CancellationToken::new();
        let beating = tokio::spawn(housekeeping::heartbeat(engine.clone(), heart.clone()));
        tasks.spawn(housekeeping::probe(engine.clone()));
        tasks.spawn(housekeeping::mend(engine.clone()));
        tasks.spawn(housekeeping::sweep(engine.clone()));
        tasks.spawn(housekeeping::listen(engine.clone()));
        tasks.spawn(mappings::watch::watch(engine.clone()));
        tasks.spawn(housekeeping::work_plans(engine.clone()));
        tasks.spawn(housekeeping::work_sweeps(engine.clone()));
        meters::describe();
        tasks.spawn(meters::refresh(engine.clone()));
        tasks.spawn(webhooks::keep::run(engine.clone()));
        tasks.spawn(deliveries::router::run(engine.clone()));
        tasks.spawn(deliveries::worker::run(engine.clone()));
        for _ in 0..engine.settings.workers {
            tasks.spawn(worker::run(engine.clone()));
        }
        let poller = engine.clone();
        tasks.spawn(async move {
            if let Err(error) = scheduler::run(poller).await {
                tracing::error!(%error, "the scheduler ended");
            }
        });
        Ok(Daemon { engine: engine.clone(), tasks, heart: (heart.drop_guard(), beating) })
    }

    /// Watches these folders from now on.
    pub fn watch(&mut self, folders: impl IntoIterator<Item = Arc<Folder>>) {
        for folder in folders {
            self.tasks.spawn(files::watch(self.engine.clone(), folder));
        }
    }

    /// Stops claiming, lets what is in hand end, gives every lease back and signs out of the systems.
    pub async fn stop(mut self) {
        self.engine.stop.cancel();
        let ended = tokio::time::timeout(GRACE, async { while self.tasks.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            tracing::warn!("work did not end in time; its leases run out by themselves");
            self.tasks.abort_all();
        }
        let (heart, beating) = self.heart;
        drop(heart);
        // A last beat would write this process into the books again.
        if beating.await.is_err() {
            tracing::warn!("the heartbeat ended badly");
        }
        leave(&self.engine).await;
    }
}

/// Takes this process out of the store's books.
pub async fn leave(engine: &Engine) {
    for instance in engine.instances.values() {
        let _ = tokio::time::timeout(
            Duration::from_secs(3),
            instance.connector.close(&engine.context(format!("close-{}", instance.name))),
        )
        .await;
    }
    for result in [leases::release_all(&engine.pool, engine.id).await, daemons::leave(&engine.pool, engine.id).await] {
        if let Err(error) = result {
            tracing::warn!(%error, "this process could not sign off; its leases run out by themselves");
        }
    }
}
