//! `/api/admin/settings`: the configuration in force. It is changed in its file.

use axum::{Json, extract::State};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{
        openapi::Denied,
        problem::Problem,
        router::{HttpState, PublicState},
        signed_in::SignedIn,
    },
    principal::Permission,
};

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new().routes(routes!(show))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Settings)]
struct SettingsOut {
    /// As `kopru config` prints it: every key in force, secrets masked.
    #[schema(value_type = Object, example = json!({ "http": { "listen": "127.0.0.1:8080" } }))]
    settings: Value,
}

/// Every setting in force, secrets masked.
#[utoipa::path(
    get,
    path = "/api/admin/settings",
    tag = "admin",
    operation_id = "showSettings",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.configure"))),
    responses((status = 200, description = "The settings", body = SettingsOut), Denied)
)]
async fn show(State(state): State<HttpState>, caller: SignedIn) -> Result<Json<SettingsOut>, Problem> {
    caller.require(Permission::HubConfigure)?;
    Ok(Json(SettingsOut { settings: (*state.settings).clone() }))
}
