//! The floor: one handler, one query, nothing else. It reads and writes down the columns of `commerce.product` that the hub's
//! answer shows; what stands in other tables (names of category and brand, price, stock, image) it leaves out.

use std::error::Error;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    routing::get,
};
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{FromRow, PgPool, postgres::PgPoolOptions};
use tokio::net::TcpListener;

#[derive(Debug, Serialize, FromRow)]
struct Row {
    id: i64,
    code: String,
    sku: Option<String>,
    name: String,
    slug: String,
    short_description: Option<String>,
    category_id: Option<i64>,
    brand_id: Option<i64>,
    unit: Option<String>,
    vat_rate: Option<Decimal>,
    minimum_order_quantity: Option<Decimal>,
    order_multiple: Option<Decimal>,
    variant_group: Option<String>,
    is_featured: bool,
    is_active: bool,
    updated_at: DateTime<Utc>,
}

#[derive(Debug, Serialize, FromRow)]
struct Whole {
    #[serde(flatten)]
    #[sqlx(flatten)]
    row: Row,
    description: Option<String>,
    barcode: Option<String>,
    options: Option<Value>,
    attributes: Option<Value>,
    product_type_code: Option<String>,
    warranty_months: Option<i32>,
    weight: Option<Decimal>,
    weight_unit: Option<String>,
    track_stock: bool,
    requires_serial_number: bool,
    revision: i64,
    created_at: DateTime<Utc>,
}

#[derive(Debug, Deserialize)]
struct Asked {
    #[serde(default)]
    after: String,
    #[serde(default)]
    search: String,
}

macro_rules! columns {
    () => {
        "id, code, sku, name, slug, short_description, category_id, brand_id, unit, vat_rate, minimum_order_quantity, order_multiple,
         variant_group, is_featured, is_active, updated_at"
    };
}

const PAGE: &str = concat!(
    "select ",
    columns!(),
    " from commerce.product where is_active and deleted_at is null and code > $1 order by code limit 20"
);
const SEARCH: &str = concat!(
    "select ",
    columns!(),
    " from commerce.product where is_active and deleted_at is null and search_text like $1 order by code limit 20"
);
const WHOLE: &str = concat!(
    "select ",
    columns!(),
    ", description, barcode, options, attributes, product_type_code, warranty_months, weight, weight_unit, track_stock,
       requires_serial_number, revision, created_at
     from commerce.product where id = $1"
);

async fn list(State(pool): State<PgPool>, Query(asked): Query<Asked>) -> Result<Json<Vec<Row>>, StatusCode> {
    let rows = if asked.search.is_empty() {
        sqlx::query_as(PAGE).bind(&asked.after).fetch_all(&pool).await
    } else {
        sqlx::query_as(SEARCH).bind(format!("%{}%", asked.search)).fetch_all(&pool).await
    };
    rows.map(Json).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

async fn show(State(pool): State<PgPool>, Path(id): Path<i64>) -> Result<Json<Whole>, StatusCode> {
    let row = sqlx::query_as(WHOLE).bind(id).fetch_optional(&pool).await;
    row.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?.map(Json).ok_or(StatusCode::NOT_FOUND)
}

pub async fn serve(address: &str, url: &str) -> Result<(), Box<dyn Error>> {
    let pool = PgPoolOptions::new().max_connections(16).test_before_acquire(false).connect(url).await?;
    let routes = Router::new()
        .route("/health/ready", get(async || StatusCode::OK))
        .route("/api/v1/products", get(list))
        .route("/api/v1/products/{id}", get(show))
        .with_state(pool);
    axum::serve(TcpListener::bind(address).await?, routes).await?;
    Ok(())
}
