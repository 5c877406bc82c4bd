//! `/api/v1/returns`: asked for by dealers, decided and received by the house.

use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode, Uri},
    response::Response,
};
use bytes::Bytes;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    acting::{Acting, Deed},
    asked,
    listed::{Listed, PageQuery},
    sent::Sent,
    tagged::Tagged,
};
use crate::{
    commerce::returns::{
        self, Decision, NewReturn, NewReturnLine, Return, ReturnError, ReturnFilter, ReturnHead, ReturnReason,
        ReturnState,
    },
    database,
    http::{
        idempotency::{Answer, Idempotent, Stop},
        openapi::{Denied, ProblemDocument},
        problem::{FieldError, Problem},
        router::{HttpState, PublicState},
        signed_in::SignedIn,
    },
    principal::Permission,
};

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new()
        .routes(routes!(list, request))
        .routes(routes!(show))
        .routes(routes!(approve))
        .routes(routes!(reject))
        .routes(routes!(receive))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
struct ReturnsQuery {
    /// For people of the house: whose returns.
    #[param(value_type = Option<i64>)]
    customer_id: Option<String>,
    #[param(value_type = Option<i64>)]
    order_id: Option<String>,
    /// requested, approved, rejected or received
    state: Option<String>,
}

/// What is to come back, of one order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewReturn, example = json!({
    "orderId": 42, "reason": "damaged", "note": "kutu ezik", "lines": [{ "orderLineId": 97, "quantity": 2 }]
}))]
struct ReturnIn {
    order_id: i64,
    /// damaged, wrong_item, defective, not_wanted or other
    reason: String,
    #[schema(max_length = 2000)]
    note: Option<String>,
    #[schema(min_items = 1, max_items = 500)]
    lines: Vec<ReturnLineIn>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewReturnLine)]
struct ReturnLineIn {
    order_line_id: i64,
    /// In the unit of the order's line; never more than was delivered, less what is asked for already.
    #[schema(value_type = f64)]
    quantity: Decimal,
    /// Where it is another than that of the whole return.
    reason: Option<String>,
    #[schema(max_length = 500)]
    note: Option<String>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ReturnApproval)]
struct ApproveIn {
    #[schema(max_length = 2000)]
    note: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ReturnRejection)]
struct RejectIn {
    /// The dealer reads it.
    #[schema(min_length = 1, max_length = 2000)]
    reason: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ReturnReceipt)]
struct ReceiveIn {
    /// Where the goods go.
    #[schema(max_length = 100, example = "MERKEZ")]
    warehouse_code: String,
    #[schema(max_length = 2000)]
    note: Option<String>,
}

/// A page of returns, without their lines.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ReturnPage {
    items: Vec<ReturnHead>,
    /// Null on the last page.
    next_cursor: Option<String>,
}

/// Returns, newest first: a dealer's own, or everybody's for the house.
#[utoipa::path(
    get,
    path = "/api/v1/returns",
    tag = "returns",
    operation_id = "listReturns",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("returns.view"))),
    params(
        ReturnsQuery,
        PageQuery,
        ("If-None-Match" = Option<String>, Header, description = "`ETag` of the answer that is known")
    ),
    responses(
        (status = 200, description = "A page", body = ReturnPage, headers(("ETag" = String))),
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
    caller.require(Permission::ReturnsView)?;
    let query: ReturnsQuery = asked::query(&uri)?;
    let states = ReturnState::ALL.map(ReturnState::as_str);
    let filter = ReturnFilter {
        customer: asked::id("customerId", &query.customer_id)?,
        order: asked::id("orderId", &query.order_id)?,
        state: asked::one_of("state", &query.state, ReturnState::parse, &states)?,
    };
    let scope = caller.scope();
    let mut tx = database::read_within(&state.pool, scope).await?;
    let found = returns::list(&mut tx, scope, filter, &page).await?;
    tx.commit().await?;
    Ok(Tagged::json(&found)?.answer(&headers))
}

