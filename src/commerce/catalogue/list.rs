//! A page of products with a dealer's prices.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use sqlx::{Arguments, FromRow, PgConnection, PgPool, Postgres, QueryBuilder, postgres::PgArguments};

use super::{
    Viewer,
    filter::{Filter, Sort},
    found::{self, Place},
    shelf,
};
use crate::{
    commerce::pricing::{Rule, pricing_sql},
    page::{self, BadPage, Page, PageRequest},
};

/// A category or a brand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub id: i64,
    pub code: String,
    pub name: String,
}

/// The dealer's net price of one main unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    pub amount: Decimal,
    pub currency: String,
    pub rule: Rule,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub id: i64,
    pub code: String,
    pub sku: Option<String>,
    pub name: String,
    pub slug: String,
    pub short_description: Option<String>,
    pub unit: Option<String>,
    pub vat_rate: Option<Decimal>,
    pub minimum_order_quantity: Option<Decimal>,
    pub order_multiple: Option<Decimal>,
    pub variant_group: Option<String>,
    pub is_featured: bool,
    pub is_active: bool,
    pub updated_at: DateTime<Utc>,
    pub category: Option<Named>,
    pub brand: Option<Named>,
    pub price: Option<Price>,
    pub in_stock: bool,
    /// In the main unit, all warehouses together; `None`: not for this viewer, or it is not counted.
    pub stock: Option<Decimal>,
    pub image: Option<String>,
}

#[derive(Debug, FromRow)]
struct Row {
    id: i64,
    code: String,
    sku: Option<String>,
    name: String,
    slug: String,
    short_description: Option<String>,
    unit: Option<String>,
    vat_rate: Option<Decimal>,
    minimum_order_quantity: Option<Decimal>,
    order_multiple: Option<Decimal>,
    variant_group: Option<String>,
    is_featured: bool,
    is_active: bool,
    track_stock: bool,
    updated_at: DateTime<Utc>,
    category_id: Option<i64>,
    category_code: Option<String>,
    category_name: Option<String>,
    brand_id: Option<i64>,
    brand_code: Option<String>,
    brand_name: Option<String>,
    #[sqlx(default)]
    amount: Option<Decimal>,
    #[sqlx(default)]
    currency: Option<String>,
    #[sqlx(default)]
    rule: Option<Rule>,
    stock: Option<Decimal>,
    image: Option<String>,
}

/// A product without a price, and whether dealers see it.
#[derive(Debug, FromRow)]
struct Core {
    #[sqlx(flatten)]
    row: Row,
    for_dealers: bool,
}

/// Behind which product a page begins.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Key {
    Text(String, i64),
    Id(i64),
}

impl page::Key for Key {
    fn is_storable(&self) -> bool {
        match self {
            Key::Text(text, _) => page::Key::is_storable(text),
            Key::Id(_) => true,
        }
    }
}

macro_rules! columns {
    () => {
        "p.id, p.category_id, p.brand_id, p.code, p.sku, p.name, p.slug, p.short_description, p.unit, p.vat_rate,
         p.minimum_order_quantity, p.order_multiple, p.variant_group, p.is_featured, p.is_active, p.track_stock, p.updated_at"
    };
}
/// Names, stock and image of product `p`, and where they are read from; `p` follows.
macro_rules! about {
    ($of:literal) => {
        concat!(
            ", c.code as category_code, c.name as category_name, b.code as brand_code, b.name as brand_name,
             (select sum(s.available) from commerce.stock_level s join commerce.warehouse h on h.id = s.warehouse_id
              where s.product_id = p.id and h.is_active and h.deleted_at is null) as stock,
             (select i.url from commerce.product_image i where i.product_id = p.id order by i.position limit 1) as image
             from ",
            $of,
            " left join commerce.category c on c.id = p.category_id left join commerce.brand b on b.id = p.brand_id "
        )
    };
}
/// What is asked for.
macro_rules! one_unit {
    () => {
        " cross join (select 1::numeric as quantity, 1::numeric as asked_numerator, 1::numeric as asked_denominator) a "
    };
}
/// The rows that give the prices of a page: for all its products together, which takes less than looking product by product.
const PAGE_WINNERS: &str = concat!(
    ", winners as (select distinct on (c.product_id) c.product_id, ",
    pricing_sql!(chosen),
    " from dealer d",
    one_unit!(),
    " cross join lateral ",
    pricing_sql!(candidates "r.product_id = any (array(select id from page))"),
    " join page p on p.id = c.product_id ",
    pricing_sql!(unit),
    " where ",
    pricing_sql!(counts),
    " order by c.product_id, ",
    pricing_sql!(order),
    ")"
);
/// The rows that give the prices of all products that the filter leaves: read once, where [`pricing_sql`]'s `winner` is
/// looked for product by product.
const WINNERS: &str = concat!(
    "select distinct on (c.product_id) c.product_id, ",
    pricing_sql!(chosen),
    " from dealer d
     ",
    one_unit!(),
    " cross join lateral ",
    pricing_sql!(candidates "true"),
    " join commerce.product p on p.id = c.product_id ",
    pricing_sql!(unit),
);
const PRICED: &str =
    concat!(", case when w.id is not null then ", pricing_sql!(net), " end as amount, w.currency, w.role as rule");
