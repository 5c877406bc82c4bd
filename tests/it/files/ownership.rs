//! Who takes a file, and when.

use std::{
    fs::{self, OpenOptions},
    io::Write,
};

use kopru::hub::files::Round;

use super::{Inbox, item, items, many};

#[tokio::test]
async fn a_file_that_still_grows_is_not_taken() {
    let mut inbox = Inbox::new().await;
    let text = many(3);
    let (head, tail) = text.split_at(100);
    let mut writer = OpenOptions::new().create(true).append(true).open(inbox.path().join("a.xml")).expect("a file");
    writer.write_all(head.as_bytes()).expect("written");
    for _ in 0..3 {
        assert_eq!(inbox.round().await.taken, 0, "it is open for writing");
    }
    writer.write_all(tail.as_bytes()).expect("written");
    drop(writer);
    assert_eq!(inbox.round().await.taken, 0, "it has changed since it was last seen");
    assert_eq!(inbox.round().await, Round { taken: 1, filed: 1, ..Round::default() });
    assert_eq!(inbox.hub.count("commerce.product").await, 3);
}

#[tokio::test]
async fn what_is_unfinished_or_unknown_stays_where_it_is() {
    let mut inbox = Inbox::new().await;
    let names = [".hidden.xml", "a.xml.part", "a.xml.tmp", "notes.txt", "~a.xml"];
    names.iter().for_each(|name| inbox.put(name, many(1)));
    fs::create_dir(inbox.path().join("folder.xml")).expect("a directory");
    assert_eq!(inbox.rounds().await.taken, 0);
    for name in names {
        assert!(inbox.path().join(name).is_file(), "{name}");
    }
    // A writer that renames when it is done.
    fs::rename(inbox.path().join("a.xml.part"), inbox.path().join("a.xml")).expect("renamed");
    assert_eq!(inbox.rounds().await.filed, 1);
}

#[tokio::test]
async fn two_processes_on_one_folder_take_each_file_once() {
    let mut inbox = Inbox::new().await;
    let (engine, mut other) = inbox.beside();
    for n in 0..6 {
        inbox.put(&format!("{n}.xml"), items([item("INS", &format!("A{n}"), "a")]));
    }
    let mut filed = 0;
    for _ in 0..3 {
        let (one, two) = tokio::join!(inbox.watcher.round(), other.round());
        let (one, two) = (one.expect("a round"), two.expect("a round"));
        assert!(one.elsewhere != two.elsewhere, "one of them holds the folder");
        filed += one.filed + two.filed;
    }
    assert_eq!(filed, 6);
    assert_eq!(inbox.files().await.len(), 6);
    assert_eq!(inbox.names("done").len(), 12);

    // The first one goes; the other one takes over.
    kopru::hub::leases::release_all(inbox.hub.pool(), inbox.hub.engine.id).await.expect("released");
    kopru::hub::leases::release_all(inbox.hub.pool(), engine.id).await.expect("released");
    inbox.put("last.xml", many(2));
    assert_eq!(other.round().await.expect("a round").taken, 0);
    assert_eq!(other.round().await.expect("a round").filed, 1);
    assert!(inbox.round().await.elsewhere);
}

#[tokio::test]
async fn files_of_one_name_are_files_of_their_own() {
    let mut inbox = Inbox::new().await;
    for name in ["Bir", "İki"] {
        inbox.take("ITEMS.xml", items([item("INS", "A", name)])).await;
    }
    assert_eq!(inbox.product("A").await["name"], "İki");
    let kept = inbox.names("done");
    assert_eq!(kept.len(), 4);
    assert!(kept.iter().all(|name| name.starts_with("ITEMS.2")), "{kept:?}");
    for file in inbox.files().await {
        let name = file.kept_name.expect("kept");
        assert!(kept.contains(&name) && kept.contains(&format!("{name}.report.json")));
    }
}
