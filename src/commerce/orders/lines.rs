//! What may stand in a line: the product, its unit, the quantity. Carts and orders ask here, and nowhere else.
//!
//! Invariants
//! - A quantity is above 0, has no more decimals than its unit allows and fits into the store.
//! - Minimum order quantity and multiple are meant in the main unit, and hold for all that one order takes of a product in
//!   one unit: lines of the same product and unit are one line, where the first of them stood, with the sum of their
//!   quantities.

use std::collections::HashMap;

use rust_decimal::Decimal;

use super::allocate::Level;
use crate::{
    commerce::units::usual_decimals,
    money::{self, QUANTITY},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    Product,
    /// Freight.
    Shipping,
}

impl LineKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            LineKind::Product => "product",
            LineKind::Shipping => "shipping",
        }
    }
}

/// A product as a line must know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goods {
    pub id: i64,
    pub code: String,
    pub sku: Option<String>,
    pub name: String,
    /// May be bought at all.
    pub is_active: bool,
    pub track_stock: bool,
    /// `None`: the general rate of the day.
    pub vat_rate: Option<Decimal>,
    /// In the main unit, as the multiple.
    pub minimum: Option<Decimal>,
    pub multiple: Option<Decimal>,
    /// The main unit, for products without units of their own.
    pub unit: Option<String>,
    pub units: Vec<Unit>,
    /// What there is of it in each warehouse that is in use, as it was read: nothing holds it there.
    pub levels: Vec<Level>,
}

/// Quantity in the main unit = quantity × numerator ÷ denominator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    pub unit: String,
    pub numerator: Decimal,
    pub denominator: Decimal,
    pub decimals: i16,
    pub is_main: bool,
}

/// How much of a product, in the unit of its line and in the main one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// `None`: the product names no unit.
    pub unit: Option<String>,
    pub numerator: Decimal,
    pub denominator: Decimal,
    pub quantity: Decimal,
    pub main_quantity: Decimal,
}

/// Why something cannot stand in a line: the field, the rule for programs, and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub field: &'static str,
    pub code: &'static str,
    pub message: String,
}

impl Fault {
    pub(crate) fn new(field: &'static str, code: &'static str, message: impl Into<String>) -> Fault {
        Fault { field, code, message: message.into() }
    }
}

impl Goods {
    /// What there is of it, all warehouses together.
    pub fn available(&self) -> Decimal {
        self.levels.iter().map(|level| level.available).sum()
    }

    /// The quantity as this product is measured. `unit`: the main one if not given.
    pub fn measure(&self, quantity: Decimal, unit: Option<&str>) -> Result<Measured, Fault> {
        let (unit, numerator, denominator, decimals) = self.unit_of(unit)?;
        if quantity <= Decimal::ZERO {
            return Err(Fault::new("quantity", "not_positive", format!("{quantity} is not above 0")));
        }
        let quantity = quantity.normalize();
        if i64::from(quantity.scale()) > i64::from(decimals) {
            let unit = unit.as_deref().unwrap_or("the product");
            let message = match decimals {
                0 => format!("{unit} is sold whole, not {quantity}"),
                places => format!("{unit} has at most {places} decimals, not {quantity}"),
            };
            return Err(Fault::new("quantity", "fraction", message));
        }
        let main_quantity = quantity
            .checked_mul(numerator)
            .and_then(|numerator| numerator.checked_div(denominator))
            .map(|main| money::round(main, 4));
        match (QUANTITY.fit(quantity), main_quantity.and_then(|main| QUANTITY.fit(main))) {
            (Some(quantity), Some(main_quantity)) if main_quantity > Decimal::ZERO => {
                Ok(Measured { unit, numerator, denominator, quantity, main_quantity })
            }
            _ => {
                Err(Fault::new("quantity", "out_of_range", format!("{quantity} is more, or less, than can be ordered")))
            }
        }
    }

    /// Whether all that is taken of this product in one unit keeps the minimum and the multiple.
    pub fn check_amount(&self, measured: &Measured) -> Result<(), Fault> {
        let main = measured.main_quantity;
        let factor = if measured.numerator == measured.denominator {
            String::new()
        } else {
            format!(" ({main} in the main unit)")
        };
        if let Some(minimum) = self.minimum.filter(|minimum| main < *minimum) {
            let message = format!("{}{factor} is below the minimum of {}", measured.quantity, minimum.normalize());
            return Err(Fault::new("quantity", "below_minimum", message));
        }
        if let Some(multiple) = self.multiple.filter(|multiple| !(main % *multiple).is_zero()) {
            let message = format!("{}{factor} is not a multiple of {}", measured.quantity, multiple.normalize());
            return Err(Fault::new("quantity", "not_a_multiple", message));
        }
        Ok(())
    }

