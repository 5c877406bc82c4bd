//! Lists in which prices decide: what is read off the shelf is what pricing every product gives.

use std::time::Duration;

use chrono::{Days, NaiveDate};
use kopru::{
    commerce::{
        catalogue::{Filter, Reader, Sort, Turn, Viewer, Words},
        pricing::Dealer,
    },
    http::Catalogue,
    page::PageRequest,
};
use rust_decimal::Decimal;
use tokio_util::sync::CancellationToken;

use super::Shop;

pub(super) const PRODUCTS: i64 = 40;

/// Figures that look like chance and are the same each time.
pub(super) struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len() as u64) as usize]
    }
}

fn today() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 21).expect("a day")
}

/// Products with rows of every kind, whose amounts meet often.
pub(super) async fn fill(shop: &Shop, dice: &mut Dice) {
    shop.category("K1", None).await;
    shop.sql(&format!("update commerce.customer set price_tier = 'A', currency = 'USD' where id = {}", shop.rival))
        .await;
    shop.sql(
        "insert into commerce.price_list (code, name, created_at, updated_at, created_by, updated_by)
         select 'L' || n, 'L' || n, now(), now(), 'test', 'test' from generate_series(1, 2) n",
    )
    .await;
    shop.sql(&format!(
        "insert into commerce.customer_price_list (customer_id, price_list_id, priority)
         select {}, id, id from commerce.price_list",
        shop.dealer
    ))
    .await;
    for number in 0..PRODUCTS {
        let id = shop.product(&format!("P{number:03}"), dice.of(&["Kamera", "Kablo", "Siren"]), None).await;
        shop.sql(&format!(
            "insert into commerce.product_unit (product_id, position, decimals, is_main, unit, numerator, denominator)
             values ({id}, 0, 0, true, 'ADET', 1, 1), ({id}, 1, 0, false, 'KOLI', 12, 1)"
        ))
        .await;
        if dice.below(3) == 0 {
            shop.sql(&format!(
                "update commerce.product set category_id = (select id from commerce.category where code = 'K1') where id = {id}"
            ))
            .await;
        }
        if dice.below(2) == 0 {
            shop.stock(id, "0", dice.of(&["0", "5"])).await;
        }
        for _ in 0..dice.below(6) {
            row(shop, dice, id).await;
        }
    }
}

pub(super) async fn row(shop: &Shop, dice: &mut Dice, product: i64) {
    let (role, whose) = match dice.below(7) {
        0 => ("special", format!("customer_id = {}", if dice.below(2) == 0 { shop.dealer } else { shop.rival })),
        1 => ("special", format!("customer_pattern = '{}'", dice.of(&["120.*", "120.34.*", "320.*"]))),
        2 => ("price_list", format!("price_list_id = (select min(id) + {} from commerce.price_list)", dice.below(2))),
        3 => ("tier", format!("tier = '{}'", dice.of(&["A", "B"]))),
        4 | 5 => ("dealer", "tier = null".to_owned()),
        _ => ("list", "tier = null".to_owned()),
    };
    let amount = (dice.below(8) * 10).to_string();
    let price = shop.price(product, role, &amount, &whose).await;
    let day = |dice: &mut Dice| today() + Days::new(dice.below(5)) - Days::new(2);
    let mut more = vec![
        format!("currency = '{}'", dice.of(&["TRY", "TRY", "USD", "EUR"])),
        format!("unit = {}", dice.of(&["null", "'ADET'", "'KOLI'", "'YOK'"])),
        format!("min_quantity = {}", dice.of(&["0", "0", "1", "2"])),
        format!("vat_included = {}", dice.of(&["false", "true"])),
        format!("is_active = {}", dice.of(&["true", "true", "true", "false"])),
        format!("priority = {}", dice.below(3)),
    ];
    match dice.below(4) {
        0 => more.push(format!("valid_from = '{}'", day(dice))),
        1 => more.push(format!("valid_to = '{}'", day(dice))),
        _ => {}
    }
    shop.sql(&format!("update commerce.price set {} where id = {price}", more.join(", "))).await;
}

/// Keeps nothing in the process.
fn reader(shop: &Shop) -> Reader {
    Catalogue::plain(shop.served.pool().clone()).reader
}

pub(super) async fn brought_up(shop: &Shop) {
    for _ in 0..20 {
        match reader(shop).bring_up_shelf().await.expect("a turn") {
            Turn::Done { .. } => return,
            Turn::More { .. } => {}
            Turn::Elsewhere => panic!("nobody else is here"),
        }
    }
    panic!("it does not come to an end");
}

pub(super) async fn ready(shop: &Shop, ready: bool) {
    shop.sql(&format!("update commerce.shelf_state set ready = {ready}")).await;
}

type Seen = Vec<(i64, Option<(Decimal, String)>)>;

