//! Statements on unit sets.

use std::collections::HashSet;

use sqlx::PgConnection;

use super::upsert::Entry;
use crate::commerce::{
    WriteContext,
    claims::Holder,
    code_lists::keys,
    ownership::{Field, UnitSetField},
    units::StoredLine,
};

keys!("unit_set", "unit sets");

fn ids(entries: &[&Entry<'_>]) -> Vec<i64> {
    entries.iter().map(|entry| entry.id).collect()
}

/// The carried lines, a row each.
fn lines<'e, 'a>(entries: &'e [&Entry<'a>]) -> Vec<(i64, &'e StoredLine<'a>)> {
    entries.iter().flat_map(|entry| entry.units.iter().flatten().map(|line| (entry.id, line))).collect()
}

pub(super) async fn holders(conn: &mut PgConnection, entries: &[Entry<'_>]) -> Result<Vec<Holder>, sqlx::Error> {
    sqlx::query_as!(
        Holder,
        r#"select p.code as "key!", p.id, p.code as "code!" from commerce.unit_set p where p.code = any ($1)"#,
        &entries.iter().map(|entry| entry.code).collect::<Vec<_>>() as _,
    )
    .fetch_all(conn)
    .await
}

pub(super) async fn lock(conn: &mut PgConnection, known: &[&Entry<'_>]) -> Result<(), sqlx::Error> {
    sqlx::query_scalar!(
        "select id from commerce.unit_set where id = any ($1) order by id for no key update",
        &ids(known),
    )
    .fetch_all(conn)
    .await?;
    Ok(())
}

pub(super) async fn insert(
    conn: &mut PgConnection,
    cx: &WriteContext<'_>,
    new: &[&Entry<'_>],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into commerce.unit_set (id, code, name, created_at, updated_at, created_by, updated_by)
         select i.id, i.code, i.name, $4, $4, $5, $5
         from unnest($1::bigint[], $2::text[], $3::text[]) as i (id, code, name)",
        &ids(new),
        &new.iter().map(|entry| entry.code).collect::<Vec<_>>() as _,
        &new.iter().map(|entry| entry.name).collect::<Vec<_>>() as _,
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
    changed_lines: &HashSet<i64>,
) -> Result<Vec<(usize, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        with current as materialized (
            select p.id, i.place, i.code, i.name,
                i.parts
                | case when i.given & 1 <> 0 and p.code <> i.code then 1 else 0 end
                | case when i.given & 2 <> 0 and p.name <> i.name then 2 else 0 end
                    as changed
            from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[])
                as i (place, id, given, parts, code, name)
            join commerce.unit_set p on p.id = i.id
            order by p.id
            for no key update of p
        ), updated as (
            update commerce.unit_set p
            set code = case when c.changed & 1 <> 0 then c.code else p.code end,
                name = case when c.changed & 2 <> 0 then c.name else p.name end,
                revision = p.revision + 1, updated_at = $7, updated_by = $8
            from current c
            where p.id = c.id and c.changed <> 0
        )
        select place as "place!", changed as "changed!" from current
        "#,
        &known.iter().map(|entry| entry.place as i64).collect::<Vec<_>>(),
        &ids(known),
        &known.iter().map(|entry| entry.given).collect::<Vec<_>>(),
        &known
            .iter()
            .map(|entry| if changed_lines.contains(&entry.id) { UnitSetField::Units.bit() } else { 0 })
            .collect::<Vec<_>>(),
        &known.iter().map(|entry| entry.code).collect::<Vec<_>>() as _,
        &known.iter().map(|entry| entry.name).collect::<Vec<_>>() as _,
        cx.by.now,
        cx.by.origin,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.place as usize, row.changed)).collect())
}

/// The sets whose stored lines differ from the carried ones.
pub(super) async fn changed_lines(conn: &mut PgConnection, known: &[&Entry<'_>]) -> Result<HashSet<i64>, sqlx::Error> {
    let carrying: Vec<i64> = known.iter().filter(|entry| entry.units.is_some()).map(|entry| entry.id).collect();
    let lines = lines(known);
    let found = sqlx::query_scalar!(
        r#"
        with carried as (
            select *
            from unnest(
                $2::bigint[], $3::smallint[], $4::smallint[], $5::boolean[], $6::text[], $7::text[], $8::numeric[],
                $9::numeric[]
            ) as c (unit_set_id, position, decimals, is_main, unit, name, numerator, denominator)
        ), stored as (
            select * from commerce.unit_set_line where unit_set_id = any ($1)
        )
        select distinct coalesce(c.unit_set_id, s.unit_set_id) as "id!"
        from carried c
        full join stored s on s.unit_set_id = c.unit_set_id and s.unit = c.unit
        where (c.position, c.decimals, c.is_main, c.unit, c.name, c.numerator, c.denominator)
            is distinct from (s.position, s.decimals, s.is_main, s.unit, s.name, s.numerator, s.denominator)
        "#,
        &carrying,
        &lines.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
        &lines.iter().map(|(_, line)| line.position).collect::<Vec<_>>(),
        &lines.iter().map(|(_, line)| line.decimals).collect::<Vec<_>>(),
        &lines.iter().map(|(_, line)| line.is_main).collect::<Vec<_>>(),
        &lines.iter().map(|(_, line)| line.unit).collect::<Vec<_>>() as _,
        &lines.iter().map(|(_, line)| line.name).collect::<Vec<_>>() as _,
        &lines.iter().map(|(_, line)| line.numerator).collect::<Vec<_>>(),
        &lines.iter().map(|(_, line)| line.denominator).collect::<Vec<_>>(),
    )
    .fetch_all(conn)
    .await?;
    Ok(found.into_iter().collect())
}

pub(super) async fn delete_lines(conn: &mut PgConnection, entries: &[&Entry<'_>]) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from commerce.unit_set_line where unit_set_id = any ($1)", &ids(entries))
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn insert_lines(conn: &mut PgConnection, entries: &[&Entry<'_>]) -> Result<(), sqlx::Error> {
    let lines = lines(entries);
    sqlx::query!(
        "insert into commerce.unit_set_line
            (unit_set_id, position, decimals, is_main, unit, name, numerator, denominator)
         select *
         from unnest(
            $1::bigint[], $2::smallint[], $3::smallint[], $4::boolean[], $5::text[], $6::text[], $7::numeric[],
            $8::numeric[]
         )",
        &lines.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
        &lines.iter().map(|(_, line)| line.position).collect::<Vec<_>>(),
        &lines.iter().map(|(_, line)| line.decimals).collect::<Vec<_>>(),
        &lines.iter().map(|(_, line)| line.is_main).collect::<Vec<_>>(),
        &lines.iter().map(|(_, line)| line.unit).collect::<Vec<_>>() as _,
        &lines.iter().map(|(_, line)| line.name).collect::<Vec<_>>() as _,
        &lines.iter().map(|(_, line)| line.numerator).collect::<Vec<_>>(),
        &lines.iter().map(|(_, line)| line.denominator).collect::<Vec<_>>(),
    )
    .execute(conn)
    .await?;
    Ok(())
}
