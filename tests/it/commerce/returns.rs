//! Returns: asked for, decided, received.

use futures::future::join_all;
use kopru::{
    commerce::returns::{
        self, Decision, NewReturn, NewReturnLine, ReturnError, ReturnFilter, ReturnReason, ReturnState,
    },
    outbox::Provenance,
    page::PageRequest,
    principal::Scope,
};
use proptest::{prelude::*, test_runner::TestRunner};
use rust_decimal::Decimal;
use sqlx::PgPool;

use crate::support::{
    database::TestDatabase,
    dealers::{customer, delivered, noon, number, order, product, warehouse},
    event_schemas::events_are_as_described,
    soak,
};

struct Shop {
    database: TestDatabase,
    dealer: i64,
    goods: i64,
    order: i64,
    line: i64,
}

impl Shop {
    /// Ten pieces were ordered, eight of them delivered.
    async fn open() -> Shop {
        let database = TestDatabase::new().await;
        let pool = &database.pool;
        let (dealer, goods) = (customer(pool, "A", None).await, product(pool, "P").await);
        let (order, line) = order(pool, dealer, goods, 10, "delivered").await;
        delivered(pool, line, 8).await;
        warehouse(pool, "MERKEZ").await;
        Shop { database, dealer, goods, order, line }
    }

    fn pool(&self) -> &PgPool {
        &self.database.pool
    }

    fn of(&self, quantity: &str) -> NewReturn {
        let line = NewReturnLine { order_line: self.line, quantity: number(quantity), reason: None, note: None };
        NewReturn { order: self.order, reason: ReturnReason::Damaged, note: None, lines: vec![line] }
    }

    async fn ask(&self, scope: Scope, new: &NewReturn) -> Result<i64, ReturnError> {
        let mut tx = self.pool().begin().await.expect("begin");
        let id = returns::request(&mut tx, &dealers_word(), scope, new).await?;
        tx.commit().await.expect("commit");
        events_are_as_described(self.pool()).await;
        Ok(id)
    }

    async fn asked(&self, quantity: &str) -> i64 {
        self.ask(Scope::company(self.dealer), &self.of(quantity)).await.expect("asked")
    }

    async fn decide(&self, id: i64, decision: Decision) -> Result<(), ReturnError> {
        let mut tx = self.pool().begin().await.expect("begin");
        returns::decide(&mut tx, &house(), id, &decision).await?;
        tx.commit().await.expect("commit");
        Ok(())
    }

    async fn receive(&self, id: i64, warehouse: &str) -> Result<(), ReturnError> {
        let mut tx = self.pool().begin().await.expect("begin");
        returns::receive(&mut tx, &house(), id, warehouse, Some("sağlam")).await?;
        tx.commit().await.expect("commit");
        Ok(())
    }
}

fn dealers_word() -> Provenance<'static> {
    Provenance { origin: "user:3", bulk: false, correlation_id: "test", place: None, now: noon() }
}

fn house() -> Provenance<'static> {
    Provenance { origin: "user:7", ..dealers_word() }
}

const APPROVED: Decision = Decision::Approve { note: None };

fn rejected() -> Decision {
    Decision::Reject { reason: "kullanılmış".to_owned() }
}

/// State and revision of the order.
async fn order_of(shop: &Shop) -> (String, i64) {
    sqlx::query_as("select state, revision from commerce.sales_order where id = $1")
        .bind(shop.order)
        .fetch_one(shop.pool())
        .await
        .expect("an order")
}

