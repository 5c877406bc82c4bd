//! What cannot be asked for.

use super::Shop;
use crate::support::served::problem_of;

#[tokio::test]
async fn what_cannot_be_read_is_named() {
    let shop = Shop::open().await;
    shop.product("A", "A", Some("1")).await;
    shop.product("B", "B", Some("1")).await;
    let cursor = shop.list("?sort=name&limit=1").await["nextCursor"].as_str().expect("more").to_owned();
    let long = "a".repeat(10_000);
    let words = "a%20".repeat(11);
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("sort=cheap", "sort"),
        ("sort=name%27--", "sort"),
        ("cursor=AAAA", "cursor"),
        ("cursor=%00", "cursor"),
        (&format!("sort=price&cursor={cursor}"), "cursor"),
        (&format!("sort=-name&cursor={cursor}"), "cursor"),
        ("minPrice=abc", "minPrice"),
        ("minPrice=NaN", "minPrice"),
        ("minPrice=1e3", "minPrice"),
        ("minPrice=-1", "minPrice"),
        ("maxPrice=1,5", "maxPrice"),
        ("maxPrice=999999999999999999999999999999999999", "maxPrice"),
        ("minPrice=2&maxPrice=1", "minPrice"),
        ("inStock=perhaps", "inStock"),
        ("count=1", "count"),
        ("includeInactive=x", "includeInactive"),
        ("customerId=me", "customerId"),
        ("search=a%00b", "search"),
        (&format!("search={long}"), "search"),
        (&format!("search={words}"), "search"),
    ] {
        let answer = shop.served.get(&format!("/api/v1/products?{query}"), &shop.owner).await;
        let problem = problem_of(answer, 400, "invalid").await;
        assert_eq!(problem["errors"][0]["field"], field, "{query}");
    }
    let answer = shop.served.get("/api/v1/products?limit=1&limit=2", &shop.owner).await;
    problem_of(answer, 400, "bad_request").await;
    let answer = shop.served.get("/api/v1/brands?limit=0", &shop.owner).await;
    problem_of(answer, 400, "invalid").await;
    // A made-up cursor of the right form leads to no failure of ours.
    for key in [r#"["products:price",["x",1]]"#, r#"["products:price",[1,1]]"#, r#"["products:price","x"]"#] {
        let cursor = base64(key);
        let answer = shop.served.get(&format!("/api/v1/products?sort=price&cursor={cursor}"), &shop.owner).await;
        problem_of(answer, 400, "invalid").await;
    }
    let nul = base64("[\"products:name\",[\"a\\u0000\",1]]");
    problem_of(shop.served.get(&format!("/api/v1/products?cursor={nul}"), &shop.owner).await, 400, "invalid").await;
}

fn base64(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for part in text.as_bytes().chunks(3) {
        let bits = part.iter().enumerate().fold(0_u32, |bits, (at, byte)| bits | u32::from(*byte) << (16 - 8 * at));
        for at in 0..=part.len() {
            out.push(char::from(LETTERS[(bits >> (18 - 6 * at)) as usize & 63]));
        }
    }
    out
}

#[tokio::test]
async fn ids_that_nobody_has_are_nowhere() {
    let shop = Shop::open().await;
    for id in ["0", "-1", "999", "x", "9223372036854775808", "1%20or%201=1", "%00", "1.5"] {
        problem_of(shop.served.get(&format!("/api/v1/products/{id}"), &shop.owner).await, 404, "not_found").await;
        problem_of(shop.served.get(&format!("/api/v1/products/{id}/price"), &shop.owner).await, 404, "not_found").await;
    }
    for sku in ["nowhere", "%00", "%27%3B--", "%F0%9F%93%B7"] {
        problem_of(shop.served.get(&format!("/api/v1/products/by-sku/{sku}"), &shop.owner).await, 404, "not_found")
            .await;
    }
    for query in ["category=%00", "brand=%00", "category=%27", "brand=%F0%9F%93%B7"] {
        assert!(shop.codes(&format!("?{query}&count=true")).await.is_empty(), "{query}");
    }
}
