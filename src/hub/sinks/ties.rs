//! Links that are made by sending, and the codes that the records of a document have over there.

use std::collections::HashMap;

use sqlx::{PgConnection, PgExecutor};

/// A record of ours that is over there as well now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tie {
    /// `order`, `customer`, `return`.
    pub entity: &'static str,
    pub internal_id: i64,
    /// By what its people call it, or by our reference.
    pub code: String,
    pub external_id: String,
}

/// Takes ids over there from records of ours that had them before. They were given anew: an ERP counts from the beginning in each
/// period, and what carries our reference is the newer one.
async fn vacate(conn: &mut PgConnection, connector: &str, entity: &str, ties: &[&Tie]) -> Result<(), sqlx::Error> {
    let vacated = sqlx::query!(
        "update hub.external_ref r set external_id = null
         from unnest($3::bigint[], $4::text[]) as t (id, external_id)
         where r.connector = $1 and r.entity = $2 and r.external_id = t.external_id and r.internal_id <> t.id
         returning r.internal_id, t.external_id as \"external_id!\"",
        connector,
        entity,
        &ties.iter().map(|tie| tie.internal_id).collect::<Vec<_>>(),
        &ties.iter().map(|tie| tie.external_id.as_str()).collect::<Vec<_>>() as _,
    )
    .fetch_all(conn)
    .await?;
    for row in vacated {
        let (internal_id, external_id) = (row.internal_id, row.external_id);
        tracing::info!(connector, entity, internal_id, external_id, "its id over there is another record's now");
    }
    Ok(())
}

/// Writes the link, or what of it is new. A code that is linked to another record of ours stays with that one, and so does the number of
/// a card: a person has to look, and what was done is done. `false`: so it is.
pub async fn tie(conn: &mut PgConnection, connector: &str, tie: &Tie) -> Result<bool, sqlx::Error> {
    // Cards keep their numbers: one that another customer has is that one's.
    if tie.entity != "customer" {
        vacate(conn, connector, tie.entity, &[tie]).await?;
    }
    let written = sqlx::query!(
        "insert into hub.external_ref as r (connector, entity, internal_id, external_code, external_id)
         select $1, $2, $3, $4, $5
         where not exists (select from hub.external_ref o
                           where o.connector = $1 and o.entity = $2 and o.internal_id <> $3
                             and (o.external_code = $4 or o.external_id = $5))
         on conflict (internal_id, connector, entity) do update
             set external_code = excluded.external_code, external_id = excluded.external_id,
                 last_synced_at = clock_timestamp()",
        connector,
        tie.entity,
        tie.internal_id,
        tie.code,
        tie.external_id,
    )
    .execute(&mut *conn)
    .await?
    .rows_affected();
    if written == 0 {
        let Tie { entity, internal_id, code, external_id } = tie;
        tracing::error!(connector, entity, internal_id, code, external_id, "another record of ours has this link");
    }
    Ok(written > 0)
}

/// Writes the links of several records of one kind, all of different codes and ids; see [`tie`].
pub async fn tie_all(
    conn: &mut PgConnection,
    connector: &str,
    entity: &'static str,
    ties: &[&Tie],
) -> Result<(), sqlx::Error> {
    vacate(conn, connector, entity, ties).await?;
    let written = sqlx::query_scalar!(
        "insert into hub.external_ref as r (connector, entity, internal_id, external_code, external_id)
         select $1, $2, t.id, t.code, t.external_id
         from unnest($3::bigint[], $4::text[], $5::text[]) as t (id, code, external_id)
         where not exists (select from hub.external_ref o
                           where o.connector = $1 and o.entity = $2 and o.internal_id <> t.id
                             and (o.external_code = t.code or o.external_id = t.external_id))
         on conflict (internal_id, connector, entity) do update
             set external_code = excluded.external_code, external_id = excluded.external_id,
                 last_synced_at = clock_timestamp()
         returning internal_id",
        connector,
        entity,
        &ties.iter().map(|tie| tie.internal_id).collect::<Vec<_>>(),
        &ties.iter().map(|tie| tie.code.as_str()).collect::<Vec<_>>() as _,
        &ties.iter().map(|tie| tie.external_id.as_str()).collect::<Vec<_>>() as _,
    )
    .fetch_all(conn)
    .await?;
    for Tie { internal_id, code, external_id, .. } in ties.iter().filter(|tie| !written.contains(&tie.internal_id)) {
        tracing::error!(connector, entity, internal_id, code, external_id, "another record of ours has this link");
    }
    Ok(())
}

/// Code and id of a record over there; `None`: it is not there, as far as we know.
pub async fn tied<'e>(
    db: impl PgExecutor<'e>,
    connector: &str,
    entity: &str,
    internal_id: i64,
) -> Result<Option<(String, Option<String>)>, sqlx::Error> {
    let row = sqlx::query!(
        "select external_code, external_id from hub.external_ref
         where internal_id = $1 and connector = $2 and entity = $3",
        internal_id,
        connector,
        entity,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| (row.external_code, row.external_id)))
}

/// The codes of several records over there, by entity and id.
pub async fn codes<'e>(
    db: impl PgExecutor<'e>,
    connector: &str,
    wanted: &[(&str, i64)],
) -> Result<HashMap<(String, i64), String>, sqlx::Error> {
    let rows = sqlx::query!(
        "select r.entity, r.internal_id, r.external_code
         from unnest($2::text[], $3::bigint[]) as w (entity, id)
         join hub.external_ref r on r.internal_id = w.id and r.connector = $1 and r.entity = w.entity",
        connector,
        &wanted.iter().map(|(entity, _)| *entity).collect::<Vec<_>>() as _,
        &wanted.iter().map(|(_, id)| *id).collect::<Vec<_>>(),
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| ((row.entity, row.internal_id), row.external_code)).collect())
}

/// Whether something that is to make it over there is open, a letter included.
pub async fn is_being_made<'e>(
    db: impl PgExecutor<'e>,
    target: &str,
    aggregate: &str,
    id: i64,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from hub.delivery
                          where target = $1 and aggregate = $2 and aggregate_id = $3) as "open!""#,
        target,
        aggregate,
        id,
    )
    .fetch_one(db)
    .await
}
