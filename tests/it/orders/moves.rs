//! What becomes of orders.

use kopru::{
    clock::Clock,
    commerce::orders::{self, OrderError, OrderKey, State},
    principal::Scope,
};
use rust_decimal::Decimal;

use super::{Market, by_card, manager, number, of, owner};
use crate::support::dealers;

async fn state(market: &Market, order: i64) -> (String, bool) {
    let mut conn = market.pool().acquire().await.expect("a connection");
    let order = orders::find(&mut conn, Scope::house(), OrderKey::Id(order)).await.expect("read").expect("there");
    (order.summary.state, order.summary.cancel_requested)
}

#[track_caller]
fn forbidden<T: std::fmt::Debug>(refused: Result<T, OrderError>) -> &'static [State] {
    match refused {
        Err(OrderError::Forbidden(forbidden)) => forbidden.allowed(),
        other => panic!("expected a forbidden move, got {other:?}"),
    }
}

#[tokio::test]
async fn an_approved_order_on_account_is_confirmed() {
    let mut market = Market::open().await;
    market.rules.approve_above = Some(Decimal::ZERO);
    let dealer = market.dealer("120.01", None).await;
    let camera = market.product("KMR", "100", 10).await;
    let placed = market.place(&owner(dealer), &of(&[(camera, "1")])).await.expect("placed").summary;
    assert_eq!(market.events(placed.id).await, [("order.created".to_owned(), 1)]);
    let order = market.approve(&manager(), placed.id).await.expect("approved");
    assert_eq!((order.summary.state.as_str(), order.summary.revision), ("confirmed", 3));
    assert_eq!(order.lines[0].confirmed, number("1"));
    assert_eq!(
        market.events(placed.id).await,
        [("order.created".to_owned(), 1), ("order.approved".to_owned(), 2), ("order.confirmed".to_owned(), 3)]
    );
    assert_eq!(forbidden(market.approve(&manager(), placed.id).await), State::Confirmed.moves());
    let mut conn = market.pool().acquire().await.expect("a connection");
    let history = orders::history(&mut conn, Scope::house(), placed.id).await.expect("read").expect("there");
    let told: Vec<_> =
        history.iter().map(|it| (it.action.as_str(), it.from_state.as_deref(), it.note.as_deref())).collect();
    assert_eq!(told, [("placed", None, None), ("approved", Some("pending_approval"), Some("tamam"))]);
    assert_eq!(market.count("select count(*) from identity.audit_event where action = 'order.approved'").await, 1);
}

#[tokio::test]
async fn an_approved_order_by_card_has_to_be_paid_then() {
    let mut market = Market::open().await;
    market.rules.approve_above = Some(Decimal::ZERO);
    let dealer = market.dealer("120.01", None).await;
    let camera = market.product("KMR", "100", 10).await;
    let placed = market.place(&owner(dealer), &by_card(of(&[(camera, "1")]))).await.expect("placed").summary;
    let order = market.approve(&manager(), placed.id).await.expect("approved").summary;
    assert_eq!(order.state, "pending_payment");
    assert!(order.expires_at < placed.expires_at, "half an hour is less than a week");
    let paid = market.act(&manager(), async |conn, cx| orders::paid(conn, cx, placed.id).await).await.expect("paid");
    assert_eq!(paid.summary.state, "confirmed");
    let told: Vec<String> = market.events(placed.id).await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(told, ["order.created", "order.approved", "order.confirmed"]);
}

#[tokio::test]
async fn who_was_barred_since_gets_nothing_confirmed() {
    let mut market = Market::open().await;
    market.rules.approve_above = Some(Decimal::ZERO);
    let dealer = market.dealer("120.01", None).await;
    let camera = market.product("KMR", "100", 10).await;
    let waiting = market.place(&owner(dealer), &of(&[(camera, "1")])).await.expect("placed").summary.id;
    let unpaid = market.place(&owner(dealer), &by_card(of(&[(camera, "1")]))).await.expect("placed").summary.id;
    market.approve(&manager(), unpaid).await.expect("approved");
    for barred in
        ["is_active = false", "is_active = true, is_approved = false", "is_approved = true, deleted_at = now()"]
    {
        let text = format!("update commerce.customer set {barred}");
        sqlx::query(sqlx::AssertSqlSafe(text)).execute(market.pool()).await.expect("barred");
        let refused = market.approve(&manager(), waiting).await;
        assert!(matches!(refused, Err(OrderError::CustomerBarred(_))), "{barred}: {refused:?}");
        let refused = market.act(&manager(), async |conn, cx| orders::paid(conn, cx, unpaid).await).await;
        assert!(matches!(refused, Err(OrderError::CustomerBarred(_))), "{barred}: {refused:?}");
    }
    assert_eq!(state(&market, waiting).await.0, "pending_approval");
    assert_eq!(state(&market, unpaid).await.0, "pending_payment");
    let order = market.act(&manager(), async |conn, cx| orders::reject(conn, cx, waiting, None).await).await;
    assert_eq!(order.expect("rejected").summary.state, "cancelled");
}

