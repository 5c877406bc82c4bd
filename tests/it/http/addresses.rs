//! Whose word about an address is believed.

use reqwest::StatusCode;

use super::site::{KEY_ROUTE, Site, problem};

async fn ask(site: &Site, key: &str, forwarded: &str) -> reqwest::Response {
    let request = site.client.get(site.url(KEY_ROUTE)).header("x-api-key", key).header("x-forwarded-for", forwarded);
    request.send().await.expect("an answer")
}

#[tokio::test]
async fn a_stranger_cannot_claim_an_allowed_address() {
    let site = Site::new().await;
    let key = site.key_with(|new| new.allowed_networks = vec!["203.0.113.0/24".parse().expect("a network")]).await;
    problem(ask(&site, &key, "203.0.113.9").await, 403, "address_not_allowed").await;
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_and_what_its_caller_claims_is_not() {
    let mut site = Site::with(|build| build.trusted_proxies = vec!["127.0.0.0/8"]).await;
    let key = site.key_with(|new| new.allowed_networks = vec!["203.0.113.0/24".parse().expect("a network")]).await;
    assert_eq!(ask(&site, &key, "203.0.113.9").await.status(), StatusCode::OK);
    problem(ask(&site, &key, "203.0.113.9, 198.51.100.1").await, 403, "address_not_allowed").await;
    problem(ask(&site, &key, "nonsense").await, 403, "address_not_allowed").await;
    site.stop().await;
    let addresses = site.rows("select distinct host(address) as a from identity.api_key_use order by 1").await;
    assert_eq!(
        addresses.iter().map(|row| row["a"].as_str().expect("text")).collect::<Vec<_>>(),
        ["127.0.0.1", "198.51.100.1", "203.0.113.9"]
    );
}
