//! Statements on products.

use std::collections::{HashMap, HashSet};

use sqlx::{PgConnection, PgPool};

use super::entry::{Entry, ImageLine};
use crate::commerce::{WriteContext, Writer, claims::Holder, code_lists::keys, units::StoredLine};

keys!("product", "products");

pub(crate) async fn code_of(conn: &mut PgConnection, id: i64) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!("select code from commerce.product where id = $1", id).fetch_optional(conn).await
}

/// The same, and nobody else changes the product until the transaction ends.
pub(crate) async fn lock_code(conn: &mut PgConnection, id: i64) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!("select code from commerce.product where id = $1 for no key update", id)
        .fetch_optional(conn)
        .await
}

/// Addresses and descriptions of a product's images, in their order.
pub(crate) async fn images(conn: &mut PgConnection, id: i64) -> Result<Vec<(String, Option<String>)>, sqlx::Error> {
    let rows = sqlx::query!("select url, alt from commerce.product_image where product_id = $1 order by position", id)
        .fetch_all(conn)
        .await?;
    Ok(rows.into_iter().map(|row| (row.url, row.alt)).collect())
}

/// Which of these names the address of some product's image ends with.
pub async fn shown_images(db: &PgPool, names: &[String]) -> Result<HashSet<String>, sqlx::Error> {
    let found = sqlx::query_scalar!(
        r#"select distinct substring(url from '[^/]*$') as "name!" from commerce.product_image
           where substring(url from '[^/]*$') = any ($1)"#,
        names,
    );
    Ok(found.fetch_all(db).await?.into_iter().collect())
}

/// A known product after the update: `changed` are the fields that got another value, `revision` is the one before.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) place: i64,
    pub(super) id: i64,
    pub(super) revision: i64,
    pub(super) changed: i64,
    /// The carried fields that an override keeps as they are.
    pub(super) held: i64,
    pub(super) sku: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Holders {
    pub(super) codes: Vec<Holder>,
    pub(super) skus: Vec<Holder>,
}

fn column<'e, 'a, C>(entries: &'e [&Entry<'a>], of: impl Fn(&'e Entry<'a>) -> C) -> Vec<C> {
    entries.iter().map(|entry| of(entry)).collect()
}

