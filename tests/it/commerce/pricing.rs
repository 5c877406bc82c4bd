//! What a product costs a dealer: which row wins, and in whose figures.

use chrono::NaiveDate;
use kopru::commerce::{
    CodeListUpsert, Patch, UnitLine,
    customers::{self, CustomerUpsert},
    price_lists::{self, AssignError, AssignedList},
    prices::{self, PriceUpsert},
    pricing::{Ask, Dealer, Priced, Rule, Verdict, explain, prices_for},
    products::{ProductUpsert, upsert_products},
};
use rust_decimal::Decimal;
use serde_json::json;

use super::{Shop, change};

const TODAY: &str = "2026-11-21";

fn day(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}

fn number(text: &str) -> Decimal {
    text.parse().expect("a number")
}

/// One product, sold to `120.34.001` (tier B) and `120.35.001`, two price lists.
struct Market {
    shop: Shop,
    product: i64,
    dealer: i64,
    other: i64,
    lists: [i64; 2],
    /// The ids of the price rows, in the order in which they were made.
    rows: Vec<i64>,
}

impl Market {
    async fn open() -> Market {
        let mut shop = Shop::open().await;
        let product = shop.stocked_with(&["KBL"]).await[0];
        let units = vec![
            UnitLine { unit: "MT", ..UnitLine::default() },
            UnitLine { unit: "MAKARA", numerator: Some(Decimal::from(305)), ..UnitLine::default() },
        ];
        let card = ProductUpsert {
            unit: Patch::Set("MT"),
            units: Patch::Set(units),
            vat_rate: Patch::Set(Decimal::from(20)),
            ..change(product, "KBL")
        };
        shop.products(&[card]).await;
        let dealer = customer(&mut shop, "120.34.001", Some("B")).await;
        let other = customer(&mut shop, "120.35.001", None).await;
        let lists = [price_list(&mut shop, "YAZ").await, price_list(&mut shop, "KIS").await];
        Market { shop, product, dealer, other, lists, rows: Vec::new() }
    }

