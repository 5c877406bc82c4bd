//! The current account: movements, balance, risk, statement.

use kopru::{
    commerce::{
        Outcome,
        account::{self, EntryKind, LedgerUpsert, ListError, MovementFilter, Period, Posting},
    },
    page::PageRequest,
    principal::{Principal, Role, Scope},
};
use rust_decimal::Decimal;
use serde_json::json;
use sqlx::PgPool;

use super::assert_refused;
use crate::support::{
    database::TestDatabase,
    dealers::{customer, day, erp, number, order, order_in, product, somebody},
};

/// A movement of 100.00 owed since the first of March.
pub fn owed<'a>(id: i64, external_id: &'a str, customer: i64) -> LedgerUpsert<'a> {
    LedgerUpsert {
        id,
        is_new: true,
        external_id,
        customer,
        kind: EntryKind::Invoice,
        currency: "TRY",
        debit: number("100"),
        credit: Decimal::ZERO,
        booked_at: day("2026-03-01"),
        due_date: Some(day("2026-03-31")),
        document_number: None,
        description: None,
        reference: None,
        order: None,
        book: None,
        is_cancelled: false,
    }
}

pub fn paid<'a>(id: i64, external_id: &'a str, customer: i64, amount: &str) -> LedgerUpsert<'a> {
    LedgerUpsert {
        kind: EntryKind::Payment,
        debit: Decimal::ZERO,
        credit: number(amount),
        due_date: None,
        ..owed(id, external_id, customer)
    }
}

async fn ids(pool: &PgPool, count: usize) -> Vec<i64> {
    account::allocate_ids(&mut pool.acquire().await.expect("a connection"), count).await.expect("ids")
}

