//! Whether what happened is told as the catalogue of events describes it.

use kopru::hub::webhooks::catalogue;
use serde_json::{Value, json};
use sqlx::PgPool;

/// Every event in the store has its type's shape, and no field that nobody described. Returns the types.
pub async fn events_are_as_described(pool: &PgPool) -> Vec<String> {
    let rows: Vec<(String, String, i64, i64, Value)> =
        sqlx::query_as("select type, aggregate, aggregate_id, revision, payload from hub.outbox_event order by type")
            .fetch_all(pool)
            .await
            .expect("events");
    let catalogue = catalogue::all();
    let mut seen = Vec::new();
    for (kind, aggregate, id, revision, data) in rows {
        let described = catalogue.iter().find(|one| one.kind == kind).unwrap_or_else(|| panic!("{kind} is no event"));
        let message = json!({
            "type": kind, "timestamp": "2026-11-21T12:00:00.000Z", "id": "01a1fdfa-4600-7000-8000-000000000001",
            "object": { "kind": aggregate, "id": id, "revision": revision }, "data": data
        });
        check(&described.schema, &message, &kind);
        seen.push(kind);
    }
    seen.dedup();
    seen
}

/// As much of JSON Schema as the catalogue uses.
fn check(schema: &Value, value: &Value, at: &str) {
    if let Some(expected) = schema.get("const") {
        assert_eq!(value, expected, "{at}");
    }
    if let Some(known) = schema["enum"].as_array() {
        assert!(known.contains(value), "{at}: {value} is none of {known:?}");
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let is = |kind: &&str| match *kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{at}: the test knows no type {other}"),
    };
    assert!(kinds.is_empty() || kinds.iter().any(is), "{at}: {value} is not {kinds:?}");
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        assert!(value.get(name).is_some(), "{at}: {name} is missing in {value}");
    }
    for (name, inner) in value.as_object().into_iter().flatten().filter(|_| schema["properties"].is_object()) {
        let described = schema["properties"].get(name);
        check(described.unwrap_or_else(|| panic!("{at}: nobody described {name}")), inner, &format!("{at}.{name}"));
    }
    for inner in value.as_array().into_iter().flatten().filter(|_| schema["items"].is_object()) {
        check(&schema["items"], inner, at);
    }
}
