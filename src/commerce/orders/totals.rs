//! What a line costs, and an order: the one place where an order's money is rounded.
//!
//! Invariants
//! - Each figure of a line is rounded to two decimals, half away from zero, and an order's figures are sums of those:
//!   nothing is rounded twice and no total is computed beside its lines.
//! - `vat_base = amount − discount`, and `total = subtotal − discount + shipping + tax`, exactly.
//! - A price with VAT is a promise: without a discount the line costs quantity × price, to the kuruş. The VAT in it is what
//!   its base leaves over.

use rust_decimal::Decimal;

use super::lines::LineKind;
use crate::money::{self, AMOUNT};

/// Kuruş.
const DECIMALS: u32 = 2;

/// What a line's money follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    pub kind: LineKind,
    /// In the line's unit.
    pub quantity: Decimal,
    /// Of one unit.
    pub price: Decimal,
    pub vat_included: bool,
    /// In percent.
    pub vat_rate: Decimal,
    /// Of the dealer, in percent; 0: none.
    pub discount_rate: Decimal,
}

/// The figures of one line, net of VAT but for `vat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineAmounts {
    /// Of one unit, six decimals.
    pub unit_price: Decimal,
    /// Before the discount.
    pub amount: Decimal,
    pub discount: Decimal,
    pub vat_base: Decimal,
    pub vat: Decimal,
}

/// The figures of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Goods before discounts, net of VAT.
    pub subtotal: Decimal,
    pub discount: Decimal,
    /// Freight, net of VAT.
    pub shipping: Decimal,
    pub tax: Decimal,
    /// To be paid.
    pub total: Decimal,
}

/// A figure that the store cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the amount is larger than an order can hold")]
pub struct TooLarge;

/// What one line comes to.
pub fn line(charge: &Charge) -> Result<LineAmounts, TooLarge> {
    let percent = |rate: Decimal| rate / Decimal::ONE_HUNDRED;
    let with_vat = Decimal::ONE + percent(charge.vat_rate);
    let shown = rounded(charge.quantity.checked_mul(charge.price))?;
    let shown_discount = rounded(shown.checked_mul(percent(charge.discount_rate)))?;
    if charge.vat_included {
        let to_pay = shown - shown_discount;
        let amount = money::round(shown / with_vat, DECIMALS);
        let vat_base = money::round(to_pay / with_vat, DECIMALS);
        let unit_price = money::round(charge.price / with_vat, 6);
        Ok(LineAmounts { unit_price, amount, discount: amount - vat_base, vat_base, vat: to_pay - vat_base })
    } else {
        let vat_base = shown - shown_discount;
        let vat = rounded(vat_base.checked_mul(percent(charge.vat_rate)))?;
        let unit_price = money::round(charge.price, 6);
        Ok(LineAmounts { unit_price, amount: shown, discount: shown_discount, vat_base, vat })
    }
}

fn rounded(figure: Option<Decimal>) -> Result<Decimal, TooLarge> {
    figure.and_then(|figure| AMOUNT.fit(money::round(figure, DECIMALS))).ok_or(TooLarge)
}

/// What an order comes to.
pub fn totals<'a>(lines: impl IntoIterator<Item = (LineKind, &'a LineAmounts)>) -> Result<Totals, TooLarge> {
    let mut totals = Totals::default();
    for (kind, line) in lines {
        match kind {
            LineKind::Product => {
                totals.subtotal = sum(totals.subtotal, line.amount)?;
                totals.discount = sum(totals.discount, line.discount)?;
            }
            // Freight stands net of its discount.
            LineKind::Shipping => totals.shipping = sum(totals.shipping, line.vat_base)?,
        }
        totals.tax = sum(totals.tax, line.vat)?;
    }
    totals.total = sum(sum(totals.subtotal - totals.discount, totals.shipping)?, totals.tax)?;
    Ok(totals)
}

