//! Prices: roles, dates, events.

use chrono::NaiveDate;
use kopru::commerce::{
    Outcome, Patch,
    prices::{self, PriceUpsert},
};
use rust_decimal::Decimal;
use serde_json::json;

use super::{Shop, assert_refused};

async fn upsert(shop: &mut Shop, rows: &[PriceUpsert<'_>]) -> Vec<Outcome> {
    let cx = shop.tick();
    let mut tx = shop.database.pool.begin().await.expect("begin");
    let outcomes = prices::upsert_prices(&mut tx, &cx, rows).await.expect("applied");
    tx.commit().await.expect("commit");
    outcomes
}

fn price(id: i64, code: &'static str, product: i64) -> PriceUpsert<'static> {
    PriceUpsert {
        id,
        is_new: true,
        code,
        product: Patch::Set(product),
        role: Patch::Set("list"),
        amount: Patch::Set(Decimal::new(18_455, 1)),
        currency: Patch::Set("TRY"),
        ..PriceUpsert::default()
    }
}

fn change(id: i64, code: &'static str) -> PriceUpsert<'static> {
    PriceUpsert { id, code, ..PriceUpsert::default() }
}

fn day(text: &str) -> Patch<NaiveDate> {
    Patch::Set(text.parse().expect("a date"))
}

#[tokio::test]
async fn prices_are_created_changed_and_left_alone() {
    let mut shop = Shop::open().await;
    let product = shop.stocked_with(&["A"]).await[0];
    let ids = prices::allocate_ids(&mut shop.conn().await, 2).await.expect("ids");
    let rows = [
        price(ids[0], "LST|A", product),
        PriceUpsert { role: Patch::Set("dealer"), ..price(ids[1], "BAYI|A", product) },
    ];
    assert_eq!(upsert(&mut shop, &rows).await, [Outcome::Created, Outcome::Created]);

    let before = shop.trace("price", ids[1]).await;
    let outcomes = upsert(
        &mut shop,
        &[
            PriceUpsert { amount: Patch::Set(Decimal::ZERO), currency: Patch::Set("USD"), ..change(ids[0], "LST|A") },
            PriceUpsert { amount: Patch::Set(Decimal::new(184_550_000_004, 8)), ..change(ids[1], "BAYI|A") },
        ],
    )
    .await;
    assert_eq!(outcomes, [Outcome::Updated, Outcome::Unchanged], "a price of 0 is a price");
    assert_eq!(shop.trace("price", ids[1]).await, before);

    let told: Vec<(String, i64, i64)> = shop
        .events()
        .await
        .into_iter()
        .filter(|event| event.kind == "price.changed")
        .map(|event| (event.kind, event.aggregate_id, event.revision))
        .collect();
    assert_eq!(
        told,
        [ids[0], ids[1], ids[0]]
            .into_iter()
            .zip([1, 1, 2])
            .map(|(id, revision)| ("price.changed".to_owned(), id, revision))
            .collect::<Vec<_>>()
    );
    let last = shop.events().await.pop().expect("an event");
    assert_eq!(
        last.payload,
        json!({"id": ids[0], "code": "LST|A", "productId": product, "role": "list", "revision": 2, "changed": ["amount", "currency"]})
    );
}

#[tokio::test]
async fn a_role_has_its_own_columns() {
    let mut shop = Shop::open().await;
    let product = shop.stocked_with(&["A"]).await[0];
    let ids = prices::allocate_ids(&mut shop.conn().await, 8).await.expect("ids");
    let rows = [
        PriceUpsert { role: Patch::Set("tier"), ..price(ids[0], "1", product) },
        PriceUpsert { tier: Patch::Set("A"), ..price(ids[1], "2", product) },
        PriceUpsert { role: Patch::Set("special"), ..price(ids[2], "3", product) },
        PriceUpsert { role: Patch::Set("gold"), ..price(ids[3], "4", product) },
        PriceUpsert { role: Patch::Set("price_list"), ..price(ids[4], "5", product) },
        PriceUpsert { role: Patch::Set("tier"), tier: Patch::Set("D"), ..price(ids[5], "6", product) },
        PriceUpsert { role: Patch::Set("tier"), tier: Patch::Set("B"), ..price(ids[6], "7", product) },
        PriceUpsert {
            role: Patch::Set("special"),
            customer_pattern: Patch::Set("120.34.*"),
            ..price(ids[7], "8", product)
        },
    ];
    let outcomes = upsert(&mut shop, &rows).await;
    for (place, field, rule) in [
        (0, "role", "role_columns"),
        (1, "role", "role_columns"),
        (2, "role", "role_columns"),
        (3, "role", "unknown_value"),
        (4, "role", "role_columns"),
        (5, "tier", "unknown_value"),
    ] {
        assert_refused(&outcomes[place], field, rule);
    }
    assert_eq!(outcomes[6..], [Outcome::Created, Outcome::Created]);

    // Rows that say a part are judged with what the store holds.
    let outcomes = upsert(
        &mut shop,
        &[
            PriceUpsert { tier: Patch::Clear, ..change(ids[6], "7") },
            PriceUpsert { role: Patch::Set("list"), customer_pattern: Patch::Clear, ..change(ids[7], "8") },
        ],
    )
    .await;
    assert_refused(&outcomes[0], "role", "role_columns");
    assert_eq!(outcomes[1], Outcome::Updated);
}

#[tokio::test]
async fn bad_prices_are_refused_one_by_one() {
    let mut shop = Shop::open().await;
    let product = shop.stocked_with(&["A"]).await[0];
    let ids = prices::allocate_ids(&mut shop.conn().await, 7).await.expect("ids");
    let rows = [
        PriceUpsert { amount: Patch::Set(Decimal::NEGATIVE_ONE), ..price(ids[0], "1", product) },
        PriceUpsert { currency: Patch::Set("TL"), ..price(ids[1], "2", product) },
        PriceUpsert { currency: Patch::Keep, ..price(ids[2], "3", product) },
        PriceUpsert { valid_from: day("2026-02-01"), valid_to: day("2026-01-31"), ..price(ids[3], "4", product) },
        PriceUpsert { product: Patch::Keep, ..price(ids[4], "5", product) },
        PriceUpsert { valid_from: day("2026-02-01"), ..price(ids[5], "6", product) },
        PriceUpsert { ..price(ids[6], "6", product) },
    ];
    let outcomes = upsert(&mut shop, &rows).await;
    assert_refused(&outcomes[0], "amount", "negative");
    assert_refused(&outcomes[1], "currency", "format");
    assert_refused(&outcomes[2], "currency", "required");
    assert_refused(&outcomes[3], "validTo", "out_of_range");
    assert_refused(&outcomes[4], "product", "required");
    assert_eq!(outcomes[5], Outcome::Created);
    assert_refused(&outcomes[6], "code", "unique");
    let late = PriceUpsert { valid_to: day("2026-01-01"), ..change(ids[5], "6") };
    assert_refused(&upsert(&mut shop, &[late]).await[0], "validTo", "out_of_range");
}

#[tokio::test]
async fn what_the_store_refuses_is_told_as_a_rule() {
    let mut shop = Shop::open().await;
    let id = prices::allocate_ids(&mut shop.conn().await, 1).await.expect("an id")[0];
    let cx = shop.tick();
    let error = prices::upsert_prices(&mut shop.conn().await, &cx, &[price(id, "X", 999_999)])
        .await
        .expect_err("no such product");
    let violation = error.violation().expect("a rule");
    assert_eq!((violation.field, violation.rule), ("product", "missing_reference"));
    assert!(!error.retry_at_once());
}
