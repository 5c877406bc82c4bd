//! Carts.

use kopru::{
    commerce::{
        carts::{self, Cart},
        orders::{OrderError, OrderRules},
    },
    principal::Principal,
};

use super::{Market, cart, faults, manager, number, owner, place_in};

impl Market {
    async fn put(&self, who: &Principal, product: i64, quantity: &str) -> Result<Cart, OrderError> {
        self.act(who, async |conn, cx| carts::put(conn, cx, product, number(quantity), None).await).await
    }

    async fn cart(&self, who: &Principal) -> Cart {
        self.act(who, async |conn, cx| carts::show(conn, cx).await).await.expect("shown")
    }
}

fn codes(cart: &Cart) -> Vec<(i64, Vec<&'static str>)> {
    let of = |item: &carts::CartItem| item.notices.iter().map(|notice| notice.code).collect();
    cart.items.iter().map(|item| (item.product_id, of(item))).collect()
}

#[tokio::test]
async fn it_is_the_same_on_every_device_and_putting_again_changes_nothing() {
    let market = Market::open().await;
    let dealer = market.dealer("120.01", None).await;
    let (camera, cable) = (market.product("KMR", "100", 10).await, market.product("KBL", "12.50", 10).await);
    let who = owner(dealer);
    assert_eq!(market.cart(&who).await.items, []);
    market.put(&who, camera, "2").await.expect("put");
    market.put(&who, cable, "1").await.expect("put");
    let first = market.put(&who, camera, "3").await.expect("put");
    let again = market.put(&who, camera, "3").await.expect("put");
    assert_eq!((&first.items, first.total), (&again.items, again.total));
    assert_eq!(codes(&again), [(camera, vec![]), (cable, vec![])]);
    assert_eq!((again.subtotal, again.tax, again.total), (number("312.50"), number("62.50"), number("375.00")));
    assert!(again.can_order && again.currency.as_deref() == Some("TRY"));
    let colleague = Principal::user(55, kopru::principal::Role::DealerPurchasing, Some(dealer));
    assert_eq!(market.cart(&colleague).await.items, [], "a cart is a user's, not a company's");
    let left = market.act(&who, async |conn, cx| carts::remove(conn, cx, camera).await).await.expect("removed");
    assert_eq!(codes(&left), [(cable, vec![])]);
    let left =
        market.act(&who, async |conn, cx| carts::remove(conn, cx, camera).await).await.expect("it is out already");
    assert_eq!(left.items.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_ordered_is_not_put_in() {
    let market = Market::open().await;
    let dealer = market.dealer("120.01", None).await;
    let who = owner(dealer);
    let camera = market.product("KMR", "100", 10).await;
    let boxed = market.product("KUTU", "100", 10).await;
    market.set(boxed, "minimum_order_quantity = 10, order_multiple = 4").await;
    let dollars = market.product("DOLAR", "1", 10).await;
    market.price_row(dollars, &format!("list-{dollars}"), "1", "list", None, "USD", None).await;
    let free = crate::support::dealers::product(market.pool(), "FIYATSIZ").await;
    let refused = async |product: i64, quantity: &str| match market.put(&who, product, quantity).await {
        Err(OrderError::Invalid(faults)) => faults[0].code,
        other => panic!("{other:?}"),
    };
    for (quantity, code) in
        [("0", "not_positive"), ("-1", "not_positive"), ("0.5", "fraction"), ("1000000000000000", "out_of_range")]
    {
        assert_eq!(refused(camera, quantity).await, code);
    }
    assert_eq!(refused(boxed, "4").await, "below_minimum");
    assert_eq!(refused(boxed, "10").await, "not_a_multiple");
    assert_eq!(refused(free, "1").await, "no_price");
    assert_eq!(refused(999_999, "1").await, "unknown_product");
    market.put(&who, camera, "1").await.expect("put");
    assert_eq!(refused(dollars, "1").await, "currency_mixed");
    assert_eq!(codes(&market.cart(&who).await), [(camera, vec![])]);
    let houses = market.put(&manager(), camera, "1").await;
    assert!(matches!(houses, Err(OrderError::NoCart)), "{houses:?}");
}

#[tokio::test]
async fn what_changed_is_told_until_it_is_put_again() {
    let market = Market::open().await;
    let dealer = market.dealer("120.01", None).await;
    let who = owner(dealer);
    let (camera, cable) = (market.product("KMR", "100", 10).await, market.product("KBL", "10", 10).await);
    market.put(&who, camera, "5").await.expect("put");
    market.put(&who, cable, "5").await.expect("put");
    market.price(camera, "110").await;
    market.stock(cable, "0", 4).await;
    for _ in 0..2 {
        let cart = market.cart(&who).await;
        assert_eq!(codes(&cart), [(camera, vec!["price_changed"]), (cable, vec!["insufficient_stock"])]);
        assert_eq!(cart.items[0].notices[0].message, "cost 100 TRY when it was put in and costs 110 TRY now");
        assert_eq!(cart.items[1].notices[0].message, "there are only 4 left, not 5");
        assert!(!cart.can_order && cart.items[0].in_stock && !cart.items[1].in_stock);
        assert_eq!(cart.subtotal, number("600"));
    }
    market.put(&who, camera, "5").await.expect("put");
    let cart = market.put(&who, cable, "4").await.expect("put");
    assert_eq!(codes(&cart), [(camera, vec![]), (cable, vec![])]);
    assert!(cart.can_order);
    market.set(camera, "is_active = false").await;
    let cart = market.cart(&who).await;
    assert_eq!(codes(&cart), [(camera, vec!["product_inactive"]), (cable, vec![])]);
    assert_eq!((cart.items[0].unit_price, cart.subtotal), (None, number("40")));
    assert_eq!(
        faults(market.place(&who, &super::cart()).await),
        [("items[0].productId".to_owned(), "product_inactive")]
    );
}

#[tokio::test]
async fn no_order_costs_more_than_was_seen() {
    let market = Market::open().await;
    let dealer = market.dealer("120.01", None).await;
    let who = owner(dealer);
    let camera = market.product("KMR", "100", 10).await;
    market.put(&who, camera, "1").await.expect("put");
    market.price(camera, "120").await;
    let refused = market.place(&who, &cart()).await;
    assert!(matches!(&refused, Err(OrderError::Changed(_))), "{refused:?}");
    assert_eq!(faults(refused), [("items[0].price".to_owned(), "price_changed")]);
    market.cart(&who).await;
    let order = market.place(&who, &cart()).await.expect("now it was seen");
    assert_eq!(order.summary.subtotal, number("120"));
    assert_eq!(market.cart(&who).await.items, [], "what is ordered is out of the cart");
    assert!(matches!(market.place(&who, &cart()).await, Err(OrderError::CartEmpty)));

    market.put(&who, camera, "1").await.expect("put");
    market.price(camera, "90").await;
    assert_eq!(market.place(&who, &cart()).await.expect("a lower one").summary.subtotal, number("90"));
}

#[tokio::test]
async fn a_discount_that_fell_away_is_a_price_that_rose() {
    let market = Market::open().await;
    let dealer = market.dealer("120.01", None).await;
    let who = owner(dealer);
    let set = async |rate: &str| {
        let set = "update commerce.customer set discount_rate = $1";
        sqlx::query(set).bind(number(rate)).execute(market.pool()).await.expect("a discount");
    };
    set("10").await;
    let camera = market.product("KMR", "100", 10).await;
    let seen = market.put(&who, camera, "1").await.expect("put");
    assert_eq!((seen.subtotal, seen.discount), (number("100"), number("10")));

    set("0").await;
    assert_eq!(faults(market.place(&who, &cart()).await), [("items[0].price".to_owned(), "price_changed")]);
    let shown = market.cart(&who).await;
    assert_eq!(shown.items[0].notices[0].message, "cost 90 TRY when it was put in and costs 100 TRY now");
    assert_eq!(market.place(&who, &cart()).await.expect("now it was seen").summary.total, number("120"));

    // The dealer's own price is lower than the list's, and no discount comes off it.
    set("10").await;
    market.put(&who, camera, "1").await.expect("put");
    market.price_row(camera, "own", "95", "special", Some(dealer), "TRY", None).await;
    assert_eq!(faults(market.place(&who, &cart()).await), [("items[0].price".to_owned(), "price_changed")]);
    // A better discount needs no asking.
    market.price_row(camera, "own", "80", "special", Some(dealer), "TRY", None).await;
    assert_eq!(market.place(&who, &cart()).await.expect("a lower one").summary.subtotal, number("80"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_devices_order_a_cart_once() {
    let market = Market::open().await;
    let dealer = market.dealer("120.01", None).await;
    let camera = market.product("KMR", "100", 10).await;
    market.put(&owner(dealer), camera, "1").await.expect("put");
    let mut devices = Vec::new();
    for _ in 0..4 {
        let (pool, rules, now) = (market.pool().clone(), market.rules, market.now);
        devices.push(tokio::spawn(async move { place_in(&pool, rules, now, &owner(dealer), &cart()).await }));
    }
    let mut placed = 0;
    for device in devices {
        match device.await.expect("no panic") {
            Ok(_) => placed += 1,
            Err(OrderError::CartEmpty) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(placed, 1);
    assert_eq!(market.held(camera).await.0, number("1"));
}

#[tokio::test]
async fn a_cart_that_nobody_changed_for_a_week_is_empty() {
    let market = Market::open().await;
    assert_eq!(OrderRules::default().cart_for.as_secs(), 7 * 24 * 3600);
    let dealer = market.dealer("120.01", None).await;
    let (old, new) = (owner(dealer), Principal::user(1, kopru::principal::Role::DealerOwner, Some(dealer)));
    let (camera, cable) = (market.product("KMR", "100", 10).await, market.product("KBL", "10", 10).await);
    market.put(&old, camera, "1").await.expect("put");
    market.put(&new, camera, "1").await.expect("put");
    sqlx::query("update commerce.cart set expires_at = clock_timestamp() where user_id = $1")
        .bind(old.user_id())
        .execute(market.pool())
        .await
        .expect("a week passes");
    assert_eq!(market.cart(&old).await.items, []);
    assert!(matches!(market.place(&old, &cart()).await, Err(OrderError::CartEmpty)));
    let begun = market.put(&old, cable, "1").await.expect("put");
    assert_eq!(codes(&begun), [(cable, vec![])], "it begins anew");
    sqlx::query("update commerce.cart set expires_at = clock_timestamp() where user_id = $1")
        .bind(old.user_id())
        .execute(market.pool())
        .await
        .expect("a week passes");
    assert_eq!(carts::trim(market.pool()).await.expect("trimmed"), 1);
    assert_eq!(market.cart(&new).await.items.len(), 1);
}

#[tokio::test]
async fn a_user_of_another_company_now_has_another_cart() {
    let market = Market::open().await;
    let (one, other) = (market.dealer("120.01", None).await, market.dealer("120.02", None).await);
    let camera = market.product("KMR", "100", 10).await;
    let user = |company| Principal::user(9, kopru::principal::Role::DealerOwner, Some(company));
    market.put(&user(one), camera, "1").await.expect("put");
    assert_eq!(market.cart(&user(other)).await.items, []);
    assert_eq!(market.put(&user(other), camera, "2").await.expect("put").items[0].quantity, number("2"));
    assert_eq!(market.cart(&user(one)).await.items, []);
}
