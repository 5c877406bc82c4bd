//! What becomes of orders at the firm: by REST and by SQL.

use kopru_logo::sql::{After, Children, Query, Since, Warehouses, WhichItems};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    queries::{stamp, stock_page},
    support::Logo,
};

const AFTER: After = After { reference: 0, limit: 100 };

async fn order(logo: &Logo) -> (String, String) {
    let (_, code, unit) = logo.item(1).await;
    let (_, other, _) = logo.item(2).await;
    let today = logo.sql(&Query::ServerTime).await[0]["STAMP"].as_str().unwrap()[..10].to_owned();
    let buyer = logo.buyer().await;
    let order = json!({
        "NUMBER": "~", "DATE": today, "CUST_ORD_NO": "KPR-1", "ARP_CODE": buyer, "TRANSACTIONS": {"items": [
            {"TYPE": 0, "MASTER_CODE": code, "QUANTITY": 10, "PRICE": 100, "VAT_RATE": 20, "UNIT_CODE": unit},
            {"TYPE": 2, "DETAIL_LEVEL": 1, "CALC_TYPE": 0, "DISCOUNT_RATE": 5},
            {"TYPE": 0, "MASTER_CODE": other, "QUANTITY": 3, "PRICE": 50, "VAT_RATE": 20}]}
    });
    let (status, echo) = logo.post("/salesOrders", &order).await;
    assert_eq!(status, StatusCode::OK, "{echo}");
    (code, buyer)
}

fn children(which: WhichItems) -> Children {
    Children { firm: 7, period: 1, documents: which, document: 0, line: 0, limit: 100 }
}

async fn totals(logo: &Logo, code: &str) -> Value {
    let stock = logo.state(&format!("kind=stock&reference={code}")).await;
    stock.as_array().unwrap().iter().find(|row| row["warehouse"] == 0).cloned().unwrap_or_default()
}

