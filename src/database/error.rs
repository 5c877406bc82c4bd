//! Why the store is not usable: each in one sentence that says what to do next.

use std::{io, path::PathBuf};

use sqlx::migrate::MigrateError;

use super::open::LEAST_VERSION;

#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error(
        "no PostgreSQL {LEAST_VERSION} or newer is installed here: install the package `postgresql`, or set database.url"
    )]
    NoBinaries,
    #[error(
        "{dir} was made by PostgreSQL {cluster}, and this machine has only {installed}: install PostgreSQL {cluster}, \
         move the data over with pg_upgrade, or name another data directory"
    )]
    OtherMajor { dir: PathBuf, cluster: String, installed: String },
    #[error(
        "PostgreSQL's user `{user}` cannot reach {dir}: make {barrier} searchable for it (chmod o+x), or name another \
         data directory"
    )]
    Unreachable { dir: PathBuf, barrier: PathBuf, user: String },
    #[error(
        "PostgreSQL refuses to run as root and there is neither a user `postgres` nor `nobody`: add one, or set database.url"
    )]
    NoUser,
    #[error("{dir} belongs to the user with the id {owner}: run as that user, or name another data directory")]
    ForeignOwner { dir: PathBuf, owner: u32 },
    #[error("{dir} is not empty and not a PostgreSQL data directory: move it away, or name another data directory")]
    NotACluster { dir: PathBuf },
    #[error("cannot {what} {path}: {source}; mend it, or name another data directory")]
    Files { what: &'static str, path: PathBuf, source: io::Error },
    #[error("{program} could not be run: {source}; reinstall PostgreSQL, or set database.url")]
    Program { program: PathBuf, source: io::Error },
    #[error("initdb could not make {dir}: {output}; mend that and start again")]
    Init { dir: PathBuf, output: String },
    #[error("PostgreSQL did not start on {dir}: {output}; the whole story is in {log}")]
    Start { dir: PathBuf, output: String, log: PathBuf },
    #[error("another process is still starting or stopping PostgreSQL on {dir}: wait for it, or end it")]
    Busy { dir: PathBuf },
    #[error("database.url is not a PostgreSQL address: {0}; it looks like postgres://user:password@host:5432/name")]
    Url(#[source] sqlx::Error),
    #[error("cannot reach the database at {address}: {source}; start it, or correct database.url")]
    Connect { address: String, source: sqlx::Error },
    #[error("the database at {address} is PostgreSQL {version}: version {LEAST_VERSION} or newer is needed")]
    TooOld { address: String, version: String },
    #[error("the database schema lacks {pending} migration(s) of this version: run `kopru migrate`")]
    Behind { pending: usize },
    #[error(
        "migration {version} was applied with another text than this binary holds: install the version that made this \
         database, or restore a backup"
    )]
    Changed { version: i64 },
    #[error("the migration failed and was undone: {0}; mend the cause and run `kopru migrate`")]
    Migrate(#[from] MigrateError),
    #[error("the database answered: {0}")]
    Query(#[from] sqlx::Error),
}

impl DatabaseError {
    /// Whether the configuration has to change, rather than the world around it.
    pub fn is_usage(&self) -> bool {
        matches!(self, DatabaseError::Url(_))
    }
}
