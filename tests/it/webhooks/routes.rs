//! `/api/admin/webhook-endpoints`, and who may do what there.

use chrono::TimeDelta;
use kopru::{outbox::EventType::OrderCreated, principal::Role};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::office::Office;
use crate::support::{
    listener::{deliver, happen},
    served::{Served, generous, json_of, problem_of},
    webhook_receiver::{Answer, WebhookReceiver},
};

const ENDPOINTS: &str = "/api/admin/webhook-endpoints";

async fn served() -> (Served, WebhookReceiver, String) {
    let Office { hub, receiver } = Office::new().await;
    let served = Served::over(hub, generous()).await;
    let admin = served.token(Role::SuperAdmin, None).await;
    (served, receiver, admin)
}

async fn keep(served: &Served) {
    kopru::hub::webhooks::keep::once(&served.hub.engine).await.expect("kept");
}

async fn create(served: &Served, admin: &str, body: &Value) -> (i64, Value) {
    let made = json_of(served.post(ENDPOINTS, admin, body).await, StatusCode::CREATED).await;
    keep(served).await;
    (made["id"].as_i64().expect("an id"), made)
}

#[tokio::test]
async fn an_endpoint_is_made_shown_changed_tested_and_removed() {
    let (served, receiver, admin) = served().await;
    let body = json!({ "url": receiver.url(), "events": ["order.*"], "description": "the shop", "ratePerSecond": 50 });
    let (id, made) = create(&served, &admin, &body).await;
    assert_eq!(
        (&made["enabled"], &made["events"], &made["ratePerSecond"]),
        (&json!(true), &json!(["order.*"]), &json!(50))
    );
    assert!(!made.to_string().contains("whsec_"), "{made}");
    let path = format!("{ENDPOINTS}/{id}");
    let listed = json_of(served.get(ENDPOINTS, &admin).await, StatusCode::OK).await;
    assert_eq!((&listed["items"][0]["id"], &listed["nextCursor"]), (&json!(id), &Value::Null));

    let secrets = json_of(served.get(&format!("{path}/secrets"), &admin).await, StatusCode::OK).await;
    let secret = secrets["items"][0]["secret"].as_str().expect("a secret").to_owned();
    let rotated = served.post(&format!("{path}/rotate"), &admin, &json!({ "overlapHours": 1 })).await;
    assert_eq!(json_of(rotated, StatusCode::OK).await["secrets"], 2);
    keep(&served).await;

    receiver.then([Answer::With(200, "", "thanks")]);
    let trial = json_of(served.post(&format!("{path}/test"), &admin, &json!({})).await, StatusCode::OK).await;
    assert_eq!((&trial["ok"], &trial["status"], &trial["answer"]), (&json!(true), &json!(200), &json!("200 thanks")));
    assert!(receiver.received()[0].is_signed_with(&secret));

    let changed = served.send(Method::PATCH, &path, &admin, &json!({ "enabled": false, "ratePerSecond": null })).await;
    let changed = json_of(changed, StatusCode::OK).await;
    assert_eq!((&changed["enabled"], &changed["ratePerSecond"]), (&json!(false), &Value::Null));
    assert_eq!(changed["disabledCause"], "person");
    json_of(served.send(Method::DELETE, &path, &admin, &json!({})).await, StatusCode::OK).await;
    problem_of(served.get(&path, &admin).await, 404, "not_found").await;
    problem_of(served.get(&format!("{path}/secrets"), &admin).await, 404, "not_found").await;
}

#[tokio::test]
async fn events_are_counted_first_and_told_again_then() {
    let (served, receiver, admin) = served().await;
    let (id, _) = create(&served, &admin, &json!({ "url": receiver.url(), "events": ["*"] })).await;
    let since = (served.clock.now() - TimeDelta::minutes(1)).to_rfc3339();
    happen(served.pool(), OrderCreated, &[(1, 1), (2, 1)]).await;
    deliver(&served.hub).await;
    let path = format!("{ENDPOINTS}/{id}/replay");
    let counted = served.post(&path, &admin, &json!({ "since": since, "dryRun": true })).await;
    let counted = json_of(counted, StatusCode::OK).await;
    assert_eq!((&counted["total"], &counted["replayed"]), (&json!(2), &json!(0)));
    assert_eq!(counted["shares"], json!([{ "type": "order.created", "count": 2 }]));
    let body = json!({ "since": since, "object": { "kind": "order", "id": 2 } });
    let done = json_of(served.post(&path, &admin, &body).await, StatusCode::OK).await;
    assert_eq!((&done["total"], &done["replayed"]), (&json!(1), &json!(1)));
    deliver(&served.hub).await;
    assert_eq!(receiver.received().len(), 3);
    for far in ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"] {
        let asked = served.post(&path, &admin, &json!({ "since": far, "dryRun": true })).await;
        json_of(asked, StatusCode::OK).await;
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_with_its_field() {
    let (served, _receiver, admin) = served().await;
    for (body, field, code) in [
        (json!({ "url": "http://10.0.0.1/", "events": ["*"] }), "url", "address_refused"),
        (json!({ "url": "hello", "events": ["*"] }), "url", "format"),
        (json!({ "url": "https://93.184.215.14/", "events": [] }), "events", "required"),
        (json!({ "url": "https://93.184.215.14/", "events": ["orders.*"] }), "events", "unknown_value"),
        (
            json!({ "url": "https://93.184.215.14/", "events": ["*"], "ratePerSecond": 0 }),
            "ratePerSecond",
            "out_of_range",
        ),
    ] {
        let problem = problem_of(served.post(ENDPOINTS, &admin, &body).await, 400, "invalid").await;
        assert_eq!(
            (&problem["errors"][0]["field"], &problem["errors"][0]["code"]),
            (&json!(field), &json!(code)),
            "{body}"
        );
    }
}

#[tokio::test]
async fn only_who_runs_the_hub_gets_in() {
    let (served, receiver, admin) = served().await;
    let (id, _) = create(&served, &admin, &json!({ "url": receiver.url(), "events": ["*"] })).await;
    for role in Role::ALL.into_iter().filter(|role| *role != Role::SuperAdmin && !role.is_dealer()) {
        let token = served.token(role, None).await;
        for path in [ENDPOINTS.to_owned(), format!("{ENDPOINTS}/{id}"), format!("{ENDPOINTS}/{id}/secrets")] {
            problem_of(served.get(&path, &token).await, 403, "permission_missing").await;
        }
    }
    assert_eq!(served.get(ENDPOINTS, "").await.status(), StatusCode::UNAUTHORIZED);
}
