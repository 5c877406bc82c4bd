//! Signing in, staying signed in, signing out.

use futures::future::join_all;
use kopru::{http::RateLimits, principal::Role};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{
    hub::eventually,
    people::{self, PASSWORD},
    served::{Served, generous, json_of, problem_of},
};

const LOGIN: &str = "/api/v1/auth/login";
const REFRESH: &str = "/api/v1/auth/refresh";
const LOGOUT: &str = "/api/v1/auth/logout";
const ME: &str = "/api/v1/me";

pub async fn login(served: &Served, email: &str) -> Value {
    let answer = served.post(LOGIN, "", &json!({ "email": email, "password": PASSWORD, "device": "Chrome" })).await;
    json_of(answer, StatusCode::OK).await
}

fn text<'a>(document: &'a Value, name: &str) -> &'a str {
    document[name].as_str().unwrap_or_else(|| panic!("no {name}: {document}"))
}

async fn refresh(served: &Served, token: &str) -> reqwest::Response {
    served.post(REFRESH, "", &json!({ "refreshToken": token })).await
}

#[tokio::test]
async fn a_person_signs_in_is_known_and_signs_out() {
    let served = Served::new().await;
    let company = people::company(served.pool(), "120.01.001").await;
    let user =
        people::with_password(served.pool(), &served.clock, Role::DealerOwner, Some(company), "ayse@firma.com").await;

    let body = json!({ "email": " AYSE@firma.com", "password": PASSWORD });
    let answer = served.post(LOGIN, "", &body).await;
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let tokens = json_of(answer, StatusCode::OK).await;
    assert_eq!((tokens["expiresIn"].as_i64(), text(&tokens, "tokenType")), (Some(900), "Bearer"));

    let answer = served.get(ME, text(&tokens, "accessToken")).await;
    assert_eq!(answer.headers()["cache-control"], "private, no-cache");
    let me = json_of(answer, StatusCode::OK).await;
    assert_eq!(me["id"], user.id);
    assert_eq!(me["email"], "ayse@firma.com");
    assert_eq!((text(&me, "role"), me["companyId"].as_i64()), ("dealer_owner", Some(company)));
    let permissions = me["permissions"].as_array().expect("a list");
    assert!(permissions.contains(&json!("orders.create")) && !permissions.contains(&json!("orders.approve")));

    let out = served.post(LOGOUT, text(&tokens, "accessToken"), &json!({})).await;
    assert_eq!(out.status(), StatusCode::NO_CONTENT);
    problem_of(served.get(ME, text(&tokens, "accessToken")).await, 401, "session_ended").await;
    problem_of(refresh(&served, text(&tokens, "refreshToken")).await, 401, "refresh_token_invalid").await;
    // Again is no mistake; with nothing at all it is one.
    let again = served.post(LOGOUT, "", &json!({ "refreshToken": tokens["refreshToken"] })).await;
    assert_eq!(again.status(), StatusCode::NO_CONTENT);
    problem_of(served.request(Method::POST, LOGOUT, "").send().await.expect("an answer"), 401, "token_missing").await;

    let told = served.hub.rows("select action, actor from identity.audit_event where action like 'user.signed%'").await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().all(|row| row["actor"] == format!("user:{}", user.id)));
}

