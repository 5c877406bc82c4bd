//! What cannot be ordered, told line by line, and nothing is left of it.

use kopru::{
    commerce::orders::{AskedLine, NewOrder, OrderError, Policy},
    principal::{Principal, Role},
};

use super::{Market, faults, in_unit, line, manager, number, of, owner};

fn by_sku(sku: &str, quantity: &str) -> AskedLine {
    AskedLine { product: None, sku: Some(sku.to_owned()), quantity: number(quantity), unit: None }
}

#[tokio::test]
async fn every_mistake_is_told_with_its_line() {
    let market = Market::open().await;
    let dealer = market.dealer("120.01", None).await;
    let camera = market.product("KMR", "100", 10).await;
    let gone = market.product("ESKI", "100", 10).await;
    market.set(gone, "is_active = false").await;
    let free = market.product("FIYATSIZ", "100", 10).await;
    sqlx::query("update commerce.price set is_active = false where product_id = $1")
        .bind(free)
        .execute(market.pool())
        .await
        .expect("set");
    let boxed = market.product("KUTU", "100", 100).await;
    market.set(boxed, "minimum_order_quantity = 10, order_multiple = 5").await;
    let dollars = market.product("DOLAR", "1", 10).await;
    market.price_row(dollars, &format!("list-{dollars}"), "1", "list", None, "USD", None).await;
    let dear = market.product("PAHALI", "9999999999999", 10).await;

    let lines = vec![
        line(camera, "1"),                                                      // 0: good
        line(camera, "0"),                                                      // 1
        line(camera, "-3"),                                                     // 2
        line(camera, "1.5"),                                                    // 3
        line(camera, "99999999999999999"),                                      // 4
        in_unit(line(camera, "1"), "KOLİ"),                                     // 5
        line(9_999_999, "1"),                                                   // 6
        by_sku("'; drop table x; --", "1"),                                     // 7
        line(gone, "1"),                                                        // 8
        line(free, "1"),                                                        // 9
        line(boxed, "5"),                                                       // 10
        line(dollars, "1"),                                                     // 11
        AskedLine { sku: Some("KMR".into()), ..line(camera, "1") },             // 12
        AskedLine { product: None, sku: None, quantity: 1.into(), unit: None }, // 13
        by_sku("KMR\0", "1"),                                                   // 14
        line(dear, "99999999999"),                                              // 15
        by_sku("ESKI", "1"),                                                    // 16
        by_sku("kmr", "1"),                                                     // 17: codes are exact
    ];
    let mut told = faults(market.place(&owner(dealer), &NewOrder { lines: Some(lines), ..of(&[]) }).await);
    told.sort_by_key(|(field, _)| {
        let number: String = field.chars().filter(char::is_ascii_digit).collect();
        number.parse::<u32>().expect("an index")
    });
    let expected = [
        ("lines[1].quantity", "not_positive"),
        ("lines[2].quantity", "not_positive"),
        ("lines[3].quantity", "fraction"),
        ("lines[4].quantity", "out_of_range"),
        ("lines[5].unit", "unknown_unit"),
        ("lines[6].productId", "unknown_product"),
        ("lines[7].sku", "unknown_sku"),
        ("lines[8].productId", "product_inactive"),
        ("lines[9].productId", "no_price"),
        ("lines[10].quantity", "below_minimum"),
        ("lines[11].currency", "currency_mixed"),
        ("lines[12].sku", "ambiguous"),
        ("lines[13].productId", "required"),
        ("lines[14].sku", "unknown_sku"),
        ("lines[15].quantity", "out_of_range"),
        ("lines[16].sku", "product_inactive"),
        ("lines[17].sku", "unknown_sku"),
    ];
    let told: Vec<(&str, &str)> = told.iter().map(|(field, code)| (field.as_str(), *code)).collect();
    assert_eq!(told, expected);
    assert_eq!(market.count("select count(*) from commerce.sales_order").await, 0);
    assert_eq!(market.count("select count(*) from hub.outbox_event").await, 0);
    assert_eq!(market.held(camera).await.0, number("0"));
}

#[tokio::test]
async fn neither_nothing_nor_too_much() {
    let market = Market::open().await;
    let dealer = market.dealer("120.01", None).await;
    let camera = market.product("KMR", "100", 10_000).await;
    assert_eq!(faults(market.place(&owner(dealer), &of(&[])).await), [("lines".to_owned(), "required")]);
    let many = vec![(camera, "1"); 501];
    assert_eq!(faults(market.place(&owner(dealer), &of(&many)).await), [("lines".to_owned(), "too_many")]);
}

