//! Why a price is what it is.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use sqlx::{FromRow, PgExecutor};

use super::query::{Ask, Dealer, Rule, pricing_sql};

/// What became of a row that might have given the price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Won,
    /// It does not count: the row itself, the day or the quantity rules it out.
    Inactive,
    NotYetValid,
    Expired,
    ZeroPrice,
    UnknownUnit,
    BelowMinQuantity,
    /// It counts, and another goes before it.
    LowerRule,
    LessNear,
    OtherCurrency,
    SmallerMinQuantity,
    LowerPriority,
    OlderValidFrom,
    OlderRow,
}

impl Verdict {
    /// For programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Verdict::Won => "won",
            Verdict::Inactive => "inactive",
            Verdict::NotYetValid => "not_yet_valid",
            Verdict::Expired => "expired",
            Verdict::ZeroPrice => "zero_price",
            Verdict::UnknownUnit => "unknown_unit",
            Verdict::BelowMinQuantity => "below_min_quantity",
            Verdict::LowerRule => "lower_rule",
            Verdict::LessNear => "less_near",
            Verdict::OtherCurrency => "other_currency",
            Verdict::SmallerMinQuantity => "smaller_min_quantity",
            Verdict::LowerPriority => "lower_priority",
            Verdict::OlderValidFrom => "older_valid_from",
            Verdict::OlderRow => "older_row",
        }
    }

    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            Verdict::Won => "this row gives the price",
            Verdict::Inactive => "the row is not active",
            Verdict::NotYetValid => "its first day is still to come",
            Verdict::Expired => "its last day is over",
            Verdict::ZeroPrice => "a price of 0 is none here",
            Verdict::UnknownUnit => "its unit is none of the product's",
            Verdict::BelowMinQuantity => "the quantity does not reach its minimum",
            Verdict::LowerRule => "a rule that goes before its own has a price",
            Verdict::LessNear => "another row of its rule is nearer to the customer",
            Verdict::OtherCurrency => "another row of its rule is in the customer's currency",
            Verdict::SmallerMinQuantity => "another row of its rule has a greater minimum quantity that is reached",
            Verdict::LowerPriority => "another row of its rule has a smaller priority number",
            Verdict::OlderValidFrom => "another row of its rule begins later",
            Verdict::OlderRow => "another row of its rule is newer",
        }
    }
}

/// A row that might have given the price, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub price_id: i64,
    pub code: String,
    pub rule: Rule,
    pub amount: Decimal,
    pub currency: String,
    pub unit: Option<String>,
    pub vat_included: bool,
    pub min_quantity: Decimal,
    pub priority: i32,
    pub valid_from: Option<NaiveDate>,
    pub valid_to: Option<NaiveDate>,
    pub customer_pattern: Option<String>,
    pub price_list: Option<String>,
    pub tier: Option<String>,
    pub verdict: Verdict,
}

/// The candidates, the winner first; the others in the order in which they would follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    pub candidates: Vec<Candidate>,
}

const EXPLAIN: &str = concat!(
    pricing_sql!(dealer),
    ", asked as (
        select i.quantity, p.id, p.unit, coalesce(u.numerator, 1) as asked_numerator,
               coalesce(u.denominator, 1) as asked_denominator
        from (select $4::bigint as product_id, $5::text as unit, $6::numeric as quantity) i
        join commerce.product p on p.id = i.product_id
        left join commerce.effective_product_unit u on u.product_id = p.id and u.unit = i.unit
    )
    select c.id, c.code, c.role, c.amount, c.currency, c.unit, c.vat_included, c.min_quantity, c.priority,
           c.valid_from, c.valid_to, c.customer_pattern, pl.code as price_list, c.tier, c.is_active, c.level, c.nearness,
           c.currency is not distinct from d.currency as own_currency,
           f.factor is not null as unit_known,
           c.min_quantity * coalesce(f.factor[1] / f.factor[2], 1) as min_in_main_unit, ",
    pricing_sql!(counts),
    " as counts
    from asked a
    cross join dealer d
    cross join lateral (select a.id, a.unit) p
    cross join lateral ",
    pricing_sql!(candidates "r.product_id = p.id"),
    pricing_sql!(unit),
    " left join commerce.price_list pl on pl.id = c.price_list_id
    order by counts desc, ",
    pricing_sql!(order),
);

