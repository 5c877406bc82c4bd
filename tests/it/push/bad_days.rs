//! Bodies that are broken, and writers that meet.

use std::sync::Arc;

use kopru::mapping::Library;
use kopru_sdk::Pass;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    intake::{product, products, with},
    site::{BODY_LIMIT, Site, told},
};
use crate::support::{
    hub::{ERP, Hub},
    system::page,
};

#[tokio::test]
async fn a_body_of_another_shape_is_refused_with_its_place_and_leaves_nothing() {
    let site = Site::new().await;
    let before = site.hub.footprint().await;
    for (path, body, says) in [
        ("products", "{\"code\": \"A\",\n  \"name\": }", "line 2 column 11"),
        ("products", "{\"code\": \"A\", \"na", "EOF while parsing"),
        ("products", "[]", "a JSON object"),
        ("products", "\"A\"", "a JSON object"),
        ("products", "", "the body is empty"),
        ("products", "<product/>", "line 1 column 1"),
        ("products", "{} {}", "trailing characters"),
        ("products/bulk", "{\"products\":[{\"code\":\"A\"}", "EOF while parsing"),
        ("products/bulk", "{\"products\":[]}", "is empty"),
        ("products/bulk", "{\"products\":{}}", "a list of items"),
        ("products/bulk", "{\"items\":null}", "no list `products`"),
        ("products/bulk", "{\"products\":[{}],\"items\":[{}]}", "both `products` and `items`"),
        ("brands/bulk", "{\"products\":[{}]}", "no list `items`"),
        ("brands/bulk", "[{\"code\":\"A\",\"name\":\"a\"}]", "a JSON object"),
        ("products/bulk", "[[{\"code\":\"A\"}],null]", "a JSON object"),
        ("products/bulk", "{\"products\":[{}],\"products\":[{}]}", "duplicate field"),
    ] {
        let problem = site.post_bytes(path, body).await.refused(400, "bad_request");
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(says), "{path} {body}: {detail}");
    }
    let mut not_utf8 = product("A").to_string().into_bytes();
    not_utf8.push(0xFF);
    site.post_bytes("products", not_utf8).await.refused(400, "bad_request");
    // The shape is right; the depth of one field is not.
    let deep = "{\"a\":".repeat(10_000) + "1" + &"}".repeat(10_000);
    let whole = product("A").to_string();
    let deep = format!("{},\"attributes\":{deep}}}", whole.trim_end_matches('}'));
    let problem = site.post_bytes("products", deep).await.refused(400, "invalid");
    assert_eq!(problem["errors"][0]["field"], "attributes", "{problem}");
    assert_eq!(site.hub.footprint().await, before);
}

#[tokio::test]
async fn a_thousand_go_in_and_one_more_is_too_many() {
    let site = Site::new().await;
    let items = |count: usize| products((0..count).map(|n| product(&format!("P{n}"))));
    let problem = site.post("products/bulk", &items(1001)).await.refused(400, "bad_request");
    assert!(problem["detail"].as_str().unwrap_or_default().contains("1001"), "{problem}");
    assert_eq!(site.hub.count("commerce.product").await, 0);
    let told = site.post("products/bulk", &items(1000)).await.ok();
    assert_eq!((&told["createdCount"], &told["totalCount"]), (&json!(1000), &json!(1000)));
    let before = site.hub.footprint().await;
    assert_eq!(site.post("products/bulk", &items(1000)).await.ok()["unchangedCount"], 1000);
    assert_eq!(site.hub.footprint().await, before);
}

#[tokio::test]
async fn only_json_is_taken_and_no_body_beyond_the_limit() {
    let site = Site::new().await;
    let send = async |media_type: Option<&str>, encoding: Option<&str>, body: Vec<u8>| {
        let mut request = site.client.post(site.url("products/bulk")).header("x-api-key", &site.key);
        if let Some(media_type) = media_type {
            request = request.header("content-type", media_type);
        }
        if let Some(encoding) = encoding {
            request = request.header("content-encoding", encoding);
        }
        told(request.body(body).send().await.expect("an answer")).await
    };
    let body = products([product("A")]).to_string().into_bytes();
    for media_type in [None, Some("text/plain"), Some("application/xml"), Some("multipart/form-data")] {
        send(media_type, None, body.clone()).await.refused(415, "unsupported_media_type");
    }
    send(Some("application/json"), Some("br"), body.clone()).await.refused(415, "unsupported_encoding");
    send(Some("application/json; charset=utf-8"), None, body).await.ok();
    send(Some("application/json"), None, vec![b' '; BODY_LIMIT + 1]).await.refused(413, "body_too_large");
}

