//! Orders to LOGO, and what comes back of them, through the real program: kills while all of it flows, and files instead of calls.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use kopru::{commerce::account, principal::Scope};
use kopru_sdk::encoding;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use super::{
    installation::DOCUMENTS,
    orders_out::{Shop, by_hand, setup},
};
use crate::support::soak;

fn decimal(value: &Value) -> Decimal {
    value.to_string().trim_matches('"').parse().unwrap_or_else(|_| panic!("{value} is no figure"))
}

/// What LOGO has booked for each customer: debit less credit.
async fn booked(shop: &Shop) -> BTreeMap<String, Decimal> {
    let told = shop.hub.sandbox.state("movements", "").await;
    let mut sums: BTreeMap<String, Decimal> = BTreeMap::new();
    for movement in told["movements"].as_array().expect("a list").iter().filter(|row| row["CANCELLED"] != 1) {
        let amount = decimal(&movement["AMOUNT"]);
        let customer = movement["ARP_CODE"].as_str().expect("a customer").to_owned();
        *sums.entry(customer).or_default() += if movement["SIGN"] == 0 { amount } else { -amount };
    }
    sums
}

/// Of every customer of these orders the account is what LOGO has booked, and nothing is expected beside it.
async fn expect_money_once(shop: &Shop) {
    let sums = booked(shop).await;
    let customers: Vec<(i64, String)> = sqlx::query_as(
        "select distinct c.id, r.external_code from commerce.sales_order o join commerce.customer c on c.id = o.customer_id
         join hub.external_ref r on r.entity = 'customer' and r.internal_id = c.id",
    )
    .fetch_all(&shop.hub.database.pool)
    .await
    .expect("customers");
    assert!(!customers.is_empty());
    let mut conn = shop.hub.database.pool.acquire().await.expect("a connection");
    let today = kopru::clock::Clock::system().now().date_naive();
    for (id, code) in customers {
        let risk = account::risk(&mut conn, Scope::house(), id, today).await.expect("the store").expect("a customer");
        let expected = sums.get(&code).copied().unwrap_or_default();
        let own = risk.own;
        assert_eq!((own.booked, own.provisional, own.exposure), (expected, Decimal::ZERO, Decimal::ZERO), "{code}");
    }
}

