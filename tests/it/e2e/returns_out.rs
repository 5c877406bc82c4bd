//! Approved returns to LOGO through the real program: each is a return slip there once, at what the goods had cost.

use std::collections::BTreeMap;

use kopru::{
    clock::Clock,
    commerce::{
        orders::Order,
        returns::{self, Decision, NewReturn, NewReturnLine, ReturnReason},
    },
    outbox::Provenance,
    principal::Scope,
};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::orders_out::{Shop, setup};

fn house() -> Provenance<'static> {
    Provenance { origin: "user:7", bulk: false, correlation_id: "test", place: None, now: Clock::system().now() }
}

/// One of each line comes back; what was delivered is said to be.
async fn asked(shop: &Shop, order: &Order) -> i64 {
    let pool = &shop.hub.database.pool;
    let delivered =
        "update commerce.sales_order_line set shipped = ordered, delivered = ordered where order_id = $1 returning id";
    let lines: Vec<i64> =
        sqlx::query_scalar(delivered).bind(order.summary.id).fetch_all(pool).await.expect("delivered");
    let line = |id: i64| NewReturnLine { order_line: id, quantity: Decimal::ONE, reason: None, note: None };
    let new = NewReturn {
        order: order.summary.id,
        reason: ReturnReason::Defective,
        note: Some("Mercek buğulu".to_owned()),
        lines: lines.into_iter().map(line).collect(),
    };
    let mut tx = pool.begin().await.expect("begin");
    let id = returns::request(&mut tx, &house(), Scope::house(), &new).await.expect("asked");
    tx.commit().await.expect("commit");
    id
}

async fn decide(shop: &Shop, id: i64, decision: Decision) {
    let mut tx = shop.hub.database.pool.begin().await.expect("begin");
    returns::decide(&mut tx, &house(), id, &decision).await.expect("decided");
    tx.commit().await.expect("commit");
}

async fn approve(shop: &Shop, id: i64) {
    decide(shop, id, Decision::Approve { note: None }).await;
}

async fn reject(shop: &Shop, id: i64) {
    decide(shop, id, Decision::Reject { reason: "Gelmedi".to_owned() }).await;
}

/// So many orders that are in LOGO, and an approved return of each.
async fn approved(shop: &Shop, count: usize) -> Vec<i64> {
    let placed = shop.orders(count).await;
    let daemon = shop.hub.daemon().await;
    shop.until_all_sent().await;
    daemon.stop();
    let mut ids = Vec::new();
    for order in &placed {
        let id = asked(shop, order).await;
        approve(shop, id).await;
        ids.push(id);
    }
    ids
}

async fn until_sent(shop: &Shop) {
    shop.hub
        .until(
            "every slip is there",
            "select not exists (select from commerce.return_request where state in ('approved', 'received') and sent_at is null)
                and not exists (select from hub.delivery where target = 'logo')
                and not exists (select from hub.outbox_unrouted)",
        )
        .await;
}

/// What LOGO has, by our reference.
async fn slips(shop: &Shop) -> BTreeMap<String, Vec<Value>> {
    let told = shop.hub.sandbox.state("returns", "").await;
    let mut slips: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for slip in told["returns"].as_array().expect("a list") {
        let reference = slip["DOC_NUMBER"].as_str().expect("our reference").to_owned();
        slips.entry(reference).or_default().push(slip.clone());
    }
    slips
}

/// Each of these returns is in LOGO once and linked, and nothing else is. Gives the slips.
async fn expect_each_once(shop: &Shop, ids: &[i64]) -> Vec<Value> {
    let code = shop.hub.texts("select code from hub.installation").await.remove(0);
    let mut slips = slips(shop).await;
    assert_eq!(slips.len(), ids.len(), "{:?}", slips.keys());
    let mut found = Vec::new();
    for id in ids {
        let reference = format!("{code}-R{id}");
        let there = slips.remove(&reference).unwrap_or_else(|| panic!("{reference} is not there"));
        assert_eq!(there.len(), 1, "{reference} is there {} times", there.len());
        let mut tx = shop.hub.database.pool.begin().await.expect("begin");
        let shown = returns::find(&mut tx, Scope::house(), *id).await.expect("the store").expect("the return");
        assert_eq!(shown.head.logo_number.as_deref(), there[0]["NUMBER"].as_str());
        assert!(shown.head.sent_at.is_some());
        let linked: String = sqlx::query_scalar(
            "select external_id from hub.external_ref
             where connector = 'logo' and entity = 'return' and internal_id = $1 and external_code = $2",
        )
        .bind(id)
        .bind(&reference)
        .fetch_one(&mut *tx)
        .await
        .expect("linked");
        assert_eq!(linked, there[0]["INTERNAL_REFERENCE"].to_string());
        found.push(there[0].clone());
    }
    shop.hub.audit().await;
    found
}

