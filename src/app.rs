//! The composition root: the only file that sees every room.
//!
//! A command opens the app, works, and closes it. Closing is what stops a private server that nobody else uses.

use std::{collections::BTreeMap, sync::Arc};

use kopru_sdk::{Connector, Descriptor, settings::unknown_key};

use crate::{
    clock::Clock,
    config::{Config, ConfigError, Problem},
    database::{Database, DatabaseError},
};

/// Every connector of this build.
pub use kopru_bundle::CONNECTORS;

/// Why the app could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

pub struct App {
    pub config: Arc<Config>,
    pub clock: Clock,
    pub database: Database,
}

impl App {
    /// Opens the database with a schema that fits this binary.
    pub async fn open(config: Config, clock: Clock) -> Result<App, AppError> {
        let database = Database::open(&config).await?;
        Ok(App { config: Arc::new(config), clock, database })
    }

    pub async fn close(self) {
        self.database.close().await;
    }
}

/// Builds every enabled instance of the configuration; reports everything that is wrong with any of them.
pub fn connectors(
    config: &Config,
    descriptors: &[Descriptor],
) -> Result<BTreeMap<String, Arc<dyn Connector>>, ConfigError> {
    let mut built = BTreeMap::new();
    let mut problems = Vec::new();
    for (name, connector) in config.connectors.iter().filter(|(_, connector)| connector.enabled) {
        let path = format!("connectors.{name}");
        let Some(descriptor) = descriptors.iter().find(|descriptor| descriptor.kind == connector.kind) else {
            let kinds: Vec<&str> = descriptors.iter().map(|descriptor| descriptor.kind).collect();
            let text = format!("`{}`: {}", connector.kind, unknown_key(&connector.kind, &kinds).replace("key", "kind"));
            problems.push(Problem { origin: None, key: format!("{path}.kind"), text });
            continue;
        };
        let Some(settings) = config.connector_settings(name) else { continue };
        match (descriptor.build)(&settings) {
            Ok(instance) => {
                built.insert(name.clone(), instance);
            }
            Err(bad) => problems.extend(bad.0.into_iter().map(|bad| {
                let top = bad.key.split('.').next().unwrap_or_default();
                let origin = connector.origins.get(top).cloned();
                let key = if bad.key.is_empty() { path.clone() } else { format!("{path}.{}", bad.key) };
                Problem { origin, key, text: bad.problem }
            })),
        }
    }
    if problems.is_empty() { Ok(built) } else { Err(ConfigError(problems)) }
}
