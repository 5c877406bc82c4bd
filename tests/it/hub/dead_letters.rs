//! Letters: found, shown, replayed, edited, discarded, overtaken.

use kopru::{
    audit::Actor,
    hub::{
        dead_letters::{self, Filter, Letter},
        housekeeping,
    },
};
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

const AYSE: Actor<'_> = Actor::new("cli:ayse", "test");

async fn replay(hub: &Hub, id: Uuid, edited: Option<Value>) -> usize {
    let queued = match edited {
        Some(document) => {
            edit(hub, id, document.to_string().as_bytes()).await.expect("an edition that is taken");
            1
        }
        None => dead_letters::replay(hub.pool(), AYSE, &[id]).await.expect("a replay").len(),
    };
    hub.work().await;
    queued
}

async fn edit(hub: &Hub, id: Uuid, document: &[u8]) -> Result<(), String> {
    dead_letters::edit(&hub.engine, AYSE, id, document).await.map_err(|error| error.to_string())
}

/// What was audited: action, subject, detail.
async fn audited(hub: &Hub) -> Vec<Value> {
    hub.rows("select actor, action, subject, detail from identity.audit_event order by id").await
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

    let alike = Filter { fingerprint: Some(second[1].fingerprint.clone()), ..Filter::default() };
    assert_eq!(dead_letters::count(hub.pool(), &alike).await.expect("a count"), 5);

    let shown = dead_letters::show(&hub.engine, second[1].id).await.expect("the store").expect("the letter");
    assert_eq!((shown.alike, shown.format.as_str()), (5, "json"));
    let payload: Value = serde_json::from_str(&shown.payload).expect("a document");
    assert_eq!(payload, json!({ "items": [bad("B0", 1)] }), "that record and no other");
    assert!(dead_letters::show(&hub.engine, Uuid::now_v7()).await.expect("the store").is_none());
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
    assert_eq!(history, json!({ "id": letter.id, "resolution": "replayed", "resolved_by": "cli:ayse", "key": "A" }));
    let audit = json!([{ "actor": "cli:ayse", "action": "dead_letter.replayed", "subject": letter.id, "detail": {} }]);
    assert_eq!(Value::from(audited(&hub).await), audit);
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
    // Edited, and refused by another rule.
    hub.execute("alter table commerce.brand add constraint brand_name_decent check (name <> 'no')").await;
    replay(&hub, letter.id, Some(json!({ "items": [{ "code": "A", "name": "no" }] }))).await;
    let again = only(&hub).await;
    assert_eq!((again.reason.as_str(), again.attempts), ("refused_by_store", 3));
    assert_ne!(again.fingerprint, letter.fingerprint, "it belongs to another group now");
    assert_eq!(hub.count("hub.dead_letter_history").await, 0);
    // The edition stays, and is what the next try takes.
    hub.execute("alter table commerce.brand drop constraint brand_name_decent").await;
    replay(&hub, letter.id, None).await;
    assert_eq!(hub.row("select name from commerce.brand").await["name"], "no");
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
    hub.full("brands", [page([good("X", 1)])]).await;
    housekeeping::sweep_once(&hub.engine).await.expect("a sweep");
    hub.work().await;
    assert_eq!(hub.row("select name from commerce.product").await["name"], "p");
    assert_eq!(hub.row("select resolved_by from hub.dead_letter_history").await["resolved_by"], "hub");
}

#[tokio::test]
async fn a_missing_code_that_is_an_old_name_has_arrived() {
    let hub = Hub::new().await;
    let card = |code: &str| json!({ "code": code, "id": "7", "version": 1, "name": "x" });
    hub.full("brands", [page([card("OLD")])]).await;
    hub.full("brands", [page([card("NEW")])]).await;
    assert_eq!(hub.count("hub.external_ref_alias").await, 1);
    hub.full("products", [page([json!({ "code": "P", "version": 1, "name": "p", "unitSet": "none" })])]).await;
    hub.execute("update hub.dead_letter set missing_entity = 'brand', missing_code = 'OLD'").await;
    assert_eq!(dead_letters::arrived(hub.pool()).await.expect("the store"), [only(&hub).await.id]);
}

