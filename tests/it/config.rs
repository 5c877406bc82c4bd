//! The configuration, from text to types: layers, secrets, and every finding with its place.

use std::fs;

use kopru::config::{Config, ConfigError, LogFormat, Sources};
use kopru_logo::settings::LogoSettings;
use kopru_sdk::{BadSettings, Settings};
use serde_json::json;
use tempfile::TempDir;

fn with_file(text: &str) -> (TempDir, Sources) {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("config.toml");
    fs::write(&path, text).expect("write the file");
    (dir, Sources::none().file(path))
}

fn refused(sources: &Sources) -> Vec<String> {
    let ConfigError(problems) = Config::load(sources).expect_err("must be refused");
    problems.iter().map(|problem| problem.to_string().replacen(&temp_prefix(&problem.to_string()), "", 1)).collect()
}

/// Findings name the file by its path; the tests compare from its name on.
fn temp_prefix(text: &str) -> String {
    text.find("config.toml:").map_or(String::new(), |at| text[..at].to_owned())
}

#[test]
fn the_defaults_are_the_documented_file() {
    let config = Config::load(&Sources::none()).expect("the defaults hold");
    assert_eq!(config.http.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.http.ops_listen, None);
    assert!(config.database.url.is_none() && config.database.auto_migrate);
    assert_eq!(config.retry.delays_secs, [1, 2, 4, 8, 16]);
    assert_eq!(config.retry.defer_for_secs, 86_400);
    assert_eq!((config.retention.payload_days, config.retention.history_days), (30, 180));
    assert_eq!(config.retention.audit_years, 7);
    assert_eq!(config.hub.timezone.name(), "Europe/Istanbul");
    assert!(config.connectors.is_empty() && config.http.trusted_proxies.is_empty());
    let limits = &config.rate_limit;
    assert!(limits.enabled);
    let minute = (limits.per_user_per_minute, limits.per_api_key_per_minute, limits.per_ip_per_minute);
    assert_eq!(minute, (100, 500, 1000));
}

#[test]
fn limits_and_trusted_proxies_are_read_and_checked() {
    let (_dir, sources) = with_file(
        "[http]\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]\n[rate_limit]\nenabled = false\nper_ip_per_minute = 7\n",
    );
    let config = Config::load(&sources.variable("KOPRU__RATE_LIMIT__PER_API_KEY_PER_MINUTE", "9")).expect("valid");
    let proxies: Vec<String> = config.http.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(proxies, ["10.0.0.0/8", "::1/128"]);
    let limits = &config.rate_limit;
    assert_eq!((limits.enabled, limits.per_api_key_per_minute, limits.per_ip_per_minute), (false, 9, 7));

    let (_dir, sources) = with_file(
        "[http]\ntrusted_proxies = [\"10.0.0.0/8\", \"proxy.example\", \"10.0.0.0/99\"]\n\n[rate_limit]\n\
         per_ip_per_minute = 0\nper_api_keys_per_minute = 3\nenabled = \"yes\"\n",
    );
    assert_eq!(
        refused(&sources),
        [
            "config.toml:2: http.trusted_proxies: `proxy.example` is neither a network nor an address, as in 10.0.0.0/8",
            "config.toml:2: http.trusted_proxies: `10.0.0.0/99` is neither a network nor an address, as in 10.0.0.0/8",
            "config.toml:7: rate_limit.enabled: invalid type: string \"yes\", expected a boolean",
            "config.toml:5: rate_limit.per_ip_per_minute: must be at least 1; `enabled = false` turns every limit off",
            "config.toml:6: rate_limit.per_api_keys_per_minute: unknown key; did you mean `per_api_key_per_minute`?",
        ]
    );
}

#[test]
fn every_key_is_documented() {
    let shown = Config::load(&Sources::none()).expect("the defaults hold").masked();
    for (section, keys) in shown.as_object().expect("sections") {
        for key in keys.as_object().expect("keys").keys() {
            let documented = kopru::config::DEFAULTS
                .lines()
                .any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} = ")));
            assert!(documented, "config.toml does not show {section}.{key}");
        }
    }
}

