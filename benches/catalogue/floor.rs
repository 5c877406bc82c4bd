//! The floor: one handler, one query, nothing else.

use std::error::Error;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    routing::get,
};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgPool, postgres::PgPoolOptions};
use tokio::net::TcpListener;

#[derive(Debug, Serialize, FromRow)]
struct Row {
    id: i64,
    code: String,
    sku: Option<String>,
    name: String,
    unit: Option<String>,
    vat_rate: Option<Decimal>,
    minimum_order_quantity: Option<Decimal>,
}

#[derive(Debug, Deserialize)]
struct Asked {
    #[serde(default)]
    after: String,
    #[serde(default)]
    search: String,
}

const COLUMNS: &str = "select id, code, sku, name, unit, vat_rate, minimum_order_quantity from commerce.product ";

async fn list(State(pool): State<PgPool>, Query(asked): Query<Asked>) -> Result<Json<Vec<Row>>, StatusCode> {
    let rows = if asked.search.is_empty() {
        sqlx::query_as(page()).bind(&asked.after).fetch_all(&pool).await
    } else {
        sqlx::query_as(search()).bind(format!("%{}%", asked.search)).fetch_all(&pool).await
    };
    rows.map(Json).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

fn page() -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!(
        "{COLUMNS} where is_active and deleted_at is null and code > $1 order by code limit 20"
    ))
}

fn search() -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!(
        "{COLUMNS} where is_active and deleted_at is null and search_text like $1 order by code limit 20"
    ))
}

async fn show(State(pool): State<PgPool>, Path(id): Path<i64>) -> Result<Json<Row>, StatusCode> {
    let row =
        sqlx::query_as(sqlx::AssertSqlSafe(format!("{COLUMNS} where id = $1"))).bind(id).fetch_optional(&pool).await;
    row.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?.map(Json).ok_or(StatusCode::NOT_FOUND)
}

pub async fn serve(address: &str, url: &str) -> Result<(), Box<dyn Error>> {
    let pool = PgPoolOptions::new().max_connections(16).connect(url).await?;
    let routes = Router::new()
        .route("/health/ready", get(async || StatusCode::OK))
        .route("/api/v1/products", get(list))
        .route("/api/v1/products/{id}", get(show))
        .with_state(pool);
    axum::serve(TcpListener::bind(address).await?, routes).await?;
    Ok(())
}
