//! `/api/v1/auth/register`: a company that wants to become a dealer, with its first user.

use axum::{extract::State, response::Response};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    auth::{bad_password, hashing, wrong},
    links::{Received, evenly, not_sent, received},
    sent::Sent,
};
use crate::{
    http::{
        openapi::{ProblemDocument, TooManyRequests},
        problem::Problem,
        router::{HttpState, PublicState},
        visitor::Visitor,
    },
    identity::{
        email::Email,
        passwords::Password,
        registrations::{NewRegistration, RegisterError},
        users::{Locale, UserError},
    },
};

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new().routes(routes!(register))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Register {
    #[schema(example = "ayse@firma.com.tr")]
    email: String,
    /// At least 8 characters: a capital letter, a small letter, a digit.
    #[schema(value_type = String, format = Password)]
    password: Password,
    #[schema(min_length = 1, max_length = 200, example = "Ayşe Öz")]
    full_name: String,
    #[schema(example = "+90 532 555 01 87")]
    phone: Option<String>,
    /// The company's full title.
    #[schema(min_length = 1, max_length = 200)]
    company_title: String,
    /// VKN (10 digits), or TCKN (11 digits) of a person.
    #[schema(example = "1234567890")]
    tax_number: String,
    #[schema(max_length = 100)]
    tax_office: Option<String>,
    /// Of mails: `tr` (when it is not said) or `en`.
    locale: Option<String>,
}

/// Registers a company with its first user. Somebody of the house approves it; the address is verified by a mail. The answer is the
/// same whether the address or the tax number is known or not.
#[utoipa::path(
    post,
    path = "/api/v1/auth/register",
    tag = "auth",
    operation_id = "register",
    request_body = Register,
    responses(
        (status = 202, description = "Received; a mail with a link is under way if the address is new", body = Received),
        (status = 400, description = "A field breaks a rule", body = ProblemDocument, content_type = "application/problem+json"),
        TooManyRequests
    )
)]
async fn register(
    State(state): State<HttpState>,
    Visitor(visit): Visitor,
    sent: Sent<Register>,
) -> Result<Response, Problem> {
    let sent = sent.value;
    let new = NewRegistration {
        email: email(&sent.email)?,
        password: sent.password,
        full_name: sent.full_name,
        phone: sent.phone,
        locale: locale(sent.locale.as_deref())?.unwrap_or_default(),
        company_title: sent.company_title,
        tax_number: sent.tax_number,
        tax_office: sent.tax_office,
    };
    match evenly(state.people.register(&new, &visit)).await {
        Ok(()) => Ok(received()),
        Err(error) => Err(refused(error)),
    }
}

pub(super) fn email(text: &str) -> Result<Email, Problem> {
    Email::parse(text).ok_or_else(|| {
        wrong("email", "format", "this is no e-mail address that we can take; letters outside ASCII are not taken")
    })
}

pub(super) fn locale(text: Option<&str>) -> Result<Option<Locale>, Problem> {
    let Some(text) = text else { return Ok(None) };
    Locale::parse(text).map(Some).ok_or_else(|| wrong("locale", "unknown_value", "known are tr and en"))
}

fn refused(error: RegisterError) -> Problem {
    match error {
        error @ RegisterError::Title => wrong("companyTitle", "length", error),
        error @ RegisterError::TaxNumber => wrong("taxNumber", "checksum", error),
        error @ RegisterError::TaxOffice => wrong("taxOffice", "length", error),
        RegisterError::Password(bad) => bad_password("password", bad),
        RegisterError::User(UserError::Phone(text)) => wrong("phone", "format", UserError::Phone(text)),
        RegisterError::User(error @ UserError::Name) => wrong("fullName", "length", error),
        RegisterError::User(error) => Problem::internal(error),
        RegisterError::Hash(error) => hashing(error),
        RegisterError::Send(error) => not_sent(error),
        RegisterError::Database(error) => error.into(),
    }
}
