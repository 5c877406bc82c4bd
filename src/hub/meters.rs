//! What the engine tells the monitoring. Every metric is named here, once; docs/operations.md explains them.
//!
//! Counters and histograms are of this process. Gauges show the store, which all daemons share: each daemon shows the
//! same figures, so they are read with `max`, never summed.

use std::{collections::BTreeSet, time::Duration};

use kopru_sdk::{Cause, Fault};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use tokio::time::Instant;

use super::{
    breaker, dead_letters, deliveries,
    engine::Engine,
    mappings::unmapped,
    messages,
    pages::PageContext,
    runs::{Run, Tally},
    states::{BreakerState, DeliveryState, MessageState, RunState},
    streams,
};
use crate::audit;

const RECORDS: &str = "kopru_records_total";
const PAGES: &str = "kopru_pages_total";
const PAGE_CONFLICTS: &str = "kopru_page_conflicts_total";
const FILES: &str = "kopru_files_total";
const RUN_DURATION: &str = "kopru_run_duration_seconds";
const FETCH_DURATION: &str = "kopru_fetch_duration_seconds";
const FETCH_FAULTS: &str = "kopru_fetch_faults_total";
const QUEUED_MESSAGES: &str = "kopru_queued_messages";
const DEAD_LETTERS: &str = "kopru_dead_letters";
const DELIVERIES: &str = "kopru_deliveries";
const DELIVERY_OLDEST: &str = "kopru_delivery_oldest_seconds";
const BREAKER_OPEN: &str = "kopru_breaker_open";
const STREAM_PAUSED: &str = "kopru_stream_paused";
const UNMAPPED_CODES: &str = "kopru_unmapped_codes";
const MAPPINGS_REFUSED: &str = "kopru_mappings_refused";
const AUDIT_UNSEALED: &str = "kopru_audit_unsealed_seconds";
const SINCE_SUCCESS: &str = "kopru_stream_since_success_seconds";

/// Tells the recorder what each metric is. Without a recorder it does nothing.
pub fn describe() {
    describe_counter!(RECORDS, "records of applied pages, by what became of them");
    describe_counter!(PAGES, "pages applied");
    describe_counter!(PAGE_CONFLICTS, "page transactions that started over because another writer was faster");
    describe_counter!(FILES, "files of watched folders that were put away, by whether they were taken or refused");
    describe_histogram!(RUN_DURATION, "how long runs took, by how they ended");
    describe_histogram!(FETCH_DURATION, "how long the source took for a page, failed calls included");
    describe_counter!(FETCH_FAULTS, "calls for a page that failed, by class of the fault");
    describe_gauge!(QUEUED_MESSAGES, "messages that are not finished, by state");
    describe_gauge!(DEAD_LETTERS, "open dead letters, by cause");
    describe_gauge!(DELIVERIES, "deliveries that are not finished, by state");
    describe_gauge!(DELIVERY_OLDEST, "age of the target's oldest delivery that is neither finished nor dead");
    describe_gauge!(BREAKER_OPEN, "1 while the connector's circuit breaker is not closed");
    describe_gauge!(STREAM_PAUSED, "1 while the stream is paused");
    describe_gauge!(UNMAPPED_CODES, "external codes that wait for a person's answer");
    describe_gauge!(MAPPINGS_REFUSED, "1 while this process has not taken over the last edit of the mapping files");
    gauge!(MAPPINGS_REFUSED).set(0.0);
    describe_gauge!(AUDIT_UNSEALED, "age of the oldest audit row that has no seal yet");
    describe_gauge!(SINCE_SUCCESS, "seconds since the stream's last successful run; infinite before the first one");
}

/// A page was committed.
pub(super) fn page(cx: &PageContext<'_>, tally: &Tally) {
    if cx.dry_run {
        return;
    }
    submitted(cx.connector, cx.stream, tally);
}

/// A file was put away.
pub(super) fn file(folder: &str, state: &str) {
    counter!(FILES, "folder" => folder.to_owned(), "state" => state.to_owned()).increment(1);
}

