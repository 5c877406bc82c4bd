//! The configuration as a tree whose values remember where they came from, and how layers are laid over each other.

use std::{collections::BTreeMap, sync::Arc};

use toml::{
    Spanned, Value,
    de::{DeTable, DeValue},
};

use super::problem::{Origin, Problem};

pub(super) type Table = BTreeMap<String, Node>;

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub origin: Origin,
    pub kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Table(Table),
    /// A scalar or an array.
    Leaf(Value),
}

impl Node {
    pub fn leaf(origin: Origin, value: Value) -> Node {
        Node { origin, kind: Kind::Leaf(value) }
    }

    pub fn into_value(self) -> Value {
        match self.kind {
            Kind::Leaf(value) => value,
            Kind::Table(table) => Value::Table(table.into_iter().map(|(key, node)| (key, node.into_value())).collect()),
        }
    }
}

/// Reads a TOML text; what cannot be read is reported, the rest is returned.
pub(super) fn parse(text: &str, label: Option<&str>, problems: &mut Vec<Problem>) -> Table {
    let places = Places { text, label: label.map(Arc::from) };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        problems.push(Problem {
            origin: Some(places.at(error.span().map_or(0, |span| span.start))),
            key: String::new(),
            text: format!("not TOML: {}", error.message().replace('\n', ", ")),
        });
    }
    let table = table(document.get_ref(), &places);
    // After a syntax error the recovered tree may hold fragments: judging them would only add noise.
    if errors.is_empty() { table } else { Table::new() }
}

struct Places<'a> {
    text: &'a str,
    label: Option<Arc<str>>,
}

impl Places<'_> {
    fn at(&self, offset: usize) -> Origin {
        match &self.label {
            None => Origin::Default,
            Some(path) => {
                let before = self.text.as_bytes().iter().take(offset);
                Origin::File { path: path.clone(), line: before.filter(|byte| **byte == b'\n').count() + 1 }
            }
        }
    }
}

fn table(table: &DeTable<'_>, places: &Places<'_>) -> Table {
    table.iter().map(|(key, value)| (key.get_ref().to_string(), node(key.span().start, value, places))).collect()
}

fn node(offset: usize, item: &Spanned<DeValue<'_>>, places: &Places<'_>) -> Node {
    let kind = match item.get_ref() {
        DeValue::Table(inner) => Kind::Table(table(inner, places)),
        other => Kind::Leaf(value(other)),
    };
    Node { origin: places.at(offset), kind }
}

fn value(item: &DeValue<'_>) -> Value {
    match item {
        DeValue::String(text) => Value::String(text.to_string()),
        // A number beyond 64 bits stays text, and is refused by whoever expects a number.
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Value::String(number.as_str().to_owned()), Value::Integer),
        DeValue::Float(number) => {
            number.as_str().parse().map_or_else(|_| Value::String(number.as_str().to_owned()), Value::Float)
        }
        DeValue::Boolean(flag) => Value::Boolean(*flag),
        DeValue::Datetime(time) => Value::Datetime(*time),
        DeValue::Array(items) => Value::Array(items.iter().map(|item| value(item.get_ref())).collect()),
        DeValue::Table(inner) => {
            Value::Table(inner.iter().map(|(key, item)| (key.get_ref().to_string(), value(item.get_ref()))).collect())
        }
    }
}

/// Lays `over` on `base`. A secret given as text replaces one given as `_file` below it, and the other way round.
pub(super) fn lay(base: &mut Table, over: Table) {
    for (key, node) in over {
        base.remove(&twin(&key));
        match (base.get_mut(&key), node) {
            (Some(Node { kind: Kind::Table(below), .. }), Node { kind: Kind::Table(above), .. }) => lay(below, above),
            (_, node) => {
                base.insert(key, node);
            }
        }
    }
}

fn twin(key: &str) -> String {
    key.strip_suffix("_file").map_or_else(|| format!("{key}_file"), str::to_owned)
}

/// Reports keys that one layer gives both as text and as `_file`.
pub(super) fn report_twins(table: &Table, path: &str, problems: &mut Vec<Problem>) {
    for (key, node) in table {
        let here = join(path, key);
        if key.ends_with("_file") && table.contains_key(&twin(key)) {
            problems.push(Problem {
                origin: Some(node.origin.clone()),
                key: here.clone(),
                text: format!("given together with `{}`; keep one of them", twin(key)),
            });
        }
        if let Kind::Table(inner) = &node.kind {
            report_twins(inner, &here, problems);
        }
    }
}

pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

pub(super) fn find<'a>(table: &'a Table, path: &[String]) -> Option<&'a Node> {
    let (first, rest) = path.split_first()?;
    let node = table.get(first)?;
    match (&node.kind, rest) {
        (_, []) => Some(node),
        (Kind::Table(inner), rest) => find(inner, rest),
        (Kind::Leaf(_), _) => None,
    }
}

/// Puts a value at a path, making the tables on the way. A layer is built with this, one value at a time.
pub(super) fn put(table: &mut Table, path: &[String], node: Node) {
    let Some((first, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        table.insert(first.clone(), node);
        return;
    }
    let entry = table
        .entry(first.clone())
        .or_insert_with(|| Node { origin: node.origin.clone(), kind: Kind::Table(Table::new()) });
    if let Kind::Leaf(_) = entry.kind {
        entry.kind = Kind::Table(Table::new());
    }
    if let Kind::Table(inner) = &mut entry.kind {
        put(inner, rest, node);
    }
}