#[tokio::test]
async fn kills_while_orders_shipments_and_invoices_flow_lose_nothing_and_count_nothing_twice() {
    let shop = Shop::open(setup().every(&DOCUMENTS, 1)).await;
    let slow = json!([{ "match": { "path": "/api/v1" }, "do": "latency", "value": 10 }]);
    shop.hub.sandbox.faults(slow).await;
    let (kills, count) = if soak() { (100, 1_000) } else { (6, 40) };
    let seed = 20_261_122;
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let placed = shop.orders(count).await;
    let numbers = async || -> Vec<String> {
        let told = shop.hub.sandbox.state("orders", "").await;
        let numbers =
            told["orders"].as_array().expect("a list").iter().map(|slip| slip["NUMBER"].as_str().map(str::to_owned));
        numbers.collect::<Option<_>>().expect("numbers")
    };
    for _ in 0..kills {
        let mut daemon = shop.hub.launch();
        // LOGO's people go on meanwhile: the first lines leave, then all, and what left is invoiced now and then.
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(random.random_range(50..400))).await;
            let there = numbers().await;
            if there.is_empty() {
                continue;
            }
            let order = there[random.random_range(0..there.len())].clone();
            let slip = &shop.hub.sandbox.state("orders", &order).await["orders"][0];
            let first = slip["TRANSACTIONS"]["items"][0]["MASTER_CODE"].as_str().expect("a code").to_owned();
            let ship = if random.random_bool(0.5) { json!({ first: 1 }) } else { json!(true) };
            let change = json!({ "order": order, "ship": ship, "invoice": random.random_bool(0.6) });
            shop.hub.sandbox.change(json!({ "orders": [change] })).await;
        }
        daemon.kill();
    }
    shop.hub.sandbox.faults(json!([])).await;
    let daemon = shop.hub.daemon().await;
    shop.until_all_sent().await;
    // All of it leaves and is invoiced.
    let rest: Vec<Value> =
        numbers().await.into_iter().map(|order| json!({ "order": order, "ship": true, "invoice": true })).collect();
    shop.hub.sandbox.change(json!({ "orders": rest })).await;
    shop.hub
        .until(
            "all is shipped and invoiced",
            "select not exists (select from commerce.sales_order where state <> 'shipped')
                and not exists (select from commerce.sales_order_line where invoiced < ordered or shipped < ordered)
                and not exists (select from commerce.ledger_entry where is_provisional and replaced_by is null)",
        )
        .await;
    daemon.stop();
    shop.hub.load(&DOCUMENTS);
    shop.expect_each_once(&placed).await;
    let expected = shop.hub.sandbox.state("invoices", "").await["count"].as_i64().expect("a count");
    assert!(expected >= i64::try_from(placed.len()).expect("a count"));
    assert_eq!(shop.hub.number("select count(*) from commerce.invoice").await, expected);
    let movements = shop.hub.sandbox.state("movements", "").await["count"].as_i64().expect("a count");
    let ours = "select count(*) from commerce.ledger_entry where not is_provisional";
    assert_eq!(shop.hub.number(ours).await, movements);
    expect_money_once(&shop).await;
    assert_eq!(shop.hub.number("select count(*) from commerce.order_difference").await, 0);
    let letters = "select (select count(*) from hub.dead_letter) + (select count(*) from hub.dead_letter_history)";
    assert_eq!(shop.hub.number(letters).await, 0);
    // What LOGO holds still is nothing, and so do we.
    assert_eq!(shop.hub.number("select count(*) from commerce.sales_order_line where cancelled > 0").await, 0);
}

/// The files that lie in a folder, by name.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).expect("the folder").map(|entry| entry.expect("an entry"));
    let files = entries.filter(|entry| entry.file_type().expect("a type").is_file());
    files
        .map(|entry| (entry.file_name().into_string().expect("a name"), fs::read(entry.path()).expect("a file")))
        .collect()
}

/// The elements of a record of an exchange file, as a body of the REST service.
fn fields(text: &str) -> Map<String, Value> {
    let mut made = Map::new();
    for part in text.split('<').skip(1) {
        let Some((name, value)) = part.split_once('>') else { continue };
        if !name.starts_with('/') && !value.trim().is_empty() {
            let plain = value.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
            let number = serde_json::from_str::<Value>(&plain).ok().filter(|_| !name.contains("CODE"));
            made.insert(name.to_owned(), number.filter(Value::is_number).unwrap_or_else(|| plain.into()));
        }
    }
    made
}

/// As LOGO's transfer tool does it: every file is taken into LOGO and gone.
async fn import(shop: &Shop, dir: &Path) -> usize {
    let all = files(dir);
    for (name, bytes) in &all {
        let text = encoding::decode(bytes, Some("ISO-8859-9")).expect("its code page").into_owned();
        assert!(text.starts_with("<?xml version=\"1.0\" encoding=\"ISO-8859-9\"?>\n<SALES_ORDERS>"), "{text}");
        let (head, lines) = text.split_once("<TRANSACTIONS>").expect("lines");
        let mut slip = fields(head.split_once("<ORDER_SLIP DBOP=\"INS\">").expect("a slip").1);
        let day: Vec<&str> = slip["DATE"].as_str().expect("a day").split('.').collect();
        let day = format!("{}-{}-{}T00:00:00", day[2], day[1], day[0]);
        slip.insert("DATE".to_owned(), day.into());
        let lines: Vec<Value> = lines.split("<TRANSACTION>").skip(1).map(|line| Value::Object(fields(line))).collect();
        slip.insert("TRANSACTIONS".to_owned(), json!({ "items": lines }));
        by_hand(&shop.hub, "salesOrders", &Value::Object(slip)).await;
        fs::remove_file(dir.join(name)).expect("taken");
    }
    all.len()
}