#[tokio::test]
async fn a_body_that_is_cut_off_leaves_nothing() {
    let site = Site::new().await;
    let before = site.hub.footprint().await;
    let body = product("A").to_string();
    // Less than was announced, and then the connection is closed for writing.
    let mut stream = TcpStream::connect(site.address).await.expect("a connection");
    let head = format!(
        "POST /api/integration/products HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        site.key,
        body.len() + 10
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream.write_all(body.as_bytes()).await.expect("sent");
    stream.shutdown().await.expect("closed");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!String::from_utf8_lossy(&answer).contains("200 OK"), "{}", String::from_utf8_lossy(&answer));
    // More than was announced: what is behind it is no part of the document.
    let mut stream = TcpStream::connect(site.address).await.expect("a connection");
    let head =
        head.replace(&format!("content-length: {}", body.len() + 10), &format!("content-length: {}", body.len() - 4));
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream.write_all(body.as_bytes()).await.expect("sent");
    stream.shutdown().await.expect("closed");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(site.hub.footprint().await, before);
}

#[tokio::test]
async fn two_pushes_of_one_code_at_once_are_one_record() {
    let site = Arc::new(Site::new().await);
    let push = |n: i64| {
        let site = Arc::clone(&site);
        tokio::spawn(async move {
            let items =
                (0..20).map(|code| with(product(&format!("P{code}")), json!({ "version": n, "name": format!("{n}") })));
            site.post("products/bulk", &products(items)).await.ok()
        })
    };
    let pushes: Vec<_> = (1..=4).map(push).collect();
    let mut created = 0;
    for pushed in pushes {
        let told = pushed.await.expect("no panic");
        assert_eq!(told["failedCount"], 0, "{told}");
        created += told["createdCount"].as_i64().unwrap_or_default();
    }
    assert_eq!(created, 20);
    // The newest version wins, whoever came last.
    let names = site.hub.rows("select distinct name from commerce.product").await;
    assert_eq!(names, [json!({ "name": "4" })]);
    assert_eq!(site.hub.count("commerce.stock_level").await, 20);
}

#[tokio::test]
async fn a_push_and_a_poll_of_one_product_at_once_are_one_record_and_one_event() {
    let polled = r#"
        entity = "product"
        records = { json = "items" }
        key = { from = "code" }
        fields.name = { from = "name" }
        fields.sku = { from = "code" }
    "#;
    let mut files: Vec<(String, String)> = Vec::new();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings/integration");
    for file in std::fs::read_dir(root).expect("the mappings") {
        let path = file.expect("a file").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        files.push((format!("integration/{name}"), std::fs::read_to_string(path).expect("a text")));
    }
    files.push(("test/products.toml".to_owned(), polled.to_owned()));
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let library = Library::from_texts(&files).expect("a library");
    let hub = Hub::with(|build| {
        build.library = Arc::new(library);
        build.polled = &["products"];
    })
    .await;
    let site = Site::over(hub).await;
    let card = json!({ "code": "A", "name": "a", "sku": "A", "categoryCode": "KMR", "brandCode": "ACME" });
    for round in 0..5 {
        let code = format!("A{round}");
        let card = with(card.clone(), json!({ "code": code, "sku": code }));
        let polled = json!({ "code": code, "name": "a" });
        site.hub.system.full("products", [page([polled])]);
        let (pushed, run) = tokio::join!(site.post("products", &card), site.hub.run("products", Pass::Full));
        pushed.ok();
        assert_eq!((run.state.as_str(), run.failed), ("done", 0), "{run:?}");
        let id = site.hub.row(&format!("select id from commerce.product where code = '{code}'")).await["id"].clone();
        let created = format!("hub.outbox_event where aggregate = 'product' and aggregate_id = {id} and revision = 1");
        assert_eq!(site.hub.count(&created).await, 1);
        assert_eq!(
            site.hub.count(&format!("hub.external_ref where entity = 'product' and internal_id = {id}")).await,
            1
        );
    }
}

