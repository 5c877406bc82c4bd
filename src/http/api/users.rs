//! `/api/v1/users`: looking after people. The house looks after all of them, a dealer's owner after those of the own company.

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::Response,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    auth::wrong,
    links::not_sent,
    listed::{Listed, PageQuery},
    register::{email, locale},
    sent::Sent,
    sessions::not_listed,
};
use crate::{
    http::{
        idempotency::{Answer, Idempotent, Stop},
        openapi::{Denied, ProblemDocument},
        problem::Problem,
        router::{HttpState, PublicState},
        signed_in::SignedIn,
        visitor::Visitor,
    },
    identity::{
        links::Holder,
        people::{Addressee, People, Visit},
        users::{self, Filter, NewUser, User, UserChange, UserError, UserState, may_give},
    },
    mail::MailKind,
    principal::{Permission, Principal, Role},
};

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show, change)).routes(routes!(invite))
}

/// A person who can sign in, or was invited to.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserDocument {
    id: i64,
    email: String,
    full_name: String,
    phone: Option<String>,
    #[schema(example = "dealer_purchasing")]
    role: &'static str,
    /// Null: works for the house.
    company_id: Option<i64>,
    /// `invited`, `active` or `disabled`.
    state: &'static str,
    /// Of mails: `tr` or `en`.
    locale: &'static str,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    last_sign_in_at: Option<DateTime<Utc>>,
}

impl From<User> for UserDocument {
    fn from(user: User) -> UserDocument {
        UserDocument {
            id: user.id,
            email: user.email,
            full_name: user.full_name,
            phone: user.phone,
            role: user.role.as_str(),
            company_id: user.company_id,
            state: user.state.as_str(),
            locale: user.locale.as_str(),
            created_at: user.created_at,
            updated_at: user.updated_at,
            last_sign_in_at: user.last_sign_in_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserList {
    items: Vec<UserDocument>,
    next_cursor: Option<String>,
}

/// Which people; every part narrows.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct UserQuery {
    role: Option<String>,
    /// `invited`, `active` or `disabled`
    state: Option<String>,
    #[param(value_type = Option<i64>)]
    company_id: Option<String>,
    /// A part of the name or of the address
    search: Option<String>,
}

#[derive(Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewUserDocument {
    #[schema(example = "mehmet@firma.com.tr")]
    email: String,
    #[schema(min_length = 1, max_length = 200)]
    full_name: String,
    phone: Option<String>,
    #[schema(example = "dealer_purchasing")]
    role: String,
    /// Of a dealer's role. May be left out by somebody of that company.
    company_id: Option<i64>,
    locale: Option<String>,
}

#[derive(Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct UserChangeDocument {
    #[schema(min_length = 1, max_length = 200)]
    full_name: Option<String>,
    /// Empty: none.
    phone: Option<String>,
    locale: Option<String>,
    /// One of the same kind: of a dealer, or of the house.
    role: Option<String>,
    /// `active` or `disabled`.
    state: Option<String>,
}

pub(super) fn role(text: &str) -> Result<Role, Problem> {
    let known = || format!("known are {}", Role::ALL.map(Role::as_str).join(", "));
    Role::parse(text).ok_or_else(|| wrong("role", "unknown_value", known()))
}

/// The id of a path. One that cannot be an id is nobody's.
pub(super) fn id_of(text: &str, what: &str) -> Result<i64, Problem> {
    text.parse().map_err(|_| Problem::not_found(format!("there is no such {what}")))
}

fn refused(error: UserError) -> Problem {
    let conflict = |code, error: UserError| {
        Problem::new(StatusCode::CONFLICT, code, "Not possible in the present state", error.to_string())
    };
    match error {
        UserError::NotFound => Problem::not_found("there is no such user"),
        UserError::RoleNotYours(_) => {
            let title = "You may not give or take this role";
            Problem::new(StatusCode::FORBIDDEN, "role_not_yours", title, error.to_string())
        }
        UserError::EmailTaken => conflict("email_taken", error),
        UserError::LastOwner => conflict("last_owner", error),
        UserError::LastSuperAdmin => conflict("last_super_admin", error),
        UserError::NotYetActive => conflict("not_yet_active", error),
        UserError::Name => wrong("fullName", "length", error),
        UserError::Phone(_) => wrong("phone", "format", error),
        UserError::CompanyMissing(_) | UserError::CompanyGiven(_) => wrong("companyId", "role", error),
        UserError::NoCompany(_) => wrong("companyId", "missing_reference", error),
        UserError::Password(bad) => wrong("password", bad.code(), bad),
        UserError::Database(error) => error.into(),
    }
}

