//! One product, with everything that its page shows.

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::Value;
use sqlx::{FromRow, PgExecutor, types::Json};

use super::{
    Viewer,
    filter::storable,
    list::{Named, Price, named},
};
use crate::commerce::pricing::{Dealer, Rule, pricing_sql};

/// Which product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which<'a> {
    Id(i64),
    Sku(&'a str),
}

/// Quantity in the main unit = quantity × numerator ÷ denominator.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Unit {
    pub unit: String,
    pub name: Option<String>,
    #[serde(with = "rust_decimal::serde::arbitrary_precision")]
    pub numerator: Decimal,
    #[serde(with = "rust_decimal::serde::arbitrary_precision")]
    pub denominator: Decimal,
    pub is_main: bool,
    pub decimals: i16,
    pub barcode: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Image {
    pub position: i16,
    pub url: String,
    pub alt: Option<String>,
}

/// What may be sold out of a warehouse.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Level {
    pub warehouse: String,
    pub name: String,
    #[serde(with = "rust_decimal::serde::arbitrary_precision")]
    pub available: Decimal,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Detail {
    pub id: i64,
    pub revision: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub code: String,
    pub sku: Option<String>,
    pub name: String,
    pub slug: String,
    pub short_description: Option<String>,
    pub description: Option<String>,
    pub category: Option<Named>,
    pub brand: Option<Named>,
    pub unit: Option<String>,
    pub units: Vec<Unit>,
    pub barcode: Option<String>,
    pub vat_rate: Option<Decimal>,
    pub product_type_code: Option<String>,
    pub warranty_months: Option<i32>,
    pub weight: Option<Decimal>,
    pub weight_unit: Option<String>,
    pub minimum_order_quantity: Option<Decimal>,
    pub order_multiple: Option<Decimal>,
    pub variant_group: Option<String>,
    pub options: Option<Value>,
    pub attributes: Option<Value>,
    pub images: Vec<Image>,
    pub is_active: bool,
    pub is_deleted: bool,
    pub is_featured: bool,
    pub track_stock: bool,
    pub requires_serial_number: bool,
    pub price: Option<Price>,
    /// `None`: not for this viewer, or not known.
    pub cost: Option<(Decimal, String)>,
    pub in_stock: bool,
    /// By warehouse; `None`: not for this viewer, or it is not counted.
    pub stock: Option<Vec<Level>>,
}

#[derive(Debug, FromRow)]
struct Row {
    id: i64,
    revision: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    code: String,
    sku: Option<String>,
    name: String,
    slug: String,
    short_description: Option<String>,
    description: Option<String>,
    category_id: Option<i64>,
    category_code: Option<String>,
    category_name: Option<String>,
    brand_id: Option<i64>,
    brand_code: Option<String>,
    brand_name: Option<String>,
    unit: Option<String>,
    units: Json<Vec<Unit>>,
    barcode: Option<String>,
    vat_rate: Option<Decimal>,
    product_type_code: Option<String>,
    warranty_months: Option<i32>,
    weight: Option<Decimal>,
    weight_unit: Option<String>,
    minimum_order_quantity: Option<Decimal>,
    order_multiple: Option<Decimal>,
    variant_group: Option<String>,
    options: Option<Value>,
    attributes: Option<Value>,
    images: Json<Vec<Image>>,
    is_active: bool,
    is_deleted: bool,
    is_featured: bool,
    track_stock: bool,
    requires_serial_number: bool,
    amount: Option<Decimal>,
    currency: Option<String>,
    rule: Option<Rule>,
    cost: Option<Decimal>,
    cost_currency: Option<String>,
    stock: Json<Vec<Level>>,
}

/// The product `p` but for its price.
macro_rules! statement {
    ($dealer:expr, $price:expr, $winner:expr, $key:literal) => {
        concat!(
    $dealer,
    " select p.id, p.revision, p.created_at, p.updated_at, p.code, p.sku, p.name, p.slug, p.short_description, p.description,
        p.category_id, c.code as category_code, c.name as category_name, p.brand_id, b.code as brand_code,
        b.name as brand_name, p.unit, p.barcode, p.vat_rate, p.product_type_code, p.warranty_months, p.weight, p.weight_unit,
        p.minimum_order_quantity, p.order_multiple, p.variant_group, p.options, p.attributes, p.is_active,
        p.deleted_at is not null as is_deleted, p.is_featured, p.track_stock, p.requires_serial_number,
        (select coalesce(jsonb_agg(jsonb_build_object(
             'unit', u.unit, 'name', u.name, 'numerator', u.numerator, 'denominator', u.denominator, 'is_main', u.is_main,
             'decimals', u.decimals, 'barcode', u.barcode) order by u.position), '[]')
         from commerce.effective_product_unit u where u.product_id = p.id) as units,
        (select coalesce(jsonb_agg(jsonb_build_object('position', i.position, 'url', i.url, 'alt', i.alt)
                                   order by i.position), '[]')
         from commerce.product_image i where i.product_id = p.id) as images,
        (select coalesce(jsonb_agg(jsonb_build_object('warehouse', h.code, 'name', h.name, 'available', s.available)
                                   order by h.code), '[]')
         from commerce.stock_level s join commerce.warehouse h on h.id = s.warehouse_id
         where s.product_id = p.id and h.is_active and h.deleted_at is null) as stock, ",
    $price,
    " from commerce.product p ",
    $winner,
    " left join commerce.category c on c.id = p.category_id
    left join commerce.brand b on b.id = p.brand_id
    where ",
            $key
        )
    };
}

