//! `KOPRU__SECTION__KEY`: the layer of the environment. The only file of the program that reads it.

use toml::Value;

use super::{
    problem::{Origin, Problem},
    show::is_secret_key,
    tree::{Kind, Node, Table, find, put},
};

const PREFIX: &str = "KOPRU__";

/// The process's variables that are meant for us.
pub(super) fn variables() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            // What is not UTF-8 is kept recognisable and fails where the value is judged.
            name.starts_with(PREFIX).then(|| (name, value.to_string_lossy().into_owned()))
        })
        .collect()
}

/// The layer made of `variables`, read against what lies `below` it.
pub(super) fn layer(variables: &[(String, String)], below: &Table, problems: &mut Vec<Problem>) -> Table {
    let mut layer = Table::new();
    let mut variables: Vec<_> = variables.iter().collect();
    variables.sort();
    for (name, text) in variables {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        let path: Vec<String> = rest.split("__").map(str::to_ascii_lowercase).collect();
        let origin = Origin::Environment(name.clone());
        if path.len() < 2 || path.iter().any(String::is_empty) {
            problems.push(Problem {
                origin: Some(origin),
                key: String::new(),
                text: "not of the form KOPRU__SECTION__KEY".to_owned(),
            });
            continue;
        }
        let key = path.last().map_or("", String::as_str);
        let value = typed(key, text, find(below, &path));
        put(&mut layer, &path, Node::leaf(origin, value));
    }
    layer
}

/// A variable is text. It takes the type of the value that it replaces; where there is none, what reads as a TOML
/// value is one (`true`, `5`, `["a", "b"]`, `"007"`), except under a key that names a secret.
fn typed(key: &str, text: &str, replaced: Option<&Node>) -> Value {
    let plain = || Value::String(text.to_owned());
    match replaced.map(|node| &node.kind) {
        Some(Kind::Leaf(Value::String(_))) => plain(),
        Some(Kind::Leaf(Value::Array(_))) if !text.trim_start().starts_with('[') => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Value::Array(items.map(|item| literal(item).unwrap_or_else(|| Value::String(item.to_owned()))).collect())
        }
        None if is_secret_key(key) || key.ends_with("_file") => plain(),
        _ => literal(text).unwrap_or_else(plain),
    }
}

fn literal(text: &str) -> Option<Value> {
    let document: toml::Table = toml::from_str(&format!("value = {}", text.trim())).ok()?;
    // One value and nothing after it: a line break could smuggle in further keys.
    if document.len() == 1 { document.into_iter().next().map(|(_, value)| value) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, text: &str, below: &str) -> Value {
        let below = crate::config::tree::parse(below, None, &mut Vec::new());
        let mut problems = Vec::new();
        let layer = layer(&[(name.to_owned(), text.to_owned())], &below, &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        let path: Vec<String> = name[PREFIX.len()..].split("__").map(str::to_ascii_lowercase).collect();
        find(&layer, &path).expect("the value is there").clone().into_value()
    }

    #[test]
    fn takes_the_type_of_what_it_replaces() {
        assert_eq!(one("KOPRU__A__B", "7", "[a]\nb = \"x\""), Value::String("7".into()));
        assert_eq!(one("KOPRU__A__B", "7", "[a]\nb = 1"), Value::Integer(7));
        assert_eq!(one("KOPRU__A__B", "1, 2", "[a]\nb = [5]"), Value::Array(vec![1.into(), 2.into()]));
    }

    #[test]
    fn reads_literals_where_nothing_was_but_never_for_secrets() {
        assert_eq!(one("KOPRU__CONNECTORS__LOGO__FIRM", "7", ""), Value::Integer(7));
        assert_eq!(one("KOPRU__CONNECTORS__LOGO__FIRM", "\"007\"", ""), Value::String("007".into()));
        assert_eq!(one("KOPRU__CONNECTORS__LOGO__PASSWORD", "7", ""), Value::String("7".into()));
        assert_eq!(one("KOPRU__CONNECTORS__LOGO__USERNAME", "a\nb = 1", ""), Value::String("a\nb = 1".into()));
    }
}
