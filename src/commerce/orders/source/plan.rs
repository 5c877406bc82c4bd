//! What becomes of an order of ours by what the ERP says of it; what a line costs then is reckoned in `figures`. Pure.

use rust_decimal::Decimal;

use super::plain;
use crate::commerce::orders::State;

/// An order of ours as the ERP has it.
#[derive(Debug, Clone)]
pub struct SourceOrder<'a> {
    pub id: i64,
    /// The ERP's own number.
    pub number: Option<&'a str>,
    pub is_cancelled: bool,
    /// What it is in over there; `None`: what ours is in.
    pub currency: Option<&'a str>,
    /// Its figures are in the ERP's own currency: so many of it are one of `currency`. 0: not told; `None`: the two are one.
    pub rate: Option<Decimal>,
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
    /// Of one unit, and of all before discounts: with VAT if ours is.
    pub price: Option<Decimal>,
    pub amount: Option<Decimal>,
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
    pub(super) unit_price: Decimal,
    pub(super) listed_price: Decimal,
    pub(super) vat_included: bool,
    pub(super) amount: Decimal,
    pub(super) discount: Decimal,
    pub(super) vat_rate: Decimal,
    pub(super) vat_base: Decimal,
    pub(super) vat: Decimal,
    /// What was agreed, when the ERP's figures stand in its place: for so many, base and VAT.
    pub(super) agreed_quantity: Option<Decimal>,
    pub(super) agreed_base: Option<Decimal>,
    pub(super) agreed_vat: Option<Decimal>,
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
    pub(super) unit_price: Decimal,
    pub(super) listed_price: Decimal,
    pub(super) amount: Decimal,
    pub(super) discount: Decimal,
    pub(super) vat_base: Decimal,
    pub(super) vat: Decimal,
    /// The figures are the ERP's; what was agreed is kept beside them.
    pub(super) is_repriced: bool,
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

