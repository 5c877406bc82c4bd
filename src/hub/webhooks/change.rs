//! Endpoints made, changed, switched on and off, removed. Everything in the caller's transaction, under the row's lock.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{
    CHANNEL, EndpointError, KIND, WebhookSettings,
    address::{Address, Subscription},
    secrets,
};
use crate::{
    audit::{self, Actor, Entry},
    outbox::{self, EventType, Events, Provenance},
};

const LONGEST_DESCRIPTION: usize = 500;
const RATES: std::ops::RangeInclusive<i32> = 1..=10_000;

#[derive(Debug, Clone)]
pub struct NewEndpoint {
    pub address: Address,
    pub description: String,
    pub events: Subscription,
    /// Events of first and full passes as well.
    pub bulk: bool,
    pub rate_per_second: Option<i32>,
    pub enabled: bool,
}

/// What is not said stays.
#[derive(Debug, Clone, Default)]
pub struct EndpointChange {
    pub address: Option<Address>,
    pub description: Option<String>,
    pub events: Option<Subscription>,
    pub bulk: Option<bool>,
    /// `Some(None)`: that of the configuration.
    pub rate_per_second: Option<Option<i32>>,
    pub enabled: Option<bool>,
}

/// Why an endpoint is switched off by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Off {
    /// It said that nothing is to be sent any more.
    Gone,
    /// It has failed for too long.
    Failing,
}

impl Off {
    const fn as_str(self) -> &'static str {
        match self {
            Off::Gone => "gone",
            Off::Failing => "failing",
        }
    }
}

fn check(description: Option<&str>, rate: Option<i32>) -> Result<(), EndpointError> {
    if description.is_some_and(|text| text.chars().count() > LONGEST_DESCRIPTION || text.contains('\0')) {
        return Err(EndpointError::Description);
    }
    if rate.is_some_and(|rate| !RATES.contains(&rate)) {
        return Err(EndpointError::Rate);
    }
    Ok(())
}

/// Registers an endpoint with a secret of its own. It is told of what happens from now on.
pub async fn add(
    tx: &mut PgConnection,
    settings: &WebhookSettings,
    by: Actor<'_>,
    now: DateTime<Utc>,
    new: &NewEndpoint,
) -> Result<i64, EndpointError> {
    check(Some(&new.description), new.rate_per_second)?;
    let made = sqlx::query!(
        "insert into hub.webhook_endpoint (url, description, rate_per_second, created_by, updated_by)
         values ($1, $2, $3, $4, $4) returning id, target",
        new.address.as_str(),
        new.description,
        new.rate_per_second,
        by.name,
    )
    .fetch_one(&mut *tx)
    .await?;
    sqlx::query!(
        "insert into hub.target (name, kind, events, bulk, blocks, enabled, disabled_at, disabled_cause)
         values ($1, $2, $3, $4, false, $5,
                 case when not $5 then clock_timestamp() end, case when not $5 then 'person' end)",
        made.target,
        KIND,
        new.events.patterns(),
        new.bulk,
        new.enabled,
    )
    .execute(&mut *tx)
    .await?;
    secrets::make(tx, settings, made.id, now).await?;
    let detail = json!({ "host": host(&new.address), "events": new.events.patterns(), "enabled": new.enabled });
    note(tx, by, "webhook_endpoint.created", made.id, detail).await?;
    ring(tx).await?;
    Ok(made.id)
}

/// Path and query of an address may be a secret of the receiver's: the books name the host.
fn host(address: &Address) -> &str {
    let text = address.as_str();
    let from = text.find("://").map_or(0, |at| at + 3);
    let host = &text[from..];
    host.split(['/', '?']).next().unwrap_or(host)
}

pub async fn change(
    tx: &mut PgConnection,
    by: Actor<'_>,
    id: i64,
    wanted: &EndpointChange,
) -> Result<(), EndpointError> {
    check(wanted.description.as_deref(), wanted.rate_per_second.flatten())?;
    let target = touch(tx, by, id).await?;
    sqlx::query!(
        "update hub.webhook_endpoint
         set url = coalesce($2, url), description = coalesce($3, description),
             rate_per_second = case when $4 then $5 else rate_per_second end
         where id = $1",
        id,
        wanted.address.as_ref().map(Address::as_str),
        wanted.description,
        wanted.rate_per_second.is_some(),
        wanted.rate_per_second.flatten(),
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "update hub.target
         set events = coalesce($2, events), bulk = coalesce($3, bulk), updated_at = clock_timestamp()
         where name = $1",
        target,
        wanted.events.as_ref().map(|events| events.patterns().to_vec()) as _,
        wanted.bulk,
    )
    .execute(&mut *tx)
    .await?;
    if let Some(enabled) = wanted.enabled {
        switch(tx, &target, enabled).await?;
    }
    let changed = [
        wanted.address.as_ref().map(|address| ("host", json!(host(address)))),
        wanted.description.as_ref().map(|_| ("description", json!(true))),
        wanted.events.as_ref().map(|events| ("events", json!(events.patterns()))),
        wanted.bulk.map(|bulk| ("bulk", json!(bulk))),
        wanted.rate_per_second.map(|rate| ("ratePerSecond", json!(rate))),
        wanted.enabled.map(|enabled| ("enabled", json!(enabled))),
    ];
    let detail: Value = changed.into_iter().flatten().map(|(key, value)| (key.to_owned(), value)).collect();
    note(tx, by, "webhook_endpoint.changed", id, detail).await
}

