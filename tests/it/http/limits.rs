//! Rate limits: headers, 429, shares, and addresses that keep failing.

use kopru::http::RateLimits;
use reqwest::{Response, StatusCode};

use super::site::{KEY_ROUTE, Site, problem};
use crate::support::hub::eventually;

fn limits(per_api_key: u32, per_ip: u32) -> RateLimits {
    RateLimits { enabled: true, per_user: per_api_key, per_api_key, per_ip }
}

fn header(response: &Response, name: &str) -> u64 {
    let value = response.headers().get(name).unwrap_or_else(|| panic!("no {name}: {:?}", response.headers()));
    value.to_str().expect("ASCII").parse().expect("a number")
}

fn window(response: &Response) -> [u64; 2] {
    assert!((1..=60).contains(&header(response, "ratelimit-reset")));
    [header(response, "ratelimit-limit"), header(response, "ratelimit-remaining")]
}

async fn refused(response: Response, limit: u64) {
    assert_eq!(window(&response), [limit, 0]);
    let retry_after = header(&response, "retry-after");
    assert!((1..=60).contains(&retry_after) && retry_after <= header(&response, "ratelimit-reset"));
    problem(response, 429, "rate_limited").await;
}

#[tokio::test]
async fn a_key_is_limited_and_every_answer_says_how_much_is_left() {
    let site = Site::with(|build| build.rate_limits = limits(3, 100)).await;
    let key = site.key().await;
    for left in [2, 1, 0] {
        assert_eq!(window(&site.ask(&key).await), [3, left]);
    }
    refused(site.ask(&key).await, 3).await;
    // Another key has a limit of its own, and may have another one.
    let generous = site.key_with(|new| new.rate_per_minute = Some(50)).await;
    assert_eq!(window(&site.ask(&generous).await), [50, 49]);
    assert_eq!(window(&site.ask(&site.key().await).await), [3, 2]);
}

#[tokio::test]
async fn an_address_is_limited_whatever_it_asks_but_not_for_its_health() {
    let site = Site::with(|build| build.rate_limits = limits(100, 4)).await;
    let key = site.key().await;
    assert_eq!(window(&site.ask(&key).await), [4, 3]);
    let get = async |path: &str| site.client.get(site.url(path)).send().await.expect("an answer");
    assert_eq!(window(&get("/nowhere").await), [4, 2]);
    assert_eq!(window(&get("/metrics").await), [4, 1]);
    assert_eq!(window(&get(KEY_ROUTE).await), [4, 0]);
    refused(site.ask(&key).await, 4).await;
    for _ in 0..20 {
        let response = get("/health/live").await;
        assert_eq!(response.status(), StatusCode::OK);
        assert!(response.headers().get("ratelimit-limit").is_none());
    }
}

#[tokio::test]
async fn daemons_share_a_limit() {
    let site = Site::with(|build| {
        build.rate_limits = limits(1_000, 5_000);
        build.daemons = 2;
    })
    .await;
    let key = site.key().await;
    eventually("the share is half", || async { window(&site.ask(&key).await)[0] == 500 }).await;
}

#[tokio::test]
async fn an_address_that_keeps_failing_gets_less_and_others_do_not() {
    let site = Site::with(|build| {
        build.rate_limits = limits(100, 40);
        build.trusted_proxies = vec!["127.0.0.1/32"];
    })
    .await;
    let key = site.key().await;
    let ask = async |from: &str, key: &str| {
        let request = site.client.get(site.url(KEY_ROUTE)).header("x-api-key", key).header("x-forwarded-for", from);
        request.send().await.expect("an answer")
    };
    for _ in 0..10 {
        problem(ask("203.0.113.9", "kpr_guess").await, 401, "api_key_unknown").await;
    }
    // Two halvings; a key that is good does not lift them.
    assert_eq!(window(&ask("203.0.113.9", &key).await)[0], 10);
    assert_eq!(window(&ask("203.0.113.10", &key).await)[0], 40);
    // What is left ends sooner with every further guess.
    let mut guesses = 0;
    while ask("203.0.113.9", "kpr_guess").await.status() == StatusCode::UNAUTHORIZED {
        guesses += 1;
    }
    assert!(guesses < 30, "{guesses}");
}

#[tokio::test]
async fn what_was_once_good_or_is_missing_is_no_guess() {
    let site = Site::with(|build| build.rate_limits = limits(100, 40)).await;
    let key = site.key().await;
    let get = async || site.client.get(site.url(KEY_ROUTE)).send().await.expect("an answer");
    let refresh = async || {
        let body = serde_json::json!({ "refreshToken": "krt_lost" });
        site.client.post(site.url("/api/v1/auth/refresh")).json(&body).send().await.expect("an answer")
    };
    for _ in 0..6 {
        problem(get().await, 401, "api_key_missing").await;
        problem(refresh().await, 401, "refresh_token_invalid").await;
    }
    assert_eq!(window(&site.ask(&key).await)[0], 40);
    let forged = async || {
        let request = site.client.get(site.url("/api/v1/me")).bearer_auth("forged");
        request.send().await.expect("an answer")
    };
    for _ in 0..5 {
        problem(forged().await, 401, "token_invalid").await;
    }
    assert_eq!(window(&site.ask(&key).await)[0], 20);
}

#[tokio::test]
async fn nothing_is_limited_when_limits_are_off() {
    let site = Site::with(|build| build.rate_limits = RateLimits { enabled: false, ..limits(1, 1) }).await;
    let key = site.key().await;
    for _ in 0..5 {
        let response = site.ask(&key).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert!(response.headers().get("ratelimit-limit").is_none());
    }
}
