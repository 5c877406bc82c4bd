//! What a target is to be told and was not, because nothing told it then: counted, and told now.
//!
//! Invariants
//! - The target itself says which records are meant; of one that is told meanwhile nothing follows from being told again.
//! - It is looked for over there before it is sent: it may have come there by another way, under our reference.
//! - What a person called off or discarded stays so, unless that is asked for as well; of what is open nothing is made twice.
//! - Events are told, so only what is younger than they are kept (`[retention] payload_days`).

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::{
    manage::{CHANNEL, ManageError},
    target::{Target, Targets},
};
use crate::audit::{self, Actor, Entry};

/// What is meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Only what happened since.
    pub since: Option<DateTime<Utc>>,
    /// What a person called off or discarded as well.
    pub called_off: bool,
}

/// What of one type of event is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CatchUpShare)]
pub struct Share {
    #[serde(rename = "type")]
    #[schema(example = "order.confirmed")]
    pub kind: String,
    /// Would be told now.
    pub count: i64,
    /// The first of them.
    pub oldest: Option<DateTime<Utc>>,
    /// Was called off or discarded by a person, and stays so unless that is asked for as well.
    pub called_off: i64,
    /// Too old: its event is not kept any more.
    pub not_kept: i64,
}

/// What catching up means, before it is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CatchUpPlan)]
pub struct Plan {
    pub total: i64,
    pub shares: Vec<Share>,
}

/// Counts what is meant: of all, or of what happened since.
pub async fn plan(conn: &mut PgConnection, targets: &Targets, name: &str, wanted: Wanted) -> Result<Plan, ManageError> {
    let target = targets.get(name).ok_or_else(|| ManageError::UnknownTarget(name.to_owned()))?;
    let mut shares = Vec::new();
    for (kind, records) in target.untold(conn).await? {
        let share = counted(conn, name, kind, &records, wanted).await?;
        if share.count + share.called_off + share.not_kept > 0 {
            shares.push(share);
        }
    }
    Ok(Plan { total: shares.iter().map(|share| share.count).sum(), shares })
}

async fn counted(
    conn: &mut PgConnection,
    name: &str,
    kind: &str,
    records: &[i64],
    wanted: Wanted,
) -> Result<Share, sqlx::Error> {
    let row = sqlx::query!(
        r#"with meant as (
               select e.created_at,
                      e.id is null as not_kept,
                      exists (select from hub.delivery_history h
                              where h.target = $1 and h.aggregate = e.aggregate and h.aggregate_id = e.aggregate_id
                                  and h.event_id = e.id and h.state in ('cancelled', 'discarded')) as called_off
               from unnest($3::bigint[]) as r (id)
               left join hub.outbox_event e on e.aggregate = split_part($2, '.', 1) and e.aggregate_id = r.id and e.type = $2
               where ($4::timestamptz is null or e.created_at >= $4)
                   and (e.id is null or e.origin <> $1)
                   and not exists (select from hub.outbox_unrouted u where u.event_id = e.id)
                   and not exists (select from hub.delivery d where d.target = $1 and d.event_id = e.id)
           )
           select count(*) filter (where not not_kept and ($5 or not called_off)) as "count!",
                  min(created_at) filter (where $5 or not called_off) as oldest,
                  count(*) filter (where called_off) as "called_off!", count(*) filter (where not_kept) as "not_kept!"
           from meant"#,
        name,
        kind,
        records,
        wanted.since,
        wanted.called_off,
    )
    .fetch_one(conn)
    .await?;
    Ok(Share {
        kind: kind.to_owned(),
        count: row.count,
        oldest: row.oldest,
        called_off: row.called_off,
        not_kept: row.not_kept,
    })
}

/// Makes the deliveries, written down as the deed of a person. Returns how many.
pub async fn start(
    conn: &mut PgConnection,
    by: Actor<'_>,
    targets: &Targets,
    name: &str,
    wanted: Wanted,
) -> Result<u64, ManageError> {
    let target = targets.get(name).ok_or_else(|| ManageError::UnknownTarget(name.to_owned()))?;
    // The daemon writes down what it has when it starts.
    sqlx::query!("select from hub.target where name = $1 for update", name)
        .fetch_optional(&mut *conn)
        .await?
        .ok_or_else(|| ManageError::UnknownTarget(name.to_owned()))?;
    let told = tell(conn, name, target.as_ref(), wanted, Before::Unknown).await?;
    if told > 0 {
        let detail = json!({ "since": wanted.since, "calledOff": wanted.called_off, "deliveries": told });
        let entry = Entry { action: "target.caught_up", subject_kind: "target", subject: name.to_owned(), detail };
        audit::record(&mut *conn, by, &[entry]).await?;
        sqlx::query!("select pg_notify($1, '')", CHANNEL).fetch_one(conn).await?;
    }
    Ok(told)
}

/// What is known of earlier calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// There was none.
    Nothing,
    /// There may have been one, long ago.
    Unknown,
}

/// Deliveries of events that were not for the target when they were routed.
pub(super) async fn tell(
    conn: &mut PgConnection,
    name: &str,
    target: &dyn Target,
    wanted: Wanted,
    before: Before,
) -> Result<u64, sqlx::Error> {
    let mut told = 0;
    for (kind, records) in target.untold(conn).await? {
        told += sqlx::query!(
            "insert into hub.delivery
                 (id, target, type, event_id, aggregate, aggregate_id, revision, blocks, bulk, origin, payload, correlation_id,
                  unknown_since)
             select hub.new_id(), t.name, e.type, e.id, e.aggregate, e.aggregate_id, e.revision, t.blocks, e.bulk, e.origin,
                    e.payload, e.correlation_id, case when $5 then e.created_at end
             from hub.target t
             join hub.outbox_event e on e.aggregate = split_part($2, '.', 1) and e.aggregate_id = any ($3) and e.type = $2
                                        and e.origin <> t.name
             where t.name = $1 and ($4::timestamptz is null or e.created_at >= $4)
                 and not exists (select from hub.outbox_unrouted u where u.event_id = e.id)
                 and not exists (select from hub.delivery_history h
                                 where not $6 and h.target = t.name and h.aggregate = e.aggregate and h.aggregate_id = e.aggregate_id
                                     and h.event_id = e.id and h.state in ('cancelled', 'discarded'))
             order by e.id
             on conflict do nothing",
            name,
            kind,
            &records,
            wanted.since,
            before == Before::Unknown,
            wanted.called_off,
        )
        .execute(&mut *conn)
        .await?
        .rows_affected();
    }
    Ok(told)
}