#[tokio::test]
async fn an_order_of_which_nothing_is_left_is_returned() {
    let shop = Shop::open().await;
    // The two that were not delivered will not come any more.
    sqlx::query("update commerce.sales_order_line set cancelled = 2").execute(shop.pool()).await.expect("cancelled");
    for (quantity, expected) in [("3", ("delivered", 1)), ("5", ("returned", 2))] {
        let id = shop.asked(quantity).await;
        shop.decide(id, APPROVED).await.expect("approved");
        assert_eq!(order_of(&shop).await, ("delivered".to_owned(), 1), "what was only asked for is still there");
        shop.receive(id, "MERKEZ").await.expect("received");
        assert_eq!(order_of(&shop).await, (expected.0.to_owned(), expected.1));
    }
    let told: Vec<(String, String)> = sqlx::query_as(
        "select type, payload ->> 'cause' from hub.outbox_event where aggregate = 'order' order by revision",
    )
    .fetch_all(shop.pool())
    .await
    .expect("events");
    assert_eq!(told, [("order.updated".to_owned(), "returned".to_owned())]);
    let history: Vec<(String, String)> =
        sqlx::query_as("select action, from_state from commerce.sales_order_history where order_id = $1")
            .bind(shop.order)
            .fetch_all(shop.pool())
            .await
            .expect("history");
    assert_eq!(history, [("returned".to_owned(), "delivered".to_owned())]);
}

#[track_caller]
fn faults(outcome: Result<i64, ReturnError>) -> Vec<(String, &'static str)> {
    match outcome {
        Err(ReturnError::Invalid(faults)) => faults.into_iter().map(|fault| (fault.field, fault.code)).collect(),
        other => panic!("expected faults, got {other:?}"),
    }
}

#[tokio::test]
async fn a_return_goes_its_way_and_the_goods_into_stock() {
    let shop = Shop::open().await;
    let id = shop.asked("3").await;
    shop.decide(id, APPROVED).await.expect("approved");
    shop.receive(id, "MERKEZ").await.expect("received");
    let second = shop.asked("2").await;
    shop.decide(second, APPROVED).await.expect("approved");
    shop.receive(second, "MERKEZ").await.expect("received");

    let level: (Decimal, i64) =
        sqlx::query_as("select quantity, revision from commerce.stock_level where product_id = $1")
            .bind(shop.goods)
            .fetch_one(shop.pool())
            .await
            .expect("a level");
    assert_eq!(level, (number("5"), 2));
    let moved: Vec<(Decimal, Decimal, String)> =
        sqlx::query_as("select delta, quantity_after, reason from commerce.stock_movement order by revision")
            .fetch_all(shop.pool())
            .await
            .expect("movements");
    let reason = "return".to_owned();
    assert_eq!(moved, [(number("3"), number("3"), reason.clone()), (number("2"), number("5"), reason)]);
    let events: Vec<String> = sqlx::query_scalar("select type from hub.outbox_event order by type")
        .fetch_all(shop.pool())
        .await
        .expect("events");
    let twice = |name: &str| [name.to_owned(), name.to_owned()];
    let expected = [twice("return.approved"), twice("return.requested"), twice("stock.changed")].concat();
    assert_eq!(events, expected);
    let audited: Vec<String> = sqlx::query_scalar(
        "select action || ' ' || actor from identity.audit_event where subject_kind = 'return' and subject = $1 order by id",
    )
    .bind(id.to_string())
    .fetch_all(shop.pool())
    .await
    .expect("audit");
    assert_eq!(audited, ["return.requested user:3", "return.approved user:7", "return.received user:7"]);

    let mut conn = shop.pool().acquire().await.expect("a connection");
    let shown =
        returns::find(&mut conn, Scope::company(shop.dealer), id).await.expect("the store").expect("it is there");
    assert_eq!((shown.head.state.as_str(), shown.head.warehouse_code.as_deref()), ("received", Some("MERKEZ")));
    assert!(shown.head.number.starts_with("RMA20261121"), "{}", shown.head.number);
    let history: Vec<_> =
        shown.history.iter().map(|entry| (entry.from_state.as_deref(), entry.state.as_str())).collect();
    let expected = [(None, "requested"), (Some("requested"), "approved"), (Some("approved"), "received")];
    assert_eq!(history, expected);
}

