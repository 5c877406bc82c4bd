//! Passwords that are changed, forgotten and chosen; sessions that are listed and ended.

use chrono::TimeDelta;
use kopru::{mail::MailKind, principal::Role};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::sign_in::login;
use crate::support::{
    hub::eventually,
    people::{self, PASSWORD},
    served::{Served, json_of, problem_of},
};

const SESSIONS: &str = "/api/v1/me/sessions";
const FORGOT: &str = "/api/v1/auth/password/forgot";
const RESET: &str = "/api/v1/auth/password/reset";

fn access(tokens: &Value) -> &str {
    tokens["accessToken"].as_str().expect("a token")
}

async fn served() -> Served {
    let served = Served::new().await;
    people::with_password(served.pool(), &served.clock, Role::SalesManager, None, "ayse@kopru.test").await;
    served
}

async fn sign_in_with(served: &Served, password: &str) -> reqwest::Response {
    served.post("/api/v1/auth/login", "", &json!({ "email": "ayse@kopru.test", "password": password })).await
}

#[tokio::test]
async fn sessions_are_listed_and_ended_one_by_one_or_all_others() {
    let served = served().await;
    let (here, there, elsewhere) = (
        login(&served, "ayse@kopru.test").await,
        login(&served, "ayse@kopru.test").await,
        login(&served, "ayse@kopru.test").await,
    );
    let stranger = served.token(Role::SuperAdmin, None).await;

    let listed = json_of(served.get(SESSIONS, access(&here)).await, StatusCode::OK).await;
    let items = listed["items"].as_array().expect("a list");
    assert_eq!(items.len(), 3);
    assert_eq!(items.iter().filter(|item| item["current"] == true).count(), 1);
    assert_eq!((&items[0]["device"], &items[0]["address"]), (&json!("Chrome"), &json!("127.0.0.1")));
    let page = json_of(served.get(&format!("{SESSIONS}?limit=2"), access(&here)).await, StatusCode::OK).await;
    let cursor = page["nextCursor"].as_str().expect("there is more");
    let rest = served.get(&format!("{SESSIONS}?limit=2&cursor={cursor}"), access(&here)).await;
    let rest = json_of(rest, StatusCode::OK).await;
    assert_eq!((rest["items"].as_array().map(Vec::len), &rest["nextCursor"]), (Some(1), &Value::Null));
    for bad in ["limit=0", "limit=101", "limit=x", "limit=99999999999999999999", "cursor=AAAA", "limit=1&limit=2"] {
        let answer = served.get(&format!("{SESSIONS}?{bad}"), access(&here)).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{bad}");
    }

    // Of `there`: the middle one.
    let id = items[1]["id"].as_str().expect("an id");
    let end = async |id: &str, token: &str| {
        let path = format!("{SESSIONS}/{id}");
        served.request(Method::DELETE, &path, token).send().await.expect("an answer")
    };
    problem_of(end(id, &stranger).await, 404, "not_found").await;
    for nonsense in ["1", "%27", "00000000-0000-0000-0000-000000000000"] {
        problem_of(end(nonsense, access(&here)).await, 404, "not_found").await;
    }
    assert_eq!(end(id, access(&here)).await.status(), StatusCode::NO_CONTENT);
    problem_of(served.get(SESSIONS, access(&there)).await, 401, "session_ended").await;
    problem_of(end(id, access(&here)).await, 404, "not_found").await;

    let all = served.request(Method::DELETE, SESSIONS, access(&here)).send().await.expect("an answer");
    assert_eq!(all.status(), StatusCode::NO_CONTENT);
    problem_of(served.get(SESSIONS, access(&elsewhere)).await, 401, "session_ended").await;
    json_of(served.get(SESSIONS, access(&here)).await, StatusCode::OK).await;
    json_of(served.get("/api/v1/me", &stranger).await, StatusCode::OK).await;
}

