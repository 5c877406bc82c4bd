//! `/api/admin/audit`: who did what, and whether the books are whole.

use axum::{Json, extract::State, http::Uri};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::{
    asked,
    listed::{Listed, PageQuery},
};
use crate::{
    audit::{
        self, AuditEvent, Filter,
        verify::{self, Verdict},
    },
    http::{
        openapi::Denied,
        problem::Problem,
        router::{HttpState, PublicState},
        signed_in::SignedIn,
    },
    principal::Permission,
};

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(verify_chain))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AuditList {
    items: Vec<AuditEvent>,
    next_cursor: Option<String>,
}

/// Which rows; every part narrows.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// Who did it: `user:12`, `api-key:<prefix>`, `cli:<user>`, `hub`
    actor: Option<String>,
    /// What was done: `order.approved`
    action: Option<String>,
    /// To which kind of thing: `order`
    subject_kind: Option<String>,
    /// To which one: an id, a code, a name
    subject: Option<String>,
    /// Since then
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<String>,
}

/// What was done, newest first.
#[utoipa::path(
    get,
    path = "/api/admin/audit",
    tag = "admin",
    operation_id = "listAudit",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("audit.view"))),
    params(AuditQuery, PageQuery),
    responses((status = 200, description = "A page of rows", body = AuditList), Denied)
)]
async fn list(
    State(state): State<HttpState>,
    caller: SignedIn,
    Listed(page): Listed,
    uri: Uri,
) -> Result<Json<AuditList>, Problem> {
    const LIST: &str = "audit";
    caller.require(Permission::AuditView)?;
    let query: AuditQuery = asked::query(&uri)?;
    let text = |field: &str, value| asked::text(field, value, 200).map(|text| text.map(str::to_owned));
    let filter = Filter {
        actor: text("actor", &query.actor)?,
        action: text("action", &query.action)?,
        subject_kind: text("subjectKind", &query.subject_kind)?,
        subject: text("subject", &query.subject)?,
        since: asked::time("since", &query.since)?,
    };
    let rows = audit::list(&state.pool, &filter, page.after(LIST)?, page.rows()).await?;
    let found = page.page(LIST, rows, |row| row.id);
    Ok(Json(AuditList { items: found.items, next_cursor: found.next_cursor }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct VerifyQuery {
    /// Begin at this place of the chain, and take what is before it as good
    #[param(value_type = Option<i64>, minimum = 1)]
    from: Option<String>,
}

/// Walks the chain that seals the rows: is one changed, missing or moved?
#[utoipa::path(
    get,
    path = "/api/admin/audit/verify",
    tag = "admin",
    operation_id = "verifyAudit",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("audit.view"))),
    params(VerifyQuery),
    responses((status = 200, description = "What holds, and the first place that does not", body = Verdict), Denied)
)]
async fn verify_chain(State(state): State<HttpState>, caller: SignedIn, uri: Uri) -> Result<Json<Verdict>, Problem> {
    caller.require(Permission::AuditView)?;
    let query: VerifyQuery = asked::query(&uri)?;
    let from = asked::id("from", &query.from)?.unwrap_or(1);
    if from < 1 {
        return Err(asked::wrong("from", "out_of_range", "places are counted from 1"));
    }
    Ok(Json(verify::verify(&state.pool, from, None).await?))
}
