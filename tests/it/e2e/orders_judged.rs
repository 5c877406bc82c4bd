//! Orders that LOGO has otherwise than they were sent, or under a number that is not theirs any more: a person judges, and nothing is made
//! twice or cancelled in their stead.

use kopru::{
    clock::Clock,
    hub::sinks::ties::{self, Tie},
};
use serde_json::json;

use super::{
    installation::Installation,
    orders_out::{Shop, by_hand, posts, setup},
};

#[tokio::test]
async fn a_slip_that_is_not_as_it_was_sent_waits_for_a_person() {
    let shop = Shop::open(setup()).await;
    let order = shop.order(0).await;
    // Somebody has made a slip with our reference by hand.
    let code = shop.hub.texts("select code from hub.installation").await.remove(0);
    let reference = format!("{code}-{}", order.summary.id);
    let customer = shop.hub.texts("select external_code from hub.external_ref where entity = 'customer' limit 1").await;
    let item = shop.hub.texts("select external_code from hub.external_ref where entity = 'product' limit 1").await;
    let day = Clock::system().now().format("%Y-%m-%dT00:00:00").to_string();
    let other = json!({ "NUMBER": "~", "DATE": day, "ARP_CODE": customer[0], "CUST_ORD_NO": reference,
        "TRANSACTIONS": { "items": [{ "TYPE": 0, "MASTER_CODE": item[0], "QUANTITY": 1, "PRICE": 1 }] } });
    by_hand(&shop.hub, "salesOrders", &other).await;
    shop.hub.sandbox.faults(json!([posts(json!({ "nth": 1, "do": "cut_before" }))])).await;
    let daemon = shop.hub.daemon().await;
    shop.hub.until("it is parked", "select exists (select from hub.delivery where state = 'dead')").await;
    daemon.stop();
    assert_eq!(shop.slips().await[&reference].len(), 1, "nothing is sent beside it");
    let asked = shop.cancel(order.summary.id).await;
    assert!(asked.summary.cancel_requested && asked.summary.state == "confirmed", "something is there");
}

/// The letter of an order, replayed or discarded.
fn letter(hub: &Installation, deed: &[&str]) {
    let list = hub.run(&["dead-letters", "list", "--json"]).expect(0).json();
    let id = list["items"][0]["id"].as_str().expect("a letter").to_owned();
    let command: Vec<&str> = ["dead-letters", deed[0], &id].into_iter().chain(deed[1..].iter().copied()).collect();
    hub.run(&command).expect(0);
}

#[tokio::test]
async fn what_was_put_before_a_person_is_looked_for_before_it_is_sent_again() {
    let shop = Shop::open(setup()).await;
    let order = shop.order(0).await;
    // LOGO counts another total than was agreed.
    let agreed = "update commerce.sales_order set subtotal = subtotal + 5, total = total + 5";
    sqlx::query(agreed).execute(&shop.hub.database.pool).await.expect("changed");
    let daemon = shop.hub.daemon().await;
    let parked =
        "select exists (select from hub.delivery where state = 'dead' and reason = 'totals_differ' and attempts = 1)";
    shop.hub.until("it is parked", parked).await;
    for _ in 0..2 {
        sqlx::query("update hub.delivery set reason = null").execute(&shop.hub.database.pool).await.expect("forgotten");
        letter(&shop.hub, &["replay"]);
        shop.hub.until("it is parked again", parked).await;
    }
    let slips = shop.slips().await;
    assert_eq!(slips.values().map(Vec::len).collect::<Vec<_>>(), [1], "nothing was made beside it");
    // Nobody wants it any more: what is there is cancelled, linked or not.
    shop.cancel(order.summary.id).await;
    letter(&shop.hub, &["discard", "--reason", "the total is wrong"]);
    shop.hub.until("it is cancelled", "select bool_and(state = 'cancelled') from commerce.sales_order").await;
    daemon.stop();
    assert_eq!(shop.slips().await.into_values().next().expect("a slip")[0]["CANCELLED"], 1);
}

