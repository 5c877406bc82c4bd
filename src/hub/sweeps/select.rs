//! Which records a complete pass did not find any more.

use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    super::deactivate,
    policy::{Findings, Mode, SweepPolicy},
};
use crate::{
    audit::{self, Actor, Entry},
    canonical::Entity,
};

/// Freezes what a pending sweep means and judges it. The caller holds the lock on its row. Answers whether it goes on.
pub(super) async fn select(tx: &mut PgConnection, id: Uuid) -> Result<bool, sqlx::Error> {
    let sweep = sqlx::query!(
        "select connector, stream, entity, pass_started_at, guard_percent, asks, correlation_id
         from hub.sweep where id = $1",
        id
    )
    .fetch_one(&mut *tx)
    .await?;
    let Some(inactive) = Entity::parse(&sweep.entity).and_then(deactivate::hash) else {
        sqlx::query!("delete from hub.sweep where id = $1", id).execute(&mut *tx).await?;
        return Ok(false);
    };
    let marks = sqlx::query!(
        r#"select coalesce(sum(records), 0)::bigint as "seen!", coalesce(sum(unidentified), 0)::bigint as "unidentified!"
           from hub.pass_seen where connector = $1 and stream = $2 and pass_started_at = $3"#,
        sweep.connector,
        sweep.stream,
        sweep.pass_started_at,
    )
    .fetch_one(&mut *tx)
    .await?;
    let total = sqlx::query_scalar!(
        r#"select count(*) as "n!" from hub.external_ref
           where connector = $1 and entity = $2 and stream = $3 and content_hash is not null and content_hash <> $4"#,
        sweep.connector,
        sweep.entity,
        sweep.stream,
        inactive.as_slice(),
    )
    .fetch_one(&mut *tx)
    .await?;
    // Array by array into one set: joined with the links once, however many rows the pass has written.
    let candidates = sqlx::query!(
        "with marks as materialized (
             select link_ids, codes, external_ids from hub.pass_seen
             where connector = $2 and stream = $4 and pass_started_at = $5
         )
         insert into hub.sweep_item (sweep_id, link_id, code, internal_id, content_hash, last_synced_at)
         select $1, r.id, r.external_code, r.internal_id, r.content_hash, r.last_synced_at
         from hub.external_ref r
         where r.connector = $2 and r.entity = $3 and r.stream = $4 and r.last_synced_at < $5
           and r.content_hash is not null and r.content_hash <> $6
           and not exists (select from (select unnest(link_ids) as id from marks) m where m.id = r.id)
           and not exists (select from (select unnest(codes) as code from marks) m where m.code = r.external_code)
           and not exists (select from (select unnest(external_ids) as id from marks) m where m.id = r.external_id)
           and not exists (select from hub.sweep_item k where k.link_id = r.id and k.kept_at >= r.last_synced_at)",
        id,
        sweep.connector,
        sweep.entity,
        sweep.stream,
        sweep.pass_started_at,
        inactive.as_slice(),
    )
    .execute(&mut *tx)
    .await?
    .rows_affected();
    sqlx::query!(
        "delete from hub.pass_seen where connector = $1 and stream = $2 and pass_started_at <= $3",
        sweep.connector,
        sweep.stream,
        sweep.pass_started_at,
    )
    .execute(&mut *tx)
    .await?;
    // This pass has looked again: what an earlier one asked about is answered by it.
    sqlx::query!(
        "update hub.sweep set state = 'superseded', finished_at = clock_timestamp()
         where connector = $1 and stream = $2 and state = 'asked' and id <> $3",
        sweep.connector,
        sweep.stream,
        id,
    )
    .execute(&mut *tx)
    .await?;
    let candidates = i64::try_from(candidates).unwrap_or(i64::MAX);
    if candidates == 0 {
        sqlx::query!("delete from hub.sweep where id = $1", id).execute(&mut *tx).await?;
        return Ok(false);
    }
    let policy = SweepPolicy {
        mode: if sweep.asks.is_some() { Mode::Ask } else { Mode::Auto },
        guard_percent: u32::try_from(sweep.guard_percent).unwrap_or(0),
    };
    let found = Findings { seen: marks.seen, unidentified: marks.unidentified, total, candidates };
    let asks = policy.asks(found);
    let state = if asks.is_some() { "asked" } else { "approved" };
    sqlx::query!(
        "update hub.sweep set state = $2, seen = $3, unidentified = $4, total = $5, candidates = $6, asks = $7,
             decided_by = case $2 when 'approved' then 'hub' end,
             decided_at = case $2 when 'approved' then clock_timestamp() end
         where id = $1",
        id,
        state,
        found.seen,
        found.unidentified,
        total,
        candidates,
        asks,
    )
    .execute(&mut *tx)
    .await?;
    if let Some(why) = &asks {
        tracing::warn!(
            connector = sweep.connector,
            stream = sweep.stream,
            candidates,
            total,
            why,
            "records are not there any more; see `kopru sync sweeps show {id}`"
        );
    }
    let entry = Entry {
        action: if asks.is_some() { "sweep.asked" } else { "sweep.approved" },
        subject_kind: "sweep",
        subject: id.to_string(),
        detail: json!({
            "connector": sweep.connector, "stream": sweep.stream, "candidates": candidates, "total": total, "why": asks,
        }),
    };
    audit::record(tx, Actor::new("hub", &sweep.correlation_id), &[entry]).await?;
    Ok(asks.is_none())
}