#[tokio::test]
async fn an_edited_replay_takes_the_place_of_the_payload() {
    let hub = Hub::new().await;
    hub.full("brands", [page([bad("A", 1)])]).await;
    let letter = only(&hub).await;
    replay(&hub, letter.id, Some(json!({ "items": [{ "code": "A", "version": 1, "name": "by hand" }] }))).await;
    assert_eq!(hub.row("select name from commerce.brand").await["name"], "by hand");
    assert_eq!(letters(&hub, Filter::default()).await.len(), 0);
    // What came stands beside what it was made into, with who did it.
    let kept = hub.row("select body <> edited_body as both, edited_by, resolved_by from hub.dead_letter_history").await;
    assert_eq!(kept, json!({ "both": true, "edited_by": "cli:ayse", "resolved_by": "cli:ayse" }));
    let actions: Vec<Value> = audited(&hub).await.into_iter().map(|row| row["action"].clone()).collect();
    assert_eq!(actions, ["dead_letter.edited", "dead_letter.replayed"]);
}

#[tokio::test]
async fn an_edition_that_cannot_go_in_is_refused_and_changes_nothing() {
    let hub = Hub::new().await;
    hub.full("brands", [page([bad("A", 1)])]).await;
    let letter = only(&hub).await;
    let before = hub.footprint().await;
    for (document, why) in [
        ("{\"items\": [".to_owned(), "cannot be read"),
        (page([bad("A", 1)]), "missing_field"),
        (page([json!({ "code": "A", "name": "x".repeat(201) })]), "too_long"),
        (page([good("B", 1)]), "it is the record B and not A"),
        (page([good("A", 1), good("B", 1)]), "exactly one record"),
        (page([]), "exactly one record"),
    ] {
        let refused = edit(&hub, letter.id, document.as_bytes()).await.expect_err("it is bad");
        assert!(refused.contains(why), "{refused}");
    }
    assert!(edit(&hub, Uuid::now_v7(), b"{}").await.expect_err("no letter").contains("no open dead letter"));
    assert_eq!(hub.footprint().await, before);
    assert_eq!(audited(&hub).await, Vec::<Value>::new());
    // One that is being replayed is not changed under its hands.
    dead_letters::replay(hub.pool(), AYSE, &[letter.id]).await.expect("a replay");
    let busy = edit(&hub, letter.id, page([good("A", 1)]).as_bytes()).await.expect_err("it is busy");
    assert!(busy.contains("being replayed"), "{busy}");
}

#[tokio::test]
async fn an_edition_without_a_version_is_as_old_as_what_came() {
    let hub = Hub::new().await;
    hub.full("brands", [page([good("A", 5)])]).await;
    hub.changes("brands", [page([bad("A", 7)])]).await;
    let kept = hub.row("select version_kind, source_version from hub.dead_letter").await;
    assert_eq!(kept, json!({ "version_kind": "test.version", "source_version": 7 }));
    let letter = only(&hub).await;
    // The source goes on; its newer document comes without ending the letter, as a push under another mapping would.
    hub.execute("update hub.external_ref set source_version = 8").await;
    let before = state_of_records(&hub).await;
    replay(&hub, letter.id, Some(json!({ "items": [{ "code": "A", "name": "overtaken" }] }))).await;
    assert_eq!(state_of_records(&hub).await, before);
    assert_eq!(hub.row("select resolution from hub.dead_letter_history").await["resolution"], "superseded");
    // Not overtaken it goes in, and moves the version.
    hub.changes("brands", [page([bad("A", 9)])]).await;
    replay(&hub, only(&hub).await.id, Some(json!({ "items": [{ "code": "A", "name": "in time" }] }))).await;
    let link = hub.row("select source_version from hub.external_ref where entity = 'brand'").await;
    assert_eq!(link["source_version"], 9);
}

