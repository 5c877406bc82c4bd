//! `/api/admin/webhook-endpoints`: addresses that are told of events.

use std::time::Duration;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use sqlx::PgConnection;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::{
    acting::{Acting, Deed},
    auth::{secret, wrong},
    listed::{Listed, PageQuery},
    sent::Sent,
    users::id_of,
};
use crate::{
    http::{
        idempotency::{Answer, Idempotent, Stop},
        openapi::{Denied, ProblemDocument},
        problem::Problem,
        router::{HttpState, PublicState},
        signed_in::SignedIn,
    },
    hub::webhooks::{
        EndpointError, WebhookSettings,
        address::{Address, Subscription},
        change::{self, EndpointChange, NewEndpoint},
        endpoint::{self, Endpoint, ListError},
        replay::{self, Choice, Share},
        secrets, trial,
        trial::Trial,
    },
    principal::Permission,
    transaction,
};

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, update, remove))
        .routes(routes!(show_secrets))
        .routes(routes!(rotate))
        .routes(routes!(test))
        .routes(routes!(replay_events))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct WebhookEndpointList {
    items: Vec<Endpoint>,
    next_cursor: Option<String>,
}

#[derive(Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WebhookEndpointIn {
    /// Public and https, unless `[webhooks] allow` lists it.
    #[schema(max_length = 2000, example = "https://hooks.example.com/kopru")]
    url: String,
    /// Types of events, `order.*`, or `*`.
    #[schema(min_items = 1, example = json!(["order.*", "stock.changed"]))]
    events: Vec<String>,
    #[schema(max_length = 500)]
    description: Option<String>,
    /// Events of first and full passes as well.
    bulk: Option<bool>,
    /// Calls a second; null: as the configuration says.
    #[schema(minimum = 1, maximum = 10000)]
    rate_per_second: Option<i32>,
    /// True when it is not said.
    enabled: Option<bool>,
}

/// What is not said stays.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WebhookEndpointChange {
    #[schema(max_length = 2000)]
    url: Option<String>,
    #[schema(min_items = 1)]
    events: Option<Vec<String>>,
    #[schema(max_length = 500)]
    description: Option<String>,
    bulk: Option<bool>,
    /// Null: as the configuration says.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 10000)]
    rate_per_second: Option<Option<i32>>,
    /// Switched on, what was held goes out, and its failures are forgotten.
    enabled: Option<bool>,
}

fn said<'de, D: Deserializer<'de>>(given: D) -> Result<Option<Option<i32>>, D::Error> {
    Option::deserialize(given).map(Some)
}

/// What signs; a receiver takes a message that any of them signed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct WebhookSecrets {
    /// Newest first.
    items: Vec<WebhookSecret>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct WebhookSecret {
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    secret: String,
    created_at: DateTime<Utc>,
    /// Null: signs until it is rotated.
    expires_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RotateIn {
    /// For which the old secret signs too; 0: not at all. `[webhooks] overlap` when it is not said.
    #[schema(maximum = 720)]
    overlap_hours: Option<u32>,
}

/// One record.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ObjectIn {
    #[schema(example = "order")]
    kind: String,
    id: i64,
}

#[derive(Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReplayIn {
    since: DateTime<Utc>,
    /// Now when it is not said.
    until: Option<DateTime<Utc>>,
    /// Only these types, `order.*`.
    events: Option<Vec<String>>,
    /// Only of this record.
    object: Option<ObjectIn>,
    /// Only of this request or run.
    correlation_id: Option<String>,
    /// Only what never arrived there.
    undelivered: Option<bool>,
    /// Tells how many it would be, and does nothing.
    dry_run: Option<bool>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ReplayOut {
    /// Events that are meant.
    total: i64,
    shares: Vec<Share>,
    /// Deliveries that were made; 0 of a dry run.
    replayed: i64,
    /// Events are kept from then on.
    oldest_kept: Option<DateTime<Utc>>,
}

