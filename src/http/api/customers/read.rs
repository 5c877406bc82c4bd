//! Customers as they are shown.

use axum::{
    extract::{Path, State},
    http::{HeaderMap, Uri},
    response::Response,
};
use sqlx::PgConnection;

use super::shapes::{CustomerPage, CustomerView, CustomersQuery, PriceListLine};
use crate::{
    canonical::Entity,
    commerce::{
        customers::directory::{self, CustomerFilter},
        price_lists,
    },
    database,
    http::{
        api::{
            asked,
            listed::{Listed, PageQuery},
            tagged::Tagged,
        },
        openapi::{Denied, ProblemDocument},
        problem::Problem,
        router::HttpState,
        signed_in::SignedIn,
    },
    hub::owners,
    principal::{Permission, Scope},
};

/// Customers by title: a dealer's own company, or everybody for the house.
#[utoipa::path(
    get,
    path = "/api/v1/customers",
    tag = "customers",
    operation_id = "listCustomers",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("customers.view"))),
    params(
        CustomersQuery,
        PageQuery,
        ("If-None-Match" = Option<String>, Header, description = "`ETag` of the answer that is known")
    ),
    responses(
        (status = 200, description = "A page", body = CustomerPage, headers(("ETag" = String))),
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
    caller.require(Permission::CustomersView)?;
    let query: CustomersQuery = asked::query(&uri)?;
    let tier = |tier: &str| matches!(tier, "A" | "B" | "C").then(|| tier.to_owned());
    let filter = CustomerFilter {
        search: asked::text("search", &query.search, 200)?.map(str::to_owned),
        is_active: asked::flag("isActive", &query.is_active)?,
        is_approved: asked::flag("isApproved", &query.is_approved)?,
        price_tier: asked::one_of("priceTier", &query.price_tier, tier, &["A", "B", "C"])?,
    };
    let scope = caller.scope();
    let mut tx = database::read_within(&state.pool, scope).await?;
    let found = directory::list(&mut tx, scope, &filter, &page).await?;
    tx.commit().await?;
    Ok(Tagged::json(&found)?.answer(&headers))
}

/// One customer with its terms and addresses.
#[utoipa::path(
    get,
    path = "/api/v1/customers/{id}",
    tag = "customers",
    operation_id = "showCustomerById",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("customers.view"))),
    params(
        ("id" = i64, Path, description = "The customer's id"),
        ("If-None-Match" = Option<String>, Header, description = "`ETag` of the answer that is known")
    ),
    responses(
        (status = 200, description = "The customer", body = CustomerView, headers(("ETag" = String))),
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
    caller.require(Permission::CustomersView)?;
    let scope = caller.scope();
    let mut tx = database::read_within(&state.pool, scope).await?;
    let found = view(&mut tx, scope, id).await?;
    tx.commit().await?;
    Ok(Tagged::json(&found.ok_or_else(asked::no_customer)?)?.answer(&headers))
}

/// A customer as this scope sees it.
pub(super) async fn view(conn: &mut PgConnection, scope: Scope, id: i64) -> Result<Option<CustomerView>, sqlx::Error> {
    let Some(customer) = directory::find(conn, scope, id).await? else { return Ok(None) };
    let mut view = CustomerView { customer, source: None, price_lists: None };
    if scope.is_house() {
        view.source = owners::owners(conn, Entity::Customer, &[id]).await?.remove(&id);
        let lists = price_lists::assigned(conn, scope, id).await?;
        let line = |list: &price_lists::AssignedList| PriceListLine {
            price_list_id: list.price_list_id,
            priority: list.priority,
        };
        view.price_lists = Some(lists.iter().map(line).collect());
    }
    Ok(Some(view))
}
