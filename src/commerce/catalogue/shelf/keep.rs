//! Bringing the shelf up to date.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::NaiveDate;
use rust_decimal::Decimal;
use sqlx::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;

use super::ODD;
use crate::{
    commerce::{
        catalogue::{Forms, leaves, written},
        pricing::{Offer, ShelfRow, offers_of, shelf_rows},
    },
    transaction,
};

/// Of a shelf that is filled from the beginning, so many products at once.
const CHUNK: i64 = 1_000;
/// After more changes than that it is filled anew.
const MOST_AT_ONCE: i64 = 50_000;
/// The key of the lock under which it is done, one at a time: "shelf".
const LOCK: i64 = 0x73_68_65_6c_66;

/// Notes that say nothing of prices are passed over when there are so many: every page looks at what was not.
const MANY_NOTES: i64 = 20;
const EVERY: Duration = Duration::from_millis(500);
/// How many times as long as a turn took the next one waits, so that a flood of changes leaves the machine to those who make it.
const REST: u32 = 4;
/// Somebody else keeps it; should they end, we take over.
const WATCH: Duration = Duration::from_secs(3);
const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// What a turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Everything that was there to do.
    Done { products: usize },
    /// There is more.
    More { products: usize },
    /// Somebody else is at it.
    Elsewhere,
}

