//! Events told again to an endpoint: those of a time, of certain types, of one record, or just those that it never got.
//!
//! Invariants
//! - Only what the endpoint subscribes to, and only events that are kept still (`[retention] payload_days`).
//! - A repeated event bears the `webhook-id` that it had, so that a receiver that has it knows it.
//! - Of what is open already nothing is made twice.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    super::deliveries::{manage::CHANNEL, outcome},
    EndpointError,
    address::Subscription,
    change,
};
use crate::{audit::Actor, outbox::STATE_EVENTS};

/// Events of one replay at most.
pub const MOST: i64 = 100_000;

/// Which events are meant; everything narrows.
#[derive(Debug, Clone)]
pub struct Choice {
    pub since: DateTime<Utc>,
    /// Before then. The time of asking at the latest.
    pub until: Option<DateTime<Utc>>,
    pub types: Option<Subscription>,
    /// `order`, with an id: of one record.
    pub object: Option<(String, i64)>,
    pub correlation_id: Option<String>,
    /// Only those that no delivery to the endpoint has brought there.
    pub undelivered: bool,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookReplayShare)]
pub struct Share {
    #[serde(rename = "type")]
    pub kind: String,
    pub count: i64,
}

/// What a replay means, before it is done.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    pub total: i64,
    /// The largest share first.
    pub shares: Vec<Share>,
    /// Events are kept from then on; what is older cannot be told again.
    pub oldest_kept: Option<DateTime<Utc>>,
}

impl Choice {
    /// Nothing happened before computers did; ids know no such time.
    fn since(&self) -> DateTime<Utc> {
        self.since.max(DateTime::UNIX_EPOCH)
    }

    fn until(&self) -> Option<DateTime<Utc>> {
        self.until.map(|until| until.max(DateTime::UNIX_EPOCH))
    }
}

/// Counts what is meant.
pub async fn plan(tx: &mut PgConnection, endpoint: i64, choice: &Choice) -> Result<Plan, EndpointError> {
    let target = change::lock(tx, endpoint).await?;
    let (kind, id) = choice.object.clone().unzip();
    let shares = sqlx::query_as!(
        Share,
        r#"select e.type as kind, count(*) as "count!"
           from hub.outbox_event e
           join hub.target t on t.name = $1
           where e.id >= hub.uuid_at($2) and ($3::timestamptz is null or e.id < hub.uuid_at($3))
             and t.events && array[e.type, split_part(e.type, '.', 1) || '.*', '*'] and (t.bulk or not e.bulk)
             and ($4::text[] is null or $4 && array[e.type, split_part(e.type, '.', 1) || '.*', '*'])
             and ($5::text is null or (e.aggregate = $5 and e.aggregate_id = $6))
             and ($7::text is null or e.correlation_id = $7)
             and not exists (select from hub.delivery d where d.target = $1 and d.event_id = e.id)
             and not ($8 and exists (select from hub.delivery_history h
                                     where h.aggregate = e.aggregate and h.aggregate_id = e.aggregate_id
                                       and h.target = $1 and h.event_id = e.id and h.state = 'done'))
           group by 1 order by 2 desc, 1"#,
        target,
        choice.since(),
        choice.until(),
        choice.types.as_ref().map(|types| types.patterns().to_vec()) as _,
        kind,
        id,
        choice.correlation_id,
        choice.undelivered,
    )
    .fetch_all(&mut *tx)
    .await?;
    let oldest_kept = sqlx::query_scalar!("select created_at from hub.outbox_event order by id limit 1")
        .fetch_optional(&mut *tx)
        .await?;
    Ok(Plan { total: shares.iter().map(|share| share.count).sum(), shares, oldest_kept })
}

/// Makes the deliveries. Returns how many.
pub async fn start(tx: &mut PgConnection, by: Actor<'_>, endpoint: i64, choice: &Choice) -> Result<i64, EndpointError> {
    let total = plan(tx, endpoint, choice).await?.total;
    if total > MOST {
        return Err(EndpointError::TooMany(total));
    }
    let target = change::lock(tx, endpoint).await?;
    let (kind, id) = choice.object.clone().unzip();
    let made = sqlx::query!(
        r#"with made as (
               insert into hub.delivery
                   (id, target, type, state, event_id, aggregate, aggregate_id, revision, newest_only, blocks, bulk,
                    origin, payload, correlation_id)
               select hub.new_id(), t.name, e.type, 'received', e.id, e.aggregate, e.aggregate_id, e.revision,
                      e.type = any($9), false, e.bulk, e.origin, e.payload, e.correlation_id
               from hub.outbox_event e
               join hub.target t on t.name = $1
               where e.id >= hub.uuid_at($2) and ($3::timestamptz is null or e.id < hub.uuid_at($3))
                 and t.events && array[e.type, split_part(e.type, '.', 1) || '.*', '*'] and (t.bulk or not e.bulk)
                 and ($4::text[] is null or $4 && array[e.type, split_part(e.type, '.', 1) || '.*', '*'])
                 and ($5::text is null or (e.aggregate = $5 and e.aggregate_id = $6))
                 and ($7::text is null or e.correlation_id = $7)
                 and not ($8 and exists (select from hub.delivery_history h
                                         where h.aggregate = e.aggregate and h.aggregate_id = e.aggregate_id
                                       and h.target = $1 and h.event_id = e.id and h.state = 'done'))
               order by e.id
               on conflict do nothing
               returning id, newest_only
           )
           select count(*) as "count!", array_agg(id) filter (where newest_only) as "newest: Vec<Uuid>" from made"#,
        target,
        choice.since(),
        choice.until(),
        choice.types.as_ref().map(|types| types.patterns().to_vec()) as _,
        kind,
        id,
        choice.correlation_id,
        choice.undelivered,
        &state_events(),
    )
    .fetch_one(&mut *tx)
    .await?;
    outcome::supersede(tx, &made.newest.unwrap_or_default()).await?;
    let types = choice.types.as_ref().map(|types| types.patterns().to_vec());
    let detail = json!({
        "since": choice.since, "until": choice.until, "types": types, "undelivered": choice.undelivered,
        "events": made.count,
    });
    change::note(tx, by, "webhook_endpoint.replayed", endpoint, detail).await?;
    ring(tx).await?;
    Ok(made.count)
}

/// Tells a finished delivery to a webhook once more. `None`: it is none, its endpoint is gone, or its event is not kept.
pub async fn again(tx: &mut PgConnection, delivery: Uuid) -> Result<Option<Uuid>, sqlx::Error> {
    let made = sqlx::query_scalar!(
        "insert into hub.delivery
             (id, target, type, state, event_id, aggregate, aggregate_id, revision, newest_only, blocks, bulk, origin,
              payload, correlation_id)
         select hub.new_id(), t.name, e.type, 'received', e.id, e.aggregate, e.aggregate_id, e.revision,
                e.type = any($2), false, e.bulk, e.origin, e.payload, e.correlation_id
         from hub.delivery_history h
         join hub.outbox_event e on e.id = h.event_id
         join hub.webhook_endpoint p on p.target = h.target and p.removed_at is null
         join hub.target t on t.name = h.target
         where h.id = $1
         on conflict do nothing
         returning id",
        delivery,
        &state_events(),
    )
    .fetch_optional(&mut *tx)
    .await?;
    if made.is_some() {
        ring(tx).await?;
    }
    Ok(made)
}

fn state_events() -> Vec<String> {
    STATE_EVENTS.iter().map(|kind| kind.as_str().to_owned()).collect()
}

async fn ring(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("select pg_notify($1, '')", CHANNEL).fetch_one(tx).await?;
    Ok(())
}
