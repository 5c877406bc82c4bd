//! `GET /metrics`: the process's metrics as Prometheus text.

use std::{net::SocketAddr, time::Duration};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::time::timeout;

use super::{problem::Problem, router::HttpState};

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What takes longer is left as it stands: a scrape is answered while the database is away.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) async fn show(State(state): State<HttpState>) -> Response {
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
