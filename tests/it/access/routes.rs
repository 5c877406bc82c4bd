//! Accounts, invoices, returns and customers over HTTP.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use kopru::principal::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::rows::belongings;
use crate::support::{
    dealers::{product, warehouse},
    served::{Served, json_of, problem_of},
};

struct Site {
    served: Served,
    own: i64,
    other: i64,
}

impl Site {
    async fn new() -> Site {
        let served = Served::new().await;
        let (goods, store) = (product(served.pool(), "P").await, warehouse(served.pool(), "M").await);
        let own = belongings(served.pool(), "A", goods, store).await;
        let other = belongings(served.pool(), "B", goods, store).await;
        Site { served, own, other }
    }

    async fn dealer(&self) -> String {
        self.served.token(Role::DealerOwner, Some(self.own)).await
    }

    async fn number(&self, sql: &str) -> i64 {
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned())).fetch_one(self.served.pool()).await.expect("a number")
    }
}

async fn ok(response: reqwest::Response) -> Value {
    json_of(response, StatusCode::OK).await
}

#[tokio::test]
async fn an_account_is_shown_and_told_as_a_file() {
    let site = Site::new().await;
    let token = site.dealer().await;
    let balance = ok(site.served.get("/api/v1/account/balance", &token).await).await;
    assert_eq!((&balance["customerId"], &balance["currency"]), (&json!(site.own), &json!("TRY")));
    // 10.00 booked by the ERP; the order of 60.00 is invoiced early by that much.
    assert_eq!(
        (balance["balances"][0]["balance"].to_string(), balance["balances"][0]["openOrders"].to_string()),
        ("10.0000".to_owned(), "50.0000".to_owned())
    );
    let listed = ok(site.served.get("/api/v1/account/transactions?kind=invoice&limit=1", &token).await).await;
    assert_eq!((listed["items"].as_array().map(Vec::len), &listed["nextCursor"]), (Some(1), &Value::Null));
    let statement = "/api/v1/account/statement?from=2026-01-01&to=2026-12-31";
    let response = site.served.get(statement, &token).await;
    let tag = response.headers()["etag"].clone();
    assert_eq!(response.headers()["cache-control"], "private, no-cache");
    assert_eq!(ok(response).await["closingBalance"].to_string(), "10.0000");
    let again = site.served.request(Method::GET, statement, &token).header("if-none-match", tag).send().await;
    assert_eq!(again.expect("an answer").status(), StatusCode::NOT_MODIFIED);
    let file = site.served.get(&format!("{statement}&format=csv"), &token).await;
    assert_eq!(file.headers()["content-type"], "text/csv; charset=utf-8");
    assert!(
        file.headers()["content-disposition"].to_str().expect("text").starts_with("attachment; filename=\"ekstre-")
    );
    let file = file.bytes().await.expect("a body");
    assert!(file.starts_with(b"\xEF\xBB\xBFTarih;") && file.ends_with(b";10,00;B;TRY\r\n"), "{file:?}");
}

#[tokio::test]
async fn what_is_asked_wrongly_is_told() {
    let site = Site::new().await;
    let (token, house) = (site.dealer().await, site.served.token(Role::FinanceManager, None).await);
    for (path, field, code) in [
        ("account/statement?from=2026-02-02&to=2026-02-01", "from", "reversed"),
        ("account/statement?from=1990-01-01&to=2026-02-01", "from", "too_long"),
        ("account/statement?from=0001-01-01&to=9999-12-31", "from", "out_of_range"),
        ("account/transactions?from=2026-02-02&to=2026-02-01", "from", "reversed"),
        ("account/statement?from=yesterday", "from", "format"),
        ("account/statement?format=pdf", "format", "unknown_value"),
        ("account/statement?currency=%27%20or%201", "currency", "format"),
        ("account/transactions?kind=gift", "kind", "unknown_value"),
        ("account/transactions?limit=101", "limit", "invalid"),
        ("account/transactions?cursor=abc", "cursor", "invalid"),
        ("account/balance?customerId=x", "customerId", "format"),
        ("invoices?status=lost", "status", "unknown_value"),
        ("invoices?number=%00", "number", "format"),
        ("returns?state=lost", "state", "unknown_value"),
        ("customers?isActive=perhaps", "isActive", "format"),
        ("customers?search=%00", "search", "format"),
    ] {
        let problem = problem_of(site.served.get(&format!("/api/v1/{path}"), &token).await, 400, "invalid").await;
        assert_eq!(
            (&problem["errors"][0]["field"], &problem["errors"][0]["code"]),
            (&json!(field), &json!(code)),
            "{path}"
        );
    }
    // Days and instants that the store cannot hold, in cursors that somebody wrote.
    let admin = site.served.token(Role::SuperAdmin, None).await;
    for (path, list, key) in [
        ("v1/account/transactions?", "account:transactions", json!(["-9999-01-01", 1])),
        ("v1/invoices?", "invoices", json!(["-262143-01-01", 1])),
        ("admin/timeline?object=A&", "timeline", json!("-9999-01-01T00:00:00Z")),
        ("admin/mappings/unmapped?", "unmapped", json!(["\0", "", "", ""])),
    ] {
        let cursor = URL_SAFE_NO_PAD.encode(json!([list, key]).to_string());
        let token = if path.starts_with("v1") { &token } else { &admin };
        let answer = site.served.get(&format!("/api/{path}cursor={cursor}"), token).await;
        let problem = problem_of(answer, 400, "invalid").await;
        assert_eq!(problem["errors"][0]["field"], "cursor", "{path}");
    }
    let problem = problem_of(site.served.get("/api/v1/account/balance", &house).await, 400, "invalid").await;
    assert_eq!(problem["errors"][0]["field"], "customerId");
    for path in ["account/balance", "account/transactions", "account/statement"] {
        let path = format!("/api/v1/{path}?customerId={}", site.other);
        problem_of(site.served.get(&path, &token).await, 404, "not_found").await;
        ok(site.served.get(&path, &house).await).await;
    }
    let unicode = site.served.get("/api/v1/customers?search=%F0%9F%9A%9A%20%3Cb%3E%27--", &house).await;
    assert_eq!(ok(unicode).await["items"], json!([]));
}

