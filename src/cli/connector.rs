//! `kopru connector …`: the systems, and reading what was recorded of them.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use kopru_sdk::{Cause, Connector, Ctx, Descriptor, Operation, Recorded, Settings, settings::unknown_key};
use serde_json::{Value, json};

use super::{failure::Failure, logging::Voice, output, run::Global};
use crate::{
    app,
    clock::Clock,
    config::Config,
    database::{Database, Home},
    hub::{
        breaker,
        checkup::{self, Reach},
        files::{
            self,
            folder::format_by_ending,
            recorded::{KeptFile, begins_as_xml},
        },
        mappings::{InForce, Shelf},
        reading, streams,
    },
    mapping::Format,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// The configured systems with their streams and state, and every kind that there is
    List,
    /// Ask a configured system whether it answers and takes the credentials
    Check {
        /// Instance, as `kopru connector list` shows it
        name: String,
    },
    /// Read a recorded answer, webhook body or file as the connector would, without network or database
    Read(ReadArgs),
}

#[derive(Debug, Args)]
pub(super) struct ReadArgs {
    /// A kind (`logo`) or a configured instance
    connector: String,
    /// What was asked: `items`, `token` … (`kopru connector list` shows them); `file` for what a watched folder takes
    operation: String,
    /// The body as it came, or a recorded answer {"status", "contentType", "body" or "text"}, or an XML exchange file or a
    /// CSV list; `-` is standard input
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Status of the answer [default: the recorded one, else 200]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(100..=599))]
    status: Option<u16>,
    /// Its Content-Type [default: the recorded one, else none]
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// The mapping of its records [default: the one of the operation; of a file, as `[files]` or its root element says]
    #[arg(long, value_name = "NAME")]
    mapping: Option<String>,
    /// When it came (RFC 3339) [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<DateTime<Utc>>,
}

pub(super) async fn connector(global: &Global, command: Command) -> Result<(), Failure> {
    let config = global.load(Voice::Command)?;
    match command {
        Command::List => list(global, &config).await,
        Command::Check { name } => check(global, &config, &name).await,
        Command::Read(args) => read(&config, args),
    }
}

/// A connector of that kind that calls nobody.
fn offline(descriptor: &Descriptor) -> Result<Arc<dyn Connector>, Failure> {
    let settings =
        Settings { instance: descriptor.kind.to_owned(), values: (descriptor.offline)(), dir: PathBuf::new() };
    (descriptor.build)(&settings).map_err(|bad| Failure::Failed(bad.to_string()))
}

/// The store, when there is one already.
async fn store(config: &Config) -> Option<Database> {
    let none_yet = config.data.absolute().is_ok_and(|dir| Home::existing(&dir).is_none());
    if config.database.url.is_none() && none_yet {
        return None;
    }
    match Database::open(config).await {
        Ok(database) => Some(database),
        Err(error) => {
            eprintln!("kopru: the state is not shown: {error}");
            None
        }
    }
}

fn operations_json(operations: &[Operation]) -> Vec<Value> {
    operations.iter().map(|one| json!({ "name": one.name, "what": one.what, "mapping": one.mapping })).collect()
}

async fn list(global: &Global, config: &Config) -> Result<(), Failure> {
    let database = store(config).await;
    let listed = gather(config, database.as_ref()).await;
    if let Some(database) = database {
        database.close().await;
    }
    let (items, kinds) = listed?;
    if global.json {
        return output::print_json(&json!({ "items": items, "kinds": kinds, "nextCursor": null }));
    }
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut rows = Vec::new();
    for item in &items {
        for stream in item["streams"].as_array().into_iter().flatten() {
            let paused = stream["pausedReason"].as_str().map(|reason| format!("paused: {reason}"));
            rows.push(vec![
                text(&item["name"]),
                text(&item["kind"]),
                text(&item["breaker"]["state"]),
                text(&stream["name"]),
                text(&stream["mapping"]),
                paused.unwrap_or_else(|| if stream["enabled"] == true { "polled" } else { "off" }.to_owned()),
            ]);
        }
    }
    if rows.is_empty() {
        output::print("no system is configured: add a [connectors.NAME] block to config.toml")?;
    } else {
        output::print(&output::table(&["NAME", "KIND", "BREAKER", "STREAM", "MAPPING", "STATE"], &rows))?;
    }
    for kind in &kinds {
        let names = kind["operations"].as_array().into_iter().flatten().map(|one| text(&one["name"]));
        output::print(&format!("kind {} reads: {}", text(&kind["kind"]), names.collect::<Vec<_>>().join(", ")))?;
    }
    Ok(())
}

