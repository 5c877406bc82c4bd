//! What people change: a product's card, its own prices, its stock.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::{read::product_id, stop};
use crate::{
    canonical::Entity,
    commerce::{
        Patch, UnitLine,
        editing::{self, Card, OwnPrices},
        products::ProductUpsert,
    },
    http::{
        api::sent::Sent,
        idempotency::{Answer, Idempotent, Stop},
        openapi::{Denied, ProblemDocument},
        problem::Problem,
        router::PublicState,
        signed_in::SignedIn,
        visitor::Visitor,
    },
    hub::owners,
    identity::people::Visit,
    principal::Permission,
};

/// What is left out stays as it is; null empties it.
fn said<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Patch<T>, D::Error> {
    Option::<T>::deserialize(from).map(Patch::from)
}

/// A product's card. What is left out stays as it is; null empties it. Found by `id`, else by `code`; a code that nobody has
/// makes a new product.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ProductEdit)]
pub(super) struct ProductIn {
    id: Option<i64>,
    #[schema(max_length = 100, example = "KMR-DM4-2812")]
    code: Option<String>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>, max_length = 200)]
    name: Patch<String>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>, max_length = 50)]
    sku: Patch<String>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>, max_length = 300)]
    slug: Patch<String>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>, max_length = 500)]
    short_description: Patch<String>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>, max_length = 4000)]
    description: Patch<String>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    category_code: Patch<String>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    brand_code: Patch<String>,
    /// The main unit.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>, max_length = 20)]
    unit: Patch<String>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<Vec<UnitIn>>)]
    units: Patch<Vec<UnitIn>>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>, max_length = 50)]
    barcode: Patch<String>,
    /// In percent.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 100)]
    tax_rate: Patch<Decimal>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<f64>, minimum = 0)]
    minimum_order_quantity: Patch<Decimal>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<f64>, minimum = 0)]
    order_multiple: Patch<Decimal>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>, max_length = 100)]
    variant_group: Patch<String>,
    /// What tells this variant from the others of its group.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<Object>)]
    options: Patch<Box<RawValue>>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<Object>)]
    attributes: Patch<Box<RawValue>>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>, max_length = 50)]
    product_type_code: Patch<String>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 1200)]
    warranty_months: Patch<i64>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<f64>, minimum = 0)]
    weight: Patch<Decimal>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>, max_length = 10)]
    weight_unit: Patch<String>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<bool>)]
    track_stock: Patch<bool>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<bool>)]
    requires_serial_number: Patch<bool>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<bool>)]
    is_featured: Patch<bool>,
    /// True also brings a deleted product back.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<bool>)]
    is_active: Patch<bool>,
}

/// Quantity in the main unit = quantity × numerator ÷ denominator.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ProductUnitEdit)]
pub(super) struct UnitIn {
    #[schema(max_length = 20)]
    code: String,
    name: Option<String>,
    /// 1 when it is left out.
    #[schema(value_type = Option<f64>, minimum = 0)]
    numerator: Option<Decimal>,
    /// 1 when it is left out.
    #[schema(value_type = Option<f64>, minimum = 0)]
    denominator: Option<Decimal>,
    is_main: Option<bool>,
    /// How many decimals a quantity may have; by the unit's name when it is left out.
    decimals: Option<i16>,
    #[schema(max_length = 50)]
    barcode: Option<String>,
}

/// The product's own prices. What is left out or null stays as it is.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ProductPricesEdit)]
pub(super) struct PricesIn {
    #[schema(value_type = Option<f64>, minimum = 0, example = 1845.5)]
    list_price: Option<Decimal>,
    #[schema(value_type = Option<f64>, minimum = 0)]
    dealer_price: Option<Decimal>,
    #[schema(value_type = Option<f64>, minimum = 0)]
    cost_price: Option<Decimal>,
    /// A known price keeps its currency when it is left out; a new one is in TRY.
    #[schema(min_length = 3, max_length = 3)]
    currency: Option<String>,
}

/// What is there, in the main unit.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ProductStockEdit)]
pub(super) struct StockIn {
    #[schema(value_type = f64, minimum = 0)]
    quantity: Decimal,
    /// `0`, the first warehouse of LOGO, when it is left out.
    warehouse_code: Option<String>,
}

/// What became of the edit.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ProductEdited)]
pub(super) struct EditedOut {
    id: i64,
    is_new: bool,
    /// `created`, `updated` or `unchanged`.
    status: &'static str,
    /// The fields that have another value now.
    changed: Vec<String>,
}

impl EditedOut {
    pub(super) fn of(id: i64, is_new: bool, changed: Vec<String>) -> EditedOut {
        let status = match (is_new, changed.is_empty()) {
            (true, _) => "created",
            (false, true) => "unchanged",
            (false, false) => "updated",
        };
        EditedOut { id, is_new, status, changed }
    }
}

