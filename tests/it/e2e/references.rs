//! Records that refer to something which is not there yet.

use serde_json::{Value, json};

use super::installation::{CATALOGUE, Installation, Setup};

async fn code_of(hub: &Installation, place: i64) -> String {
    let sql = "select code from commerce.product order by md5(code) offset $1 limit 1";
    sqlx::query_scalar(sql).bind(place).fetch_one(&hub.database.pool).await.expect("a product")
}

async fn category_of(hub: &Installation, code: &str) -> Value {
    let sql = "select to_jsonb((select c.code from commerce.category c where c.id = p.category_id))
               from commerce.product p where p.code = $1";
    sqlx::query_scalar::<_, Option<Value>>(sql)
        .bind(code)
        .fetch_one(&hub.database.pool)
        .await
        .expect("a product")
        .unwrap_or_default()
}

#[tokio::test]
async fn an_item_waits_for_its_group() {
    let hub = Setup::items(60).start().await;
    hub.load(&CATALOGUE);
    let (one, two) = (code_of(&hub, 0).await, code_of(&hub, 1).await);
    let before = category_of(&hub, &one).await;
    let cards =
        json!([{"code": one, "group": "YENİ GRUP"}, {"code": two, "brand": "YENİ MARKA", "group": "YENİ GRUP"}]);
    hub.sandbox.change(json!({"items": cards})).await;
    let run = hub.sync("items", &[]);
    assert_eq!((&run["state"], &run["deferred"], &run["failed"]), (&"done".into(), &2.into(), &0.into()), "{run}");
    assert_eq!(category_of(&hub, &one).await, before);

    let waiting = hub.run(&["messages", "list", "--state", "deferred", "--json"]).expect(0).json();
    let items = waiting["items"].as_array().expect("a list");
    assert_eq!(items.len(), 2, "{waiting}");
    let id = items.iter().find(|item| item["code"] == two.as_str()).expect("the second one")["id"].as_str();
    let shown = hub.run(&["messages", "show", id.expect("an id"), "--json"]).expect(0).json();
    let missing = |entity: &str, code: &str| {
        let waits = shown["waitsFor"].as_array().expect("a list");
        waits.iter().any(|wait| wait["entity"] == entity && wait["code"] == code)
    };
    assert!(missing("category", "YENİ GRUP") && missing("brand", "YENİ MARKA"), "{shown}");

    // A later edition of a waiting card takes its place.
    hub.sandbox.change(json!({"items": [{"code": one, "name": "Yeni adıyla"}]})).await;
    hub.sync("items", &[]);
    assert_eq!(hub.number("select count(*) from hub.message where state = 'deferred'").await, 2);

    // Almost the same code is another one.
    hub.sandbox.change(json!({"groups": [{"code": "YENI GRUP", "name": "Başka"}]})).await;
    hub.sync("group_codes", &[]);
    assert_eq!(category_of(&hub, &one).await, before);
    hub.sandbox.change(json!({"groups": [{"code": "YENİ GRUP", "name": "Yeni grup"}]})).await;
    hub.sync("group_codes", &[]);
    assert_eq!(category_of(&hub, &one).await, "YENİ GRUP");
    assert_ne!(category_of(&hub, &two).await, "YENİ GRUP", "it lacks its brand still");
    assert_eq!(hub.texts("select code from commerce.product where name = 'Yeni adıyla'").await, [one]);
    hub.sandbox.change(json!({"brands": [{"code": "YENİ MARKA", "name": "Yeni marka"}]})).await;
    hub.sync("brands", &[]);
    assert_eq!(category_of(&hub, &two).await, "YENİ GRUP");
    hub.expect_all_of(&CATALOGUE).await;
}

#[tokio::test]
async fn what_waited_too_long_is_a_letter_until_its_reference_comes() {
    let hub = Setup::items(60).set("retry.defer_for_secs", 1).start().await;
    hub.load(&CATALOGUE);
    let (one, two) = (code_of(&hub, 0).await, code_of(&hub, 1).await);
    let cards = json!([{"code": one, "group": "GEÇ"}, {"code": two, "group": "GEÇ"}]);
    hub.sandbox.change(json!({"items": cards})).await;
    assert_eq!(hub.sync("items", &[])["deferred"], 2);
    hub.until("their time is up", "select bool_and(give_up_at < clock_timestamp()) from hub.message").await;
    // Whoever works next gives them up.
    hub.sync("brands", &[]);
    let letters = hub.run(&["dead-letters", "list", "--json"]).expect(0).json();
    assert_eq!(letters["totalCount"], 2, "{letters}");
    let first = &letters["items"][0];
    assert_eq!(
        (&first["reason"], &first["cause"], &first["field"], &first["value"], &first["detail"]),
        (
            &json!("missing_reference"),
            &json!("data"),
            &json!("category"),
            &json!("GEÇ"),
            &json!("Category not found: GEÇ")
        )
    );
    assert_eq!(first["fingerprint"], letters["items"][1]["fingerprint"], "they fail alike");

    // Asked too early, a replay changes nothing.
    let id = first["id"].as_str().expect("an id");
    hub.run(&["dead-letters", "replay", id]).expect(0);
    assert_eq!(hub.number("select count(*) from hub.dead_letter where state = 'dead'").await, 2);

    hub.sandbox.change(json!({"groups": [{"code": "GEÇ", "name": "Geç gelen"}]})).await;
    hub.sync("group_codes", &[]);
    assert_eq!(hub.number("select count(*) from hub.dead_letter").await, 0);
    assert_eq!(category_of(&hub, &one).await, "GEÇ");
    assert_eq!(category_of(&hub, &two).await, "GEÇ");
    let ends = hub.texts("select resolution from hub.dead_letter_history").await;
    assert_eq!(ends, ["replayed", "replayed"]);
    hub.expect_all_of(&["group_codes", "items"]).await;
}

#[tokio::test]
async fn streams_in_any_order_end_alike() {
    let hub = Setup::items(60).start().await;
    // Prices before the items that they are for, items before their groups.
    for stream in ["stock", "prices", "items", "unit_sets", "customers", "brands", "group_codes"] {
        let run = hub.sync(stream, &[]);
        assert_eq!((&run["state"], &run["failed"]), (&"done".into(), &0.into()), "{run}");
    }
    hub.expect_all_of(&super::installation::STREAMS).await;
}
