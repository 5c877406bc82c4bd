//! Units and images of products.

use kopru::commerce::{
    Outcome, Patch, UnitLine,
    products::{ImageLine, ProductUpsert},
    unit_sets::{self, UnitSetUpsert},
};
use serde_json::{Value, json};

use super::{Shop, assert_refused, by_a_person, change, ids, product};

fn line(unit: &'static str, numerator: i64) -> UnitLine<'static> {
    UnitLine { unit, numerator: Some(numerator.into()), ..UnitLine::default() }
}

async fn effective(shop: &Shop, product: i64) -> Vec<(String, bool, String)> {
    sqlx::query_as(
        "select unit, is_main, trim_scale(numerator / denominator)::text
         from commerce.effective_product_unit where product_id = $1 order by position",
    )
    .bind(product)
    .fetch_all(&shop.database.pool)
    .await
    .expect("units")
}

fn unit(name: &str, is_main: bool, factor: &str) -> (String, bool, String) {
    (name.to_owned(), is_main, factor.to_owned())
}

#[tokio::test]
async fn own_units_stand_before_those_of_the_set() {
    let mut shop = Shop::open().await;
    let cx = shop.tick();
    let mut conn = shop.conn().await;
    let set = unit_sets::allocate_ids(&mut conn, 1).await.expect("an id")[0];
    let rows = [UnitSetUpsert {
        id: set,
        is_new: true,
        code: "UZUNLUK",
        name: Patch::Set("Uzunluk"),
        units: Patch::Set(vec![line("MT", 1), line("MAKARA", 305)]),
    }];
    assert_eq!(unit_sets::upsert_unit_sets(&mut conn, &cx, &rows).await.expect("applied"), [Outcome::Created]);
    drop(conn);

    let id = ids(&mut shop.conn().await, 1).await[0];
    shop.products(&[ProductUpsert { unit_set: Patch::Set(set), ..product(id, "KBL") }]).await;
    assert_eq!(effective(&shop, id).await, [unit("MT", true, "1"), unit("MAKARA", false, "305")]);

    let own =
        |factor| ProductUpsert { units: Patch::Set(vec![line("MT", 1), line("MAKARA", factor)]), ..change(id, "KBL") };
    assert_eq!(shop.products(&[own(100)]).await, [Outcome::Updated]);
    assert_eq!(effective(&shop, id).await, [unit("MT", true, "1"), unit("MAKARA", false, "100")]);
    let event = shop.events().await.pop().expect("an event");
    assert_eq!((event.revision, &event.payload["changed"]), (2, &json!(["units"])));

    let before = shop.trace("product", id).await;
    assert_eq!(shop.products(&[own(100)]).await, [Outcome::Unchanged]);
    assert_eq!(shop.trace("product", id).await, before);

    assert_eq!(shop.products(&[own(0)]).await.len(), 1);
    assert_refused(&shop.products(&[own(0)]).await[0], "units", "not_positive");
    assert_eq!(shop.products(&[ProductUpsert { units: Patch::Clear, ..change(id, "KBL") }]).await, [Outcome::Updated]);
    assert_eq!(effective(&shop, id).await[1], unit("MAKARA", false, "305"), "those of the set again");
}

#[tokio::test]
async fn the_main_unit_can_move() {
    let mut shop = Shop::open().await;
    let id = ids(&mut shop.conn().await, 1).await[0];
    let main = |unit| UnitLine { is_main: Some(true), ..line(unit, 1) };
    let units = |lines| ProductUpsert { units: Patch::Set(lines), ..change(id, "A") };
    let first = ProductUpsert { is_new: true, name: Patch::Set("Kutu"), ..units(vec![main("ADET"), line("KUTU", 12)]) };
    assert_eq!(shop.products(&[first]).await, [Outcome::Created]);
    assert_eq!(shop.products(&[units(vec![line("ADET", 1), main("KUTU")])]).await, [Outcome::Updated]);
    assert_eq!(effective(&shop, id).await, [unit("ADET", false, "1"), unit("KUTU", true, "1")]);
}

#[tokio::test]
async fn units_of_a_missing_product_are_refused_with_it() {
    let mut shop = Shop::open().await;
    let row = ProductUpsert { units: Patch::Set(vec![line("ADET", 1)]), ..change(424_242, "X") };
    assert_refused(&shop.products(&[row]).await[0], "id", "missing_record");
}

#[tokio::test]
async fn images_come_with_the_product_and_then_belong_to_the_hub() {
    let mut shop = Shop::open().await;
    let id = ids(&mut shop.conn().await, 1).await[0];
    let images = |url| Patch::Set(vec![ImageLine { url, alt: None }]);
    let of = async |shop: &Shop| -> Vec<String> {
        sqlx::query_scalar("select url from commerce.product_image where product_id = $1 order by position")
            .bind(id)
            .fetch_all(&shop.database.pool)
            .await
            .expect("images")
    };
    shop.products(&[ProductUpsert { images: images("a.png"), ..product(id, "A") }]).await;
    assert_eq!(
        shop.products(&[ProductUpsert { images: images("b.png"), ..change(id, "A") }]).await,
        [Outcome::Unchanged]
    );
    assert_eq!(of(&shop).await, ["a.png"]);
    let cx = by_a_person(shop.tick());
    let edit = ProductUpsert { images: images("c.png"), ..change(id, "A") };
    assert_eq!(shop.products_by(cx, &[edit]).await.expect("applied"), [Outcome::Updated]);
    assert_eq!(of(&shop).await, ["c.png"]);
    let revision: Value = shop.row("product", id).await["revision"].clone();
    assert_eq!(revision, json!(2));
}