#[test]
fn the_environment_lies_over_the_file_and_the_program_over_both() {
    let (_dir, sources) = with_file(
        r#"
        [http]
        listen = "127.0.0.1:1111"
        ops_listen = "127.0.0.1:1112"
        [connectors.logo]
        base_url = "http://file.example"
        firm = 7
        [connectors.logo.streams.items]
        every_secs = 60
        "#,
    );
    let sources = sources
        .variable("KOPRU__HTTP__LISTEN", "127.0.0.1:2222")
        .variable("KOPRU__HTTP__OPS_LISTEN", "127.0.0.1:2223")
        .variable("KOPRU__RETRY__DELAYS_SECS", "3,5")
        .variable("KOPRU__LOG__FORMAT", "json")
        .variable("KOPRU__CONNECTORS__LOGO__BASE_URL", "http://environment.example")
        .variable("KOPRU__CONNECTORS__LOGO__STREAMS__ITEMS__EVERY_SECS", "600")
        .variable("KOPRU__CONNECTORS__LOGO_IZMIR__KIND", "logo")
        .variable("KOPRU_TEST_DATABASE_URL", "not ours")
        .set("http.listen", "127.0.0.1:3333");
    let config = Config::load(&sources).expect("valid");
    assert_eq!(config.http.listen.port(), 3333);
    assert_eq!(config.http.ops_listen.map(|address| address.port()), Some(2223));
    assert_eq!(config.retry.delays_secs, [3, 5]);
    assert_eq!(config.log.format, LogFormat::Json);
    let logo = &config.connectors["logo"];
    assert_eq!(logo.settings, json!({ "base_url": "http://environment.example", "firm": 7 }));
    assert_eq!(logo.streams["items"].every_secs, Some(600));
    assert_eq!(config.connectors["logo_izmir"].kind, "logo");
}

#[test]
fn a_url_turns_automatic_migration_off_unless_asked() {
    let url = Sources::none().variable("KOPRU__DATABASE__URL", "postgres://kopru@db/kopru");
    assert!(!Config::load(&url).expect("valid").database.auto_migrate);
    let asked = url.variable("KOPRU__DATABASE__AUTO_MIGRATE", "true");
    assert!(Config::load(&asked).expect("valid").database.auto_migrate);
}

#[test]
fn all_findings_come_at_once_with_place_and_nearest_key() {
    let (_dir, sources) = with_file(
        "[http]\nlisten = \"nowhere\"\nlissten = \"x\"\n\n[retry]\njitter = 7\nlease_secs = \"ten\"\n\n[hubb]\nworkers = 1\n\n\
         [connectors.Logo]\n\n[connectors.logo.streams.items]\nevery_sec = 5\n\n[webhooks]\nhost = \"x\"\n",
    );
    let sources = sources.variable("KOPRU__RETENTION__PAYLOAD_DAY", "3");
    assert_eq!(
        refused(&sources),
        [
            "config.toml:2: http.listen: `nowhere` is not ADDRESS:PORT, as in 127.0.0.1:8080",
            "config.toml:3: http.lissten: unknown key; did you mean `listen`?",
            "config.toml:7: retry.lease_secs: invalid type: string \"ten\", expected u64",
            "config.toml:6: retry.jitter: must be between 0 and 1",
            "environment KOPRU__RETENTION__PAYLOAD_DAY: retention.payload_day: unknown key; did you mean `payload_days`?",
            "config.toml:12: connectors.Logo: a name must match [a-z][a-z0-9_]*, without two underscores in a row",
            "config.toml:15: connectors.logo.streams.items.every_sec: unknown key; did you mean `every_secs`?",
            "config.toml:18: webhooks.host: unknown key; known keys are allow, timeout_secs, at_once, rate_per_second, \
             give_up_after, overlap",
            "config.toml:9: hubb: unknown section; did you mean `hub`?",
        ]
    );
}

#[test]
fn what_is_done_about_records_that_are_gone_is_one_of_three_words_below_a_percentage() {
    let (_dir, sources) = with_file("[connectors.logo.streams.items]\nsweep = \"ask\"\nsweep_guard_percent = 3\n");
    let config = Config::load(&sources).expect("valid");
    let items = &config.connectors["logo"].streams["items"];
    assert_eq!((items.sweep.as_deref(), items.sweep_guard_percent), (Some("ask"), Some(3)));
    let (_dir, sources) = with_file("[connectors.logo.streams.items]\nsweep = \"yes\"\nsweep_guard_percent = 101\n");
    assert_eq!(
        refused(&sources),
        [
            "config.toml:2: connectors.logo.streams.items.sweep: must be auto, ask or off",
            "config.toml:3: connectors.logo.streams.items.sweep_guard_percent: must be between 0 and 100",
        ]
    );
}

