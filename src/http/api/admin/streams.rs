//! `/api/admin/streams`: what is polled, how it does, and letting it rest or run.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use chrono::{DateTime, Utc};
use kopru_sdk::{Pass, StreamSpec};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgConnection;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    super::{
        acting::{Acting, Deed},
        asked,
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
        engine::Engine,
        runs::{self, Run, Wanted},
        streams,
    },
    principal::Permission,
};

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(pause)).routes(routes!(resume)).routes(routes!(run))
}

/// A stream of a configured system.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Stream)]
struct StreamOut {
    #[schema(example = "logo")]
    connector: String,
    #[schema(example = "items")]
    stream: &'static str,
    /// `on_time`, `late`, `stuck`, `silent`, `paused` or `failing`
    #[schema(example = "on_time")]
    state: &'static str,
    enabled: bool,
    every_secs: u64,
    #[schema(example = "logo/items")]
    mapping: String,
    /// Whether it can be asked for what changed alone.
    incremental: bool,
    last_success_at: Option<DateTime<Utc>>,
    last_full_at: Option<DateTime<Utc>>,
    paused_at: Option<DateTime<Utc>>,
    /// `person`, or the cause of a fault.
    paused_cause: Option<String>,
    paused_reason: Option<String>,
    last_error: Option<String>,
    last_run: Option<Run>,
}

#[derive(Debug, Serialize, ToSchema)]
struct StreamList {
    items: Vec<StreamOut>,
}

