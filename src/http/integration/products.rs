//! Products, and the short forms of their prices and stock.

use axum::response::Response;
use rust_decimal::Decimal;
use utoipa::ToSchema;

use super::{
    Pushed,
    document::Document,
    push::{self, PushedOne, Sender},
    routes::entity_routes,
};
use crate::{
    canonical::Entity,
    http::{
        openapi::{ProblemDocument, Refused},
        problem::Problem,
    },
};

const PRODUCTS: Pushed =
    Pushed { entity: Entity::Product, mapping: "integration/products", stream: "push.products", list: "products" };

/// The list price and its parts, the others.
const PRODUCT_PRICES: Pushed = Pushed {
    entity: Entity::Price,
    mapping: "integration/product_list_prices",
    stream: "push.product_prices",
    list: "items",
};

const PRODUCT_STOCK: Pushed =
    Pushed { entity: Entity::Stock, mapping: "integration/product_stock", stream: "push.product_stock", list: "items" };

/// A product: the card, its own prices and a stock level go in together or not at all. What is left out stays as it is; null
/// empties it, but for prices and stock, which it leaves as they are.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes; documents are read by their mapping")]
struct ProductIn {
    #[schema(max_length = 100)]
    code: String,
    /// LOGO's own number of the record.
    logo_id: Option<i64>,
    #[schema(max_length = 200)]
    name: String,
    /// The code when it is left out and the product is new.
    #[schema(max_length = 50)]
    sku: Option<String>,
    /// Taken when the product is new.
    #[schema(max_length = 4000)]
    description: Option<String>,
    /// Taken when the product is new.
    #[schema(max_length = 500)]
    short_description: Option<String>,
    category_code: String,
    brand_code: String,
    #[schema(value_type = Option<f64>, minimum = 0)]
    list_price: Option<Decimal>,
    #[schema(value_type = Option<f64>, minimum = 0)]
    dealer_price: Option<Decimal>,
    #[schema(value_type = Option<f64>, minimum = 0)]
    cost_price: Option<Decimal>,
    /// Of the prices. A known price keeps its currency when it is left out; a new one is in TRY.
    #[schema(min_length = 3, max_length = 3)]
    currency: Option<String>,
    /// In the main unit.
    #[schema(value_type = Option<f64>, minimum = 0)]
    stock_quantity: Option<Decimal>,
    /// Where the stock is; `0`, the first warehouse of LOGO, when it is left out.
    warehouse_code: Option<String>,
    /// True when it is left out.
    is_active: Option<bool>,
    requires_serial_number: Option<bool>,
    warranty_months: Option<i32>,
    /// In percent.
    #[schema(value_type = Option<f64>, minimum = 0)]
    tax_rate: Option<Decimal>,
    #[schema(value_type = Option<f64>, minimum = 0)]
    weight: Option<Decimal>,
    #[schema(max_length = 10)]
    weight_unit: Option<String>,
    #[schema(value_type = Option<f64>, minimum = 0)]
    minimum_order_quantity: Option<Decimal>,
    /// Any object; taken when the product is new.
    #[schema(value_type = Option<Object>)]
    attributes: Option<serde_json::Value>,
    /// The main unit.
    #[schema(max_length = 20)]
    unit: Option<String>,
    units: Option<Vec<UnitIn>>,
    #[schema(value_type = Option<f64>, minimum = 0)]
    order_multiple: Option<Decimal>,
    #[schema(max_length = 100)]
    variant_group: Option<String>,
    /// What tells this variant from the others of its group.
    #[schema(value_type = Option<Object>)]
    options: Option<serde_json::Value>,
    /// Orders pushes: one with a smaller number than the newest is stale.
    version: Option<i64>,
}

/// A unit: quantity in the main unit = quantity × numerator ÷ denominator.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes; documents are read by their mapping")]
struct UnitIn {
    #[schema(max_length = 20)]
    code: String,
    /// 1 when it is left out.
    #[schema(value_type = Option<f64>, minimum = 0)]
    numerator: Option<Decimal>,
    /// 1 when it is left out.
    #[schema(value_type = Option<f64>, minimum = 0)]
    denominator: Option<Decimal>,
    is_main: Option<bool>,
    #[schema(max_length = 50)]
    barcode: Option<String>,
}

#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes; documents are read by their mapping")]
struct ProductsIn {
    #[schema(min_items = 1, max_items = 1000)]
    products: Vec<ProductIn>,
}

/// The own prices of a product that is there.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes; documents are read by their mapping")]
struct ProductPricesIn {
    /// Of the product.
    #[schema(max_length = 100)]
    code: String,
    #[schema(value_type = f64, minimum = 0)]
    list_price: Decimal,
    #[schema(value_type = Option<f64>, minimum = 0)]
    dealer_price: Option<Decimal>,
    #[schema(value_type = Option<f64>, minimum = 0)]
    cost_price: Option<Decimal>,
    /// The prices keep their currency when it is left out; new ones are in TRY.
    #[schema(min_length = 3, max_length = 3)]
    currency: Option<String>,
    /// Orders pushes: one with a smaller number than the newest is stale.
    version: Option<i64>,
}

/// The stock of a product that is there.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes; documents are read by their mapping")]
struct ProductStockIn {
    /// Of the product.
    #[schema(max_length = 100)]
    code: String,
    /// In the main unit.
    #[schema(value_type = f64, minimum = 0)]
    quantity: Decimal,
    /// `0`, the first warehouse of LOGO, when it is left out.
    warehouse_code: Option<String>,
    /// Orders pushes: one with a smaller number than the newest is stale.
    version: Option<i64>,
}

/// The short form of a product's own prices.
#[utoipa::path(
    post,
    path = "/api/integration/products/prices",
    tag = "integration",
    operation_id = "pushProductPrices",
    security(("apiKey" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")),
    request_body = ProductPricesIn,
    responses(
        (status = 200, description = "It went in; the code and the id are the product's", body = PushedOne),
        (
            status = 400,
            description = "It did not go in; the problem also has `success: false` and `error`",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        Refused
    )
)]
async fn set_prices(sender: Sender, document: Document) -> Result<Response, Problem> {
    push::part(sender, PRODUCT_PRICES, document).await
}

/// The short form of a product's stock.
#[utoipa::path(
    post,
    path = "/api/integration/products/stock",
    tag = "integration",
    operation_id = "pushProductStock",
    security(("apiKey" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")),
    request_body = ProductStockIn,
    responses(
        (status = 200, description = "It went in; the code and the id are the product's", body = PushedOne),
        (
            status = 400,
            description = "It did not go in; the problem also has `success: false` and `error`",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        Refused
    )
)]
async fn set_stock(sender: Sender, document: Document) -> Result<Response, Problem> {
    push::part(sender, PRODUCT_STOCK, document).await
}

entity_routes!(
    PRODUCTS,
    tag = "integration",
    one = "/api/integration/products",
    bulk = "/api/integration/products/bulk",
    record = "/api/integration/products/{externalCode}",
    item = ProductIn,
    items = ProductsIn,
    names = ["pushProduct", "pushProducts", "showProduct", "deactivateProduct"],
    also = [set_prices, set_stock]
);
