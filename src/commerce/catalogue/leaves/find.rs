//! Looking words up in the leaves.

use sqlx::{Arguments, PgConnection, QueryBuilder, Row as _, postgres::PgArguments};

use super::super::{
    filter::{Filter, References, Sort},
    list::{self, Key},
};

/// So many leaves are read at first, and when they hold too little.
const LEAVES: [i64; 2] = [6, 96];

/// Products among which a page's stand; they are in no order.
pub(in super::super) struct Found(pub Vec<i64>);

/// Where a part of a list begins and how it goes on, in the order of names.
struct Order {
    sign: &'static str,
    direction: &'static str,
    /// The leaf at which a list without a beginning begins.
    first: &'static str,
}

/// One row: whether the leaves can tell, which products changed since, what was found, and how many leaves were looked into. $1 the
/// words, $2 their patterns, $3 whether each is the beginning of a word, $4 and $5 behind which name and product, $6 how many leaves, $7
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
                              select substr(w.word, n, 6) from generate_series(1, length(w.word) - 5) n where not w.is_beginning
                              union all
                              select substr(w.word, n, 3) from generate_series(1, length(w.word) - 2) n
                              where not w.is_beginning and length(w.word) < 6
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
             select u.id, l.place, u.n from leaves l
             cross join lateral (
                 select u.id, u.n from unnest(l.ids, l.names, l.texts) with ordinality u (id, name, text, n)
                 where u.text like all ((select patterns from asked)::text[])
                   and (l.place <> (select place from start) or $4 is null
                        or (u.name collate \"tr-x-icu\", u.id) {sign} ($4 collate \"tr-x-icu\", $5))
             ) u
             where u.id <> all ((select ids from changed)::bigint[])
             order by l.place {direction}, u.n {direction} limit (select $7::bigint)
         )
         select s.ready and s.leaves_ready and not exists (select from news where ids is null)
                    and (select count(*) from news) <= 500 and cardinality(c.ids) <= 2000,
                c.ids, array(select id from found), (select count(*) from leaves)
         from commerce.shelf_state s, changed c"
    )
}

/// The products of a page of a search by names; `None`: the products themselves have to be searched.
pub(in super::super) async fn find(
    conn: &mut PgConnection,
    sees_all: bool,
    filter: &Filter,
    sort: Sort,
    after: Option<&Key>,
    rows: i64,
) -> Result<Option<Found>, sqlx::Error> {
    if sees_all || filter.references != References::default() || filter.in_stock.is_some() {
        return Ok(None);
    }
    let order = match sort {
        Sort::Name => Order { sign: ">", direction: "", first: "min" },
        Sort::NameDescending => Order { sign: "<", direction: "desc", first: "max" },
        _ => return Ok(None),
    };
    for leaves in LEAVES {
        let mut arguments = PgArguments::default();
        let add = |added: Result<(), sqlx::error::BoxDynError>| added.map_err(sqlx::Error::Encode);
        add(arguments.add(filter.words.words()))?;
        add(arguments.add(filter.words.patterns().collect::<Vec<_>>()))?;
        add(arguments.add(filter.words.are_beginnings()))?;
        add(arguments.add(after.and_then(list::name_of)))?;
        add(arguments.add(after.map(list::id_of)))?;
        add(arguments.add(leaves))?;
        add(arguments.add(rows))?;
        let mut statement = QueryBuilder::<sqlx::Postgres>::with_arguments(text(&order), arguments);
        let row = statement.build().fetch_one(&mut *conn).await?;
        let (ready, changed): (Option<bool>, Vec<i64>) = (row.try_get(0)?, row.try_get(1)?);
        let (mut found, looked): (Vec<i64>, i64) = (row.try_get(2)?, row.try_get(3)?);
        if ready != Some(true) {
            return Ok(None);
        }
        if found.len() as i64 >= rows || looked < leaves {
            found.extend(changed);
            return Ok(Some(Found(found)));
        }
    }
    Ok(None)
}
