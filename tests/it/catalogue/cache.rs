//! Answers that are kept for a moment.

use std::sync::Arc;

use kopru::http::Catalogue;
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{Shop, figure};
use crate::support::{hub::eventually, served::json_of};

#[tokio::test]
async fn what_is_kept_is_seen_anew_within_a_second_and_after_an_edit_at_once() {
    let mut shop = Shop::open().await;
    let product = shop.product("A", "A", Some("9")).await;
    let pictures = tempfile::tempdir().expect("a directory");
    let kept = Catalogue::open(shop.served.pool().clone(), false, 1024 * 1024, pictures.path()).expect("opened");
    shop.served.serve_catalogue(kept).await;
    let shop = Arc::new(shop);
    let path = format!("/api/v1/products/{product}");
    let amount = async || figure(&shop.get(&path, &shop.owner).await["price"]["amount"]);
    assert_eq!(amount().await, "9");

    // Somebody else's change: not later than a second.
    shop.sql("update commerce.price set amount = 8").await;
    let began = tokio::time::Instant::now();
    while amount().await != "8" {}
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "it is seen anew");

    // One's own: at once.
    for price in ["7", "6", "5"] {
        let set = shop.send(Method::PUT, &format!("{path}/price"), json!({"dealerPrice": price})).await;
        json_of(set, StatusCode::OK).await;
        assert_eq!(amount().await, price);
        assert_eq!(figure(&shop.list("").await["items"][0]["price"]["amount"]), price);
    }

    // What is kept is kept for each view by itself.
    shop.price(product, "special", "3", &format!("customer_id={}", shop.rival)).await;
    eventually("the rival's price", || async {
        let seen = shop.get(&format!("{path}?customerId={}", shop.rival), &shop.manager).await;
        figure(&seen["price"]["amount"]) == "3"
    })
    .await;
    assert_eq!(amount().await, "5");
    assert!(shop.get(&path, &shop.viewer).await.get("stock").is_none());
}