#[tokio::test]
async fn a_return_goes_its_way_over_http() {
    let site = Site::new().await;
    let (token, house) = (site.dealer().await, site.served.token(Role::SalesManager, None).await);
    let order = site.number(&format!("select id from commerce.sales_order where customer_id = {}", site.own)).await;
    let line = site.number(&format!("select id from commerce.sales_order_line where order_id = {order}")).await;
    let body = |quantity: Value| {
        json!({ "orderId": order, "reason": "damaged", "note": "<script>alert(1)</script>'; drop table x; ığ🚚",
                "lines": [{ "orderLineId": line, "quantity": quantity }] })
    };
    let post = async |key: &str, quantity: Value| {
        let request = site.served.request(Method::POST, "/api/v1/returns", &token).header("idempotency-key", key);
        request.json(&body(quantity)).send().await.expect("an answer")
    };
    let asked = json_of(post("k1", json!(2)).await, StatusCode::CREATED).await;
    let again = json_of(post("k1", json!(2)).await, StatusCode::CREATED).await;
    assert_eq!(
        (&asked["id"], &asked["state"], &asked["note"]),
        (&again["id"], &json!("requested"), &body(json!(2))["note"])
    );
    problem_of(post("k1", json!(1)).await, 422, "idempotency_key_reused").await;
    // Five were delivered, one is asked for by the other return of this test's dealer, two by this one.
    let problem = problem_of(post("k2", json!(3)).await, 400, "invalid").await;
    assert_eq!(
        (&problem["errors"][0]["field"], &problem["errors"][0]["code"]),
        (&json!("lines[0].quantity"), &json!("too_many"))
    );
    for bad in [json!(0), json!(-1), json!(0.5), json!("1.00001"), json!(100_000_000_000_000_000_i64)] {
        let response = site.served.post("/api/v1/returns", &token, &body(bad)).await;
        problem_of(response, 400, "invalid").await;
    }
    let path = |verb: &str| format!("/api/v1/returns/{}/{verb}", asked["id"]);
    problem_of(site.served.post(&path("approve"), &token, &json!({})).await, 403, "permission_missing").await;
    let early = site.served.post(&path("receive"), &house, &json!({ "warehouseCode": "M" })).await;
    let early = problem_of(early, 409, "state_conflict").await;
    assert_eq!((&early["state"], &early["allowed"]), (&json!("requested"), &json!(["approved", "rejected"])));
    // Without a body.
    let approved = site.served.request(Method::POST, &path("approve"), &house).send().await.expect("an answer");
    assert_eq!(ok(approved).await["state"], "approved");
    let received = ok(site.served.post(&path("receive"), &house, &json!({ "warehouseCode": "M" })).await).await;
    assert_eq!((&received["state"], received["history"].as_array().map(Vec::len)), (&json!("received"), Some(3)));
    let done = site.served.post(&path("reject"), &house, &json!({ "reason": "x" })).await;
    assert_eq!(problem_of(done, 409, "state_conflict").await["allowed"], json!([]));
    // Somebody else's order is not there.
    let stranger = site.served.token(Role::DealerOwner, Some(site.other)).await;
    problem_of(site.served.post("/api/v1/returns", &stranger, &body(json!(1))).await, 404, "not_found").await;
    let listed = ok(site.served.get("/api/v1/returns?state=received", &token).await).await;
    assert_eq!(listed["items"][0]["id"], asked["id"]);
}

