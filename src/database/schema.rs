//! The schema's version: bringing it up to date, and seeing how it stands.

use std::{collections::BTreeMap, sync::LazyLock};

use sqlx::{
    Connection, PgPool,
    migrate::{MigrateError, Migrator},
};

/// Every migration, compiled in. Forward-only: one that has landed is never edited.
pub static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = sqlx::migrate!("./migrations");
    // A schema of a newer binary is not an error: migrations let the previous one run.
    migrator.set_ignore_missing(true);
    migrator
});

/// Brings the schema up to this binary. sqlx holds an advisory lock meanwhile, so any number of processes may call it.
pub async fn migrate(pool: &PgPool) -> Result<(), MigrateError> {
    // A connection of its own: when a migration fails the lock is still held, and must go with the connection.
    let mut connection = pool.acquire().await?.detach();
    let outcome = MIGRATOR.run(&mut connection).await;
    let closed = connection.close().await;
    outcome?;
    Ok(closed?)
}

/// How the schema stands to the migrations of this binary.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SchemaState {
    pub applied: usize,
    pub pending: Vec<i64>,
    /// Applied with another text than this binary holds.
    pub changed: Vec<i64>,
    /// Applied by a newer binary.
    pub newer: Vec<i64>,
}

// Without the macros: the table is sqlx's own, made by the first migration run and not by a file of ours.
pub async fn schema_state(pool: &PgPool) -> Result<SchemaState, sqlx::Error> {
    let exists: bool = sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null").fetch_one(pool).await?;
    let mut applied: BTreeMap<i64, Vec<u8>> = BTreeMap::new();
    if exists {
        applied.extend(
            sqlx::query_as::<_, (i64, Vec<u8>)>("select version, checksum from _sqlx_migrations where success")
                .fetch_all(pool)
                .await?,
        );
    }
    let mut state = SchemaState { applied: applied.len(), ..SchemaState::default() };
    for migration in MIGRATOR.iter() {
        match applied.remove(&migration.version) {
            None => state.pending.push(migration.version),
            Some(checksum) if checksum != *migration.checksum => state.changed.push(migration.version),
            Some(_) => {}
        }
    }
    state.newer = applied.into_keys().collect();
    Ok(state)
}
