//! The figures of an order slip, computed from its lines as LOGO does: line totals, discounts by line or for the whole
//! slip, VAT on what is left, each rounded to two decimals.

use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Map, Value};

use super::fields::{decimal, double, integer};

type Line = Map<String, Value>;

const MATERIAL: i64 = 0;
const PROMOTION: i64 = 1;
const DISCOUNT: i64 = 2;
const EXPENSE: i64 = 3;
const SERVICE: i64 = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    pub gross: Decimal,
    pub discounts: Decimal,
    pub vat: Decimal,
    pub net: Decimal,
}

impl Totals {
    /// After discounts, before VAT.
    pub fn discounted(&self) -> Decimal {
        self.gross - self.discounts
    }

    /// Writes them into a slip. One in another currency (`CURR_TRANSACTIN`) has its total in that one as well, by its rate; one
    /// without a rate has the same figure.
    pub fn put(&self, record: &mut Map<String, Value>) {
        for (name, amount) in [
            ("TOTAL_DISCOUNTS", self.discounts),
            ("TOTAL_DISCOUNTED", self.discounted()),
            ("TOTAL_VAT", self.vat),
            ("TOTAL_GROSS", self.gross),
            ("TOTAL_NET", self.net),
        ] {
            record.insert(name.to_owned(), double(amount));
        }
        if record.get("CURR_TRANSACTIN").and_then(integer).is_some_and(|currency| currency != 0) {
            let rate = record.get("TC_RATE").and_then(decimal).filter(|rate| !rate.is_zero()).unwrap_or(Decimal::ONE);
            record.insert("TC_NET".to_owned(), double(round(self.net / rate)));
        }
    }
}

/// Fills TOTAL, VAT_AMOUNT and VAT_BASE of the lines, and sums them up.
pub fn compute(lines: &mut [Line]) -> Totals {
    let mut totals = Totals::default();
    // Goods and services with their total and what is left of it after discounts.
    let mut sold: Vec<(usize, Decimal, Decimal)> = Vec::new();
    let mut extra = Decimal::ZERO;
    for (at, line) in lines.iter_mut().enumerate() {
        match kind(line) {
            MATERIAL | SERVICE => {
                let total = round(number(line, "QUANTITY") * number(line, "PRICE"));
                totals.gross += total;
                sold.push((at, total, total));
                line.insert("TOTAL".to_owned(), double(total));
            }
            DISCOUNT | EXPENSE => {
                let whole_slip = integer(line.get("DETAIL_LEVEL").unwrap_or(&Value::Null)) != Some(1);
                let base: Decimal = if whole_slip {
                    sold.iter().map(|(_, _, left)| *left).sum()
                } else {
                    sold.last().map_or(Decimal::ZERO, |(_, _, left)| *left)
                };
                let amount = match integer(line.get("CALC_TYPE").unwrap_or(&Value::Null)) {
                    Some(2) => number(line, "TOTAL"),
                    _ => round(base * number(line, "DISCOUNT_RATE") / Decimal::ONE_HUNDRED),
                };
                if kind(line) == EXPENSE {
                    extra += amount;
                } else {
                    totals.discounts += amount;
                    spread(&mut sold, amount, base, whole_slip);
                }
                line.insert("TOTAL".to_owned(), double(amount));
            }
            PROMOTION => {
                line.insert("TOTAL".to_owned(), double(Decimal::ZERO));
            }
            _ => {}
        }
    }
    for (at, _, left) in sold {
        let line = &mut lines[at];
        let rate = number(line, "VAT_RATE") / Decimal::ONE_HUNDRED;
        let included = line.get("VAT_INCLUDED").and_then(integer) == Some(1);
        let base = if included { round(left / (Decimal::ONE + rate)) } else { left };
        let vat = if included { left - base } else { round(base * rate) };
        if included {
            totals.gross -= vat;
        }
        totals.vat += vat;
        line.insert("VAT_AMOUNT".to_owned(), double(vat));
        line.insert("VAT_BASE".to_owned(), double(base));
    }
    totals.gross += extra;
    totals.net = totals.discounted() + totals.vat;
    totals
}

/// Takes a discount off the last line, or off all in proportion; the last of them bears the rounding.
fn spread(sold: &mut [(usize, Decimal, Decimal)], amount: Decimal, base: Decimal, whole_slip: bool) {
    if !whole_slip || base.is_zero() {
        if let Some((_, _, left)) = sold.last_mut() {
            *left -= amount;
        }
        return;
    }
    let mut rest = amount;
    let last = sold.len().saturating_sub(1);
    for (n, (_, _, left)) in sold.iter_mut().enumerate() {
        let share = if n == last { rest } else { round(amount * *left / base) };
        *left -= share;
        rest -= share;
    }
}

pub fn kind(line: &Line) -> i64 {
    line.get("TYPE").and_then(integer).unwrap_or(MATERIAL)
}

fn number(line: &Line, name: &str) -> Decimal {
    line.get(name).and_then(decimal).unwrap_or_default()
}

fn round(amount: Decimal) -> Decimal {
    amount.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lines(value: Value) -> Vec<Line> {
        value.as_array().unwrap().iter().map(|line| line.as_object().unwrap().clone()).collect()
    }

    #[test]
    fn a_line_discount_counts_for_the_line_before_it() {
        let mut order = lines(json!([
            {"TYPE": 0, "QUANTITY": 12, "PRICE": "1845.50", "VAT_RATE": 20},
            {"TYPE": 2, "DETAIL_LEVEL": 1, "CALC_TYPE": 0, "DISCOUNT_RATE": 5},
            {"TYPE": 0, "QUANTITY": 3, "PRICE": 4120, "VAT_RATE": 20},
        ]));
        let totals = compute(&mut order);
        assert_eq!(totals.gross, Decimal::new(34_506, 0));
        assert_eq!(totals.discounts, Decimal::new(11_073, 1));
        assert_eq!(totals.discounted(), Decimal::new(333_987, 1));
        assert_eq!(totals.vat, Decimal::new(667_974, 2));
        assert_eq!(totals.net, Decimal::new(4_007_844, 2));
        assert_eq!(order[0]["VAT_BASE"].to_string(), "21038.7");
        assert_eq!(order[0]["VAT_AMOUNT"].to_string(), "4207.74");
    }

    #[test]
    fn services_count_and_a_slip_discount_is_spread() {
        let mut order = lines(json!([
            {"TYPE": 0, "QUANTITY": 40, "PRICE": "96.25", "VAT_RATE": 20},
            {"TYPE": 4, "QUANTITY": 1, "PRICE": 250, "VAT_RATE": 20},
        ]));
        let totals = compute(&mut order);
        assert_eq!((totals.gross, totals.vat, totals.net), (4_100.into(), 820.into(), 4_920.into()));
        order.extend(lines(json!([{"TYPE": 2, "DETAIL_LEVEL": 0, "CALC_TYPE": 2, "TOTAL": "41.00"}])));
        let totals = compute(&mut order);
        assert_eq!(totals.vat, Decimal::new(8_118, 1));
        assert_eq!(totals.discounts, Decimal::from(41));
    }
}