#[tokio::test]
async fn customers_are_looked_after_over_http() {
    let site = Site::new().await;
    let admin = site.served.token(Role::SuperAdmin, None).await;
    let sales = site.served.token(Role::SalesManager, None).await;
    let new = json!({ "code": "B-7", "title": "Öz Çağrı \"Elektronik\" <b>", "taxNumber": "9900000011",
                      "addresses": [{ "title": "Merkez", "city": "İstanbul" }] });
    let entered = json_of(site.served.post("/api/v1/customers", &sales, &new).await, StatusCode::CREATED).await;
    assert_eq!(
        (&entered["isApproved"], &entered["taxNumberValid"], &entered["source"]),
        (&json!(false), &json!(true), &Value::Null)
    );
    let twice = problem_of(site.served.post("/api/v1/customers", &sales, &new).await, 400, "invalid").await;
    assert_eq!(twice["errors"][0]["code"], "unique");
    let path = format!("/api/v1/customers/{}", entered["id"]);
    let patch = async |token: &str, body: Value| site.served.send(Method::PATCH, &path, token, &body).await;
    let refused = patch(&sales, json!({ "creditLimit": 100 })).await;
    problem_of(refused, 403, "permission_missing").await;
    let limited = ok(patch(&admin, json!({ "creditLimit": 12345.6789, "paymentTermDays": 30 })).await).await;
    assert_eq!(limited["creditLimit"].to_string(), "12345.6789");
    for (body, field, code) in [
        (json!({ "creditLimit": 1.00001 }), "creditLimit", "too_many_decimals"),
        (json!({ "creditLimit": -1 }), "creditLimit", "negative"),
        (json!({ "priceTier": "Z" }), "priceTier", "unknown_value"),
        (json!({ "title": null }), "title", "required"),
        (json!({ "title": "a\u{0}b" }), "title", "control_character"),
        (json!({ "code": "A" }), "code", "unique"),
    ] {
        let problem = problem_of(patch(&admin, body.clone()).await, 400, "invalid").await;
        assert_eq!(
            (&problem["errors"][0]["field"], &problem["errors"][0]["code"]),
            (&json!(field), &json!(code)),
            "{body}"
        );
    }
    problem_of(patch(&admin, json!({ "tilte": "x" })).await, 400, "bad_request").await;
    let verb = |verb: &str| format!("{path}/{verb}");
    let act = async |name: &str| {
        ok(site.served.request(Method::POST, &verb(name), &admin).send().await.expect("an answer")).await
    };
    assert_eq!(act("approve").await["isApproved"], true);
    assert_eq!(act("deactivate").await["isActive"], false);
    assert_eq!(act("activate").await["isActive"], true);
    let list = site
        .number(
            "insert into commerce.price_list (code, name, created_at, updated_at, created_by, updated_by)
         values ('L', 'L', now(), now(), 'x', 'x') returning id",
        )
        .await;
    let assign = async |lists: Value| {
        site.served.send(Method::PUT, &verb("price-lists"), &sales, &json!({ "priceLists": lists })).await
    };
    let line = json!({ "priceListId": list, "priority": 3 });
    assert_eq!(ok(assign(json!([line])).await).await["priceLists"], json!([line]));
    for wrong in [json!([line, line]), json!([{ "priceListId": list + 99 }])] {
        problem_of(assign(wrong).await, 400, "invalid").await;
    }

    // A customer of an ERP is the ERP's.
    sqlx::query(
        "insert into hub.external_ref (connector, entity, internal_id, external_code, last_synced_at)
         values ('logo', 'customer', $1, 'A', now())",
    )
    .bind(site.own)
    .execute(site.served.pool())
    .await
    .expect("linked");
    let own = format!("/api/v1/customers/{}", site.own);
    let refused = site.served.send(Method::PATCH, &own, &admin, &json!({ "title": "Yeni" })).await;
    let refused = problem_of(refused, 409, "source_owned").await;
    assert_eq!((&refused["owner"], &refused["errors"][0]["field"]), (&json!("logo"), &json!("title")));
    assert_eq!(ok(site.served.get(&own, &admin).await).await["source"], "logo");

    // A dealer sees its own company, and nothing to change.
    let dealer = site.dealer().await;
    let seen = ok(site.served.get(&own, &dealer).await).await;
    assert_eq!((seen.get("source"), seen.get("priceLists")), (None, None));
    let listed = ok(site.served.get("/api/v1/customers", &dealer).await).await;
    assert_eq!((listed["items"].as_array().map(Vec::len), &listed["items"][0]["id"]), (Some(1), &json!(site.own)));
    problem_of(site.served.get(&path, &dealer).await, 404, "not_found").await;
    problem_of(
        site.served.send(Method::PATCH, &own, &dealer, &json!({ "title": "x" })).await,
        403,
        "permission_missing",
    )
    .await;
    let audited = site
        .number(
            "select count(*) from identity.audit_event
         where subject_kind = 'customer' and detail -> 'after' ->> 'creditLimit' = '12345.6789'",
        )
        .await;
    assert_eq!(audited, 1);
}