/// A document went in, or changed nothing, by whatever way.
pub fn submitted(connector: &str, stream: &str, tally: &Tally) {
    counter!(PAGES, "connector" => connector.to_owned(), "stream" => stream.to_owned()).increment(1);
    let outcomes = [
        ("created", tally.created),
        ("updated", tally.updated),
        ("unchanged", tally.unchanged),
        ("stale", tally.stale),
        ("superseded", tally.superseded),
        ("deferred", tally.deferred),
        ("failed", tally.failed),
        ("skipped", tally.skipped),
    ];
    for (outcome, count) in outcomes {
        let labels =
            [("connector", connector.to_owned()), ("stream", stream.to_owned()), ("outcome", outcome.to_owned())];
        counter!(RECORDS, &labels).increment(u64::try_from(count).unwrap_or(0));
    }
}

/// Whether the last edit of the mapping files was refused.
pub(super) fn mappings_refused(refused: bool) {
    gauge!(MAPPINGS_REFUSED).set(flag(refused));
}

pub(super) fn page_conflict(connector: &str, stream: &str) {
    counter!(PAGE_CONFLICTS, "connector" => connector.to_owned(), "stream" => stream.to_owned()).increment(1);
}

/// A run ended, in whatever way.
pub(super) fn run(run: &Run, state: RunState, took: Duration) {
    if run.dry_run {
        return;
    }
    let labels = [
        ("connector", run.connector.clone()),
        ("stream", run.stream.clone()),
        ("pass", run.pass.clone()),
        ("state", state.as_str().to_owned()),
    ];
    histogram!(RUN_DURATION, &labels).record(took);
}

/// The source answered, or failed to.
pub(super) fn fetch(connector: &str, stream: &str, took: Duration, fault: Option<&Fault>) {
    let labels = [("connector", connector.to_owned()), ("stream", stream.to_owned())];
    histogram!(FETCH_DURATION, &labels).record(took);
    if let Some(fault) = fault {
        let [connector, stream] = labels;
        counter!(FETCH_FAULTS, &[connector, stream, ("class", fault.class().to_owned())]).increment(1);
    }
}

/// How often the gauges are read from the store.
const REFRESH: Duration = Duration::from_secs(10);

/// Of the time at most this part goes into reading them, however long the queues are.
const SHARE: u32 = 20;

/// Keeps the gauges fresh. Scrapes read what stands here, and ask the store for the breakers alone.
pub(super) async fn refresh(engine: Engine) {
    let mut shown = Shown::default();
    loop {
        let began = Instant::now();
        if let Err(error) = shown.refresh(&engine).await {
            tracing::debug!(%error, "the gauges could not be read; they keep their figures");
        }
        tokio::select! {
            () = tokio::time::sleep(REFRESH.max(began.elapsed() * SHARE)) => {}
            () = engine.stop.cancelled() => return,
        }
    }
}

/// The connectors that have gauges: those configured, and those of which something was left in the store. What is gone
/// goes back to zero.
#[derive(Default)]
struct Shown {
    connectors: BTreeSet<String>,
    targets: BTreeSet<String>,
}

impl Shown {
    async fn refresh(&mut self, engine: &Engine) -> Result<(), sqlx::Error> {
        let queued = messages::open_counts(&engine.pool).await?;
        let letters = dead_letters::open_counts(&engine.pool).await?;
        let unmapped = unmapped::open_counts(&engine.pool).await?;
        self.connectors.extend(engine.instance_names());
        self.connectors.extend(unmapped.iter().map(|(connector, _)| connector.clone()));
        self.connectors.extend(queued.iter().map(|row| row.connector.clone()));
        self.connectors.extend(letters.iter().map(|row| row.connector.clone()));
        for connector in &self.connectors {
            for state in MessageState::ALL.iter().filter(|state| !state.is_final()) {
                let counts = queued.iter().filter(|row| row.connector == *connector && row.state == state.as_str());
                let labels = [("connector", connector.clone()), ("state", state.as_str().to_owned())];
                gauge!(QUEUED_MESSAGES, &labels).set(figure(counts.map(|row| row.count).sum()));
            }
            for cause in [Cause::Data, Cause::Remote, Cause::Credential, Cause::Contract, Cause::Ours] {
                let counts = letters.iter().filter(|row| row.connector == *connector && row.cause == cause.as_str());
                let labels = [("connector", connector.clone()), ("cause", cause.as_str().to_owned())];
                gauge!(DEAD_LETTERS, &labels).set(figure(counts.map(|row| row.count).sum()));
            }
            let codes = unmapped.iter().filter(|(of, _)| of == connector).map(|(_, count)| count).sum();
            gauge!(UNMAPPED_CODES, "connector" => connector.clone()).set(figure(codes));
        }
        self.show_deliveries(engine).await?;
        gauge!(AUDIT_UNSEALED).set(audit::verify::unsealed(&engine.pool).await?.oldest_secs);
        show_breakers(engine, self.connectors.iter().chain(&self.targets)).await?;
        show_streams(engine).await
    }

