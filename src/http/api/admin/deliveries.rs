//! `/api/admin/deliveries`: what is told to others, and what came of it.

use axum::{
    Json,
    extract::{Path, State},
    http::{StatusCode, Uri},
    response::Response,
};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::super::{
    acting::{Acting, Deed},
    asked,
    listed::{Listed, PageQuery},
    sent::Sent,
};
use crate::{
    http::{
        idempotency::{Answer, Idempotent, Stop},
        openapi::{Denied, ProblemDocument},
        problem::Problem,
        router::{HttpState, PublicState},
        signed_in::SignedIn,
    },
    hub::{
        deliveries::{
            list::{self, DeliveryDetail, DeliveryFilter, DeliveryRow},
            manage::{self, ManageError},
        },
        states::DeliveryState,
    },
    principal::Permission,
};

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new()
        .routes(routes!(list_deliveries))
        .routes(routes!(show_delivery))
        .routes(routes!(replay_delivery))
        .routes(routes!(discard_delivery))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DeliveryList {
    items: Vec<DeliveryRow>,
    next_cursor: Option<String>,
}

/// Which deliveries; every part narrows.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct DeliveryQuery {
    /// `webhook:7`, `mail`
    target: Option<String>,
    /// `received`, `working`, `waiting`, `held`, `blocked`, `done`, `superseded`, `dead`, `discarded` or `cancelled`
    state: Option<String>,
    /// `order.confirmed`, `mail.invitation`
    #[serde(rename = "type")]
    kind: Option<String>,
    /// By what a person knows it: the address of a mail
    label: Option<String>,
    /// Of records of this kind
    aggregate: Option<String>,
    #[param(value_type = Option<i64>)]
    aggregate_id: Option<String>,
    correlation_id: Option<String>,
    /// Made since then
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DiscardIn {
    /// For whoever looks for it later.
    #[schema(min_length = 1, max_length = 500)]
    pub(super) reason: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Affected {
    pub(super) affected: u64,
}

fn filter(query: &DeliveryQuery) -> Result<DeliveryFilter, Problem> {
    let text = |field: &str, value| asked::text(field, value, 200).map(|text| text.map(str::to_owned));
    let states: Vec<&str> = DeliveryState::ALL.iter().map(|state| state.as_str()).collect();
    let state = asked::one_of("state", &query.state, DeliveryState::parse, &states)?;
    Ok(DeliveryFilter {
        target: text("target", &query.target)?,
        state: state.map(|state| state.as_str().to_owned()),
        kind: text("type", &query.kind)?,
        label: text("label", &query.label)?,
        aggregate: text("aggregate", &query.aggregate)?,
        aggregate_id: asked::id("aggregateId", &query.aggregate_id)?,
        correlation_id: text("correlationId", &query.correlation_id)?,
        since: asked::time("since", &query.since)?,
    })
}

/// The id of a path. One that cannot be an id is nobody's.
fn id_of(text: &str) -> Result<Uuid, Problem> {
    text.parse().map_err(|_| nobody())
}

fn nobody() -> Problem {
    Problem::not_found("there is no such delivery; its history may have been trimmed")
}

fn stopped(error: ManageError) -> Stop {
    let said = error.to_string();
    match error {
        ManageError::Database(error) => error.into(),
        ManageError::Letter(error) => Problem::internal(error).into(),
        ManageError::NotOpen(_) => nobody().into(),
        ManageError::NoReason => asked::wrong("reason", "required", said).into(),
        ManageError::UnderWay(_) | ManageError::Waits { .. } | ManageError::UnknownTarget(_) => {
            Problem::conflict(said).into()
        }
    }
}

/// Deliveries, open and finished alike, newest first.
#[utoipa::path(
    get,
    path = "/api/admin/deliveries",
    tag = "admin",
    operation_id = "listDeliveries",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.view"))),
    params(DeliveryQuery, PageQuery),
    responses((status = 200, description = "A page of deliveries", body = DeliveryList), Denied)
)]
async fn list_deliveries(
    State(state): State<HttpState>,
    caller: SignedIn,
    Listed(page): Listed,
    uri: Uri,
) -> Result<Json<DeliveryList>, Problem> {
    const LIST: &str = "deliveries";
    caller.require(Permission::HubView)?;
    let filter = filter(&asked::query(&uri)?)?;
    let before = page.after::<Uuid>(LIST)?;
    let rows = list::list(&state.pool, &filter, before, page.rows()).await?;
    let found = page.page(LIST, rows, |row| row.id);
    Ok(Json(DeliveryList { items: found.items, next_cursor: found.next_cursor }))
}

