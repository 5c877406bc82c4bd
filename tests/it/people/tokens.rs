//! Access tokens: which are taken, and what an API key may do instead.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use kopru::{
    identity::{
        api_keys::{self, NewKey},
        tokens,
    },
    principal::Role,
};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::support::{
    people,
    served::{Served, json_of, problem_of},
};

const ME: &str = "/api/v1/me";

fn part(token: &str, at: usize) -> Value {
    let part = token.split('.').nth(at).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

fn packed(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[tokio::test]
async fn only_our_own_tokens_are_taken() {
    let served = Served::new().await;
    let token = served.token(Role::SuperAdmin, None).await;
    assert_eq!(part(&token, 0)["alg"], "EdDSA");
    let claims = part(&token, 1);
    // Nothing of a person in it, and no rights.
    assert_eq!(claims.as_object().expect("claims").len(), 6, "{claims}");

    let pieces: Vec<&str> = token.split('.').collect();
    let (header, body, signature) = (pieces[0], pieces[1], pieces[2]);
    let kid = part(&token, 0)["kid"].clone();
    let none = packed(&json!({ "typ": "JWT", "alg": "none", "kid": kid }));
    let hs256 = packed(&json!({ "typ": "JWT", "alg": "HS256", "kid": kid }));
    let stranger = packed(&json!({ "typ": "JWT", "alg": "EdDSA", "kid": "0123456789abcdef" }));
    let nameless = packed(&json!({ "typ": "JWT", "alg": "EdDSA" }));
    let mut richer = claims.clone();
    richer["sub"] = json!("1000000");
    let mut longer = claims.clone();
    longer["exp"] = json!(claims["exp"].as_i64().expect("exp") + 86_400);
    let flipped = format!("{}{}", if signature.starts_with('A') { "B" } else { "A" }, &signature[1..]);
    for forged in [
        format!("{none}.{body}."),
        format!("{none}.{body}.{signature}"),
        format!("{hs256}.{body}.{signature}"),
        format!("{stranger}.{body}.{signature}"),
        format!("{nameless}.{body}.{signature}"),
        format!("{header}.{}.{signature}", packed(&richer)),
        format!("{header}.{}.{signature}", packed(&longer)),
        format!("{header}.{body}.{flipped}"),
        format!("{header}.{body}."),
        format!("{header}.{body}"),
        format!("{token}.{body}"),
        "x".repeat(8_000),
        "null".to_owned(),
        "..".to_owned(),
    ] {
        let answer = served.get(ME, &forged).await;
        assert_eq!(answer.headers()["www-authenticate"], "Bearer", "{forged}");
        problem_of(answer, 401, "token_invalid").await;
    }
    problem_of(served.get(ME, "").await, 401, "token_missing").await;
    let basic = served.request(Method::GET, ME, "").basic_auth("admin", Some("admin"));
    problem_of(basic.send().await.expect("an answer"), 401, "token_invalid").await;
    let twice = served.request(Method::GET, ME, &token).header("authorization", format!("Bearer {token}"));
    problem_of(twice.send().await.expect("an answer"), 401, "token_invalid").await;
    json_of(served.get(ME, &token).await, StatusCode::OK).await;
}

#[tokio::test]
async fn a_token_of_another_installation_is_nobodys() {
    let (one, other) = (Served::new().await, Served::new().await);
    let foreign = other.token(Role::SuperAdmin, None).await;
    one.token(Role::SuperAdmin, None).await;
    problem_of(one.get(ME, &foreign).await, 401, "token_invalid").await;
    // Not even when it claims to be signed by a key of ours.
    let ours = one.token(Role::SuperAdmin, None).await;
    let (header, rest) = (ours.split('.').next().expect("a header"), foreign.split_once('.').expect("a body").1);
    problem_of(one.get(ME, &format!("{header}.{rest}")).await, 401, "token_invalid").await;
}

#[tokio::test]
async fn a_token_has_its_time() {
    let served = Served::new().await;
    let token = served.token(Role::SuperAdmin, None).await;
    served.clock.advance(TimeDelta::minutes(14));
    json_of(served.get(ME, &token).await, StatusCode::OK).await;
    served.clock.advance(TimeDelta::minutes(2));
    problem_of(served.get(ME, &token).await, 401, "token_expired").await;
    // One from the future: the clock has gone back since.
    let token = served.token(Role::SuperAdmin, None).await;
    served.clock.advance(TimeDelta::minutes(-10));
    problem_of(served.get(ME, &token).await, 401, "token_invalid").await;
}

#[tokio::test]
async fn two_keys_are_good_while_one_takes_over_from_the_other() {
    let served = Served::new().await;
    let rotate = async || {
        let mut tx = served.pool().begin().await.expect("a transaction");
        tokens::rotate(&mut tx, Some(&people::sealer()), served.clock.now()).await.expect("rotated");
        tx.commit().await.expect("committed");
    };
    let old = served.token(Role::SuperAdmin, None).await;
    json_of(served.get(ME, &old).await, StatusCode::OK).await;
    rotate().await;
    let new = served.token(Role::SuperAdmin, None).await;
    assert_ne!(part(&old, 0)["kid"], part(&new, 0)["kid"]);
    // The server has not read the new key yet; it looks again when it meets it, once a second at most.
    crate::support::hub::eventually("the new key is known", || async {
        served.get(ME, &new).await.status() == StatusCode::OK
    })
    .await;
    json_of(served.get(ME, &old).await, StatusCode::OK).await;
    rotate().await;
    let newest = served.token(Role::SuperAdmin, None).await;
    crate::support::hub::eventually("the newest key is known", || async {
        served.get(ME, &newest).await.status() == StatusCode::OK
    })
    .await;
    problem_of(served.get(ME, &old).await, 401, "token_invalid").await;
    json_of(served.get(ME, &new).await, StatusCode::OK).await;
}

async fn key(served: &Served, scopes: &[&str]) -> Result<String, api_keys::KeyError> {
    let new = NewKey {
        name: "A program".to_owned(),
        instance: "logo".to_owned(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        allowed_networks: Vec::new(),
        rate_per_minute: None,
        expires_at: None,
    };
    let mut tx = served.pool().begin().await.expect("a transaction");
    let (_, text) = api_keys::create(&mut tx, people::by(), &new, DateTime::<Utc>::UNIX_EPOCH).await?;
    tx.commit().await.expect("committed");
    Ok(text.expose().to_owned())
}

#[tokio::test]
async fn an_api_key_acts_for_the_house_with_the_permissions_of_its_scopes() {
    let served = Served::new().await;
    let ask = async |key: &str| -> Response {
        served.request(Method::GET, ME, "").header("x-api-key", key).send().await.expect("an answer")
    };
    let good = key(&served, &["integration:write", "orders.view", "customers.view"]).await.expect("a key");
    let me = json_of(ask(&good).await, StatusCode::OK).await;
    assert_eq!(me["actor"], format!("api-key:{}", &good[4..12]));
    assert_eq!(me["permissions"], json!(["orders.view", "customers.view"]));
    assert_eq!((&me["id"], &me["companyId"]), (&Value::Null, &Value::Null));
    problem_of(ask("kpr_nobody").await, 401, "api_key_unknown").await;
    for unknown in ["orders.everything", "orders", "", "Orders.View"] {
        assert!(matches!(key(&served, &[unknown]).await, Err(api_keys::KeyError::UnknownScope(_))), "{unknown}");
    }
}
