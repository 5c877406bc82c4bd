//! Many letters at once: planned, frozen, worked off in slices beside everything else.

use std::sync::Arc;

use kopru::{
    audit::Actor,
    hub::{
        dead_letters::{self, Action, Filter, PlanDetail, Slice, slice},
        engine::Engine,
        worker,
    },
    mapping::Library,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    courier::{Courier, post},
    hub::Hub,
    soak,
    system::page,
};

const AYSE: Actor<'_> = Actor::new("cli:ayse", "test");

/// Cards that call their name something else, which the mapping does not know yet.
fn titled(codes: impl Iterator<Item = u32>) -> String {
    page(codes.map(|n| json!({ "code": format!("B{n:05}"), "version": 1, "title": format!("brand {n}") })))
}

/// The same hub after somebody has mended the mapping.
fn mended(hub: &Hub) -> Engine {
    let text = "entity = \"brand\"\n[records]\njson = \"items\"\n[key]\nfrom = \"code\"\n[version]\nkind = \
                \"test.version\"\nfrom = [{ number = \"version\" }]\n[fields.name]\nfrom = [\"name\", \"title\"]\n";
    let mut files = vec![("test/brands.toml".to_owned(), text.to_owned())];
    for name in ["warehouses", "categories", "made_categories", "products", "stock"] {
        files.push((format!("test/{name}.toml"), text.to_owned()));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let library = Library::from_texts(&files).unwrap_or_else(|problems| panic!("{problems:?}"));
    let mut build = kopru_build(hub);
    build.library = Arc::new(library);
    build.engine(hub.pool(), &hub.system, crate::support::hub::ERP)
}

fn kopru_build(hub: &Hub) -> crate::support::hub::Build {
    crate::support::hub::Build { handlers: hub.build.handlers.clone(), ..Default::default() }
}

async fn planned(hub: &Hub, filter: &Filter) -> PlanDetail {
    dead_letters::plan(hub.pool(), AYSE, Action::Replay, filter, 100_000.0).await.expect("a plan")
}

async fn get(hub: &Hub, id: Uuid) -> PlanDetail {
    dead_letters::get(hub.pool(), id).await.expect("the store").expect("the plan")
}

/// Slices and turns until no plan is running.
async fn work_off(engine: &Engine) {
    loop {
        match slice(&engine.pool).await.expect("a slice") {
            Slice::Idle => break,
            Slice::Taken(_) | Slice::NotYet => {}
        }
        while worker::turn(engine).await.expect("a turn") > 0 {}
    }
    while worker::turn(engine).await.expect("a turn") > 0 {}
}

#[tokio::test]
async fn a_plan_says_what_it_means_and_nothing_happens_before_it_is_started() {
    let hub = Hub::new().await;
    hub.full("brands", [titled(0..7)]).await;
    hub.full("products", [page([json!({ "code": "P", "name": "x".repeat(201) })])]).await;
    let before = hub.count("hub.dead_letter where state = 'dead' and attempts = 1").await;
    let rate = 2.0;
    let detail = dead_letters::plan(hub.pool(), AYSE, Action::Replay, &Filter::default(), rate).await.expect("a plan");
    assert_eq!((detail.plan.total, detail.plan.state.as_str(), detail.estimated_secs), (8, "planned", 4));
    let shares: Vec<Value> = detail.shares.iter().map(|share| json!(share)).collect();
    let share = |stream, reason, count| {
        json!({
            "connector": "erp", "stream": stream, "cause": "data", "reason": reason, "count": count,
        })
    };
    assert_eq!(shares, [share("brands", "missing_field", 7), share("products", "too_long", 1)]);
    work_off(&mended(&hub)).await;
    assert_eq!(hub.count("hub.dead_letter where state = 'dead' and attempts = 1").await, before);
    assert_eq!(hub.count("identity.audit_event").await, 0);
    for bad in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        assert!(dead_letters::plan(hub.pool(), AYSE, Action::Replay, &Filter::default(), bad).await.is_err());
    }
}

