//! Crashes, replaced files, full disks: what is in hand goes on where it was, and has its effect once.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use kopru::{audit::Actor, hub::files::store};
use serde_json::json;

use super::{Inbox, fixture, item, items, many};
use crate::support::hub::eventually;

/// Breaks the watcher off when so many records of the only file are in.
async fn killed_behind(inbox: &mut Inbox, records: i64) {
    // The next slice waits for this lock for ever.
    inbox
        .hub
        .execute(&format!(
            "create function hub.hold() returns trigger language plpgsql as $$
             begin
                 if new.records > {records} then perform pg_advisory_xact_lock(4711); end if;
                 return new;
             end $$;
             create trigger hold before update on hub.file for each row execute function hub.hold()"
        ))
        .await;
    let mut lock = inbox.hub.pool().acquire().await.expect("a connection");
    sqlx::query("select pg_advisory_lock(4711)").execute(&mut *lock).await.expect("locked");
    {
        let round = inbox.watcher.round();
        tokio::pin!(round);
        let pool = inbox.hub.database.pool.clone();
        let reached = eventually("the slices before it are in", || async {
            let waits = "select exists (select from pg_stat_activity where datname = current_database()
                                        and wait_event_type = 'Lock' and wait_event = 'advisory')";
            sqlx::query_scalar::<_, bool>(waits).fetch_one(&pool).await.expect("the store")
        });
        tokio::select! {
            _ = &mut round => panic!("the round has ended"),
            () = reached => {}
        }
    }
    let waiting = "select pg_terminate_backend(pid) from pg_stat_activity
                   where datname = current_database() and wait_event = 'advisory'";
    sqlx::query(waiting).execute(inbox.hub.pool()).await.expect("the dead one's connection is cut");
    sqlx::query("select pg_advisory_unlock(4711)").execute(&mut *lock).await.expect("unlocked");
    inbox.hub.execute("drop trigger hold on hub.file").await;
    inbox.die().await;
}

#[tokio::test]
async fn a_file_that_is_broken_off_goes_on_behind_its_last_slice() {
    let mut inbox = Inbox::new().await;
    let mut text = many(3_500);
    text = text.replace("<NAME>Ürün 7<", "<VAT>x</VAT><NAME>Ürün 7<");
    inbox.put("ITEMS.xml", text);
    inbox.round().await;
    killed_behind(&mut inbox, 2_000).await;
    let file = inbox.files().await.remove(0);
    assert_eq!((file.state.as_str(), file.records, file.expected), ("applying", 2_000, Some(3_500)));
    assert_eq!(inbox.names("work").len(), 1);
    assert!(inbox.names("done").is_empty());
    let events = inbox.hub.count("hub.outbox_event").await;

    assert_eq!(inbox.round().await.filed, 1);
    let file = inbox.file(file.id).await;
    assert_eq!((file.state.as_str(), file.records, file.created, file.failed), ("done", 3_500, 3_499, 1));
    assert_eq!(file.unchanged, 0, "nothing was applied a second time");
    assert_eq!(inbox.hub.count("commerce.product").await, 3_499);
    assert_eq!(inbox.hub.count("commerce.product where revision > 1").await, 0);
    assert!(inbox.hub.count("hub.outbox_event").await > events);
    assert_eq!(inbox.report("done")["failures"].as_array().map(Vec::len), Some(1), "of a slice before the crash");
}

#[tokio::test]
async fn a_crash_between_any_two_steps_loses_nothing() {
    let mut inbox = Inbox::new().await;
    // Moved, and not yet known.
    let id = uuid::Uuid::now_v7();
    inbox.round().await;
    fs::write(inbox.path().join("work").join(format!("{id}_a.xml")), many(2)).expect("a file");
    assert_eq!(inbox.round().await.filed, 1);
    assert_eq!(inbox.file(id).await.created, 2);

    // Finished, with its report, and still in work/.
    let kept = inbox.file(id).await.kept_name.expect("kept");
    fs::rename(inbox.path().join("done").join(&kept), inbox.path().join("work").join(format!("{id}_a.xml")))
        .expect("moved back");
    inbox.hub.execute("update hub.file set filed_at = null, kept_name = null").await;
    inbox.die().await;
    assert_eq!(inbox.round().await.filed, 1);
    assert_eq!(inbox.names("done"), [kept.clone(), format!("{kept}.report.json")]);

    // Put away, and the row does not know it.
    inbox.hub.execute("update hub.file set filed_at = null, kept_name = null").await;
    inbox.die().await;
    assert_eq!(inbox.round().await.filed, 1);
    assert_eq!(inbox.file(id).await.kept_name, Some(kept));
    assert_eq!(inbox.files().await.len(), 1);
    assert_eq!(inbox.file(id).await.unchanged, 0);
}

