//! What changed in the store since it was last asked (`commerce.catalogue_change`).
//!
//! Rows are told from those that were seen by the snapshot of the last question, not by a number: a transaction that began
//! earlier may end later.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;

use super::stamps::Changes;

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
pub(super) struct Feed(Option<Seen>);

impl Feed {
    /// What is new. The first time, after a failure and after a long absence: everything.
    pub async fn ask(&mut self, db: &PgPool) -> Result<Changes, sqlx::Error> {
        let before = self.0.take();
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
        .fetch_all(db)
        .await?;
        let mut changes = Changes::default();
        if let Some(first) = rows.first() {
            changes.all = before.is_none_or(|seen| first.at - seen.at > LONGEST_AWAY);
            self.0 = Some(Seen { snapshot: first.snapshot.clone(), at: first.at });
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
    let done = sqlx::query!(
        "delete from commerce.catalogue_change where at < clock_timestamp() - make_interval(mins => $1)",
        KEPT_MINUTES
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}
