//! Which address answers what, and the layers around all of it.

use std::{
    any::Any,
    convert::Infallible,
    net::SocketAddr,
    ops::Deref,
    path::Path,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    extract::{ConnectInfo, DefaultBodyLimit, FromRef, Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::{Next, from_fn, from_fn_with_state, map_request, map_response},
    response::{IntoResponse, Response},
    routing::{Route, future::RouteFuture},
};
use hyper::body::Body as _;
use ipnet::IpNet;
use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::PgPool;
use tower::{Layer, Service};
use tower_http::{
    CompressionLevel, catch_panic::CatchPanicLayer, compression::CompressionLayer,
    decompression::RequestDecompressionLayer, limit::RequestBodyLimitLayer, timeout::RequestBodyTimeoutLayer,
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
        let reader = Reader::new(pool, allow_zero_price, api::forms()).keeping(cache_bytes - answers);
        Ok(Catalogue { reader, answers: Answers::holding(answers), media })
    }

    /// Something was changed through this process: it is shown at once.
    pub(super) async fn changed(&self) {
        self.answers.forget();
        self.reader.catch_up().await;
    }

    /// No answers are kept, and pictures in memory alone.
    pub fn plain(pool: PgPool) -> Catalogue {
        Catalogue {
            reader: Reader::new(pool, false, api::forms()),
            answers: Answers::default(),
            media: MediaStore::in_memory(),
        }
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

/// What handlers may ask for with `State`. It is cloned for each request, several times.
#[derive(Clone)]
pub(super) struct PublicState(Arc<Shown>);

pub(super) struct Shown {
    pub http: HttpState,
    pub readiness: Arc<Readiness>,
    pub catalogue: Catalogue,
}

impl PublicState {
    pub fn new(http: HttpState, readiness: Arc<Readiness>, catalogue: Catalogue) -> PublicState {
        PublicState(Arc::new(Shown { http, readiness, catalogue }))
    }
}

impl Deref for PublicState {
    type Target = Shown;

    fn deref(&self) -> &Shown {
        &self.0
    }
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
    layered(routes.merge(openapi::routes()).merge(more), settings.body_limit_bytes, Some(gate))
}

/// What the monitoring sees on a listener of its own.
pub(super) fn ops(state: PublicState, settings: &Settings) -> Router {
    let (routes, _) = health::routes().merge(metrics::routes()).with_state(state).split_for_parts();
    layered(routes, settings.body_limit_bytes, None)
}

/// The layers, from the outside in. They are one layer of the router: each of those costs every request an allocation or two.
fn layered(routes: Router, limit: usize, gate: Option<Arc<Gate>>) -> Router {
    routes.fallback(async || Problem::not_found("there is nothing at this address")).layer((
        // Our answers are lists of like items: the fastest level takes most of them away already.
        CompressionLayer::new().quality(CompressionLevel::Fastest),
        from_fn_with_state(gate, edge),
        CatchPanicLayer::custom(panicked),
        ByBody { limit },
    ))
}

/// What every request passes: its name and its line in the log, whole problems, a body that is read to its end, the gate.
async fn edge(
    State(gate): State<Option<Arc<Gate>>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    correlation::trace(request, async |request| {
        let mut response = problem::complete(request, async |request| {
            let request = body::linger(request);
            match gate {
                Some(gate) => access::guard(gate, peer, request, next).await,
                None => next.run(request).await,
            }
        })
        .await;
        response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    })
    .await
}

/// A request without a body goes straight to its route; one with a body through what bounds and unpacks it.
#[derive(Clone)]
struct ByBody {
    limit: usize,
}

#[derive(Clone)]
struct Forked {
    bare: Route,
    /// The same route behind the layers of bodies.
    bodied: Router,
}

impl Layer<Route> for ByBody {
    type Service = Forked;

    fn layer(&self, bare: Route) -> Forked {
        let limit = self.limit;
        let bodied = Router::new()
            .fallback_service(bare.clone())
            // The limits are below; axum's own would be another, smaller one.
            .layer(DefaultBodyLimit::disable())
            // Of what a body unpacks to, then of the body as it comes.
            .layer(RequestBodyLimitLayer::new(limit))
            .layer(RequestDecompressionLayer::new())
            .layer(map_request(body::name_the_encoding))
            .layer(map_response(move |response: Response| async move { name_the_refusal(response, limit) }))
            .layer(from_fn_with_state(limit, body::bounded))
            .layer(RequestBodyTimeoutLayer::new(BODY_SILENCE));
        Forked { bare, bodied }
    }
}

impl Service<Request> for Forked {
    type Response = Response;
    type Error = Infallible;
    type Future = RouteFuture<Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> RouteFuture<Infallible> {
        if request.body().is_end_stream() && !request.headers().contains_key(header::CONTENT_ENCODING) {
            self.bare.call(request)
        } else {
            self.bodied.call(request)
        }
    }
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