    /// Prices as the table tells them; what is not told is a valid row of the product in TRY.
    async fn prices(&mut self, rows: &[PriceUpsert<'_>]) {
        let cx = self.shop.tick();
        let mut conn = self.shop.conn().await;
        let ids = prices::allocate_ids(&mut conn, rows.len()).await.expect("ids");
        let codes: Vec<String> = ids.iter().map(|id| format!("P{id}")).collect();
        let rows: Vec<PriceUpsert<'_>> = rows
            .iter()
            .zip(ids.iter().zip(&codes))
            .map(|(row, (id, code))| PriceUpsert {
                id: *id,
                is_new: true,
                code,
                product: Patch::Set(self.product),
                currency: if row.currency.is_keep() { Patch::Set("TRY") } else { row.currency },
                ..*row
            })
            .collect();
        for outcome in prices::upsert_prices(&mut conn, &cx, &rows).await.expect("applied") {
            assert_eq!(outcome, kopru::commerce::Outcome::Created);
        }
        self.rows.extend(ids);
    }

    async fn assign(&self, lists: &[(usize, i32)]) -> Result<bool, AssignError> {
        let lists: Vec<AssignedList> = lists
            .iter()
            .map(|(list, priority)| AssignedList { price_list_id: self.lists[*list], priority: *priority })
            .collect();
        let by = super::context(1).by;
        price_lists::assign(&mut self.shop.conn().await, &by, self.dealer, &lists).await
    }

    fn ask(&self, quantity: &str, unit: Option<&str>) -> Ask {
        Ask { product_id: self.product, unit: unit.map(str::to_owned), quantity: number(quantity) }
    }

    async fn price(&self, quantity: &str, unit: Option<&str>) -> Option<Priced> {
        self.price_to(self.dealer, quantity, unit).await
    }

    async fn price_to(&self, dealer: impl Into<Dealer>, quantity: &str, unit: Option<&str>) -> Option<Priced> {
        let asks = [self.ask(quantity, unit)];
        prices_for(&self.shop.database.pool, dealer, day(TODAY), &asks).await.expect("priced").remove(0)
    }

    /// Which of the rows gave the price of one main unit, and what it is.
    async fn won(&self) -> Option<(usize, String)> {
        let priced = self.price("1", None).await?;
        let row = self.rows.iter().position(|id| *id == priced.price_id).expect("one of ours");
        Some((row, priced.amount.normalize().to_string()))
    }

    async fn verdicts(&self, quantity: &str) -> Vec<(usize, Verdict)> {
        let ask = self.ask(quantity, None);
        let explained = explain(&self.shop.database.pool, self.dealer, day(TODAY), &ask);
        let place = |id: i64| self.rows.iter().position(|row| *row == id).expect("one of ours");
        let candidates = explained.await.expect("explained").candidates;
        candidates.iter().map(|candidate| (place(candidate.price_id), candidate.verdict)).collect()
    }
}

async fn customer(shop: &mut Shop, code: &str, tier: Option<&str>) -> i64 {
    let cx = shop.tick();
    let mut conn = shop.conn().await;
    let id = customers::allocate_ids(&mut conn, 1).await.expect("an id")[0];
    let row = CustomerUpsert {
        id,
        is_new: true,
        code,
        title: Patch::Set("Bayi"),
        price_tier: tier.map_or(Patch::Keep, Patch::Set),
        ..CustomerUpsert::default()
    };
    customers::upsert_customers(&mut conn, &cx, &[row]).await.expect("created");
    id
}

async fn price_list(shop: &mut Shop, code: &str) -> i64 {
    let cx = shop.tick();
    let mut conn = shop.conn().await;
    let id = price_lists::allocate_ids(&mut conn, 1).await.expect("an id")[0];
    let row = CodeListUpsert { id, is_new: true, code, name: Patch::Set(code), is_active: Patch::Keep };
    price_lists::upsert_price_lists(&mut conn, &cx, &[row]).await.expect("created");
    id
}

fn row(role: &'static str, amount: &str) -> PriceUpsert<'static> {
    PriceUpsert { role: Patch::Set(role), amount: Patch::Set(number(amount)), ..PriceUpsert::default() }
}

#[tokio::test]
async fn the_first_rule_with_a_row_gives_the_price() {
    let mut market = Market::open().await;
    assert_eq!(market.won().await, None, "without a row there is no price");
    market.prices(&[row("cost", "1"), row("none", "2")]).await;
    assert_eq!(market.won().await, None, "cost and rows without a role are no prices");
    let [list, other_list] = market.lists;
    let steps = [
        row("list", "100"),
        row("dealer", "90"),
        PriceUpsert { tier: Patch::Set("A"), ..row("tier", "10") },
        PriceUpsert { tier: Patch::Set("B"), ..row("tier", "80") },
        PriceUpsert { price_list: Patch::Set(other_list), ..row("price_list", "10") },
        PriceUpsert { price_list: Patch::Set(list), ..row("price_list", "70") },
        PriceUpsert { customer: Patch::Set(market.other), ..row("special", "10") },
        PriceUpsert { customer_pattern: Patch::Set("120.35.*"), ..row("special", "10") },
        PriceUpsert { customer_pattern: Patch::Set("120.34.*"), ..row("special", "60") },
        PriceUpsert { customer: Patch::Set(market.dealer), ..row("special", "50") },
    ];
    assert!(market.assign(&[(0, 0)]).await.expect("assigned"));
    let mut seen = Vec::new();
    for step in steps {
        market.prices(&[step]).await;
        let (_, amount) = market.won().await.expect("a price");
        seen.push(amount);
    }
    assert_eq!(seen, ["100", "90", "90", "80", "80", "70", "70", "70", "60", "50"]);
    let other = market.price_to(market.other, "1", None).await.expect("a price");
    assert_eq!((other.amount, other.rule), (number("10"), Rule::Special));
    let nobody = Dealer { customer_id: None, allow_zero_price: false };
    let anybody = market.price_to(nobody, "1", None).await.expect("a price");
    assert_eq!((anybody.amount, anybody.rule), (number("90"), Rule::Dealer));

    let verdicts = market.verdicts("1").await;
    assert_eq!(verdicts[0], (11, Verdict::Won));
    assert_eq!(verdicts[1], (10, Verdict::LessNear));
    assert_eq!(verdicts[2..].iter().map(|(place, _)| *place).collect::<Vec<_>>(), [7, 5, 3, 2], "nobody else's rows");
    assert!(verdicts[2..].iter().all(|(_, verdict)| *verdict == Verdict::LowerRule));
}

#[tokio::test]
async fn ties_are_settled_in_the_order_that_is_written_down() {
    let from = |text| Patch::Set(day(text));
    let dealer = |amount| row("dealer", amount);
    // (rows, the winner, the price, why the first loser lost, quantity)
    let table: Vec<(Vec<PriceUpsert<'_>>, usize, Verdict, &str)> = vec![
        (
            vec![PriceUpsert { currency: Patch::Set("USD"), priority: Patch::Set(-9), ..dealer("1") }, dealer("2")],
            1,
            Verdict::OtherCurrency,
            "1",
        ),
        (
            vec![
                PriceUpsert { min_quantity: Patch::Set(number("5")), priority: Patch::Set(9), ..dealer("1") },
                dealer("2"),
            ],
            0,
            Verdict::SmallerMinQuantity,
            "5",
        ),
        (
            vec![PriceUpsert { min_quantity: Patch::Set(number("5")), ..dealer("1") }, dealer("2")],
            1,
            Verdict::BelowMinQuantity,
            "4.9999",
        ),
        (
            vec![dealer("1"), PriceUpsert { priority: Patch::Set(1), valid_from: from("2026-11-01"), ..dealer("2") }],
            0,
            Verdict::LowerPriority,
            "1",
        ),
        (
            vec![
                PriceUpsert { valid_from: from("2026-11-20"), ..dealer("1") },
                PriceUpsert { valid_from: from("2026-01-01"), ..dealer("2") },
            ],
            0,
            Verdict::OlderValidFrom,
            "1",
        ),
        (
            vec![PriceUpsert { valid_from: from("2026-01-01"), ..dealer("1") }, dealer("2")],
            0,
            Verdict::OlderValidFrom,
            "1",
        ),
        (vec![dealer("1"), dealer("2")], 1, Verdict::OlderRow, "1"),
    ];
    for (rows, winner, verdict, quantity) in table {
        let mut market = Market::open().await;
        market.prices(&rows).await;
        let loser = 1 - winner;
        assert_eq!(market.verdicts(quantity).await, [(winner, Verdict::Won), (loser, verdict)], "{rows:?}");
        let priced = market.price(quantity, None).await.expect("a price");
        assert_eq!(priced.price_id, market.rows[winner], "{rows:?}");
    }
}

#[tokio::test]
async fn a_row_counts_on_its_days_when_active_and_above_zero() {
    let table = [
        (PriceUpsert { is_active: Patch::Set(false), ..row("dealer", "9") }, Verdict::Inactive),
        (PriceUpsert { valid_from: Patch::Set(day("2026-11-22")), ..row("dealer", "9") }, Verdict::NotYetValid),
        (PriceUpsert { valid_to: Patch::Set(day("2026-11-20")), ..row("dealer", "9") }, Verdict::Expired),
        (row("dealer", "0"), Verdict::ZeroPrice),
        (PriceUpsert { unit: Patch::Set("KOLI"), ..row("dealer", "9") }, Verdict::UnknownUnit),
    ];
    for (ruled_out, verdict) in table {
        let mut market = Market::open().await;
        market.prices(&[row("list", "100"), ruled_out]).await;
        assert_eq!(market.verdicts("1").await, [(0, Verdict::Won), (1, verdict)]);
        assert_eq!(market.won().await, Some((0, "100".to_owned())), "{verdict:?}");
    }
    let mut market = Market::open().await;
    let today = Patch::Set(day(TODAY));
    market.prices(&[PriceUpsert { valid_from: today, valid_to: today, ..row("dealer", "9") }, row("list", "0")]).await;
    assert_eq!(market.won().await, Some((0, "9".to_owned())), "both days are included");
    let free = Dealer { customer_id: Some(market.other), allow_zero_price: true };
    let mut gifts = Market::open().await;
    gifts.prices(&[row("list", "0")]).await;
    assert_eq!(gifts.won().await, None);
    let free = gifts.price_to(Dealer { customer_id: Some(gifts.dealer), ..free }, "1", None).await;
    assert_eq!(free.map(|priced| priced.amount), Some(Decimal::ZERO), "0 is a price when the site says so");
}

#[tokio::test]
async fn units_and_vat_are_taken_out_exactly() {
    let mut market = Market::open().await;
    market
        .prices(&[PriceUpsert { unit: Patch::Set("MAKARA"), vat_included: Patch::Set(true), ..row("dealer", "4944") }])
        .await;
    let reel = market.price("1", Some("MAKARA")).await.expect("a price");
    assert_eq!((reel.amount, reel.unit.as_deref(), reel.vat_included), (number("4120"), Some("MAKARA"), true));
    let metre = market.price("10", Some("MT")).await.expect("a price");
    assert_eq!(metre.amount, number("13.508197"), "4120 / 305, half away from zero");
    assert_eq!(market.price("10", None).await.map(|priced| priced.amount), Some(number("13.508197")));
    assert_eq!(market.price("1", Some("KOLI")).await, None, "a unit that the product does not have");

    // A minimum is told in the row's unit: 2 reels are 610 metres.
    let cheap =
        PriceUpsert { unit: Patch::Set("MAKARA"), min_quantity: Patch::Set(number("2")), ..row("dealer", "3050") };
    market.prices(&[cheap]).await;
    for (quantity, unit, amount) in [
        ("609.9999", None, "13.508197"),
        ("610", None, "10"),
        ("2", Some("MAKARA"), "3050"),
        ("1.9999", Some("MAKARA"), "4120"),
    ] {
        let priced = market.price(quantity, unit).await.expect("a price");
        assert_eq!(priced.amount, number(amount), "{quantity} {unit:?}");
    }
}

#[tokio::test]
async fn figures_beyond_every_column_are_no_price_and_no_error() {
    let mut market = Market::open().await;
    let huge = Patch::Set(number("9999999999.99999999"));
    let units = vec![
        UnitLine { unit: "MT", ..UnitLine::default() },
        UnitLine { unit: "DAG", numerator: huge.value(), ..UnitLine::default() },
    ];
    let product = market.product;
    let cx = market.shop.tick();
    let card = ProductUpsert { units: Patch::Set(units), ..change(product, "KBL") };
    upsert_products(&mut market.shop.conn().await, &cx, &[card]).await.expect("applied");
    market.prices(&[row("dealer", "9999999999999.999999")]).await;
    assert_eq!(market.price("1", Some("DAG")).await, None);
    assert!(market.price("99999999999999.9999", None).await.is_some());
}

#[tokio::test]
async fn a_page_is_answered_in_the_order_of_what_was_asked() {
    let mut market = Market::open().await;
    market.prices(&[row("dealer", "9")]).await;
    let asks = [
        Ask { product_id: -1, unit: None, quantity: Decimal::ONE },
        market.ask("1", None),
        market.ask("1", Some("KOLI")),
        market.ask("2", Some("MAKARA")),
        market.ask("1", None),
    ];
    let priced = prices_for(&market.shop.database.pool, market.dealer, day(TODAY), &asks).await.expect("priced");
    let amounts: Vec<Option<String>> =
        priced.iter().map(|priced| priced.as_ref().map(|priced| priced.amount.normalize().to_string())).collect();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(amounts, [None, some("9"), None, some("2745"), some("9")]);
    assert!(prices_for(&market.shop.database.pool, 1, day(TODAY), &[]).await.expect("priced").is_empty());
}

#[tokio::test]
async fn patterns_are_read_byte_by_byte_and_the_longer_one_is_nearer() {
    for (pattern, fits) in [
        ("120.34.*", true),
        ("*", true),
        ("*.001", true),
        ("120.34.00_", false),
        ("120.34.00%", false),
        ("120\\34.*", false),
        ("120.34", false),
        ("120.34.001", true),
    ] {
        let mut market = Market::open().await;
        market.prices(&[PriceUpsert { customer_pattern: Patch::Set(pattern), ..row("special", "7") }]).await;
        assert_eq!(market.won().await.is_some(), fits, "{pattern}");
    }
    let mut market = Market::open().await;
    market
        .prices(&[
            PriceUpsert { customer_pattern: Patch::Set("120.34.*"), ..row("special", "7") },
            PriceUpsert { customer_pattern: Patch::Set("120.*"), priority: Patch::Set(-5), ..row("special", "8") },
        ])
        .await;
    assert_eq!(market.won().await, Some((0, "7".to_owned())));
}

#[tokio::test]
async fn a_customer_has_the_lists_that_somebody_gave() {
    let mut market = Market::open().await;
    let [summer, winter] = market.lists;
    market
        .prices(&[
            PriceUpsert { price_list: Patch::Set(summer), ..row("price_list", "70") },
            PriceUpsert { price_list: Patch::Set(winter), ..row("price_list", "60") },
            row("list", "100"),
        ])
        .await;
    assert_eq!(market.won().await, Some((2, "100".to_owned())));
    assert!(market.assign(&[(0, 1), (1, 2)]).await.expect("assigned"));
    assert_eq!(market.won().await, Some((0, "70".to_owned())));
    assert!(market.assign(&[(0, 2), (1, 1)]).await.expect("assigned"));
    assert_eq!(market.won().await, Some((1, "60".to_owned())));
    assert!(!market.assign(&[(1, 1), (0, 2)]).await.expect("assigned"), "the same again is nothing");
    sqlx::query("update commerce.price_list set is_active = false where id = $1")
        .bind(winter)
        .execute(&market.shop.database.pool)
        .await
        .expect("updated");
    assert_eq!(market.won().await, Some((0, "70".to_owned())), "a list out of use has no prices");
    assert!(market.assign(&[]).await.expect("assigned"));
    assert_eq!(market.won().await, Some((2, "100".to_owned())));

    let audit: Vec<serde_json::Value> = sqlx::query_scalar(
        "select detail from identity.audit_event where action = 'customer.price_lists_set' order by id",
    )
    .fetch_all(&market.shop.database.pool)
    .await
    .expect("audit");
    assert_eq!(audit.len(), 3);
    assert_eq!(audit[2]["after"], json!([]));
    assert_eq!(audit[2]["before"][0], json!({ "priceListId": winter, "priority": 1 }));

    assert!(matches!(market.assign(&[(0, 1), (0, 2)]).await, Err(AssignError::Twice(_))));
    let by = super::context(1).by;
    let mut conn = market.shop.conn().await;
    let unknown = [AssignedList { price_list_id: 999, priority: 0 }];
    let refused = price_lists::assign(&mut conn, &by, market.dealer, &unknown).await;
    assert!(matches!(refused, Err(AssignError::UnknownPriceList(999))));
    let refused = price_lists::assign(&mut conn, &by, 999, &[]).await;
    assert!(matches!(refused, Err(AssignError::UnknownCustomer(999))));
}
