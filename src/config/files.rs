//! `[files.NAME]`: watched folders.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    connectors::{NAME_RULE, as_table, children, is_name},
    model::{FileFormat, FilesConfig, TakeConfig},
    problem::Problem,
    section::Section,
    tree::{Node, join},
};

const SETTLE_SECS: u64 = 5;
const EVERY_SECS: u64 = 5;
const MAX_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// Roots of LOGO's exchange files.
const ROOTS: [(&str, &str); 2] = [("ITEMS", "logo/items"), ("AR_APS", "logo/customers")];

/// One `[[files.NAME.take]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Take {
    pattern: String,
    mapping: Option<String>,
    format: Option<FileFormat>,
    encoding: Option<String>,
}

/// The mapping of an exchange file by its root element, where the configuration says nothing else.
pub fn exchange_roots() -> BTreeMap<String, String> {
    ROOTS.map(|(root, mapping)| (root.to_owned(), mapping.to_owned())).into()
}

pub(super) fn read(node: Option<Node>, problems: &mut Vec<Problem>) -> BTreeMap<String, FilesConfig> {
    let mut folders = BTreeMap::new();
    for (name, node) in children(node, "files", "[files.NAME]", problems) {
        let path = join("files", &name);
        if !is_name(&name) {
            problems.push(Problem { origin: Some(node.origin), key: path, text: NAME_RULE.to_owned() });
            continue;
        }
        let Some(table) = as_table(node, &path, problems) else { continue };
        if let Some(folder) = folder(Section::new(path, table, problems)) {
            folders.insert(name, folder);
        }
    }
    folders
}

fn folder(mut section: Section<'_>) -> Option<FilesConfig> {
    let enabled = section.optional("enabled").unwrap_or(true);
    let dir: Option<String> = section.value("dir");
    let instance: Option<String> = section.value("instance");
    let settle_secs = section.optional("settle_secs").unwrap_or(SETTLE_SECS);
    let every_secs = section.optional("every_secs").unwrap_or(EVERY_SECS);
    let max_bytes = section.optional("max_bytes").unwrap_or(MAX_BYTES);
    let takes: Option<Vec<Take>> = section.optional("take");
    let roots: Option<BTreeMap<String, String>> = section.optional("roots");
    section.require("dir", dir.as_deref() != Some(""), "must name a directory");
    let named = instance.as_deref().is_none_or(is_name);
    section.require("instance", named, "must be the name of a [connectors.NAME], as in logo");
    section.require("every_secs", every_secs > 0, "must be at least 1");
    section.require("max_bytes", max_bytes > 0, "must be at least 1");
    let takes = match takes {
        // Without any, every XML file is taken for what its root element says.
        None => vec![Take { pattern: "*.xml".to_owned(), mapping: None, format: None, encoding: None }],
        Some(takes) => takes,
    };
    section.require("take", !takes.is_empty(), "must hold at least one pattern, or be left out");
    let takes: Vec<TakeConfig> = takes.into_iter().filter_map(|take| checked(&mut section, take)).collect();
    let roots = roots.unwrap_or_else(exchange_roots);
    section.require("roots", !roots.values().any(String::is_empty), "must name a mapping for each, as in logo/items");
    section.finish();
    Some(FilesConfig {
        enabled,
        dir: dir?.into(),
        instance: instance?,
        settle_secs,
        every_secs,
        max_bytes,
        takes,
        roots,
    })
}

fn checked(section: &mut Section<'_>, take: Take) -> Option<TakeConfig> {
    let Take { pattern, mapping, format, encoding } = take;
    let wrong = if pattern.is_empty() || pattern.contains(['/', '\\']) {
        Some(format!("`{pattern}` is no pattern of a file's name, as in ITEMS*.xml"))
    } else if format.or_else(|| FileFormat::by_ending(&pattern)).is_none() {
        Some(format!("`{pattern}` does not say what its files are: add format = \"xml\" or \"csv\""))
    } else if mapping.as_deref() == Some("") {
        Some(format!("`{pattern}` must name a mapping, as in logo/items"))
    } else if mapping.is_none() && format.or_else(|| FileFormat::by_ending(&pattern)) == Some(FileFormat::Csv) {
        Some(format!("`{pattern}` needs a mapping, as in csv/products: a list does not say what it holds"))
    } else {
        encoding.as_deref().and_then(|label| wrong_encoding(&pattern, label))
    };
    match wrong {
        Some(text) => {
            section.wrong("take", text);
            None
        }
        None => Some(TakeConfig { pattern, mapping, format, encoding }),
    }
}

fn wrong_encoding(pattern: &str, label: &str) -> Option<String> {
    const KNOWN: [&str; 4] = ["utf-8", "windows-1254", "iso-8859-9", "windows-1252"];
    let known = KNOWN.contains(&label.to_ascii_lowercase().as_str());
    (!known).then(|| format!("`{pattern}`: the encoding `{label}` is none of {}", KNOWN.join(", ")))
}
