//! Prices that are kept for showing are those that the store finds, whatever rows there are.

use chrono::{Days, NaiveDate};
use kopru::commerce::pricing::{Ask, Dealer, offers_of, price, prices_for, terms_of};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use rust_decimal::Decimal;
use sqlx::AssertSqlSafe;

use crate::support::database::TestDatabase;

const PRODUCTS: i64 = 6;
const CUSTOMERS: i64 = 5;
const LISTS: i64 = 4;

fn first_day() -> NaiveDate {
    "2026-11-20".parse().expect("a date")
}

const SITE: &str = "
    insert into commerce.unit_set (id, code, name, created_at, updated_at, created_by, updated_by)
    values (1, 'S', 'S', now(), now(), 't', 't');
    insert into commerce.unit_set_line (unit_set_id, position, decimals, is_main, unit, numerator, denominator)
    values (1, 1, 0, true, 'ADET', 1, 1), (1, 2, 0, false, 'KOLI', 12, 1), (1, 3, 0, false, 'YARIM', 1, 3);
    insert into commerce.product (id, code, name, slug, unit, unit_set_id, vat_rate, created_at, updated_at, created_by, updated_by)
    select n, 'P' || n, 'P', 'p' || n, case when n <> 5 then 'ADET' end, case when n % 2 = 0 then 1 end,
           (array[20, null, 1, 0, 10.5, 20])[n], now(), now(), 't', 't'
    from generate_series(1, 6) n;
    insert into commerce.product_unit (product_id, position, decimals, is_main, unit, numerator, denominator)
    values (1, 1, 0, true, 'ADET', 1, 1), (1, 2, 0, false, 'KOLI', 7, 3);
    insert into commerce.customer (id, code, title, is_approved, price_tier, currency, created_at, updated_at, created_by, updated_by)
    select n, (array['120.34.001', '120.34.002', '120.35.001', '320_A', '12%'])[n], 'B', true, (array['A', 'B', null, 'B', 'C'])[n],
           (array['TRY', 'USD', 'TRY', 'EUR', 'TRY'])[n], now(), now(), 't', 't'
    from generate_series(1, 5) n;
    update commerce.customer set deleted_at = now() where id = 4;
    insert into commerce.price_list (id, code, name, is_active, created_at, updated_at, created_by, updated_by)
    select n, 'L' || n, 'L', n <> 3, now(), now(), 't', 't' from generate_series(1, 4) n;
    insert into commerce.customer_price_list (customer_id, price_list_id, priority)
    values (1, 1, 2), (1, 2, 1), (1, 3, 0), (2, 2, 5), (2, 4, 5), (3, 3, 1), (4, 1, 1);
";

/// A row as nobody would make it by hand.
fn row(random: &mut StdRng, number: usize) -> String {
    let pick = |random: &mut StdRng, of: &[&str]| of[random.random_range(0..of.len())].to_owned();
    let quoted = |text: String| if text == "null" { text } else { format!("'{text}'") };
    let id = |random: &mut StdRng, most: i64| random.random_range(1..=most).to_string();
    let role =
        pick(random, &["list", "dealer", "cost", "tier", "special", "special", "price_list", "price_list", "none"]);
    let null = || "null".to_owned();
    let (mut customer, mut list, mut tier, mut pattern) = (null(), null(), null(), null());
    match role.as_str() {
        "tier" => tier = pick(random, &["A", "B", "C"]),
        "special" if random.random_bool(0.5) => customer = id(random, CUSTOMERS),
        "special" => {
            pattern = pick(random, &["*", "120.*", "120.34.*", "*.001", "12%", "320_*", "1*3*1", "120.34.001"])
        }
        "price_list" => list = id(random, LISTS),
        _ => {}
    }
    let day = |random: &mut StdRng, days: std::ops::Range<u64>| match random.random_bool(0.4) {
        true => (first_day() + Days::new(random.random_range(days))).to_string(),
        false => "null".to_owned(),
    };
    let (from, to) = (day(random, 0..3), day(random, 3..6));
    let amount = pick(random, &["0", "10", "10", "99.999999", "33.333333", "1", "123456789012.5"]);
    let least = pick(random, &["0", "0", "0", "1", "0.5", "12", "0.0833"]);
    let unit = pick(random, &["null", "null", "ADET", "KOLI", "YARIM", "YOK"]);
    format!(
        "({}, {customer}, {list}, {}, {}, {}, {}, {}, 'C{number}', '{role}', '{}', {amount}, {least}, {}, {}, {}, now(), now(), 't', 't')",
        id(random, PRODUCTS),
        random.random_range(0..3),
        quoted(from),
        quoted(to),
        random.random_bool(0.3),
        random.random_bool(0.9),
        pick(random, &["TRY", "USD", "EUR"]),
        quoted(unit),
        quoted(tier),
        quoted(pattern),
    )
}

#[tokio::test]
async fn what_is_kept_prices_as_the_store_does() {
    let database = TestDatabase::new().await;
    let pool = &database.pool;
    let execute = async |text: String| {
        sqlx::raw_sql(AssertSqlSafe(text)).execute(pool).await.expect("done");
    };
    execute(SITE.to_owned()).await;
    let ids: Vec<i64> = (1..=PRODUCTS).collect();
    let asks: Vec<Ask> = ids.iter().map(|id| Ask { product_id: *id, unit: None, quantity: Decimal::ONE }).collect();
    let mut compared = 0;
    for seed in 0..12 {
        let mut random = StdRng::seed_from_u64(seed);
        let rows: Vec<String> = (0..random.random_range(5..120)).map(|number| row(&mut random, number)).collect();
        execute(format!(
            "delete from commerce.price;
             insert into commerce.price (product_id, customer_id, price_list_id, priority, valid_from, valid_to, vat_included, is_active,
                 code, role, currency, amount, min_quantity, unit, tier, customer_pattern, created_at, updated_at, created_by, updated_by)
             values {}",
            rows.join(",")
        ))
        .await;
        let mut conn = pool.acquire().await.expect("a connection");
        let offers = offers_of(&mut conn, &ids).await.expect("offers");
        let customers = [None, Some(0)].into_iter().chain((1..=CUSTOMERS).map(Some));
        for (customer_id, allow_zero_price) in customers.flat_map(|id| [(id, false), (id, true)]) {
            let dealer = Dealer { customer_id, allow_zero_price };
            let terms = terms_of(&mut conn, dealer).await.expect("terms");
            for days in 0..6 {
                let day = first_day() + Days::new(days);
                let found = prices_for(pool, dealer, day, &asks).await.expect("prices");
                for (id, found) in ids.iter().zip(found) {
                    let offers = offers.get(id).map(|offers| offers.as_deref().expect("few rows")).unwrap_or_default();
                    let kept = price(offers, &terms, day, allow_zero_price);
                    let kept = kept
                        .and_then(|offer| offer.quote())
                        .map(|quote| (quote.amount(), quote.currency().to_owned(), quote.rule));
                    let found = found.map(|priced| (priced.amount, priced.currency, priced.rule));
                    assert_eq!(kept, found, "seed {seed}, product {id}, {dealer:?}, {day}");
                    compared += usize::from(kept.is_some());
                }
            }
        }
    }
    assert!(compared > 500, "{compared} prices were compared");
}
