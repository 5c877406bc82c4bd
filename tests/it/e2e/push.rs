//! The Integration API of the real daemon, with a key that the real command line made.

use serde_json::{Value, json};

use super::installation::Setup;

#[tokio::test]
async fn a_key_is_made_and_a_catalogue_pushed_beside_the_poller() {
    let hub = Setup::items(20).only(&[]).start().await;
    let daemon = hub.daemon().await;
    let made = hub.run(&[
        "api-key",
        "create",
        "--name",
        "ERP",
        "--instance",
        "logo",
        "--scope",
        "integration:write",
        "--json",
    ]);
    let key = made.expect(0).json()["key"].as_str().expect("a key").to_owned();
    let client = reqwest::Client::builder().build().expect("a client");
    let post = async |path: &str, body: Value| -> (u16, Value) {
        let request = client.post(format!("{}/api/integration/{path}", daemon.address)).header("x-api-key", &key);
        let answer = request.json(&body).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    };
    let (status, _) = post("categories", json!({ "code": "KMR", "name": "Kameralar" })).await;
    assert_eq!(status, 200);
    post("brands/bulk", json!({ "items": [{ "code": "ACME", "name": "Acme" }] })).await;
    let product = json!({ "code": "P-1", "name": "Işıklı kamera", "sku": "P-1", "categoryCode": "KMR", "brandCode": "ACME",
        "listPrice": 120.5, "dealerPrice": 100, "stockQuantity": 5 });
    let (status, told) = post("products", product.clone()).await;
    assert_eq!((status, &told["status"]), (200, &json!("created")), "{told}");
    let (_, told) = post("products/bulk", json!({ "products": [product] })).await;
    assert_eq!(told["unchangedCount"], 1, "{told}");
    let (status, told) =
        post("products", json!({ "code": "P-2", "name": "x", "categoryCode": "YOK", "brandCode": "ACME" })).await;
    assert_eq!((status, &told["error"]), (400, &json!("Category not found: YOK")), "{told}");
    let shown = hub.run(&["messages", "list", "--json"]).expect(0).json();
    let streams: Vec<_> = shown["items"].as_array().into_iter().flatten().map(|item| item["stream"].clone()).collect();
    assert!(streams.contains(&json!("push.products")), "{shown}");
    daemon.stop();
}
