//! Opening and closing the store.

use std::{str::FromStr, sync::Arc, time::Duration};

use backon::{ConstantBuilder, Retryable};
use sqlx::{
    Connection, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
};

use super::{
    embedded::{Cluster, Supervised},
    error::DatabaseError,
    schema::{SchemaState, migrate, schema_state},
};
use crate::config::Config;

/// The oldest PostgreSQL that the migrations are written for.
pub const LEAST_VERSION: u32 = 15;

const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// A database that comes up beside us (a container, a reboot) is given this many pauses.
const CONNECT_TRIES: usize = 10;
const CONNECT_PAUSE: Duration = Duration::from_millis(500);
/// A connection that was used within this time is taken to be alive; of one that lay idle longer the server is asked.
const SURELY_ALIVE: Duration = Duration::from_secs(1);

/// The open store. Close it: dropping it works as well, but then nobody waits for the connections.
#[derive(Debug)]
pub struct Database {
    pub pool: PgPool,
    options: PgConnectOptions,
    embedded: Option<Supervised>,
}

/// What every session of the program is set to.
pub fn session(options: PgConnectOptions) -> PgConnectOptions {
    options.statement_cache_capacity(512).options([
        ("timezone", "UTC"),
        ("idle_in_transaction_session_timeout", "60s"),
        // Pages look rows up by key; the default, made for turning disks, prefers reading whole tables.
        ("random_page_cost", "1.1"),
        // Statements are short, and one that may read no table through looks dear to the planner where it has to.
        ("jit", "off"),
    ])
}

impl Database {
    /// Connects (starting the private server when there is no URL) and makes sure that the schema fits: by migrating
    /// with `auto_migrate`, else by refusing one that is behind.
    pub async fn open(config: &Config) -> Result<Database, DatabaseError> {
        let database = Database::connect(config).await?;
        let fitted = match config.database.auto_migrate {
            true => database.migrate().await.map(drop),
            false => database.demand_schema().await,
        };
        if let Err(error) = fitted {
            database.close().await;
            return Err(error);
        }
        Ok(database)
    }

    /// Brings the schema up to date. Gives the versions that were applied.
    pub async fn migrate(&self) -> Result<Vec<i64>, DatabaseError> {
        let pending = self.schema().await?.pending;
        if !pending.is_empty() {
            migrate(&self.pool).await?;
            tracing::info!(migrations = pending.len(), "the database schema was brought up to date");
        }
        Ok(pending)
    }

    async fn demand_schema(&self) -> Result<(), DatabaseError> {
        match self.schema().await?.pending.len() {
            0 => Ok(()),
            pending => Err(DatabaseError::Behind { pending }),
        }
    }

    async fn schema(&self) -> Result<SchemaState, DatabaseError> {
        let state = schema_state(&self.pool).await?;
        match state.changed.first() {
            Some(&version) => Err(DatabaseError::Changed { version }),
            None => Ok(state),
        }
    }

    /// Connects without looking at the schema.
    pub async fn connect(config: &Config) -> Result<Database, DatabaseError> {
        let (options, embedded) = match &config.database.url {
            Some(url) => (PgConnectOptions::from_str(url.expose()).map_err(DatabaseError::Url)?, None),
            None => {
                let dir = config.data.absolute().map_err(|source| DatabaseError::Files {
                    what: "resolve the data directory",
                    path: config.data.dir.clone(),
                    source,
                })?;
                let cluster = Cluster::enter(dir).await?;
                (private_options(&cluster), Some(Supervised::new(cluster)))
            }
        };
        let options = session(options.application_name("kopru"));
        first_connection(&options).await?;
        let pool = PgPoolOptions::new()
            .max_connections(config.database.max_connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .test_before_acquire(false)
            .before_acquire(|connection, about| {
                Box::pin(async move {
                    if about.idle_for < SURELY_ALIVE {
                        return Ok(true);
                    }
                    connection.ping().await.map(|()| true)
                })
            })
            .connect_lazy_with(options.clone());
        Ok(Database { pool, options, embedded })
    }

    /// For a connection outside the pool.
    pub fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// The private server, when there is one.
    pub fn cluster(&self) -> Option<&Arc<Cluster>> {
        self.embedded.as_ref().map(Supervised::cluster)
    }

    /// Where the store is, without any password.
    pub fn address(&self) -> String {
        address(&self.options)
    }

    /// Waits for the connections that are in use, then leaves the private server, stopping it when nobody else uses it.
    pub async fn close(self) {
        if tokio::time::timeout(CLOSE_TIMEOUT, self.pool.close()).await.is_err() {
            tracing::warn!("some database connections were still in use when the store was closed");
        }
        if let Some(embedded) = self.embedded {
            embedded.leave().await;
        }
    }
}

fn private_options(cluster: &Cluster) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(cluster.socket_dir())
        .port(cluster.port())
        .username(super::embedded::ROLE)
        .database(super::embedded::ROLE)
        .ssl_mode(PgSslMode::Disable)
}

/// One connection by hand: it retries what may pass, tells what may not, and looks at the server's version.
async fn first_connection(options: &PgConnectOptions) -> Result<(), DatabaseError> {
    let connect = || PgConnection::connect_with(options);
    let mut connection = connect
        .retry(ConstantBuilder::default().with_delay(CONNECT_PAUSE).with_max_times(CONNECT_TRIES))
        .when(may_pass)
        .await
        .map_err(|source| DatabaseError::Connect { address: address(options), source })?;
    // Without the macros: this runs before anything is known about the server.
    let version: String = sqlx::query_scalar("show server_version").fetch_one(&mut connection).await?;
    connection.close().await?;
    let major: u32 = version.split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse().ok()).unwrap_or(0);
    if major < LEAST_VERSION {
        return Err(DatabaseError::TooOld { address: address(options), version });
    }
    Ok(())
}

fn may_pass(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        // Starting up, shutting down, or no connection free.
        sqlx::Error::Database(answer) => {
            matches!(answer.code().as_deref(), Some("57P03" | "57P01" | "57P02" | "53300"))
        }
        _ => false,
    }
}

fn address(options: &PgConnectOptions) -> String {
    let name = options.get_database().unwrap_or(options.get_username());
    match options.get_socket() {
        Some(socket) => format!("{} ({name})", socket.display()),
        None => format!("{}:{}/{name}", options.get_host(), options.get_port()),
    }
}
