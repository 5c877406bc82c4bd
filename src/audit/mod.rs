//! Who did what, and when. The one function that appends audit rows, the one that lists them, and the chain that seals
//! them.
//!
//! Invariants
//! - A row is written in the transaction of what it tells of: nothing is done without its row, and no row tells of what
//!   was not done.
//! - Rows are only ever inserted; the database refuses anything else, and the chain shows it ([`sealer`], [`verify`]).
//! - A detail carries no secret and no payload: what was changed is named, not repeated.

mod chain;
pub mod retention;
pub mod sealer;
pub mod verify;

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};
use utoipa::ToSchema;
use uuid::Uuid;

const LONGEST_AGENT: usize = 300;

/// Who acts, in which request or run, and from where.
#[derive(Debug, Clone, Copy)]
pub struct Actor<'a> {
    /// `cli:<user of the machine>`, `api-key:<prefix>`, `user:<id>`, or `hub` for what it does by itself.
    pub name: &'a str,
    pub correlation_id: &'a str,
    /// `None`: not over the network.
    pub place: Option<Origin<'a>>,
}

impl<'a> Actor<'a> {
    /// Somebody who does not come over the network.
    pub const fn new(name: &'a str, correlation_id: &'a str) -> Actor<'a> {
        Actor { name, correlation_id, place: None }
    }
}

/// From where and with what somebody acts.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    pub address: IpAddr,
    /// The `User-Agent`.
    pub agent: Option<&'a str>,
}

/// One thing that was done.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What: `dead_letter.discarded`, `api_key.created`. A noun and a past participle.
    pub action: &'static str,
    /// To which kind of thing: `dead_letter`, `api_key`.
    pub subject_kind: &'static str,
    /// To which one: an id, a code, a name.
    pub subject: String,
    /// A JSON object; see the invariants.
    pub detail: Value,
}

/// A row as it is listed.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEvent {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    pub actor: String,
    pub action: String,
    pub subject_kind: String,
    pub subject: String,
    pub correlation_id: String,
    /// Null: not over the network, or not known.
    pub address: Option<String>,
    pub agent: Option<String>,
    #[schema(value_type = Object)]
    pub detail: Value,
}

/// Which rows are meant; every field narrows.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub actor: Option<String>,
    pub action: Option<String>,
    pub subject_kind: Option<String>,
    pub subject: Option<String>,
    pub since: Option<DateTime<Utc>>,
}

/// Appends rows, all of one actor.
pub async fn record(db: &mut PgConnection, by: Actor<'_>, entries: &[Entry]) -> Result<(), sqlx::Error> {
    let entries: Vec<(Actor<'_>, &Entry)> = entries.iter().map(|entry| (by, entry)).collect();
    record_each(db, &entries).await
}

/// Deeds that come from several requests, by one statement.
pub async fn record_each(db: &mut PgConnection, entries: &[(Actor<'_>, &Entry)]) -> Result<(), sqlx::Error> {
    if entries.is_empty() {
        return Ok(());
    }
    let address = |by: &Actor<'_>| by.place.map(|place| place.address.to_string());
    let agent = |by: &Actor<'_>| {
        let kept = by.place?.agent?.chars().filter(|letter| !letter.is_control()).take(LONGEST_AGENT);
        Some(kept.collect::<String>())
    };
    sqlx::query!(
        "insert into identity.audit_event (id, actor, action, subject_kind, subject, correlation_id, detail, address, agent)
         select u.id, u.actor, u.action, u.subject_kind, u.subject, u.correlation_id, u.detail,
             u.address::inet, u.agent
         from unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::jsonb[], $1::text[], $2::text[], $8::text[], $9::text[])
              as u (id, action, subject_kind, subject, detail, actor, correlation_id, address, agent)",
        &entries.iter().map(|(actor, _)| actor.name).collect::<Vec<_>>() as _,
        &entries.iter().map(|(actor, _)| actor.correlation_id).collect::<Vec<_>>() as _,
        &entries.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>(),
        &entries.iter().map(|(_, entry)| entry.action.to_owned()).collect::<Vec<_>>(),
        &entries.iter().map(|(_, entry)| entry.subject_kind.to_owned()).collect::<Vec<_>>(),
        &entries.iter().map(|(_, entry)| entry.subject.clone()).collect::<Vec<_>>(),
        &entries.iter().map(|(_, entry)| entry.detail.clone()).collect::<Vec<_>>(),
        &entries.iter().map(|(actor, _)| address(actor)).collect::<Vec<_>>() as _,
        &entries.iter().map(|(actor, _)| agent(actor)).collect::<Vec<_>>() as _,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Newest first, a page at a time; `before` is the last id of the page before.
pub async fn list<'e>(
    db: impl PgExecutor<'e>,
    filter: &Filter,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<AuditEvent>, sqlx::Error> {
    sqlx::query_as!(
        AuditEvent,
        "select id, at, actor, action, subject_kind, subject, correlation_id, host(address) as address, agent, detail
         from identity.audit_event
         where ($1::text is null or actor = $1)
           and ($2::text is null or action = $2)
           and ($3::text is null or subject_kind = $3)
           and ($4::text is null or subject = $4)
           and ($5::timestamptz is null or at >= $5)
           and ($6::uuid is null or id < $6)
         order by id desc
         limit $7",
        filter.actor,
        filter.action,
        filter.subject_kind,
        filter.subject,
        filter.since,
        before,
        limit,
    )
    .fetch_all(db)
    .await
}

/// What was done to one thing before `before`, newest first.
pub async fn about<'e>(
    db: impl PgExecutor<'e>,
    subject_kind: &str,
    subject: &str,
    before: Option<DateTime<Utc>>,
    limit: i64,
) -> Result<Vec<AuditEvent>, sqlx::Error> {
    sqlx::query_as!(
        AuditEvent,
        "select id, at, actor, action, subject_kind, subject, correlation_id, host(address) as address, agent, detail
         from identity.audit_event
         where subject_kind = $1 and subject = $2 and ($3::timestamptz is null or at < $3)
         order by at desc
         fetch first ($4::bigint) rows with ties",
        subject_kind,
        subject,
        before,
        limit,
    )
    .fetch_all(db)
    .await
}

/// What was done in one request or run before `before`, newest first.
pub async fn of_correlation<'e>(
    db: impl PgExecutor<'e>,
    correlation_id: &str,
    before: Option<DateTime<Utc>>,
    limit: i64,
) -> Result<Vec<AuditEvent>, sqlx::Error> {
    sqlx::query_as!(
        AuditEvent,
        "select id, at, actor, action, subject_kind, subject, correlation_id, host(address) as address, agent, detail
         from identity.audit_event
         where correlation_id = $1 and ($2::timestamptz is null or at < $2)
         order by at desc
         fetch first ($3::bigint) rows with ties",
        correlation_id,
        before,
        limit,
    )
    .fetch_all(db)
    .await
}
