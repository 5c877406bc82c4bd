//! `/api/admin/reconciliation`: passes that compare both sides, what they found, and where an ERP's orders differ from ours.

use axum::{
    Json,
    extract::{Path, State},
    http::{StatusCode, Uri},
    response::Response,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgConnection;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    super::{
        acting::{Acting, Deed},
        asked,
        listed::{Listed, PageQuery},
        sent::Sent,
    },
    none_of, uuid_of,
};
use crate::{
    audit,
    commerce::orders::source::{self, Difference, DifferenceFilter},
    http::{
        idempotency::{Answer, Idempotent, Stop},
        openapi::{Denied, ProblemDocument},
        problem::Problem,
        router::{HttpState, PublicState},
        signed_in::SignedIn,
    },
    hub::{
        engine::Engine,
        reconcile::{self, AskError, Finding, Report},
    },
    principal::Permission,
};

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new()
        .routes(routes!(list_reconciliations, start_reconciliation))
        .routes(routes!(list_order_differences))
        .routes(routes!(show_reconciliation))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ReconciliationList {
    items: Vec<Report>,
    next_cursor: Option<String>,
}

/// One with a page of what it found, by kind and code.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ReconciliationDetail {
    #[serde(flatten)]
    report: Report,
    findings: Vec<Finding>,
    next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OrderDifferenceList {
    items: Vec<Difference>,
    next_cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ReconciliationQuery {
    /// `logo.items`
    stream: Option<String>,
}

#[derive(Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReconciliationIn {
    /// `logo.items`
    #[schema(min_length = 3, max_length = 200, example = "logo.items")]
    stream: String,
    /// What differs, and what is missing here, is written as its source has it.
    #[serde(default)]
    repair: bool,
}

const WHAT: &str = "reconciliation";

fn stopped(error: AskError) -> Stop {
    match error {
        AskError::Database(error) => error.into(),
        AskError::Unknown(error) => asked::wrong("stream", "unknown", error.to_string()).into(),
    }
}

/// Reconciliations, newest first.
#[utoipa::path(
    get,
    path = "/api/admin/reconciliation",
    tag = "admin",
    operation_id = "listReconciliations",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.view"))),
    params(ReconciliationQuery, PageQuery),
    responses((status = 200, description = "A page of reconciliations", body = ReconciliationList), Denied)
)]
async fn list_reconciliations(
    State(state): State<HttpState>,
    caller: SignedIn,
    Listed(page): Listed,
    uri: Uri,
) -> Result<Json<ReconciliationList>, Problem> {
    const LIST: &str = "reconciliations";
    caller.require(Permission::HubView)?;
    let asked: ReconciliationQuery = asked::query(&uri)?;
    let stream = asked::text("stream", &asked.stream, 200)?;
    let rows = reconcile::list(&state.pool, stream, page.after::<Uuid>(LIST)?, page.rows()).await?;
    let found = page.page(LIST, rows, |row| row.id);
    Ok(Json(ReconciliationList { items: found.items, next_cursor: found.next_cursor }))
}

/// One, with what it found so far.
#[utoipa::path(
    get,
    path = "/api/admin/reconciliation/{id}",
    tag = "admin",
    operation_id = "showReconciliation",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.view"))),
    params(("id" = Uuid, Path, description = "The reconciliation's id"), PageQuery),
    responses(
        (status = 200, description = "The reconciliation", body = ReconciliationDetail),
        (status = 404, description = "None", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
async fn show_reconciliation(
    State(state): State<HttpState>,
    caller: SignedIn,
    Path(id): Path<String>,
    Listed(page): Listed,
) -> Result<Json<ReconciliationDetail>, Problem> {
    const LIST: &str = "findings";
    caller.require(Permission::HubView)?;
    let id = uuid_of(&id, WHAT)?;
    let report = reconcile::show(&state.pool, id).await?.ok_or_else(|| none_of(WHAT))?;
    let after: Option<(String, String)> = page.after(LIST)?;
    let after = after.as_ref().map(|(kind, code)| (kind.as_str(), code.as_str()));
    let rows = reconcile::findings(&state.pool, id, after, page.rows()).await?;
    let found = page.page(LIST, rows, |row| (row.kind.clone(), row.code.clone()));
    Ok(Json(ReconciliationDetail { report, findings: found.items, next_cursor: found.next_cursor }))
}

/// Compares every record of a stream with the store. A daemon works it off; its report is followed by its id.
#[utoipa::path(
    post,
    path = "/api/admin/reconciliation",
    tag = "admin",
    operation_id = "startReconciliation",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.operate"))),
    params(("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")),
    request_body = ReconciliationIn,
    responses((status = 202, description = "It will be worked off", body = Report), Denied)
)]
async fn start_reconciliation(
    State(state): State<HttpState>,
    acting: Acting,
    request: Idempotent,
    sent: Sent<ReconciliationIn>,
) -> Result<Response, Problem> {
    acting.require(Permission::HubOperate)?;
    acting.perform(&request, &sent.bytes, Start { engine: state.engine, wanted: sent.value }).await
}

struct Start {
    engine: Engine,
    wanted: ReconciliationIn,
}

impl Deed for Start {
    async fn done(&self, conn: &mut PgConnection, acting: &Acting) -> Result<Answer, Stop> {
        let wanted = &self.wanted;
        let Some((connector, stream)) = wanted.stream.split_once('.') else {
            return Err(asked::wrong("stream", "format", "it must be CONNECTOR.STREAM, as in logo.items").into());
        };
        let id = reconcile::ask(&mut *conn, &self.engine, connector, stream, wanted.repair).await.map_err(stopped)?;
        let entry = audit::Entry {
            action: "reconciliation.started",
            subject_kind: "stream",
            subject: wanted.stream.clone(),
            detail: json!({ "id": id, "repair": wanted.repair }),
        };
        audit::record(&mut *conn, acting.by_actor(), &[entry]).await?;
        let report = reconcile::show(&mut *conn, id).await?.ok_or_else(|| none_of(WHAT))?;
        Ok(Answer::json(StatusCode::ACCEPTED, &report)?)
    }
}

/// Where the orders of an ERP say something else than ours, until the two agree again.
#[utoipa::path(
    get,
    path = "/api/admin/reconciliation/order-differences",
    tag = "admin",
    operation_id = "listOrderDifferences",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.view"))),
    params(PageQuery),
    responses((status = 200, description = "A page of differences", body = OrderDifferenceList), Denied)
)]
async fn list_order_differences(
    State(state): State<HttpState>,
    caller: SignedIn,
    Listed(page): Listed,
) -> Result<Json<OrderDifferenceList>, Problem> {
    const LIST: &str = "order-differences";
    caller.require(Permission::HubView)?;
    let after: Option<(i64, String)> = page.after(LIST)?;
    let filter =
        DifferenceFilter { origin: None, after: after.as_ref().map(|(order, field)| (*order, field.as_str())) };
    let rows = source::differences(&state.pool, filter, page.rows()).await?;
    let found = page.page(LIST, rows, |row| (row.order_id, row.field.clone()));
    Ok(Json(OrderDifferenceList { items: found.items, next_cursor: found.next_cursor }))
}
