//! Money is counted once, whatever is known first: orders, the ERP's invoices and movements, payments of ours and of others,
//! pulled in any order and in any parts.

use std::collections::HashMap;

use kopru::{
    commerce::{
        account::{self, EntryKind, LedgerUpsert, Posting},
        invoices::{self, InvoiceStatus, InvoiceUpsert},
    },
    principal::Scope,
};
use proptest::{prelude::*, test_runner::TestRunner};
use rust_decimal::Decimal;
use sqlx::PgPool;

use super::{
    account::{owed, paid},
    invoices::of_order,
};
use crate::support::{
    database::TestDatabase,
    dealers::{customer, day, erp, order, product, somebody},
    soak,
};

#[derive(Debug, Clone)]
enum Step {
    Place {
        pieces: i64,
    },
    CancelOrder {
        which: usize,
    },
    /// Over there.
    Invoice {
        which: usize,
        pieces: i64,
    },
    CancelInvoice {
        which: usize,
    },
    /// Captured here; the ERP books it later, with our reference.
    Pay {
        amount: i64,
    },
    Book {
        which: usize,
    },
    /// Paid over there, where nobody knows of a reference.
    PayThere {
        amount: i64,
    },
    /// Of the ERP's rows, those whose bit is set.
    PullInvoices {
        bits: u32,
    },
    PullMovements {
        bits: u32,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1..9_i64).prop_map(|pieces| Step::Place { pieces }),
        1 => (0..9_usize).prop_map(|which| Step::CancelOrder { which }),
        4 => (0..9_usize, 1..6_i64).prop_map(|(which, pieces)| Step::Invoice { which, pieces }),
        3 => (0..9_usize).prop_map(|which| Step::CancelInvoice { which }),
        2 => (1..200_i64).prop_map(|amount| Step::Pay { amount }),
        2 => (0..9_usize).prop_map(|which| Step::Book { which }),
        1 => (1..200_i64).prop_map(|amount| Step::PayThere { amount }),
        4 => any::<u32>().prop_map(|bits| Step::PullInvoices { bits }),
        4 => any::<u32>().prop_map(|bits| Step::PullMovements { bits }),
    ]
}

struct Order {
    id: i64,
    line: i64,
    pieces: i64,
    is_cancelled: bool,
}

struct Invoice {
    order: usize,
    number: String,
    pieces: i64,
    is_cancelled: bool,
    /// What was told of it, as an invoice and as a movement: whether it is cancelled.
    known: Option<bool>,
    moved: Option<bool>,
}

impl Invoice {
    fn stands(&self) -> bool {
        let told = [self.known, self.moved];
        told.contains(&Some(false)) && !told.contains(&Some(true))
    }
}

struct Payment {
    reference: Option<String>,
    amount: i64,
    is_posted: bool,
    is_booked: bool,
    is_pulled: bool,
}

/// The two books, and what of the ERP's one was told.
#[derive(Default)]
struct World {
    orders: Vec<Order>,
    invoices: Vec<Invoice>,
    payments: Vec<Payment>,
    invoice_ids: HashMap<String, i64>,
    movement_ids: HashMap<String, i64>,
}

impl World {
    /// What the customer owes and may come to owe: all that was ordered, less what is known to be paid. Whether an invoice
    /// was cancelled, and which of the two pulls told of it, makes no difference; but while another one in its place is known and
    /// the cancellation is not, both count.
    fn expected(&self) -> i64 {
        let standing = self.orders.iter().enumerate().filter(|(_, order)| !order.is_cancelled);
        let of_order = |(at, order): (usize, &Order)| {
            let invoices = self.invoices.iter().filter(|invoice| invoice.order == at && invoice.stands());
            order.pieces.max(invoices.map(|invoice| invoice.pieces).sum()) * 12
        };
        let ordered: i64 = standing.map(of_order).sum();
        let known = self.payments.iter().filter(|payment| payment.is_posted || payment.is_pulled);
        ordered - known.map(|payment| payment.amount).sum::<i64>()
    }

    async fn go(&mut self, pool: &PgPool, dealer: i64, goods: i64, step: &Step) {
        match *step {
            Step::Place { pieces } => {
                let (id, line) = order(pool, dealer, goods, pieces, "confirmed").await;
                self.orders.push(Order { id, line, pieces, is_cancelled: false });
            }
            Step::CancelOrder { which } => {
                let invoiced = self.invoices.iter().any(|invoice| invoice.order == which);
                let Some(order) = self.orders.get_mut(which).filter(|_| !invoiced) else { return };
                order.is_cancelled = true;
                sqlx::query("update commerce.sales_order set state = 'cancelled' where id = $1")
                    .bind(order.id)
                    .execute(pool)
                    .await
                    .expect("cancelled");
            }
            Step::Invoice { which, pieces } => {
                let Some(order) = self.orders.get(which).filter(|order| !order.is_cancelled) else { return };
                let standing = self.invoices.iter().filter(|one| one.order == which && !one.is_cancelled);
                let left = order.pieces - standing.map(|invoice| invoice.pieces).sum::<i64>();
                if left > 0 {
                    let number = format!("INV{dealer}-{}", self.invoices.len());
                    let pieces = pieces.min(left);
                    self.invoices.push(Invoice {
                        order: which,
                        number,
                        pieces,
                        is_cancelled: false,
                        known: None,
                        moved: None,
                    });
                }
            }
            Step::CancelInvoice { which } => {
                if let Some(invoice) = self.invoices.get_mut(which) {
                    invoice.is_cancelled = true;
                }
            }
            Step::Pay { amount } => {
                let reference = format!("K7-{dealer}-{}", self.payments.len());
                let posting = Posting {
                    key: &reference,
                    customer: dealer,
                    kind: EntryKind::Payment,
                    currency: "TRY",
                    debit: Decimal::ZERO,
                    credit: amount.into(),
                    booked_at: day("2026-03-05"),
                    due_date: None,
                    document_number: None,
                    reference: Some(&reference),
                    description: None,
                    order: None,
                    is_cancelled: false,
                };
                let mut tx = pool.begin().await.expect("begin");
                account::post(&mut tx, &somebody(), &[posting]).await.expect("posted");
                tx.commit().await.expect("commit");
                let reference = Some(reference);
                self.payments.push(Payment { reference, amount, is_posted: true, is_booked: false, is_pulled: false });
            }
            Step::Book { which } => {
                if let Some(payment) = self.payments.get_mut(which) {
                    payment.is_booked = true;
                }
            }
            Step::PayThere { amount } => self.payments.push(Payment {
                reference: None,
                amount,
                is_posted: false,
                is_booked: true,
                is_pulled: false,
            }),
            Step::PullInvoices { bits } => self.pull_invoices(pool, dealer, bits).await,
            Step::PullMovements { bits } => self.pull_movements(pool, dealer, bits).await,
        }
    }

