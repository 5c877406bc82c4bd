//! A run: one pass over a stream, page by page. While a page is applied the next one is fetched and mapped.
//!
//! Invariants
//! - Pages are applied in the order in which they were fetched, each with the cursor behind it.
//! - Not more than [`IN_FLIGHT`] pages are in memory, however long the pass.
//! - A remote fault is retried by the schedule; when the breaker opens the run stops and its cursor waits.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use kopru_sdk::{Cause, Cursor, Fault, Format as WireFormat, Page, Pass, PullRequest};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    breaker,
    cursors::{self, Position},
    engine::{Engine, Instance, Stream},
    pages::{ApplyError, MappedPage, PageContext, apply_page, flush},
    retry::{Next, next_after},
    runs::{self, Run, Tally},
    states::{BreakerState, RunState},
    streams,
};
use crate::mapping::{Format, Mapping, Overlay};

/// Pages fetched or mapped ahead of the one that is being applied.
const IN_FLIGHT: usize = 3;

/// How long counters of pages without effect may stay unwritten.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// How often a page starts over because another writer was faster, and how long it waits for a lost database.
const CONFLICTS: u32 = 20;
/// After so many the page itself is suspected.
pub(super) const ISOLATE_AFTER: u32 = 5;
const DATABASE_PATIENCE: Duration = Duration::from_secs(120);

/// Why a run stopped before the end of its pass.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("{0}")]
    Remote(#[from] Fault),
    #[error(
        "{connector} is down (circuit breaker open after: {detail}); the run goes on from its cursor when it answers"
    )]
    BreakerOpen { connector: String, detail: String },
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("stopped; the next run goes on from its cursor")]
    Stopped,
    /// A panic: a bug of ours.
    #[error("a page broke its worker: {0}")]
    Broken(String),
}

impl RunError {
    fn cause(&self) -> Cause {
        match self {
            RunError::Remote(fault) => fault.cause(),
            RunError::BreakerOpen { .. } => Cause::Remote,
            RunError::Apply(_) | RunError::Stopped | RunError::Broken(_) => Cause::Ours,
        }
    }
}

pub(super) const fn mapping_format(format: WireFormat) -> Format {
    match format {
        WireFormat::Json => Format::Json,
        WireFormat::Xml => Format::Xml,
        WireFormat::Csv => Format::Csv,
    }
}

/// The name of the lease under which a stream is polled.
pub fn stream_lease(connector: &str, stream: &str) -> String {
    format!("stream:{connector}.{stream}")
}

/// Works off a run whose row is `running` and whose stream lease is ours. Writes its end, whatever it is.
pub async fn work(engine: &Engine, run: &Run, stop: &CancellationToken) -> Result<Tally, sqlx::Error> {
    let name = format!("{}.{}", run.connector, run.stream);
    let (instance, stream) = match engine.stream(&run.connector, &run.stream) {
        Ok(found) => found,
        Err(error) => {
            runs::finish(&engine.pool, run.id, RunState::Failed, Some((Cause::Ours, &error.to_string()))).await?;
            return Ok(Tally::default());
        }
    };
    if !run.dry_run {
        streams::started(&engine.pool, &run.connector, &run.stream, run.id).await?;
    }
    let started = Instant::now();
    let mut tally = Tally::default();
    match pass(engine, instance, stream, run, stop, &mut tally).await {
        Ok(full) => {
            if !run.dry_run {
                streams::succeeded(&engine.pool, &run.connector, &run.stream, full).await?;
            }
            runs::finish(&engine.pool, run.id, RunState::Done, None).await?;
            tracing::info!(
                run.id = %run.id, stream = name, pass = run.pass, records = tally.records, created = tally.created,
                updated = tally.updated, unchanged = tally.unchanged, deferred = tally.deferred, failed = tally.failed,
                duration_ms = started.elapsed().as_millis() as u64, "stream synchronised"
            );
        }
        Err(error) => {
            let cause = error.cause();
            let text = error.to_string();
            let state = match error {
                RunError::Stopped | RunError::BreakerOpen { .. } | RunError::Apply(ApplyError::LeaseLost) => {
                    RunState::Interrupted
                }
                RunError::Remote(_) | RunError::Apply(_) | RunError::Broken(_) => RunState::Failed,
            };
            if !matches!(error, RunError::Stopped) {
                tracing::warn!(run.id = %run.id, stream = name, %cause, error = text, "stream stopped");
            }
            if !matches!(error, RunError::Stopped) && !run.dry_run {
                streams::failed(&engine.pool, &run.connector, &run.stream, &text).await?;
            }
            if matches!(cause, Cause::Credential | Cause::Contract) {
                pause_instance(engine, instance, cause, &text).await?;
            }
            runs::finish(&engine.pool, run.id, state, Some((cause, &text))).await?;
        }
    }
    Ok(tally)
}

