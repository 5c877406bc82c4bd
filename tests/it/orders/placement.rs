//! Orders that are placed.

use kopru::{
    commerce::orders::{self, AskedLine, NewOrder, OrderKey, State},
    principal::Scope,
};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{Market, by_card, in_unit, line, manager, number, of, owner};

#[tokio::test]
async fn an_order_is_written_whole() {
    let market = Market::open().await;
    let dealer = market.dealer("120.01", None).await;
    let camera = market.product("KMR", "100", 10).await;
    let cable = market.product("KBL", "12.5", 100).await;
    let who = owner(dealer);
    let new = NewOrder { note: Some("  kapıda arayın ".into()), ..of(&[(camera, "2"), (cable, "10")]) };
    let order = market.place(&who, &new).await.expect("placed");

    assert_eq!(order.summary.number, "ORD202611210001");
    assert_eq!((order.summary.state.as_str(), order.summary.revision), ("confirmed", 2));
    assert_eq!(
        (order.summary.subtotal, order.summary.tax, order.summary.total),
        (number("325"), number("65"), number("390"))
    );
    assert_eq!(order.note.as_deref(), Some("kapıda arayın"));
    assert_eq!(order.placed_by, who.actor());
    assert_eq!(market.held(camera).await, (number("2"), number("8")));
    assert_eq!(
        market.events(order.summary.id).await,
        [("order.created".to_owned(), 1), ("order.confirmed".to_owned(), 2)]
    );

    let mut conn = market.pool().acquire().await.expect("a connection");
    let read = orders::find(&mut conn, who.scope(), OrderKey::Id(order.summary.id)).await.expect("read");
    assert_eq!(read.as_ref(), Some(&order), "it is answered as it is read");
    let by_number = orders::find(&mut conn, who.scope(), OrderKey::Number("ORD202611210001")).await.expect("read");
    assert_eq!(by_number.as_ref(), Some(&order));
    let history = orders::history(&mut conn, who.scope(), order.summary.id).await.expect("read").expect("there");
    assert_eq!(history.len(), 1);
    assert_eq!(
        (history[0].action.as_str(), history[0].revision, history[0].state.as_str()),
        ("placed", 2, "confirmed")
    );
    let audited: Value = sqlx::query_scalar("select detail from identity.audit_event where action = 'order.placed'")
        .fetch_one(market.pool())
        .await
        .expect("audited");
    assert_eq!(audited["total"], json!("390.00"));
}

/// The books of LOGO: 5 % on the camera's list price, the cable by the drum at a price agreed with the dealer.
#[tokio::test]
async fn the_order_of_logos_books_comes_out_to_the_kurus() {
    let market = Market::open().await;
    let dealer = market.dealer("120.34.0187", None).await;
    sqlx::query("update commerce.customer set discount_rate = 5").execute(market.pool()).await.expect("set");
    let camera = market.product("KMR-DM4-2812", "1845.50", 100).await;
    let cable = market.product("KBL-C6-305", "14", 10_000).await;
    market.unit(cable, "ADET", 1, 3).await;
    market.unit(cable, "MAKARA", 305, 0).await;
    market.price_row(cable, "SPC", "4120", "special", Some(dealer), "TRY", Some("MAKARA")).await;

    let lines = vec![line(camera, "12"), in_unit(line(cable, "3"), "MAKARA")];
    let order = market.place(&owner(dealer), &NewOrder { lines: Some(lines), ..of(&[]) }).await.expect("placed");
    let sums = &order.summary;
    assert_eq!((sums.subtotal, sums.discount), (number("34506.00"), number("1107.30")));
    assert_eq!((sums.tax, sums.total), (number("6679.74"), number("40078.44")));
    let first = &order.lines[0];
    assert_eq!((first.amount, first.vat_base, first.vat), (number("22146.00"), number("21038.70"), number("4207.74")));
    assert_eq!((first.discounts[0].rate, first.discounts[0].amount), (number("5"), number("1107.30")));
    let second = &order.lines[1];
    assert_eq!((second.unit_price, second.vat_base, second.vat), (number("4120"), number("12360"), number("2472")));
    assert_eq!((second.price_rule.as_deref(), second.discounts.len()), (Some("special"), 0));
    assert_eq!(market.held(cable).await.0, number("915"), "stock is held in the main unit");
}

#[tokio::test]
async fn a_price_with_vat_is_what_is_paid() {
    let market = Market::open().await;
    let dealer = market.dealer("120.01", None).await;
    let lamp = market.product("LAMBA", "99.99", 1_000_000).await;
    market.set(lamp, "vat_rate = 10").await;
    sqlx::query("update commerce.price set vat_included = true").execute(market.pool()).await.expect("set");
    let order = market.place(&owner(dealer), &of(&[(lamp, "12345")])).await.expect("placed");
    assert_eq!(order.summary.total, number("1234376.55"));
    assert_eq!(order.summary.subtotal, number("1122160.50"));
}