/// Sorted as if it cost more than anything, or less.
const NO_PRICE_LAST: &str = "10000000000000";
const NO_PRICE_FIRST: &str = "-1";

/// Behind which product a page of this order begins.
pub(super) fn after(page: &PageRequest, sort: Sort) -> Result<Option<Key>, BadPage> {
    let after = page.after::<Key>(sort.list())?;
    let is_of_this_order = |after: &Key| push_after(&mut QueryBuilder::new(""), sort, after);
    if after.as_ref().is_none_or(is_of_this_order) { Ok(after) } else { Err(BadPage::Cursor) }
}

/// A page of the list.
pub async fn list(
    db: &PgPool,
    viewer: &Viewer,
    filter: &Filter,
    sort: Sort,
    page: &PageRequest,
) -> Result<Result<Page<Listed>, BadPage>, sqlx::Error> {
    let after = match after(page, sort) {
        Ok(after) => after,
        Err(bad) => return Ok(Err(bad)),
    };
    if filter.references.find_nothing() {
        return Ok(Ok(page.page(sort.list(), Vec::new(), |_: &Listed| 0)));
    }
    let priced = filter.by_price(sort);
    if priced && let Some(order) = shelf::order(db, viewer, filter, sort, after.as_ref(), page.rows()).await? {
        let shelf::Order { ids, mut tx } = order;
        let shown = page_of(&mut tx, viewer, sort, page, &ids).await?;
        tx.commit().await?;
        return Ok(Ok(shown));
    }
    if !priced && found::is_search(filter, sort) {
        let mut conn = db.acquire().await?;
        let places = found::places(&mut conn, viewer.sees_all, filter, sort, after.as_ref(), page.rows()).await?;
        let ids: Vec<i64> = places.iter().map(|place| place.id).collect();
        return page_of(&mut conn, viewer, sort, page, &ids).await.map(Ok);
    }
    let mut statement = begin(viewer)?;
    statement.push(", page as materialized (");
    push_products(&mut statement, viewer, filter, priced);
    if let Some(after) = after {
        push_after(&mut statement, sort, &after);
    }
    push_order(&mut statement, sort);
    // In the text: with a number that it does not know the store would plan for a tenth of the catalogue.
    statement.push(format!(" limit {})", page.rows()));
    if !priced {
        statement.push(PAGE_WINNERS);
    }
    statement.push(" select p.*");
    if !priced {
        statement.push(PRICED);
    }
    statement.push(about!("page p"));
    if !priced {
        statement.push(" left join winners w on w.product_id = p.id").push(one_unit!());
    }
    push_order(&mut statement, sort);
    // What narrows is planned with its values: a common word and a rare one want different ways.
    let keep_plan = filter.is_empty() && !priced;
    let rows: Vec<Row> = statement.build_query_as().persistent(keep_plan).fetch_all(db).await?;
    let listed = page.page(sort.list(), rows, |row| key(sort, row.id, &row.code, &row.name, row.amount));
    Ok(Ok(listed.map(|row| listed_as(row, viewer.sees_stock))))
}

/// The page of these products, in their order.
async fn page_of(
    db: &mut PgConnection,
    viewer: &Viewer,
    sort: Sort,
    page: &PageRequest,
    ids: &[i64],
) -> Result<Page<Listed>, sqlx::Error> {
    let mut rows = rows_of(db, viewer, ids).await?;
    let places: HashMap<i64, usize> = ids.iter().enumerate().map(|(place, id)| (*id, place)).collect();
    rows.sort_unstable_by_key(|row| places.get(&row.id).copied());
    let listed = page.page(sort.list(), rows, |row| key(sort, row.id, &row.code, &row.name, row.amount));
    Ok(listed.map(|row| listed_as(row, viewer.sees_stock)))
}

/// These products, in any order.
pub(super) async fn these(db: &mut PgConnection, viewer: &Viewer, ids: &[i64]) -> Result<Vec<Listed>, sqlx::Error> {
    let rows = rows_of(db, viewer, ids).await?;
    Ok(rows.into_iter().map(|row| listed_as(row, viewer.sees_stock)).collect())
}

