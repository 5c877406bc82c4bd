//! Every SQL text that the connector ever sends, and the way back from a text to its parameters.
//!
//! Invariants
//! - The texts stand in `connectors/logo/sql/`; nothing else is sent through `queries`.
//! - Columns carry the names of the data objects (`CODE`, `GROUP_CODE` …), so that one mapping reads the rows of both
//!   ways in; the change stamp is `STAMP`, ISO text in the server's local time.
//! - [`recognise`] is the exact inverse of [`render`]: the sandbox answers those texts and no others.
//! - Parameters are numbers, stamps and closed vocabularies. No text of a user or of LOGO is ever put into SQL.

use std::{collections::BTreeMap, fmt, sync::LazyLock};

use chrono::NaiveDateTime;
use serde::{Deserialize, Serialize};

/// A page by LOGICALREF: rows after this reference, at most `limit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After {
    pub reference: i64,
    pub limit: u32,
}

/// A page by (stamp, LOGICALREF), in strict tuple order: rows after this pair, at most `limit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since {
    pub stamp: NaiveDateTime,
    pub reference: i64,
    pub limit: u32,
}

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

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    ServerTime,
    Periods {
        firm: u16,
    },
    GroupCodes {
        firm: u16,
        code_type: u16,
        card_type: u16,
        after: After,
    },
    Brands {
        firm: u16,
        after: After,
    },
    UnitSets {
        firm: u16,
        after: After,
    },
    /// The lines of the sets from `first` to `last`, after (`set`, `line`).
    UnitSetLines {
        firm: u16,
        first: i64,
        last: i64,
        set: i64,
        line: i64,
        limit: u32,
    },
    Items {
        firm: u16,
        after: After,
    },
    ItemsChanged {
        firm: u16,
        since: Since,
    },
    Customers {
        firm: u16,
        after: After,
    },
    CustomersChanged {
        firm: u16,
        since: Since,
    },
    Prices {
        firm: u16,
        after: After,
    },
    PricesChanged {
        firm: u16,
        since: Since,
    },
    Stock {
        firm: u16,
        page: StockPage,
    },
    /// Stock of the items that a slip or an order written since `stamp` names.
    StockChanged {
        firm: u16,
        stamp: NaiveDateTime,
        page: StockPage,
    },
}

/// Whether the running totals are the table (older builds) or the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum StockTable {
    #[serde(rename = "LG")]
    Table,
    #[default]
    #[serde(rename = "LV")]
    View,
}

impl StockTable {
    const fn prefix(self) -> &'static str {
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
    fn predicate(&self) -> String {
        match self {
            Warehouses::Total => "T.INVENNO = -1".to_owned(),
            Warehouses::Each => "T.INVENNO >= 0".to_owned(),
            Warehouses::Only(numbers) => {
                let list: Vec<String> = numbers.iter().map(u16::to_string).collect();
                format!("T.INVENNO IN ({})", list.join(", "))
            }
        }
    }

    fn read(text: &str) -> Option<Warehouses> {
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
    first: StockColumn,
    /// `true`: added; `false`: subtracted.
    rest: Vec<(bool, StockColumn)>,
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

    fn sql(&self) -> String {
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

/// A text with named places, its comments and line breaks taken out.
struct Template {
    /// What stands before each place, and the place's name.
    parts: Vec<(String, String)>,
    tail: String,
}

impl Template {
    fn new(source: &str) -> Template {
        let text: Vec<&str> = source
            .lines()
            .filter(|line| !line.trim_start().starts_with("--"))
            .flat_map(str::split_whitespace)
            .collect();
        let text = text.join(" ");
        let mut parts = Vec::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else { break };
            parts.push((before.to_owned(), name.to_owned()));
            rest = after;
        }
        Template { parts, tail: rest.to_owned() }
    }

    fn fill(&self, values: &Values) -> String {
        let mut text = String::with_capacity(2048);
        for (before, name) in &self.parts {
            text.push_str(before);
            text.push_str(values.get(name.as_str()).map_or("", String::as_str));
        }
        text.push_str(&self.tail);
        text
    }

    fn read<'t>(&'t self, text: &str) -> Option<BTreeMap<&'t str, String>> {
        let mut values: BTreeMap<&str, String> = BTreeMap::new();
        let mut rest = text.strip_prefix(self.parts.first().map_or(self.tail.as_str(), |(before, _)| before))?;
        for (place, (_, name)) in self.parts.iter().enumerate() {
            let next = self.parts.get(place + 1).map_or(self.tail.as_str(), |(before, _)| before);
            let last = place + 1 == self.parts.len();
            let end = match next {
                "" if last => rest.len(),
                _ => rest.find(next)?,
            };
            let value = &rest[..end];
            if values.get(name.as_str()).is_some_and(|seen| seen != value) {
                return None;
            }
            values.insert(name, value.to_owned());
            rest = &rest[end + next.len()..];
        }
        rest.is_empty().then_some(values)
    }
}

