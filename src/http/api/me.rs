//! `/api/v1/me`: who is signed in.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    commerce::customers,
    http::{
        openapi::Denied,
        problem::Problem,
        router::{HttpState, PublicState},
        signed_in::SignedIn,
    },
    identity::users,
    principal::Permission,
};

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new().routes(routes!(me))
}

/// Who is signed in, and what they may do.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Me {
    /// As the audit log names the caller.
    #[schema(example = "user:12")]
    actor: String,
    /// Null for an API key, like all that belongs to a person.
    id: Option<i64>,
    email: Option<String>,
    full_name: Option<String>,
    role: Option<&'static str>,
    /// The dealer company that the caller belongs to; null for the house.
    company_id: Option<i64>,
    #[schema(example = "120.01.001")]
    company_code: Option<String>,
    company_title: Option<String>,
    permissions: Vec<&'static str>,
}

/// Who is signed in.
#[utoipa::path(
    get,
    path = "/api/v1/me",
    tag = "auth",
    operation_id = "describeMe",
    security(("bearer" = []), ("apiKey" = [])),
    responses((status = 200, description = "The caller", body = Me), Denied)
)]
async fn me(State(state): State<HttpState>, caller: SignedIn) -> Result<Json<Me>, Problem> {
    let user = match caller.user_id() {
        Some(id) => users::find(&state.pool, caller.scope(), id).await?,
        None => None,
    };
    let company = match caller.company {
        Some(id) => customers::directory::name(&state.pool, caller.scope(), id).await?,
        None => None,
    };
    let (company_code, company_title) = company.unzip();
    let (email, full_name) = user.map(|user| (user.email, user.full_name)).unzip();
    Ok(Json(Me {
        actor: caller.actor(),
        id: caller.user_id(),
        email,
        full_name,
        role: caller.role.map(|role| role.as_str()),
        company_id: caller.company,
        company_code,
        company_title,
        permissions: caller.permissions.iter().map(Permission::as_str).collect(),
    }))
}