/// Creates or changes a product's card. A field that its source owns cannot be changed here.
#[utoipa::path(
    post,
    path = "/api/v1/products",
    tag = "catalogue",
    operation_id = "saveProduct",
    extensions(("x-permission" = json!("products.create|products.edit"))),
    security(("bearer" = []), ("apiKey" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")),
    request_body = ProductIn,
    responses(
        (status = 200, description = "It was there: changed, or as it was", body = EditedOut),
        (status = 201, description = "It is new", body = EditedOut),
        (
            status = 404,
            description = "There is no product with this id",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        (
            status = 409,
            description = "The source of the product owns a field; `owner` names it",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        Denied
    )
)]
pub(super) async fn save(
    State(state): State<PublicState>,
    caller: SignedIn,
    request: Idempotent,
    Visitor(visit): Visitor,
    sent: Sent<ProductIn>,
) -> Result<Response, Problem> {
    if !caller.may(Permission::ProductsCreate) {
        caller.require(Permission::ProductsEdit)?;
    }
    let Sent { value, bytes } = sent;
    let shared = Arc::new((state, caller, visit, value));
    let actor = shared.1.actor();
    let catalogue = shared.0.catalogue.clone();
    let answered = request
        .run(&actor, &bytes, |tx| {
            let shared = Arc::clone(&shared);
            Box::pin(async move {
                let (state, caller, visit, product) = &*shared;
                saved(tx, state, caller, visit, product).await
            })
        })
        .await;
    catalogue.changed().await;
    answered
}

async fn saved(
    tx: &mut PgConnection,
    state: &PublicState,
    caller: &SignedIn,
    visit: &Visit,
    product: &ProductIn,
) -> Result<Answer, Stop> {
    let actor = caller.actor();
    let by = visit.provenance(&actor, state.http.clock.now());
    let target = editing::target(tx, product.id, product.code.as_deref()).await.map_err(stop)?;
    caller.require(if target.is_new { Permission::ProductsCreate } else { Permission::ProductsEdit })?;
    let owner = owners::owners(tx, Entity::Product, &[target.id]).await?.remove(&target.id);
    let edited = editing::save_card(tx, &by, &target, card(product), owner.as_deref()).await.map_err(stop)?;
    let status = if edited.is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(Answer::json(status, &EditedOut::of(edited.id, edited.is_new, edited.changed))?)
}

fn text(patch: &Patch<String>) -> Patch<&str> {
    patch.as_ref().map(String::as_str)
}

fn json(patch: &Patch<Box<RawValue>>) -> Patch<&str> {
    patch.as_ref().map(|value| value.get())
}

fn card(product: &ProductIn) -> Card<'_> {
    Card {
        category: text(&product.category_code),
        brand: text(&product.brand_code),
        upsert: ProductUpsert {
            name: text(&product.name),
            sku: text(&product.sku),
            slug: text(&product.slug),
            short_description: text(&product.short_description),
            description: text(&product.description),
            unit: text(&product.unit),
            units: product.units.as_ref().map(|units| units.iter().map(line).collect()),
            barcode: text(&product.barcode),
            vat_rate: product.tax_rate,
            minimum_order_quantity: product.minimum_order_quantity,
            order_multiple: product.order_multiple,
            variant_group: text(&product.variant_group),
            options: json(&product.options),
            attributes: json(&product.attributes),
            product_type_code: text(&product.product_type_code),
            warranty_months: product.warranty_months,
            weight: product.weight,
            weight_unit: text(&product.weight_unit),
            track_stock: product.track_stock,
            requires_serial_number: product.requires_serial_number,
            is_featured: product.is_featured,
            is_active: product.is_active,
            ..ProductUpsert::default()
        },
    }
}

fn line(unit: &UnitIn) -> UnitLine<'_> {
    UnitLine {
        unit: &unit.code,
        name: unit.name.as_deref(),
        numerator: unit.numerator,
        denominator: unit.denominator,
        is_main: unit.is_main,
        decimals: unit.decimals,
        weight: None,
        barcode: unit.barcode.as_deref(),
    }
}

/// Takes a product out of the catalogue. It keeps its history; no source brings it back, a person may.
#[utoipa::path(
    delete,
    path = "/api/v1/products/{id}",
    tag = "catalogue",
    operation_id = "deleteProduct",
    extensions(("x-permission" = json!("products.delete"))),
    security(("bearer" = []), ("apiKey" = [])),
    params(
        ("id" = i64, Path, description = "The product's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    responses(
        (status = 200, description = "It is out of the catalogue", body = EditedOut),
        Denied
    )
)]
pub(super) async fn remove(
    State(state): State<PublicState>,
    caller: SignedIn,
    Path(id): Path<String>,
    request: Idempotent,
    Visitor(visit): Visitor,
) -> Result<Response, Problem> {
    caller.require(Permission::ProductsDelete)?;
    let id = product_id(&id)?;
    let shared = Arc::new((state, caller.actor(), visit));
    let actor = caller.actor();
    let catalogue = shared.0.catalogue.clone();
    let answered = request
        .run(&actor, b"", |tx| {
            let shared = Arc::clone(&shared);
            Box::pin(async move {
                let (state, actor, visit) = &*shared;
                let by = visit.provenance(actor, state.http.clock.now());
                let deleted = editing::delete_product(tx, &by, id).await.map_err(stop)?;
                let changed = if deleted { vec!["deleted".to_owned()] } else { Vec::new() };
                Ok(Answer::json(StatusCode::OK, &EditedOut::of(id, false, changed))?)
            })
        })
        .await;
    catalogue.changed().await;
    answered
}

