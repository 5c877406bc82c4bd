//! Verifying keys against the store, without a web server.

use std::{net::IpAddr, time::Duration};

use kopru::{
    app::App,
    audit::Actor,
    clock::Clock,
    config::{Config, Sources},
    demo,
    identity::api_keys::{self, KeyRing, NewKey, Refusal},
};
use serde_json::json;
use sqlx::PgPool;

use crate::support::database::TestDatabase;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const BY: Actor<'static> = Actor::new("cli:test", "test");

async fn make(pool: &PgPool) -> (String, String) {
    let new = NewKey {
        name: "test".to_owned(),
        instance: "logo".to_owned(),
        scopes: vec!["integration:write".to_owned()],
        allowed_networks: Vec::new(),
        rate_per_minute: None,
        expires_at: None,
    };
    let mut tx = pool.begin().await.expect("a transaction");
    let (key, text) = api_keys::create(&mut tx, BY, &new, Clock::system().now()).await.expect("a key");
    tx.commit().await.expect("committed");
    (key.prefix, text.expose().to_owned())
}

async fn revoke(pool: &PgPool, prefix: &str) {
    let mut tx = pool.begin().await.expect("a transaction");
    api_keys::revoke(&mut tx, BY, prefix).await.expect("revoked");
    tx.commit().await.expect("committed");
}

#[tokio::test]
async fn a_key_that_was_asked_for_lately_costs_no_round_trip() {
    let database = TestDatabase::new().await;
    let ring = KeyRing::new(database.pool.clone(), Clock::system());
    let (prefix, text) = make(&database.pool).await;
    let caller = ring.verify(&text, HERE).await.expect("good");
    assert_eq!((caller.prefix.as_str(), caller.actor()), (prefix.as_str(), format!("api-key:{prefix}")));
    assert!(caller.may("integration:write") && !caller.may("integration:read"));
    database.pool.close().await;
    assert_eq!(ring.verify(&text, HERE).await.expect("good"), caller);
}

#[tokio::test]
async fn a_ring_that_remembers_nothing_sees_a_revocation_at_once() {
    let database = TestDatabase::new().await;
    let ring = KeyRing::new(database.pool.clone(), Clock::system()).remembering(Duration::ZERO);
    let (prefix, text) = make(&database.pool).await;
    ring.verify(&text, HERE).await.expect("good");
    revoke(&database.pool, &prefix).await;
    assert!(matches!(ring.verify(&text, HERE).await, Err(Refusal::Revoked(_))));
}

#[tokio::test]
async fn a_demo_finds_its_key_again_and_replaces_one_that_is_no_good() {
    let database = TestDatabase::new().await;
    let dir = tempfile::TempDir::new().expect("a directory");
    let config = Config::load(&Sources::none().set("database.url", database.url.as_str())).expect("valid");
    let app = App::open(config, Clock::system()).await.expect("open");
    let first = demo::api_key(&app, dir.path()).await.expect("a key");
    demo::write_description(dir.path(), &json!({ "apiKey": first })).expect("written");
    assert_eq!(demo::api_key(&app, dir.path()).await.expect("a key"), first);
    revoke(&database.pool, &first[4..12]).await;
    let second = demo::api_key(&app, dir.path()).await.expect("a key");
    assert_ne!(second, first);
    demo::write_description(dir.path(), &json!({ "apiKey": null })).expect("written");
    assert_ne!(demo::api_key(&app, dir.path()).await.expect("a key"), second);
    app.close().await;
}

#[tokio::test]
async fn a_creation_that_is_rolled_back_leaves_neither_key_nor_row() {
    let database = TestDatabase::new().await;
    let mut tx = database.pool.begin().await.expect("a transaction");
    let new = NewKey {
        name: "test".to_owned(),
        instance: "logo".to_owned(),
        scopes: vec!["integration:read".to_owned()],
        allowed_networks: Vec::new(),
        rate_per_minute: None,
        expires_at: None,
    };
    let (_, text) = api_keys::create(&mut tx, BY, &new, Clock::system().now()).await.expect("a key");
    tx.rollback().await.expect("rolled back");
    let ring = KeyRing::new(database.pool.clone(), Clock::system());
    assert!(matches!(ring.verify(text.expose(), HERE).await, Err(Refusal::Unknown)));
    let rows: i64 = sqlx::query_scalar("select count(*) from identity.audit_event")
        .fetch_one(&database.pool)
        .await
        .expect("a count");
    assert_eq!(rows, 0);
}
