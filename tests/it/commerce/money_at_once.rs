//! Money is counted once when several dealers' orders, payments, shipments, invoices and movements are written at the same time,
//! by people and by pulls and pushes whose pages hold rows of all of them.

use kopru::{
    commerce::{
        account::{self, EntryKind, LedgerUpsert, Posting},
        invoices::{self, InvoiceStatus, InvoiceUpsert},
        orders::source::{SourceLine, SourceOrder, upsert_orders},
    },
    principal::Scope,
};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use rust_decimal::Decimal;
use sqlx::PgPool;
use tokio::task::JoinSet;

use super::{
    account::{owed, paid},
    invoices::of_order,
};
use crate::support::{
    database::TestDatabase,
    dealers::{customer, day, erp, order, product, somebody},
    soak,
};

const DEALERS: usize = 5;
const ROUNDS: usize = 12;
/// Of an order's piece, with VAT.
const PIECE: i64 = 12;

#[derive(Debug, Clone)]
struct Order {
    id: i64,
    line: i64,
    dealer: i64,
    pieces: i64,
    shipped: i64,
}

/// An invoice over there, with its movement.
#[derive(Debug, Clone)]
struct Invoice {
    id: i64,
    movement: i64,
    number: String,
    order: Order,
    pieces: i64,
    is_cancelled: bool,
    /// What was told of it here, as an invoice and as a movement: whether it is cancelled.
    known: Option<bool>,
    moved: Option<bool>,
}

impl Invoice {
    /// By what was told: it does not stand any more when one of its two records says so.
    fn stands(&self) -> bool {
        let told = [self.known, self.moved];
        told.contains(&Some(false)) && !told.contains(&Some(true))
    }
}

#[derive(Debug, Clone)]
struct Payment {
    movement: i64,
    name: String,
    dealer: i64,
    amount: i64,
    /// Ours: posted here before the ERP books it.
    reference: Option<String>,
    is_moved: bool,
}

#[derive(Default)]
struct World {
    dealers: Vec<i64>,
    goods: i64,
    orders: Vec<Order>,
    invoices: Vec<Invoice>,
    payments: Vec<Payment>,
}

impl World {
    async fn begin(pool: &PgPool, case: u64) -> World {
        let mut world = World { goods: product(pool, &format!("P{case}")).await, ..World::default() };
        for number in 0..DEALERS {
            world.dealers.push(customer(pool, &format!("D{case}-{number}"), None).await);
        }
        world
    }

    /// What a dealer owes and may come to owe by what was told of so far: of an order what was ordered, or what stands
    /// invoiced if that is more. It is, while an invoice that took the place of a cancelled one is known and the
    /// cancellation is not.
    fn expected(&self, dealer: i64) -> i64 {
        let of_order = |order: &Order| {
            let standing = self.invoices.iter().filter(|one| one.order.id == order.id && one.stands());
            order.pieces.max(standing.map(|invoice| invoice.pieces).sum()) * PIECE
        };
        let ordered: i64 = self.orders.iter().filter(|one| one.dealer == dealer).map(of_order).sum();
        let known =
            self.payments.iter().filter(|one| one.dealer == dealer && (one.reference.is_some() || one.is_moved));
        ordered - known.map(|payment| payment.amount).sum::<i64>()
    }

    /// What the ERP's people do before its pages are read.
    async fn over_there(&mut self, pool: &PgPool, dice: &mut StdRng) {
        let mut conn = pool.acquire().await.expect("a connection");
        for order in &mut self.orders {
            if order.shipped < order.pieces && dice.random_bool(0.4) {
                order.shipped += dice.random_range(1..=order.pieces - order.shipped);
            }
            let standing = self.invoices.iter().filter(|one| one.order.id == order.id && !one.is_cancelled);
            let left = order.pieces - standing.map(|invoice| invoice.pieces).sum::<i64>();
            if left > 0 && dice.random_bool(0.5) {
                let id = invoices::allocate_ids(&mut conn, 1).await.expect("ids")[0];
                let movement = account::allocate_ids(&mut conn, 1).await.expect("ids")[0];
                self.invoices.push(Invoice {
                    id,
                    movement,
                    number: format!("INV{}-{id}", order.dealer),
                    order: order.clone(),
                    pieces: dice.random_range(1..=left),
                    is_cancelled: false,
                    known: None,
                    moved: None,
                });
            }
        }
        for invoice in self.invoices.iter_mut().filter(|one| !one.is_cancelled) {
            invoice.is_cancelled = dice.random_bool(0.1);
        }
        for dealer in &self.dealers {
            if dice.random_bool(0.2) {
                let movement = account::allocate_ids(&mut conn, 1).await.expect("ids")[0];
                let name = format!("{dealer}/there/{movement}");
                let amount = dice.random_range(1..100);
                self.payments.push(Payment {
                    movement,
                    name,
                    dealer: *dealer,
                    amount,
                    reference: None,
                    is_moved: false,
                });
            }
        }
    }

