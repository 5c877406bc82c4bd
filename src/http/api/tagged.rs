//! Answers with a tag: who has the same one already gets 304 and no body.

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_128;

use crate::http::problem::Problem;

/// A document and the tag of exactly its bytes.
#[derive(Debug, Clone)]
pub(super) struct Tagged {
    body: Bytes,
    tag: HeaderValue,
}

impl Tagged {
    pub(super) fn json(document: &impl Serialize) -> Result<Tagged, Problem> {
        Tagged::of(serde_json::to_vec(document).map_err(Problem::internal)?)
    }

    /// A document in JSON.
    pub(super) fn of(body: Vec<u8>) -> Result<Tagged, Problem> {
        let tag = HeaderValue::from_str(&format!("\"{:032x}\"", xxh3_128(&body))).map_err(Problem::internal)?;
        Ok(Tagged { body: body.into(), tag })
    }

    /// Of the body, in bytes.
    pub(super) fn len(&self) -> usize {
        self.body.len()
    }

    /// What a request with these headers is answered.
    pub(super) fn answer(self, headers: &HeaderMap) -> Response {
        let private = HeaderValue::from_static("private, no-cache");
        let about = [(header::ETAG, self.tag.clone()), (header::CACHE_CONTROL, private)];
        if headers.get_all(header::IF_NONE_MATCH).iter().any(|known| self.is_among(known)) {
            return (StatusCode::NOT_MODIFIED, about).into_response();
        }
        let json = HeaderValue::from_static("application/json");
        (about, [(header::CONTENT_TYPE, json)], self.body).into_response()
    }

    /// Compared weakly, as `If-None-Match` is.
    fn is_among(&self, known: &HeaderValue) -> bool {
        let Ok(known) = known.to_str() else { return false };
        known
            .split(',')
            .map(str::trim)
            .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == self.tag.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_tag_needs_no_body() {
        let status = |known: &str| {
            let tagged = Tagged::json(&[1, 2]).expect("tagged");
            let known = known.replace("TAG", tagged.tag.to_str().expect("text"));
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_str(&known).expect("a header"));
            tagged.answer(&headers).status()
        };
        for known in ["TAG", "W/TAG", "\"x\", TAG", "*"] {
            assert_eq!(status(known), StatusCode::NOT_MODIFIED, "{known}");
        }
        for known in ["\"x\"", "x", ""] {
            assert_eq!(status(known), StatusCode::OK, "{known}");
        }
    }
}
