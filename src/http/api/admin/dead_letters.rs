//! `/api/admin/dead-letters`: what could not go in, and mending it.

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

use super::{
    super::{
        acting::{Acting, Deed},
        asked,
        listed::{Listed, PageQuery},
        sent::Sent,
    },
    deliveries::{Affected, DiscardIn},
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
    hub::{
        dead_letters::{self, EditError, Group, Letter, LetterDetail, LetterError},
        engine::Engine,
    },
    principal::Permission,
};

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(groups))
        .routes(routes!(show))
        .routes(routes!(replay_many))
        .routes(routes!(replay))
        .routes(routes!(edit))
        .routes(routes!(discard))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DeadLetterList {
    items: Vec<Letter>,
    next_cursor: Option<String>,
    /// With `count=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    total_count: Option<i64>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DeadLetterGroups {
    items: Vec<Group>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct CountQuery {
    /// Whether all that are meant are counted
    #[param(value_type = Option<bool>)]
    count: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = DeadLetterReplay)]
struct ReplayIn {
    #[schema(min_items = 1, max_items = 1000)]
    ids: Vec<Uuid>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = DeadLetterEdit)]
struct EditIn {
    /// The whole document, in the letter's own format.
    #[schema(example = r#"{"CODE": "KMR-DM4-2812", "NAME": "IP kamera"}"#)]
    document: String,
}

/// Open dead letters, newest first.
#[utoipa::path(
    get,
    path = "/api/admin/dead-letters",
    tag = "admin",
    operation_id = "listDeadLetters",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.view"))),
    params(LetterQuery, CountQuery, PageQuery),
    responses((status = 200, description = "A page of letters", body = DeadLetterList), Denied)
)]
async fn list(
    State(state): State<HttpState>,
    caller: SignedIn,
    Listed(page): Listed,
    uri: Uri,
) -> Result<Json<DeadLetterList>, Problem> {
    const LIST: &str = "dead-letters";
    caller.require(Permission::HubView)?;
    let filter = asked::query::<LetterQuery>(&uri)?.filter()?;
    let count = asked::flag("count", &asked::query::<CountQuery>(&uri)?.count)?.unwrap_or(false);
    let rows = dead_letters::list(&state.pool, &filter, page.after(LIST)?, page.rows()).await?;
    let found = page.page(LIST, rows, |row| row.id);
    let total_count = if count { Some(dead_letters::count(&state.pool, &filter).await?) } else { None };
    Ok(Json(DeadLetterList { items: found.items, next_cursor: found.next_cursor, total_count }))
}

/// One row for all that failed alike, the largest groups first.
#[utoipa::path(
    get,
    path = "/api/admin/dead-letters/groups",
    tag = "admin",
    operation_id = "groupDeadLetters",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.view"))),
    params(LetterQuery, PageQuery),
    responses((status = 200, description = "The largest groups", body = DeadLetterGroups), Denied)
)]
async fn groups(
    State(state): State<HttpState>,
    caller: SignedIn,
    Listed(page): Listed,
    uri: Uri,
) -> Result<Json<DeadLetterGroups>, Problem> {
    caller.require(Permission::HubView)?;
    let filter = asked::query::<LetterQuery>(&uri)?.filter()?;
    let items = dead_letters::groups(&state.pool, &filter, page.rows() - 1).await?;
    Ok(Json(DeadLetterGroups { items }))
}

/// One letter: its payload with the part that failed marked, what today's mapping makes of it, what to do.
#[utoipa::path(
    get,
    path = "/api/admin/dead-letters/{id}",
    tag = "admin",
    operation_id = "showDeadLetter",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.view"))),
    params(("id" = Uuid, Path, description = "The letter's id")),
    responses(
        (status = 200, description = "The letter", body = LetterDetail),
        (status = 404, description = "None that is open", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
async fn show(
    State(state): State<HttpState>,
    caller: SignedIn,
    Path(id): Path<String>,
) -> Result<Json<LetterDetail>, Problem> {
    caller.require(Permission::HubView)?;
    let found = dead_letters::show(&state.engine, uuid_of(&id, "dead letter")?).await.map_err(Problem::internal)?;
    found.map(Json).ok_or_else(|| none_of("dead letter"))
}

/// Tries letters again with today's mappings. One that is being replayed already is left alone.
#[utoipa::path(
    post,
    path = "/api/admin/dead-letters/replay",
    tag = "admin",
    operation_id = "replayDeadLetters",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.operate"))),
    params(("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")),
    request_body = ReplayIn,
    responses((status = 202, description = "How many are tried again", body = Affected), Denied)
)]
async fn replay_many(
    State(state): State<HttpState>,
    acting: Acting,
    request: Idempotent,
    sent: Sent<ReplayIn>,
) -> Result<Response, Problem> {
    acting.require(Permission::HubOperate)?;
    let ids = sent.value.ids;
    if ids.is_empty() || ids.len() > 1000 {
        return Err(asked::wrong("ids", "length", "name 1 to 1000 letters; more are meant by a filter"));
    }
    perform(state.engine, acting, &request, &sent.bytes, LetterDeed::Replay(ids)).await
}

