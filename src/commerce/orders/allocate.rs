//! From which warehouses an order is taken.
//!
//! The rule, for all lines of an order together:
//! 1. One warehouse that has everything, the one with the first code.
//! 2. Otherwise line by line, in their order: one warehouse that has the whole line, the one with the first code;
//! 3. and where none has, several: those that have most first.
//!
//! Codes are ordered as numbers are: shorter ones first, then by their letters.

use std::collections::{BTreeMap, HashMap};

use rust_decimal::Decimal;

/// What a line wants, in the main unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    pub product: i64,
    pub quantity: Decimal,
}

/// What a warehouse has to sell of a product now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    pub id: i64,
    pub product: i64,
    pub warehouse: String,
    pub available: Decimal,
}

/// So much of a level for a line (by its place among the demands).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    pub line: usize,
    pub level: i64,
    pub quantity: Decimal,
}

/// A line that cannot be served, and what there would be for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Short {
    pub line: usize,
    pub available: Decimal,
}

/// Everything, or the lines for which it does not suffice.
pub fn allocate(demands: &[Demand], levels: &[Level]) -> Result<Vec<Taken>, Vec<Short>> {
    let mut stock = Stock::of(levels);
    if let Some(taken) = stock.one_warehouse(demands) {
        return Ok(taken);
    }
    let mut taken = Vec::with_capacity(demands.len());
    let mut short = Vec::new();
    for (line, demand) in demands.iter().enumerate() {
        let available = stock.available(demand.product);
        if available < demand.quantity {
            short.push(Short { line, available });
        } else {
            stock.take(line, demand, &mut taken);
        }
    }
    if short.is_empty() { Ok(taken) } else { Err(short) }
}

struct Place<'a> {
    level: i64,
    warehouse: &'a str,
    left: Decimal,
}

/// What is left of each product, by warehouse in the order of codes.
struct Stock<'a>(HashMap<i64, Vec<Place<'a>>>);

