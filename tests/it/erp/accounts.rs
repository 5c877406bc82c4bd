//! Current accounts: however orders, invoices, movements and payments come, money is counted once.

use std::collections::BTreeSet;

use kopru::{
    commerce::account::{self, EntryKind, Posting},
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
