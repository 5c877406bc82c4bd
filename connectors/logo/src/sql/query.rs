//! The queries, each with its text.

use std::{collections::BTreeMap, sync::LazyLock};

use chrono::NaiveDateTime;

use super::{
    items::WhichItems,
    stock::{StockFormula, StockPage, StockTable, Warehouses},
    template::{Template, Values},
};

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
    /// The units of items, after (`item`, `line`).
    ItemUnits {
        firm: u16,
        items: WhichItems,
        item: i64,
        line: i64,
        limit: u32,
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
    Orders {
        firm: u16,
        period: u16,
        after: After,
    },
    OrdersChanged {
        firm: u16,
        period: u16,
        since: Since,
    },
    OrderLines(Children),
    Invoices {
        firm: u16,
        period: u16,
        after: After,
    },
    InvoicesChanged {
        firm: u16,
        period: u16,
        since: Since,
    },
    InvoiceLines(Children),
    InvoicePayments(Children),
    Ledger {
        firm: u16,
        period: u16,
        after: After,
    },
    LedgerChanged {
        firm: u16,
        period: u16,
        since: Since,
    },
}

/// What belongs to the documents of one page: rows after (`document`, `line`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Children {
    pub firm: u16,
    pub period: u16,
    pub documents: WhichItems,
    pub document: i64,
    pub line: i64,
    pub limit: u32,
}

const KINDS: usize = 24;

static TEMPLATES: LazyLock<[Template; KINDS]> = LazyLock::new(|| {
    [
        include_str!("../../sql/server_time.sql"),
        include_str!("../../sql/periods.sql"),
        include_str!("../../sql/group_codes.sql"),
        include_str!("../../sql/brands.sql"),
        include_str!("../../sql/unit_sets.sql"),
        include_str!("../../sql/unit_set_lines.sql"),
        include_str!("../../sql/items.sql"),
        include_str!("../../sql/items_changed.sql"),
        include_str!("../../sql/customers.sql"),
        include_str!("../../sql/customers_changed.sql"),
        include_str!("../../sql/prices.sql"),
        include_str!("../../sql/prices_changed.sql"),
        include_str!("../../sql/stock.sql"),
        include_str!("../../sql/stock_changed.sql"),
        include_str!("../../sql/item_units.sql"),
        include_str!("../../sql/orders.sql"),
        include_str!("../../sql/orders_changed.sql"),
        include_str!("../../sql/order_lines.sql"),
        include_str!("../../sql/invoices.sql"),
        include_str!("../../sql/invoices_changed.sql"),
        include_str!("../../sql/invoice_lines.sql"),
        include_str!("../../sql/invoice_payments.sql"),
        include_str!("../../sql/ledger.sql"),
        include_str!("../../sql/ledger_changed.sql"),
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
        Query::ItemUnits { .. } => 14,
        Query::Orders { .. } => 15,
        Query::OrdersChanged { .. } => 16,
        Query::OrderLines(_) => 17,
        Query::Invoices { .. } => 18,
        Query::InvoicesChanged { .. } => 19,
        Query::InvoiceLines(_) => 20,
        Query::InvoicePayments(_) => 21,
        Query::Ledger { .. } => 22,
        Query::LedgerChanged { .. } => 23,
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
        Query::ItemUnits { firm, items, item, line, limit } => {
            put_firm(&mut values, *firm);
            values.insert("items", items.predicate());
            values.insert("after_item", item.to_string());
            values.insert("after_line", line.to_string());
            values.insert("limit", limit.to_string());
        }
        Query::ItemsChanged { firm, since }
        | Query::CustomersChanged { firm, since }
        | Query::PricesChanged { firm, since } => put_since(&mut values, *firm, since),
        Query::Orders { firm, period, after }
        | Query::Invoices { firm, period, after }
        | Query::Ledger { firm, period, after } => {
            put_after(&mut values, *firm, after);
            put_period(&mut values, *period);
        }
        Query::OrdersChanged { firm, period, since }
        | Query::InvoicesChanged { firm, period, since }
        | Query::LedgerChanged { firm, period, since } => {
            put_since(&mut values, *firm, since);
            put_period(&mut values, *period);
        }
        Query::OrderLines(children) | Query::InvoiceLines(children) | Query::InvoicePayments(children) => {
            put_firm(&mut values, children.firm);
            put_period(&mut values, children.period);
            values.insert("items", children.documents.predicate());
            values.insert("after_item", children.document.to_string());
            values.insert("after_line", children.line.to_string());
            values.insert("limit", children.limit.to_string());
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

fn put_period(values: &mut Values, period: u16) {
    values.insert("period", format!("{period:02}"));
}

fn put_since(values: &mut Values, firm: u16, since: &Since) {
    put_firm(values, firm);
    put_stamp(values, since.stamp);
    values.insert("after", since.reference.to_string());
    values.insert("limit", since.limit.to_string());
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
    put_period(values, page.period);
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

    fn period(&self) -> Option<u16> {
        self.number("period")
    }

    fn children(&self) -> Option<Children> {
        Some(Children {
            firm: self.number("firm")?,
            period: self.period()?,
            documents: WhichItems::read(self.text("items")?)?,
            document: self.number("after_item")?,
            line: self.number("after_line")?,
            limit: self.number("limit")?,
        })
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
        14 => Query::ItemUnits {
            firm: firm()?,
            items: WhichItems::read(read.text("items")?)?,
            item: read.number("after_item")?,
            line: read.number("after_line")?,
            limit: read.number("limit")?,
        },
        15 => Query::Orders { firm: firm()?, period: read.period()?, after: read.after()? },
        16 => Query::OrdersChanged { firm: firm()?, period: read.period()?, since: read.since()? },
        17 => Query::OrderLines(read.children()?),
        18 => Query::Invoices { firm: firm()?, period: read.period()?, after: read.after()? },
        19 => Query::InvoicesChanged { firm: firm()?, period: read.period()?, since: read.since()? },
        20 => Query::InvoiceLines(read.children()?),
        21 => Query::InvoicePayments(read.children()?),
        22 => Query::Ledger { firm: firm()?, period: read.period()?, after: read.after()? },
        23 => Query::LedgerChanged { firm: firm()?, period: read.period()?, since: read.since()? },
        _ => return None,
    })
}
