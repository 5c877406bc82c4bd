//! `/api/admin/connectors`: the configured systems, and their breakers.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgConnection;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    super::{
        acting::{Acting, Deed},
        sent::Sent,
    },
    none_of,
};
use crate::{
    audit::{self, Entry},
    http::{
        idempotency::{Answer, Idempotent, Stop},
        openapi::{Denied, ProblemDocument},
        problem::Problem,
        router::{HttpState, PublicState},
        signed_in::SignedIn,
    },
    hub::{
        breaker::{self, Breaker},
        checkup::{self, Reach},
        deliveries::{
            catch_up::{self, Plan, Share, Wanted},
            manage::ManageError,
        },
        engine::Engine,
        housekeeping,
    },
    principal::Permission,
};

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(check)).routes(routes!(reset)).routes(routes!(catch_up))
}

/// A configured system.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Connector)]
struct ConnectorOut {
    #[schema(example = "logo")]
    name: String,
    #[schema(example = "logo")]
    kind: String,
    /// Called by one daemon only.
    exclusive: bool,
    /// `closed`, `open` or `half_open`
    #[schema(example = "closed")]
    state: &'static str,
    /// Null: it has neither failed nor answered yet.
    breaker: Option<Breaker>,
    #[schema(example = json!(["items", "stock"]))]
    streams: Vec<&'static str>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ConnectorList {
    items: Vec<ConnectorOut>,
}

/// What came of asking a system.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConnectorCheck)]
struct CheckOut {
    /// Whether it answers and takes the credentials; null: it was not asked.
    ok: Option<bool>,
    /// `ok`, `taken`, `silent`, or the kind of the fault
    #[schema(example = "ok")]
    class: String,
    #[schema(example = "it answers, and takes the credentials")]
    detail: String,
}

/// The configured systems and their circuit breakers.
#[utoipa::path(
    get,
    path = "/api/admin/connectors",
    tag = "admin",
    operation_id = "listConnectors",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.view"))),
    responses((status = 200, description = "All of them", body = ConnectorList), Denied)
)]
async fn list(State(state): State<HttpState>, caller: SignedIn) -> Result<Json<ConnectorList>, Problem> {
    caller.require(Permission::HubView)?;
    let breakers = breaker::list(&state.pool).await?;
    let items = state.engine.instances.values().map(|instance| {
        let breaker = breakers.iter().find(|breaker| breaker.connector == instance.name).cloned();
        ConnectorOut {
            name: instance.name.clone(),
            kind: instance.kind.clone(),
            exclusive: instance.exclusive,
            state: breaker.as_ref().map_or("closed", |breaker| breaker.state.as_str()),
            breaker,
            streams: instance.streams.iter().map(|stream| stream.spec.name).collect(),
        }
    });
    Ok(Json(ConnectorList { items: items.collect() }))
}

