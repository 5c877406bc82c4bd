//! What becomes of an order of ours by what the ERP says of it. Pure.

use rust_decimal::{Decimal, RoundingStrategy};

use super::plain;
use crate::commerce::orders::State;

/// An order of ours as the ERP has it.
#[derive(Debug, Clone)]
pub struct SourceOrder<'a> {
    pub id: i64,
    /// The ERP's own number.
    pub number: Option<&'a str>,
    pub is_cancelled: bool,
    /// What is to be paid, with VAT.
    pub total: Option<Decimal>,
    pub lines: Vec<SourceLine<'a>>,
}

#[derive(Debug, Clone)]
pub struct SourceLine<'a> {
    pub external_id: &'a str,
    pub code: &'a str,
    pub is_service: bool,
    pub unit: Option<&'a str>,
    /// In the line's unit.
    pub quantity: Decimal,
    pub shipped: Decimal,
    /// Nothing more of it will be shipped.
    pub is_closed: bool,
    pub vat_base: Option<Decimal>,
    pub vat: Option<Decimal>,
}

/// A line of ours as it stands.
#[derive(Debug, Clone)]
pub(super) struct Ours {
    pub(super) id: i64,
    pub(super) order_id: i64,
    pub(super) position: i16,
    pub(super) is_service: bool,
    pub(super) code: String,
    pub(super) unit: Option<String>,
    pub(super) ordered: Decimal,
    pub(super) shipped: Decimal,
    pub(super) cancelled: Decimal,
    pub(super) amount: Decimal,
    pub(super) discount: Decimal,
    pub(super) vat_rate: Decimal,
    pub(super) vat_base: Decimal,
    pub(super) vat: Decimal,
    /// What the ERP calls it.
    pub(super) reference: Option<String>,
}

/// What a line is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LinePlan {
    pub(super) id: i64,
    pub(super) ordered: Decimal,
    pub(super) shipped: Decimal,
    pub(super) cancelled: Decimal,
    pub(super) amount: Decimal,
    pub(super) discount: Decimal,
    pub(super) vat_base: Decimal,
    pub(super) vat: Decimal,
    /// What is not wanted of it any more, beyond what was not wanted before, in its unit.
    pub(super) freed: Decimal,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan<'a> {
    /// Lines of ours and what the ERP calls them, newly learned.
    pub(super) references: Vec<(i64, &'a str)>,
    /// The lines that change.
    pub(super) lines: Vec<LinePlan>,
    pub(super) to: Option<State>,
    /// Field, what we have, what the ERP has.
    pub(super) differences: Vec<(String, String, String)>,
}

pub(super) fn plan<'a>(state: State, ours: &[Ours], theirs: &SourceOrder<'a>) -> Plan<'a> {
    let mut plan = Plan::default();
    let pairs = matched(ours, &theirs.lines, &mut plan);
    let open = matches!(state, State::Confirmed | State::Processing);
    let takes = open || matches!(state, State::Shipped | State::Delivered | State::Completed | State::Returned);
    let mut expected = Some(Decimal::ZERO);
    let (mut wanted, mut left) = (Decimal::ZERO, Decimal::ZERO);
    let mut shipped = false;
    for line in ours {
        let theirs = pairs.iter().find(|(id, _)| *id == line.id).map(|(_, line)| *line);
        let next = match theirs {
            Some(theirs) => {
                compare(line, theirs, &mut plan);
                line.after(theirs)
            }
            // It was there once, and somebody took it out.
            None if line.reference.is_some() => line.without(),
            None => {
                let field = format!("lines[{}]", line.position);
                plan.differences.push((field, plain(line.ordered - line.cancelled), "-".to_owned()));
                line.as_it_is()
            }
        };
        expected = expected.and_then(|sum| Some(sum + line.worth(theirs.map(|line| line.quantity))?));
        if !line.is_service {
            wanted += next.ordered - next.cancelled;
            left += next.shipped;
            shipped |= next.shipped > Decimal::ZERO;
        }
        if takes && next != line.as_it_is() {
            plan.lines.push(next);
        }
    }
    if let (Some(total), Some(expected)) = (theirs.total, expected)
        && total != expected
    {
        plan.differences.push(("total".to_owned(), plain(expected), plain(total)));
    }
    let gone = theirs.is_cancelled || (wanted.is_zero() && !shipped);
    let to = match (gone, shipped) {
        (true, _) => Some(State::Cancelled),
        (false, true) if left >= wanted => Some(State::Shipped),
        (false, true) => Some(State::Processing),
        (false, false) => None,
    };
    plan.to = to.filter(|to| open && state.to(*to).is_ok());
    let apart = match state {
        State::Cancelled => !gone,
        State::Confirmed | State::Processing => false,
        State::PendingApproval | State::PendingPayment => true,
        State::Shipped | State::Delivered | State::Completed => gone || (state == State::Shipped && left < wanted),
        State::Returned => false,
    };
    if apart {
        let theirs = to.map_or("open", State::as_str);
        plan.differences.push(("state".to_owned(), state.as_str().to_owned(), theirs.to_owned()));
    }
    plan
}