    async fn pull_invoices(&mut self, pool: &PgPool, dealer: i64, bits: u32) {
        let mut tx = pool.begin().await.expect("begin");
        let mut rows = Vec::new();
        for (_, invoice) in self.invoices.iter_mut().enumerate().filter(|(at, _)| bits >> at & 1 == 1) {
            invoice.known = Some(invoice.is_cancelled);
            let invoice = &*invoice;
            let order = &self.orders[invoice.order];
            let is_new = !self.invoice_ids.contains_key(&invoice.number);
            if is_new {
                let id = invoices::allocate_ids(&mut tx, 1).await.expect("ids")[0];
                self.invoice_ids.insert(invoice.number.clone(), id);
            }
            let id = self.invoice_ids[&invoice.number];
            let status = if invoice.is_cancelled { InvoiceStatus::Cancelled } else { InvoiceStatus::Issued };
            let row = of_order(id, &invoice.number, dealer, Some(order.id), Some(order.line), invoice.pieces);
            rows.push(InvoiceUpsert { is_new, status, ..row });
        }
        invoices::upsert_invoices(&mut tx, &erp(), &rows).await.expect("applied");
        tx.commit().await.expect("commit");
    }

    async fn pull_movements(&mut self, pool: &PgPool, dealer: i64, bits: u32) {
        let mut tx = pool.begin().await.expect("begin");
        let mut names = Vec::new();
        for (at, invoice) in self.invoices.iter_mut().enumerate().filter(|(at, _)| bits >> at & 1 == 1) {
            invoice.moved = Some(invoice.is_cancelled);
            names.push((format!("{dealer}/invoice/{at}"), Some(at), None));
        }
        let booked = self.payments.iter_mut().enumerate().filter(|(_, payment)| payment.is_booked);
        for (at, payment) in booked.filter(|(at, _)| bits >> (16 + at % 16) & 1 == 1) {
            names.push((format!("{dealer}/payment/{at}"), None, Some(at)));
            payment.is_pulled = true;
        }
        let mut rows = Vec::new();
        for (name, invoice, payment) in &names {
            let is_new = !self.movement_ids.contains_key(name);
            if is_new {
                let id = account::allocate_ids(&mut tx, 1).await.expect("ids")[0];
                self.movement_ids.insert(name.clone(), id);
            }
            let id = self.movement_ids[name];
            if let Some(invoice) = invoice.map(|at| &self.invoices[at]) {
                rows.push(LedgerUpsert {
                    is_new,
                    debit: Decimal::from(invoice.pieces * 12),
                    document_number: Some(&invoice.number),
                    order: Some(self.orders[invoice.order].id),
                    is_cancelled: invoice.is_cancelled,
                    ..owed(id, name, dealer)
                });
            }
            if let Some(payment) = payment.map(|at| &self.payments[at]) {
                let row = paid(id, name, dealer, &payment.amount.to_string());
                rows.push(LedgerUpsert { is_new, reference: payment.reference.as_deref(), ..row });
            }
        }
        account::upsert_ledger(&mut tx, &erp(), &rows).await.expect("applied");
        tx.commit().await.expect("commit");
    }
}

#[test]
fn money_is_counted_once_in_any_order_of_events() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let database = runtime.block_on(TestDatabase::new());
    let pool = &database.pool;
    let goods = runtime.block_on(product(pool, "P"));
    let cases = if soak() { 2_000 } else { 40 };
    let mut runner = TestRunner::new(ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() });
    let (count, judged) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let outcome = runner.run(&prop::collection::vec(step(), 1..40), |steps| {
        count.set(count.get() + 1);
        runtime.block_on(async {
            let dealer = customer(pool, &format!("D{}", count.get()), None).await;
            let mut world = World::default();
            for (at, step) in steps.iter().enumerate() {
                world.go(pool, dealer, goods, step).await;
                let expected = world.expected();
                let mut conn = pool.acquire().await.expect("a connection");
                let risk = account::risk(&mut conn, Scope::house(), dealer, day("2026-11-21")).await;
                let total = risk.expect("the store").expect("a customer").own.total();
                prop_assert_eq!(total, Decimal::from(expected), "after step {}: {:?}", at, step);
                judged.set(judged.get() + 1);
            }
            Ok(())
        })
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    assert!(judged.get() > cases * 3, "{judged:?} of {cases} cases");
}
