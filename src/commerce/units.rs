//! Units and their factors, as unit sets and products carry them.

use rust_decimal::Decimal;
use sqlx::PgConnection;

use super::{
    check::{self, violation},
    outcome::Violation,
};
use crate::money;

/// Quantity in the main unit = quantity × numerator ÷ denominator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UnitLine<'a> {
    pub unit: &'a str,
    pub name: Option<&'a str>,
    /// 1 if not given.
    pub numerator: Option<Decimal>,
    pub denominator: Option<Decimal>,
    /// If no line says so, the main unit is the one named by the product, else the first with the factor 1.
    pub is_main: Option<bool>,
    /// How many decimals a quantity may have; by the unit's name if not given.
    pub decimals: Option<i16>,
    pub weight: Option<Decimal>,
    pub barcode: Option<&'a str>,
}

/// A line as the store holds it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoredLine<'a> {
    pub(crate) position: i16,
    pub(crate) unit: &'a str,
    pub(crate) name: Option<&'a str>,
    pub(crate) numerator: Decimal,
    pub(crate) denominator: Decimal,
    pub(crate) is_main: bool,
    pub(crate) decimals: i16,
    pub(crate) weight: Option<Decimal>,
    pub(crate) barcode: Option<&'a str>,
}

const FIELD: &str = "units";
const MAX_LINES: usize = 100;

/// Of these units those that no product and no unit set has.
pub async fn unknown(conn: &mut PgConnection, units: &[&str]) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select u.unit as "unit!" from unnest($1::text[]) as u (unit)
           where not exists (select from commerce.unit_set_line s where s.unit = u.unit)
             and not exists (select from commerce.product_unit p where p.unit = u.unit)
             and not exists (select from commerce.product p where p.unit = u.unit)"#,
        units as &[&str],
    )
    .fetch_all(conn)
    .await
}

/// The main unit's quantity of lengths, weights, areas and volumes may be a fraction; of pieces it may not.
pub(crate) fn usual_decimals(unit: &str) -> i16 {
    match crate::turkish::fold(unit).as_str() {
        "kg" | "gr" | "g" | "ton" | "mt" | "m" | "metre" | "cm" | "km" | "m2" | "m3" | "lt" | "l" | "litre" | "ml" => 3,
        _ => 0,
    }
}

/// Checked and completed lines. `main` is the main unit that the record names by itself.
pub(crate) fn stored<'a>(lines: &[UnitLine<'a>], main: Option<&str>) -> Result<Vec<StoredLine<'a>>, Violation> {
    if lines.len() > MAX_LINES {
        return Err(violation(FIELD, "too_many", lines.len(), &format!("has more than {MAX_LINES} lines")));
    }
    let mut stored: Vec<StoredLine<'a>> = Vec::with_capacity(lines.len());
    for (line, position) in lines.iter().zip(0_i16..) {
        if line.unit.is_empty() {
            return Err(check::required(FIELD));
        }
        if stored.iter().any(|earlier| earlier.unit == line.unit) {
            return Err(violation(FIELD, "unique", line.unit, "names a unit twice"));
        }
        let decimals = line.decimals.unwrap_or_else(|| usual_decimals(line.unit));
        if !(0..=4).contains(&decimals) {
            return Err(violation(
                FIELD,
                "out_of_range",
                decimals,
                "has a unit whose decimals are not between 0 and 4",
            ));
        }
        stored.push(StoredLine {
            position,
            unit: check::text(FIELD, line.unit, 20)?,
            name: line.name.filter(|name| !name.is_empty()).map(|name| check::text(FIELD, name, 50)).transpose()?,
            numerator: check::positive(FIELD, line.numerator.unwrap_or(Decimal::ONE), money::RATE)?,
            denominator: check::positive(FIELD, line.denominator.unwrap_or(Decimal::ONE), money::RATE)?,
            is_main: line.is_main.unwrap_or(false),
            decimals,
            weight: line.weight.map(|weight| check::not_negative(FIELD, weight, money::WEIGHT)).transpose()?,
            barcode: line
                .barcode
                .filter(|code| !code.is_empty())
                .map(|code| check::text(FIELD, code, 50))
                .transpose()?,
        });
    }
    name_main(&mut stored, main)?;
    Ok(stored)
}

fn name_main(lines: &mut [StoredLine<'_>], main: Option<&str>) -> Result<(), Violation> {
    let flagged = lines.iter().filter(|line| line.is_main).count();
    if flagged > 1 {
        return Err(violation(FIELD, "one_main", flagged, "has more than one main unit"));
    }
    if flagged == 0 && !lines.is_empty() {
        let named = lines.iter().position(|line| Some(line.unit) == main);
        let found = named.or_else(|| lines.iter().position(|line| line.numerator == line.denominator));
        let Some(place) = found else {
            return Err(violation(FIELD, "no_main", lines[0].unit, "has no main unit: none has the factor 1"));
        };
        lines[place].is_main = true;
    }
    match lines.iter().find(|line| line.is_main && line.numerator != line.denominator) {
        Some(line) => Err(violation(FIELD, "main_factor", line.unit, "has a main unit whose factor is not 1")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(unit: &str, numerator: i64, denominator: i64) -> UnitLine<'_> {
        UnitLine {
            unit,
            numerator: Some(numerator.into()),
            denominator: Some(denominator.into()),
            ..UnitLine::default()
        }
    }

    fn refused(lines: &[UnitLine<'_>]) -> &'static str {
        stored(lines, None).expect_err("refused").rule
    }

    #[test]
    fn the_main_unit_is_found() {
        let lines = stored(&[line("MAKARA", 305, 1), line("MT", 1, 1)], None).expect("good");
        assert!(!lines[0].is_main && lines[1].is_main);
        assert_eq!((lines[0].decimals, lines[1].decimals), (0, 3));
        let named = stored(&[line("ADET", 1, 1), line("PARCA", 1, 1)], Some("PARCA")).expect("good");
        assert!(named[1].is_main && !named[0].is_main);
        assert!(stored(&[], None).expect("none is fine").is_empty());
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(refused(&[line("A", 0, 1)]), "not_positive");
        assert_eq!(refused(&[line("A", 1, -1)]), "negative");
        assert_eq!(refused(&[line("A", 2, 1)]), "no_main");
        assert_eq!(refused(&[line("A", 1, 1), line("A", 2, 1)]), "unique");
        assert_eq!(refused(&[UnitLine { is_main: Some(true), ..line("A", 2, 1) }]), "main_factor");
        let main = UnitLine { is_main: Some(true), ..line("A", 1, 1) };
        assert_eq!(refused(&[main, UnitLine { unit: "B", ..main }]), "one_main");
        assert_eq!(refused(&[line("", 1, 1)]), "required");
    }
}
