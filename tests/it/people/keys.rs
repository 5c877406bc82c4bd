//! The keys that sign access tokens: sealed in the store, replaced while people work.

use std::{fs, path::Path};

use chrono::TimeDelta;
use futures::future::join_all;
use kopru::{
    clock::Clock,
    identity::{
        people::People,
        tokens::{KeyProblem, KeySource, RotateError},
    },
    principal::Role,
    seal::Sealer,
};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{
    database::TestDatabase,
    kopru::Kopru,
    people::{self, by, visit},
};

fn knowing(pool: &PgPool, clock: &Clock, sealer: Option<&Sealer>) -> People {
    People::new(pool.clone(), clock.clone(), KeySource::Store, sealer.cloned())
}

async fn stored(pool: &PgPool) -> Vec<(bool, bool)> {
    sqlx::query_as(
        "select pkcs8 is not null, coalesce(sealed like 's1.%', false) from identity.signing_key order by id",
    )
    .fetch_all(pool)
    .await
    .expect("the keys")
}

async fn actions(pool: &PgPool) -> Vec<String> {
    let told = "select action from identity.audit_event where subject_kind = 'signing_key' order by id";
    sqlx::query_scalar(told).fetch_all(pool).await.expect("the books")
}

async fn token(people: &People, user: i64) -> String {
    people.open_session(user, &visit()).await.expect("a session").access
}

fn kid(token: &str) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().expect("a header")).expect("base64url");
    let header: Value = serde_json::from_slice(&header).expect("JSON");
    header["kid"].as_str().expect("a kid").to_owned()
}

#[tokio::test]
async fn keys_that_lay_in_the_clear_are_sealed_once_and_their_tokens_stay_good() {
    let (database, clock) = (TestDatabase::new().await, Clock::system());
    let pool = &database.pool;
    let user = people::without_password(pool, &clock, Role::SuperAdmin, "a@kopru.test").await;
    let before = knowing(pool, &clock, None);
    let old = token(&before, user).await;
    assert_eq!(stored(pool).await, [(true, false)], "without a master key it lies in the clear");

    let sealer = Sealer::random().expect("a key");
    // Eight daemons begin together.
    let daemons: Vec<People> = (0..8).map(|_| knowing(pool, &clock, Some(&sealer))).collect();
    for known in join_all(daemons.iter().map(|daemon| daemon.verify(&old))).await {
        known.expect("the token is good");
    }
    assert_eq!(stored(pool).await, [(false, true)]);
    assert_eq!(actions(pool).await, ["signing_key.sealed"]);
    // A key of before is not in the store any more, nor is a new one.
    let clear: i64 =
        sqlx::query_scalar("select count(*) from identity.signing_key k where k::text like '%06032b6570%'")
            .fetch_one(pool)
            .await
            .expect("a count");
    assert_eq!(clear, 0);
    let anew = knowing(pool, &clock, Some(&sealer));
    anew.verify(&token(&anew, user).await).await.expect("good");
}

