//! Lists of orders, and who sees what.

use chrono::TimeDelta;
use kopru::{
    commerce::orders::{self, OrderFilter, OrderKey, State},
    page::PageRequest,
    principal::Scope,
};

use super::{Market, by_card, of, owner};

#[tokio::test]
async fn newest_first_a_page_at_a_time_and_one_s_own() {
    let mut market = Market::open().await;
    let (mine, theirs) = (market.dealer("120.01", None).await, market.dealer("120.02", None).await);
    let camera = market.product("KMR", "100", 100).await;
    let mut ids = Vec::new();
    for number in 0..7 {
        let dealer = if number == 3 { theirs } else { mine };
        let new = of(&[(camera, "1")]);
        let new = if number % 2 == 0 { by_card(new) } else { new };
        ids.push(market.place(&owner(dealer), &new).await.expect("placed").summary.id);
        market.later(TimeDelta::hours(12));
    }
    let list = async |scope: Scope, filter: OrderFilter| -> Vec<i64> {
        let mut found = Vec::new();
        let mut cursor = None;
        loop {
            let page = PageRequest::new(Some(2), cursor).expect("a page");
            let page = orders::list(market.pool(), scope, &filter, &page).await.expect("listed");
            found.extend(page.items.iter().map(|order| order.id));
            cursor = page.next_cursor;
            if cursor.is_none() {
                let count = orders::count(market.pool(), scope, &filter).await.expect("counted");
                assert_eq!(count, i64::try_from(found.len()).expect("few"));
                return found;
            }
        }
    };
    let all = OrderFilter::default;
    assert_eq!(list(Scope::house(), all()).await, ids.iter().rev().copied().collect::<Vec<_>>());
    assert_eq!(list(Scope::company(theirs), all()).await, [ids[3]]);
    let foreign = list(Scope::company(mine), OrderFilter { customer: Some(theirs), ..all() }).await;
    assert!(foreign.is_empty(), "{foreign:?}");
    assert_eq!(list(Scope::house(), OrderFilter { customer: Some(theirs), ..all() }).await, [ids[3]]);
    let paid = OrderFilter { states: vec![State::Confirmed, State::Shipped], ..all() };
    assert_eq!(list(Scope::company(mine), paid).await, [ids[5], ids[1]]);
    // 12:00 and 24:00 of Istanbul: the second order of a day stands at its end, the third begins the next.
    let day = |text: &str| Some(text.parse().expect("a day"));
    let one_day = OrderFilter { from: day("2026-11-22"), to: day("2026-11-22"), ..all() };
    assert_eq!(list(Scope::house(), one_day).await, [ids[2], ids[1]]);
    let mut conn = market.pool().acquire().await.expect("a connection");
    let foreign = orders::find(&mut conn, Scope::company(mine), OrderKey::Id(ids[3])).await.expect("read");
    assert!(foreign.is_none());
    assert!(orders::history(&mut conn, Scope::company(mine), ids[3]).await.expect("read").is_none());
    assert!(orders::find(&mut conn, Scope::house(), OrderKey::Number("ORD'--")).await.expect("read").is_none());
}