    /// Everybody at once; what was written when all have ended is noted.
    async fn round(&mut self, pool: &PgPool, dice: &mut StdRng) {
        let mut writers = JoinSet::new();
        // Of the rows, some; a page of the pull and one of a push, each with rows of all dealers.
        for page in parted(&mut self.invoices, dice) {
            let rows: Vec<Invoice> = page.iter().map(|row| (**row).clone()).collect();
            writers.spawn(tell_invoices(pool.clone(), rows));
            page.into_iter().for_each(|row| row.known = Some(row.is_cancelled));
        }
        let moved = parted(&mut self.invoices, dice);
        let booked = parted(&mut self.payments, dice);
        for (moved, booked) in moved.into_iter().zip(booked) {
            let rows: (Vec<Invoice>, Vec<Payment>) =
                (moved.iter().map(|row| (**row).clone()).collect(), booked.iter().map(|row| (**row).clone()).collect());
            writers.spawn(tell_movements(pool.clone(), rows.0, rows.1));
            moved.into_iter().for_each(|row| row.moved = Some(row.is_cancelled));
            booked.into_iter().for_each(|row| row.is_moved = true);
        }
        writers.spawn(tell_orders(pool.clone(), self.orders.clone()));
        let mut people = Vec::new();
        for dealer in self.dealers.clone() {
            let (pool, goods, pieces) = (pool.clone(), self.goods, dice.random_range(1..9));
            let amount = dice.random_bool(0.6).then(|| dice.random_range(1..120));
            people.push(tokio::spawn(act(pool, dealer, goods, pieces, amount)));
        }
        while let Some(ended) = writers.join_next().await {
            ended.expect("written");
        }
        // In the order of the dealers, so that what comes next does not hang on who was faster.
        for acted in people {
            let (order, payment) = acted.await.expect("acted");
            self.orders.push(order);
            self.payments.extend(payment);
        }
    }
}

/// Some of the rows in two parts, in no order.
fn parted<'r, T>(rows: &'r mut [T], dice: &mut StdRng) -> [Vec<&'r mut T>; 2] {
    let mut parts = [Vec::new(), Vec::new()];
    for row in rows {
        match dice.random_range(0..3) {
            2 => {}
            part => parts[part].push(row),
        }
    }
    parts.iter_mut().for_each(|part| part.shuffle(dice));
    parts
}

/// A dealer orders, and pays something.
async fn act(pool: PgPool, dealer: i64, goods: i64, pieces: i64, amount: Option<i64>) -> (Order, Option<Payment>) {
    let (id, line) = order(&pool, dealer, goods, pieces, "confirmed").await;
    let placed = Order { id, line, dealer, pieces, shipped: 0 };
    let Some(amount) = amount else { return (placed, None) };
    let reference = format!("K7-{id}");
    let mut tx = pool.begin().await.expect("begin");
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
    account::post(&mut tx, &somebody(), &[posting]).await.expect("posted");
    let movement = account::allocate_ids(&mut tx, 1).await.expect("ids")[0];
    tx.commit().await.expect("commit");
    let name = format!("{dealer}/ours/{movement}");
    (placed, Some(Payment { movement, name, dealer, amount, reference: Some(reference), is_moved: false }))
}

async fn tell_invoices(pool: PgPool, page: Vec<Invoice>) {
    let rows: Vec<InvoiceUpsert<'_>> = page
        .iter()
        .map(|invoice| {
            let status = if invoice.is_cancelled { InvoiceStatus::Cancelled } else { InvoiceStatus::Issued };
            let order = &invoice.order;
            let row =
                of_order(invoice.id, &invoice.number, order.dealer, Some(order.id), Some(order.line), invoice.pieces);
            InvoiceUpsert { is_new: invoice.known.is_none(), status, ..row }
        })
        .collect();
    let mut tx = pool.begin().await.expect("begin");
    invoices::upsert_invoices(&mut tx, &erp(), &rows).await.expect("invoices");
    tx.commit().await.expect("commit");
}