#[tokio::test]
async fn a_selection_is_frozen() {
    let hub = Hub::new().await;
    hub.full("brands", [titled(0..5)]).await;
    let plan = planned(&hub, &Filter::default()).await.plan.id;
    // One is resolved before it begins, and others come.
    let one = dead_letters::list(hub.pool(), &Filter::default(), None, 1).await.expect("letters")[0].id;
    dead_letters::discard(hub.pool(), AYSE, &[one], "not this one").await.expect("a discard");
    hub.changes("brands", [titled(5..9)]).await;
    dead_letters::start(hub.pool(), AYSE, plan).await.expect("started");
    work_off(&mended(&hub)).await;
    let detail = get(&hub, plan).await;
    assert_eq!((detail.plan.state.as_str(), detail.plan.taken, detail.plan.affected), ("done", 5, 4));
    assert_eq!((detail.outcome.resolved, detail.outcome.dead), (5, 0));
    assert_eq!(hub.count("commerce.brand").await, 4);
    assert_eq!(hub.count("hub.dead_letter where state = 'dead' and attempts = 1").await, 4);
    let told = hub
        .rows(
            "select action, subject, detail->>'affected' as affected from identity.audit_event
               where subject_kind = 'replay_plan' order by id",
        )
        .await;
    assert_eq!(
        told,
        [
            json!({ "action": "replay_plan.started", "subject": plan, "affected": "0" }),
            json!({ "action": "replay_plan.finished", "subject": plan, "affected": "4" }),
        ]
    );
    // Started once.
    assert!(dead_letters::start(hub.pool(), AYSE, plan).await.is_err());
}

#[tokio::test]
async fn two_plans_over_the_same_letters_replay_each_of_them_once() {
    let hub = Hub::new().await;
    hub.full("brands", [titled(0..600)]).await;
    let (one, two) = (planned(&hub, &Filter::default()).await.plan.id, planned(&hub, &Filter::default()).await.plan.id);
    for plan in [one, two] {
        dead_letters::start(hub.pool(), AYSE, plan).await.expect("started");
    }
    let (a, b) = (mended(&hub), mended(&hub));
    tokio::join!(work_off(&a), work_off(&b));
    work_off(&a).await;
    let affected = get(&hub, one).await.plan.affected + get(&hub, two).await.plan.affected;
    assert_eq!(affected, 600);
    assert_eq!(hub.count("commerce.brand").await, 600);
    assert_eq!(hub.count("hub.message_history where kind = 'document'").await, 600);
    assert_eq!(hub.count("hub.outbox_event where aggregate = 'brand'").await, hub.count("hub.outbox_event").await);
}

#[tokio::test]
async fn a_crash_in_the_middle_repeats_nothing_and_skips_nothing() {
    let hub = Hub::new().await;
    hub.full("brands", [titled(0..700)]).await;
    let plan = planned(&hub, &Filter::default()).await.plan.id;
    dead_letters::start(hub.pool(), AYSE, plan).await.expect("started");
    assert_eq!(slice(hub.pool()).await.expect("a slice"), Slice::Taken(200));
    // It dies: what its transaction was about to do is undone, what it had claimed goes back.
    hub.database.cut_connections().await;
    let failed = slice(hub.pool()).await;
    let dead = mended(&hub);
    let _ = worker::turn(&dead).await;
    drop((failed, dead));
    hub.execute("update hub.message set lease_until = clock_timestamp() - interval '1 second' where state = 'working'")
        .await;
    kopru::hub::messages::reap_expired(hub.pool()).await.expect("reaped");
    work_off(&mended(&hub)).await;
    let detail = get(&hub, plan).await;
    assert_eq!((detail.plan.state.as_str(), detail.plan.affected), ("done", 700));
    assert_eq!((hub.count("commerce.brand").await, hub.count("hub.dead_letter").await), (700, 0));
    assert_eq!(hub.count("hub.message_history where kind = 'document'").await, 700, "each once");
}

#[tokio::test]
async fn many_letters_let_other_messages_pass() {
    let letters = if soak() { 10_000 } else { 2_000 };
    let courier = Arc::new(Courier::default());
    let handler = Arc::clone(&courier);
    let hub = Hub::with(|build| build.handlers.push(handler)).await;
    hub.full("brands", (0..letters / 1000).map(|n| titled(n * 1000..(n + 1) * 1000))).await;
    let plan = planned(&hub, &Filter::default()).await.plan.id;
    dead_letters::start(hub.pool(), AYSE, plan).await.expect("started");
    let engine = mended(&hub);
    let mut round = 0;
    loop {
        let seen = slice(hub.pool()).await.expect("a slice");
        if seen == Slice::Idle {
            break;
        }
        let queued = hub.count("hub.message where dead_letter_id is not null").await;
        assert!(queued <= 400, "{queued} letters are queued at once");
        // A note that comes now is tried in the next turn, and a page that comes now goes in.
        let note = format!("N{round}");
        post(&hub, [note.clone()]).await;
        worker::turn(&engine).await.expect("a turn");
        assert!(courier.tried().contains(&note), "{note} had to wait");
        if round % 5 == 0 {
            let run = hub.changes("warehouses", [page([json!({ "code": format!("W{round}"), "name": "w" })])]).await;
            assert_eq!((run.state.as_str(), run.created), ("done", 1));
        }
        round += 1;
    }
    work_off(&engine).await;
    assert!(round >= letters / 200, "in slices");
    assert_eq!(hub.count("commerce.brand").await, i64::from(letters));
    assert_eq!(get(&hub, plan).await.outcome.resolved, i64::from(letters));
}