#[tokio::test]
async fn goods_leave_and_invoices_follow_what_left() {
    let logo = Logo::small().await;
    let (code, buyer) = order(&logo).await;
    let before = totals(&logo, &code).await;
    let began = stamp(logo.sql(&Query::ServerTime).await[0]["STAMP"].as_str().unwrap());
    logo.shift_clock(60).await;
    logo.change(&json!({"orders": [{"order": "KPR-1", "ship": {&code: 4}, "invoice": true}]})).await;
    let number = |value: &Value| value.as_f64().unwrap();
    let after = totals(&logo, &code).await;
    assert_eq!(number(&before["onHand"]) - number(&after["onHand"]), 4.0);
    assert_eq!(
        number(&before["salesOrders"]) - number(&after["salesOrders"]),
        4.0,
        "what left is not ordered any more"
    );

    let orders = logo.sql(&Query::Orders { firm: 7, period: 1, after: AFTER }).await;
    assert_eq!((orders.len(), &orders[0]["CUST_ORD_NO"]), (1, &json!("KPR-1")));
    let since = Since { stamp: began, reference: 0, limit: 10 };
    assert_eq!(logo.sql(&Query::OrdersChanged { firm: 7, period: 1, since }).await.len(), 1);
    let lines = logo.sql(&Query::OrderLines(children(WhichItems::Range(1, 10_000)))).await;
    assert_eq!(lines.len(), 3);
    assert_eq!((number(&lines[0]["QUANTITY"]), number(&lines[0]["QUANTITY_SHIPPED"])), (10.0, 4.0));
    let listed = logo.get("/salesOrders?expandLevel=full").await;
    assert_eq!(number(&listed["items"][0]["TRANSACTIONS"]["items"][0]["QUANTITY_SHIPPED"]), 4.0);

    let invoices = logo.sql(&Query::Invoices { firm: 7, period: 1, after: AFTER }).await;
    assert_eq!(invoices.len(), 1);
    // 4 × 100 less 5 %, and VAT.
    assert_eq!(number(&invoices[0]["TOTAL_NET"]), 456.0);
    let reference = invoices[0]["INTERNAL_REFERENCE"].as_i64().unwrap();
    let rows = logo.sql(&Query::InvoiceLines(children(WhichItems::Only(vec![reference])))).await;
    assert_eq!(rows.len(), 2, "its discount comes along, the line that did not leave does not");
    assert_eq!(rows[0]["ORDER_REFERENCE"], lines[0]["INTERNAL_REFERENCE"]);
    let payments = logo.sql(&Query::InvoicePayments(children(WhichItems::Only(vec![reference])))).await;
    assert_eq!(number(&payments[0]["TOTAL"]), 456.0);
    let shown = logo.get("/salesInvoices?expandLevel=full").await;
    assert_eq!(shown["items"][0]["NUMBER"], invoices[0]["NUMBER"]);
    assert_eq!(shown["items"][0]["PAYMENT_LIST"]["items"].as_array().unwrap().len(), 1);

    // The rest, in one go; what is invoiced is not invoiced again.
    logo.change(&json!({"orders": [{"order": "KPR-1", "ship": true, "invoice": true}]})).await;
    logo.change(&json!({"orders": [{"order": "KPR-1", "ship": true, "invoice": true}]})).await;
    let invoices = logo.sql(&Query::Invoices { firm: 7, period: 1, after: AFTER }).await;
    let all: f64 = invoices.iter().map(|invoice| number(&invoice["TOTAL_NET"])).sum();
    assert_eq!((invoices.len(), all), (2, 1_320.0));

    logo.change(&json!({"payments": [{"customer": buyer, "amount": 30, "reference": "KPR-P17"}]})).await;
    logo.change(&json!({"invoices": [{"number": invoices[1]["NUMBER"], "cancel": true}]})).await;
    let ledger = logo.sql(&Query::Ledger { firm: 7, period: 1, after: AFTER }).await;
    let told: Vec<(i64, i64, f64)> = ledger
        .iter()
        .map(|row| (row["SIGN"].as_i64().unwrap(), row["CANCELLED"].as_i64().unwrap(), number(&row["AMOUNT"])))
        .collect();
    assert_eq!(told, [(0, 0, 456.0), (0, 1, 864.0), (1, 0, 30.0)]);
    assert_eq!((&ledger[0]["CUST_ORD_NO"], &ledger[2]["DOC_NUMBER"]), (&json!("KPR-1"), &json!("KPR-P17")));
    assert_eq!(ledger[2]["INVOICE_NUMBER"], Value::Null);
}

#[tokio::test]
async fn quantities_change_and_orders_are_cancelled() {
    let logo = Logo::small().await;
    let (code, _) = order(&logo).await;
    let page = || stock_page(0, -1, 10_000, Warehouses::Each);
    let ordered = async || {
        let rows = logo.sql(&Query::Stock { firm: 7, page: page() }).await;
        let row = rows.iter().find(|row| row["CODE"] == code.as_str() && row["INVENNO"] == 0);
        row.map(|row| row["ACTSORDER"].as_f64().unwrap()).unwrap_or_default()
    };
    let with_ten = ordered().await;
    logo.change(&json!({"orders": [{"order": "KPR-1", "quantities": {&code: 6}}]})).await;
    assert_eq!(with_ten - ordered().await, 4.0);
    let orders = logo.sql(&Query::Orders { firm: 7, period: 1, after: AFTER }).await;
    // 6 × 100 less 5 %, 3 × 50, and VAT.
    assert_eq!(orders[0]["TOTAL_NET"].as_f64(), Some(864.0));
    logo.change(&json!({"orders": [{"order": "KPR-1", "cancel": true}]})).await;
    assert_eq!(with_ten - ordered().await, 10.0);
    assert_eq!(logo.sql(&Query::Orders { firm: 7, period: 1, after: AFTER }).await[0]["CANCELLED"], 1);
    assert!(logo.refused_change(&json!({"orders": [{"order": "NONE"}]})).await.contains("no such order"));
    let other = Query::Orders { firm: 7, period: 2, after: AFTER };
    assert_eq!(logo.raw_sql(&other).await.0, StatusCode::BAD_REQUEST);
}