/// `theirs`: with its figures in the currency of ours, see [`SourceOrder::in_currency`].
pub(super) fn plan<'a>(state: State, ours: &[Ours], theirs: &SourceOrder<'a>) -> Plan<'a> {
    let mut plan = Plan::default();
    let slack = theirs.slack();
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
                line.repriced(line.after(theirs), theirs, slack)
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
        && (total - expected).abs() > slack * Decimal::from(ours.len())
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
                // By its code, which is what a person looks for; by its id, since one code may be added twice.
                let field = format!("added[{} #{}]", line.code, line.external_id);
                let said = [Some(plain(line.quantity)), line.unit.map(str::to_owned)];
                let said: Vec<String> = said.into_iter().flatten().collect();
                plan.differences.push((field, "-".to_owned(), said.join(" ")));
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
            unit_price: 10.into(),
            listed_price: 10.into(),
            vat_included: false,
            agreed_quantity: None,
            agreed_base: None,
            agreed_vat: None,
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
            price: None,
            amount: None,
            vat_base: None,
            vat: None,
        }
    }

    fn order(total: i64, lines: Vec<SourceLine<'static>>) -> SourceOrder<'static> {
        SourceOrder {
            id: 1,
            number: Some("1"),
            is_cancelled: false,
            currency: None,
            rate: None,
            total: Some(total.into()),
            lines,
        }
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
        assert_eq!(fields, ["added[X #22]", "total"]);
        let added = &plan(State::Confirmed, &own, &said).differences[0];
        assert_eq!((added.1.as_str(), added.2.as_str()), ("-", "1 ADET"));
    }

    /// A line of ours as it is after a plan.
    fn after(line: &Ours, next: &LinePlan) -> Ours {
        let agreed = |own: Option<Decimal>, was: Decimal| own.or_else(|| next.is_repriced.then_some(was));
        Ours {
            ordered: next.ordered,
            cancelled: next.cancelled,
            unit_price: next.unit_price,
            listed_price: next.listed_price,
            amount: next.amount,
            discount: next.discount,
            vat_base: next.vat_base,
            vat: next.vat,
            agreed_quantity: agreed(line.agreed_quantity, line.ordered),
            agreed_base: agreed(line.agreed_base, line.vat_base),
            agreed_vat: agreed(line.agreed_vat, line.vat),
            ..line.clone()
        }
    }

    fn priced(quantity: i64, price: i64, total: i64, base: i64, vat: Decimal) -> SourceLine<'static> {
        SourceLine {
            price: Some(price.into()),
            amount: Some(total.into()),
            vat_base: Some(base.into()),
            vat: Some(vat),
            ..theirs("21", "A", quantity, 0)
        }
    }

    #[test]
    fn the_figures_of_the_erp_stand_and_what_was_agreed_is_told_beside_them() {
        let own = ours(1, "A", 4);
        // 4 at 9 instead of 10, one of them taken off.
        let said = order(42, vec![priced(4, 9, 36, 35, 7.into())]);
        let first = plan(State::Confirmed, std::slice::from_ref(&own), &said);
        let line = &first.lines[0];
        assert_eq!((line.unit_price, line.listed_price, line.amount), (9.into(), 9.into(), 36.into()));
        assert_eq!((line.discount, line.vat_base, line.vat, line.is_repriced), (1.into(), 35.into(), 7.into(), true));
        let told = |plan: &Plan<'_>| {
            plan.differences.iter().map(|(field, ours, theirs)| format!("{field} {ours} {theirs}")).collect::<Vec<_>>()
        };
        assert_eq!(told(&first), ["lines[1].total 48 42", "total 48 42"]);

        // Read again: nothing to write, and the difference is not forgotten.
        let own = after(&own, line);
        let again = plan(State::Confirmed, std::slice::from_ref(&own), &said);
        assert_eq!((again.lines.len(), told(&again)), (0, told(&first)));

        // Somebody over there puts the agreed price back.
        let mended = plan(State::Confirmed, &[own], &order(48, vec![priced(4, 10, 40, 40, 8.into())]));
        assert_eq!((mended.lines[0].vat_base, mended.lines[0].listed_price), (40.into(), 10.into()));
        assert_eq!(mended.differences, []);
    }

    #[test]
    fn figures_in_another_currency_are_neither_taken_over_nor_compared() {
        let own = ours(1, "A", 4);
        let lira =
            SourceOrder { currency: Some("TRY"), ..order(1_600, vec![priced(4, 400, 1_600, 1_600, 320.into())]) };
        let dollars = plan(State::Confirmed, std::slice::from_ref(&own), &lira.clone().in_currency("USD"));
        assert_eq!((dollars.lines.len(), dollars.differences.len()), (0, 0));
        assert_eq!(plan(State::Confirmed, &[own], &lira.in_currency("TRY")).lines.len(), 1);
    }

    #[test]
    fn figures_of_a_slip_in_our_currency_are_divided_by_its_rate() {
        let own = ours(1, "A", 4);
        let rate = Decimal::new(41_2575, 4);
        let booked = |price: i64, off: Decimal| {
            let of = |figure: Decimal| Some(crate::money::round(figure * rate, 2) + off);
            let base = Decimal::from(4 * price);
            let line = SourceLine {
                price: Some(Decimal::from(price) * rate),
                amount: of(base),
                vat_base: of(base),
                vat: of(base / Decimal::from(5)),
                ..theirs("21", "A", 4, 0)
            };
            let total = of(base * Decimal::new(12, 1));
            let slip = order(0, vec![line]);
            SourceOrder { currency: Some("USD"), rate: Some(rate), total, ..slip }.in_currency("USD")
        };
        // As agreed, and with what rounding may bring: a tenth of a cent there is none here.
        for off in [Decimal::ZERO, Decimal::new(4, 2)] {
            let found = plan(State::Confirmed, std::slice::from_ref(&own), &booked(10, off));
            assert_eq!((found.lines.len(), found.differences.len()), (0, 0), "{found:?}");
        }
        let cheaper = plan(State::Confirmed, std::slice::from_ref(&own), &booked(9, Decimal::ZERO));
        let line = &cheaper.lines[0];
        assert_eq!((line.listed_price, line.vat_base, line.vat), (9.into(), 36.into(), Decimal::new(72, 1)));
        let told: Vec<String> =
            cheaper.differences.iter().map(|(field, ours, theirs)| format!("{field} {ours} {theirs}")).collect();
        assert_eq!(told, ["lines[1].total 48 43.2", "total 48 43.2"]);
        // A rate that is not told.
        let unknown = SourceOrder { currency: Some("USD"), rate: Some(Decimal::ZERO), ..order(1_600, vec![]) };
        assert_eq!(unknown.in_currency("USD").total, None);
    }

    #[test]
    fn a_kurus_of_a_line_is_taken_over_and_not_told_by_line() {
        let own = ours(1, "A", 4);
        let mut said = order(48, vec![priced(4, 10, 40, 40, Decimal::new(8_01, 2))]);
        said.total = Some(Decimal::new(48_01, 2));
        let found = plan(State::Confirmed, &[own], &said);
        assert_eq!(found.lines[0].vat, Decimal::new(8_01, 2));
        assert_eq!(found.differences, [("total".to_owned(), "48".to_owned(), "48.01".to_owned())]);
    }

    #[test]
    fn a_part_of_a_line_is_priced_as_the_part_that_the_erp_has() {
        let own = ours(1, "A", 4);
        let said = order(27, vec![priced(2, 11, 22, 22, Decimal::new(4_40, 2))]);
        let found = plan(State::Confirmed, std::slice::from_ref(&own), &said);
        let line = &found.lines[0];
        assert_eq!((line.ordered, line.cancelled), (4.into(), 2.into()));
        assert_eq!((line.vat_base, line.vat), (44.into(), Decimal::new(8_80, 2)));
        let again = plan(State::Confirmed, &[after(&own, line)], &said);
        assert_eq!(again.lines, []);
    }
}
