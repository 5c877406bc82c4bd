//! Categories, code lists, unit sets.

use kopru::commerce::{
    CodeListUpsert, Outcome, Patch, UnitLine, brands,
    categories::{self, CategoryUpsert},
    unit_sets::{self, UnitSetUpsert},
};
use serde_json::json;

use super::{Shop, assert_refused};

fn category(id: i64, code: &'static str, parent: Patch<i64>) -> CategoryUpsert<'static> {
    CategoryUpsert { id, code, name: Patch::Set(code), parent, ..CategoryUpsert::default() }
}

async fn upsert(shop: &mut Shop, rows: &[CategoryUpsert<'_>]) -> Vec<Outcome> {
    let cx = shop.tick();
    let mut tx = shop.database.pool.begin().await.expect("begin");
    let outcomes = categories::upsert_categories(&mut tx, &cx, rows).await.expect("applied");
    tx.commit().await.expect("commit");
    outcomes
}

#[tokio::test]
async fn a_tree_may_arrive_in_any_order_and_never_closes() {
    let mut shop = Shop::open().await;
    let ids = categories::allocate_ids(&mut shop.conn().await, 5).await.expect("ids");
    let new = |row: CategoryUpsert<'static>| CategoryUpsert { is_new: true, ..row };
    let outcomes = upsert(
        &mut shop,
        &[
            new(category(ids[0], "IP", Patch::Set(ids[1]))),
            new(category(ids[1], "KAMERA", Patch::Clear)),
            new(category(ids[2], "DOME", Patch::Set(ids[0]))),
            new(category(ids[3], "YETIM", Patch::Set(777_777))),
            new(category(ids[4], "TORUN", Patch::Set(ids[3]))),
        ],
    )
    .await;
    assert_eq!(outcomes[..3], [Outcome::Created, Outcome::Created, Outcome::Created]);
    assert_refused(&outcomes[3], "parent", "missing_reference");
    assert_refused(&outcomes[4], "parent", "missing_reference");

    let outcomes = upsert(&mut shop, &[category(ids[1], "KAMERA", Patch::Set(ids[2]))]).await;
    assert_refused(&outcomes[0], "parent", "cycle");
    assert_eq!(shop.row("category", ids[1]).await["parent_id"], json!(null));

    let before = shop.trace("category", ids[0]).await;
    let outcomes =
        upsert(&mut shop, &[category(ids[0], "IP", Patch::Keep), category(ids[2], "DOME", Patch::Set(ids[1]))]).await;
    assert_eq!(outcomes, [Outcome::Unchanged, Outcome::Updated]);
    assert_eq!(shop.trace("category", ids[0]).await, before);
    assert_eq!(shop.row("category", ids[2]).await["parent_id"], json!(ids[1]));
    assert_eq!(shop.count("hub.outbox_event").await, 0);
}

#[tokio::test]
async fn two_pages_cannot_close_a_circle_together() {
    let mut shop = Shop::open().await;
    let (a, b) = (shop.category("A").await, shop.category("B").await);
    let cx = shop.tick();
    let mut first = shop.database.pool.begin().await.expect("begin");
    let moved = categories::upsert_categories(&mut first, &cx, &[category(a, "A", Patch::Set(b))]).await;
    assert_eq!(moved.expect("applied"), [Outcome::Updated]);

    let pool = shop.database.pool.clone();
    let second = tokio::spawn(async move {
        let mut tx = pool.begin().await.expect("begin");
        let outcomes = categories::upsert_categories(&mut tx, &cx, &[category(b, "B", Patch::Set(a))]).await;
        tx.commit().await.expect("commit");
        outcomes.expect("applied")
    });
    first.commit().await.expect("commit");
    assert_refused(&second.await.expect("no panic")[0], "parent", "cycle");
}

#[tokio::test]
async fn a_code_list_is_created_changed_and_left_alone() {
    let mut shop = Shop::open().await;
    let ids = brands::allocate_ids(&mut shop.conn().await, 3).await.expect("ids");
    let row =
        |id, code, name| CodeListUpsert { id, is_new: false, code, name: Patch::Set(name), is_active: Patch::Keep };
    let new = |id, code, name| CodeListUpsert { is_new: true, ..row(id, code, name) };
    let cx = shop.tick();
    let mut conn = shop.conn().await;
    let outcomes =
        brands::upsert_brands(&mut conn, &cx, &[new(ids[0], "ORBEK", "Orbek"), new(ids[1], "ÇINARKAB", "Çınar Kablo")])
            .await;
    assert_eq!(outcomes.expect("applied"), [Outcome::Created, Outcome::Created]);
    let outcomes = brands::upsert_brands(
        &mut conn,
        &cx,
        &[
            row(ids[0], "ORBEK", "Orbek"),
            row(ids[1], "ÇINARKAB", "Çınar"),
            new(ids[2], "ORBEK", "Öteki"),
            row(888_888, "YOK", "Yok"),
        ],
    )
    .await
    .expect("applied");
    assert_eq!(outcomes[..2], [Outcome::Unchanged, Outcome::Updated]);
    assert_refused(&outcomes[2], "code", "unique");
    assert_refused(&outcomes[3], "id", "missing_record");
    assert_eq!(brands::ids_by_code(&mut conn, &["x", "ORBEK"]).await.expect("found"), [(1, ids[0])]);
    assert_eq!(shop.row("brand", ids[1]).await["revision"], json!(2));
}

#[tokio::test]
async fn a_unit_set_is_replaced_whole() {
    let mut shop = Shop::open().await;
    let id = unit_sets::allocate_ids(&mut shop.conn().await, 1).await.expect("an id")[0];
    let line = |unit, numerator: i64| UnitLine { unit, numerator: Some(numerator.into()), ..UnitLine::default() };
    let set = |lines: Vec<UnitLine<'static>>| UnitSetUpsert {
        id,
        code: "05",
        units: Patch::Set(lines),
        ..UnitSetUpsert::default()
    };
    let mut conn = shop.conn().await;
    let cx = shop.tick();
    let first =
        UnitSetUpsert { is_new: true, name: Patch::Set("Adet"), ..set(vec![line("ADET", 1), line("KUTU", 12)]) };
    let mut apply = async |row: UnitSetUpsert<'static>| {
        unit_sets::upsert_unit_sets(&mut conn, &cx, &[row]).await.expect("applied").remove(0)
    };
    assert_eq!(apply(first).await, Outcome::Created);
    assert_eq!(apply(set(vec![line("ADET", 1), line("KUTU", 12)])).await, Outcome::Unchanged);
    assert_eq!(apply(set(vec![line("ADET", 1), line("KOLİ", 24)])).await, Outcome::Updated);
    assert_refused(&apply(set(vec![line("KUTU", 12)])).await, "units", "no_main");
    assert_refused(&apply(set(vec![])).await, "units", "required");
    let units: Vec<String> = sqlx::query_scalar("select unit from commerce.unit_set_line order by position")
        .fetch_all(&shop.database.pool)
        .await
        .expect("lines");
    assert_eq!(units, ["ADET", "KOLİ"]);
    assert_eq!(shop.row("unit_set", id).await["revision"], json!(2));
}