fn problem(error: EndpointError) -> Problem {
    let said = error.to_string();
    match error {
        EndpointError::Database(error) => error.into(),
        EndpointError::Unknown(_) => Problem::not_found("there is no such webhook endpoint"),
        EndpointError::Url(_) => wrong("url", "format", said),
        EndpointError::Blocked(_) => wrong("url", "address_refused", said),
        EndpointError::NoEvents => wrong("events", "required", said),
        EndpointError::UnknownEvent { .. } => wrong("events", "unknown_value", said),
        EndpointError::Description => wrong("description", "length", said),
        EndpointError::Rate => wrong("ratePerSecond", "out_of_range", said),
        EndpointError::Overlap => wrong("overlapHours", "out_of_range", said),
        EndpointError::TooMany(_) => wrong("since", "too_many", said),
        EndpointError::NoMasterKey => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no_master_key", "Secrets cannot be kept", said)
        }
        EndpointError::Seal(error) => Problem::internal(error),
    }
}

fn stopped(error: EndpointError) -> Stop {
    match error {
        EndpointError::Database(error) => error.into(),
        error => problem(error).into(),
    }
}

/// Texts that the store can hold.
fn text(field: &str, value: &str) -> Result<(), Problem> {
    if value.contains('\0') { Err(wrong(field, "format", "it holds a NUL")) } else { Ok(()) }
}

/// The endpoints, in the order in which they were made.
#[utoipa::path(
    get,
    path = "/api/admin/webhook-endpoints",
    tag = "admin",
    operation_id = "listWebhookEndpoints",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.view"))),
    params(PageQuery),
    responses((status = 200, description = "A page of endpoints", body = WebhookEndpointList), Denied)
)]
async fn list(
    State(state): State<HttpState>,
    caller: SignedIn,
    Listed(page): Listed,
) -> Result<Json<WebhookEndpointList>, Problem> {
    caller.require(Permission::HubView)?;
    let found = endpoint::list(&state.pool, state.clock.now(), &page).await.map_err(|error| match error {
        ListError::Page(bad) => Problem::from(bad),
        ListError::Database(error) => error.into(),
    })?;
    Ok(Json(WebhookEndpointList { items: found.items, next_cursor: found.next_cursor }))
}