impl<'a> Stock<'a> {
    fn of(levels: &'a [Level]) -> Stock<'a> {
        let mut stock: HashMap<i64, Vec<Place<'a>>> = HashMap::new();
        for level in levels.iter().filter(|level| level.available > Decimal::ZERO) {
            let place = Place { level: level.id, warehouse: &level.warehouse, left: level.available };
            stock.entry(level.product).or_default().push(place);
        }
        for places in stock.values_mut() {
            places.sort_by_key(|place| (place.warehouse.len(), place.warehouse));
        }
        Stock(stock)
    }

    fn places(&self, product: i64) -> &[Place<'a>] {
        self.0.get(&product).map_or(&[], Vec::as_slice)
    }

    fn available(&self, product: i64) -> Decimal {
        self.places(product).iter().map(|place| place.left).sum()
    }

    fn one_warehouse(&self, demands: &[Demand]) -> Option<Vec<Taken>> {
        let mut wanted: BTreeMap<i64, Decimal> = BTreeMap::new();
        for demand in demands {
            *wanted.entry(demand.product).or_default() += demand.quantity;
        }
        let first = demands.first()?;
        let has = |warehouse: &str, product: i64, quantity: Decimal| {
            self.places(product).iter().any(|place| place.warehouse == warehouse && place.left >= quantity)
        };
        let whole = self
            .places(first.product)
            .iter()
            .find(|candidate| wanted.iter().all(|(product, quantity)| has(candidate.warehouse, *product, *quantity)))?;
        let taken = demands.iter().enumerate().filter_map(|(line, demand)| {
            let place = self.places(demand.product).iter().find(|place| place.warehouse == whole.warehouse)?;
            Some(Taken { line, level: place.level, quantity: demand.quantity })
        });
        Some(taken.collect())
    }

    /// There is enough.
    fn take(&mut self, line: usize, demand: &Demand, taken: &mut Vec<Taken>) {
        let Some(places) = self.0.get_mut(&demand.product) else { return };
        let mut order: Vec<usize> = (0..places.len()).collect();
        match places.iter().position(|place| place.left >= demand.quantity) {
            Some(whole) => order = vec![whole],
            None => order.sort_by_key(|at| std::cmp::Reverse(places[*at].left)),
        }
        let mut missing = demand.quantity;
        for at in order {
            let place = &mut places[at];
            let quantity = missing.min(place.left);
            if quantity > Decimal::ZERO {
                place.left -= quantity;
                missing -= quantity;
                taken.push(Taken { line, level: place.level, quantity });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn level(id: i64, product: i64, warehouse: &str, available: i64) -> Level {
        Level { id, product, warehouse: warehouse.to_owned(), available: available.into() }
    }

    fn demand(product: i64, quantity: i64) -> Demand {
        Demand { product, quantity: quantity.into() }
    }

    fn taken(demands: &[Demand], levels: &[Level]) -> Vec<(usize, i64, i64)> {
        let taken = allocate(demands, levels).expect("there is enough");
        taken.iter().map(|it| (it.line, it.level, i64::try_from(it.quantity).expect("whole"))).collect()
    }

    #[test]
    fn one_warehouse_that_has_everything_goes_first() {
        let levels = [level(1, 7, "10", 5), level(2, 7, "2", 5), level(3, 8, "10", 5), level(4, 7, "0", 50)];
        assert_eq!(taken(&[demand(7, 5), demand(8, 1)], &levels), [(0, 1, 5), (1, 3, 1)]);
        assert_eq!(taken(&[demand(7, 5)], &levels), [(0, 4, 5)], "the first code");
    }

    #[test]
    fn else_each_line_from_one_and_only_then_from_several() {
        let levels = [level(1, 7, "0", 3), level(2, 7, "1", 9), level(3, 7, "2", 9), level(4, 8, "3", 1)];
        assert_eq!(taken(&[demand(7, 9), demand(8, 1)], &levels), [(0, 2, 9), (1, 4, 1)]);
        assert_eq!(taken(&[demand(7, 20)], &levels), [(0, 2, 9), (0, 3, 9), (0, 1, 2)], "most first");
    }

    #[test]
    fn what_does_not_suffice_is_told_for_every_line() {
        let levels = [level(1, 7, "0", 3), level(2, 8, "0", -4)];
        let short = allocate(&[demand(7, 2), demand(7, 2), demand(8, 1), demand(9, 1)], &levels).expect_err("short");
        let told: Vec<_> = short.iter().map(|it| (it.line, it.available)).collect();
        assert_eq!(told, [(1, 1.into()), (2, 0.into()), (3, 0.into())]);
    }

    proptest! {
        /// Never more than there is, always as much as was asked for, and refused only when the sum does not suffice.
        #[test]
        fn nothing_is_sold_twice(
            demands in prop::collection::vec((0..4_i64, 1..40_i64), 1..12),
            stock in prop::collection::vec((0..4_i64, -5..60_i64), 0..20),
        ) {
            let demands: Vec<Demand> = demands.iter().map(|(product, quantity)| demand(*product, *quantity)).collect();
            let levels: Vec<Level> =
                stock.iter().zip(1..).map(|((product, quantity), id)| level(id, *product, &id.to_string(), *quantity)).collect();
            let wanted = |product: i64| -> Decimal {
                demands.iter().filter(|it| it.product == product).map(|it| it.quantity).sum()
            };
            let has = |product: i64| -> Decimal {
                levels.iter().filter(|it| it.product == product).map(|it| it.available.max(Decimal::ZERO)).sum()
            };
            match allocate(&demands, &levels) {
                Ok(taken) => {
                    for level in &levels {
                        let sum: Decimal = taken.iter().filter(|it| it.level == level.id).map(|it| it.quantity).sum();
                        prop_assert!(sum <= level.available.max(Decimal::ZERO));
                        prop_assert!(taken.iter().filter(|it| it.level == level.id).all(|it| demands[it.line].product == level.product));
                    }
                    for (line, demand) in demands.iter().enumerate() {
                        let sum: Decimal = taken.iter().filter(|it| it.line == line).map(|it| it.quantity).sum();
                        prop_assert_eq!(sum, demand.quantity);
                    }
                }
                Err(short) => {
                    prop_assert!(!short.is_empty());
                    prop_assert!((0..4).any(|product| wanted(product) > has(product)));
                }
            }
        }
    }
}