#[tokio::test]
async fn a_file_replaced_while_it_is_read_is_another_file() {
    let mut inbox = Inbox::new().await;
    inbox.put("ITEMS.xml", many(2_500));
    inbox.round().await;
    // Between two slices of the first one the second one comes.
    killed_behind(&mut inbox, 1_000).await;
    inbox.put("ITEMS.xml", items([item("UPD", "A00001", "Yeni")]));
    inbox.rounds().await;
    let files = inbox.files().await;
    assert_eq!(files.len(), 2);
    assert_eq!((files[1].created, files[0].updated), (2_500, 1));
    assert_eq!(inbox.product("A00001").await["name"], "Yeni");
}

/// A file system of 64 KiB, mounted over a directory as long as it lives.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`: this user may not mount.
    fn over(dir: &Path) -> Option<SmallDisk> {
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(dir).output();
        mount.is_ok_and(|output| output.status.success()).then(|| SmallDisk(dir.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "{} stays mounted", self.0.display());
    }
}

#[tokio::test]
async fn a_place_that_cannot_be_written_to_is_told_and_tried_again() {
    let mut inbox = Inbox::new().await;
    inbox.round().await;
    inbox.put("a.xml", many(2));
    let done = inbox.path().join("done");
    inbox.round().await;
    inbox.round().await;
    assert_eq!(inbox.names("done").len(), 2);
    let (kept, id) = (inbox.names("done").remove(0), inbox.files().await[0].id);
    assert!(done.join(kept).is_file());

    // A disk of 64 KiB that is full.
    let Some(_small) = SmallDisk::over(inbox.path()) else {
        // Not ours to mount: a file stands where the directory should be.
        fs::remove_dir_all(&done).expect("removed");
        fs::write(&done, "").expect("a file");
        inbox.put("b.xml", many(2));
        assert!(inbox.watcher.round().await.is_err_and(|error| error.to_string().contains("done")));
        fs::remove_file(&done).expect("removed");
        inbox.rounds().await;
        assert_eq!(inbox.files().await[0].state, "done");
        return;
    };
    inbox.round().await;
    inbox.put("b.xml", items([item("INS", "B", "b")]));
    inbox.round().await;
    fs::write(inbox.path().join("filler.bin"), vec![0; 63 * 1024]).unwrap_or_default();
    let round = inbox.round().await;
    let file = inbox.files().await.remove(0);
    let problem = file.problem.clone().unwrap_or_default();
    assert!(round.waiting == 1 && problem.contains("report"), "a full disk is told: {round:?} {file:?}");
    assert_eq!((file.state.as_str(), file.created, file.filed_at), ("done", 1, None));
    assert_eq!(inbox.round().await.waiting, 1);
    fs::remove_file(inbox.path().join("filler.bin")).expect("room");
    let round = inbox.round().await;
    assert_eq!((round.waiting, round.filed, inbox.names("done").len()), (0, 1, 2));
    let file = inbox.file(file.id).await;
    assert_eq!((file.created, file.unchanged, file.problem), (1, 0, None), "applied once");
    assert_ne!(file.id, id);
}

#[tokio::test]
async fn a_missing_mapping_waits_and_a_missing_folder_is_told() {
    let mut inbox = Inbox::with(|folder| folder.takes[0].mapping = Some("logo/itemz".to_owned())).await;
    inbox.put("a.xml", fixture("items.xml"));
    inbox.round().await;
    assert_eq!(inbox.round().await.waiting, 1);
    let file = inbox.files().await.remove(0);
    assert_eq!(file.state, "taken");
    assert!(file.problem.is_some_and(|problem| problem.contains("`logo/itemz` is not in the library")));
    assert_eq!(inbox.names("work").len(), 1);

    let mut inbox = Inbox::with(|folder| folder.dir = folder.dir.join("nowhere")).await;
    let error = inbox.watcher.round().await.expect_err("there is no folder");
    assert!(error.to_string().contains("nowhere"), "{error}");
    assert!(!inbox.path().join("nowhere").exists(), "a share that is not mounted is not replaced by a directory");
}

