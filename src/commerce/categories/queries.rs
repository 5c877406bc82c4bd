//! Statements on categories.

use std::collections::HashMap;

use sqlx::PgConnection;

use super::upsert::Entry;
use crate::commerce::{WriteContext, claims::Holder, code_lists::keys};

keys!("category", "categories");

pub(super) async fn holders(conn: &mut PgConnection, entries: &[Entry<'_>]) -> Result<Vec<Holder>, sqlx::Error> {
    sqlx::query_as!(
        Holder,
        r#"select p.code as "key!", p.id, p.code as "code!" from commerce.category p where p.code = any ($1)"#,
        &entries.iter().map(|entry| entry.code).collect::<Vec<_>>() as _,
    )
    .fetch_all(conn)
    .await
}

/// One page at a time moves categories, until its transaction ends.
pub(super) async fn lock_tree(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("select pg_advisory_xact_lock('commerce.category'::regclass::oid::bigint)").execute(conn).await?;
    Ok(())
}

/// The parents of these categories and of all above them.
pub(super) async fn ancestors(conn: &mut PgConnection, ids: &[i64]) -> Result<HashMap<i64, Option<i64>>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        with recursive above as (
            select id, parent_id from commerce.category where id = any ($1)
            union
            select c.id, c.parent_id from above a join commerce.category c on c.id = a.parent_id
        )
        select id as "id!", parent_id from above
        "#,
        ids,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.parent_id)).collect())
}

pub(super) async fn insert(
    conn: &mut PgConnection,
    cx: &WriteContext<'_>,
    new: &[&Entry<'_>],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into commerce.category
            (id, parent_id, code, name, is_active, created_at, updated_at, created_by, updated_by)
         select i.id, i.parent_id, i.code, i.name, i.is_active, $6, $6, $7, $7
         from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::boolean[])
            as i (id, parent_id, code, name, is_active)",
        &new.iter().map(|entry| entry.id).collect::<Vec<_>>(),
        &new.iter().map(|entry| entry.parent).collect::<Vec<_>>() as _,
        &new.iter().map(|entry| entry.code).collect::<Vec<_>>() as _,
        &new.iter().map(|entry| entry.name).collect::<Vec<_>>() as _,
        &new.iter().map(|entry| entry.is_active).collect::<Vec<_>>(),
        cx.by.now,
        cx.by.origin,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Place and changed fields of every row that was found.
pub(super) async fn update(
    conn: &mut PgConnection,
    cx: &WriteContext<'_>,
    known: &[&Entry<'_>],
) -> Result<Vec<(usize, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        with current as materialized (
            select p.id, i.place, i.code, i.name, i.parent_id, i.is_active,
                case when i.given & 1 <> 0 and p.code <> i.code then 1 else 0 end
                | case when i.given & 2 <> 0 and p.name <> i.name then 2 else 0 end
                | case when i.given & 4 <> 0 and p.parent_id is distinct from i.parent_id then 4 else 0 end
                | case when i.given & 8 <> 0 and p.is_active <> i.is_active then 8 else 0 end
                    as changed
            from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::boolean[])
                as i (place, id, given, code, name, parent_id, is_active)
            join commerce.category p on p.id = i.id
            order by p.id
            for no key update of p
        ), updated as (
            update commerce.category p
            set code = case when c.changed & 1 <> 0 then c.code else p.code end,
                name = case when c.changed & 2 <> 0 then c.name else p.name end,
                parent_id = case when c.changed & 4 <> 0 then c.parent_id else p.parent_id end,
                is_active = case when c.changed & 8 <> 0 then c.is_active else p.is_active end,
                revision = p.revision + 1, updated_at = $8, updated_by = $9
            from current c
            where p.id = c.id and c.changed <> 0
        )
        select place as "place!", changed::bigint as "changed!" from current
        "#,
        &known.iter().map(|entry| entry.place as i64).collect::<Vec<_>>(),
        &known.iter().map(|entry| entry.id).collect::<Vec<_>>(),
        &known.iter().map(|entry| entry.given).collect::<Vec<_>>(),
        &known.iter().map(|entry| entry.code).collect::<Vec<_>>() as _,
        &known.iter().map(|entry| entry.name).collect::<Vec<_>>() as _,
        &known.iter().map(|entry| entry.parent).collect::<Vec<_>>() as _,
        &known.iter().map(|entry| entry.is_active).collect::<Vec<_>>(),
        cx.by.now,
        cx.by.origin,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.place as usize, row.changed)).collect())
}