#[tokio::test]
async fn an_order_by_card_waits_for_its_payment() {
    let market = Market::open().await;
    let dealer = market.dealer("120.01", Some(0)).await;
    let camera = market.product("KMR", "100", 10).await;
    let order = market.place(&owner(dealer), &by_card(of(&[(camera, "1")]))).await.expect("no credit is needed");
    assert_eq!(order.summary.state, "pending_payment");
    assert!(order.summary.expires_at.is_some() && order.summary.confirmed_at.is_none());
    assert_eq!(order.lines[0].confirmed, Decimal::ZERO);
    assert_eq!(market.events(order.summary.id).await, [("order.created".to_owned(), 1)]);
    assert_eq!(market.held(camera).await.0, number("1"), "what it reserves is held meanwhile");
}

#[tokio::test]
async fn what_is_not_kept_in_stock_needs_none() {
    let market = Market::open().await;
    let dealer = market.dealer("120.01", None).await;
    let licence = market.product("LSN", "100", 0).await;
    market.set(licence, "track_stock = false").await;
    let order = market.place(&owner(dealer), &of(&[(licence, "3")])).await.expect("placed");
    assert_eq!(order.lines[0].reserved, Decimal::ZERO);
    assert_eq!(market.count("select count(*) from commerce.stock_reservation").await, 0);
}

#[tokio::test]
async fn warehouses_are_chosen_by_the_rule() {
    let market = Market::open().await;
    let dealer = market.dealer("120.01", None).await;
    let camera = market.product("KMR", "100", 3).await;
    let cable = market.product("KBL", "10", 0).await;
    let near = market.stock(camera, "1", 5).await;
    market.stock(camera, "2", 4).await;
    market.stock(cable, "1", 50).await;
    let taken = async |order: i64| -> Vec<(String, i64)> {
        sqlx::query_as(
            "select w.code, r.quantity::bigint from commerce.stock_reservation r
             join commerce.stock_level s on s.id = r.stock_level_id
             join commerce.warehouse w on w.id = s.warehouse_id
             where r.order_id = $1 order by r.quantity desc, w.code",
        )
        .bind(order)
        .fetch_all(market.pool())
        .await
        .expect("asked")
    };
    let both = market.place(&owner(dealer), &of(&[(camera, "2"), (cable, "10")])).await.expect("placed");
    assert_eq!(taken(both.summary.id).await, [("1".to_owned(), 10), ("1".to_owned(), 2)], "one that has everything");
    let spread = market.place(&owner(dealer), &of(&[(camera, "9")])).await.expect("placed");
    let expected = [("2".to_owned(), 4), ("0".to_owned(), 3), ("1".to_owned(), 2)];
    assert_eq!(taken(spread.summary.id).await, expected, "one alone does not do");

    sqlx::query("update commerce.warehouse set is_active = false where code = '1'")
        .execute(market.pool())
        .await
        .expect("closed");
    sqlx::query("update commerce.stock_level set quantity = 100 where id = $1")
        .bind(near)
        .execute(market.pool())
        .await
        .expect("filled");
    assert_eq!(
        super::faults(market.place(&owner(dealer), &of(&[(camera, "1")])).await),
        [("lines[0].quantity".to_owned(), "insufficient_stock")],
        "nothing is sold from a closed warehouse"
    );
    market.assert_books_agree().await;
}

#[tokio::test]
async fn a_quick_order_of_500_lines_by_sku() {
    let market = Market::open().await;
    let dealer = market.dealer("120.01", None).await;
    market.product("P000", "1.15", 10).await;
    sqlx::query(
        "with products as (
            insert into commerce.product (code, sku, name, slug, unit, created_at, updated_at, created_by, updated_by)
            select 'P' || lpad(n::text, 3, '0'), 'P' || lpad(n::text, 3, '0'), 'Kamera', 'p' || n, 'ADET', now(), now(),
                'test', 'test'
            from generate_series(1, 499) n
            returning id
         ), levels as (
            insert into commerce.stock_level (product_id, warehouse_id, quantity, created_at, updated_at)
            select p.id, w.id, 10, now(), now() from products p, commerce.warehouse w
         )
         insert into commerce.price (product_id, code, role, currency, amount, created_at, updated_at, created_by,
             updated_by)
         select id, 'list-' || id, 'list', 'TRY', 1.15, now(), now(), 'test', 'test' from products",
    )
    .execute(market.pool())
    .await
    .expect("a catalogue");
    let lines: Vec<AskedLine> = (0..500)
        .map(|number| AskedLine {
            product: None,
            sku: Some(format!("P{number:03}  ")),
            quantity: 3.into(),
            unit: Some("ADET".into()),
        })
        .collect();
    let order = market.place(&owner(dealer), &NewOrder { lines: Some(lines), ..of(&[]) }).await.expect("placed");
    assert_eq!(order.lines.len(), 500);
    assert_eq!((order.summary.subtotal, order.summary.tax), (number("1725"), number("345")));
    assert_eq!(order.lines[499].code, "P499");
}

