//! Orders of ours as the ERP has them.

use serde_json::{Value, json};

use super::{Shop, order};
use crate::support::event_schemas::events_are_as_described;

#[tokio::test]
async fn an_order_moves_on_by_what_the_erp_says() {
    let shop = Shop::open().await;
    let mut foreign = order(3, 3, 0);
    foreign["CUST_ORD_NO"] = json!("SOMEBODY-ELSE");
    // LOGO's number of an order of ours last year, and of nobody's this year.
    foreign["INTERNAL_REFERENCE"] = json!(735);
    let run = shop.reads("orders", [order(10, 4, 0), foreign]).await;
    assert_eq!((run.updated, run.stale, run.skipped), (1, 1, 0), "{run:?}");
    let row = shop.order_row().await;
    assert_eq!((&row["state"], &row["number"]), (&json!("processing"), &json!("0000000000000318")));
    assert_eq!((&row["shipped"], &row["cancelled"]), (&json!(4), &json!(0)));
    assert_eq!(shop.events().await, ["order.updated"]);
    assert_eq!(shop.hub.count("commerce.sales_order").await, 1);
    assert_eq!(shop.hub.count("hub.dead_letter").await + shop.hub.count("hub.message").await, 0);

    // Read again nothing is written.
    let before = shop.hub.footprint().await;
    let run = shop.reads("orders", [order(10, 4, 0)]).await;
    assert_eq!(run.unchanged, 1);
    assert_eq!(shop.hub.footprint().await, before);

    shop.reads("orders", [order(10, 10, 1)]).await;
    assert_eq!(shop.order_row().await["state"], "shipped");
    assert_eq!(shop.events().await, ["order.updated", "order.shipped"]);
    let origins = shop.hub.rows("select distinct origin from hub.outbox_event").await;
    assert_eq!(origins, [json!({ "origin": crate::support::hub::ERP })], "what came from it does not go back to it");
    assert_eq!(shop.differences().await, [] as [Value; 0]);
    events_are_as_described(shop.hub.pool()).await;
}

#[tokio::test]
async fn a_changed_quantity_is_a_revision_of_the_order() {
    let shop = Shop::open().await;
    shop.reserve(10).await;
    shop.reads("orders", [order(6, 0, 0)]).await;
    let row = shop.order_row().await;
    assert_eq!((&row["state"], &row["ordered"], &row["cancelled"]), (&json!("confirmed"), &json!(10), &json!(4)));
    assert_eq!(row["reserved"], 6, "what nobody wants any more is free");
    let held = shop.hub.row("select held::float8, available::float8 from commerce.stock_level").await;
    assert_eq!(held, json!({ "held": 6, "available": 19 }));

    shop.reads("orders", [order(12, 0, 1)]).await;
    let row = shop.order_row().await;
    assert_eq!((&row["ordered"], &row["cancelled"], &row["total"]), (&json!(12), &json!(0), &json!(144)));
    assert_eq!(shop.events().await, ["order.updated", "order.updated"]);
    assert_eq!(shop.differences().await, [] as [Value; 0]);
}

#[tokio::test]
async fn what_is_cancelled_over_there_is_cancelled() {
    let shop = Shop::open().await;
    shop.reserve(10).await;
    let mut cancelled = order(10, 0, 0);
    cancelled["CANCELLED"] = json!(1);
    shop.reads("orders", [cancelled.clone()]).await;
    let row = shop.order_row().await;
    assert_eq!((&row["state"], &row["cancelled"], &row["reserved"]), (&json!("cancelled"), &json!(10), &json!(0)));
    assert_eq!(shop.events().await, ["order.cancelled"]);
    assert_eq!(shop.hub.row("select held::float8 from commerce.stock_level").await, json!({ "held": 0 }));

    // What stands there again is not ours to bring back: somebody has to look.
    shop.reads("orders", [order(10, 0, 1)]).await;
    assert_eq!(shop.order_row().await["state"], "cancelled");
    assert_eq!(shop.differences().await, [json!({ "field": "state", "ours": "cancelled", "theirs": "open" })]);
}

#[tokio::test]
async fn totals_that_differ_to_the_kurus_are_flagged_and_stay_ours() {
    let shop = Shop::open().await;
    let mut dearer = order(10, 0, 0);
    dearer["TOTAL_NET"] = json!("120.01");
    shop.reads("orders", [dearer]).await;
    assert_eq!(shop.differences().await, [json!({ "field": "total", "ours": "120", "theirs": "120.01" })]);
    assert_eq!(shop.order_row().await["total"], 120);
    shop.reads("orders", [order(10, 0, 1)]).await;
    assert_eq!(shop.differences().await, [] as [Value; 0], "they agree again");
}