#[tokio::test]
async fn the_same_request_twice_has_one_effect_and_one_answer() {
    let site = Site::new().await;
    let send = async |body: &Value| {
        let request = site.client.post(site.url("products/bulk")).header("x-api-key", &site.key);
        let request = request.header("idempotency-key", "k-1").header("content-type", "application/json");
        told(request.body(body.to_string()).send().await.expect("an answer")).await
    };
    let body = products([product("A"), with(product("B"), json!({ "brandCode": "YOK" }))]);
    let first = send(&body).await.ok();
    let second = send(&body).await.ok();
    assert_eq!(first, second);
    assert_eq!(first["createdCount"], 1);
    assert_eq!(site.hub.row("select seen from hub.dead_letter").await["seen"], 1);
    send(&products([product("A")])).await.refused(422, "idempotency_key_reused");
}

#[tokio::test]
async fn numbers_are_read_by_one_notation_and_never_guessed() {
    let site = Site::new().await;
    for (given, stored) in [
        (json!("1234.5600"), Some("1234.560000")),
        (json!(1234.56), Some("1234.560000")),
        (json!("1.234"), Some("1.234000")),
        (json!("12345678901.123456"), Some("12345678901.123456")),
        (json!("1.234,56"), None),
        (json!("1,234.56"), None),
        (json!("1,5"), None),
        (json!("1.234.567"), None),
        (json!("12 TL"), None),
        (json!(true), None),
    ] {
        let told = site.post("products", &with(product("A"), json!({ "listPrice": given }))).await;
        match stored {
            Some(stored) => {
                told.ok();
                let row = site.hub.row("select amount::text from commerce.price where code = 'A|list'").await;
                assert_eq!(row["amount"], stored, "{given}");
            }
            None => {
                let problem = told.refused(400, "invalid");
                assert_eq!(problem["errors"][0]["field"], "listPrice", "{given}");
            }
        }
    }
    let problem = site.post("products", &with(product("A"), json!({ "listPrice": "1.234,56" }))).await;
    assert_eq!(
        problem.refused(400, "invalid")["error"],
        "listPrice: this is not a number as it is to be written here: digits and one decimal point, 1234.56"
    );
}

#[tokio::test]
async fn a_kept_item_is_replayed_when_its_brand_has_come() {
    let site = Site::new().await;
    let body = products([with(product("A"), json!({ "brandCode": "YENİ" }))]);
    let told = site.post("products/bulk", &body).await.ok();
    assert_eq!((&told["isSuccess"], &told["items"][0]["error"]), (&json!(false), &json!("Brand not found: YENİ")));
    let letter = site.hub.row("select missing_entity, missing_code, connector from hub.dead_letter").await;
    assert_eq!(letter, json!({ "missing_entity": "brand", "missing_code": "YENİ", "connector": ERP }));
    site.post("brands", &json!({ "code": "YENİ", "name": "Yeni" })).await.ok();
    let arrived = kopru::hub::dead_letters::arrived(site.hub.pool()).await.expect("letters");
    kopru::hub::dead_letters::replay(site.hub.pool(), kopru::audit::Actor::new("cli:test", "test"), &arrived)
        .await
        .expect("queued");
    site.hub.work().await;
    assert_eq!(site.hub.count("hub.dead_letter").await, 0);
    let shown = site.get("products/A").await.ok();
    assert_eq!(shown["brandCode"], "YENİ");
    assert_eq!(shown["prices"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_letter_tells_that_a_part_of_it_is_refused_still() {
    let site = Site::new().await;
    let bulk = products([with(product("A"), json!({ "listPrice": -1 })), with(product("B\u{0}"), json!({}))]);
    let told = site.post("products/bulk", &bulk).await.ok();
    assert_eq!(told["failedCount"], 2);
    let id = told["items"][0]["deadLetterId"].as_str().and_then(|id| id.parse().ok()).expect("a letter");
    let letter = kopru::hub::dead_letters::show(&site.hub.engine, id).await.expect("the store").expect("a letter");
    let today = letter.today.expect("what the mapping makes of it");
    assert_eq!(today.fate, "rejected");
    assert!(today.detail.is_some_and(|detail| detail.contains("listPrice")));
    assert!(!letter.next.contains("takes it"), "{}", letter.next);
}