/// LOGO counts from the beginning in each period.
#[tokio::test]
async fn a_number_that_logo_gives_anew_is_the_newer_orders_and_a_cancellation_is_of_our_own_slip() {
    let shop = Shop::open(setup()).await;
    let (old, new) = (shop.order(0).await.summary.id, shop.order(1).await.summary.id);
    let db = &shop.hub.database.pool;
    let daemon = shop.hub.daemon().await;
    shop.until_all_sent().await;
    // As if the older one had been given the number of the newer one, in the year before.
    let number = "select external_id from hub.external_ref where entity = 'order' and internal_id = $1";
    let number: String = sqlx::query_scalar(number).bind(new).fetch_one(db).await.expect("linked");
    for (id, external_id) in [(new, None), (old, Some(&number))] {
        sqlx::query("update hub.external_ref set external_id = $2 where entity = 'order' and internal_id = $1")
            .bind(id)
            .bind(external_id)
            .execute(db)
            .await
            .expect("changed");
    }
    shop.cancel(old).await;
    let cancelled = "select state = 'cancelled' from commerce.sales_order order by id limit 1";
    shop.hub.until("it is cancelled", cancelled).await;
    daemon.stop();
    let code = shop.hub.texts("select code from hub.installation").await.remove(0);
    let slips = shop.slips().await;
    let is_cancelled = |id: i64| slips[&format!("{code}-{id}")][0]["CANCELLED"] == 1;
    assert!(is_cancelled(old) && !is_cancelled(new), "{slips:?}");

    let mut conn = db.acquire().await.expect("a connection");
    let tie = Tie { entity: "order", internal_id: new, code: format!("{code}-{new}"), external_id: number.clone() };
    assert!(ties::tie(&mut conn, "logo", &tie).await.expect("tied"), "the newer one has it");
    let left = shop.hub.texts("select internal_id || ' ' || coalesce(external_id, '-') from hub.external_ref where entity = 'order' order by 1").await;
    assert_eq!(left, [format!("{old} -"), format!("{new} {number}")]);

    // One whose number another order has by now, and which the books of this period do not show.
    sqlx::query("update hub.external_ref set external_id = null, external_code = external_code || '0' where internal_id = $1 and entity = 'order'")
        .bind(new)
        .execute(db)
        .await
        .expect("changed");
    shop.cancel(new).await;
    let daemon = shop.hub.daemon().await;
    shop.hub
        .until("a person is asked", "select exists (select from hub.dead_letter where reason = 'another_slip')")
        .await;
    daemon.stop();
    let states = shop.hub.texts("select state from commerce.sales_order order by id").await;
    assert_eq!(states, ["cancelled", "confirmed"]);
}

#[tokio::test]
async fn an_order_of_a_period_that_is_over_is_a_letter_and_stops_no_other() {
    let shop = Shop::open(setup()).await;
    let late = shop.order(0).await.summary.id;
    shop.order(1).await;
    sqlx::query("update commerce.sales_order set confirmed_at = confirmed_at - interval '3 years' where id = $1")
        .bind(late)
        .execute(&shop.hub.database.pool)
        .await
        .expect("changed");
    let daemon = shop.hub.daemon().await;
    let parked = "select exists (select from hub.delivery where state = 'dead' and reason = 'outside_the_period')";
    shop.hub.until("it is a letter", parked).await;
    let sent = "select sent_at is not null from commerce.sales_order order by id desc limit 1";
    shop.hub.until("the other one is sent", sent).await;
    let list = shop.hub.run(&["dead-letters", "list", "--json"]).expect(0).json();
    let id = list["items"][0]["id"].as_str().expect("a letter").to_owned();
    let today = Clock::system().now().format("%Y-%m-%dT00:00:00").to_string();
    shop.hub.kopru.write("edit.json", &json!({ "document": { "DATE": today } }).to_string());
    shop.hub.run(&["dead-letters", "replay", &id, "--edit", "edit.json"]).expect(0);
    shop.until_all_sent().await;
    daemon.stop();
    assert_eq!(shop.slips().await.len(), 2);
}
