//! Which address answers what, and the layers around all of it.

use std::{any::Any, path::Path, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRef},
    http::{HeaderValue, StatusCode, header},
    middleware::{from_fn, from_fn_with_state, map_request, map_response},
    response::{IntoResponse, Response},
};
use ipnet::IpNet;
use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::PgPool;
use tower_http::{
    CompressionLevel, catch_panic::CatchPanicLayer, compression::CompressionLayer,
    decompression::RequestDecompressionLayer, limit::RequestBodyLimitLayer, set_header::SetResponseHeaderLayer,
    timeout::RequestBodyTimeoutLayer,
};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use super::{
    access::{self, Gate},
    api::{self, Answers},
    api_key, body, correlation, health,
    health::{Probes, Readiness},
    integration, media, metrics,
    openapi::{self, Base},
    problem::{self, Problem},
    rate_limit::RateLimits,
};
use crate::{
    clock::Clock,
    commerce::{catalogue::Reader, orders::OrderRules},
    hub::engine::Engine,
    identity::people::People,
    media::{MediaError, MediaStore},
};

#[derive(Clone)]
pub struct HttpState {
    pub engine: Engine,
    pub pool: PgPool,
    pub clock: Clock,
    pub people: People,
    pub order_rules: OrderRules,
    /// The configuration in force, secrets masked.
    pub settings: Arc<serde_json::Value>,
    pub metrics: PrometheusHandle,
    pub probes: Arc<dyn Probes>,
}

/// What the routes of the catalogue read, and where pictures are.
#[derive(Debug, Clone)]
pub struct Catalogue {
    pub reader: Reader,
    /// Kept for a moment.
    pub answers: Answers,
    pub media: MediaStore,
}

impl Catalogue {
    /// Pictures lie in the directory; answers and their parts are kept up to so many bytes.
    pub fn open(
        pool: PgPool,
        allow_zero_price: bool,
        cache_bytes: u64,
        pictures: &Path,
    ) -> Result<Catalogue, MediaError> {
        let media = MediaStore::local(pictures)?;
        // Whole answers live a second; parts as long as they hold.
        let answers = cache_bytes / 16;
        let reader = Reader::new(pool, allow_zero_price).keeping(cache_bytes - answers, api::forms());
        Ok(Catalogue { reader, answers: Answers::holding(answers), media })
    }

    /// Something was changed through this process: it is shown at once.
    pub(super) async fn changed(&self) {
        self.answers.forget();
        self.reader.catch_up().await;
    }

    /// No answers are kept, and pictures in memory alone.
    pub fn plain(pool: PgPool) -> Catalogue {
        Catalogue { reader: Reader::new(pool, false), answers: Answers::default(), media: MediaStore::in_memory() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// A larger request body is refused with 413; of a compressed one, what it unpacks to counts as well.
    pub body_limit_bytes: usize,
    /// How long the shutdown waits for requests in hand before it breaks them off.
    pub drain: Duration,
    pub rate_limits: RateLimits,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
}

/// What handlers may ask for with `State`.
#[derive(Clone)]
pub(super) struct PublicState {
    pub http: HttpState,
    pub readiness: Arc<Readiness>,
    pub catalogue: Catalogue,
}

impl FromRef<PublicState> for HttpState {
    fn from_ref(state: &PublicState) -> HttpState {
        state.http.clone()
    }
}

impl FromRef<PublicState> for Engine {
    fn from_ref(state: &PublicState) -> Engine {
        state.http.engine.clone()
    }
}

impl FromRef<PublicState> for Arc<Readiness> {
    fn from_ref(state: &PublicState) -> Arc<Readiness> {
        state.readiness.clone()
    }
}

/// A body of which nothing arrives for this long is given up.
const BODY_SILENCE: Duration = Duration::from_secs(30);

/// Every route that the world may know. A route that is registered here is in `/openapi.json`.
pub(super) fn documented() -> OpenApiRouter<PublicState> {
    OpenApiRouter::with_openapi(Base::openapi())
        .merge(health::routes())
        .merge(metrics::routes().layer(from_fn(metrics::from_here_only)))
        .merge(api_key::routes())
        .merge(integration::routes())
        .merge(api::routes())
        .merge(media::routes())
}

/// What the world sees. `more` are the routes of the rooms around us.
pub(super) fn public(state: PublicState, settings: &Settings, gate: Arc<Gate>, more: Router) -> Router {
    let (routes, _) = documented().with_state(state).split_for_parts();
    let routes = routes.merge(openapi::routes()).merge(more);
    layered(routes, settings.body_limit_bytes, |routes| routes.layer(from_fn_with_state(gate, access::guard)))
}

/// What the monitoring sees on a listener of its own.
pub(super) fn ops(state: PublicState, settings: &Settings) -> Router {
    let (routes, _) = health::routes().merge(metrics::routes()).with_state(state).split_for_parts();
    layered(routes, settings.body_limit_bytes, |routes| routes)
}

/// The layers, from the inside out. Each one sees what those before it did.
fn layered(routes: Router, limit: usize, gate: impl FnOnce(Router) -> Router) -> Router {
    let routes = routes
        .fallback(async || Problem::not_found("there is nothing at this address"))
        // The limits are below; axum's own would be another, smaller one.
        .layer(DefaultBodyLimit::disable())
        // Of what a body unpacks to, then of the body as it comes.
        .layer(RequestBodyLimitLayer::new(limit))
        .layer(RequestDecompressionLayer::new())
        .layer(map_request(body::name_the_encoding))
        .layer(map_response(move |response: Response| async move { name_the_refusal(response, limit) }))
        .layer(from_fn_with_state(limit, body::bounded))
        .layer(RequestBodyTimeoutLayer::new(BODY_SILENCE))
        .layer(CatchPanicLayer::custom(panicked));
    gate(routes)
        .layer(from_fn(body::linger))
        .layer(from_fn(problem::complete))
        // Our answers are lists of like items: the fastest level takes most of them away already.
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        .layer(SetResponseHeaderLayer::overriding(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
        .layer(from_fn(correlation::trace))
}

/// The layers around bodies refuse without words.
fn name_the_refusal(response: Response, limit: usize) -> Response {
    if response.extensions().get::<Problem>().is_some() {
        return response;
    }
    match response.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::body_too_large(limit).into_response(),
        StatusCode::UNSUPPORTED_MEDIA_TYPE if response.headers().contains_key(header::ACCEPT_ENCODING) => {
            Problem::unknown_encoding().into_response()
        }
        _ => response,
    }
}

/// The panic hook has logged where and why; the caller learns that it was not their fault.
fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR, String::new()).into_response()
}