#[tokio::test]
async fn the_rate_is_kept() {
    let hub = Hub::new().await;
    hub.full("brands", [titled(0..20)]).await;
    let slow = dead_letters::plan(hub.pool(), AYSE, Action::Replay, &Filter::default(), 3.0).await.expect("a plan");
    dead_letters::start(hub.pool(), AYSE, slow.plan.id).await.expect("started");
    assert_eq!(slice(hub.pool()).await.expect("a slice"), Slice::Taken(3));
    assert_eq!(slice(hub.pool()).await.expect("a slice"), Slice::NotYet);
    hub.execute("update hub.replay_plan set sliced_at = sliced_at - interval '700 milliseconds'").await;
    assert_eq!(slice(hub.pool()).await.expect("a slice"), Slice::Taken(2));
    hub.execute("update hub.replay_plan set sliced_at = sliced_at - interval '1 hour'").await;
    assert_eq!(slice(hub.pool()).await.expect("a slice"), Slice::Taken(3), "waiting saves nothing up");
}

#[tokio::test]
async fn a_cancelled_plan_takes_no_more() {
    let hub = Hub::new().await;
    hub.full("brands", [titled(0..500)]).await;
    let plan = planned(&hub, &Filter::default()).await.plan.id;
    dead_letters::start(hub.pool(), AYSE, plan).await.expect("started");
    slice(hub.pool()).await.expect("a slice");
    dead_letters::cancel(hub.pool(), AYSE, plan).await.expect("cancelled");
    work_off(&mended(&hub)).await;
    let detail = get(&hub, plan).await;
    assert_eq!((detail.plan.state.as_str(), detail.plan.taken), ("cancelled", 200));
    assert_eq!((detail.outcome.resolved, detail.outcome.dead), (200, 300));
    assert!(dead_letters::cancel(hub.pool(), AYSE, plan).await.is_err(), "it is over");
    assert!(dead_letters::cancel(hub.pool(), AYSE, Uuid::now_v7()).await.is_err(), "there is none");
    let told = hub.rows("select actor, action from identity.audit_event order by id").await;
    let entry = |action| json!({ "actor": "cli:ayse", "action": action });
    assert_eq!(told, [entry("replay_plan.started"), entry("replay_plan.cancelled")]);
}

#[tokio::test]
async fn letters_are_discarded_by_filter_with_a_reason() {
    let hub = Hub::new().await;
    hub.full("brands", [titled(0..250)]).await;
    hub.full("products", [page([json!({ "code": "P", "name": "x".repeat(201) })])]).await;
    let brands = Filter { entity: Some("brand".to_owned()), ..Filter::default() };
    let reasonless = Action::Discard { reason: "" };
    assert!(dead_letters::plan(hub.pool(), AYSE, reasonless, &brands, 1000.0).await.is_err());
    let action = Action::Discard { reason: "test cards" };
    let plan = dead_letters::plan(hub.pool(), AYSE, action, &brands, 1000.0).await.expect("a plan").plan.id;
    dead_letters::start(hub.pool(), AYSE, plan).await.expect("started");
    work_off(&hub.engine).await;
    assert_eq!(hub.count("hub.dead_letter").await, 1);
    let kept = "hub.dead_letter_history where resolution = 'discarded' and note = 'test cards'
                and resolved_by = 'cli:ayse'";
    assert_eq!(hub.count(kept).await, 250);
    assert_eq!(hub.count("identity.audit_event where action = 'dead_letter.discarded'").await, 250);
}

#[tokio::test]
async fn plans_that_nobody_wants_are_forgotten() {
    let hub = Hub::new().await;
    hub.full("brands", [titled(0..3)]).await;
    let old = planned(&hub, &Filter::default()).await.plan.id;
    hub.execute("update hub.replay_plan set created_at = created_at - interval '25 hours'").await;
    let fresh = planned(&hub, &Filter::default()).await.plan.id;
    dead_letters::forget_unused(hub.pool()).await.expect("forgotten");
    assert!(dead_letters::get(hub.pool(), old).await.expect("the store").is_none());
    assert!(dead_letters::get(hub.pool(), fresh).await.expect("the store").is_some());
    assert_eq!(hub.count("hub.replay_item").await, 3);
}