pub(super) fn stopped(error: UserError) -> Stop {
    match error {
        UserError::Database(error) => error.into(),
        error => refused(error).into(),
    }
}

/// Who can sign in, in the order in which they came.
#[utoipa::path(
    get,
    path = "/api/v1/users",
    tag = "users",
    operation_id = "listUsers",
    security(("bearer" = []), ("apiKey" = [])),
    params(UserQuery, PageQuery),
    responses((status = 200, description = "A page of users", body = UserList), Denied)
)]
pub(super) async fn list(
    State(state): State<HttpState>,
    caller: SignedIn,
    Listed(page): Listed,
    query: Result<Query<UserQuery>, QueryRejection>,
) -> Result<Json<UserList>, Problem> {
    caller.require(Permission::UsersView)?;
    let Query(query) = query.map_err(|error| Problem::bad_request(error.body_text()))?;
    let number = |text: &String| text.parse().map_err(|_| wrong("companyId", "invalid", "it must be a number"));
    let state_of = |text: &String| {
        UserState::parse(text).ok_or_else(|| wrong("state", "unknown_value", "known are invited, active, disabled"))
    };
    let filter = Filter {
        role: query.role.as_deref().map(role).transpose()?,
        state: query.state.as_ref().map(state_of).transpose()?,
        company_id: query.company_id.as_ref().map(number).transpose()?,
        // No text in the store holds this character.
        search: query.search.map(|text| text.replace('\0', "\u{fffd}")).filter(|text| !text.trim().is_empty()),
    };
    let found = users::list(&state.pool, caller.scope(), &filter, &page).await.map_err(not_listed)?.map(Into::into);
    Ok(Json(UserList { items: found.items, next_cursor: found.next_cursor }))
}

/// One user.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}",
    tag = "users",
    operation_id = "showUser",
    security(("bearer" = []), ("apiKey" = [])),
    params(("id" = i64, Path, description = "The user's id")),
    responses(
        (status = 200, description = "The user", body = UserDocument),
        Denied
    )
)]
pub(super) async fn show(
    State(state): State<HttpState>,
    caller: SignedIn,
    Path(id): Path<String>,
) -> Result<Json<UserDocument>, Problem> {
    caller.require(Permission::UsersView)?;
    let found = users::find(&state.pool, caller.scope(), id_of(&id, "user")?).await?;
    found.map(|user| Json(user.into())).ok_or_else(|| refused(UserError::NotFound))
}

/// Invites somebody: a mail with a link, by which they choose a password.
#[utoipa::path(
    post,
    path = "/api/v1/users",
    tag = "users",
    operation_id = "inviteUser",
    security(("bearer" = []), ("apiKey" = [])),
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
pub(super) async fn create(
    State(state): State<HttpState>,
    caller: SignedIn,
    request: Idempotent,
    Visitor(visit): Visitor,
    sent: Sent<NewUserDocument>,
) -> Result<Response, Problem> {
    caller.require(Permission::UsersEdit)?;
    let given = sent.value;
    let role = role(&given.role)?;
    let new = NewUser {
        email: email(&given.email)?,
        full_name: given.full_name,
        phone: given.phone,
        role,
        company_id: given.company_id.or(if role.is_dealer() { caller.company } else { None }),
        locale: locale(given.locale.as_deref())?.unwrap_or_default(),
        state: UserState::Invited,
        password_hash: None,
    };
    // A foreign company is one that is not there.
    if let Some(company) = new.company_id.filter(|company| !caller.scope().covers(*company)) {
        return Err(refused(UserError::NoCompany(company)));
    }
    may_give(&caller, new.role, new.company_id).map_err(refused)?;
    let actor = caller.actor();
    request
        .run(&actor, &sent.bytes, |tx| {
            let (people, new, visit, actor) = (state.people.clone(), new.clone(), visit.clone(), actor.clone());
            let now = state.clock.now();
            Box::pin(async move {
                let user = users::create(tx, visit.by(&actor), &new, now).await.map_err(stopped)?;
                send_invitation(tx, &people, &user, &visit, &actor).await?;
                Ok(Answer::json(StatusCode::CREATED, &UserDocument::from(user))?)
            })
        })
        .await
}