/// Their lines to ours: by what is known, then by code in the order of both. What is theirs alone is a difference.
fn matched<'s, 'a>(ours: &[Ours], theirs: &'s [SourceLine<'a>], plan: &mut Plan<'a>) -> Vec<(i64, &'s SourceLine<'a>)> {
    let mut pairs: Vec<(i64, &SourceLine<'_>)> = Vec::with_capacity(theirs.len());
    let known = |line: &SourceLine<'_>| ours.iter().find(|own| own.reference.as_deref() == Some(line.external_id));
    for line in theirs {
        let own = known(line).or_else(|| {
            let free = |own: &&Ours| own.reference.is_none() && pairs.iter().all(|(id, _)| *id != own.id);
            let same = |own: &&Ours| own.is_service == line.is_service && (line.is_service || own.code == line.code);
            ours.iter().filter(free).find(same)
        });
        match own {
            Some(own) => {
                if own.reference.is_none() {
                    plan.references.push((own.id, line.external_id));
                }
                pairs.push((own.id, line));
            }
            None => {
                let field = format!("lines[{} {}]", line.external_id, line.code);
                plan.differences.push((field, "-".to_owned(), plain(line.quantity)));
            }
        }
    }
    pairs
}

fn compare(ours: &Ours, theirs: &SourceLine<'_>, plan: &mut Plan<'_>) {
    let mut differs = |what: &str, ours_says: String, theirs_says: String| {
        plan.differences.push((format!("lines[{}].{what}", ours.position), ours_says, theirs_says));
    };
    if let (Some(own), Some(unit)) = (ours.unit.as_deref(), theirs.unit)
        && own != unit
    {
        differs("unit", own.to_owned(), unit.to_owned());
    }
    if let (Some(base), Some(vat)) = (theirs.vat_base, theirs.vat)
        && let Some(own) = ours.worth(Some(theirs.quantity))
        && (own - base - vat).abs() > Decimal::new(1, 2)
    {
        differs("total", plain(own), plain(base + vat));
    }
}

fn kurus(amount: Decimal) -> Decimal {
    amount.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
}

impl Ours {
    fn as_it_is(&self) -> LinePlan {
        LinePlan {
            id: self.id,
            ordered: self.ordered,
            shipped: self.shipped,
            cancelled: self.cancelled,
            amount: self.amount,
            discount: self.discount,
            vat_base: self.vat_base,
            vat: self.vat,
            freed: Decimal::ZERO,
        }
    }

    /// Nothing more of it comes than what was shipped.
    fn without(&self) -> LinePlan {
        let cancelled = (self.ordered - self.shipped).max(self.cancelled);
        LinePlan { cancelled, freed: cancelled - self.cancelled, ..self.as_it_is() }
    }

