//! `/_sandbox/…`: the switches of the whole process. Refusals are 400 with `{"error": …}`.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use serde_json::{Value, json};

use super::{
    SandboxSystem,
    faults::Faults,
    server::{Shared, requests},
};

type Answer = Result<Json<Value>, (StatusCode, Json<Value>)>;
type Params = Query<HashMap<String, String>>;

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/_sandbox/health", get(health))
        .route("/_sandbox/faults", get(faults).put(replace_faults))
        .route("/_sandbox/state", get(state))
        .route("/_sandbox/change", post(change))
        .route("/_sandbox/clock", post(clock))
        .route("/_sandbox/mails", get(mails))
        .route("/_sandbox/hooks", get(hooks).post(take_hook))
        .fallback(async || -> Answer {
            let text =
                "under /_sandbox are health, faults (GET, PUT), state (GET), change and clock (POST), mails (GET), hooks (POST, GET)";
            Err((StatusCode::NOT_FOUND, Json(json!({"error": text}))))
        })
        .with_state(shared)
}

async fn health(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let faults: Vec<Value> =
        shared.faults().counters().map(|(seen, fired)| json!({"seen": seen, "fired": fired})).collect();
    Json(json!({
        "status": "ok",
        "systems": shared.kinds(),
        "requests": requests(&shared),
        "faults": faults,
        "faultsFileProblem": *shared.file_problem(),
    }))
}

async fn faults(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(shared.faults().to_value())
}

async fn replace_faults(State(shared): State<Arc<Shared>>, body: Bytes) -> Answer {
    let fresh = Faults::parse(&body, &shared.kinds()).map_err(refused)?;
    let given = fresh.to_value();
    *shared.faults() = fresh;
    Ok(Json(given))
}

async fn state(State(shared): State<Arc<Shared>>, Query(params): Params) -> Answer {
    let system = pick(&shared, params.get("system").map(String::as_str))?;
    let text = |key: &str| params.get(key).map(String::as_str).filter(|text| !text.is_empty());
    Ok(Json(system.state(text("kind"), text("reference"))))
}

async fn change(State(shared): State<Arc<Shared>>, Query(params): Params, body: Bytes) -> Answer {
    let mut change = object(&body)?;
    let named = change.as_object_mut().and_then(|map| map.remove("system"));
    let named = named.as_ref().and_then(Value::as_str).or(params.get("system").map(String::as_str));
    let system = pick(&shared, named)?;
    system.change(&change).map(Json).map_err(refused)
}

async fn clock(State(shared): State<Arc<Shared>>, Query(params): Params, body: Bytes) -> Answer {
    let given = object(&body)?;
    let Some(seconds) = given.get("shiftSeconds").and_then(Value::as_i64) else {
        return Err(refused("the body must be {\"shiftSeconds\": n}, a whole number"));
    };
    let named = given.get("system").and_then(Value::as_str).or(params.get("system").map(String::as_str));
    match named {
        Some(_) => pick(&shared, named)?.shift_clock(seconds),
        None => shared.systems.iter().for_each(|mounted| mounted.system.shift_clock(seconds)),
    }
    Ok(Json(json!({"shiftedBySeconds": seconds})))
}

async fn mails(State(shared): State<Arc<Shared>>, Query(params): Params) -> Answer {
    let mailbox = shared.mailbox.as_ref().ok_or_else(|| refused("this sandbox takes no mail"))?;
    let to = params.get("to").map(String::as_str).filter(|text| !text.is_empty());
    Ok(Json(json!({"items": mailbox.mails(to)})))
}

async fn hooks(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(json!({"items": shared.hooks.all()}))
}

async fn take_hook(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    shared.hooks.take(&headers, &body);
    StatusCode::NO_CONTENT
}

/// The named system, or the only one.
fn pick<'a>(shared: &'a Shared, named: Option<&str>) -> Result<&'a Arc<dyn SandboxSystem>, (StatusCode, Json<Value>)> {
    let running = || shared.kinds().join(", ");
    match (named, shared.systems.as_slice()) {
        (None, [only]) => Ok(&only.system),
        (None, _) => Err(refused(format_args!("say which `system`: {}", running()))),
        (Some(named), systems) => systems
            .iter()
            .find(|mounted| mounted.kind == named)
            .map(|mounted| &mounted.system)
            .ok_or_else(|| refused(format_args!("unknown system `{named}`; running are {}", running()))),
    }
}

fn object(body: &[u8]) -> Result<Value, (StatusCode, Json<Value>)> {
    match serde_json::from_slice(body) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(refused("the body must be a JSON object")),
        Err(error) => Err(refused(format_args!("the body is not valid JSON: {error}"))),
    }
}

fn refused(text: impl std::fmt::Display) -> (StatusCode, Json<Value>) {
    (StatusCode::BAD_REQUEST, Json(json!({"error": text.to_string()})))
}
