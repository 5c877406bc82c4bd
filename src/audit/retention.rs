//! What is older than it has to be kept goes: a beginning of the chain, as a whole.
//!
//! Invariants
//! - What goes is sealed, and so is everything before it; rows of which one before is younger stay.
//! - The hash with which the removed part ended is noted first (`identity.audit_cut`), in the same transaction: what is left is
//!   walked from there. The store refuses any other removal, and a cut within the last year.

use sqlx::{PgPool, Postgres, Transaction};

use super::sealer::ADVISORY_LOCK;
use crate::transaction;

/// So many rows at once.
const BATCH: i64 = 10_000;

/// Removes rows older than so many years, a batch at a time. Gives how many went.
pub async fn once(pool: &PgPool, years: u32) -> Result<u64, sqlx::Error> {
    let mut gone = 0;
    loop {
        let mut tx = transaction::begin(pool).await?;
        let cut = cut(&mut tx, years).await?;
        tx.commit().await?;
        match cut {
            0 => return Ok(gone),
            rows => gone += rows,
        }
    }
}

async fn cut(tx: &mut Transaction<'_, Postgres>, years: u32) -> Result<u64, sqlx::Error> {
    // The sealer holds it for a moment, and goes on a moment later when we do.
    sqlx::query!("select pg_advisory_xact_lock($1)", ADVISORY_LOCK).execute(&mut **tx).await?;
    // The last place of those at the beginning of which all are old enough.
    let place = sqlx::query_scalar!(
        r#"
        with oldest as (
            select s.place, e.at < clock_timestamp() - make_interval(years => $1) as is_old
            from identity.audit_seal s join identity.audit_event e on e.id = s.event_id
            order by s.place limit $2
        )
        select max(place) from oldest
        where place < coalesce((select min(place) from oldest where not is_old), (select max(place) + 1 from oldest))
        "#,
        i32::try_from(years).unwrap_or(i32::MAX),
        BATCH,
    )
    .fetch_one(&mut **tx)
    .await?;
    let Some(place) = place else { return Ok(0) };
    sqlx::query!(
        "insert into identity.audit_cut (place, before, hash)
         select place, clock_timestamp() - make_interval(years => $2), hash
         from identity.audit_seal where place = $1",
        place,
        i32::try_from(years).unwrap_or(i32::MAX),
    )
    .execute(&mut **tx)
    .await?;
    let gone = sqlx::query!(
        "delete from identity.audit_event e using identity.audit_seal s where s.event_id = e.id and s.place <= $1",
        place,
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!("delete from identity.audit_seal where place <= $1", place).execute(&mut **tx).await?;
    Ok(gone.rows_affected())
}
