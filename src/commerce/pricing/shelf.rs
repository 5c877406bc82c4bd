//! The price that each audience has of a product by its own rows, for every day: what lists by price are read from.
//!
//! An audience is who a price row is for: everybody, a tier, a price list, a customer, a pattern of customer codes. A dealer's
//! price is that of the nearest audience that has one, since the rules go audience by audience ([`super`]). Within an
//! audience the day and the dealer's currency decide, so there is a row for each span of days and, where rows are in several
//! currencies, for each of them.

use chrono::{Days, NaiveDate};
use rust_decimal::Decimal;

use super::offers::{Offer, Terms, Whose, matches};

/// Everybody. Every product has rows of this audience for all days, some without a price.
pub const EVERYBODY: &str = "-";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShelfRow {
    pub audience: String,
    /// `None`: from the beginning of time.
    pub since: Option<NaiveDate>,
    /// The first day of which it is not true any more; `None`: it always is.
    pub until: Option<NaiveDate>,
    /// For dealers in this currency; empty: for all but those in `but`.
    pub prefers: String,
    pub but: Vec<String>,
    pub net: Option<Decimal>,
}

/// The rows of a product with these offers.
pub fn shelf_rows(offers: &[Offer]) -> Vec<ShelfRow> {
    let mut audiences: Vec<(String, Vec<&Offer>)> = vec![(EVERYBODY.to_owned(), Vec::new())];
    for offer in offers.iter().filter(|offer| !offer.is_zero) {
        let name = audience(&offer.whose);
        match audiences.iter_mut().find(|(known, _)| *known == name) {
            Some((_, of_it)) => of_it.push(offer),
            None => audiences.push((name, vec![offer])),
        }
    }
    let mut rows = Vec::with_capacity(audiences.len());
    for (name, of_it) in &audiences {
        for (since, until) in spans(of_it) {
            let valid: Vec<&&Offer> = of_it.iter().filter(|offer| holds(offer, since)).collect();
            let mut currencies: Vec<&str> = valid.iter().map(|offer| offer.quote.currency()).collect();
            currencies.sort_unstable();
            currencies.dedup();
            if currencies.len() < 2 {
                currencies.clear();
            }
            let but: Vec<String> = currencies.iter().map(|currency| (*currency).to_owned()).collect();
            for prefers in currencies.into_iter().chain([""]) {
                let winner =
                    valid.iter().min_by_key(|offer| (offer.level, offer.quote.currency() != prefers, offer.place));
                if winner.is_none() && name != EVERYBODY {
                    continue;
                }
                rows.push(ShelfRow {
                    audience: name.clone(),
                    since,
                    until,
                    prefers: prefers.to_owned(),
                    but: if prefers.is_empty() { but.clone() } else { Vec::new() },
                    net: winner.and_then(|offer| offer.quote()).map(|quote| quote.amount()),
                });
            }
        }
    }
    rows
}

/// Spans of days in which the same rows hold.
fn spans(offers: &[&Offer]) -> Vec<(Option<NaiveDate>, Option<NaiveDate>)> {
    let mut turns: Vec<NaiveDate> = offers
        .iter()
        .flat_map(|offer| [offer.valid_from, offer.valid_to.and_then(|to| to.checked_add_days(Days::new(1)))])
        .flatten()
        .collect();
    turns.sort_unstable();
    turns.dedup();
    let starts = std::iter::once(None).chain(turns.iter().copied().map(Some));
    let ends = turns.iter().copied().map(Some).chain([None]);
    starts.zip(ends).collect()
}

/// Whether it holds on the first day of a span, and so on all of it.
fn holds(offer: &Offer, since: Option<NaiveDate>) -> bool {
    let day = since.unwrap_or(NaiveDate::MIN);
    offer.valid_from.is_none_or(|from| from <= day) && offer.valid_to.is_none_or(|to| to >= day)
}

fn audience(whose: &Whose) -> String {
    match whose {
        Whose::Everybody => EVERYBODY.to_owned(),
        Whose::Tier(tier) => format!("t{tier}"),
        Whose::Customer(id) => format!("c{id}"),
        Whose::Codes(pattern) => format!("p{}", pattern.0),
        Whose::List(id) => format!("l{id}"),
    }
}

/// The audiences that a dealer belongs to, the nearest first, given all patterns there are. `None`: two are equally near, and
/// rows of both would have to be compared.
pub fn audiences_of(terms: &Terms, patterns: &[String]) -> Option<Vec<String>> {
    let mut found: Vec<String> = terms.customer_id.iter().map(|id| format!("c{id}")).collect();
    let mut near: Vec<(usize, &String)> = patterns
        .iter()
        .filter(|pattern| terms.code.as_deref().is_some_and(|code| matches(pattern, code)))
        .map(|pattern| (pattern.chars().count(), pattern))
        .collect();
    near.sort_unstable_by(|one, other| other.cmp(one));
    let mut lists = terms.lists.clone();
    lists.sort_unstable_by_key(|(_, priority)| *priority);
    let patterns_tie = near.windows(2).any(|two| two[0].0 == two[1].0);
    if patterns_tie || lists.windows(2).any(|two| two[0].1 == two[1].1) {
        return None;
    }
    found.extend(near.into_iter().map(|(_, pattern)| format!("p{pattern}")));
    found.extend(lists.into_iter().map(|(id, _)| format!("l{id}")));
    found.extend(terms.tier.iter().map(|tier| format!("t{tier}")));
    found.push(EVERYBODY.to_owned());
    Some(found)
}
