//! Newer wins: by version, without one by receipt; a complete pass beats both; equal content costs nothing.

use chrono::{DateTime, Utc};
use kopru_sdk::Pass;
use serde_json::{Value, json};

use crate::support::{hub::Hub, system::page};

fn doc(version: Option<i64>, name: &str) -> String {
    let mut record = json!({ "code": "A", "name": name });
    if let Some(version) = version {
        record["version"] = json!(version);
    }
    page([record])
}

async fn name(hub: &Hub) -> Value {
    hub.row("select name from commerce.brand").await["name"].clone()
}

async fn version(hub: &Hub) -> Value {
    hub.row("select source_version as v from hub.external_ref").await["v"].clone()
}

#[tokio::test]
async fn an_older_version_after_a_newer_is_stale() {
    let hub = Hub::new().await;
    hub.changes("brands", [doc(Some(5), "five")]).await;
    let before = hub.footprint().await;
    let run = hub.changes("brands", [doc(Some(4), "four")]).await;
    assert_eq!((run.stale, run.updated), (1, 0));
    assert_eq!(hub.footprint().await, before);
}

#[tokio::test]
async fn an_equal_version_with_other_content_wins() {
    let hub = Hub::new().await;
    hub.changes("brands", [doc(Some(5), "five")]).await;
    let run = hub.changes("brands", [doc(Some(5), "five again")]).await;
    assert_eq!(run.updated, 1);
    assert_eq!(name(&hub).await, "five again");
}

#[tokio::test]
async fn a_newer_version_of_equal_content_moves_only_the_link() {
    let hub = Hub::new().await;
    hub.changes("brands", [doc(Some(5), "five")]).await;
    let mut before = hub.footprint().await;
    let run = hub.changes("brands", [doc(Some(7), "five")]).await;
    assert_eq!((run.unchanged, run.updated), (1, 0));
    let mut after = hub.footprint().await;
    assert_ne!(before.remove("hub.external_ref"), after.remove("hub.external_ref"));
    assert_eq!(before, after);
    // Or a late one between the two would win.
    let run = hub.changes("brands", [doc(Some(6), "six")]).await;
    assert_eq!(run.stale, 1);
    assert_eq!(name(&hub).await, "five");
    assert_eq!(version(&hub).await, 7);
}

#[tokio::test]
async fn a_document_without_version_goes_by_receipt_and_leaves_the_version() {
    let hub = Hub::new().await;
    hub.changes("brands", [doc(Some(5), "five")]).await;
    let run = hub.changes("brands", [doc(None, "edited")]).await;
    assert_eq!(run.updated, 1);
    assert_eq!(version(&hub).await, 5);
    let run = hub.changes("brands", [doc(Some(4), "four")]).await;
    assert_eq!(run.stale, 1, "its version was not moved and still counts");
    // Received before the link was written last, as a late replay is.
    hub.execute("update hub.external_ref set last_synced_at = clock_timestamp() + interval '1 hour'").await;
    let run = hub.changes("brands", [doc(None, "late")]).await;
    assert_eq!(run.stale, 1);
    assert_eq!(name(&hub).await, "edited");
}

#[tokio::test]
async fn versions_of_different_kinds_are_not_compared() {
    let hub = Hub::new().await;
    hub.changes("brands", [doc(Some(5), "five")]).await;
    hub.execute("update hub.external_ref set version_kind = 'push.version', source_version = 900").await;
    let run = hub.changes("brands", [doc(Some(4), "four")]).await;
    assert_eq!(run.updated, 1);
    let link = hub.row("select version_kind, source_version from hub.external_ref").await;
    assert_eq!(link, json!({ "version_kind": "test.version", "source_version": 4 }));
}

#[tokio::test]
async fn a_complete_pass_beats_what_was_there_before_it_began() {
    let hub = Hub::new().await;
    hub.full("brands", [doc(Some(9), "nine")]).await;
    // Over there a backup was restored: its stamps are smaller now.
    let run = hub.full("brands", [doc(Some(3), "three")]).await;
    assert_eq!((run.updated, run.stale), (1, 0));
    assert_eq!((name(&hub).await, version(&hub).await), (json!("three"), json!(3)));
    let run = hub.changes("brands", [doc(Some(4), "four")]).await;
    assert_eq!(run.updated, 1, "what follows is ordered by the restored stamps");
}

#[tokio::test]
async fn a_complete_pass_corrects_the_version_of_equal_content() {
    let hub = Hub::new().await;
    hub.full("brands", [doc(Some(9), "same")]).await;
    let run = hub.full("brands", [doc(Some(3), "same")]).await;
    assert_eq!(run.unchanged, 1);
    assert_eq!(version(&hub).await, 3);
    let run = hub.changes("brands", [doc(Some(4), "four")]).await;
    assert_eq!(run.updated, 1);
}

#[tokio::test]
async fn a_complete_pass_does_not_beat_what_came_while_it_ran() {
    let hub = Hub::new().await;
    let gate = hub.system.gate("brands", 1);
    hub.system.full("brands", [page([]), doc(Some(3), "read long ago")]);
    let pass = hub.run("brands", Pass::Full);
    let change = async {
        hub.eventually("the second page is asked for", || async { hub.system.pulls().len() == 2 }).await;
        // The change comes by another way, say a push, in the midst of the pass.
        hub.execute(
            "with made as (insert into commerce.brand (code, name, created_at, updated_at, created_by, updated_by)
                           values ('A', 'pushed', now(), now(), 'erp', 'erp') returning id)
             insert into hub.external_ref (internal_id, connector, entity, external_code, content_hash, version_kind,
                                           source_version)
             select id, 'erp', 'brand', 'A', decode(repeat('00', 16), 'hex'), 'test.version', 8 from made",
        )
        .await;
        gate.add_permits(1);
    };
    let (run, ()) = tokio::join!(pass, change);
    assert_eq!((run.state.as_str(), run.stale, run.updated), ("done", 1, 0));
    assert_eq!(name(&hub).await, "pushed");
}

#[tokio::test]
async fn receipts_are_told_by_the_databases_clock() {
    let hub = Hub::new().await;
    let before: DateTime<Utc> = hub.engine.database_now().await.expect("now");
    hub.engine.clock.advance(chrono::TimeDelta::days(400));
    hub.full("brands", [doc(None, "a")]).await;
    let link = hub.row("select last_synced_at from hub.external_ref").await;
    let at: DateTime<Utc> = serde_json::from_value(link["last_synced_at"].clone()).expect("a time");
    assert!(at >= before && at - before < chrono::TimeDelta::minutes(5), "{at} after {before}");
}
