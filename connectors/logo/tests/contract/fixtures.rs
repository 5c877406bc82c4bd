//! The recorded answers under tests/fixtures/logo: what is asked for each, and how each is read.

use std::{fs, path::PathBuf};

use axum::{body::Body, http::Response};
use kopru_logo::sql::Query;
use kopru_sdk::{Connector, Fault, Reading, Recorded};
use serde_json::{Value, json};

use crate::support::{QUERIES, Seen, Server, TOKEN, cx, pull, reply};

fn fixture(name: &str) -> (Value, String) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/logo").join(format!("{name}.json"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    (serde_json::from_str(&text).unwrap(), text)
}

fn recorded(name: &str) -> Response<Body> {
    let (response, _) = fixture(&format!("{name}.response"));
    let body = response["text"].as_str().map_or_else(|| response["body"].to_string(), str::to_owned);
    let status = response["status"].as_u64().unwrap() as u16;
    reply(status, response["contentType"].as_str().unwrap(), body)
}

/// The answers that lead up to the recorded one.
fn prelude(seen: &Seen) -> Option<Response<Body>> {
    match seen.sql()? {
        Query::ServerTime => Some(reply(200, "application/json", r#"{"items":[{"STAMP":"2026-03-02T09:30:00"}]}"#)),
        Query::Periods { .. } => Some(recorded("periods/ok")),
        Query::Items { .. } => Some(reply(
            200,
            "application/json",
            r#"{"items":[{"INTERNAL_REFERENCE":1041,"CODE":"KMR-DM4-2812"},{"INTERNAL_REFERENCE":1042,"CODE":"KBL-C6-305"}]}"#,
        )),
        _ => None,
    }
}

/// Runs the operation of a fixture against its recorded answer: compares what was asked, and returns the class and
/// the number of records.
async fn check(name: &'static str) -> (String, usize) {
    let (operation, _) = name.split_once('/').unwrap();
    let server = Server::start(move |seen, _| match operation {
        "token" if seen.path == TOKEN => recorded(name),
        _ if seen.path == TOKEN => recorded("token/ok"),
        "stock" | "ledger" | "item_units" => prelude(seen).unwrap_or_else(|| recorded(name)),
        "token" => recorded("periods/ok"),
        _ => recorded(name),
    })
    .await;
    let connector = match operation {
        "stock" | "ledger" | "item_units" | "periods" | "token" => server.connector(json!({})),
        _ => server.connector(json!({"via": "rest"})),
    };
    let outcome = match operation {
        "token" | "periods" => connector.check(&cx()).await.map(|()| 1),
        operation => {
            pull(&*connector, if operation == "item_units" { "items" } else { operation }, None).await.map(|page| {
                let body: Value = serde_json::from_slice(&page.body).unwrap();
                body["items"].as_array().unwrap().len()
            })
        }
    };
    compare(&server, &fixture(&format!("{name}.request")).0);
    let live = match &outcome {
        Ok(_) => "ok",
        Err(fault) => fault.class(),
    };
    assert_eq!(
        read(&*connector, name).as_ref().map_or_else(|fault| fault.class(), |_| "ok"),
        live,
        "as it was recorded"
    );
    match outcome {
        Ok(rows) => ("ok".to_owned(), rows),
        Err(fault) => (fault.class().to_owned(), 0),
    }
}

/// The same answer, read without a server.
fn read(connector: &dyn Connector, name: &str) -> Result<Reading, Fault> {
    let (response, _) = fixture(&format!("{name}.response"));
    let body = response["text"].as_str().map_or_else(|| response["body"].to_string(), str::to_owned);
    let recorded = Recorded {
        operation: name.split_once('/').unwrap().0.to_owned(),
        status: response["status"].as_u64().unwrap() as u16,
        content_type: response["contentType"].as_str().map(str::to_owned),
        body: body.into(),
    };
    connector.read(&cx(), &recorded)
}

fn compare(server: &Server, expected: &Value) {
    let path = expected["path"].as_str().unwrap();
    let seen = server.seen(path);
    let seen = seen
        .iter()
        .rfind(|seen| {
            path != QUERIES || expected["body"].as_str() == serde_json::from_str::<String>(&seen.body).ok().as_deref()
        })
        .unwrap_or_else(|| {
            panic!("{path} was not asked as recorded: {:#?}", seen.iter().map(|seen| &seen.body).collect::<Vec<_>>())
        });
    assert_eq!(seen.method, expected["method"].as_str().unwrap());
    if let Some(form) = expected["form"].as_str() {
        assert_eq!(seen.body, form);
    }
    let query = expected["query"].as_object().cloned().unwrap_or_default();
    assert_eq!(json!(seen.query), json!(query));
    for (name, value) in expected["headers"].as_object().unwrap() {
        assert_eq!(seen.header(name), value.as_str().unwrap(), "{name}");
    }
}

macro_rules! cases {
    ($($test:ident: $name:literal => $class:literal, $rows:literal;)*) => {$(
        #[tokio::test]
        async fn $test() {
            assert_eq!(check($name).await, ($class.to_owned(), $rows));
        }
    )*};
}

cases! {
    signs_in: "token/ok" => "ok", 1;
    wrong_password: "token/refused" => "unauthenticated", 0;
    cut_token: "token/garbled" => "transient", 0;
    period_covers_today: "periods/ok" => "ok", 1;
    sql_not_permitted: "periods/refused" => "contract", 0;
    garbage_for_periods: "periods/garbled" => "transient", 0;
    items: "items/ok" => "ok", 3;
    token_denied: "items/refused" => "unauthenticated", 0;
    cut_items: "items/garbled" => "transient", 0;
    units_of_items: "item_units/ok" => "ok", 2;
    no_table_of_units: "item_units/refused" => "contract", 0;
    cut_units: "item_units/garbled" => "transient", 0;
    customers: "customers/ok" => "ok", 2;
    login_gone: "customers/refused" => "unauthenticated", 0;
    cut_customers: "customers/garbled" => "transient", 0;
    prices: "prices/ok" => "ok", 2;
    prices_not_permitted: "prices/refused" => "contract", 0;
    cut_prices: "prices/garbled" => "transient", 0;
    group_codes_of_items_only: "group_codes/ok" => "ok", 2;
    locked_record: "group_codes/refused" => "transient", 0;
    cut_group_codes: "group_codes/garbled" => "transient", 0;
    brands: "brands/ok" => "ok", 2;
    no_seat_left: "brands/refused" => "transient", 0;
    cut_brands: "brands/garbled" => "transient", 0;
    unit_sets: "unit_sets/ok" => "ok", 2;
    exception: "unit_sets/refused" => "transient", 0;
    cut_unit_sets: "unit_sets/garbled" => "transient", 0;
    stock: "stock/ok" => "ok", 3;
    wrong_period_number: "stock/refused" => "contract", 0;
    html_for_stock: "stock/garbled" => "transient", 0;
    orders: "orders/ok" => "ok", 2;
    orders_not_permitted: "orders/refused" => "contract", 0;
    cut_orders: "orders/garbled" => "transient", 0;
    invoices: "invoices/ok" => "ok", 1;
    invoices_not_permitted: "invoices/refused" => "contract", 0;
    cut_invoices: "invoices/garbled" => "transient", 0;
    movements: "ledger/ok" => "ok", 2;
    movements_of_another_period: "ledger/refused" => "contract", 0;
    html_for_movements: "ledger/garbled" => "transient", 0;
}