    fn after(&self, theirs: &SourceLine<'_>) -> LinePlan {
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

    /// What so much of it is worth by our prices, with VAT; without a quantity nothing.
    fn worth(&self, quantity: Option<Decimal>) -> Option<Decimal> {
        let Some(quantity) = quantity else { return Some(Decimal::ZERO) };
        let part = quantity.checked_div(self.ordered)?;
        let (base, vat) = (self.vat_base, self.vat);
        if part == Decimal::ONE {
            return Some(base + vat);
        }
        Some(kurus(base.checked_mul(part)?) + kurus(vat.checked_mul(part)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(id: i64, code: &str, pieces: i64) -> Ours {
        let base = Decimal::from(pieces * 10);
        Ours {
            id,
            order_id: 1,
            position: i16::try_from(id).unwrap_or(1),
            is_service: false,
            code: code.to_owned(),
            unit: Some("ADET".to_owned()),
            ordered: pieces.into(),
            shipped: Decimal::ZERO,
            cancelled: Decimal::ZERO,
            amount: base,
            discount: Decimal::ZERO,
            vat_rate: 20.into(),
            vat_base: base,
            vat: base / Decimal::from(5),
            reference: None,
        }
    }

    fn theirs(external_id: &'static str, code: &'static str, quantity: i64, shipped: i64) -> SourceLine<'static> {
        SourceLine {
            external_id,
            code,
            is_service: false,
            unit: Some("ADET"),
            quantity: quantity.into(),
            shipped: shipped.into(),
            is_closed: false,
            vat_base: None,
            vat: None,
        }
    }

    fn order(total: i64, lines: Vec<SourceLine<'static>>) -> SourceOrder<'static> {
        SourceOrder { id: 1, number: Some("1"), is_cancelled: false, total: Some(total.into()), lines }
    }

    #[test]
    fn lines_are_paired_by_code_in_their_order_and_then_by_reference() {
        let own = [ours(1, "A", 2), ours(2, "B", 1), ours(3, "A", 5)];
        let said = order(96, vec![theirs("21", "A", 2, 0), theirs("22", "A", 5, 0), theirs("23", "B", 1, 0)]);
        let first = plan(State::Confirmed, &own, &said);
        assert_eq!(first.references, [(1, "21"), (3, "22"), (2, "23")]);
        assert_eq!((first.lines.len(), first.to, first.differences.len()), (0, None, 0), "{first:?}");

        let known: Vec<Ours> = own
            .into_iter()
            .zip(["21", "23", "22"])
            .map(|(line, reference)| Ours { reference: Some(reference.to_owned()), ..line })
            .collect();
        // Renamed over there, and one line taken out.
        let said = order(84, vec![theirs("22", "NEW", 5, 5), theirs("21", "A", 2, 2)]);
        let then = plan(State::Confirmed, &known, &said);
        assert_eq!((then.references.len(), then.to), (0, Some(State::Shipped)));
        let cancelled: Vec<(i64, Decimal)> = then.lines.iter().map(|line| (line.id, line.cancelled)).collect();
        assert_eq!(cancelled, [(1, 0.into()), (2, 1.into()), (3, 0.into())]);
        assert_eq!(then.differences, []);
    }

    #[test]
    fn what_is_shipped_moves_the_order_and_what_is_closed_ends_it() {
        let own = [ours(1, "A", 4)];
        let to = |quantity, shipped, closed| {
            let line = SourceLine { is_closed: closed, ..theirs("21", "A", quantity, shipped) };
            plan(State::Confirmed, &own, &order(48, vec![line])).to
        };
        assert_eq!(to(4, 0, false), None);
        assert_eq!(to(4, 1, false), Some(State::Processing));
        assert_eq!(to(4, 4, false), Some(State::Shipped));
        assert_eq!(to(4, 3, true), Some(State::Shipped));
        assert_eq!(to(4, 0, true), Some(State::Cancelled));
        let cancelled = SourceOrder { is_cancelled: true, ..order(48, vec![theirs("21", "A", 4, 0)]) };
        assert_eq!(plan(State::Processing, &own, &cancelled).to, Some(State::Cancelled));
        let late = plan(State::Delivered, &own, &cancelled);
        assert_eq!(late.to, None);
        assert_eq!(late.differences, [("state".to_owned(), "delivered".to_owned(), "cancelled".to_owned())]);
    }

    #[test]
    fn more_is_at_the_agreed_price_and_less_is_cancelled() {
        let own = [ours(1, "A", 4)];
        let more = plan(State::Confirmed, &own, &order(72, vec![theirs("21", "A", 6, 0)]));
        assert_eq!(
            (more.lines[0].ordered, more.lines[0].vat_base, more.lines[0].vat),
            (6.into(), 60.into(), 12.into())
        );
        let less = plan(State::Confirmed, &own, &order(12, vec![theirs("21", "A", 1, 0)]));
        assert_eq!(
            (less.lines[0].ordered, less.lines[0].cancelled, less.lines[0].freed),
            (4.into(), 3.into(), 3.into())
        );
        assert_eq!((more.differences.len(), less.differences.len()), (0, 0));
    }

    #[test]
    fn a_kurus_is_a_difference_and_an_unknown_line_is_one() {
        let own = [ours(1, "A", 4)];
        let mut said = order(48, vec![theirs("21", "A", 4, 0)]);
        said.total = Some(Decimal::new(48_01, 2));
        let found = plan(State::Confirmed, &own, &said);
        assert_eq!(found.differences, [("total".to_owned(), "48".to_owned(), "48.01".to_owned())]);
        let said = order(60, vec![theirs("21", "A", 4, 0), theirs("22", "X", 1, 0)]);
        let fields: Vec<String> =
            plan(State::Confirmed, &own, &said).differences.into_iter().map(|(field, ..)| field).collect();
        assert_eq!(fields, ["lines[22 X]", "total"]);
    }
}
