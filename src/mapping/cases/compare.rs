//! What a case expects against what came out.

use rust_decimal::Decimal;
use serde_json::Value as Json;
use toml::de::{DeTable, DeValue};

use crate::mapping::file::literal;

/// Every key of the expectation must be met; what it does not mention is free.
pub(super) fn table(path: &str, wanted: &DeTable<'_>, actual: &Json, misses: &mut Vec<String>) {
    for (key, wanted) in wanted {
        let key = key.get_ref();
        let below = if path.is_empty() { key.to_string() } else { format!("{path}.{key}") };
        match actual.get(key.as_ref()) {
            Some(actual) => value(&below, wanted.get_ref(), actual, misses),
            None => misses.push(format!("{below} is absent, expected {}", shown(wanted.get_ref()))),
        }
    }
}

fn value(path: &str, wanted: &DeValue<'_>, actual: &Json, misses: &mut Vec<String>) {
    match (wanted, actual) {
        (DeValue::Table(wanted), Json::Object(_)) => table(path, wanted, actual, misses),
        (DeValue::Array(wanted), Json::Array(actual)) => {
            if wanted.len() != actual.len() {
                misses.push(format!("{path} has {} rows, expected {}", actual.len(), wanted.len()));
            }
            for (place, (wanted, actual)) in wanted.iter().zip(actual).enumerate() {
                value(&format!("{path}[{place}]"), wanted.get_ref(), actual, misses);
            }
        }
        _ => {
            let met = literal(wanted).is_some_and(|(text, numeric)| match actual {
                Json::String(actual) => *actual == text,
                Json::Bool(actual) => actual.to_string() == text,
                Json::Number(actual) if numeric => same_number(&actual.to_string(), &text),
                _ => false,
            });
            if !met {
                misses.push(format!("{path} is {actual}, expected {}", shown(wanted)));
            }
        }
    }
}

fn same_number(one: &str, other: &str) -> bool {
    matches!((one.parse::<Decimal>(), other.parse::<Decimal>()), (Ok(one), Ok(other)) if one == other)
}

fn shown(value: &DeValue<'_>) -> String {
    match (value, literal(value)) {
        (DeValue::String(text), _) => format!("{text:?}"),
        (_, Some((text, _))) => text,
        (_, None) => format!("a {}", value.type_str()),
    }
}

/// A TOML value as JSON text: numbers keep the digits that were written.
pub(super) fn to_json(value: &DeValue<'_>, out: &mut String) {
    match value {
        DeValue::Table(table) => {
            for (place, (key, value)) in table.iter().enumerate() {
                out.push(if place == 0 { '{' } else { ',' });
                crate::mapping::source::write_string(key.get_ref(), out);
                out.push(':');
                to_json(value.get_ref(), out);
            }
            out.push_str(if table.is_empty() { "{}" } else { "}" });
        }
        DeValue::Array(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                to_json(item.get_ref(), out);
            }
            out.push(']');
        }
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) => {
            out.push_str(&literal(value).map_or_else(|| "null".to_owned(), |(text, _)| text));
        }
        DeValue::String(_) | DeValue::Datetime(_) => {
            let text = literal(value).map(|(text, _)| text).unwrap_or_default();
            crate::mapping::source::write_string(&text, out);
        }
    }
}