async fn send_invitation(
    tx: &mut PgConnection,
    people: &People,
    user: &User,
    visit: &Visit,
    actor: &str,
) -> Result<(), Problem> {
    let to = Addressee {
        holder: Holder::User(user.id),
        email: &user.email,
        full_name: &user.full_name,
        locale: user.locale,
    };
    people.send_link(tx, to, MailKind::Invitation, visit.by(actor)).await.map_err(not_sent)
}

/// Changes a user. A changed role, and being disabled, end that user's tokens within five seconds.
#[utoipa::path(
    patch,
    path = "/api/v1/users/{id}",
    tag = "users",
    operation_id = "changeUser",
    security(("bearer" = []), ("apiKey" = [])),
    params(
        ("id" = i64, Path, description = "The user's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    request_body = UserChangeDocument,
    responses(
        (status = 200, description = "The user as it is now", body = UserDocument),
        (
            status = 409,
            description = "`last_owner`, `last_super_admin`: somebody must stay; `not_yet_active`: there is no password yet",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        Denied
    )
)]
pub(super) async fn change(
    State(state): State<HttpState>,
    caller: SignedIn,
    request: Idempotent,
    Visitor(visit): Visitor,
    Path(id): Path<String>,
    sent: Sent<UserChangeDocument>,
) -> Result<Response, Problem> {
    caller.require(Permission::UsersEdit)?;
    let id = id_of(&id, "user")?;
    let given = sent.value;
    let active = match given.state.as_deref() {
        None => None,
        Some("active") => Some(true),
        Some("disabled") => Some(false),
        Some(_) => return Err(wrong("state", "unknown_value", "it can be made active or disabled")),
    };
    let wanted = UserChange {
        full_name: given.full_name,
        phone: given.phone,
        locale: locale(given.locale.as_deref())?,
        role: given.role.as_deref().map(role).transpose()?,
        active,
    };
    let principal: Principal = (*caller).clone();
    let actor = caller.actor();
    let answer = request
        .run(&actor, &sent.bytes, |tx| {
            let (principal, wanted, visit, actor) = (principal.clone(), wanted.clone(), visit.clone(), actor.clone());
            let now = state.clock.now();
            Box::pin(async move {
                let user = users::change(tx, &principal, visit.by(&actor), id, &wanted, now).await.map_err(stopped)?;
                Ok(Answer::json(StatusCode::OK, &UserDocument::from(user))?)
            })
        })
        .await;
    state.people.forget(id);
    answer
}

/// Sends the invitation again; the link of before is no good any more.
#[utoipa::path(
    post,
    path = "/api/v1/users/{id}/invite",
    tag = "users",
    operation_id = "inviteUserAgain",
    security(("bearer" = []), ("apiKey" = [])),
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
pub(super) async fn invite(
    State(state): State<HttpState>,
    caller: SignedIn,
    request: Idempotent,
    Visitor(visit): Visitor,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    caller.require(Permission::UsersEdit)?;
    let id = id_of(&id, "user")?;
    let found = users::find(&state.pool, caller.scope(), id).await?;
    let user = found.ok_or_else(|| refused(UserError::NotFound))?;
    may_give(&caller, user.role, user.company_id).map_err(refused)?;
    if user.state != UserState::Invited {
        let detail = format!("this user is {}; only who was invited is invited again", user.state.as_str());
        return Err(Problem::conflict(detail));
    }
    let actor = caller.actor();
    request
        .run(&actor, b"", |tx| {
            let (people, user, visit, actor) = (state.people.clone(), user.clone(), visit.clone(), actor.clone());
            Box::pin(async move {
                send_invitation(tx, &people, &user, &visit, &actor).await?;
                Ok(Answer::json(StatusCode::ACCEPTED, &UserDocument::from(user))?)
            })
        })
        .await
}
