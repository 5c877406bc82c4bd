//! Customers and their addresses.

use kopru::commerce::{
    Outcome, Patch,
    customers::{self, AddressLine, CustomerUpsert},
};
use rust_decimal::Decimal;
use serde_json::json;
use sqlx::Row;

use super::{Shop, assert_refused, by_a_person};

async fn upsert(shop: &mut Shop, rows: &[CustomerUpsert<'_>]) -> Vec<Outcome> {
    let cx = shop.tick();
    let mut tx = shop.database.pool.begin().await.expect("begin");
    let outcomes = customers::upsert_customers(&mut tx, &cx, rows).await.expect("applied");
    tx.commit().await.expect("commit");
    outcomes
}

fn customer(id: i64, code: &'static str) -> CustomerUpsert<'static> {
    CustomerUpsert { id, code, title: Patch::Set("Yıldızhan Güvenlik"), ..CustomerUpsert::default() }
}

#[tokio::test]
async fn tax_numbers_are_judged_and_never_lost() {
    let mut shop = Shop::open().await;
    let ids = customers::allocate_ids(&mut shop.conn().await, 4).await.expect("ids");
    let with = |id, code, number| CustomerUpsert { is_new: true, tax_number: Patch::Set(number), ..customer(id, code) };
    let outcomes = upsert(
        &mut shop,
        &[
            with(ids[0], "120.34.0187", "9900000011"),
            with(ids[1], "120.16.0042", "100 000 00146"),
            with(ids[2], "120.16.0043", "1234567891"),
            with(ids[3], "120.16.0044", ""),
        ],
    )
    .await;
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Created), "{outcomes:?}");
    for (id, number, valid) in [
        (ids[0], json!("9900000011"), json!(true)),
        (ids[1], json!("10000000146"), json!(true)),
        (ids[2], json!("1234567891"), json!(false)),
        (ids[3], json!(null), json!(null)),
    ] {
        let row = shop.row("customer", id).await;
        assert_eq!((&row["tax_number"], &row["tax_number_valid"]), (&number, &valid));
    }
    assert_eq!(
        upsert(
            &mut shop,
            &[CustomerUpsert { tax_number: Patch::Set("9900000011"), ..customer(ids[2], "120.16.0043") }]
        )
        .await,
        [Outcome::Updated]
    );
    assert_eq!(shop.row("customer", ids[2]).await["tax_number_valid"], json!(true), "several cards may share a number");
    assert_eq!(shop.count("hub.outbox_event").await, 0);
}

#[tokio::test]
async fn imported_customers_are_approved_and_entered_ones_wait() {
    let mut shop = Shop::open().await;
    let ids = customers::allocate_ids(&mut shop.conn().await, 2).await.expect("ids");
    upsert(&mut shop, &[CustomerUpsert { is_new: true, ..customer(ids[0], "A") }]).await;
    let cx = by_a_person(shop.tick());
    let entered = CustomerUpsert {
        is_new: true,
        phone: Patch::Set("0216 555 01 87"),
        mobile: Patch::Set("yok"),
        ..customer(ids[1], "B")
    };
    customers::upsert_customers(&mut shop.conn().await, &cx, &[entered]).await.expect("applied");
    assert_eq!(shop.row("customer", ids[0]).await["is_approved"], json!(true));
    let row = shop.row("customer", ids[1]).await;
    assert_eq!(
        (&row["is_approved"], &row["phone"], &row["mobile"], &row["currency"]),
        (&json!(false), &json!("+902165550187"), &json!("yok"), &json!("TRY"))
    );
}