    async fn show_deliveries(&mut self, engine: &Engine) -> Result<(), sqlx::Error> {
        let open = deliveries::store::open_counts(&engine.pool).await?;
        self.targets.extend(engine.targets.names());
        self.targets.extend(open.iter().map(|row| row.target.clone()));
        let states = ["received", "working", "waiting", "held", "blocked", "dead"];
        for target in &self.targets {
            let own = || open.iter().filter(|row| row.target == *target);
            for state in DeliveryState::ALL.iter().filter(|state| states.contains(&state.as_str())) {
                let count = own().filter(|row| row.state == state.as_str()).map(|row| row.count).sum();
                let labels = [("target", target.clone()), ("state", state.as_str().to_owned())];
                gauge!(DELIVERIES, &labels).set(figure(count));
            }
            let alive = own().filter(|row| row.state != DeliveryState::Dead.as_str());
            let oldest = alive.map(|row| row.oldest_secs).fold(0.0, f64::max);
            gauge!(DELIVERY_OLDEST, "target" => target.clone()).set(oldest);
        }
        Ok(())
    }
}

/// The breakers of these connectors, as they are now. A scrape asks for this one itself: readiness shows the same state
/// at once, and an alert and a person must not see two.
pub async fn show_breakers<'c>(
    engine: &Engine,
    connectors: impl IntoIterator<Item = &'c String>,
) -> Result<(), sqlx::Error> {
    let breakers = breaker::list(&engine.pool).await?;
    for connector in connectors {
        let open = breakers.iter().any(|row| row.connector == *connector && row.state != BreakerState::Closed);
        gauge!(BREAKER_OPEN, "connector" => connector.clone()).set(flag(open));
    }
    Ok(())
}

async fn show_streams(engine: &Engine) -> Result<(), sqlx::Error> {
    let rows = streams::list(&engine.pool).await?;
    let now = engine.database_now().await?;
    for instance in engine.instances.values() {
        for stream in instance.streams.iter().filter(|stream| stream.enabled) {
            let row = rows.iter().find(|row| row.connector == instance.name && row.stream == stream.spec.name);
            let labels = [("connector", instance.name.clone()), ("stream", stream.spec.name.to_owned())];
            gauge!(STREAM_PAUSED, &labels).set(flag(row.is_some_and(|row| row.paused_at.is_some())));
            let age = row.and_then(|row| row.last_success_at).map(|at| (now - at).as_seconds_f64());
            gauge!(SINCE_SUCCESS, &labels).set(age.unwrap_or(f64::INFINITY));
        }
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a count of rows, for a graph")]
fn figure(count: i64) -> f64 {
    count as f64
}

fn flag(on: bool) -> f64 {
    if on { 1.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names in this file, of the HTTP surface and of the program itself.
    fn named_in_code() -> BTreeSet<String> {
        let sources = [
            include_str!("meters.rs"),
            include_str!("../http/correlation.rs"),
            include_str!("../http/api/products/answers.rs"),
            include_str!("../telemetry.rs"),
        ];
        sources.iter().flat_map(|text| quoted(text, '"')).collect()
    }

    fn quoted(text: &str, quote: char) -> impl Iterator<Item = String> {
        let word = |part: &&str| {
            part.starts_with(concat!("kopru", "_"))
                && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        text.split(quote).filter(word).map(str::to_owned).collect::<Vec<_>>().into_iter()
    }

    #[test]
    fn the_runbook_explains_every_metric_and_no_other() {
        let runbook = include_str!("../../docs/operations.md");
        let explained: BTreeSet<String> = runbook
            .lines()
            .filter(|line| line.starts_with("| `"))
            .filter_map(|line| quoted(line, '`').next())
            .collect();
        assert_eq!(explained, named_in_code());
    }
}
