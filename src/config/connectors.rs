//! `[connectors.NAME]`: the hub's own keys are taken out, the rest belongs to the connector.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::{
    model::{ConnectorConfig, StreamConfig},
    problem::Problem,
    read::time_of_day,
    section::{Section, resolve_files},
    tree::{Kind, Node, Table, join},
};

pub(super) const NAME_RULE: &str = "a name must match [a-z][a-z0-9_]*, without two underscores in a row";

/// Targets of deliveries that are no connector; breakers know both by name.
const RESERVED: [&str; 1] = ["mail"];

pub(super) fn read(node: Option<Node>, problems: &mut Vec<Problem>) -> BTreeMap<String, ConnectorConfig> {
    let mut connectors = BTreeMap::new();
    for (name, node) in children(node, "connectors", "[connectors.NAME]", problems) {
        let path = join("connectors", &name);
        if !is_name(&name) {
            problems.push(Problem { origin: Some(node.origin), key: path, text: NAME_RULE.to_owned() });
            continue;
        }
        if RESERVED.contains(&name.as_str()) {
            let text = format!("`{name}` is the name of something of the hub's own; take another");
            problems.push(Problem { origin: Some(node.origin), key: path, text });
            continue;
        }
        let Some(table) = as_table(node, &path, problems) else { continue };
        connectors.insert(name.clone(), connector(&name, table, problems));
    }
    connectors
}

fn connector(name: &str, table: Table, problems: &mut Vec<Problem>) -> ConnectorConfig {
    let path = join("connectors", name);
    let mut section = Section::new(&path, table, problems);
    let kind = section.optional("kind").unwrap_or_else(|| name.to_owned());
    let enabled = section.optional("enabled").unwrap_or(true);
    let exclusive = section.optional("exclusive");
    let master = section.optional("master");
    let send = section.optional("send");
    let streams = section.take("streams");
    section.require("kind", is_name(&kind), NAME_RULE);
    let mut rest = section.rest();

    let streams_path = join(&path, "streams");
    let header = format!("[{streams_path}.STREAM]");
    let mut origins = BTreeMap::new();
    let streams = children(streams, &streams_path, &header, problems)
        .into_iter()
        .filter_map(|(stream, node)| {
            origins.insert(join("streams", &stream), node.origin.clone());
            let path = join(&streams_path, &stream);
            let table = as_table(node, &path, problems)?;
            Some((stream, self::stream(Section::new(path, table, problems))))
        })
        .collect();

    // A system that is switched off must not stop the start because its secrets are not mounted.
    let secrets = if enabled { resolve_files(&mut rest, &path, problems) } else { BTreeSet::new() };
    origins.extend(rest.iter().map(|(key, node)| (key.clone(), node.origin.clone())));
    let settings = rest.into_iter().map(|(key, node)| (key, json(node.into_value()))).collect();
    ConnectorConfig {
        kind,
        enabled,
        exclusive,
        master,
        send,
        streams,
        settings: Json::Object(settings),
        origins,
        secrets,
    }
}

fn stream(mut section: Section<'_>) -> StreamConfig {
    let enabled = section.optional("enabled").unwrap_or(true);
    let every_secs: Option<u64> = section.optional("every_secs");
    let mut full_at: Option<String> = section.optional("full_at");
    let mapping: Option<String> = section.optional("mapping");
    section.require("every_secs", every_secs != Some(0), "must be at least 1");
    if let Some(text) = full_at.as_deref().filter(|text| !text.is_empty()) {
        match time_of_day(text) {
            Ok(time) => full_at = Some(time),
            Err(why) => section.wrong("full_at", why),
        }
    }
    section.require("mapping", mapping.as_deref() != Some(""), "must name a mapping, as in logo/items");
    let sweep: Option<String> = section.optional("sweep");
    let known = sweep.as_deref().is_none_or(|word| matches!(word, "auto" | "ask" | "off"));
    section.require("sweep", known, "must be auto, ask or off");
    let sweep_guard_percent: Option<u32> = section.optional("sweep_guard_percent");
    let in_bounds = sweep_guard_percent.is_none_or(|percent| percent <= 100);
    section.require("sweep_guard_percent", in_bounds, "must be between 0 and 100");
    section.finish();
    StreamConfig { enabled, every_secs, full_at, mapping, sweep, sweep_guard_percent }
}

pub(super) fn children(node: Option<Node>, path: &str, header: &str, problems: &mut Vec<Problem>) -> Table {
    match node {
        None => Table::new(),
        Some(Node { kind: Kind::Table(table), .. }) => table,
        Some(Node { origin, .. }) => {
            let text = format!("must be a table of tables: {header}");
            problems.push(Problem { origin: Some(origin), key: path.to_owned(), text });
            Table::new()
        }
    }
}

pub(super) fn as_table(node: Node, path: &str, problems: &mut Vec<Problem>) -> Option<Table> {
    match node.kind {
        Kind::Table(table) => Some(table),
        Kind::Leaf(_) => {
            let text = format!("must be a table: [{path}]");
            problems.push(Problem { origin: Some(node.origin), key: path.to_owned(), text });
            None
        }
    }
}

/// `__` separates the words of an environment variable, so a name cannot contain it.
pub(super) fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !name.contains("__")
        && !name.ends_with('_')
}

fn json(value: toml::Value) -> Json {
    match value {
        toml::Value::String(text) => Json::String(text),
        toml::Value::Integer(number) => Json::Number(number.into()),
        // TOML's nan and inf have no counterpart.
        toml::Value::Float(number) => serde_json::Number::from_f64(number).map_or(Json::Null, Json::Number),
        toml::Value::Boolean(flag) => Json::Bool(flag),
        toml::Value::Datetime(time) => Json::String(time.to_string()),
        toml::Value::Array(items) => Json::Array(items.into_iter().map(json).collect()),
        toml::Value::Table(table) => Json::Object(table.into_iter().map(|(key, item)| (key, json(item))).collect()),
    }
}
