//! A run: one pass over a stream, page by page. While a page is applied the next one is fetched and mapped.
//!
//! Invariants
//! - Pages are applied in the order in which they were fetched, each with the cursor behind it.
//! - Not more than [`IN_FLIGHT`] pages are in memory, however long the pass.
//! - A remote fault is retried by the schedule; when the breaker opens the run stops and its cursor waits.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use backon::Retryable;
use chrono::{DateTime, Utc};
use kopru_sdk::{Cause, Cursor, Fault, Format as WireFormat, Page, Pass, PullRequest};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use super::{
    breaker,
    cursors::{self, Position},
    engine::{Engine, Instance, Stream},
    meters,
    pages::{ApplyError, MappedPage, PageContext, Step, apply_page, flush},
    patience::Patience,
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

/// How long a page waits for a lost database.
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
    #[error("broken off by a bug of ours, the log has its trace: {0}")]
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

impl RunError {
    /// Stopped, taken over, or without its database: nothing has failed, and somebody goes on with it at once.
    fn goes_on(&self) -> bool {
        match self {
            RunError::Stopped | RunError::Apply(ApplyError::LeaseLost) => true,
            RunError::Apply(ApplyError::Database(error)) => is_outage(error),
            RunError::Apply(_) | RunError::Remote(_) | RunError::BreakerOpen { .. } | RunError::Broken(_) => false,
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
    // Of the highest level, so that no filter takes it away from the lines that pass.
    let span = tracing::error_span!(
        "run", correlation_id = run.correlation_id, run.id = %run.id, connector = run.connector, stream = run.stream,
        pass = run.pass
    );
    work_off(engine, run, stop).instrument(span).await
}

async fn work_off(engine: &Engine, run: &Run, stop: &CancellationToken) -> Result<Tally, sqlx::Error> {
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
            meters::run(run, RunState::Done, started.elapsed());
            tracing::info!(
                records = tally.records,
                created = tally.created,
                updated = tally.updated,
                unchanged = tally.unchanged,
                deferred = tally.deferred,
                failed = tally.failed,
                duration_ms = started.elapsed().as_millis() as u64,
                "stream synchronised"
            );
        }
        Err(error) => {
            let cause = error.cause();
            let text = error.to_string();
            let goes_on = error.goes_on();
            let interrupted = goes_on || matches!(error, RunError::BreakerOpen { .. });
            let state = if interrupted { RunState::Interrupted } else { RunState::Failed };
            if !matches!(error, RunError::Stopped) {
                tracing::warn!(%cause, error = text, "stream stopped");
            }
            if !goes_on && !run.dry_run {
                streams::failed(&engine.pool, &run.connector, &run.stream, &text).await?;
            }
            if matches!(cause, Cause::Credential | Cause::Contract) {
                streams::cut_off(engine, &run.connector, cause, &text).await?;
            }
            runs::finish(&engine.pool, run.id, state, Some((cause, &text))).await?;
            meters::run(run, state, started.elapsed());
        }
    }
    Ok(tally)
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
    let (pages, fetched) = mpsc::channel::<Result<Fetched, RunError>>(1);
    let in_flight = Arc::new(Semaphore::new(IN_FLIGHT));
    tokio::spawn(fetcher.run(begun.map(|position| position.cursor), pages, in_flight).in_current_span());

    let (last, ended) = apply_pages(&scope, fetched, stop, total).await;
    if ended.is_err() {
        // Counters of pages without effect are told all the same; the cursor stays behind the last one that had any.
        if let Ok(baton) = last.0.await {
            note_pending(&scope, &baton.pending).await;
        }
    }
    ended.map(|()| pass == Pass::Full)
}

/// Applies what is fetched until the pass is complete. Each page is mapped on a task of its own and then waits for its
/// turn, which the page before it hands on. Answers the turn behind the last page as well.
async fn apply_pages(
    scope: &Arc<Scope>,
    mut fetched: mpsc::Receiver<Result<Fetched, RunError>>,
    stop: &CancellationToken,
    total: &mut Tally,
) -> (Turn, Result<(), RunError>) {
    let mut tasks: VecDeque<JoinHandle<Result<Tally, RunError>>> = VecDeque::new();
    let mut turn = Turn::first();
    let mut ended = false;
    loop {
        let next = tokio::select! {
            biased;
            Some(applied) = front(&mut tasks) => {
                tasks.pop_front();
                match applied {
                    Ok(tally) => total.add(&tally),
                    Err(error) => return (turn, Err(error)),
                }
                if ended && tasks.is_empty() {
                    return (turn, Ok(()));
                }
                continue;
            }
            next = fetched.recv(), if !ended => next,
        };
        let stopped = match next {
            Some(Ok(page)) if !stop.is_cancelled() => {
                ended = page.page.end;
                let (mine, following) = turn.pass_on();
                turn = following;
                tasks.push_back(tokio::spawn(apply_in_turn(Arc::clone(scope), page, mine).in_current_span()));
                continue;
            }
            Some(Err(error)) => error,
            None if !stop.is_cancelled() => RunError::Broken("the connector ended without a word".to_owned()),
            Some(Ok(_)) | None => RunError::Stopped,
        };
        // What was fetched before still goes in.
        return (turn, settle(tasks, total).await.and(Err(stopped)));
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
    let step = Step {
        position: Position { cursor: page.page.cursor.clone(), pass_started_at: scope.pass_started_at },
        end: page.page.end,
        expected: page.page.expected.and_then(|rows| i64::try_from(rows).ok()),
    };
    let format = mapping_format(page.page.format);
    let mapped = scope
        .mapping
        .map(format, &page.page.body, &Overlay::default())
        .map_err(|unreadable| RunError::Remote(Fault::contract(unreadable.to_string())));
    let Ok(mut baton) = turn.before.await else { return Err(RunError::Stopped) };
    let applied = match &mapped {
        Ok(mapped) => {
            let input = MappedPage {
                body: &page.page.body,
                format,
                mapping: &scope.mapping,
                mapped,
                received_at: page.received_at,
                step: &step,
            };
            apply_and_flush(engine, &cx, &input, &mut baton).await
        }
        Err(_) => Ok(Tally::default()),
    };
    match mapped.and(applied) {
        Ok(tally) => {
            // Nobody waits behind the last page, or when the run has stopped.
            let _ = turn.after.send(baton);
            Ok(tally)
        }
        Err(error) => {
            note_pending(&scope, &baton.pending).await;
            Err(error)
        }
    }
}

async fn apply_and_flush(
    engine: &Engine,
    cx: &PageContext<'_>,
    input: &MappedPage<'_>,
    baton: &mut Baton,
) -> Result<Tally, RunError> {
    let tally = apply_with_patience(engine, cx, input, &mut baton.pending).await?;
    if baton.pending.pages > 0 && (input.step.end || baton.flushed.elapsed() > FLUSH_EVERY) {
        flush_with_patience(engine, cx, input.step, &mut baton.pending).await?;
        baton.flushed = Instant::now();
    }
    Ok(tally)
}

/// Counters that no page will write any more. Losing them loses no record.
async fn note_pending(scope: &Scope, pending: &Tally) {
    if pending.pages == 0 {
        return;
    }
    if let Err(error) = runs::progress(&scope.engine.pool, scope.run.id, pending, None).await {
        tracing::warn!(run.id = %scope.run.id, %error, "the counters of a stopped run could not be written");
    }
}

/// Applies a page; starts over when another writer was faster, waits while the database is away.
async fn apply_with_patience(
    engine: &Engine,
    cx: &PageContext<'_>,
    input: &MappedPage<'_>,
    pending: &mut Tally,
) -> Result<Tally, RunError> {
    let began = Instant::now();
    let mut patience = Patience::default();
    loop {
        let cx = PageContext { isolate: patience.isolates(), ..cx.clone() };
        match apply_page(engine, &cx, input, pending).await {
            Ok(tally) => {
                meters::page(&cx, &tally);
                return Ok(tally);
            }
            Err(error) if patience.starts_over(&error) => meters::page_conflict(cx.connector, cx.stream),
            Err(error) => wait_for_database(engine, began, error).await?,
        }
    }
}

async fn flush_with_patience(
    engine: &Engine,
    cx: &PageContext<'_>,
    step: &Step,
    pending: &mut Tally,
) -> Result<(), RunError> {
    let began = Instant::now();
    loop {
        match flush(engine, cx, step, pending).await {
            Ok(()) => return Ok(()),
            Err(error) => wait_for_database(engine, began, error).await?,
        }
    }
}

/// Returns when it is worth another try: the database is away, and not for too long.
async fn wait_for_database(engine: &Engine, began: Instant, error: ApplyError) -> Result<(), RunError> {
    match error {
        ApplyError::Database(error) if is_outage(&error) && began.elapsed() < DATABASE_PATIENCE => {
            tracing::warn!(%error, "the database is away; the run waits");
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(500)) => Ok(()),
                () = engine.stop.cancelled() => Err(RunError::Stopped),
            }
        }
        error => Err(error.into()),
    }
}

/// Whether the database is unreachable rather than unwilling.
pub(super) fn is_outage(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::WorkerCrashed => true,
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
