//! What people of the house change in customers.

use axum::{extract::Path, http::StatusCode, response::Response};
use sqlx::PgConnection;

use super::{
    read::view,
    shapes::{CustomerIn, CustomerView, PriceListsIn},
};
use crate::{
    canonical::Entity,
    commerce::{
        Patch,
        customers::{
            CustomerUpsert,
            editing::{self, CustomerEditError},
        },
        price_lists::{self, AssignError, AssignedList},
    },
    http::{
        api::{
            acting::{Acting, Deed},
            asked,
            sent::Sent,
        },
        idempotency::{Answer, Idempotent, Stop},
        openapi::{Denied, ProblemDocument},
        problem::{FieldError, Problem},
    },
    hub::owners,
    principal::{Permission, Scope},
};

/// Enters a customer. Somebody has to approve it before it may order.
#[utoipa::path(
    post,
    path = "/api/v1/customers",
    tag = "customers",
    operation_id = "enterCustomer",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("customers.edit"))),
    params(("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")),
    request_body = CustomerIn,
    responses((status = 201, description = "Entered", body = CustomerView), Denied)
)]
pub(super) async fn enter(acting: Acting, request: Idempotent, sent: Sent<CustomerIn>) -> Result<Response, Problem> {
    acting.require(Permission::CustomersEdit)?;
    perform(acting, &request, &sent.bytes, CustomerDeed::Enter(Box::new(sent.value))).await
}

