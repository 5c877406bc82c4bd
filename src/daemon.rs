//! The daemon: the engine and its HTTP surface over one open app, until somebody stops it.

use std::{error::Error, io, net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::TimeDelta;
use sqlx::PgPool;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use crate::{
    app::{self, App, AppError},
    audit::sealer,
    clock::Clock,
    commerce::{products, upkeep},
    database,
    http::{Catalogue, HttpState, OpenBreaker, Probes, RateLimits, Server, Settings},
    hub::{
        breaker,
        daemon::Daemon,
        daemons,
        engine::{Engine, EngineError},
        meters,
        states::BreakerState,
    },
    identity::trim::{self, Kept},
    media::{self, MediaError, MediaStore},
    telemetry,
};

#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    #[error(transparent)]
    App(#[from] AppError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Media(#[from] MediaError),
    #[error("cannot listen on {address}: {source}; choose another address with [http] listen or --listen")]
    Listen { address: SocketAddr, source: io::Error },
}

/// How long requests in hand may take when the daemon stops.
const DRAIN: Duration = Duration::from_secs(15);

/// How long a picture stays that no product shows: whoever uploaded it may still be about to.
const PICTURES_STAY: TimeDelta = TimeDelta::days(2);
const SWEEP_EVERY: Duration = Duration::from_secs(6 * 3600);

/// A daemon that is serving.
#[derive(Debug)]
pub struct Running {
    pub address: SocketAddr,
    pub engine: Engine,
    daemon: Daemon,
    server: tokio::task::JoinHandle<()>,
    trimming: tokio::task::JoinHandle<()>,
    tending: tokio::task::JoinHandle<()>,
    sealing: tokio::task::JoinHandle<()>,
    sweeping: tokio::task::JoinHandle<()>,
    shelving: tokio::task::JoinHandle<()>,
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
    let folders = app::folders(&app.config, engine.library.now().library()).map_err(AppError::Config)?;
    let mut daemon = Daemon::start(&engine).await?;
    daemon.watch(folders);
    let people = app.people()?;
    people.check().await.map_err(AppError::Keys)?;
    let shutdown = CancellationToken::new();
    reload_on_hangup(engine.clone(), shutdown.clone());
    let state = HttpState {
        engine: engine.clone(),
        pool: app.database.pool.clone(),
        clock: app.clock.clone(),
        people: people.clone(),
        order_rules: app::order_rules(&app.config.orders),
        settings: Arc::new(app.config.masked()),
        metrics,
        probes: Arc::new(HubProbes { pool: app.database.pool.clone(), engine: engine.clone() }),
    };
    let limits = &app.config.rate_limit;
    let settings = Settings {
        body_limit_bytes: http.body_limit_bytes,
        drain: DRAIN,
        rate_limits: RateLimits {
            enabled: limits.enabled,
            per_user: limits.per_user_per_minute,
            per_api_key: limits.per_api_key_per_minute,
            per_ip: limits.per_ip_per_minute,
        },
        trusted_proxies: http.trusted_proxies.clone(),
    };
    let catalogue = Catalogue::open(
        app.database.pool.clone(),
        app.config.orders.allow_zero_price,
        app.config.catalogue.cache_mb * 1024 * 1024,
        &app.config.data.dir.join("media"),
    )?;
    let media = catalogue.media.clone();
    let reader = catalogue.reader.clone();
    let server = Server::new(state, settings).catalogue(catalogue).ops(ops).run(listener, shutdown.clone());
    let server = tokio::spawn(server);
    let kept = Kept { uses_days: app.config.retention.history_days, audit_years: app.config.retention.audit_years };
    let trimming = trim::run(app.database.pool.clone(), kept, shutdown.clone());
    let trimming = tokio::spawn(trimming);
    let tending = tokio::spawn(upkeep::run(app.database.pool.clone(), app.clock.clone(), shutdown.clone()));
    let sealing = tokio::spawn(sealer::run(app.database.pool.clone(), shutdown.clone()));
    let sweeping = sweep_pictures(media, app.database.pool.clone(), app.clock.clone(), shutdown.clone());
    let sweeping = tokio::spawn(sweeping);
    let shelving = tokio::spawn(reader.keep_shelf(shutdown.clone()));
    Ok(Running { address, engine, daemon, server, trimming, tending, sealing, sweeping, shelving, shutdown })
}

impl Running {
    /// Takes no more requests, finishes what is in hand, gives back what it holds.
    pub async fn stop(self) {
        self.shutdown.cancel();
        if self.server.await.is_err() {
            tracing::warn!("the HTTP server ended badly");
        }
        if self.trimming.await.is_err() {
            tracing::warn!("the trimming of old answers and uses ended badly");
        }
        if self.tending.await.is_err() {
            tracing::warn!("the upkeep of orders and carts ended badly");
        }
        if self.sealing.await.is_err() {
            tracing::warn!("the sealing of audit rows ended badly");
        }
        if self.sweeping.await.is_err() {
            tracing::warn!("the removal of pictures that nobody shows ended badly");
        }
        if self.shelving.await.is_err() {
            tracing::warn!("the ordering of products by their prices ended badly");
        }
        self.daemon.stop().await;
    }
}

/// Removes pictures that no product shows any more, at the start and then every six hours.
async fn sweep_pictures(media: MediaStore, pool: PgPool, clock: Clock, until: CancellationToken) {
    loop {
        let in_use = async |names: Vec<String>| products::shown_images(&pool, &names).await;
        match media::sweep(&media, clock.now() - PICTURES_STAY, in_use).await {
            Ok(0) => {}
            Ok(gone) => tracing::info!(gone, "pictures that no product shows were removed"),
            Err(error) => tracing::warn!(%error, "pictures could not be looked at; it is tried again in six hours"),
        }
        tokio::select! {
            () = tokio::time::sleep(SWEEP_EVERY) => {}
            () = until.cancelled() => return,
        }
    }
}

/// SIGHUP: the mapping files were edited and are whole.
fn reload_on_hangup(engine: Engine, until: CancellationToken) {
    match signal(SignalKind::hangup()) {
        Ok(mut hangup) => {
            tokio::spawn(async move {
                while let Some(Some(())) = until.run_until_cancelled(hangup.recv()).await {
                    engine.reload_mappings();
                }
            });
        }
        Err(error) => tracing::warn!(%error, "SIGHUP will not reload the mappings; they are looked at all the same"),
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

    async fn live_daemons(&self) -> Result<usize, Box<dyn Error + Send + Sync>> {
        Ok(usize::try_from(daemons::alive(&self.pool, self.engine.settings.lease).await?).unwrap_or(1))
    }

    async fn before_metrics(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        let mut names = self.engine.instance_names();
        names.extend(self.engine.targets.names());
        Ok(meters::show_breakers(&self.engine, &names).await?)
    }
}