async fn rows_of(db: &mut PgConnection, viewer: &Viewer, ids: &[i64]) -> Result<Vec<Row>, sqlx::Error> {
    let mut statement = begin(viewer)?;
    statement
        .push(", page as materialized (select ")
        .push(columns!())
        .push(" from commerce.product p where p.id = any(");
    statement.push_bind(ids.to_vec()).push("))").push(PAGE_WINNERS).push(" select p.*").push(PRICED);
    statement.push(about!("page p")).push(" left join winners w on w.product_id = p.id").push(one_unit!());
    statement.build_query_as().fetch_all(db).await
}

/// Which products a page has, of a list that does not depend on prices and stock.
pub(super) async fn ids(
    db: &PgPool,
    sees_all: bool,
    filter: &Filter,
    sort: Sort,
    page: &PageRequest,
) -> Result<Result<Page<i64>, BadPage>, sqlx::Error> {
    let after = match after(page, sort) {
        Ok(after) => after,
        Err(bad) => return Ok(Err(bad)),
    };
    if found::is_search(filter, sort) {
        let mut conn = db.acquire().await?;
        let rows = found::places(&mut conn, sees_all, filter, sort, after.as_ref(), page.rows()).await?;
        let ids = page.page(sort.list(), rows, |row| place_key(sort, row));
        return Ok(Ok(ids.map(|row| row.id)));
    }
    let mut statement = QueryBuilder::new("select p.id, p.code, p.name from commerce.product p");
    filter.push(&mut statement, sees_all);
    if let Some(after) = after {
        push_after(&mut statement, sort, &after);
    }
    push_order(&mut statement, sort);
    statement.push(format!(" limit {}", page.rows()));
    let rows: Vec<Place> = statement.build_query_as().persistent(filter.is_empty()).fetch_all(db).await?;
    let ids = page.page(sort.list(), rows, |row| place_key(sort, row));
    Ok(Ok(ids.map(|row| row.id)))
}

/// Products that dealers see, by their ids, behind this one.
pub(super) async fn seen_by_dealers(db: &PgPool, after: i64, most: i64) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        "select id from commerce.product where is_active and deleted_at is null and id > $1 order by id limit $2",
        after,
        most,
    )
    .fetch_all(db)
    .await
}

/// Products as lists show them, with their stock and without prices, and whether dealers see them.
pub(super) async fn cores(db: &mut PgConnection, ids: &[i64]) -> Result<Vec<(Listed, bool)>, sqlx::Error> {
    let statement = concat!(
        "select ",
        columns!(),
        ", p.is_active and p.deleted_at is null as for_dealers",
        about!("commerce.product p"),
        " where p.id = any ($1)"
    );
    let rows: Vec<Core> = sqlx::query_as(statement).bind(ids).fetch_all(db).await?;
    Ok(rows.into_iter().map(|core| (listed_as(core.row, true), core.for_dealers)).collect())
}

/// How many products the whole list has.
pub async fn count(db: &PgPool, viewer: &Viewer, filter: &Filter) -> Result<i64, sqlx::Error> {
    if filter.references.find_nothing() {
        return Ok(0);
    }
    if filter.needs_price()
        && let Some(found) = shelf::count(db, viewer, filter).await?
    {
        return Ok(found);
    }
    let mut statement = begin(viewer)?;
    statement.push(" select count(*) from (");
    push_products(&mut statement, viewer, filter, filter.needs_price());
    statement.push(") p");
    statement.build_query_scalar().persistent(false).fetch_one(db).await
}

fn begin(viewer: &Viewer) -> Result<QueryBuilder<Postgres>, sqlx::Error> {
    let mut arguments = PgArguments::default();
    arguments.add(viewer.dealer.customer_id).map_err(sqlx::Error::Encode)?;
    arguments.add(viewer.day).map_err(sqlx::Error::Encode)?;
    arguments.add(viewer.dealer.allow_zero_price).map_err(sqlx::Error::Encode)?;
    Ok(QueryBuilder::with_arguments(pricing_sql!(dealer), arguments))
}

/// `select … from product p where …`, with the price when something asks for it.
fn push_products(statement: &mut QueryBuilder<Postgres>, viewer: &Viewer, filter: &Filter, priced: bool) {
    if !priced {
        statement.push("select ").push(columns!()).push(" from commerce.product p");
        filter.push(statement, viewer.sees_all);
        return;
    }
    statement
        .push("select p.* from (select ")
        .push(columns!())
        .push(PRICED)
        .push(" from commerce.product p left join (");
    statement.push(WINNERS);
    filter.push(statement, viewer.sees_all);
    statement.push(" and ").push(pricing_sql!(counts)).push(" order by c.product_id, ").push(pricing_sql!(order));
    statement.push(") w on w.product_id = p.id").push(one_unit!());
    filter.push(statement, viewer.sees_all);
    statement.push(") p where true");
    if let Some(least) = filter.min_price {
        statement.push(" and p.amount >= ").push_bind(least);
    }
    if let Some(most) = filter.max_price {
        statement.push(" and p.amount <= ").push_bind(most);
    }
}

