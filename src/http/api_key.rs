//! `GET /api/integration`: what the key that is shown is, so that an integrator can check it.

use axum::Json;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{caller::Caller, openapi::Refused, problem::Problem};
use crate::identity::api_keys::SCOPES;

pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> OpenApiRouter<S> {
    OpenApiRouter::new().routes(routes!(show))
}

/// The API key that was shown.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct KeyDescription {
    name: String,
    /// The part of the key by which people know it.
    prefix: String,
    /// The configured instance on whose behalf the key speaks.
    instance: String,
    scopes: Vec<String>,
    /// Null: it does not expire.
    expires_at: Option<DateTime<Utc>>,
}

/// Whose API key this is, and what it may do.
#[utoipa::path(
    get,
    path = "/api/integration",
    tag = "integration",
    operation_id = "describeKey",
    security(("apiKey" = [])),
    responses((status = 200, description = "The key is good", body = KeyDescription), Refused)
)]
async fn show(caller: Caller) -> Result<Json<KeyDescription>, Problem> {
    caller.require_any(&SCOPES)?;
    Ok(Json(KeyDescription {
        name: caller.name.clone(),
        prefix: caller.prefix.clone(),
        instance: caller.instance.clone(),
        scopes: caller.scopes.clone(),
        expires_at: caller.expires_at,
    }))
}
