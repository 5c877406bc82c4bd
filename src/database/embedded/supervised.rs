//! Starts the private server again should it die under us: killed by hand, or by a machine out of memory.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinHandle;

use super::cluster::Cluster;

const PERIOD: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(in crate::database) struct Supervised {
    cluster: Arc<Cluster>,
    watch: JoinHandle<()>,
}

impl Supervised {
    pub fn new(cluster: Cluster) -> Supervised {
        let cluster = Arc::new(cluster);
        let watch = tokio::spawn(watch(Arc::downgrade(&cluster)));
        Supervised { cluster, watch }
    }

    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    pub async fn leave(self) {
        self.watch.abort();
        let cluster = self.cluster.clone();
        // Fails only with the runtime, and then the drop below leaves.
        let _ = tokio::task::spawn_blocking(move || cluster.leave()).await;
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.watch.abort();
        self.cluster.leave();
    }
}

async fn watch(cluster: std::sync::Weak<Cluster>) {
    let mut missing = 0;
    loop {
        tokio::time::sleep(PERIOD).await;
        let Some(cluster) = cluster.upgrade() else { return };
        let looked = tokio::task::spawn_blocking(move || {
            if cluster.is_running() {
                return 0;
            }
            // Twice in a row: somebody may be restarting it by hand.
            if missing == 0 {
                return 1;
            }
            match cluster.revive() {
                Ok(()) => tracing::warn!("the private PostgreSQL had stopped and was started again"),
                Err(error) => tracing::error!(%error, "the private PostgreSQL stopped and does not start"),
            }
            0
        });
        missing = looked.await.unwrap_or(0);
    }
}
