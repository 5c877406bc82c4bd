//! `migrate`, `doctor` and `config` as a person or a script meets them.

use kopru::{
    config::{Config, Sources},
    database::{Database, DatabaseError},
};

use crate::support::{
    database::TestDatabase,
    kopru::{Kopru, Run},
};

#[test]
fn wrong_usage_and_wrong_configuration_end_with_2() {
    let kopru = Kopru::new();
    kopru.run(&["no-such-command"]).expect(2);
    kopru.run(&["config", "--no-such-flag"]).expect(2);
    kopru.run(&["config", "--config", "nowhere.toml"]).expect(2);

    kopru.write("config.toml", "[http]\nlissten = \"127.0.0.1:1\"\n\n[retry]\njiter = 0.1\n");
    for command in ["config", "migrate", "doctor"] {
        let run = kopru.run(&[command]).expect(2);
        let said = format!("{}{}", run.stdout, run.stderr);
        assert!(said.contains("config.toml:2: http.lissten: unknown key; did you mean `listen`?"), "{said}");
        assert!(said.contains("config.toml:5: retry.jiter: unknown key; did you mean `jitter`?"), "{said}");
    }
    kopru.write("config.toml", "[database]\nurl = \"postgres://kopru@db:not-a-port/x\"\n");
    kopru.run(&["migrate"]).expect(2);
}