#[tokio::test]
async fn what_nobody_decides_runs_out_unless_it_may_wait_for_ever() {
    let mut market = Market::open().await;
    market.rules.approve_above = Some(Decimal::ZERO);
    let dealer = market.dealer("120.01", None).await;
    let camera = market.product("KMR", "100", 10).await;
    let waiting = market.place(&owner(dealer), &of(&[(camera, "4")])).await.expect("placed").summary;
    let left = market
        .count(
            "select (extract(epoch from max(expires_at) - clock_timestamp()) / 3600)::bigint from commerce.sales_order",
        )
        .await;
    assert!((7 * 24 - 2..=7 * 24).contains(&left), "{left} hours");
    market.rules.undecided_for = None;
    let patient = market.place(&owner(dealer), &of(&[(camera, "1")])).await.expect("placed").summary;
    assert_eq!(patient.expires_at, None);
    let clock = Clock::fixed(market.now);
    assert_eq!(orders::expire(market.pool(), &clock).await.expect("looked"), 0);
    sqlx::query("update commerce.sales_order set expires_at = clock_timestamp() where expires_at is not null")
        .execute(market.pool())
        .await
        .expect("due");
    assert_eq!(orders::expire(market.pool(), &clock).await.expect("expired"), 1);
    assert_eq!(state(&market, waiting.id).await.0, "cancelled");
    assert_eq!(market.events(waiting.id).await.last(), Some(&("order.cancelled".to_owned(), 2)));
    assert_eq!(state(&market, patient.id).await.0, "pending_approval");
    assert_eq!(market.held(camera).await.0, number("1"));
    assert_eq!(forbidden(market.approve(&manager(), waiting.id).await), []);
    market.assert_books_agree().await;
}

#[tokio::test]
async fn whoever_is_to_be_told_of_an_order_is_told_of_all_of_it() {
    let market = Market::open().await;
    sqlx::query("insert into hub.target (name, kind, events, bulk, blocks, enabled) values ('ear', 'test', '{order.*,*}', false, true, true)")
        .execute(market.pool())
        .await
        .expect("a target");
    let dealer = market.dealer("120.01", None).await;
    let camera = market.product("KMR", "100", 10).await;
    let placed = market.place(&owner(dealer), &of(&[(camera, "1")])).await.expect("placed").summary;
    market.cancel(&owner(dealer), placed.id).await.expect("cancelled");
    let noted: Vec<String> = sqlx::query_scalar(
        "select e.type from hub.outbox_unrouted n join hub.outbox_event e on e.id = n.event_id order by n.seq",
    )
    .fetch_all(market.pool())
    .await
    .expect("notes");
    assert_eq!(noted, ["order.created", "order.confirmed", "order.cancelled"]);
}

#[tokio::test]
async fn a_rejected_order_gives_back_what_it_held() {
    let mut market = Market::open().await;
    market.rules.approve_above = Some(Decimal::ZERO);
    let dealer = market.dealer("120.01", None).await;
    let camera = market.product("KMR", "100", 10).await;
    let placed = market.place(&owner(dealer), &of(&[(camera, "4")])).await.expect("placed").summary;
    let reject = async |order: i64| {
        market.act(&manager(), async |conn, cx| orders::reject(conn, cx, order, Some("limit dolu")).await).await
    };
    let order = reject(placed.id).await.expect("rejected");
    assert_eq!(order.summary.state, "cancelled");
    assert_eq!((order.lines[0].reserved, order.lines[0].cancelled), (number("0"), number("4")));
    assert_eq!(market.held(camera).await, (number("0"), number("10")));
    assert_eq!(forbidden(reject(placed.id).await), []);
    market.assert_books_agree().await;
}

