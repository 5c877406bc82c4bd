//! A watched folder under a daemon that is killed again and again.

use std::{fs, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tempfile::TempDir;

use super::installation::Setup;
use crate::support::soak;

#[tokio::test]
async fn a_file_survives_kills_at_any_moment() {
    let dir = TempDir::new().expect("a directory");
    let hub = Setup::items(1)
        .only(&[])
        .set("retry.lease_secs", 2)
        .set("retry.heartbeat_secs", 1)
        .set("files.inbox.dir", dir.path().display())
        .set("files.inbox.instance", "logo")
        .set("files.inbox.settle_secs", 0)
        .set("files.inbox.every_secs", 1)
        .start()
        .await;
    let count = if soak() { 100_000 } else { 8_000 };
    let records: String =
        (0..count).map(|n| format!("<ITEM DBOP=\"INS\"><CODE>A{n}</CODE><NAME>Ürün {n}</NAME></ITEM>\n")).collect();
    let written = dir.path().join("ITEMS.xml.part");
    fs::write(&written, format!("<ITEMS>{records}</ITEMS>")).expect("written");
    fs::rename(&written, dir.path().join("ITEMS.xml")).expect("renamed");

    let seed = 20_261_121;
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..if soak() { 20 } else { 4 } {
        let mut daemon = hub.launch();
        tokio::time::sleep(Duration::from_millis(random.random_range(500..4_000))).await;
        daemon.kill();
    }
    let daemon = hub.daemon().await;
    hub.until("the file is put away", "select count(*) = 1 from hub.file where filed_at is not null").await;
    let listed = hub.run(&["files", "list", "--json"]).expect(0).json();
    let file = &listed["items"][0];
    let counts = (&file["state"], &file["records"], &file["created"], &file["unchanged"], &file["failed"]);
    assert_eq!(counts, (&"done".into(), &count.into(), &count.into(), &0.into(), &0.into()), "{listed}");
    assert_eq!(hub.number("select count(*) from commerce.product").await, count);
    assert_eq!(hub.number("select count(*) from commerce.product where revision > 1").await, 0);
    let events = "select count(*) - count(distinct aggregate_id) from hub.outbox_event where aggregate <> 'sync'";
    assert_eq!(hub.number(events).await, 0, "an event was raised twice");
    assert_eq!(fs::read_dir(dir.path().join("done")).expect("done/").count(), 2);
    assert_eq!(fs::read_dir(dir.path().join("work")).expect("work/").count(), 0);

    let id = file["id"].as_str().expect("an id");
    let shown = hub.run(&["files", "show", id]).expect(0).stdout;
    assert!(shown.contains("kept as   ITEMS.2") && shown.contains("logo/items"), "{shown}");
    hub.run(&["files", "retry", id]).expect(0);
    hub.until("it is put away again", "select count(*) = 1 from hub.file where filed_at is not null and unchanged > 0")
        .await;
    hub.run(&["files", "retry", "01a00000-0000-7000-8000-000000000000"]).expect(1);
    daemon.stop();
}
