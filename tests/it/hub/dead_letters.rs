//! Letters: found, shown, replayed, edited, discarded, overtaken.

use kopru::hub::dead_letters::{self, Filter, Letter};
use kopru_sdk::Pass;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{hub::Hub, system::page};

fn good(code: &str, version: i64) -> Value {
    json!({ "code": code, "version": version, "name": format!("{code} {version}") })
}

/// A name is required.
fn bad(code: &str, version: i64) -> Value {
    json!({ "code": code, "version": version })
}

async fn letters(hub: &Hub, filter: Filter) -> Vec<Letter> {
    dead_letters::list(hub.pool(), &filter, None, 100).await.expect("letters")
}

async fn only(hub: &Hub) -> Letter {
    let mut all = letters(hub, Filter::default()).await;
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

async fn replay(hub: &Hub, id: Uuid, edited: Option<Value>) -> usize {
    let edited = edited.map(|document| document.to_string().into_bytes());
    let queued = dead_letters::replay(hub.pool(), &[id], edited.as_deref()).await.expect("a replay");
    hub.work().await;
    queued.len()
}

/// Everything that a replay could change of the records themselves.
async fn state_of_records(hub: &Hub) -> Vec<Option<String>> {
    let print = hub.footprint().await;
    ["commerce.brand", "hub.external_ref", "hub.outbox_event"].map(|table| print[table].clone()).to_vec()
}

#[tokio::test]
async fn letters_are_listed_by_filter_and_page_and_shown_with_their_payload() {
    let hub = Hub::new().await;
    hub.full("brands", [page((0..5).map(|n| bad(&format!("B{n}"), 1)))]).await;
    hub.full("products", [page([json!({ "code": "P", "name": "x".repeat(201) })])]).await;

    let page_of = async |before| dead_letters::list(hub.pool(), &Filter::default(), before, 4).await.expect("a page");
    let first = page_of(None).await;
    let second = page_of(first.last().map(|letter| letter.id)).await;
    assert_eq!((first.len(), second.len()), (4, 2));
    assert!(first.iter().chain(&second).map(|letter| letter.id).is_sorted_by(|a, b| a > b), "newest first");

    let by = |change: fn(&mut Filter)| {
        let mut filter = Filter::default();
        change(&mut filter);
        filter
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(letters(&hub, by(|f| f.stream = Some("products".into()))).await.len(), 1);
    assert_eq!(letters(&hub, by(|f| f.entity = Some("brand".into()))).await.len(), 5);
    assert_eq!(letters(&hub, by(|f| f.reason = Some("missing_field".into()))).await.len(), 5);
    assert_eq!(letters(&hub, by(|f| f.cause = Some("remote".into()))).await.len(), 0);
    assert_eq!(letters(&hub, by(|f| f.code = Some("B3".into()))).await.len(), 1);
    assert_eq!(letters(&hub, by(|f| f.connector = Some("other".into()))).await.len(), 0);
    let since = Filter { since: Some(chrono::DateTime::<chrono::Utc>::MAX_UTC), ..Filter::default() };
    assert_eq!(letters(&hub, since).await.len(), 0);
    let alike = Filter { fingerprint: text(&second[1].fingerprint), ..Filter::default() };
    assert_eq!(dead_letters::count(hub.pool(), &alike).await.expect("a count"), 5);

    let shown = dead_letters::show(hub.pool(), second[1].id).await.expect("the store").expect("the letter");
    assert_eq!((shown.alike, shown.format.as_str()), (5, "json"));
    let payload: Value = serde_json::from_str(&shown.payload).expect("a document");
    assert_eq!(payload, json!({ "items": [bad("B0", 1)] }), "that record and no other");
    assert!(dead_letters::show(hub.pool(), Uuid::now_v7()).await.expect("the store").is_none());
}

#[tokio::test]
async fn a_replay_that_goes_in_ends_the_letter() {
    let hub = Hub::new().await;
    hub.execute("alter table commerce.brand add constraint brand_name_decent check (name <> 'A 1')").await;
    hub.full("brands", [page([good("A", 1)])]).await;
    let letter = only(&hub).await;
    hub.execute("alter table commerce.brand drop constraint brand_name_decent").await;
    assert_eq!(replay(&hub, letter.id, None).await, 1);
    assert_eq!(hub.row("select name from commerce.brand").await["name"], "A 1");
    assert_eq!(letters(&hub, Filter::default()).await.len(), 0);
    let history = hub.row("select id, resolution, resolved_by, key from hub.dead_letter_history").await;
    assert_eq!(history, json!({ "id": letter.id, "resolution": "replayed", "resolved_by": "hub", "key": "A" }));
    assert_eq!(hub.count("hub.message_history where kind = 'document' and state = 'done'").await, 1);
}

#[tokio::test]
async fn a_replay_that_fails_again_is_the_same_letter_with_todays_reason() {
    let hub = Hub::new().await;
    hub.full("brands", [page([bad("A", 1)])]).await;
    let letter = only(&hub).await;
    replay(&hub, letter.id, None).await;
    let again = only(&hub).await;
    assert_eq!((again.id, again.state.as_str(), again.attempts, again.seen), (letter.id, "dead", 2, 1));
    assert_eq!(again.fingerprint, letter.fingerprint);
    // Edited, and wrong in another way.
    replay(&hub, letter.id, Some(json!({ "items": [{ "code": "A", "name": "x".repeat(201) }] }))).await;
    let again = only(&hub).await;
    assert_eq!((again.reason.as_str(), again.attempts), ("too_long", 3));
    assert_ne!(again.fingerprint, letter.fingerprint, "it belongs to another group now");
    assert_eq!(hub.count("hub.dead_letter_history").await, 0);
}

#[tokio::test]
async fn a_replay_that_lacks_a_reference_is_replayed_when_that_comes() {
    let hub = Hub::new().await;
    hub.full("products", [page([bad("P", 1)])]).await;
    let letter = only(&hub).await;
    let edited = json!({ "items": [{ "code": "P", "version": 1, "name": "p", "brand": "X" }] });
    replay(&hub, letter.id, Some(edited)).await;
    let again = only(&hub).await;
    assert_eq!((again.id, again.reason.as_str(), again.value.as_deref()), (letter.id, "missing_reference", Some("X")));
    assert_eq!(hub.count("hub.message").await, 0, "a letter waits as a letter");
}

#[tokio::test]
async fn an_edited_replay_takes_the_place_of_the_payload() {
    let hub = Hub::new().await;
    hub.full("brands", [page([bad("A", 1)])]).await;
    let letter = only(&hub).await;
    replay(&hub, letter.id, Some(json!({ "items": [{ "code": "A", "version": 1, "name": "by hand" }] }))).await;
    assert_eq!(hub.row("select name from commerce.brand").await["name"], "by hand");
    assert_eq!(letters(&hub, Filter::default()).await.len(), 0);
}

#[tokio::test]
async fn a_replay_asked_for_twice_at_once_happens_once() {
    let hub = Hub::new().await;
    hub.full("brands", [page([bad("A", 1)])]).await;
    let ids = [only(&hub).await.id];
    let (one, two) =
        tokio::join!(dead_letters::replay(hub.pool(), &ids, None), dead_letters::replay(hub.pool(), &ids, None));
    assert_eq!(one.expect("one").len() + two.expect("two").len(), 1);
    assert_eq!(hub.work().await, 1);
    // A letter that is being replayed is not put aside under the replay's hands.
    dead_letters::replay(hub.pool(), &ids, None).await.expect("a replay");
    let gone = dead_letters::discard(hub.pool(), &ids, "ayse", "no use").await.expect("a discard");
    assert_eq!(gone, 0);
}

#[tokio::test]
async fn letters_are_replayed_by_filter() {
    let hub = Hub::new().await;
    hub.full("brands", [page((0..1200).map(|n| bad(&format!("B{n:04}"), 1)))]).await;
    let filter = Filter { stream: Some("brands".to_owned()), ..Filter::default() };
    assert_eq!(dead_letters::replay_matching(hub.pool(), &filter).await.expect("a replay"), 1200);
    assert_eq!(hub.work().await, 1200);
    assert_eq!(dead_letters::count(hub.pool(), &filter).await.expect("a count"), 1200);
    assert_eq!(hub.count("hub.dead_letter where state = 'dead' and attempts = 2").await, 1200);
}

#[tokio::test]
async fn what_was_overtaken_ends_as_superseded_and_writes_nothing() {
    let hub = Hub::new().await;
    hub.full("brands", [page([bad("A", 1)])]).await;
    let letter = only(&hub).await;
    dead_letters::replay(hub.pool(), &[letter.id], Some(&page([good("A", 1)]).into_bytes())).await.expect("a replay");
    // Before a worker has it, a newer document comes.
    hub.changes("brands", [page([good("A", 2)])]).await;
    let before = state_of_records(&hub).await;
    hub.work().await;
    assert_eq!(state_of_records(&hub).await, before);
    assert_eq!(hub.row("select name from commerce.brand").await["name"], "A 2");
    assert_eq!(hub.row("select state from hub.message_history where kind = 'document'").await["state"], "superseded");
    assert_eq!(hub.row("select resolution from hub.dead_letter_history").await["resolution"], "superseded");
}

#[tokio::test]
async fn without_a_version_the_receipt_tells_that_it_was_overtaken() {
    let hub = Hub::new().await;
    hub.full("brands", [page([json!({ "code": "A" })])]).await;
    let letter = only(&hub).await;
    let edited = page([json!({ "code": "A", "name": "old" })]).into_bytes();
    dead_letters::replay(hub.pool(), &[letter.id], Some(&edited)).await.expect("a replay");
    hub.changes("brands", [page([json!({ "code": "A", "name": "new" })])]).await;
    hub.work().await;
    assert_eq!(hub.row("select name from commerce.brand").await["name"], "new");
    assert_eq!(hub.row("select resolution from hub.dead_letter_history").await["resolution"], "superseded");
}

#[tokio::test]
async fn a_good_record_of_the_key_ends_the_letter() {
    let hub = Hub::new().await;
    hub.full("brands", [page([good("A", 1)])]).await;
    hub.changes("brands", [page([bad("A", 2), bad("B", 1)])]).await;
    assert_eq!(letters(&hub, Filter::default()).await.len(), 2);
    // Back to what it was: nothing to write, and nothing wrong any more.
    let run = hub.changes("brands", [page([good("A", 1)])]).await;
    assert_eq!(run.unchanged, 1);
    assert_eq!(only(&hub).await.code.as_deref(), Some("B"));
    let history = hub.row("select resolution, key from hub.dead_letter_history").await;
    assert_eq!(history, json!({ "resolution": "superseded", "key": "A" }));
}

#[tokio::test]
async fn an_older_record_that_goes_in_late_leaves_the_letter_of_a_newer() {
    let hub = Hub::new().await;
    let waiting = json!({ "code": "P", "version": 1, "name": "one", "brand": "X" });
    hub.changes("products", [page([waiting])]).await;
    hub.changes("products", [page([bad("P", 2)])]).await;
    hub.full("brands", [page([good("X", 1)])]).await;
    assert_eq!(hub.work().await, 1);
    assert_eq!(hub.row("select name from commerce.product").await["name"], "one");
    assert_eq!(only(&hub).await.code.as_deref(), Some("P"), "what came after it is still bad");
}

#[tokio::test]
async fn a_newer_bad_record_is_not_ended_by_the_replay_of_an_older() {
    let hub = Hub::new().await;
    hub.full("brands", [page([bad("A", 1)])]).await;
    let letter = only(&hub).await;
    let edited = page([good("A", 1)]).into_bytes();
    dead_letters::replay(hub.pool(), &[letter.id], Some(&edited)).await.expect("a replay");
    hub.changes("brands", [page([bad("A", 2)])]).await;
    hub.work().await;
    let left = only(&hub).await;
    assert_eq!((left.state.as_str(), left.seen), ("dead", 2));
    let shown = dead_letters::show(hub.pool(), left.id).await.expect("the store").expect("the letter");
    assert!(shown.payload.contains("\"version\":2"), "{}", shown.payload);
}

#[tokio::test]
async fn a_letter_is_discarded_with_a_reason() {
    let hub = Hub::new().await;
    hub.full("brands", [page([bad("A", 1)])]).await;
    let id = only(&hub).await.id;
    assert_eq!(dead_letters::discard(hub.pool(), &[id], "ayse", "a test card").await.expect("a discard"), 1);
    assert_eq!(dead_letters::discard(hub.pool(), &[id], "ayse", "again").await.expect("a discard"), 0);
    let history = hub.row("select resolution, resolved_by, note from hub.dead_letter_history").await;
    assert_eq!(history, json!({ "resolution": "discarded", "resolved_by": "ayse", "note": "a test card" }));
    // If the source sends it again it is a letter again.
    hub.run("brands", Pass::Full).await;
    assert_ne!(only(&hub).await.id, id);
}

#[tokio::test]
async fn a_document_whose_mapping_is_gone_is_ours_and_stays() {
    let hub = Hub::new().await;
    hub.full("brands", [page([bad("A", 1)])]).await;
    hub.execute("update hub.dead_letter set mapping = 'test/forgotten'").await;
    let id = only(&hub).await.id;
    replay(&hub, id, None).await;
    let letter = only(&hub).await;
    assert_eq!((letter.cause.as_str(), letter.reason.as_str()), ("ours", "mapping_missing"));
}
