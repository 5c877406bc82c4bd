//! Listeners, connections and their end.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::ConnectInfo};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{
    access::Gate,
    health::Readiness,
    rate_limit::RateLimiter,
    router::{self, Catalogue, HttpState, PublicState, Settings},
};
use crate::identity::{
    api_keys::{FRESH, KeyRing},
    uses::UseCounter,
};

/// A caller that has not sent its headers by then is let go; also how long an idle connection is kept.
const HEADERS_WITHIN: Duration = Duration::from_secs(30);
/// Histograms collect samples until they are drained, by a scrape or by this; limits follow the number of daemons.
const UPKEEP: Duration = Duration::from_secs(5);

/// Times that the gate goes by.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// How old an answer about a key may be: within this time a revocation holds.
    pub fresh_keys: Duration,
    /// How long a twin waits for the first request with its `Idempotency-Key`.
    pub twins: Duration,
}

impl Default for Waits {
    fn default() -> Waits {
        Waits { fresh_keys: FRESH, twins: Duration::from_secs(10) }
    }
}

pub struct Server {
    state: HttpState,
    settings: Settings,
    waits: Waits,
    catalogue: Catalogue,
    routes: Router,
    ops: Option<TcpListener>,
}

impl Server {
    pub fn new(state: HttpState, settings: Settings) -> Server {
        let catalogue = Catalogue::plain(state.pool.clone());
        Server { state, settings, waits: Waits::default(), catalogue, routes: Router::new(), ops: None }
    }

    /// Further routes, inside the same layers.
    pub fn routes(self, more: Router) -> Server {
        Server { routes: self.routes.merge(more), ..self }
    }

    /// Another catalogue than one that keeps nothing beyond the process.
    pub fn catalogue(self, catalogue: Catalogue) -> Server {
        Server { catalogue, ..self }
    }

    /// Other times than the usual ones.
    pub fn waits(self, waits: Waits) -> Server {
        Server { waits, ..self }
    }

    /// A second listener with `/health/*` and `/metrics` alone. It answers until the last request is finished, so
    /// that whoever watches sees the shutdown instead of a refused connection.
    pub fn ops(self, listener: Option<TcpListener>) -> Server {
        Server { ops: listener, ..self }
    }

    /// Serves until `shutdown`, then takes no more connections, finishes what is in hand within
    /// [`Settings::drain`], and returns.
    pub async fn run(self, listener: TcpListener, shutdown: CancellationToken) {
        let Server { state, settings, waits, catalogue, routes, ops } = self;
        let drained = CancellationToken::new();
        let readiness = Arc::new(Readiness::new(state.pool.clone(), state.probes.clone(), shutdown.clone()));
        let known = PublicState::new(state.clone(), readiness, catalogue);
        let gate = Arc::new(gate(&state, &settings, waits));
        let ops_router = router::ops(known.clone(), &settings);
        let public = router::public(known, &settings, gate.clone(), routes);

        let watching = async {
            if let Some(ops) = ops {
                serve(ops, ops_router, drained.clone(), Duration::from_secs(1)).await;
            }
        };
        let serving = async {
            serve(listener, public, shutdown, settings.drain).await;
            drained.cancel();
        };
        let counting = gate.uses.run(drained.clone());
        let upkeep = async {
            let mut ticks = interval(UPKEEP);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                state.metrics.run_upkeep();
                gate.limits.forget();
                match state.probes.live_daemons().await {
                    Ok(alive) => gate.limits.set_daemons(alive),
                    Err(error) => tracing::debug!(%error, "the live daemons are unknown; this one keeps its share"),
                }
            }
        };
        tokio::select! {
            _ = async { tokio::join!(serving, watching, counting) } => {}
            () = upkeep => {}
        }
    }
}

fn gate(state: &HttpState, settings: &Settings, waits: Waits) -> Gate {
    Gate {
        pool: state.pool.clone(),
        people: state.people.clone(),
        keys: KeyRing::new(state.pool.clone(), state.clock.clone()).remembering(waits.fresh_keys),
        uses: UseCounter::new(state.pool.clone(), state.clock.clone()),
        limits: RateLimiter::new(settings.rate_limits.clone()),
        in_hand: Arc::default(),
        twins_wait: waits.twins,
        trusted_proxies: settings.trusted_proxies.clone(),
    }
}

async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken, drain: Duration) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(connection(stream, peer, router.clone(), shutdown.clone()));
                }
                Err(error) if concerns_one_connection(&error) => {}
                // Out of file descriptors or memory: taking the next one at once would only spin.
                Err(error) => {
                    tracing::error!(%error, "connections cannot be accepted at the moment");
                    sleep(Duration::from_millis(200)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    let finished = timeout(drain, async { while connections.join_next().await.is_some() {} }).await;
    if finished.is_err() {
        tracing::warn!(connections = connections.len(), "requests were broken off: the time to finish them is over");
        connections.shutdown().await;
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, router: Router, shutdown: CancellationToken) {
    // Answers are written whole; waiting for more to send with them only adds latency.
    let _ = stream.set_nodelay(true);
    let service = router.map_request(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "a connection ended early");
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
