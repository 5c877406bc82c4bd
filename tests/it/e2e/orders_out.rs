//! Orders to LOGO through the real program: each exists there once, whatever happens on the way.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use kopru::{
    clock::Clock,
    commerce::{
        WriteContext,
        customers::{self, NewCompany},
        orders::{self, Order, OrderContext, OrderRules},
    },
    outbox::Provenance,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::{
    installation::{Installation, STREAMS, Setup},
    process::PATIENCE,
};
use crate::{
    orders::{manager, of, owner, place_in},
    support::soak,
};

/// The streams of what an order names.
const NAMED: [&str; 6] = ["group_codes", "brands", "unit_sets", "customers", "items", "prices"];

/// A hub that has what LOGO has, with so much of everything that nothing is ever sold out.
pub(super) struct Shop {
    pub(super) hub: Installation,
    customers: Vec<i64>,
    products: Vec<i64>,
}

pub(super) fn setup() -> Setup {
    Setup::items(60)
        .switch("write_millis", 0)
        .every(&STREAMS, 3_600)
        .logo("settle", 2)
        .set("retry.probe_secs", 1)
        .set("retry.lease_secs", 2)
        .set("retry.heartbeat_secs", 1)
}

impl Shop {
    pub(super) async fn open(setup: Setup) -> Shop {
        let shop = Shop::never_served(setup).await;
        // LOGO is to be told what happens from here on.
        shop.hub.daemon().await.stop();
        shop
    }

    /// No daemon has run yet.
    pub(super) async fn never_served(setup: Setup) -> Shop {
        let hub = setup.start().await;
        hub.load(&NAMED);
        let pool = &hub.database.pool;
        let customers = sqlx::query_scalar(
            "select id from commerce.customer where is_active and is_approved and currency = 'TRY' order by id limit 20",
        );
        let customers: Vec<i64> = customers.fetch_all(pool).await.expect("customers");
        let products = sqlx::query_scalar(
            "select p.id from commerce.product p
             where p.is_active and exists (select from commerce.price r where r.product_id = p.id and r.role = 'list' and r.is_active
                             and r.currency = 'TRY' and r.amount > 0)
             order by p.id limit 20",
        );
        let products: Vec<i64> = products.fetch_all(pool).await.expect("products");
        assert!(customers.len() > 3 && products.len() > 3, "{customers:?} {products:?}");
        let codes: Vec<String> = sqlx::query_scalar("select code from commerce.product where id = any($1)")
            .bind(&products)
            .fetch_all(pool)
            .await
            .expect("codes");
        let stock: Vec<Value> =
            codes.iter().map(|code| json!({ "code": code, "warehouse": 0, "onHand": 1_000_000 })).collect();
        hub.sandbox.change(json!({ "stock": stock })).await;
        hub.load(&["stock"]);
        Shop { hub, customers, products }
    }

    /// The nth order: two lines of the nth customer.
    pub(super) async fn order(&self, n: usize) -> Order {
        let customer = self.customers[n % self.customers.len()];
        let product = |at: usize| self.products[at % self.products.len()];
        let lines = [(product(n), "2"), (product(n + 1), "3")];
        let (who, wanted) = (owner(customer), of(&lines));
        let rules = OrderRules { approve_first_orders: 0, ..OrderRules::default() };
        let placed = place_in(&self.hub.database.pool, rules, Clock::system().now(), &who, &wanted);
        let order = placed.await.expect("an order");
        assert_eq!(order.summary.state, "confirmed");
        order
    }

    pub(super) async fn orders(&self, count: usize) -> Vec<Order> {
        let mut placed = Vec::new();
        for n in 0..count {
            placed.push(self.order(n).await);
        }
        placed
    }

    pub(super) async fn cancel(&self, order: i64) -> Order {
        let who = manager();
        let actor = who.actor();
        let by =
            Provenance { origin: &actor, bulk: false, correlation_id: "test", place: None, now: Clock::system().now() };
        let rules = OrderRules::default();
        let cx = OrderContext { principal: &who, by, rules: &rules };
        let mut tx = self.hub.database.pool.begin().await.expect("begin");
        let order = orders::cancel(&mut tx, &cx, order, None).await.expect("cancelled");
        tx.commit().await.expect("committed");
        order
    }

