//! `/api/v1/event-types`: what webhooks tell, for whoever writes a receiver. No secret, like the description of the API.

use axum::{Json, extract::Path};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{
        openapi::{ProblemDocument, TooManyRequests},
        problem::Problem,
        router::PublicState,
    },
    hub::webhooks::catalogue::{self, Described},
};

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new().routes(routes!(list_event_types)).routes(routes!(show_event_type))
}

/// All types, by name.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookEventTypes)]
struct EventTypes {
    items: Vec<Described>,
    /// Always null: there is one page.
    next_cursor: Option<String>,
}

/// What webhooks tell: every type of event with the JSON schema of its message.
#[utoipa::path(
    get,
    path = "/api/v1/event-types",
    tag = "webhooks",
    operation_id = "listEventTypes",
    responses((status = 200, description = "The catalogue", body = EventTypes), TooManyRequests)
)]
async fn list_event_types() -> Json<EventTypes> {
    Json(EventTypes { items: catalogue::all(), next_cursor: None })
}

/// One type.
#[utoipa::path(
    get,
    path = "/api/v1/event-types/{type}",
    tag = "webhooks",
    operation_id = "showEventType",
    params(("type" = String, Path, description = "`order.created`")),
    responses(
        (status = 200, description = "The type", body = Described),
        (status = 404, description = "None", body = ProblemDocument, content_type = "application/problem+json"),
        TooManyRequests
    )
)]
async fn show_event_type(Path(kind): Path<String>) -> Result<Json<Described>, Problem> {
    let found = catalogue::all().into_iter().find(|one| one.kind == kind);
    found.map(Json).ok_or_else(|| Problem::not_found("there is no such type of event; /api/v1/event-types lists them"))
}
