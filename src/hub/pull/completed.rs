//! Runs whose single changes are no news: the first one of a stream, and complete passes over one that also tells what changed. They
//! are told of as a whole, with counts.

use kopru_sdk::Pass;
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::super::{
    engine::{Engine, Stream},
    runs::{self, Run},
    states::RunState,
    streams,
};
use crate::{
    canonical::Entity,
    outbox::{self, EventType, Events, Provenance},
    transaction,
};

/// Whether the changes of a run go only to those who asked for all of them. A stream that knows no other pass than a
/// complete one tells its changes by it.
pub(super) async fn is_bulk(db: &PgPool, stream: &Stream, run: &Run) -> Result<bool, sqlx::Error> {
    if run.pass != Pass::Full.as_str() {
        return Ok(false);
    }
    if stream.spec.incremental {
        return Ok(true);
    }
    streams::was_never_complete(db, &run.connector, &run.stream).await
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Completed<'a> {
    run_id: Uuid,
    connector: &'a str,
    stream: &'a str,
    pass: &'a str,
    records: i64,
    created: i64,
    updated: i64,
    unchanged: i64,
    stale: i64,
    superseded: i64,
    deferred: i64,
    failed: i64,
    skipped: i64,
}

/// Whether changes of these records are events.
fn is_told(engine: &Engine, stream: &Stream) -> bool {
    let entity = engine.library.get(&stream.mapping).map(|mapping| mapping.entity());
    entity.is_some_and(|entity| matches!(entity, Entity::Product | Entity::Price | Entity::Stock))
}

/// Ends a run that went well, and tells of it when its changes were not told one by one. One that changed nothing costs
/// nothing.
pub(super) async fn finish(engine: &Engine, stream: &Stream, run: &Run, bulk: bool) -> Result<(), sqlx::Error> {
    let mut tx = transaction::begin(&engine.pool).await?;
    runs::finish(&mut *tx, run.id, RunState::Done, None).await?;
    if bulk
        && !run.dry_run
        && is_told(engine, stream)
        && let Some(ended) = runs::get(&mut *tx, run.id).await?
        && ended.created + ended.updated + ended.deferred + ended.failed > 0
    {
        tell(&mut tx, engine, &ended).await?;
    }
    tx.commit().await
}

async fn tell(tx: &mut PgConnection, engine: &Engine, run: &Run) -> Result<(), sqlx::Error> {
    // Each is a thing of its own: nothing waits for another one's end.
    let id = sqlx::query_scalar!(r#"select nextval('hub.sync_number') as "id!""#).fetch_one(&mut *tx).await?;
    let mut events = Events::new(EventType::SyncCompleted, 1);
    let completed = Completed {
        run_id: run.id,
        connector: &run.connector,
        stream: &run.stream,
        pass: &run.pass,
        records: run.records,
        created: run.created,
        updated: run.updated,
        unchanged: run.unchanged,
        stale: run.stale,
        superseded: run.superseded,
        deferred: run.deferred,
        failed: run.failed,
        skipped: run.skipped,
    };
    events.push(id, 1, &completed).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    let by = Provenance {
        origin: &run.connector,
        bulk: false,
        correlation_id: &run.correlation_id,
        place: None,
        now: engine.clock.now(),
    };
    outbox::append(tx, &by, &events).await
}
