//! Statements that write movements.

use sqlx::PgConnection;

use super::entry::Entry;
use crate::commerce::WriteContext;

fn column<'e, 'a, C>(entries: &'e [&Entry<'a>], of: impl Fn(&'e Entry<'a>) -> C) -> Vec<C> {
    entries.iter().map(|entry| of(entry)).collect()
}

/// Ids for that many new movements, rising.
pub async fn allocate_ids(conn: &mut PgConnection, count: usize) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select nextval('commerce.ledger_entry_id_seq') as "id!" from generate_series(1, $1::bigint)"#,
        count as i64,
    )
    .fetch_all(conn)
    .await
}

/// Which of these a book has already: place in the input, and id.
pub async fn ids_by_external_id(
    conn: &mut PgConnection,
    origin: &str,
    external_ids: &[&str],
) -> Result<Vec<(usize, i64)>, sqlx::Error> {
    let found = sqlx::query!(
        r#"select i.place as "place!", e.id
           from unnest($2::text[]) with ordinality as i (external_id, place)
           join commerce.ledger_entry e on e.origin = $1 and e.external_id = i.external_id
           order by i.place"#,
        origin,
        external_ids as _,
    )
    .fetch_all(conn)
    .await?;
    Ok(found.into_iter().map(|row| (row.place as usize - 1, row.id)).collect())
}

/// Locks the customers of these movements, as they are and as they are to be. Gives those that exist.
pub(super) async fn lock_customers(
    conn: &mut PgConnection,
    customers: &[i64],
    entries: &[i64],
) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        "select id from commerce.customer
         where id = any ($1) or id in (select customer_id from commerce.ledger_entry where id = any ($2))
         order by id
         for no key update",
        customers,
        entries,
    )
    .fetch_all(conn)
    .await
}

/// Movements of the same book under another id.
pub(super) async fn holders(
    conn: &mut PgConnection,
    origin: &str,
    entries: &[&Entry<'_>],
) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select i.id as "id!"
           from unnest($2::bigint[], $3::text[]) as i (id, external_id)
           join commerce.ledger_entry e on e.origin = $1 and e.external_id = i.external_id and e.id <> i.id"#,
        origin,
        &column(entries, |e| e.id),
        &column(entries, |e| e.external_id) as _,
    )
    .fetch_all(conn)
    .await
}

pub(super) async fn insert(
    conn: &mut PgConnection,
    cx: &WriteContext<'_>,
    new: &[&Entry<'_>],
) -> Result<(), sqlx::Error> {
    sqlx::query_file!(
        "src/commerce/account/sql/insert.sql",
        cx.by.now,
        cx.by.origin,
        &column(new, |e| e.id),
        &column(new, |e| e.customer),
        &column(new, |e| e.order) as _,
        &column(new, |e| e.booked_at),
        &column(new, |e| e.due_date) as _,
        &column(new, |e| e.is_cancelled),
        &column(new, |e| e.debit),
        &column(new, |e| e.credit),
        &column(new, |e| e.currency) as _,
        &column(new, |e| e.kind.as_str()) as _,
        &column(new, |e| e.external_id) as _,
        &column(new, |e| e.reference) as _,
        &column(new, |e| e.document_number) as _,
        &column(new, |e| e.description) as _,
        &column(new, |e| e.book) as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Place of every row that was found, and whether it changed.
pub(super) async fn update(
    conn: &mut PgConnection,
    cx: &WriteContext<'_>,
    known: &[&Entry<'_>],
) -> Result<Vec<(usize, bool)>, sqlx::Error> {
    let rows = sqlx::query_file!(
        "src/commerce/account/sql/update.sql",
        cx.by.now,
        cx.by.origin,
        &column(known, |e| e.place as i64),
        &column(known, |e| e.id),
        &column(known, |e| e.customer),
        &column(known, |e| e.order) as _,
        &column(known, |e| e.booked_at),
        &column(known, |e| e.due_date) as _,
        &column(known, |e| e.is_cancelled),
        &column(known, |e| e.debit),
        &column(known, |e| e.credit),
        &column(known, |e| e.currency) as _,
        &column(known, |e| e.kind.as_str()) as _,
        &column(known, |e| e.external_id) as _,
        &column(known, |e| e.reference) as _,
        &column(known, |e| e.document_number) as _,
        &column(known, |e| e.description) as _,
        &column(known, |e| e.book) as _,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.place as usize, row.changed)).collect())
}

/// Lets these rows of an ERP take the place of what was provisional for them, and of nothing else.
pub(super) async fn settle(conn: &mut PgConnection, cx: &WriteContext<'_>, ids: &[i64]) -> Result<(), sqlx::Error> {
    sqlx::query_file!("src/commerce/account/sql/settle.sql", ids, cx.by.now, cx.by.origin).execute(conn).await?;
    Ok(())
}

/// Rows of ours, with the row of the ERP that stands for each already, if there is one.
pub(super) async fn post(
    conn: &mut PgConnection,
    cx: &WriteContext<'_>,
    book: &str,
    entries: &[&Entry<'_>],
) -> Result<(), sqlx::Error> {
    sqlx::query_file!(
        "src/commerce/account/sql/post.sql",
        cx.by.now,
        cx.by.origin,
        book,
        &column(entries, |e| e.customer),
        &column(entries, |e| e.order) as _,
        &column(entries, |e| e.booked_at),
        &column(entries, |e| e.due_date) as _,
        &column(entries, |e| e.is_cancelled),
        &column(entries, |e| e.debit),
        &column(entries, |e| e.credit),
        &column(entries, |e| e.currency) as _,
        &column(entries, |e| e.kind.as_str()) as _,
        &column(entries, |e| e.external_id) as _,
        &column(entries, |e| e.reference) as _,
        &column(entries, |e| e.document_number) as _,
        &column(entries, |e| e.description) as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}