async fn gather(config: &Config, database: Option<&Database>) -> Result<(Vec<Value>, Vec<Value>), Failure> {
    let (breakers, rows) = match database {
        Some(database) => (breaker::list(&database.pool).await?, streams::list(&database.pool).await?),
        None => (Vec::new(), Vec::new()),
    };
    let mut items = Vec::new();
    for (name, connector) in app::connectors(config, kopru_bundle::all())? {
        let configured = config.connectors.get(&name).cloned().unwrap_or_default();
        let offered = connector.source().map(|source| source.streams()).unwrap_or_default();
        let streams: Vec<Value> = offered
            .iter()
            .map(|spec| {
                let chosen = configured.streams.get(spec.name).cloned().unwrap_or_default();
                let row = rows.iter().find(|row| row.connector == name && row.stream == spec.name);
                json!({
                    "name": spec.name, "mapping": chosen.mapping.as_deref().unwrap_or(spec.mapping),
                    "enabled": chosen.enabled, "everySecs": chosen.every_secs.unwrap_or(spec.every_secs),
                    "pausedAt": row.and_then(|row| row.paused_at),
                    "pausedReason": row.and_then(|row| row.paused_reason.clone()),
                    "lastSuccessAt": row.and_then(|row| row.last_success_at),
                    "lastError": row.and_then(|row| row.last_error.clone()),
                })
            })
            .collect();
        let found = breakers.iter().find(|breaker| breaker.connector == name);
        let breaker = match (found, database) {
            (Some(breaker), _) => json!({
                "state": breaker.state.as_str(), "openedAt": breaker.opened_at, "lastFault": breaker.last_fault,
                "lastSuccessAt": breaker.last_success_at,
            }),
            (None, Some(_)) => json!({ "state": "closed" }),
            (None, None) => Value::Null,
        };
        items.push(json!({
            "name": name, "kind": configured.kind,
            "exclusive": configured.exclusive.unwrap_or_else(|| connector.exclusive()),
            "breaker": breaker, "streams": streams, "operations": operations_json(&connector.operations()),
        }));
    }
    let mut kinds = Vec::new();
    for descriptor in kopru_bundle::all() {
        let mut operations = offline(descriptor)?.operations();
        operations.push(FILE);
        kinds.push(json!({ "kind": descriptor.kind, "operations": operations_json(&operations) }));
    }
    Ok((items, kinds))
}

