//! Leases: what only one process may do at a time. The database's clock decides; a holder renews, and one that dies is
//! replaced when its lease runs out.

use std::time::Duration;

use sqlx::{PgExecutor, postgres::types::PgInterval};
use uuid::Uuid;

/// Takes the lease, or renews it when it is ours already. `false`: somebody else holds it.
pub async fn acquire<'e>(db: impl PgExecutor<'e>, name: &str, owner: Uuid, ttl: Duration) -> Result<bool, sqlx::Error> {
    let taken = sqlx::query_scalar!(
        r#"insert into hub.lease as l (name, owner, expires_at)
           values ($1, $2, clock_timestamp() + $3)
           on conflict (name) do update
               set owner = excluded.owner,
                   expires_at = excluded.expires_at,
                   acquired_at = case when l.owner = excluded.owner then l.acquired_at else clock_timestamp() end
               where l.owner = excluded.owner or l.expires_at < clock_timestamp()
           returning true as "taken!""#,
        name,
        owner,
        interval(ttl),
    )
    .fetch_optional(db)
    .await?;
    Ok(taken.is_some())
}

/// The same, written only when it is not ours for a while yet: for what is asked often.
pub async fn keep<'e>(
    db: impl PgExecutor<'e> + Copy,
    name: &str,
    owner: Uuid,
    ttl: Duration,
) -> Result<bool, sqlx::Error> {
    let held = sqlx::query_scalar!(
        r#"select exists (select from hub.lease
                          where name = $1 and owner = $2 and expires_at > clock_timestamp() + $3) as "held!""#,
        name,
        owner,
        interval(ttl / 2),
    )
    .fetch_one(db)
    .await?;
    if held { Ok(true) } else { acquire(db, name, owner, ttl).await }
}

/// Gives the lease back, if it is still ours.
pub async fn release<'e>(db: impl PgExecutor<'e>, name: &str, owner: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from hub.lease where name = $1 and owner = $2", name, owner).execute(db).await?;
    Ok(())
}

/// Gives everything back that `owner` holds.
pub async fn release_all<'e>(db: impl PgExecutor<'e>, owner: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from hub.lease where owner = $1", owner).execute(db).await?;
    Ok(())
}

/// Renews everything that `owner` still holds. A lease that ran out meanwhile stays lost.
pub async fn renew_all<'e>(db: impl PgExecutor<'e>, owner: Uuid, ttl: Duration) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "update hub.lease set expires_at = clock_timestamp() + $2
         where owner = $1 and expires_at >= clock_timestamp()
         returning name",
        owner,
        interval(ttl),
    )
    .fetch_all(db)
    .await
}

/// Renews a lease inside the transaction that writes under it. Its row stays locked until the commit, so nobody can
/// take it over in between. `false`: it is not ours any more, write nothing.
pub async fn fence<'e>(db: impl PgExecutor<'e>, name: &str, owner: Uuid, ttl: Duration) -> Result<bool, sqlx::Error> {
    let held = sqlx::query_scalar!(
        r#"update hub.lease set expires_at = clock_timestamp() + $3::interval
           where name = $1 and owner = $2 and expires_at >= clock_timestamp()
           returning true as "held!""#,
        name,
        owner,
        interval(ttl),
    )
    .fetch_optional(db)
    .await?;
    Ok(held.is_some())
}

pub(super) fn interval(duration: Duration) -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX) }
}
