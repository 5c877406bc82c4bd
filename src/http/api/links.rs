//! Forgotten passwords, and what the links of mails lead to.

use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    auth::{bad_password, hashing, secret},
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
        passwords::Password,
        people::{LinkError, SendError},
    },
};

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new().routes(routes!(forgot)).routes(routes!(reset)).routes(routes!(verify_email))
}

/// Answers to strangers take this long at least, whether there was something to do or not.
const AT_LEAST: Duration = Duration::from_millis(250);

/// The same answer after the same time.
pub(super) async fn evenly<T>(work: impl Future<Output = T>) -> T {
    tokio::join!(work, tokio::time::sleep(AT_LEAST)).0
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Forgot {
    #[schema(example = "ayse@firma.com.tr")]
    email: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Reset {
    /// Out of the mail's link.
    token: String,
    /// At least 8 characters: a capital letter, a small letter, a digit.
    #[schema(value_type = String, format = Password)]
    password: Password,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct VerifyEmail {
    /// Out of the mail's link.
    token: String,
}

/// What is said to everybody alike.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Received {
    /// `received`
    status: &'static str,
}

pub(super) fn received() -> Response {
    secret(StatusCode::ACCEPTED, Json(Received { status: "received" }))
}

/// Mails a link by which a new password is chosen, if the address has an account. The answer is the same if it has none.
#[utoipa::path(
    post,
    path = "/api/v1/auth/password/forgot",
    tag = "auth",
    operation_id = "forgotPassword",
    request_body = Forgot,
    responses(
        (status = 202, description = "Received; if there is such an account, a mail is under way", body = Received),
        TooManyRequests
    )
)]
async fn forgot(
    State(state): State<HttpState>,
    Visitor(visit): Visitor,
    sent: Sent<Forgot>,
) -> Result<Response, Problem> {
    match evenly(state.people.forgot_password(&sent.value.email, &visit)).await {
        Ok(()) => Ok(received()),
        // To everybody alike: who has no account must not see a difference.
        Err(SendError::NoMasterKey) => {
            tracing::warn!("somebody forgot a password, and no mail can be sent: set [auth] master_key_file");
            Ok(received())
        }
        Err(error) => Err(not_sent(error)),
    }
}

/// Chooses a password by the link of an invitation or of a reset. Every session of this person ends; then sign in.
#[utoipa::path(
    post,
    path = "/api/v1/auth/password/reset",
    tag = "auth",
    operation_id = "resetPassword",
    request_body = Reset,
    responses(
        (status = 204, description = "The password is set"),
        (
            status = 400,
            description = "`link_invalid`: used, expired or unknown; `invalid`: the password breaks a rule, and the link is good still",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        TooManyRequests
    )
)]
async fn reset(
    State(state): State<HttpState>,
    Visitor(visit): Visitor,
    sent: Sent<Reset>,
) -> Result<Response, Problem> {
    let Reset { token, password } = sent.value;
    state.people.choose_password(&token, &password, &visit).await.map_err(bad_link)?;
    Ok(secret(StatusCode::NO_CONTENT, ()))
}

/// Shows that the address of a registration is one's own, by the link of its mail.
#[utoipa::path(
    post,
    path = "/api/v1/auth/verify-email",
    tag = "auth",
    operation_id = "verifyEmail",
    request_body = VerifyEmail,
    responses(
        (status = 204, description = "Verified; the registration waits for approval"),
        (
            status = 400,
            description = "`link_invalid`: used, expired or unknown",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        TooManyRequests
    )
)]
async fn verify_email(
    State(state): State<HttpState>,
    Visitor(visit): Visitor,
    sent: Sent<VerifyEmail>,
) -> Result<Response, Problem> {
    state.people.verify_email(&sent.value.token, &visit).await.map_err(bad_link)?;
    Ok(secret(StatusCode::NO_CONTENT, ()))
}

fn bad_link(error: LinkError) -> Problem {
    match error {
        LinkError::Refused => {
            let detail = "this link was used or has expired; ask for a new one";
            Problem::new(StatusCode::BAD_REQUEST, "link_invalid", "The link is not good any more", detail)
        }
        LinkError::New(bad) => bad_password("password", bad),
        LinkError::Password(error) => hashing(error),
        LinkError::Database(error) => error.into(),
    }
}

/// A mail that somebody of the house asked for.
pub(super) fn not_sent(error: SendError) -> Problem {
    match error {
        SendError::NoMasterKey => {
            let detail = "no mail can be sent: this installation has no [auth] master_key_file; nothing was changed";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "mail_not_configured", "No mail can be sent", detail)
        }
        SendError::Database(error) => error.into(),
        SendError::Mail(error) => Problem::internal(error),
    }
}