#[tokio::test]
async fn lines_of_one_product_and_unit_become_one() {
    let market = Market::open().await;
    let dealer = market.dealer("120.01", None).await;
    let camera = market.product("KMR", "100", 10).await;
    let lines = vec![
        line(camera, "2"),
        AskedLine { product: None, sku: Some("KMR".into()), quantity: 3.into(), unit: Some("ADET".into()) },
    ];
    let order = market.place(&owner(dealer), &NewOrder { lines: Some(lines), ..of(&[]) }).await.expect("placed");
    assert_eq!(order.lines.len(), 1);
    assert_eq!(order.lines[0].quantity, number("5"));
    assert_eq!(market.held(camera).await.0, number("5"));
}

#[tokio::test]
async fn the_house_orders_for_a_customer_and_addresses_are_kept_as_they_stood() {
    let market = Market::open().await;
    let dealer = market.dealer("120.01", None).await;
    let camera = market.product("KMR", "100", 10).await;
    let address: i64 = sqlx::query_scalar(
        "insert into commerce.customer_address (customer_id, position, is_default, code, line1, city)
         values ($1, 0, false, 'SUBE', 'Gül Sok. No:7/B', 'BURSA') returning id",
    )
    .bind(dealer)
    .fetch_one(market.pool())
    .await
    .expect("an address");
    let new = NewOrder { customer: Some(dealer), shipping_address: Some(address), ..of(&[(camera, "1")]) };
    let order = market.place(&manager(), &new).await.expect("placed");
    assert_eq!(order.placed_by, "user:7");
    sqlx::query("update commerce.customer_address set line1 = 'taşındı'").execute(market.pool()).await.expect("moved");
    let mut conn = market.pool().acquire().await.expect("a connection");
    let read = orders::find(&mut conn, Scope::house(), OrderKey::Id(order.summary.id)).await.expect("read");
    let kept = read.and_then(|order| order.shipping_address).expect("an address");
    assert_eq!((kept["line1"].as_str(), kept["city"].as_str()), (Some("Gül Sok. No:7/B"), Some("BURSA")));
    let refused = NewOrder { shipping_address: Some(address + 1), ..new };
    assert_eq!(
        super::faults(market.place(&manager(), &refused).await),
        [("shippingAddressId".to_owned(), "unknown_address")]
    );
}

#[tokio::test]
async fn a_note_is_a_text_and_nothing_else() {
    let market = Market::open().await;
    let dealer = market.dealer("120.01", None).await;
    let camera = market.product("KMR", "100", 100).await;
    let long = "ş".repeat(2000);
    for note in ["'; drop table commerce.sales_order; --", "<script>alert(1)</script>", "İıŞş 🚚 \u{202e}عربي", &long]
    {
        let new = NewOrder { note: Some(note.to_owned()), ..of(&[(camera, "1")]) };
        let order = market.place(&owner(dealer), &new).await.expect("placed");
        let mut conn = market.pool().acquire().await.expect("a connection");
        let read = orders::find(&mut conn, Scope::house(), OrderKey::Id(order.summary.id)).await.expect("read");
        assert_eq!(read.and_then(|order| order.note).as_deref(), Some(note));
    }
    for (note, code) in [("x".repeat(2001), "too_long"), ("a\0b".to_owned(), "control_character")] {
        let new = NewOrder { note: Some(note), ..of(&[(camera, "1")]) };
        assert_eq!(super::faults(market.place(&owner(dealer), &new).await), [("note".to_owned(), code)]);
    }
}

#[tokio::test]
async fn what_somebody_has_to_approve_waits() {
    let mut market = Market::open().await;
    let dealer = market.dealer("120.01", Some(1_000)).await;
    let camera = market.product("KMR", "100", 100).await;
    let place = async |market: &Market, quantity: &str| {
        let order = market.place(&owner(dealer), &of(&[(camera, quantity)])).await.expect("placed").summary;
        (State::parse(&order.state).expect("a state"), order.approval_reasons)
    };
    market.rules.approve_first_orders = 1;
    assert_eq!(place(&market, "1").await, (State::PendingApproval, vec!["new_dealer".to_owned()]));
    market.rules.approve_first_orders = 0;
    assert_eq!(place(&market, "1").await, (State::Confirmed, vec![]));
    market.rules.approve_first_orders = 1;
    assert_eq!(place(&market, "1").await.0, State::Confirmed, "one was confirmed before");
    market.rules.approve_above = Some(number("240"));
    assert_eq!(place(&market, "2").await.0, State::Confirmed, "exactly so much is not above");
    market.rules.approve_above = Some(number("239.99"));
    assert_eq!(place(&market, "2").await.1, ["amount"]);
    market.rules.approve_above = None;
    // 840 of 1,000 are open: what waits for approval counts as well.
    assert_eq!(place(&market, "2").await.1, ["credit_limit"]);
}
