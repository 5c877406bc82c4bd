//! `/api/admin/messages`: what came in, and what became of it.

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
    hub::{
        history::{self, MessageDetail, MessageFilter, MessageRow},
        states::MessageState,
    },
    principal::Permission,
};

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MessageList {
    items: Vec<MessageRow>,
    next_cursor: Option<String>,
}

/// Which messages; every part narrows.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct MessageQuery {
    /// Of this instance: `logo`
    connector: Option<String>,
    /// Of this stream: `items`
    stream: Option<String>,
    /// `received`, `working`, `waiting`, `held`, `deferred`, `blocked`, `done`, `unchanged`, `stale`, `superseded`, `dead` or
    /// `discarded`
    state: Option<String>,
    /// External code of the message or of a record in it
    code: Option<String>,
    /// Of this run
    #[param(value_type = Option<Uuid>)]
    run: Option<String>,
    /// Received since then
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<String>,
}

/// Messages, open and finished alike, newest first.
#[utoipa::path(
    get,
    path = "/api/admin/messages",
    tag = "admin",
    operation_id = "listMessages",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.view"))),
    params(MessageQuery, PageQuery),
    responses((status = 200, description = "A page of messages", body = MessageList), Denied)
)]
async fn list(
    State(state): State<HttpState>,
    caller: SignedIn,
    Listed(page): Listed,
    uri: Uri,
) -> Result<Json<MessageList>, Problem> {
    const LIST: &str = "messages";
    caller.require(Permission::HubView)?;
    let query: MessageQuery = asked::query(&uri)?;
    let text = |field: &str, value| asked::text(field, value, 200).map(|text| text.map(str::to_owned));
    let states: Vec<&str> = MessageState::ALL.iter().map(|state| state.as_str()).collect();
    let filter = MessageFilter {
        connector: text("connector", &query.connector)?,
        stream: text("stream", &query.stream)?,
        state: asked::one_of("state", &query.state, MessageState::parse, &states)?
            .map(|state| state.as_str().to_owned()),
        code: text("code", &query.code)?,
        run: asked::uuid("run", &query.run)?,
        since: asked::time("since", &query.since)?,
    };
    let rows = history::list(&state.pool, &filter, page.after(LIST)?, page.rows()).await?;
    let found = page.page(LIST, rows, |row| row.id);
    Ok(Json(MessageList { items: found.items, next_cursor: found.next_cursor }))
}

/// One message with its attempts, its records and its payload.
#[utoipa::path(
    get,
    path = "/api/admin/messages/{id}",
    tag = "admin",
    operation_id = "showMessage",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.view"))),
    params(("id" = Uuid, Path, description = "The message's id")),
    responses(
        (status = 200, description = "The message", body = MessageDetail),
        (status = 404, description = "None", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
async fn show(
    State(state): State<HttpState>,
    caller: SignedIn,
    Path(id): Path<String>,
) -> Result<Json<MessageDetail>, Problem> {
    caller.require(Permission::HubView)?;
    let found = history::show(&state.pool, uuid_of(&id, "message")?).await?;
    found.map(Json).ok_or_else(|| none_of("message"))
}