/// One return with its lines and what was done to it.
#[utoipa::path(
    get,
    path = "/api/v1/returns/{id}",
    tag = "returns",
    operation_id = "showReturn",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("returns.view"))),
    params(
        ("id" = i64, Path, description = "The return's id"),
        ("If-None-Match" = Option<String>, Header, description = "`ETag` of the answer that is known")
    ),
    responses(
        (status = 200, description = "The return", body = Return, headers(("ETag" = String))),
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
    caller.require(Permission::ReturnsView)?;
    let scope = caller.scope();
    let mut tx = database::read_within(&state.pool, scope).await?;
    let found = returns::find(&mut tx, scope, id).await?;
    tx.commit().await?;
    let found = found.ok_or_else(|| Problem::not_found("there is no such return"))?;
    Ok(Tagged::json(&found)?.answer(&headers))
}

/// Asks for a return of delivered lines of one order. The house decides.
#[utoipa::path(
    post,
    path = "/api/v1/returns",
    tag = "returns",
    operation_id = "requestReturn",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("returns.create"))),
    params(("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")),
    request_body = ReturnIn,
    responses(
        (status = 201, description = "Asked for", body = Return),
        (status = 404, description = "No such order, or not yours", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
async fn request(acting: Acting, request: Idempotent, sent: Sent<ReturnIn>) -> Result<Response, Problem> {
    acting.require(Permission::ReturnsCreate)?;
    let deed = ReturnDeed::Request(sent.value.wanted()?);
    acting.perform(&request, &sent.bytes, deed).await
}

/// Lets the goods come.
#[utoipa::path(
    post,
    path = "/api/v1/returns/{id}/approve",
    tag = "returns",
    operation_id = "approveReturn",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("returns.decide"))),
    params(
        ("id" = i64, Path, description = "The return's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    request_body(content = Option<ApproveIn>, description = "May be left out"),
    responses(
        (status = 200, description = "As it is now", body = Return),
        (status = 404, description = "None", body = ProblemDocument, content_type = "application/problem+json"),
        (
            status = 409,
            description = "Its state does not allow it; `allowed` names the states that may follow",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        Denied
    )
)]
async fn approve(acting: Acting, request: Idempotent, Path(id): Path<i64>, body: Bytes) -> Result<Response, Problem> {
    acting.require(Permission::ReturnsDecide)?;
    let approval: ApproveIn = if body.iter().all(u8::is_ascii_whitespace) {
        ApproveIn::default()
    } else {
        // `null` says as much as nothing.
        let read = serde_json::from_slice::<Option<ApproveIn>>(&body);
        read.map_err(|error| Problem::bad_request(format!("the document cannot be read: {error}")))?.unwrap_or_default()
    };
    acting.perform(&request, &body, ReturnDeed::Decide(id, Decision::Approve { note: approval.note })).await
}

/// Refuses a return, with the reason that the dealer reads.
#[utoipa::path(
    post,
    path = "/api/v1/returns/{id}/reject",
    tag = "returns",
    operation_id = "rejectReturn",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("returns.decide"))),
    params(
        ("id" = i64, Path, description = "The return's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    request_body = RejectIn,
    responses(
        (status = 200, description = "As it is now", body = Return),
        (status = 404, description = "None", body = ProblemDocument, content_type = "application/problem+json"),
        (
            status = 409,
            description = "Its state does not allow it; `allowed` names the states that may follow",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        Denied
    )
)]
async fn reject(
    acting: Acting,
    request: Idempotent,
    Path(id): Path<i64>,
    sent: Sent<RejectIn>,
) -> Result<Response, Problem> {
    acting.require(Permission::ReturnsDecide)?;
    let deed = ReturnDeed::Decide(id, Decision::Reject { reason: sent.value.reason });
    acting.perform(&request, &sent.bytes, deed).await
}

/// Takes the goods of an approved return into a warehouse: stock rises by them.
#[utoipa::path(
    post,
    path = "/api/v1/returns/{id}/receive",
    tag = "returns",
    operation_id = "receiveReturn",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("returns.decide"))),
    params(
        ("id" = i64, Path, description = "The return's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    request_body = ReceiveIn,
    responses(
        (status = 200, description = "As it is now", body = Return),
        (status = 404, description = "None", body = ProblemDocument, content_type = "application/problem+json"),
        (
            status = 409,
            description = "Its state does not allow it; `allowed` names the states that may follow",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        Denied
    )
)]
async fn receive(
    acting: Acting,
    request: Idempotent,
    Path(id): Path<i64>,
    sent: Sent<ReceiveIn>,
) -> Result<Response, Problem> {
    acting.require(Permission::ReturnsDecide)?;
    let ReceiveIn { warehouse_code, note } = sent.value;
    acting.perform(&request, &sent.bytes, ReturnDeed::Receive { id, warehouse_code, note }).await
}

/// What is done.
enum ReturnDeed {
    Request(NewReturn),
    Decide(i64, Decision),
    Receive { id: i64, warehouse_code: String, note: Option<String> },
}

impl Deed for ReturnDeed {
    async fn done(&self, conn: &mut PgConnection, acting: &Acting) -> Result<Answer, Stop> {
        let (by, scope) = (&acting.by(), acting.caller.scope());
        let (status, id) = match self {
            ReturnDeed::Request(new) => {
                (StatusCode::CREATED, returns::request(conn, by, scope, new).await.map_err(refused)?)
            }
            ReturnDeed::Decide(id, decision) => {
                returns::decide(conn, by, *id, decision).await.map_err(refused)?;
                (StatusCode::OK, *id)
            }
            ReturnDeed::Receive { id, warehouse_code, note } => {
                returns::receive(conn, by, *id, warehouse_code, note.as_deref()).await.map_err(refused)?;
                (StatusCode::OK, *id)
            }
        };
        let now = returns::find(conn, scope, id).await?;
        let now = now.ok_or_else(|| Problem::not_found("there is no such return"))?;
        Ok(Answer::json(status, &now)?)
    }
}

fn refused(error: ReturnError) -> Stop {
    let said = error.to_string();
    match error {
        ReturnError::Invalid(faults) => {
            let told = |fault: returns::NamedFault| FieldError {
                field: fault.field,
                code: fault.code.into(),
                message: fault.message,
            };
            Problem::invalid(faults.into_iter().map(told).collect()).into()
        }
        ReturnError::NotFound(_) => Problem::not_found(said).into(),
        ReturnError::Forbidden { from, .. } => {
            let allowed: Vec<&str> = from.moves().iter().map(|state| state.as_str()).collect();
            let detail = match allowed.as_slice() {
                [] => format!("{said}; nothing follows that state"),
                allowed => format!("{said}; what may follow is {}", allowed.join(", ")),
            };
            Problem::new(StatusCode::CONFLICT, "state_conflict", "Not possible in the present state", detail)
                .member("state", from.as_str())
                .member("allowed", allowed)
                .into()
        }
        ReturnError::Command(error) if error.retry_at_once() => Stop::Again(Box::new(error)),
        ReturnError::Command(error) => Problem::internal(error).into(),
    }
}

impl ReturnIn {
    fn wanted(self) -> Result<NewReturn, Problem> {
        let reason = |field: &str, text: &str| {
            let known = ReturnReason::ALL.map(ReturnReason::as_str).join(", ");
            let unknown = || asked::wrong(field, "unknown_value", format!("it must be one of {known}"));
            ReturnReason::parse(text).ok_or_else(unknown)
        };
        let line = |(at, line): (usize, ReturnLineIn)| {
            let own = line.reason.as_deref().map(|text| reason(&format!("lines[{at}].reason"), text)).transpose()?;
            let ReturnLineIn { order_line_id, quantity, note, .. } = line;
            Ok(NewReturnLine { order_line: order_line_id, quantity, reason: own, note })
        };
        Ok(NewReturn {
            order: self.order_id,
            reason: reason("reason", &self.reason)?,
            note: self.note,
            lines: self.lines.into_iter().enumerate().map(line).collect::<Result<_, Problem>>()?,
        })
    }
}
