//! What changed in the store since it was last asked (`commerce.catalogue_change`).
//!
//! Rows are told from those that were seen by the snapshot of the last question, not by a number: a transaction that began
//! earlier may end later. It has a connection of its own: when all others are busy, because nothing that is kept may be shown, what
//! ends that must not wait for them.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Connection, PgConnection, PgPool};

use super::{super::shelf, stamps::Changes};

/// Rows are kept longer than that; who was away longer has missed some.
const LONGEST_AWAY: TimeDelta = TimeDelta::minutes(2);
/// For how long rows are kept.
const KEPT_MINUTES: i32 = 10;

/// Where the last question stood.
#[derive(Debug, Clone)]
struct Seen {
    snapshot: String,
    at: DateTime<Utc>,
}

#[derive(Debug, Default)]
pub(super) struct Feed {
    seen: Option<Seen>,
    connection: Option<PgConnection>,
}

impl Feed {
    /// Connects, unless it is connected.
    pub async fn connect(&mut self, pool: &PgPool) -> Result<(), sqlx::Error> {
        if self.connection.is_none() {
            self.connection = Some(PgConnection::connect_with(&pool.connect_options()).await?);
        }
        Ok(())
    }

    /// What is new. The first time, after a failure and after a long absence: everything.
    pub async fn ask(&mut self) -> Result<Changes, sqlx::Error> {
        // Gone, unless the question is answered.
        let (before, connection) = (self.seen.take(), self.connection.take());
        let Some(mut connection) = connection else { return Err(sqlx::Error::PoolClosed) };
        let rows = sqlx::query!(
            r#"
            select now.snapshot::text as "snapshot!", now.at as "at!", c.kind as "kind?", c.ids
            from (select pg_current_snapshot() as snapshot, clock_timestamp() as at) now
            left join commerce.catalogue_change c
                on c.xid >= pg_snapshot_xmin($1::text::pg_snapshot)
               and not pg_visible_in_snapshot(c.xid, $1::text::pg_snapshot)
            "#,
            before.as_ref().map(|seen| seen.snapshot.as_str()),
        )
        .fetch_all(&mut connection)
        .await?;
        self.connection = Some(connection);
        let mut changes = Changes::default();
        if let Some(first) = rows.first() {
            changes.all = before.is_none_or(|seen| first.at - seen.at > LONGEST_AWAY);
            self.seen = Some(Seen { snapshot: first.snapshot.clone(), at: first.at });
        }
        for row in rows {
            let Some(kind) = row.kind else { continue };
            changes.pages |= kind == "product";
            match (kind.as_str(), row.ids) {
                ("goods" | "product", Some(ids)) => changes.products.extend(ids),
                ("dealer", _) => changes.dealers = true,
                _ => changes.all = true,
            }
        }
        Ok(changes)
    }
}

/// Removes rows that everybody has seen by now.
pub async fn trim(db: &PgPool) -> Result<u64, sqlx::Error> {
    shelf::outran(db, KEPT_MINUTES).await
}
