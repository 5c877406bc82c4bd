//! A run: one pass over a stream, page by page. While a page is applied the next one is fetched and mapped.
//!
//! | module | subject |
//! | --- | --- |
//! | [`fetch`] | asks the connector for page after page, a few ahead |
//! | [`turns`] | pages in hand, each with its place in the order of the run |
//! | [`apply`] | maps a page, and applies it when its turn has come |
//! | [`completed`] | the end of a run, told as a whole |
//! | [`follow`] | what a person sees who waits for a run |
//!
//! Invariants
//! - Pages are applied in the order in which they were fetched, each with the cursor behind it.
//! - Not more than [`IN_FLIGHT`] pages are in memory, however long the pass.
//! - A remote fault is retried by the schedule; when the breaker opens the run stops and its cursor waits.
//! - A record that is too large by itself pauses its stream: the next pass would come to it again.

mod apply;
mod completed;
mod fetch;
mod follow;
mod turns;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use kopru_sdk::{Cause, Fault, Format as WireFormat, Pass};
use tokio::{
    sync::{Semaphore, mpsc},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use self::{
    apply::note_pending,
    fetch::{Fetched, Fetcher},
    turns::apply_pages,
};
use super::{
    breaker, cursors,
    engine::{Engine, Instance, Stream},
    handover::StockReading,
    mappings, meters,
    pages::{ApplyError, Pending},
    reconcile,
    runs::{self, Run, Tally},
    states::{BreakerState, RunState},
    streams, sweeps,
};
use crate::{canonical::Entity, mapping::Format, transaction};

pub use follow::follow;

/// Pages fetched or mapped ahead of the one that is being applied.
const IN_FLIGHT: usize = 3;

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
            RunError::Apply(ApplyError::Database(error)) => apply::is_outage(error),
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
    let bulk = completed::is_bulk(&engine.pool, stream, run).await?;
    match pass(engine, instance, stream, run, bulk, stop, &mut tally).await {
        Ok(full) => {
            if !run.dry_run {
                streams::succeeded(&engine.pool, &run.connector, &run.stream, full).await?;
            }
            if full && !run.dry_run {
                // The pass is complete whatever becomes of it; what is left of it is taken up by housekeeping.
                if let Err(error) = sweeps::advance_stream(engine, &run.connector, &run.stream).await {
                    tracing::warn!(%error, "what is not there any more could not be swept yet");
                }
            }
            completed::finish(engine, stream, run, bulk).await?;
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
            } else if matches!(&error, RunError::Remote(fault) if fault.is_too_large()) && !run.dry_run {
                streams::give_up(engine, &run.connector, &run.stream, &text).await?;
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
    bulk: bool,
    stop: &CancellationToken,
    total: &mut Tally,
) -> Result<bool, RunError> {
    let db = &engine.pool;
    let lost = |error: sqlx::Error| RunError::Apply(ApplyError::Database(error));
    if breaker::state(db, &instance.name).await.map_err(lost)? == BreakerState::Open {
        let detail = "it was open already".to_owned();
        return Err(RunError::BreakerOpen { connector: instance.name.clone(), detail });
    }
    mappings::overlay::refresh(db, &engine.library).await.map_err(lost)?;
    let pass = if run.pass == Pass::Full.as_str() { Pass::Full } else { Pass::Incremental };
    let held = cursors::read(db, &run.connector, &run.stream, pass).await.map_err(lost)?;
    let now = engine.database_now().await.map_err(lost)?;
    // A dry run looks at the whole pass without disturbing one that is under way.
    let compares = reconcile::is_one(run);
    let begun = held.filter(|_| !(compares || run.dry_run && pass == Pass::Full));
    let pass_started_at = match (pass, &begun) {
        (Pass::Full, Some(position)) => position.pass_started_at,
        _ => now,
    };
    let Some(entity) = engine.library.get(&stream.mapping).map(|mapping| mapping.entity()) else {
        let detail = format!("the mapping `{}` is not in the library", stream.mapping);
        return Err(RunError::Remote(Fault::contract(detail)));
    };
    if compares {
        let mut tx = transaction::begin(db).await.map_err(lost)?;
        reconcile::begins(&mut tx, run, entity).await.map_err(lost)?;
        tx.commit().await.map_err(lost)?;
    }
    // Only a pass over all of it tells what is gone.
    let sweep = Some(stream.sweep).filter(|policy| {
        let whole = pass == Pass::Full && run.since.is_none() && policy.mode != sweeps::Mode::Off;
        whole && sweeps::is_swept(entity)
    });
    if pass == Pass::Full && !run.dry_run {
        mark_from_here(engine, run, sweep.is_some(), begun.is_none(), pass_started_at).await.map_err(lost)?;
    }
    let lease = stream_lease(&run.connector, &run.stream);
    let is_fresh = match pass {
        Pass::Full => begun.is_none(),
        Pass::Incremental => runs::follows_a_whole_one(db, run).await.map_err(lost)?,
    };
    if entity == Entity::Stock && !run.dry_run {
        let reading = StockReading { engine, connector: &run.connector, lease: &lease };
        reading.begins().await.map_err(RunError::Apply)?;
    }
    let scope = Arc::new(Scope {
        engine: engine.clone(),
        sweep,
        run: run.clone(),
        lease,
        mapping: stream.mapping.clone(),
        entity,
        pass,
        bulk,
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
    match (&ended, run.dry_run) {
        (Ok(()), true) => {
            if let Ok(baton) = last.0.await {
                keep_preview(&scope, &baton.pending).await.map_err(lost)?;
            }
        }
        (Ok(()), false) => {}
        // Counters of pages without effect are told all the same; the cursor stays behind the last one that had any.
        (Err(_), _) => {
            if let Ok(baton) = last.0.await {
                note_pending(&scope, &baton.pending.tally).await;
            }
        }
    }
    ended?;
    if compares {
        let mut tx = transaction::begin(db).await.map_err(lost)?;
        reconcile::ends(&mut tx, run, entity).await.map_err(lost)?;
        tx.commit().await.map_err(lost)?;
    }
    // What an interrupted pass read before it was due is not read again by the one that goes on with it.
    let whole = is_fresh && run.since.is_none() && total.failed + total.deferred == 0;
    if entity == Entity::Stock && !run.dry_run && whole {
        let reading = StockReading { engine, connector: &run.connector, lease: &scope.lease };
        reading.ended().await.map_err(RunError::Apply)?;
    }
    Ok(pass == Pass::Full)
}

/// Whether the pass is marked: a new one from its beginning, a resumed one as long as it always was.
async fn mark_from_here(
    engine: &Engine,
    run: &Run,
    marks: bool,
    begins: bool,
    pass_started_at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let mut tx = transaction::begin(&engine.pool).await?;
    if !marks {
        sweeps::forget(&mut *tx, &run.connector, &run.stream).await?;
    } else if begins {
        sweeps::begin(&mut tx, &run.connector, &run.stream, pass_started_at).await?;
    }
    tx.commit().await
}

/// What a dry run found, kept with it.
async fn keep_preview(scope: &Scope, pending: &Pending) -> Result<(), sqlx::Error> {
    let (db, run) = (&scope.engine.pool, &scope.run);
    let removal = match scope.sweep {
        Some(policy) => {
            let of = (run.connector.as_str(), run.stream.as_str());
            sweeps::removals(db, of, scope.entity, scope.pass_started_at, &pending.seen, policy).await?
        }
        None => None,
    };
    pending.preview.keep(db, run.id, removal.as_ref()).await
}

/// What all pages of a run share.
struct Scope {
    engine: Engine,
    run: Run,
    lease: String,
    mapping: String,
    entity: Entity,
    pass: Pass,
    /// Its single changes are no news.
    bulk: bool,
    pass_started_at: DateTime<Utc>,
    sweep: Option<sweeps::SweepPolicy>,
}

pub(super) use apply::is_outage;
