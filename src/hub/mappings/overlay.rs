//! What a person answered for external codes that no table of the files knows.
//!
//! Invariants
//! - Every answer raises the version in its own transaction, so answers are seen in the order in which they were given.
//! - An answer fits every field that is looked up in its table, and is written down in the audit.
//! - An answer for one instance stands before one for all of its system.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, PgExecutor, PgPool};

use super::shelf::{InForce, Overlays, Shelf};
use crate::{
    audit::{self, Actor, Entry},
    mapping::BadAnswer,
    transaction,
};

/// Channel that tells daemons of a new answer; the version in the store is the truth.
pub const CHANNEL: &str = "hub_mapping";

/// An answer as it is listed.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    pub system: String,
    pub table: String,
    pub code: String,
    /// `None`: it holds for all instances.
    pub instance: Option<String>,
    pub value: String,
    pub answered_by: String,
    pub answered_at: DateTime<Utc>,
}

/// A code of a table of a system.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub system: &'a str,
    pub table: &'a str,
    pub code: &'a str,
    /// Only as this instance sends it.
    pub instance: Option<&'a str>,
}

#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    #[error("no mapping of `{system}` looks anything up in a table `{table}`; its tables are: {known}")]
    UnknownTable { system: String, table: String, known: String },
    #[error("a code has no blanks on the right, and `160.0` is written `160`: give `{0}`")]
    NotPlain(String),
    #[error("the code is empty")]
    Empty,
    #[error(transparent)]
    Value(#[from] BadAnswer),
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
}

/// Takes over the answers when there are newer ones than this process holds. True: there were.
pub async fn refresh<'e>(db: impl PgExecutor<'e> + Copy, shelf: &Shelf) -> Result<bool, sqlx::Error> {
    let version = sqlx::query_scalar!("select version from hub.mapping_overlay_version").fetch_one(db).await?;
    if version == shelf.now().overlay_version() {
        return Ok(false);
    }
    let (overlays, version) = load(db).await?;
    shelf.put_overlays(overlays, version);
    Ok(true)
}

/// All answers, and the version that they make up: one statement, so that they belong together.
async fn load<'e>(db: impl PgExecutor<'e>) -> Result<(Overlays, i64), sqlx::Error> {
    let rows = sqlx::query!(
        r#"select v.version, o.system as "system?", o.table_name as "table?", o.code as "code?", o.value as "value?",
                  o.connector as "instance?"
           from hub.mapping_overlay_version v left join hub.mapping_answer o on true"#
    )
    .fetch_all(db)
    .await?;
    let mut version = 0;
    let mut overlays = Overlays::default();
    for row in rows {
        version = row.version;
        if let (Some(system), Some(table), Some(code), Some(value)) = (row.system, row.table, row.code, row.value) {
            let systems = match row.instance {
                Some(instance) => overlays.instances.entry(instance).or_default(),
                None => &mut overlays.systems,
            };
            systems.entry(system).or_default().insert(table, code, value);
        }
    }
    Ok((overlays, version))
}

/// Whether the answer can be given: a table that is in use, a code as it is compared, a value that fits.
pub fn check(in_force: &InForce, place: Place<'_>, value: &str) -> Result<(), AnswerError> {
    let Place { system, table, code, .. } = place;
    let known: std::collections::BTreeSet<&str> =
        in_force.of_system(system).flat_map(|mapping| mapping.tables()).collect();
    if !known.contains(table) {
        let known = if known.is_empty() { "none".to_owned() } else { known.into_iter().collect::<Vec<_>>().join(", ") };
        return Err(AnswerError::UnknownTable { system: system.to_owned(), table: table.to_owned(), known });
    }
    if code.trim().is_empty() {
        return Err(AnswerError::Empty);
    }
    let plain = crate::mapping::plain_code(code);
    if plain != code {
        return Err(AnswerError::NotPlain(plain.to_owned()));
    }
    for mapping in in_force.of_system(system) {
        mapping.check_answer(table, value)?;
    }
    Ok(())
}

/// The systems that have an answer for this code.
pub async fn systems_of(pool: &PgPool, table: &str, code: &str) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "select system from hub.mapping_overlay where table_name = $1 and code = $2 order by 1",
        table,
        code
    )
    .fetch_all(pool)
    .await
}