fn sum(a: Decimal, b: Decimal) -> Result<Decimal, TooLarge> {
    a.checked_add(b).and_then(|sum| AMOUNT.fit(sum)).ok_or(TooLarge)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Decimal {
        text.parse().expect("a number")
    }

    fn goods(quantity: &str, price: &str, discount_rate: &str) -> Charge {
        Charge {
            kind: LineKind::Product,
            quantity: number(quantity),
            price: number(price),
            vat_included: false,
            vat_rate: Decimal::from(20),
            discount_rate: number(discount_rate),
        }
    }

    fn order(charges: &[Charge]) -> (Vec<LineAmounts>, Totals) {
        let lines: Vec<LineAmounts> = charges.iter().map(|charge| line(charge).expect("fits")).collect();
        let totals = totals(charges.iter().map(|charge| charge.kind).zip(&lines)).expect("fits");
        (lines, totals)
    }

    /// The first order of the books of LOGO: a camera with the dealer's 5 %, cable without.
    #[test]
    fn an_order_with_a_discount_line_comes_out_as_in_logo() {
        let (lines, totals) = order(&[goods("12", "1845.50", "5"), goods("3", "4120", "0")]);
        let camera = lines[0];
        assert_eq!((camera.amount, camera.discount), (number("22146.00"), number("1107.30")));
        assert_eq!((camera.vat_base, camera.vat), (number("21038.70"), number("4207.74")));
        assert_eq!((lines[1].vat_base, lines[1].vat), (number("12360.00"), number("2472.00")));
        assert_eq!(
            (totals.subtotal, totals.discount, totals.tax, totals.total),
            (number("34506.00"), number("1107.30"), number("6679.74"), number("40078.44"))
        );
    }

    /// The second: goods and a freight line.
    #[test]
    fn an_order_with_freight_comes_out_as_in_logo() {
        let freight = Charge { kind: LineKind::Shipping, ..goods("1", "250", "0") };
        let (_, totals) = order(&[goods("40", "96.25", "0"), freight]);
        assert_eq!((totals.subtotal, totals.shipping), (number("3850.00"), number("250.00")));
        assert_eq!((totals.tax, totals.total), (number("820.00"), number("4920.00")));
    }

    #[test]
    fn halves_of_a_kurus_go_away_from_zero() {
        // 3 × 0.335 = 1.005; its VAT of 1 % is 0.0101.
        let (lines, _) = order(&[Charge { vat_rate: Decimal::ONE, ..goods("3", "0.335", "0") }]);
        assert_eq!((lines[0].amount, lines[0].vat), (number("1.01"), number("0.01")));
        // 2.5 % of 1.00 is 0.025.
        let (lines, _) = order(&[goods("1", "1", "2.5")]);
        assert_eq!(
            (lines[0].discount, lines[0].vat_base, lines[0].vat),
            (number("0.03"), number("0.97"), number("0.19"))
        );
    }

    #[test]
    fn a_price_with_vat_is_what_is_paid() {
        let charge = Charge { vat_included: true, ..goods("100000", "100", "0") };
        let (lines, totals) = order(&[charge]);
        assert_eq!(lines[0].unit_price, number("83.333333"));
        assert_eq!((lines[0].vat_base, lines[0].vat), (number("8333333.33"), number("1666666.67")));
        assert_eq!(totals.total, number("10000000.00"));
    }

    #[test]
    fn what_the_store_cannot_hold_is_refused() {
        for (quantity, price) in [("99999999999999", "9999999999999"), ("99999999999999", "1.01")] {
            assert_eq!(line(&goods(quantity, price, "0")), Err(TooLarge));
        }
        let large = line(&goods("90000000000000", "1", "0")).expect("fits alone");
        assert_eq!(totals([(LineKind::Product, &large), (LineKind::Product, &large)]), Err(TooLarge));
    }

    fn charge() -> impl Strategy<Value = Charge> {
        let rate = prop::sample::select(vec![0_u32, 1, 10, 20]);
        let kind = prop::sample::select(vec![LineKind::Product, LineKind::Product, LineKind::Shipping]);
        (1..100_000_i64, 0..4_u32, 0..10_000_000_i64, 0..7_u32, any::<bool>(), rate, 0..10_001_i64, kind).prop_map(
            |(quantity, decimals, price, price_decimals, vat_included, vat_rate, discount, kind)| Charge {
                kind,
                quantity: Decimal::new(quantity, decimals),
                price: Decimal::new(price, price_decimals),
                vat_included,
                vat_rate: Decimal::from(vat_rate),
                discount_rate: Decimal::new(discount, 2),
            },
        )
    }

    proptest! {
        #[test]
        fn totals_are_the_sum_of_lines(charges in prop::collection::vec(charge(), 1..60)) {
            let (lines, totals) = order(&charges);
            let all = |of: fn(&LineAmounts) -> Decimal| lines.iter().map(of).sum::<Decimal>();
            prop_assert_eq!(totals.total, all(|line| line.vat_base) + all(|line| line.vat));
            prop_assert_eq!(totals.tax, all(|line| line.vat));
            prop_assert_eq!(totals.total, totals.subtotal - totals.discount + totals.shipping + totals.tax);
            for figure in [totals.subtotal, totals.discount, totals.shipping, totals.tax, totals.total] {
                prop_assert_eq!(figure, money::round(figure, 2), "no half kuruş");
            }
        }

        #[test]
        fn a_line_is_off_by_less_than_a_kurus(charge in charge()) {
            let line = line(&charge).expect("fits");
            for figure in [line.amount, line.discount, line.vat_base, line.vat] {
                prop_assert_eq!(figure, money::round(figure, 2));
                prop_assert!(!figure.is_sign_negative() || figure.is_zero());
            }
            prop_assert_eq!(line.vat_base, line.amount - line.discount);
            let kurus = Decimal::new(1, 2);
            let exact = line.vat_base * charge.vat_rate / Decimal::ONE_HUNDRED;
            prop_assert!((line.vat - exact).abs() <= kurus, "{} beside {}", line.vat, exact);
            if charge.vat_included && charge.discount_rate.is_zero() {
                prop_assert_eq!(line.vat_base + line.vat, money::round(charge.quantity * charge.price, 2));
            }
        }
    }
}
