//! `kopru api-key …`, `kopru audit list` and `kopru openapi`, by the real program.

use serde_json::{Value, json};

use crate::support::{database::TestDatabase, kopru::Kopru};

async fn installation() -> (TestDatabase, Kopru) {
    let database = TestDatabase::new().await;
    let kopru = Kopru::new();
    kopru.write(
        "config.toml",
        &format!(
            "[database]\nurl = \"{}\"\n[connectors.logo]\nkind = \"push\"\n[connectors.logo_izmir]\nkind = \"push\"\n\
             master = []\n",
            database.url
        ),
    );
    (database, kopru)
}

fn create(kopru: &Kopru, name: &str, more: &[&str]) -> Value {
    let base = ["--json", "api-key", "create", "--name", name, "--scope", "integration:write"];
    kopru.run(&[&base[..], more].concat()).expect(0).json()
}

#[tokio::test]
async fn a_key_is_made_listed_and_revoked_and_all_of_it_is_in_the_books() {
    let (database, kopru) = installation().await;
    let more = [
        "--ip",
        "10.1.2.3/8",
        "--ip",
        "::1",
        "--ip",
        "::ffff:127.0.0.6/128",
        "--rate",
        "60",
        "--expires",
        "2099-01-01T00:00:00Z",
        "--scope",
    ];
    let made = create(&kopru, "LOGO", &[&more[..], &["integration:read", "--instance", "logo_izmir"]].concat());
    let (key, prefix) = (made["key"].as_str().expect("a key"), made["prefix"].as_str().expect("a prefix"));
    assert!(key.starts_with(&format!("kpr_{prefix}_")) && key.len() == 4 + 8 + 1 + 43, "{key}");
    assert_eq!(made["scopes"], json!(["integration:read", "integration:write"]));
    assert_eq!(made["allowedNetworks"], json!(["10.0.0.0/8", "::1/128", "127.0.0.6/32"]));
    assert_eq!((&made["instance"], &made["ratePerMinute"]), (&json!("logo_izmir"), &json!(60)));
    let second = create(&kopru, "second", &[]);
    assert_eq!((&second["instance"], &second["expiresAt"]), (&json!("logo"), &Value::Null));

    // For a person: the key alone on standard output.
    let shown = kopru.run(&["api-key", "create", "--name", "third", "--scope", "integration:read"]).expect(0);
    assert_eq!((shown.stdout.lines().count(), shown.stdout.starts_with("kpr_")), (1, true), "{}", shown.stdout);
    assert!(shown.stderr.contains("never again"), "{}", shown.stderr);

    let page = kopru.run(&["--json", "api-key", "list", "--limit", "2"]).expect(0).json();
    assert_eq!([&page["items"][0]["name"], &page["items"][1]["name"]], ["third", "second"]);
    let cursor = page["nextCursor"].to_string();
    let rest = kopru.run(&["--json", "api-key", "list", "--limit", "2", "--cursor", &cursor]).expect(0).json();
    assert_eq!((&rest["items"][0]["name"], &rest["nextCursor"]), (&json!("LOGO"), &Value::Null));

    kopru.run(&["api-key", "revoke", prefix]).expect(0);
    let again = kopru.run(&["api-key", "revoke", prefix]).expect(1);
    assert!(again.stderr.contains("was revoked before"), "{}", again.stderr);
    // The whole key, as somebody has it in the clipboard.
    kopru.run(&["api-key", "revoke", second["key"].as_str().expect("a key")]).expect(0);
    let listed = kopru.run(&["api-key", "list"]).expect(0).stdout;
    assert!(listed.contains("third") && !listed.contains(prefix), "{listed}");
    let all = kopru.run(&["api-key", "list", "--all"]).expect(0).stdout;
    assert!(all.contains(prefix) && all.contains("revoked"), "{all}");

    let books = kopru.run(&["--json", "audit", "list", "--kind", "api_key", "--subject", prefix]).expect(0).json();
    let actions: Vec<_> = books["items"].as_array().expect("a list").iter().map(|row| &row["action"]).collect();
    assert_eq!(actions, ["api_key.revoked", "api_key.created"]);
    assert!(books["items"][0]["actor"].as_str().expect("text").starts_with("cli:"));
    assert_eq!(books["items"][1]["detail"]["allowedNetworks"], json!(["10.0.0.0/8", "::1/128", "127.0.0.6/32"]));
    let page = kopru.run(&["--json", "audit", "list", "--limit", "3", "--action", "api_key.created"]).expect(0).json();
    let cursor = page["nextCursor"].as_str().expect("a full page").to_owned();
    let rest = kopru.run(&["--json", "audit", "list", "--cursor", &cursor]).expect(0).json();
    assert_eq!((page["items"].as_array().expect("a list").len(), &rest["items"]), (3, &json!([])));
    assert!(kopru.run(&["audit", "list"]).expect(0).stdout.contains("api_key.revoked"));

    // The secret is nowhere in the store.
    let secret = &key[13..];
    let tables = ["identity.api_key", "identity.audit_event", "identity.api_key_use"];
    for table in tables {
        let found: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "select count(*) from {table} t where position('{}' in t::text) > 0",
            &secret[..20]
        )))
        .fetch_one(&database.pool)
        .await
        .expect("a count");
        assert_eq!(found, 0, "{table}");
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_wrong_usage_and_says_what_would() {
    let (_database, kopru) = installation().await;
    let scope = ["--scope", "integration:write"];
    for (args, says) in [
        (&["--name", "x", "--scope", "everything"][..], "known are integration:read, integration:write"),
        (&["--name", "x"], "--scope"),
        (&["--name", " ", scope[0], scope[1]], "1 to 100 characters"),
        (&["--name", "x", scope[0], scope[1], "--ip", "10.0.0.0/33"], "as in 10.0.0.0/8"),
        (&["--name", "x", scope[0], scope[1], "--rate", "0"], "0"),
        (&["--name", "x", scope[0], scope[1], "--expires", "2001-01-01T00:00:00Z"], "expired already"),
        (&["--name", "x", scope[0], scope[1], "--expires", "tomorrow"], "tomorrow"),
        (&["--name", "x", scope[0], scope[1], "--instance", "LOGO!"], "[connectors.NAME]"),
        (&["--name", "x", scope[0], scope[1], "--instance", "nope"], "configured: logo, logo_izmir"),
    ] {
        let run = kopru.run(&[&["api-key", "create"][..], args].concat()).expect(2);
        assert!(run.stderr.contains(says), "{args:?}: {}", run.stderr);
    }
    let missing = kopru.run(&["api-key", "revoke", "nothing1"]).expect(1);
    assert!(missing.stderr.contains("kopru api-key list"), "{}", missing.stderr);
    let none = kopru.run(&["--json", "api-key", "list"]).expect(0).json();
    assert_eq!(none, json!({ "items": [], "nextCursor": null }));
}

#[test]
fn the_description_is_printed_without_a_database() {
    let kopru = Kopru::new();
    let printed = kopru.run(&["openapi"]).expect(0).json();
    assert_eq!(printed["paths"]["/api/integration"]["get"]["operationId"], "describeKey");
    assert!(!kopru.data_dir().exists());
}
