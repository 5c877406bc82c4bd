//! The examples of the description: every operation has them, and they fit what they are examples of.

use chrono::{DateTime, NaiveDate};
use kopru::{http::document, principal::Role};
use reqwest::Method;
use serde_json::Value;
use uuid::Uuid;

use crate::support::served::Served;

/// Every operation of the API: method, path and itself.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().expect("paths").iter().filter(|(path, _)| path.starts_with("/api/"));
    let of = |(path, item): (&String, &'_ Value)| {
        let methods = item.as_object().expect("operations").keys().cloned();
        methods.map(|method| (method, path.clone())).collect::<Vec<_>>()
    };
    let names: Vec<(String, String)> = paths.flat_map(of).collect();
    names
        .into_iter()
        .map(|(method, path)| {
            let operation = &document["paths"][&path][&method];
            (method, path, operation)
        })
        .collect()
}

#[test]
fn every_operation_has_examples_and_each_fits_its_schema() {
    let document = serde_json::to_value(document()).expect("JSON");
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for (method, path, operation) in operations(&document) {
        let answers = operation["responses"].as_object().expect("answers").iter();
        let good = answers.filter(|(status, _)| status.starts_with('2')).map(|(_, answer)| &answer["content"]);
        for content in good.chain([&operation["requestBody"]["content"]]) {
            let Some(content) = content.get("application/json") else { continue };
            seen += 1;
            let place = format!("{method} {path}");
            match content.get("example") {
                Some(example) => check(&document, &content["schema"], example, &place, &mut wrong),
                None => wrong.push(format!("{place}: no example")),
            }
        }
        assert!(!operation["x-error-codes"].as_array().expect("codes").is_empty(), "{method} {path}");
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    assert!(seen > 100, "{seen}");
}

/// JSON Schema, as far as the description uses it.
fn check(document: &Value, schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let schema = document.pointer(reference.trim_start_matches('#')).expect("it is there");
        return check(document, schema, value, at, wrong);
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        check(document, part, value, at, wrong);
    }
    if let Some(ways) = schema["oneOf"].as_array() {
        let fits = |way: &Value| {
            let mut found = Vec::new();
            check(document, way, value, at, &mut found);
            found.is_empty()
        };
        if !ways.iter().any(fits) {
            wrong.push(format!("{at}: {value} is none of its forms"));
        }
    }
    let mut complain = |what: String| wrong.push(format!("{at}: {value} {what}"));
    let kinds: Vec<&str> = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    };
    let is = |kind: &&str| match *kind {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        _ => value.is_object(),
    };
    if !kinds.is_empty() && !kinds.iter().any(is) {
        complain(format!("is no {kinds:?}"));
    }
    if schema["enum"].as_array().is_some_and(|all| !all.contains(value)) {
        complain(format!("is none of {}", schema["enum"]));
    }
    let least = |key: &str| schema[key].as_f64().unwrap_or(f64::NEG_INFINITY);
    let most = |key: &str| schema[key].as_f64().unwrap_or(f64::INFINITY);
    let counted = |count: usize| f64::from(u32::try_from(count).expect("few"));
    match value {
        Value::String(text) => {
            let length = counted(text.chars().count());
            if length < least("minLength") || length > most("maxLength") {
                complain("is too short or too long".to_owned());
            }
            let well_formed = match schema["format"].as_str() {
                Some("date-time") => DateTime::parse_from_rfc3339(text).is_ok(),
                Some("date") => text.parse::<NaiveDate>().is_ok(),
                Some("uuid") => text.parse::<Uuid>().is_ok(),
                _ => true,
            };
            if !well_formed {
                complain(format!("is no {}", schema["format"]));
            }
        }
        Value::Number(number) => {
            let number = number.as_f64().expect("a number");
            if number < least("minimum") || number > most("maximum") {
                complain("is too small or too large".to_owned());
            }
        }
        Value::Array(items) => {
            if counted(items.len()) < least("minItems") || counted(items.len()) > most("maxItems") {
                complain("has too few or too many items".to_owned());
            }
            for item in items {
                check(document, &schema["items"], item, at, wrong);
            }
        }
        Value::Object(fields) => {
            for field in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if !fields.contains_key(field) {
                    complain(format!("lacks {field}"));
                }
            }
            for (field, value) in fields {
                match schema["properties"].get(field) {
                    Some(schema) => check(document, schema, value, &format!("{at}.{field}"), wrong),
                    None if schema["additionalProperties"] == false => {
                        wrong.push(format!("{at}.{field}: there is no such field"));
                    }
                    None => {}
                }
            }
        }
        _ => {}
    }
}

/// Whether somebody has such a product is another question.
#[tokio::test]
async fn what_is_shown_as_a_request_is_read() {
    let served = Served::new().await;
    let token = served.token(Role::SuperAdmin, None).await;
    let document = serde_json::to_value(document()).expect("JSON");
    let mut asked = 0;
    for (method, path, operation) in operations(&document) {
        let example = operation["requestBody"]["content"]["application/json"].get("example");
        let Some(example) = example.filter(|_| path.starts_with("/api/v1/")) else { continue };
        let method: Method = method.to_uppercase().parse().expect("a method");
        // Signing out is not for the one who asks here.
        let token = if path.ends_with("/logout") { "" } else { &token };
        let place = path.split('/').map(|part| if part.starts_with('{') { "4711" } else { part });
        let place = place.collect::<Vec<_>>().join("/");
        let answer = served.send(method.clone(), &place, token, example).await;
        let status = answer.status();
        let said: Value = answer.json().await.unwrap_or_default();
        assert!(!status.is_server_error(), "{method} {path}: {said}");
        assert!(![401, 415, 422].contains(&status.as_u16()) || path.contains("/auth/"), "{method} {path}: {said}");
        assert_ne!(said["code"], "bad_request", "{method} {path} {example}: {said}");
        asked += 1;
    }
    assert!(asked > 20, "{asked}");
}
