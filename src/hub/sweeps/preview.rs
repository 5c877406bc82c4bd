//! What a dry run tells: counts, and the first codes of each kind.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

use super::{
    super::{deactivate, pages::Verdict},
    marks::Seen,
    policy::{Findings, SweepPolicy},
};
use crate::{canonical::Entity, mapping::Mapped};

/// Codes that are named; the count goes on.
const NAMED: usize = 100;

#[derive(Debug, Clone, Default, Serialize)]
pub struct Listed {
    pub count: i64,
    pub codes: Vec<String>,
}

impl Listed {
    fn add(&mut self, code: Option<&str>) {
        self.count += 1;
        if self.codes.len() < NAMED {
            self.codes.extend(code.map(str::to_owned));
        }
    }
}

/// What the pass would do to single records.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Preview {
    pub created: Listed,
    pub updated: Listed,
    pub deferred: Listed,
    pub failed: Listed,
}

impl Preview {
    pub fn add(&mut self, mapped: &Mapped<'_>, verdicts: &[Verdict]) {
        for (change, verdict) in mapped.changes.iter().zip(verdicts) {
            let code = Some(change.code.as_ref());
            match verdict {
                Verdict::Created(_) => self.created.add(code),
                Verdict::Updated(_) => self.updated.add(code),
                Verdict::Deferred(_) => self.deferred.add(code),
                Verdict::Refused(_) => self.failed.add(code),
                Verdict::Unchanged(_) | Verdict::Stale(_) | Verdict::Superseded(_) => {}
            }
        }
        for record in &mapped.rejected {
            self.failed.add(record.code.as_deref());
        }
    }

    /// Kept with the run, for whoever asked for it.
    pub async fn keep<'e>(
        &self,
        db: impl PgExecutor<'e>,
        run: Uuid,
        removal: Option<&Removal>,
    ) -> Result<(), sqlx::Error> {
        let mut told = json!(self);
        told["deactivated"] = json!(removal);
        sqlx::query!("update hub.run set preview = $2 where id = $1", run, told).execute(db).await?;
        Ok(())
    }
}

/// What the sweep behind the pass would do.
#[derive(Debug, Clone, Serialize)]
pub struct Removal {
    #[serde(flatten)]
    pub listed: Listed,
    /// Of so many.
    pub total: i64,
    /// Why it would ask first.
    pub asks: Option<String>,
}

/// The records that a pass which saw `seen` would sweep. `None`: the entity is never swept.
pub async fn removals(
    db: &PgPool,
    (connector, stream): (&str, &str),
    entity: Entity,
    pass_started_at: DateTime<Utc>,
    seen: &Seen,
    policy: SweepPolicy,
) -> Result<Option<Removal>, sqlx::Error> {
    let Some(inactive) = deactivate::hash(entity) else { return Ok(None) };
    let rows = sqlx::query!(
        r#"with left_over as (
               select r.external_code from hub.external_ref r
               where r.connector = $1 and r.entity = $2 and r.stream = $3 and r.last_synced_at < $4
                 and r.content_hash is not null and r.content_hash <> $5
                 and not exists (select from unnest($6::bigint[]) as m (id) where m.id = r.id)
                 and not exists (select from unnest($7::text[]) as m (code) where m.code = r.external_code)
                 and not exists (select from unnest($8::text[]) as m (id) where m.id = r.external_id)
                 and not exists (select from hub.sweep_item k
                                 where k.link_id = r.id and k.kept_at >= r.last_synced_at)
           )
           select (select count(*) from left_over) as "candidates!",
                  (select count(*) from hub.external_ref
                   where connector = $1 and entity = $2 and stream = $3 and content_hash is not null
                     and content_hash <> $5) as "total!",
                  array(select external_code from left_over order by 1 limit $9) as "codes!""#,
        connector,
        entity.as_str(),
        stream,
        pass_started_at,
        inactive.as_slice(),
        &seen.link_ids,
        &seen.codes,
        &seen.external_ids,
        i64::try_from(NAMED).unwrap_or(i64::MAX),
    )
    .fetch_one(db)
    .await?;
    let found = Findings {
        seen: seen.records,
        unidentified: seen.unidentified,
        total: rows.total,
        candidates: rows.candidates,
    };
    Ok(Some(Removal {
        listed: Listed { count: rows.candidates, codes: rows.codes },
        total: rows.total,
        asks: policy.asks(found).filter(|_| rows.candidates > 0),
    }))
}