    pub(super) async fn until_all_sent(&self) {
        // At their full size there are thousands of them.
        let patience = if soak() { Duration::from_secs(900) } else { PATIENCE };
        self.hub
            .until_within(
                patience,
                "every order is there",
                "select not exists (select from commerce.sales_order where state = 'confirmed' and sent_at is null)
                    and not exists (select from hub.delivery where target = 'logo')",
            )
            .await;
    }

    /// What LOGO has, by our reference.
    pub(super) async fn slips(&self) -> BTreeMap<String, Vec<Value>> {
        let told = self.hub.sandbox.state("orders", "").await;
        let mut slips: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for slip in told["orders"].as_array().expect("a list") {
            let reference = slip["CUST_ORD_NO"].as_str().expect("our reference").to_owned();
            slips.entry(reference).or_default().push(slip.clone());
        }
        slips
    }

    /// Each of these orders is in LOGO once, as it was placed, and linked; nothing else is.
    pub(super) async fn expect_each_once(&self, placed: &[Order]) {
        let code = self.hub.texts("select code from hub.installation").await.remove(0);
        let slips = self.slips().await;
        assert_eq!(slips.len(), placed.len(), "{:?}", slips.keys());
        for order in placed {
            let id = order.summary.id;
            let reference = format!("{code}-{id}");
            let there = slips.get(&reference).unwrap_or_else(|| panic!("{reference} is not there"));
            assert_eq!(there.len(), 1, "{reference} is there {} times", there.len());
            let slip = &there[0];
            let total: rust_decimal::Decimal = slip["TOTAL_NET"].to_string().parse().expect("a total");
            assert_eq!(total, order.summary.total.normalize(), "{slip}");
            let (number, external_id): (Option<String>, String) = sqlx::query_as(
                "select o.external_number, r.external_id from commerce.sales_order o
                 join hub.external_ref r on r.entity = 'order' and r.connector = 'logo' and r.internal_id = o.id
                 where o.id = $1 and o.sent_at is not null and r.external_code = $2",
            )
            .bind(id)
            .bind(&reference)
            .fetch_one(&self.hub.database.pool)
            .await
            .expect("linked");
            assert_eq!(number.as_deref(), slip["NUMBER"].as_str());
            assert_eq!(external_id, slip["INTERNAL_REFERENCE"].to_string());
        }
        // The books of streams know nothing of dealers who registered.
        if self.hub.number("select count(*) from commerce.customer where code like 'WEB%'").await == 0 {
            self.hub.audit().await;
        }
    }
}

/// Makes a slip in LOGO as one of its own people would.
pub(super) async fn by_hand(hub: &Installation, resource: &str, slip: &Value) {
    let text = |key: &str| hub.sandbox.settings[key].as_str().expect("a text").to_owned();
    let base = text("base_url");
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let form = [
        ("grant_type", "password".to_owned()),
        ("username", text("username")),
        ("firmno", hub.sandbox.settings["firm"].to_string()),
        ("password", text("password")),
    ];
    let encoded: Vec<String> = form
        .iter()
        .map(|(key, value)| {
            let value: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
            format!("{key}={value}")
        })
        .collect();
    let token = client
        .post(format!("{base}/api/v1/token"))
        .basic_auth(text("client_id"), Some(text("client_secret")))
        .body(encoded.join("&"));
    let token: Value = token.send().await.expect("an answer").json().await.expect("a token");
    let made = client
        .post(format!("{base}/api/v1/{resource}"))
        .bearer_auth(token["access_token"].as_str().expect("a token"))
        .body(slip.to_string());
    let made = made.send().await.expect("an answer");
    assert!(made.status().is_success(), "{}", made.text().await.expect("a body"));
}

pub(super) fn posts(what: Value) -> Value {
    let mut rule = json!({ "match": { "method": "POST", "path": "/api/v1/salesOrders" } });
    let (rule_map, what) = (rule.as_object_mut().expect("a rule"), what.as_object().expect("an effect").clone());
    for (key, value) in what {
        match key.as_str() {
            "every" | "nth" => rule_map["match"][&key] = value,
            _ => {
                rule_map.insert(key, value);
            }
        }
    }
    rule
}

