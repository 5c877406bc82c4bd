//! The catalogue of events, served; runs that are told of as a whole.

use kopru::outbox::EventType;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::office::Office;
use crate::support::{
    event_schemas::events_are_as_described,
    hub::Hub,
    listener,
    served::{Served, json_of, problem_of},
    system::page,
    webhook_receiver::Answer,
};

#[tokio::test]
async fn the_catalogue_is_served_to_everybody() {
    let served = Served::new().await;
    let all = json_of(served.get("/api/v1/event-types", "").await, StatusCode::OK).await;
    let items = all["items"].as_array().expect("types");
    assert_eq!(items.len(), EventType::ALL.len());
    for kind in EventType::ALL {
        let one =
            json_of(served.get(&format!("/api/v1/event-types/{}", kind.as_str()), "").await, StatusCode::OK).await;
        assert!(items.contains(&one), "{one}");
        assert_eq!(one["schema"]["properties"]["type"]["const"], kind.as_str());
    }
    problem_of(served.get("/api/v1/event-types/order.lost", "").await, 404, "not_found").await;
}

fn brand(code: &str, name: &str, version: i64) -> Value {
    json!({ "code": code, "id": code, "name": name, "version": version })
}

async fn types(hub: &Hub) -> Vec<Value> {
    hub.rows("select type, bulk, count(*) as count from hub.outbox_event group by 1, 2 order by 1, 2").await
}

#[tokio::test]
async fn a_complete_pass_is_told_of_as_a_whole_and_changes_one_by_one() {
    let hub = Hub::new().await;
    hub.full("brands", [page([brand("B1", "Acme", 1)])]).await;
    let product = |name: &str, version: i64| json!({ "code": "P1", "name": name, "brand": "B1", "version": version });
    hub.full("products", [page([product("Kamera", 1)])]).await;
    let completed =
        hub.row("select payload, origin, bulk from hub.outbox_event where payload->>'stream' = 'products'").await;
    assert_eq!((&completed["origin"], &completed["bulk"]), (&json!("erp"), &json!(false)));
    let counts = &completed["payload"];
    assert_eq!((&counts["pass"], &counts["records"], &counts["created"]), (&json!("full"), &json!(1), &json!(1)));
    hub.changes("products", [page([product("Kamera 2", 2)])]).await;
    assert_eq!(
        types(&hub).await,
        [
            json!({ "type": "product.updated", "bulk": false, "count": 1 }),
            json!({ "type": "product.updated", "bulk": true, "count": 1 }),
            json!({ "type": "sync.completed", "bulk": false, "count": 1 }),
        ]
    );
    assert_eq!(events_are_as_described(hub.pool()).await, ["product.updated", "sync.completed"]);
}

#[tokio::test]
async fn a_stream_without_changes_of_its_own_tells_them_by_complete_passes_after_the_first() {
    let hub = Hub::with(|build| build.whole = &["stock"]).await;
    let product = json!({ "code": "P1", "name": "Kamera", "version": 1 });
    hub.full("products", [page([product])]).await;
    let level = |quantity: i64, version: i64| json!({ "code": "P1|M", "product": "P1", "warehouse": "M", "quantity": quantity, "version": version });
    hub.full("stock", [page([level(5, 1)])]).await;
    hub.full("stock", [page([level(4, 2)])]).await;
    hub.full("products", [page([json!({ "code": "P1", "name": "Kamera", "version": 1 })])]).await;
    let told =
        hub.rows("select revision, bulk from hub.outbox_event where type = 'stock.changed' order by revision").await;
    assert_eq!(told, [json!({ "revision": 1, "bulk": true }), json!({ "revision": 2, "bulk": false })]);
    let completed =
        hub.rows("select payload->>'stream' as stream from hub.outbox_event where type = 'sync.completed'").await;
    assert_eq!(completed, [json!({ "stream": "products" }), json!({ "stream": "stock" })], "and nothing of nothing");
    events_are_as_described(hub.pool()).await;
}

#[tokio::test]
async fn what_ends_an_endpoint_is_told_as_it_is_described() {
    let office = Office::new().await;
    office.endpoint(&["*"]).await;
    office.receiver.then([Answer::Status(410)]);
    listener::happen(office.hub.pool(), EventType::StockChanged, &[(1, 1)]).await;
    office.deliver().await;
    office.hub.execute("delete from hub.outbox_event where type = 'stock.changed'").await;
    let seen = events_are_as_described(office.hub.pool()).await;
    assert_eq!(seen, ["hub.webhook_endpoint.disabled"]);
}

#[tokio::test]
async fn a_new_letter_is_told_once_and_only_to_who_listens() {
    let bad = |version: i64| page([json!({ "code": "B9", "id": "B9", "version": version })]);
    let office = Office::with(|build| build.polled = &["brands"]).await;
    let told = "hub.outbox_event where type = 'hub.dead_letter.created'";
    office.hub.full("brands", [bad(1)]).await;
    assert_eq!(office.hub.count("hub.dead_letter").await, 1);
    assert_eq!(office.hub.count(told).await, 0, "nobody listens");
    office.hub.execute("delete from hub.dead_letter").await;

    office.endpoint(&["hub.*"]).await;
    office.hub.full("brands", [bad(2)]).await;
    office.hub.full("brands", [bad(3)]).await;
    assert_eq!(office.hub.count(told).await, 1, "the same letter is told of once");
    office.deliver().await;
    let letter = office.receiver.received().remove(0).json();
    assert_eq!((&letter["type"], &letter["data"]["code"]), (&json!("hub.dead_letter.created"), &json!("B9")));
    assert_eq!((&letter["data"]["cause"], &letter["data"]["connector"]), (&json!("data"), &json!("erp")));
    assert!(events_are_as_described(office.hub.pool()).await.contains(&"hub.dead_letter.created".to_owned()));

    // A letter of what the hub tells of itself raises none.
    office.hub.full("brands", [page([json!({ "code": "B10", "id": "B10", "version": 1 })])]).await;
    let before = office.hub.count(told).await;
    let other = office.hub.rows("select id from hub.delivery where type like 'hub.%'").await;
    assert_eq!((before, other.len()), (2, 0));
}
