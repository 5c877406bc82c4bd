//! `kopru mapping list`: every mapping, and where it is in force.

use serde_json::json;

use super::{failure::Failure, logging::Voice, output, run::Global};
use crate::{
    app,
    clock::Clock,
    config::Config,
    database::Home,
    hub::mappings::{
        Shelf, overlay,
        state::{self, DaemonMappings},
    },
};

pub(super) async fn run(global: &Global) -> Result<(), Failure> {
    let config = global.load(Voice::Command)?;
    let shelf = Shelf::new(std::sync::Arc::new(app::library(&config)?));
    let none_yet = config.data.absolute().is_ok_and(|dir| Home::existing(&dir).is_none());
    let daemons = match config.database.url.is_none() && none_yet {
        true => Vec::new(),
        false => daemons(config, &shelf).await?,
    };
    let now = shelf.now();
    let mapping = |mapping: &crate::mapping::Effective| {
        let held = daemons.iter().map(|daemon| {
            let hash = daemon.mappings.get(mapping.name()).map(|held| held.hash.clone());
            json!({
                "daemon": daemon.daemon, "host": daemon.host, "pid": daemon.pid, "hash": hash,
                "current": hash.as_deref() == Some(mapping.hash()),
            })
        });
        json!({
            "name": mapping.name(), "entity": mapping.entity().as_str(), "hash": mapping.hash(),
            "tables": mapping.tables(), "inForce": held.collect::<Vec<_>>(),
        })
    };
    let items: Vec<_> = now.iter().map(mapping).collect();
    if global.json {
        let daemons: Vec<_> = daemons
            .iter()
            .map(|daemon| {
                json!({
                    "daemon": daemon.daemon, "host": daemon.host, "pid": daemon.pid, "source": daemon.source,
                    "hash": daemon.hash, "overlayVersion": daemon.overlay_version,
                    "takenOverAt": daemon.taken_over_at, "error": daemon.error, "errorAt": daemon.error_at,
                })
            })
            .collect();
        return output::print_json(&json!({ "items": items, "daemons": daemons, "nextCursor": null }));
    }
    let rows: Vec<Vec<String>> = now
        .iter()
        .map(|mapping| {
            let holds = |daemon: &&DaemonMappings| {
                daemon.mappings.get(mapping.name()).is_some_and(|held| held.hash == mapping.hash())
            };
            let place = match (daemons.len(), daemons.iter().filter(holds).count()) {
                (0, _) => "no daemon is up".to_owned(),
                (all, current) if all == current => "in force".to_owned(),
                (all, current) => format!("in force in {current} of {all} daemons"),
            };
            let hash = &mapping.hash()[..mapping.hash().len().min(12)];
            vec![mapping.name().to_owned(), mapping.entity().to_string(), hash.to_owned(), place]
        })
        .collect();
    output::print(&output::table(&["MAPPING", "ENTITY", "HASH", "STATE"], &rows))?;
    for daemon in daemons.iter() {
        if let Some(error) = &daemon.error {
            output::print(&format!("{}:{} has not taken over the last edit: {error}", daemon.host, daemon.pid))?;
        }
    }
    Ok(())
}

async fn daemons(config: Config, shelf: &Shelf) -> Result<Vec<DaemonMappings>, Failure> {
    let lease = config.retry.lease();
    let app = app::App::open(config, Clock::system()).await?;
    let listed = async {
        overlay::refresh(&app.database.pool, shelf).await?;
        state::list(&app.database.pool, lease).await
    }
    .await;
    app::App::close(app).await;
    Ok(listed?)
}
