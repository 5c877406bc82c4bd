//! Stock levels and movements.

use kopru::commerce::{
    Outcome, Patch,
    stock::{self, StockUpsert},
};
use rust_decimal::Decimal;
use serde_json::json;
use sqlx::Row;

use super::{Shop, assert_refused};

async fn upsert(shop: &mut Shop, rows: &[StockUpsert]) -> Vec<Outcome> {
    let cx = shop.tick();
    let mut tx = shop.database.pool.begin().await.expect("begin");
    let outcomes = stock::upsert_stock(&mut tx, &cx, rows).await.expect("applied");
    tx.commit().await.expect("commit");
    outcomes
}

fn level(id: i64, product: i64, warehouse: i64, quantity: i64) -> StockUpsert {
    StockUpsert { id, product, warehouse, quantity: Patch::Set(quantity.into()), ..StockUpsert::default() }
}

fn new(row: StockUpsert) -> StockUpsert {
    StockUpsert { is_new: true, ..row }
}

#[tokio::test]
async fn negative_stock_is_kept_raw_and_sold_as_nothing() {
    let mut shop = Shop::open().await;
    let (product, warehouse) = (shop.stocked_with(&["A"]).await[0], shop.warehouse("0").await);
    let id = stock::allocate_ids(&mut shop.conn().await, 1).await.expect("an id")[0];
    assert_eq!(upsert(&mut shop, &[new(level(id, product, warehouse, 7))]).await, [Outcome::Created]);
    assert_eq!(upsert(&mut shop, &[level(id, product, warehouse, -3)]).await, [Outcome::Updated]);
    let row = shop.row("stock_level", id).await;
    assert_eq!((&row["quantity"], &row["sellable"]), (&json!(-3), &json!(0)));

    let movement = sqlx::query("select revision, delta, quantity_after, reason, origin from commerce.stock_movement")
        .fetch_one(&shop.database.pool)
        .await
        .expect("one movement, none for the opening figure");
    assert_eq!(movement.get::<i64, _>(0), 2);
    assert_eq!(movement.get::<Decimal, _>(1), Decimal::from(-10));
    assert_eq!(movement.get::<Decimal, _>(2), Decimal::from(-3));
    assert_eq!((movement.get::<&str, _>(3), movement.get::<&str, _>(4)), ("source", "logo"));

    let event = shop.events().await.pop().expect("an event");
    assert_eq!(event.kind, "stock.changed");
    assert_eq!(
        event.payload,
        json!({"id": id, "productId": product, "warehouseId": warehouse, "quantity": -3, "sellable": 0, "revision": 2,
               "changed": ["quantity"]})
    );
}

#[tokio::test]
async fn unchanged_stock_is_not_touched_and_other_figures_are_silent() {
    let mut shop = Shop::open().await;
    let (product, warehouse) = (shop.stocked_with(&["A"]).await[0], shop.warehouse("0").await);
    let id = stock::allocate_ids(&mut shop.conn().await, 1).await.expect("an id")[0];
    upsert(&mut shop, &[new(level(id, product, warehouse, 7))]).await;
    let (before, events) = (shop.trace("stock_level", id).await, shop.count("hub.outbox_event").await);
    assert_eq!(upsert(&mut shop, &[level(id, product, warehouse, 7)]).await, [Outcome::Unchanged]);
    assert_eq!(shop.trace("stock_level", id).await, before);

    let reserved =
        StockUpsert { quantity: Patch::Keep, reserved: Patch::Set(Decimal::TWO), ..level(id, product, warehouse, 0) };
    assert_eq!(upsert(&mut shop, &[reserved]).await, [Outcome::Updated]);
    assert_eq!(shop.row("stock_level", id).await["quantity"], json!(7));
    assert_eq!(shop.count("hub.outbox_event").await, events, "nothing that is sold has changed");
    assert_eq!(shop.count("commerce.stock_movement").await, 0);
}

#[tokio::test]
async fn a_product_has_one_level_in_a_warehouse() {
    let mut shop = Shop::open().await;
    let products = shop.stocked_with(&["A", "B"]).await;
    let (main, other) = (shop.warehouse("0").await, shop.warehouse("1").await);
    let ids = stock::allocate_ids(&mut shop.conn().await, 4).await.expect("ids");
    let outcomes = upsert(
        &mut shop,
        &[
            new(level(ids[0], products[0], main, 1)),
            new(level(ids[1], products[0], other, 2)),
            new(level(ids[2], products[0], main, 3)),
        ],
    )
    .await;
    assert_eq!(outcomes[..2], [Outcome::Created, Outcome::Created]);
    assert_refused(&outcomes[2], "product", "unique");

    let outcomes =
        upsert(&mut shop, &[level(ids[0], products[1], main, 9), new(level(ids[3], products[0], other, 9))]).await;
    assert_refused(&outcomes[0], "product", "immutable");
    assert_refused(&outcomes[1], "product", "unique");
    assert_eq!(shop.row("stock_level", ids[0]).await["quantity"], json!(1));

    let mut conn = shop.conn().await;
    let found = stock::ids_by_place(&mut conn, &[(products[1], main), (products[0], other)]).await.expect("found");
    assert_eq!(found, [(1, ids[1])]);
}

#[tokio::test]
async fn a_level_needs_a_quantity_that_fits() {
    let mut shop = Shop::open().await;
    let (product, warehouse) = (shop.stocked_with(&["A"]).await[0], shop.warehouse("0").await);
    let ids = stock::allocate_ids(&mut shop.conn().await, 2).await.expect("ids");
    let outcomes = upsert(
        &mut shop,
        &[
            StockUpsert { quantity: Patch::Keep, ..new(level(ids[0], product, warehouse, 0)) },
            StockUpsert { quantity: Patch::Set(Decimal::MIN), ..new(level(ids[1], product, warehouse, 0)) },
        ],
    )
    .await;
    assert_refused(&outcomes[0], "quantity", "required");
    assert_refused(&outcomes[1], "quantity", "out_of_range");
}