#[derive(Debug, FromRow)]
struct Row {
    id: i64,
    code: String,
    role: Rule,
    amount: Decimal,
    currency: String,
    unit: Option<String>,
    vat_included: bool,
    min_quantity: Decimal,
    priority: i32,
    valid_from: Option<NaiveDate>,
    valid_to: Option<NaiveDate>,
    customer_pattern: Option<String>,
    price_list: Option<String>,
    tier: Option<String>,
    is_active: bool,
    level: i32,
    nearness: i32,
    own_currency: bool,
    unit_known: bool,
    min_in_main_unit: Decimal,
    counts: bool,
}

/// Every row that might have given the dealer this price, and what became of it. Rows of other customers, other tiers and
/// lists that are not this customer's are not among them.
pub async fn explain<'e>(
    db: impl PgExecutor<'e>,
    dealer: impl Into<Dealer>,
    day: NaiveDate,
    ask: &Ask,
) -> Result<Explanation, sqlx::Error> {
    let dealer = dealer.into();
    let rows: Vec<Row> = sqlx::query_as(EXPLAIN)
        .bind(dealer.customer_id)
        .bind(day)
        .bind(dealer.allow_zero_price)
        .bind(ask.product_id)
        .bind(ask.unit.as_deref())
        .bind(ask.quantity)
        .fetch_all(db)
        .await?;
    let verdicts: Vec<Verdict> =
        rows.iter().map(|row| verdict(row, rows.first(), day, dealer.allow_zero_price)).collect();
    let candidates = rows.into_iter().zip(verdicts).map(|(row, verdict)| candidate(row, verdict)).collect();
    Ok(Explanation { candidates })
}

fn verdict(row: &Row, first: Option<&Row>, day: NaiveDate, allow_zero: bool) -> Verdict {
    if !row.counts {
        return ruled_out(row, day, allow_zero);
    }
    match first {
        Some(winner) if winner.id != row.id => lost_to(row, winner),
        _ => Verdict::Won,
    }
}

fn ruled_out(row: &Row, day: NaiveDate, allow_zero: bool) -> Verdict {
    if !row.is_active {
        Verdict::Inactive
    } else if row.valid_from.is_some_and(|from| from > day) {
        Verdict::NotYetValid
    } else if row.valid_to.is_some_and(|to| to < day) {
        Verdict::Expired
    } else if row.amount.is_zero() && !allow_zero {
        Verdict::ZeroPrice
    } else if !row.unit_known {
        Verdict::UnknownUnit
    } else {
        Verdict::BelowMinQuantity
    }
}

fn lost_to(row: &Row, winner: &Row) -> Verdict {
    if row.level != winner.level {
        Verdict::LowerRule
    } else if row.nearness != winner.nearness {
        Verdict::LessNear
    } else if row.own_currency != winner.own_currency {
        Verdict::OtherCurrency
    } else if row.min_in_main_unit != winner.min_in_main_unit {
        Verdict::SmallerMinQuantity
    } else if row.priority != winner.priority {
        Verdict::LowerPriority
    } else if row.valid_from != winner.valid_from {
        Verdict::OlderValidFrom
    } else {
        Verdict::OlderRow
    }
}

fn candidate(row: Row, verdict: Verdict) -> Candidate {
    Candidate {
        price_id: row.id,
        code: row.code,
        rule: row.role,
        amount: row.amount,
        currency: row.currency,
        unit: row.unit,
        vat_included: row.vat_included,
        min_quantity: row.min_quantity,
        priority: row.priority,
        valid_from: row.valid_from,
        valid_to: row.valid_to,
        customer_pattern: row.customer_pattern,
        price_list: row.price_list,
        tier: row.tier,
        verdict,
    }
}
