//! Asks the connector for page after page, with the retries of the schedule.

use std::{sync::Arc, time::Duration};

use backon::Retryable;
use chrono::{DateTime, Utc};
use kopru_sdk::{Cursor, Fault, Page, Pass, PullRequest};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::RunError;
use crate::hub::{
    breaker,
    engine::{Engine, Instance},
    meters,
    pages::ApplyError,
    retry::{Next, next_after},
    states::BreakerState,
};

/// A page on its way from the source to its transaction.
pub(super) struct Fetched {
    pub(super) page: Page,
    pub(super) received_at: DateTime<Utc>,
    /// Given back when the page has been applied.
    _in_flight: OwnedSemaphorePermit,
}

/// Fetches page after page, ahead of the one that is being applied.
pub(super) struct Fetcher {
    pub(super) engine: Engine,
    pub(super) instance: Arc<Instance>,
    pub(super) stream: String,
    pub(super) pass: Pass,
    pub(super) since: Option<DateTime<Utc>>,
    pub(super) correlation_id: String,
    pub(super) clock_offset: chrono::TimeDelta,
    pub(super) stop: CancellationToken,
}

impl Fetcher {
    pub(super) async fn run(
        self,
        mut cursor: Option<Cursor>,
        pages: mpsc::Sender<Result<Fetched, RunError>>,
        in_flight: Arc<Semaphore>,
    ) {
        let mut first = true;
        loop {
            let Ok(permit) = Arc::clone(&in_flight).acquire_owned().await else { return };
            let received_at = self.engine.clock.now() + self.clock_offset;
            let fetched = tokio::select! {
                fetched = self.fetch(cursor.as_ref(), first) => fetched,
                () = self.stop.cancelled() => Err(RunError::Stopped),
            };
            let page = match fetched {
                Ok(page) => page,
                Err(error) => {
                    // A receiver that is gone has its own reason to have stopped.
                    let _ = pages.send(Err(error)).await;
                    return;
                }
            };
            first = false;
            cursor = Some(page.cursor.clone());
            let end = page.end;
            if pages.send(Ok(Fetched { page, received_at, _in_flight: permit })).await.is_err() || end {
                return;
            }
        }
    }

    /// One page, with the retries of the schedule; a wait that the source asks for is kept.
    async fn fetch(&self, cursor: Option<&Cursor>, first: bool) -> Result<Page, RunError> {
        let schedule = &self.engine.settings.retry;
        let wish = |error: &RunError| match error {
            RunError::Remote(fault) => match next_after(fault, schedule) {
                Next::Retry => Some(Duration::ZERO),
                Next::Wait { at_least } => Some(at_least),
                Next::FindFirst | Next::PauseConnector | Next::DeadLetter => None,
            },
            _ => None,
        };
        (|| self.attempt(cursor, first))
            .retry(schedule.backoff())
            .when(|error| wish(error).is_some())
            .adjust(|error, delay| delay.map(|delay| delay.max(wish(error).unwrap_or_default())))
            .await
    }

    async fn attempt(&self, cursor: Option<&Cursor>, first: bool) -> Result<Page, RunError> {
        let Some(source) = self.instance.connector.source() else {
            return Err(RunError::Remote(Fault::contract("the connector offers no streams")));
        };
        let request =
            PullRequest { stream: &self.stream, pass: self.pass, cursor, first, since: self.since.filter(|_| first) };
        let began = Instant::now();
        let pulled = source.pull(&self.engine.context(&self.correlation_id), request).await;
        meters::fetch(&self.instance.name, &self.stream, began.elapsed(), pulled.as_ref().err());
        match pulled {
            Ok(page) => {
                self.note_success().await;
                Ok(page)
            }
            Err(fault) => Err(self.note_fault(fault).await),
        }
    }

    /// Counts a remote fault on the breaker; any other one is nobody's outage.
    async fn note_fault(&self, fault: Fault) -> RunError {
        let settings = &self.engine.settings;
        tracing::warn!(class = fault.class(), error = %fault, "a page could not be fetched");
        if next_after(&fault, &settings.retry) != Next::Retry {
            return RunError::Remote(fault);
        }
        let (connector, detail) = (&self.instance.name, fault.to_string());
        let (threshold, probe_after) = (settings.breaker_threshold, settings.probe_after);
        match breaker::record_fault(&self.engine.pool, connector, &detail, threshold, probe_after).await {
            Ok(BreakerState::Closed) => RunError::Remote(fault),
            Ok(BreakerState::Open | BreakerState::HalfOpen) => {
                RunError::BreakerOpen { connector: connector.clone(), detail }
            }
            Err(error) => RunError::Apply(ApplyError::Database(error)),
        }
    }

    async fn note_success(&self) {
        // The count of faults is advisory here: a page that came is never lost for it.
        if let Err(error) = breaker::record_success(&self.engine.pool, &self.instance.name).await {
            tracing::warn!(%error, "the breaker's success could not be noted");
        }
    }
}
