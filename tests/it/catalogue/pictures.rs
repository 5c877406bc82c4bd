//! Pictures of products.

use chrono::{DateTime, TimeDelta, Utc};
use kopru::{commerce::products, http::Catalogue, media};
use reqwest::{Method, StatusCode};

use super::Shop;
use crate::support::served::{json_of, problem_of};

/// A red dot of one pixel.
const DOT: &[u8] = &[
    0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, 0, 0, 0, 13, b'I', b'H', b'D', b'R', 0, 0, 0, 1, 0, 0, 0, 1, 8, 2,
    0, 0, 0, 0x90, 0x77, 0x53, 0xDE, 0, 0, 0, 12, b'I', b'D', b'A', b'T', 0x08, 0xD7, 0x63, 0xF8, 0xCF, 0xC0, 0, 0, 3,
    1, 1, 0, 0x18, 0xDD, 0x8D, 0xB0, 0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xAE, 0x42, 0x60, 0x82,
];

#[tokio::test]
async fn a_picture_is_kept_shown_and_taken_away() {
    let mut shop = Shop::open().await;
    let product = shop.product("A", "A", None).await;
    let pictures = tempfile::tempdir().expect("a directory");
    let catalogue = Catalogue::open(shop.served.pool().clone(), false, 0, pictures.path()).expect("opened");
    shop.served.serve_catalogue(catalogue).await;
    let path = format!("/api/v1/products/{product}/images");
    let upload = |body: &[u8], token: &str| {
        let request = shop.served.request(Method::POST, &format!("{path}?alt=nokta"), token);
        request.header("content-type", "application/octet-stream").body(body.to_vec()).send()
    };
    let made = json_of(upload(DOT, &shop.editor).await.expect("an answer"), StatusCode::CREATED).await;
    let url = made["url"].as_str().expect("an address").to_owned();
    json_of(upload(DOT, &shop.editor).await.expect("an answer"), StatusCode::CREATED).await;
    let seen = shop.get(&format!("/api/v1/products/{product}"), &shop.owner).await;
    assert_eq!(seen["images"], serde_json::json!([{ "url": url, "alt": "nokta" }]), "the same picture is there once");
    assert_eq!(shop.list("").await["items"][0]["imageUrl"], url.as_str());

    let shown = shop.served.get(&url, "").await;
    let header = |name: &str| shown.headers()[name].to_str().expect("text").to_owned();
    assert_eq!((shown.status(), header("content-type")), (StatusCode::OK, "image/png".to_owned()));
    assert!(header("cache-control").contains("immutable"));
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert!(shown.bytes().await.expect("a picture").starts_with(b"\x89PNG"));

    for body in [&b""[..], b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", b"GIF89a", &DOT[..40]] {
        problem_of(upload(body, &shop.editor).await.expect("an answer"), 400, "invalid").await;
    }
    problem_of(upload(DOT, &shop.owner).await.expect("an answer"), 403, "permission_missing").await;
    for name in ["x", "..%2F..%2Fetc%2Fpasswd", "0123456789abcdef0123456789abcdef01234567.png"] {
        problem_of(shop.served.get(&format!("/media/{name}"), "").await, 404, "not_found").await;
    }

    let away = || shop.served.request(Method::DELETE, &format!("{path}?url={url}"), &shop.editor).send();
    assert_eq!(json_of(away().await.expect("an answer"), StatusCode::OK).await["removed"], true);
    assert_eq!(json_of(away().await.expect("an answer"), StatusCode::OK).await["removed"], false);
    let seen = shop.get(&format!("/api/v1/products/{product}"), &shop.owner).await;
    assert_eq!(seen["images"], serde_json::json!([]));
    let nowhere = shop.served.request(Method::DELETE, "/api/v1/products/999/images?url=x", &shop.editor);
    problem_of(nowhere.send().await.expect("an answer"), 404, "not_found").await;
}

#[tokio::test]
async fn a_picture_that_no_product_shows_goes_when_it_is_old() {
    let mut shop = Shop::open().await;
    let product = shop.product("A", "A", None).await;
    let pictures = tempfile::tempdir().expect("a directory");
    let catalogue = Catalogue::open(shop.served.pool().clone(), false, 0, pictures.path()).expect("opened");
    let media = catalogue.media.clone();
    shop.served.serve_catalogue(catalogue).await;
    let path = format!("/api/v1/products/{product}/images");
    let upload = || shop.served.request(Method::POST, &path, &shop.editor).body(DOT.to_vec()).send();
    let made = json_of(upload().await.expect("an answer"), StatusCode::CREATED).await;
    let url = made["url"].as_str().expect("an address").to_owned();
    std::fs::write(pictures.path().join("not-ours.txt"), "x").expect("written");

    let pool = shop.served.pool().clone();
    let file = pictures.path().join(url.trim_start_matches("/media/"));
    let uploaded = std::fs::metadata(&file).and_then(|it| it.modified()).map(DateTime::<Utc>::from).expect("a file");
    let swept = async |age: TimeDelta| {
        let then = uploaded - age;
        let in_use = async |names: Vec<String>| products::shown_images(&pool, &names).await;
        media::sweep(&media, then, in_use).await.expect("swept")
    };
    let all = -TimeDelta::hours(1);
    assert_eq!(swept(all).await, 0, "a product shows it");
    let away = shop.served.request(Method::DELETE, &format!("{path}?url={url}"), &shop.editor).send();
    assert_eq!(json_of(away.await.expect("an answer"), StatusCode::OK).await["removed"], true);
    assert_eq!(swept(TimeDelta::hours(1)).await, 0, "it was uploaded a moment ago");
    assert_eq!(shop.served.get(&url, "").await.status(), StatusCode::OK);
    assert_eq!(swept(all).await, 1);
    assert_eq!(shop.served.get(&url, "").await.status(), StatusCode::NOT_FOUND);
    assert!(pictures.path().join("not-ours.txt").exists());
    // The same picture again is there again.
    json_of(upload().await.expect("an answer"), StatusCode::CREATED).await;
    assert_eq!(shop.served.get(&url, "").await.status(), StatusCode::OK);
}
