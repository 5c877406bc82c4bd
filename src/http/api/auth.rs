//! `/api/v1/auth`: signing in, staying signed in, signing out.

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::sent::Sent;
use crate::{
    http::{
        access::Access,
        openapi::{ProblemDocument, TooManyRequests},
        problem::{FieldError, Problem},
        router::{HttpState, PublicState},
        signed_in::unauthorized,
        visitor::Visitor,
    },
    identity::{
        passwords::{BadPassword, Password, PasswordError},
        people::{RefreshError, SignIn, SignInError, Tokens},
    },
};

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new().routes(routes!(login)).routes(routes!(refresh)).routes(routes!(logout))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Login {
    #[schema(example = "ayse@firma.com.tr")]
    email: String,
    #[schema(value_type = String, format = Password)]
    password: Password,
    /// How the list of sessions calls this device.
    device: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Refresh {
    refresh_token: String,
}

#[derive(Deserialize, Default, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Logout {
    /// Instead of the access token, or beside it.
    refresh_token: Option<String>,
}

/// What a signed-in person holds. The refresh token is good once, for seven days.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenPair {
    access_token: String,
    refresh_token: String,
    /// Seconds for which the access token is good.
    expires_in: i64,
    /// `Bearer`
    token_type: &'static str,
}

/// An answer with secrets is stored by nobody.
pub(super) fn secret(status: StatusCode, body: impl IntoResponse) -> Response {
    (status, [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], body).into_response()
}

pub(super) fn token_answer(tokens: Tokens) -> Response {
    let pair = TokenPair {
        access_token: tokens.access,
        refresh_token: tokens.refresh.expose().to_owned(),
        expires_in: tokens.expires_in,
        token_type: "Bearer",
    };
    secret(StatusCode::OK, axum::Json(pair))
}

/// Signs in. Whether an address has an account is not told; after five failures it takes waiting, longer each time.
#[utoipa::path(
    post,
    path = "/api/v1/auth/login",
    tag = "auth",
    operation_id = "login",
    request_body = Login,
    responses(
        (status = 200, description = "Signed in", body = TokenPair),
        (status = 400, description = "The document cannot be read", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`credentials_wrong`: no such account, or not its password", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "The password is right, and the account is `account_disabled` or `account_pending`", body = ProblemDocument, content_type = "application/problem+json"),
        TooManyRequests
    )
)]
async fn login(
    State(state): State<HttpState>,
    Visitor(visit): Visitor,
    Extension(access): Extension<Arc<Access>>,
    sent: Sent<Login>,
) -> Result<Response, Problem> {
    let Login { email, password, device } = sent.value;
    let signed_in = state.people.sign_in(SignIn { email, password, device }, &visit).await;
    if let Err(SignInError::Refused) = signed_in {
        access.failed();
    }
    Ok(token_answer(signed_in.map_err(not_signed_in)?))
}

/// Exchanges a refresh token for a new pair. One that is shown twice ends its session: somebody else has it too.
#[utoipa::path(
    post,
    path = "/api/v1/auth/refresh",
    tag = "auth",
    operation_id = "refreshTokens",
    request_body = Refresh,
    responses(
        (status = 200, description = "A new pair; the token that was shown is used up", body = TokenPair),
        (status = 400, description = "The document cannot be read", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`refresh_token_invalid`: unknown, used, expired or revoked; sign in again", body = ProblemDocument, content_type = "application/problem+json"),
        TooManyRequests
    )
)]
async fn refresh(
    State(state): State<HttpState>,
    Visitor(visit): Visitor,
    sent: Sent<Refresh>,
) -> Result<Response, Problem> {
    match state.people.refresh(&sent.value.refresh_token, &visit).await {
        Ok(tokens) => Ok(token_answer(tokens)),
        Err(RefreshError::Refused) => {
            Err(unauthorized("refresh_token_invalid", "the refresh token is not good any more; sign in again"))
        }
        Err(RefreshError::Keys(error)) => Err(Problem::internal(error)),
        Err(RefreshError::Database(error)) => Err(error.into()),
    }
}

/// Ends a session: that of the access token, or of the refresh token in the body. Ending one that is over is no mistake.
#[utoipa::path(
    post,
    path = "/api/v1/auth/logout",
    tag = "auth",
    operation_id = "logout",
    security((), ("bearer" = [])),
    request_body(content = Option<Logout>, description = "May be left out when an access token is sent"),
    responses(
        (status = 204, description = "The session is over"),
        (status = 400, description = "The document cannot be read", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "Neither an access token nor a refresh token was sent", body = ProblemDocument, content_type = "application/problem+json"),
        TooManyRequests
    )
)]
async fn logout(
    State(state): State<HttpState>,
    Visitor(visit): Visitor,
    Extension(access): Extension<Arc<Access>>,
    body: bytes::Bytes,
) -> Result<Response, Problem> {
    let sent: Logout = if body.iter().all(u8::is_ascii_whitespace) {
        Logout::default()
    } else {
        serde_json::from_slice(&body)
            .map_err(|error| Problem::bad_request(format!("the document has another shape: {error}")))?
    };
    let token = access.shown_token();
    if token.is_none() && sent.refresh_token.is_none() {
        return Err(unauthorized("token_missing", "send the access token, or the refresh token in the body"));
    }
    let session = match token {
        // One that is not good any more has nothing left to end.
        Some(token) => state.people.verify(&token).await.ok(),
        None => None,
    };
    let session = session.and_then(|(principal, session)| Some((principal.user_id()?, session)));
    state.people.sign_out(session, sent.refresh_token.as_deref(), &visit).await?;
    Ok(secret(StatusCode::NO_CONTENT, ()))
}

pub(super) fn not_signed_in(error: SignInError) -> Problem {
    match error {
        SignInError::Refused => unauthorized("credentials_wrong", "the e-mail address or the password is wrong"),
        SignInError::Pending => state_problem("account_pending", "this registration waits for approval"),
        SignInError::Disabled => state_problem(
            "account_disabled",
            "this account is switched off; ask whoever looks after your company's users",
        ),
        SignInError::Locked { seconds } => locked(seconds),
        SignInError::Password(error) => hashing(error),
        SignInError::Keys(error) => Problem::internal(error),
        SignInError::Database(error) => error.into(),
    }
}

pub(super) fn locked(seconds: i64) -> Problem {
    let detail = format!("too many failed attempts for this address; try again in {seconds} s");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "sign_in_locked", "Too many failed attempts", detail)
        .header(header::RETRY_AFTER, HeaderValue::from(seconds))
}

pub(super) fn hashing(error: PasswordError) -> Problem {
    match error {
        PasswordError::Busy => {
            Problem::unavailable("too many people sign in at the moment; try again in a few seconds")
        }
        error => Problem::internal(error),
    }
}

pub(super) fn wrong(field: &str, code: &'static str, message: impl ToString) -> Problem {
    Problem::invalid(vec![FieldError { field: field.to_owned(), code: code.into(), message: message.to_string() }])
}

pub(super) fn bad_password(field: &str, bad: BadPassword) -> Problem {
    wrong(field, bad.code(), bad)
}

fn state_problem(code: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, code, "This account cannot sign in", detail)
}
