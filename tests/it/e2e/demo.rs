//! `kopru demo` as a stranger meets it: with its own PostgreSQL and its own LOGO.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::PathBuf,
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::{Value, json};

use super::{installation::STREAMS, process::Process};
use crate::support::kopru::Kopru;

fn stream<'a>(report: &'a Value, name: &str) -> &'a Value {
    let streams = report["streams"].as_array().expect("a list");
    streams.iter().find(|stream| stream["name"] == format!("logo.{name}")).expect(name)
}

/// Processes whose command line names something below the directory.
fn left_behind(kopru: &Kopru) -> Vec<String> {
    let dir = kopru.path().display().to_string();
    let lines = fs::read_dir("/proc").expect("/proc").flatten().filter_map(|entry| {
        entry.file_name().to_str()?.parse::<u32>().ok()?;
        Some(String::from_utf8_lossy(&fs::read(entry.path().join("cmdline")).ok()?).replace('\0', " "))
    });
    lines.filter(|line| line.contains(&dir)).collect()
}

#[test]
fn everything_arrives_once_and_the_report_says_so() {
    let kopru = Kopru::new();
    let dir = kopru.path().join("demo").display().to_string();
    let demo = ["demo", "--once", "--items", "300", "--json", "--data-dir", &dir];
    let report = kopru.run(&demo).expect(0).json();
    assert_eq!(report["ok"], true);
    for (name, count) in [("group_codes", 60), ("brands", 40), ("unit_sets", 5), ("items", 300)] {
        let line = stream(&report, name);
        assert_eq!((&line["expected"], &line["applied"]), (&json!(count), &json!(count)), "{line}");
    }
    for name in STREAMS {
        let line = stream(&report, name);
        assert!(
            line["applied"].as_u64().is_some_and(|count| count > 0) && line["applied"] == line["expected"],
            "{line}"
        );
        assert_eq!(
            (&line["unchanged"], &line["deferred"], &line["failed"]),
            (&json!(0), &json!(0), &json!(0)),
            "{line}"
        );
        assert!(line["seconds"].is_number(), "{line}");
    }
    // What is not there yet has no verdict.
    let checks = report["checks"].as_array().expect("a list");
    let files = checks.iter().find(|check| check["name"] == "files.items").expect("the dropped file");
    assert_eq!((&files["ok"], &files["detail"]), (&json!(true), &json!("3 of 3 records of ITEMS-ornek.xml are in")));
    assert!(kopru.path().join("demo/drop/done").read_dir().expect("done").count() >= 2, "the file and its report");
    let hook = checks.iter().find(|check| check["name"] == "webhook_received").expect("the webhook");
    assert_eq!(hook["ok"], true, "{hook}");
    let sent = checks.iter().find(|check| check["name"] == "order_sent").expect("the order");
    assert_eq!(sent["ok"], true, "{sent}");
    for name in ["order_shipped", "order_invoiced"] {
        let check = checks.iter().find(|check| check["name"] == name).expect(name);
        assert_eq!(check["ok"], true, "{check}");
    }
    let paid = checks.iter().find(|check| check["name"] == "order_paid").expect("a check");
    assert!(paid["ok"].is_null() && paid["detail"].is_string(), "{paid}");
    assert_eq!(left_behind(&kopru), Vec::<String>::new());

    let again = kopru.run(&demo).expect(0).json();
    assert_eq!(again["ok"], true);
    assert_eq!(stream(&again, "items")["applied"], 300);

    // The same for a person.
    let shown = kopru.run(&["demo", "--once", "--items", "300", "--data-dir", &dir]).expect(0);
    assert!(shown.stdout.contains("logo.items") && shown.stdout.contains("everything arrived"), "{}", shown.stdout);
    assert_eq!(left_behind(&kopru), Vec::<String>::new());
}