#[test]
fn a_broken_file_is_named_with_its_line() {
    let (_dir, sources) = with_file("[http]\nlisten = \"127.0.0.1:1\"\nops_listen = \n");
    let found = refused(&sources);
    assert!(found[0].starts_with("config.toml:3: not TOML:"), "{found:?}");
    let missing = Config::load(&Sources::none().file("/does/not/exist.toml")).expect_err("no such file");
    assert!(missing.to_string().contains("name another file with --config"), "{missing}");
}

#[test]
fn secrets_come_from_files_and_are_never_shown() {
    let dir = TempDir::new().expect("a directory");
    let secret = dir.path().join("secret");
    fs::write(&secret, "gizli şifre\n").expect("write");
    let url = dir.path().join("url");
    fs::write(&url, "postgres://kopru:parola@db/kopru\r\n").expect("write");
    let sources = Sources::none()
        .variable("KOPRU__DATABASE__URL_FILE", &url.display().to_string())
        .variable("KOPRU__CONNECTORS__LOGO__PASSWORD_FILE", &secret.display().to_string())
        .variable("KOPRU__CONNECTORS__LOGO__CLIENT_SECRET", "acik-olmasin")
        .variable("KOPRU__CONNECTORS__LOGO__CODE_FILE", &secret.display().to_string())
        .variable("KOPRU__CONNECTORS__LOGO__USERNAME", "KOPRU");
    let config = Config::load(&sources).expect("valid");
    assert_eq!(config.database.url.as_ref().map(|url| url.expose()), Some("postgres://kopru:parola@db/kopru"));
    assert_eq!(config.connectors["logo"].settings["password"], json!("gizli şifre"));
    assert_eq!(config.connectors["logo"].settings.get("password_file"), None);

    let shown = config.masked_toml();
    assert!(shown.contains("url = \"postgres://kopru:***@db/kopru\""), "{shown}");
    assert!(shown.contains("username = \"KOPRU\""), "{shown}");
    for text in [shown, format!("{config:?}"), config.masked().to_string()] {
        for hidden in ["gizli", "parola", "acik-olmasin"] {
            assert!(!text.contains(hidden), "{hidden} is shown in {text}");
        }
    }
}

#[test]
fn a_secret_of_a_higher_layer_replaces_the_file_below_it() {
    let (_dir, sources) = with_file("[connectors.logo]\npassword_file = \"/run/secrets/none\"\n");
    let over = sources.clone().variable("KOPRU__CONNECTORS__LOGO__PASSWORD", "12345");
    assert_eq!(Config::load(&over).expect("valid").connectors["logo"].settings["password"], json!("12345"));

    let unread = refused(&sources);
    assert!(unread[0].starts_with("config.toml:2: connectors.logo.password_file: cannot read"), "{unread:?}");
    let disabled = sources.variable("KOPRU__CONNECTORS__LOGO__ENABLED", "false");
    assert!(!Config::load(&disabled).expect("a disabled instance needs no secrets").connectors["logo"].enabled);

    let (_dir, both) = with_file("[connectors.logo]\npassword = \"a\"\npassword_file = \"b\"\n");
    assert!(refused(&both)[0].contains("given together with `password`"));
}

/// A block that config.toml shows commented out, as a person gets it who takes the hash marks away.
fn shown_block(header: &str) -> toml::Table {
    let text: Vec<&str> = kopru::config::DEFAULTS
        .lines()
        .skip_while(|line| *line != format!("# [{header}]"))
        .skip(1)
        .filter_map(|line| line.strip_prefix("# "))
        .take_while(|line| !line.starts_with('['))
        .filter(|line| {
            let key = line.split(" = ").next().unwrap_or_default();
            line.contains(" = ") && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        })
        .collect();
    text.join("\n").parse().expect("the block is TOML")
}

/// What LOGO's connector makes of settings; `Err`: everything that is wrong with them.
fn logo(values: serde_json::Value) -> Result<LogoSettings, BadSettings> {
    LogoSettings::read(&Settings { instance: "logo".to_owned(), values, dir: "/nowhere".into() })
}