#[tokio::test]
async fn an_address_has_one_account_however_it_is_typed() {
    let served = Served::new().await;
    people::with_password(served.pool(), &served.clock, Role::SuperAdmin, None, "info@firma.com").await;
    for email in ["info@firma.com", "INFO@FIRMA.COM", "İNFO@FİRMA.COM", "ınfo@fırma.com", "I\u{307}nfo@firma.com "]
    {
        login(&served, email).await;
    }
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_are_the_same_answer() {
    let served = Served::new().await;
    people::with_password(served.pool(), &served.clock, Role::SuperAdmin, None, "admin@kopru.test").await;
    let mut seen = Vec::new();
    for (email, password) in [
        ("admin@kopru.test", "Kopru-2027"),
        ("nobody@kopru.test", PASSWORD),
        ("admin@kopru.test", ""),
        ("' or 1=1 --", "' or 1=1 --"),
        ("<script>alert(1)</script>", "<b>"),
        ("\u{0}", "\u{0}"),
        ("çelik🔥@şirket.com", "💡"),
        ("", ""),
    ] {
        let answer = served.post(LOGIN, "", &json!({ "email": email, "password": password })).await;
        let mut problem = problem_of(answer, 401, "credentials_wrong").await;
        problem["correlationId"].take();
        seen.push(problem);
    }
    assert!(seen.iter().all(|problem| *problem == seen[0]), "{seen:?}");
}

#[tokio::test]
async fn odd_requests_are_refused_and_never_break_anything() {
    let served = Served::new().await;
    people::with_password(served.pool(), &served.clock, Role::SuperAdmin, None, "admin@kopru.test").await;
    let long = "x".repeat(10_000);
    let body = json!({ "email": "admin@kopru.test", "password": long });
    problem_of(served.post(LOGIN, "", &body).await, 401, "credentials_wrong").await;
    let body = json!({ "email": format!("{long}@b.de"), "password": PASSWORD });
    problem_of(served.post(LOGIN, "", &body).await, 401, "credentials_wrong").await;
    for body in [json!({}), json!([]), json!({ "email": 1, "password": 2 }), json!({ "email": "a@b.de" })] {
        problem_of(served.post(LOGIN, "", &body).await, 400, "bad_request").await;
    }
    let plain = served.request(Method::POST, LOGIN, "").body("{").send().await.expect("an answer");
    problem_of(plain, 415, "unsupported_media_type").await;
    // A name of a device with everything in it is kept, without what cannot be kept.
    let device = format!("'; drop table identity.session; -- <b>\u{0}\n İstanbul 💡 {long}");
    let body = json!({ "email": "admin@kopru.test", "password": PASSWORD, "device": device });
    json_of(served.post(LOGIN, "", &body).await, StatusCode::OK).await;
    let kept = served.hub.row("select device from identity.session").await;
    let kept = kept["device"].as_str().expect("a device");
    assert!(kept.starts_with("'; drop table identity.session; -- <b> İstanbul 💡 xxx"), "{kept}");
    assert_eq!(kept.chars().count(), 100);
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_a_second_use_ends_the_session() {
    let served = Served::new().await;
    people::with_password(served.pool(), &served.clock, Role::SuperAdmin, None, "admin@kopru.test").await;
    let first = login(&served, "admin@kopru.test").await;
    let other_device = login(&served, "admin@kopru.test").await;

    let second = json_of(refresh(&served, text(&first, "refreshToken")).await, StatusCode::OK).await;
    assert_ne!(second["refreshToken"], first["refreshToken"]);
    json_of(served.get(ME, text(&second, "accessToken")).await, StatusCode::OK).await;

    problem_of(refresh(&served, text(&first, "refreshToken")).await, 401, "refresh_token_invalid").await;
    problem_of(refresh(&served, text(&second, "refreshToken")).await, 401, "refresh_token_invalid").await;
    problem_of(served.get(ME, text(&second, "accessToken")).await, 401, "session_ended").await;
    assert_eq!(served.hub.count("identity.audit_event where action = 'refresh_token.reused'").await, 1);
    // The other device knows nothing of it.
    json_of(refresh(&served, text(&other_device, "refreshToken")).await, StatusCode::OK).await;
    // Nothing that could be used is in the store.
    let stored = served.hub.rows("select * from identity.refresh_token").await;
    let stored = serde_json::to_string(&stored).expect("JSON");
    assert!(!stored.contains(&text(&second, "refreshToken")[4..]));
}

#[tokio::test]
async fn of_sixteen_uses_at_once_one_succeeds_and_the_session_ends() {
    let served = Served::new().await;
    people::with_password(served.pool(), &served.clock, Role::SuperAdmin, None, "admin@kopru.test").await;
    let tokens = login(&served, "admin@kopru.test").await;
    let answers = join_all((0..16).map(|_| refresh(&served, text(&tokens, "refreshToken")))).await;
    let mut good = Vec::new();
    for answer in answers {
        match answer.status() {
            StatusCode::OK => good.push(json_of(answer, StatusCode::OK).await),
            _ => drop(problem_of(answer, 401, "refresh_token_invalid").await),
        }
    }
    assert_eq!(good.len(), 1);
    problem_of(refresh(&served, text(&good[0], "refreshToken")).await, 401, "refresh_token_invalid").await;
}

#[tokio::test]
async fn a_refresh_token_that_nobody_used_for_a_week_is_over() {
    let served = Served::new().await;
    people::with_password(served.pool(), &served.clock, Role::SuperAdmin, None, "admin@kopru.test").await;
    let tokens = login(&served, "admin@kopru.test").await;
    served.clock.advance(chrono::TimeDelta::days(6));
    let tokens = json_of(refresh(&served, text(&tokens, "refreshToken")).await, StatusCode::OK).await;
    served.clock.advance(chrono::TimeDelta::days(8));
    problem_of(refresh(&served, text(&tokens, "refreshToken")).await, 401, "refresh_token_invalid").await;
    for nonsense in ["", "krt_", "krt_AAAA", "' or 1=1", "\u{0}", "ş"] {
        problem_of(refresh(&served, nonsense).await, 401, "refresh_token_invalid").await;
    }
}

#[tokio::test]
async fn a_disabled_user_is_out_within_the_time_that_is_remembered() {
    let served = Served::new().await;
    let user = people::with_password(served.pool(), &served.clock, Role::SalesManager, None, "s@kopru.test").await;
    let tokens = login(&served, "s@kopru.test").await;
    served.hub.execute(&format!("update identity.app_user set state = 'disabled' where id = {}", user.id)).await;
    let access = text(&tokens, "accessToken");
    eventually("the token ends", || async { served.get(ME, access).await.status() == StatusCode::UNAUTHORIZED }).await;
    problem_of(refresh(&served, text(&tokens, "refreshToken")).await, 401, "refresh_token_invalid").await;
    let body = json!({ "email": "s@kopru.test", "password": PASSWORD });
    problem_of(served.post(LOGIN, "", &body).await, 403, "account_disabled").await;
    // Who does not know the password does not learn it.
    let body = json!({ "email": "s@kopru.test", "password": "Kopru-2027" });
    problem_of(served.post(LOGIN, "", &body).await, 401, "credentials_wrong").await;
}

#[tokio::test]
async fn a_person_has_a_limit_of_their_own() {
    let served = Served::with_limits(RateLimits { per_user: 3, ..generous() }).await;
    let (one, other) = (served.token(Role::SuperAdmin, None).await, served.token(Role::SuperAdmin, None).await);
    for left in ["2", "1", "0"] {
        assert_eq!(served.get(ME, &one).await.headers()["ratelimit-remaining"], left);
    }
    let refused = served.get(ME, &one).await;
    assert!(refused.headers().contains_key("retry-after"));
    problem_of(refused, 429, "rate_limited").await;
    json_of(served.get(ME, &other).await, StatusCode::OK).await;
}

#[tokio::test]
async fn sign_in_takes_no_idempotency_key() {
    let served = Served::new().await;
    people::with_password(served.pool(), &served.clock, Role::SuperAdmin, None, "admin@kopru.test").await;
    let ask = async || {
        let body = json!({ "email": "admin@kopru.test", "password": PASSWORD });
        let request = served.request(Method::POST, LOGIN, "").header("idempotency-key", "k-1").json(&body);
        json_of(request.send().await.expect("an answer"), StatusCode::OK).await
    };
    assert_ne!(ask().await["refreshToken"], ask().await["refreshToken"]);
    assert_eq!(served.hub.count("identity.idempotent_answer").await, 0);
}
