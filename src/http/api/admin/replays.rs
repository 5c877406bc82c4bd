//! `/api/admin/dead-letters/replays`: many letters replayed or discarded by a filter, which means those that were there when the
//! plan was made.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    super::{
        acting::{Acting, Deed},
        asked,
        listed::{Listed, PageQuery},
        sent::Sent,
    },
    letter_filter::LetterQuery,
    none_of, uuid_of,
};
use crate::{
    http::{
        idempotency::{Answer, Idempotent, Stop},
        openapi::{Denied, ProblemDocument},
        problem::Problem,
        router::{HttpState, PublicState},
        signed_in::SignedIn,
    },
    hub::dead_letters::{self, Action, Filter, Plan, PlanDetail, PlanError},
    principal::Permission,
};

/// Letters a second when nothing else is said.
const PER_SECOND: f32 = 100.0;

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new()
        .routes(routes!(list, plan))
        .routes(routes!(show))
        .routes(routes!(start))
        .routes(routes!(cancel))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ReplayPlanList {
    items: Vec<Plan>,
    next_cursor: Option<String>,
}

/// What is to be done with the letters that a filter names.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewReplayPlan, example = json!({ "filter": { "connector": "logo", "reason": "missing_reference" }, "start": true }))]
struct PlanIn {
    /// `replay` or `discard`; `replay` when it is left out.
    action: Option<String>,
    /// Without any part it means all letters.
    filter: LetterQuery,
    /// Why they are discarded.
    #[schema(max_length = 500)]
    reason: Option<String>,
    /// Letters a second.
    #[schema(value_type = Option<f64>, minimum = 0.01, maximum = 10000)]
    per_second: Option<f32>,
    /// Begin at once, without a look at the plan.
    start: Option<bool>,
}

/// Plans, newest first.
#[utoipa::path(
    get,
    path = "/api/admin/dead-letters/replays",
    tag = "admin",
    operation_id = "listReplayPlans",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.view"))),
    params(PageQuery),
    responses((status = 200, description = "A page of plans", body = ReplayPlanList), Denied)
)]
async fn list(
    State(state): State<HttpState>,
    caller: SignedIn,
    Listed(page): Listed,
) -> Result<Json<ReplayPlanList>, Problem> {
    const LIST: &str = "replay-plans";
    caller.require(Permission::HubView)?;
    let rows = dead_letters::plans(&state.pool, page.after(LIST)?, page.rows()).await?;
    let found = page.page(LIST, rows, |row| row.id);
    Ok(Json(ReplayPlanList { items: found.items, next_cursor: found.next_cursor }))
}

/// One plan: what it means, how far it is, what became of its letters.
#[utoipa::path(
    get,
    path = "/api/admin/dead-letters/replays/{id}",
    tag = "admin",
    operation_id = "showReplayPlan",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.view"))),
    params(("id" = Uuid, Path, description = "The plan's id")),
    responses(
        (status = 200, description = "The plan", body = PlanDetail),
        (status = 404, description = "None", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
async fn show(
    State(state): State<HttpState>,
    caller: SignedIn,
    Path(id): Path<String>,
) -> Result<Json<PlanDetail>, Problem> {
    caller.require(Permission::HubView)?;
    let found = dead_letters::get(&state.pool, uuid_of(&id, "plan")?).await?;
    found.map(Json).ok_or_else(|| none_of("plan"))
}

/// Plans a replay or a discard of the letters that a filter names now. Nothing happens before the plan is started.
#[utoipa::path(
    post,
    path = "/api/admin/dead-letters/replays",
    tag = "admin",
    operation_id = "planReplay",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.operate"))),
    params(("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")),
    request_body = PlanIn,
    responses((status = 201, description = "The plan", body = PlanDetail), Denied)
)]
async fn plan(acting: Acting, request: Idempotent, sent: Sent<PlanIn>) -> Result<Response, Problem> {
    acting.require(Permission::HubOperate)?;
    let given = sent.value;
    let discards = asked::one_of(
        "action",
        &given.action,
        |text| ["replay", "discard"].iter().position(|known| *known == text),
        &["replay", "discard"],
    )? == Some(1);
    let reason = asked::text("reason", &given.reason, 500)?.map(str::to_owned);
    if discards && reason.is_none() {
        return Err(asked::wrong("reason", "required", PlanError::NoReason.to_string()));
    }
    let per_second = given.per_second.unwrap_or(PER_SECOND);
    if !(0.01..=10_000.0).contains(&per_second) {
        return Err(asked::wrong("perSecond", "out_of_range", "it must be between 0.01 and 10000 letters a second"));
    }
    let deed = PlanDeed::Make {
        discard_for: reason.filter(|_| discards),
        filter: Box::new(given.filter.filter()?),
        per_second,
        start: given.start.unwrap_or(false),
    };
    acting.perform(&request, &sent.bytes, deed).await
}