async fn upsert(pool: &PgPool, rows: &[LedgerUpsert<'_>]) -> Vec<Outcome> {
    let mut tx = pool.begin().await.expect("begin");
    let outcomes = account::upsert_ledger(&mut tx, &erp(), rows).await.expect("applied");
    tx.commit().await.expect("commit");
    outcomes
}

async fn risk(pool: &PgPool, customer: i64) -> account::Risk {
    let mut conn = pool.acquire().await.expect("a connection");
    account::risk(&mut conn, Scope::house(), customer, day("2026-11-21")).await.expect("the store").expect("a customer")
}

#[tokio::test]
async fn a_movement_is_written_once_and_changed_whole() {
    let database = TestDatabase::new().await;
    let (pool, dealer) = (&database.pool, customer(&database.pool, "A", None).await);
    let ids = ids(pool, 3).await;
    let rows = [owed(ids[0], "1", dealer), paid(ids[1], "2", dealer, "30")];
    assert_eq!(upsert(pool, &rows).await, [Outcome::Created, Outcome::Created]);
    let known = |row: &LedgerUpsert<'static>| LedgerUpsert { is_new: false, ..row.clone() };
    let again = [known(&owed(ids[0], "1", dealer)), known(&paid(ids[1], "2", dealer, "30.0000"))];
    assert_eq!(upsert(pool, &again).await, [Outcome::Unchanged, Outcome::Unchanged]);
    let changed = [LedgerUpsert { debit: number("120"), due_date: None, ..again[0].clone() }];
    assert_eq!(upsert(pool, &changed).await, [Outcome::Updated]);
    assert_eq!(risk(pool, dealer).await.own.balance(), number("90"));

    let mut conn = pool.acquire().await.expect("a connection");
    let found = account::ids_by_external_id(&mut conn, "logo", &["2", "none", "1"]).await.expect("found");
    assert_eq!(found, [(0, ids[1]), (2, ids[0])]);
    // Another book has numbers of its own.
    assert!(account::ids_by_external_id(&mut conn, "netsis", &["1"]).await.expect("found").is_empty());
}

#[tokio::test]
async fn what_is_no_movement_is_refused_and_the_others_go_in() {
    let database = TestDatabase::new().await;
    let (pool, dealer) = (&database.pool, customer(&database.pool, "A", None).await);
    let ids = ids(pool, 9).await;
    let long = "x".repeat(501);
    let rows = [
        LedgerUpsert { credit: number("1"), ..owed(ids[0], "1", dealer) },
        LedgerUpsert { debit: number("-1"), ..owed(ids[1], "2", dealer) },
        LedgerUpsert { debit: number("100000000000000"), ..owed(ids[2], "3", dealer) },
        LedgerUpsert { currency: "lira", ..owed(ids[3], "4", dealer) },
        LedgerUpsert { description: Some(&long), ..owed(ids[4], "5", dealer) },
        LedgerUpsert { description: Some("a\0b"), ..owed(ids[5], "6", dealer) },
        owed(ids[6], "7", dealer + 1000),
        owed(ids[7], "8", dealer),
        owed(ids[8], "8", dealer),
    ];
    let outcomes = upsert(pool, &rows).await;
    let refusals = [
        ("credit", "out_of_range"),
        ("debit", "negative"),
        ("debit", "out_of_range"),
        ("currency", "format"),
        ("description", "too_long"),
        ("description", "control_character"),
        ("customer", "missing_reference"),
    ];
    for (outcome, (field, rule)) in outcomes.iter().zip(refusals) {
        assert_refused(outcome, field, rule);
    }
    assert_eq!(outcomes[7], Outcome::Created);
    assert_refused(&outcomes[8], "externalId", "unique");
}

#[tokio::test]
async fn risk_is_the_books_what_is_provisional_and_what_is_open() {
    let database = TestDatabase::new().await;
    let (pool, dealer) = (&database.pool, customer(&database.pool, "A", Some(500)).await);
    let goods = product(pool, "P").await;
    let ids = ids(pool, 3).await;
    upsert(pool, &[owed(ids[0], "1", dealer), paid(ids[1], "2", dealer, "30")]).await;
    upsert(pool, &[LedgerUpsert { currency: "USD", ..owed(ids[2], "3", dealer) }]).await;
    order(pool, dealer, goods, 5, "confirmed").await;
    order(pool, dealer, goods, 1, "pending_approval").await;
    for state in ["cancelled", "completed", "returned", "pending_payment"] {
        order(pool, dealer, goods, 50, state).await;
    }
    order_in(pool, dealer, goods, 2, "shipped", "EUR").await;
    let mut tx = pool.begin().await.expect("begin");
    let posting = Posting {
        key: "payment:1",
        customer: dealer,
        kind: EntryKind::Payment,
        currency: "TRY",
        debit: Decimal::ZERO,
        credit: number("20"),
        booked_at: day("2026-11-20"),
        due_date: None,
        document_number: None,
        reference: Some("K7-P1"),
        description: None,
        order: None,
        is_cancelled: false,
    };
    account::post(&mut tx, &somebody(), std::slice::from_ref(&posting)).await.expect("posted");
    account::post(&mut tx, &somebody(), &[posting]).await.expect("posted again");
    tx.commit().await.expect("commit");

    let risk = risk(pool, dealer).await;
    let own = &risk.own;
    assert_eq!(
        (own.booked, own.provisional, own.exposure, own.overdue),
        (number("70"), number("-20"), number("72"), number("50"))
    );
    assert_eq!((own.total(), risk.available()), (number("122"), Some(number("378"))));
    assert!(!risk.is_exceeded_by(number("378")) && risk.is_exceeded_by(number("378.01")));
    let others: Vec<_> = risk.others.iter().map(|sum| (sum.currency.as_str(), sum.booked, sum.exposure)).collect();
    assert_eq!(others, [("EUR", Decimal::ZERO, number("24")), ("USD", number("100"), Decimal::ZERO)]);

    // The ERP's row for the same money.
    let booked = ids_for(pool).await;
    upsert(pool, &[LedgerUpsert { reference: Some("K7-P1"), ..paid(booked, "9", dealer, "20") }]).await;
    let own = self::risk(pool, dealer).await.own;
    assert_eq!((own.booked, own.provisional), (number("50"), Decimal::ZERO));
    // It was another's, after all.
    let other = LedgerUpsert { is_new: false, ..paid(booked, "9", dealer, "20") };
    upsert(pool, &[other]).await;
    let own = self::risk(pool, dealer).await.own;
    assert_eq!((own.booked, own.provisional), (number("50"), number("-20")));
}

async fn ids_for(pool: &PgPool) -> i64 {
    ids(pool, 1).await[0]
}

#[tokio::test]
async fn nobody_sees_anothers_account() {
    let database = TestDatabase::new().await;
    let pool = &database.pool;
    let (own, other) = (customer(pool, "A", None).await, customer(pool, "B", None).await);
    let ids = ids(pool, 2).await;
    upsert(pool, &[owed(ids[0], "1", own), owed(ids[1], "2", other)]).await;
    let (mut conn, today) = (pool.acquire().await.expect("a connection"), day("2026-11-21"));
    let nobody = Principal::user(1, Role::DealerOwner, None).scope();
    let page = PageRequest::new(None, None).expect("a page");
    let period = Period::new(Some(day("2026-01-01")), None, today).expect("a period");
    for scope in [Scope::company(other), nobody] {
        assert_eq!(account::risk(&mut conn, scope, own, today).await.expect("the store"), None);
        assert_eq!(account::balance(&mut conn, scope, own, today).await.expect("the store"), None);
        assert_eq!(account::statement(&mut conn, scope, own, period, None).await.expect("the store"), None);
        let list = account::transactions(&mut conn, scope, own, &MovementFilter::default(), &page).await;
        assert!(list.expect("the store").items.is_empty());
    }
    let list = account::transactions(&mut conn, Scope::company(own), own, &MovementFilter::default(), &page).await;
    assert_eq!(list.expect("the store").items.len(), 1);
}

#[tokio::test]
async fn movements_are_paged_newest_first_and_filtered() {
    let database = TestDatabase::new().await;
    let (pool, dealer) = (&database.pool, customer(&database.pool, "A", None).await);
    let ids = ids(pool, 25).await;
    let names: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let rows: Vec<LedgerUpsert<'_>> = ids
        .iter()
        .zip(&names)
        .enumerate()
        .map(|(at, (id, name))| LedgerUpsert {
            // Days of which several have more than one movement.
            booked_at: day("2026-03-01") + chrono::Days::new(at as u64 / 3),
            kind: if at % 5 == 0 { EntryKind::Opening } else { EntryKind::Invoice },
            is_cancelled: at == 24,
            ..owed(*id, name, dealer)
        })
        .collect();
    upsert(pool, &rows).await;
    let mut conn = pool.acquire().await.expect("a connection");
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = PageRequest::new(Some(7), cursor).expect("a page");
        let listed = account::transactions(&mut conn, Scope::house(), dealer, &MovementFilter::default(), &page).await;
        let listed = listed.expect("a page");
        seen.extend(listed.items.iter().map(|item| item.id));
        cursor = listed.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let mut expected = ids[..24].to_vec();
    expected.reverse();
    assert_eq!(seen, expected);
    let filter = MovementFilter {
        from: Some(day("2026-03-02")),
        to: Some(day("2026-03-03")),
        kind: Some(EntryKind::Opening),
        currency: Some("TRY".to_owned()),
    };
    let page = PageRequest::new(None, None).expect("a page");
    let listed = account::transactions(&mut conn, Scope::house(), dealer, &filter, &page).await.expect("a page");
    assert_eq!(listed.items.iter().map(|item| item.id).collect::<Vec<_>>(), [ids[5]]);
    let reversed = MovementFilter { from: filter.to, to: filter.from, ..MovementFilter::default() };
    let refused = account::transactions(&mut conn, Scope::house(), dealer, &reversed, &page).await;
    assert!(matches!(refused, Err(ListError::Period(_))));
}

#[tokio::test]
async fn a_statement_adds_up() {
    let database = TestDatabase::new().await;
    let (pool, dealer) = (&database.pool, customer(&database.pool, "120.34.0187", None).await);
    let ids = ids(pool, 6).await;
    let on = |date, row: LedgerUpsert<'static>| LedgerUpsert { booked_at: day(date), ..row };
    upsert(
        pool,
        &[
            on("2025-12-31", owed(ids[0], "1", dealer)),
            on("2026-01-01", owed(ids[1], "2", dealer)),
            on("2026-01-31", paid(ids[2], "3", dealer, "250.55")),
            on("2026-02-01", owed(ids[3], "4", dealer)),
            LedgerUpsert { currency: "USD", ..on("2026-01-15", owed(ids[4], "5", dealer)) },
            LedgerUpsert { is_cancelled: true, ..on("2026-01-15", owed(ids[5], "6", dealer)) },
        ],
    )
    .await;
    let mut conn = pool.acquire().await.expect("a connection");
    let period = Period::new(Some(day("2026-01-01")), Some(day("2026-01-31")), day("2026-11-21")).expect("a period");
    let statement = account::statement(&mut conn, Scope::company(dealer), dealer, period, None).await;
    let statement = statement.expect("the store").expect("a customer");
    let shown = serde_json::to_value(&statement).expect("JSON");
    let lines: Vec<_> =
        shown["movements"].as_array().expect("a list").iter().map(|line| (&line["id"], &line["balance"])).collect();
    assert_eq!(lines, [(&json!(ids[1]), &number_json("200.0000")), (&json!(ids[2]), &number_json("-50.5500"))]);
    assert_eq!(
        (&shown["openingBalance"], &shown["totalDebit"], &shown["totalCredit"], &shown["closingBalance"]),
        (&number_json("100.0000"), &number_json("100.0000"), &number_json("250.5500"), &number_json("-50.5500"))
    );
    let dollars = account::statement(&mut conn, Scope::house(), dealer, period, Some("USD")).await;
    assert_eq!(dollars.expect("the store").expect("a customer").closing_balance, number("100"));
}

/// Money is a JSON number with every digit.
fn number_json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect("a number")
}