/// Keeps the shelf up to date until the end, from when somebody has read the catalogue (`asked`).
pub async fn run(db: PgPool, forms: Forms, asked: Arc<AtomicBool>, until: CancellationToken) {
    loop {
        let began = Instant::now();
        let came = match is_wanted(&db, &asked).await {
            Ok(true) => turn(&db, forms).await,
            Ok(false) => Ok(Turn::Done { products: 0 }),
            Err(error) => Err(error),
        };
        let pause = match came {
            Ok(Turn::Done { .. }) => EVERY + began.elapsed() * REST,
            Ok(Turn::More { .. }) => began.elapsed() * REST,
            Ok(Turn::Elsewhere) => WATCH,
            Err(error) => {
                tracing::warn!(%error, "pages are put together slowly: what is written down of products and prices could not be brought up to date");
                AFTER_FAILURE
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = until.cancelled() => return,
        }
    }
}

/// Who only pushes and never shows a catalogue has nothing written down. Once begun it is gone on with.
async fn is_wanted(db: &PgPool, asked: &AtomicBool) -> Result<bool, sqlx::Error> {
    if asked.load(Ordering::Relaxed) {
        return Ok(true);
    }
    sqlx::query_scalar!(r#"select snapshot is not null as "begun!" from commerce.shelf_state"#).fetch_one(db).await
}

/// Takes over what has changed, or fills the next part of a shelf that is not full yet.
pub async fn turn(db: &PgPool, forms: Forms) -> Result<Turn, sqlx::Error> {
    match turned(db, forms).await {
        // Another one has been here since our snapshot.
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("40001") => Ok(Turn::Elsewhere),
        other => other,
    }
}

async fn turned(db: &PgPool, forms: Forms) -> Result<Turn, sqlx::Error> {
    let mut tx = transaction::begin_with(db, "begin isolation level repeatable read").await?;
    let state = sqlx::query!(
        r#"select pg_try_advisory_xact_lock($1) as "is_ours!", ready, built_to, snapshot, form,
                  pg_current_snapshot()::text as "now!"
           from commerce.shelf_state"#,
        LOCK,
    )
    .fetch_one(&mut *tx)
    .await?;
    if !state.is_ours {
        return Ok(Turn::Elsewhere);
    }
    let is_our_form = state.form.as_deref() == Some((forms.form)());
    let turn = match (state.ready && is_our_form, state.snapshot) {
        (true, Some(snapshot)) => follow(&mut tx, forms, &snapshot, &state.now).await?,
        _ => fill(&mut tx, forms, state.built_to.filter(|_| is_our_form), &state.now).await?,
    };
    tx.commit().await?;
    Ok(turn)
}

async fn follow(conn: &mut PgConnection, forms: Forms, snapshot: &str, now: &str) -> Result<Turn, sqlx::Error> {
    let changed = sqlx::query!(
        r#"
        with news as materialized (
            select c.ids, c.of_prices as counts, c.kind = 'product' as moved
            from commerce.catalogue_change c
            where c.xid >= pg_snapshot_xmin($1::text::pg_snapshot) and c.kind in ('goods', 'product')
              and not pg_visible_in_snapshot(c.xid, $1::text::pg_snapshot)
        )
        select exists (select from news where ids is null) as "lost!",
               (select count(*) from news) as "notes!",
               array(select distinct unnest(ids) from news where counts limit $2) as "ids!",
               array(select unnest(ids) from news where not counts except select unnest(ids) from news where counts
                     limit $2) as "stock!",
               array(select distinct unnest(ids) from news where moved limit $2) as "moved!"
        "#,
        snapshot,
        MOST_AT_ONCE + 1,
    )
    .fetch_one(&mut *conn)
    .await?;
    if changed.lost || changed.ids.len().max(changed.stock.len()) as i64 > MOST_AT_ONCE {
        sqlx::query!("update commerce.shelf_state set ready = false, built_to = null").execute(conn).await?;
        return Ok(Turn::More { products: 0 });
    }
    let products = changed.ids.len() + changed.stock.len();
    if products > 0 || changed.notes > MANY_NOTES {
        for ids in changed.ids.chunks(CHUNK as usize) {
            sqlx::query!("delete from commerce.shelf where product_id = any ($1)", ids).execute(&mut *conn).await?;
            put(conn, forms, ids).await?;
        }
        for ids in changed.stock.chunks(CHUNK as usize) {
            written::restock(conn, forms, ids).await?;
        }
        sqlx::query!("update commerce.shelf_state set snapshot = $1", now).execute(&mut *conn).await?;
    }
    let is_whole = leaves::bring_up(conn, &changed.moved).await?;
    Ok(if is_whole { Turn::Done { products } } else { Turn::More { products } })
}

async fn fill(conn: &mut PgConnection, forms: Forms, built_to: Option<i64>, now: &str) -> Result<Turn, sqlx::Error> {
    if built_to.is_none() {
        // What they have not taken over would not be told any more.
        leaves::forget(conn).await?;
    }
    let from = built_to.unwrap_or(i64::MIN);
    let ids = sqlx::query_scalar!("select id from commerce.product where id > $1 order by id limit $2", from, CHUNK)
        .fetch_all(&mut *conn)
        .await?;
    let is_last = (ids.len() as i64) < CHUNK;
    let to = if is_last { i64::MAX } else { ids.last().copied().unwrap_or(i64::MAX) };
    sqlx::query!("delete from commerce.shelf where product_id > $1 and product_id <= $2", from, to)
        .execute(&mut *conn)
        .await?;
    sqlx::query!(
        "with gone as (
             delete from commerce.written_page where product_id > $1 and product_id <= $2 and product_id <> all ($3)
         )
         delete from commerce.written_product where product_id > $1 and product_id <= $2 and product_id <> all ($3)",
        from,
        to,
        &ids
    )
    .execute(&mut *conn)
    .await?;
    put(conn, forms, &ids).await?;
    // What changes from the first part on is news, wherever the filling stands.
    sqlx::query!(
        "update commerce.shelf_state
         set built_to = $1, ready = $2, form = $3, snapshot = case when $4 then $5 else snapshot end",
        to,
        is_last,
        (forms.form)(),
        built_to.is_none(),
        now,
    )
    .execute(conn)
    .await?;
    // The leaves are still to be made.
    Ok(Turn::More { products: ids.len() })
}

/// Writes the rows of products that have none.
async fn put(conn: &mut PgConnection, forms: Forms, ids: &[i64]) -> Result<(), sqlx::Error> {
    let there = sqlx::query_scalar!("select id from commerce.product where id = any ($1)", ids);
    let there = there.fetch_all(&mut *conn).await?;
    let mut offers = offers_of(conn, &there).await?;
    written::put(conn, forms, ids, &offers).await?;
    let mut rows: Vec<(i64, ShelfRow)> = Vec::with_capacity(there.len());
    for id in there {
        let of_it: Option<Vec<Offer>> = offers.remove(&id).unwrap_or_else(|| Some(Vec::new()));
        let odd = || ShelfRow {
            audience: ODD.to_owned(),
            since: None,
            until: None,
            prefers: String::new(),
            but: Vec::new(),
            net: None,
        };
        let of_it = of_it.map_or_else(|| vec![odd()], |offers| shelf_rows(&offers));
        rows.extend(of_it.into_iter().map(|row| (id, row)));
    }
    let of = |row: &ShelfRow| (!row.but.is_empty()).then(|| row.but.join(","));
    sqlx::query!(
        "insert into commerce.shelf (product_id, audience, since, until, prefers, but, net)
         select product_id, audience, coalesce(since, '-infinity'), coalesce(until, 'infinity'), prefers,
                string_to_array(but, ','), net
         from unnest($1::bigint[], $2::text[], $3::date[], $4::date[], $5::text[], $6::text[], $7::numeric[])
              as i (product_id, audience, since, until, prefers, but, net)",
        &rows.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
        &rows.iter().map(|(_, row)| row.audience.as_str()).collect::<Vec<_>>() as _,
        &rows.iter().map(|(_, row)| row.since).collect::<Vec<Option<NaiveDate>>>() as _,
        &rows.iter().map(|(_, row)| row.until).collect::<Vec<Option<NaiveDate>>>() as _,
        &rows.iter().map(|(_, row)| row.prefers.as_str()).collect::<Vec<_>>() as _,
        &rows.iter().map(|(_, row)| of(row)).collect::<Vec<_>>() as _,
        &rows.iter().map(|(_, row)| row.net).collect::<Vec<Option<Decimal>>>() as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes older than so many minutes go; a shelf that has not taken over one of them is filled anew. Answers how many went.
pub(in super::super) async fn outran(db: &PgPool, minutes: i32) -> Result<u64, sqlx::Error> {
    let gone = sqlx::query_scalar!(
        r#"
        with gone as (
            delete from commerce.catalogue_change where at < clock_timestamp() - make_interval(mins => $1) returning xid
        ), lost as (
            update commerce.shelf_state set ready = false, built_to = null
            where snapshot is not null
              and exists (select from gone where not pg_visible_in_snapshot(gone.xid, snapshot::pg_snapshot))
        )
        select count(*) as "gone!" from gone
        "#,
        minutes,
    )
    .fetch_one(db)
    .await?;
    Ok(u64::try_from(gone).unwrap_or(0))
}
