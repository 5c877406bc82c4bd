//! Current accounts: however orders, invoices, movements and payments come, money is counted once.

use std::collections::BTreeSet;

use kopru::{
    commerce::account::{self, EntryKind, Period, Posting, statement},
    principal::Scope,
};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{DEALER, Shop, invoice, movement, order};
use crate::support::dealers::{day, erp, number};

/// What the dealer owes and may come to owe, by the books, by us, and by orders.
async fn risk(shop: &Shop) -> (Decimal, Decimal, Decimal) {
    let mut conn = shop.hub.pool().acquire().await.expect("a connection");
    let risk = account::risk(&mut conn, Scope::house(), shop.dealer, day("2026-11-21")).await.expect("the store");
    let own = risk.expect("a dealer").own;
    (own.booked, own.provisional, own.exposure)
}

/// A payment that we captured before the books have it.
async fn paid(shop: &Shop) {
    let mut tx = shop.hub.pool().begin().await.expect("begin");
    let posting = Posting {
        key: "payment:17",
        customer: shop.dealer,
        kind: EntryKind::Payment,
        currency: "TRY",
        debit: Decimal::ZERO,
        credit: number("30"),
        booked_at: day("2026-03-06"),
        due_date: None,
        document_number: None,
        reference: Some("KPR-P17"),
        description: None,
        order: None,
        is_cancelled: false,
    };
    account::post(&mut tx, &erp(), &[posting]).await.expect("posted");
    tx.commit().await.expect("commit");
}

fn payment() -> Value {
    json!({ "INTERNAL_REFERENCE": 9002, "PERIOD": "01", "ARP_CODE": DEALER, "MODULENR": 7, "TRCODE": 20, "SIGN": 1,
        "AMOUNT": 30, "DATE": "2026-03-06", "TRANNO": "12", "DOC_NUMBER": "KPR-P17", "CANCELLED": 0,
        "STAMP": "2026-03-06T09:00:00" })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Order,
    Invoice,
    Movement,
    Payment,
    Paid,
}

async fn take(shop: &Shop, step: Step) {
    match step {
        Step::Order => drop(shop.reads("orders", [order(10, 4, 0)]).await),
        Step::Invoice => drop(shop.reads("invoices", [invoice("KPR41", 4, 0)]).await),
        Step::Movement => drop(shop.reads("ledger", [movement("KPR41", 4, 0)]).await),
        Step::Payment => drop(shop.reads("ledger", [payment()]).await),
        Step::Paid => paid(shop).await,
    }
}

/// 10 pieces at 12 are ordered, 4 of them invoiced, 30 paid: whatever is known, the dealer owes 120 in all, less the payment as
/// soon as anybody knows of it, and never twice.
#[tokio::test]
async fn money_is_counted_once_in_any_order_of_what_comes() {
    let steps = [Step::Order, Step::Invoice, Step::Movement, Step::Payment, Step::Paid];
    let orders = permutations(&steps);
    // A sample that has each step in each place; all of them are too many databases.
    let sample: Vec<&Vec<Step>> = orders.iter().step_by(11).collect();
    for history in sample {
        let shop = Shop::open().await;
        let mut known = BTreeSet::new();
        for step in history {
            take(&shop, *step).await;
            known.insert(*step);
            let (booked, provisional, exposure) = risk(&shop).await;
            let is_paid = known.contains(&Step::Payment) || known.contains(&Step::Paid);
            let expected = if is_paid { number("90") } else { number("120") };
            let all = booked + provisional + exposure;
            // An invoice of which nobody knows yet that it is of the order stands beside it.
            assert_eq!(all, expected, "{history:?} after {step:?}: {booked} {provisional} {exposure}");
        }
        assert_eq!(risk(&shop).await, (number("18"), Decimal::ZERO, number("72")), "{history:?}");
    }
}

fn permutations(steps: &[Step]) -> Vec<Vec<Step>> {
    if steps.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (at, first) in steps.iter().enumerate() {
        let mut rest = steps.to_vec();
        rest.remove(at);
        for mut order in permutations(&rest) {
            order.insert(0, *first);
            all.push(order);
        }
    }
    all
}

#[tokio::test]
async fn a_cancelled_document_counts_nowhere_whichever_of_its_two_rows_says_so() {
    for by_invoice in [true, false] {
        let shop = Shop::open().await;
        for step in [Step::Order, Step::Invoice, Step::Movement] {
            take(&shop, step).await;
        }
        if by_invoice {
            let mut cancelled = invoice("KPR41", 4, 5);
            cancelled["CANCELLED"] = json!(1);
            shop.reads("invoices", [cancelled]).await;
        } else {
            let mut cancelled = movement("KPR41", 4, 5);
            cancelled["CANCELLED"] = json!(1);
            shop.reads("ledger", [cancelled]).await;
        }
        let (booked, provisional, exposure) = risk(&shop).await;
        assert_eq!(booked + provisional + exposure, number("120"), "by the invoice: {by_invoice}");
    }
}

/// A movement of a period: of an invoice, a payment, or what was carried over.
fn booked(period: &str, number: i64, module: (i64, i64, i64), amount: i64, date: &str) -> Value {
    let (module, code, sign) = module;
    json!({ "INTERNAL_REFERENCE": number, "PERIOD": period, "ARP_CODE": DEALER, "MODULENR": module, "TRCODE": code,
        "SIGN": sign, "AMOUNT": amount, "DATE": date, "TRANNO": format!("{period}-{number}"), "CANCELLED": 0,
        "STAMP": format!("{date}T09:00:00") })
}