#[tokio::test]
async fn a_replay_asked_for_twice_at_once_happens_once() {
    let hub = Hub::new().await;
    hub.full("brands", [page([bad("A", 1)])]).await;
    let ids = [only(&hub).await.id];
    let (one, two) =
        tokio::join!(dead_letters::replay(hub.pool(), AYSE, &ids), dead_letters::replay(hub.pool(), AYSE, &ids));
    assert_eq!(one.expect("one").len() + two.expect("two").len(), 1);
    assert_eq!(hub.work().await, 1);
    // A letter that is being replayed is not put aside under the replay's hands.
    dead_letters::replay(hub.pool(), AYSE, &ids).await.expect("a replay");
    let gone = dead_letters::discard(hub.pool(), AYSE, &ids, "no use").await.expect("a discard");
    assert_eq!(gone, 0);
    let discarded = audited(&hub).await.into_iter().filter(|row| row["action"] == "dead_letter.discarded");
    assert_eq!(discarded.count(), 0);
}

#[tokio::test]
async fn what_was_overtaken_ends_as_superseded_and_writes_nothing() {
    let hub = Hub::new().await;
    hub.full("brands", [page([bad("A", 1)])]).await;
    let letter = only(&hub).await;
    edit(&hub, letter.id, page([good("A", 1)]).as_bytes()).await.expect("a replay");
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
    edit(&hub, letter.id, &edited).await.expect("a replay");
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
    // One that is older says nothing about it; back to what it was, nothing is wrong any more.
    hub.changes("brands", [page([good("A", 1)])]).await;
    assert_eq!(letters(&hub, Filter::default()).await.len(), 2);
    let run = hub.changes("brands", [page([json!({ "code": "A", "version": 3, "name": "A 1" })])]).await;
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
    edit(&hub, letter.id, &edited).await.expect("a replay");
    hub.changes("brands", [page([bad("A", 2)])]).await;
    hub.work().await;
    let left = only(&hub).await;
    assert_eq!((left.state.as_str(), left.seen), ("dead", 2));
    let shown = dead_letters::show(&hub.engine, left.id).await.expect("the store").expect("the letter");
    assert!(shown.payload.contains("\"version\":2"), "{}", shown.payload);
}

