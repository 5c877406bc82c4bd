//! The routes of orders and carts, over a real socket.

use futures::future::join_all;
use kopru::{commerce::orders, principal::Role};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::number;
use crate::support::{
    dealers,
    people::{self, signed_in},
    served::Served,
};

/// A served shop with one dealer and one product at 100.00.
struct Shop {
    served: Served,
    dealer: i64,
    camera: i64,
    buyer: String,
    manager: String,
}

impl Shop {
    async fn open() -> Shop {
        let served = Served::new().await;
        let pool = served.pool().clone();
        let dealer = people::company(&pool, "120.01").await;
        let camera = dealers::product(&pool, "KMR").await;
        let warehouse = dealers::warehouse(&pool, "0").await;
        sqlx::query(
            "with level as (
                insert into commerce.stock_level (product_id, warehouse_id, quantity, created_at, updated_at)
                values ($1, $2, 100, now(), now()))
             insert into commerce.price (product_id, code, role, currency, amount, created_at, updated_at, created_by,
                 updated_by)
             values ($1, 'list', 'list', 'TRY', 100, now(), now(), 'test', 'test')",
        )
        .bind(camera)
        .bind(warehouse)
        .execute(&pool)
        .await
        .expect("goods");
        let (_, buyer) = signed_in(&pool, &served.clock, Role::DealerPurchasing, Some(dealer)).await;
        let (_, manager) = signed_in(&pool, &served.clock, Role::SalesManager, None).await;
        Shop { served, dealer, camera, buyer, manager }
    }

    async fn ask(&self, token: &str, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut request = self.served.request(method, path, token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("an answer");
        let status = answer.status();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    async fn place(&self, token: &str, body: Value) -> (StatusCode, Value) {
        self.ask(token, Method::POST, "/api/v1/orders", Some(body)).await
    }

    fn two(&self) -> Value {
        json!({ "lines": [{ "productId": self.camera, "quantity": 2 }] })
    }
}

#[tokio::test]
async fn an_order_from_its_placement_to_its_end() {
    let shop = Shop::open().await;
    let (status, order) = shop.place(&shop.buyer, shop.two()).await;
    assert_eq!(status, StatusCode::CREATED, "{order}");
    assert_eq!(order["state"], "confirmed");
    // Written exactly, and read from the text.
    assert_eq!(order["total"].to_string(), "240.0000");
    assert_eq!(order["lines"][0]["quantity"].to_string(), "2");
    let id = order["id"].as_i64().expect("an id");
    let number = order["number"].as_str().expect("a number");

    for path in [format!("/api/v1/orders/{id}"), format!("/api/v1/orders/by-number/{number}")] {
        let answer = shop.served.request(Method::GET, &path, &shop.buyer).send().await.expect("an answer");
        let tag = answer.headers()["etag"].clone();
        assert_eq!(answer.json::<Value>().await.expect("JSON"), order);
        let known = shop.served.request(Method::GET, &path, &shop.buyer).header("If-None-Match", tag);
        assert_eq!(known.send().await.expect("an answer").status(), StatusCode::NOT_MODIFIED);
    }
    let (status, list) = shop.ask(&shop.buyer, Method::GET, "/api/v1/orders?count=true&state=confirmed", None).await;
    assert_eq!((status, &list["totalCount"], &list["items"][0]["id"]), (StatusCode::OK, &json!(1), &json!(id)));
    let (status, history) = shop.ask(&shop.buyer, Method::GET, &format!("/api/v1/orders/{id}/history"), None).await;
    assert_eq!((status, &history["items"][0]["action"]), (StatusCode::OK, &json!("placed")));

    let cancel = format!("/api/v1/orders/{id}/cancel");
    let (status, cancelled) = shop.ask(&shop.buyer, Method::POST, &cancel, Some(json!({ "note": "vazgeçtik" }))).await;
    assert_eq!((status, &cancelled["state"]), (StatusCode::OK, &json!("cancelled")));
    let (status, refused) = shop.ask(&shop.buyer, Method::POST, &cancel, None).await;
    assert_eq!((status, &refused["code"]), (StatusCode::CONFLICT, &json!("state_conflict")));
    assert_eq!((&refused["state"], &refused["allowed"]), (&json!("cancelled"), &json!([])));
}

/// A hundred dealers' users at once: each gets an order of its own, and the books hold what was answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_at_once_are_all_answered() {
    let shop = Shop::open().await;
    let bodies = (0..100).map(|_| json!({ "lines": [{ "productId": shop.camera, "quantity": 1 }] }));
    let answers = join_all(bodies.map(|body| shop.place(&shop.buyer, body))).await;
    let mut numbers = Vec::new();
    for (status, order) in answers {
        assert_eq!(status, StatusCode::CREATED, "{order}");
        numbers.push(order["number"].to_string());
    }
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 100);
    let (status, refused) = shop.place(&shop.buyer, shop.two()).await;
    assert_eq!((status, &refused["code"]), (StatusCode::CONFLICT, &json!("insufficient_stock")));
    let (orders, held): (i64, rust_decimal::Decimal) = sqlx::query_as(
        "select (select count(*) from commerce.sales_order), (select sum(held) from commerce.stock_level)",
    )
    .fetch_one(shop.served.pool())
    .await
    .expect("counted");
    assert_eq!((orders, held), (100, number("100")));
}

