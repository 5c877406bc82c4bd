//! Which address answers what, and the layers around all of it.

use std::{any::Any, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderValue, StatusCode, header},
    middleware::{from_fn, map_response},
    response::{IntoResponse, Response},
    routing::get,
};
use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::PgPool;
use tower_http::{
    catch_panic::CatchPanicLayer, compression::CompressionLayer, limit::RequestBodyLimitLayer,
    set_header::SetResponseHeaderLayer, timeout::RequestBodyTimeoutLayer,
};

use super::{
    body, correlation, health,
    health::{Probes, Readiness},
    metrics,
    problem::{self, Problem},
};

#[derive(Clone)]
pub struct HttpState {
    pub pool: PgPool,
    pub metrics: PrometheusHandle,
    pub probes: Arc<dyn Probes>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// A larger request body is refused with 413.
    pub body_limit_bytes: usize,
    /// How long the shutdown waits for requests in hand before it breaks them off.
    pub drain: Duration,
}

/// A body of which nothing arrives for this long is given up.
const BODY_SILENCE: Duration = Duration::from_secs(30);

/// What the world sees. `more` are the routes of the rooms around us.
pub(super) fn public(state: &HttpState, settings: &Settings, readiness: Arc<Readiness>, more: Router) -> Router {
    let metrics = metrics_of(state).layer(from_fn(metrics::from_here_only));
    layered(health_of(readiness).merge(metrics).merge(more), settings)
}

/// What the monitoring sees on a listener of its own.
pub(super) fn ops(state: &HttpState, settings: &Settings, readiness: Arc<Readiness>) -> Router {
    layered(health_of(readiness).merge(metrics_of(state)), settings)
}

fn health_of(readiness: Arc<Readiness>) -> Router {
    Router::new()
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .with_state(readiness)
}

fn metrics_of(state: &HttpState) -> Router {
    Router::new().route("/metrics", get(metrics::show)).with_state(state.clone())
}

/// The layers, from the inside out. Each one sees what those before it did.
fn layered(routes: Router, settings: &Settings) -> Router {
    let limit = settings.body_limit_bytes;
    routes
        .fallback(async || Problem::not_found("there is nothing at this address"))
        // The one limit is below; axum's own would be a second, smaller one.
        .layer(DefaultBodyLimit::disable())
        .layer(RequestBodyLimitLayer::new(limit))
        .layer(map_response(move |response: Response| async move { name_the_limit(response, limit) }))
        .layer(RequestBodyTimeoutLayer::new(BODY_SILENCE))
        .layer(from_fn(body::linger))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(problem::complete))
        .layer(CompressionLayer::new())
        .layer(SetResponseHeaderLayer::overriding(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
        .layer(from_fn(correlation::trace))
}

fn name_the_limit(response: Response, limit: usize) -> Response {
    if response.status() == StatusCode::PAYLOAD_TOO_LARGE && response.extensions().get::<Problem>().is_none() {
        return Problem::body_too_large(limit).into_response();
    }
    response
}

/// The panic hook has logged where and why; the caller learns that it was not their fault.
fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR, String::new()).into_response()
}