/// Lets a plan begin.
#[utoipa::path(
    post,
    path = "/api/admin/dead-letters/replays/{id}/start",
    tag = "admin",
    operation_id = "startReplayPlan",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.operate"))),
    params(
        ("id" = Uuid, Path, description = "The plan's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    responses(
        (status = 200, description = "It runs", body = PlanDetail),
        (status = 404, description = "None", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "It began before", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
async fn start(acting: Acting, request: Idempotent, Path(id): Path<String>) -> Result<Response, Problem> {
    acting.require(Permission::HubOperate)?;
    let id = uuid_of(&id, "plan")?;
    acting.perform(&request, b"", PlanDeed::Start(id)).await
}

/// Ends a plan; what was queued by then is worked off all the same.
#[utoipa::path(
    post,
    path = "/api/admin/dead-letters/replays/{id}/cancel",
    tag = "admin",
    operation_id = "cancelReplayPlan",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.operate"))),
    params(
        ("id" = Uuid, Path, description = "The plan's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    responses(
        (status = 200, description = "It has ended", body = PlanDetail),
        (status = 404, description = "None", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "It ended before", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
async fn cancel(acting: Acting, request: Idempotent, Path(id): Path<String>) -> Result<Response, Problem> {
    acting.require(Permission::HubOperate)?;
    let id = uuid_of(&id, "plan")?;
    acting.perform(&request, b"", PlanDeed::Cancel(id)).await
}

enum PlanDeed {
    Make { discard_for: Option<String>, filter: Box<Filter>, per_second: f32, start: bool },
    Start(Uuid),
    Cancel(Uuid),
}

impl Deed for PlanDeed {
    async fn done(&self, conn: &mut PgConnection, acting: &Acting) -> Result<Answer, Stop> {
        let by = acting.by_actor();
        let (status, id) = match self {
            PlanDeed::Make { discard_for, filter, per_second, start } => {
                let action = discard_for.as_deref().map_or(Action::Replay, |reason| Action::Discard { reason });
                let id = dead_letters::plan_within(conn, by, action, filter, *per_second).await.map_err(refused)?;
                if *start {
                    dead_letters::start_within(conn, by, id).await.map_err(refused)?;
                }
                (StatusCode::CREATED, id)
            }
            PlanDeed::Start(id) => {
                dead_letters::start_within(conn, by, *id).await.map_err(refused)?;
                (StatusCode::OK, *id)
            }
            PlanDeed::Cancel(id) => {
                dead_letters::cancel_within(conn, by, *id).await.map_err(refused)?;
                (StatusCode::OK, *id)
            }
        };
        let detail = dead_letters::get_within(conn, id).await?.ok_or_else(|| none_of("plan"))?;
        Ok(Answer::json(status, &detail)?)
    }
}

fn refused(error: PlanError) -> Stop {
    let said = error.to_string();
    match error {
        PlanError::Database(error) => error.into(),
        PlanError::Unknown(_) => none_of("plan").into(),
        PlanError::WrongState { .. } => Problem::conflict(said).into(),
        PlanError::Rate => asked::wrong("perSecond", "out_of_range", said).into(),
        PlanError::NoReason => asked::wrong("reason", "required", said).into(),
    }
}
