//! External codes that no table knows: counted as pages go by, listed for a person to answer.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, PgExecutor, PgPool};

use super::{
    overlay::{Place, write_down},
    shelf::{Shelf, system_of},
};
use crate::{
    audit::Actor,
    mapping::{Mapping, Unmapped},
    transaction,
};

/// A code as it is listed, by the instance that sent it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnmappedCode {
    pub system: String,
    pub table: String,
    pub code: String,
    pub connector: String,
    /// The mapping that met it last.
    pub mapping: String,
    /// How often it came, over all passes.
    pub seen: i64,
    /// A record that carries it.
    pub example: Option<String>,
    pub first_seen_at: DateTime<Utc>,
    pub last_seen_at: DateTime<Utc>,
    pub ignored_at: Option<DateTime<Utc>>,
    pub ignored_by: Option<String>,
}

/// Counts the codes of a page. The last statement of its transaction, so that nobody waits for what it locks and holds
/// what it waits for.
pub async fn count(
    tx: &mut PgConnection,
    connector: &str,
    mapping: &Mapping,
    found: &[Unmapped],
) -> Result<(), sqlx::Error> {
    if found.is_empty() {
        return Ok(());
    }
    // A code longer than any that a person could answer is told by its beginning.
    let code = |one: &Unmapped| one.code.chars().take(200).collect::<String>();
    sqlx::query!(
        "insert into hub.unmapped_code as c (system, table_name, code, connector, mapping, seen, example)
         select $1, u.table_name, u.code, $2, $3, sum(u.seen), min(u.example)
         from unnest($4::text[], $5::text[], $6::bigint[], $7::text[]) as u (table_name, code, seen, example)
         group by u.table_name, u.code
         order by u.table_name collate \"C\", u.code collate \"C\"
         on conflict (system, table_name, code, connector) do update
         set seen = c.seen + excluded.seen, mapping = excluded.mapping, last_seen_at = clock_timestamp(),
             example = coalesce(excluded.example, c.example)",
        system_of(mapping.name()),
        connector,
        mapping.name(),
        &found.iter().map(|one| one.table.clone()).collect::<Vec<_>>(),
        &found.iter().map(code).collect::<Vec<_>>(),
        &found.iter().map(|one| i64::try_from(one.count).unwrap_or(i64::MAX)).collect::<Vec<_>>(),
        found.iter().map(|one| one.example.clone()).collect::<Vec<_>>() as _,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Which codes are meant; every field narrows.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub system: Option<String>,
    pub connector: Option<String>,
    pub table: Option<String>,
    /// Those that a person has put aside as well.
    pub ignored: bool,
}

/// The last code of a page, behind which the next one begins.
#[derive(Debug, Clone)]
pub struct After {
    pub system: String,
    pub table: String,
    pub code: String,
    pub connector: String,
}

/// In the order of system, table, code and instance. Codes that were answered meanwhile are left out.
pub async fn list<'e>(
    db: impl PgExecutor<'e>,
    filter: &Filter,
    after: Option<&After>,
    limit: i64,
) -> Result<Vec<UnmappedCode>, sqlx::Error> {
    sqlx::query_as!(
        UnmappedCode,
        r#"select c.system, c.table_name as "table", c.code, c.connector, c.mapping, c.seen, c.example, c.first_seen_at,
                c.last_seen_at, c.ignored_at, c.ignored_by
         from hub.unmapped_code c
         where ($1::text is null or c.system = $1)
           and ($2::text is null or c.connector = $2)
           and ($3::text is null or c.table_name = $3)
           and ($4 or c.ignored_at is null)
           and ($5::text is null or (c.system, c.table_name, c.code, c.connector)
                                  > ($5 collate "C", $6 collate "C", $7 collate "C", $8 collate "C"))
           and not exists (select from hub.mapping_answer o
                           where o.system = c.system and o.table_name = c.table_name and o.code = c.code
                             and (o.connector is null or o.connector = c.connector))
         order by c.system, c.table_name, c.code, c.connector
         limit $9"#,
        filter.system,
        filter.connector,
        filter.table,
        filter.ignored,
        after.map(|after| after.system.as_str()),
        after.map(|after| after.table.as_str()),
        after.map(|after| after.code.as_str()),
        after.map(|after| after.connector.as_str()),
        limit,
    )
    .fetch_all(db)
    .await
}

/// The systems in which a code of this table waits for an answer; `connector`: only of that instance.
pub async fn systems_of<'e>(
    db: impl PgExecutor<'e>,
    table: &str,
    code: &str,
    connector: Option<&str>,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "select distinct system from hub.unmapped_code
         where table_name = $1 and code = $2 and ($3::text is null or connector = $3)
         order by system",
        table,
        code,
        connector,
    )
    .fetch_all(db)
    .await
}

/// Puts a code aside: it is counted on, and listed only when asked for. Returns how many instances sent it.
pub async fn ignore(pool: &PgPool, place: Place<'_>, by: Actor<'_>) -> Result<u64, sqlx::Error> {
    let mut tx = transaction::begin(pool).await?;
    let done = sqlx::query!(
        "update hub.unmapped_code set ignored_at = clock_timestamp(), ignored_by = $4
         where system = $1 and table_name = $2 and code = $3 and ignored_at is null
           and ($5::text is null or connector = $5)",
        place.system,
        place.table,
        place.code,
        by.name,
        place.instance,
    )
    .execute(&mut *tx)
    .await?
    .rows_affected();
    if done > 0 {
        write_down(&mut tx, "mapping_code.ignored", place, json!({ "instances": done }), by).await?;
    }
    tx.commit().await?;
    Ok(done)
}

/// How many codes of each instance wait for an answer.
pub async fn open_counts<'e>(db: impl PgExecutor<'e>) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select c.connector, count(*) as "n!" from hub.unmapped_code c
           where c.ignored_at is null
             and not exists (select from hub.mapping_answer o
                             where o.system = c.system and o.table_name = c.table_name and o.code = c.code
                               and (o.connector is null or o.connector = c.connector))
           group by c.connector"#
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.connector, row.n)).collect())
}

/// Forgets codes that the mappings in force know: answered, or written into a file.
pub async fn forget_known(pool: &PgPool, shelf: &Shelf) -> Result<(), sqlx::Error> {
    let in_force = shelf.now();
    let all = Filter { ignored: true, ..Filter::default() };
    let mut after: Option<After> = None;
    loop {
        let page = list(pool, &all, after.as_ref(), 1000).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(After {
            system: last.system.clone(),
            table: last.table.clone(),
            code: last.code.clone(),
            connector: last.connector.clone(),
        });
        let known = |row: &&UnmappedCode| {
            in_force.get_for(&row.connector, &row.mapping).is_some_and(|mapping| mapping.knows(&row.table, &row.code))
        };
        let known: Vec<&UnmappedCode> = page.iter().filter(known).collect();
        if known.is_empty() {
            continue;
        }
        let column = |pick: fn(&UnmappedCode) -> &str| -> Vec<&str> { known.iter().map(|row| pick(row)).collect() };
        sqlx::query!(
            "delete from hub.unmapped_code c
             using unnest($1::text[], $2::text[], $3::text[], $4::text[]) as u (system, table_name, code, connector)
             where (c.system, c.table_name, c.code, c.connector) = (u.system, u.table_name, u.code, u.connector)",
            &column(|row| &row.system) as _,
            &column(|row| &row.table) as _,
            &column(|row| &row.code) as _,
            &column(|row| &row.connector) as _,
        )
        .execute(pool)
        .await?;
    }
}
