//! The correlation id: one name for everything that a request sets off, in logs, responses, problems and messages.

use std::{convert::Infallible, fmt, sync::Arc, time::Instant};

use axum::{
    extract::{FromRequestParts, MatchedPath, Request},
    http::{HeaderMap, HeaderName, HeaderValue, Method, request::Parts},
    response::Response,
};
use tracing::Instrument;
use uuid::Uuid;

const HEADER: HeaderName = HeaderName::from_static("x-correlation-id");
const LONGEST: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorrelationId(Arc<str>);

impl CorrelationId {
    pub fn new() -> CorrelationId {
        CorrelationId(Uuid::now_v7().to_string().into())
    }

    /// What the caller sent, if it can stand in a log line and in a header as it is.
    pub fn parse(text: &str) -> Option<CorrelationId> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let good = (1..=LONGEST).contains(&text.len()) && text.bytes().all(allowed);
        good.then(|| CorrelationId(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn of(headers: &HeaderMap) -> CorrelationId {
        let sent = headers.get(HEADER).and_then(|value| value.to_str().ok());
        sent.and_then(CorrelationId::parse).unwrap_or_default()
    }
}

impl Default for CorrelationId {
    fn default() -> Self {
        CorrelationId::new()
    }
}

impl fmt::Display for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<S: Sync> FromRequestParts<S> for CorrelationId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<CorrelationId>().cloned().unwrap_or_default())
    }
}

/// Outermost: names the request, opens its span, and afterwards logs and counts it.
pub(super) async fn trace(mut request: Request, inner: impl AsyncFnOnce(Request) -> Response) -> Response {
    let began = Instant::now();
    let id = CorrelationId::of(request.headers());
    request.extensions_mut().insert(id.clone());
    let method = request.method().clone();
    // The pattern, not the path: paths carry codes, and would make a time series for each of them.
    let path = request.extensions().get::<MatchedPath>().cloned();
    let route = path.as_ref().map_or("unmatched", MatchedPath::as_str);
    // Of the highest level, so that no filter takes it away from the lines that pass.
    let span = tracing::error_span!("http.request", correlation_id = %id, http.method = %method, http.route = route);

    async move {
        let mut response = inner(request).await;
        if let Ok(value) = HeaderValue::from_str(id.as_str()) {
            response.headers_mut().insert(HEADER, value);
        }
        let (status, elapsed) = (response.status().as_u16(), began.elapsed());
        let duration_ms = elapsed.as_millis() as u64;
        // Probes and scrapes come every few seconds and say nothing while they succeed.
        if status < 400 && (route.starts_with("/health/") || route == "/metrics") {
            tracing::debug!(http.status = status, duration_ms, "request answered");
        } else {
            tracing::info!(http.status = status, duration_ms, "request answered");
        }
        let labels =
            [("method", known(&method).to_owned()), ("route", route.to_owned()), ("status", status.to_string())];
        ::metrics::counter!("kopru_http_requests_total", &labels).increment(1);
        ::metrics::histogram!("kopru_http_request_duration_seconds", "route" => route.to_owned()).record(elapsed);
        response
    }
    .instrument(span)
    .await
}

/// A caller may send any word as a method; each one would be a time series.
fn known(method: &Method) -> &str {
    let standard =
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
    if standard.contains(method) { method.as_str() } else { "other" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_is_harmless_and_nothing_else() {
        for good in ["a", "order-42.retry_1", &"x".repeat(64)] {
            assert_eq!(CorrelationId::parse(good).expect("taken").as_str(), good);
        }
        for bad in ["", "two words", "line\nbreak", "ş", "a/b", "{}", &"x".repeat(65)] {
            assert_eq!(CorrelationId::parse(bad), None, "{bad:?}");
        }
    }
}