#[tokio::test]
async fn a_changed_password_ends_every_other_session() {
    let served = served().await;
    let (here, there) = (login(&served, "ayse@kopru.test").await, login(&served, "ayse@kopru.test").await);
    let change = async |current: &str, new: &str| {
        let body = json!({ "currentPassword": current, "newPassword": new });
        served.send(Method::PUT, "/api/v1/me/password", access(&here), &body).await
    };
    for (new, rule) in [("short", "too_short"), ("nocapital1", "too_simple"), (PASSWORD, "same")] {
        let problem = problem_of(change(PASSWORD, new).await, 400, "invalid").await;
        assert_eq!(
            (&problem["errors"][0]["field"], &problem["errors"][0]["code"]),
            (&json!("newPassword"), &json!(rule))
        );
    }
    let long = problem_of(change(PASSWORD, &"aB3".repeat(4_000)).await, 400, "invalid").await;
    assert_eq!(long["errors"][0]["code"], "too_long");
    let wrong = problem_of(change("Wrong-2026", "Kopru-2027").await, 400, "invalid").await;
    assert_eq!(wrong["errors"][0]["field"], "currentPassword");

    let answer = change(PASSWORD, "Kopru-2027").await;
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let fresh = json_of(answer, StatusCode::OK).await;
    json_of(served.get("/api/v1/me", access(&fresh)).await, StatusCode::OK).await;
    for old in [&here, &there] {
        problem_of(served.get("/api/v1/me", access(old)).await, 401, "session_ended").await;
        let refresh = json!({ "refreshToken": old["refreshToken"] });
        problem_of(served.post("/api/v1/auth/refresh", "", &refresh).await, 401, "refresh_token_invalid").await;
    }
    // The session itself is the same, and was not taken for stolen.
    let refresh = json!({ "refreshToken": fresh["refreshToken"] });
    json_of(served.post("/api/v1/auth/refresh", "", &refresh).await, StatusCode::OK).await;
    problem_of(sign_in_with(&served, PASSWORD).await, 401, "credentials_wrong").await;
    json_of(sign_in_with(&served, "Kopru-2027").await, StatusCode::OK).await;
    assert_eq!(served.hub.count("identity.audit_event where action = 'user.password_changed'").await, 1);
}

#[tokio::test]
async fn guessing_the_current_password_makes_wait() {
    let served = served().await;
    let tokens = login(&served, "ayse@kopru.test").await;
    let guess = async || {
        let body = json!({ "currentPassword": "Wrong-2026", "newPassword": "Kopru-2027" });
        served.send(Method::PUT, "/api/v1/me/password", access(&tokens), &body).await
    };
    for _ in 0..5 {
        problem_of(guess().await, 400, "invalid").await;
    }
    problem_of(guess().await, 429, "sign_in_locked").await;
}