/// One endpoint: what it wants and how it does.
#[utoipa::path(
    get,
    path = "/api/admin/webhook-endpoints/{id}",
    tag = "admin",
    operation_id = "showWebhookEndpoint",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.view"))),
    params(("id" = i64, Path, description = "The endpoint's id")),
    responses(
        (status = 200, description = "The endpoint", body = Endpoint),
        (status = 404, description = "None", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
async fn show(
    State(state): State<HttpState>,
    caller: SignedIn,
    Path(id): Path<String>,
) -> Result<Json<Endpoint>, Problem> {
    caller.require(Permission::HubView)?;
    let id = id_of(&id, "webhook endpoint")?;
    let found = endpoint::find(&state.pool, state.clock.now(), id).await?;
    found.map(Json).ok_or_else(|| problem(EndpointError::Unknown(id)))
}

/// Registers an address with a secret of its own. It is told of what happens from now on.
#[utoipa::path(
    post,
    path = "/api/admin/webhook-endpoints",
    tag = "admin",
    operation_id = "createWebhookEndpoint",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.configure"))),
    params(("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")),
    request_body = WebhookEndpointIn,
    responses(
        (status = 201, description = "Registered; `/secrets` shows what signs", body = Endpoint),
        (
            status = 503,
            description = "`no_master_key`: secrets cannot be kept",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        Denied
    )
)]
async fn create(
    State(state): State<HttpState>,
    acting: Acting,
    request: Idempotent,
    sent: Sent<WebhookEndpointIn>,
) -> Result<Response, Problem> {
    acting.require(Permission::HubConfigure)?;
    let given = sent.value;
    let settings = state.engine.settings.webhooks.clone();
    let events = Subscription::parse(&given.events).map_err(problem)?;
    // Names are resolved before any transaction is open.
    let new = NewEndpoint {
        address: Address::judge(&settings, &given.url).await.map_err(problem)?,
        description: given.description.unwrap_or_default(),
        events,
        bulk: given.bulk.unwrap_or(false),
        rate_per_second: given.rate_per_second,
        enabled: given.enabled.unwrap_or(true),
    };
    acting.perform(&request, &sent.bytes, EndpointDeed::Add(settings, Box::new(new))).await
}

/// What is done to endpoints.
enum EndpointDeed {
    Add(WebhookSettings, Box<NewEndpoint>),
    Change(i64, Box<EndpointChange>),
    Remove(i64),
    Rotate(WebhookSettings, i64, Duration),
    /// The last: whether it only tells how many it would be.
    Replay(i64, Box<Choice>, bool),
}

impl Deed for EndpointDeed {
    async fn done(&self, tx: &mut PgConnection, acting: &Acting) -> Result<Answer, Stop> {
        let (by, now) = (acting.by_actor(), acting.now());
        match self {
            EndpointDeed::Add(settings, new) => {
                let id = change::add(&mut *tx, settings, by, now, new).await.map_err(stopped)?;
                answer(tx, StatusCode::CREATED, now, id).await
            }
            EndpointDeed::Change(id, wanted) => {
                change::change(&mut *tx, by, *id, wanted).await.map_err(stopped)?;
                answer(tx, StatusCode::OK, now, *id).await
            }
            EndpointDeed::Remove(id) => {
                let told = answer(&mut *tx, StatusCode::OK, now, *id).await?;
                change::remove(tx, by, *id).await.map_err(stopped)?;
                Ok(told)
            }
            EndpointDeed::Rotate(settings, id, overlap) => {
                secrets::rotate(&mut *tx, settings, by, now, *id, *overlap).await.map_err(stopped)?;
                answer(tx, StatusCode::OK, now, *id).await
            }
            EndpointDeed::Replay(id, choice, dry_run) => {
                let plan = replay::plan(&mut *tx, *id, choice).await.map_err(stopped)?;
                let replayed = match dry_run {
                    true => 0,
                    false => replay::start(tx, by, *id, choice).await.map_err(stopped)?,
                };
                let replay::Plan { total, shares, oldest_kept } = plan;
                Ok(Answer::json(StatusCode::OK, &ReplayOut { total, shares, replayed, oldest_kept })?)
            }
        }
    }
}

/// The endpoint as it is now.
async fn answer(tx: &mut PgConnection, status: StatusCode, now: DateTime<Utc>, id: i64) -> Result<Answer, Stop> {
    let found = endpoint::find(tx, now, id).await?;
    let found = found.ok_or_else(|| problem(EndpointError::Unknown(id)))?;
    Ok(Answer::json(status, &found)?)
}

/// Changes an endpoint, switches it on or off.
#[utoipa::path(
    patch,
    path = "/api/admin/webhook-endpoints/{id}",
    tag = "admin",
    operation_id = "changeWebhookEndpoint",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.configure"))),
    params(
        ("id" = i64, Path, description = "The endpoint's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    request_body = WebhookEndpointChange,
    responses(
        (status = 200, description = "As it is now", body = Endpoint),
        (status = 404, description = "None", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
async fn update(
    State(state): State<HttpState>,
    acting: Acting,
    request: Idempotent,
    Path(id): Path<String>,
    sent: Sent<WebhookEndpointChange>,
) -> Result<Response, Problem> {
    acting.require(Permission::HubConfigure)?;
    let id = id_of(&id, "webhook endpoint")?;
    let given = sent.value;
    let address = match &given.url {
        Some(url) => Some(Address::judge(&state.engine.settings.webhooks, url).await.map_err(problem)?),
        None => None,
    };
    let wanted = EndpointChange {
        address,
        description: given.description,
        events: given.events.as_deref().map(Subscription::parse).transpose().map_err(problem)?,
        bulk: given.bulk,
        rate_per_second: given.rate_per_second,
        enabled: given.enabled,
    };
    acting.perform(&request, &sent.bytes, EndpointDeed::Change(id, Box::new(wanted))).await
}

/// Removes an endpoint with its secrets; what it was not told yet is called off.
#[utoipa::path(
    delete,
    path = "/api/admin/webhook-endpoints/{id}",
    tag = "admin",
    operation_id = "removeWebhookEndpoint",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.configure"))),
    params(
        ("id" = i64, Path, description = "The endpoint's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    responses(
        (status = 200, description = "As it was", body = Endpoint),
        (status = 404, description = "None", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
async fn remove(acting: Acting, request: Idempotent, Path(id): Path<String>) -> Result<Response, Problem> {
    acting.require(Permission::HubConfigure)?;
    let id = id_of(&id, "webhook endpoint")?;
    acting.perform(&request, b"", EndpointDeed::Remove(id)).await
}

/// The secrets that sign for an endpoint. Who asked is audited.
#[utoipa::path(
    get,
    path = "/api/admin/webhook-endpoints/{id}/secrets",
    tag = "admin",
    operation_id = "showWebhookSecrets",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.configure"))),
    params(("id" = i64, Path, description = "The endpoint's id")),
    responses(
        (status = 200, description = "The valid secrets", body = WebhookSecrets),
        (status = 404, description = "None", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
async fn show_secrets(
    State(state): State<HttpState>,
    acting: Acting,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    acting.require(Permission::HubConfigure)?;
    let id = id_of(&id, "webhook endpoint")?;
    let settings = &state.engine.settings.webhooks;
    let mut tx = transaction::begin(&state.pool).await?;
    let shown = secrets::show(&mut tx, settings, acting.by_actor(), acting.now(), id).await.map_err(problem)?;
    tx.commit().await?;
    let items = shown.into_iter().map(|one| WebhookSecret {
        secret: one.secret.expose().to_owned(),
        created_at: one.created_at,
        expires_at: one.expires_at,
    });
    Ok(secret(StatusCode::OK, Json(WebhookSecrets { items: items.collect() })))
}

/// Makes a new secret; the old one signs beside it for a while.
#[utoipa::path(
    post,
    path = "/api/admin/webhook-endpoints/{id}/rotate",
    tag = "admin",
    operation_id = "rotateWebhookSecret",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.configure"))),
    params(
        ("id" = i64, Path, description = "The endpoint's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    request_body = RotateIn,
    responses(
        (status = 200, description = "Rotated; `/secrets` shows what signs", body = Endpoint),
        (status = 404, description = "None", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
async fn rotate(
    State(state): State<HttpState>,
    acting: Acting,
    request: Idempotent,
    Path(id): Path<String>,
    sent: Sent<RotateIn>,
) -> Result<Response, Problem> {
    acting.require(Permission::HubConfigure)?;
    let id = id_of(&id, "webhook endpoint")?;
    let settings = state.engine.settings.webhooks.clone();
    let hours = sent.value.overlap_hours;
    let overlap = hours.map_or(settings.overlap, |hours| Duration::from_secs(u64::from(hours) * 3600));
    acting.perform(&request, &sent.bytes, EndpointDeed::Rotate(settings, id, overlap)).await
}

/// Sends a test event (`webhook.test`) now, whether the endpoint is on or off, and tells what came of it.
#[utoipa::path(
    post,
    path = "/api/admin/webhook-endpoints/{id}/test",
    tag = "admin",
    operation_id = "testWebhookEndpoint",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.operate"))),
    params(("id" = i64, Path, description = "The endpoint's id")),
    responses(
        (status = 200, description = "What the receiver said, or why it said nothing", body = Trial),
        (status = 404, description = "None", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
async fn test(State(state): State<HttpState>, acting: Acting, Path(id): Path<String>) -> Result<Json<Trial>, Problem> {
    acting.require(Permission::HubOperate)?;
    let id = id_of(&id, "webhook endpoint")?;
    let settings = &state.engine.settings.webhooks;
    let told = trial::send(&state.pool, settings, acting.by_actor(), acting.now(), id).await.map_err(problem)?;
    Ok(Json(told))
}

/// Tells events of the past again, under the ids that they had.
#[utoipa::path(
    post,
    path = "/api/admin/webhook-endpoints/{id}/replay",
    tag = "admin",
    operation_id = "replayWebhookEvents",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.operate"))),
    params(
        ("id" = i64, Path, description = "The endpoint's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    request_body = ReplayIn,
    responses(
        (status = 200, description = "How many are meant, and how many go out", body = ReplayOut),
        (status = 404, description = "None", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
async fn replay_events(
    acting: Acting,
    request: Idempotent,
    Path(id): Path<String>,
    sent: Sent<ReplayIn>,
) -> Result<Response, Problem> {
    acting.require(Permission::HubOperate)?;
    let id = id_of(&id, "webhook endpoint")?;
    let given = sent.value;
    for (field, value) in [
        ("correlationId", given.correlation_id.as_deref()),
        ("object", given.object.as_ref().map(|object| object.kind.as_str())),
    ] {
        text(field, value.unwrap_or_default())?;
    }
    let choice = Choice {
        since: given.since,
        until: given.until,
        types: given.events.as_deref().map(Subscription::parse).transpose().map_err(problem)?,
        object: given.object.map(|object| (object.kind, object.id)),
        correlation_id: given.correlation_id,
        undelivered: given.undelivered.unwrap_or(false),
    };
    let dry_run = given.dry_run.unwrap_or(false);
    acting.perform(&request, &sent.bytes, EndpointDeed::Replay(id, Box::new(choice), dry_run)).await
}