/// Tries one letter again with today's mapping.
#[utoipa::path(
    post,
    path = "/api/admin/dead-letters/{id}/replay",
    tag = "admin",
    operation_id = "replayDeadLetter",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.operate"))),
    params(
        ("id" = Uuid, Path, description = "The letter's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    responses(
        (status = 202, description = "It is tried again; 0: it is being replayed already", body = Affected),
        (status = 404, description = "None that is open", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
async fn replay(
    State(state): State<HttpState>,
    acting: Acting,
    request: Idempotent,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    acting.require(Permission::HubOperate)?;
    let id = open(&state.engine, &id).await?;
    perform(state.engine, acting, &request, b"", LetterDeed::Replay(vec![id])).await
}

/// Tries a letter again with another document in place of its own. It is mapped first; one that the mapping refuses, or that is
/// of another record, changes nothing. What came stays beside it.
#[utoipa::path(
    post,
    path = "/api/admin/dead-letters/{id}/edit",
    tag = "admin",
    operation_id = "editDeadLetter",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.operate"))),
    params(
        ("id" = Uuid, Path, description = "The letter's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    request_body = EditIn,
    responses(
        (status = 202, description = "It is tried again", body = Affected),
        (status = 404, description = "None that is open", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "It is being replayed", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
async fn edit(
    State(state): State<HttpState>,
    acting: Acting,
    request: Idempotent,
    Path(id): Path<String>,
    sent: Sent<EditIn>,
) -> Result<Response, Problem> {
    acting.require(Permission::HubOperate)?;
    let id = uuid_of(&id, "dead letter")?;
    let deed = LetterDeed::Edit(state.engine.clone(), id, sent.value.document);
    perform(state.engine, acting, &request, &sent.bytes, deed).await
}

/// Puts a letter aside for good; the reason is kept with it.
#[utoipa::path(
    post,
    path = "/api/admin/dead-letters/{id}/discard",
    tag = "admin",
    operation_id = "discardDeadLetter",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("hub.operate"))),
    params(
        ("id" = Uuid, Path, description = "The letter's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    request_body = DiscardIn,
    responses(
        (status = 200, description = "It is put aside; 0: it is being replayed", body = Affected),
        (status = 404, description = "None that is open", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
async fn discard(
    State(state): State<HttpState>,
    acting: Acting,
    request: Idempotent,
    Path(id): Path<String>,
    sent: Sent<DiscardIn>,
) -> Result<Response, Problem> {
    acting.require(Permission::HubOperate)?;
    let Some(reason) = asked::text("reason", &Some(sent.value.reason), 500)?.map(str::to_owned) else {
        return Err(asked::wrong("reason", "required", LetterError::NoReason.to_string()));
    };
    let id = open(&state.engine, &id).await?;
    perform(state.engine, acting, &request, &sent.bytes, LetterDeed::Discard(id, reason)).await
}

/// The id of a letter that is there.
async fn open(engine: &Engine, id: &str) -> Result<Uuid, Problem> {
    let id = uuid_of(id, "dead letter")?;
    if dead_letters::is_open(&engine.pool, id).await? { Ok(id) } else { Err(none_of("dead letter")) }
}

async fn perform(
    engine: Engine,
    acting: Acting,
    request: &Idempotent,
    body: &[u8],
    deed: LetterDeed,
) -> Result<Response, Problem> {
    let answered = acting.perform(request, body, deed).await;
    engine.work.notify_waiters();
    engine.deliveries.notify_waiters();
    answered
}

enum LetterDeed {
    Replay(Vec<Uuid>),
    Edit(Engine, Uuid, String),
    Discard(Uuid, String),
}

impl Deed for LetterDeed {
    async fn done(&self, conn: &mut PgConnection, acting: &Acting) -> Result<Answer, Stop> {
        let by = acting.by_actor();
        let (status, affected) = match self {
            LetterDeed::Replay(ids) => {
                let queued = dead_letters::replay_within(conn, by, ids).await.map_err(unreadable)?;
                (StatusCode::ACCEPTED, queued.len() as u64)
            }
            LetterDeed::Edit(engine, id, document) => {
                let edited = dead_letters::edit_within(engine, conn, by, *id, document.as_bytes()).await;
                edited.map_err(not_edited)?;
                (StatusCode::ACCEPTED, 1)
            }
            LetterDeed::Discard(id, reason) => {
                (StatusCode::OK, dead_letters::discard_within(conn, by, &[*id], reason).await?)
            }
        };
        Ok(Answer::json(status, &Affected { affected })?)
    }
}

fn unreadable(error: LetterError) -> Stop {
    match error {
        LetterError::Database(error) => error.into(),
        error => Problem::internal(error).into(),
    }
}

fn not_edited(error: EditError) -> Stop {
    let said = error.to_string();
    match error {
        EditError::Unknown(_) => none_of("dead letter").into(),
        EditError::Busy(_) | EditError::NoMapping(_) => Problem::conflict(said).into(),
        EditError::Refused(_) => asked::wrong("document", "refused", said).into(),
        EditError::Letter(error) => unreadable(error),
    }
}
