//! The store: connection pools, migrations, and the private PostgreSQL of an installation without `database.url`.

use sqlx::{PgPool, migrate::Migrator};

/// Every migration, compiled in. Forward-only: one that has landed is never edited.
pub static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// Brings the schema up to this binary. sqlx holds an advisory lock meanwhile, so any number of processes may call it.
pub async fn migrate(pool: &PgPool) -> Result<(), sqlx::migrate::MigrateError> {
    MIGRATOR.run(pool).await
}
