//! Invoices: written by their source, shown to whom they belong.

use kopru::{
    commerce::{
        Outcome,
        account::{self, LedgerUpsert},
        invoices::{self, InvoiceFilter, InvoiceKind, InvoiceLine, InvoiceStatus, InvoiceUpsert},
    },
    page::PageRequest,
    principal::Scope,
};
use rust_decimal::Decimal;
use serde_json::json;
use sqlx::PgPool;

use super::{account::owed, assert_refused};
use crate::support::{
    database::TestDatabase,
    dealers::{customer, day, erp, number, order, product},
    event_schemas::events_are_as_described,
};

pub fn line(order_line: Option<i64>, pieces: i64) -> InvoiceLine<'static> {
    InvoiceLine {
        order_line,
        order_reference: None,
        product: None,
        code: Some("P"),
        description: "Kamera",
        quantity: pieces.into(),
        unit: Some("ADET"),
        numerator: Decimal::ONE,
        denominator: Decimal::ONE,
        unit_price: number("10"),
        amount: Decimal::from(pieces * 10),
        discount: Decimal::ZERO,
        vat_rate: number("20"),
        vat: Decimal::from(pieces * 2),
    }
}

/// Of so many pieces of an order's line.
pub fn of_order<'a>(
    id: i64,
    number: &'a str,
    customer: i64,
    order: Option<i64>,
    line_id: Option<i64>,
    pieces: i64,
) -> InvoiceUpsert<'a> {
    InvoiceUpsert {
        id,
        is_new: true,
        external_id: number,
        customer,
        order,
        number,
        ettn: None,
        kind: InvoiceKind::Sale,
        status: InvoiceStatus::Issued,
        profile: Some("TICARIFATURA"),
        issued_on: day("2026-03-05"),
        due_date: Some(day("2026-04-04")),
        currency: "TRY",
        exchange_rate: None,
        subtotal: Decimal::from(pieces * 10),
        discount: Decimal::ZERO,
        tax: Decimal::from(pieces * 2),
        total: Decimal::from(pieces * 12),
        pdf_url: None,
        note: None,
        lines: vec![line(line_id, pieces)],
        payments: Vec::new(),
    }
}