    /// Name, factor and decimals of a unit.
    fn unit_of(&self, asked: Option<&str>) -> Result<(Option<String>, Decimal, Decimal, i16), Fault> {
        let found = match asked {
            Some(asked) => self.units.iter().find(|unit| unit.unit == asked),
            None => self.units.iter().find(|unit| unit.is_main).or(self.units.first()),
        };
        if let Some(unit) = found {
            return Ok((Some(unit.unit.clone()), unit.numerator, unit.denominator, unit.decimals));
        }
        let known: Vec<&str> = if self.units.is_empty() {
            self.unit.as_deref().into_iter().collect()
        } else {
            self.units.iter().map(|unit| unit.unit.as_str()).collect()
        };
        match asked {
            Some(asked) if !(self.units.is_empty() && self.unit.as_deref() == Some(asked)) => {
                let shown: String = asked.chars().take(20).collect();
                let message = match known.as_slice() {
                    [] => format!("the product has no units, so not {shown}; leave the unit out"),
                    known => format!("the product is not sold in {shown}, but in {}", known.join(", ")),
                };
                Err(Fault::new("unit", "unknown_unit", message))
            }
            _ => {
                let decimals = self.unit.as_deref().map_or(0, usual_decimals);
                Ok((self.unit.clone(), Decimal::ONE, Decimal::ONE, decimals))
            }
        }
    }
}

/// A line that stood at an index, measured.
pub type Line<'g> = (usize, &'g Goods, Measured);