/// Every stream of every configured system.
#[utoipa::path(
    get,
    path = "/api/admin/streams",
    tag = "admin",
    operation_id = "listStreams",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.view"))),
    responses((status = 200, description = "All of them", body = StreamList), Denied)
)]
async fn list(State(state): State<HttpState>, caller: SignedIn) -> Result<Json<StreamList>, Problem> {
    caller.require(Permission::HubView)?;
    let engine = &state.engine;
    let mut conn = engine.pool.acquire().await?;
    let rows = streams::list(&mut *conn).await?;
    let now = engine.database_now().await?;
    let mut items = Vec::new();
    for instance in engine.instances.values() {
        for stream in &instance.streams {
            let row = rows.iter().find(|row| row.connector == instance.name && row.stream == stream.spec.name);
            let last_run = match row.and_then(|row| row.last_run_id) {
                Some(id) => runs::get(&mut *conn, id).await?,
                None => None,
            };
            let running = last_run.as_ref().is_some_and(|run| run.finished_at.is_none());
            items.push(StreamOut {
                connector: instance.name.clone(),
                stream: stream.spec.name,
                state: row.map_or("silent", |row| row.state(stream.every, running, now).as_str()),
                enabled: stream.enabled,
                every_secs: stream.every.as_secs(),
                mapping: stream.mapping.clone(),
                incremental: stream.spec.incremental,
                last_success_at: row.and_then(|row| row.last_success_at),
                last_full_at: row.and_then(|row| row.last_full_at),
                paused_at: row.and_then(|row| row.paused_at),
                paused_cause: row.and_then(|row| row.paused_cause.clone()),
                paused_reason: row.and_then(|row| row.paused_reason.clone()),
                last_error: row.and_then(|row| row.last_error.clone()),
                last_run,
            });
        }
    }
    Ok(Json(StreamList { items }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = StreamPause)]
struct PauseIn {
    /// For whoever sees it paused.
    #[schema(min_length = 1, max_length = 500, example = "stocktaking until noon")]
    reason: String,
}

/// Which pass is wanted.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = StreamRun, example = json!({ "full": false, "dryRun": false }))]
struct RunIn {
    /// A complete pass instead of what changed.
    full: Option<bool>,
    /// Say what would change, and write nothing.
    dry_run: Option<bool>,
    /// What changed since then, instead of since the last pass; a complete pass has no beginning.
    since: Option<DateTime<Utc>>,
}

/// What became of a stream.
#[derive(Serialize, ToSchema)]
#[schema(as = StreamPaused)]
struct PausedOut {
    #[schema(example = "logo")]
    connector: String,
    #[schema(example = "items")]
    stream: String,
    paused: bool,
}

fn known(engine: &Engine, connector: &str, stream: &str) -> Result<(), Problem> {
    engine.stream(connector, stream).map(|_| ()).map_err(|_| none_of("stream"))
}

/// Stops polling a stream until somebody resumes it.
#[utoipa::path(
    post,
    path = "/api/admin/streams/{connector}/{stream}/pause",
    tag = "admin",
    operation_id = "pauseStream",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.operate"))),
    params(
        ("connector" = String, Path, description = "The instance: `logo`"),
        ("stream" = String, Path, description = "The stream: `items`"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    request_body = PauseIn,
    responses(
        (status = 200, description = "It rests", body = PausedOut),
        (status = 404, description = "None", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
async fn pause(
    State(state): State<HttpState>,
    acting: Acting,
    request: Idempotent,
    Path((connector, stream)): Path<(String, String)>,
    sent: Sent<PauseIn>,
) -> Result<Response, Problem> {
    acting.require(Permission::HubOperate)?;
    known(&state.engine, &connector, &stream)?;
    let Some(reason) = asked::text("reason", &Some(sent.value.reason), 500)?.map(str::to_owned) else {
        return Err(asked::wrong("reason", "required", "say why, for whoever sees it paused"));
    };
    acting.perform(&request, &sent.bytes, StreamDeed { connector, stream, what: What::Pause(reason) }).await
}

/// Polls a stream again, after a pause by hand or for refused credentials, or what else had stopped it.
#[utoipa::path(
    post,
    path = "/api/admin/streams/{connector}/{stream}/resume",
    tag = "admin",
    operation_id = "resumeStream",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.operate"))),
    params(
        ("connector" = String, Path, description = "The instance: `logo`"),
        ("stream" = String, Path, description = "The stream: `items`"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    responses(
        (status = 200, description = "It goes on", body = PausedOut),
        (status = 404, description = "None", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
async fn resume(
    State(state): State<HttpState>,
    acting: Acting,
    request: Idempotent,
    Path((connector, stream)): Path<(String, String)>,
) -> Result<Response, Problem> {
    acting.require(Permission::HubOperate)?;
    known(&state.engine, &connector, &stream)?;
    let answered = acting.perform(&request, b"", StreamDeed { connector, stream, what: What::Resume }).await;
    state.engine.due.notify_one();
    answered
}

/// Asks for a run now. A daemon takes it up; `/api/admin/runs/{id}` follows it.
#[utoipa::path(
    post,
    path = "/api/admin/streams/{connector}/{stream}/run",
    tag = "admin",
    operation_id = "runStream",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.operate"))),
    params(
        ("connector" = String, Path, description = "The instance: `logo`"),
        ("stream" = String, Path, description = "The stream: `items`"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    request_body = RunIn,
    responses(
        (status = 202, description = "It is asked for", body = Run),
        (status = 404, description = "None", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
async fn run(
    State(state): State<HttpState>,
    acting: Acting,
    request: Idempotent,
    Path((connector, stream)): Path<(String, String)>,
    sent: Sent<RunIn>,
) -> Result<Response, Problem> {
    acting.require(Permission::HubOperate)?;
    let (_, spec) = state.engine.stream(&connector, &stream).map_err(|_| none_of("stream"))?;
    let RunIn { full, dry_run, since } = sent.value;
    let full = full.unwrap_or(false);
    if full && since.is_some() {
        return Err(asked::wrong("since", "not_allowed", "a complete pass has no beginning"));
    }
    let what = What::Run(spec.spec.clone(), Wanted { full, dry_run: dry_run.unwrap_or(false), since });
    acting.perform(&request, &sent.bytes, StreamDeed { connector, stream, what }).await
}

struct StreamDeed {
    connector: String,
    stream: String,
    what: What,
}

enum What {
    Pause(String),
    Resume,
    Run(StreamSpec, Wanted),
}

impl StreamDeed {
    async fn note(
        &self,
        conn: &mut PgConnection,
        acting: &Acting,
        action: &'static str,
        detail: serde_json::Value,
    ) -> Result<(), sqlx::Error> {
        let subject = format!("{}.{}", self.connector, self.stream);
        audit::record(conn, acting.by_actor(), &[Entry { action, subject_kind: "stream", subject, detail }]).await
    }

    fn answer(&self, paused: bool) -> Result<Answer, Problem> {
        let told = PausedOut { connector: self.connector.clone(), stream: self.stream.clone(), paused };
        Answer::json(StatusCode::OK, &told)
    }
}

impl Deed for StreamDeed {
    async fn done(&self, conn: &mut PgConnection, acting: &Acting) -> Result<Answer, Stop> {
        let names = [self.stream.clone()];
        match &self.what {
            What::Pause(reason) => {
                streams::pause(&mut *conn, &self.connector, &names, "person", reason).await?;
                self.note(conn, acting, "stream.paused", json!({ "reason": reason })).await?;
                Ok(self.answer(true)?)
            }
            What::Resume => {
                if streams::resume(&mut *conn, &self.connector, &names).await? > 0 {
                    self.note(conn, acting, "stream.resumed", json!({})).await?;
                }
                Ok(self.answer(false)?)
            }
            What::Run(spec, wanted) => {
                let (id, pass) = runs::request(&mut *conn, &self.connector, spec, *wanted).await?;
                let full = pass == Pass::Full;
                let detail = json!({ "run": id, "full": full, "dryRun": wanted.dry_run, "since": wanted.since });
                self.note(&mut *conn, acting, "stream.run_requested", detail).await?;
                let run = runs::get(conn, id).await?.ok_or_else(|| none_of("run"))?;
                Ok(Answer::json(StatusCode::ACCEPTED, &run)?)
            }
        }
    }
}