#[tokio::test]
async fn a_forbidden_move_names_the_allowed_ones() {
    let shop = Shop::open().await;
    let id = shop.asked("1").await;
    let forbidden = |outcome: Result<(), ReturnError>| match outcome {
        Err(ReturnError::Forbidden { from, to }) => (from, to),
        other => panic!("expected a refusal, got {other:?}"),
    };
    use ReturnState::{Approved, Received, Rejected, Requested};
    assert_eq!(forbidden(shop.receive(id, "MERKEZ").await), (Requested, Received));
    shop.decide(id, rejected()).await.expect("rejected");
    assert_eq!(forbidden(shop.decide(id, APPROVED).await), (Rejected, Approved));
    assert_eq!(forbidden(shop.decide(id, rejected()).await), (Rejected, Rejected));
    assert!(matches!(shop.decide(id + 100, APPROVED).await, Err(ReturnError::NotFound("return"))));
    let blank = Decision::Reject { reason: " ".to_owned() };
    assert!(matches!(shop.decide(shop.asked("1").await, blank).await, Err(ReturnError::Invalid(_))));
    let approved = shop.asked("1").await;
    shop.decide(approved, APPROVED).await.expect("approved");
    for nowhere in ["nowhere", "", "a\0b"] {
        assert!(matches!(shop.receive(approved, nowhere).await, Err(ReturnError::Invalid(_))), "{nowhere:?}");
    }
}

#[tokio::test]
async fn never_more_comes_back_than_was_delivered() {
    let shop = Shop::open().await;
    let own = Scope::company(shop.dealer);
    let too_many = ("lines[0].quantity".to_owned(), "too_many");
    assert_eq!(faults(shop.ask(own, &shop.of("8.0001")).await), [("lines[0].quantity".to_owned(), "fraction")]);
    assert_eq!(faults(shop.ask(own, &shop.of("9")).await), std::slice::from_ref(&too_many));
    let first = shop.asked("5").await;
    assert_eq!(faults(shop.ask(own, &shop.of("4")).await), std::slice::from_ref(&too_many));
    // What was rejected may be asked for again.
    shop.decide(first, rejected()).await.expect("rejected");
    let second = shop.asked("8").await;
    shop.decide(second, APPROVED).await.expect("approved");
    assert_eq!(faults(shop.ask(own, &shop.of("1")).await), [too_many]);
}

#[tokio::test]
async fn of_many_that_ask_at_once_for_the_last_pieces_some_are_refused() {
    let shop = Shop::open().await;
    let own = Scope::company(shop.dealer);
    let new = shop.of("3");
    let asked = join_all((0..6).map(|_| shop.ask(own, &new))).await;
    assert_eq!(asked.iter().filter(|outcome| outcome.is_ok()).count(), 2);
}

#[tokio::test]
async fn bad_words_are_told_line_by_line() {
    let shop = Shop::open().await;
    let own = Scope::company(shop.dealer);
    let mut new = shop.of("1");
    let line =
        |quantity, order_line| NewReturnLine { order_line, quantity: number(quantity), reason: None, note: None };
    new.note = Some("x".repeat(2001));
    new.lines.extend([
        line("1", shop.line),
        line("1", shop.line + 99),
        line("0", shop.line),
        NewReturnLine { note: Some("a\0b".to_owned()), ..line("-1", shop.line) },
    ]);
    let found = faults(shop.ask(own, &new).await);
    let expected = [
        ("note", "too_long"),
        ("lines[4].note", "control_character"),
        ("lines[1].orderLineId", "unique"),
        ("lines[2].orderLineId", "missing_reference"),
        ("lines[3].orderLineId", "unique"),
        ("lines[4].orderLineId", "unique"),
    ];
    assert_eq!(found, expected.map(|(field, code)| (field.to_owned(), code)));
    for quantity in ["0", "-1"] {
        assert_eq!(faults(shop.ask(own, &shop.of(quantity)).await)[0].1, "not_positive");
    }
    assert_eq!(faults(shop.ask(own, &shop.of("79228162514264337593543950335")).await)[0].1, "out_of_range");
    new.lines.clear();
    assert_eq!(faults(shop.ask(own, &new).await), [("lines".to_owned(), "out_of_range")]);
    let odd = NewReturn {
        note: Some("'; drop table x; -- <script>alert(1)</script> ığüşöç 🚚".to_owned()),
        ..shop.of("1")
    };
    let id = shop.ask(own, &odd).await.expect("asked");
    let mut conn = shop.pool().acquire().await.expect("a connection");
    let shown = returns::find(&mut conn, own, id).await.expect("the store").expect("it is there");
    assert_eq!(shown.head.note, odd.note);
}