/// Every list that prices decide on, whole, page by page.
async fn lists(shop: &Shop, reader: &Reader) -> Vec<(String, Seen, i64)> {
    let words = Words::parse("kamera").expect("words");
    let category = reader.references(Some("K1"), None).await.expect("references");
    let filters = [
        Filter::default(),
        Filter { min_price: Some(Decimal::TEN), max_price: Some(Decimal::from(40)), ..Filter::default() },
        Filter { in_stock: Some(true), ..Filter::default() },
        Filter { words, max_price: Some(Decimal::from(30)), ..Filter::default() },
        Filter { references: category, ..Filter::default() },
    ];
    let mut found = Vec::new();
    for (customer_id, days) in [(None, [0].as_slice()), (Some(shop.dealer), &[0, 1]), (Some(shop.rival), &[0, 1])] {
        for days in days {
            let viewer = Viewer {
                dealer: Dealer { customer_id, allow_zero_price: false },
                day: today() + Days::new(*days),
                sees_stock: true,
                sees_costs: false,
                sees_all: false,
            };
            for filter in &filters {
                for sort in [Sort::Price, Sort::PriceDescending, Sort::Name] {
                    let decides = filter.min_price.is_some() || filter.max_price.is_some();
                    if !decides && !matches!(sort, Sort::Price | Sort::PriceDescending) {
                        continue;
                    }
                    let (mut seen, mut cursor) = (Seen::new(), None);
                    loop {
                        let page = PageRequest::new(Some(23), cursor).expect("a page");
                        let page =
                            reader.list(&viewer, filter, sort, &page).await.expect("read").expect("a good cursor");
                        seen.extend(page.items.into_iter().map(|item| {
                            let price = item.price.map(|price| (price.amount.normalize(), price.currency));
                            (item.id, price)
                        }));
                        cursor = page.next_cursor;
                        if cursor.is_none() {
                            break;
                        }
                    }
                    let count = reader.count(&viewer, filter).await.expect("counted");
                    found.push((format!("{customer_id:?} +{days} {filter:?} {sort:?}"), seen, count));
                }
            }
        }
    }
    found
}

fn assert_same(one: &[(String, Seen, i64)], other: &[(String, Seen, i64)]) {
    assert!(one.iter().any(|(_, seen, _)| seen.len() > 20), "there is something to compare");
    for (one, other) in one.iter().zip(other) {
        assert_eq!(one, other);
        assert_eq!(one.2, one.1.len() as i64, "{}", one.0);
    }
}

#[tokio::test]
async fn the_shelf_tells_what_pricing_every_product_tells() {
    let shop = Shop::open().await;
    let mut dice = Dice(20_261_121);
    fill(&shop, &mut dice).await;
    let reader = reader(&shop);
    let priced = lists(&shop, &reader).await;
    brought_up(&shop).await;
    assert_same(&priced, &lists(&shop, &reader).await);

    // What has changed since is not read off it.
    for product in 1..=12 {
        row(&shop, &mut dice, product).await;
    }
    shop.sql("update commerce.price set amount = amount + 5 where product_id between 20 and 25").await;
    shop.sql("update commerce.product set vat_rate = 10 where id between 26 and 30").await;
    shop.sql("update commerce.product_unit set numerator = 6 where product_id between 31 and 40 and not is_main").await;
    shop.sql("update commerce.product set is_active = false where id = 3").await;
    shop.product("NEW", "Kamera", Some("15")).await;
    let changed = lists(&shop, &reader).await;
    ready(&shop, false).await;
    let priced = lists(&shop, &reader).await;
    ready(&shop, true).await;
    assert_same(&priced, &changed);
    brought_up(&shop).await;
    assert_same(&priced, &lists(&shop, &reader).await);

    // It was the shelf that told.
    shop.sql("delete from commerce.shelf").await;
    assert_eq!(shop.codes("?sort=price").await, [] as [&str; 0]);
}

#[tokio::test]
async fn notes_that_went_unseen_mean_a_shelf_filled_anew() {
    let shop = Shop::open().await;
    shop.product("A", "A", Some("9")).await;
    brought_up(&shop).await;
    let is_ready = || shop.number("select count(*) from commerce.shelf_state where ready");
    assert_eq!(is_ready().await, 1);
    shop.product("B", "B", Some("5")).await;
    shop.sql("update commerce.catalogue_change set at = at - interval '1 day'").await;
    kopru::commerce::catalogue::trim(shop.served.pool()).await.expect("trimmed");
    assert_eq!(is_ready().await, 0);
    assert_eq!(shop.codes("?sort=price").await, ["B", "A"]);
    brought_up(&shop).await;
    assert_eq!((is_ready().await, shop.codes("?sort=price").await), (1, vec!["B".to_owned(), "A".to_owned()]));
}

#[tokio::test]
async fn nothing_is_written_down_before_somebody_reads() {
    let shop = Shop::open().await;
    shop.product("A", "A", Some("9")).await;
    let (first, second) = (reader(&shop), reader(&shop));
    let until = CancellationToken::new();
    let keeping = tokio::spawn(first.clone().keep_shelf(until.clone()));
    let beside = tokio::spawn(second.keep_shelf(until.clone()));
    let rows = "select (select count(*) from commerce.shelf) + (select count(*) from commerce.written_product)
                    + (select count(*) from commerce.shelf_state where snapshot is not null)";
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(shop.number(rows).await, 0);

    let viewer =
        Viewer { dealer: first.dealer(None), day: today(), sees_stock: true, sees_costs: false, sees_all: false };
    let page = PageRequest::new(None, None).expect("a page");
    first.kept_list(&viewer, &Filter::default(), Sort::Name, &page, false).await.expect("asked");
    let begun = async {
        while shop.number("select count(*) from commerce.shelf_state where ready").await == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), begun).await.expect("it begins when somebody reads");
    assert!(shop.number(rows).await >= 3);
    until.cancel();
    keeping.await.expect("ended");
    beside.await.expect("ended");
}
