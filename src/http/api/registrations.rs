//! `/api/v1/registrations`: companies that want to become dealers, and deciding about them.

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
    sent::Sent,
    sessions::not_listed,
    users::{id_of, role},
};
use crate::{
    commerce::{
        WriteContext,
        customers::{self, NewCompany, RegisterError, TaxMatch},
    },
    http::{
        idempotency::{Answer, Idempotent, Stop},
        openapi::{Denied, ProblemDocument},
        problem::Problem,
        router::{HttpState, PublicState},
        signed_in::SignedIn,
        visitor::Visitor,
    },
    identity::{
        people::{People, Visit},
        registrations::{self, Approval, DecisionError, Kind, Registration},
        users::User,
    },
    principal::{Permission, Role},
};

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show)).routes(routes!(approve)).routes(routes!(reject))
}

/// A customer that has the same tax number. One that is not active was barred, and cannot be joined.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MatchDocument {
    customer_id: i64,
    code: String,
    title: String,
    is_active: bool,
}

/// A company that wants to become a dealer, with its first user.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RegistrationDocument {
    id: i64,
    /// `pending`, `approved` or `rejected`.
    state: String,
    company_title: String,
    tax_number: String,
    tax_office: Option<String>,
    email: String,
    /// The link of the mail was opened. If not, the user is invited on approval.
    email_verified: bool,
    full_name: String,
    phone: Option<String>,
    /// Active customers with the same tax number: joining one, or being another, is decided on approval.
    matches: Vec<MatchDocument>,
    created_at: DateTime<Utc>,
    decided_at: Option<DateTime<Utc>>,
    decided_by: Option<String>,
    /// `new` or `join`.
    decision: Option<String>,
    customer_id: Option<i64>,
    user_id: Option<i64>,
    reason: Option<String>,
}

impl RegistrationDocument {
    fn of(registration: Registration, matches: &[TaxMatch]) -> RegistrationDocument {
        let matches = matches.iter().filter(|found| found.tax_number == registration.tax_number);
        let shown = |found: &TaxMatch| MatchDocument {
            customer_id: found.id,
            code: found.code.clone(),
            title: found.title.clone(),
            is_active: found.is_active,
        };
        RegistrationDocument {
            matches: matches.map(shown).collect(),
            id: registration.id,
            state: registration.state,
            company_title: registration.company_title,
            tax_number: registration.tax_number,
            tax_office: registration.tax_office,
            email: registration.email,
            email_verified: registration.email_verified,
            full_name: registration.full_name,
            phone: registration.phone,
            created_at: registration.created_at,
            decided_at: registration.decided_at,
            decided_by: registration.decided_by,
            decision: registration.decision,
            customer_id: registration.customer_id,
            user_id: registration.user_id,
            reason: registration.reason,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RegistrationList {
    items: Vec<RegistrationDocument>,
    next_cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct RegistrationQuery {
    /// `pending`, `approved` or `rejected`; all when it is not said
    state: Option<String>,
}

#[derive(Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ApproveDocument {
    /// `new`: a customer of its own, whatever others have that tax number. `join`: that of `customerId`.
    #[schema(example = "new")]
    decision: String,
    /// One of `matches`, to join it.
    customer_id: Option<i64>,
    /// The code of a new customer; made of its id when it is not said.
    #[schema(max_length = 100)]
    code: Option<String>,
    /// A dealer's role. When it is not said: `dealer_owner` of a new company, `dealer_viewer` of one that is joined.
    role: Option<String>,
}

#[derive(Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RejectDocument {
    /// Mailed to whoever registered, if the address was verified.
    #[schema(max_length = 500)]
    reason: Option<String>,
}

/// What came of an approval.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Approved {
    id: i64,
    /// `approved`
    state: &'static str,
    customer_id: i64,
    user_id: i64,
    /// `active`; `invited` if the address was not verified: the user chooses a password by a link.
    user_state: &'static str,
}

fn stopped(error: DecisionError) -> Stop {
    match error {
        DecisionError::NotFound => Problem::not_found("there is no such registration").into(),
        error @ DecisionError::Decided(_) => {
            let title = "Not possible in the present state";
            Problem::new(StatusCode::CONFLICT, "registration_decided", title, error.to_string()).into()
        }
        error @ DecisionError::Reason => wrong("reason", "length", error).into(),
        DecisionError::User(error) => super::users::stopped(error),
        DecisionError::Send(error) => not_sent(error).into(),
        DecisionError::Database(error) => error.into(),
    }
}

fn not_a_customer(error: RegisterError) -> Stop {
    match error {
        RegisterError::Refused(violation) => {
            let field = if violation.field == "title" { "companyTitle" } else { violation.field };
            wrong(field, violation.rule, violation.detail).into()
        }
        error @ RegisterError::NoMatch(_) => wrong("customerId", "no_match", error).into(),
        RegisterError::Command(error) if error.retry_at_once() => Stop::Again(Box::new(error)),
        RegisterError::Command(error) => Problem::internal(error).into(),
    }
}

/// Registrations, oldest first, each with the customers that have its tax number.
#[utoipa::path(
    get,
    path = "/api/v1/registrations",
    tag = "users",
    operation_id = "listRegistrations",
    security(("bearer" = []), ("apiKey" = [])),
    params(RegistrationQuery, PageQuery),
    responses((status = 200, description = "A page of registrations", body = RegistrationList), Denied)
)]
async fn list(
    State(state): State<HttpState>,
    caller: SignedIn,
    Listed(page): Listed,
    query: Result<Query<RegistrationQuery>, QueryRejection>,
) -> Result<Json<RegistrationList>, Problem> {
    caller.require(Permission::CustomersApprove)?;
    let Query(query) = query.map_err(|error| Problem::bad_request(error.body_text()))?;
    let known = |text: &String| {
        let unknown = || wrong("state", "unknown_value", "known are pending, approved, rejected");
        registrations::State::parse(text).ok_or_else(unknown)
    };
    let wanted = query.state.as_ref().map(known).transpose()?;
    let found = registrations::list(&state.pool, wanted, &page).await.map_err(not_listed)?;
    let numbers: Vec<String> = found.items.iter().map(|registration| registration.tax_number.clone()).collect();
    let matches = customers::by_tax_number(&state.pool, &numbers).await?;
    let found = found.map(|registration| RegistrationDocument::of(registration, &matches));
    Ok(Json(RegistrationList { items: found.items, next_cursor: found.next_cursor }))
}

