//! Price rows.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use utoipa::ToSchema;

use super::{Pushed, routes::entity_routes};
use crate::canonical::Entity;

const PRICES: Pushed =
    Pushed { entity: Entity::Price, mapping: "integration/prices", stream: "push.prices", list: "items" };

/// A price row. It is known by product, customer or list, unit, `minQuantity` and `validFrom`; its code is told in the answer.
/// Without customer and list it is the list price of the product.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes; documents are read by their mapping")]
struct PriceIn {
    #[schema(max_length = 100)]
    product_code: String,
    /// For this customer alone.
    customer_code: Option<String>,
    /// Of this list; one that is not known fails the item.
    price_list_code: Option<String>,
    /// The main unit when it is left out.
    #[schema(max_length = 20)]
    unit: Option<String>,
    #[schema(value_type = f64, minimum = 0)]
    price: Decimal,
    /// A known price keeps its currency when it is left out; a new one is in TRY.
    #[schema(min_length = 3, max_length = 3)]
    currency: Option<String>,
    vat_included: Option<bool>,
    #[schema(value_type = Option<f64>, minimum = 0)]
    min_quantity: Option<Decimal>,
    valid_from: Option<NaiveDate>,
    valid_to: Option<NaiveDate>,
    /// Orders pushes: one with a smaller number than the newest is stale.
    version: Option<i64>,
}

#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes; documents are read by their mapping")]
struct PricesIn {
    #[schema(min_items = 1, max_items = 1000)]
    items: Vec<PriceIn>,
}

entity_routes!(
    PRICES,
    tag = "integration",
    one = "/api/integration/prices",
    bulk = "/api/integration/prices/bulk",
    record = "/api/integration/prices/{externalCode}",
    item = PriceIn,
    items = PricesIn,
    names = ["pushPrice", "pushPrices", "showPrice", "deactivatePrice"],
    also = []
);