#[test]
fn config_prints_what_is_in_force_and_no_secret() {
    let kopru = Kopru::new();
    kopru.write(
        "config.toml",
        "[database]\nurl = \"postgres://u:p@db/kopru\"\n[connectors.logo]\nbase_url = \"http://logo:32001\"\n\
         client_id = \"k\"\nclient_secret = \"çok gizli\"\nusername = \"k\"\npassword = \"çok gizli\"\nfirm = 7\n",
    );
    let mut command = kopru.command(&["config"]);
    command.env("KOPRU__HTTP__LISTEN", "127.0.0.1:9999").env("KOPRU__LOG__LEVEL", "debug");
    let output = command.output().expect("runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let printed: toml::Table = text.parse().expect("TOML");
    assert_eq!(printed["http"]["listen"].as_str(), Some("127.0.0.1:9999"));
    assert_eq!(printed["log"]["level"].as_str(), Some("debug"));
    assert_eq!(printed["connectors"]["logo"]["password"].as_str(), Some("***"));
    assert!(!text.contains("gizli") && !text.contains(":p@"), "{text}");

    let json = kopru.run(&["--json", "config"]).expect(0).json();
    assert_eq!(json["http"]["listen"], "127.0.0.1:8080");
}

#[test]
fn what_config_prints_can_be_read_back() {
    let kopru = Kopru::new();
    let printed = kopru.run(&["config"]).expect(0).stdout;
    kopru.write("again.toml", &printed);
    assert_eq!(kopru.run(&["config", "--config", "again.toml"]).expect(0).stdout, printed);
}

#[test]
fn doctor_touches_nothing_before_the_first_start() {
    let kopru = Kopru::new();
    let report = kopru.run(&["doctor", "--json"]).expect(0).json();
    assert_eq!(report["ok"], true);
    assert!(!kopru.data_dir().exists());
}

#[tokio::test]
async fn a_schema_behind_is_refused_with_a_url_until_it_is_migrated() {
    let database = TestDatabase::new().await;
    let newest: i64 = sqlx::query_scalar("select max(version) from _sqlx_migrations")
        .fetch_one(&database.pool)
        .await
        .expect("migrated");
    let kopru = Kopru::new();
    kopru.write("config.toml", &format!("[database]\nurl = \"{}\"\n", database.url));
    let config = Config::load(&Sources::none().file(kopru.path().join("config.toml"))).expect("valid");
    assert_eq!(kopru.run(&["migrate", "--json"]).expect(0).json()["applied"], serde_json::json!([]));

    // As an older binary left it.
    for statement in [
        "drop schema if exists commerce cascade",
        "drop schema if exists hub cascade",
        "drop schema if exists identity cascade",
        "delete from _sqlx_migrations",
    ] {
        sqlx::query(statement).execute(&database.pool).await.expect(statement);
    }
    let refused = Database::open(&config).await.expect_err("behind");
    assert!(matches!(refused, DatabaseError::Behind { .. }) && refused.to_string().contains("kopru migrate"));
    let doctor = kopru.run(&["doctor"]).expect(1);
    assert!(doctor.stdout.contains("run `kopru migrate`"), "{}", doctor.stdout);

    let applied = kopru.run(&["migrate", "--json"]).expect(0).json();
    assert!(applied["applied"].as_array().is_some_and(|list| list.contains(&newest.into())), "{applied}");
    kopru.run(&["doctor"]).expect(0);
    Database::open(&config).await.expect("current").close().await;

    // A newer binary's migration is none of our business; a changed one is.
    sqlx::query(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values (99991231235959, 'of a newer binary', true, 'x', 0)",
    )
    .execute(&database.pool)
    .await
    .expect("insert");
    kopru.run(&["migrate"]).expect(0);
    sqlx::query("update _sqlx_migrations set checksum = 'other' where version = $1")
        .bind(newest)
        .execute(&database.pool)
        .await
        .expect("update");
    let refused = Database::open(&config).await.expect_err("changed");
    assert!(matches!(refused, DatabaseError::Changed { version } if version == newest), "{refused}");
}

#[test]
fn a_database_that_does_not_answer_is_named_without_its_password() {
    let kopru = Kopru::new();
    kopru.write("config.toml", "[database]\nurl = \"postgres://kopru:parola@127.0.0.1:1/kopru\"\n");
    let run = kopru.run(&["migrate"]).expect(1);
    assert!(run.stderr.contains("cannot reach the database at 127.0.0.1:1/kopru"), "{}", run.stderr);
    assert!(!run.stderr.contains("parola"), "{}", run.stderr);
}

#[test]
fn a_system_that_does_not_answer_is_a_warning_unless_asked_strictly() {
    let kopru = Kopru::new();
    kopru.write(
        "config.toml",
        "[connectors.logo]\nbase_url = \"http://127.0.0.1:1\"\nclient_id = \"k\"\nclient_secret = \"gizli\"\n\
         username = \"k\"\npassword = \"\"\nfirm = 7\n",
    );
    let report = kopru.run(&["doctor", "--json"]).expect(0).json();
    let checks = report["checks"].as_array().expect("a list");
    let system = checks.iter().find(|check| check["name"] == "system logo").expect("asked");
    assert_eq!((&system["verdict"], &system["ok"]), (&"warning".into(), &serde_json::Value::Null));
    assert_eq!(report["ok"], true);
    let strict = kopru.run(&["doctor", "--strict"]).expect(1);
    assert!(!strict.stdout.contains("gizli"), "{}", strict.stdout);
}

#[test]
fn a_group_without_a_command_shows_its_help() {
    let kopru = Kopru::new();
    for group in ["sync", "messages", "dead-letters", "mapping", "connector"] {
        let run = kopru.run(&[group]).expect(2);
        assert!(run.stderr.contains(&format!("Usage: kopru {group}")) && run.stdout.is_empty(), "{}", run.stderr);
    }
    assert_eq!(kopru.run(&["version"]).expect(0).stdout, format!("kopru {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn every_line_of_a_run_carries_its_names_and_a_demos_directory_its_systems() {
    let kopru = Kopru::new();
    let dir = kopru.path().join("demo").display().to_string();
    let mut demo = kopru.command(&["demo", "--once", "--items", "20", "--json", "--data-dir", &dir]);
    let run = Run::from(
        demo.env("KOPRU__LOG__FORMAT", "json").env("KOPRU__LOG__LEVEL", "kopru=debug").output().expect("kopru runs"),
    )
    .expect(0);
    let lines = run.stderr.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let of_runs: Vec<_> = lines.filter(|line| line["target"] == "kopru::hub::pull").collect();
    assert!(of_runs.len() >= 7, "{}", run.stderr);
    for line in of_runs {
        let span = &line["spans"][0];
        for field in ["correlation_id", "run.id", "connector", "stream"] {
            assert!(span[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {line}");
        }
    }
    let streams = kopru.run(&["sync", "list", "--json", "--data-dir", &dir]).expect(0).json();
    assert_eq!(streams["items"].as_array().map(Vec::len), Some(10), "{streams}");
}

#[test]
fn doctor_looks_at_watched_folders() {
    let kopru = Kopru::new();
    let config = |mapping: &str| {
        format!(
            "[files.inbox]\ndir = \"out\"\ninstance = \"logo\"\n[[files.inbox.take]]\npattern = \"*.xml\"\n\
             mapping = \"{mapping}\"\n"
        )
    };
    kopru.write("config.toml", &config("logo/items"));
    let report = kopru.run(&["doctor"]).expect(1);
    assert!(report.stdout.contains("out is not there: make it, or mount it"), "{}", report.stdout);
    std::fs::create_dir(kopru.path().join("out")).expect("a directory");
    let report = kopru.run(&["doctor", "--json"]).expect(0).json();
    let checks = report["checks"].as_array().expect("a list");
    assert!(checks.iter().any(|check| check["name"] == "folder inbox" && check["ok"] == true), "{report}");
    assert!(kopru.path().join("out/work").is_dir());
    for (mapping, told) in [("logo/itemz", "is not in the library"), ("logo/stock", "reads no xml")] {
        kopru.write("config.toml", &config(mapping));
        let report = kopru.run(&["doctor"]).expect(1);
        assert!(report.stdout.contains(told), "{}", report.stdout);
    }
}

#[test]
fn config_judges_connectors_as_serve_does_and_tells_everything_at_once() {
    let kopru = Kopru::new();
    kopru.write(
        "config.toml",
        "[http]\nlisten = \"nowhere\"\n[connectors.logo]\nbase_url = \"http://127.0.0.1:1\"\nclient_id = \"k\"\n\
         client_secret = \"gizli\"\nusername = \"k\"\npasswrod = \"hey\"\nfirm = 0\nmaster = [\"produkt\"]\n\
         [connectors.logo.streams.itemz]\nevery_secs = 5\n\
         [connectors.kargo]\nkind = \"kargo\"\nwhatever = \"hey\"\n",
    );
    for command in ["config", "serve", "doctor"] {
        let run = kopru.run(&[command]).expect(2);
        let told = format!("{}{}", run.stdout, run.stderr);
        for finding in [
            "config.toml:2: http.listen: `nowhere` is not ADDRESS:PORT",
            "config.toml:8: connectors.logo.passwrod: unknown key; did you mean `password`?",
            "config.toml:9: connectors.logo.firm: must be a number from 1 to 999",
            "connectors.logo.master: `produkt`: unknown entity; did you mean `product`?",
            "connectors.logo.streams.itemz: unknown stream; did you mean `items`?",
            "connectors.kargo.kind: `kargo`: unknown kind",
        ] {
            assert!(told.contains(finding), "{command}: {finding}: {told}");
        }
        assert!(!told.contains("hey") && !told.contains("gizli"), "{told}");
    }
}

#[test]
fn what_a_switched_off_connector_does_not_know_is_not_shown() {
    let kopru = Kopru::new();
    kopru.write(
        "config.toml",
        "[connectors.logo]\nenabled = false\nbase_url = \"http://127.0.0.1:1\"\npasswrod = \"hey\"\n\
         [connectors.kargo]\nenabled = false\nwhatever = \"hey\"\n",
    );
    for arguments in [&["config"][..], &["config", "--json"]] {
        let shown = kopru.run(arguments).expect(0).stdout;
        assert!(!shown.contains("hey"), "{shown}");
        assert!(shown.contains("passwrod") && shown.contains("http://127.0.0.1:1"), "{shown}");
    }
}

#[test]
fn a_sandbox_has_bounds() {
    let run = Kopru::new().run(&["sandbox", "--items", "99999999999999"]).expect(2);
    assert!(run.stderr.contains("10000000"), "{}", run.stderr);
}

#[test]
fn a_path_without_mappings_and_an_empty_filter_are_mistakes() {
    let kopru = Kopru::new();
    std::fs::create_dir(kopru.path().join("empty")).expect("a directory");
    for command in ["check", "test"] {
        for path in ["nowhere", "nowhere/items.toml", "empty"] {
            let run = kopru.run(&["mapping", command, path]).expect(2);
            assert!(run.stderr.contains(&format!("{path} holds no mapping")), "{}", run.stderr);
        }
    }
    for command in [&["replay"][..], &["discard", "--reason", "r"]] {
        let arguments = [&["dead-letters"], command, &["--filter", "", "--yes"]].concat();
        let run = kopru.run(&arguments).expect(2);
        assert!(run.stderr.contains("--filter is empty"), "{}", run.stderr);
    }
}

#[test]
fn a_mapping_file_in_another_code_page_is_one_error_among_all() {
    let kopru = Kopru::new();
    let system = kopru.path().join("mine/logo");
    std::fs::create_dir_all(&system).expect("a directory");
    std::fs::write(system.join("a.toml"), b"entity = \"brand\"\n# \xDEirket\n").expect("written");
    std::fs::write(system.join("b.toml"), "entity = \"brnd\"\n").expect("written");
    let run = kopru.run(&["mapping", "check", "mine"]).expect(1);
    assert!(run.stdout.contains("a.toml:2:3: it is not UTF-8 from here on"), "{}", run.stdout);
    assert!(run.stdout.contains("b.toml:1"), "{}", run.stdout);
}