/// At a dealer's price: $4 whether products out of use are seen, $5 the key, $6 whether costs are.
macro_rules! priced {
    ($key:literal) => {
        statement!(
            pricing_sql!(dealer),
            concat!(
                "k.amount as cost, k.currency as cost_currency, case when w.id is not null then ",
                pricing_sql!(net),
                " end as amount, w.currency, w.role as rule"
            ),
            concat!(
                "cross join dealer d
                cross join (select 1::numeric as quantity, 1::numeric as asked_numerator, 1::numeric as asked_denominator) a ",
                pricing_sql!(winner),
                " left join lateral (
                    select r.amount, r.currency from commerce.price r
                    where $6 and r.product_id = p.id and r.customer_id is null and r.price_list_id is null and r.role = 'cost'
                      and r.is_active and (r.valid_from is null or r.valid_from <= $2) and (r.valid_to is null or r.valid_to >= $2)
                    order by r.priority, r.valid_from desc nulls last, r.id desc
                    limit 1
                ) k on true"
            ),
            $key
        )
    };
}

const BY_ID: &str = priced!("($4 or (p.is_active and p.deleted_at is null)) and p.id = $5");
const BY_SKU: &str = priced!("($4 or (p.is_active and p.deleted_at is null)) and p.sku = $5");
/// Without any price.
macro_rules! unpriced {
    ($key:literal) => {
        statement!(
            "",
            "null::numeric as cost, null::text as cost_currency, null::numeric as amount, null::text as currency, null::text as rule",
            "",
            $key
        )
    };
}

const CORES_BY_ID: &str = unpriced!("p.id = any($1)");
const CORE_BY_SKU: &str = unpriced!("p.sku = $1");

/// The product as this viewer may see it; `None` when it is not there for them.
pub async fn product<'e>(
    db: impl PgExecutor<'e>,
    viewer: &Viewer,
    which: Which<'_>,
) -> Result<Option<Detail>, sqlx::Error> {
    let statement = match which {
        Which::Id(_) => BY_ID,
        Which::Sku(_) => BY_SKU,
    };
    let query = sqlx::query_as::<_, Row>(statement)
        .bind(viewer.dealer.customer_id)
        .bind(viewer.day)
        .bind(viewer.dealer.allow_zero_price)
        .bind(viewer.sees_all);
    let query = match which {
        Which::Id(id) => query.bind(id),
        Which::Sku(sku) => query.bind(storable(sku)),
    };
    Ok(query.bind(viewer.sees_costs).fetch_optional(db).await?.map(|row| detail(row, viewer)))
}

/// Sees every product, and its stock.
fn everything() -> Viewer {
    Viewer {
        dealer: Dealer { customer_id: None, allow_zero_price: false },
        day: NaiveDate::default(),
        sees_stock: true,
        sees_costs: false,
        sees_all: true,
    }
}

/// The product whoever sees it, with its stock and without any price.
pub(super) async fn core<'e>(db: impl PgExecutor<'e>, which: Which<'_>) -> Result<Option<Detail>, sqlx::Error> {
    let query = match which {
        Which::Id(id) => sqlx::query_as::<_, Row>(CORES_BY_ID).bind(vec![id]),
        Which::Sku(sku) => sqlx::query_as::<_, Row>(CORE_BY_SKU).bind(storable(sku)),
    };
    Ok(query.fetch_optional(db).await?.map(|row| detail(row, &everything())))
}

/// The same of several, in any order.
pub(super) async fn cores<'e>(db: impl PgExecutor<'e>, ids: &[i64]) -> Result<Vec<Detail>, sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(CORES_BY_ID).bind(ids).fetch_all(db).await?;
    Ok(rows.into_iter().map(|row| detail(row, &everything())).collect())
}

fn detail(row: Row, viewer: &Viewer) -> Detail {
    let price = row.amount.zip(row.currency).zip(row.rule);
    let in_stock = !row.track_stock || row.stock.iter().any(|level| level.available > Decimal::ZERO);
    Detail {
        id: row.id,
        revision: row.revision,
        created_at: row.created_at,
        updated_at: row.updated_at,
        code: row.code,
        sku: row.sku,
        name: row.name,
        slug: row.slug,
        short_description: row.short_description,
        description: row.description,
        category: named(row.category_id, row.category_code, row.category_name),
        brand: named(row.brand_id, row.brand_code, row.brand_name),
        unit: row.unit,
        units: row.units.0,
        barcode: row.barcode,
        vat_rate: row.vat_rate,
        product_type_code: row.product_type_code,
        warranty_months: row.warranty_months,
        weight: row.weight,
        weight_unit: row.weight_unit,
        minimum_order_quantity: row.minimum_order_quantity,
        order_multiple: row.order_multiple,
        variant_group: row.variant_group,
        options: row.options,
        attributes: row.attributes,
        images: row.images.0,
        is_active: row.is_active,
        is_deleted: row.is_deleted,
        is_featured: row.is_featured,
        track_stock: row.track_stock,
        requires_serial_number: row.requires_serial_number,
        price: price.map(|((amount, currency), rule)| Price { amount, currency, rule }),
        cost: row.cost.zip(row.cost_currency),
        in_stock,
        stock: (viewer.sees_stock && row.track_stock).then_some(row.stock.0),
    }
}
