//! Reading what is written down.

use std::collections::HashMap;

use rust_decimal::Decimal;
use sqlx::{
    Arguments, PgConnection, PgPool, Postgres, QueryBuilder, Row as _,
    postgres::{PgArguments, PgRow},
};

use super::Line;
use crate::{
    commerce::{
        catalogue::{
            Forms, Viewer, Written,
            detail::{Level, Which},
            filter::{Filter, Sort, storable},
            found::{self, Place},
            list::{self, Listed},
        },
        pricing::{self, Dealer, Offer, Quote, Terms, pricing_sql},
    },
    page::{BadPage, Page, PageRequest},
};

/// What is read with product `p`: head and tail of a line of a list or of its own page, its stock. $1 whose prices, $2 the form.
///
/// Each part is one short look. A product whose note came since it was written down is not joined; none is where a note names none or
/// very many, and where there are very many notes.
macro_rules! looks {
    ($head:literal, $tail:literal, $stock:literal) => {
        concat!(
            "select p.id, p.code, p.name, p.track_stock, ",
            $head,
            ", ",
            $tail,
            ", w.prices, ",
            pricing_sql!(file "terms"),
            " as terms, ",
            $stock
        )
    };
}
const WRITTEN: &str = " left join commerce.written_product w on w.product_id = p.id and w.product_id <> all ((
    select array_remove(array_agg(n.id), null)
    from commerce.shelf_state s
    left join lateral (
        select c.lost, i.id
        from (select c.ids, c.counts, c.counts and (c.ids is null or cardinality(c.ids) > 200) as lost
              from (select n.ids, n.of_prices and n.kind in ('goods', 'product')
                                  and not pg_visible_in_snapshot(n.xid, s.snapshot::pg_snapshot) as counts
                    from commerce.catalogue_change n
                    where n.xid >= pg_snapshot_xmin(s.snapshot::pg_snapshot)
                    limit 501) c) c
        left join lateral unnest(case when c.counts and not c.lost then c.ids end) i (id) on true
        limit 501
    ) n on true
    where s.ready and s.form = $2
    group by s.one
    having count(*) <= 500 and not coalesce(bool_or(n.lost), false))::bigint[])";
const LINES: &str = looks!(
    "w.head",
    "w.tail",
    "(select sum(l.available) from commerce.stock_level l where l.product_id = p.id) as stock"
);

/// What is read with product `p`, behind `p.id, p.code, p.name, p.track_stock`.
struct Row {
    place: Place,
    track_stock: bool,
    head: Option<String>,
    tail: Option<String>,
    prices: Option<Vec<u8>>,
}

impl Row {
    fn read(row: &PgRow) -> Result<Row, sqlx::Error> {
        let place = Place { id: row.try_get(0)?, code: row.try_get(1)?, name: row.try_get(2)? };
        Ok(Row {
            place,
            track_stock: row.try_get(3)?,
            head: row.try_get(4)?,
            tail: row.try_get(5)?,
            prices: row.try_get(6)?,
        })
    }

    /// `None`: it has to be read from its tables.
    fn parts(self) -> Option<(Written, Vec<Offer>)> {
        let offers = pricing::unpack(self.prices.as_deref()?)?;
        let bytes = |text: String| text.into_bytes().into_boxed_slice();
        Some((Written { head: bytes(self.head?), stock: Box::default(), tail: bytes(self.tail?) }, offers))
    }

    fn priced(self, terms: &Terms, viewer: &Viewer) -> Option<(Written, Option<Quote>)> {
        let (written, offers) = self.parts()?;
        let offer = pricing::price(&offers, terms, viewer.day, viewer.dealer.allow_zero_price);
        Some((written, offer.and_then(|offer| offer.quote())))
    }
}

/// All rows have the same.
fn terms(row: &PgRow, dealer: Dealer) -> Result<Option<Terms>, sqlx::Error> {
    Ok(Terms::of(dealer, row.try_get(7)?))
}

fn begin(text: &str, forms: Forms, dealer: Dealer) -> Result<QueryBuilder<Postgres>, sqlx::Error> {
    let mut arguments = PgArguments::default();
    arguments.add(dealer.customer_id).map_err(sqlx::Error::Encode)?;
    arguments.add((forms.form)()).map_err(sqlx::Error::Encode)?;
    Ok(QueryBuilder::with_arguments(text, arguments))
}

/// What the store refuses here, because the feed cannot be read for one, is read from its tables, and told of there if that fails as well.
fn readable<T>(read: Result<T, sqlx::Error>) -> Result<Option<T>, sqlx::Error> {
    match read {
        Err(sqlx::Error::Database(error)) => {
            tracing::debug!(%error, "what is written down of products cannot be read");
            Ok(None)
        }
        read => read.map(Some),
    }
}

