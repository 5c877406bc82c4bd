//! Writing products down.

use std::collections::HashMap;

use sqlx::PgConnection;

use super::{
    levels::{levels_of, sum},
    packed,
};
use crate::commerce::{
    catalogue::{
        Forms, detail,
        found::Place,
        list::{self, Listed},
    },
    pricing::{Offer, pack},
};

/// Writes these products down as they stand; those that are not there any more go.
pub(in super::super) async fn put(
    conn: &mut PgConnection,
    forms: Forms,
    ids: &[i64],
    offers: &HashMap<i64, Option<Vec<Offer>>>,
) -> Result<(), sqlx::Error> {
    let packed_offers = |id: i64| match offers.get(&id) {
        Some(Some(offers)) => pack(offers),
        // Too many.
        Some(None) => None,
        None => pack(&[]),
    };
    let mut lines: HashMap<i64, Vec<u8>> = HashMap::with_capacity(ids.len());
    for (listed, _) in list::cores(conn, ids).await? {
        let place = Place { id: listed.id, code: listed.code.clone(), name: listed.name.clone() };
        let stock = listed.stock;
        let written = (forms.listed)(Listed { stock: None, ..listed });
        let packed = written.zip(packed_offers(place.id));
        let line = packed.and_then(|(written, offers)| packed::line(&place, &written, stock, &offers));
        lines.extend(line.map(|line| (place.id, line)));
    }
    let mut kept = Kept::default();
    for page in detail::cores(&mut *conn, ids).await? {
        let (id, in_stock, counted) = (page.id, page.in_stock, page.track_stock);
        let (Some(line), Some(offers)) = (lines.remove(&id), packed_offers(id)) else { continue };
        let written = (forms.detail)(page);
        let page = written.and_then(|written| packed::page(&written, in_stock, counted, &offers));
        kept.extend(page.map(|page| (id, line, page)));
    }
    sqlx::query!(
        "with gone as (
             delete from commerce.written_page where product_id = any ($1) and product_id <> all ($2)
         )
         delete from commerce.written_product where product_id = any ($1) and product_id <> all ($2)",
        ids,
        &kept.ids
    )
    .execute(&mut *conn)
    .await?;
    kept.write(conn).await
}

/// Writes the stock of these products down as it stands, as far as they are written down.
pub(in super::super) async fn restock(conn: &mut PgConnection, forms: Forms, ids: &[i64]) -> Result<(), sqlx::Error> {
    let rows = sqlx::query!(
        "select p.id, p.track_stock, w.line, g.page
         from commerce.product p
         join commerce.written_product w on w.product_id = p.id
         join commerce.written_page g on g.product_id = p.id
         where p.id = any ($1)",
        ids
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut levels = levels_of(conn, ids).await?;
    let mut kept = Kept::default();
    for row in rows.into_iter().filter(|row| row.track_stock) {
        let levels = levels.remove(&row.id).unwrap_or_default();
        let stock = sum(&levels);
        let line = packed::restocked_line(row.line, Some(stock));
        let page = packed::restocked_page(&row.page, &(forms.levels)(levels), !stock.is_zero(), true);
        kept.extend(line.zip(page).map(|(line, page)| (row.id, line, page)));
    }
    kept.write(conn).await
}

/// Lines and pages, to be written.
#[derive(Default)]
struct Kept {
    ids: Vec<i64>,
    lines: Vec<Vec<u8>>,
    pages: Vec<Vec<u8>>,
}

impl Extend<(i64, Vec<u8>, Vec<u8>)> for Kept {
    fn extend<T: IntoIterator<Item = (i64, Vec<u8>, Vec<u8>)>>(&mut self, products: T) {
        for (id, line, page) in products {
            self.ids.push(id);
            self.lines.push(line);
            self.pages.push(page);
        }
    }
}

impl Kept {
    async fn write(&self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "with lines as (
                 insert into commerce.written_product as w (product_id, line)
                 select * from unnest($1::bigint[], $2::bytea[])
                 on conflict (product_id) do update set line = excluded.line where w.line is distinct from excluded.line
             )
             insert into commerce.written_page as w (product_id, page)
             select * from unnest($1::bigint[], $3::bytea[])
             on conflict (product_id) do update set page = excluded.page where w.page is distinct from excluded.page",
            &self.ids,
            &self.lines,
            &self.pages,
        )
        .execute(conn)
        .await?;
        Ok(())
    }
}
