//! Statements on customers.

use sqlx::PgConnection;

use super::{addresses::StoredAddress, entry::Entry};
use crate::commerce::{
    WriteContext,
    claims::Holder,
    code_lists::keys,
    ownership::{CustomerField, Field},
};

keys!("customer", "customers");

fn column<'e, 'a, C>(entries: &'e [&Entry<'a>], of: impl Fn(&'e Entry<'a>) -> C) -> Vec<C> {
    entries.iter().map(|entry| of(entry)).collect()
}

pub(super) async fn holders(conn: &mut PgConnection, entries: &[Entry<'_>]) -> Result<Vec<Holder>, sqlx::Error> {
    sqlx::query_as!(
        Holder,
        r#"
        select p.code as "key!", p.id as "id!", p.code as "code!"
        from unnest($1::bigint[], $2::text[]) as i (id, code)
        join commerce.customer p on p.code = i.code and p.id <> i.id
        "#,
        &entries.iter().map(|entry| entry.id).collect::<Vec<_>>(),
        &entries.iter().map(|entry| entry.code).collect::<Vec<_>>() as _,
    )
    .fetch_all(conn)
    .await
}

pub(super) async fn lock(conn: &mut PgConnection, known: &[&Entry<'_>]) -> Result<(), sqlx::Error> {
    sqlx::query_scalar!(
        "select id from commerce.customer where id = any ($1) order by id for no key update",
        &column(known, |e| e.id),
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
    sqlx::query_file!(
        "src/commerce/customers/sql/insert.sql",
        cx.by.now,
        cx.by.origin,
        &column(new, |e| e.id),
        &column(new, |e| e.payment_term_days) as _,
        &column(new, |e| e.is_person),
        &column(new, |e| e.is_active),
        &column(new, |e| e.is_approved),
        &column(new, |e| e.tax_number_valid) as _,
        &column(new, |e| e.code) as _,
        &column(new, |e| e.title) as _,
        &column(new, |e| e.tax_number.as_deref()) as _,
        &column(new, |e| e.tax_office) as _,
        &column(new, |e| e.contact) as _,
        &column(new, |e| e.email) as _,
        &column(new, |e| e.phone.as_deref()) as _,
        &column(new, |e| e.mobile.as_deref()) as _,
        &column(new, |e| e.price_tier) as _,
        &column(new, |e| e.credit_limit) as _,
        &column(new, |e| e.currency) as _,
        &column(new, |e| e.payment_term_code) as _,
        &column(new, |e| e.discount_rate) as _,
        &column(new, |e| e.trading_group) as _,
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
    changed_addresses: &[i64],
) -> Result<Vec<(usize, i64)>, sqlx::Error> {
    let parts =
        |entry: &Entry<'_>| if changed_addresses.contains(&entry.id) { CustomerField::Addresses.bit() } else { 0 };
    let rows = sqlx::query_file!(
        "src/commerce/customers/sql/update.sql",
        &column(known, |e| e.place as i64),
        &column(known, |e| e.given),
        &column(known, parts),
        &column(known, |e| e.id),
        &column(known, |e| e.payment_term_days) as _,
        &column(known, |e| e.is_person),
        &column(known, |e| e.is_active),
        &column(known, |e| e.is_approved),
        &column(known, |e| e.tax_number_valid) as _,
        &column(known, |e| e.code) as _,
        &column(known, |e| e.title) as _,
        &column(known, |e| e.tax_number.as_deref()) as _,
        &column(known, |e| e.tax_office) as _,
        &column(known, |e| e.contact) as _,
        &column(known, |e| e.email) as _,
        &column(known, |e| e.phone.as_deref()) as _,
        &column(known, |e| e.mobile.as_deref()) as _,
        &column(known, |e| e.price_tier) as _,
        &column(known, |e| e.credit_limit) as _,
        &column(known, |e| e.currency) as _,
        &column(known, |e| e.payment_term_code) as _,
        &column(known, |e| e.discount_rate) as _,
        &column(known, |e| e.trading_group) as _,
        cx.by.now,
        cx.by.origin,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.place as usize, row.changed)).collect())
}

/// The carried addresses, a row each.
fn lines<'e, 'a>(entries: &'e [&Entry<'a>]) -> Vec<(i64, &'e StoredAddress<'a>)> {
    entries.iter().flat_map(|entry| entry.addresses.iter().flatten().map(|line| (entry.id, line))).collect()
}

/// The customers whose addresses in use differ from the carried ones.
pub(super) async fn changed_addresses(conn: &mut PgConnection, known: &[&Entry<'_>]) -> Result<Vec<i64>, sqlx::Error> {
    let carrying: Vec<i64> = known.iter().filter(|entry| entry.addresses.is_some()).map(|entry| entry.id).collect();
    let lines = lines(known);
    sqlx::query_file_scalar!(
        "src/commerce/customers/sql/changed_addresses.sql",
        &carrying,
        &lines.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
        &lines.iter().map(|(_, it)| it.position).collect::<Vec<_>>(),
        &lines.iter().map(|(_, it)| it.line.is_default).collect::<Vec<_>>(),
        &lines.iter().map(|(_, it)| it.code.as_ref()).collect::<Vec<_>>() as _,
        &lines.iter().map(|(_, it)| it.line.title).collect::<Vec<_>>() as _,
        &lines.iter().map(|(_, it)| it.line.line1).collect::<Vec<_>>() as _,
        &lines.iter().map(|(_, it)| it.line.line2).collect::<Vec<_>>() as _,
        &lines.iter().map(|(_, it)| it.line.district).collect::<Vec<_>>() as _,
        &lines.iter().map(|(_, it)| it.line.town).collect::<Vec<_>>() as _,
        &lines.iter().map(|(_, it)| it.line.city).collect::<Vec<_>>() as _,
        &lines.iter().map(|(_, it)| it.line.country).collect::<Vec<_>>() as _,
        &lines.iter().map(|(_, it)| it.line.postal_code).collect::<Vec<_>>() as _,
        &lines.iter().map(|(_, it)| it.line.phone).collect::<Vec<_>>() as _,
    )
    .fetch_all(conn)
    .await
}

/// Nothing of these customers is in use or the default, until it is written again.
pub(super) async fn retire_addresses(conn: &mut PgConnection, customers: &[i64]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update commerce.customer_address set is_active = false, is_default = false
         where customer_id = any ($1) and (is_active or is_default)",
        customers,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn write_addresses(conn: &mut PgConnection, entries: &[&Entry<'_>]) -> Result<(), sqlx::Error> {
    let lines = lines(entries);
    if lines.is_empty() {
        return Ok(());
    }
    sqlx::query_file!(
        "src/commerce/customers/sql/write_addresses.sql",
        &lines.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
        &lines.iter().map(|(_, it)| it.position).collect::<Vec<_>>(),
        &lines.iter().map(|(_, it)| it.line.is_default).collect::<Vec<_>>(),
        &lines.iter().map(|(_, it)| it.code.as_ref()).collect::<Vec<_>>() as _,
        &lines.iter().map(|(_, it)| it.line.title).collect::<Vec<_>>() as _,
        &lines.iter().map(|(_, it)| it.line.line1).collect::<Vec<_>>() as _,
        &lines.iter().map(|(_, it)| it.line.line2).collect::<Vec<_>>() as _,
        &lines.iter().map(|(_, it)| it.line.district).collect::<Vec<_>>() as _,
        &lines.iter().map(|(_, it)| it.line.town).collect::<Vec<_>>() as _,
        &lines.iter().map(|(_, it)| it.line.city).collect::<Vec<_>>() as _,
        &lines.iter().map(|(_, it)| it.line.country).collect::<Vec<_>>() as _,
        &lines.iter().map(|(_, it)| it.line.postal_code).collect::<Vec<_>>() as _,
        &lines.iter().map(|(_, it)| it.line.phone).collect::<Vec<_>>() as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// An approved customer as another system is to be told of it.
pub async fn outgoing<'e>(
    db: impl sqlx::PgExecutor<'e>,
    customer: i64,
) -> Result<Option<serde_json::Value>, sqlx::Error> {
    sqlx::query_file_scalar!("src/commerce/customers/sql/outgoing.sql", customer).fetch_optional(db).await
}