/// The keys that a refusal of an unknown one names.
fn known_keys(refusal: &BadSettings) -> Vec<String> {
    let list = refusal.0.iter().find_map(|bad| bad.problem.strip_prefix("unknown key; known keys are "));
    list.expect("the key was unknown").split(", ").map(str::to_owned).collect()
}

#[test]
fn every_setting_of_logo_is_shown_with_its_default() {
    let mut shown = serde_json::to_value(shown_block("connectors.logo")).expect("JSON");
    let shown = shown.as_object_mut().expect("a table");
    for of_the_hub in ["kind", "enabled", "exclusive", "master", "send"] {
        assert!(shown.remove(of_the_hub).is_some(), "config.toml does not show {of_the_hub}");
    }
    shown["tls_pin"] = json!("AB".repeat(32));

    let unknown = logo(json!({ "????????????????????????????????????????????????": 1 })).expect_err("refused");
    let mut known = known_keys(&unknown);
    known.sort_unstable();
    known.dedup();
    let mut keys: Vec<String> = shown.keys().cloned().collect();
    keys.sort_unstable();
    assert_eq!(keys, known);
    let unknown = logo(json!({ "timeouts": { "????????????????": 1 } })).expect_err("refused");
    assert_eq!(known_keys(&unknown).len(), shown["timeouts"].as_object().expect("a table").len());

    let required = ["base_url", "tls_pin", "client_id", "client_secret", "username", "password", "firm"];
    let least = shown.iter().filter(|(key, _)| required.contains(&key.as_str()));
    let least: serde_json::Map<_, _> = least.map(|(key, value)| (key.clone(), value.clone())).collect();
    let (shown, least) = (logo(json!(shown)).expect("valid"), logo(json!(least)).expect("valid"));
    assert_eq!(format!("{shown:?}"), format!("{least:?}"));
}

#[test]
fn a_demos_directory_brings_its_own_connectors() {
    let (dir, sources) =
        with_file("[connectors.logo]\nbase_url = \"http://real.example\"\nfirm = 7\n[hub]\nworkers = 3\n");
    let demo = "[connectors.logo]\nbase_url = \"http://127.0.0.1:1/logo\"\n";
    fs::write(dir.path().join(kopru::config::DEMO_FILE), demo).expect("write the file");
    let sources = sources.set("data.dir", dir.path().display().to_string());
    let config = Config::load(&sources).expect("valid");
    assert_eq!(config.connectors["logo"].settings, json!({ "base_url": "http://127.0.0.1:1/logo" }));
    assert_eq!(config.hub.workers, 3);
}

