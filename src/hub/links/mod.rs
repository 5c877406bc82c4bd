//! Links: which internal row an external code of an instance is, what content it had last and which version.
//!
//! Invariants
//! - A code, an external id and an internal id each occur at most once per instance and entity.
//! - `last_synced_at` is the receipt of the document that was applied last, by the database's clock; `ordinal` is the place
//!   of the record in it.
//! - A link belongs to the stream that wrote it last; a placeholder to none.
//! - A link is written in the transaction of the commerce row that it names, or not at all.
//! - What reads links by a list writes `connector || ''`: so only the list can choose the index. While the statistics of
//!   a young table are old, all three indexes look alike to the planner, and one that serves only connector and entity
//!   reads every link for a page (half a second over 50,000).

mod compare;
mod take;
mod unmoved;

use std::{borrow::Cow, collections::HashMap};

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};
use tracing::{
    instrument::{WithDispatch, WithSubscriber},
    subscriber::NoSubscriber,
};

use crate::canonical::{Entity, Hash, Version};

pub use compare::{Asked, Held, compare};
pub use take::take;
pub use unmoved::{Remembered, unmoved};

#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    pub id: i64,
    pub internal_id: i64,
    pub code: String,
    pub external_id: Option<String>,
    pub hash: Option<Hash>,
    pub version: Option<Version>,
    pub last_synced_at: DateTime<Utc>,
    pub ordinal: i64,
}

struct LinkRow {
    id: i64,
    internal_id: i64,
    external_code: String,
    external_id: Option<String>,
    content_hash: Option<Hash>,
    version_kind: Option<String>,
    source_version: Option<i64>,
    last_synced_at: DateTime<Utc>,
    document_ordinal: i64,
}

impl From<LinkRow> for Link {
    fn from(row: LinkRow) -> Link {
        Link {
            id: row.id,
            internal_id: row.internal_id,
            code: row.external_code,
            external_id: row.external_id,
            hash: row.content_hash,
            version: row.version_kind.zip(row.source_version).map(|(kind, value)| Version { kind: kind.into(), value }),
            last_synced_at: row.last_synced_at,
            ordinal: row.document_ordinal,
        }
    }
}

/// A page's rows are read without the span of who asks for them: it would be entered and left for each row, which took
/// several percent of an unchanged page's time. What the driver would log of these statements is not told.
fn without_span<F: Future>(rows: F) -> WithDispatch<F> {
    rows.with_subscriber(NoSubscriber::default())
}

/// The links of these codes.
pub async fn by_code(
    db: &mut PgConnection,
    connector: &str,
    entity: Entity,
    codes: &[&str],
) -> Result<HashMap<String, Link>, sqlx::Error> {
    let rows = sqlx::query_as!(
        LinkRow,
        r#"select id, internal_id, external_code, external_id, content_hash as "content_hash: Hash", version_kind,
                source_version, last_synced_at, document_ordinal
         from hub.external_ref
         where external_code = any($3) and connector || '' = $1 and entity || '' = $2"#,
        connector,
        entity.as_str(),
        codes as &[&str],
    )
    .fetch_all(db);
    let rows = without_span(rows).await?;
    Ok(rows.into_iter().map(|row| (row.external_code.clone(), Link::from(row))).collect())
}

/// The links of these external ids, for codes that are not known: a card that was renamed over there.
pub async fn by_external_id(
    db: &mut PgConnection,
    connector: &str,
    entity: Entity,
    external_ids: &[&str],
) -> Result<HashMap<String, Link>, sqlx::Error> {
    let rows = sqlx::query_as!(
        LinkRow,
        r#"select id, internal_id, external_code, external_id, content_hash as "content_hash: Hash", version_kind,
                source_version, last_synced_at, document_ordinal
         from hub.external_ref
         where external_id = any($3) and connector || '' = $1 and entity || '' = $2"#,
        connector,
        entity.as_str(),
        external_ids as &[&str],
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().filter_map(|row| Some((row.external_id.clone()?, Link::from(row)))).collect())
}

/// The links of records that had these codes before, by those.
pub async fn by_alias(
    db: &mut PgConnection,
    connector: &str,
    entity: Entity,
    codes: &[&str],
) -> Result<HashMap<String, Link>, sqlx::Error> {
    let former = sqlx::query!(
        "select external_code, internal_id from hub.external_ref_alias
         where connector = $1 and entity = $2 and external_code = any($3)",
        connector,
        entity.as_str(),
        codes as &[&str],
    )
    .fetch_all(&mut *db)
    .await?;
    if former.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: Vec<i64> = former.iter().map(|row| row.internal_id).collect();
    let links = by_internal_id(db, connector, entity, &ids).await?;
    let found = former.into_iter().filter_map(|row| Some((row.external_code, links.get(&row.internal_id)?.clone())));
    Ok(found.collect())
}

