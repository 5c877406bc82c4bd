//! A reservation ends when the source's own figures contain the order: never counted twice for longer than it takes to read
//! them, and never sold twice.

use std::sync::atomic::Ordering;

use kopru_sdk::Pass;
use serde_json::{Value, json};

use super::{Shop, order};
use crate::support::{hub::eventually, system::page};

/// A level as LOGO shows it.
fn level(on_hand: i64, available: i64) -> Value {
    json!({ "CODE": "P", "STOCKREF": 1041, "INVENNO": 0, "ONHAND": on_hand, "RESERVED": 0,
        "ACTSORDER": on_hand - available, "AVAILABLE": available })
}

async fn shown(shop: &Shop) -> (f64, f64) {
    let row = shop.hub.row("select held::float8, available::float8 from commerce.stock_level").await;
    (row["held"].as_f64().unwrap_or(-1.0), row["available"].as_f64().unwrap_or(-1.0))
}

#[tokio::test]
async fn it_ends_with_a_reading_that_began_after_the_source_had_the_order() {
    let shop = Shop::open().await;
    shop.hub.system.takes_off_at_once.store(true, Ordering::SeqCst);
    shop.reads_all("levels", [level(25, 25)]).await;
    shop.reserve(10).await;
    assert_eq!(shown(&shop).await, (10.0, 15.0));

    // A reading begins; only then the source takes the order. Whether its page has it nobody knows.
    let gate = shop.hub.system.gate("levels", 0);
    shop.hub.system.changes("levels", [page([level(25, 25)])]);
    let reading = shop.hub.run("levels", Pass::Incremental);
    let fact = async {
        let pulls = || shop.hub.system.pulls().iter().filter(|pull| pull.stream == "levels").count();
        eventually("the page is asked for", || async { pulls() > 1 }).await;
        shop.sent().await;
        gate.add_permits(100);
    };
    let (run, ()) = tokio::join!(reading, fact);
    assert_eq!(run.state, "done");
    assert_eq!(shown(&shop).await, (10.0, 15.0), "ended now, ten pieces were sold twice");

    // The next one has it: in one step the figure falls and the reservation ends.
    shop.hub.system.open_gates();
    shop.reads("levels", [level(25, 15)]).await;
    assert_eq!(shown(&shop).await, (0.0, 15.0));
    let ended = "select end_cause, open::float8 from commerce.stock_reservation";
    assert_eq!(shop.hub.row(ended).await, json!({ "end_cause": "linked", "open": 0 }));
    assert_eq!(shop.order_row().await["reserved"], 0);
}

#[tokio::test]
async fn it_ends_when_the_level_is_as_it_was_and_when_it_is_not_read_at_all() {
    for is_read in [true, false] {
        let shop = Shop::open().await;
        shop.hub.system.takes_off_at_once.store(true, Ordering::SeqCst);
        shop.reserve(10).await;
        // The source had the order before we knew that it had.
        shop.reads_all("levels", [level(25, 15)]).await;
        assert_eq!(shown(&shop).await, (10.0, 5.0));
        shop.sent().await;
        let records: Vec<Value> = is_read.then(|| level(25, 15)).into_iter().collect();
        let run = shop.reads("levels", records).await;
        assert_eq!((run.updated, run.created), (0, 0));
        assert_eq!(shown(&shop).await, (0.0, 15.0), "read: {is_read}");
    }
}

#[tokio::test]
async fn without_orders_in_the_figures_it_ends_line_by_line_as_goods_leave() {
    let shop = Shop::open().await;
    shop.reserve(10).await;
    shop.sent().await;
    shop.reads_all("levels", [level(25, 25)]).await;
    assert_eq!(shown(&shop).await, (10.0, 15.0), "the figures do not know of the order");

    shop.reads("orders", [order(10, 4, 0)]).await;
    assert_eq!(shown(&shop).await, (10.0, 15.0), "nor do they know yet that goods left");
    shop.reads("levels", [level(21, 21)]).await;
    assert_eq!(shown(&shop).await, (6.0, 15.0));
    shop.reads("orders", [order(10, 10, 1)]).await;
    shop.reads("levels", [level(15, 15)]).await;
    assert_eq!(shown(&shop).await, (0.0, 15.0));
    let ended = "select end_cause from commerce.stock_reservation";
    assert_eq!(shop.hub.row(ended).await, json!({ "end_cause": "shipped" }));
}