pub(super) async fn holders(conn: &mut PgConnection, entries: &[Entry<'_>]) -> Result<Holders, sqlx::Error> {
    let found = sqlx::query_file!(
        "src/commerce/products/sql/holders.sql",
        &entries.iter().map(|entry| entry.id).collect::<Vec<_>>(),
        &entries.iter().map(|entry| entry.code).collect::<Vec<_>>() as _,
        &entries.iter().map(|entry| entry.sku).collect::<Vec<_>>() as _,
    )
    .fetch_all(conn)
    .await?;
    let mut holders = Holders::default();
    for row in found {
        let list = if row.kind == "sku" { &mut holders.skus } else { &mut holders.codes };
        list.push(Holder { key: row.key, id: row.id, code: row.code });
    }
    Ok(holders)
}

/// SKUs that another row of the page takes over. Their products get a new one later in the same page.
pub(super) async fn vacate_skus(conn: &mut PgConnection, ids: &[i64]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with locked as materialized (
            select id from commerce.product where id = any ($1) order by id for update
         )
         update commerce.product p set sku = null from locked l where p.id = l.id",
        ids,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn insert(
    conn: &mut PgConnection,
    cx: &WriteContext<'_>,
    new: &[&Entry<'_>],
) -> Result<(), sqlx::Error> {
    sqlx::query_file!(
        "src/commerce/products/sql/insert.sql",
        cx.by.now,
        cx.by.origin,
        &column(new, |e| e.id),
        &column(new, |e| e.category) as _,
        &column(new, |e| e.brand) as _,
        &column(new, |e| e.unit_set) as _,
        &column(new, |e| e.warranty_months) as _,
        &column(new, |e| e.is_active),
        &column(new, |e| e.is_featured),
        &column(new, |e| e.track_stock),
        &column(new, |e| e.requires_serial_number),
        &column(new, |e| e.code) as _,
        &column(new, |e| e.sku) as _,
        &column(new, |e| e.name) as _,
        &column(new, |e| e.slug.as_deref()) as _,
        &column(new, |e| e.unit) as _,
        &column(new, |e| e.barcode) as _,
        &column(new, |e| e.vat_rate) as _,
        &column(new, |e| e.product_type_code) as _,
        &column(new, |e| e.weight) as _,
        &column(new, |e| e.weight_unit) as _,
        &column(new, |e| e.minimum_order_quantity) as _,
        &column(new, |e| e.order_multiple) as _,
        &column(new, |e| e.variant_group) as _,
        &column(new, |e| e.short_description) as _,
        &column(new, |e| e.description) as _,
        &column(new, |e| e.options) as _,
        &column(new, |e| e.attributes) as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn update(
    conn: &mut PgConnection,
    cx: &WriteContext<'_>,
    known: &[&Entry<'_>],
    changed_parts: &HashMap<i64, i64>,
) -> Result<Vec<Seen>, sqlx::Error> {
    sqlx::query_file_as!(
        Seen,
        "src/commerce/products/sql/update.sql",
        &column(known, |e| e.place as i64),
        &column(known, |e| e.given),
        &column(known, |e| changed_parts.get(&e.id).copied().unwrap_or(0)),
        &column(known, |e| e.id),
        &column(known, |e| e.category) as _,
        &column(known, |e| e.brand) as _,
        &column(known, |e| e.unit_set) as _,
        &column(known, |e| e.warranty_months) as _,
        &column(known, |e| e.is_active),
        &column(known, |e| e.is_featured),
        &column(known, |e| e.track_stock),
        &column(known, |e| e.requires_serial_number),
        &column(known, |e| e.code) as _,
        &column(known, |e| e.sku) as _,
        &column(known, |e| e.name) as _,
        &column(known, |e| e.slug.as_deref()) as _,
        &column(known, |e| e.unit) as _,
        &column(known, |e| e.barcode) as _,
        &column(known, |e| e.vat_rate) as _,
        &column(known, |e| e.product_type_code) as _,
        &column(known, |e| e.weight) as _,
        &column(known, |e| e.weight_unit) as _,
        &column(known, |e| e.minimum_order_quantity) as _,
        &column(known, |e| e.order_multiple) as _,
        &column(known, |e| e.variant_group) as _,
        &column(known, |e| e.short_description) as _,
        &column(known, |e| e.description) as _,
        &column(known, |e| e.options) as _,
        &column(known, |e| e.attributes) as _,
        cx.by.now,
        cx.by.origin,
        if cx.writer == Writer::Source { -1_i64 } else { 0 },
    )
    .fetch_all(conn)
    .await
}

pub(super) async fn lock(conn: &mut PgConnection, known: &[&Entry<'_>]) -> Result<(), sqlx::Error> {
    sqlx::query_scalar!(
        "select id from commerce.product where id = any ($1) order by id for no key update",
        &column(known, |e| e.id),
    )
    .fetch_all(conn)
    .await?;
    Ok(())
}

/// The carried units of these products, a row each.
fn unit_rows<'e, 'a>(entries: &'e [&Entry<'a>]) -> Vec<(i64, &'e StoredLine<'a>)> {
    entries.iter().flat_map(|entry| entry.units.iter().flatten().map(|line| (entry.id, line))).collect()
}

fn image_rows<'e, 'a>(entries: &'e [&Entry<'a>]) -> Vec<(i64, i16, &'e ImageLine<'a>)> {
    let numbered = |images: &'e Vec<ImageLine<'a>>| images.iter().zip(0_i16..);
    entries
        .iter()
        .flat_map(|entry| entry.images.iter().flat_map(numbered).map(|(line, position)| (entry.id, position, line)))
        .collect()
}

pub(super) async fn changed_units(conn: &mut PgConnection, known: &[&Entry<'_>]) -> Result<Vec<i64>, sqlx::Error> {
    let carrying: Vec<i64> = known.iter().filter(|entry| entry.units.is_some()).map(|entry| entry.id).collect();
    let lines = unit_rows(known);
    sqlx::query_file_scalar!(
        "src/commerce/products/sql/changed_units.sql",
        &carrying,
        &lines.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
        &lines.iter().map(|(_, line)| line.position).collect::<Vec<_>>(),
        &lines.iter().map(|(_, line)| line.decimals).collect::<Vec<_>>(),
        &lines.iter().map(|(_, line)| line.is_main).collect::<Vec<_>>(),
        &lines.iter().map(|(_, line)| line.unit).collect::<Vec<_>>() as _,
        &lines.iter().map(|(_, line)| line.name).collect::<Vec<_>>() as _,
        &lines.iter().map(|(_, line)| line.numerator).collect::<Vec<_>>(),
        &lines.iter().map(|(_, line)| line.denominator).collect::<Vec<_>>(),
        &lines.iter().map(|(_, line)| line.weight).collect::<Vec<_>>() as _,
        &lines.iter().map(|(_, line)| line.barcode).collect::<Vec<_>>() as _,
    )
    .fetch_all(conn)
    .await
}

pub(super) async fn delete_units(conn: &mut PgConnection, products: &HashSet<i64>) -> Result<(), sqlx::Error> {
    let ids: Vec<i64> = products.iter().copied().collect();
    sqlx::query!("delete from commerce.product_unit where product_id = any ($1)", &ids).execute(conn).await?;
    Ok(())
}

pub(super) async fn insert_units(conn: &mut PgConnection, entries: &[&Entry<'_>]) -> Result<(), sqlx::Error> {
    let lines = unit_rows(entries);
    if lines.is_empty() {
        return Ok(());
    }
    sqlx::query_file!(
        "src/commerce/products/sql/insert_units.sql",
        &lines.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
        &lines.iter().map(|(_, line)| line.position).collect::<Vec<_>>(),
        &lines.iter().map(|(_, line)| line.decimals).collect::<Vec<_>>(),
        &lines.iter().map(|(_, line)| line.is_main).collect::<Vec<_>>(),
        &lines.iter().map(|(_, line)| line.unit).collect::<Vec<_>>() as _,
        &lines.iter().map(|(_, line)| line.name).collect::<Vec<_>>() as _,
        &lines.iter().map(|(_, line)| line.numerator).collect::<Vec<_>>(),
        &lines.iter().map(|(_, line)| line.denominator).collect::<Vec<_>>(),
        &lines.iter().map(|(_, line)| line.weight).collect::<Vec<_>>() as _,
        &lines.iter().map(|(_, line)| line.barcode).collect::<Vec<_>>() as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn changed_images(conn: &mut PgConnection, known: &[&Entry<'_>]) -> Result<Vec<i64>, sqlx::Error> {
    let carrying: Vec<i64> = known.iter().filter(|entry| entry.images.is_some()).map(|entry| entry.id).collect();
    let lines = image_rows(known);
    sqlx::query_scalar!(
        r#"
        select distinct coalesce(c.product_id, s.product_id) as "id!"
        from unnest($2::bigint[], $3::smallint[], $4::text[], $5::text[]) as c (product_id, position, url, alt)
        full join (select * from commerce.product_image where product_id = any ($1)) s
            on s.product_id = c.product_id and s.position = c.position
        where (c.url, c.alt) is distinct from (s.url, s.alt)
        "#,
        &carrying,
        &lines.iter().map(|(id, ..)| *id).collect::<Vec<_>>(),
        &lines.iter().map(|(_, position, _)| *position).collect::<Vec<_>>(),
        &lines.iter().map(|(.., line)| line.url).collect::<Vec<_>>() as _,
        &lines.iter().map(|(.., line)| line.alt).collect::<Vec<_>>() as _,
    )
    .fetch_all(conn)
    .await
}

pub(super) async fn delete_images(conn: &mut PgConnection, products: &HashSet<i64>) -> Result<(), sqlx::Error> {
    let ids: Vec<i64> = products.iter().copied().collect();
    sqlx::query!("delete from commerce.product_image where product_id = any ($1)", &ids).execute(conn).await?;
    Ok(())
}

pub(super) async fn insert_images(conn: &mut PgConnection, entries: &[&Entry<'_>]) -> Result<(), sqlx::Error> {
    let lines = image_rows(entries);
    if lines.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into commerce.product_image (product_id, position, url, alt)
         select * from unnest($1::bigint[], $2::smallint[], $3::text[], $4::text[])",
        &lines.iter().map(|(id, ..)| *id).collect::<Vec<_>>(),
        &lines.iter().map(|(_, position, _)| *position).collect::<Vec<_>>(),
        &lines.iter().map(|(.., line)| line.url).collect::<Vec<_>>() as _,
        &lines.iter().map(|(.., line)| line.alt).collect::<Vec<_>>() as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}