/// What waits for it goes out, or is held, by the housekeeping. Who switches it on trusts it: its failures are forgotten.
async fn switch(tx: &mut PgConnection, target: &str, enabled: bool) -> Result<(), sqlx::Error> {
    let switched = sqlx::query!(
        "update hub.target
         set enabled = $2, updated_at = clock_timestamp(), disabled_reason = null,
             disabled_at = case when not $2 then clock_timestamp() end,
             disabled_cause = case when not $2 then 'person' end
         where name = $1 and enabled <> $2",
        target,
        enabled,
    )
    .execute(&mut *tx)
    .await?;
    if enabled && switched.rows_affected() > 0 {
        sqlx::query!(
            "update hub.breaker
             set state = 'closed', faults_in_a_row = 0, opened_at = null, next_probe_at = null, failing_since = null
             where connector = $1",
            target,
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// Removes an endpoint with its secrets; what it was not told yet is called off.
pub async fn remove(tx: &mut PgConnection, by: Actor<'_>, id: i64) -> Result<(), EndpointError> {
    let target = touch(tx, by, id).await?;
    sqlx::query!("update hub.webhook_endpoint set removed_at = clock_timestamp() where id = $1", id)
        .execute(&mut *tx)
        .await?;
    sqlx::query!("delete from hub.webhook_secret where endpoint_id = $1", id).execute(&mut *tx).await?;
    sqlx::query!("delete from hub.target where name = $1", target).execute(&mut *tx).await?;
    sqlx::query!("delete from hub.breaker where connector = $1", target).execute(&mut *tx).await?;
    note(tx, by, "webhook_endpoint.removed", id, json!({})).await?;
    super::super::deliveries::manage::call_off_all(tx, by, &target, "the webhook endpoint was removed").await?;
    Ok(())
}

/// Switches an endpoint off because it asks for it, or because it has failed for too long; others are told of it. `false`:
/// it was off already, or is no endpoint.
pub async fn give_up(
    tx: &mut PgConnection,
    by: &Provenance<'_>,
    target: &str,
    why: Off,
    reason: &str,
) -> Result<bool, sqlx::Error> {
    let locked = sqlx::query_scalar!(
        "select e.id from hub.webhook_endpoint e join hub.target t on t.name = e.target
         where e.target = $1 and e.removed_at is null and t.enabled for update",
        target,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(id) = locked else { return Ok(false) };
    let endpoint = sqlx::query!(
        "update hub.webhook_endpoint
         set revision = revision + 1, updated_at = clock_timestamp(), updated_by = $2 where id = $1
         returning id, revision",
        id,
        by.origin,
    )
    .fetch_one(&mut *tx)
    .await?;
    sqlx::query!(
        "update hub.target
         set enabled = false, updated_at = clock_timestamp(), disabled_at = clock_timestamp(), disabled_cause = $2,
             disabled_reason = $3
         where name = $1",
        target,
        why.as_str(),
        reason,
    )
    .execute(&mut *tx)
    .await?;
    let mut events = Events::new(EventType::WebhookEndpointDisabled, 1);
    let payload = json!({ "id": endpoint.id, "cause": why.as_str(), "revision": endpoint.revision });
    events.push(endpoint.id, endpoint.revision, &payload).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    outbox::append(tx, by, &events).await?;
    let actor = by.actor();
    let entry = Entry {
        action: "webhook_endpoint.disabled",
        subject_kind: "webhook_endpoint",
        subject: endpoint.id.to_string(),
        detail: json!({ "cause": why.as_str() }),
    };
    audit::record(tx, actor, &[entry]).await?;
    ring(tx).await?;
    Ok(true)
}

/// Locks an endpoint that is there. Returns its target.
pub(super) async fn lock(tx: &mut PgConnection, id: i64) -> Result<String, EndpointError> {
    sqlx::query_scalar!(
        r#"select target as "target!" from hub.webhook_endpoint where id = $1 and removed_at is null for update"#,
        id
    )
    .fetch_optional(tx)
    .await?
    .ok_or(EndpointError::Unknown(id))
}

/// The same for a change: the revision rises, and who keeps a copy is told.
pub(super) async fn touch(tx: &mut PgConnection, by: Actor<'_>, id: i64) -> Result<String, EndpointError> {
    let target = lock(tx, id).await?;
    sqlx::query!(
        "update hub.webhook_endpoint
         set revision = revision + 1, updated_at = clock_timestamp(), updated_by = $2 where id = $1",
        id,
        by.name,
    )
    .execute(&mut *tx)
    .await?;
    ring(tx).await?;
    Ok(target)
}

async fn ring(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("select pg_notify($1, '')", CHANNEL).fetch_one(tx).await?;
    Ok(())
}

pub(super) async fn note(
    tx: &mut PgConnection,
    by: Actor<'_>,
    action: &'static str,
    id: i64,
    detail: Value,
) -> Result<(), EndpointError> {
    let entry = Entry { action, subject_kind: "webhook_endpoint", subject: id.to_string(), detail };
    Ok(audit::record(tx, by, &[entry]).await?)
}
