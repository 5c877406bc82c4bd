//! The body of a request: JSON of the right shape, or a refusal that says where it is not.

use axum::{
    extract::{FromRequest, Request},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::http::problem::Problem;

/// A document, and its bytes as they came, by which a repeated request is known for the same one.
pub(super) struct Sent<T> {
    pub value: T,
    pub bytes: Bytes,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Sent<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Sent<T>, Response> {
        let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !media_type.is_some_and(is_json) {
            return Err(Problem::of_status(StatusCode::UNSUPPORTED_MEDIA_TYPE, String::new()).into_response());
        }
        let bytes = Bytes::from_request(request, state).await.map_err(IntoResponse::into_response)?;
        let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
        if text.iter().all(u8::is_ascii_whitespace) {
            return Err(Problem::bad_request("the body is empty; send a JSON document").into_response());
        }
        let value = serde_json::from_slice(text).map_err(|error| {
            let what = if error.is_data() { "the document has another shape" } else { "the body is not JSON" };
            Problem::bad_request(format!("{what}: {error}")).into_response()
        })?;
        Ok(Sent { value, bytes })
    }
}

fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}
