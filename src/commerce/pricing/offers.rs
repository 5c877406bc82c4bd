//! The rows of a product that may give somebody its price, told so that they can be kept: what does not depend on who asks is
//! reckoned by the store, with the texts that every other statement uses (factor of the unit, whether one unit reaches the
//! minimum, the net price, the order among like rows). What is left for [`price`] is who asks, on which day.
//!
//! For showing, of one main unit. Carts and orders ask the store ([`super::prices_for`]); a property test holds the two equal.

use std::collections::HashMap;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use sqlx::{FromRow, PgConnection};

use super::{
    query::{Dealer, Rule, pricing_sql},
    quote::Quote,
};

/// A product with more rows is not kept.
const MOST_ROWS: usize = 500;

/// Whose price it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whose {
    Everybody,
    Tier(char),
    Customer(i64),
    Codes(Box<Pattern>),
    List(i64),
}

/// A pattern of customer codes. It is rare, and so lies apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(pub Box<str>);

/// A row that may give the price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub(super) whose: Whose,
    pub(super) quote: Quote,
    pub(super) is_zero: bool,
    pub(super) level: u8,
    pub(super) nearness: i16,
    /// Among the product's rows, by what does not depend on who asks.
    pub(super) place: u16,
    pub(super) valid_from: Option<NaiveDate>,
    pub(super) valid_to: Option<NaiveDate>,
}

impl Offer {
    /// `None`: larger than any price.
    pub fn quote(&self) -> Option<Quote> {
        Some(self.quote).filter(Quote::is_some)
    }
}

/// What a dealer's prices depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    pub(super) customer_id: Option<i64>,
    /// Whether there is such a customer.
    pub known: bool,
    pub(super) code: Option<String>,
    pub(super) tier: Option<String>,
    pub currency: Option<String>,
    /// With their priority.
    pub(super) lists: Vec<(i64, i32)>,
}

/// The row that gives the price of one main unit to this dealer on this day.
pub fn price<'a>(offers: &'a [Offer], terms: &Terms, day: NaiveDate, allow_zero: bool) -> Option<&'a Offer> {
    let holds = |offer: &&Offer| {
        offer.valid_from.is_none_or(|from| from <= day)
            && offer.valid_to.is_none_or(|to| to >= day)
            && (allow_zero || !offer.is_zero)
    };
    let place = |offer: &'a Offer| {
        let nearness = terms.nearness(offer)?;
        let other_currency = terms.currency.as_deref() != Some(offer.quote.currency());
        Some(((offer.level, nearness, other_currency, offer.place), offer))
    };
    offers.iter().filter(holds).filter_map(place).min_by_key(|(place, _)| *place).map(|(_, offer)| offer)
}

impl Terms {
    /// Of who has only the prices that hold for everybody.
    pub const fn of_nobody() -> Terms {
        Terms { customer_id: None, known: false, code: None, tier: None, currency: None, lists: Vec::new() }
    }

