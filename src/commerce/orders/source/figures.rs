//! What a line of ours is and costs by what the ERP says of it. Pure.
//!
//! Invariants
//! - The ERP's figures stand as soon as it tells any; what was agreed is kept beside them and is what differences are told from.
//! - A line is reckoned for all that was ordered, what was cancelled of it included; base and discount are what the amount is.

use rust_decimal::{Decimal, RoundingStrategy};

use super::plan::{LinePlan, Ours, SourceLine, SourceOrder};
use crate::money;

fn kurus(amount: Decimal) -> Decimal {
    amount.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
}

impl SourceOrder<'_> {
    /// With its figures in the currency of ours. Those of a slip in another one, or of one whose rate is not told, neither stand
    /// on ours nor can be compared: they are left out.
    pub(super) fn in_currency(mut self, ours: &str) -> Self {
        let is_same = self.currency.is_none_or(|theirs| theirs == ours);
        let rate = self.rate.unwrap_or(Decimal::ONE);
        let of = |figure: Option<Decimal>, digits: u32| {
            let figure = figure.filter(|_| is_same)?;
            if rate == Decimal::ONE { Some(figure) } else { Some(money::round(figure.checked_div(rate)?, digits)) }
        };
        self.total = of(self.total, 2);
        for line in &mut self.lines {
            line.price = of(line.price, 6);
            (line.amount, line.vat_base, line.vat) = (of(line.amount, 2), of(line.vat_base, 2), of(line.vat, 2));
        }
        self
    }

    /// How far a figure of a line may be off and be ours still: what was reckoned in one currency and divided into another is
    /// rounded twice.
    pub(super) fn slack(&self) -> Decimal {
        if self.rate.is_none_or(|rate| rate == Decimal::ONE) { Decimal::ZERO } else { Decimal::new(1, 2) }
    }
}

impl Ours {
    pub(super) fn as_it_is(&self) -> LinePlan {
        LinePlan {
            id: self.id,
            ordered: self.ordered,
            shipped: self.shipped,
            cancelled: self.cancelled,
            unit_price: self.unit_price,
            listed_price: self.listed_price,
            amount: self.amount,
            discount: self.discount,
            vat_base: self.vat_base,
            vat: self.vat,
            is_repriced: self.agreed_quantity.is_some(),
            freed: Decimal::ZERO,
        }
    }

    /// Nothing more of it comes than what was shipped.
    pub(super) fn without(&self) -> LinePlan {
        let cancelled = (self.ordered - self.shipped).max(self.cancelled);
        LinePlan { cancelled, freed: cancelled - self.cancelled, ..self.as_it_is() }
    }

    pub(super) fn after(&self, theirs: &SourceLine<'_>) -> LinePlan {
        // Another unit is another quantity; who looks at the difference decides.
        if self.unit.as_deref().zip(theirs.unit).is_some_and(|(own, unit)| own != unit) {
            return self.as_it_is();
        }
        let target = if theirs.is_closed { theirs.shipped } else { theirs.quantity };
        let mut next = LinePlan { shipped: theirs.shipped, ..self.as_it_is() };
        if target > self.ordered {
            // More than was ordered, at the price that was agreed.
            let grown = |amount: Decimal| Some(kurus(amount.checked_mul(target)?.checked_div(self.ordered)?));
            let Some((amount, discount)) = grown(self.amount).zip(grown(self.discount)) else {
                return self.as_it_is();
            };
            (next.ordered, next.amount, next.discount) = (target, amount, discount);
            next.vat_base = next.amount - next.discount;
            next.vat = kurus(next.vat_base * self.vat_rate / Decimal::ONE_HUNDRED);
        }
        next.cancelled = next.ordered - target;
        next.freed = (next.cancelled - self.cancelled).max(Decimal::ZERO);
        next
    }

    /// The same with the ERP's prices, if its figures are other ones than those that would stand. Without them the line
    /// costs what it did. `slack`: how far they may be off and be the same.
    pub(super) fn repriced(&self, next: LinePlan, theirs: &SourceLine<'_>, slack: Decimal) -> LinePlan {
        let is_same_unit = self.unit.as_deref().zip(theirs.unit).is_none_or(|(own, unit)| own == unit);
        let Some((base, vat)) = theirs.vat_base.zip(theirs.vat).filter(|_| is_same_unit) else { return next };
        let is_near = |(own_base, own_vat): (Decimal, Decimal)| {
            (own_base - base).abs() <= slack && (own_vat - vat).abs() <= slack
        };
        if theirs.quantity.is_zero()
            || part_of((next.vat_base, next.vat), theirs.quantity, next.ordered).is_some_and(is_near)
        {
            return next;
        }
        // Lines are reckoned for all that was ordered, what was cancelled of it included.
        let whole = |figure: Decimal| Some(kurus(figure.checked_mul(next.ordered)?.checked_div(theirs.quantity)?));
        let with_vat = Decimal::ONE + self.vat_rate / Decimal::ONE_HUNDRED;
        let net = |figure: Decimal| if self.vat_included { figure / with_vat } else { figure };
        let Some((vat_base, vat)) = whole(base).zip(whole(vat)) else { return next };
        // Before discounts it is never less than behind them: what LOGO does not tell is taken as no discount.
        let amount = theirs.amount.map(net).and_then(whole).unwrap_or(vat_base).max(vat_base);
        let listed_price = theirs.price.unwrap_or(self.listed_price);
        let unit_price = theirs.price.map_or(self.unit_price, |price| money::round(net(price), 6));
        LinePlan {
            unit_price,
            listed_price,
            amount,
            discount: amount - vat_base,
            vat_base,
            vat,
            is_repriced: true,
            ..next
        }
    }

    /// What so much of it is worth by what was agreed, with VAT; without a quantity nothing.
    pub(super) fn worth(&self, quantity: Option<Decimal>) -> Option<Decimal> {
        let Some(quantity) = quantity else { return Some(Decimal::ZERO) };
        let (all, base, vat) = match (self.agreed_quantity, self.agreed_base, self.agreed_vat) {
            (Some(quantity), Some(base), Some(vat)) => (quantity, base, vat),
            _ => (self.ordered, self.vat_base, self.vat),
        };
        part_of((base, vat), quantity, all).map(|(base, vat)| base + vat)
    }
}

/// Base and VAT of so many, of what they are for all.
fn part_of((base, vat): (Decimal, Decimal), quantity: Decimal, all: Decimal) -> Option<(Decimal, Decimal)> {
    if quantity == all {
        return Some((base, vat));
    }
    let part = |figure: Decimal| Some(kurus(figure.checked_mul(quantity)?.checked_div(all)?));
    part(base).zip(part(vat))
}