fn posts(nth: u32, what: &str, value: Value) -> Value {
    let mut rule = json!({ "match": { "method": "POST", "path": "/api/v1/salesDispatches", "nth": nth }, "do": what });
    if !value.is_null() {
        rule["value"] = value;
    }
    rule
}

#[tokio::test]
async fn an_approved_return_is_a_slip_in_logo_and_its_goods_are_counted_once() {
    let shop = Shop::open(setup()).await;
    let ids = approved(&shop, 1).await;
    let daemon = shop.hub.daemon().await;
    until_sent(&shop).await;
    daemon.stop();
    let slip = expect_each_once(&shop, &ids).await.remove(0);
    assert_eq!((&slip["TYPE"], &slip["IOCODE"], &slip["GRPCODE"]), (&json!(3), &json!(1), &json!(2)));
    let goods: Vec<&Value> =
        slip["TRANSACTIONS"]["items"].as_array().expect("lines").iter().filter(|line| line["TYPE"] == 0).collect();
    assert_eq!(goods.len(), 2);
    // It goes back at what it cost.
    let cost =
        "select unit_price::text from commerce.sales_order_line l join commerce.return_line r on r.order_line_id = l.id
                where not l.vat_included order by r.position";
    for (line, price) in goods.iter().zip(shop.hub.texts(cost).await) {
        let theirs: Decimal = line["PRICE"].to_string().parse().expect("a price");
        assert_eq!(theirs, price.parse::<Decimal>().expect("a price").normalize());
    }
    let told = shop.hub.texts("select distinct type from hub.delivery_history where target = 'logo' order by 1").await;
    assert_eq!(told, ["order.confirmed", "return.approved"]);

    // LOGO's figures have the goods already: receiving adds nothing to ours.
    let movements = "select count(*) from commerce.stock_movement where reason = 'return'";
    let mut tx = shop.hub.database.pool.begin().await.expect("begin");
    let warehouse: String =
        sqlx::query_scalar("select code from commerce.warehouse where is_active order by code limit 1")
            .fetch_one(&mut *tx)
            .await
            .expect("a warehouse");
    returns::receive(&mut tx, &house(), ids[0], &warehouse, None).await.expect("received");
    tx.commit().await.expect("commit");
    assert_eq!(shop.hub.number(movements).await, 0);
    let before = shop.hub.number("select sum(quantity)::bigint from commerce.stock_level").await;
    shop.hub.load(&["stock"]);
    // Two pieces came in; what of it is in the main unit is LOGO's to say.
    assert!(shop.hub.number("select sum(quantity)::bigint from commerce.stock_level").await > before - 10);
}

#[tokio::test]
async fn broken_connections_make_no_slip_twice_and_lose_none() {
    let shop = Shop::open(setup()).await;
    let faults = json!([
        posts(1, "cut_before", Value::Null),
        posts(3, "cut_after", Value::Null),
        posts(5, "truncate", Value::Null),
        posts(7, "late_commit", json!(1_000)),
        posts(9, "html", Value::Null),
        { "match": { "method": "GET", "path": "/api/v1/salesDispatches/*", "nth": 3 }, "do": "cut_after" },
    ]);
    let ids = approved(&shop, 8).await;
    shop.hub.sandbox.faults(faults).await;
    let daemon = shop.hub.daemon().await;
    until_sent(&shop).await;
    daemon.stop();
    assert!(shop.hub.sandbox.fired().await.iter().all(|fired| *fired == 1), "{:?}", shop.hub.sandbox.fired().await);
    expect_each_once(&shop, &ids).await;
    assert_eq!(shop.hub.number("select count(*) from hub.dead_letter").await, 0);
    assert!(shop.hub.number("select count(*) from hub.attempt where reason = 'unknown_outcome'").await >= 4);
}