    /// Of this dealer, as `sql/terms.sql` tells them.
    pub fn of(dealer: Dealer, read: Vec<Option<String>>) -> Option<Terms> {
        let mut parts = read.into_iter();
        let [known, code, tier, currency] = [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
        let lists = parts.map(|list| {
            let list = list?;
            let (id, priority) = list.split_once(' ')?;
            Some((id.parse().ok()?, priority.parse().ok()?))
        });
        let lists = lists.collect::<Option<Vec<(i64, i32)>>>()?;
        Some(Terms { customer_id: dealer.customer_id, known: known.is_some(), code, tier, currency, lists })
    }

    /// `None`: it is not theirs.
    fn nearness(&self, offer: &Offer) -> Option<i32> {
        let theirs = match &offer.whose {
            Whose::Everybody => true,
            Whose::Tier(tier) => self.tier.as_deref().is_some_and(|theirs| theirs.chars().eq([*tier])),
            Whose::Customer(id) => self.customer_id == Some(*id),
            Whose::Codes(pattern) => self.code.as_deref().is_some_and(|code| matches(&pattern.0, code)),
            Whose::List(id) => return self.lists.iter().find(|(list, _)| list == id).map(|(_, priority)| *priority),
        };
        theirs.then_some(i32::from(offer.nearness))
    }
}

/// `*` stands for anything, everything else for itself.
pub(super) fn matches(pattern: &str, code: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = code.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.split_once(part) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    rest.ends_with(last)
}

const OFFERS: &str = concat!(
    "select c.product_id, c.role as rule, c.customer_id, c.price_list_id, c.tier, c.customer_pattern, c.currency, c.valid_from,
        c.valid_to, c.amount = 0 as is_zero, c.is_active as is_active, c.level, c.nearness, ",
    pricing_sql!(file "reaches"),
    " as reaches, ",
    pricing_sql!(net),
    " as net, row_number() over (partition by c.product_id order by ",
    pricing_sql!(file "order_of_like"),
    ") as place
    from commerce.product p
    cross join (select 1::numeric as quantity, 1::numeric as asked_numerator, 1::numeric as asked_denominator) a
    cross join lateral (
        select ",
    pricing_sql!(file "columns"),
    ", r.customer_id, case r.role when 'special' then 1 else 2 end as level, 0 as nearness
        from commerce.price r
        where r.product_id = p.id and (r.customer_id is not null or r.price_list_id is not null)
          and r.role in ('special', 'price_list')
        union all
        select ",
    pricing_sql!(file "columns"),
    ", r.customer_id, ",
    pricing_sql!(file "levels_of_all"),
    "   from commerce.price r
        where r.product_id = p.id and r.customer_id is null and r.price_list_id is null
          and r.role in ('special', 'tier', 'dealer', 'list')
        limit $2
    ) c ",
    pricing_sql!(unit),
    " cross join lateral (select ",
    pricing_sql!(chosen),
    ") w where p.id = any ($1)",
);

#[derive(Debug, FromRow)]
struct Row {
    product_id: i64,
    rule: Rule,
    customer_id: Option<i64>,
    price_list_id: Option<i64>,
    tier: Option<String>,
    customer_pattern: Option<String>,
    currency: String,
    valid_from: Option<NaiveDate>,
    valid_to: Option<NaiveDate>,
    is_zero: bool,
    is_active: bool,
    reaches: bool,
    level: i32,
    nearness: i32,
    net: Option<Decimal>,
    place: i64,
}

/// The offers of these products; `None` for one that has too many rows. A product without any is not among them.
pub async fn offers_of(
    db: &mut PgConnection,
    products: &[i64],
) -> Result<HashMap<i64, Option<Vec<Offer>>>, sqlx::Error> {
    let limit = i64::try_from(MOST_ROWS).unwrap_or(i64::MAX) + 1;
    let rows: Vec<Row> = sqlx::query_as(OFFERS).bind(products).bind(limit).fetch_all(db).await?;
    let mut counts: HashMap<i64, usize> = HashMap::with_capacity(products.len());
    let mut offers: HashMap<i64, Option<Vec<Offer>>> = HashMap::with_capacity(products.len());
    for row in rows {
        let count = counts.entry(row.product_id).or_default();
        *count += 1;
        let of_product = offers.entry(row.product_id).or_insert_with(|| Some(Vec::new()));
        if *count > MOST_ROWS {
            *of_product = None;
        } else if row.is_active
            && row.reaches
            && let Some(of_product) = of_product
        {
            of_product.push(offer(row));
        }
    }
    Ok(offers)
}

fn offer(row: Row) -> Offer {
    let whose = match (row.customer_id, row.price_list_id, row.customer_pattern, row.tier) {
        (Some(id), ..) => Whose::Customer(id),
        (_, Some(id), ..) => Whose::List(id),
        (_, _, Some(pattern), _) => Whose::Codes(Box::new(Pattern(pattern.into()))),
        // One letter: the store sees to it.
        (.., Some(tier)) => Whose::Tier(tier.chars().next().unwrap_or_default()),
        _ => Whose::Everybody,
    };
    Offer {
        whose,
        quote: Quote::new(row.net, &row.currency, row.rule),
        is_zero: row.is_zero,
        level: u8::try_from(row.level).unwrap_or(u8::MAX),
        nearness: i16::try_from(row.nearness).unwrap_or(i16::MAX),
        // There are not more than MOST_ROWS.
        place: u16::try_from(row.place).unwrap_or(u16::MAX),
        valid_from: row.valid_from,
        valid_to: row.valid_to,
    }
}

/// What this dealer's prices depend on.
pub async fn terms_of(db: &mut PgConnection, dealer: Dealer) -> Result<Terms, sqlx::Error> {
    if dealer.customer_id.is_none() {
        return Ok(Terms::of_nobody());
    }
    let statement = concat!("select ", pricing_sql!(file "terms"));
    let read = sqlx::query_scalar(statement).bind(dealer.customer_id).fetch_one(db).await?;
    Terms::of(dealer, read).ok_or_else(|| sqlx::Error::Decode("terms of a dealer that cannot be read".into()))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, code) in [
            ("120.*", "120.34"),
            ("*", ""),
            ("120", "120"),
            ("*.34.*", "120.34.1"),
            ("1*0", "120"),
            ("a*b*c", "abbc"),
            ("**", "x"),
        ] {
            assert!(matches(pattern, code), "{pattern} {code}");
        }
        for (pattern, code) in [
            ("120", "1200"),
            ("120.*", "12"),
            ("1*1", "1"),
            ("*.35.*", "120.34.1"),
            ("%", "1"),
            ("", "1"),
            ("a*bc", "abcd"),
        ] {
            assert!(!matches(pattern, code), "{pattern} {code}");
        }
    }
}