#[tokio::test]
async fn a_refused_file_is_taken_up_again_when_somebody_asks() {
    let mut inbox = Inbox::with(|folder| {
        folder.roots.remove("ITEMS");
    })
    .await;
    let file = inbox.take("ITEMS.xml", many(2)).await;
    assert_eq!(file.reason.as_deref(), Some("no_records"));
    let actor = Actor::new("cli:0", "test");
    let mended = std::sync::Arc::new(kopru::hub::files::Folder {
        roots: [("ITEMS".to_owned(), "logo/items".to_owned())].into(),
        ..(*inbox.folder).clone()
    });
    inbox.folder = mended;
    inbox.die().await;
    store::retry(inbox.hub.pool(), file.id, actor).await.expect("asked");
    assert!(store::retry(inbox.hub.pool(), file.id, actor).await.is_err(), "it is under way");
    assert_eq!(inbox.round().await.filed, 1);
    let file = inbox.file(file.id).await;
    assert_eq!((file.state.as_str(), file.created, file.reason), ("done", 2, None));
    assert!(inbox.names("failed").is_empty(), "{:?}", inbox.names("failed"));
    let audit = inbox.hub.row("select * from identity.audit_event").await;
    assert_eq!((&audit["actor"], &audit["action"]), (&json!("cli:0"), &json!("file.retried")));

    // Gone from where it was put.
    fs::remove_file(inbox.path().join("done").join(file.kept_name.expect("kept"))).expect("removed");
    store::retry(inbox.hub.pool(), file.id, actor).await.expect("asked");
    inbox.round().await;
    let file = inbox.file(file.id).await;
    assert_eq!(file.state, "done");
    assert!(file.problem.is_some_and(|problem| problem.contains("is not where it was put")));
}

#[tokio::test]
async fn a_file_that_is_written_to_while_it_is_applied_is_told() {
    let mut inbox = Inbox::new().await;
    inbox.put("ITEMS.xml", many(2_500));
    inbox.round().await;
    killed_behind(&mut inbox, 1_000).await;
    let file = inbox.files().await.remove(0);
    let work = inbox.path().join("work").join(inbox.names("work").remove(0));
    // Its writer had it open all the time.
    fs::write(&work, many(1_200)).expect("written");
    assert_eq!(inbox.round().await.filed, 1);
    let file = inbox.file(file.id).await;
    assert_eq!((file.state.as_str(), file.reason.as_deref(), file.records), ("failed", Some("changed"), 1_200));
    assert!(file.detail.is_some_and(|detail| detail.contains("1200 of its records are in")));
}

#[tokio::test]
async fn a_file_that_is_gone_from_work_is_told_until_it_is_back() {
    let mut inbox = Inbox::new().await;
    inbox.put("ITEMS.xml", many(2_500));
    inbox.round().await;
    killed_behind(&mut inbox, 1_000).await;
    let work = inbox.path().join("work").join(inbox.names("work").remove(0));
    let away = inbox.path().join("away.bin");
    fs::rename(&work, &away).expect("moved");
    assert_eq!(inbox.round().await.waiting, 1);
    let file = inbox.files().await.remove(0);
    assert!(file.problem.is_some_and(|problem| problem.contains("cannot find")), "told");
    fs::rename(&away, &work).expect("moved back");
    assert_eq!(inbox.round().await.filed, 1);
    assert_eq!(inbox.file(file.id).await.created, 2_500);
}

#[tokio::test]
async fn a_long_name_stops_nobody_and_is_kept_shortened() {
    let mut inbox = Inbox::new().await;
    let text = items([item("INS", "A", "a")]);
    for length in [216, 230, 251] {
        inbox.put(&format!("{}.xml", "x".repeat(length)), &text);
    }
    inbox.put("ITEMS.xml", items([item("INS", "B", "b")]));
    let round = inbox.rounds().await;
    assert_eq!((round.taken, round.filed, round.waiting), (4, 4, 0), "{:?}", inbox.files().await);
    assert_eq!(inbox.hub.count("commerce.product").await, 2);
    assert_eq!(inbox.names("done").len(), 8);
}