#[tokio::test]
async fn a_sealed_key_does_not_open_without_its_master_key_and_says_how_to_go_on() {
    let (database, clock) = (TestDatabase::new().await, Clock::system());
    let pool = &database.pool;
    let right = Sealer::random().expect("a key");
    knowing(pool, &clock, Some(&right)).check().await.expect("a key is made");
    assert_eq!(stored(pool).await, [(false, true)]);
    let without = knowing(pool, &clock, None).check().await.expect_err("no master key");
    assert!(matches!(without, KeyProblem::NoMasterKey { .. }), "{without}");
    let wrong = Sealer::random().expect("a key");
    let other = knowing(pool, &clock, Some(&wrong)).check().await.expect_err("another one");
    assert!(matches!(other, KeyProblem::OtherMasterKey { .. }), "{other}");

    // The program, at its start.
    let kopru = Kopru::new();
    let config = format!("[database]\nurl = \"{}\"\n[http]\nlisten = \"127.0.0.1:0\"\n", database.url);
    kopru.write("config.toml", &config);
    let refused = kopru.run(&["serve"]).expect(2);
    assert!(refused.stderr.contains("[auth] master_key_file"), "{}", refused.stderr);
    Sealer::read_or_make(&kopru.path().join("master.key")).expect("another key");
    kopru.write("config.toml", &format!("{config}[auth]\nmaster_key_file = \"master.key\"\n"));
    let refused = kopru.run(&["serve"]).expect(2);
    assert!(refused.stderr.contains("another master key") && refused.stderr.contains("kopru user rotate-keys"));
    // The master key is lost: a new signing key, and people sign in again.
    let made = kopru.run(&["--json", "user", "rotate-keys"]).expect(0).json();
    let mine = Sealer::read(&kopru.path().join("master.key")).expect("the key");
    let user = people::without_password(pool, &clock, Role::SuperAdmin, "a@kopru.test").await;
    let people = knowing(pool, &clock, Some(&mine));
    let token = token(&people, user).await;
    assert_eq!(kid(&token), made["kid"]);
    people.verify(&token).await.expect("good");
}

#[tokio::test]
async fn a_rotation_ends_no_token_unless_somebody_says_so() {
    let (database, clock) = (TestDatabase::new().await, Clock::system());
    let pool = &database.pool;
    let user = people::without_password(pool, &clock, Role::SuperAdmin, "a@kopru.test").await;
    let people = people::people(pool, &clock);
    let old = token(&people, user).await;
    let second = people.rotate_keys(by(), false).await.expect("rotated");
    let new = token(&people, user).await;
    assert_eq!((kid(&new), kid(&old) == second), (second.clone(), false));
    for good in [&old, &new] {
        people.verify(good).await.expect("both are good");
    }
    let soon = people.rotate_keys(by(), false).await.expect_err("the old one's tokens would end");
    assert!(matches!(soon, RotateError::TooSoon(_)), "{soon}");
    people.verify(&old).await.expect("nothing was changed");
    clock.advance(TimeDelta::minutes(16));
    people.rotate_keys(by(), false).await.expect("they have ended by themselves");
    people.rotate_keys(by(), true).await.expect("somebody says so");
    assert_eq!(stored(pool).await, [(false, true), (false, true)]);
    assert_eq!(actions(pool).await, ["signing_key.rotated"; 3]);
    let details: Vec<Value> =
        sqlx::query_scalar("select detail from identity.audit_event where action like 'signing%' order by id")
            .fetch_all(pool)
            .await
            .expect("the books");
    assert_eq!(details[2], json!({ "atOnce": true }));
}

#[tokio::test]
async fn keys_in_a_file_of_ours_are_rotated_and_those_in_somebodys_are_not() {
    let (database, clock) = (TestDatabase::new().await, Clock::system());
    let pool = &database.pool;
    let user = people::without_password(pool, &clock, Role::SuperAdmin, "a@kopru.test").await;
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("signing-key.pem");
    let of = |source| People::new(pool.clone(), clock.clone(), source, None);
    let people = of(KeySource::OwnFile(path.clone()));
    let old = token(&people, user).await;
    let kid_now = people.rotate_keys(by(), false).await.expect("rotated");
    let new = token(&people, user).await;
    assert_eq!(kid(&new), kid_now);
    people.verify(&old).await.expect("good to its end");
    people.rotate_keys(by(), false).await.expect("rotated");
    assert_eq!(blocks(&path), 2, "the newest and the one before");
    assert_eq!(fs::read_dir(dir.path()).expect("read").count(), 1, "nothing beside it");
    let theirs = of(KeySource::File(path.clone())).rotate_keys(by(), false).await.expect_err("not ours");
    assert!(theirs.to_string().contains("put a new key before the old one"), "{theirs}");
    assert_eq!(blocks(&path), 2);
}

fn blocks(path: &Path) -> usize {
    fs::read_to_string(path).expect("the file").matches("BEGIN PRIVATE KEY").count()
}