#[tokio::test]
async fn a_cancelled_order_is_over() {
    let market = Market::open().await;
    let (dealer, other) = (market.dealer("120.01", None).await, market.dealer("120.02", None).await);
    let camera = market.product("KMR", "100", 10).await;
    let placed = market.place(&owner(dealer), &of(&[(camera, "10")])).await.expect("placed").summary;
    let refused = market.cancel(&owner(other), placed.id).await;
    assert!(matches!(refused, Err(OrderError::NotFound)), "foreign is not there");
    assert!(matches!(market.cancel(&manager(), 99_999).await, Err(OrderError::NotFound)));
    let order = market.cancel(&owner(dealer), placed.id).await.expect("cancelled");
    assert_eq!((order.summary.state.as_str(), order.summary.cancel_requested), ("cancelled", false));
    assert_eq!(forbidden(market.cancel(&owner(dealer), placed.id).await), []);
    assert_eq!(market.held(camera).await, (number("0"), number("10")));
    market.place(&owner(other), &of(&[(camera, "10")])).await.expect("somebody else has it now");
}

#[tokio::test]
async fn what_the_erp_has_is_only_asked_to_be_cancelled() {
    let market = Market::open().await;
    let dealer = market.dealer("120.01", None).await;
    let camera = market.product("KMR", "100", 10).await;
    let placed = market.place(&owner(dealer), &of(&[(camera, "1")])).await.expect("placed").summary;
    sqlx::query("update commerce.sales_order set handed_at = now(), sent_at = now()")
        .execute(market.pool())
        .await
        .expect("sent");
    let order = market.cancel(&owner(dealer), placed.id).await.expect("asked for").summary;
    assert_eq!((order.state.as_str(), order.cancel_requested, order.revision), ("confirmed", true, 3));
    let again = market.cancel(&owner(dealer), placed.id).await.expect("asked for already").summary;
    assert_eq!(again.revision, 3, "asking twice changes nothing");
    let told = market.events(placed.id).await;
    assert_eq!(told.last(), Some(&("order.updated".to_owned(), 3)));
    assert_eq!(market.held(camera).await.0, number("1"), "the ERP may still ship it");
}

#[tokio::test]
async fn what_is_on_its_way_is_not_cancelled() {
    let market = Market::open().await;
    let dealer = market.dealer("120.01", None).await;
    let camera = market.product("KMR", "100", 10).await;
    let placed = market.place(&owner(dealer), &of(&[(camera, "1")])).await.expect("placed").summary;
    for (state, allowed) in
        [("shipped", State::Shipped), ("delivered", State::Delivered), ("completed", State::Completed)]
    {
        sqlx::query("update commerce.sales_order set state = $1")
            .bind(state)
            .execute(market.pool())
            .await
            .expect("moved");
        assert_eq!(forbidden(market.cancel(&owner(dealer), placed.id).await), allowed.moves());
    }
}

#[tokio::test]
async fn what_is_not_paid_in_time_is_cancelled_once() {
    let market = Market::open().await;
    let dealer = market.dealer("120.01", None).await;
    let camera = market.product("KMR", "100", 1_000).await;
    let fresh = market.place(&owner(dealer), &by_card(of(&[(camera, "3")]))).await.expect("placed").summary.id;
    let mut due = Vec::new();
    for _ in 0..5 {
        due.push(market.place(&owner(dealer), &by_card(of(&[(camera, "2")]))).await.expect("placed").summary.id);
    }
    // More than are taken at once.
    for _ in 0..98 {
        dealers::order(market.pool(), dealer, camera, 1, "pending_payment").await;
    }
    sqlx::query("update commerce.sales_order set expires_at = clock_timestamp() where id <> $1")
        .bind(fresh)
        .execute(market.pool())
        .await
        .expect("due");
    let clock = Clock::fixed(market.now);
    let (pool, other) = (market.pool().clone(), market.pool().clone());
    let (one, two) = tokio::join!(orders::expire(&pool, &clock), orders::expire(&other, &clock));
    assert_eq!(one.expect("expired") + two.expect("expired"), 103, "two daemons share the work");
    assert_eq!(orders::expire(&pool, &clock).await.expect("nothing is due"), 0);
    for order in &due {
        assert_eq!(state(&market, *order).await.0, "cancelled");
        let told = market.events(*order).await;
        assert_eq!(told, [("order.created".to_owned(), 1), ("order.cancelled".to_owned(), 2)]);
    }
    assert_eq!(state(&market, fresh).await.0, "pending_payment");
    assert_eq!(market.held(camera).await.0, number("3"));
    market.assert_books_agree().await;
    let late = market.act(&manager(), async |conn, cx| orders::paid(conn, cx, due[0]).await).await;
    assert_eq!(forbidden(late), [], "who charged it has to look at the money");
}
