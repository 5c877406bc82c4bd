//! Waits after failed sign-ins: they grow, they are the same for accounts that do not exist, and no stranger locks anybody out.

use chrono::TimeDelta;
use kopru::{http::RateLimits, principal::Role};
use reqwest::{Method, Response, StatusCode};
use serde_json::json;

use crate::support::{
    people::{self, PASSWORD},
    served::{Served, generous, json_of, problem_of},
};

async fn attempt(served: &Served, from: &str, email: &str, password: &str) -> Response {
    let request = served.request(Method::POST, "/api/v1/auth/login", "").header("x-forwarded-for", from);
    request.json(&json!({ "email": email, "password": password })).send().await.expect("an answer")
}

async fn wait_of(response: Response) -> i64 {
    let seconds = response.headers().get("retry-after").expect("a wait").to_str().expect("ASCII").parse();
    problem_of(response, 429, "sign_in_locked").await;
    seconds.expect("a number")
}

async fn served() -> Served {
    // The address's own limit shrinks with failures; here it is not what is looked at.
    let served = Served::with_limits(RateLimits { enabled: false, ..generous() }).await;
    people::with_password(served.pool(), &served.clock, Role::SuperAdmin, None, "admin@kopru.test").await;
    served
}

#[tokio::test]
async fn the_fifth_failure_makes_wait_and_each_one_after_it_longer() {
    let served = served().await;
    for email in ["admin@kopru.test", "nobody@kopru.test"] {
        for _ in 0..5 {
            problem_of(attempt(&served, "203.0.113.9", email, "wrong").await, 401, "credentials_wrong").await;
        }
        // The right password is not looked at.
        let first = wait_of(attempt(&served, "203.0.113.9", email, PASSWORD).await).await;
        assert!((1..=31).contains(&first), "{first}");
    }
    served.clock.advance(TimeDelta::seconds(32));
    let again = attempt(&served, "203.0.113.9", "admin@kopru.test", "wrong").await;
    problem_of(again, 401, "credentials_wrong").await;
    let second = wait_of(attempt(&served, "203.0.113.9", "admin@kopru.test", PASSWORD).await).await;
    assert!((32..=61).contains(&second), "{second}");
    served.clock.advance(TimeDelta::seconds(62));
    json_of(attempt(&served, "203.0.113.9", "admin@kopru.test", PASSWORD).await, StatusCode::OK).await;
    // What was proven is forgiven.
    problem_of(attempt(&served, "203.0.113.9", "admin@kopru.test", "wrong").await, 401, "credentials_wrong").await;
    json_of(attempt(&served, "203.0.113.9", "admin@kopru.test", PASSWORD).await, StatusCode::OK).await;
}

#[tokio::test]
async fn a_stranger_locks_nobody_out() {
    let served = served().await;
    json_of(attempt(&served, "198.51.100.1", "admin@kopru.test", PASSWORD).await, StatusCode::OK).await;
    // Many strangers, none of whom has to wait by itself.
    for place in 0..50 {
        let from = format!("203.0.113.{place}");
        problem_of(attempt(&served, &from, "admin@kopru.test", "wrong").await, 401, "credentials_wrong").await;
    }
    // Elsewhere it takes a minute at most; where the person comes from it takes nothing.
    let wait = wait_of(attempt(&served, "192.0.2.1", "admin@kopru.test", PASSWORD).await).await;
    assert!((1..=61).contains(&wait), "{wait}");
    json_of(attempt(&served, "198.51.100.1", "admin@kopru.test", PASSWORD).await, StatusCode::OK).await;
}

/// The last half of an IPv6 address changes from day to day; the network is the subscriber's.
#[tokio::test]
async fn a_stranger_locks_nobody_out_of_an_ipv6_network() {
    let served = served().await;
    json_of(attempt(&served, "2001:db8:1:1::7", "admin@kopru.test", PASSWORD).await, StatusCode::OK).await;
    // Used not long ago, however long ago it was begun.
    served.hub.execute("update identity.session set created_at = created_at - interval '40 days'").await;
    for place in 0..50 {
        let from = format!("2001:db8:2:{place}::1");
        problem_of(attempt(&served, &from, "admin@kopru.test", "wrong").await, 401, "credentials_wrong").await;
    }
    wait_of(attempt(&served, "2001:db8:1:2::7", "admin@kopru.test", PASSWORD).await).await;
    for from in ["2001:db8:1:1::7", "2001:db8:1:1:aaaa::9"] {
        json_of(attempt(&served, from, "admin@kopru.test", PASSWORD).await, StatusCode::OK).await;
    }
}
