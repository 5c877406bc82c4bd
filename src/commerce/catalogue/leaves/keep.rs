//! Making leaves, and making those anew whose products have changed.

use sqlx::PgConnection;

/// Products of a leaf when it is made. One that has come to hold twice as many is parted.
const LEAF: i64 = 64;
/// Leaves that are made in one turn.
const AT_ONCE: i64 = 100;
/// Room behind a leaf for those that it is parted into.
const ROOM: i64 = 1 << 42;
/// With less they are all made anew: more than a turn brings do not fit in.
const LEAST_ROOM: i64 = 1 << 12;

/// No leaf is there any more.
pub(in super::super) async fn forget(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with gone as (delete from commerce.search_leaf)
         update commerce.shelf_state set leaves_name = null, leaves_id = null, leaves_ready = false"
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes over what became of these products, and makes further leaves if there are not all yet. Answers whether there are.
pub(in super::super) async fn bring_up(conn: &mut PgConnection, changed: &[i64]) -> Result<bool, sqlx::Error> {
    let mut written = 0;
    if !changed.is_empty() {
        match stale(conn, changed).await? {
            Some(places) if places.is_empty() => {}
            Some(places) => written += renew(conn, &places).await?,
            // There is no leaf for a product.
            None => forget(conn).await?,
        }
    }
    let state = sqlx::query!("select leaves_ready, leaves_name, leaves_id from commerce.shelf_state")
        .fetch_one(&mut *conn)
        .await?;
    let mut is_whole = state.leaves_ready;
    if !is_whole {
        let made = grow(conn, state.leaves_name.as_deref().unwrap_or_default(), state.leaves_id.unwrap_or(i64::MIN));
        let made = made.await?;
        is_whole = made < LEAF * AT_ONCE;
        written += made;
    }
    if written > 0 {
        // What waits to be taken into the index is read from end to end by each search.
        sqlx::query!("select gin_clean_pending_list('commerce.search_leaf_by_gram')").fetch_one(&mut *conn).await?;
        sqlx::query!("select gin_clean_pending_list('commerce.search_leaf_by_product')").fetch_one(conn).await?;
    }
    Ok(is_whole)
}

/// The leaves in which something is not as it is; `None`: there is none for a product.
async fn stale(conn: &mut PgConnection, changed: &[i64]) -> Result<Option<Vec<i64>>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        with now as (
            select p.id, p.name, p.search_text from commerce.product p
            where p.id = any ($1) and p.is_active and p.deleted_at is null
        ), was as (
            select u.id, u.name, u.text, l.place
            from commerce.search_leaf l cross join lateral unnest(l.ids, l.names, l.texts) u (id, name, text)
            where l.ids && $1 and u.id = any ($1)
        ), differ as materialized (
            select now.id, now.name, was.place
            from now full join was on was.id = now.id
            where (now.name, now.search_text) is distinct from (was.name, was.text)
        )
        select place from differ where place is not null
        union
        select home.place
        from differ d
        cross join commerce.shelf_state s
        left join lateral (
            select l.place from commerce.search_leaf l
            where (l.name collate "tr-x-icu", l.product_id) <= (d.name collate "tr-x-icu", d.id)
            order by l.name collate "tr-x-icu" desc, l.product_id desc limit 1
        ) home on true
        where d.id is not null
          and (s.leaves_ready or (d.name collate "tr-x-icu", d.id) <= (s.leaves_name collate "tr-x-icu", s.leaves_id))
        "#,
        changed,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.place).collect())
}

