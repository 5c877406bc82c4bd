//! Stock levels.

use axum::{http::StatusCode, response::Response};
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Pushed,
    push::{Sender, require_instance},
    routes::entity_routes,
};
use crate::{
    canonical::Entity,
    http::{idempotency::Answer, problem::Problem},
    hub::handover,
};

const STOCK: Pushed =
    Pushed { entity: Entity::Stock, mapping: "integration/stock", stream: "push.stock", list: "items" };

/// A stock level, in the main unit of the product.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes; documents are read by their mapping")]
struct StockIn {
    #[schema(max_length = 100)]
    product_code: String,
    /// `0`, the first warehouse of LOGO, when it is left out. Another one that is not known fails the item.
    warehouse_code: Option<String>,
    /// What may be sold; below 0 nothing is.
    #[schema(value_type = f64)]
    quantity: Decimal,
    #[schema(value_type = Option<f64>)]
    reserved: Option<Decimal>,
    /// Orders pushes: one with a smaller number than the newest is stale.
    version: Option<i64>,
}

#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes; documents are read by their mapping")]
struct StockLevelsIn {
    #[schema(min_items = 1, max_items = 1000)]
    items: Vec<StockIn>,
}

/// A reading of the stock that was begun.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct BegunReading {
    /// To be sent as `Stock-Reading` with the levels that are read from now on.
    #[schema(example = 12)]
    reading: i64,
}

/// Says that the key's system begins to read its stock. Levels that are read after the answer and pushed with its number in the
/// header `Stock-Reading` end the reservations of orders that the system had by now.
#[utoipa::path(
    post,
    path = "/api/integration/stock/readings",
    tag = "integration",
    operation_id = "beginStockReading",
    security(("apiKey" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")),
    responses(
        (status = 201, description = "Begun; an earlier one counts no more", body = BegunReading),
        (
            status = 409,
            description = "The stock of this system is polled",
            body = crate::http::openapi::ProblemDocument,
            content_type = "application/problem+json"
        ),
        crate::http::openapi::Refused
    )
)]
async fn begin_reading(sender: Sender) -> Result<Response, Problem> {
    let Sender { engine, caller, request, .. } = sender;
    caller.require("integration:write")?;
    require_instance(&engine, &caller)?;
    if handover::is_polled(&engine, &caller.instance) {
        let detail = format!(
            "the hub reads the stock of `{0}` itself; switch that off ([connectors.{0}.streams] stock, enabled = false) to push it",
            caller.instance
        );
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "stock_is_polled",
            "The stock of this system is polled",
            detail,
        ));
    }
    let begun = (engine, caller.instance.clone());
    request
        .run(&caller.actor(), &[], |tx| {
            let (engine, instance) = begun.clone();
            Box::pin(async move {
                let reading = handover::begin(tx, &engine, &instance).await?;
                Ok(Answer::json(StatusCode::CREATED, &BegunReading { reading })?)
            })
        })
        .await
}

entity_routes!(
    STOCK,
    tag = "integration",
    one = "/api/integration/stock",
    bulk = "/api/integration/stock/bulk",
    record = "/api/integration/stock/{externalCode}",
    item = StockIn,
    items = StockLevelsIn,
    names = ["pushStock", "pushStockLevels", "showStock", "clearStock"],
    also = [begin_reading]
);