async fn tell_movements(pool: PgPool, invoices: Vec<Invoice>, payments: Vec<Payment>) {
    let names: Vec<String> = invoices.iter().map(|invoice| format!("invoice/{}", invoice.number)).collect();
    let mut rows: Vec<LedgerUpsert<'_>> = Vec::new();
    for (invoice, name) in invoices.iter().zip(&names) {
        rows.push(LedgerUpsert {
            is_new: invoice.moved.is_none(),
            debit: Decimal::from(invoice.pieces * PIECE),
            document_number: Some(&invoice.number),
            order: Some(invoice.order.id),
            is_cancelled: invoice.is_cancelled,
            ..owed(invoice.movement, name, invoice.order.dealer)
        });
    }
    for payment in &payments {
        let row = paid(payment.movement, &payment.name, payment.dealer, &payment.amount.to_string());
        rows.push(LedgerUpsert { is_new: !payment.is_moved, reference: payment.reference.as_deref(), ..row });
    }
    let mut tx = pool.begin().await.expect("begin");
    account::upsert_ledger(&mut tx, &erp(), &rows).await.expect("movements");
    tx.commit().await.expect("commit");
}

async fn tell_orders(pool: PgPool, orders: Vec<Order>) {
    let names: Vec<String> = orders.iter().map(|order| order.line.to_string()).collect();
    let rows: Vec<SourceOrder<'_>> = orders
        .iter()
        .zip(&names)
        .map(|(order, name)| SourceOrder {
            id: order.id,
            number: None,
            is_cancelled: false,
            currency: Some("TRY"),
            rate: None,
            total: Some(Decimal::from(order.pieces * PIECE)),
            lines: vec![SourceLine {
                external_id: name,
                code: "P",
                is_service: false,
                unit: None,
                quantity: order.pieces.into(),
                shipped: order.shipped.into(),
                is_closed: false,
                price: None,
                amount: None,
                vat_base: None,
                vat: None,
            }],
        })
        .collect();
    let mut tx = pool.begin().await.expect("begin");
    upsert_orders(&mut tx, &erp(), &rows).await.expect("orders");
    tx.commit().await.expect("commit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_is_counted_once_when_all_dealers_and_all_pages_are_written_at_once() {
    let database = TestDatabase::new().await;
    let pool = &database.pool;
    for case in 0..if soak() { 60 } else { 2 } {
        let mut dice = StdRng::seed_from_u64(case);
        let mut world = World::begin(pool, case).await;
        for round in 0..ROUNDS {
            world.over_there(pool, &mut dice).await;
            world.round(pool, &mut dice).await;
            let mut conn = pool.acquire().await.expect("a connection");
            for dealer in &world.dealers {
                let risk = account::risk(&mut conn, Scope::house(), *dealer, day("2026-11-21")).await;
                let total = risk.expect("the store").expect("a customer").own.total();
                assert_eq!(
                    total,
                    Decimal::from(world.expected(*dealer)),
                    "case {case}, round {round}, dealer {dealer}"
                );
            }
        }
        assert!(world.invoices.iter().any(|one| one.known.is_some()) && world.payments.iter().any(|one| one.is_moved));
    }
}

/// The one time when more is counted than was ordered: what is invoiced anew is known before it is that the old one was cancelled.
#[tokio::test]
async fn an_invoice_in_the_place_of_a_cancelled_one_counts_beside_it_until_that_is_told() {
    let database = TestDatabase::new().await;
    let pool = &database.pool;
    let (dealer, goods) = (customer(pool, "A", None).await, product(pool, "P").await);
    let (id, line) = order(pool, dealer, goods, 3, "confirmed").await;
    let order = Order { id, line, dealer, pieces: 3, shipped: 0 };
    let mut conn = pool.acquire().await.expect("a connection");
    let ids = invoices::allocate_ids(&mut conn, 2).await.expect("ids");
    let invoice = |id: i64| {
        let number = format!("INV{id}");
        let order = order.clone();
        Invoice { id, movement: 0, number, order, pieces: 3, is_cancelled: false, known: None, moved: None }
    };
    let (old, new) = (invoice(ids[0]), invoice(ids[1]));
    let cancelled = Invoice { is_cancelled: true, known: Some(false), ..old.clone() };
    for (told, expected) in [(old, 3), (new, 6), (cancelled, 3)] {
        tell_invoices(pool.clone(), vec![told]).await;
        let risk = account::risk(&mut conn, Scope::house(), dealer, day("2026-11-21")).await;
        let total = risk.expect("the store").expect("a customer").own.total();
        assert_eq!(total, Decimal::from(expected * PIECE));
    }
}
