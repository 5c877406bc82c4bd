//! Orders as they are shown. A dealer's reads see one company's rows, whatever the queries say.

use axum::{
    extract::{Path, Query, State},
    http::{HeaderMap, Uri},
    response::Response,
};

use super::shapes::{OrderHistory, OrderPage, OrdersQuery};
use crate::{
    commerce::orders::{self, ListError, Order, OrderKey},
    database,
    http::{
        api::{
            listed::{Listed, PageQuery},
            tagged::Tagged,
        },
        openapi::{Denied, ProblemDocument},
        problem::Problem,
        router::HttpState,
        signed_in::SignedIn,
    },
    principal::Permission,
};

/// Orders, newest first: a dealer's own, or everybody's for the house.
#[utoipa::path(
    get,
    path = "/api/v1/orders",
    tag = "orders",
    operation_id = "listOrders",
    security(("bearer" = []), ("apiKey" = [])),
    params(
        OrdersQuery,
        PageQuery,
        ("If-None-Match" = Option<String>, Header, description = "`ETag` of the answer that is known")
    ),
    responses(
        (status = 200, description = "A page", body = OrderPage, headers(("ETag" = String))),
        (status = 304, description = "The known answer still holds"),
        Denied
    )
)]
pub(super) async fn list(
    State(state): State<HttpState>,
    caller: SignedIn,
    Listed(page): Listed,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.require(Permission::OrdersView)?;
    let query = Query::<OrdersQuery>::try_from_uri(&uri)
        .map_err(|error| Problem::bad_request(format!("the query cannot be read: {error}")))?;
    let (filter, count) = query.wanted()?;
    let scope = caller.scope();
    let mut tx = database::read_within(&state.pool, scope).await?;
    let found = match orders::list(&mut *tx, scope, &filter, &page).await {
        Ok(found) => found,
        Err(ListError::Page(bad)) => return Err(bad.into()),
        Err(ListError::Database(error)) => return Err(error.into()),
    };
    let total_count = if count { Some(orders::count(&mut *tx, scope, &filter).await?) } else { None };
    tx.commit().await?;
    let page = OrderPage { items: found.items, next_cursor: found.next_cursor, total_count };
    Ok(Tagged::json(&page)?.answer(&headers))
}

/// An order with its lines.
#[utoipa::path(
    get,
    path = "/api/v1/orders/{id}",
    tag = "orders",
    operation_id = "showOrder",
    security(("bearer" = []), ("apiKey" = [])),
    params(
        ("id" = i64, Path, description = "The order's id"),
        ("If-None-Match" = Option<String>, Header, description = "`ETag` of the answer that is known")
    ),
    responses(
        (status = 200, description = "The order", body = Order, headers(("ETag" = String))),
        (status = 304, description = "The known answer still holds"),
        (status = 404, description = "None, or not yours", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
pub(super) async fn show(
    State(state): State<HttpState>,
    caller: SignedIn,
    Path(id): Path<i64>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    found(&state, &caller, OrderKey::Id(id), &headers).await
}

/// The same by its number.
#[utoipa::path(
    get,
    path = "/api/v1/orders/by-number/{number}",
    tag = "orders",
    operation_id = "showOrderByNumber",
    security(("bearer" = []), ("apiKey" = [])),
    params(
        ("number" = String, Path, description = "The order's number", example = "ORD202603020318"),
        ("If-None-Match" = Option<String>, Header, description = "`ETag` of the answer that is known")
    ),
    responses(
        (status = 200, description = "The order", body = Order, headers(("ETag" = String))),
        (status = 304, description = "The known answer still holds"),
        (status = 404, description = "None, or not yours", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
pub(super) async fn show_by_number(
    State(state): State<HttpState>,
    caller: SignedIn,
    Path(number): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    found(&state, &caller, OrderKey::Number(&number), &headers).await
}

async fn found(
    state: &HttpState,
    caller: &SignedIn,
    key: OrderKey<'_>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    caller.require(Permission::OrdersView)?;
    let mut tx = database::read_within(&state.pool, caller.scope()).await?;
    let order = orders::find(&mut tx, caller.scope(), key).await?;
    tx.commit().await?;
    match order {
        Some(order) => Ok(Tagged::json(&order)?.answer(headers)),
        None => Err(Problem::not_found("there is no such order")),
    }
}

/// What was done to an order, oldest first.
#[utoipa::path(
    get,
    path = "/api/v1/orders/{id}/history",
    tag = "orders",
    operation_id = "showOrderHistory",
    security(("bearer" = []), ("apiKey" = [])),
    params(
        ("id" = i64, Path, description = "The order's id"),
        ("If-None-Match" = Option<String>, Header, description = "`ETag` of the answer that is known")
    ),
    responses(
        (status = 200, description = "Its history", body = OrderHistory, headers(("ETag" = String))),
        (status = 304, description = "The known answer still holds"),
        (status = 404, description = "None, or not yours", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
pub(super) async fn history(
    State(state): State<HttpState>,
    caller: SignedIn,
    Path(id): Path<i64>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.require(Permission::OrdersView)?;
    let mut tx = database::read_within(&state.pool, caller.scope()).await?;
    let items = orders::history(&mut tx, caller.scope(), id).await?;
    tx.commit().await?;
    match items {
        Some(items) => Ok(Tagged::json(&OrderHistory { items })?.answer(&headers)),
        None => Err(Problem::not_found("there is no such order")),
    }
}