async fn check(global: &Global, config: &Config, name: &str) -> Result<(), Failure> {
    let connectors = app::connectors(config, kopru_bundle::all())?;
    let Some(connector) = connectors.get(name) else {
        let known: Vec<&str> = connectors.keys().map(String::as_str).collect();
        let hint = match known[..] {
            [] => "none is configured; add a [connectors.NAME] block to config.toml".to_owned(),
            _ => unknown_key(name, &known).replace("unknown key; ", "").replace("known keys", "configured instances"),
        };
        return Err(Failure::Usage(format!("no configured system is called `{name}`: {hint}")));
    };
    let configured = config.connectors.get(name).and_then(|connector| connector.exclusive);
    let exclusive = configured.unwrap_or_else(|| connector.exclusive());
    // A seat that a daemon holds is not taken from it.
    let database = if exclusive { store(config).await } else { None };
    let pool = database.as_ref().map(|database| &database.pool);
    let reach = checkup::reach(connector.as_ref(), name, pool, Clock::system().now()).await;
    if let Some(database) = database {
        database.close().await;
    }
    let (ok, class, cause, detail, remedy) = match reach? {
        Reach::Answers => (Some(true), "ok", None, "it answers, and takes the credentials".to_owned(), None),
        Reach::Taken => {
            let detail = "it was not asked: only one process may call it, and a daemon does".to_owned();
            (
                None,
                "taken",
                None,
                detail,
                Some(format!("`kopru sync list` and `kopru connector list` show how {name} does")),
            )
        }
        Reach::Silent => {
            let detail = format!("no answer within {} s", checkup::PATIENCE.as_secs());
            let remedy = "see that it is up, and reachable from this machine".to_owned();
            (Some(false), "transient", Some(Cause::Remote), detail, Some(remedy))
        }
        Reach::Fault(fault) => {
            let remedy = match fault.cause() {
                Cause::Remote => "see that it is up, and reachable from this machine".to_owned(),
                Cause::Credential => {
                    format!("correct the credentials in [connectors.{name}], then `kopru sync resume {name}`")
                }
                _ => format!("mend it over there or in [connectors.{name}], then `kopru sync resume {name}`"),
            };
            (Some(false), fault.class(), Some(fault.cause()), fault.to_string(), Some(remedy))
        }
    };
    if global.json {
        output::print_json(&json!({
            "name": name, "ok": ok, "class": class, "cause": cause, "detail": detail, "remedy": remedy,
        }))?;
    } else {
        let remedy = remedy.map_or_else(String::new, |remedy| format!("\n{remedy}"));
        output::print(&format!("{name}: {class}: {detail}{remedy}"))?;
    }
    if ok == Some(false) { Err(Failure::Told(1)) } else { Ok(()) }
}

fn read(config: &Config, args: ReadArgs) -> Result<(), Failure> {
    // A configured instance is built with its own settings: what its site calls a passing fault is one.
    let configured = config.connectors.get(&args.connector);
    let (connector, chosen) = match (configured, kopru_bundle::find(&args.connector)) {
        (Some(instance), _) => {
            let mut built = app::connectors(config, kopru_bundle::all())?;
            match built.remove(&args.connector) {
                Some(connector) => (connector, Some(instance)),
                // It is switched off.
                None => match kopru_bundle::find(&instance.kind) {
                    Some(descriptor) => (offline(descriptor)?, Some(instance)),
                    None => return Err(Failure::Usage(format!("there is no connector of kind `{}`", instance.kind))),
                },
            }
        }
        (None, Some(descriptor)) => (offline(descriptor)?, None),
        (None, None) => {
            let mut known: Vec<&str> = kopru_bundle::all().iter().map(|descriptor| descriptor.kind).collect();
            known.extend(config.connectors.keys().map(String::as_str));
            known.sort_unstable();
            known.dedup();
            let hint = unknown_key(&args.connector, &known).replace("key", "connector");
            return Err(Failure::Usage(format!("`{}`: {hint}", args.connector)));
        }
    };
    let in_force = Shelf::new(Arc::new(app::library(config)?)).now();
    if let Some(mapping) = args.mapping.as_deref().filter(|name| in_force.get(name).is_none()) {
        let known: Vec<&str> = in_force.iter().map(|mapping| mapping.name()).collect();
        return Err(Failure::Usage(format!("`{mapping}`: {}", unknown_key(mapping, &known).replace("key", "mapping"))));
    }
    let operations = connector.operations();
    if args.operation == FILE.name {
        return read_file(config, &args, &in_force, &input(&args.input)?);
    }
    let Some(operation) = operations.iter().find(|one| one.name == args.operation) else {
        let known: Vec<&str> = operations.iter().map(|one| one.name).chain([FILE.name]).collect();
        let hint = unknown_key(&args.operation, &known).replace("key", "operation");
        return Err(Failure::Usage(format!("`{}`: {hint}", args.operation)));
    };
    let own =
        chosen.and_then(|instance| instance.streams.get(operation.name)).and_then(|stream| stream.mapping.as_deref());
    let wanted = args.mapping.as_deref().or(own).or(operation.mapping);
    let bytes = input(&args.input)?;
    if wanted.is_some() && args.status.is_none() && args.content_type.is_none() {
        match file_of(config, &args, &bytes) {
            Some(Format::Csv) => return read_file(config, &args, &in_force, &bytes),
            Some(_) => {
                let of_operation = ReadArgs { mapping: wanted.map(str::to_owned), ..args };
                return read_file(config, &of_operation, &in_force, &bytes);
            }
            None => {}
        }
    }
    let cx = Ctx { now: args.at.unwrap_or_else(|| Clock::system().now()), correlation_id: "read".to_owned() };
    let recorded = recorded(&args, bytes);
    let outcome = reading::read(&*connector, &in_force, wanted, &cx, &recorded);
    output::print_json(&outcome)
}