/// Credentials refused, or the system not as agreed: nothing of it can work until a person has looked.
async fn pause_instance(engine: &Engine, instance: &Instance, cause: Cause, reason: &str) -> Result<(), sqlx::Error> {
    let names: Vec<String> = instance.streams.iter().map(|stream| stream.spec.name.to_owned()).collect();
    tracing::error!(connector = instance.name, %cause, reason, "connector paused; mend it and run `kopru sync resume`");
    streams::pause(&engine.pool, &instance.name, &names, cause.as_str(), reason).await
}

/// Runs the pass to its end. Answers whether it was a complete one.
async fn pass(
    engine: &Engine,
    instance: &Arc<Instance>,
    stream: &Stream,
    run: &Run,
    stop: &CancellationToken,
    total: &mut Tally,
) -> Result<bool, RunError> {
    let db = &engine.pool;
    let lost = |error: sqlx::Error| RunError::Apply(ApplyError::Database(error));
    if breaker::state(db, &instance.name).await.map_err(lost)? == BreakerState::Open {
        let detail = "it was open already".to_owned();
        return Err(RunError::BreakerOpen { connector: instance.name.clone(), detail });
    }
    let Some(mapping) = engine.library.get(&stream.mapping) else {
        let detail = format!("the mapping `{}` is not in the library", stream.mapping);
        return Err(RunError::Remote(Fault::contract(detail)));
    };
    let pass = if run.pass == Pass::Full.as_str() { Pass::Full } else { Pass::Incremental };
    let held = cursors::read(db, &run.connector, &run.stream, pass).await.map_err(lost)?;
    let now = engine.database_now().await.map_err(lost)?;
    // A dry run looks at the whole pass without disturbing one that is under way.
    let begun = held.filter(|_| !(run.dry_run && pass == Pass::Full));
    let pass_started_at = match (pass, &begun) {
        (Pass::Full, Some(position)) => position.pass_started_at,
        _ => now,
    };
    let scope = Arc::new(Scope {
        engine: engine.clone(),
        run: run.clone(),
        lease: stream_lease(&run.connector, &run.stream),
        mapping,
        pass,
        pass_started_at,
    });
    let fetcher = Fetcher {
        engine: engine.clone(),
        instance: Arc::clone(instance),
        stream: run.stream.clone(),
        pass,
        since: run.since,
        correlation_id: run.correlation_id.clone(),
        // Receipts are told by the database's clock; the program's may be off.
        clock_offset: now - engine.clock.now(),
        stop: stop.child_token(),
    };
    let _abort = fetcher.stop.clone().drop_guard();
    let (pages, mut fetched) = mpsc::channel::<Result<Fetched, RunError>>(1);
    let in_flight = Arc::new(Semaphore::new(IN_FLIGHT));
    tokio::spawn(fetcher.run(begun.map(|position| position.cursor), pages, in_flight));

    // Each page is mapped on a task of its own and then waits for its turn, which the page before it hands on.
    let mut tasks: VecDeque<JoinHandle<Result<Tally, RunError>>> = VecDeque::new();
    let mut turn = Turn::first();
    let mut ended = false;
    loop {
        let next = tokio::select! {
            biased;
            Some(applied) = front(&mut tasks) => {
                tasks.pop_front();
                total.add(&applied?);
                if ended && tasks.is_empty() {
                    return Ok(pass == Pass::Full);
                }
                continue;
            }
            next = fetched.recv(), if !ended => next,
        };
        match next {
            Some(Ok(page)) => {
                if stop.is_cancelled() {
                    return settle(tasks, total).await.and(Err(RunError::Stopped));
                }
                ended = page.page.end;
                let (mine, following) = turn.pass_on();
                turn = following;
                tasks.push_back(tokio::spawn(apply_in_turn(Arc::clone(&scope), page, mine)));
            }
            // What was fetched before the fault still goes in.
            Some(Err(error)) => return settle(tasks, total).await.and(Err(error)),
            None => return settle(tasks, total).await.and(Err(RunError::Stopped)),
        }
    }
}

/// What all pages of a run share.
struct Scope {
    engine: Engine,
    run: Run,
    lease: String,
    mapping: Arc<Mapping>,
    pass: Pass,
    pass_started_at: DateTime<Utc>,
}

