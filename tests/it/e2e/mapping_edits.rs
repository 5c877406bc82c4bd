//! Edits of the mapping files beside a running daemon: a bad one is shown wherever somebody looks, a good one is taken
//! over without a restart.

use std::{fs, path::Path};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::process::Process;
use crate::support::{database::TestDatabase, hub::eventually, kopru::Kopru};

fn copy_built_in(system: &str, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings").join(system)).expect("mappings") {
        let entry = entry.expect("readable");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}

#[tokio::test]
async fn an_own_directory_replaces_its_systems_and_pushes_go_on_by_the_built_in_mappings() {
    let database = TestDatabase::new().await;
    let kopru = Kopru::new();
    kopru.write(
        "config.toml",
        &format!(
            "[http]\nlisten = \"127.0.0.1:0\"\n[database]\nurl = \"{}\"\n[log]\nformat = \"json\"\n[connectors.logo]\nkind = \"push\"\n",
            database.url
        ),
    );
    let dir = kopru.path().join("mappings");
    copy_built_in("logo", &dir.join("logo"));
    // Replaced whole: what the own folder does not hold is not there.
    fs::remove_file(dir.join("logo/prices.toml")).expect("removed");
    fs::remove_file(dir.join("logo/prices.cases.toml")).expect("removed");
    let key = kopru.run(&["api-key", "create", "--name", "ERP", "--scope", "integration:write", "--json"]);
    let key = key.expect(0).json()["key"].as_str().expect("a key").to_owned();
    let mut daemon = Process::start(kopru.command(&["serve"]), kopru.path(), "daemon");
    let address = daemon.shows("being ready", ready).await;
    let client = reqwest::Client::builder().build().expect("a client");
    let push = async |code: &str| {
        let request = client.post(format!("http://{address}/api/integration/brands")).header("x-api-key", &key);
        let body = serde_json::json!({ "code": code, "name": "Acme" });
        let answer = request.json(&body).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json::<Value>().await.expect("JSON"))
    };
    assert_eq!(push("A").await.0, 200);
    let sources = || -> Vec<(String, String)> {
        let listed = kopru.run(&["mapping", "list", "--json"]).expect(0).json();
        let items = listed["items"].as_array().expect("a list").clone();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        items.iter().map(|item| (text(&item["name"]), text(&item["source"]))).collect()
    };
    let own = "./mappings/logo".to_owned();
    let listed = sources();
    assert!(listed.contains(&("logo/items".to_owned(), own.clone())), "{listed:?}");
    assert!(listed.contains(&("integration/products".to_owned(), "built in".to_owned())), "{listed:?}");
    assert!(!listed.iter().any(|(name, _)| name == "logo/prices"), "{listed:?}");
    let table = kopru.run(&["mapping", "list"]).expect(0).stdout;
    assert!(table.lines().any(|line| line.starts_with("csv/stock") && line.contains("built in")), "{table}");
    let check = kopru.run(&["mapping", "check", "--json"]).expect(0).json();
    assert!(
        check["mappings"].as_array().is_some_and(|all| all.iter().any(|one| one["name"] == "csv/stock")),
        "{check}"
    );

    // A folder for pushes that is not whole is refused, and the ones in force hold.
    copy_built_in("integration", &dir.join("integration"));
    fs::remove_file(dir.join("integration/brands.toml")).expect("removed");
    fs::remove_file(dir.join("integration/brands.cases.toml")).expect("removed");
    let run = kopru.run(&["mapping", "check"]).expect(1);
    assert!(run.stdout.contains("integration/brands.toml is not there"), "{}", run.stdout);
    daemon.signal(Signal::HUP);
    let error = || kopru.run(&["mapping", "list", "--json"]).expect(0).json()["daemons"][0]["error"].clone();
    eventually("the daemon says so", async || {
        error().as_str().is_some_and(|error| error.contains("integration/brands.toml"))
    })
    .await;
    assert_eq!(push("B").await.0, 200);

    // An own folder that has gone may be a share that is not mounted.
    fs::remove_dir_all(dir.join("integration")).expect("removed");
    fs::rename(dir.join("logo"), dir.join("aside")).expect("renamed");
    daemon.signal(Signal::HUP);
    eventually("the daemon misses it", async || {
        error().as_str().is_some_and(|error| error.contains("mappings/logo is not there any more"))
    })
    .await;
    fs::rename(dir.join("aside"), dir.join("logo")).expect("renamed");
    eventually("it is back", async || error().is_null()).await;
    daemon.signal(Signal::TERM);
    assert!(daemon.ended().success(), "{}", daemon.log());
}

