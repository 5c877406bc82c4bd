//! What `kopru doctor` asks of the engine's tables and of the systems themselves. Only when asked: some of it counts
//! whole tables.

use std::time::Duration;

use chrono::{DateTime, Utc};
use kopru_sdk::{Connector, Ctx, Fault};
use sqlx::PgPool;
use uuid::Uuid;

use super::{
    breaker::{self, Breaker},
    daemons, dead_letters,
    deliveries::targets::{self, TargetRow},
    leases,
    mappings::{state, unmapped},
    messages,
    retention::{self, Partitions},
    scheduler::connector_lease,
    states::BreakerState,
    streams::{self, StreamRow},
    sweeps,
};
use crate::audit::verify::{self, Unsealed};

/// How the hub stands.
#[derive(Debug, Clone)]
pub struct Checkup {
    pub daemons: i64,
    pub partitions: Partitions,
    /// Of any connector, configured or not.
    pub open_breakers: Vec<Breaker>,
    pub paused: Vec<StreamRow>,
    pub queued: Vec<messages::OpenCount>,
    pub letters: Vec<dead_letters::OpenCount>,
    pub targets: Vec<TargetRow>,
    /// Sweeps that wait for a person.
    pub asking: Vec<sweeps::Asking>,
    pub events: i64,
    /// Daemons that have not taken over the last edit of the mapping files, and why.
    pub mappings_refused: Vec<state::DaemonMappings>,
    /// Codes that wait for an answer, by instance.
    pub unmapped: Vec<(String, i64)>,
    /// Audit rows without a seal.
    pub unsealed: Unsealed,
}

/// `now` by the database's clock; `lease` is how long a daemon may be silent and still counts.
pub async fn look(
    pool: &PgPool,
    now: DateTime<Utc>,
    lease: Duration,
    payload_days: u32,
    history_days: u32,
) -> Result<Checkup, sqlx::Error> {
    Ok(Checkup {
        daemons: daemons::alive(pool, lease).await?,
        partitions: retention::partitions_at(pool, now, payload_days, history_days).await?,
        open_breakers: breaker::list(pool)
            .await?
            .into_iter()
            .filter(|breaker| breaker.state != BreakerState::Closed)
            .collect(),
        paused: streams::list(pool).await?.into_iter().filter(|stream| stream.paused_at.is_some()).collect(),
        queued: messages::open_counts(pool).await?,
        letters: dead_letters::open_counts(pool).await?,
        targets: targets::list(pool).await?,
        asking: sweeps::asking(pool).await?,
        events: sqlx::query_scalar!(r#"select count(*) as "n!" from hub.outbox_event"#).fetch_one(pool).await?,
        mappings_refused: state::list(pool, lease).await?.into_iter().filter(|one| one.error.is_some()).collect(),
        unmapped: unmapped::open_counts(pool).await?,
        unsealed: verify::unsealed(pool).await?,
    })
}

/// What came of asking a system.
#[derive(Debug)]
pub enum Reach {
    Answers,
    /// Only one process may call it, and another one does.
    Taken,
    /// No answer within [`PATIENCE`].
    Silent,
    Fault(Fault),
}

/// How long a system may take to answer.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Asks a system by its connector's own check and signs out again. `store`: where to take the lease of an instance that
/// only one process may call.
pub async fn reach(
    connector: &dyn Connector,
    name: &str,
    store: Option<&PgPool>,
    now: DateTime<Utc>,
) -> Result<Reach, sqlx::Error> {
    let owner = Uuid::now_v7();
    let lease = connector_lease(name);
    if let Some(pool) = store
        && !leases::acquire(pool, &lease, owner, PATIENCE * 2).await?
    {
        return Ok(Reach::Taken);
    }
    let cx = Ctx { now, correlation_id: format!("doctor-{owner}") };
    let reach = match tokio::time::timeout(PATIENCE, connector.check(&cx)).await {
        Ok(Ok(())) => Reach::Answers,
        Ok(Err(fault)) => Reach::Fault(fault),
        Err(_) => Reach::Silent,
    };
    // A seat that stays taken for want of a goodbye comes free by itself.
    let _ = tokio::time::timeout(Duration::from_secs(3), connector.close(&cx)).await;
    if let Some(pool) = store {
        leases::release(pool, &lease, owner).await?;
    }
    Ok(reach)
}