/// Asks a system now whether it answers and takes the credentials. One that only one process may call is not asked while another
/// one does.
#[utoipa::path(
    post,
    path = "/api/admin/connectors/{name}/check",
    tag = "admin",
    operation_id = "checkConnector",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.operate"))),
    params(("name" = String, Path, description = "The instance: `logo`")),
    responses(
        (status = 200, description = "What came of it", body = CheckOut),
        (status = 404, description = "None", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
async fn check(
    State(state): State<HttpState>,
    caller: SignedIn,
    Path(name): Path<String>,
) -> Result<Json<CheckOut>, Problem> {
    caller.require(Permission::HubOperate)?;
    let instance = state.engine.instance(&name).map_err(|_| none_of("connector"))?;
    let store = instance.exclusive.then_some(&state.pool);
    let reach = checkup::reach(instance.connector.as_ref(), &name, store, state.clock.now()).await?;
    let told = |ok, class: &str, detail: String| CheckOut { ok, class: class.to_owned(), detail };
    Ok(Json(match reach {
        Reach::Answers => told(Some(true), "ok", "it answers, and takes the credentials".to_owned()),
        Reach::Taken => {
            told(None, "taken", "it was not asked: only one process may call it, and another one does".to_owned())
        }
        Reach::Silent => told(Some(false), "silent", format!("no answer within {} s", checkup::PATIENCE.as_secs())),
        Reach::Fault(fault) => told(Some(false), fault.class(), fault.to_string()),
    }))
}

/// Closes the circuit breaker of a system: what was held for it goes on, and the next faults open it again.
#[utoipa::path(
    post,
    path = "/api/admin/connectors/{name}/breaker/reset",
    tag = "admin",
    operation_id = "resetBreaker",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.operate"))),
    params(
        ("name" = String, Path, description = "The instance: `logo`"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    responses(
        (status = 200, description = "The breaker as it is now", body = Breaker),
        (status = 404, description = "None, or it never failed", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
async fn reset(
    State(state): State<HttpState>,
    acting: Acting,
    request: Idempotent,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    acting.require(Permission::HubOperate)?;
    let known = state.engine.instances.contains_key(&name) || state.engine.targets.get(&name).is_some();
    if !known {
        return Err(none_of("connector"));
    }
    let answered = acting.perform(&request, b"", Reset { name: name.clone() }).await?;
    housekeeping::let_go(&state.engine, &name).await?;
    Ok(answered)
}

struct Reset {
    name: String,
}

impl Deed for Reset {
    async fn done(&self, conn: &mut PgConnection, acting: &Acting) -> Result<Answer, Stop> {
        let find = |breakers: Vec<Breaker>| breakers.into_iter().find(|breaker| breaker.connector == self.name);
        let before = find(breaker::list(&mut *conn).await?).ok_or_else(|| none_of("breaker"))?;
        breaker::close(&mut *conn, &self.name).await?;
        let detail = json!({ "before": before.state, "lastFault": before.last_fault });
        let entry = Entry { action: "breaker.reset", subject_kind: "connector", subject: self.name.clone(), detail };
        audit::record(&mut *conn, acting.by_actor(), &[entry]).await?;
        let now = find(breaker::list(conn).await?).ok_or_else(|| none_of("breaker"))?;
        Ok(Answer::json(StatusCode::OK, &now)?)
    }
}

#[derive(Clone, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = CatchUpIn)]
struct CatchUpIn {
    /// Only what happened since then.
    since: Option<DateTime<Utc>>,
    /// True: what was called off or discarded as well.
    called_off: Option<bool>,
    /// True: only counted.
    dry_run: Option<bool>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CatchUp)]
struct CatchUpOut {
    total: i64,
    shares: Vec<Share>,
    /// Deliveries that were made; 0 of a dry run.
    told: u64,
}

/// Tells a system what happened while its `send` left that out: confirmed orders that it does not have, approved returns without
/// a slip. What is there already is found by our reference and not made twice.
#[utoipa::path(
    post,
    path = "/api/admin/connectors/{name}/catch-up",
    tag = "admin",
    operation_id = "catchUpConnector",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.operate"))),
    params(
        ("name" = String, Path, description = "The instance: `logo`"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    request_body = CatchUpIn,
    responses(
        (status = 200, description = "How much is meant, and how much goes out", body = CatchUpOut),
        (status = 404, description = "None", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
async fn catch_up(
    State(state): State<HttpState>,
    acting: Acting,
    request: Idempotent,
    Path(name): Path<String>,
    sent: Sent<CatchUpIn>,
) -> Result<Response, Problem> {
    acting.require(Permission::HubOperate)?;
    if !state.engine.instances.contains_key(&name) {
        return Err(none_of("connector"));
    }
    let CatchUpIn { since, called_off, dry_run } = sent.value;
    let wanted = Wanted { since, called_off: called_off.unwrap_or(false) };
    let deed = CatchingUp { engine: state.engine.clone(), name, wanted, dry_run: dry_run.unwrap_or(false) };
    acting.perform(&request, &sent.bytes, deed).await
}

struct CatchingUp {
    engine: Engine,
    name: String,
    wanted: Wanted,
    dry_run: bool,
}

impl Deed for CatchingUp {
    async fn done(&self, conn: &mut PgConnection, acting: &Acting) -> Result<Answer, Stop> {
        let refused = |error: ManageError| match error {
            ManageError::Database(error) => Stop::from(error),
            // It takes no documents.
            _ => none_of("connector").into(),
        };
        let (targets, wanted) = (&self.engine.targets, self.wanted);
        let Plan { total, shares } = catch_up::plan(&mut *conn, targets, &self.name, wanted).await.map_err(refused)?;
        let told = match self.dry_run {
            true => 0,
            false => catch_up::start(conn, acting.by_actor(), targets, &self.name, wanted).await.map_err(refused)?,
        };
        Ok(Answer::json(StatusCode::OK, &CatchUpOut { total, shares, told })?)
    }
}
