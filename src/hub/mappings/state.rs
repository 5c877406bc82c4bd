//! Which mappings each daemon works by, and why it refused the last edit: written by the daemons, read by anybody.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::shelf::InForce;
use crate::hub::leases::interval;

/// A mapping that is in force somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub entity: String,
    /// With the answers for its tables.
    pub hash: String,
}

/// What a daemon says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The directory, or `built in`.
    pub source: String,
    pub hash: String,
    pub overlay_version: i64,
    pub mappings: BTreeMap<String, Held>,
    /// Why the last edit is not in force.
    pub error: Option<String>,
}

impl State {
    pub fn of(in_force: &InForce, source: &str, error: Option<&str>) -> State {
        let held = |mapping: &crate::mapping::Effective| {
            let held = Held { entity: mapping.entity().to_string(), hash: mapping.hash().to_owned() };
            (mapping.name().to_owned(), held)
        };
        let made = in_force.library().outbounds().map(|mapping| {
            let held = Held { entity: mapping.told().as_str().to_owned(), hash: mapping.hash().to_owned() };
            (mapping.name().to_owned(), held)
        });
        State {
            source: source.to_owned(),
            hash: in_force.library().hash().to_owned(),
            overlay_version: in_force.overlay_version(),
            mappings: in_force.iter().map(held).chain(made).collect(),
            error: error.map(str::to_owned),
        }
    }
}

/// What is known of a daemon that is up.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonMappings {
    pub daemon: Uuid,
    pub host: String,
    pub pid: i32,
    pub source: String,
    pub hash: String,
    pub overlay_version: i64,
    pub mappings: BTreeMap<String, Held>,
    pub taken_over_at: DateTime<Utc>,
    pub error: Option<String>,
    pub error_at: Option<DateTime<Utc>>,
}

/// Whether a row of this daemon is there.
pub async fn is_stored<'e>(db: impl PgExecutor<'e>, daemon: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"select exists (select from hub.daemon_mapping where daemon = $1) as "stored!""#, daemon)
        .fetch_one(db)
        .await
}

/// Writes it down. Nothing is written before the daemon's own row is there: the next look comes back to it.
pub async fn store<'e>(db: impl PgExecutor<'e>, daemon: Uuid, state: &State) -> Result<(), sqlx::Error> {
    let mappings = serde_json::to_value(&state.mappings).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    sqlx::query!(
        "insert into hub.daemon_mapping as d (daemon, source, hash, overlay_version, mappings, error, error_at)
         select h.id, $2, $3, $4, $5, $6, case when $6::text is not null then clock_timestamp() end
         from hub.daemon h where h.id = $1
         on conflict (daemon) do update
         set source = excluded.source, hash = excluded.hash, overlay_version = excluded.overlay_version,
             mappings = excluded.mappings, error = excluded.error,
             error_at = case when d.error is not distinct from excluded.error then d.error_at else excluded.error_at end,
             taken_over_at = case when (d.hash, d.overlay_version) = (excluded.hash, excluded.overlay_version)
                             then d.taken_over_at else clock_timestamp() end",
        daemon,
        state.source,
        state.hash,
        state.overlay_version,
        mappings,
        state.error,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Of the daemons that have shown a heartbeat within `window`.
pub async fn list<'e>(db: impl PgExecutor<'e>, window: Duration) -> Result<Vec<DaemonMappings>, sqlx::Error> {
    let rows = sqlx::query!(
        "select m.daemon, h.host, h.pid, m.source, m.hash, m.overlay_version, m.mappings, m.taken_over_at, m.error,
                m.error_at
         from hub.daemon_mapping m join hub.daemon h on h.id = m.daemon
         where h.heartbeat_at > clock_timestamp() - $1::interval
         order by h.host, h.pid",
        interval(window),
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(DaemonMappings {
                daemon: row.daemon,
                host: row.host,
                pid: row.pid,
                source: row.source,
                hash: row.hash,
                overlay_version: row.overlay_version,
                mappings: serde_json::from_value(row.mappings).map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
                taken_over_at: row.taken_over_at,
                error: row.error,
                error_at: row.error_at,
            })
        })
        .collect()
}
