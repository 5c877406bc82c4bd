//! Sweeps worked off: judged, then deactivated in slices.

use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    super::{
        deactivate::{Deactivation, deactivate},
        engine::Engine,
        pages::ApplyError,
    },
    select::select,
};
use crate::{
    audit::{self, Actor, Entry},
    canonical::Entity,
    outbox::Provenance,
    transaction,
};

/// Records that one transaction deactivates.
const SLICE: i64 = 500;

/// How often a slice starts over because another writer was faster.
const CONFLICTS: u32 = 20;

/// One step of any sweep that is due. Answers whether there was one.
pub async fn advance(engine: &Engine) -> Result<bool, ApplyError> {
    step(engine, None).await
}

/// Every sweep of a stream, until none is due.
pub async fn advance_stream(engine: &Engine, connector: &str, stream: &str) -> Result<(), ApplyError> {
    while !engine.stop.is_cancelled() && step(engine, Some((connector, stream))).await? {}
    Ok(())
}

async fn step(engine: &Engine, of: Option<(&str, &str)>) -> Result<bool, ApplyError> {
    let mut conflicts = 0;
    loop {
        match attempt(engine, of).await {
            Err(ApplyError::Conflict) if conflicts < CONFLICTS => conflicts += 1,
            outcome => return outcome,
        }
    }
}

async fn attempt(engine: &Engine, of: Option<(&str, &str)>) -> Result<bool, ApplyError> {
    let mut tx = transaction::begin(&engine.pool).await?;
    let due = sqlx::query!(
        "select id, state, connector, stream, entity, correlation_id from hub.sweep
         where state in ('pending', 'approved') and ($1::text is null or connector = $1)
           and ($2::text is null or stream = $2) and connector = any($3)
         order by id limit 1 for update skip locked",
        of.map(|(connector, _)| connector),
        of.map(|(_, stream)| stream),
        &engine.instance_names(),
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(due) = due else { return Ok(false) };
    if due.state == "pending" {
        select(&mut tx, due.id).await?;
        tx.commit().await?;
        return Ok(true);
    }
    let by = Provenance {
        origin: &due.connector,
        // What a sweep takes away is no news of single records.
        bulk: true,
        correlation_id: &due.correlation_id,
        place: None,
        now: engine.clock.now(),
    };
    let Some(entity) = Entity::parse(&due.entity) else { return Ok(false) };
    if !slice(&mut tx, engine, due.id, &due.connector, entity, by).await? {
        finish(&mut tx, due.id, &due.correlation_id).await?;
    }
    tx.commit().await?;
    Ok(true)
}

/// Deactivates the next records that are as they were when the sweep was made. `false`: none is left.
async fn slice(
    tx: &mut PgConnection,
    engine: &Engine,
    id: Uuid,
    connector: &str,
    entity: Entity,
    by: Provenance<'_>,
) -> Result<bool, ApplyError> {
    let items = sqlx::query!(
        r#"select i.link_id, r.external_code,
                  (r.last_synced_at = i.last_synced_at and r.content_hash = i.content_hash) as "untouched"
           from hub.sweep_item i join hub.external_ref r on r.id = i.link_id
           where i.sweep_id = $1 and i.outcome is null
           order by r.external_code limit $2
           for update of r"#,
        id,
        SLICE,
    )
    .fetch_all(&mut *tx)
    .await?;
    if items.is_empty() {
        return Ok(false);
    }
    let (untouched, returned): (Vec<_>, Vec<_>) = items.into_iter().partition(|item| item.untouched == Some(true));
    let codes: Vec<&str> = untouched.iter().map(|item| item.external_code.as_str()).collect();
    let became = deactivate(&mut *tx, engine, connector, entity, &codes, by).await?;
    let outcomes = became.iter().map(|outcome| match outcome {
        Deactivation::Done(_) => "deactivated",
        Deactivation::Already(_) => "already",
        Deactivation::Unknown => "returned",
        Deactivation::Refused(_) => "refused",
    });
    let outcomes: Vec<&str> = outcomes.chain(returned.iter().map(|_| "returned")).collect();
    let links: Vec<i64> = untouched.iter().chain(&returned).map(|item| item.link_id).collect();
    sqlx::query!(
        "update hub.sweep_item i set outcome = u.outcome
         from unnest($2::bigint[], $3::text[]) as u (link_id, outcome)
         where i.sweep_id = $1 and i.link_id = u.link_id",
        id,
        &links,
        &outcomes as &[&str],
    )
    .execute(&mut *tx)
    .await?;
    Ok(true)
}

async fn finish(tx: &mut PgConnection, id: Uuid, correlation_id: &str) -> Result<(), sqlx::Error> {
    let deactivated = sqlx::query_scalar!(
        "update hub.sweep
         set state = 'done', finished_at = clock_timestamp(),
             deactivated = (select count(*) from hub.sweep_item where sweep_id = $1 and outcome = 'deactivated')
         where id = $1 returning deactivated",
        id
    )
    .fetch_one(&mut *tx)
    .await?;
    tracing::info!(sweep.id = %id, deactivated, "what is not there any more was deactivated");
    let entry = Entry {
        action: "sweep.finished",
        subject_kind: "sweep",
        subject: id.to_string(),
        detail: json!({ "deactivated": deactivated }),
    };
    audit::record(tx, Actor::new("hub", correlation_id), &[entry]).await
}