/// A page of a list that prices do not decide; `None`: it has to be read from its tables.
pub(in super::super) async fn page(
    db: &PgPool,
    forms: Forms,
    viewer: &Viewer,
    filter: &Filter,
    sort: Sort,
    page: &PageRequest,
) -> Result<Option<Result<Page<Line<Decimal>>, BadPage>>, sqlx::Error> {
    if filter.by_price(sort) || filter.references.find_nothing() {
        return Ok(None);
    }
    let after = match list::after(page, sort) {
        Ok(after) => after,
        Err(bad) => return Ok(Some(Err(bad))),
    };
    let mut conn = db.acquire().await?;
    let ids = if found::is_search(filter, sort) {
        let places = found::places(&mut conn, viewer.sees_all, filter, sort, after.as_ref(), page.rows()).await?;
        Some(places.iter().map(|place| place.id).collect::<Vec<i64>>())
    } else {
        None
    };
    let mut statement = begin(LINES, forms, viewer.dealer)?;
    statement.push(" from (select p.id, p.code, p.name, p.track_stock from commerce.product p");
    match ids {
        Some(ids) => {
            statement.push(" where p.id = any(").push_bind(ids).push(")");
        }
        None => {
            filter.push(&mut statement, viewer.sees_all);
            if let Some(after) = &after {
                list::push_after(&mut statement, sort, after);
            }
            list::push_order(&mut statement, sort);
            // In the text: with a number that it does not know the store would plan for a tenth of the catalogue.
            statement.push(format!(" limit {}", page.rows()));
        }
    }
    statement.push(") p").push(WRITTEN);
    list::push_order(&mut statement, sort);
    // What narrows is planned with its values: a common word and a rare one want different ways.
    let rows = statement.build().persistent(filter.is_empty()).fetch_all(&mut *conn).await;
    let Some(rows) = readable(rows)? else { return Ok(None) };
    let Some(first) = rows.first() else {
        return Ok(Some(Ok(page.page(sort.list(), Vec::new(), |_: &Line<Decimal>| 0))));
    };
    let Some(terms) = terms(first, viewer.dealer)? else { return Ok(None) };
    let rows = rows.iter().map(|row| Ok((Row::read(row)?, row.try_get(8)?)));
    let rows: Vec<(Row, Option<Decimal>)> = rows.collect::<Result<_, sqlx::Error>>()?;
    let rows = page.page(sort.list(), rows, |(row, _)| list::place_key(sort, &row.place));
    let next_cursor = rows.next_cursor;
    let mut missing: Vec<(usize, i64)> = Vec::new();
    let mut lines: Vec<Option<Line<Decimal>>> = Vec::with_capacity(rows.items.len());
    for (at, (row, stock)) in rows.items.into_iter().enumerate() {
        let (id, counted, stock) = (row.place.id, row.track_stock, stock.unwrap_or_default());
        let line = row.priced(&terms, viewer).map(|(written, quote)| Line {
            written,
            quote,
            in_stock: !counted || stock > Decimal::ZERO,
            stock: (viewer.sees_stock && counted).then_some(stock),
        });
        if line.is_none() {
            missing.push((at, id));
        }
        lines.push(line);
    }
    if !missing.is_empty() {
        let ids: Vec<i64> = missing.iter().map(|(_, id)| *id).collect();
        let mut read: HashMap<i64, Line<Decimal>> = HashMap::with_capacity(ids.len());
        for listed in list::these(&mut conn, viewer, &ids).await? {
            let id = listed.id;
            read.extend(list_line(forms, listed).map(|line| (id, line)));
        }
        for (at, id) in missing {
            lines[at] = read.remove(&id);
        }
    }
    // One that was there a moment ago and is not any more is left out.
    Ok(Some(Ok(Page { items: lines.into_iter().flatten().collect(), next_cursor })))
}

fn list_line(forms: Forms, listed: Listed) -> Option<Line<Decimal>> {
    let quote = listed.price.as_ref().and_then(|price| Quote::of(price.amount, &price.currency, price.rule));
    let (in_stock, stock) = (listed.in_stock, listed.stock);
    let written = (forms.listed)(Listed { stock: None, ..listed })?;
    Some(Line { written, quote, in_stock, stock })
}

/// What is kept of a product in the process, but for how its stock is written down.
pub(in super::super) struct Kept {
    pub id: i64,
    pub written: Written,
    pub offers: Vec<Offer>,
    pub for_dealers: bool,
    /// `None`: it is not counted.
    pub stock: Option<Decimal>,
}

