//! The daemon: the engine and its HTTP surface over one open app, until somebody stops it.

use std::{error::Error, io, net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    app::{App, AppError},
    database,
    http::{HttpState, OpenBreaker, Probes, Server, Settings},
    hub::{
        breaker,
        daemon::Daemon,
        engine::{Engine, EngineError},
        meters,
        states::BreakerState,
    },
    telemetry,
};

#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    #[error(transparent)]
    App(#[from] AppError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("cannot listen on {address}: {source}; choose another address with [http] listen or --listen")]
    Listen { address: SocketAddr, source: io::Error },
}

/// How long requests in hand may take when the daemon stops.
const DRAIN: Duration = Duration::from_secs(15);

/// A daemon that is serving.
#[derive(Debug)]
pub struct Running {
    pub address: SocketAddr,
    pub engine: Engine,
    daemon: Daemon,
    server: tokio::task::JoinHandle<()>,
    shutdown: CancellationToken,
}

/// Binds the listeners first, so that a taken address is told before anything is started.
pub async fn start(app: &App) -> Result<Running, DaemonError> {
    let http = &app.config.http;
    let listener = bind(http.listen).await?;
    let ops = match http.ops_listen {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    let address = listener.local_addr().map_err(|source| DaemonError::Listen { address: http.listen, source })?;
    // Before anything that counts.
    let metrics = telemetry::metrics();
    let engine = app.engine()?;
    let daemon = Daemon::start(&engine).await?;
    let shutdown = CancellationToken::new();
    let state = HttpState {
        pool: app.database.pool.clone(),
        metrics,
        probes: Arc::new(HubProbes { pool: app.database.pool.clone(), engine: engine.clone() }),
    };
    let settings = Settings { body_limit_bytes: http.body_limit_bytes, drain: DRAIN };
    let server = Server::new(state, settings).ops(ops).run(listener, shutdown.clone());
    let server = tokio::spawn(server);
    Ok(Running { address, engine, daemon, server, shutdown })
}

impl Running {
    /// Takes no more requests, finishes what is in hand, gives back what it holds.
    pub async fn stop(self) {
        self.shutdown.cancel();
        if self.server.await.is_err() {
            tracing::warn!("the HTTP server ended badly");
        }
        self.daemon.stop().await;
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, DaemonError> {
    TcpListener::bind(address).await.map_err(|source| DaemonError::Listen { address, source })
}

struct HubProbes {
    pool: PgPool,
    engine: Engine,
}

#[async_trait]
impl Probes for HubProbes {
    async fn pending_migrations(&self) -> Result<usize, Box<dyn Error + Send + Sync>> {
        Ok(database::schema_state(&self.pool).await?.pending.len())
    }

    async fn open_breakers(&self) -> Result<Vec<OpenBreaker>, Box<dyn Error + Send + Sync>> {
        let breakers = breaker::list(&self.pool).await?;
        Ok(breakers
            .into_iter()
            .filter(|breaker| breaker.state != BreakerState::Closed)
            .filter_map(|breaker| Some(OpenBreaker { since: breaker.opened_at?, connector: breaker.connector }))
            .collect())
    }

    async fn before_metrics(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(meters::show_breakers(&self.engine, &self.engine.instance_names()).await?)
    }
}