/// Makes these leaves anew, of what lies between them and the next ones. Answers how many products they hold.
async fn renew(conn: &mut PgConnection, places: &[i64]) -> Result<i64, sqlx::Error> {
    let bounds = sqlx::query!(
        r#"
        select l.place, l.name, l.product_id, coalesce(next.place, l.place + $2) as "next_place!",
               coalesce(next.name, case when s.leaves_ready then last.name else s.leaves_name end, '') as "next_name!",
               coalesce(next.product_id, case when s.leaves_ready then last.id else s.leaves_id end + 1, 0) as "next_id!"
        from commerce.search_leaf l
        cross join commerce.shelf_state s
        left join lateral (
            select n.place, n.name, n.product_id from commerce.search_leaf n where n.place > l.place order by n.place limit 1
        ) next on true
        left join (
            select p.name, p.id from commerce.product p where p.is_active and p.deleted_at is null
            order by p.name collate "tr-x-icu" desc, p.id desc limit 1
        ) last on true
        where l.place = any ($1)
        "#,
        places,
        ROOM,
    )
    .fetch_all(&mut *conn)
    .await?;
    if bounds.iter().any(|leaf| leaf.next_place - leaf.place < LEAST_ROOM) {
        forget(conn).await?;
        return Ok(0);
    }
    sqlx::query!("delete from commerce.search_leaf where place = any ($1)", places).execute(&mut *conn).await?;
    let made = sqlx::query!(
        r#"
        with made as (
            insert into commerce.search_leaf (place, name, product_id, ids, names, texts)
            select b.place + m.part * ((b.next_place - b.place) / m.parts),
                   case when m.part = 0 then b.name else m.names[1] end,
                   case when m.part = 0 then b.product_id else m.ids[1] end, m.ids, m.names, m.texts
            from unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[])
                 b (place, name, product_id, next_place, next_name, next_id)
            cross join lateral (
                select n.part, n.parts, array_agg(n.id order by n.n) as ids, array_agg(n.name order by n.n) as names,
                       array_agg(n.search_text order by n.n) as texts
                from (select p.id, p.name, p.search_text, p.n, p.parts, p.n * p.parts / p.total as part
                      from (select p.id, p.name, p.search_text, p.n, p.total,
                                   case when p.total <= 2 * $7::bigint then 1 else (p.total + $7 - 1) / $7 end as parts
                            from (select p.id, p.name, p.search_text,
                                         row_number() over (order by p.name collate "tr-x-icu", p.id) - 1 as n,
                                         count(*) over () as total
                                  from commerce.product p
                                  where p.is_active and p.deleted_at is null
                                    and (p.name collate "tr-x-icu", p.id) >= (b.name collate "tr-x-icu", b.product_id)
                                    and (p.name collate "tr-x-icu", p.id) < (b.next_name collate "tr-x-icu", b.next_id)) p) p) n
                group by n.part, n.parts
                union all
                -- The first leaf stays, for what comes before all others.
                select 0, 1, '{}', '{}', '{}'
                where b.name = '' and not exists (
                    select from commerce.product p
                    where p.is_active and p.deleted_at is null
                      and (p.name collate "tr-x-icu", p.id) >= (b.name collate "tr-x-icu", b.product_id)
                      and (p.name collate "tr-x-icu", p.id) < (b.next_name collate "tr-x-icu", b.next_id))
            ) m
            returning cardinality(ids) as products
        )
        select coalesce(sum(products), 0)::bigint as "made!" from made
        "#,
        &bounds.iter().map(|leaf| leaf.place).collect::<Vec<_>>(),
        &bounds.iter().map(|leaf| leaf.name.clone()).collect::<Vec<_>>(),
        &bounds.iter().map(|leaf| leaf.product_id).collect::<Vec<_>>(),
        &bounds.iter().map(|leaf| leaf.next_place).collect::<Vec<_>>(),
        &bounds.iter().map(|leaf| leaf.next_name.clone()).collect::<Vec<_>>(),
        &bounds.iter().map(|leaf| leaf.next_id).collect::<Vec<_>>(),
        LEAF,
    )
    .fetch_one(conn)
    .await?
    .made;
    Ok(made.max(1))
}

/// Makes the next leaves behind those that are there. Answers how many products they hold.
async fn grow(conn: &mut PgConnection, name: &str, id: i64) -> Result<i64, sqlx::Error> {
    let made = sqlx::query!(
        r#"
        with next as materialized (
            select p.id, p.name, p.search_text, row_number() over (order by p.name collate "tr-x-icu", p.id) - 1 as n
            from (select p.id, p.name, p.search_text from commerce.product p
                  where p.is_active and p.deleted_at is null
                    and (p.name collate "tr-x-icu", p.id) > ($1 collate "tr-x-icu", $2)
                  order by p.name collate "tr-x-icu", p.id limit $3) p
        ), last as (
            select coalesce(max(place), 0) as place from commerce.search_leaf
        ), made as (
            insert into commerce.search_leaf (place, name, product_id, ids, names, texts)
            select last.place + (next.n / $4 + 1) * $5,
                   case when last.place = 0 and next.n / $4 = 0 then '' else (array_agg(next.name order by next.n))[1] end,
                   case when last.place = 0 and next.n / $4 = 0 then -9223372036854775808
                        else (array_agg(next.id order by next.n))[1] end,
                   array_agg(next.id order by next.n), array_agg(next.name order by next.n),
                   array_agg(next.search_text order by next.n)
            from next cross join last
            group by last.place, next.n / $4
        ), state as (
            update commerce.shelf_state
            set leaves_name = coalesce((select name from next order by n desc limit 1), leaves_name),
                leaves_id = coalesce((select id from next order by n desc limit 1), leaves_id),
                leaves_ready = (select count(*) from next) < $3
        )
        select count(*) as "made!" from next
        "#,
        name,
        id,
        LEAF * AT_ONCE,
        LEAF,
        ROOM,
    )
    .fetch_one(conn)
    .await?
    .made;
    Ok(made)
}