type Values = BTreeMap<&'static str, String>;

const KINDS: usize = 14;

static TEMPLATES: LazyLock<[Template; KINDS]> = LazyLock::new(|| {
    [
        include_str!("../sql/server_time.sql"),
        include_str!("../sql/periods.sql"),
        include_str!("../sql/group_codes.sql"),
        include_str!("../sql/brands.sql"),
        include_str!("../sql/unit_sets.sql"),
        include_str!("../sql/unit_set_lines.sql"),
        include_str!("../sql/items.sql"),
        include_str!("../sql/items_changed.sql"),
        include_str!("../sql/customers.sql"),
        include_str!("../sql/customers_changed.sql"),
        include_str!("../sql/prices.sql"),
        include_str!("../sql/prices_changed.sql"),
        include_str!("../sql/stock.sql"),
        include_str!("../sql/stock_changed.sql"),
    ]
    .map(Template::new)
});

/// The text that is sent for a query: one line, no comments.
pub fn render(query: &Query) -> String {
    TEMPLATES[place(query)].fill(&values(query))
}

/// The query that [`render`] wrote as this text; `None` for any other text.
pub fn recognise(text: &str) -> Option<Query> {
    TEMPLATES.iter().enumerate().find_map(|(place, template)| {
        let query = build(place, &Read(template.read(text)?))?;
        (render(&query) == text).then_some(query)
    })
}

const fn place(query: &Query) -> usize {
    match query {
        Query::ServerTime => 0,
        Query::Periods { .. } => 1,
        Query::GroupCodes { .. } => 2,
        Query::Brands { .. } => 3,
        Query::UnitSets { .. } => 4,
        Query::UnitSetLines { .. } => 5,
        Query::Items { .. } => 6,
        Query::ItemsChanged { .. } => 7,
        Query::Customers { .. } => 8,
        Query::CustomersChanged { .. } => 9,
        Query::Prices { .. } => 10,
        Query::PricesChanged { .. } => 11,
        Query::Stock { .. } => 12,
        Query::StockChanged { .. } => 13,
    }
}

fn values(query: &Query) -> Values {
    let mut values = Values::new();
    match query {
        Query::ServerTime => {}
        Query::Periods { firm } => {
            values.insert("firm_nr", firm.to_string());
        }
        Query::GroupCodes { firm, code_type, card_type, after } => {
            values.insert("code_type", code_type.to_string());
            values.insert("card_type", card_type.to_string());
            put_after(&mut values, *firm, after);
        }
        Query::Brands { firm, after }
        | Query::UnitSets { firm, after }
        | Query::Items { firm, after }
        | Query::Customers { firm, after }
        | Query::Prices { firm, after } => put_after(&mut values, *firm, after),
        Query::UnitSetLines { firm, first, last, set, line, limit } => {
            put_firm(&mut values, *firm);
            values.insert("first", first.to_string());
            values.insert("last", last.to_string());
            values.insert("after_set", set.to_string());
            values.insert("after_line", line.to_string());
            values.insert("limit", limit.to_string());
        }
        Query::ItemsChanged { firm, since }
        | Query::CustomersChanged { firm, since }
        | Query::PricesChanged { firm, since } => {
            put_firm(&mut values, *firm);
            put_stamp(&mut values, since.stamp);
            values.insert("after", since.reference.to_string());
            values.insert("limit", since.limit.to_string());
        }
        Query::Stock { firm, page } => put_stock(&mut values, *firm, page),
        Query::StockChanged { firm, stamp, page } => {
            put_stamp(&mut values, *stamp);
            put_stock(&mut values, *firm, page);
        }
    }
    values
}

fn put_firm(values: &mut Values, firm: u16) {
    values.insert("firm", format!("{firm:03}"));
}

fn put_after(values: &mut Values, firm: u16, after: &After) {
    put_firm(values, firm);
    values.insert("after", after.reference.to_string());
    values.insert("limit", after.limit.to_string());
}

/// `day` is the form that no language setting of the server reads otherwise, and so is the `T` of `since`.
fn put_stamp(values: &mut Values, stamp: NaiveDateTime) {
    values.insert("day", stamp.format("%Y%m%d").to_string());
    values.insert("since", stamp.format(STAMP).to_string());
}

fn put_stock(values: &mut Values, firm: u16, page: &StockPage) {
    put_firm(values, firm);
    values.insert("period", format!("{:02}", page.period));
    values.insert("table", page.table.prefix().to_owned());
    values.insert("formula", page.formula.sql());
    values.insert("warehouses", page.warehouses.predicate());
    values.insert("after_item", page.item.to_string());
    values.insert("after_warehouse", page.warehouse.to_string());
    values.insert("limit", page.limit.to_string());
}

