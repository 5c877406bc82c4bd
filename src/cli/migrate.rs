//! `kopru migrate`: the schema, brought up to this binary.

use serde_json::json;

use super::{failure::Failure, logging::Voice, output, run::Global};
use crate::database::{Database, DatabaseError};

pub(super) async fn migrate(global: &Global) -> Result<(), Failure> {
    let config = global.load(Voice::Command)?;
    let database = Database::connect(&config).await?;
    let outcome = database.migrate().await;
    let address = database.address();
    database.close().await;
    let applied = outcome.map_err(|error: DatabaseError| Failure::from(error))?;
    if global.json {
        return output::print_json(&json!({ "database": address, "applied": applied }));
    }
    output::print(&match applied.len() {
        0 => format!("{address} is up to date"),
        1 => format!("{address}: 1 migration applied"),
        count => format!("{address}: {count} migrations applied"),
    })
}