/// Changes a customer. Terms of credit take the permission `credit.edit`, approval `customers.approve`, all else
/// `customers.edit`; what the customer's source owns is changed there.
#[utoipa::path(
    patch,
    path = "/api/v1/customers/{id}",
    tag = "customers",
    operation_id = "editCustomer",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("customers.edit|credit.edit|customers.approve"))),
    params(
        ("id" = i64, Path, description = "The customer's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    request_body = CustomerIn,
    responses(
        (status = 200, description = "As it is now", body = CustomerView),
        (status = 404, description = "None", body = ProblemDocument, content_type = "application/problem+json"),
        (
            status = 409,
            description = "`source_owned`: the fields in `errors` come from `owner`",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        Denied
    )
)]
pub(super) async fn edit(
    acting: Acting,
    request: Idempotent,
    Path(id): Path<i64>,
    sent: Sent<CustomerIn>,
) -> Result<Response, Problem> {
    let any = [Permission::CreditEdit, Permission::CustomersApprove];
    if !any.into_iter().any(|permission| acting.caller.may(permission)) {
        acting.require(Permission::CustomersEdit)?;
    }
    perform(acting, &request, &sent.bytes, CustomerDeed::Edit(id, Box::new(sent.value))).await
}

/// Lets a customer order.
#[utoipa::path(
    post,
    path = "/api/v1/customers/{id}/approve",
    tag = "customers",
    operation_id = "approveCustomer",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("customers.approve"))),
    params(
        ("id" = i64, Path, description = "The customer's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    responses(
        (status = 200, description = "As it is now", body = CustomerView),
        (status = 404, description = "None", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
pub(super) async fn approve(acting: Acting, request: Idempotent, Path(id): Path<i64>) -> Result<Response, Problem> {
    acting.require(Permission::CustomersApprove)?;
    perform(acting, &request, b"", CustomerDeed::Approve(id)).await
}

/// Takes a customer into use again.
#[utoipa::path(
    post,
    path = "/api/v1/customers/{id}/activate",
    tag = "customers",
    operation_id = "activateCustomer",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("customers.edit"))),
    params(
        ("id" = i64, Path, description = "The customer's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    responses(
        (status = 200, description = "As it is now", body = CustomerView),
        (status = 404, description = "None", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`source_owned`: its source says so", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
pub(super) async fn activate(acting: Acting, request: Idempotent, Path(id): Path<i64>) -> Result<Response, Problem> {
    acting.require(Permission::CustomersEdit)?;
    perform(acting, &request, b"", CustomerDeed::SetActive(id, true)).await
}

/// Takes a customer out of use. It keeps its history.
#[utoipa::path(
    post,
    path = "/api/v1/customers/{id}/deactivate",
    tag = "customers",
    operation_id = "deactivateCustomerById",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("customers.edit"))),
    params(
        ("id" = i64, Path, description = "The customer's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    responses(
        (status = 200, description = "As it is now", body = CustomerView),
        (status = 404, description = "None", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "`source_owned`: its source says so", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
pub(super) async fn deactivate(acting: Acting, request: Idempotent, Path(id): Path<i64>) -> Result<Response, Problem> {
    acting.require(Permission::CustomersEdit)?;
    perform(acting, &request, b"", CustomerDeed::SetActive(id, false)).await
}

/// Says which price lists hold for a customer: these, and no others.
#[utoipa::path(
    put,
    path = "/api/v1/customers/{id}/price-lists",
    tag = "customers",
    operation_id = "setCustomerPriceLists",
    security(("bearer" = []), ("apiKey" = [])),
    extensions(("x-permission" = json!("customers.edit"))),
    params(
        ("id" = i64, Path, description = "The customer's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    request_body = PriceListsIn,
    responses(
        (status = 200, description = "The customer as it is now", body = CustomerView),
        (status = 404, description = "None", body = ProblemDocument, content_type = "application/problem+json"),
        Denied
    )
)]
pub(super) async fn assign_price_lists(
    acting: Acting,
    request: Idempotent,
    Path(id): Path<i64>,
    sent: Sent<PriceListsIn>,
) -> Result<Response, Problem> {
    acting.require(Permission::CustomersEdit)?;
    let lists = sent.value.price_lists;
    if lists.len() > 100 {
        return Err(asked::wrong("priceLists", "too_many", "a customer has at most 100 price lists"));
    }
    let list = |line: &super::shapes::PriceListLine| AssignedList {
        price_list_id: line.price_list_id,
        priority: line.priority,
    };
    let lists = lists.iter().map(list).collect();
    perform(acting, &request, &sent.bytes, CustomerDeed::AssignPriceLists(id, lists)).await
}

/// What is done.
enum CustomerDeed {
    Enter(Box<CustomerIn>),
    Edit(i64, Box<CustomerIn>),
    Approve(i64),
    SetActive(i64, bool),
    AssignPriceLists(i64, Vec<AssignedList>),
}

async fn perform(acting: Acting, request: &Idempotent, body: &[u8], deed: CustomerDeed) -> Result<Response, Problem> {
    // A dealer's role has none of the permissions above; an API key that has one works for the house.
    if !acting.caller.scope().is_house() {
        return Err(Problem::forbidden("customers are looked after by people of the house"));
    }
    acting.perform(request, body, deed).await
}

impl Deed for CustomerDeed {
    async fn done(&self, conn: &mut PgConnection, acting: &Acting) -> Result<Answer, Stop> {
        let (by, may) = (acting.by(), acting.caller.permissions);
        let mut status = StatusCode::OK;
        let id = match self {
            CustomerDeed::Enter(sent) => {
                status = StatusCode::CREATED;
                let code = sent.code.as_deref().unwrap_or_default();
                let customer = CustomerUpsert { code, ..sent.upsert() };
                editing::enter(conn, &by, may, customer).await.map_err(refused)?.id
            }
            CustomerDeed::Edit(id, sent) => {
                let customer = CustomerUpsert { id: *id, ..sent.upsert() };
                let owner = owner(conn, *id).await?;
                let saved = editing::edit(conn, &by, may, sent.code.as_deref(), customer, owner.as_deref()).await;
                saved.map_err(refused)?.id
            }
            CustomerDeed::Approve(id) => {
                let customer = CustomerUpsert { id: *id, is_approved: Patch::Set(true), ..CustomerUpsert::default() };
                editing::edit(conn, &by, may, None, customer, None).await.map_err(refused)?.id
            }
            CustomerDeed::SetActive(id, active) => {
                let customer = CustomerUpsert { id: *id, is_active: Patch::Set(*active), ..CustomerUpsert::default() };
                let owner = owner(conn, *id).await?;
                editing::edit(conn, &by, may, None, customer, owner.as_deref()).await.map_err(refused)?.id
            }
            CustomerDeed::AssignPriceLists(id, lists) => {
                price_lists::assign(conn, &by, *id, lists).await.map_err(unassigned)?;
                *id
            }
        };
        let now = view(conn, Scope::house(), id).await?.ok_or_else(asked::no_customer)?;
        Ok(Answer::json(status, &now)?)
    }
}

async fn owner(conn: &mut PgConnection, id: i64) -> Result<Option<String>, sqlx::Error> {
    Ok(owners::owners(conn, Entity::Customer, &[id]).await?.remove(&id))
}

fn refused(error: CustomerEditError) -> Stop {
    let said = error.to_string();
    match error {
        CustomerEditError::NotFound => asked::no_customer().into(),
        CustomerEditError::Refused(violation) => {
            let error = FieldError {
                field: violation.field.to_owned(),
                code: violation.rule.into(),
                message: violation.detail,
            };
            Problem::invalid(vec![error]).into()
        }
        CustomerEditError::SourceOwned { fields, owner } => {
            let told = |field: String| FieldError {
                field,
                code: "source_owned".into(),
                message: format!("comes from {owner}; change it there"),
            };
            let title = "The source of this record owns these fields";
            Problem::new(StatusCode::CONFLICT, "source_owned", title, said)
                .with_errors(fields.into_iter().map(told).collect())
                .member("owner", owner.as_str())
                .into()
        }
        CustomerEditError::NotYours { .. } => {
            Problem::new(StatusCode::FORBIDDEN, "permission_missing", "Your role may not do this", said).into()
        }
        CustomerEditError::Command(error) if error.retry_at_once() => Stop::Again(Box::new(error)),
        CustomerEditError::Command(error) => match error.violation() {
            Some(violation) => refused(CustomerEditError::Refused(violation)),
            None => Problem::internal(error).into(),
        },
    }
}

fn unassigned(error: AssignError) -> Stop {
    let said = error.to_string();
    match error {
        AssignError::UnknownCustomer(_) => asked::no_customer().into(),
        AssignError::UnknownPriceList(_) => asked::wrong("priceLists", "missing_reference", said).into(),
        AssignError::Twice(_) => asked::wrong("priceLists", "unique", said).into(),
        AssignError::Database(error) => error.into(),
    }
}