/// Sets a product's own prices: list, dealer and cost price. One that comes from a source cannot be changed here.
#[utoipa::path(
    put,
    path = "/api/v1/products/{id}/price",
    tag = "catalogue",
    operation_id = "setPrices",
    extensions(("x-permission" = json!("prices.edit"))),
    security(("bearer" = []), ("apiKey" = [])),
    params(
        ("id" = i64, Path, description = "The product's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    request_body = PricesIn,
    responses(
        (status = 200, description = "The prices are these now", body = EditedOut),
        (
            status = 409,
            description = "A price comes from a source; `owner` names it",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        Denied
    )
)]
pub(super) async fn set_prices(
    State(state): State<PublicState>,
    caller: SignedIn,
    Path(id): Path<String>,
    request: Idempotent,
    Visitor(visit): Visitor,
    sent: Sent<PricesIn>,
) -> Result<Response, Problem> {
    caller.require(Permission::PricesEdit)?;
    let id = product_id(&id)?;
    let Sent { value, bytes } = sent;
    let actor = caller.actor();
    let shared = Arc::new((state, actor.clone(), visit, value));
    let catalogue = shared.0.catalogue.clone();
    let answered = request
        .run(&actor, &bytes, |tx| {
            let shared = Arc::clone(&shared);
            Box::pin(async move {
                let (state, actor, visit, prices) = &*shared;
                let by = visit.provenance(actor, state.http.clock.now());
                let rows = editing::own_price_rows(tx, id).await?;
                let owners = owners::owners(tx, Entity::Price, &rows).await?;
                let own = OwnPrices {
                    list: prices.list_price,
                    dealer: prices.dealer_price,
                    cost: prices.cost_price,
                    currency: prices.currency.as_deref(),
                };
                let changed = editing::set_prices(tx, &by, id, &own, &owners).await.map_err(stop)?;
                Ok(Answer::json(StatusCode::OK, &EditedOut::of(id, false, changed))?)
            })
        })
        .await;
    catalogue.changed().await;
    answered
}

/// Sets what is there of a product in one warehouse. A level that comes from a source cannot be changed here.
#[utoipa::path(
    put,
    path = "/api/v1/products/{id}/stock",
    tag = "catalogue",
    operation_id = "setStock",
    extensions(("x-permission" = json!("stock.edit"))),
    security(("bearer" = []), ("apiKey" = [])),
    params(
        ("id" = i64, Path, description = "The product's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    request_body = StockIn,
    responses(
        (status = 200, description = "The stock is this now", body = EditedOut),
        (
            status = 409,
            description = "The level comes from a source; `owner` names it",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        Denied
    )
)]
pub(super) async fn set_stock(
    State(state): State<PublicState>,
    caller: SignedIn,
    Path(id): Path<String>,
    request: Idempotent,
    Visitor(visit): Visitor,
    sent: Sent<StockIn>,
) -> Result<Response, Problem> {
    caller.require(Permission::StockEdit)?;
    let id = product_id(&id)?;
    let Sent { value, bytes } = sent;
    let actor = caller.actor();
    let shared = Arc::new((state, actor.clone(), visit, value));
    let catalogue = shared.0.catalogue.clone();
    let answered = request
        .run(&actor, &bytes, |tx| {
            let shared = Arc::clone(&shared);
            Box::pin(async move {
                let (state, actor, visit, stock) = &*shared;
                let by = visit.provenance(actor, state.http.clock.now());
                let place = editing::place(tx, &by, id, stock.warehouse_code.as_deref()).await.map_err(stop)?;
                let owner = match place.level {
                    Some(level) => owners::owners(tx, Entity::Stock, &[level]).await?.remove(&level),
                    None => None,
                };
                let set = editing::set_stock(tx, &by, &place, stock.quantity, owner.as_deref()).await.map_err(stop)?;
                let changed = if set { vec!["quantity".to_owned()] } else { Vec::new() };
                Ok(Answer::json(StatusCode::OK, &EditedOut::of(id, false, changed))?)
            })
        })
        .await;
    catalogue.changed().await;
    answered
}