#[tokio::test]
async fn what_is_not_in_stock_is_told_for_each_line() {
    let market = Market::open().await;
    let dealer = market.dealer("120.01", None).await;
    let (camera, cable) = (market.product("KMR", "100", 10).await, market.product("KBL", "10", -5).await);
    let refused = market.place(&owner(dealer), &of(&[(camera, "10"), (cable, "1")])).await;
    assert!(matches!(&refused, Err(OrderError::NotEnough(_))), "{refused:?}");
    assert_eq!(faults(refused), [("lines[1].quantity".to_owned(), "insufficient_stock")]);
    assert_eq!(market.held(camera).await.0, number("0"), "nothing of a refused order is held");
}

#[tokio::test]
async fn foreign_and_barred_customers() {
    let market = Market::open().await;
    let (mine, theirs) = (market.dealer("120.01", None).await, market.dealer("120.02", None).await);
    let camera = market.product("KMR", "100", 10).await;
    let for_customer = |customer| NewOrder { customer: Some(customer), ..of(&[(camera, "1")]) };
    let refused = market.place(&owner(mine), &for_customer(theirs)).await;
    assert!(matches!(refused, Err(OrderError::UnknownCustomer(id)) if id == theirs), "foreign is not there");
    let refused = market.place(&manager(), &for_customer(999)).await;
    assert!(matches!(refused, Err(OrderError::UnknownCustomer(999))));
    let nobodys = Principal::user(5, Role::DealerOwner, None);
    let refused = market.place(&nobodys, &for_customer(mine)).await;
    assert!(matches!(refused, Err(OrderError::UnknownCustomer(_))), "a dealer's role without a company sees nobody");
    assert_eq!(faults(market.place(&manager(), &of(&[(camera, "1")])).await), [("customerId".to_owned(), "required")]);
    for (change, word) in [
        ("is_approved = false", "not approved yet"),
        ("is_active = false", "not active"),
        ("deleted_at = now()", "deleted"),
    ] {
        let text = format!("update commerce.customer set {change}");
        sqlx::query(sqlx::AssertSqlSafe(text)).execute(market.pool()).await.expect("set");
        let refused = market.place(&owner(mine), &of(&[(camera, "1")])).await;
        assert!(matches!(refused, Err(OrderError::CustomerBarred(why)) if why == word), "{refused:?}");
    }
}

#[tokio::test]
async fn credit_that_does_not_suffice_may_refuse() {
    let mut market = Market::open().await;
    market.rules.over_limit = Policy::Refuse;
    let dealer = market.dealer("120.01", Some(120)).await;
    let camera = market.product("KMR", "100", 10).await;
    market.place(&owner(dealer), &of(&[(camera, "1")])).await.expect("exactly the limit");
    let refused = market.place(&owner(dealer), &of(&[(camera, "1")])).await;
    let Err(OrderError::OverLimit { limit, used, total }) = refused else { panic!("{refused:?}") };
    assert_eq!((limit, used, total), (number("120"), number("120"), number("120")));
    assert_eq!(market.held(camera).await.0, number("1"));
}

#[tokio::test]
async fn what_is_overdue_holds_or_refuses() {
    let mut market = Market::open().await;
    let dealer = market.dealer("120.01", None).await;
    let camera = market.product("KMR", "100", 10).await;
    sqlx::query(
        "insert into commerce.ledger_entry (customer_id, created_at, updated_at, booked_at, due_date, is_provisional,
             debit, credit, currency, kind, origin, external_id, created_by, updated_by)
         values ($1, now(), now(), '2026-10-01', '2026-11-20', false, 50, 0, 'TRY', 'invoice', 'logo', 'x', 't', 't')",
    )
    .bind(dealer)
    .execute(market.pool())
    .await
    .expect("a debt");
    let order = market.place(&owner(dealer), &of(&[(camera, "1")])).await.expect("placed");
    assert_eq!(order.summary.approval_reasons, ["overdue"]);
    market.rules.overdue = Policy::Refuse;
    let refused = market.place(&owner(dealer), &of(&[(camera, "1")])).await;
    assert!(matches!(refused, Err(OrderError::Overdue { overdue }) if overdue == number("50")), "{refused:?}");
    market.rules.overdue = Policy::Ignore;
    let order = market.place(&owner(dealer), &of(&[(camera, "1")])).await.expect("placed");
    assert_eq!(order.summary.state, "confirmed");
}