#[tokio::test]
async fn a_refused_slip_is_a_letter_and_goes_out_when_it_is_mended() {
    let shop = Shop::open(setup()).await;
    let ids = approved(&shop, 2).await;
    let body =
        json!({ "Message": "The request is invalid.", "ModelState": { "ValError0": ["SOURCE_WH bulunamadı. [6]"] } });
    shop.hub.sandbox.faults(json!([posts(1, "status", json!({ "code": 400, "body": body }))])).await;
    let daemon = shop.hub.daemon().await;
    shop.hub
        .until(
            "one is there, and one is a letter",
            "select (select count(*) from commerce.return_request where sent_at is not null) = 1
                and (select count(*) from hub.delivery where state = 'dead') = 1",
        )
        .await;
    let letters = shop.hub.texts("select reason || ' ' || field from hub.dead_letter").await;
    assert_eq!(letters, ["unknown_code SOURCE_WH"]);
    let handed = "select count(*) from commerce.return_request where handed_at is not null and sent_at is null";
    assert_eq!(shop.hub.number(handed).await, 0, "what was refused is not on its way");
    let letter = shop.hub.texts("select id::text from hub.dead_letter").await.remove(0);
    shop.hub.kopru.write("edit.json", r#"{"document": {"SOURCE_WH": 1}}"#);
    shop.hub.run(&["dead-letters", "replay", &letter, "--edit", "edit.json"]).expect(0);
    until_sent(&shop).await;
    daemon.stop();
    let slips = expect_each_once(&shop, &ids).await;
    assert!(slips.iter().any(|slip| slip["SOURCE_WH"] == 1), "{slips:?}");
}

#[tokio::test]
async fn a_rejected_return_is_not_sent_and_one_that_was_is_cancelled_there() {
    let shop = Shop::open(setup()).await;
    let ids = approved(&shop, 2).await;
    // The first is rejected before anybody has told LOGO.
    reject(&shop, ids[0]).await;
    let daemon = shop.hub.daemon().await;
    until_sent(&shop).await;
    expect_each_once(&shop, &ids[1..]).await;
    reject(&shop, ids[1]).await;
    shop.hub
        .until(
            "its slip is cancelled",
            "select exists (select from commerce.return_request where withdrawn_at is not null)
                and not exists (select from hub.delivery where target = 'logo')",
        )
        .await;
    daemon.stop();
    let slips = expect_each_once(&shop, &ids[1..]).await;
    assert_eq!(slips[0]["CANCELLED"], 1);
    let history =
        shop.hub.texts("select state || ' ' || actor from commerce.return_history order by return_id, revision");
    let tail: Vec<String> = history.await.into_iter().rev().take(2).collect();
    assert_eq!(tail, ["rejected logo", "rejected user:7"]);
}

#[tokio::test]
async fn a_slip_that_was_made_and_differs_is_put_before_a_person() {
    let shop = Shop::open(setup()).await;
    let ids = approved(&shop, 1).await;
    shop.hub.sandbox.faults(json!([posts(1, "cut_before", Value::Null)])).await;
    let daemon = shop.hub.daemon().await;
    shop.hub
        .until(
            "nobody knows",
            "select exists (select from hub.delivery where unknown_since is not null and state = 'waiting')",
        )
        .await;
    // Somebody at LOGO made a slip under our reference in the meantime, over other goods.
    let code = shop.hub.texts("select code from hub.installation").await.remove(0);
    let other: String =
        shop.hub.texts("select code from commerce.product where is_active order by id desc limit 1").await.remove(0);
    let arp = shop
        .hub
        .texts("select external_code from hub.external_ref where entity = 'customer' order by internal_id limit 1")
        .await
        .remove(0);
    let today = "select to_char(clock_timestamp() at time zone 'Europe/Istanbul', 'YYYY-MM-DD')";
    let today = shop.hub.texts(today).await.remove(0);
    let slip = json!({ "TYPE": 3, "NUMBER": "~", "DATE": format!("{today}T00:00:00"), "ARP_CODE": arp,
        "DOC_NUMBER": format!("{code}-R{}", ids[0]),
        "TRANSACTIONS": { "items": [{ "TYPE": 0, "MASTER_CODE": other, "QUANTITY": 9, "PRICE": 1 }] } });
    super::orders_out::by_hand(&shop.hub, "salesDispatches", &slip).await;
    shop.hub.until("a person is asked", "select exists (select from hub.dead_letter)").await;
    daemon.stop();
    let reason = shop.hub.texts("select reason from hub.dead_letter").await.remove(0);
    assert!(["customer_differs", "lines_differ"].contains(&reason.as_str()), "{reason}");
    assert_eq!(slips(&shop).await.values().map(Vec::len).sum::<usize>(), 1, "nothing was sent beside it");
}
