//! Edits of the mapping files beside a running daemon: a bad one is shown wherever somebody looks, a good one is taken
//! over without a restart.

use std::{fs, path::Path};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::process::Process;
use crate::support::{database::TestDatabase, hub::eventually, kopru::Kopru};

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
    fs::create_dir_all(&dir).expect("a directory");
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings/logo")).expect("mappings") {
        let entry = entry.expect("readable");
        fs::copy(entry.path(), dir.join(entry.file_name())).expect("copied");
    }
    let mut daemon = Process::start(kopru.command(&["serve"]), kopru.path(), "daemon");
    let address = daemon
        .shows("being ready", |process| {
            let log = process.log();
            let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let ready = lines.find(|line| line["message"] == "ready")?;
            ready["address"].as_str().map(str::to_owned)
        })
        .await;
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
    let answered = kopru.run(&["mapping", "unmapped", "answer", "currency", "250", "JPY", "--json"]).expect(0).json();
    assert_eq!(answered["system"], json!("logo"));
    eventually("the answer is in force", async || listed()["daemons"][0]["overlayVersion"] == 1).await;
    assert_eq!(of(&listed(), "logo/prices")["inForce"][0]["current"], true);
    daemon.signal(Signal::TERM);
    assert!(daemon.ended().success(), "{}", daemon.log());
}