/// What a page hands on to the next one: the right to write, and counters that were not written yet.
struct Baton {
    pending: Tally,
    flushed: Instant,
}

/// A page's place in the order of the run.
struct Turn(oneshot::Receiver<Baton>);

/// A turn, and what its holder hands the baton on with.
struct MyTurn {
    before: oneshot::Receiver<Baton>,
    after: oneshot::Sender<Baton>,
}

impl Turn {
    fn first() -> Turn {
        let (sender, receiver) = oneshot::channel();
        // The receiver is right here.
        let _ = sender.send(Baton { pending: Tally::default(), flushed: Instant::now() });
        Turn(receiver)
    }

    fn pass_on(self) -> (MyTurn, Turn) {
        let (after, next) = oneshot::channel();
        (MyTurn { before: self.0, after }, Turn(next))
    }
}

/// The result of the oldest page in hand.
async fn front(tasks: &mut VecDeque<JoinHandle<Result<Tally, RunError>>>) -> Option<Result<Tally, RunError>> {
    let task = tasks.front_mut()?;
    Some(task.await.unwrap_or_else(|error| Err(RunError::Broken(error.to_string()))))
}

/// Lets the pages in hand end.
async fn settle(mut tasks: VecDeque<JoinHandle<Result<Tally, RunError>>>, total: &mut Tally) -> Result<(), RunError> {
    while let Some(applied) = front(&mut tasks).await {
        tasks.pop_front();
        total.add(&applied?);
    }
    Ok(())
}

/// Maps a page, waits for its turn, applies it and hands the turn on. When a page fails, the ones behind it never get
/// their turn.
async fn apply_in_turn(scope: Arc<Scope>, page: Fetched, turn: MyTurn) -> Result<Tally, RunError> {
    let engine = &scope.engine;
    let cx = PageContext {
        run_id: scope.run.id,
        connector: &scope.run.connector,
        stream: &scope.run.stream,
        lease: &scope.lease,
        pass: scope.pass,
        pass_started_at: scope.pass_started_at,
        // The first load and complete passes are no news to whoever listens for single changes.
        bulk: scope.pass == Pass::Full,
        dry_run: scope.run.dry_run,
        correlation_id: &scope.run.correlation_id,
        isolate: false,
    };
    let position = Position { cursor: page.page.cursor.clone(), pass_started_at: scope.pass_started_at };
    let format = mapping_format(page.page.format);
    let mapped = scope
        .mapping
        .map(format, &page.page.body, &Overlay::default())
        .map_err(|unreadable| RunError::Remote(Fault::contract(unreadable.to_string())));
    let Ok(mut baton) = turn.before.await else { return Err(RunError::Stopped) };
    let mapped = mapped?;
    let expected = page.page.expected.and_then(|rows| i64::try_from(rows).ok());
    let input = MappedPage {
        body: &page.page.body,
        format,
        mapping: &scope.mapping,
        mapped: &mapped,
        received_at: page.received_at,
        position: &position,
        expected,
    };
    let tally = apply_with_patience(engine, &cx, &input, &mut baton.pending).await?;
    if page.page.end {
        finish_pass(engine, &cx, &position, &mut baton.pending, expected).await?;
    } else if baton.pending.pages > 0 && baton.flushed.elapsed() > FLUSH_EVERY {
        flush(engine, &cx, &position, &mut baton.pending, expected).await?;
        baton.flushed = Instant::now();
    }
    // Nobody waits behind the last page, or when the run has stopped.
    let _ = turn.after.send(baton);
    Ok(tally)
}

/// The last page of a pass: its position is where the next incremental pass begins.
async fn finish_pass(
    engine: &Engine,
    cx: &PageContext<'_>,
    position: &Position,
    pending: &mut Tally,
    expected: Option<i64>,
) -> Result<(), RunError> {
    flush(engine, cx, position, pending, expected).await?;
    if cx.dry_run {
        return Ok(());
    }
    let lost = |error: sqlx::Error| RunError::Apply(ApplyError::Database(error));
    let mut tx = engine.pool.begin().await.map_err(lost)?;
    if cx.pass == Pass::Full {
        cursors::clear(&mut *tx, cx.connector, cx.stream, Pass::Full).await.map_err(lost)?;
        cursors::write(&mut *tx, cx.connector, cx.stream, Pass::Incremental, position).await.map_err(lost)?;
    }
    tx.commit().await.map_err(lost)
}

