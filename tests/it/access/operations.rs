//! Every operation of the description under `/api/v1`, asked by everybody: without a token, as each of the nine roles, with
//! ids of one's own and of others.
//!
//! What an operation takes stands at it (`x-permission`, several with `|`: any of them); of those that say nothing, in
//! [`TAKES`]. An operation that stands nowhere is asked all the same: nobody gets in without a token, and nothing fails.

use kopru::{
    http::document,
    principal::{Permission, Role},
};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::rows::belongings;
use crate::support::{
    dealers::{product, warehouse},
    served::Served,
};

/// `METHOD path`, and the permission that it takes.
const TAKES: &[(&str, &str)] = &[
    ("GET /api/v1/products", "products.view"),
    ("GET /api/v1/products/{id}", "products.view"),
    ("GET /api/v1/products/by-sku/{sku}", "products.view"),
    ("GET /api/v1/products/{id}/price", "products.view"),
    ("GET /api/v1/categories", "products.view"),
    ("GET /api/v1/brands", "products.view"),
    ("GET /api/v1/orders", "orders.view"),
    ("GET /api/v1/orders/{id}", "orders.view"),
    ("POST /api/v1/orders", "orders.create"),
    ("POST /api/v1/orders/{id}/cancel", "orders.cancel"),
    ("POST /api/v1/orders/{id}/approve", "orders.approve"),
    ("POST /api/v1/orders/{id}/reject", "orders.approve"),
];

/// What stands in everything that is another dealer's.
const STRANGER: &str = "YABANCI77";

struct Operation {
    method: Method,
    path: String,
    takes: Option<Vec<Permission>>,
    is_secured: bool,
    body: Option<Value>,
}

impl Operation {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Whether it is about one thing that belongs to a company.
    fn is_private(&self) -> bool {
        ["orders", "returns", "invoices", "customers"]
            .iter()
            .any(|list| self.path.starts_with(&format!("/api/v1/{list}/{{")))
    }
}

fn operations() -> Vec<Operation> {
    let document = serde_json::to_value(document()).expect("JSON");
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("an item").iter().filter(|_| path.starts_with("/api/v1/")) {
            let Ok(method) = method.to_uppercase().parse::<Method>() else { continue };
            if !operation["responses"].is_object() {
                continue;
            }
            let name = format!("{method} {path}");
            let listed = TAKES.iter().find(|(listed, _)| *listed == name).map(|(_, takes)| *takes);
            let takes = operation["x-permission"].as_str().or(listed).map(|names| {
                let known = |name| Permission::parse(name).unwrap_or_else(|| panic!("{path}: no permission {name}"));
                names.split('|').map(known).collect()
            });
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            found.push(Operation {
                method,
                path: path.clone(),
                takes,
                is_secured: operation["security"].as_array().is_some_and(|schemes| !schemes.is_empty()),
                body: operation["requestBody"].is_object().then(|| sample(&document, schema, 0)),
            });
        }
    }
    found
}

/// The least that has the described shape.
fn sample(document: &Value, schema: &Value, depth: usize) -> Value {
    if depth > 12 {
        return Value::Null;
    }
    let next = |schema: &Value| sample(document, schema, depth + 1);
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/components/schemas/")) {
        return next(&document["components"]["schemas"][name]);
    }
    for several in ["oneOf", "anyOf"] {
        let choices = schema[several].as_array().map(Vec::as_slice).unwrap_or_default();
        if let Some(choice) = choices.iter().find(|choice| choice["type"] != "null") {
            return next(choice);
        }
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let parts = parts.iter().map(next).filter_map(|part| part.as_object().cloned());
        return Value::Object(parts.flatten().collect());
    }
    if let Some(known) = schema["enum"].as_array().and_then(|known| known.first()) {
        return known.clone();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().find_map(|kind| kind.as_str().filter(|kind| *kind != "null")),
        kind => kind.as_str(),
    };
    match kind {
        Some("string") => json!("x"),
        Some("integer" | "number") => json!(1),
        Some("boolean") => json!(true),
        Some("array") => json!([next(&schema["items"])]),
        _ => {
            let needed = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
            let field = |name: &str| (name.to_owned(), next(&schema["properties"][name]));
            Value::Object(needed.iter().filter_map(Value::as_str).map(field).collect::<Map<_, _>>())
        }
    }
}

