//! The one way from an error to a response: `application/problem+json` (RFC 9457).
//!
//! A handler returns a [`Problem`]; what it cannot know, the path and the correlation id, is filled in by
//! [`complete`] on the way out, which also turns refusals of the framework into problems. A cause is logged there,
//! once, and never shown.

use std::{borrow::Cow, error::Error, fmt, sync::Arc};

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::correlation::CorrelationId;

pub(super) const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");
/// An error text of the framework; ours are written by [`complete`].
const LONGEST_FOREIGN_DETAIL: usize = 4096;

/// One thing that is wrong with what was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Where: `products[3].listPrice`.
    pub field: String,
    /// Which rule, for programs: `negative`.
    #[schema(value_type = String)]
    pub code: Cow<'static, str>,
    /// The same for a person.
    pub message: String,
}

#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    // Boxed: a problem is the `Err` of many functions and should be small.
    members: Box<Map<String, Value>>,
    headers: Box<HeaderMap>,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl Problem {
    /// `code` names the kind of problem for programs and never changes; `title` says the same to a person.
    pub fn new(status: StatusCode, code: &'static str, title: &'static str, detail: impl Into<String>) -> Problem {
        Problem {
            status,
            code,
            title,
            detail: detail.into(),
            errors: Vec::new(),
            members: Box::default(),
            headers: Box::default(),
            cause: None,
        }
    }

    pub fn bad_request(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "bad_request", "The request cannot be read", detail)
    }

    /// Readable, but some fields break a rule.
    pub fn invalid(errors: Vec<FieldError>) -> Problem {
        let detail = match errors.as_slice() {
            [one] => format!("{}: {}", one.field, one.message),
            many => format!("{} fields are not acceptable", many.len()),
        };
        let problem = Problem::new(StatusCode::BAD_REQUEST, "invalid", "Some fields are not acceptable", detail);
        Problem { errors, ..problem }
    }

    pub fn forbidden(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, "forbidden", "Not allowed", detail)
    }

    pub fn not_found(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not_found", "Not found", detail)
    }

    pub fn conflict(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::CONFLICT, "conflict", "Not possible in the present state", detail)
    }

    pub fn body_too_large(limit: usize) -> Problem {
        let detail = format!("a request body may have at most {limit} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "The request body is too large", detail)
    }

    pub(super) fn unknown_encoding() -> Problem {
        let detail = "a request body may be compressed with gzip, and only once; or send it as it is";
        let title = "The content encoding is not supported";
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", title, detail)
            .header(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"))
    }

    pub fn unavailable(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available at the moment", detail)
            .header(header::RETRY_AFTER, HeaderValue::from_static("5"))
    }

    /// A failure of ours. The caller learns the correlation id, the log the cause.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Problem {
        let cause = Some(Arc::from(cause.into()));
        Problem { cause, ..Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR, String::new()) }
    }

    pub fn with_errors(self, errors: Vec<FieldError>) -> Problem {
        Problem { errors, ..self }
    }

    /// An extension member beside the standard ones.
    pub fn member(mut self, name: &str, value: impl Into<Value>) -> Problem {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Problem {
        self.headers.insert(name, value);
        self
    }

    pub fn detail(&self) -> &str {
        &self.detail
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// For refusals that come without a problem of their own. `detail` may be empty.
    pub(super) fn of_status(status: StatusCode, detail: String) -> Problem {
        let (code, title, usual) = match status {
            StatusCode::BAD_REQUEST => ("bad_request", "The request cannot be read", "the request is malformed"),
            StatusCode::NOT_FOUND => ("not_found", "Not found", "there is nothing at this address"),
            StatusCode::METHOD_NOT_ALLOWED => (
                "method_not_allowed",
                "Method not allowed",
                "this address does not answer to this method; the Allow header lists those that it knows",
            ),
            StatusCode::REQUEST_TIMEOUT => ("timeout", "Too slow", "the request was not complete in time"),
            StatusCode::PAYLOAD_TOO_LARGE => {
                ("body_too_large", "The request body is too large", "the request body is larger than allowed")
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE => (
                "unsupported_media_type",
                "The content type is not supported",
                "send application/json, and say so in Content-Type",
            ),
            StatusCode::UNPROCESSABLE_ENTITY => {
                ("unprocessable", "The content does not fit", "the content does not have the expected shape")
            }
            StatusCode::INTERNAL_SERVER_ERROR => (
                "internal",
                "The server failed",
                "this is a failure of the server; whoever runs it finds the reason under the correlation id",
            ),
            StatusCode::SERVICE_UNAVAILABLE => {
                ("unavailable", "Not available at the moment", "the server cannot answer at the moment")
            }
            other => ("refused", other.canonical_reason().unwrap_or("Refused"), "the request was refused"),
        };
        Problem::new(status, code, title, if detail.is_empty() { usual.to_owned() } else { detail })
    }

    fn log(&self) {
        let Some(cause) = &self.cause else { return };
        let mut chain = cause.to_string();
        let mut next = cause.source();
        while let Some(source) = next {
            chain.push_str(": ");
            chain.push_str(&source.to_string());
            next = source.source();
        }
        if self.status.is_server_error() {
            tracing::error!(error = chain, code = self.code, "the request failed");
        } else {
            tracing::info!(error = chain, code = self.code, "the request was refused");
        }
    }

    pub(super) fn render(&self, instance: Option<&str>, correlation_id: Option<&str>) -> Vec<u8> {
        let document = Document {
            kind: format!("urn:kopru:problem:{}", self.code),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            instance,
            code: self.code,
            errors: &self.errors,
            correlation_id,
            members: &self.members,
        };
        serde_json::to_vec(&document).expect("strings and JSON values always serialise")
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
    code: &'a str,
    errors: &'a [FieldError],
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<&'a str>,
    #[serde(flatten)]
    members: &'a Map<String, Value>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.status.as_u16(), self.code, self.detail)
    }
}

/// A database that does not answer is a condition, not a bug; everything else that sqlx reports is.
impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Problem {
        match error {
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) => {
                Problem { cause: Some(Arc::new(error)), ..Problem::unavailable("the database does not answer") }
            }
            _ => Problem::internal(error),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the body of every problem, and makes one of each error that the framework answered in its own words.
pub(super) async fn complete(request: Request, inner: impl AsyncFnOnce(Request) -> Response) -> Response {
    let uri = request.uri().clone();
    let correlation_id = request.extensions().get::<CorrelationId>().cloned();
    let mut response = inner(request).await;

    let status = response.status();
    let problem = match response.extensions_mut().remove::<Problem>() {
        Some(mut problem) => {
            // What layers on the way have added, and over it what the problem itself says.
            let own = std::mem::replace(&mut *problem.headers, std::mem::take(response.headers_mut()));
            problem.headers.extend(own);
            problem.headers.remove(header::CONTENT_LENGTH);
            problem
        }
        None if (status.is_client_error() || status.is_server_error()) && is_foreign(response.headers()) => {
            let (parts, body) = response.into_parts();
            let detail = to_bytes(body, LONGEST_FOREIGN_DETAIL).await.unwrap_or_default();
            // Refusals by the client's fault explain themselves; what failed inside does not leave the house.
            let detail = if status.is_client_error() { String::from_utf8_lossy(&detail).into() } else { String::new() };
            let mut problem = Problem::of_status(status, detail);
            *problem.headers = parts.headers;
            problem.headers.remove(header::CONTENT_LENGTH);
            problem
        }
        None => return response,
    };

    problem.log();
    let body = problem.render(Some(uri.path()), correlation_id.as_ref().map(CorrelationId::as_str));
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = problem.status;
    *response.headers_mut() = *problem.headers;
    response.headers_mut().insert(header::CONTENT_TYPE, MEDIA_TYPE);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Plain text or nothing is the framework speaking; JSON and HTML are ours.
fn is_foreign(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_none_or(|value| value.as_bytes().starts_with(b"text/plain"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_has_its_members_in_the_usual_order() {
        let errors =
            vec![FieldError { field: "items[0].price".into(), code: "negative".into(), message: "is below 0".into() }];
        let problem = Problem::invalid(errors).member("success", false);
        let document = problem.render(Some("/api/prices"), Some("c-1"));
        insta::assert_snapshot!(String::from_utf8(document).expect("UTF-8"), @r#"{"type":"urn:kopru:problem:invalid","title":"Some fields are not acceptable","status":400,"detail":"items[0].price: is below 0","instance":"/api/prices","code":"invalid","errors":[{"field":"items[0].price","code":"negative","message":"is below 0"}],"correlationId":"c-1","success":false}"#);
    }

    #[test]
    fn a_cause_stays_inside() {
        let problem = Problem::internal("password=hunter2");
        assert!(!String::from_utf8_lossy(&problem.render(None, None)).contains("hunter2"));
    }

    #[test]
    fn a_silent_database_is_unavailable_and_a_wrong_statement_internal() {
        assert_eq!(Problem::from(sqlx::Error::PoolTimedOut).status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(Problem::from(sqlx::Error::RowNotFound).status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
