//! `/api/v1/invoices`: invoices as the ERP wrote them.

use axum::{
    extract::{Path, State},
    http::{HeaderMap, Uri},
    response::Response,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    asked,
    listed::{Listed, PageQuery},
    tagged::Tagged,
};
use crate::{
    commerce::invoices::{self, Invoice, InvoiceFilter, InvoiceHead, InvoiceStatus},
    database,
    http::{
        openapi::{Denied, ProblemDocument},
        problem::Problem,
        router::{HttpState, PublicState},
        signed_in::SignedIn,
    },
    principal::Permission,
};

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
struct InvoicesQuery {
    /// For people of the house: whose invoices.
    #[param(value_type = Option<i64>)]
    customer_id: Option<String>,
    #[param(value_type = Option<i64>)]
    order_id: Option<String>,
    /// issued, sent, accepted, rejected or cancelled
    status: Option<String>,
    /// Issued on this day or later.
    #[param(value_type = Option<NaiveDate>)]
    from: Option<String>,
    /// Issued on this day or before.
    #[param(value_type = Option<NaiveDate>)]
    to: Option<String>,
    /// A number, whole.
    #[param(max_length = 100, example = "KPR2026000000041")]
    number: Option<String>,
}

/// A page of invoices, without their lines.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct InvoicePage {
    items: Vec<InvoiceHead>,
    /// Null on the last page.
    next_cursor: Option<String>,
}

/// Invoices, newest first: a dealer's own, or everybody's for the house.
#[utoipa::path(
    get,
    path = "/api/v1/invoices",
    tag = "account",
    operation_id = "listInvoices",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("account.view"))),
    params(
        InvoicesQuery,
        PageQuery,
        ("If-None-Match" = Option<String>, Header, description = "`ETag` of the answer that is known")
    ),
    responses(
        (status = 200, description = "A page", body = InvoicePage, headers(("ETag" = String))),
        (status = 304, description = "The known answer still holds"),
        Denied
    )
)]
async fn list(
    State(state): State<HttpState>,
    caller: SignedIn,
    Listed(page): Listed,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.require(Permission::AccountView)?;
    let query: InvoicesQuery = asked::query(&uri)?;
    let statuses = InvoiceStatus::ALL.map(InvoiceStatus::as_str);
    let filter = InvoiceFilter {
        customer: asked::id("customerId", &query.customer_id)?,
        order: asked::id("orderId", &query.order_id)?,
        status: asked::one_of("status", &query.status, InvoiceStatus::parse, &statuses)?,
        from: asked::day("from", &query.from)?,
        to: asked::day("to", &query.to)?,
        number: asked::text("number", &query.number, 100)?.map(str::to_owned),
    };
    let scope = caller.scope();
    let mut tx = database::read_within(&state.pool, scope).await?;
    let found = invoices::invoices(&mut tx, scope, &filter, &page).await?;
    tx.commit().await?;
    Ok(Tagged::json(&found)?.answer(&headers))
}

/// One invoice with its lines.
#[utoipa::path(
    get,
    path = "/api/v1/invoices/{id}",
    tag = "account",
    operation_id = "showInvoice",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("account.view"))),
    params(
        ("id" = i64, Path, description = "The invoice's id"),
        ("If-None-Match" = Option<String>, Header, description = "`ETag` of the answer that is known")
    ),
    responses(
        (status = 200, description = "The invoice", body = Invoice, headers(("ETag" = String))),
        (status = 304, description = "The known answer still holds"),
        (status = 404, description = "None, or not yours", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
async fn show(
    State(state): State<HttpState>,
    caller: SignedIn,
    Path(id): Path<i64>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.require(Permission::AccountView)?;
    let scope = caller.scope();
    let mut tx = database::read_within(&state.pool, scope).await?;
    let found = invoices::invoice(&mut tx, scope, id).await?;
    tx.commit().await?;
    let found = found.ok_or_else(|| Problem::not_found("there is no such invoice"))?;
    Ok(Tagged::json(&found)?.answer(&headers))
}