/// Gives an answer, or another one. The code is no unmapped one any more.
pub async fn answer(pool: &PgPool, place: Place<'_>, value: &str, by: Actor<'_>) -> Result<(), AnswerError> {
    let mut tx = transaction::begin(pool).await?;
    let version = raise_version(&mut tx).await?;
    let before = sqlx::query_scalar!(
        r#"select value as "value!" from hub.mapping_answer
           where system = $1 and table_name = $2 and code = $3 and connector is not distinct from $4"#,
        place.system,
        place.table,
        place.code,
        place.instance,
    )
    .fetch_optional(&mut *tx)
    .await?;
    match place.instance {
        None => sqlx::query!(
            "insert into hub.mapping_overlay (system, table_name, code, value, answered_by) values ($1, $2, $3, $4, $5)
             on conflict (system, table_name, code) do update
             set value = excluded.value, answered_by = excluded.answered_by, answered_at = clock_timestamp()",
            place.system,
            place.table,
            place.code,
            value,
            by.name,
        )
        .execute(&mut *tx),
        Some(instance) => sqlx::query!(
            "insert into hub.mapping_overlay_instance (system, table_name, code, value, answered_by, connector)
             values ($1, $2, $3, $4, $5, $6)
             on conflict (system, table_name, code, connector) do update
             set value = excluded.value, answered_by = excluded.answered_by, answered_at = clock_timestamp()",
            place.system,
            place.table,
            place.code,
            value,
            by.name,
            instance,
        )
        .execute(&mut *tx),
    }
    .await?;
    sqlx::query!(
        "delete from hub.unmapped_code
         where system = $1 and table_name = $2 and code = $3 and ($4::text is null or connector = $4)",
        place.system,
        place.table,
        place.code,
        place.instance,
    )
    .execute(&mut *tx)
    .await?;
    let detail = json!({ "value": value, "before": before, "version": version });
    write_down(&mut tx, "mapping_code.answered", place, detail, by).await?;
    tx.commit().await?;
    Ok(())
}

/// Takes an answer back. False: there was none.
pub async fn remove(pool: &PgPool, place: Place<'_>, by: Actor<'_>) -> Result<bool, sqlx::Error> {
    let mut tx = transaction::begin(pool).await?;
    let before = sqlx::query_scalar!(
        r#"with of_all as (
             delete from hub.mapping_overlay
             where system = $1 and table_name = $2 and code = $3 and $4::text is null returning value
         ), of_one as (
             delete from hub.mapping_overlay_instance
             where system = $1 and table_name = $2 and code = $3 and connector = $4 returning value
         )
         select value as "value!" from of_all union all select value from of_one"#,
        place.system,
        place.table,
        place.code,
        place.instance,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(before) = before else { return Ok(false) };
    let version = raise_version(&mut tx).await?;
    write_down(&mut tx, "mapping_code.removed", place, json!({ "before": before, "version": version }), by).await?;
    tx.commit().await?;
    Ok(true)
}

/// In the order of system, table, code and instance, those for all instances first; `after` is the last one of the page
/// before.
pub async fn list<'e>(
    db: impl PgExecutor<'e>,
    system: Option<&str>,
    after: Option<Place<'_>>,
    limit: i64,
) -> Result<Vec<Answer>, sqlx::Error> {
    sqlx::query_as!(
        Answer,
        r#"select system as "system!", table_name as "table!", code as "code!", connector as instance, value as "value!",
                answered_by as "answered_by!", answered_at as "answered_at!"
         from hub.mapping_answer
         where ($1::text is null or system = $1)
           and ($2::text is null or (system, table_name, code, coalesce(connector, ''))
                                  > ($2 collate "C", $3 collate "C", $4 collate "C", $5 collate "C"))
         order by system, table_name, code, coalesce(connector, '')
         limit $6"#,
        system,
        after.map(|place| place.system),
        after.map(|place| place.table),
        after.map(|place| place.code),
        after.map(|place| place.instance.unwrap_or_default()),
        limit,
    )
    .fetch_all(db)
    .await
}

async fn raise_version(tx: &mut PgConnection) -> Result<i64, sqlx::Error> {
    let version = sqlx::query_scalar!("update hub.mapping_overlay_version set version = version + 1 returning version")
        .fetch_one(&mut *tx)
        .await?;
    sqlx::query!("select pg_notify($1, '')", CHANNEL).fetch_one(tx).await?;
    Ok(version)
}

pub(super) async fn write_down(
    tx: &mut PgConnection,
    action: &'static str,
    place: Place<'_>,
    detail: serde_json::Value,
    by: Actor<'_>,
) -> Result<(), sqlx::Error> {
    let of_instance = place.instance.map_or_else(String::new, |instance| format!("@{instance}"));
    let subject = format!("{}/{}:{}{of_instance}", place.system, place.table, place.code);
    audit::record(tx, by, &[Entry { action, subject_kind: "mapping_code", subject, detail }]).await
}
