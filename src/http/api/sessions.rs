//! `/api/v1/me/sessions` and `/api/v1/me/password`: what people do about their own signing in.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    auth::{TokenPair, bad_password, hashing, locked, secret, token_answer, wrong},
    listed::{Listed, PageQuery},
    sent::Sent,
};
use crate::{
    http::{
        openapi::{Denied, ProblemDocument},
        problem::Problem,
        router::{HttpState, PublicState},
        signed_in::{SignedIn, unauthorized},
        visitor::Visitor,
    },
    identity::{
        passwords::Password,
        people::{ChangeError, PasswordChange},
        sessions::{self, ListError},
    },
};

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new().routes(routes!(list, end_others)).routes(routes!(end)).routes(routes!(change_password))
}

/// A sign-in that has not ended.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SessionDocument {
    id: Uuid,
    /// As the person called it when signing in.
    device: Option<String>,
    /// The program that was used.
    agent: Option<String>,
    /// Where it was used last.
    address: Option<String>,
    created_at: DateTime<Utc>,
    last_used_at: DateTime<Utc>,
    /// When it ends if nobody uses it.
    expires_at: DateTime<Utc>,
    /// The one that asks.
    current: bool,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SessionList {
    items: Vec<SessionDocument>,
    next_cursor: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewPassword {
    #[schema(value_type = String, format = Password)]
    current_password: Password,
    /// At least 8 characters: a capital letter, a small letter, a digit.
    #[schema(value_type = String, format = Password)]
    new_password: Password,
}

pub(super) fn not_listed(error: ListError) -> Problem {
    match error {
        ListError::Page(bad) => bad.into(),
        ListError::Database(error) => error.into(),
    }
}

fn ended() -> Problem {
    unauthorized("session_ended", "this session has ended; sign in again")
}

fn of(caller: &SignedIn) -> Result<(i64, Uuid), Problem> {
    Ok((caller.person()?, caller.session().ok_or_else(ended)?))
}

/// Where one is signed in, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/me/sessions",
    tag = "auth",
    operation_id = "listMySessions",
    security(("bearer" = [])),
    params(PageQuery),
    responses((status = 200, description = "Sessions that have not ended", body = SessionList), Denied)
)]
async fn list(
    State(state): State<HttpState>,
    caller: SignedIn,
    Listed(page): Listed,
) -> Result<Json<SessionList>, Problem> {
    let (user_id, current) = of(&caller)?;
    let found = sessions::list(&state.pool, user_id, &page, state.clock.now()).await.map_err(not_listed)?;
    let items = found.items.into_iter().map(|session| SessionDocument {
        current: session.id == current,
        id: session.id,
        device: session.device,
        agent: session.agent,
        address: session.address,
        created_at: session.created_at,
        last_used_at: session.last_used_at,
        expires_at: session.expires_at,
    });
    Ok(Json(SessionList { items: items.collect(), next_cursor: found.next_cursor }))
}

/// Signs out everywhere else.
#[utoipa::path(
    delete,
    path = "/api/v1/me/sessions",
    tag = "auth",
    operation_id = "endMyOtherSessions",
    security(("bearer" = [])),
    responses((status = 204, description = "Every other session has ended"), Denied)
)]
async fn end_others(
    State(state): State<HttpState>,
    caller: SignedIn,
    Visitor(visit): Visitor,
) -> Result<Response, Problem> {
    let (user_id, current) = of(&caller)?;
    state.people.end_other_sessions(user_id, current, &visit).await?;
    Ok(secret(StatusCode::NO_CONTENT, ()))
}

/// Signs out on one device.
#[utoipa::path(
    delete,
    path = "/api/v1/me/sessions/{id}",
    tag = "auth",
    operation_id = "endMySession",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "Of the list of sessions")),
    responses(
        (status = 204, description = "The session has ended"),
        (
            status = 404,
            description = "You have no such session",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        Denied
    )
)]
async fn end(
    State(state): State<HttpState>,
    caller: SignedIn,
    Visitor(visit): Visitor,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (user_id, _) = of(&caller)?;
    let gone = match Uuid::parse_str(&id) {
        Ok(id) => state.people.end_session(user_id, id, &visit).await?,
        Err(_) => false,
    };
    if gone { Ok(secret(StatusCode::NO_CONTENT, ())) } else { Err(Problem::not_found("you have no such open session")) }
}

/// Changes one's own password. This session goes on with the new tokens, every other one ends.
#[utoipa::path(
    put,
    path = "/api/v1/me/password",
    tag = "auth",
    operation_id = "changeMyPassword",
    security(("bearer" = [])),
    request_body = NewPassword,
    responses(
        (status = 200, description = "Changed; the tokens of before are no good any more", body = TokenPair),
        (
            status = 400,
            description = "The current password is wrong, or the new one breaks a rule",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        Denied
    )
)]
async fn change_password(
    State(state): State<HttpState>,
    caller: SignedIn,
    Visitor(visit): Visitor,
    sent: Sent<NewPassword>,
) -> Result<Response, Problem> {
    let (user_id, session) = of(&caller)?;
    let change = PasswordChange { current: sent.value.current_password, new: sent.value.new_password };
    match state.people.change_password(user_id, session, &change, &visit).await {
        Ok(tokens) => Ok(token_answer(tokens)),
        Err(error @ ChangeError::Wrong) => Err(wrong("currentPassword", "wrong", error)),
        Err(error @ ChangeError::Same) => Err(wrong("newPassword", "same", error)),
        Err(ChangeError::New(bad)) => Err(bad_password("newPassword", bad)),
        Err(ChangeError::Locked { seconds }) => Err(locked(seconds)),
        Err(ChangeError::Ended) => Err(ended()),
        Err(ChangeError::Password(error)) => Err(hashing(error)),
        Err(ChangeError::Keys(error)) => Err(Problem::internal(error)),
        Err(ChangeError::Database(error)) => Err(error.into()),
    }
}
