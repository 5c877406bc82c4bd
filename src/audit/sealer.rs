//! The one that seals: it takes rows that wait and gives each the chain's next place.
//!
//! Invariants
//! - One at a time on a database: a turn holds an advisory lock until it commits. What a killed sealer had in hand waits as
//!   before.
//! - It locks nothing that a transaction of business holds or waits for.
//! - The head alone says where the chain goes on, never the last seal: what was cut off leaves a gap.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::chain::{self, Row};
use crate::transaction;

const EVERY: Duration = Duration::from_secs(1);
const BATCH: i64 = 1_000;
/// How often the log tells of a head that has moved: logs that leave the machine are notes of it.
const TOLD_EVERY: Duration = Duration::from_secs(3_600);

/// Keeps two sealers apart.
pub(super) const ADVISORY_LOCK: i64 = 7_120_010;

#[derive(Debug, thiserror::Error)]
pub enum SealingError {
    #[error("the head of the audit chain is gone, nothing is sealed any more; `kopru audit verify` tells what is left")]
    NoHead,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// What a turn did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// So many rows, perhaps none.
    Sealed(usize),
    /// Another sealer is at it.
    Elsewhere,
}

/// Seals each second until told to stop.
pub async fn run(pool: PgPool, until: CancellationToken) {
    let mut told: Option<Instant> = None;
    loop {
        match until.run_until_cancelled(work_off(&pool)).await {
            None => return,
            Some(Ok(0)) => {}
            Some(Ok(_)) if told.is_some_and(|at| at.elapsed() < TOLD_EVERY) => {}
            Some(Ok(_)) => {
                if tell(&pool).await.is_ok() {
                    told = Some(Instant::now());
                }
            }
            Some(Err(error)) => tracing::warn!(%error, "audit rows could not be sealed; it is tried again in a second"),
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = until.cancelled() => return,
        }
    }
}

/// Seals all that waits. Gives how many rows it were.
pub async fn work_off(pool: &PgPool) -> Result<usize, SealingError> {
    let mut sealed = 0;
    while let Turn::Sealed(rows @ 1..) = turn(pool).await? {
        sealed += rows;
    }
    Ok(sealed)
}

/// Seals one batch, in the order of ids as far as it is there.
pub async fn turn(pool: &PgPool) -> Result<Turn, SealingError> {
    let mut tx = transaction::begin(pool).await?;
    let alone = sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock($1) as "alone!""#, ADVISORY_LOCK);
    if !alone.fetch_one(&mut *tx).await? {
        return Ok(Turn::Elsewhere);
    }
    let rows = waiting(&mut tx).await?;
    if rows.is_empty() {
        // Not left to the drop, which gives the lock back some time later.
        tx.rollback().await?;
        return Ok(Turn::Sealed(0));
    }
    let head = sqlx::query!("select place, hash from identity.audit_head for update").fetch_optional(&mut *tx).await?;
    let head = head.ok_or(SealingError::NoHead)?;
    let (mut place, mut hash) = (head.place, chain::of_column(&head.hash));
    let (mut places, mut contents, mut hashes) = (Vec::new(), Vec::new(), Vec::new());
    for row in &rows {
        let content = row.content();
        place += 1;
        hash = chain::seal(&hash, place, row.id, &content);
        places.push(place);
        contents.push(content.to_vec());
        hashes.push(hash.to_vec());
    }
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    sqlx::query!(
        "insert into identity.audit_seal (place, event_id, content, hash)
         select * from unnest($1::bigint[], $2::uuid[], $3::bytea[], $4::bytea[])",
        &places,
        &ids,
        &contents,
        &hashes,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!("delete from identity.audit_unsealed where event_id = any ($1)", &ids).execute(&mut *tx).await?;
    sqlx::query!(
        "update identity.audit_head set place = $1, hash = $2, sealed_at = clock_timestamp()",
        place,
        &hash[..],
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Turn::Sealed(rows.len()))
}

/// A row that is gone before its seal keeps its note, for `verify` to find.
async fn waiting(tx: &mut PgConnection) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"select e.id, e.at, e.actor, e.action, e.subject_kind, e.subject, e.correlation_id,
                  e.address::text as address, e.agent, e.detail::text as "detail!"
           from identity.audit_unsealed u join identity.audit_event e on e.id = u.event_id
           order by u.event_id limit $1"#,
        BATCH,
    )
    .fetch_all(tx)
    .await
}

async fn tell(pool: &PgPool) -> Result<(), sqlx::Error> {
    if let Some(head) = super::verify::head(pool).await? {
        tracing::info!(place = head.place, hash = head.hash, "the audit rows are sealed up to here");
    }
    Ok(())
}
