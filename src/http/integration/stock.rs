//! Stock levels.

use rust_decimal::Decimal;
use utoipa::ToSchema;

use super::{Pushed, routes::entity_routes};
use crate::canonical::Entity;

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

entity_routes!(
    STOCK,
    tag = "integration",
    one = "/api/integration/stock",
    bulk = "/api/integration/stock/bulk",
    record = "/api/integration/stock/{externalCode}",
    item = StockIn,
    items = StockLevelsIn,
    names = ["pushStock", "pushStockLevels", "showStock", "clearStock"],
    also = []
);
