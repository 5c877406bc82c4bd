//! The token endpoint and what a token is good for.

use kopru_logo::sandbox::{CLIENT_ID, CLIENT_SECRET};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Logo, form, message, options};

const BASIC: Option<(&str, &str)> = Some((CLIENT_ID, CLIENT_SECRET));

#[tokio::test]
async fn a_sign_in_answers_as_the_service_does() {
    let logo = Logo::small().await;
    let answer = logo.ask_token(BASIC, &form(&[])).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["cache-control"], "no-cache");
    assert_eq!(answer.headers()["server"], "Microsoft-HTTPAPI/2.0");
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["token_type"], "bearer");
    assert_eq!(body["expires_in"], 1_199);
    assert_eq!(body["firmNo"], "7", "a text, as in the field");
    assert!(body["access_token"].as_str().unwrap().len() > 200);
}

#[tokio::test]
async fn the_client_may_stand_in_the_body_unless_switched() {
    let in_body = form(&[("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)]);
    for (switches, basic, body) in [
        (json!({}), StatusCode::OK, StatusCode::OK),
        (json!({"basic_only": true}), StatusCode::OK, StatusCode::BAD_REQUEST),
        (json!({"body_only": true}), StatusCode::BAD_REQUEST, StatusCode::OK),
    ] {
        let logo = Logo::new(10, switches.clone()).await;
        assert_eq!(logo.ask_token(BASIC, &form(&[])).await.status(), basic, "{switches}");
        assert_eq!(logo.ask_token(None, &in_body).await.status(), body, "{switches}");
    }
}

#[tokio::test]
async fn wrong_clients_and_wrong_users_are_told_apart() {
    let logo = Logo::small().await;
    let cases = [
        (Some((CLIENT_ID, "wrong")), form(&[]), "invalid_client"),
        (None, form(&[]), "invalid_client"),
        (BASIC, form(&[("password", "wrong")]), "invalid_grant"),
        (BASIC, form(&[("password", "")]), "invalid_grant"),
        (BASIC, form(&[("firmno", "8")]), "invalid_grant"),
        (BASIC, form(&[("grant_type", "refresh_token")]), "unsupported_grant_type"),
    ];
    for (basic, form, error) in cases {
        let answer = logo.ask_token(basic, &form).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        assert_eq!(answer.json::<Value>().await.unwrap()["error"], error, "{form}");
    }
}

#[tokio::test]
async fn tokens_end_by_time_by_fault_and_by_revoke() {
    let mut logo = Logo::new(10, json!({"token_lifetime_secs": 60})).await;
    let status = async |logo: &Logo| logo.call(Method::GET, "/istokenvalid", None).await;
    assert_eq!(status(&logo).await.0, StatusCode::OK);
    logo.shift_clock(61).await;
    let (refused, body) = status(&logo).await;
    assert_eq!(refused, StatusCode::UNAUTHORIZED);
    assert_eq!(message(&body), "Authorization has been denied for this request.");

    logo.sign_in().await;
    let rules = json!([{"match": {"path": "/api/v1/items"}, "do": "expire_token", "times": 1}]);
    logo.http.put(logo.control("/faults")).json(&rules).send().await.unwrap();
    assert_eq!(logo.call(Method::GET, "/items", None).await.0, StatusCode::UNAUTHORIZED);
    logo.sign_in().await;
    assert_eq!(logo.call(Method::GET, "/items", None).await.0, StatusCode::OK);

    assert_eq!(logo.call(Method::POST, "/revoke", None).await.0, StatusCode::OK);
    assert_eq!(status(&logo).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn two_blanks_after_bearer_are_tolerated() {
    let logo = Logo::small().await;
    let request = logo.http.get(logo.url("/methods/CurrentFirm"));
    let answer = request.header("Authorization", format!("Bearer  {}", logo.token)).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "7");
}

#[tokio::test]
async fn methods_answer_bare_values() {
    let logo = Logo::small().await;
    assert_eq!(logo.get("/methods/CurrentPeriod").await, json!(1));
    assert_eq!(logo.get("/methods/versions").await["ApiVersion"], "1.0");
    assert_eq!(logo.get("/methods/GetTableName/14/7/1").await, json!("LG_007_01_INVOICE"));
}

#[tokio::test]
async fn unknown_switches_are_refused_with_the_nearest() {
    let refused = |switches: Value| kopru_logo::sandbox::build(&options(1, switches)).err().unwrap().to_string();
    assert_eq!(refused(json!({"page_ceilling": 25})), "page_ceilling: unknown key; did you mean `page_ceiling`?");
    assert_eq!(refused(json!({"basic_only": true, "body_only": true})), "body_only: excludes `basic_only`");
    assert_eq!(refused(json!({"missing_status": 500})), "missing_status: must be 400 or 404");
}
