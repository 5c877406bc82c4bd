//! A page in its turn: mapped before it, applied with patience in it.

use std::{sync::Arc, time::Duration};

use kopru_sdk::Fault;
use tokio::time::Instant;

use super::{
    RunError, Scope,
    fetch::Fetched,
    mapping_format,
    turns::{Baton, MyTurn},
};
use crate::{
    canonical::Entity,
    hub::{
        cursors::Position,
        engine::Engine,
        meters,
        pages::{ApplyError, MappedPage, PageContext, Pending, Step, apply_page, flush},
        patience::Patience,
        reconcile,
        runs::{self, Tally},
    },
};

/// How long counters of pages without effect may stay unwritten.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// How long a page waits for a lost database.
const DATABASE_PATIENCE: Duration = Duration::from_secs(120);

/// Maps a page, waits for its turn, applies it and hands the turn on. When a page fails, the ones behind it never get
/// their turn.
pub(super) async fn apply_in_turn(scope: Arc<Scope>, page: Fetched, turn: MyTurn) -> Result<Tally, RunError> {
    let engine = &scope.engine;
    let cx = PageContext {
        run_id: scope.run.id,
        connector: &scope.run.connector,
        stream: &scope.run.stream,
        lease: &scope.lease,
        pass: scope.pass,
        pass_started_at: scope.pass_started_at,
        bulk: scope.bulk,
        dry_run: scope.run.dry_run,
        correlation_id: &scope.run.correlation_id,
        isolate: false,
        compares: reconcile::is_one(&scope.run),
        sweep: scope.sweep,
    };
    let step = Step {
        position: Position { cursor: page.page.cursor.clone(), pass_started_at: scope.pass_started_at },
        end: page.page.end,
        expected: page.page.expected.and_then(|rows| i64::try_from(rows).ok()),
    };
    let format = mapping_format(page.page.format);
    // One set of rules for the whole page; an edit that is taken over meanwhile is in force from the next one on.
    let Some(mapping) = engine.library.get_for(&scope.run.connector, &scope.mapping) else {
        let detail = format!("the mapping `{}` is not in the library", scope.mapping);
        return Err(RunError::Remote(Fault::contract(detail)));
    };
    let mapped = mapping
        .map(format, &page.page.body)
        .map_err(|unreadable| RunError::Remote(Fault::contract(unreadable.to_string())));
    let Ok(mut baton) = turn.before.await else { return Err(RunError::Stopped) };
    let applied = match &mapped {
        Ok(mapped) => {
            let input = MappedPage {
                body: &page.page.body,
                format,
                mapping: &mapping,
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
            note_pending(&scope, &baton.pending.tally).await;
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
    if baton.pending.tally.pages > 0 && (input.step.end || baton.flushed.elapsed() > FLUSH_EVERY) {
        flush_with_patience(engine, cx, input.mapping.entity(), input.step, &mut baton.pending).await?;
        baton.flushed = Instant::now();
    }
    Ok(tally)
}

/// Counters that no page will write any more. Losing them loses no record.
pub(super) async fn note_pending(scope: &Scope, pending: &Tally) {
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
    pending: &mut Pending,
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
    entity: Entity,
    step: &Step,
    pending: &mut Pending,
) -> Result<(), RunError> {
    let began = Instant::now();
    loop {
        match flush(engine, cx, entity, step, pending).await {
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
pub(in crate::hub) fn is_outage(error: &sqlx::Error) -> bool {
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
