//! `/api/v1/cart`: the cart of the signed-in user.

use axum::{
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use rust_decimal::Decimal;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    acting::Acting,
    ordering::{OrderDeed, problem},
    sent::Sent,
    tagged::Tagged,
};
use crate::{
    commerce::carts::{self, Cart},
    http::{
        idempotency::Idempotent,
        openapi::{Denied, ProblemDocument},
        problem::Problem,
        router::{HttpState, PublicState},
    },
    principal::Permission,
};

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new().routes(routes!(show, clear)).routes(routes!(put, remove))
}

/// How much of a product is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "quantity": 12, "unit": "ADET" }))]
struct CartItemIn {
    /// Above 0, with no more decimals than the unit allows; not below the minimum, and a multiple where the product has one.
    #[schema(value_type = f64)]
    quantity: Decimal,
    /// The product's main unit when it is left out.
    unit: Option<String>,
}

/// The cart at today's prices and stock, with what has changed since its items were put in.
#[utoipa::path(
    get,
    path = "/api/v1/cart",
    tag = "cart",
    operation_id = "showCart",
    security(("bearer" = [])),
    params(("If-None-Match" = Option<String>, Header, description = "`ETag` of the answer that is known")),
    responses(
        (status = 200, description = "The cart; an empty one when there is none", body = Cart, headers(("ETag" = String))),
        (status = 304, description = "The known answer still holds"),
        Denied
    )
)]
async fn show(State(state): State<HttpState>, acting: Acting, headers: HeaderMap) -> Result<Response, Problem> {
    acting.require(Permission::OrdersCreate)?;
    let mut conn = state.pool.acquire().await?;
    let cart = carts::show(&mut conn, &acting.context()).await.map_err(problem)?;
    Ok(Tagged::json(&cart)?.answer(&headers))
}

/// Puts so much of a product into the cart, whatever there was of it. Again changes nothing, but takes note of a changed
/// price.
#[utoipa::path(
    put,
    path = "/api/v1/cart/items/{productId}",
    tag = "cart",
    operation_id = "putCartItem",
    security(("bearer" = [])),
    params(
        ("productId" = i64, Path, description = "The product's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    request_body = CartItemIn,
    responses(
        (status = 200, description = "The cart as it is now", body = Cart),
        (
            status = 400,
            description = "`not_positive`, `fraction`, `out_of_range`, `below_minimum`, `not_a_multiple`, `unknown_unit`, \
                `unknown_product`, `no_price`, `currency_mixed` or `too_many`",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        Denied
    )
)]
async fn put(
    acting: Acting,
    request: Idempotent,
    Path(product): Path<i64>,
    sent: Sent<CartItemIn>,
) -> Result<Response, Problem> {
    acting.require(Permission::OrdersCreate)?;
    let CartItemIn { quantity, unit } = sent.value;
    acting.perform(&request, &sent.bytes, OrderDeed::PutItem { product, quantity, unit }).await
}

/// Takes a product out of the cart; one that is not in it is out of it already.
#[utoipa::path(
    delete,
    path = "/api/v1/cart/items/{productId}",
    tag = "cart",
    operation_id = "removeCartItem",
    security(("bearer" = [])),
    params(
        ("productId" = i64, Path, description = "The product's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    responses((status = 200, description = "The cart as it is now", body = Cart), Denied)
)]
async fn remove(acting: Acting, request: Idempotent, Path(product): Path<i64>) -> Result<Response, Problem> {
    acting.require(Permission::OrdersCreate)?;
    acting.perform(&request, b"", OrderDeed::RemoveItem { product }).await
}

/// Empties the cart.
#[utoipa::path(
    delete,
    path = "/api/v1/cart",
    tag = "cart",
    operation_id = "clearCart",
    security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")),
    responses((status = 200, description = "The cart, empty", body = Cart), Denied)
)]
async fn clear(acting: Acting, request: Idempotent) -> Result<Response, Problem> {
    acting.require(Permission::OrdersCreate)?;
    acting.perform(&request, b"", OrderDeed::ClearCart).await
}