#[tokio::test]
async fn an_order_is_made_in_logo_and_its_number_is_shown() {
    let shop = Shop::open(setup()).await;
    let placed = shop.orders(3).await;
    let daemon = shop.hub.daemon().await;
    shop.until_all_sent().await;
    daemon.stop();
    shop.expect_each_once(&placed).await;

    let slip = &shop.slips().await.into_values().next().expect("a slip")[0];
    assert_eq!(slip["ORDER_STATUS"], 4);
    let lines = slip["TRANSACTIONS"]["items"].as_array().expect("lines");
    let goods = lines.iter().filter(|line| line["TYPE"] == 0).count();
    assert_eq!(goods, 2, "{slip}");

    // What it told is not told back to it.
    let history =
        shop.hub.texts("select distinct type from hub.delivery_history where target = 'logo' order by 1").await;
    assert_eq!(history, ["order.confirmed"]);
    let told = shop
        .hub
        .texts("select distinct type || ' ' || origin from hub.outbox_event where payload ->> 'cause' = 'sent'");
    assert_eq!(told.await, ["order.updated logo"]);
    let seen = shop.hub.texts("select action from commerce.sales_order_history order by order_id, revision").await;
    assert_eq!(seen.iter().filter(|action| *action == "sent").count(), 3, "{seen:?}");
}

#[tokio::test]
async fn what_was_confirmed_before_the_first_start_is_sent_at_it_and_nothing_twice() {
    let shop = Shop::never_served(setup()).await;
    let mut placed = shop.orders(3).await;
    let gone = placed.remove(1);
    assert_eq!(shop.cancel(gone.summary.id).await.summary.state, "cancelled");
    // Two daemons start at once over a target that is not there yet.
    let (first, second) = tokio::join!(shop.hub.daemon(), shop.hub.daemon());
    shop.until_all_sent().await;
    first.stop();
    second.stop();
    shop.expect_each_once(&placed).await;
    let told = "select count(*) from hub.delivery_history where target = 'logo' and type = 'order.confirmed'";
    assert_eq!(shop.hub.number(told).await, 2);

    // A start later there is nothing to catch up with.
    shop.hub.daemon().await.stop();
    assert_eq!(shop.hub.number(told).await, 2);
}

#[tokio::test]
async fn what_was_confirmed_while_nothing_was_sent_stays_here() {
    let shop = Shop::open(setup().logo("send", "[]")).await;
    shop.orders(1).await;
    let daemon = shop.hub.daemon().await;
    shop.hub.until("routed", "select not exists (select from hub.outbox_unrouted)").await;
    daemon.stop();
    assert_eq!(shop.hub.number("select count(*) from hub.delivery where target = 'logo'").await, 0);
    assert!(shop.slips().await.is_empty());
}