/// The link of a code, under its present name or one that it had.
pub async fn find<'e>(
    db: impl PgExecutor<'e>,
    connector: &str,
    entity: Entity,
    code: &str,
) -> Result<Option<Link>, sqlx::Error> {
    let row = sqlx::query_as!(
        LinkRow,
        r#"select id, internal_id, external_code, external_id, content_hash as "content_hash: Hash", version_kind,
                source_version, last_synced_at, document_ordinal
         from hub.external_ref
         where connector = $1 and entity = $2
           and (external_code = $3
                or internal_id = (select a.internal_id from hub.external_ref_alias a
                                  where a.connector = $1 and a.entity = $2 and a.external_code = $3))
         order by external_code = $3 desc
         limit 1"#,
        connector,
        entity.as_str(),
        code,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(Link::from))
}

/// The links of these records, by internal id.
pub async fn by_internal_id(
    db: &mut PgConnection,
    connector: &str,
    entity: Entity,
    internal_ids: &[i64],
) -> Result<HashMap<i64, Link>, sqlx::Error> {
    let rows = sqlx::query_as!(
        LinkRow,
        r#"select id, internal_id, external_code, external_id, content_hash as "content_hash: Hash", version_kind,
                source_version, last_synced_at, document_ordinal
         from hub.external_ref
         where internal_id = any($3) and connector || '' = $1 and entity || '' = $2"#,
        connector,
        entity.as_str(),
        internal_ids,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.internal_id, Link::from(row))).collect())
}

/// The records that an external code stands for in any system, under its present name or one that they had.
pub async fn internal_ids<'e>(db: impl PgExecutor<'e>, entity: Entity, code: &str) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select internal_id as "id!" from hub.external_ref where entity = $1 and external_code = $2
           union
           select internal_id from hub.external_ref_alias where entity = $1 and external_code = $2
           order by 1"#,
        entity.as_str(),
        code,
    )
    .fetch_all(db)
    .await
}

/// All external codes that a record has or had, in any system.
pub async fn codes_of<'e>(
    db: impl PgExecutor<'e>,
    entity: Entity,
    internal_id: i64,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select external_code as "code!" from hub.external_ref where entity = $1 and internal_id = $2
           union
           select external_code from hub.external_ref_alias where entity = $1 and internal_id = $2
           order by 1"#,
        entity.as_str(),
        internal_id,
    )
    .fetch_all(db)
    .await
}

/// External codes to internal ids, following the old names of renamed cards.
pub async fn resolve(
    db: &mut PgConnection,
    connector: &str,
    entities: &[&str],
    codes: &[&str],
) -> Result<HashMap<(Entity, String), i64>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select w.entity as "entity!", w.code as "code!", coalesce(r.internal_id, a.internal_id) as "internal_id!"
           from unnest($2::text[], $3::text[]) as w (entity, code)
           left join hub.external_ref r
             on r.connector = $1 and r.entity = w.entity and r.external_code = w.code
           left join hub.external_ref_alias a
             on a.connector = $1 and a.entity = w.entity and a.external_code = w.code
           where r.internal_id is not null or a.internal_id is not null"#,
        connector,
        entities as &[&str],
        codes as &[&str],
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().filter_map(|row| Some(((Entity::parse(&row.entity)?, row.code), row.internal_id))).collect())
}

/// Locks links in the order of their codes and tells which of them are no longer as they were read.
pub async fn lock(db: &mut PgConnection, links: &[&Link]) -> Result<bool, sqlx::Error> {
    let ids: Vec<i64> = links.iter().map(|link| link.id).collect();
    let rows = sqlx::query!(
        "select id, content_hash, source_version, last_synced_at, document_ordinal from hub.external_ref
         where id = any($1) order by external_code for update",
        &ids,
    )
    .fetch_all(db);
    let rows = without_span(rows).await?;
    let now: HashMap<i64, _> = rows.into_iter().map(|row| (row.id, row)).collect();
    Ok(links.iter().all(|link| {
        now.get(&link.id).is_some_and(|row| {
            row.content_hash.as_deref() == link.hash.as_ref().map(|hash| hash.as_slice())
                && row.source_version == link.version.as_ref().map(|version| version.value)
                && row.last_synced_at == link.last_synced_at
                && row.document_ordinal == link.ordinal
        })
    }))
}