const PUSHED: &[&str] = &["orders", "invoices", "ledger"];

#[tokio::test]
async fn a_level_that_is_pushed_ends_it_when_it_was_read_after_the_source_had_the_order() {
    let shop = Shop::reading(PUSHED).await;
    shop.link("order", shop.order, super::ORDER).await;
    shop.hub.system.takes_off_at_once.store(true, Ordering::SeqCst);
    shop.reserve(10).await;
    let before = shop.begins().await;
    shop.sent().await;
    // It may have been read before.
    assert!(shop.pushes(Some(before), &[("P", 25)]).await);
    assert_eq!(shown(&shop).await, (10.0, 15.0), "ended now, ten pieces were sold twice");
    assert!(shop.pushes(None, &[("P", 25)]).await);
    assert_eq!(shown(&shop).await, (10.0, 15.0), "nobody says when that was read");

    let after = shop.begins().await;
    assert!(!shop.pushes(Some(before), &[("P", 25)]).await, "an earlier reading counts no more");
    assert!(shop.pushes(Some(after), &[("P", 15)]).await);
    assert_eq!(shown(&shop).await, (0.0, 15.0));
    let ended = "select end_cause, open::float8 from commerce.stock_reservation";
    assert_eq!(shop.hub.row(ended).await, json!({ "end_cause": "linked", "open": 0 }));
}

#[tokio::test]
async fn a_level_that_is_pushed_ends_what_was_shipped_and_also_when_it_is_as_it_was() {
    let shop = Shop::reading(PUSHED).await;
    shop.link("order", shop.order, super::ORDER).await;
    shop.reserve(10).await;
    shop.sent().await;
    shop.reads("orders", [order(10, 4, 0)]).await;
    assert!(shop.pushes(None, &[("P", 21)]).await);
    assert_eq!(shown(&shop).await, (10.0, 11.0));
    let reading = shop.begins().await;
    assert!(shop.pushes(Some(reading), &[("P", 21)]).await);
    assert_eq!(shown(&shop).await, (6.0, 15.0), "found unchanged, and read after the goods had left");
}

#[tokio::test]
async fn goods_that_the_source_reserves_itself_end_with_its_figures_and_others_when_they_leave() {
    let shop = Shop::open().await;
    shop.hub.system.takes_off_reserved.store(true, Ordering::SeqCst);
    shop.reserve(10).await;
    shop.sent().await;
    shop.reads_all("levels", [level(25, 25)]).await;
    assert_eq!(shown(&shop).await, (10.0, 15.0), "the source has the order and holds nothing for it");
    shop.hub.execute("update commerce.sales_order set reserved_there = true").await;
    shop.reads("levels", [level(25, 15)]).await;
    assert_eq!(shown(&shop).await, (0.0, 15.0));
}

#[tokio::test]
async fn an_order_that_the_system_does_not_have_keeps_its_goods() {
    let shop = Shop::without_link().await;
    shop.hub.system.takes_off_at_once.store(true, Ordering::SeqCst);
    shop.reserve(10).await;
    shop.sent().await;
    shop.reads_all("levels", [level(25, 25)]).await;
    assert_eq!(shown(&shop).await, (10.0, 15.0), "another system has it");
}

#[tokio::test]
async fn what_is_cancelled_between_is_free_once() {
    let shop = Shop::open().await;
    shop.hub.system.takes_off_at_once.store(true, Ordering::SeqCst);
    shop.reserve(10).await;
    shop.sent().await;
    let mut cancelled = order(10, 0, 0);
    cancelled["CANCELLED"] = json!(1);
    shop.reads("orders", [cancelled]).await;
    assert_eq!(shown(&shop).await, (0.0, 25.0));
    shop.reads("levels", [level(25, 25)]).await;
    assert_eq!(shown(&shop).await, (0.0, 25.0));
}
