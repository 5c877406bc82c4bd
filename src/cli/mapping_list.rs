//! `kopru mapping list`: every mapping, and where it is in force.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use super::{failure::Failure, logging::Voice, output, run::Global};
use crate::{
    app::AppError,
    config::Config,
    database::{Database, Home},
    hub::mappings::{
        InForce, Shelf, overlay,
        state::{self, DaemonMappings},
        system_of,
    },
    mapping::Library,
};

/// A mapping as the files have it, when they are sound, and as the daemons hold it.
struct Row {
    name: String,
    entity: String,
    hash: Option<String>,
    /// `built in`, or the directory.
    source: Option<String>,
    tables: Vec<String>,
}

pub(super) async fn run(global: &Global) -> Result<(), Failure> {
    let config = global.load(Voice::Command)?;
    // With an edit that nobody takes over, what the daemons work by is worth the more to see.
    let dir = Some(config.mappings.dir.as_path()).filter(|dir| dir.is_dir());
    let (library, problems) = Library::inspect_in_force(dir);
    let problem = (!problems.is_empty()).then(|| AppError::Mappings(problems).to_string());
    let shelf = Shelf::new(Arc::new(library));
    let none_yet = config.data.absolute().is_ok_and(|dir| Home::existing(&dir).is_none());
    let daemons = match config.database.url.is_none() && none_yet {
        true => Vec::new(),
        false => daemons(&config, &shelf).await?,
    };
    let rows = rows(&shelf, &daemons);
    if global.json {
        let items: Vec<_> = rows.iter().map(|row| item(row, &daemons)).collect();
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
        return output::print_json(
            &json!({ "items": items, "daemons": daemons, "problem": problem, "nextCursor": null }),
        );
    }
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let hash = row.hash.as_deref().map_or("-", |hash| &hash[..hash.len().min(12)]);
            let source = row.source.clone().unwrap_or_else(|| "-".to_owned());
            vec![row.name.clone(), row.entity.clone(), hash.to_owned(), source, state_of(row, &daemons)]
        })
        .collect();
    output::print(&output::table(&["MAPPING", "ENTITY", "HASH", "FROM", "STATE"], &cells))?;
    for daemon in &daemons {
        if let Some(error) = &daemon.error {
            output::print(&format!("{}:{} has not taken over the last edit: {error}", daemon.host, daemon.pid))?;
        }
    }
    if let Some(problem) = problem {
        eprintln!("kopru: {problem}");
    }
    Ok(())
}

fn rows(shelf: &Shelf, daemons: &[DaemonMappings]) -> Vec<Row> {
    let now = shelf.now();
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for mapping in now.iter() {
        let row = Row {
            name: mapping.name().to_owned(),
            entity: mapping.entity().to_string(),
            hash: Some(mapping.hash().to_owned()),
            source: Some(source_of(&now, mapping.name())),
            tables: mapping.tables().into_iter().map(str::to_owned).collect(),
        };
        rows.insert(row.name.clone(), row);
    }
    for mapping in now.library().outbounds() {
        let row = Row {
            name: mapping.name().to_owned(),
            entity: mapping.told().as_str().to_owned(),
            hash: Some(mapping.hash().to_owned()),
            source: Some(source_of(&now, mapping.name())),
            tables: Vec::new(),
        };
        rows.insert(row.name.clone(), row);
    }
    for (name, held) in daemons.iter().flat_map(|daemon| &daemon.mappings) {
        rows.entry(name.clone()).or_insert_with(|| Row {
            name: name.clone(),
            entity: held.entity.clone(),
            hash: None,
            source: None,
            tables: Vec::new(),
        });
    }
    rows.into_values().collect()
}

fn source_of(in_force: &InForce, mapping: &str) -> String {
    let own = in_force.library().own().get(system_of(mapping));
    own.cloned().unwrap_or_else(|| "built in".to_owned())
}

fn item(row: &Row, daemons: &[DaemonMappings]) -> Value {
    let held = daemons.iter().map(|daemon| {
        let hash = daemon.mappings.get(&row.name).map(|held| &held.hash);
        json!({
            "daemon": daemon.daemon, "host": daemon.host, "pid": daemon.pid, "hash": hash,
            "current": hash.is_some() && hash == row.hash.as_ref(),
        })
    });
    json!({
        "name": row.name, "entity": row.entity, "hash": row.hash, "source": row.source, "tables": row.tables,
        "inForce": held.collect::<Vec<_>>(),
    })
}

fn state_of(row: &Row, daemons: &[DaemonMappings]) -> String {
    let holds = |daemon: &&DaemonMappings| daemon.mappings.get(&row.name).map(|held| &held.hash) == row.hash.as_ref();
    match (&row.hash, daemons.len(), daemons.iter().filter(holds).count()) {
        (_, 0, _) => "no daemon is up".to_owned(),
        (None, ..) => "in force, but not in the files".to_owned(),
        (_, all, current) if all == current => "in force".to_owned(),
        (_, all, current) => format!("in force in {current} of {all} daemons"),
    }
}

async fn daemons(config: &Config, shelf: &Shelf) -> Result<Vec<DaemonMappings>, Failure> {
    let database = Database::open(config).await?;
    let listed = async {
        overlay::refresh(&database.pool, shelf).await?;
        state::list(&database.pool, config.retry.lease()).await
    }
    .await;
    database.close().await;
    Ok(listed?)
}
