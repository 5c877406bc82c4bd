//! Writing products down.

use std::collections::HashMap;

use sqlx::PgConnection;

use crate::commerce::{
    catalogue::{
        Forms, Written,
        detail::{self, Detail},
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
    let mut lines: HashMap<i64, Written> = HashMap::with_capacity(ids.len());
    for (listed, _) in list::cores(conn, ids).await? {
        let id = listed.id;
        lines.extend((forms.listed)(Listed { stock: None, ..listed }).map(|written| (id, written)));
    }
    let mut kept = Vec::with_capacity(lines.len());
    let [mut heads, mut tails, mut page_heads, mut page_tails] = [const { Vec::new() }; 4];
    let mut prices = Vec::with_capacity(lines.len());
    for page in detail::cores(&mut *conn, ids).await? {
        let id = page.id;
        let Some((line, page)) = lines.remove(&id).zip((forms.detail)(Detail { stock: None, ..page })) else {
            continue;
        };
        let texts = [line.head, line.tail, page.head, page.tail].map(|bytes| String::from_utf8(bytes.into_vec()));
        let [Ok(head), Ok(tail), Ok(page_head), Ok(page_tail)] = texts else { continue };
        kept.push(id);
        heads.push(head);
        tails.push(tail);
        page_heads.push(page_head);
        page_tails.push(page_tail);
        prices.push(match offers.get(&id) {
            Some(Some(offers)) => pack(offers),
            Some(None) => None,
            None => pack(&[]),
        });
    }
    sqlx::query!(
        "delete from commerce.written_product where product_id = any ($1) and product_id <> all ($2)",
        ids,
        &kept
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "insert into commerce.written_product as w (product_id, head, tail, page_head, page_tail, prices)
         select * from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[])
         on conflict (product_id) do update
         set head = excluded.head, tail = excluded.tail, page_head = excluded.page_head, page_tail = excluded.page_tail,
             prices = excluded.prices
         where (w.head, w.tail, w.page_head, w.page_tail, w.prices)
               is distinct from (excluded.head, excluded.tail, excluded.page_head, excluded.page_tail, excluded.prices)",
        &kept,
        &heads,
        &tails,
        &page_heads,
        &page_tails,
        &prices as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}