#[tokio::test]
async fn approving_asks_the_account_again() {
    let shop = Shop::open().await;
    let set = async |text: &'static str| {
        sqlx::query(text).execute(shop.served.pool()).await.expect("set");
    };
    set("update commerce.customer set credit_limit = 200").await;
    let (_, held) = shop.place(&shop.buyer, shop.two()).await;
    assert_eq!((&held["state"], &held["approvalReasons"]), (&json!("pending_approval"), &json!(["credit_limit"])));
    let approve = |order: &Value| format!("/api/v1/orders/{}/approve", order["id"]);

    // It was held for the limit: that is what the manager decides, and the audit tells of it.
    let (status, order) = shop.ask(&shop.manager, Method::POST, &approve(&held), None).await;
    assert_eq!((status, &order["state"]), (StatusCode::OK, &json!("confirmed")), "{order}");
    let detail: Value =
        sqlx::query_scalar("select detail -> 'account' from identity.audit_event where action = 'order.approved'")
            .fetch_one(shop.served.pool())
            .await
            .expect("audited");
    assert_eq!(detail["creditLimit"].as_str().map(number), Some(number("200")));
    assert_eq!(detail["used"].as_str().map(number), Some(number("0")));

    // Another one was held for something else, and does not fit any more.
    let (_, second) = shop.place(&shop.buyer, shop.two()).await;
    set("update commerce.sales_order set approval_reasons = '{amount}' where state = 'pending_approval'").await;
    let (status, refused) = shop.ask(&shop.manager, Method::POST, &approve(&second), None).await;
    assert_eq!((status, &refused["code"]), (StatusCode::CONFLICT, &json!("credit_limit_exceeded")), "{refused}");
    let figures = ["creditLimit", "used", "total"].map(|name| refused[name].to_string());
    assert_eq!(figures, ["200.0000", "240.0000", "240.0000"]);
    let (_, still) = shop.ask(&shop.manager, Method::GET, &format!("/api/v1/orders/{}", second["id"]), None).await;
    assert_eq!(still["state"], "pending_approval");

    // Who may set limits may go beyond them.
    let (_, admin) = signed_in(shop.served.pool(), &shop.served.clock, Role::SuperAdmin, None).await;
    let (status, order) = shop.ask(&admin, Method::POST, &approve(&second), None).await;
    assert_eq!((status, &order["state"]), (StatusCode::OK, &json!("confirmed")), "{order}");
}

