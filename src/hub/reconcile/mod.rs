//! Reconciliation: a complete pass that compares every record of a stream with what the store holds, and says where they differ.
//!
//! | module | subject |
//! | --- | --- |
//! | [`pages`] | one page, compared |
//! | [`report`] | what was found, for who reads it |
//!
//! Invariants
//! - It is a run like any other, page by page through the same mapping and command; without repair each page is taken back.
//! - What was read before counts for nothing: a record whose content is the same as at the last reading is compared all the same,
//!   since the store may have been changed behind it.
//! - Only fields that the source owns are compared, since only those would its record write; with repair they are written, by the
//!   command, with events and history. What is gone over there is the business of sweeps.
//! - Counts are of all, findings the first [`KEPT`] of each kind.

mod pages;
mod report;

use kopru_sdk::Pass;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::{
    deactivate,
    engine::{Engine, EngineError},
    runs::{self, NewRun, Run},
    states::Trigger,
};
use crate::canonical::Entity;

pub(super) use pages::Held;
pub use report::{Finding, FindingKind, Report, findings, list, show};

/// Findings of one kind that are kept.
const KEPT: i64 = 1_000;

/// Asks for one; some daemon takes it up, or whoever asked works it off.
pub async fn ask<'e>(
    db: impl PgExecutor<'e>,
    engine: &Engine,
    connector: &str,
    stream: &str,
    repairs: bool,
) -> Result<Uuid, AskError> {
    engine.stream(connector, stream)?;
    let new =
        NewRun { connector, stream, pass: Pass::Full, trigger: Trigger::Reconcile, dry_run: !repairs, since: None };
    Ok(runs::create(db, &new, None).await?)
}

#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error(transparent)]
    Unknown(#[from] EngineError),
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
}

/// Whether a run is one.
pub(super) fn is_one(run: &Run) -> bool {
    run.trigger == Trigger::Reconcile.as_str()
}

/// Its report begins, or begins anew when the run does.
pub(super) async fn begins(tx: &mut PgConnection, run: &Run, entity: Entity) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from hub.reconciliation_finding where run_id = $1", run.id).execute(&mut *tx).await?;
    sqlx::query!("delete from hub.reconciliation_seen where run_id = $1", run.id).execute(&mut *tx).await?;
    sqlx::query!(
        "insert into hub.reconciliation as r (run_id, connector, stream, entity, repairs) values ($1, $2, $3, $4, $5)
         on conflict (run_id) do update
             set checked = 0, same = 0, differing = 0, missing_here = 0, missing_there = 0, repeated = 0, refused = 0",
        run.id,
        run.connector,
        run.stream,
        entity.as_str(),
        !run.dry_run,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The pass was complete: what was not in it is missing there, and what came more than once is there twice.
pub(super) async fn ends(tx: &mut PgConnection, run: &Run, entity: Entity) -> Result<(), sqlx::Error> {
    let gone_already = deactivate::hash(entity);
    sqlx::query!(
        "with gone as (
             select external_code as code from hub.external_ref r
             where r.connector = $2 and r.entity = $3 and (r.stream = $4 or $3 = 'order')
                 and r.content_hash is distinct from $5
                 and not exists (select from hub.reconciliation_seen s where s.run_id = $1 and s.code = r.external_code)
         ), twice as (
             select code, times from hub.reconciliation_seen where run_id = $1 and times > 1
         ), noted as (
             insert into hub.reconciliation_finding (run_id, kind, code, detail)
             (select $1::uuid, 'missing_there', code, null from gone order by code limit $6)
             union all
             (select $1, 'repeated', code, times::text from twice order by code limit $6)
             on conflict do nothing
         )
         update hub.reconciliation
         set finished_at = clock_timestamp(), missing_there = (select count(*) from gone),
             repeated = (select count(*) from twice)
         where run_id = $1",
        run.id,
        run.connector,
        entity.as_str(),
        run.stream,
        gone_already.as_ref().map(|hash| hash.as_slice()),
        KEPT,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!("delete from hub.reconciliation_seen where run_id = $1", run.id).execute(tx).await?;
    Ok(())
}