/// Every system may put files into a folder, whatever else it offers.
const FILE: Operation =
    Operation { name: "file", what: "an XML exchange file or a CSV list, as a watched folder takes it", mapping: None };

/// Whether it is no answer but a file: a list by its name, an exchange file by its root element.
fn file_of(config: &Config, args: &ReadArgs, bytes: &[u8]) -> Option<Format> {
    let name = file_name(&args.input);
    let folder = app::folder_for(config, &args.connector, &name);
    let kept = KeptFile { name: &name, bytes, folder: &folder, mapping: None, format: None };
    if kept.is_exchanged() {
        return Some(Format::Xml);
    }
    format_by_ending(&name).filter(|format| *format == Format::Csv)
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn read_file(config: &Config, args: &ReadArgs, in_force: &InForce, bytes: &[u8]) -> Result<(), Failure> {
    let name = file_name(&args.input);
    let folder = app::folder_for(config, &args.connector, &name);
    // A name may say nothing, `-` for one.
    let by_content = if begins_as_xml(bytes) { Format::Xml } else { Format::Csv };
    let format = Some(format_by_ending(&name).unwrap_or(by_content));
    let kept = KeptFile { name: &name, bytes, folder: &folder, mapping: args.mapping.as_deref(), format };
    output::print_json(&files::recorded::read(in_force, &kept))
}

/// More than any connector holds of an answer.
const LONGEST: u64 = (1 << 30) + 1;

fn input(path: &Path) -> Result<Vec<u8>, Failure> {
    let cannot = |error: io::Error| Failure::Failed(format!("cannot read {}: {error}", path.display()));
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        io::stdin().lock().take(LONGEST).read_to_end(&mut bytes).map_err(cannot)?;
    } else {
        File::open(path).map_err(cannot)?.take(LONGEST).read_to_end(&mut bytes).map_err(cannot)?;
    }
    Ok(bytes)
}

/// A file that says status and content type itself is an answer as the fixtures keep it; any other is a body.
fn recorded(args: &ReadArgs, bytes: Vec<u8>) -> Recorded {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Kept<'a> {
        status: u16,
        content_type: Option<String>,
        #[serde(borrow)]
        body: Option<&'a serde_json::value::RawValue>,
        text: Option<String>,
    }
    let kept: Option<(u16, Option<String>, Vec<u8>)> = match serde_json::from_slice::<Kept<'_>>(&bytes) {
        Ok(Kept { status, content_type, body: None, text: Some(text) }) => {
            Some((status, content_type, text.into_bytes()))
        }
        Ok(Kept { status, content_type, body: Some(body), text: None }) => {
            Some((status, content_type, body.get().as_bytes().to_vec()))
        }
        _ => None,
    };
    let (status, content_type, body) = kept.unwrap_or((200, None, bytes));
    Recorded {
        operation: args.operation.clone(),
        status: args.status.unwrap_or(status),
        content_type: args.content_type.clone().or(content_type),
        body: body.into(),
    }
}
