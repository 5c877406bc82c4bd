//! The OpenAPI document, and the pages that show it.

use std::fs;

use kopru::http::document;
use reqwest::StatusCode;
use serde_json::Value;

use super::site::Site;

fn as_json() -> Value {
    serde_json::to_value(document()).expect("JSON")
}

#[test]
fn the_document_is_a_promise() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&as_json()).expect("JSON"));
}

#[test]
fn every_reference_in_it_leads_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let document = as_json();
    assert!(document["openapi"].as_str().expect("a version").starts_with("3.1"));
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.strip_prefix('#').expect("within the document");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

/// What is described answers; what is registered otherwise would not be described.
#[tokio::test]
async fn what_is_described_is_served_and_what_is_served_is_described() {
    // Whoever shows no key so often would be asked to wait.
    let site = Site::with(|build| build.rate_limits.enabled = false).await;
    let document = as_json();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let method: reqwest::Method = method.to_uppercase().parse().expect("a method");
            let asked = site.client.request(method.clone(), site.url(&path.replace(['{', '}'], ""))).send();
            let answer = asked.await.expect("an answer");
            // What nobody has is nowhere, and nobody has to sign in to learn that.
            if ["/media/{name}", "/api/v1/event-types/{type}"].contains(&path.as_str()) {
                assert_eq!(answer.status(), StatusCode::NOT_FOUND);
                continue;
            }
            assert!(![404, 405].contains(&answer.status().as_u16()), "{method} {path}: {}", answer.status());
            let needs_key = operation.get("security").is_some();
            assert_eq!(answer.status() == StatusCode::UNAUTHORIZED, needs_key, "{method} {path}");
        }
    }
    // axum does not list routes, so the ways to register one are looked for: `routes!` describes, `.route` does not.
    let mut found = Vec::new();
    let mut open = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/http"))];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                open.push(path);
            } else if !path.ends_with("openapi.rs") {
                let text = fs::read_to_string(&path).expect("text");
                let hidden = [".route(", ".route_service(", ".nest_service("].iter().any(|call| text.contains(call));
                found.extend(hidden.then_some(path));
            }
        }
    }
    assert!(found.is_empty(), "register with `routes!`: {found:?}");
}

#[tokio::test]
async fn the_pages_come_from_the_program_and_load_nothing_from_elsewhere() {
    let site = Site::new().await;
    let get = async |path: &str| site.client.get(site.url(path)).send().await.expect("an answer");
    let served = get("/openapi.json").await;
    assert_eq!(served.headers()["content-type"], "application/json");
    assert_eq!(served.json::<Value>().await.expect("JSON"), as_json());

    let page = get("/docs").await;
    assert_eq!(page.status(), StatusCode::OK);
    assert_eq!(page.headers()["x-content-type-options"], "nosniff");
    let policy = page.headers()["content-security-policy"].to_str().expect("ASCII").to_owned();
    assert!(policy.starts_with("default-src 'none'; script-src 'self';") && policy.contains("frame-ancestors 'none'"));
    let page = page.text().await.expect("text");
    assert!(!page.contains("//"), "{page}");
    // The policy forbids scripts within the page.
    let inline = page.split("<script").skip(1).filter_map(|script| script.split_once('>')?.1.split("</script>").next());
    assert_eq!(inline.map(str::trim).collect::<String>(), "");
    let mut assets = 0;
    for part in page.split("src=\"").skip(1).chain(page.split("href=\"").skip(1)) {
        let name = part.split('"').next().expect("quoted");
        let asset = get(&format!("/docs/{}", name.trim_start_matches("./"))).await;
        assert_eq!(asset.status(), StatusCode::OK, "{name}");
        assets += 1;
    }
    assert!(assets >= 3);
    let settings = get("/docs/swagger-initializer.js").await.text().await.expect("text");
    assert!(settings.contains("/openapi.json"), "{settings}");
}