/// Applies a page; starts over when another writer was faster, waits while the database is away.
async fn apply_with_patience(
    engine: &Engine,
    cx: &PageContext<'_>,
    input: &MappedPage<'_>,
    pending: &mut Tally,
) -> Result<Tally, RunError> {
    let began = Instant::now();
    let mut conflicts = 0;
    loop {
        let cx = PageContext { isolate: conflicts >= ISOLATE_AFTER, ..cx.clone() };
        match apply_page(engine, &cx, input, pending).await {
            Ok(tally) => return Ok(tally),
            Err(ApplyError::Conflict) if conflicts < CONFLICTS => conflicts += 1,
            Err(ApplyError::Database(error)) if is_outage(&error) && began.elapsed() < DATABASE_PATIENCE => {
                tracing::warn!(stream = cx.stream, %error, "the database is away; the page waits");
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(500)) => {}
                    () = engine.stop.cancelled() => return Err(RunError::Stopped),
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether the database is unreachable rather than unwilling.
pub(super) fn is_outage(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => true,
        // 57P01..57P03: shutting down, crashed, starting up. 08: connection. 53300: too many connections.
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| code.starts_with("57P0") || code.starts_with("08") || code == "53300")
        }
        _ => false,
    }
}

/// A page on its way from the source to its transaction.
struct Fetched {
    page: Page,
    received_at: DateTime<Utc>,
    /// Given back when the page has been applied.
    _in_flight: tokio::sync::OwnedSemaphorePermit,
}

/// Fetches page after page, ahead of the one that is being applied.
struct Fetcher {
    engine: Engine,
    instance: Arc<Instance>,
    stream: String,
    pass: Pass,
    since: Option<DateTime<Utc>>,
    correlation_id: String,
    clock_offset: chrono::TimeDelta,
    stop: CancellationToken,
}

impl Fetcher {
    async fn run(
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

    /// One page, with the retries of the schedule.
    async fn fetch(&self, cursor: Option<&Cursor>, first: bool) -> Result<Page, RunError> {
        let settings = &self.engine.settings;
        let mut delays = settings.retry.backoff();
        loop {
            let Some(source) = self.instance.connector.source() else {
                return Err(RunError::Remote(Fault::contract("the connector offers no streams")));
            };
            let request = PullRequest {
                stream: &self.stream,
                pass: self.pass,
                cursor,
                first,
                since: self.since.filter(|_| first),
            };
            let fault = match source.pull(&self.engine.context(&self.correlation_id), request).await {
                Ok(page) => {
                    self.note_success().await;
                    return Ok(page);
                }
                Err(fault) => fault,
            };
            let (counts, at_least) = match next_after(&fault, &settings.retry) {
                Next::Retry => (true, Duration::ZERO),
                Next::Wait { at_least } => (false, at_least),
                Next::FindFirst | Next::PauseConnector | Next::DeadLetter => return Err(RunError::Remote(fault)),
            };
            tracing::warn!(connector = self.instance.name, stream = self.stream, error = %fault, "a page could not be fetched");
            if counts && self.opens_the_breaker(&fault).await? {
                let (connector, detail) = (self.instance.name.clone(), fault.to_string());
                return Err(RunError::BreakerOpen { connector, detail });
            }
            let Some(delay) = delays.next() else { return Err(RunError::Remote(fault)) };
            tokio::time::sleep(delay.max(at_least)).await;
        }
    }

    async fn opens_the_breaker(&self, fault: &Fault) -> Result<bool, RunError> {
        let settings = &self.engine.settings;
        let (db, detail) = (&self.engine.pool, fault.to_string());
        breaker::record_fault(db, &self.instance.name, &detail, settings.breaker_threshold, settings.probe_after)
            .await
            .map(|state| state != BreakerState::Closed)
            .map_err(|error| RunError::Apply(ApplyError::Database(error)))
    }

    async fn note_success(&self) {
        // The count of faults is advisory here: a page that came is never lost for it.
        if let Err(error) = breaker::record_success(&self.engine.pool, &self.instance.name).await {
            tracing::warn!(connector = self.instance.name, %error, "the breaker's success could not be noted");
        }
    }
}

/// What a person who follows a run sees: the row as it stands, until it is final.
pub async fn follow(
    engine_pool: &sqlx::PgPool,
    id: Uuid,
    mut seen: impl FnMut(&Run),
) -> Result<Option<Run>, sqlx::Error> {
    loop {
        let Some(run) = runs::get(engine_pool, id).await? else { return Ok(None) };
        seen(&run);
        if run.finished_at.is_some() {
            return Ok(Some(run));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
