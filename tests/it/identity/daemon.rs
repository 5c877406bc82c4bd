//! The daemon as it is put together: configuration, gate, books and logs.

use rustix::process::Signal;
use serde_json::Value;

use crate::{
    e2e::process::Process,
    support::{database::TestDatabase, hub::eventually, kopru::Kopru},
};

#[tokio::test]
async fn a_served_hub_knows_its_keys_and_logs_none_of_them() {
    let database = TestDatabase::new().await;
    let kopru = Kopru::new();
    kopru.write(
        "config.toml",
        &format!(
            "[database]\nurl = \"{}\"\n[http]\nlisten = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1\"]\n\
             [connectors.logo]\nkind = \"push\"\n[rate_limit]\nper_api_key_per_minute = 7\n[log]\nlevel = \"trace\"\n",
            database.url
        ),
    );
    let made = kopru
        .run(&[
            "--json",
            "api-key",
            "create",
            "--name",
            "LOGO",
            "--scope",
            "integration:write",
            "--ip",
            "203.0.113.0/24",
        ])
        .expect(0)
        .json();
    let key = made["key"].as_str().expect("a key").to_owned();
    let mut daemon = Process::start(kopru.command(&["serve"]), kopru.path(), "serve");
    let address = daemon
        .shows("the address", |daemon| {
            let log = daemon.log();
            let line = log.lines().find(|line| line.contains(" ready ") && line.contains("address="))?.to_owned();
            Some(line.split("address=").nth(1)?.split_whitespace().next()?.to_owned())
        })
        .await;
    let client = reqwest::Client::builder().build().expect("a client");
    let ask = async |key: &str, from: &str| {
        let request = client.get(format!("http://{address}/api/integration"));
        request.header("x-api-key", key).header("x-forwarded-for", from).send().await.expect("an answer")
    };
    let good = ask(&key, "203.0.113.9").await;
    assert_eq!(good.status(), 200);
    assert_eq!(good.headers()["ratelimit-limit"], "7");
    let shown: Value = good.json().await.expect("JSON");
    assert_eq!(shown["name"], "LOGO");
    assert_eq!(ask(&key, "198.51.100.1").await.status(), 403);
    let wrong = format!("{}{}", &key[..13], "A".repeat(43));
    assert_eq!(ask(&wrong, "203.0.113.9").await.status(), 401);
    for _ in 0..6 {
        assert_eq!(ask(&key, "203.0.113.9").await.status(), 200);
    }
    let limited = ask(&key, "203.0.113.9").await;
    assert_eq!(limited.status(), 429);
    assert!(limited.headers().contains_key("retry-after"));

    // While it runs, not only when it stops.
    eventually("the uses are in the books", || async {
        let lines = kopru.run(&["--json", "api-key", "uses", "--prefix", &key[4..12]]).expect(0).json();
        let outcomes = lines["items"].as_array().expect("a list").iter().map(|line| line["outcome"].as_str());
        let mut outcomes: Vec<_> = outcomes.map(|outcome| outcome.expect("text").to_owned()).collect();
        outcomes.sort();
        outcomes.dedup();
        outcomes == ["accepted", "address", "rate"]
    })
    .await;
    let unknown = kopru.run(&["--json", "api-key", "uses", "--outcome", "unknown"]).expect(0).json();
    assert_eq!(
        (&unknown["items"][0]["address"], &unknown["items"][0]["prefix"]),
        (&"203.0.113.9".into(), &Value::Null)
    );

    daemon.signal(Signal::TERM);
    assert!(daemon.ended().success());
    let log = daemon.log();
    assert!(log.contains("request answered"), "{log}");
    for secret in [&key[13..], &wrong[13..]] {
        assert!(!log.contains(secret) && !log.contains(&secret[..12]), "a key in the log");
    }
}
