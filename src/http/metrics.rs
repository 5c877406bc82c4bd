//! `GET /metrics`: the process's metrics as Prometheus text.

use std::{net::SocketAddr, time::Duration};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::time::timeout;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    openapi::ProblemDocument,
    problem::Problem,
    router::{HttpState, PublicState},
};

/// What takes longer is left as it stands: a scrape is answered while the database is away.
const PATIENCE: Duration = Duration::from_secs(1);

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new().routes(routes!(show))
}

/// The process's metrics as Prometheus text.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operations",
    operation_id = "metrics",
    responses(
        (status = 200, description = "Metrics", body = String, content_type = "text/plain; version=0.0.4"),
        (status = 403, description = "Asked neither on this machine nor on `[http] ops_listen`",
         body = ProblemDocument, content_type = "application/problem+json")
    )
)]
async fn show(State(state): State<HttpState>) -> Response {
    match timeout(PATIENCE, state.probes.before_metrics()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "metrics are shown as they stand"),
        Err(_) => tracing::debug!("metrics are shown as they stand: the database is slow"),
    }
    ([(header::CONTENT_TYPE, TEXT)], state.metrics.render()).into_response()
}

/// Lets through who sits on this machine. The operations listener has no such guard.
pub(super) async fn from_here_only(
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if peer.ip().to_canonical().is_loopback() && !was_forwarded(request.headers()) {
        return Ok(next.run(request).await);
    }
    Err(Problem::forbidden("metrics are shown on this machine and on [http] ops_listen only"))
}

/// A proxy on this machine is a loopback peer for all the world.
fn was_forwarded(headers: &HeaderMap) -> bool {
    let named = |name: &str| name == "forwarded" || name == "x-real-ip" || name.starts_with("x-forwarded-");
    headers.keys().any(|name| named(name.as_str()))
}
