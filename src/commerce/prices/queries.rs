//! Statements on prices.

use std::collections::HashMap;

use sqlx::PgConnection;

use super::{entry::Entry, role::Terms};
use crate::commerce::{WriteContext, claims::Holder, code_lists::keys};

keys!("price", "prices");

/// A known price after the update: `changed` are the fields that got another value, `revision` is the one before.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) place: i64,
    pub(super) id: i64,
    pub(super) product_id: i64,
    pub(super) role: String,
    pub(super) revision: i64,
    pub(super) changed: i64,
}

fn column<'e, 'a, C>(entries: &'e [&Entry<'a>], of: impl Fn(&'e Entry<'a>) -> C) -> Vec<C> {
    entries.iter().map(|entry| of(entry)).collect()
}

pub(super) async fn holders(conn: &mut PgConnection, entries: &[Entry<'_>]) -> Result<Vec<Holder>, sqlx::Error> {
    sqlx::query_as!(
        Holder,
        r#"
        select p.code as "key!", p.id as "id!", p.code as "code!"
        from unnest($1::bigint[], $2::text[]) as i (id, code)
        join commerce.price p on p.code = i.code and p.id <> i.id
        "#,
        &entries.iter().map(|entry| entry.id).collect::<Vec<_>>(),
        &entries.iter().map(|entry| entry.code).collect::<Vec<_>>() as _,
    )
    .fetch_all(conn)
    .await
}

/// Locks these prices and answers what they are judged by.
pub(super) async fn terms(conn: &mut PgConnection, ids: &[i64]) -> Result<HashMap<i64, Terms>, sqlx::Error> {
    let rows = sqlx::query!(
        "select id, role, customer_id, customer_pattern, price_list_id, tier, valid_from, valid_to
         from commerce.price where id = any ($1) order by id for no key update",
        ids,
    )
    .fetch_all(conn)
    .await?;
    let terms = rows.into_iter().map(|row| {
        let terms = Terms {
            role: row.role,
            customer: row.customer_id,
            customer_pattern: row.customer_pattern,
            price_list: row.price_list_id,
            tier: row.tier,
            valid_from: row.valid_from,
            valid_to: row.valid_to,
        };
        (row.id, terms)
    });
    Ok(terms.collect())
}

pub(super) async fn insert(
    conn: &mut PgConnection,
    cx: &WriteContext<'_>,
    new: &[&Entry<'_>],
) -> Result<(), sqlx::Error> {
    sqlx::query_file!(
        "src/commerce/prices/sql/insert.sql",
        cx.by.now,
        cx.by.origin,
        &column(new, |e| e.id),
        &column(new, |e| e.product) as _,
        &column(new, |e| e.customer) as _,
        &column(new, |e| e.price_list) as _,
        &column(new, |e| e.priority),
        &column(new, |e| e.valid_from) as _,
        &column(new, |e| e.valid_to) as _,
        &column(new, |e| e.vat_included),
        &column(new, |e| e.is_active),
        &column(new, |e| e.code) as _,
        &column(new, |e| e.role) as _,
        &column(new, |e| e.currency) as _,
        &column(new, |e| e.amount) as _,
        &column(new, |e| e.min_quantity),
        &column(new, |e| e.unit) as _,
        &column(new, |e| e.tier) as _,
        &column(new, |e| e.customer_pattern) as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn update(
    conn: &mut PgConnection,
    cx: &WriteContext<'_>,
    known: &[&Entry<'_>],
) -> Result<Vec<Seen>, sqlx::Error> {
    sqlx::query_file_as!(
        Seen,
        "src/commerce/prices/sql/update.sql",
        &column(known, |e| e.place as i64),
        &column(known, |e| e.given),
        &column(known, |e| e.id),
        &column(known, |e| e.product) as _,
        &column(known, |e| e.customer) as _,
        &column(known, |e| e.price_list) as _,
        &column(known, |e| e.priority),
        &column(known, |e| e.valid_from) as _,
        &column(known, |e| e.valid_to) as _,
        &column(known, |e| e.vat_included),
        &column(known, |e| e.is_active),
        &column(known, |e| e.code) as _,
        &column(known, |e| e.role) as _,
        &column(known, |e| e.currency) as _,
        &column(known, |e| e.amount) as _,
        &column(known, |e| e.min_quantity),
        &column(known, |e| e.unit) as _,
        &column(known, |e| e.tier) as _,
        &column(known, |e| e.customer_pattern) as _,
        cx.by.now,
        cx.by.origin,
    )
    .fetch_all(conn)
    .await
}
