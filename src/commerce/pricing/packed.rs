//! Offers in few bytes, as they lie in the store beside the product that they are of.
//!
//! Numbers are little-endian. An offer: what it has (one byte), whose it is and its rule (one byte), nearness and place (two bytes
//! each), the currency, the amount; then, as far as it has them, its first and its last day; then whose it is.

use chrono::{Datelike, NaiveDate};

use super::{
    offers::{Offer, Pattern, Whose},
    query::Rule,
    quote::Quote,
};

/// Which form this is.
pub const FORM: &str = "1";
/// More are not packed: who shows such a product prices it by the rules.
const MOST: usize = 60;

const ZERO: u8 = 1 << 3;
const FROM: u8 = 1 << 4;
const TO: u8 = 1 << 5;
const LEVEL: u8 = 7;

const RULES: [Rule; 5] = [Rule::Special, Rule::PriceList, Rule::Tier, Rule::Dealer, Rule::List];

/// `None`: there are too many.
pub fn pack(offers: &[Offer]) -> Option<Vec<u8>> {
    if offers.len() > MOST {
        return None;
    }
    let mut bytes = Vec::with_capacity(offers.len() * 28);
    for offer in offers {
        let has = |is: bool, bit: u8| if is { bit } else { 0 };
        let days = has(offer.valid_from.is_some(), FROM) | has(offer.valid_to.is_some(), TO);
        bytes.push((offer.level & LEVEL) | has(offer.is_zero, ZERO) | days);
        let rule = RULES.iter().position(|rule| *rule == offer.quote.rule)?;
        let whose = match &offer.whose {
            Whose::Everybody => 0,
            Whose::Tier(_) => 1,
            Whose::Customer(_) => 2,
            Whose::Codes(_) => 3,
            Whose::List(_) => 4,
        };
        bytes.push(whose | u8::try_from(rule).ok()? << 4);
        bytes.extend(offer.nearness.to_le_bytes());
        bytes.extend(offer.place.to_le_bytes());
        bytes.extend(offer.quote.currency);
        bytes.extend(offer.quote.millionths.to_le_bytes());
        for day in [offer.valid_from, offer.valid_to].into_iter().flatten() {
            bytes.extend(day.num_days_from_ce().to_le_bytes());
        }
        match &offer.whose {
            Whose::Everybody => {}
            Whose::Tier(tier) => bytes.extend(u32::from(*tier).to_le_bytes()),
            Whose::Customer(id) | Whose::List(id) => bytes.extend(id.to_le_bytes()),
            Whose::Codes(pattern) => {
                bytes.extend(u16::try_from(pattern.0.len()).ok()?.to_le_bytes());
                bytes.extend(pattern.0.as_bytes());
            }
        }
    }
    Some(bytes)
}

/// `None`: these are none of ours.
pub fn unpack(mut bytes: &[u8]) -> Option<Vec<Offer>> {
    let from = &mut bytes;
    let mut offers = Vec::with_capacity(from.len() / 24 + 1);
    while !from.is_empty() {
        let [has, kind] = take(from)?;
        let nearness = i16::from_le_bytes(take(from)?);
        let place = u16::from_le_bytes(take(from)?);
        let currency = take(from)?;
        let millionths = u64::from_le_bytes(take(from)?);
        let valid_from = if has & FROM != 0 { Some(day(from)?) } else { None };
        let valid_to = if has & TO != 0 { Some(day(from)?) } else { None };
        let whose = match kind & 15 {
            0 => Whose::Everybody,
            1 => Whose::Tier(char::from_u32(u32::from_le_bytes(take(from)?))?),
            2 => Whose::Customer(i64::from_le_bytes(take(from)?)),
            3 => {
                let length = u16::from_le_bytes(take(from)?);
                let (text, rest) = from.split_at_checked(usize::from(length))?;
                *from = rest;
                Whose::Codes(Box::new(Pattern(std::str::from_utf8(text).ok()?.into())))
            }
            4 => Whose::List(i64::from_le_bytes(take(from)?)),
            _ => return None,
        };
        let rule = *RULES.get(usize::from(kind >> 4))?;
        let quote = Quote { millionths, currency, rule };
        let (level, is_zero) = (has & LEVEL, has & ZERO != 0);
        offers.push(Offer { whose, quote, is_zero, level, nearness, place, valid_from, valid_to });
    }
    Some(offers)
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(*first)
}

fn day(from: &mut &[u8]) -> Option<NaiveDate> {
    NaiveDate::from_num_days_from_ce_opt(i32::from_le_bytes(take(from)?))
}
