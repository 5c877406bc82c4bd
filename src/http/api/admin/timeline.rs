//! `/api/admin/timeline`: what touched a business object, across systems.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::listed::{Listed, PageQuery};
use crate::{
    commerce::lookup::Named,
    http::{
        openapi::Denied,
        problem::{FieldError, Problem},
        router::{HttpState, PublicState},
        signed_in::SignedIn,
    },
    hub::timeline::{self, Entry},
    page,
    principal::Permission,
};

const LIST: &str = "timeline";

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new().routes(routes!(show))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct TimelineQuery {
    /// An order number (ours or LOGO's), SKU, code, tax number, number of an invoice or a return, or a correlation id.
    #[param(min_length = 1, max_length = 200, example = "ORD202611210001")]
    object: String,
}

/// The newest entries, the oldest of them first; the next page holds older ones.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Timeline)]
struct TimelineDocument {
    /// What the name means; none for a correlation id, and for what nobody knows.
    objects: Vec<Named>,
    /// What happened at one instant stays on one page, so a page may be longer than `limit`.
    items: Vec<Entry>,
    next_cursor: Option<String>,
}

/// Every message, event, delivery, attempt and change that touched an order, a product, a customer, an invoice or a return.
#[utoipa::path(
    get,
    path = "/api/admin/timeline",
    tag = "admin",
    operation_id = "showTimeline",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.view"))),
    params(TimelineQuery, PageQuery),
    responses((status = 200, description = "What is known of it", body = TimelineDocument), Denied)
)]
async fn show(
    State(state): State<HttpState>,
    caller: SignedIn,
    asked: Result<Query<TimelineQuery>, QueryRejection>,
    Listed(page): Listed,
) -> Result<Json<TimelineDocument>, Problem> {
    caller.require(Permission::HubView)?;
    let asked = asked.map_err(|error| Problem::bad_request(format!("the query cannot be read: {error}")))?;
    let name = asked.object.trim();
    if name.is_empty() || name.chars().count() > 200 || name.contains('\0') {
        let message = "it must be a name of 1 to 200 characters".to_owned();
        return Err(Problem::invalid(vec![FieldError { field: "object".to_owned(), code: "invalid".into(), message }]));
    }
    let before: Option<DateTime<Utc>> = page.after(LIST)?;
    let found = timeline::timeline(&state.pool, name, before, page.rows() - 1).await?;
    let next_cursor = found.next_cursor.and_then(|at| page::cursor(LIST, &at));
    Ok(Json(TimelineDocument { objects: found.objects, items: found.items, next_cursor }))
}