#[tokio::test]
async fn another_dealers_order_and_return_are_not_there() {
    let shop = Shop::open().await;
    let other = Scope::company(customer(shop.pool(), "B", None).await);
    assert!(matches!(shop.ask(other, &shop.of("1")).await, Err(ReturnError::NotFound("order"))));
    let id = shop.asked("1").await;
    let (mut conn, page) =
        (shop.pool().acquire().await.expect("a connection"), PageRequest::new(None, None).expect("a page"));
    assert!(returns::find(&mut conn, other, id).await.expect("the store").is_none());
    let mut listed = async |scope, filter| -> Vec<i64> {
        let list = returns::list(&mut conn, scope, filter, &page).await.expect("a page");
        list.items.iter().map(|item| item.id).collect()
    };
    assert_eq!(listed(other, ReturnFilter::default()).await, [0; 0]);
    assert_eq!(
        listed(Scope::house(), ReturnFilter { customer: Some(shop.dealer), ..ReturnFilter::default() }).await,
        [id]
    );
    let approved = ReturnFilter { state: Some(ReturnState::Approved), ..ReturnFilter::default() };
    assert_eq!(listed(Scope::house(), approved).await, [0; 0]);
}

/// Whatever is asked, approved, rejected and received in whatever order: what came back and may still come is never more
/// than what was delivered, and stock has exactly what was received.
#[test]
fn no_order_of_moves_brings_back_more_than_was_delivered() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let shop = runtime.block_on(Shop::open());
    let mut runner = TestRunner::new(ProptestConfig {
        cases: if soak() { 500 } else { 12 },
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let step = (0..4_u8, 0..12_usize, 1..6_i64);
    let outcome = runner.run(&prop::collection::vec(step, 1..30), |steps| {
        runtime.block_on(async {
            let goods = product(shop.pool(), &format!("G{}", uuid())).await;
            let (order, line) = order(shop.pool(), shop.dealer, goods, 10, "delivered").await;
            delivered(shop.pool(), line, 8).await;
            let mut ids = Vec::new();
            for (what, which, quantity) in steps {
                let target = ids.get(which).copied().unwrap_or(0);
                match what {
                    0 => {
                        let lines = vec![NewReturnLine {
                            order_line: line,
                            quantity: quantity.into(),
                            reason: None,
                            note: None,
                        }];
                        let new = NewReturn { order, reason: ReturnReason::Other, note: None, lines };
                        ids.extend(shop.ask(Scope::company(shop.dealer), &new).await.ok());
                    }
                    1 => drop(shop.decide(target, APPROVED).await),
                    2 => drop(shop.decide(target, rejected()).await),
                    _ => drop(shop.receive(target, "MERKEZ").await),
                }
            }
            let (standing, received, stocked): (Decimal, Decimal, Decimal) = sqlx::query_as(
                "select coalesce(sum(l.quantity) filter (where r.state <> 'rejected'), 0),
                     coalesce(sum(l.quantity) filter (where r.state = 'received'), 0),
                     coalesce((select sum(quantity) from commerce.stock_level where product_id = $2), 0)
                 from commerce.return_line l join commerce.return_request r on r.id = l.return_id
                 where l.order_line_id = $1",
            )
            .bind(line)
            .bind(goods)
            .fetch_one(shop.pool())
            .await
            .expect("sums");
            prop_assert!(standing <= Decimal::from(8), "{}", standing);
            prop_assert_eq!(received, stocked);
            Ok(())
        })
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

fn uuid() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}