/// Whether the key is one of this order.
pub(super) fn push_after(statement: &mut QueryBuilder<Postgres>, sort: Sort, after: &Key) -> bool {
    match (sort, after) {
        (Sort::Name | Sort::NameDescending, Key::Text(name, id)) => {
            let (column, sign) = ("p.name collate \"tr-x-icu\"", if sort == Sort::Name { ">" } else { "<" });
            statement.push(format!(" and ({column}, p.id) {sign} (")).push_bind(name.clone());
            statement.push(" collate \"tr-x-icu\", ").push_bind(*id).push(")");
        }
        (Sort::Price | Sort::PriceDescending, Key::Text(amount, id)) => {
            let Ok(amount) = amount.parse::<Decimal>() else { return false };
            let (missing, sign) = if sort == Sort::Price { (NO_PRICE_LAST, ">") } else { (NO_PRICE_FIRST, "<") };
            statement.push(format!(" and (coalesce(p.amount, {missing}), p.id) {sign} (")).push_bind(amount);
            statement.push(", ").push_bind(*id).push(")");
        }
        (Sort::Code, Key::Text(code, _)) => {
            statement.push(" and p.code > ").push_bind(code.clone());
        }
        (Sort::Newest, Key::Id(id)) => {
            statement.push(" and p.id < ").push_bind(*id);
        }
        _ => return false,
    }
    true
}

pub(super) fn push_order(statement: &mut QueryBuilder<Postgres>, sort: Sort) {
    statement.push(" order by ");
    match sort {
        Sort::Name => statement.push("p.name collate \"tr-x-icu\", p.id"),
        Sort::NameDescending => statement.push("p.name collate \"tr-x-icu\" desc, p.id desc"),
        Sort::Price => statement.push(format!("coalesce(p.amount, {NO_PRICE_LAST}), p.id")),
        Sort::PriceDescending => statement.push(format!("coalesce(p.amount, {NO_PRICE_FIRST}) desc, p.id desc")),
        Sort::Newest => statement.push("p.id desc"),
        Sort::Code => statement.push("p.code"),
    };
}

/// The price that a list by price goes on behind; `None`: behind those without one.
pub(super) fn amount_of(key: &Key) -> Option<Decimal> {
    let Key::Text(amount, _) = key else { return None };
    let amount = amount.parse::<Decimal>().ok()?;
    (!amount.is_sign_negative() && amount.to_string() != NO_PRICE_LAST).then_some(amount)
}

pub(super) const fn id_of(key: &Key) -> i64 {
    match key {
        Key::Text(_, id) | Key::Id(id) => *id,
    }
}

/// The name that a list by name goes on behind.
pub(super) fn name_of(key: &Key) -> Option<&str> {
    match key {
        Key::Text(name, _) => Some(name),
        Key::Id(_) => None,
    }
}

pub(super) fn place_key(sort: Sort, place: &Place) -> Key {
    key(sort, place.id, &place.code, &place.name, None)
}

fn key(sort: Sort, id: i64, code: &str, name: &str, amount: Option<Decimal>) -> Key {
    let amount = |missing: &str| amount.map_or_else(|| missing.to_owned(), |amount| amount.to_string());
    match sort {
        Sort::Name | Sort::NameDescending => Key::Text(name.to_owned(), id),
        Sort::Price => Key::Text(amount(NO_PRICE_LAST), id),
        Sort::PriceDescending => Key::Text(amount(NO_PRICE_FIRST), id),
        Sort::Newest => Key::Id(id),
        Sort::Code => Key::Text(code.to_owned(), id),
    }
}

pub(super) fn named(id: Option<i64>, code: Option<String>, name: Option<String>) -> Option<Named> {
    Some(Named { id: id?, code: code?, name: name? })
}

fn listed_as(row: Row, sees_stock: bool) -> Listed {
    let price = row.amount.zip(row.currency).zip(row.rule);
    let stock = row.stock.unwrap_or_default();
    Listed {
        id: row.id,
        code: row.code,
        sku: row.sku,
        name: row.name,
        slug: row.slug,
        short_description: row.short_description,
        unit: row.unit,
        vat_rate: row.vat_rate,
        minimum_order_quantity: row.minimum_order_quantity,
        order_multiple: row.order_multiple,
        variant_group: row.variant_group,
        is_featured: row.is_featured,
        is_active: row.is_active,
        updated_at: row.updated_at,
        category: named(row.category_id, row.category_code, row.category_name),
        brand: named(row.brand_id, row.brand_code, row.brand_name),
        price: price.map(|((amount, currency), rule)| Price { amount, currency, rule }),
        in_stock: !row.track_stock || stock > Decimal::ZERO,
        stock: (sees_stock && row.track_stock).then_some(stock),
        image: row.image,
    }
}