/// Measured lines, those of the same product and unit made one. Each result bears the index of the first of its lines;
/// faults bear the index of the line that has them.
pub fn merge<'g>(
    asked: impl IntoIterator<Item = (usize, &'g Goods, Decimal, Option<&'g str>)>,
) -> (Vec<Line<'g>>, Vec<(usize, Fault)>) {
    let mut lines: Vec<Line<'_>> = Vec::new();
    let mut places: HashMap<(i64, Option<String>), usize> = HashMap::new();
    let mut faults = Vec::new();
    for (index, goods, quantity, unit) in asked {
        let measured = match goods.measure(quantity, unit) {
            Ok(measured) => measured,
            Err(fault) => {
                faults.push((index, fault));
                continue;
            }
        };
        match places.get(&(goods.id, measured.unit.clone())) {
            None => {
                places.insert((goods.id, measured.unit.clone()), lines.len());
                lines.push((index, goods, measured));
            }
            Some(place) => {
                // Each fits, so their sum has room in a decimal; whether it fits into the store, the next look says.
                let first = &mut lines[*place].2;
                match goods.measure(first.quantity + measured.quantity, measured.unit.as_deref()) {
                    Ok(sum) => *first = sum,
                    Err(fault) => faults.push((index, fault)),
                }
            }
        }
    }
    lines.retain(|(index, goods, measured)| match goods.check_amount(measured) {
        Ok(()) => true,
        Err(fault) => {
            faults.push((*index, fault));
            false
        }
    });
    faults.sort_by_key(|(index, _)| *index);
    (lines, faults)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Decimal {
        text.parse().expect("a number")
    }

    fn unit(name: &str, numerator: i64, decimals: i16) -> Unit {
        Unit {
            unit: name.to_owned(),
            numerator: numerator.into(),
            denominator: Decimal::ONE,
            decimals,
            is_main: numerator == 1,
        }
    }

    fn cable() -> Goods {
        Goods {
            id: 1042,
            code: "KBL-C6-305".into(),
            sku: None,
            name: "CAT6 kablo".into(),
            is_active: true,
            track_stock: true,
            vat_rate: None,
            minimum: None,
            multiple: None,
            unit: Some("MT".into()),
            levels: Vec::new(),
            units: vec![unit("MT", 1, 3), unit("MAKARA", 305, 0)],
        }
    }

    #[track_caller]
    fn fault(goods: &Goods, quantity: &str, unit: Option<&str>) -> (&'static str, &'static str) {
        let fault = goods.measure(number(quantity), unit).expect_err("refused");
        (fault.field, fault.code)
    }

    #[test]
    fn a_quantity_is_meant_in_its_unit() {
        let drums = cable().measure(number("3"), Some("MAKARA")).expect("good");
        assert_eq!((drums.quantity, drums.main_quantity), (number("3"), number("915")));
        let metres = cable().measure(number("12.500"), None).expect("good");
        assert_eq!((metres.unit.as_deref(), metres.main_quantity), (Some("MT"), number("12.5")));
    }

    #[test]
    fn a_product_without_units_has_its_own() {
        let plain = Goods { units: Vec::new(), ..cable() };
        assert_eq!(plain.measure(number("1.125"), Some("MT")).expect("good").main_quantity, number("1.125"));
        let pieces = Goods { unit: None, ..plain.clone() };
        assert_eq!(pieces.measure(number("2"), None).expect("good").unit, None);
        assert_eq!(fault(&pieces, "0.5", None), ("quantity", "fraction"));
        assert_eq!(fault(&pieces, "1", Some("ADET")), ("unit", "unknown_unit"));
        assert_eq!(fault(&plain, "1", Some("ADET")), ("unit", "unknown_unit"));
    }

    #[test]
    fn bad_quantities_are_refused() {
        assert_eq!(fault(&cable(), "0", None), ("quantity", "not_positive"));
        assert_eq!(fault(&cable(), "-1", None), ("quantity", "not_positive"));
        assert_eq!(fault(&cable(), "0.5", Some("MAKARA")), ("quantity", "fraction"));
        assert_eq!(fault(&cable(), "0.0001", None), ("quantity", "fraction"));
        assert_eq!(fault(&cable(), "100000000000000", None), ("quantity", "out_of_range"));
        assert_eq!(fault(&cable(), "79228162514264337593543950335", Some("MAKARA")), ("quantity", "out_of_range"));
        assert_eq!(fault(&cable(), "1", Some("makara")), ("unit", "unknown_unit"));
    }

    #[test]
    fn minimum_and_multiple_hold_for_the_sum_of_like_lines() {
        let goods = Goods { minimum: Some(number("10")), multiple: Some(number("5")), ..cable() };
        let of = |lines: &[(&str, Option<&'static str>)]| {
            let asked: Vec<_> =
                lines.iter().enumerate().map(|(at, (quantity, unit))| (at, number(quantity), *unit)).collect();
            let (lines, faults) = merge(asked.iter().map(|(at, quantity, unit)| (*at, &goods, *quantity, *unit)));
            let lines: Vec<_> = lines.iter().map(|(at, _, measured)| (*at, measured.main_quantity)).collect();
            (lines, faults.into_iter().map(|(at, fault)| (at, fault.code)).collect::<Vec<_>>())
        };
        assert_eq!(of(&[("5", None), ("1", Some("MAKARA")), ("5", Some("MT"))]).0, [(0, 10.into()), (1, 305.into())]);
        assert_eq!(of(&[("5", None)]).1, [(0, "below_minimum")]);
        assert_eq!(of(&[("12", None)]).1, [(0, "not_a_multiple")]);
        assert_eq!(of(&[("10", None), ("0", None), ("1", Some("KOLİ"))]).1, [(1, "not_positive"), (2, "unknown_unit")]);
        assert_eq!(of(&[("99999999999995", None), ("99999999999995", None)]).1, [(1, "out_of_range")]);
    }

    proptest! {
        /// However a quantity is cut into lines, the order takes the same.
        #[test]
        fn merging_keeps_the_sum(cuts in prop::collection::vec((1..10_000_i64, any::<bool>()), 1..50)) {
            let goods = cable();
            let asked = cuts.iter().enumerate().map(|(at, (quantity, drums))| {
                let quantity = if *drums { Decimal::from(*quantity) } else { Decimal::new(*quantity, 3) };
                (at, &goods, quantity, if *drums { Some("MAKARA") } else { None })
            });
            let (lines, faults) = merge(asked);
            prop_assert!(faults.is_empty() && lines.len() <= 2);
            let taken: Decimal = lines.iter().map(|(_, _, measured)| measured.main_quantity).sum();
            let given: Decimal = cuts
                .iter()
                .map(|(quantity, drums)| if *drums { Decimal::from(quantity * 305) } else { Decimal::new(*quantity, 3) })
                .sum();
            prop_assert_eq!(taken, given);
        }
    }
}
