//! The prices of a page.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::Serialize;
use sqlx::{FromRow, PgExecutor};

/// What is asked for: `quantity` of a product in one of its units, `None` meaning the main one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    pub product_id: i64,
    pub unit: Option<String>,
    pub quantity: Decimal,
}

/// Who asks. A customer's id alone is one for whom a price of 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dealer {
    /// `None`: only what holds for everybody, dealer and list price.
    pub customer_id: Option<i64>,
    pub allow_zero_price: bool,
}

impl From<i64> for Dealer {
    fn from(customer_id: i64) -> Dealer {
        Dealer { customer_id: Some(customer_id), allow_zero_price: false }
    }
}

/// The rule that gave a price, as its row names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Rule {
    Special,
    PriceList,
    Tier,
    Dealer,
    List,
}

impl Rule {
    /// As rows and answers name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Rule::Special => "special",
            Rule::PriceList => "price_list",
            Rule::Tier => "tier",
            Rule::Dealer => "dealer",
            Rule::List => "list",
        }
    }
}

/// The price of one `unit`, without VAT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Priced {
    pub amount: Decimal,
    pub currency: String,
    /// As it was asked for.
    pub unit: Option<String>,
    /// Whether the row's own figure holds the VAT; `amount` never does.
    pub vat_included: bool,
    pub rule: Rule,
    pub price_id: i64,
}

/// The texts that every statement with a dealer's price is put together from, `with` first.
///
/// - `dealer`: `with dealer …, lists …`; parameters: $1 customer, $2 day, $3 whether 0 is a price.
/// - `candidates`: the rows that may be the dealer's price, narrowed by a condition on the price row `r`; `d` is the dealer.
/// - `unit`: `cross join lateral (…) f`, the factor of candidate `c`'s unit, for `chosen`, `counts` and `order`.
/// - `chosen`: what is known of the row that gives the price.
/// - `winner`: `left join lateral (…) w`, the row that gives the price of product `p` for what `a` asks. `p` has `id` and
///   `unit`; `a` has `quantity`, `asked_numerator`, `asked_denominator`.
/// - `counts`, `order`: whether candidate `c` of `p` counts for `a`, and which one goes first. Their parts have files of their
///   own: what depends on the day and on the dealer, and what does not.
/// - `net`: the net price of one asked unit, from `w`, `a` and `p.vat_rate`.
macro_rules! pricing_sql {
    (file $name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/commerce/pricing/sql/", $name, ".sql"))
    };
    (candidates $narrowed:literal) => {
        concat!(
            "(select ",
            pricing_sql!(file "columns"),
            ", 1 as level, 0 as nearness from commerce.price r
              where r.customer_id = $1 and r.role = 'special' and ",
            $narrowed,
            " union all select ",
            pricing_sql!(file "columns"),
            ", 2, l.priority from lists l
              join commerce.price r on r.price_list_id = l.price_list_id and r.customer_id is null
              where r.role = 'price_list' and ",
            $narrowed,
            " union all select ",
            pricing_sql!(file "columns"),
            ", ",
            pricing_sql!(file "levels_of_all"),
            " from commerce.price r where r.customer_id is null and r.price_list_id is null and ",
            pricing_sql!(file "rows_of_all"),
            " and ",
            $narrowed,
            ") c "
        )
    };
    (chosen) => {
        "c.id, c.amount, c.currency, c.vat_included, c.role, f.factor[1] as numerator, f.factor[2] as denominator"
    };
    (unit) => {
        pricing_sql!(file "unit")
    };
    (winner) => {
        concat!(
            " left join lateral (select ",
            pricing_sql!(chosen),
            " from ",
            pricing_sql!(candidates "r.product_id = p.id"),
            pricing_sql!(unit),
            " where ",
            pricing_sql!(counts),
            " order by ",
            pricing_sql!(order),
            " limit 1) w on true "
        )
    };
    (dealer) => {
        pricing_sql!(file "dealer")
    };
    (counts) => {
        concat!("(", pricing_sql!(file "holds"), " and ", pricing_sql!(file "reaches"), ")")
    };
    (order) => {
        concat!(pricing_sql!(file "order"), pricing_sql!(file "order_of_like"))
    };
    (net) => {
        pricing_sql!(file "net")
    };
}
pub(crate) use pricing_sql;

const PRICES: &str = concat!(
    pricing_sql!(dealer),
    ", asked as (
        select i.place, i.quantity, p.id, p.unit, p.vat_rate, coalesce(u.numerator, 1) as asked_numerator,
               coalesce(u.denominator, 1) as asked_denominator
        from unnest($4::bigint[], $5::text[], $6::numeric[]) with ordinality as i (product_id, unit, quantity, place)
        join commerce.product p on p.id = i.product_id
        left join lateral (
            select u.numerator, u.denominator
            from commerce.effective_product_unit u
            where i.unit is not null and i.unit is distinct from p.unit and u.product_id = p.id and u.unit = i.unit
        ) u on true
        where i.unit is null or i.unit = p.unit or u.numerator is not null
    )
    select a.place, ",
    pricing_sql!(net),
    " as amount, w.currency, w.vat_included, w.role as rule, w.id as price_id
    from asked a
    cross join dealer d
    cross join lateral (select a.id, a.unit, a.vat_rate) p ",
    pricing_sql!(winner),
    " where w.id is not null and ",
    pricing_sql!(net),
    " is not null"
);

#[derive(Debug, FromRow)]
struct Row {
    place: i64,
    amount: Decimal,
    currency: String,
    vat_included: bool,
    rule: Rule,
    price_id: i64,
}

/// The dealer's prices, in the order of what was asked; `None` where no price is valid, or the product or unit is not
/// there.
pub async fn prices_for<'e>(
    db: impl PgExecutor<'e>,
    dealer: impl Into<Dealer>,
    day: NaiveDate,
    asks: &[Ask],
) -> Result<Vec<Option<Priced>>, sqlx::Error> {
    let dealer = dealer.into();
    let mut priced = vec![None; asks.len()];
    if asks.is_empty() {
        return Ok(priced);
    }
    let rows: Vec<Row> = sqlx::query_as(PRICES)
        .bind(dealer.customer_id)
        .bind(day)
        .bind(dealer.allow_zero_price)
        .bind(asks.iter().map(|ask| ask.product_id).collect::<Vec<_>>())
        .bind(asks.iter().map(|ask| ask.unit.as_deref()).collect::<Vec<_>>())
        .bind(asks.iter().map(|ask| ask.quantity).collect::<Vec<_>>())
        .fetch_all(db)
        .await?;
    for row in rows {
        let place = row.place as usize - 1;
        priced[place] = Some(Priced {
            amount: row.amount,
            currency: row.currency,
            unit: asks[place].unit.clone(),
            vat_included: row.vat_included,
            rule: row.rule,
            price_id: row.price_id,
        });
    }
    Ok(priced)
}
