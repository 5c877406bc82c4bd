//! Takes typed values out of one table; what nobody took is an unknown key.

use std::collections::BTreeSet;

use kopru_sdk::settings::{Secret, unknown_key};
use serde::de::DeserializeOwned;
use toml::Value;

use super::{
    problem::{Origin, Problem},
    tree::{Kind, Node, Table, join},
};

pub(super) struct Section<'a> {
    path: String,
    table: Table,
    known: Vec<&'static str>,
    origins: Vec<(&'static str, Origin)>,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Section<'a> {
    pub fn new(path: impl Into<String>, table: Table, problems: &'a mut Vec<Problem>) -> Section<'a> {
        Section { path: path.into(), table, known: Vec::new(), origins: Vec::new(), problems }
    }

    /// The table `key` of `parent`, empty when it is not there.
    pub fn of(parent: &mut Table, key: &'static str, problems: &'a mut Vec<Problem>) -> Section<'a> {
        let table = match parent.remove(key) {
            None => Table::new(),
            Some(Node { kind: Kind::Table(table), .. }) => table,
            Some(Node { origin, .. }) => {
                problems.push(Problem {
                    origin: Some(origin),
                    key: key.to_owned(),
                    text: format!("must be a table: [{key}]"),
                });
                Table::new()
            }
        };
        Section::new(key, table, problems)
    }

    fn problem(&mut self, origin: Option<Origin>, key: &str, text: impl Into<String>) {
        let key = join(&self.path, key);
        self.problems.push(Problem { origin, key, text: text.into() });
    }

    pub fn take(&mut self, key: &'static str) -> Option<Node> {
        self.known.push(key);
        let node = self.table.remove(key)?;
        self.origins.push((key, node.origin.clone()));
        Some(node)
    }

    /// A key that may be missing.
    pub fn optional<T: DeserializeOwned>(&mut self, key: &'static str) -> Option<T> {
        let node = self.take(key)?;
        let origin = node.origin.clone();
        match node.into_value().try_into::<T>() {
            Ok(value) => Some(value),
            Err(error) => {
                let text = error.to_string();
                self.problem(Some(origin), key, text.trim().replace('\n', ", "));
                None
            }
        }
    }

    /// A key that the defaults always give.
    pub fn value<T: DeserializeOwned>(&mut self, key: &'static str) -> Option<T> {
        if !self.table.contains_key(key) {
            self.known.push(key);
            self.problem(None, key, "missing");
            return None;
        }
        self.optional(key)
    }

    /// A text that is parsed further; empty means none.
    pub fn parsed<T>(&mut self, key: &'static str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<Option<T>> {
        let text: String = self.value(key)?;
        if text.trim().is_empty() {
            return Some(None);
        }
        match parse(text.trim()) {
            Ok(value) => Some(Some(value)),
            Err(why) => {
                self.wrong(key, why);
                None
            }
        }
    }

    /// Reports a value that was taken but breaks a rule.
    pub fn wrong(&mut self, key: &'static str, text: impl Into<String>) {
        let origin = self.origins.iter().find(|(name, _)| *name == key).map(|(_, origin)| origin.clone());
        self.problem(origin, key, text);
    }

    pub fn require(&mut self, key: &'static str, holds: bool, rule: &str) {
        if !holds {
            self.wrong(key, rule);
        }
    }

    /// Everything that was not taken.
    pub fn rest(&mut self) -> Table {
        std::mem::take(&mut self.table)
    }

    /// Reports everything that was not taken.
    pub fn finish(mut self) {
        for (key, node) in self.rest() {
            let text = if self.known.is_empty() {
                "this section has no keys in this version".to_owned()
            } else {
                unknown_key(&key, &self.known)
            };
            // An unknown table is reported where its first key stands: its own header may be implied.
            self.problem(Some(node.origin), &key, text);
        }
    }
}

/// Reads what a `_file` key names: the secret is the file's text without its last line break.
pub(super) fn read_secret(path: &str) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"))?;
    Ok(text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line)).to_owned())
}

/// A secret of the hub's own, given as text or as `_file`.
pub(super) fn secret(section: &mut Section<'_>, key: &'static str, file_key: &'static str) -> Option<Secret> {
    let given = section.optional::<String>(key);
    match section.optional::<String>(file_key) {
        None => given.map(Secret::new),
        Some(path) => match read_secret(&path) {
            Ok(text) => Some(Secret::new(text)),
            Err(why) => {
                section.wrong(file_key, why);
                None
            }
        },
    }
}

/// Replaces every `<key>_file` in a connector's settings, at any depth, by `<key>` with the file's text. Gives the keys
/// of this level that were filled, or hold one that was.
pub(super) fn resolve_files(table: &mut Table, path: &str, problems: &mut Vec<Problem>) -> BTreeSet<String> {
    let mut filled = BTreeSet::new();
    let keys: Vec<String> = table.keys().cloned().collect();
    for key in keys {
        if let Some(Node { kind: Kind::Table(inner), .. }) = table.get_mut(&key) {
            if !resolve_files(inner, &join(path, &key), problems).is_empty() {
                filled.insert(key);
            }
            continue;
        }
        let Some(plain) = key.strip_suffix("_file") else { continue };
        let Some(Node { origin, kind: Kind::Leaf(value) }) = table.remove(&key) else { continue };
        let read = match &value {
            Value::String(file) => read_secret(file),
            _ => Err("must be the path of a file".to_owned()),
        };
        match read {
            Ok(text) => {
                table.insert(plain.to_owned(), Node::leaf(origin, Value::String(text)));
                filled.insert(plain.to_owned());
            }
            Err(text) => problems.push(Problem { origin: Some(origin), key: join(path, &key), text }),
        }
    }
    filled
}
