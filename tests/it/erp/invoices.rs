//! Invoices, polled and pushed.

use kopru::{
    audit::Actor,
    canonical::Entity,
    hub::{
        deactivate::{Deactivation, deactivate_one},
        intake::{Submission, Submitted, submit_alone},
    },
    mapping::{Format, OnMissing},
};
use serde_json::{Value, json};

use super::{DEALER, Shop, invoice, order};
use crate::support::{event_schemas::events_are_as_described, hub::ERP};

/// As the Integration API takes it, with a key of this instance.
async fn push(shop: &Shop, items: &Value) -> Submitted {
    let body = items.to_string();
    let submission = Submission {
        connector: ERP,
        stream: "push.invoices",
        mapping: "integration/invoices",
        format: Format::Json,
        body: body.as_bytes(),
        correlation_id: "c-1",
        origin: ERP,
        run_id: None,
        on_missing: Some(OnMissing::Fail),
        keep_failed: true,
        bulk: false,
        received_at: shop.hub.engine.database_now().await.expect("the time"),
        first: 0,
        isolate: false,
        recalls: true,
        stands_alone: false,
    };
    submit_alone(&shop.hub.engine, &submission).await.expect("submitted")
}

async fn stored(shop: &Shop) -> Value {
    shop.hub
        .row(
            "select i.number, i.status, i.ettn, i.profile, i.due_date, i.total::float8, i.order_id is not null as of_order,
                 (select json_agg(json_build_object('line', l.order_line_id is not null, 'product', l.product_id is not null,
                      'quantity', l.quantity::float8)) from commerce.invoice_line l where l.invoice_id = i.id) as lines,
                 (select json_agg(json_build_object('due', p.due_date, 'amount', p.amount::float8))
                  from commerce.invoice_payment p where p.invoice_id = i.id) as payments
             from commerce.invoice i",
        )
        .await
}

#[tokio::test]
async fn an_invoice_and_its_order_find_each_other_whichever_comes_first() {
    let mut ends = Vec::new();
    for order_first in [true, false] {
        let shop = Shop::open().await;
        if order_first {
            shop.reads("orders", [order(10, 4, 0)]).await;
            shop.reads("invoices", [invoice("KPR41", 4, 0)]).await;
        } else {
            shop.reads("invoices", [invoice("KPR41", 4, 0)]).await;
            assert_eq!(stored(&shop).await["of_order"], false, "nobody knows yet what line 2109 is");
            shop.reads("orders", [order(10, 4, 0)]).await;
        }
        let row = stored(&shop).await;
        let lines = json!([{ "line": true, "product": true, "quantity": 4 }]);
        assert_eq!((&row["of_order"], &row["lines"]), (&json!(true), &lines), "{row}");
        assert_eq!(row["payments"], json!([{ "due": "2026-04-04", "amount": 48 }]));
        assert_eq!((&row["profile"], &row["due_date"]), (&json!("TICARIFATURA"), &json!("2026-04-04")));
        let provisional =
            "select debit::float8, kind from commerce.ledger_entry where is_provisional and not is_cancelled";
        assert_eq!(shop.hub.row(provisional).await, json!({ "debit": 48, "kind": "invoice" }));
        ends.push((shop.order_row().await, row));
        // Read again it is as it is.
        let run = shop.reads("invoices", [invoice("KPR41", 4, 0)]).await;
        assert_eq!(run.unchanged, 1);
        // Another number, the same invoice.
        shop.reads("invoices", [invoice("KPR2026000000041", 4, 1)]).await;
        assert_eq!(stored(&shop).await["number"], "KPR2026000000041");
        events_are_as_described(shop.hub.pool()).await;
    }
    assert_eq!(ends[0], ends[1]);
    assert_eq!(ends[0].0["invoiced"], 4);
}

#[tokio::test]
async fn an_invoice_waits_for_its_customer() {
    let shop = Shop::open().await;
    let mut early = invoice("KPR41", 4, 0);
    early["ARP_CODE"] = json!("120.02");
    let run = shop.reads("invoices", [early]).await;
    assert_eq!(run.deferred, 1);
    let other = crate::support::dealers::customer(shop.hub.pool(), "120.02", None).await;
    shop.link("customer", other, "120.02").await;
    shop.hub.execute("delete from hub.message_wait; update hub.message set state = 'received', due_at = now()").await;
    shop.hub.work().await;
    assert_eq!(stored(&shop).await["number"], "KPR41");
}

#[tokio::test]
async fn an_invoice_is_pushed_by_the_numbers_of_our_order() {
    let shop = Shop::open().await;
    let number = shop.hub.row("select number from commerce.sales_order").await["number"].clone();
    let pushed = json!({ "items": [
        { "number": "KPR41", "customerCode": DEALER, "orderNumber": number, "issuedOn": "2026-03-05", "tax": 8, "total": 48,
          "ettn": "e5a9c3d4-22b7-4c3e-8f10-6b0c9d415203", "pdfUrl": "https://logo.example/41.pdf",
          "lines": [{ "orderLine": 1, "productCode": "P", "quantity": 4, "unitPrice": 10, "vatRate": 20, "vat": 8 }],
          "payments": [{ "dueDate": "2026-04-04", "amount": 48 }] },
        { "number": "KPR42", "customerCode": DEALER, "orderNumber": "ORD202001010001", "issuedOn": "2026-03-05", "total": 1 },
        { "number": "KPR43", "customerCode": "120.99", "issuedOn": "2026-03-05", "total": 1 },
        { "number": "KPR44", "customerCode": DEALER, "issuedOn": "2026-03-05", "total": 1, "status": "lost" }
    ] });
    let told = push(&shop, &pushed).await;
    let fates: Vec<(&str, &str)> = told
        .items
        .iter()
        .map(|item| (item.status.as_str(), item.failure.as_ref().map_or("", |failure| failure.reason.as_str())))
        .collect();
    let missing = ("failed", "missing_reference");
    assert_eq!(fates, [("created", ""), missing, missing, ("failed", "unknown_value")]);
    assert!(told.items[1..].iter().all(|item| item.dead_letter_id.is_some()));
    let row = stored(&shop).await;
    assert_eq!((&row["of_order"], &row["total"]), (&json!(true), &json!(48)));
    assert_eq!(shop.order_row().await["invoiced"], 4);

    // The same invoice polled is the same record.
    shop.reads("orders", [order(10, 4, 0)]).await;
    let run = shop.reads("invoices", [invoice("KPR41", 4, 0)]).await;
    assert_eq!((run.created, run.updated), (0, 1), "{run:?}");
    assert_eq!(shop.hub.count("commerce.invoice").await, 1);

    // Deleted by who wrote it: the order gets its quantities back.
    let by = Actor::new("cli:test", "test");
    let mut tx = shop.hub.pool().begin().await.expect("begin");
    let gone = deactivate_one(&mut tx, &shop.hub.engine, ERP, Entity::Invoice, "KPR41", by).await.expect("applied");
    tx.commit().await.expect("commit");
    assert!(matches!(gone, Deactivation::Done(_)));
    assert_eq!(
        (stored(&shop).await["status"].clone(), shop.order_row().await["invoiced"].clone()),
        (json!("cancelled"), json!(0))
    );
    let owed = "select coalesce(sum(debit - credit), 0)::float8 as owed from commerce.ledger_counted";
    assert_eq!(shop.hub.row(owed).await, json!({ "owed": 0 }));
    // And its next document brings it back.
    shop.reads("invoices", [invoice("KPR41", 4, 2)]).await;
    assert_eq!(shop.order_row().await["invoiced"], 4);
}