/// What one dealer has, by id.
struct Company {
    id: i64,
    order: i64,
    goods: i64,
}

impl Company {
    /// The path with ids of this company in it.
    fn path(&self, operation: &Operation) -> String {
        let mut path = String::new();
        for (at, part) in operation.path.split('/').enumerate() {
            if at > 0 {
                path.push('/');
            }
            let before = operation.path.split('/').nth(at.wrapping_sub(1)).unwrap_or_default();
            path.push_str(&match (part.starts_with('{'), before) {
                (false, _) => part.to_owned(),
                (true, "orders") => self.order.to_string(),
                (true, "returns" | "invoices" | "customers") => self.id.to_string(),
                (true, "products" | "items") => self.goods.to_string(),
                (true, _) => "999999".to_owned(),
            });
        }
        path
    }
}

async fn company(served: &Served, name: &str, goods: i64, store: i64) -> Company {
    let id = belongings(served.pool(), name, goods, store).await;
    let order = sqlx::query_scalar("select id from commerce.sales_order where customer_id = $1")
        .bind(id)
        .fetch_one(served.pool())
        .await
        .expect("an order");
    Company { id, order, goods }
}

async fn ask(served: &Served, operation: &Operation, path: &str, token: &str) -> (u16, Value) {
    let request = served.request(operation.method.clone(), path, token);
    let request = match &operation.body {
        Some(body) => request.json(body),
        None => request,
    };
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    let text = response.text().await.expect("a body");
    // 503 is said of what this server was not given: a place for pictures.
    assert!(status < 500 || status == 503, "{} at {path}: {status} {text}", operation.name());
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

#[tokio::test]
async fn everybody_gets_what_is_theirs_and_nothing_else() {
    let served = Served::new().await;
    let (goods, store) = (product(served.pool(), "P").await, warehouse(served.pool(), "M").await);
    let own = company(&served, "OWN", goods, store).await;
    let foreign = company(&served, STRANGER, goods, store).await;
    // What the house does to somebody, it does to a third one.
    let victim = company(&served, "VICTIM", goods, store).await;
    let operations = operations();
    assert!(operations.len() > 15, "the description has operations");
    let mut found = Vec::new();
    for operation in operations.iter().filter(|operation| operation.is_secured) {
        let (status, answer) = ask(&served, operation, &own.path(operation), "").await;
        if status != 401 {
            found.push(format!("{}: {status} without a token: {answer}", operation.name()));
        }
        for role in Role::ALL {
            // A token of one's own for each: what an operation ends is ended for nobody else.
            let token = served.token(role, role.is_dealer().then_some(own.id)).await;
            let mine = if role.is_dealer() { &own } else { &victim };
            let (status, answer) = ask(&served, operation, &mine.path(operation), &token).await;
            let lacks = status == 403 && answer["code"] == "permission_missing";
            let says = format!("{} as {}: {status} {answer}", operation.name(), role.as_str());
            if status == 401 {
                found.push(format!("{says}: signed in, and not let in"));
            }
            if role.is_dealer() && answer.to_string().contains(STRANGER) {
                found.push(format!("{says}: tells of another dealer"));
            }
            let Some(takes) = &operation.takes else { continue };
            let may = takes.iter().any(|permission| role.permissions().contains(*permission));
            if may == lacks {
                found.push(format!("{says}: the role {} do this", if may { "may" } else { "must not" }));
            }
            if may && operation.method == Method::GET && operation.is_private() && status != 200 {
                found.push(format!("{says}: it is theirs to see"));
            }
            if may && role.is_dealer() && operation.is_private() {
                let (status, answer) = ask(&served, operation, &foreign.path(operation), &token).await;
                if status != 404 || answer.to_string().contains(STRANGER) {
                    found.push(format!("{} as {} of another: {status} {answer}", operation.name(), role.as_str()));
                }
            }
            if may && role.is_dealer() && operation.method == Method::GET {
                let path = format!("{}?customerId={}", own.path(operation), foreign.id);
                let (_, answer) = ask(&served, operation, &path, &token).await;
                if answer.to_string().contains(STRANGER) {
                    found.push(format!("{} as {} by customerId: {answer}", operation.name(), role.as_str()));
                }
            }
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}