/// What a link says after its record was applied.
#[derive(Debug, Clone)]
pub struct LinkWrite<'a> {
    /// The link's own id; 0 for a new one.
    pub id: i64,
    pub internal_id: i64,
    pub code: &'a str,
    pub external_id: Option<&'a str>,
    /// `None` on a placeholder that stands for a record which is still to come.
    pub hash: Option<&'a Hash>,
    /// `None` leaves the version of an existing link as it is.
    pub version: Option<&'a Version>,
    pub received_at: DateTime<Utc>,
    /// Place of the record in its document.
    pub ordinal: i64,
}

/// Inserts links of `stream`; sorted by code. Those of which one exists are left out; `false` if there were any.
pub async fn insert(
    db: &mut PgConnection,
    connector: &str,
    entity: Entity,
    stream: Option<&str>,
    links: &[LinkWrite<'_>],
) -> Result<bool, sqlx::Error> {
    let columns = Columns::of(links);
    let done = sqlx::query!(
        "insert into hub.external_ref
             (connector, entity, internal_id, external_code, external_id, content_hash, version_kind, source_version,
              last_synced_at, document_ordinal, stream)
         select $1, $2, unnest($3::bigint[]), unnest($4::text[]), unnest($5::text[]), unnest($6::bytea[]),
                unnest($7::text[]), unnest($8::bigint[]), unnest($9::timestamptz[]), unnest($11::bigint[]), $10
         on conflict do nothing",
        connector,
        entity.as_str(),
        &columns.internal_ids,
        columns.codes as _,
        columns.external_ids as _,
        columns.hashes as _,
        columns.version_kinds as _,
        columns.versions as _,
        &columns.received_at,
        stream,
        &columns.ordinals,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == links.len() as u64)
}

/// Inserts links that should all be new, where the caller can undo. `false`: one of them exists meanwhile, and the savepoint
/// or the transaction is spent.
pub async fn insert_new(
    db: &mut PgConnection,
    connector: &str,
    entity: Entity,
    stream: Option<&str>,
    links: &[LinkWrite<'_>],
) -> Result<bool, sqlx::Error> {
    let columns = Columns::of(links);
    let done = sqlx::query!(
        "insert into hub.external_ref
             (connector, entity, internal_id, external_code, external_id, content_hash, version_kind, source_version,
              last_synced_at, document_ordinal, stream)
         select $1, $2, unnest($3::bigint[]), unnest($4::text[]), unnest($5::text[]), unnest($6::bytea[]),
                unnest($7::text[]), unnest($8::bigint[]), unnest($9::timestamptz[]), unnest($11::bigint[]), $10",
        connector,
        entity.as_str(),
        &columns.internal_ids,
        columns.codes as _,
        columns.external_ids as _,
        columns.hashes as _,
        columns.version_kinds as _,
        columns.versions as _,
        &columns.received_at,
        stream,
        &columns.ordinals,
    )
    .execute(db)
    .await;
    match done {
        Ok(_) => Ok(true),
        Err(error) if error.as_database_error().is_some_and(|database| database.is_unique_violation()) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Writes what was applied on links that are locked. `stream`: which they belong to from now on.
pub async fn update(db: &mut PgConnection, stream: Option<&str>, links: &[LinkWrite<'_>]) -> Result<(), sqlx::Error> {
    let columns = Columns::of(links);
    let ids: Vec<i64> = links.iter().map(|link| link.id).collect();
    sqlx::query!(
        "update hub.external_ref r
         set external_code = u.code,
             external_id = coalesce(u.external_id, r.external_id),
             content_hash = u.hash,
             version_kind = coalesce(u.version_kind, r.version_kind),
             source_version = coalesce(u.version, r.source_version),
             last_synced_at = u.received_at,
             document_ordinal = u.ordinal,
             stream = coalesce($8, r.stream)
         from (select unnest($1::bigint[]) as id, unnest($2::text[]) as code, unnest($3::text[]) as external_id,
                      unnest($4::bytea[]) as hash, unnest($5::text[]) as version_kind, unnest($6::bigint[]) as version,
                      unnest($7::timestamptz[]) as received_at, unnest($9::bigint[]) as ordinal) u
         where r.id = u.id",
        &ids,
        columns.codes as _,
        columns.external_ids as _,
        columns.hashes as _,
        columns.version_kinds as _,
        columns.versions as _,
        &columns.received_at,
        stream,
        &columns.ordinals,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Writes the hash of something that was no document on links that are locked; documents received before now are older.
pub async fn mark(db: &mut PgConnection, ids: &[i64], hash: &Hash) -> Result<(), sqlx::Error> {
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update hub.external_ref
         set content_hash = $2, last_synced_at = greatest(last_synced_at, clock_timestamp())
         where id = any($1)",
        ids,
        hash.as_slice(),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Says that what was written on links just now was received at this time, at these places of its document, so that what
/// comes after it is newer.
pub async fn received_at(
    db: &mut PgConnection,
    connector: &str,
    entity: Entity,
    codes: &[&str],
    ordinals: &[i64],
    at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    if codes.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update hub.external_ref r set last_synced_at = $4, document_ordinal = u.ordinal
         from unnest($3::text[], $5::bigint[]) as u (code, ordinal)
         where r.connector = $1 and r.entity = $2 and r.external_code = u.code and r.last_synced_at > $4",
        connector,
        entity.as_str(),
        codes as _,
        at,
        ordinals,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Takes external ids away from whoever else has them: (the link that gets it, or 0, and the id). A number that is
/// given to another card tells nothing about the one that had it.
pub async fn vacate_external_ids(
    db: &mut PgConnection,
    connector: &str,
    entity: Entity,
    wanted: &[(i64, &str)],
) -> Result<(), sqlx::Error> {
    let links: Vec<i64> = wanted.iter().map(|(link, _)| *link).collect();
    let external_ids: Vec<&str> = wanted.iter().map(|(_, id)| *id).collect();
    sqlx::query!(
        "update hub.external_ref r set external_id = null
         from unnest($3::bigint[], $4::text[]) as u (id, external_id)
         where r.connector = $1 and r.entity = $2 and r.external_id = u.external_id and r.id <> u.id",
        connector,
        entity.as_str(),
        &links,
        &external_ids as &[&str],
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Takes back the links of records that the command refused.
pub async fn delete_new(
    db: &mut PgConnection,
    connector: &str,
    entity: Entity,
    codes: &[&str],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from hub.external_ref
         where external_code = any($3) and connector || '' = $1 and entity || '' = $2",
        connector,
        entity.as_str(),
        codes as &[&str],
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Keeps the old codes of renamed cards.
pub async fn remember_aliases(
    db: &mut PgConnection,
    connector: &str,
    entity: Entity,
    renamed: &[(&str, i64)],
) -> Result<(), sqlx::Error> {
    let codes: Vec<&str> = renamed.iter().map(|(code, _)| *code).collect();
    let ids: Vec<i64> = renamed.iter().map(|(_, id)| *id).collect();
    sqlx::query!(
        "insert into hub.external_ref_alias (connector, entity, external_code, internal_id)
         select $1, $2, * from unnest($3::text[], $4::bigint[])
         on conflict (connector, entity, external_code) do update
             set internal_id = excluded.internal_id, renamed_at = clock_timestamp()",
        connector,
        entity.as_str(),
        &codes as &[&str],
        &ids,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// How many records an instance has linked, placeholders left out, and what came by streams whose names begin so.
pub async fn count<'e>(
    db: impl PgExecutor<'e>,
    connector: &str,
    entity: Entity,
    but: &str,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "n!" from hub.external_ref
           where connector = $1 and entity = $2 and content_hash is not null
             and not starts_with(coalesce(stream, ''), $3)"#,
        connector,
        entity.as_str(),
        but,
    )
    .fetch_one(db)
    .await
}

struct Columns<'a> {
    internal_ids: Vec<i64>,
    codes: Vec<&'a str>,
    external_ids: Vec<Option<&'a str>>,
    hashes: Vec<Option<&'a [u8]>>,
    version_kinds: Vec<Option<Cow<'static, str>>>,
    versions: Vec<Option<i64>>,
    received_at: Vec<DateTime<Utc>>,
    ordinals: Vec<i64>,
}

impl<'a> Columns<'a> {
    fn of(links: &[LinkWrite<'a>]) -> Columns<'a> {
        Columns {
            internal_ids: links.iter().map(|link| link.internal_id).collect(),
            codes: links.iter().map(|link| link.code).collect(),
            external_ids: links.iter().map(|link| link.external_id).collect(),
            hashes: links.iter().map(|link| link.hash.map(|hash| hash.as_slice())).collect(),
            version_kinds: links.iter().map(|link| link.version.map(|version| version.kind.clone())).collect(),
            versions: links.iter().map(|link| link.version.map(|version| version.value)).collect(),
            received_at: links.iter().map(|link| link.received_at).collect(),
            ordinals: links.iter().map(|link| link.ordinal).collect(),
        }
    }
}