#[tokio::test]
async fn every_field_is_written_once() {
    let mut shop = Shop::open().await;
    let id = customers::allocate_ids(&mut shop.conn().await, 1).await.expect("an id")[0];
    upsert(&mut shop, &[CustomerUpsert { is_new: true, ..customer(id, "A") }]).await;
    let base = || customer(id, "A");
    let changes = [
        ("title", json!("T"), CustomerUpsert { title: Patch::Set("T"), ..base() }),
        ("tax_office", json!("Ümraniye"), CustomerUpsert { tax_office: Patch::Set("Ümraniye"), ..base() }),
        ("is_person", json!(true), CustomerUpsert { is_person: Patch::Set(true), ..base() }),
        ("contact", json!("Gülşah"), CustomerUpsert { contact: Patch::Set("Gülşah"), ..base() }),
        ("email", json!("a@b.example"), CustomerUpsert { email: Patch::Set("a@b.example"), ..base() }),
        ("phone", json!("+904440123"), CustomerUpsert { phone: Patch::Set("444 0 123"), ..base() }),
        ("mobile", json!("+905325550187"), CustomerUpsert { mobile: Patch::Set("05325550187"), ..base() }),
        ("price_tier", json!("B"), CustomerUpsert { price_tier: Patch::Set("B"), ..base() }),
        ("credit_limit", json!(50000), CustomerUpsert { credit_limit: Patch::Set(Decimal::from(50_000)), ..base() }),
        ("currency", json!("EUR"), CustomerUpsert { currency: Patch::Set("EUR"), ..base() }),
        ("payment_term_code", json!("30G"), CustomerUpsert { payment_term_code: Patch::Set("30G"), ..base() }),
        ("payment_term_days", json!(30), CustomerUpsert { payment_term_days: Patch::Set(30), ..base() }),
        ("discount_rate", json!(5), CustomerUpsert { discount_rate: Patch::Set(Decimal::from(5)), ..base() }),
        ("trading_group", json!("G1"), CustomerUpsert { trading_group: Patch::Set("G1"), ..base() }),
        ("is_active", json!(false), CustomerUpsert { is_active: Patch::Set(false), ..base() }),
    ];
    let mut before = shop.row("customer", id).await;
    for (column, value, mut row) in changes {
        if column != "title" {
            row.title = Patch::Keep;
        }
        assert_eq!(upsert(&mut shop, std::slice::from_ref(&row)).await, [Outcome::Updated], "{column}");
        let after = shop.row("customer", id).await;
        let differing: Vec<&String> = after
            .as_object()
            .expect("an object")
            .iter()
            .filter(|(name, value)| before[name.as_str()] != **value)
            .map(|(name, _)| name)
            .filter(|name| !["revision", "updated_at", "search_text"].contains(&name.as_str()))
            .collect();
        assert_eq!((differing, &after[column]), (vec![&column.to_owned()], &value));
        assert_eq!(upsert(&mut shop, &[row]).await, [Outcome::Unchanged], "{column} again");
        before = after;
    }
}

#[tokio::test]
async fn addresses_keep_their_identity() {
    let mut shop = Shop::open().await;
    let id = customers::allocate_ids(&mut shop.conn().await, 1).await.expect("an id")[0];
    let line = |code, city| AddressLine { code: Some(code), city: Some(city), ..AddressLine::default() };
    let with = |lines: Vec<AddressLine<'static>>| CustomerUpsert { addresses: Patch::Set(lines), ..customer(id, "A") };
    let stored = async |shop: &Shop| -> Vec<(i64, String, bool, bool)> {
        sqlx::query("select id, code, is_active, is_default from commerce.customer_address order by id")
            .fetch_all(&shop.database.pool)
            .await
            .expect("addresses")
            .into_iter()
            .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3)))
            .collect()
    };
    upsert(&mut shop, &[CustomerUpsert { is_new: true, ..with(vec![line("MRK", "İSTANBUL"), line("DEPO", "BURSA")]) }])
        .await;
    let first = stored(&shop).await;
    assert_eq!(first.iter().map(|row| row.3).collect::<Vec<_>>(), [true, false]);

    let before = shop.trace("customer", id).await;
    assert_eq!(
        upsert(&mut shop, &[with(vec![line("MRK", "İSTANBUL"), line("DEPO", "BURSA")])]).await,
        [Outcome::Unchanged]
    );
    assert_eq!(shop.trace("customer", id).await, before);

    assert_eq!(upsert(&mut shop, &[with(vec![line("DEPO", "İZMİR")])]).await, [Outcome::Updated]);
    let second = stored(&shop).await;
    assert_eq!(second, [(first[0].0, "MRK".to_owned(), false, false), (first[1].0, "DEPO".to_owned(), true, true)]);

    assert_eq!(
        upsert(&mut shop, &[with(vec![line("MRK", "ANKARA"), line("DEPO", "İZMİR")])]).await,
        [Outcome::Updated]
    );
    assert_eq!(
        stored(&shop).await.iter().map(|row| (row.0, row.2)).collect::<Vec<_>>(),
        [(first[0].0, true), (first[1].0, true)]
    );
    assert_eq!(shop.row("customer", id).await["revision"], json!(3));
}

#[tokio::test]
async fn bad_customers_are_refused_one_by_one() {
    let mut shop = Shop::open().await;
    let ids = customers::allocate_ids(&mut shop.conn().await, 5).await.expect("ids");
    let new = |id, code| CustomerUpsert { is_new: true, ..customer(id, code) };
    let outcomes = upsert(
        &mut shop,
        &[
            CustomerUpsert { title: Patch::Keep, ..new(ids[0], "A") },
            CustomerUpsert { price_tier: Patch::Set("Z"), ..new(ids[1], "B") },
            CustomerUpsert { credit_limit: Patch::Set(Decimal::NEGATIVE_ONE), ..new(ids[2], "C") },
            CustomerUpsert { tax_number: Patch::Set("1234567890123456"), ..new(ids[3], "D") },
            new(ids[4], "E"),
        ],
    )
    .await;
    assert_refused(&outcomes[0], "title", "required");
    assert_refused(&outcomes[1], "priceTier", "unknown_value");
    assert_refused(&outcomes[2], "creditLimit", "negative");
    assert_refused(&outcomes[3], "taxNumber", "too_long");
    assert_eq!(outcomes[4], Outcome::Created);
}
