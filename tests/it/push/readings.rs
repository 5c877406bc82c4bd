//! Who pushes stock says when it was read.

use std::sync::Arc;

use kopru::mapping::Library;
use serde_json::{Value, json};

use super::site::{Site, Told, told};
use crate::support::hub::Hub;

async fn pushed(site: &Site, path: &str, reading: &str, body: &Value) -> Told {
    let request = site.client.post(site.url(path)).header("content-type", "application/json");
    let request = request.header("x-api-key", &site.key).header("Stock-Reading", reading);
    told(request.body(body.to_string()).send().await.expect("an answer")).await
}

async fn begun(site: &Site) -> i64 {
    let begun = site.post("stock/readings", &Value::Null).await;
    assert_eq!(begun.status, 201, "{begun:?}");
    begun.body["reading"].as_i64().expect("a number")
}

#[tokio::test]
async fn levels_of_the_last_reading_are_taken_and_of_earlier_ones_refused() {
    let site = Site::new().await;
    site.post("products", &super::intake::product("A")).await.ok();
    let first = begun(&site).await;
    let level = json!({ "productCode": "A", "quantity": 4 });
    let all = json!({ "items": [level] });
    assert_eq!(pushed(&site, "stock", &first.to_string(), &level).await.ok()["status"], "updated");
    assert_eq!(pushed(&site, "stock/bulk", &first.to_string(), &all).await.ok()["unchangedCount"], 1);
    let short = json!({ "code": "A", "quantity": 3 });
    assert_eq!(pushed(&site, "products/stock", &first.to_string(), &short).await.ok()["status"], "updated");

    let second = begun(&site).await;
    assert!(second > first);
    let refused = pushed(&site, "stock", &first.to_string(), &level).await.refused(409, "reading_overtaken");
    assert_eq!(refused["success"], false);
    pushed(&site, "stock/bulk", "77", &all).await.refused(409, "reading_overtaken");
    pushed(&site, "stock", "soon", &level).await.refused(400, "bad_request");
    assert_eq!(site.post("stock", &level).await.ok()["status"], "updated", "without one it is a level like any other");
    assert_eq!(pushed(&site, "stock", &second.to_string(), &level).await.ok()["status"], "unchanged");
}

#[tokio::test]
async fn whose_stock_is_polled_announces_no_reading() {
    let hub = Hub::with(|build| {
        build.library = Arc::new(Library::load(None).expect("the built-in mappings"));
        build.polled = &["levels"];
    });
    let site = Site::over(hub.await).await;
    site.post("stock/readings", &Value::Null).await.refused(409, "stock_is_polled");
}