/// Of these products those that are written down.
pub(in super::super) async fn kept(
    conn: &mut PgConnection,
    forms: Forms,
    ids: &[i64],
) -> Result<Vec<Kept>, sqlx::Error> {
    let mut statement = begin(LINES, forms, NOBODY)?;
    statement.push(", p.is_active and p.deleted_at is null from commerce.product p").push(WRITTEN);
    statement.push(" where p.id = any(").push_bind(ids).push(")");
    let rows = readable(statement.build().fetch_all(conn).await)?.unwrap_or_default();
    let mut kept = Vec::with_capacity(rows.len());
    for row in &rows {
        let (stock, for_dealers): (Option<Decimal>, bool) = (row.try_get(8)?, row.try_get(9)?);
        let row = Row::read(row)?;
        let (id, counted) = (row.place.id, row.track_stock);
        let Some((written, offers)) = row.parts() else { continue };
        let stock = counted.then(|| stock.unwrap_or_default());
        kept.push(Kept { id, written, offers, for_dealers, stock });
    }
    Ok(kept)
}

/// Whose prices nobody asks for.
const NOBODY: Dealer = Dealer { customer_id: None, allow_zero_price: false };

const PAGE_OF: &str = looks!(
    "w.page_head",
    "w.page_tail",
    "array(select l.available || ' ' || octet_length(h.code) || ' ' || h.code || h.name
           from commerce.stock_level l join commerce.warehouse h on h.id = l.warehouse_id
           where l.product_id = p.id) as levels"
);

/// One product that dealers see, with all that its page shows.
struct Whole {
    id: i64,
    /// `None`: it has to be read from its tables.
    parts: Option<(Written, Vec<Offer>)>,
    counted: bool,
    levels: Vec<Level>,
    terms: Terms,
}

async fn whole(db: &PgPool, forms: Forms, dealer: Dealer, which: Which<'_>) -> Result<Option<Whole>, sqlx::Error> {
    let mut statement = begin(PAGE_OF, forms, dealer)?;
    statement.push(" from commerce.product p").push(WRITTEN).push(" where p.is_active and p.deleted_at is null and ");
    match which {
        Which::Id(id) => statement.push("p.id = ").push_bind(id),
        Which::Sku(sku) => statement.push("p.sku = ").push_bind(storable(sku).to_owned()),
    };
    let Some(Some(found)) = readable(statement.build().fetch_optional(db).await)? else { return Ok(None) };
    let Some(terms) = terms(&found, dealer)? else { return Ok(None) };
    let levels: Vec<String> = found.try_get(8)?;
    let Some(mut levels) = levels.iter().map(|text| level(text)).collect::<Option<Vec<Level>>>() else {
        return Ok(None);
    };
    // As bytes, as the store sorts codes.
    levels.sort_unstable_by(|one, other| one.warehouse.cmp(&other.warehouse));
    let row = Row::read(&found)?;
    Ok(Some(Whole { id: row.place.id, counted: row.track_stock, parts: row.parts(), levels, terms }))
}

/// What is there, how long the code is, code and name.
fn level(text: &str) -> Option<Level> {
    let (available, rest) = text.split_once(' ')?;
    let (length, rest) = rest.split_once(' ')?;
    let (warehouse, name) = rest.split_at_checked(length.parse().ok()?)?;
    Some(Level { warehouse: warehouse.to_owned(), name: name.to_owned(), available: available.parse().ok()? })
}

impl Whole {
    fn in_stock(&self) -> bool {
        !self.counted || self.levels.iter().any(|level| level.available > Decimal::ZERO)
    }
}

/// One product that a dealer may see; `None`: it has to be read from its tables.
pub(in super::super) async fn line(
    db: &PgPool,
    forms: Forms,
    viewer: &Viewer,
    which: Which<'_>,
) -> Result<Option<Line<Vec<Level>>>, sqlx::Error> {
    // Costs, and products that are out of use, are not written down.
    if viewer.sees_costs || viewer.sees_all {
        return Ok(None);
    }
    let Some(mut whole) = whole(db, forms, viewer.dealer, which).await? else { return Ok(None) };
    let Some((written, offers)) = whole.parts.take() else { return Ok(None) };
    let offer = pricing::price(&offers, &whole.terms, viewer.day, viewer.dealer.allow_zero_price);
    let (quote, in_stock) = (offer.and_then(|offer| offer.quote()), whole.in_stock());
    let stock = (viewer.sees_stock && whole.counted).then_some(whole.levels);
    Ok(Some(Line { written, quote, in_stock, stock }))
}

/// The same to be kept.
pub(in super::super) async fn kept_whole(
    db: &PgPool,
    forms: Forms,
    which: Which<'_>,
) -> Result<Option<(i64, Written, Vec<Offer>, bool)>, sqlx::Error> {
    let Some(mut whole) = whole(db, forms, NOBODY, which).await? else { return Ok(None) };
    let Some((mut written, offers)) = whole.parts.take() else { return Ok(None) };
    let in_stock = whole.in_stock();
    if whole.counted {
        written.stock = (forms.levels)(whole.levels);
    }
    Ok(Some((whole.id, written, offers, in_stock)))
}
