//! Orders that meet.

use kopru::{
    commerce::orders::{self, OrderContext, OrderError, PaymentMethod, Policy},
    outbox::Provenance,
    principal::Principal,
};
use proptest::{prelude::*, test_runner::TestRunner};
use rust_decimal::Decimal;

use super::{Market, by_card, manager, number, of, owner, place_in};
use crate::support::soak;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_in_stock_and_a_hundred_want_one() {
    let market = Market::open().await;
    let camera = market.product("KMR", "100", 10).await;
    let mut buyers = Vec::new();
    for number in 0..100 {
        let dealer = market.dealer(&format!("120.{number:03}"), None).await;
        let (pool, rules, now) = (market.pool().clone(), market.rules, market.now);
        buyers.push(tokio::spawn(
            async move { place_in(&pool, rules, now, &owner(dealer), &of(&[(camera, "1")])).await },
        ));
    }
    let (mut placed, mut refused) = (0, 0);
    for buyer in buyers {
        match buyer.await.expect("no panic") {
            Ok(_) => placed += 1,
            Err(OrderError::NotEnough(_)) => refused += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!((placed, refused), (10, 90));
    assert_eq!(market.held(camera).await, (number("10"), number("0")));
    assert_eq!(market.count("select count(*) from commerce.sales_order").await, 10);
    market.assert_books_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn credit_is_used_up_once() {
    for policy in [Policy::Hold, Policy::Refuse] {
        let mut market = Market::open().await;
        market.rules.over_limit = policy;
        let dealer = market.dealer("120.01", Some(200)).await;
        let camera = market.product("KMR", "100", 10).await;
        let mut orders = Vec::new();
        for _ in 0..8 {
            let (pool, rules, now) = (market.pool().clone(), market.rules, market.now);
            orders.push(tokio::spawn(async move {
                place_in(&pool, rules, now, &owner(dealer), &of(&[(camera, "1")])).await
            }));
        }
        let (mut confirmed, mut other) = (0, 0);
        for order in orders {
            match order.await.expect("no panic") {
                Ok(order) if order.summary.state == "confirmed" => confirmed += 1,
                Ok(order) => {
                    assert_eq!(
                        (policy, order.summary.approval_reasons),
                        (Policy::Hold, vec!["credit_limit".to_owned()])
                    );
                    other += 1;
                }
                Err(OrderError::OverLimit { .. }) => {
                    assert_eq!(policy, Policy::Refuse);
                    other += 1;
                }
                Err(error) => panic!("{error:?}"),
            }
        }
        assert_eq!((confirmed, other), (1, 7));
    }
}

/// Both fitted when they were placed, and only one of them does now: whichever is approved first.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_approved_at_once_do_not_use_up_the_same_credit() {
    let mut market = Market::open().await;
    market.rules.approve_above = Some(Decimal::ZERO);
    let camera = market.product("KMR", "100", 100).await;
    for number in 0..8 {
        let dealer = market.dealer(&format!("120.{number}"), Some(10_000)).await;
        let mut orders = Vec::new();
        for _ in 0..2 {
            let order = market.place(&owner(dealer), &of(&[(camera, "1")])).await.expect("placed").summary;
            assert_eq!((order.state.as_str(), order.approval_reasons), ("pending_approval", vec!["amount".to_owned()]));
            orders.push(order.id);
        }
        sqlx::query("update commerce.customer set credit_limit = 200 where id = $1")
            .bind(dealer)
            .execute(market.pool())
            .await
            .expect("a limit");
        let (one, two) = (manager(), manager());
        let (one, two) = tokio::join!(market.approve(&one, orders[0]), market.approve(&two, orders[1]));
        let refused: Vec<OrderError> = [one, two].into_iter().filter_map(Result::err).collect();
        match refused.as_slice() {
            [OrderError::OverLimit { limit, used, total }] => {
                assert_eq!((*limit, *used, *total), (200.into(), 120.into(), 120.into()));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Whoever comes first: an order is cancelled for good, or confirmed and then cancelled, and holds nothing after.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cancelled_while_it_is_approved() {
    let mut market = Market::open().await;
    market.rules.approve_above = Some(Decimal::ZERO);
    let dealer = market.dealer("120.01", None).await;
    let camera = market.product("KMR", "100", 100).await;
    for _ in 0..12 {
        let order = market.place(&owner(dealer), &of(&[(camera, "1")])).await.expect("placed").summary.id;
        let buyer = owner(dealer);
        let (house, expiring) = (manager(), kopru::clock::Clock::fixed(market.now));
        let (cancelled, approved, expired) = tokio::join!(
            market.cancel(&buyer, order),
            market.approve(&house, order),
            orders::expire(market.pool(), &expiring),
        );
        let told: Vec<String> = market.events(order).await.into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(cancelled.expect("both ways it can be cancelled").summary.state, "cancelled");
        match approved {
            Ok(_) => assert_eq!(told, ["order.created", "order.approved", "order.confirmed", "order.cancelled"]),
            Err(OrderError::Forbidden(_)) => assert_eq!(told, ["order.created", "order.cancelled"]),
            Err(error) => panic!("{error:?}"),
        }
        assert_eq!(expired.expect("looked"), 0);
    }
    assert_eq!(market.held(camera).await.0, number("0"));
    market.assert_books_agree().await;
}

/// Orders of the same products in opposite orders, cancelled by others meanwhile: nobody waits in a circle.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn orders_from_all_sides_do_not_deadlock() {
    let market = Market::open().await;
    let dealer = market.dealer("120.01", Some(100_000_000)).await;
    let mut products = Vec::new();
    for number in 0..20 {
        let product = market.product(&format!("P{number:02}"), "1", 100_000).await;
        market.stock(product, "1", 100).await;
        products.push(product);
    }
    let mut buyers = Vec::new();
    for side in 0..6_usize {
        let (pool, rules, now) = (market.pool().clone(), market.rules, market.now);
        let mut products = products.clone();
        if side % 2 == 1 {
            products.reverse();
        }
        products.rotate_left(side * 3);
        buyers.push(tokio::spawn(async move {
            let who = owner(dealer);
            for round in 0..10 {
                let lines: Vec<(i64, &str)> = products.iter().map(|product| (*product, "3")).collect();
                let order = place_in(&pool, rules, now, &who, &of(&lines)).await.expect("no deadlock");
                if round % 2 == 0 {
                    let actor = who.actor();
                    let by = Provenance { origin: &actor, bulk: false, correlation_id: "test", place: None, now };
                    let cx = OrderContext { principal: &who, by, rules: &rules };
                    let mut tx = pool.begin().await.expect("begin");
                    orders::cancel(&mut tx, &cx, order.summary.id, None).await.expect("no deadlock");
                    tx.commit().await.expect("commit");
                }
            }
        }));
    }
    for buyer in buyers {
        buyer.await.expect("no panic");
    }
    market.assert_books_agree().await;
    for product in products {
        assert_eq!(market.held(product).await.0, number("90"), "half of 60 orders of 3");
    }
}

#[derive(Debug, Clone)]
enum Step {
    Place { product: usize, quantity: i64, card: bool },
    Cancel(usize),
    Approve(usize),
    Reject(usize),
    Pay(usize),
    Ship(usize, i64),
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0..12_usize;
    prop_oneof![
        3 => (0..3_usize, 1..8_i64, any::<bool>()).prop_map(|(product, quantity, card)| Step::Place { product, quantity, card }),
        1 => which.clone().prop_map(Step::Cancel),
        1 => which.clone().prop_map(Step::Approve),
        1 => which.clone().prop_map(Step::Reject),
        1 => which.prop_map(Step::Pay),
        1 => (0..3_usize, 0..12_i64).prop_map(|(product, quantity)| Step::Ship(product, quantity)),
    ]
}

/// Whatever happens in whichever order, what is held is what open orders reserve, and `order.confirmed` is told once.
#[test]
fn any_history_keeps_the_books() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let cases = if soak() { 200 } else { 12 };
    let mut runner = TestRunner::new(ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() });
    let market = runtime.block_on(async {
        let mut market = Market::open().await;
        market.rules.approve_above = Some(number("500"));
        market
    });
    let run = std::sync::atomic::AtomicU32::new(0);
    runner
        .run(&prop::collection::vec(step(), 1..40), |steps| {
            let round = run.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            runtime.block_on(live(&market, round, &steps));
            Ok(())
        })
        .expect("the books agree");
}

async fn live(market: &Market, round: u32, steps: &[Step]) {
    let dealer = market.dealer(&format!("120.{round}"), Some(2_000)).await;
    let mut products = Vec::new();
    for number in 0..3 {
        products.push(market.product(&format!("P{round}-{number}"), "100", 12).await);
    }
    let (buyer, house): (Principal, Principal) = (owner(dealer), manager());
    let mut placed: Vec<i64> = Vec::new();
    for step in steps {
        let order = |at: &usize| placed.get(*at % placed.len().max(1)).copied().unwrap_or(0);
        let done = match step {
            Step::Place { product, quantity, card } => {
                let quantity = quantity.to_string();
                let new = of(&[(products[*product], quantity.as_str())]);
                let new = if *card { by_card(new) } else { new };
                assert_eq!(new.payment_method == PaymentMethod::Card, *card);
                market.place(&buyer, &new).await.map(|order| placed.push(order.summary.id))
            }
            Step::Cancel(at) => market.cancel(&buyer, order(at)).await.map(|_| ()),
            Step::Approve(at) => market.approve(&house, order(at)).await.map(|_| ()),
            Step::Reject(at) => {
                let order = order(at);
                market.act(&house, async |conn, cx| orders::reject(conn, cx, order, None).await.map(|_| ())).await
            }
            Step::Pay(at) => {
                let order = order(at);
                market.act(&house, async |conn, cx| orders::paid(conn, cx, order).await.map(|_| ())).await
            }
            Step::Ship(product, quantity) => {
                // The ERP counts anew; it never says less than what is held, which it does not know of.
                let held = market.held(products[*product]).await.0;
                let left = i64::try_from(held).expect("whole").max(*quantity);
                market.stock(products[*product], "0", left).await;
                Ok(())
            }
        };
        match done {
            Ok(()) | Err(OrderError::Forbidden(_) | OrderError::NotFound | OrderError::NotEnough(_)) => {}
            // What was within the limit when it was placed may exceed it by the time that it is approved.
            Err(OrderError::OverLimit { limit, used, total })
                if matches!(step, Step::Approve(_)) && used + total > limit => {}
            Err(error) => panic!("{step:?}: {error:?}"),
        }
    }
    market.assert_books_agree().await;
    let torn = market
        .count(
            "select count(*) from commerce.sales_order o
             where (select count(*) from hub.outbox_event e
                    where e.aggregate = 'order' and e.aggregate_id = o.id and e.type = 'order.confirmed')
                   <> (o.confirmed_at is not null)::int
                or (select max(e.revision) from hub.outbox_event e
                    where e.aggregate = 'order' and e.aggregate_id = o.id) <> o.revision
                or (select h.state from commerce.sales_order_history h where h.order_id = o.id
                    order by h.revision desc limit 1) <> o.state
                or o.total <> (select sum(l.vat_base + l.vat) from commerce.sales_order_line l where l.order_id = o.id)
                or exists (select from commerce.stock_reservation r
                           where r.order_id = o.id and (r.open > 0) = (o.state = 'cancelled'))",
        )
        .await;
    assert_eq!(torn, 0);
}