/// One delivery with its attempts and its document.
#[utoipa::path(
    get,
    path = "/api/admin/deliveries/{id}",
    tag = "admin",
    operation_id = "showDelivery",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.view"))),
    params(("id" = Uuid, Path, description = "The delivery's id")),
    responses(
        (status = 200, description = "The delivery", body = DeliveryDetail),
        (status = 404, description = "None", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
async fn show_delivery(
    State(state): State<HttpState>,
    caller: SignedIn,
    Path(id): Path<String>,
) -> Result<Json<DeliveryDetail>, Problem> {
    caller.require(Permission::HubView)?;
    list::show(&state.pool, id_of(&id)?).await?.map(Json).ok_or_else(nobody)
}

/// Tries a delivery again now: a dead one by its letter, one that waits for its next attempt, a finished one of a webhook
/// endpoint.
#[utoipa::path(
    post,
    path = "/api/admin/deliveries/{id}/replay",
    tag = "admin",
    operation_id = "replayDelivery",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.operate"))),
    params(
        ("id" = Uuid, Path, description = "The delivery's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    responses(
        (status = 202, description = "It goes out again", body = Affected),
        (status = 404, description = "None that can be told again", body = ProblemDocument, content_type = "application/problem+json"),
        (
            status = 409,
            description = "It is under way, or waits for something else than time",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        Denied
    )
)]
async fn replay_delivery(acting: Acting, request: Idempotent, Path(id): Path<String>) -> Result<Response, Problem> {
    acting.require(Permission::HubOperate)?;
    let id = id_of(&id)?;
    acting.perform(&request, b"", DeliveryDeed { id, called_off: None }).await
}

/// Calls a delivery off for good; what was blocked behind it goes on.
#[utoipa::path(
    post,
    path = "/api/admin/deliveries/{id}/discard",
    tag = "admin",
    operation_id = "discardDelivery",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.operate"))),
    params(
        ("id" = Uuid, Path, description = "The delivery's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    request_body = DiscardIn,
    responses(
        (status = 200, description = "It is not told any more", body = Affected),
        (status = 404, description = "None that is open", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "It is under way", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
async fn discard_delivery(
    acting: Acting,
    request: Idempotent,
    Path(id): Path<String>,
    sent: Sent<DiscardIn>,
) -> Result<Response, Problem> {
    acting.require(Permission::HubOperate)?;
    let id = id_of(&id)?;
    let reason = sent.value.reason;
    asked::text("reason", &Some(reason.clone()), 500)?;
    acting.perform(&request, &sent.bytes, DeliveryDeed { id, called_off: Some(reason) }).await
}

/// A delivery told again, or called off for a reason.
struct DeliveryDeed {
    id: Uuid,
    called_off: Option<String>,
}

impl Deed for DeliveryDeed {
    async fn done(&self, tx: &mut PgConnection, acting: &Acting) -> Result<Answer, Stop> {
        let by = acting.by_actor();
        let (status, affected) = match &self.called_off {
            None => {
                let done = manage::replay_within(tx, by, &[self.id]).await.map_err(stopped)?;
                (StatusCode::ACCEPTED, u64::try_from(done).unwrap_or(0))
            }
            Some(reason) => (StatusCode::OK, manage::cancel_within(tx, by, &[self.id], reason).await.map_err(stopped)?),
        };
        Ok(Answer::json(status, &Affected { affected })?)
    }
}