fn ready(process: &Process) -> Option<String> {
    let log = process.log();
    let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let ready = lines.find(|line| line["message"] == "ready")?;
    ready["address"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn a_daemon_shows_a_bad_edit_everywhere_and_takes_over_a_good_one() {
    let database = TestDatabase::new().await;
    let kopru = Kopru::new();
    kopru.write(
        "config.toml",
        &format!(
            "[http]\nlisten = \"127.0.0.1:0\"\n\n[database]\nurl = \"{}\"\n\n[log]\nformat = \"json\"\n",
            database.url
        ),
    );
    let dir = kopru.path().join("mappings/logo");
    copy_built_in("logo", &dir);
    let mut daemon = Process::start(kopru.command(&["serve"]), kopru.path(), "daemon");
    let address = daemon.shows("being ready", ready).await;
    let listed = || kopru.run(&["mapping", "list", "--json"]).expect(0).json();
    let of = |listed: &Value, name: &str| -> Value {
        let items = listed["items"].as_array().expect("a list");
        items.iter().find(|item| item["name"] == name).expect("the mapping").clone()
    };
    eventually("the daemon tells what it works by", async || {
        of(&listed(), "logo/items")["inForce"][0]["current"] == true
    })
    .await;
    let refused = async || {
        let text =
            reqwest::get(format!("http://{address}/metrics")).await.expect("an answer").text().await.expect("text");
        text.lines().any(|line| line == "kopru_mappings_refused 1")
    };
    assert!(!refused().await);

    let items = dir.join("items.toml");
    let sound = fs::read_to_string(&items).expect("a file");
    fs::write(&items, sound.replace("entity = \"product\"", "entity = \"prodact\"")).expect("written");
    eventually("the metric says so", refused).await;
    let warning = || {
        let report = kopru.run(&["doctor", "--json"]);
        let checks = report.json()["checks"].as_array().expect("checks").clone();
        checks.into_iter().find(|check| check["verdict"] == "warning")
    };
    eventually("doctor says so", async || warning().is_some()).await;
    let warning = warning().expect("a warning");
    assert!(warning["detail"].as_str().is_some_and(|detail| detail.contains("did you mean `product`?")), "{warning}");
    let told = daemon.log().lines().filter(|line| line.contains("is not taken over")).count();
    assert_eq!(told, 1, "once: {}", daemon.log());

    let broken = listed();
    assert!(broken["problem"].as_str().is_some_and(|problem| problem.contains("prodact")), "{broken}");
    assert!(broken["daemons"][0]["error"].as_str().is_some_and(|error| error.contains("prodact")), "{broken}");
    assert_eq!(of(&broken, "logo/items")["entity"], "product", "what is in force is shown all the same");

    fs::write(&items, sound.replace("from = \"NAME\"", "from = [\"NAME4\", \"NAME\"]")).expect("written");
    daemon.signal(Signal::HUP);
    eventually("the good edit is in force", async || {
        let listed = listed();
        of(&listed, "logo/items")["inForce"][0]["current"] == true && listed["daemons"][0]["error"].is_null()
    })
    .await;
    assert!(!refused().await);
    let answered = kopru
        .run(&["mapping", "unmapped", "answer", "currency", "250", "JPY", "--json", "--system", "logo"])
        .expect(0)
        .json();
    assert_eq!(answered["system"], json!("logo"));
    eventually("the answer is in force", async || listed()["daemons"][0]["overlayVersion"] == 1).await;
    assert_eq!(of(&listed(), "logo/prices")["inForce"][0]["current"], true);
    daemon.signal(Signal::TERM);
    assert!(daemon.ended().success(), "{}", daemon.log());
}