#[tokio::test]
async fn a_forgotten_password_is_chosen_by_a_link_that_works_once() {
    let served = served().await;
    let old = login(&served, "ayse@kopru.test").await;
    let mut answers = Vec::new();
    // Known in any spelling, unknown, and no address at all.
    for email in ["AYŞE@kopru.test", "AYSE@kopru.test", "nobody@kopru.test", "' or 1=1 --", "", "a@b\r\nBcc: x@y.zz"] {
        let answer = served.post(FORGOT, "", &json!({ "email": email })).await;
        assert_eq!(answer.headers()["cache-control"], "no-store");
        answers.push(json_of(answer, StatusCode::ACCEPTED).await);
    }
    assert!(answers.iter().all(|answer| *answer == json!({ "status": "received" })), "{answers:?}");
    // Again within a minute: no second mail.
    served.post(FORGOT, "", &json!({ "email": "ayse@kopru.test" })).await;
    let mails = served.mails().await;
    assert_eq!(mails.len(), 1);
    let (mail, token) = &mails[0];
    assert_eq!((mail.kind, mail.to.as_str()), (MailKind::PasswordReset, "ayse@kopru.test"));
    // The secret is in no table in the clear.
    for table in ["hub.delivery", "identity.link_token", "identity.audit_event"] {
        let rows = serde_json::to_string(&served.hub.rows(&format!("select * from {table}")).await).expect("JSON");
        assert!(!rows.contains(&token[4..]), "{table}");
    }

    let reset = async |token: &str, password: &str| {
        served.post(RESET, "", &json!({ "token": token, "password": password })).await
    };
    for bad in ["", "klt_", "klt_AAAA", &token[1..], "' or 1=1", "\u{0}"] {
        problem_of(reset(bad, "Kopru-2027").await, 400, "link_invalid").await;
    }
    // A password that is not good uses nothing up.
    problem_of(reset(token, "short").await, 400, "invalid").await;
    assert_eq!(reset(token, "Kopru-2027").await.status(), StatusCode::NO_CONTENT);
    problem_of(reset(token, "Kopru-2028").await, 400, "link_invalid").await;
    json_of(sign_in_with(&served, "Kopru-2027").await, StatusCode::OK).await;
    problem_of(sign_in_with(&served, PASSWORD).await, 401, "credentials_wrong").await;
    eventually("sessions of before end", || async {
        served.get("/api/v1/me", access(&old)).await.status() == StatusCode::UNAUTHORIZED
    })
    .await;
}

#[tokio::test]
async fn a_link_ends_by_time_by_a_newer_one_and_when_its_user_is_disabled() {
    let served = served().await;
    let ask = async || {
        served.post(FORGOT, "", &json!({ "email": "ayse@kopru.test" })).await;
        served.mails().await.pop().expect("a mail").1
    };
    let reset = async |token: &str| served.post(RESET, "", &json!({ "token": token, "password": "Kopru-2027" })).await;
    let first = ask().await;
    served.clock.advance(TimeDelta::minutes(2));
    let second = ask().await;
    assert_ne!(first, second);
    problem_of(reset(&first).await, 400, "link_invalid").await;
    served.clock.advance(TimeDelta::minutes(61));
    problem_of(reset(&second).await, 400, "link_invalid").await;
    let third = ask().await;
    served.hub.execute("update identity.app_user set state = 'disabled'").await;
    problem_of(reset(&third).await, 400, "link_invalid").await;
    served.clock.advance(TimeDelta::minutes(2));
    served.post(FORGOT, "", &json!({ "email": "ayse@kopru.test" })).await;
    assert_eq!(served.mails().await.len(), 3);
}

#[tokio::test]
async fn a_changed_password_and_a_disabled_user_end_the_links_of_before() {
    let served = served().await;
    let tokens = login(&served, "ayse@kopru.test").await;
    let ask = async || {
        served.post(FORGOT, "", &json!({ "email": "ayse@kopru.test" })).await;
        served.mails().await.pop().expect("a mail").1
    };
    let stolen = ask().await;
    let body = json!({ "currentPassword": PASSWORD, "newPassword": "Kopru-2027" });
    let changed = served.send(Method::PUT, "/api/v1/me/password", access(&tokens), &body).await;
    json_of(changed, StatusCode::OK).await;
    let reset = json!({ "token": stolen, "password": "Kopru-2028" });
    problem_of(served.post(RESET, "", &reset).await, 400, "link_invalid").await;

    ask().await;
    let admin = served.token(Role::SuperAdmin, None).await;
    let id: i64 = sqlx::query_scalar("select id from identity.app_user where email = 'ayse@kopru.test'")
        .fetch_one(served.pool())
        .await
        .expect("an id");
    let path = format!("/api/admin/users/{id}");
    for state in ["disabled", "active"] {
        let answer = served.send(Method::PATCH, &path, &admin, &json!({ "state": state })).await;
        json_of(answer, StatusCode::OK).await;
    }
    assert_eq!(served.hub.count("identity.link_token").await, 0);
}
