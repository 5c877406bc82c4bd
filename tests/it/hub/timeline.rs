//! What is known of an object, from whichever side one asks.

use kopru::hub::timeline::{Entry, Timeline, timeline};
use serde_json::json;
use sqlx::PgPool;

use crate::{
    orders::{Market, manager, of, owner},
    push::intake::{catalogue, hub, product, products, push, with},
};

async fn told(db: &PgPool, name: &str) -> Timeline {
    timeline(db, name, None, 100).await.expect("the store")
}

fn seen(items: &[Entry]) -> Vec<(&str, &str, &str)> {
    items.iter().map(|it| (it.kind.as_str(), it.what.as_str(), it.outcome.as_deref().unwrap_or("-"))).collect()
}

#[tokio::test]
async fn a_product_tells_what_came_in_for_it_and_what_was_told_of_it() {
    let hub = hub().await;
    catalogue(&hub).await;
    let item = || with(product("KMR-1"), json!({ "sku": "SKU-1" }));
    push(&hub, "integration/products", &products([item()])).await;
    push(&hub, "integration/products", &products([with(item(), json!({ "listPrice": "x" }))])).await;
    push(&hub, "integration/products", &products([with(item(), json!({ "name": "Yeni", "listPrice": 130 }))])).await;
    let by_sku = told(hub.pool(), "SKU-1").await;
    assert_eq!(by_sku.objects.len(), 1);
    assert_eq!((by_sku.objects[0].kind.as_str(), by_sku.objects[0].name.as_str()), ("product", "KMR-1"));
    let all = seen(&by_sku.items);
    for wanted in [
        ("record", "product KMR-1", "created"),
        ("record", "product KMR-1", "failed"),
        ("dead_letter", "product KMR-1", "superseded"),
        ("record", "product KMR-1", "updated"),
        ("event", "product.updated", "revision 1"),
    ] {
        assert!(all.contains(&wanted), "{wanted:?} in {all:?}");
    }
    assert!(by_sku.items.is_sorted_by_key(|item| item.at), "the oldest first");
    assert_eq!(by_sku.next_cursor, None);
    assert_eq!(told(hub.pool(), "KMR-1").await.items, by_sku.items, "by its code the same");

    // A page at a time, from the newest to the oldest.
    let mut pages = Vec::new();
    let mut before = None;
    loop {
        let page = timeline(hub.pool(), "SKU-1", before, 2).await.expect("the store");
        pages.splice(0..0, page.items);
        before = page.next_cursor;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(pages, by_sku.items);

    let of_request = told(hub.pool(), "c-1").await;
    assert!(of_request.objects.is_empty());
    assert!(seen(&of_request.items).contains(&("message", "product", "done")), "{:?}", of_request.items);

    let nothing = told(hub.pool(), "YOK").await;
    assert!(nothing.objects.is_empty() && nothing.items.is_empty());
}

#[tokio::test]
async fn an_order_tells_its_moves_its_events_and_who_did_what() {
    let mut market = Market::open().await;
    market.rules.approve_above = Some(rust_decimal::Decimal::ZERO);
    let dealer = market.dealer("120.01", None).await;
    let camera = market.product("KMR", "100", 10).await;
    let placed = market.place(&owner(dealer), &of(&[(camera, "1")])).await.expect("placed").summary;
    market.approve(&manager(), placed.id).await.expect("approved");
    let found = told(market.pool(), &placed.number).await;
    let all = seen(&found.items);
    for (kind, what) in [
        ("change", format!("order {}: placed", placed.number)),
        ("change", format!("order {}: approved", placed.number)),
        ("event", "order.created".to_owned()),
        ("event", "order.confirmed".to_owned()),
        ("audit", format!("order.approved order {}", placed.number)),
    ] {
        assert!(all.iter().any(|it| (it.0, it.1) == (kind, what.as_str())), "{kind} {what} in {all:?}");
    }
    // By our reference in the ERP as well, with what the ERP said of it.
    sqlx::query(
        "with linked as (
             insert into hub.external_ref (connector, entity, internal_id, external_code, external_id)
             values ('logo', 'order', $1, 'K7P2QX-1', '4711')
         )
         insert into hub.message_history (id, kind, state, connector, stream, entity, key, format, correlation_id, attempts, claims, received_at)
         values (hub.new_id(), 'document', 'done', 'logo', 'orders', 'order', 'K7P2QX-1', 'json', 'logo-1', 1, 1, now())",
    )
    .bind(placed.id)
    .execute(market.pool())
    .await
    .expect("linked");
    for name in ["K7P2QX-1", placed.number.as_str()] {
        let found = told(market.pool(), name).await;
        assert_eq!((found.objects.len(), found.objects[0].id), (1, placed.id), "{name}");
        assert!(
            seen(&found.items).iter().any(|it| it.0 == "message" || it.0 == "record"),
            "{name}: {:?}",
            seen(&found.items)
        );
        assert!(seen(&found.items).iter().any(|it| it.0 == "change"), "{name}");
    }
    // The dealer is found by code and is another object.
    let customer = told(market.pool(), "120.01").await;
    assert_eq!(customer.objects[0].kind.as_str(), "customer");
    assert!(!seen(&customer.items).iter().any(|it| it.0 == "change"));
}