/// One registration.
#[utoipa::path(
    get,
    path = "/api/v1/registrations/{id}",
    tag = "users",
    operation_id = "showRegistration",
    security(("bearer" = []), ("apiKey" = [])),
    params(("id" = i64, Path, description = "The registration's id")),
    responses(
        (status = 200, description = "The registration", body = RegistrationDocument),
        Denied
    )
)]
async fn show(
    State(state): State<HttpState>,
    caller: SignedIn,
    Path(id): Path<String>,
) -> Result<Json<RegistrationDocument>, Problem> {
    caller.require(Permission::CustomersApprove)?;
    let id = id_of(&id, "registration")?;
    let none = || Problem::not_found("there is no such registration");
    let found = registrations::find(&state.pool, id).await?.ok_or_else(none)?;
    let matches = customers::by_tax_number(&state.pool, std::slice::from_ref(&found.tax_number)).await?;
    Ok(Json(RegistrationDocument::of(found, &matches)))
}

/// Approves: the company is a customer, and its user can sign in. Raises `customer.registered`.
#[utoipa::path(
    post,
    path = "/api/v1/registrations/{id}/approve",
    tag = "users",
    operation_id = "approveRegistration",
    security(("bearer" = []), ("apiKey" = [])),
    params(
        ("id" = i64, Path, description = "The registration's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    request_body = ApproveDocument,
    responses(
        (status = 200, description = "Approved", body = Approved),
        (
            status = 409,
            description = "`registration_decided`: somebody was faster; `email_taken`: the address became a user's meanwhile",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        Denied
    )
)]
async fn approve(
    State(state): State<HttpState>,
    caller: SignedIn,
    request: Idempotent,
    Visitor(visit): Visitor,
    Path(id): Path<String>,
    sent: Sent<ApproveDocument>,
) -> Result<Response, Problem> {
    caller.require(Permission::CustomersApprove)?;
    let id = id_of(&id, "registration")?;
    let given = sent.value;
    let wanted = match (given.decision.as_str(), given.customer_id) {
        ("new", None) => Wanted::New { code: given.code },
        ("new", Some(_)) => return Err(wrong("customerId", "unexpected", "a new company has no customer to join")),
        ("join", Some(customer_id)) => Wanted::Join { customer_id },
        ("join", None) => return Err(wrong("customerId", "required", "name the customer that is joined")),
        _ => return Err(wrong("decision", "unknown_value", "known are new and join")),
    };
    let role = match given.role.as_deref().map(role).transpose()? {
        Some(role) if !role.is_dealer() => return Err(wrong("role", "unknown_value", "it must be a dealer's role")),
        Some(role) => role,
        None if matches!(wanted, Wanted::New { .. }) => Role::DealerOwner,
        None => Role::DealerViewer,
    };
    let actor = caller.actor();
    request
        .run(&actor, &sent.bytes, |tx| {
            let decision = Decision {
                people: state.people.clone(),
                id,
                wanted: wanted.clone(),
                role,
                actor: actor.clone(),
                visit: visit.clone(),
                now: state.clock.now(),
            };
            Box::pin(async move {
                let (customer_id, user) = decide(tx, &decision).await?;
                let user_state = user.state.as_str();
                let approved = Approved { id, state: "approved", customer_id, user_id: user.id, user_state };
                Ok(Answer::json(StatusCode::OK, &approved)?)
            })
        })
        .await
}

#[derive(Clone)]
enum Wanted {
    New { code: Option<String> },
    Join { customer_id: i64 },
}

struct Decision {
    people: People,
    id: i64,
    wanted: Wanted,
    role: Role,
    actor: String,
    visit: Visit,
    now: DateTime<Utc>,
}

/// Company and user, in one transaction.
async fn decide(tx: &mut PgConnection, decision: &Decision) -> Result<(i64, User), Stop> {
    let registration = registrations::pending(tx, decision.id).await.map_err(stopped)?;
    let by = decision.visit.by(&decision.actor);
    let cx = WriteContext::person(decision.visit.provenance(&decision.actor, decision.now));
    let (kind, customer_id) = match &decision.wanted {
        Wanted::New { code } => {
            let company = NewCompany {
                code: code.as_deref(),
                title: &registration.company_title,
                tax_number: &registration.tax_number,
                tax_office: registration.tax_office.as_deref(),
                contact: &registration.full_name,
                email: &registration.email,
                phone: registration.phone.as_deref(),
            };
            (Kind::New, customers::register(tx, &cx, &company).await.map_err(not_a_customer)?)
        }
        Wanted::Join { customer_id } => {
            let joined = customers::join(tx, &cx, *customer_id, &registration.tax_number).await;
            joined.map_err(not_a_customer)?;
            (Kind::Join, *customer_id)
        }
    };
    let approval = Approval { kind, customer_id, role: decision.role };
    let user = registrations::approve(tx, &decision.people, &registration, approval, by, decision.now).await;
    Ok((customer_id, user.map_err(stopped)?))
}

/// Rejects: the registration is kept, its password is not.
#[utoipa::path(
    post,
    path = "/api/v1/registrations/{id}/reject",
    tag = "users",
    operation_id = "rejectRegistration",
    security(("bearer" = []), ("apiKey" = [])),
    params(
        ("id" = i64, Path, description = "The registration's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    request_body = RejectDocument,
    responses(
        (status = 200, description = "Rejected", body = RegistrationDocument),
        (
            status = 409,
            description = "`registration_decided`: somebody was faster",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        Denied
    )
)]
async fn reject(
    State(state): State<HttpState>,
    caller: SignedIn,
    request: Idempotent,
    Visitor(visit): Visitor,
    Path(id): Path<String>,
    sent: Sent<RejectDocument>,
) -> Result<Response, Problem> {
    caller.require(Permission::CustomersApprove)?;
    let id = id_of(&id, "registration")?;
    let actor = caller.actor();
    request
        .run(&actor, &sent.bytes, |tx| {
            let (given, visit, actor, now) = (sent.value.clone(), visit.clone(), actor.clone(), state.clock.now());
            let people = state.people.clone();
            Box::pin(async move {
                let found = registrations::pending(tx, id).await.map_err(stopped)?;
                let (reason, by) = (given.reason.as_deref(), visit.by(&actor));
                let rejected = registrations::reject(tx, &people, &found, reason, by, now).await.map_err(stopped)?;
                Ok(Answer::json(StatusCode::OK, &RegistrationDocument::of(rejected, &[]))?)
            })
        })
        .await
}
