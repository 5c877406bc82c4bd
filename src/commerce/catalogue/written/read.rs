//! Reading what is written down.

use std::collections::HashMap;

use rust_decimal::Decimal;
use sqlx::{
    Arguments, PgConnection, PgPool, Postgres, QueryBuilder, Row as _,
    postgres::{PgArguments, PgRow},
};

use super::{
    Line,
    dealers::Dealers,
    levels::{levels_of, sum},
    news::{News, Snapshot, news_sql},
    packed,
};
use crate::{
    commerce::{
        catalogue::{
            Forms, Viewer, Written,
            detail::Which,
            filter::{Filter, Sort, storable},
            found::{self, Look, Place},
            list::{self, Listed},
        },
        pricing::{self, Offer, Quote, Terms},
    },
    page::{self, BadPage, Page, PageRequest},
};

/// One row: what has changed, the products `p` that follow in their order, what is written down of each, and whether dealers see it.
/// A sub-select for each product, not a join: so the order of the products is that of the query that chooses them.
macro_rules! products {
    ($packed:literal) => {
        concat!(
            "select ",
            news_sql!(),
            ", page.ids, page.packed, page.shown from commerce.shelf_state s,
             (select array_agg(p.id) as ids, array_agg(p.packed) as packed, array_agg(p.shown) as shown
              from (select p.id, p.is_active and p.deleted_at is null as shown, (",
            $packed,
            ") as packed from commerce.product p"
        )
    };
}
const LINES: &str = products!("select w.line from commerce.written_product w where w.product_id = p.id");
const PAGES: &str = products!("select w.page from commerce.written_page w where w.product_id = p.id");
const END: &str = ") p) page";

fn begin(text: &str, forms: Forms, seen: Option<&Snapshot>) -> Result<QueryBuilder<Postgres>, sqlx::Error> {
    let mut arguments = PgArguments::default();
    arguments.add((forms.form)()).map_err(sqlx::Error::Encode)?;
    arguments.add(seen.map(|seen| seen.all_below.to_string())).map_err(sqlx::Error::Encode)?;
    Ok(QueryBuilder::with_arguments(text, arguments))
}

/// Products as they were found, those that have to be read from their tables without a text.
struct Found {
    news: News,
    products: Vec<(i64, bool, Option<Vec<u8>>)>,
}

impl Found {
    fn read(row: &PgRow, seen: Option<&Snapshot>) -> Result<Found, sqlx::Error> {
        let news = News::read(row, seen)?;
        let ids: Vec<i64> = row.try_get::<Option<_>, _>(3)?.unwrap_or_default();
        let packed: Vec<Option<Vec<u8>>> = row.try_get::<Option<_>, _>(4)?.unwrap_or_default();
        let shown: Vec<bool> = row.try_get::<Option<_>, _>(5)?.unwrap_or_default();
        let products = ids.into_iter().zip(packed).zip(shown);
        let products = products.map(|((id, packed), shown)| (id, shown, packed.filter(|_| news.holds(id)))).collect();
        Ok(Found { news, products })
    }
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

/// Lines with their stock as it is; those that have to be read from their tables are `None`.
async fn lines_of(
    conn: &mut PgConnection,
    news: &News,
    packed: impl Iterator<Item = (i64, Option<Vec<u8>>)>,
) -> Result<Vec<(i64, Option<packed::Line>)>, sqlx::Error> {
    let read = |(id, packed): (i64, Option<Vec<u8>>)| (id, packed.and_then(|packed| packed::read_line(id, &packed)));
    let mut lines: Vec<(i64, Option<packed::Line>)> = packed.map(read).collect();
    let is_old = |line: &&mut packed::Line| line.stock.is_some() && !news.stock_holds(line.place.id);
    let old: Vec<i64> =
        lines.iter_mut().filter_map(|(_, line)| line.as_mut()).filter(is_old).map(|line| line.place.id).collect();
    if !old.is_empty() {
        let levels = levels_of(conn, &old).await?;
        for line in lines.iter_mut().filter_map(|(_, line)| line.as_mut()).filter(is_old) {
            line.stock = Some(levels.get(&line.place.id).map(|levels| sum(levels)).unwrap_or_default());
        }
    }
    Ok(lines)
}

fn quote(offers: &[Offer], terms: &Terms, viewer: &Viewer) -> Option<Quote> {
    pricing::price(offers, terms, viewer.day, viewer.dealer.allow_zero_price).and_then(|offer| offer.quote())
}

/// A page of a list that prices do not decide; `None`: it has to be read from its tables.
pub(in super::super) async fn page(
    db: &PgPool,
    forms: Forms,
    dealers: &Dealers,
    viewer: &Viewer,
    filter: &Filter,
    sort: Sort,
    page: &PageRequest,
) -> Result<Option<Result<Page<Line>, BadPage>>, sqlx::Error> {
    if filter.by_price(sort) || filter.references.find_nothing() {
        return Ok(None);
    }
    let after = match list::after(page, sort) {
        Ok(after) => after,
        Err(bad) => return Ok(Some(Err(bad))),
    };
    let mut conn = db.acquire().await?;
    let look = match found::is_search(filter, sort) {
        true => Some(found::look(&mut conn, viewer.sees_all, filter, sort, after.as_ref(), page.rows()).await?),
        false => None,
    };
    let mut known = dealers.known(&mut conn, viewer.dealer).await?;
    let mut statement = begin(LINES, forms, known.seen.as_ref())?;
    let is_found = look.is_some();
    match look {
        Some(Look::Page(places)) => {
            let ids: Vec<i64> = places.iter().map(|place| place.id).collect();
            statement.push(" where p.id = any(").push_bind(ids).push(")");
        }
        Some(Look::Among(ids)) => found::push_among(&mut statement, viewer.sees_all, filter, ids),
        None => filter.push(&mut statement, viewer.sees_all),
    }
    found::push_page(&mut statement, sort, after.as_ref(), page.rows());
    statement.push(END);
    // What narrows is planned with its values: a common word and a rare one want different ways.
    let keep_plan = is_found || filter.is_empty();
    let row = statement.build().persistent(keep_plan).fetch_one(&mut *conn).await;
    let Some(row) = readable(row)? else { return Ok(None) };
    let Found { news, mut products } = Found::read(&row, known.seen.as_ref())?;
    if news.dealers && viewer.dealer.customer_id.is_some() {
        known = dealers.read(&mut conn, viewer.dealer).await?;
    }
    let limit = usize::try_from(page.rows() - 1).unwrap_or_default();
    let more = products.len() > limit;
    products.truncate(limit);
    let packed = products.into_iter().map(|(id, _, packed)| (id, packed));
    let lines = lines_of(&mut conn, &news, packed).await?;
    let missing: Vec<i64> = lines.iter().filter(|(_, line)| line.is_none()).map(|(id, _)| *id).collect();
    let mut read: HashMap<i64, (Place, Line)> = HashMap::with_capacity(missing.len());
    if !missing.is_empty() {
        for listed in list::these(&mut conn, viewer, &missing).await? {
            let id = listed.id;
            read.extend(list_line(forms, listed).map(|line| (id, line)));
        }
    }
    // One that was there a moment ago and is not any more is left out.
    let lines = lines.into_iter().filter_map(|(id, line)| match line {
        Some(line) => Some(shown(forms, line, &known.terms, viewer)),
        None => read.remove(&id),
    });
    let (places, items): (Vec<Place>, Vec<Line>) = lines.unzip();
    let next_cursor = match places.last() {
        Some(last) if more => page::cursor(sort.list(), &list::place_key(sort, last)),
        None if more => return Ok(None),
        _ => None,
    };
    Ok(Some(Ok(Page { items, next_cursor })))
}

fn shown(forms: Forms, line: packed::Line, terms: &Terms, viewer: &Viewer) -> (Place, Line) {
    let packed::Line { place, mut written, offers, stock } = line;
    if let Some(stock) = stock.filter(|_| viewer.sees_stock) {
        written.stock = (forms.stock)(stock);
    }
    let in_stock = stock.is_none_or(|stock| stock > Decimal::ZERO);
    (place, Line { written, quote: quote(&offers, terms, viewer), in_stock })
}

fn list_line(forms: Forms, listed: Listed) -> Option<(Place, Line)> {
    let quote = listed.price.as_ref().and_then(|price| Quote::of(price.amount, &price.currency, price.rule));
    let place = Place { id: listed.id, code: listed.code.clone(), name: listed.name.clone() };
    let in_stock = listed.in_stock;
    Some((place, Line { written: (forms.listed)(listed)?, quote, in_stock }))
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
    let mut statement = begin(LINES, forms, None)?;
    statement.push(" where p.id = any(").push_bind(ids).push(")").push(END);
    let Some(row) = readable(statement.build().fetch_one(&mut *conn).await)? else { return Ok(Vec::new()) };
    let Found { news, products } = Found::read(&row, None)?;
    let for_dealers: Vec<bool> = products.iter().map(|(_, shown, _)| *shown).collect();
    let packed = products.into_iter().map(|(id, _, packed)| (id, packed));
    let lines = lines_of(conn, &news, packed).await?.into_iter().zip(for_dealers);
    let kept = lines.filter_map(|((id, line), for_dealers)| {
        let packed::Line { written, offers, stock, .. } = line?;
        Some(Kept { id, written, offers, for_dealers, stock })
    });
    Ok(kept.collect())
}

/// One product that dealers see, with all that its page shows, as who sees its stock is shown it; `None`: it has to be read from its
/// tables, or it is not there.
async fn whole(
    conn: &mut PgConnection,
    forms: Forms,
    which: Which<'_>,
    seen: Option<&Snapshot>,
) -> Result<Option<(i64, packed::Page, News)>, sqlx::Error> {
    let mut statement = begin(PAGES, forms, seen)?;
    statement.push(" where p.is_active and p.deleted_at is null and ");
    match which {
        Which::Id(id) => statement.push("p.id = ").push_bind(id),
        Which::Sku(sku) => statement.push("p.sku = ").push_bind(storable(sku).to_owned()),
    };
    let row = statement.push(END).build().fetch_one(&mut *conn).await;
    let Some(row) = readable(row)? else { return Ok(None) };
    let Found { news, mut products } = Found::read(&row, seen)?;
    let found = products.pop().and_then(|(id, _, packed)| Some((id, packed::read_page(&packed?)?)));
    let Some((id, mut page)) = found else { return Ok(None) };
    if page.counted && !news.stock_holds(id) {
        let levels = levels_of(conn, &[id]).await?.remove(&id).unwrap_or_default();
        page.in_stock = sum(&levels) > Decimal::ZERO;
        page.written.stock = (forms.levels)(levels);
    }
    Ok(Some((id, page, news)))
}

/// One product that a dealer may see; `None`: it has to be read from its tables.
pub(in super::super) async fn line(
    db: &PgPool,
    forms: Forms,
    dealers: &Dealers,
    viewer: &Viewer,
    which: Which<'_>,
) -> Result<Option<Line>, sqlx::Error> {
    // Costs, and products that are out of use, are not written down.
    if viewer.sees_costs || viewer.sees_all {
        return Ok(None);
    }
    let mut conn = db.acquire().await?;
    let mut known = dealers.known(&mut conn, viewer.dealer).await?;
    let Some((_, page, news)) = whole(&mut conn, forms, which, known.seen.as_ref()).await? else { return Ok(None) };
    if news.dealers && viewer.dealer.customer_id.is_some() {
        known = dealers.read(&mut conn, viewer.dealer).await?;
    }
    let packed::Page { mut written, offers, in_stock, .. } = page;
    if !viewer.sees_stock {
        written.stock = Box::default();
    }
    Ok(Some(Line { written, quote: quote(&offers, &known.terms, viewer), in_stock }))
}

/// The same to be kept.
pub(in super::super) async fn kept_whole(
    db: &PgPool,
    forms: Forms,
    which: Which<'_>,
) -> Result<Option<(i64, Written, Vec<Offer>, bool)>, sqlx::Error> {
    let mut conn = db.acquire().await?;
    let found = whole(&mut conn, forms, which, None).await?;
    Ok(found.map(|(id, packed::Page { written, offers, in_stock, .. }, _)| (id, written, offers, in_stock)))
}