#[tokio::test]
async fn an_order_that_nobody_decides_is_cancelled_in_the_end() {
    let shop = Shop::open().await;
    sqlx::query("update commerce.customer set credit_limit = 200").execute(shop.served.pool()).await.expect("a limit");
    let (_, held) = shop.place(&shop.buyer, shop.two()).await;
    assert!(held["expiresAt"].is_string(), "{held}");
    sqlx::query("update commerce.sales_order set expires_at = clock_timestamp()")
        .execute(shop.served.pool())
        .await
        .expect("due");
    orders::expire(shop.served.pool(), &shop.served.clock).await.expect("expired");
    let one = format!("/api/v1/orders/{}", held["id"]);
    let (_, order) = shop.ask(&shop.buyer, Method::GET, &one, None).await;
    assert_eq!((&order["state"], &order["expiresAt"]), (&json!("cancelled"), &Value::Null));
    let (_, history) = shop.ask(&shop.buyer, Method::GET, &format!("{one}/history"), None).await;
    let last = &history["items"][1];
    assert_eq!((&last["action"], &last["fromState"]), (&json!("expired"), &json!("pending_approval")));
    let free: rust_decimal::Decimal = sqlx::query_scalar("select available from commerce.stock_level")
        .fetch_one(shop.served.pool())
        .await
        .expect("asked");
    assert_eq!(free, number("100"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_times_the_same_is_one_order() {
    let shop = Shop::open().await;
    let post = |body: Value| {
        shop.served
            .request(Method::POST, "/api/v1/orders", &shop.buyer)
            .header("Idempotency-Key", "d1")
            .json(&body)
            .send()
    };
    let answers = join_all((0..64).map(|_| post(shop.two()))).await;
    let mut numbers = Vec::new();
    for answer in answers {
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), StatusCode::CREATED);
        numbers.push(answer.json::<Value>().await.expect("JSON")["number"].to_string());
    }
    numbers.dedup();
    assert_eq!(numbers.len(), 1, "{numbers:?}");
    let other = post(json!({ "lines": [{ "productId": shop.camera, "quantity": 3 }] })).await.expect("an answer");
    assert_eq!(other.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let count: i64 = sqlx::query_scalar("select count(*) from commerce.sales_order")
        .fetch_one(shop.served.pool())
        .await
        .expect("counted");
    assert_eq!(count, 1);
}

#[tokio::test]
async fn roles_and_other_companies() {
    let shop = Shop::open().await;
    let (_, order) = shop.place(&shop.buyer, shop.two()).await;
    let id = order["id"].as_i64().expect("an id");
    let pool = shop.served.pool();
    let other = people::company(pool, "120.02").await;
    let (_, stranger) = signed_in(pool, &shop.served.clock, Role::DealerOwner, Some(other)).await;
    let (_, viewer) = signed_in(pool, &shop.served.clock, Role::DealerViewer, Some(shop.dealer)).await;
    let (_, content) = signed_in(pool, &shop.served.clock, Role::ContentManager, None).await;
    let one = format!("/api/v1/orders/{id}");
    let number = format!("/api/v1/orders/by-number/{}", order["number"].as_str().expect("a number"));
    let history = format!("{one}/history");
    for path in [&one, &number, &history] {
        assert_eq!(shop.ask(&stranger, Method::GET, path, None).await.0, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(shop.ask(&viewer, Method::GET, path, None).await.0, StatusCode::OK, "{path}");
        assert_eq!(shop.ask(&content, Method::GET, path, None).await.0, StatusCode::FORBIDDEN, "{path}");
    }
    let cancel = format!("{one}/cancel");
    assert_eq!(shop.ask(&stranger, Method::POST, &cancel, None).await.0, StatusCode::NOT_FOUND);
    assert_eq!(shop.ask(&viewer, Method::POST, &cancel, None).await.0, StatusCode::FORBIDDEN);
    for decision in ["approve", "reject"] {
        let path = format!("{one}/{decision}");
        assert_eq!(shop.ask(&shop.buyer, Method::POST, &path, None).await.0, StatusCode::FORBIDDEN);
        let (status, refused) = shop.ask(&shop.manager, Method::POST, &path, None).await;
        assert_eq!(
            (status, &refused["allowed"]),
            (StatusCode::CONFLICT, &json!(["processing", "shipped", "cancelled"]))
        );
    }
    assert_eq!(shop.place(&viewer, shop.two()).await.0, StatusCode::FORBIDDEN);
    let mut foreign = shop.two();
    foreign["customerId"] = json!(shop.dealer);
    assert_eq!(shop.place(&stranger, foreign.clone()).await.0, StatusCode::NOT_FOUND);
    assert_eq!(shop.place(&shop.manager, foreign).await.0, StatusCode::CREATED);
    assert_eq!(shop.place(&shop.manager, shop.two()).await.0, StatusCode::BAD_REQUEST);
    let (status, none) = shop.ask(&shop.manager, Method::GET, "/api/v1/cart", None).await;
    assert_eq!((status, &none["code"]), (StatusCode::FORBIDDEN, &json!("no_cart")));
}

#[tokio::test]
async fn what_is_wrong_is_told_in_place() {
    let shop = Shop::open().await;
    let lines = json!({ "lines": [
        { "productId": shop.camera, "quantity": "1" },
        { "sku": "YOK", "quantity": 1 },
        { "productId": shop.camera, "quantity": 0.5 },
    ]});
    let (status, refused) = shop.place(&shop.buyer, lines).await;
    assert_eq!((status, &refused["code"]), (StatusCode::BAD_REQUEST, &json!("invalid")));
    let mut told: Vec<(&str, &str)> = refused["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|error| (error["field"].as_str().unwrap_or(""), error["code"].as_str().unwrap_or("")))
        .collect();
    told.sort_unstable();
    assert_eq!(told, [("lines[1].sku", "unknown_sku"), ("lines[2].quantity", "fraction")]);
    let (status, refused) =
        shop.place(&shop.buyer, json!({ "lines": [{ "productId": shop.camera, "quantity": 101 }] })).await;
    assert_eq!((status, &refused["code"]), (StatusCode::CONFLICT, &json!("insufficient_stock")));
    assert_eq!(refused["errors"][0]["message"], "there are only 100 ADET of KMR left");
    for (body, field) in
        [(json!({ "lines": [], "paymentMethod": "cash" }), "paymentMethod"), (json!({ "lines": [] }), "lines")]
    {
        let (status, refused) = shop.place(&shop.buyer, body).await;
        assert_eq!((status, refused["errors"][0]["field"].as_str()), (StatusCode::BAD_REQUEST, Some(field)));
    }
    for body in [json!([]), json!({ "lines": "all" }), json!({ "lines": [{ "productId": 1, "quantity": "çok" }] })] {
        assert_eq!(shop.place(&shop.buyer, body).await.0, StatusCode::BAD_REQUEST);
    }
    for query in [
        "state=open",
        "from=yesterday",
        "from=%2B200000-01-01",
        "to=-4800-01-01",
        "limit=0",
        "cursor=x",
        "count=maybe",
        "customerId=x",
    ] {
        let (status, refused) = shop.ask(&shop.buyer, Method::GET, &format!("/api/v1/orders?{query}"), None).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}: {refused}");
    }
    for path in ["/api/v1/orders/99999", "/api/v1/orders/by-number/ORD%00", "/api/v1/orders/by-number/%27%3B--"] {
        assert_eq!(shop.ask(&shop.buyer, Method::GET, path, None).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(shop.ask(&shop.buyer, Method::GET, "/api/v1/orders/abc", None).await.0, StatusCode::BAD_REQUEST);
}

/// A name that nobody reads would else order the whole cart, or another unit than was meant.
#[tokio::test]
async fn a_misspelt_field_orders_nothing() {
    let shop = Shop::open().await;
    let item = format!("/api/v1/cart/items/{}", shop.camera);
    shop.ask(&shop.buyer, Method::PUT, &item, Some(json!({ "quantity": 3 }))).await;
    let line = json!({ "productId": shop.camera, "quantity": 1 });
    for body in [
        json!({ "line": [line] }),
        json!({ "lines": [line], "adres": 1 }),
        json!({ "lines": [{ "productId": shop.camera, "quantity": 1, "units": "KOLI" }] }),
    ] {
        assert_eq!(shop.place(&shop.buyer, body.clone()).await.0, StatusCode::BAD_REQUEST, "{body}");
    }
    let wrong = json!({ "quantity": 1, "units": "KOLI" });
    assert_eq!(shop.ask(&shop.buyer, Method::PUT, &item, Some(wrong)).await.0, StatusCode::BAD_REQUEST);
    let (_, order) = shop.place(&shop.buyer, shop.two()).await;
    let cancel = format!("/api/v1/orders/{}/cancel", order["id"]);
    let wrong = json!({ "notes": "vazgeçtik" });
    assert_eq!(shop.ask(&shop.buyer, Method::POST, &cancel, Some(wrong)).await.0, StatusCode::BAD_REQUEST);
    let (_, cart) = shop.ask(&shop.buyer, Method::GET, "/api/v1/cart", None).await;
    assert_eq!(cart["items"][0]["quantity"], 3);
}

#[tokio::test]
async fn audit_rows_tell_from_where_and_with_what() {
    let shop = Shop::open().await;
    let admin = shop.served.token(Role::SuperAdmin, None).await;
    let (camera, dealer) = (shop.camera, shop.dealer);
    let post = async |path: &str, token: &str, method: Method, body: Value| {
        let request = shop.served.request(method, path, token).header("user-agent", "Portal/1").json(&body);
        let answer = request.send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {:?}", answer.text().await);
    };
    post("/api/v1/orders", &shop.buyer, Method::POST, shop.two()).await;
    post(&format!("/api/v1/products/{camera}/price"), &admin, Method::PUT, json!({ "dealerPrice": 90 })).await;
    post(&format!("/api/v1/customers/{dealer}"), &admin, Method::PATCH, json!({ "creditLimit": 500 })).await;
    let key = json!({ "name": "portal", "scopes": ["orders.view"] });
    post("/api/admin/api-keys", &admin, Method::POST, key).await;
    let rows: Vec<(String, Option<String>, Option<String>)> = sqlx::query_as(
        "select action, host(address), agent from identity.audit_event where actor like 'user:%' order by id",
    )
    .fetch_all(shop.served.pool())
    .await
    .expect("rows");
    assert!(rows.len() >= 4, "{rows:?}");
    for (action, address, agent) in rows {
        assert_eq!((address.as_deref(), agent.as_deref()), (Some("127.0.0.1"), Some("Portal/1")), "{action}");
    }
}

#[tokio::test]
async fn a_cart_becomes_an_order() {
    let shop = Shop::open().await;
    let item = format!("/api/v1/cart/items/{}", shop.camera);
    let (status, empty) = shop.ask(&shop.buyer, Method::GET, "/api/v1/cart", None).await;
    assert_eq!((status, &empty["items"], &empty["canOrder"]), (StatusCode::OK, &json!([]), &json!(false)));
    let (status, refused) = shop.place(&shop.buyer, json!({})).await;
    assert_eq!((status, &refused["code"]), (StatusCode::CONFLICT, &json!("cart_empty")));
    for quantity in [json!(0), json!(-1), json!(0.5), json!("9999999999999999999")] {
        let (status, _) = shop.ask(&shop.buyer, Method::PUT, &item, Some(json!({ "quantity": quantity }))).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{quantity}");
    }
    let (status, cart) = shop.ask(&shop.buyer, Method::PUT, &item, Some(json!({ "quantity": 3 }))).await;
    assert_eq!((status, cart["total"].to_string()), (StatusCode::OK, "360.0000".to_owned()));
    sqlx::query("update commerce.price set amount = $1")
        .bind(number("110"))
        .execute(shop.served.pool())
        .await
        .expect("dearer");
    let (status, refused) = shop.place(&shop.buyer, json!({ "paymentMethod": "card" })).await;
    assert_eq!((status, &refused["code"]), (StatusCode::CONFLICT, &json!("cart_changed")));
    let (_, cart) = shop.ask(&shop.buyer, Method::GET, "/api/v1/cart", None).await;
    assert_eq!(cart["items"][0]["notices"][0]["code"], "price_changed");
    let (status, order) = shop.place(&shop.buyer, json!({ "paymentMethod": "card" })).await;
    assert_eq!((status, &order["state"]), (StatusCode::CREATED, &json!("pending_payment")));
    assert_eq!(order["total"].to_string(), "396.0000");
    let (_, cart) = shop.ask(&shop.buyer, Method::GET, "/api/v1/cart", None).await;
    assert_eq!(cart["items"], json!([]));
    shop.ask(&shop.buyer, Method::PUT, &item, Some(json!({ "quantity": 3 }))).await;
    let (status, cart) = shop.ask(&shop.buyer, Method::DELETE, &item, None).await;
    assert_eq!((status, &cart["items"]), (StatusCode::OK, &json!([])));
    let (status, cart) = shop.ask(&shop.buyer, Method::DELETE, "/api/v1/cart", None).await;
    assert_eq!((status, &cart["items"]), (StatusCode::OK, &json!([])));
}
