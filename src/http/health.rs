//! Is the process alive, and can it do its work?
//!
//! Not ready means: the database does not answer, its schema is not this binary's, or we are going down. A remote
//! system that is down degrades the hub and does not take it out of service, since everything else still works.

use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{Connection, PgConnection, PgPool};
use tokio::{sync::Mutex, time::timeout};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    openapi::ProblemDocument,
    problem::{FieldError, Problem},
    router::PublicState,
};

/// What the hub knows and this room does not; the composition root answers.
#[async_trait]
pub trait Probes: Send + Sync {
    /// How many migrations of this binary the database does not have yet.
    async fn pending_migrations(&self) -> Result<usize, Failure>;

    async fn open_breakers(&self) -> Result<Vec<OpenBreaker>, Failure>;

    /// How many daemons share the limits, this one included.
    async fn live_daemons(&self) -> Result<usize, Failure> {
        Ok(1)
    }

    /// Called before the metrics are shown: brings up to date what an alert must not be late with.
    async fn before_metrics(&self) -> Result<(), Failure> {
        Ok(())
    }
}

/// A remote system that is not called at the moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenBreaker {
    pub connector: String,
    pub since: DateTime<Utc>,
}

/// A probe that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(2);
/// The routes are open to all and without a rate limit: however often they are asked, the database is asked this often.
const FRESH: Duration = Duration::from_secs(1);

/// Whatever kept a probe from its answer.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The cause may name hosts and roles: it goes to the log, not to the world.
const SILENT: Findings =
    Findings::Unfit { part: "database", code: "unreachable", message: Cow::Borrowed("the database does not answer") };

pub(super) struct Readiness {
    pool: PgPool,
    probes: Arc<dyn Probes>,
    shutdown: CancellationToken,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    findings: Option<(Instant, Findings)>,
    /// A schema that fits goes on fitting this binary: asked until it does, and never again.
    migrated: bool,
    open_breakers: Vec<OpenBreaker>,
}

#[derive(Debug, Clone)]
enum Findings {
    Fit { open_breakers: Vec<OpenBreaker> },
    Unfit { part: &'static str, code: &'static str, message: Cow<'static, str> },
}

impl Findings {
    /// Nothing that would have to be said again.
    fn same_as(&self, other: &Findings) -> bool {
        match (self, other) {
            (Findings::Fit { open_breakers: one }, Findings::Fit { open_breakers: two }) => one == two,
            (Findings::Unfit { code: one, .. }, Findings::Unfit { code: two, .. }) => one == two,
            _ => false,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct Live {
    /// `live`
    status: &'static str,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Ready {
    /// `ready`, or `degraded` while a remote system is not called.
    status: &'static str,
    open_breakers: Vec<OpenBreaker>,
}

impl Readiness {
    pub(super) fn new(pool: PgPool, probes: Arc<dyn Probes>, shutdown: CancellationToken) -> Readiness {
        Readiness { pool, probes, shutdown, last: Mutex::default() }
    }

    async fn findings(&self) -> Findings {
        if self.shutdown.is_cancelled() {
            return Findings::Unfit {
                part: "shutdown",
                code: "shutting_down",
                message: "the server is going down and finishes what is in hand".into(),
            };
        }
        // Held while probing: whoever asks meanwhile waits for this answer instead of asking the database as well.
        let mut last = self.last.lock().await;
        if let Some((at, findings)) = last.findings.as_ref()
            && at.elapsed() < FRESH
        {
            return findings.clone();
        }
        let (findings, cause) = match self.probe(&mut last).await {
            Ok(findings) => (findings, String::new()),
            Err(cause) => (SILENT, cause.to_string()),
        };
        if last.findings.as_ref().is_none_or(|(_, before)| !before.same_as(&findings)) {
            match &findings {
                Findings::Fit { open_breakers } => {
                    tracing::info!(open_breakers = open_breakers.len(), "ready to serve");
                }
                Findings::Unfit { code, message, .. } => {
                    tracing::warn!(code, reason = %message, cause, "not ready to serve");
                }
            }
        }
        last.findings = Some((Instant::now(), findings.clone()));
        findings
    }

    async fn probe(&self, last: &mut Last) -> Result<Findings, Failure> {
        timeout(PATIENCE, answers(&self.pool)).await??;
        if !last.migrated {
            let pending = timeout(PATIENCE, self.probes.pending_migrations()).await??;
            if pending > 0 {
                let message = format!("{pending} migrations are missing in the database: run `kopru migrate`");
                return Ok(Findings::Unfit { part: "migrations", code: "pending", message: message.into() });
            }
            last.migrated = true;
        }
        // A report, not a condition: when it does not come (every connection is busy), the one before stands.
        if let Ok(Ok(open_breakers)) = timeout(PATIENCE, self.probes.open_breakers()).await {
            last.open_breakers = open_breakers;
        }
        Ok(Findings::Fit { open_breakers: last.open_breakers.clone() })
    }
}

/// Asks on a connection that is idle now, or on a new one: a pool that is merely busy is no reason to be unfit, and a
/// connection that broke while it was idle says nothing about the server.
async fn answers(pool: &PgPool) -> Result<(), sqlx::Error> {
    if let Some(mut idle) = pool.try_acquire()
        && idle.ping().await.is_ok()
    {
        return Ok(());
    }
    let mut fresh = PgConnection::connect_with(&pool.connect_options()).await?;
    fresh.ping().await?;
    fresh.close().await
}

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new().routes(routes!(live)).routes(routes!(ready))
}

/// The process runs and its scheduler turns; nothing else is asked, since a restart would mend nothing else.
#[utoipa::path(
    get,
    path = "/health/live",
    tag = "operations",
    responses((status = 200, description = "The process runs", body = Live))
)]
pub(super) async fn live() -> Response {
    answer(StatusCode::OK, Json(Live { status: "live" }))
}

/// Whether requests can be served: 503 for the database, its schema and a shutdown alone.
#[utoipa::path(
    get,
    path = "/health/ready",
    tag = "operations",
    responses(
        (status = 200, description = "Ready, or degraded while a remote system is not called", body = Ready),
        (status = 503, description = "Not ready", body = ProblemDocument, content_type = "application/problem+json")
    )
)]
pub(super) async fn ready(State(readiness): State<Arc<Readiness>>) -> Response {
    match readiness.findings().await {
        Findings::Fit { open_breakers } => {
            let status = if open_breakers.is_empty() { "ready" } else { "degraded" };
            answer(StatusCode::OK, Json(Ready { status, open_breakers }))
        }
        Findings::Unfit { part, code, message } => {
            let errors = vec![FieldError { field: part.to_owned(), code: code.into(), message: message.to_string() }];
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", "Not ready to serve", message)
                .with_errors(errors)
                .into_response()
        }
    }
}

fn answer(status: StatusCode, body: impl IntoResponse) -> Response {
    (status, [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], body).into_response()
}