#[test]
fn two_instances_do_not_create_records_of_one_entity() {
    let two = |izmir: &str| {
        let logo = "base_url = \"http://127.0.0.1:1\"\nclient_id = \"c\"\nclient_secret = \"s\"\nusername = \"u\"\n\
                    password = \"p\"\nfirm = 7\n";
        let text = format!("[connectors.logo]\n{logo}[connectors.logo_izmir]\nkind = \"logo\"\n{logo}{izmir}\n");
        let (_dir, sources) = with_file(&text);
        let config = Config::load(&sources).expect("readable");
        kopru::app::connectors(&config, kopru_bundle::all()).map(|built| built.len())
    };
    let ConfigError(problems) = two("send = []").expect_err("both would create everything");
    assert_eq!(problems.len(), 1);
    let text = problems[0].to_string();
    for part in ["connectors.logo_izmir.master", "`logo`", "customer", "price"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(two("master = []\nsend = []").expect("one creates, the other finds"), 2);
    let ConfigError(problems) = two("master = []").expect_err("both would make each order");
    assert_eq!(problems.len(), 1);
    let text = problems[0].to_string();
    for part in ["connectors.logo_izmir.send", "`logo`", "orders, cancellations, customers"] {
        assert!(text.contains(part), "{text}");
    }
    let ConfigError(problems) = two("send = []\nmaster = [\"stock\"]").expect_err("both would create stock");
    assert!(problems[0].to_string().contains("records of stock;"), "{}", problems[0]);
    let ConfigError(problems) = two("master = [\"prodct\"]").expect_err("no such entity");
    assert!(problems[0].to_string().contains("did you mean `product`?"), "{}", problems[0]);
    assert_eq!(two("enabled = false").expect("one is switched off"), 1);
}

#[test]
fn watched_folders_have_sensible_defaults() {
    let (_dir, sources) = with_file(
        "[files.logo_drop]\ndir = \"out\"\ninstance = \"logo\"\n[files.lists]\ndir = \"lists\"\ninstance = \"logo\"\n\
         enabled = false\n[[files.lists.take]]\npattern = \"urun*.csv\"\nmapping = \"csv/products\"\n",
    );
    let config = Config::load(&sources.variable("KOPRU__FILES__LOGO_DROP__SETTLE_SECS", "30")).expect("valid");
    let folder = &config.files["logo_drop"];
    assert_eq!((folder.settle_secs, folder.every_secs, folder.max_bytes, folder.enabled), (30, 5, 4 << 30, true));
    assert_eq!((folder.takes.len(), folder.takes[0].pattern.as_str()), (1, "*.xml"));
    assert_eq!(folder.roots["AR_APS"], "logo/customers");
    assert!(!config.files["lists"].enabled);

    // What is shown with a hash mark before it is what holds without it.
    let mut shown = shown_block("files.logo_drop");
    shown.insert("instance".to_owned(), "logo".into());
    let mut tree = toml::Table::new();
    tree.insert("logo_drop".to_owned(), shown.into());
    let text = toml::to_string(&toml::Table::from_iter([("files".to_owned(), toml::Value::from(tree))])).expect("TOML");
    let (_dir, sources) = with_file(&text);
    let shown = Config::load(&sources).expect("valid");
    let least =
        kopru::config::FilesConfig { dir: shown.files["logo_drop"].dir.clone(), settle_secs: 5, ..folder.clone() };
    assert_eq!(shown.files["logo_drop"], least);

    // What `kopru config` prints can be read back.
    let (_dir, sources) = with_file(&config.masked_toml());
    assert_eq!(Config::load(&sources).expect("valid").files, config.files);
}

#[test]
fn what_is_wrong_with_a_watched_folder_is_told_at_once() {
    let (_dir, sources) = with_file(
        "[files.Drop]\ndir = \"x\"\n[files.a]\ndirr = \"x\"\ninstance = \"LOGO\"\nevery_secs = 0\n\
         [[files.a.take]]\npattern = \"a/*.xml\"\n[[files.a.take]]\npattern = \"*.csv\"\n\
         [[files.a.take]]\npattern = \"*.dat\"\nmapping = \"a/b\"\n\
         [[files.a.take]]\npattern = \"*.txt\"\nmapping = \"a/b\"\nencoding = \"klingon\"\n",
    );
    let found = refused(&sources).join("\n");
    for part in [
        "files.Drop: a name must match",
        "files.a.dir: missing",
        "files.a.instance: must be the name of a [connectors.NAME]",
        "files.a.every_secs: must be at least 1",
        "`a/*.xml` is no pattern of a file's name",
        "`*.csv` needs a mapping",
        "`*.dat` does not say what its files are",
        "the encoding `klingon` is none of utf-8",
        "files.a.dirr: unknown key; did you mean `dir`?",
    ] {
        assert!(found.contains(part), "{part} is not in\n{found}");
    }
    let (_dir, sources) = with_file("[files.a]\ndir = \"x\"\ninstance = \"l\"\n[[files.a.take]]\npatern = \"*.xml\"\n");
    assert!(refused(&sources)[0].contains("unknown field `patern`"));
}

#[test]
fn a_system_that_only_pushes_has_a_name_and_what_it_may_create() {
    let build = |text: &str| {
        let (_dir, sources) = with_file(text);
        let config = Config::load(&sources).expect("readable");
        kopru::app::connectors(&config, kopru_bundle::all()).map(|built| built.len())
    };
    assert_eq!(build("[connectors.erp]\nkind = \"push\"\n").expect("nobody is called"), 1);
    let ConfigError(problems) =
        build("[connectors.erp]\nkind = \"push\"\nbase_url = \"x\"\n[connectors.erp.streams.items]\nevery_secs = 5\n")
            .expect_err("there is nothing to set");
    let text = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(text.contains("connectors.erp.base_url") && text.contains("connectors.erp.streams.items"), "{text}");
    let ConfigError(problems) = build("[connectors.erp]\nkind = \"push\"\n[connectors.shop]\nkind = \"push\"\n")
        .expect_err("both would create everything");
    assert!(problems[0].to_string().contains("connectors.shop.master"), "{}", problems[0]);
}
