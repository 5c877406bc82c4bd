//! Letters found: listed, counted, grouped by what went wrong.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{FromRow, PgExecutor, PgPool, Postgres, QueryBuilder};
use utoipa::ToSchema;
use uuid::Uuid;

use super::filter::Filter;

#[derive(Debug, Clone, Serialize, FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeadLetter)]
pub struct Letter {
    pub id: Uuid,
    pub state: String,
    pub kind: String,
    pub connector: String,
    pub stream: Option<String>,
    pub entity: Option<String>,
    pub code: Option<String>,
    pub cause: String,
    pub reason: String,
    pub field: Option<String>,
    pub value: Option<String>,
    pub detail: String,
    pub fingerprint: String,
    pub missing_entity: Option<String>,
    pub missing_code: Option<String>,
    pub attempts: i32,
    /// How often the same record came and failed.
    pub seen: i64,
    pub mapping: Option<String>,
    pub mapping_hash: Option<String>,
    pub correlation_id: String,
    pub run_id: Option<Uuid>,
    pub message_id: Uuid,
    pub received_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// Who changed the document that a replay takes.
    pub edited_by: Option<String>,
}

const COLUMNS: &str = "d.id, d.state, d.kind, d.connector, d.stream, d.entity, d.key as code, d.cause, d.reason, \
                       d.field, d.value, d.detail, d.fingerprint, d.missing_entity, d.missing_code, d.attempts, d.seen, \
                       d.mapping, d.mapping_hash, d.correlation_id, d.run_id, d.message_id, d.received_at, d.created_at, \
                       d.updated_at, d.edited_by";

/// As far as a listing counts; beyond it the exact figure costs more than it tells.
const COUNTED: i64 = 10_000;

/// So many letters of a prefix are sorted; of more, some are found soon by walking from the newest.
const SORTED: i64 = 100_000;

/// How many letters a filter names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    pub count: i64,
    /// `false`: there are more.
    pub exact: bool,
}

/// Newest first, a page at a time; `before` is the last id of the page before.
pub async fn list(db: &PgPool, filter: &Filter, before: Option<Uuid>, limit: i64) -> Result<Vec<Letter>, sqlx::Error> {
    let mut query = QueryBuilder::<Postgres>::new("");
    // The letters of a prefix lie together by code and anywhere by time: no index gives both.
    let few = match &filter.code_prefix {
        Some(prefix) => {
            let only = Filter { code_prefix: Some(prefix.clone()), ..Filter::default() };
            count_up_to(db, &only, SORTED).await? <= SORTED
        }
        None => false,
    };
    let narrow = |query: &mut QueryBuilder<Postgres>| {
        filter.narrow(query);
        if let Some(before) = before {
            query.push(" and d.id < ").push_bind(before);
        }
    };
    if few {
        query.push("with chosen as materialized (select d.id from hub.dead_letter d where true");
        narrow(&mut query);
        query.push("), newest as (select id from chosen order by id desc limit ").push_bind(limit).push(") select ");
        query.push(COLUMNS).push(" from newest join hub.dead_letter d on d.id = newest.id order by d.id desc");
    } else {
        query.push("select ").push(COLUMNS).push(" from hub.dead_letter d where true");
        narrow(&mut query);
        query.push(" order by d.id desc limit ").push_bind(limit);
    }
    // Planned anew for what is asked for: a plan for anything fits nothing.
    query.build_query_as().persistent(false).fetch_all(db).await
}

/// How many a filter names, exactly.
pub async fn count(db: &PgPool, filter: &Filter) -> Result<i64, sqlx::Error> {
    let mut query = QueryBuilder::<Postgres>::new("select count(*) from hub.dead_letter d where true");
    filter.narrow(&mut query);
    query.build_query_scalar().persistent(false).fetch_one(db).await
}

/// How many a filter names, counted as far as a person reads.
pub async fn tally(db: &PgPool, filter: &Filter) -> Result<Total, sqlx::Error> {
    let count = count_up_to(db, filter, COUNTED).await?;
    Ok(Total { count: count.min(COUNTED), exact: count <= COUNTED })
}

/// One more than `most` when there are more.
async fn count_up_to(db: &PgPool, filter: &Filter, most: i64) -> Result<i64, sqlx::Error> {
    let mut query = QueryBuilder::<Postgres>::new("select count(*) from (select from hub.dead_letter d where true");
    filter.narrow(&mut query);
    query.push(" limit ").push_bind(most + 1).push(") as counted");
    query.build_query_scalar().persistent(false).fetch_one(db).await
}

/// Letters that failed alike.
#[derive(Debug, Clone, Serialize, FromRow, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeadLetterGroup)]
pub struct Group {
    pub fingerprint: String,
    pub count: i64,
    pub first_at: DateTime<Utc>,
    pub last_at: DateTime<Utc>,
    /// The newest of them.
    pub example: Uuid,
    pub connector: String,
    pub stream: Option<String>,
    pub entity: Option<String>,
    pub code: Option<String>,
    pub cause: String,
    pub reason: String,
    pub field: Option<String>,
    pub value: Option<String>,
    pub detail: String,
}

/// The largest groups first.
pub async fn groups(db: &PgPool, filter: &Filter, limit: i64) -> Result<Vec<Group>, sqlx::Error> {
    let mut query = QueryBuilder::<Postgres>::new(
        "with alike as (select d.fingerprint, count(*) as count, min(d.created_at) as first_at, \
                               max(d.created_at) as last_at \
                        from hub.dead_letter d where true",
    );
    filter.narrow(&mut query);
    query.push(" group by 1 order by 2 desc, 1 limit ").push_bind(limit);
    query.push(
        ") select a.fingerprint, a.count, a.first_at, a.last_at, e.id as example, e.connector, e.stream, e.entity, \
                  e.key as code, e.cause, e.reason, e.field, e.value, e.detail \
         from alike a \
         cross join lateral (select * from hub.dead_letter d where d.fingerprint = a.fingerprint",
    );
    filter.narrow(&mut query);
    query.push(" order by d.id desc limit 1) as e order by a.count desc, a.fingerprint");
    query.build_query_as().persistent(false).fetch_all(db).await
}

/// How many letters are open, by connector and cause.
#[derive(Debug, Clone)]
pub struct OpenCount {
    pub connector: String,
    pub cause: String,
    pub count: i64,
}

pub async fn open_counts<'e>(db: impl PgExecutor<'e>) -> Result<Vec<OpenCount>, sqlx::Error> {
    sqlx::query_as!(
        OpenCount,
        r#"select connector, cause, count(*) as "count!" from hub.dead_letter group by 1, 2 order by 1, 2"#
    )
    .fetch_all(db)
    .await
}

/// Whether a letter is there, being replayed or not.
pub async fn is_open(db: &PgPool, id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"select exists (select from hub.dead_letter where id = $1) as "open!""#, id)
        .fetch_one(db)
        .await
}

/// One letter.
pub(super) async fn find(db: &PgPool, id: Uuid) -> Result<Option<Letter>, sqlx::Error> {
    let mut query = QueryBuilder::<Postgres>::new("select ");
    query.push(COLUMNS).push(" from hub.dead_letter d where d.id = ").push_bind(id);
    query.build_query_as().fetch_optional(db).await
}