#[tokio::test]
async fn a_letter_is_discarded_with_a_reason() {
    let hub = Hub::new().await;
    hub.full("brands", [page([bad("A", 1)])]).await;
    let id = only(&hub).await.id;
    assert!(dead_letters::discard(hub.pool(), AYSE, &[id], " ").await.is_err(), "a reason is demanded");
    assert_eq!(dead_letters::discard(hub.pool(), AYSE, &[id], "a test card").await.expect("a discard"), 1);
    assert_eq!(dead_letters::discard(hub.pool(), AYSE, &[id], "again").await.expect("a discard"), 0);
    let history = hub.row("select resolution, resolved_by, note from hub.dead_letter_history").await;
    assert_eq!(history, json!({ "resolution": "discarded", "resolved_by": "cli:ayse", "note": "a test card" }));
    let detail = json!({ "connector": "erp", "code": "A", "failure": "missing_field", "reason": "a test card" });
    let entry = json!([{
        "actor": "cli:ayse", "action": "dead_letter.discarded", "subject": id, "detail": detail,
    }]);
    assert_eq!(Value::from(audited(&hub).await), entry);
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

#[tokio::test]
async fn every_filter_names_its_letters_alone_and_together() {
    let hub = Hub::new().await;
    hub.full("brands", [page((0..5).map(|n| bad(&format!("B_{n}"), 1)))]).await;
    hub.full("products", [page([json!({ "code": "P", "name": "x".repeat(201) })])]).await;
    hub.full("products", [page([json!({ "code": "Q", "name": "q", "unitSet": "KUTU" })])]).await;
    let all = letters(&hub, Filter::default()).await;
    let [q, p] = [&all[0], &all[1]];
    let b3 = all.iter().find(|letter| letter.code.as_deref() == Some("B_3")).expect("it is there");
    replay(&hub, b3.id, None).await;
    dead_letters::replay(hub.pool(), AYSE, &[p.id]).await.expect("a replay");
    let (until, since) = (p.created_at.to_rfc3339(), q.created_at.to_rfc3339());
    let (run, message) = (p.run_id.expect("a run").to_string(), q.message_id.to_string());
    let cases: &[(&[(&str, &str)], usize)] = &[
        (&[("connector", "erp")], 7),
        (&[("connector", "other")], 0),
        (&[("stream", "products")], 2),
        (&[("entity", "brand")], 5),
        (&[("kind", "document")], 7),
        (&[("kind", "note.deliver")], 0),
        (&[("cause", "data")], 7),
        (&[("cause", "remote")], 0),
        (&[("reason", "missing_field")], 5),
        (&[("field", "name")], 6),
        (&[("field", "unitSet")], 1),
        (&[("fingerprint", &b3.fingerprint)], 5),
        (&[("code", "B_3")], 1),
        (&[("code", "B")], 0),
        (&[("code_prefix", "B_")], 5),
        (&[("code_prefix", "B__")], 0),
        (&[("mapping", "test/products")], 2),
        (&[("correlation", &p.correlation_id)], 1),
        (&[("run", &run)], 1),
        (&[("message", &message)], 1),
        (&[("missing", "KUTU")], 1),
        (&[("state", "replaying")], 1),
        (&[("since", &since)], 1),
        (&[("until", &until)], 5),
        (&[("since", "9999-12-31T23:59:59Z")], 0),
        (&[("attempts", "2")], 1),
        (&[("attempts", "1")], 7),
        (&[("text", "NOT FOUND: kutu")], 1),
        (&[("text", "%")], 0),
        (&[("stream", "products"), ("reason", "too_long")], 1),
        (&[("stream", "products"), ("reason", "missing_field")], 0),
        (&[("entity", "brand"), ("attempts", "2"), ("code_prefix", "B")], 1),
        (&[("connector", "erp"), ("state", "dead"), ("cause", "data")], 6),
    ];
    for (terms, expected) in cases {
        let mut filter = Filter::default();
        for (key, value) in *terms {
            filter.set(key, value).expect("a term");
        }
        let found = letters(&hub, filter.clone()).await;
        assert_eq!(found.len(), *expected, "{terms:?}");
        assert!(found.is_sorted_by(|a, b| a.id > b.id), "{terms:?}");
        let counted = dead_letters::count(hub.pool(), &filter).await.expect("a count");
        assert_eq!(usize::try_from(counted), Ok(*expected), "{terms:?}");
        let total = dead_letters::tally(hub.pool(), &filter).await.expect("a tally");
        assert_eq!((total.count, total.exact), (counted, true), "{terms:?}");
        // Page by page the same.
        let mut walked = Vec::new();
        while let page = dead_letters::list(hub.pool(), &filter, walked.last().copied(), 2).await.expect("a page")
            && !page.is_empty()
        {
            walked.extend(page.into_iter().map(|letter| letter.id));
        }
        assert_eq!(walked, found.iter().map(|letter| letter.id).collect::<Vec<_>>(), "{terms:?}");
    }
}

#[tokio::test]
async fn what_failed_alike_is_one_group_with_an_example() {
    let hub = Hub::new().await;
    hub.full("brands", [page((0..5).map(|n| bad(&format!("B{n}"), 1)))]).await;
    hub.full("products", [page([json!({ "code": "P", "name": "x".repeat(201) })])]).await;
    let groups = dead_letters::groups(hub.pool(), &Filter::default(), 10).await.expect("groups");
    let told: Vec<_> = groups.iter().map(|group| (group.count, group.reason.as_str())).collect();
    assert_eq!(told, [(5, "missing_field"), (1, "too_long")]);
    let newest = letters(&hub, Filter { entity: Some("brand".to_owned()), ..Filter::default() }).await.remove(0);
    assert_eq!((groups[0].example, groups[0].last_at), (newest.id, newest.created_at));
    assert!(groups[0].first_at <= groups[0].last_at);
    let narrowed = Filter { code: Some("B2".to_owned()), ..Filter::default() };
    let one = dead_letters::groups(hub.pool(), &narrowed, 10).await.expect("groups");
    assert_eq!((one.len(), one[0].count, one[0].code.as_deref()), (1, 1, Some("B2")));
}

#[tokio::test]
async fn a_letter_is_shown_with_all_that_a_person_needs() {
    let hub = Hub::new().await;
    hub.full("products", [page([json!({ "code": "P", "version": 1, "name": "x".repeat(201), "vat": "20" })])]).await;
    let first = only(&hub).await;
    dead_letters::discard(hub.pool(), AYSE, &[first.id], "try again").await.expect("a discard");
    let records = ["P", "Q", "R"].map(|code| json!({ "code": code, "version": 2, "name": "x".repeat(201) }));
    hub.full("products", [page(records)]).await;
    let letter = letters(&hub, Filter { code: Some("P".to_owned()), ..Filter::default() }).await.remove(0);
    replay(&hub, letter.id, None).await;

    let shown = dead_letters::show(&hub.engine, letter.id).await.expect("the store").expect("the letter");
    let marked: Vec<&str> = shown.marked.lines().filter(|line| line.starts_with(">>")).collect();
    assert_eq!(marked.len(), 1, "{}", shown.marked);
    assert!(marked[0].contains("\"name\": \"xxx"), "{}", marked[0]);
    let today = shown.today.as_ref().expect("the mapping is there");
    let field = |name| today.fields.iter().find(|field| field.field == name).expect("a field");
    assert_eq!(
        (today.fate, field("name").reason.as_deref(), field("name").source.as_str()),
        ("rejected", Some("too_long"), "name")
    );
    assert_eq!(field("sku").value, Some(json!("P")));
    assert_eq!((shown.alike, shown.siblings.len()), (3, 2));
    assert_eq!(shown.attempts_made.len(), 1);
    assert_eq!(shown.attempts_made[0].outcome, "dead");
    let earlier = &shown.history[0];
    assert_eq!((earlier.resolution.as_str(), earlier.note.as_deref()), ("discarded", Some("try again")));
    assert!(shown.next.contains("--edit"), "{}", shown.next);
    assert_eq!(shown.original, None);

    // Edited and refused by the store: both documents are there.
    let edited = page([json!({ "code": "P", "version": 2, "name": "short", "brand": "NONE" })]);
    edit(&hub, letter.id, edited.as_bytes()).await.expect("an edition");
    hub.work().await;
    let shown = dead_letters::show(&hub.engine, letter.id).await.expect("the store").expect("the letter");
    assert_eq!(shown.payload, edited);
    assert!(shown.original.as_deref().is_some_and(|original| original.contains("xxx")));
    assert_eq!(shown.letter.edited_by.as_deref(), Some("cli:ayse"));
    assert!(shown.next.contains("lacks brand NONE"), "{}", shown.next);
    assert!(shown.marked.contains(">>       \"brand\": \"NONE\""), "{}", shown.marked);
}

#[tokio::test]
async fn a_filter_takes_what_the_list_shows_and_refuses_what_no_letter_can_have() {
    let hub = Hub::new().await;
    hub.changes("brands", [page([bad("A", 1)])]).await;
    let letter = only(&hub).await;
    let field = letter.field.clone().expect("a field");
    assert!(field.contains(" ("), "{field}");
    let source = field.split_once(" (").map(|(_, source)| source.trim_end_matches(')').to_owned());
    for filter in [
        Filter { stream: Some("brands".into()), ..Filter::default() },
        Filter { stream: Some("erp.brands".into()), ..Filter::default() },
        Filter { field: Some(field.clone()), ..Filter::default() },
        Filter { field: field.split(' ').next().map(str::to_owned), ..Filter::default() },
        Filter { field: source, ..Filter::default() },
    ] {
        assert_eq!(letters(&hub, filter.clone()).await.len(), 1, "{filter:?}");
    }
    for filter in [
        Filter { state: Some("bogus".into()), ..Filter::default() },
        Filter { cause: Some("bogus".into()), ..Filter::default() },
        Filter { entity: Some("bogus".into()), ..Filter::default() },
    ] {
        assert!(filter.check().expect_err("no letter can have it").contains("`bogus`"), "{filter:?}");
    }
    let other = Filter { stream: Some("other.brands".into()), ..Filter::default() };
    assert_eq!(letters(&hub, other).await.len(), 0);
}