#[tokio::test]
async fn a_running_demo_tells_where_it_is_and_ends_whole_with_ctrl_c() {
    let kopru = Kopru::new();
    let dir = kopru.path().join("demo");
    let shown_dir = dir.display().to_string();
    let mut command = kopru.command(&["demo", "--items", "200", "--listen", "127.0.0.1:0", "--data-dir", &shown_dir]);
    // As a terminal starts it: Ctrl-C reaches everything that it has started.
    command.process_group(0);
    let mut demo = Process::start(command, kopru.path(), "demo");
    demo.shows("the first load", |demo| demo.output().contains("The first load is complete").then_some(())).await;

    let told = demo.output();
    let address = |word: &str| -> String {
        let line = told.lines().find(|line| line.split_whitespace().next() == Some(word)).expect(word);
        line.split_whitespace().nth(1).expect("an address").to_owned()
    };
    for (word, status) in [("hub", 200), ("metrics", 200), ("faults", 200), ("logo", 404)] {
        let answer = reqwest::get(address(word)).await.expect("an answer");
        assert_eq!(answer.status(), status, "{word}: {}", address(word));
    }
    let path = dir.join("demo.json");
    assert_eq!(fs::metadata(&path).expect("demo.json").permissions().mode() & 0o777, 0o600);
    let described: Value = serde_json::from_slice(&fs::read(&path).expect("readable")).expect("JSON");
    let base = described["baseUrl"].as_str().expect("an address");
    assert_eq!(reqwest::get(format!("{base}/health/live")).await.expect("an answer").status(), 200);
    assert_eq!(described["sandbox"]["logo"], address("logo"));
    let key = described["apiKey"].as_str().expect("a key");
    let asked = reqwest::Client::builder()
        .build()
        .expect("a client")
        .get(format!("{base}/api/integration"))
        .header("x-api-key", key);
    let shown: Value = asked.send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!((&shown["name"], &shown["instance"]), (&json!("demo"), &json!("logo")));
    assert_eq!(shown["scopes"], json!(["integration:read", "integration:write"]));
    assert!(!demo.log().contains(key), "a key is in no log");

    // Beside it, on the same directory.
    let list = kopru.run(&["sync", "list", "--json", "--data-dir", &shown_dir]).expect(0).json();
    assert!(list["items"].is_array(), "{list}");
    let messages = kopru.run(&["messages", "list", "--json", "--data-dir", &shown_dir]).expect(0).json();
    assert!(messages["items"].as_array().is_some_and(|items| !items.is_empty()), "{messages}");

    // What is dropped into its folder goes in.
    let drop = PathBuf::from(address("files"));
    assert_eq!(drop, fs::canonicalize(&dir).expect("the directory").join("drop"));
    fs::write(drop.join("products.part"), "Stok Kodu;Stok Adı;Birim\nBEN-1;Benim ürünüm;ADET\n").expect("written");
    fs::rename(drop.join("products.part"), drop.join("products-1.csv")).expect("renamed");
    demo.shows("both files in done/", |_| {
        let listed = kopru.run(&["files", "list", "--json", "--data-dir", &shown_dir]).expect(0).json();
        let files = listed["items"].as_array().expect("a list").clone();
        let created = |name: &str| {
            files.iter().any(|file| file["name"] == name && file["state"] == "done" && !file["filedAt"].is_null())
        };
        (created("ITEMS-ornek.xml") && created("products-1.csv")).then_some(())
    })
    .await;

    // Its LOGO is killed, and comes back where it was with what had been written to it.
    let sandbox = fs::read_dir("/proc").expect("/proc").flatten().find_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let line = String::from_utf8_lossy(&fs::read(entry.path().join("cmdline")).ok()?).replace('\0', " ");
        (line.contains(" sandbox --json ") && line.contains(&shown_dir)).then_some(pid)
    });
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let control = address("faults").strip_suffix("/faults").expect("the control address").to_owned();
    let change = json!({"brands": [{"code": "HATIRLA", "name": "Hatırlanan marka"}]}).to_string();
    let changed = client.post(format!("{control}/change")).body(change).send().await.expect("an answer");
    assert!(changed.status().is_success());
    let brands = |state: Value| state["streams"]["brands"].as_i64();
    let expected = format!("{control}/state?system=logo&kind=expected");
    kill_process(Pid::from_raw(sandbox.expect("it runs")).expect("a pid"), Signal::KILL).expect("it is there");
    demo.shows("the sandbox again", |demo| demo.log().contains("the simulated systems are back").then_some(())).await;
    assert!(demo.log().contains("the simulated systems ended"), "{}", demo.log());
    let state = reqwest::get(&expected).await.expect("the same address answers").text().await.expect("a body");
    assert_eq!(brands(serde_json::from_str(&state).expect("JSON")), Some(41));

    let group = Pid::from_raw(i32::try_from(demo.id()).expect("a pid")).expect("a pid");
    kill_process_group(group, Signal::INT).expect("Ctrl-C");
    assert!(demo.ended().success(), "{}", demo.log());
    assert_eq!(left_behind(&kopru), Vec::<String>::new());
    assert_eq!(kopru.servers(), []);
}