pub async fn upsert(pool: &PgPool, rows: &[InvoiceUpsert<'_>]) -> Vec<Outcome> {
    let mut tx = pool.begin().await.expect("begin");
    let outcomes = invoices::upsert_invoices(&mut tx, &erp(), rows).await.expect("applied");
    tx.commit().await.expect("commit");
    events_are_as_described(pool).await;
    outcomes
}

pub async fn ids(pool: &PgPool, count: usize) -> Vec<i64> {
    invoices::allocate_ids(&mut pool.acquire().await.expect("a connection"), count).await.expect("ids")
}

async fn invoiced(pool: &PgPool, line: i64) -> Decimal {
    sqlx::query_scalar("select invoiced from commerce.sales_order_line where id = $1")
        .bind(line)
        .fetch_one(pool)
        .await
        .expect("a line")
}

async fn totals(pool: &PgPool, customer: i64) -> (Decimal, Decimal, Decimal) {
    let mut conn = pool.acquire().await.expect("a connection");
    let risk = account::risk(&mut conn, Scope::house(), customer, day("2026-11-21")).await.expect("the store");
    let own = risk.expect("a customer").own;
    (own.booked, own.provisional, own.exposure)
}

#[tokio::test]
async fn an_invoice_takes_over_from_the_order_and_the_books_from_the_invoice() {
    let database = TestDatabase::new().await;
    let pool = &database.pool;
    let (dealer, goods) = (customer(pool, "A", None).await, product(pool, "P").await);
    let (order, line) = order(pool, dealer, goods, 10, "confirmed").await;
    let zero = Decimal::ZERO;
    assert_eq!(totals(pool, dealer).await, (zero, zero, number("120")));
    let id = ids(pool, 1).await[0];
    let invoice = of_order(id, "KPR2026000000041", dealer, Some(order), Some(line), 4);
    assert_eq!(upsert(pool, std::slice::from_ref(&invoice)).await, [Outcome::Created]);
    assert_eq!(
        (invoiced(pool, line).await, totals(pool, dealer).await),
        (number("4"), (zero, number("48"), number("72")))
    );

    let known = InvoiceUpsert { is_new: false, ..invoice.clone() };
    assert_eq!(upsert(pool, std::slice::from_ref(&known)).await, [Outcome::Unchanged]);
    let row = account::allocate_ids(&mut pool.acquire().await.expect("a connection"), 1).await.expect("ids")[0];
    let movement = LedgerUpsert {
        debit: number("48"),
        document_number: Some("KPR2026000000041"),
        order: Some(order),
        ..owed(row, "77", dealer)
    };
    account::upsert_ledger(&mut pool.acquire().await.expect("a connection"), &erp(), &[movement])
        .await
        .expect("applied");
    assert_eq!(totals(pool, dealer).await, (number("48"), zero, number("72")));

    // Two more pieces on another line of it, in dozens.
    let mut more = known.clone();
    more.lines.push(InvoiceLine {
        quantity: number("0.5"),
        unit: Some("DÜZİNE"),
        numerator: number("12"),
        ..self::line(Some(line), 0)
    });
    assert_eq!(upsert(pool, &[more]).await, [Outcome::Updated]);
    assert_eq!(invoiced(pool, line).await, number("10"));
    let cancelled = InvoiceUpsert { status: InvoiceStatus::Cancelled, ..known };
    assert_eq!(upsert(pool, &[cancelled]).await, [Outcome::Updated]);
    assert_eq!(invoiced(pool, line).await, zero);

    let events: Vec<(String, i64, i64)> =
        sqlx::query_as("select type, aggregate_id, revision from hub.outbox_event order by type, revision")
            .fetch_all(pool)
            .await
            .expect("events");
    let updated = |revision| ("order.updated".to_owned(), order, revision);
    assert_eq!(events, [("invoice.created".to_owned(), id, 1), updated(2), updated(3), updated(4)]);
}

#[tokio::test]
async fn an_invoice_that_is_of_no_order_of_ours_waits_for_its_movement() {
    let database = TestDatabase::new().await;
    let pool = &database.pool;
    let dealer = customer(pool, "A", None).await;
    let id = ids(pool, 1).await[0];
    upsert(pool, &[of_order(id, "N1", dealer, None, None, 4)]).await;
    assert_eq!(totals(pool, dealer).await, (Decimal::ZERO, Decimal::ZERO, Decimal::ZERO));
}

#[tokio::test]
async fn what_is_no_invoice_is_refused_and_the_others_go_in() {
    let database = TestDatabase::new().await;
    let pool = &database.pool;
    let (dealer, other, goods) =
        (customer(pool, "A", None).await, customer(pool, "B", None).await, product(pool, "P").await);
    let (foreign, foreign_line) = order(pool, other, goods, 10, "confirmed").await;
    let ids = ids(pool, 8).await;
    let plain = |at: usize, number| of_order(ids[at], number, dealer, None, None, 1);
    let rows = [
        InvoiceUpsert { order: Some(foreign), ..plain(0, "1") },
        InvoiceUpsert { lines: vec![line(Some(foreign_line), 1)], ..plain(1, "2") },
        InvoiceUpsert { lines: vec![InvoiceLine { product: Some(goods + 99), ..line(None, 1) }], ..plain(2, "3") },
        InvoiceUpsert { total: number("-1"), ..plain(3, "4") },
        InvoiceUpsert { number: "", ..plain(4, "5") },
        InvoiceUpsert { customer: other + 99, ..plain(5, "6") },
        plain(6, "7"),
        plain(7, "7"),
    ];
    let outcomes = upsert(pool, &rows).await;
    let refusals = [
        ("order", "missing_reference"),
        ("lines", "missing_reference"),
        ("lines", "missing_reference"),
        ("total", "negative"),
        ("number", "required"),
        ("customer", "missing_reference"),
    ];
    for (outcome, (field, rule)) in outcomes.iter().zip(refusals) {
        assert_refused(outcome, field, rule);
    }
    assert_eq!(outcomes[6], Outcome::Created);
    assert_refused(&outcomes[7], "externalId", "unique");
}

#[tokio::test]
async fn a_dealer_sees_its_own_invoices() {
    let database = TestDatabase::new().await;
    let pool = &database.pool;
    let (dealer, other) = (customer(pool, "A", None).await, customer(pool, "B", None).await);
    let ids = ids(pool, 3).await;
    let hers = of_order(ids[2], "3", other, None, None, 1);
    let first = InvoiceUpsert { issued_on: day("2026-01-05"), ..of_order(ids[0], "1", dealer, None, None, 2) };
    upsert(pool, &[first, of_order(ids[1], "2", dealer, None, None, 1), hers]).await;
    let mut conn = pool.acquire().await.expect("a connection");
    let page = PageRequest::new(None, None).expect("a page");
    let mut listed = async |scope, filter: InvoiceFilter| -> Vec<i64> {
        let list = invoices::invoices(&mut conn, scope, &filter, &page).await.expect("a page");
        list.items.iter().map(|item| item.id).collect()
    };
    let own = Scope::company(dealer);
    assert_eq!(listed(own, InvoiceFilter::default()).await, [ids[1], ids[0]]);
    assert_eq!(listed(own, InvoiceFilter { customer: Some(other), ..InvoiceFilter::default() }).await, [0; 0]);
    assert_eq!(
        listed(Scope::house(), InvoiceFilter { customer: Some(other), ..InvoiceFilter::default() }).await,
        [ids[2]]
    );
    assert_eq!(listed(own, InvoiceFilter { number: Some("1".into()), ..InvoiceFilter::default() }).await, [ids[0]]);
    assert_eq!(listed(own, InvoiceFilter { to: Some(day("2026-02-01")), ..InvoiceFilter::default() }).await, [ids[0]]);
    assert!(invoices::invoice(&mut conn, own, ids[2]).await.expect("the store").is_none());
    let shown = invoices::invoice(&mut conn, own, ids[0]).await.expect("the store").expect("it is there");
    let shown = serde_json::to_value(&shown).expect("JSON");
    assert_eq!((&shown["number"], &shown["profile"]), (&json!("1"), &json!("TICARIFATURA")));
    assert_eq!(shown["lines"][0]["quantity"].to_string(), "2.0000");
}
