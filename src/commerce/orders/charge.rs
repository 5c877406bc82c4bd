//! From a product and its price to what a line's money follows from. Carts and orders ask here, so that a cart never shows
//! another sum than its order comes to.

use chrono::NaiveDate;
use rust_decimal::Decimal;

use super::{
    lines::{Goods, LineKind, Measured},
    totals::Charge,
};
use crate::{
    commerce::pricing::{Priced, Rule},
    money, turkish,
};

/// `discount_rate` is the dealer's own, in percent.
pub(crate) fn charge(
    goods: &Goods,
    measured: &Measured,
    price: &Priced,
    discount_rate: Option<Decimal>,
    day: NaiveDate,
) -> Charge {
    Charge {
        kind: LineKind::Product,
        quantity: measured.quantity,
        price: listed(price, goods.vat_rate),
        vat_included: price.vat_included,
        vat_rate: goods.vat_rate.unwrap_or_else(|| turkish::vat_rates_on(day).general.into()),
        discount_rate: own_discount(price, discount_rate),
    }
}

/// What one unit costs this dealer, net of VAT: the price with the discount that comes off it. Carts remember it as what was
/// seen, for a discount that falls away costs as much as a price that rises.
pub(crate) fn unit_cost(price: &Priced, discount_rate: Option<Decimal>) -> Decimal {
    let left = Decimal::ONE - own_discount(price, discount_rate) / Decimal::ONE_HUNDRED;
    money::round(price.amount * left, 6)
}

fn own_discount(price: &Priced, discount_rate: Option<Decimal>) -> Decimal {
    discount_rate.filter(|_| takes_discount(price.rule)).unwrap_or_default()
}

/// The price as its row says it. Pricing frees it of the VAT inside, to six decimals; five bring it back. Of a product
/// without a rate of its own pricing took nothing away.
fn listed(price: &Priced, own_rate: Option<Decimal>) -> Decimal {
    match own_rate {
        Some(rate) if price.vat_included => {
            money::round(price.amount * (Decimal::ONE + rate / Decimal::ONE_HUNDRED), 5)
        }
        _ => price.amount,
    }
}

/// The dealer's own discount comes off prices that are everybody's. A special price and the dealer's own price list are
/// agreed with it as they are.
const fn takes_discount(rule: Rule) -> bool {
    match rule {
        Rule::List | Rule::Dealer | Rule::Tier => true,
        Rule::Special | Rule::PriceList => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn price(amount: Decimal, vat_included: bool, rule: Rule) -> Priced {
        Priced { amount, currency: "TRY".to_owned(), unit: None, vat_included, rule, price_id: 1 }
    }

    #[test]
    fn what_was_agreed_with_the_dealer_is_not_reduced_again() {
        let reduced = [Rule::List, Rule::Dealer, Rule::Tier, Rule::Special, Rule::PriceList].map(takes_discount);
        assert_eq!(reduced, [true, true, true, false, false]);
    }

    proptest! {
        #[test]
        fn a_price_with_vat_is_brought_back(units in 0..1_000_000_000_i64, decimals in 0..5_u32, rate in 0..25_u32) {
            let listed_price = Decimal::new(units, decimals);
            let rate = Decimal::from(rate);
            let net = money::round(listed_price / (Decimal::ONE + rate / Decimal::ONE_HUNDRED), 6);
            prop_assert_eq!(listed(&price(net, true, Rule::List), Some(rate)), listed_price);
            prop_assert_eq!(listed(&price(net, false, Rule::List), Some(rate)), net);
        }
    }
}
