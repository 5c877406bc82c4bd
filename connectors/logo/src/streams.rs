//! The streams: what each one is in LOGO's two ways in.

use chrono::NaiveDateTime;
use kopru_sdk::StreamSpec;

use crate::{
    settings::{LogoSettings, SqlCall, Via},
    sql::{After, Query, Since, StockPage},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    GroupCodes,
    Brands,
    UnitSets,
    Customers,
    Items,
    Prices,
    Stock,
    /// Sales orders: what became of those that are ours.
    Orders,
    Invoices,
    /// Movements of current accounts.
    Ledger,
}

/// A list of the REST service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resource {
    pub path: &'static str,
    /// Child records are needed, so the list is asked for with them.
    pub expand: bool,
}

impl Stream {
    /// In the order in which a full synchronisation runs them.
    pub const ALL: [Stream; 10] = [
        Stream::GroupCodes,
        Stream::Brands,
        Stream::UnitSets,
        Stream::Customers,
        Stream::Items,
        Stream::Prices,
        Stream::Stock,
        Stream::Orders,
        Stream::Invoices,
        Stream::Ledger,
    ];

    pub const NAMES: [&'static str; Stream::ALL.len()] = {
        let mut names = [""; Stream::ALL.len()];
        let mut place = 0;
        while place < names.len() {
            names[place] = Stream::ALL[place].name();
            place += 1;
        }
        names
    };

    pub const fn name(self) -> &'static str {
        match self {
            Stream::GroupCodes => "group_codes",
            Stream::Brands => "brands",
            Stream::UnitSets => "unit_sets",
            Stream::Customers => "customers",
            Stream::Items => "items",
            Stream::Prices => "prices",
            Stream::Stock => "stock",
            Stream::Orders => "orders",
            Stream::Invoices => "invoices",
            Stream::Ledger => "ledger",
        }
    }

    pub fn parse(name: &str) -> Option<Stream> {
        Stream::ALL.into_iter().find(|stream| stream.name() == name)
    }

    /// `None`: there is no such resource.
    pub const fn resource(self) -> Option<Resource> {
        let (path, expand) = match self {
            Stream::GroupCodes => ("groupCodes", false),
            Stream::Brands => ("itemBrands", false),
            Stream::UnitSets => ("unitSets", true),
            Stream::Customers => ("Arps", false),
            Stream::Items => ("items", true),
            Stream::Prices => ("salesItemPrices", false),
            Stream::Orders => ("salesOrders", true),
            Stream::Invoices => ("salesInvoices", true),
            Stream::Stock | Stream::Ledger => return None,
        };
        Some(Resource { path, expand })
    }

    /// Whether its tables belong to a period of the firm.
    pub const fn is_of_a_period(self) -> bool {
        matches!(self, Stream::Stock | Stream::Orders | Stream::Invoices | Stream::Ledger)
    }

    /// Whether LOGO can be asked for what changed. The code lists carry no change stamp; they are short.
    pub fn incremental(self, settings: &LogoSettings) -> bool {
        match self {
            Stream::GroupCodes | Stream::Brands | Stream::UnitSets => false,
            _ => settings.via(self) == Via::Sql || settings.rest_change_filter.is_some(),
        }
    }

    pub fn spec(self, settings: &LogoSettings) -> StreamSpec {
        let (mapping, after, every_secs): (_, &'static [&'static str], _) = match self {
            Stream::GroupCodes => ("logo/group_codes", &[], 900),
            Stream::Brands => ("logo/brands", &[], 900),
            Stream::UnitSets => ("logo/unit_sets", &[], 900),
            Stream::Customers => ("logo/customers", &[], 300),
            Stream::Items => ("logo/items", &["group_codes", "brands", "unit_sets"], 300),
            Stream::Prices => ("logo/prices", &["items", "customers"], 900),
            Stream::Stock => ("logo/stock", &["items"], 60),
            Stream::Orders => ("logo/orders", &[], 120),
            Stream::Invoices => ("logo/invoices", &["customers", "orders"], 300),
            Stream::Ledger => ("logo/ledger", &["customers", "orders", "invoices"], 300),
        };
        StreamSpec { name: self.name(), mapping, after, incremental: self.incremental(settings), every_secs }
    }

    /// Those that these settings can read.
    pub fn offered(settings: &LogoSettings) -> impl Iterator<Item = Stream> {
        let sql = settings.sql_call != SqlCall::Off;
        Stream::ALL.into_iter().filter(move |stream| sql || stream.resource().is_some())
    }

    /// The page of a full pass by SQL, after a record, of at most `limit` rows.
    pub fn full_query(
        self,
        settings: &LogoSettings,
        period: Option<u16>,
        record: i64,
        warehouse: i64,
        limit: u32,
    ) -> Query {
        let firm = settings.firm;
        let after = After { reference: record, limit };
        let period_or_first = period.unwrap_or(1);
        match self {
            Stream::GroupCodes => {
                let (code_type, card_type) = settings.group_code_types;
                Query::GroupCodes { firm, code_type, card_type, after }
            }
            Stream::Brands => Query::Brands { firm, after },
            Stream::UnitSets => Query::UnitSets { firm, after },
            Stream::Customers => Query::Customers { firm, after },
            Stream::Items => Query::Items { firm, after },
            Stream::Prices => Query::Prices { firm, after },
            Stream::Stock => Query::Stock { firm, page: stock_page(settings, period, record, warehouse, limit) },
            Stream::Orders => Query::Orders { firm, period: period_or_first, after },
            Stream::Invoices => Query::Invoices { firm, period: period_or_first, after },
            Stream::Ledger => Query::Ledger { firm, period: period_or_first, after },
        }
    }

    /// The page of an incremental pass by SQL; `None` where there is no change stamp.
    pub fn changed_query(
        self,
        settings: &LogoSettings,
        period: Option<u16>,
        stamp: NaiveDateTime,
        record: i64,
        warehouse: i64,
        limit: u32,
    ) -> Option<Query> {
        let firm = settings.firm;
        let since = Since { stamp, reference: record, limit };
        let period_or_first = period.unwrap_or(1);
        match self {
            Stream::GroupCodes | Stream::Brands | Stream::UnitSets => None,
            Stream::Customers => Some(Query::CustomersChanged { firm, since }),
            Stream::Items => Some(Query::ItemsChanged { firm, since }),
            Stream::Prices => Some(Query::PricesChanged { firm, since }),
            Stream::Stock => {
                Some(Query::StockChanged { firm, stamp, page: stock_page(settings, period, record, warehouse, limit) })
            }
            Stream::Orders => Some(Query::OrdersChanged { firm, period: period_or_first, since }),
            Stream::Invoices => Some(Query::InvoicesChanged { firm, period: period_or_first, since }),
            Stream::Ledger => Some(Query::LedgerChanged { firm, period: period_or_first, since }),
        }
    }
}

fn stock_page(settings: &LogoSettings, period: Option<u16>, item: i64, warehouse: i64, limit: u32) -> StockPage {
    StockPage {
        period: period.unwrap_or(1),
        table: settings.stock_table,
        formula: settings.stock_formula.clone(),
        warehouses: settings.warehouses.clone(),
        item,
        warehouse,
        limit,
    }
}
