//! Statements on stock.

use rust_decimal::Decimal;
use sqlx::PgConnection;

use super::upsert::Entry;
use crate::commerce::WriteContext;

/// A known level after the update: `changed` are the figures that got another value, `revision` is the one before.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) place: i64,
    pub(super) revision: i64,
    pub(super) same_place: bool,
    pub(super) changed: i64,
}

fn column<C>(entries: &[&Entry], of: impl Fn(&Entry) -> C) -> Vec<C> {
    entries.iter().map(|entry| of(entry)).collect()
}

/// Ids for that many new stock levels, rising.
pub async fn allocate_ids(conn: &mut PgConnection, count: usize) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select nextval('commerce.stock_level_id_seq') as "id!" from generate_series(1, $1::bigint)"#,
        count as i64,
    )
    .fetch_all(conn)
    .await
}

/// Which of these (product, warehouse) have a level already: place in the input, and id.
pub async fn ids_by_place(conn: &mut PgConnection, places: &[(i64, i64)]) -> Result<Vec<(usize, i64)>, sqlx::Error> {
    let found = sqlx::query!(
        r#"
        select i.place as "place!", s.id
        from unnest($1::bigint[], $2::bigint[]) with ordinality as i (product_id, warehouse_id, place)
        join commerce.stock_level s on s.product_id = i.product_id and s.warehouse_id = i.warehouse_id
        order by i.place
        "#,
        &places.iter().map(|(product, _)| *product).collect::<Vec<_>>(),
        &places.iter().map(|(_, warehouse)| *warehouse).collect::<Vec<_>>(),
    )
    .fetch_all(conn)
    .await?;
    Ok(found.into_iter().map(|row| (row.place as usize - 1, row.id)).collect())
}

/// What these levels are of: id, product, warehouse.
pub async fn places_by_id(conn: &mut PgConnection, ids: &[i64]) -> Result<Vec<(i64, i64, i64)>, sqlx::Error> {
    let found = sqlx::query!("select id, product_id, warehouse_id from commerce.stock_level where id = any($1)", ids)
        .fetch_all(conn)
        .await?;
    Ok(found.into_iter().map(|row| (row.id, row.product_id, row.warehouse_id)).collect())
}

/// The figure of a level, which nobody else changes until the transaction ends.
pub(crate) async fn quantity_of(conn: &mut PgConnection, id: i64) -> Result<Option<Decimal>, sqlx::Error> {
    sqlx::query_scalar!("select quantity from commerce.stock_level where id = $1 for no key update", id)
        .fetch_optional(conn)
        .await
}

pub(super) async fn insert(conn: &mut PgConnection, cx: &WriteContext<'_>, new: &[&Entry]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into commerce.stock_level
            (id, product_id, warehouse_id, quantity, on_hand, reserved_remote, on_order, created_at, updated_at)
         select unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::bigint[]), unnest($4::numeric[]),
            unnest($5::numeric[]), unnest($6::numeric[]), unnest($7::numeric[]), $8, $8",
        &column(new, |e| e.id),
        &column(new, |e| e.product),
        &column(new, |e| e.warehouse),
        &column(new, |e| e.quantity),
        &column(new, |e| e.on_hand) as _,
        &column(new, |e| e.reserved) as _,
        &column(new, |e| e.on_order) as _,
        cx.by.now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn update(
    conn: &mut PgConnection,
    cx: &WriteContext<'_>,
    known: &[&Entry],
    reason: &str,
) -> Result<Vec<Seen>, sqlx::Error> {
    sqlx::query_file_as!(
        Seen,
        "src/commerce/stock/sql/update.sql",
        &column(known, |e| e.row as i64),
        &column(known, |e| e.given),
        &column(known, |e| e.id),
        &column(known, |e| e.product),
        &column(known, |e| e.warehouse),
        &column(known, |e| e.quantity),
        &column(known, |e| e.on_hand) as _,
        &column(known, |e| e.reserved) as _,
        &column(known, |e| e.on_order) as _,
        cx.by.now,
        reason,
        cx.by.origin,
        cx.by.correlation_id,
    )
    .fetch_all(conn)
    .await
}
