//! What a pass has seen, gathered in memory and written with its position.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::{super::pages::Verdict, policy::SweepPolicy};
use crate::{canonical::Entity, mapping::Mapped};

/// Records that are there.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub link_ids: Vec<i64>,
    pub codes: Vec<String>,
    pub external_ids: Vec<String>,
    pub records: i64,
    pub unidentified: i64,
}

impl Seen {
    /// What a page shows: the links that its records have, and the names of those that were not applied.
    pub fn of_page(link_ids: Vec<i64>, mapped: &Mapped<'_>, verdicts: &[Verdict]) -> Seen {
        let mut seen = Seen { link_ids, records: i64::try_from(mapped.records).unwrap_or(i64::MAX), ..Seen::default() };
        for (change, verdict) in mapped.changes.iter().zip(verdicts) {
            match verdict {
                // Their links are among those, or newer than the pass.
                Verdict::Created(_) | Verdict::Updated(_) | Verdict::Unchanged(_) => {}
                Verdict::Stale(_) | Verdict::Superseded(_) | Verdict::Deferred(_) | Verdict::Refused(_) => {
                    seen.codes.push(change.code.clone().into_owned());
                    seen.external_ids.extend(change.external_id.clone().map(std::borrow::Cow::into_owned));
                }
            }
        }
        for record in &mapped.rejected {
            seen.codes.extend(record.code.clone());
            seen.external_ids.extend(record.external_id.clone());
            seen.unidentified += i64::from(record.code.is_none() && record.external_id.is_none());
        }
        for record in &mapped.left_out {
            seen.codes.extend(record.code.clone());
            seen.external_ids.extend(record.external_id.clone());
        }
        seen
    }

    pub fn append(&mut self, mut other: Seen) {
        self.link_ids.append(&mut other.link_ids);
        self.codes.append(&mut other.codes);
        self.external_ids.append(&mut other.external_ids);
        self.records += other.records;
        self.unidentified += other.unidentified;
    }
}

/// A complete pass begins: the marks of earlier ones are gone, and this one is marked from here.
pub async fn begin(
    db: &mut PgConnection,
    connector: &str,
    stream: &str,
    pass_started_at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    forget(&mut *db, connector, stream).await?;
    sqlx::query!(
        "insert into hub.pass_seen (connector, stream, pass_started_at, opens) values ($1, $2, $3, true)",
        connector,
        stream,
        pass_started_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The pass under way is not marked, or not any more: nothing may be swept after it.
pub async fn forget<'e>(db: impl PgExecutor<'e>, connector: &str, stream: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from hub.pass_seen p
         where p.connector = $1 and p.stream = $2
           and not exists (select from hub.sweep s
                           where s.connector = p.connector and s.stream = p.stream and s.state = 'pending'
                             and s.pass_started_at = p.pass_started_at)",
        connector,
        stream
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Adds what was seen. Belongs to the transaction that writes the position behind it.
pub async fn write<'e>(
    db: impl PgExecutor<'e>,
    connector: &str,
    stream: &str,
    pass_started_at: DateTime<Utc>,
    seen: &Seen,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into hub.pass_seen
             (connector, stream, pass_started_at, link_ids, codes, external_ids, records, unidentified)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        connector,
        stream,
        pass_started_at,
        &seen.link_ids,
        &seen.codes,
        &seen.external_ids,
        seen.records,
        seen.unidentified,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The pass is complete: a sweep is due, if it was marked from its beginning. Belongs to the transaction of its last page.
pub async fn complete(
    db: &mut PgConnection,
    run: Uuid,
    (connector, stream): (&str, &str),
    entity: Entity,
    pass_started_at: DateTime<Utc>,
    policy: SweepPolicy,
    correlation_id: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into hub.sweep
             (id, run_id, connector, stream, entity, pass_started_at, guard_percent, asks, correlation_id)
         select $1, $2, $3, $4, $5, $6, $7, $8, $9
         where exists (select from hub.pass_seen
                       where connector = $3 and stream = $4 and pass_started_at = $6 and opens)",
        Uuid::now_v7(),
        run,
        connector,
        stream,
        entity.as_str(),
        pass_started_at,
        i32::try_from(policy.guard_percent).unwrap_or(100),
        (policy.mode == super::Mode::Ask).then_some("sweep = \"ask\""),
        correlation_id,
    )
    .execute(db)
    .await?;
    Ok(())
}
