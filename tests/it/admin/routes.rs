//! Every group of routes once, as a person who runs the hub meets it.

use std::sync::Arc;

use kopru::{
    audit::sealer,
    hub::{dead_letters, deliveries::targets},
    outbox::EventType::OrderConfirmed,
    principal::Role,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{
    hub::Hub,
    listener::{Listener, happen, route},
    people::company,
    served::{Served, generous, json_of, problem_of},
    system::page,
};

struct Office {
    served: Served,
    admin: String,
}

impl Office {
    async fn new() -> Office {
        let served = Served::over(Hub::new().await, generous()).await;
        let admin = served.token(Role::SuperAdmin, None).await;
        Office { served, admin }
    }

    async fn get(&self, path: &str) -> Value {
        json_of(self.served.get(&format!("/api/admin/{path}"), &self.admin).await, StatusCode::OK).await
    }

    async fn post(&self, path: &str, body: Value, status: StatusCode) -> Value {
        json_of(self.served.post(&format!("/api/admin/{path}"), &self.admin, &body).await, status).await
    }

    async fn refused(&self, method: Method, path: &str, body: Value, status: u16, code: &str) -> Value {
        let answer = self.served.send(method, &format!("/api/admin/{path}"), &self.admin, &body).await;
        problem_of(answer, status, code).await
    }

    async fn audited(&self, like: &str) -> Vec<Value> {
        self.served
            .hub
            .rows(&format!(
                "select action, subject, actor from identity.audit_event where action like '{like}' order by id"
            ))
            .await
    }

    /// Two brands that lack their name.
    async fn letters(&self) -> Vec<String> {
        self.served
            .hub
            .full("brands", [page([json!({"code": "B1", "version": 1}), json!({"code": "B2", "version": 1})])])
            .await;
        let found = self.get("dead-letters").await;
        found["items"]
            .as_array()
            .expect("letters")
            .iter()
            .map(|one| one["id"].as_str().expect("id").to_owned())
            .collect()
    }
}

/// Lists and pages that need nothing to be there.
const SHOWN: &[(&str, Role)] = &[
    ("messages", Role::SuperAdmin),
    ("runs", Role::SuperAdmin),
    ("streams", Role::SuperAdmin),
    ("connectors", Role::SuperAdmin),
    ("mappings", Role::SuperAdmin),
    ("mappings/unmapped", Role::SuperAdmin),
    ("dead-letters", Role::SuperAdmin),
    ("dead-letters/groups", Role::SuperAdmin),
    ("dead-letters/replays", Role::SuperAdmin),
    ("deliveries", Role::SuperAdmin),
    ("webhook-endpoints", Role::SuperAdmin),
    ("api-keys", Role::SuperAdmin),
    ("users", Role::SuperAdmin),
    ("audit", Role::SuperAdmin),
    ("audit/verify", Role::SuperAdmin),
    ("settings", Role::SuperAdmin),
];

#[tokio::test]
async fn the_house_looks_and_dealers_do_not() {
    let office = Office::new().await;
    let dealer = company(office.served.pool(), "120.01").await;
    let owner = office.served.token(Role::DealerOwner, Some(dealer)).await;
    let content = office.served.token(Role::ContentManager, None).await;
    for (path, role) in SHOWN {
        let path = format!("/api/admin/{path}");
        let token = office.served.token(*role, None).await;
        json_of(office.served.get(&path, &token).await, StatusCode::OK).await;
        let status = office.served.get(&path, "").await.status();
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
        for token in [&owner, &content] {
            assert_eq!(office.served.get(&path, token).await.status(), StatusCode::FORBIDDEN, "{path}");
        }
    }
    for path in ["messages/x", "runs/x", "dead-letters/x", "dead-letters/replays/x", "mappings/erp/nothing"] {
        office.refused(Method::GET, path, json!({}), 404, "not_found").await;
    }
    for (path, field) in [
        ("messages?state=lost", "state"),
        ("messages?run=7", "run"),
        ("messages?since=yesterday", "since"),
        ("dead-letters?cause=bad%20luck", "filter"),
        ("dead-letters?attempts=many", "attempts"),
        ("audit?since=1", "since"),
        ("audit/verify?from=0", "from"),
        ("runs?limit=1000", "limit"),
    ] {
        let problem = office.refused(Method::GET, path, json!({}), 400, "invalid").await;
        assert_eq!(problem["errors"][0]["field"], field, "{path}");
    }
}

#[tokio::test]
async fn messages_and_runs_are_paged_and_shown_whole() {
    let office = Office::new().await;
    for version in 1..=3 {
        let record = json!({"code": "B1", "name": format!("Marka {version}"), "version": version});
        office.served.hub.full("brands", [page([record])]).await;
    }
    let first = office.get("runs?limit=2&connector=erp&stream=brands").await;
    let cursor = first["nextCursor"].as_str().expect("there is more");
    let second = office.get(&format!("runs?limit=2&cursor={cursor}")).await;
    assert_eq!((first["items"].as_array().map(Vec::len), second["items"].as_array().map(Vec::len)), (Some(2), Some(1)));
    let run = office.get(&format!("runs/{}", first["items"][0]["id"].as_str().expect("an id"))).await;
    assert_eq!((&run["state"], &run["updated"]), (&json!("done"), &json!(1)));

    let all = office.get("messages?code=B1").await;
    assert_eq!(all["items"].as_array().map(Vec::len), Some(3));
    let shown = office.get(&format!("messages/{}", all["items"][0]["id"].as_str().expect("an id"))).await;
    assert_eq!((&shown["state"], &shown["items"][0]["code"]), (&json!("done"), &json!("B1")));
    assert!(shown["payload"].as_str().is_some_and(|payload| payload.contains("Marka 3")), "{shown}");
}

#[tokio::test]
async fn streams_rest_go_on_and_run() {
    let office = Office::new().await;
    let state = async |office: &Office| {
        let streams = office.get("streams").await;
        let found = streams["items"].as_array().expect("streams").iter().find(|one| one["stream"] == "brands").cloned();
        found.expect("the stream")
    };
    let paused = office.post("streams/erp/brands/pause", json!({"reason": "sayım"}), StatusCode::OK).await;
    assert_eq!(paused["paused"], true);
    let stream = state(&office).await;
    assert_eq!(
        (&stream["state"], &stream["pausedReason"], &stream["pausedCause"]),
        (&json!("paused"), &json!("sayım"), &json!("person"))
    );
    office.post("streams/erp/brands/resume", json!({}), StatusCode::OK).await;
    office.post("streams/erp/brands/resume", json!({}), StatusCode::OK).await;
    assert_eq!(state(&office).await["pausedAt"], Value::Null);

    let run = office.post("streams/erp/brands/run", json!({"dryRun": true}), StatusCode::ACCEPTED).await;
    assert_eq!((&run["state"], &run["pass"], &run["dryRun"]), (&json!("requested"), &json!("full"), &json!(true)));
    let followed = office.get(&format!("runs/{}", run["id"].as_str().expect("an id"))).await;
    assert_eq!(followed["trigger"], "manual");

    let done = office.audited("stream.%").await;
    let actions: Vec<&str> = done.iter().filter_map(|row| row["action"].as_str()).collect();
    assert_eq!(
        actions,
        ["stream.paused", "stream.resumed", "stream.run_requested"],
        "what changed nothing is not told"
    );
    assert_eq!(done[0]["subject"], "erp.brands");

    office.refused(Method::POST, "streams/erp/nothing/pause", json!({"reason": "x"}), 404, "not_found").await;
    office.refused(Method::POST, "streams/erp/brands/pause", json!({"reason": " "}), 400, "invalid").await;
    let both = json!({"full": true, "since": "2026-01-01T00:00:00Z"});
    office.refused(Method::POST, "streams/erp/brands/run", both, 400, "invalid").await;
}

#[tokio::test]
async fn letters_are_replayed_edited_and_put_aside() {
    let office = Office::new().await;
    let ids = office.letters().await;
    assert_eq!(ids.len(), 2);
    assert_eq!(office.get("dead-letters?code=B1&count=true").await["totalCount"], 1);
    assert_eq!(office.get("dead-letters/groups").await["items"][0]["count"], 2);
    let shown = office.get(&format!("dead-letters/{}", ids[0])).await;
    assert_eq!((&shown["alike"], &shown["reason"]), (&json!(2), &json!("missing_field")));

    // Newest first: B2 is mended, B1 tried again as it is, and then put aside.
    let code = shown["code"].as_str().expect("a code").to_owned();
    let edit = format!("dead-letters/{}/edit", ids[0]);
    let wrong = json!({"document": json!({"items": [{"code": code, "version": 1}]}).to_string()});
    office.refused(Method::POST, &edit, wrong, 400, "invalid").await;
    let good = json!({"document": json!({"items": [{"code": code, "version": 1, "name": "Marka"}]}).to_string()});
    office.post(&edit, good, StatusCode::ACCEPTED).await;
    office.served.hub.work().await;
    assert_eq!(office.served.hub.count("commerce.brand where name = 'Marka'").await, 1);

    let replayed = office.post(&format!("dead-letters/{}/replay", ids[1]), json!({}), StatusCode::ACCEPTED).await;
    assert_eq!(replayed["affected"], 1);
    let again = office.post("dead-letters/replay", json!({"ids": [ids[1]]}), StatusCode::ACCEPTED).await;
    assert_eq!(again["affected"], 0, "it is under way");
    office.served.hub.work().await;

    let aside = format!("dead-letters/{}/discard", ids[1]);
    office.refused(Method::POST, &aside, json!({"reason": ""}), 400, "invalid").await;
    assert_eq!(office.post(&aside, json!({"reason": "deneme kaydı"}), StatusCode::OK).await["affected"], 1);
    office.refused(Method::POST, &aside, json!({"reason": "deneme"}), 404, "not_found").await;
    assert_eq!(office.get("dead-letters").await["items"], json!([]));
    let done = office.audited("dead_letter.%").await;
    assert!(done.iter().all(|row| row["actor"].as_str().is_some_and(|actor| actor.starts_with("user:"))), "{done:?}");
    assert_eq!(done.len(), 4);
}

#[tokio::test]
async fn many_letters_are_meant_by_a_plan() {
    let office = Office::new().await;
    office.letters().await;
    let plan = json!({"action": "discard", "filter": {"connector": "erp"}, "reason": "eski", "perSecond": 500});
    let made = office.post("dead-letters/replays", plan, StatusCode::CREATED).await;
    assert_eq!((&made["state"], &made["total"]), (&json!("planned"), &json!(2)));
    let path = format!("dead-letters/replays/{}", made["id"].as_str().expect("an id"));
    assert_eq!(office.post(&format!("{path}/start"), json!({}), StatusCode::OK).await["state"], "running");
    office.refused(Method::POST, &format!("{path}/start"), json!({}), 409, "conflict").await;
    office
        .served
        .hub
        .eventually("the plan is worked off", || async {
            dead_letters::slice(office.served.pool()).await.expect("a slice");
            office.get(&path).await["state"] == "done"
        })
        .await;
    assert_eq!(office.get(&path).await["outcome"]["resolved"], 2);
    office.refused(Method::POST, &format!("{path}/cancel"), json!({}), 409, "conflict").await;
    assert_eq!(office.get("dead-letters/replays").await["items"][0]["id"], made["id"]);

    for (body, field) in [
        (json!({"filter": {}, "action": "burn"}), "action"),
        (json!({"filter": {}, "action": "discard"}), "reason"),
        (json!({"filter": {}, "perSecond": 0}), "perSecond"),
        (json!({"filter": {"entity": "moon"}}), "filter"),
    ] {
        let problem = office.refused(Method::POST, "dead-letters/replays", body, 400, "invalid").await;
        assert_eq!(problem["errors"][0]["field"], field);
    }
}

#[tokio::test]
async fn a_breaker_is_closed_by_hand() {
    let office = Office::new().await;
    office.refused(Method::POST, "connectors/erp/breaker/reset", json!({}), 404, "not_found").await;
    kopru::hub::breaker::record_fault(office.served.pool(), "erp", "500", 1, std::time::Duration::from_secs(60))
        .await
        .expect("noted");
    assert_eq!(office.get("connectors").await["items"][0]["state"], "open");
    let closed = office.post("connectors/erp/breaker/reset", json!({}), StatusCode::OK).await;
    assert_eq!((&closed["state"], &closed["faultsInARow"]), (&json!("closed"), &json!(0)));
    assert_eq!(office.audited("breaker.%").await[0]["subject"], "erp");
    let checked = office.post("connectors/erp/check", json!({}), StatusCode::OK).await;
    assert_eq!(checked["ok"], true);
    office.refused(Method::POST, "connectors/nobody/check", json!({}), 404, "not_found").await;
}

#[tokio::test]
async fn a_system_is_told_what_it_missed() {
    let office = Office::new().await;
    office.refused(Method::POST, "connectors/nobody/catch-up", json!({}), 404, "not_found").await;
    office.refused(Method::POST, "connectors/erp/catch-up", json!({}), 404, "not_found").await;
    let mut erp = Listener::new(&[]);
    erp.missed = vec![1, 2];
    office.served.hub.engine.targets.put("erp", Arc::new(erp));
    targets::register(&office.served.hub.engine).await.expect("registered");
    happen(office.served.pool(), OrderConfirmed, &[(1, 1)]).await;
    route(&office.served.hub).await;
    let path = "connectors/erp/catch-up";
    let meant = office.post(path, json!({ "dryRun": true }), StatusCode::OK).await;
    assert_eq!((&meant["total"], &meant["told"], &meant["shares"][0]["notKept"]), (&json!(1), &json!(0), &json!(1)));
    let told = office.post(path, json!({}), StatusCode::OK).await;
    assert_eq!((&told["total"], &told["told"]), (&json!(1), &json!(1)));
    assert_eq!(office.audited("target.%").await[0]["subject"], "erp");
    let none = office.post(path, json!({ "since": "2026-01-01T00:00:00Z" }), StatusCode::OK).await;
    assert_eq!(none["told"], 0);
}

#[tokio::test]
async fn a_document_is_tried_by_its_mapping() {
    let office = Office::new().await;
    let all = office.get("mappings").await;
    assert!(all["items"].as_array().is_some_and(|items| items.iter().any(|one| one["name"] == "test/brands")), "{all}");
    assert_eq!(office.get("mappings/test/brands").await["mapping"]["entity"], "brand");
    let document = json!({"items": [{"code": "B1", "name": "Marka"}, {"code": "B2"}]}).to_string();
    let told = office.post("mappings/test/brands/preview", json!({"document": document}), StatusCode::OK).await;
    assert_eq!((&told["counts"]["created"], &told["counts"]["failed"]), (&json!(1), &json!(1)));
    assert_eq!(office.served.hub.count("commerce.brand").await, 0, "nothing is written");
    office.refused(Method::POST, "mappings/test/brands/preview", json!({"document": "{"}), 400, "invalid").await;
}

#[tokio::test]
async fn keys_are_made_once_shown_and_ended() {
    let office = Office::new().await;
    let new = json!({"name": "Depo", "scopes": ["integration:write", "orders.view"], "instance": "erp", "allowedNetworks": ["10.0.0.0/8"]});
    let made = office.post("api-keys", new, StatusCode::CREATED).await;
    assert!(made["key"].as_str().is_some_and(|key| key.starts_with("kpr_")), "{made}");
    let listed = office.get("api-keys").await;
    assert_eq!((&listed["items"][0]["name"], &listed["items"][0]["key"]), (&json!("Depo"), &Value::Null));
    let path = format!("api-keys/{}", made["prefix"].as_str().expect("a prefix"));
    let ended = office.served.send(Method::DELETE, &format!("/api/admin/{path}"), &office.admin, &json!({})).await;
    assert!(json_of(ended, StatusCode::OK).await["revokedAt"].is_string());
    office.refused(Method::DELETE, &path, json!({}), 409, "conflict").await;
    office.refused(Method::DELETE, "api-keys/zzzz", json!({}), 404, "not_found").await;
    assert_eq!(office.get("api-keys").await["items"], json!([]));
    assert_eq!(office.get("api-keys?revoked=true").await["items"].as_array().map(Vec::len), Some(1));
    for (body, field) in [
        (json!({"name": "", "scopes": ["orders.view"]}), "name"),
        (json!({"name": "x", "scopes": []}), "scopes"),
        (json!({"name": "x", "scopes": ["everything"]}), "scopes"),
        (json!({"name": "x", "scopes": ["integration:write"], "instance": "nobody"}), "instance"),
        (json!({"name": "x", "scopes": ["orders.view"], "allowedNetworks": ["home"]}), "allowedNetworks"),
    ] {
        let problem = office.refused(Method::POST, "api-keys", body, 400, "invalid").await;
        assert_eq!(problem["errors"][0]["field"], field);
    }
}

#[tokio::test]
async fn the_books_are_listed_and_walked() {
    let office = Office::new().await;
    office.post("streams/erp/brands/pause", json!({"reason": "sayım"}), StatusCode::OK).await;
    let rows = office.get("audit?action=stream.paused").await;
    assert_eq!(
        (&rows["items"][0]["subject"], &rows["items"][0]["detail"]["reason"]),
        (&json!("erp.brands"), &json!("sayım"))
    );
    sealer::work_off(office.served.pool()).await.expect("sealed");
    let told = office.get("audit/verify").await;
    assert_eq!((&told["ok"], &told["unsealed"]["count"]), (&json!(true), &json!(0)));
    assert!(told["verified"].as_i64().is_some_and(|count| count > 0), "{told}");
    assert!(office.get("users").await["items"].as_array().is_some_and(|users| !users.is_empty()));
}