#[tokio::test]
async fn prices_of_the_erp_stand_on_the_order_and_what_was_agreed_is_not_forgotten() {
    let shop = Shop::open().await;
    // Somebody over there sells the ten at 9 instead of 10, and adds a cable to the slip.
    let cheaper = |minute: u32| {
        let mut slip = order(10, 0, minute);
        slip["TOTAL_NET"] = json!("114");
        let lines = slip["TRANSACTIONS"]["items"].as_array_mut().expect("lines");
        lines[0].as_object_mut().expect("a line").extend(
            json!({ "PRICE": 9, "TOTAL": 90, "VAT_BASE": 90, "VAT_AMOUNT": 18 }).as_object().expect("figures").clone(),
        );
        lines.push(
            json!({ "INTERNAL_REFERENCE": 2112, "TYPE": 0, "MASTER_CODE": "KABLO", "QUANTITY": 1, "QUANTITY_SHIPPED": 0,
            "UNIT_CODE": "MT", "ORDER_CLOSED": 0, "PRICE": 5, "TOTAL": 5, "VAT_BASE": 5, "VAT_AMOUNT": 1 }),
        );
        slip
    };
    let told = [
        json!({ "field": "added[KABLO #2112]", "ours": "-", "theirs": "1 MT" }),
        json!({ "field": "lines[1].total", "ours": "120", "theirs": "108" }),
        json!({ "field": "total", "ours": "120", "theirs": "114" }),
    ];
    shop.reads("orders", [cheaper(0)]).await;
    assert_eq!(shop.order_row().await["total"], 108, "LOGO's figures of our lines");
    assert_eq!(shop.differences().await, told);
    let line =
        "select unit_price::float8 as price, vat_base::float8 as base, vat::float8, agreed_base::float8 as agreed
                from commerce.sales_order_line";
    assert_eq!(shop.hub.row(line).await, json!({ "price": 9, "base": 90, "vat": 18, "agreed": 100 }));
    assert_eq!(shop.events().await, ["order.updated"]);

    // Read once more with another stamp, nothing is another revision, and the differences stand.
    shop.reads("orders", [cheaper(1)]).await;
    assert_eq!((shop.events().await.len(), shop.differences().await), (1, told.to_vec()));

    // Mended over there, both agree.
    let mut mended = order(10, 0, 2);
    mended["TRANSACTIONS"]["items"][0]["PRICE"] = json!(10);
    mended["TRANSACTIONS"]["items"][0]["TOTAL"] = json!(100);
    shop.reads("orders", [mended]).await;
    assert_eq!((&shop.order_row().await["total"], shop.differences().await), (&json!(120), Vec::new()));
}

#[tokio::test]
async fn an_order_in_another_currency_is_compared_in_that_one() {
    let shop = Shop::open().await;
    shop.hub.execute(&format!("update commerce.sales_order set currency = 'USD' where id = {}", shop.order)).await;
    // The books are kept in lira: 41.2575 of them are a dollar.
    let slip = |minute: u32, currency: u32, rate: &str, base: &str, vat: &str, total: &str| {
        let mut slip = order(10, 0, minute);
        (slip["CURR_TRANSACTIN"], slip["TC_RATE"], slip["TOTAL_NET"]) = (json!(currency), json!(rate), json!(total));
        let line = &mut slip["TRANSACTIONS"]["items"][0];
        (line["VAT_BASE"], line["VAT_AMOUNT"]) = (json!(base), json!(vat));
        slip
    };
    shop.reads("orders", [slip(0, 1, "41.2575", "4125.75", "825.15", "4950.90")]).await;
    assert_eq!((&shop.order_row().await["total"], shop.differences().await), (&json!(120), Vec::new()));
    // Sold for 9 dollars apiece over there.
    shop.reads("orders", [slip(1, 1, "41.2575", "3713.18", "742.64", "4455.82")]).await;
    assert_eq!(shop.order_row().await["total"], 108);
    assert_eq!(
        shop.differences().await,
        [
            json!({ "field": "lines[1].total", "ours": "120", "theirs": "108" }),
            json!({ "field": "total", "ours": "120", "theirs": "108" })
        ]
    );
    // Put into lira by somebody: no figure says anything.
    shop.reads("orders", [slip(2, 0, "1", "100", "20", "120")]).await;
    assert_eq!(shop.differences().await, [json!({ "field": "currency", "ours": "USD", "theirs": "TRY" })]);
    assert_eq!(shop.order_row().await["total"], 108);
}