const SOLD: (i64, i64, i64) = (4, 38, 0);
const PAID: (i64, i64, i64) = (7, 20, 1);
const OPENING: (i64, i64, i64) = (5, 14, 0);

#[tokio::test]
async fn what_is_carried_over_into_a_new_period_counts_once() {
    let shop = Shop::open().await;
    shop.hub.execute("update commerce.sales_order set state = 'cancelled'").await;
    shop.reads("ledger", [booked("01", 1, SOLD, 100, "2025-11-03"), booked("01", 2, PAID, 30, "2025-12-20")]).await;
    assert_eq!(risk(&shop).await.0, number("70"));
    // The new period: 70 carried over, 50 sold.
    shop.reads("ledger", [booked("02", 1, OPENING, 70, "2026-01-01"), booked("02", 2, SOLD, 50, "2026-02-01")]).await;
    assert_eq!(risk(&shop).await.0, number("120"), "carried over, and counted beside what it was carried from");

    let mut conn = shop.hub.pool().acquire().await.expect("a connection");
    let mut stands = async |from: &str, to: &str| {
        let period = Period::new(Some(day(from)), Some(day(to)), day(to)).expect("a period");
        let found = statement(&mut conn, Scope::house(), shop.dealer, period, None).await.expect("the store");
        let found = found.expect("a dealer");
        (found.opening_balance, found.movements.len(), found.closing_balance)
    };
    // Last year's is as it was; a statement over both years begins with what was carried over.
    assert_eq!(stands("2025-12-01", "2025-12-31").await, (number("100"), 1, number("70")));
    assert_eq!(stands("2026-01-01", "2026-02-28").await, (Decimal::ZERO, 2, number("120")));
    assert_eq!(stands("2025-12-01", "2026-02-28").await, (Decimal::ZERO, 2, number("120")));

    // An opening that was taken back carries nothing over.
    let mut taken_back = booked("02", 1, OPENING, 70, "2026-01-01");
    (taken_back["CANCELLED"], taken_back["STAMP"]) = (json!(1), json!("2026-01-02T09:00:00"));
    shop.reads("ledger", [taken_back]).await;
    assert_eq!(risk(&shop).await.0, number("120"), "70 of last year and 50 of this one");
}

/// One of several invoices over the order, with numbers of its own.
fn part(at: usize, pieces: i64) -> (Value, Value) {
    let at = i64::try_from(at).expect("a small number");
    let number = format!("KPR{at}");
    let (mut invoice, mut movement) = (invoice(&number, pieces, 0), movement(&number, pieces, 0));
    invoice["INTERNAL_REFERENCE"] = json!(5_203 + at);
    invoice["GUID"] = json!(format!("E5A9C3D4-22B7-4C3E-8F10-6B0C9D41520{at}"));
    invoice["TRANSACTIONS"]["items"][0]["INTERNAL_REFERENCE"] = json!(60_117 + at);
    movement["INTERNAL_REFERENCE"] = json!(9_101 + at);
    (invoice, movement)
}

/// Three shipments and three invoices of one order, their movements and a payment, by four that work at once: whoever looks
/// meanwhile sees what the dealer owes, once.
#[tokio::test]
async fn several_invoices_of_one_order_are_counted_once_while_they_come_all_at_once() {
    const PARTS: [i64; 3] = [3, 5, 2];
    for turn in 0..6 {
        let shop = Shop::open().await;
        let parts: Vec<(Value, Value)> = PARTS.iter().enumerate().map(|(at, pieces)| part(at, *pieces)).collect();
        let nth = |at: usize| (at + turn) % PARTS.len();
        let over = std::sync::atomic::AtomicBool::new(false);
        let shipments = async {
            let mut shipped = 0;
            for (at, pieces) in PARTS.iter().enumerate() {
                shipped += pieces;
                shop.reads("orders", [order(10, shipped, u32::try_from(at).expect("a minute"))]).await;
            }
        };
        let invoices = async {
            for at in 0..PARTS.len() {
                shop.reads("invoices", [parts[nth(at)].0.clone()]).await;
            }
        };
        let movements = async {
            for at in (0..PARTS.len()).rev() {
                shop.reads("ledger", [parts[nth(at)].1.clone()]).await;
            }
            shop.reads("ledger", [payment()]).await;
        };
        let work = async {
            tokio::join!(shipments, invoices, movements, paid(&shop));
            over.store(true, std::sync::atomic::Ordering::SeqCst);
        };
        let watch = async {
            let (mut looks, mut least) = (0, number("120"));
            while !over.load(std::sync::atomic::Ordering::SeqCst) {
                let (booked, provisional, exposure) = risk(&shop).await;
                let all = booked + provisional + exposure;
                // 30 less as soon as anybody knows that they were paid, and from then on.
                assert!(
                    all == number("120") || all == number("90"),
                    "{all}: {booked} {provisional} {exposure}, turn {turn}"
                );
                assert!(all <= least, "paid, and owed again: turn {turn}");
                (looks, least) = (looks + 1, all);
            }
            looks
        };
        let ((), looks) = tokio::join!(work, watch);
        assert!(looks > 0);
        assert_eq!(risk(&shop).await, (number("90"), Decimal::ZERO, Decimal::ZERO), "turn {turn}");
        let row = shop.order_row().await;
        assert_eq!((&row["state"], &row["shipped"], &row["invoiced"]), (&json!("shipped"), &json!(10), &json!(10)));
    }
}
