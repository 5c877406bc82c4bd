//! Who may pass with which key, and what is said and counted about those who may not.

use std::time::Duration;

use chrono::TimeDelta;
use kopru::{audit::Actor, identity::api_keys};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::site::{KEY_ROUTE, Site, problem};
use crate::support::hub::eventually;

#[tokio::test]
async fn a_good_key_is_told_what_it_is() {
    let site = Site::new().await;
    let expires_at = site.clock.now() + TimeDelta::hours(1);
    let key = site.key_with(|new| new.expires_at = Some(expires_at)).await;
    let response = site.ask(&key).await;
    assert_eq!(response.status(), StatusCode::OK);
    let shown: Value = response.json().await.expect("JSON");
    assert_eq!(
        shown,
        json!({
            "name": "LOGO pushes",
            "prefix": key[4..12],
            "instance": "logo",
            "scopes": ["integration:read", "integration:write"],
            "expiresAt": expires_at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true),
        })
    );
}

#[tokio::test]
async fn each_refusal_says_what_it_is_and_no_more() {
    let site = Site::new().await;
    let key = site.key().await;

    let missing = site.client.get(site.url(KEY_ROUTE)).send().await.expect("an answer");
    assert_eq!(missing.headers()["www-authenticate"], "ApiKey header=\"X-API-Key\"");
    problem(missing, 401, "api_key_missing").await;

    // An unknown key, a wrong secret and no key at all look the same.
    let other_secret = format!("{}{}", &key[..13], &site.key().await[13..]);
    let other_prefix = format!("kpr_aaaaaaaa{}", &key[12..]);
    let mut unknown = Vec::new();
    for bad in [other_secret.as_str(), &other_prefix, "", "kpr_", "Bearer x", &key[..key.len() - 1], &key[4..]] {
        let mut document = problem(site.ask(bad).await, 401, "api_key_unknown").await;
        document["correlationId"].take();
        unknown.push(document);
    }
    assert!(unknown.iter().all(|document| *document == unknown[0]), "{unknown:?}");
    let twice = site.client.get(site.url(KEY_ROUTE)).header("x-api-key", &key).header("x-api-key", &key);
    problem(twice.send().await.expect("an answer"), 401, "api_key_unknown").await;

    let expired = site.key_with(|new| new.expires_at = Some(site.clock.now() - TimeDelta::seconds(1))).await;
    problem(site.ask(&expired).await, 401, "api_key_expired").await;

    let elsewhere =
        site.key_with(|new| new.allowed_networks = vec!["203.0.113.0/24".parse().expect("a network")]).await;
    let document = problem(site.ask(&elsewhere).await, 403, "address_not_allowed").await;
    assert_eq!(document["detail"], "this API key may not be used from 127.0.0.1");
    let here = site.key_with(|new| new.allowed_networks = vec!["127.0.0.0/8".parse().expect("a network")]).await;
    assert_eq!(site.ask(&here).await.status(), StatusCode::OK);

    let reader = site.key_with(|new| new.scopes = vec!["integration:read".to_owned()]).await;
    let refused = site.post("/effects/a", &reader, "x").send().await.expect("an answer");
    let document = problem(refused, 403, "scope_missing").await;
    assert_eq!(document["detail"], "this API key lacks the scope integration:write; it has integration:read");
    assert_eq!(site.runs(), 0);
}

#[tokio::test]
async fn a_key_that_expires_while_it_is_remembered_is_refused() {
    let site = Site::new().await;
    let key = site.key_with(|new| new.expires_at = Some(site.clock.now() + TimeDelta::hours(1))).await;
    assert_eq!(site.ask(&key).await.status(), StatusCode::OK);
    site.clock.advance(TimeDelta::hours(2));
    problem(site.ask(&key).await, 401, "api_key_expired").await;
}

#[tokio::test]
async fn a_revoked_key_is_refused_in_time_and_only_its_holder_learns_why() {
    let site = Site::with(|build| build.waits.fresh_keys = Duration::from_millis(100)).await;
    let key = site.key().await;
    assert_eq!(site.ask(&key).await.status(), StatusCode::OK);
    let mut tx = site.pool().begin().await.expect("a transaction");
    let by = Actor::new("cli:test", "test");
    api_keys::revoke(&mut tx, by, &key[4..12]).await.expect("revoked");
    tx.commit().await.expect("committed");

    eventually("it is refused", || async { site.ask(&key).await.status() != StatusCode::OK }).await;
    problem(site.ask(&key).await, 401, "api_key_revoked").await;
    let forged = format!("{}{}", &key[..13], &site.key().await[13..]);
    problem(site.ask(&forged).await, 401, "api_key_unknown").await;
}

#[tokio::test]
async fn a_database_that_is_away_is_not_a_wrong_key() {
    let site = Site::new().await;
    let key = site.key().await;
    site.pool().close().await;
    problem(site.ask(&key).await, 503, "unavailable").await;
}

#[tokio::test]
async fn uses_are_counted_by_key_route_address_and_outcome() {
    let mut site = Site::new().await;
    let (key, reader) = (site.key().await, site.key_with(|new| new.scopes = vec!["integration:read".to_owned()]).await);
    for _ in 0..3 {
        site.ask(&key).await;
    }
    for name in ["a", "b"] {
        site.post(&format!("/effects/{name}"), &key, "x").send().await.expect("an answer");
    }
    site.post("/effects/a", &reader, "x").send().await.expect("an answer");
    site.ask("kpr_nobody").await;
    site.client.get(site.url(KEY_ROUTE)).send().await.expect("an answer");
    site.stop().await;

    let counted = site
        .rows(
            "select k.prefix, host(u.address) as address, u.method, u.route, u.outcome, sum(u.uses)::int as uses
             from identity.api_key_use u left join identity.api_key k on k.id = u.key_id
             group by 1, 2, 3, 4, 5 order by k.prefix is null, u.outcome, u.method",
        )
        .await;
    let line = |prefix: Value, method: &str, route: &str, outcome: &str, uses: i64| json!({ "prefix": prefix, "address": "127.0.0.1", "method": method, "route": route, "outcome": outcome, "uses": uses });
    assert_eq!(
        counted,
        [
            line(json!(key[4..12]), "GET", KEY_ROUTE, "accepted", 3),
            line(json!(key[4..12]), "POST", "/effects/{name}", "accepted", 2),
            line(json!(reader[4..12]), "POST", "/effects/{name}", "scope", 1),
            line(Value::Null, "GET", KEY_ROUTE, "unknown", 1),
        ]
    );
    assert_eq!(site.count("identity.api_key where last_used_at is not null").await, 1);
}