/// How a stamp is written, in parameters and in the `STAMP` column.
pub const STAMP: &str = "%Y-%m-%dT%H:%M:%S";

/// The values found in a text.
struct Read<'t>(BTreeMap<&'t str, String>);

impl Read<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }

    fn stamp(&self) -> Option<NaiveDateTime> {
        NaiveDateTime::parse_from_str(self.text("since")?, STAMP).ok()
    }

    fn after(&self) -> Option<After> {
        Some(After { reference: self.number("after")?, limit: self.number("limit")? })
    }

    fn since(&self) -> Option<Since> {
        Some(Since { stamp: self.stamp()?, reference: self.number("after")?, limit: self.number("limit")? })
    }

    fn stock(&self) -> Option<StockPage> {
        Some(StockPage {
            period: self.number("period")?,
            table: [StockTable::Table, StockTable::View]
                .into_iter()
                .find(|table| Some(table.prefix()) == self.text("table"))?,
            formula: StockFormula::parse(&self.text("formula")?.replace("T.", ""))?,
            warehouses: Warehouses::read(self.text("warehouses")?)?,
            item: self.number("after_item")?,
            warehouse: self.number("after_warehouse")?,
            limit: self.number("limit")?,
        })
    }
}

fn build(place: usize, read: &Read<'_>) -> Option<Query> {
    let firm = || read.number::<u16>("firm");
    Some(match place {
        0 => Query::ServerTime,
        1 => Query::Periods { firm: read.number("firm_nr")? },
        2 => Query::GroupCodes {
            firm: firm()?,
            code_type: read.number("code_type")?,
            card_type: read.number("card_type")?,
            after: read.after()?,
        },
        3 => Query::Brands { firm: firm()?, after: read.after()? },
        4 => Query::UnitSets { firm: firm()?, after: read.after()? },
        5 => Query::UnitSetLines {
            firm: firm()?,
            first: read.number("first")?,
            last: read.number("last")?,
            set: read.number("after_set")?,
            line: read.number("after_line")?,
            limit: read.number("limit")?,
        },
        6 => Query::Items { firm: firm()?, after: read.after()? },
        7 => Query::ItemsChanged { firm: firm()?, since: read.since()? },
        8 => Query::Customers { firm: firm()?, after: read.after()? },
        9 => Query::CustomersChanged { firm: firm()?, since: read.since()? },
        10 => Query::Prices { firm: firm()?, after: read.after()? },
        11 => Query::PricesChanged { firm: firm()?, since: read.since()? },
        12 => Query::Stock { firm: firm()?, page: read.stock()? },
        13 => Query::StockChanged { firm: firm()?, stamp: read.stamp()?, page: read.stock()? },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;
    use proptest::prelude::*;

    use super::*;

    fn stamps() -> impl Strategy<Value = NaiveDateTime> {
        (0i64..4_000_000_000).prop_map(|seconds| chrono::DateTime::from_timestamp(seconds, 0).unwrap().naive_utc())
    }

    fn afters() -> impl Strategy<Value = After> {
        (any::<i64>(), any::<u32>()).prop_map(|(reference, limit)| After { reference, limit })
    }

    fn sinces() -> impl Strategy<Value = Since> {
        (stamps(), any::<i64>(), any::<u32>()).prop_map(|(stamp, reference, limit)| Since { stamp, reference, limit })
    }

    fn formulas() -> impl Strategy<Value = StockFormula> {
        let column = || (0usize..4).prop_map(|place| StockColumn::ALL[place]);
        (column(), prop::collection::vec((any::<bool>(), column()), 0..4))
            .prop_map(|(first, rest)| StockFormula { first, rest })
    }

    fn stock_pages() -> impl Strategy<Value = StockPage> {
        let warehouses = prop_oneof![
            Just(Warehouses::Total),
            Just(Warehouses::Each),
            prop::collection::vec(any::<u16>(), 1..5).prop_map(Warehouses::Only)
        ];
        let table = prop_oneof![Just(StockTable::Table), Just(StockTable::View)];
        (1u16..100, table, formulas(), warehouses, any::<i64>(), any::<i64>(), any::<u32>()).prop_map(
            |(period, table, formula, warehouses, item, warehouse, limit)| StockPage {
                period,
                table,
                formula,
                warehouses,
                item,
                warehouse,
                limit,
            },
        )
    }

    fn queries() -> impl Strategy<Value = Query> {
        let firm = 1u16..1000;
        prop_oneof![
            Just(Query::ServerTime),
            firm.clone().prop_map(|firm| Query::Periods { firm }),
            (firm.clone(), any::<u16>(), any::<u16>(), afters()).prop_map(|(firm, code_type, card_type, after)| {
                Query::GroupCodes { firm, code_type, card_type, after }
            }),
            (firm.clone(), afters()).prop_map(|(firm, after)| Query::Brands { firm, after }),
            (firm.clone(), afters()).prop_map(|(firm, after)| Query::UnitSets { firm, after }),
            (firm.clone(), any::<i64>(), any::<i64>(), any::<i64>(), any::<i64>(), any::<u32>()).prop_map(
                |(firm, first, last, set, line, limit)| Query::UnitSetLines { firm, first, last, set, line, limit }
            ),
            (firm.clone(), afters()).prop_map(|(firm, after)| Query::Items { firm, after }),
            (firm.clone(), sinces()).prop_map(|(firm, since)| Query::ItemsChanged { firm, since }),
            (firm.clone(), afters()).prop_map(|(firm, after)| Query::Customers { firm, after }),
            (firm.clone(), sinces()).prop_map(|(firm, since)| Query::CustomersChanged { firm, since }),
            (firm.clone(), afters()).prop_map(|(firm, after)| Query::Prices { firm, after }),
            (firm.clone(), sinces()).prop_map(|(firm, since)| Query::PricesChanged { firm, since }),
            (firm.clone(), stock_pages()).prop_map(|(firm, page)| Query::Stock { firm, page }),
            (firm, stamps(), stock_pages()).prop_map(|(firm, stamp, page)| Query::StockChanged { firm, stamp, page }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_rendered_is_recognised(query in queries()) {
            let text = render(&query);
            prop_assert!(!text.contains(['{', '}', '\n']) && !text.contains("--"), "{}", text);
            prop_assert_eq!(recognise(&text), Some(query));
        }

        #[test]
        fn one_changed_character_is_another_text(query in queries(), at in any::<prop::sample::Index>()) {
            let text = render(&query);
            let mut other = text.clone().into_bytes();
            let at = at.index(other.len());
            other[at] = if other[at] == b'#' { b'?' } else { b'#' };
            prop_assert_ne!(recognise(std::str::from_utf8(&other).unwrap()), Some(query));
        }
    }

    #[test]
    fn names_are_padded_and_stamps_unambiguous() {
        let stamp = NaiveDate::from_ymd_opt(2026, 2, 27).unwrap().and_hms_opt(16, 5, 31).unwrap();
        let text = render(&Query::ItemsChanged { firm: 7, since: Since { stamp, reference: 1041, limit: 1000 } });
        assert!(text.starts_with("SELECT TOP (1000) I.LOGICALREF AS INTERNAL_REFERENCE"), "{text}");
        assert!(text.contains("FROM LG_007_ITEMS I WITH (NOLOCK)"), "{text}");
        assert!(
            text.contains("I.CAPIBLOCK_MODIFIEDDATE >= '20260227' OR I.CAPIBLOCK_CREADEDDATE >= '20260227'"),
            "{text}"
        );
        assert!(
            text.ends_with(
                "(S.ST > '2026-02-27T16:05:31' OR (S.ST = '2026-02-27T16:05:31' AND I.LOGICALREF > 1041)) \
                 ORDER BY S.ST, I.LOGICALREF"
            ),
            "{text}"
        );
    }

    #[test]
    fn the_total_never_stands_beside_its_parts() {
        for (warehouses, predicate) in [
            (Warehouses::Total, "T.INVENNO = -1"),
            (Warehouses::Each, "T.INVENNO >= 0"),
            (Warehouses::Only(vec![0, 2]), "T.INVENNO IN (0, 2)"),
        ] {
            let page = StockPage {
                period: 1,
                table: StockTable::View,
                formula: StockFormula::default(),
                warehouses,
                item: 0,
                warehouse: 0,
                limit: 10,
            };
            let text = render(&Query::Stock { firm: 7, page });
            assert!(text.contains("FROM LV_007_01_GNTOTST T"), "{text}");
            assert!(text.contains("CAST(T.ONHAND - T.RESERVED AS decimal(18,4)) AS AVAILABLE"), "{text}");
            assert_eq!(
                text.matches("T.INVENNO =").count() + text.matches("T.INVENNO >=").count(),
                usize::from(predicate != "T.INVENNO IN (0, 2)"),
                "{text}"
            );
            assert!(text.contains(predicate), "{text}");
        }
    }

    #[test]
    fn formulas_are_a_closed_language() {
        assert_eq!(StockFormula::parse("ONHAND − RESERVED"), Some(StockFormula::default()));
        assert_eq!(
            StockFormula::parse("ONHAND-RESERVED - ACTSORDER").map(|formula| formula.to_string()).as_deref(),
            Some("ONHAND - RESERVED - ACTSORDER")
        );
        for bad in ["", "ONHAND -", "ONHAND RESERVED", "ONHAND * 2", "ONHAND; DROP TABLE X", "onhand", "- ONHAND"] {
            assert_eq!(StockFormula::parse(bad), None, "{bad}");
        }
    }
}
