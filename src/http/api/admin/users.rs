//! `/api/admin/users`: everybody who can sign in, for the house. The same as `/api/v1/users`, which a dealer's owner uses for the own
//! company.

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    response::Response,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::{
    listed::{Listed, PageQuery},
    sent::Sent,
    users::{self, NewUserDocument, UserChangeDocument, UserDocument, UserList, UserQuery},
};
use crate::http::{
    idempotency::Idempotent,
    openapi::{Denied, ProblemDocument},
    problem::Problem,
    router::{HttpState, PublicState},
    signed_in::SignedIn,
    visitor::Visitor,
};

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show, change)).routes(routes!(invite))
}

fn house(caller: &SignedIn) -> Result<(), Problem> {
    if caller.scope().is_house() { Ok(()) } else { Err(Problem::forbidden("this is for people of the house")) }
}

/// Everybody, of the house and of all companies.
#[utoipa::path(
    get,
    path = "/api/admin/users",
    tag = "admin",
    operation_id = "adminListUsers",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("users.view"))),
    params(UserQuery, PageQuery),
    responses((status = 200, description = "A page of users", body = UserList), Denied)
)]
async fn list(
    state: State<HttpState>,
    caller: SignedIn,
    page: Listed,
    query: Result<Query<UserQuery>, QueryRejection>,
) -> Result<Json<UserList>, Problem> {
    house(&caller)?;
    users::list(state, caller, page, query).await
}

/// One user.
#[utoipa::path(
    get,
    path = "/api/admin/users/{id}",
    tag = "admin",
    operation_id = "adminShowUser",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("users.view"))),
    params(("id" = i64, Path, description = "The user's id")),
    responses((status = 200, description = "The user", body = UserDocument), Denied)
)]
async fn show(state: State<HttpState>, caller: SignedIn, id: Path<String>) -> Result<Json<UserDocument>, Problem> {
    house(&caller)?;
    users::show(state, caller, id).await
}

/// Invites somebody: a mail with a link, by which they choose a password.
#[utoipa::path(
    post,
    path = "/api/admin/users",
    tag = "admin",
    operation_id = "adminInviteUser",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("users.edit"))),
    params(("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")),
    request_body = NewUserDocument,
    responses(
        (status = 201, description = "Invited; the mail is under way", body = UserDocument),
        (
            status = 409,
            description = "`email_taken`: the address belongs to another user",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        (
            status = 503,
            description = "`mail_not_configured`: no mail can be sent",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        Denied
    )
)]
async fn create(
    state: State<HttpState>,
    caller: SignedIn,
    request: Idempotent,
    visitor: Visitor,
    sent: Sent<NewUserDocument>,
) -> Result<Response, Problem> {
    house(&caller)?;
    users::create(state, caller, request, visitor, sent).await
}

/// Changes a user, switches one off or on.
#[utoipa::path(
    patch,
    path = "/api/admin/users/{id}",
    tag = "admin",
    operation_id = "adminChangeUser",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("users.edit"))),
    params(
        ("id" = i64, Path, description = "The user's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    request_body = UserChangeDocument,
    responses(
        (status = 200, description = "As it is now", body = UserDocument),
        (
            status = 409,
            description = "`last_owner`, `last_super_admin`: somebody must stay; `not_yet_active`: there is no password yet",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        Denied
    )
)]
async fn change(
    state: State<HttpState>,
    caller: SignedIn,
    request: Idempotent,
    visitor: Visitor,
    id: Path<String>,
    sent: Sent<UserChangeDocument>,
) -> Result<Response, Problem> {
    house(&caller)?;
    users::change(state, caller, request, visitor, id, sent).await
}

/// Sends the invitation again; the link of before is no good any more.
#[utoipa::path(
    post,
    path = "/api/admin/users/{id}/invite",
    tag = "admin",
    operation_id = "adminInviteUserAgain",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("users.edit"))),
    params(
        ("id" = i64, Path, description = "The user's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    responses(
        (status = 202, description = "The mail is under way", body = UserDocument),
        (
            status = 409,
            description = "The user has a password already, or is disabled",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        (
            status = 503,
            description = "`mail_not_configured`: no mail can be sent",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        Denied
    )
)]
async fn invite(
    state: State<HttpState>,
    caller: SignedIn,
    request: Idempotent,
    visitor: Visitor,
    id: Path<String>,
) -> Result<Response, Problem> {
    house(&caller)?;
    users::invite(state, caller, request, visitor, id).await
}
