//! `/api/admin/runs`: the passes over streams.

use axum::{
    Json,
    extract::{Path, State},
    http::Uri,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    super::{
        asked,
        listed::{Listed, PageQuery},
    },
    none_of, uuid_of,
};
use crate::{
    http::{
        openapi::{Denied, ProblemDocument},
        problem::Problem,
        router::{HttpState, PublicState},
        signed_in::SignedIn,
    },
    hub::runs::{self, Run},
    principal::Permission,
};

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RunList {
    items: Vec<Run>,
    next_cursor: Option<String>,
}

/// Which runs; every part narrows.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct RunQuery {
    /// Of this instance: `logo`
    connector: Option<String>,
    /// Of this stream: `items`
    stream: Option<String>,
}

/// Runs, newest first: what each found and what came of it.
#[utoipa::path(
    get,
    path = "/api/admin/runs",
    tag = "admin",
    operation_id = "listRuns",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.view"))),
    params(RunQuery, PageQuery),
    responses((status = 200, description = "A page of runs", body = RunList), Denied)
)]
async fn list(
    State(state): State<HttpState>,
    caller: SignedIn,
    Listed(page): Listed,
    uri: Uri,
) -> Result<Json<RunList>, Problem> {
    const LIST: &str = "runs";
    caller.require(Permission::HubView)?;
    let query: RunQuery = asked::query(&uri)?;
    let connector = asked::text("connector", &query.connector, 200)?;
    let stream = asked::text("stream", &query.stream, 200)?;
    let rows = runs::list(&state.pool, connector, stream, page.after(LIST)?, page.rows()).await?;
    let found = page.page(LIST, rows, |row| row.id);
    Ok(Json(RunList { items: found.items, next_cursor: found.next_cursor }))
}

/// One run; while it is under way its figures rise.
#[utoipa::path(
    get,
    path = "/api/admin/runs/{id}",
    tag = "admin",
    operation_id = "showRun",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.view"))),
    params(("id" = Uuid, Path, description = "The run's id")),
    responses(
        (status = 200, description = "The run", body = Run),
        (status = 404, description = "None", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
async fn show(State(state): State<HttpState>, caller: SignedIn, Path(id): Path<String>) -> Result<Json<Run>, Problem> {
    caller.require(Permission::HubView)?;
    let found = runs::get(&state.pool, uuid_of(&id, "run")?).await?;
    found.map(Json).ok_or_else(|| none_of("run"))
}
