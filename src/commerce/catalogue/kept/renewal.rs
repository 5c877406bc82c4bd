//! What is kept is read before somebody misses it: all that there is room for, once the first one asks and whenever nothing that is
//! kept holds any more, and each product that was changed, those of one look at the feed together. Without it everyone who shows a changed product reads it alone.

use std::time::Duration;

use tokio::{task::AbortHandle, time::Instant};

use super::{goods::KeptGoods, watch::Signals};

/// After a failure. What is missing is read by those who miss it.
const REST: Duration = Duration::from_secs(1);
/// A change of a category or a brand makes everything be read anew; whoever renames a hundred of them does not cause a hundred
/// readings of the whole catalogue.
const BETWEEN_FILLS: Duration = Duration::from_secs(60);

/// The task that does it; ends when it is dropped.
#[derive(Debug)]
pub(super) struct Renewal(AbortHandle);

impl Renewal {
    pub fn start(signals: Signals, goods: KeptGoods) -> Renewal {
        Renewal(tokio::spawn(run(signals, goods)).abort_handle())
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn run(signals: Signals, goods: KeptGoods) {
    signals.begun().await;
    let mut next_fill = Instant::now();
    let mut is_wanting = false;
    loop {
        let done = tokio::select! {
            news = signals.news() => {
                is_wanting |= news.all;
                goods.renew(&news.products, signals.stamps()).await
            }
            () = tokio::time::sleep_until(next_fill), if is_wanting => {
                is_wanting = false;
                let done = goods.fill(signals.stamps()).await;
                next_fill = Instant::now() + BETWEEN_FILLS;
                done
            }
        };
        if let Err(error) = done {
            tracing::debug!(%error, "products are not kept before they are asked for");
            tokio::time::sleep(REST).await;
        }
    }
}
