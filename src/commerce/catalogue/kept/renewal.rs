//! What is kept is read before somebody misses it: all that there is room for once the first one asks, and then each product that
//! was changed, those of one look at the feed together. Without it everyone who shows a changed product reads it alone.

use std::time::Duration;

use tokio::task::AbortHandle;

use super::{goods::Shelf, watch::Signals};

/// After a failure. What is missing is read by those who miss it.
const REST: Duration = Duration::from_secs(1);

/// The task that does it; ends when it is dropped.
#[derive(Debug)]
pub(super) struct Renewal(AbortHandle);

impl Renewal {
    pub fn start(signals: Signals, shelf: Shelf) -> Renewal {
        Renewal(tokio::spawn(run(signals, shelf)).abort_handle())
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn run(signals: Signals, shelf: Shelf) {
    signals.begun().await;
    let mut done = shelf.fill(signals.stamps()).await;
    loop {
        if let Err(error) = done {
            tracing::debug!(%error, "products are not kept before they are asked for");
            tokio::time::sleep(REST).await;
        }
        let changed = signals.changed().await;
        done = shelf.renew(&changed, signals.stamps()).await;
    }
}