#[tokio::test]
async fn what_was_left_out_goes_when_somebody_says_so_and_is_looked_for_first() {
    let mut shop = Shop::open(setup().logo("send", "[]")).await;
    let mut placed = shop.orders(4).await;
    let daemon = shop.hub.daemon().await;
    shop.hub.until("routed", "select not exists (select from hub.outbox_unrouted)").await;
    daemon.stop();
    let plan = |hub: &Installation| hub.run(&["deliveries", "catch-up", "logo", "--json"]).expect(0).json();
    assert_eq!(plan(&shop.hub), json!({ "total": 0, "shares": [] }), "nothing is to be sent");

    shop.hub.change("connectors.logo.send", r#"["orders", "cancellations"]"#);
    let daemon = shop.hub.daemon().await;
    shop.cancel(placed.remove(2).summary.id).await;
    shop.hub.until("routed", "select not exists (select from hub.outbox_unrouted)").await;
    assert_eq!(shop.hub.number("select count(*) from hub.delivery").await, 0, "nothing goes by itself");
    let meant = plan(&shop.hub);
    let share = &meant["shares"][0];
    assert_eq!((&meant["total"], &share["type"], &share["count"]), (&json!(3), &json!("order.confirmed"), &json!(3)));
    assert_eq!((&share["calledOff"], &share["notKept"]), (&json!(0), &json!(0)), "{meant}");
    assert_eq!(plan(&shop.hub), meant, "to count is not to send");

    shop.hub
        .sandbox
        .faults(json!([{ "match": { "method": "GET", "path": "/api/v1/salesOrder*s" }, "do": "latency", "value": 0 }]))
        .await;
    let told = shop.hub.run(&["deliveries", "catch-up", "logo", "--yes", "--json"]).expect(0).json();
    assert_eq!(told, json!({ "told": 3 }));
    shop.until_all_sent().await;
    // One that is younger than the settling time is looked for once more.
    let looks = shop.hub.sandbox.fired().await;
    assert!(matches!(looks[..], [3..=6]), "each was looked for by our reference: {looks:?}");
    assert_eq!(plan(&shop.hub)["total"], 0);
    daemon.stop();
    shop.expect_each_once(&placed).await;
    let deed = shop
        .hub
        .texts("select detail ->> 'deliveries' from identity.audit_event where action = 'target.caught_up'")
        .await;
    assert_eq!(deed, ["3"]);
}

#[tokio::test]
async fn broken_connections_make_no_order_twice_and_lose_none() {
    let shop = Shop::open(setup()).await;
    let faults = json!([
        posts(json!({ "nth": 1, "do": "cut_before" })),
        posts(json!({ "nth": 3, "do": "cut_after" })),
        posts(json!({ "nth": 6, "do": "truncate" })),
        posts(json!({ "nth": 8, "do": "late_commit", "value": 1_000 })),
        posts(json!({ "nth": 10, "do": "html" })),
        posts(json!({ "nth": 12, "do": "garbage" })),
        { "match": { "method": "GET", "path": "/api/v1/salesOrders/*", "nth": 4 }, "do": "cut_after" },
        { "match": { "method": "GET", "path": "/api/v1/salesOrders/*", "nth": 7 }, "do": "truncate" },
    ]);
    shop.hub.sandbox.faults(faults).await;
    let placed = shop.orders(16).await;
    let daemon = shop.hub.daemon().await;
    shop.until_all_sent().await;
    daemon.stop();
    assert!(shop.hub.sandbox.fired().await.iter().all(|fired| *fired == 1), "{:?}", shop.hub.sandbox.fired().await);
    shop.expect_each_once(&placed).await;
    assert_eq!(shop.hub.number("select count(*) from hub.dead_letter").await, 0);
    assert!(shop.hub.number("select count(*) from hub.attempt where reason = 'unknown_outcome'").await >= 6);
}

#[tokio::test]
async fn refusals_are_letters_locks_are_not_and_tokens_are_renewed() {
    let shop = Shop::open(setup()).await;
    let state = |entries: Value| json!({ "Message": "The request is invalid.", "ModelState": entries });
    let refused = |code: u16, entries: Value| json!({ "code": code, "body": state(entries) });
    shop.hub
        .sandbox
        .faults(json!([
            posts(json!({ "nth": 1, "do": "status", "value": refused(400, json!({ "ValError0": ["ARP_CODE bulunamadı. [6]"] })) })),
            posts(json!({ "nth": 2, "do": "status", "value": refused(200, json!({ "LOError:": ["Kredi limiti aşıldı"] })) })),
            posts(json!({ "nth": 3, "do": "status", "value": refused(400, json!({ "LOError:": ["Kayıt kilitli"] })) })),
            posts(json!({ "nth": 4, "do": "expire_token" })),
            posts(json!({ "nth": 6, "do": "status", "value": refused(400, json!({ "LoginError": ["Oturum yok"] })) })),
        ]))
        .await;
    let placed = shop.orders(5).await;
    let daemon = shop.hub.daemon().await;
    shop.hub
        .until(
            "three are there, and two are letters",
            "select (select count(*) from commerce.sales_order where sent_at is not null) = 3
                and (select count(*) from hub.delivery where state = 'dead') = 2",
        )
        .await;
    let letters = shop.hub.texts("select reason || ' ' || coalesce(field, '-') from hub.dead_letter order by 1").await;
    assert_eq!(letters, ["refused -", "unknown_code ARP_CODE"]);
    let handed = "select count(*) from commerce.sales_order where handed_at is not null and sent_at is null";
    assert_eq!(shop.hub.number(handed).await, 0, "what was refused is not on its way");

    // One is mended by hand and sent, the other one is cancelled at once: LOGO does not have it.
    let mut dead = sqlx::query_as::<_, (i64, String)>(
        "select aggregate_id, dead_letter_id::text from hub.delivery where state = 'dead' order by aggregate_id",
    )
    .fetch_all(&shop.hub.database.pool)
    .await
    .expect("letters");
    let (cancelled, letter) = dead.remove(1);
    assert_eq!(shop.cancel(cancelled).await.summary.state, "cancelled");
    shop.hub.run(&["dead-letters", "replay", &letter]).expect(0);
    let (mended, letter) = dead.remove(0);
    shop.hub.kopru.write("edit.json", r#"{"document": {"SALESMAN_CODE": "PLS04"}}"#);
    shop.hub.run(&["dead-letters", "replay", &letter, "--edit", "edit.json"]).expect(0);
    shop.until_all_sent().await;
    daemon.stop();
    let placed: Vec<Order> = placed.into_iter().filter(|order| order.summary.id != cancelled).collect();
    shop.expect_each_once(&placed).await;
    let code = shop.hub.texts("select code from hub.installation").await.remove(0);
    assert_eq!(shop.slips().await[&format!("{code}-{mended}")][0]["SALESMAN_CODE"], "PLS04");
}

#[tokio::test]
async fn a_night_without_logo_kills_no_order() {
    // Two requests for each order.
    const RATE: u32 = 200;
    let shop = Shop::open(setup().logo("rate_per_second", RATE)).await;
    let down = json!([{ "match": { "path": "/api" }, "do": "status", "value": 503 }]);
    shop.hub.sandbox.faults(down).await;
    let daemon = shop.hub.daemon().await;
    let count = if soak() { 10_000 } else { 150 };
    let mut placed = shop.orders(count).await;
    shop.hub.until("the breaker is open", "select exists (select from hub.breaker where state <> 'closed')").await;
    shop.hub
        .until("all are held", "select not exists (select from hub.delivery where state <> 'held') and (select count(*) from hub.outbox_unrouted) = 0")
        .await;
    // Nothing is on its way: what is cancelled now is cancelled.
    let gone = placed.remove(count / 2);
    assert_eq!(shop.cancel(gone.summary.id).await.summary.state, "cancelled");

    let before = shop.hub.sandbox.requests().await;
    let since = Instant::now();
    shop.hub.sandbox.faults(json!([])).await;
    shop.until_all_sent().await;
    let asked = shop.hub.sandbox.requests().await - before;
    // One at the beginning and one in hand are beside the rate.
    let allowed = since.elapsed().as_secs_f64() * f64::from(RATE) + 2.0;
    assert!(asked as f64 <= allowed, "{asked} requests where {allowed} were allowed");
    daemon.stop();
    shop.expect_each_once(&placed).await;
    let letters = "select (select count(*) from hub.dead_letter) + (select count(*) from hub.dead_letter_history)";
    assert_eq!(shop.hub.number(letters).await, 0);
}

#[tokio::test]
async fn a_cancelled_order_is_not_sent_and_a_sent_one_is_cancelled_by_logo() {
    let shop = Shop::open(setup()).await;
    let never = shop.order(0).await;
    assert_eq!(shop.cancel(never.summary.id).await.summary.state, "cancelled");
    let sent = shop.order(1).await;
    let daemon = shop.hub.daemon().await;
    shop.until_all_sent().await;
    shop.expect_each_once(std::slice::from_ref(&sent)).await;

    shop.hub
        .sandbox
        .faults(
            json!([{ "match": { "method": "PATCH", "path": "/api/v1/salesOrders/*", "nth": 1 }, "do": "cut_after" }]),
        )
        .await;
    let asked = shop.cancel(sent.summary.id).await;
    assert!(asked.summary.cancel_requested && asked.summary.state == "confirmed", "LOGO decides");
    shop.hub.until("it is cancelled", "select bool_and(state = 'cancelled') from commerce.sales_order").await;
    shop.hub.until("everything is told", "select not exists (select from hub.delivery)").await;
    daemon.stop();
    let slips = shop.slips().await;
    assert_eq!(slips.into_values().next().expect("a slip")[0]["CANCELLED"], 1);
    let held = "select count(*) from commerce.stock_reservation where open > 0";
    assert_eq!(shop.hub.number(held).await, 0);
    shop.hub.audit().await;
}

/// An approved dealer of ours that LOGO does not know.
async fn registered(shop: &Shop, title: &str, tax_number: &str) -> i64 {
    let by =
        Provenance { origin: "user:7", bulk: false, correlation_id: "test", place: None, now: Clock::system().now() };
    let new = NewCompany {
        code: None,
        title,
        tax_number,
        tax_office: Some("Ümraniye"),
        contact: "Ayşe Öz",
        email: "ayse@bayi.example",
        phone: None,
    };
    let mut tx = shop.hub.database.pool.begin().await.expect("begin");
    let id = customers::register(&mut tx, &WriteContext::person(by), &new).await.expect("registered");
    tx.commit().await.expect("committed");
    id
}

#[tokio::test]
async fn a_new_dealer_gets_one_card_whoever_asks_first() {
    let mut shop = Shop::open(setup()).await;
    // The answer to the card is lost; both the registration and the order look for it.
    shop.hub
        .sandbox
        .faults(json!([{ "match": { "method": "POST", "path": "/api/v1/Arps", "nth": 1 }, "do": "cut_after" }]))
        .await;
    let dealer = registered(&shop, "Yeni Bayi Güvenlik A.Ş.", "1111111114").await;
    shop.customers = vec![dealer];
    let placed = shop.orders(3).await;
    let daemon = shop.hub.daemon().await;
    shop.until_all_sent().await;
    daemon.stop();
    let code = format!("120.WEB.{dealer:05}");
    let card = shop.hub.sandbox.state("customers", &code).await;
    assert_eq!((&card["TITLE"], &card["TAX_ID"]), (&json!("Yeni Bayi Güvenlik A.Ş."), &json!("1111111114")));
    let written = shop.hub.sandbox.state("customers", "").await;
    assert_eq!(written["written"].as_array().map(Vec::len), Some(1), "{written}");
    shop.expect_each_once(&placed).await;
    assert!(shop.slips().await.values().all(|there| there[0]["ARP_CODE"] == code.as_str()));
}

#[tokio::test]
async fn without_a_pattern_a_person_says_the_code_and_orders_wait_for_that() {
    let mut shop = Shop::open(setup().logo("new_customer_code", "")).await;
    let dealer = registered(&shop, "Kodsuz Bayi", "2222222224").await;
    let daemon = shop.hub.daemon().await;
    shop.hub.until("it asks", "select exists (select from hub.dead_letter where reason = 'code_wanted')").await;
    shop.customers = vec![dealer];
    let placed = shop.orders(1).await;
    shop.hub
        .until(
            "the order waits",
            "select exists (select from hub.delivery where aggregate = 'order' and state = 'waiting')",
        )
        .await;
    let letter = shop.hub.texts("select id::text from hub.dead_letter").await.remove(0);
    shop.hub.kopru.write("edit.json", r#"{"document": {"CODE": "120.ELLE.1"}}"#);
    shop.hub.run(&["dead-letters", "replay", &letter, "--edit", "edit.json"]).expect(0);
    shop.hub
        .until("it has a card", "select exists (select from hub.external_ref where external_code = '120.ELLE.1')")
        .await;
    let waiting = shop.hub.texts("select id::text from hub.delivery where aggregate = 'order'").await;
    if let Some(id) = waiting.first() {
        shop.hub.run(&["deliveries", "replay", id]);
    }
    shop.until_all_sent().await;
    daemon.stop();
    shop.expect_each_once(&placed).await;
}

#[tokio::test]
async fn orders_survive_kills_at_any_moment() {
    let shop = Shop::open(setup()).await;
    let slow = json!([{ "match": { "path": "/api/v1/salesOrders" }, "do": "latency", "value": 15 }]);
    shop.hub.sandbox.faults(slow).await;
    let (kills, count) = if soak() { (200, 5_000) } else { (6, 120) };
    let seed = 20_261_125;
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let placed = shop.orders(count).await;
    for _ in 0..kills {
        let mut daemon = shop.hub.launch();
        tokio::time::sleep(Duration::from_millis(random.random_range(300..1_500))).await;
        daemon.kill();
    }
    shop.hub.sandbox.faults(json!([])).await;
    let daemon = shop.hub.daemon().await;
    shop.until_all_sent().await;
    daemon.stop();
    shop.expect_each_once(&placed).await;
    let letters = "select (select count(*) from hub.dead_letter) + (select count(*) from hub.dead_letter_history)";
    assert_eq!(shop.hub.number(letters).await, 0);
}

#[tokio::test]
async fn of_two_daemons_one_calls_logo_and_the_other_goes_on_when_it_dies() {
    let shop = Shop::open(setup()).await;
    let slow = json!([{ "match": { "method": "POST", "path": "/api/v1/salesOrders" }, "do": "latency", "value": 30 }]);
    shop.hub.sandbox.faults(slow).await;
    let (mut first, second) = tokio::join!(shop.hub.daemon(), shop.hub.daemon());
    let placed = shop.orders(60).await;
    shop.hub.until("some are there", "select count(*) >= 10 from commerce.sales_order where sent_at is not null").await;
    let owners = "select count(distinct owner) from hub.attempt a join hub.delivery_history d on d.id = a.message_id
                  where d.target = 'logo'";
    assert_eq!(shop.hub.number(owners).await, 1, "one seat, one caller");
    first.process.kill();
    shop.until_all_sent().await;
    second.stop();
    shop.expect_each_once(&placed).await;
}