#[tokio::test]
async fn orders_go_as_files_once_and_what_logo_made_of_them_comes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("aktarım");
    fs::create_dir(&dir).expect("a folder");
    let shop = Shop::open(setup().logo("order_export_dir", dir.display())).await;
    let placed = shop.orders(3).await;
    // Killed at any moment of it, and started again.
    for pause in [700, 900] {
        let mut daemon = shop.hub.launch();
        tokio::time::sleep(Duration::from_millis(pause)).await;
        daemon.kill();
    }
    let daemon = shop.hub.daemon().await;
    shop.until_all_sent().await;
    let code = shop.hub.texts("select code from hub.installation").await.remove(0);
    let mut expected: Vec<String> = placed.iter().map(|order| format!("{code}-{}.xml", order.summary.id)).collect();
    expected.sort();
    assert_eq!(files(&dir).into_keys().collect::<Vec<_>>(), expected);
    assert_eq!(shop.hub.number("select count(*) from commerce.sales_order where external_number is not null").await, 0);

    assert_eq!(import(&shop, &dir).await, 3);
    daemon.stop();
    // What was taken is not written again.
    shop.hub.daemon().await.stop();
    assert_eq!(files(&dir).len(), 0);
    shop.hub.load(&["orders"]);
    let slips = shop.slips().await;
    for order in &placed {
        let slip = &slips[&format!("{code}-{}", order.summary.id)];
        assert_eq!(slip.len(), 1);
        assert_eq!(decimal(&slip[0]["TOTAL_NET"]), order.summary.total.normalize());
        let number: Option<String> =
            sqlx::query_scalar("select external_number from commerce.sales_order where id = $1")
                .bind(order.summary.id)
                .fetch_one(&shop.hub.database.pool)
                .await
                .expect("the order");
        assert_eq!(number.as_deref(), slip[0]["NUMBER"].as_str());
    }
    // From here on it is an order like any other.
    let first = slips.values().next().expect("a slip")[0]["NUMBER"].clone();
    shop.hub.sandbox.change(json!({ "orders": [{ "order": first, "ship": true, "invoice": true }] })).await;
    shop.hub.load(&DOCUMENTS);
    assert_eq!(shop.hub.number("select count(*) from commerce.sales_order where state = 'shipped'").await, 1);
    assert_eq!(shop.hub.number("select count(*) from commerce.invoice_line where order_line_id is null").await, 0);
}

#[tokio::test]
async fn goods_that_logo_reserves_are_held_by_logo_alone_from_its_next_figures_on() {
    let shop = Shop::open(setup().logo("reserve_in_logo", true)).await;
    let placed = shop.orders(2).await;
    let ordered =
        "select sum(ordered * numerator / denominator)::bigint from commerce.sales_order_line where kind = 'product'";
    let ordered = shop.hub.number(ordered).await;
    let free = "select sum(available)::bigint from commerce.stock_level";
    let before = shop.hub.number(free).await;
    let daemon = shop.hub.daemon().await;
    shop.until_all_sent().await;
    daemon.stop();
    shop.expect_each_once(&placed).await;
    for slip in shop.slips().await.into_values().flatten() {
        for line in slip["TRANSACTIONS"]["items"].as_array().expect("lines").iter().filter(|line| line["TYPE"] == 0) {
            assert_eq!(
                (&line["ORDER_RESERVE"], decimal(&line["RESERVE_AMOUNT"])),
                (&json!(1), decimal(&line["QUANTITY"]))
            );
        }
    }
    assert_eq!(shop.hub.number("select count(*) from commerce.sales_order where not reserved_there").await, 0);
    assert_eq!(
        shop.hub.number("select sum(held)::bigint from commerce.stock_level").await,
        ordered,
        "held until it is read"
    );
    shop.hub.load(&["stock"]);
    assert_eq!(shop.hub.number("select sum(held)::bigint from commerce.stock_level").await, 0);
    assert_eq!(shop.hub.number(free).await, before, "free is what was free: LOGO holds what we held");
}
