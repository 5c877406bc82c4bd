//! Looking words up in the leaves.

use sqlx::{Arguments, PgConnection, QueryBuilder, Row as _, postgres::PgArguments};

use super::super::{
    filter::{Filter, References, Sort},
    list::{self, Key},
};

/// So many leaves are read, if they hold too little before.
const LEAVES: i64 = 400;

/// Where a part of a list begins and how it goes on, in the order of names.
struct Order {
    sign: &'static str,
    direction: &'static str,
    /// The leaf at which a list without a beginning begins.
    first: &'static str,
}

/// One row: whether the leaves can tell, which products changed since, what was found, where, and how many leaves there were to look into.
/// The leaves are unpacked one by one as they stand in their order, and no more of them than hold what is wanted: nothing is sorted
/// afterwards, and whoever asks sees by the places that the order was kept. $1 the words, $2 their patterns, $3 whether each is the beginning of a word, $4 and $5 behind which name and product, $6 how many leaves, $7
/// how many products. What bounds the notes is a query of its own, as in `written::news`.
fn text(order: &Order) -> String {
    let Order { sign, direction, first } = order;
    format!(
        "with words as materialized (
             select commerce.fold(word) as word, is_beginning,
                    commerce.fold(pattern) as pattern
             from unnest($1::text[], $2::text[], $3::boolean[]) w (word, pattern, is_beginning)
         ), asked as materialized (
             select array(select pattern from words) as patterns,
                    array(select g.gram from words w cross join lateral (
                              select ' ' || left(w.word, 2) as gram where w.is_beginning
                              union all
                              select substr(w.word, n, 5) from generate_series(1, length(w.word) - 4) n where not w.is_beginning
                              union all
                              select substr(w.word, n, 3) from generate_series(1, length(w.word) - 2) n
                              where not w.is_beginning and length(w.word) < 5
                          ) g where position(' ' in substr(g.gram, 2)) = 0) as grams
         ), news as materialized (
             select n.ids from commerce.shelf_state s
             cross join lateral (
                 select n.ids, n.kind, n.xid from commerce.catalogue_change n
                 where n.xid >= pg_snapshot_xmin(s.snapshot::pg_snapshot) order by n.xid desc limit (select 501)
             ) n
             where n.kind = 'product' and not pg_visible_in_snapshot(n.xid, s.snapshot::pg_snapshot)
         ), changed as materialized (
             select array(select unnest(ids) from news) as ids
         ), start as materialized (
             select coalesce(
                 (select place from commerce.search_leaf
                  where (name collate \"tr-x-icu\", product_id) <= ($4::text collate \"tr-x-icu\", $5::bigint)
                  order by name collate \"tr-x-icu\" desc, product_id desc limit 1),
                 (select {first}(place) from commerce.search_leaf)) as place
         ), leaves as materialized (
             select l.place, l.ids, l.names, l.texts from commerce.search_leaf l
             where commerce.search_grams(l.texts) @> (select grams from asked) and l.place + 0 {sign}= (select place from start)
             order by l.place {direction} limit (select $6::bigint)
         ), found as materialized (
             select u.id, l.place from leaves l
             cross join lateral (
                 select u.id from unnest(l.ids, l.names, l.texts) with ordinality u (id, name, text, n)
                 where u.text like all ((select patterns from asked)::text[])
                   and (l.place <> (select place from start) or $4 is null
                        or (u.name collate \"tr-x-icu\", u.id) {sign} ($4 collate \"tr-x-icu\", $5))
                   and u.id <> all ((select ids from changed)::bigint[])
                 order by u.n {direction}
             ) u
             limit (select $7::bigint)
         )
         select s.ready and s.leaves_ready and not exists (select from news where ids is null)
                    and (select count(*) from news) <= 500 and cardinality(c.ids) <= 2000,
                c.ids, array(select id from found), array(select place from found), (select count(*) from leaves)
         from commerce.shelf_state s, changed c"
    )
}

/// Products among which those of a page of a search by names stand, in no order; `None`: the products themselves have to be searched.
pub(in super::super) async fn find(
    conn: &mut PgConnection,
    sees_all: bool,
    filter: &Filter,
    sort: Sort,
    after: Option<&Key>,
    rows: i64,
) -> Result<Option<Vec<i64>>, sqlx::Error> {
    if sees_all || filter.references != References::default() || filter.in_stock.is_some() {
        return Ok(None);
    }
    let order = match sort {
        Sort::Name => Order { sign: ">", direction: "", first: "min" },
        Sort::NameDescending => Order { sign: "<", direction: "desc", first: "max" },
        _ => return Ok(None),
    };
    let mut arguments = PgArguments::default();
    let add = |added: Result<(), sqlx::error::BoxDynError>| added.map_err(sqlx::Error::Encode);
    add(arguments.add(filter.words.words()))?;
    add(arguments.add(filter.words.patterns().collect::<Vec<_>>()))?;
    add(arguments.add(filter.words.are_beginnings()))?;
    add(arguments.add(after.and_then(list::name_of)))?;
    add(arguments.add(after.map(list::id_of)))?;
    add(arguments.add(LEAVES))?;
    add(arguments.add(rows))?;
    let mut statement = QueryBuilder::<sqlx::Postgres>::with_arguments(text(&order), arguments);
    let row = statement.build().fetch_one(&mut *conn).await?;
    let (ready, changed): (Option<bool>, Vec<i64>) = (row.try_get(0)?, row.try_get(1)?);
    let (mut found, places, looked): (Vec<i64>, Vec<i64>, i64) = (row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
    let in_order = match sort {
        Sort::NameDescending => places.is_sorted_by(|one, next| one >= next),
        _ => places.is_sorted(),
    };
    let enough = found.len() as i64 >= rows || looked < LEAVES;
    if ready != Some(true) || !in_order || !enough {
        return Ok(None);
    }
    found.extend(changed);
    Ok(Some(found))
}
