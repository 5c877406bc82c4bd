//! Numbers of orders.

use std::collections::HashSet;

use chrono::TimeDelta;

use super::{Market, of, owner, place_in};

#[tokio::test]
async fn every_day_of_istanbul_begins_anew() {
    let mut market = Market::open().await;
    let dealer = market.dealer("120.01", None).await;
    let camera = market.product("KMR", "100", 100).await;
    market.now = "2026-03-02T20:59:59Z".parse().expect("a time");
    let mut numbers = Vec::new();
    for _ in 0..4 {
        numbers.push(market.place(&owner(dealer), &of(&[(camera, "1")])).await.expect("placed").summary.number);
        if numbers.len() == 2 {
            market.later(TimeDelta::seconds(1));
        }
    }
    // Not one gap, since nothing was refused; the first of a day draws one for the day itself.
    assert_eq!(numbers, ["ORD202603020001", "ORD202603020002", "ORD202603030001", "ORD202603030002"]);
}

#[tokio::test]
async fn they_widen() {
    let market = Market::open().await;
    let dealer = market.dealer("120.01", None).await;
    let camera = market.product("KMR", "100", 100).await;
    market.place(&owner(dealer), &of(&[(camera, "1")])).await.expect("placed");
    sqlx::query("select setval('commerce.sales_order_number_seq', 9999)")
        .execute(market.pool())
        .await
        .expect("many were placed");
    let mut numbers = Vec::new();
    for _ in 0..3 {
        numbers.push(market.place(&owner(dealer), &of(&[(camera, "1")])).await.expect("placed").summary.number);
    }
    assert_eq!(numbers, ["ORD202611219999", "ORD2026112110000", "ORD2026112110001"]);
}

/// The first orders of a day come all at once; an order that begins after another one's answer has the greater number.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn they_are_unique_and_rise_whoever_comes() {
    let market = Market::open().await;
    let dealer = market.dealer("120.01", None).await;
    let camera = market.product("KMR", "100", 10_000).await;
    let mut buyers = Vec::new();
    for _ in 0..8 {
        let (pool, rules, now) = (market.pool().clone(), market.rules, market.now);
        buyers.push(tokio::spawn(async move {
            let mut numbers = Vec::new();
            for _ in 0..20 {
                let order = place_in(&pool, rules, now, &owner(dealer), &of(&[(camera, "1")])).await.expect("placed");
                numbers.push(order.summary.number);
            }
            numbers
        }));
    }
    let mut all = HashSet::new();
    for buyer in buyers {
        let numbers = buyer.await.expect("no panic");
        assert!(numbers.is_sorted(), "{numbers:?}");
        assert!(numbers.iter().all(|number| number.len() == 15 && number.as_str() > "ORD202611210000"), "{numbers:?}");
        all.extend(numbers);
    }
    assert_eq!(all.len(), 160);
}
