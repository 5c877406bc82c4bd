//! The closed vocabulary of the stock queries.

use std::fmt;

/// A page of stock rows by (item, warehouse).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockPage {
    pub period: u16,
    pub table: StockTable,
    pub formula: StockFormula,
    pub warehouses: Warehouses,
    pub item: i64,
    pub warehouse: i64,
    pub limit: u32,
}

/// Whether the running totals are the table (older builds) or the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StockTable {
    Table,
    #[default]
    View,
}

impl StockTable {
    pub(super) const fn prefix(self) -> &'static str {
        match self {
            StockTable::Table => "LG",
            StockTable::View => "LV",
        }
    }
}

/// Which rows of the running totals are read: INVENNO −1 is the sum of all warehouses, so never both.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Warehouses {
    Total,
    #[default]
    Each,
    /// These warehouse numbers only, ascending and without repeats.
    Only(Vec<u16>),
}

impl Warehouses {
    pub(super) fn predicate(&self) -> String {
        match self {
            Warehouses::Total => "T.INVENNO = -1".to_owned(),
            Warehouses::Each => "T.INVENNO >= 0".to_owned(),
            Warehouses::Only(numbers) => {
                let list: Vec<String> = numbers.iter().map(u16::to_string).collect();
                format!("T.INVENNO IN ({})", list.join(", "))
            }
        }
    }

    pub(super) fn read(text: &str) -> Option<Warehouses> {
        match text {
            "T.INVENNO = -1" => Some(Warehouses::Total),
            "T.INVENNO >= 0" => Some(Warehouses::Each),
            _ => {
                let list = text.strip_prefix("T.INVENNO IN (")?.strip_suffix(')')?;
                let numbers: Option<Vec<u16>> = list.split(", ").map(|number| number.parse().ok()).collect();
                Some(Warehouses::Only(numbers?))
            }
        }
    }
}

/// A column of the running totals that a stock formula may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StockColumn {
    OnHand,
    Reserved,
    SalesOrders,
    PurchaseOrders,
}

impl StockColumn {
    pub const ALL: [StockColumn; 4] =
        [StockColumn::OnHand, StockColumn::Reserved, StockColumn::SalesOrders, StockColumn::PurchaseOrders];

    pub const fn as_str(self) -> &'static str {
        match self {
            StockColumn::OnHand => "ONHAND",
            StockColumn::Reserved => "RESERVED",
            StockColumn::SalesOrders => "ACTSORDER",
            StockColumn::PurchaseOrders => "ACTPORDER",
        }
    }
}

/// What the site calls available: a sum and difference of columns, `ONHAND - RESERVED` unless set otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockFormula {
    pub(super) first: StockColumn,
    /// `true`: added; `false`: subtracted.
    pub(super) rest: Vec<(bool, StockColumn)>,
}

impl Default for StockFormula {
    fn default() -> StockFormula {
        StockFormula { first: StockColumn::OnHand, rest: vec![(false, StockColumn::Reserved)] }
    }
}

impl StockFormula {
    /// Columns and the signs `+` and `-`; a minus may be typographic. `None` for anything else.
    pub fn parse(text: &str) -> Option<StockFormula> {
        let spaced = text.replace('−', "-").replace('+', " + ").replace('-', " - ");
        let mut words = spaced.split_whitespace();
        let column = |word: Option<&str>| {
            word.and_then(|word| StockColumn::ALL.into_iter().find(|column| column.as_str() == word))
        };
        let mut formula = StockFormula { first: column(words.next())?, rest: Vec::new() };
        while let Some(sign) = words.next() {
            let add = match sign {
                "+" => true,
                "-" => false,
                _ => return None,
            };
            formula.rest.push((add, column(words.next())?));
        }
        Some(formula)
    }

    /// With its sign: `true` for what adds.
    pub fn terms(&self) -> impl Iterator<Item = (bool, StockColumn)> {
        std::iter::once((true, self.first)).chain(self.rest.iter().copied())
    }

    pub(super) fn sql(&self) -> String {
        let mut text = format!("T.{}", self.first.as_str());
        for (add, column) in &self.rest {
            text.push_str(if *add { " + T." } else { " - T." });
            text.push_str(column.as_str());
        }
        text
    }
}

impl fmt::Display for StockFormula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sql().replace("T.", ""))
    }
}
