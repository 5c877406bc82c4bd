//! A source says that it no longer has a record: the record stays, inactive, until a document brings it back.

use std::sync::Arc;

use kopru::{
    canonical::Entity,
    hub::deactivate::{Deactivation, deactivate},
    mapping::Library,
    outbox::Provenance,
};
use serde_json::{Value, json};

use crate::support::{
    hub::{ERP, Hub},
    system::page,
};

async fn gone(hub: &Hub, entity: Entity, codes: &[&str]) -> Vec<Deactivation> {
    let mut tx = hub.pool().begin().await.expect("a transaction");
    let provenance =
        Provenance { origin: ERP, bulk: false, correlation_id: "c", place: None, now: hub.engine.clock.now() };
    let outcomes = deactivate(&mut tx, &hub.engine, ERP, entity, codes, provenance).await.expect("applied");
    tx.commit().await.expect("committed");
    outcomes
}

fn brand(code: &str, version: i64) -> Value {
    json!({ "code": code, "version": version, "name": code })
}

/// Brands are in use unless their document says otherwise, as LOGO's are.
fn library() -> Library {
    let brands = r#"
        entity = "brand"
        records = { json = "items" }
        key = { from = "code" }
        version = { kind = "test.version", from = [{ number = "version" }] }
        fields.name = { from = "name" }
        fields.isActive = { from = "active", absent = "null", default = true }
    "#;
    Library::from_texts(&[("test/brands.toml", brands)]).unwrap_or_else(|problems| panic!("{problems:?}"))
}

#[tokio::test]
async fn a_deactivated_record_stays_and_its_next_document_is_no_repetition() {
    let hub = Hub::with(|build| {
        build.library = Arc::new(library());
        build.polled = &["brands"];
    })
    .await;
    hub.full("brands", [page([brand("A", 3)])]).await;
    let outcomes = gone(&hub, Entity::Brand, &["A", "nobody"]).await;
    assert!(matches!(outcomes[..], [Deactivation::Done(_), Deactivation::Unknown]), "{outcomes:?}");
    let row =
        "select b.is_active, r.source_version from commerce.brand b join hub.external_ref r on r.internal_id = b.id";
    assert_eq!(hub.row(row).await, json!({ "is_active": false, "source_version": 3 }));

    let before = hub.footprint().await;
    assert!(matches!(gone(&hub, Entity::Brand, &["A"]).await[..], [Deactivation::Already(_)]));
    assert_eq!(hub.footprint().await, before);

    // An older document does not bring it back; the same one again does not count as unchanged.
    assert_eq!(hub.changes("brands", [page([brand("A", 2)])]).await.stale, 1);
    assert_eq!(hub.changes("brands", [page([brand("A", 3)])]).await.updated, 1);
    assert_eq!(hub.row(row).await["is_active"], true);
}

#[tokio::test]
async fn a_product_goes_with_one_event_and_its_stock_goes_to_zero() {
    let hub = Hub::new().await;
    hub.full("products", [page([json!({ "code": "P", "name": "p" })])]).await;
    hub.full("stock", [page([json!({ "code": "P|0", "product": "P", "warehouse": "0", "quantity": 7 })])]).await;
    let events = hub.count("hub.outbox_event").await;
    assert!(matches!(gone(&hub, Entity::Product, &["P"]).await[..], [Deactivation::Done(_)]));
    assert_eq!(hub.count("hub.outbox_event").await, events + 1);
    assert!(matches!(gone(&hub, Entity::Stock, &["P|0"]).await[..], [Deactivation::Done(_)]));
    assert_eq!(hub.row("select quantity::text from commerce.stock_level").await["quantity"], "0.0000");
    assert_eq!(hub.row("select delta::text from commerce.stock_movement").await["delta"], "-7.0000");
}

#[tokio::test]
async fn only_the_master_deactivates_and_unit_sets_never() {
    let hub = Hub::with(|build| build.master = Some(vec![Entity::Brand])).await;
    hub.full("brands", [page([brand("A", 1)])]).await;
    assert!(matches!(gone(&hub, Entity::Brand, &["A"]).await[..], [Deactivation::Done(_)]));
    for (entity, reason) in [(Entity::Category, "not_master"), (Entity::UnitSet, "not_master")] {
        let outcomes = gone(&hub, entity, &["A"]).await;
        let [Deactivation::Refused(failure)] = &outcomes[..] else { panic!("{outcomes:?}") };
        assert_eq!(failure.reason, reason);
    }
    let hub = Hub::new().await;
    let outcomes = gone(&hub, Entity::UnitSet, &["A"]).await;
    let [Deactivation::Refused(failure)] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert_eq!(failure.reason, "not_supported");
}
