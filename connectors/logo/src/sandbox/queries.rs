//! The SQL texts of the connector, answered without an SQL engine: [`sql::recognise`] gives the parameters, and each
//! kind of query has its own way through the tables.
//!
//! SQL gives a column to every row: empty texts are `""`, what an outer join did not find is `null`.

use super::{
    document_rows::{self as documents, Part},
    json::Out,
    stamp,
    stock::sum,
    store::Store,
    switches::Switches,
    table::{Edit, Found},
    units,
    world::{
        Scratch,
        codes::{self, Code},
        customers::CustomerCard,
        items::{self, ItemCard},
        prices::PriceCard,
        stock::Totals,
    },
};
use crate::sql::{After, Query, Since, StockColumn, StockFormula, StockPage, StockTable, Warehouses, WhichItems};

/// The rows of a query as a JSON list, and how many there are; or the text of the error.
pub fn run(store: &Store, switches: &Switches, query: &Query, now: i64) -> Result<(Vec<u8>, usize), String> {
    check_tables(switches, query)?;
    let mut rows = Rows::new(query);
    match query {
        Query::ServerTime => rows.push(|out| {
            out.raw("{\"STAMP\":");
            out.stamp(now);
            out.raw("}");
        }),
        Query::Periods { firm } => {
            if *firm == switches.firm {
                period(&mut rows, switches, now);
            }
        }
        Query::GroupCodes { code_type, card_type, after, .. } => {
            if (*code_type, *card_type) == (codes::GROUP_CODE_TYPE, codes::ITEM_CARD_TYPE) {
                for group in page(&store.groups, after) {
                    rows.push(|out| group_row(out, group));
                }
            }
        }
        Query::Brands { after, .. } => {
            for brand in page(&store.brands, after) {
                rows.push(|out| brand_row(out, brand));
            }
        }
        Query::UnitSets { after, .. } => unit_sets(&mut rows, after),
        Query::UnitSetLines { first, last, set, line, limit, .. } => {
            unit_set_lines(&mut rows, *first..=*last, (*set, *line), *limit);
        }
        Query::Items { after, .. } => item_rows(&mut rows, store, store.items.after(after.reference), after.limit),
        Query::ItemsChanged { since, .. } => {
            item_rows(&mut rows, store, store.items.changed_after(seconds(since), since.reference), since.limit);
        }
        Query::ItemUnits { items, item, line, limit, .. } => {
            item_unit_rows(&mut rows, store, items, (*item, *line), *limit);
        }
        Query::Customers { after, .. } => {
            customer_rows(&mut rows, store, store.customers.after(after.reference), after.limit);
        }
        Query::CustomersChanged { since, .. } => {
            customer_rows(
                &mut rows,
                store,
                store.customers.changed_after(seconds(since), since.reference),
                since.limit,
            );
        }
        Query::Prices { after, .. } => price_rows(&mut rows, store, store.prices.after(after.reference), after.limit),
        Query::PricesChanged { since, .. } => {
            price_rows(&mut rows, store, store.prices.changed_after(seconds(since), since.reference), since.limit);
        }
        Query::Orders { after, .. } => documents::orders(store, Part::of(after), |row| rows.push(row)),
        Query::OrdersChanged { since, .. } => documents::orders(store, Part::changed(since), |row| rows.push(row)),
        Query::OrderLines(children) => documents::order_lines(store, children, |row| rows.push(row)),
        Query::Invoices { after, .. } => documents::invoices(store, Part::of(after), |row| rows.push(row)),
        Query::InvoicesChanged { since, .. } => documents::invoices(store, Part::changed(since), |row| rows.push(row)),
        Query::InvoiceLines(children) => {
            documents::invoice_children(store, "TRANSACTIONS", children, |row| rows.push(row));
        }
        Query::InvoicePayments(children) => {
            documents::invoice_children(store, "PAYMENT_LIST", children, |row| rows.push(row));
        }
        Query::Ledger { period, after, .. } => documents::ledger(store, *period, Part::of(after), |row| rows.push(row)),
        Query::LedgerChanged { period, since, .. } => {
            documents::ledger(store, *period, Part::changed(since), |row| rows.push(row));
        }
        Query::Stock { page, .. } => stock_rows(&mut rows, store, page, store.items.after(page.item.saturating_sub(1))),
        Query::StockChanged { stamp, page, .. } => {
            let since = stamp::of_naive(*stamp);
            match store.stock.written_since(since, page.item) {
                Some(written) => stock_rows(&mut rows, store, page, written.filter_map(|item| store.items.find(item))),
                None => {
                    let moved =
                        store.items.after(page.item.saturating_sub(1)).filter(|item| store.stock.moved(*item, since));
                    stock_rows(&mut rows, store, page, moved);
                }
            }
        }
    }
    Ok(rows.finish())
}

/// Table names carry the firm and the period: others are not there.
fn check_tables(switches: &Switches, query: &Query) -> Result<(), String> {
    let (firm, table) = match query {
        Query::ServerTime | Query::Periods { .. } => return Ok(()),
        Query::GroupCodes { firm, .. } => (firm, "SPECODES"),
        Query::Brands { firm, .. } => (firm, "MARK"),
        Query::UnitSets { firm, .. } => (firm, "UNITSETF"),
        Query::UnitSetLines { firm, .. } => (firm, "UNITSETL"),
        Query::Items { firm, .. } | Query::ItemsChanged { firm, .. } => (firm, "ITEMS"),
        Query::ItemUnits { firm, .. } => (firm, "ITMUNITA"),
        Query::Customers { firm, .. } | Query::CustomersChanged { firm, .. } => (firm, "CLCARD"),
        Query::Prices { firm, .. } | Query::PricesChanged { firm, .. } => (firm, "PRCLIST"),
        Query::Orders { firm, period, .. } | Query::OrdersChanged { firm, period, .. } => {
            return check_period(switches, *firm, *period, "ORFICHE");
        }
        Query::Invoices { firm, period, .. } | Query::InvoicesChanged { firm, period, .. } => {
            return check_period(switches, *firm, *period, "INVOICE");
        }
        Query::Ledger { firm, period, .. } | Query::LedgerChanged { firm, period, .. } => {
            return check_period(switches, *firm, *period, "CLFLINE");
        }
        Query::OrderLines(children) => return check_period(switches, children.firm, children.period, "ORFLINE"),
        Query::InvoiceLines(children) => return check_period(switches, children.firm, children.period, "STLINE"),
        Query::InvoicePayments(children) => {
            return check_period(switches, children.firm, children.period, "PAYTRANS");
        }
        Query::Stock { firm, page } | Query::StockChanged { firm, page, .. } => {
            let prefix = match page.table {
                StockTable::Table => "LG",
                StockTable::View => "LV",
            };
            if *firm == switches.firm && page.period != switches.period {
                return Err(format!("Invalid object name '{prefix}_{firm:03}_{:02}_GNTOTST'.", page.period));
            }
            (firm, "ITEMS")
        }
    };
    if *firm == switches.firm { Ok(()) } else { Err(format!("Invalid object name 'LG_{firm:03}_{table}'.")) }
}

fn check_period(switches: &Switches, firm: u16, period: u16, table: &str) -> Result<(), String> {
    if (firm, period) == (switches.firm, switches.period) {
        return Ok(());
    }
    Err(format!("Invalid object name 'LG_{firm:03}_{period:02}_{table}'."))
}

fn seconds(since: &Since) -> i64 {
    stamp::of_naive(since.stamp)
}

/// The rows written so far.
struct Rows {
    out: Out,
    count: usize,
}

impl Rows {
    fn new(query: &Query) -> Rows {
        let limit = match query {
            Query::Items { after, .. } | Query::Customers { after, .. } | Query::Prices { after, .. } => after.limit,
            Query::ItemsChanged { since, .. }
            | Query::CustomersChanged { since, .. }
            | Query::PricesChanged { since, .. } => since.limit,
            _ => 16,
        };
        let mut out = Out::with_capacity(256 + limit.min(20_000) as usize * 700);
        out.raw("[");
        Rows { out, count: 0 }
    }

    #[inline]
    fn push(&mut self, write: impl FnOnce(&mut Out)) {
        if self.count > 0 {
            self.out.raw(",");
        }
        write(&mut self.out);
        self.count += 1;
    }

    fn full(&self, limit: u32) -> bool {
        self.count >= limit as usize
    }

    fn finish(mut self) -> (Vec<u8>, usize) {
        self.out.raw("]");
        (self.out.into_bytes(), self.count)
    }
}

fn page<'a>(list: &'a [Code], after: &After) -> impl Iterator<Item = &'a Code> {
    let (reference, limit) = (after.reference, after.limit as usize);
    list.iter().filter(move |row| row.reference > reference).take(limit)
}

fn period(rows: &mut Rows, switches: &Switches, now: i64) {
    let (begin, end) = switches.period_days(now);
    rows.push(|out| {
        out.raw("{\"NR\":");
        out.int(switches.period.into());
        for (key, day) in [("BEGDATE", begin), ("ENDDATE", end)] {
            let (year, month, day) = stamp::date_of(day);
            out.key(key);
            out.text(&format!("{year:04}-{month:02}-{day:02}"));
        }
        out.raw(",\"ACTIVE\":1}");
    });
}

fn group_row(out: &mut Out, group: &Code) {
    out.raw("{\"INTERNAL_REFERENCE\":");
    out.int(group.reference);
    out.int_member("CODE_TYPE", codes::GROUP_CODE_TYPE.into());
    out.int_member("SPE_CODE_TYPE", codes::ITEM_CARD_TYPE.into());
    text(out, "CODE", &group.code);
    text(out, "DEFINITION", &group.name);
    out.raw("}");
}

fn brand_row(out: &mut Out, brand: &Code) {
    out.raw("{\"INTERNAL_REFERENCE\":");
    out.int(brand.reference);
    text(out, "CODE", &brand.code);
    text(out, "DESCR", &brand.name);
    out.raw(",\"AUXIL_CODE\":\"\"}");
}

fn unit_sets(rows: &mut Rows, after: &After) {
    for set in codes::UNIT_SETS.iter().filter(|set| set.reference > after.reference).take(after.limit as usize) {
        rows.push(|out| {
            out.raw("{\"INTERNAL_REFERENCE\":");
            out.int(set.reference);
            text(out, "CODE", set.code);
            text(out, "DESCRIPTION", set.name);
            out.raw("}");
        });
    }
}

fn unit_set_lines(rows: &mut Rows, sets: std::ops::RangeInclusive<i64>, after: (i64, i64), limit: u32) {
    for set in codes::UNIT_SETS.iter().filter(|set| sets.contains(&set.reference)) {
        for (n, unit) in set.units.iter().enumerate() {
            if (set.reference, unit.reference) <= after || rows.full(limit) {
                continue;
            }
            rows.push(|out| {
                out.raw("{\"UNITSETREF\":");
                out.int(set.reference);
                out.int_member("INTERNAL_REFERENCE", unit.reference);
                text(out, "CODE", unit.code);
                text(out, "NAME", unit.name);
                out.int_member("MAIN_UNIT", i64::from(n == 0));
                out.double_member("CONV_FACT1", unit.conv1, 0);
                out.double_member("CONV_FACT2", unit.conv2, 0);
                out.raw("}");
            });
        }
    }
}

fn item_rows<'a>(rows: &mut Rows, store: &'a Store, items: impl Iterator<Item = Found<'a>>, limit: u32) {
    let mut scratch = Scratch::default();
    for found in items {
        if rows.full(limit) {
            break;
        }
        let card = store.item(found, &mut scratch);
        if card.card_type != items::TEMPLATE {
            rows.push(|out| item_row(out, &card, found.edit));
        }
    }
}

/// The cards' units, after (item, line).
fn item_unit_rows(rows: &mut Rows, store: &Store, items: &WhichItems, after: (i64, i64), limit: u32) {
    let found: Box<dyn Iterator<Item = Found<'_>>> = match items {
        WhichItems::Range(first, last) => {
            let last = *last;
            let from = (*first).max(after.0).saturating_sub(1);
            Box::new(store.items.after(from).take_while(move |found| found.reference <= last))
        }
        WhichItems::Only(list) => {
            let mut list = list.clone();
            list.sort_unstable();
            list.dedup();
            Box::new(list.into_iter().filter_map(|reference| store.items.find(reference)))
        }
    };
    let mut scratch = Scratch::default();
    let mut lines = Vec::new();
    for found in found {
        if rows.full(limit) {
            break;
        }
        let card = store.item(found, &mut scratch);
        if card.card_type == items::TEMPLATE {
            continue;
        }
        units::rows(found, &card, &mut lines);
        for line in lines.iter().filter(|line| (line.item, line.line) > after) {
            if !rows.full(limit) {
                rows.push(|out| line.write(out));
            }
        }
    }
}

fn item_row(out: &mut Out, card: &ItemCard<'_>, edit: Option<&Edit>) {
    out.raw("{\"INTERNAL_REFERENCE\":");
    out.int(card.reference);
    out.int_member("RECORD_STATUS", card.status);
    out.int_member("CARD_TYPE", card.card_type);
    text(out, "CODE", card.code);
    text(out, "NAME", card.name);
    text(out, "NAME3", card.name3);
    text(out, "GROUP_CODE", card.group);
    text(out, "PRODUCER_CODE", card.producer);
    text(out, "AUXIL_CODE", card.auxil[0]);
    text(out, "AUXIL_CODE2", card.auxil[1]);
    text(out, "AUXIL_CODE3", card.auxil[2]);
    text(out, "AUXIL_CODE4", card.auxil[3]);
    text(out, "AUXIL_CODE5", card.auxil[4]);
    text(out, "AUTH_CODE", card.auth);
    out.int_member("CLASS_TYPE", card.class_type);
    if !beyond(out, "VAT", edit, 2) {
        out.double_member("VAT", card.vat, 2);
    }
    if !beyond(out, "SELVAT", edit, 2) {
        match card.sales_vat {
            Some(rate) => out.double_member("SELVAT", rate, 2),
            None => out.raw(",\"SELVAT\":null"),
        }
    }
    out.int_member("TRACK_TYPE", card.track_type);
    joined(out, "UNITSET_CODE", card.unit_set);
    joined(out, "UNIT_CODE", card.main_unit().unwrap_or_default());
    joined(out, "EAN_BARCODE", card.barcode);
    out.int_member("MARKREF", card.mark);
    joined(out, "MARKCODE", card.mark_code);
    last_stamp(out, card.created, card.modified);
}

fn customer_rows<'a>(rows: &mut Rows, store: &'a Store, cards: impl Iterator<Item = Found<'a>>, limit: u32) {
    let mut scratch = Scratch::default();
    for found in cards {
        if rows.full(limit) {
            break;
        }
        let card = store.customer(found, &mut scratch);
        if card.account_type != items::TEMPLATE {
            rows.push(|out| customer_row(out, &card, found.edit));
        }
    }
}

fn customer_row(out: &mut Out, card: &CustomerCard<'_>, edit: Option<&Edit>) {
    out.raw("{\"INTERNAL_REFERENCE\":");
    out.int(card.reference);
    out.int_member("RECORD_STATUS", card.status);
    out.int_member("ACCOUNT_TYPE", card.account_type);
    text(out, "CODE", card.code);
    text(out, "TITLE", card.title);
    text(out, "AUXIL_CODE", card.auxil);
    text(out, "AUTH_CODE", card.auth);
    text(out, "ADDRESS1", card.address1);
    text(out, "ADDRESS2", card.address2);
    text(out, "DISTRICT", card.district);
    text(out, "TOWN", card.town);
    text(out, "CITY", card.city);
    text(out, "COUNTRY", card.country);
    text(out, "POSTAL_CODE", card.postal_code);
    text(out, "TELEPHONE1", card.telephone1);
    out.raw(",\"TELEPHONE2\":\"\"");
    text(out, "CELL_PHONE", card.cell_phone);
    out.raw(",\"FAX\":\"\"");
    text(out, "TAX_ID", card.tax_id);
    text(out, "TAX_OFFICE", card.tax_office);
    text(out, "TCKNO", card.tckno);
    out.int_member("PERSCOMPANY", card.person);
    text(out, "E_MAIL", card.email);
    text(out, "CONTACT", card.contact);
    if !beyond(out, "DISCOUNT_RATE", edit, 2) {
        out.double_member("DISCOUNT_RATE", card.discount, 2);
    }
    joined(out, "PAYMENT_CODE", card.payment);
    text(out, "TRADING_GRP", card.trading_group);
    out.raw(",\"BLOCKED\":0,\"CURRENCY\":0");
    last_stamp(out, card.created, card.modified);
}

fn price_rows<'a>(rows: &mut Rows, store: &'a Store, cards: impl Iterator<Item = Found<'a>>, limit: u32) {
    let mut scratch = Scratch::default();
    for found in cards {
        if rows.full(limit) {
            break;
        }
        let card = store.price(found, &mut scratch);
        // The join with the items: a row whose item was deleted or renamed shows what the item is now.
        let Some(item) = store.items.find(card.card) else { continue };
        if item.edit.is_none() {
            rows.push(|out| price_row(out, &card, card.owner, found.edit));
        } else {
            let mut owner = String::new();
            store.item_code(item, &mut owner);
            rows.push(|out| price_row(out, &card, &owner, found.edit));
        }
    }
}

fn price_row(out: &mut Out, card: &PriceCard<'_>, owner: &str, edit: Option<&Edit>) {
    out.raw("{\"INTERNAL_REFERENCE\":");
    out.int(card.reference);
    text(out, "CODE", card.code);
    text(out, "OWNER_CODE", owner);
    out.int_member("CARDREF", card.card);
    text(out, "ARP_CODE", card.customer);
    out.raw(",\"ARP_AUXCODE\":\"\"");
    joined(out, "PAYMENT_CODE", card.payment);
    if !beyond(out, "PRICE", edit, 6) {
        out.key("PRICE");
        out.decimal(card.price, 6);
    }
    joined(out, "UNIT_CODE", card.unit);
    out.int_member("VAT_INCL", card.vat_included);
    out.int_member("CURRENCY", card.currency);
    out.int_member("PRIORITY", card.priority);
    out.raw(",\"MTRL_TYPE\":0");
    out.key("DATE_STARTED");
    out.date(card.starts);
    out.key("DATE_ENDED");
    out.date(card.ends);
    text(out, "TRADING_GRP", card.trading_group);
    text(out, "GRPCODE", card.group);
    out.int_member("ACTIVE", card.status);
    last_stamp(out, card.created, card.modified);
}

/// Items come ascending; of the one that the page before ended in, the warehouses after that one.
fn stock_rows<'a>(rows: &mut Rows, store: &'a Store, page: &StockPage, items: impl Iterator<Item = Found<'a>>) {
    let mut totals = Vec::with_capacity(8);
    let mut code = String::new();
    for item in items {
        if rows.full(page.limit) {
            break;
        }
        store.stock.rows(item, &mut totals);
        if totals.is_empty() {
            continue;
        }
        store.item_code(item, &mut code);
        if let Warehouses::Total = page.warehouses {
            totals = vec![(-1, sum(&totals))];
        }
        for (warehouse, row) in &totals {
            let wanted = match &page.warehouses {
                Warehouses::Only(list) => u16::try_from(*warehouse).is_ok_and(|number| list.contains(&number)),
                Warehouses::Total | Warehouses::Each => true,
            };
            let seen = item.reference == page.item && *warehouse <= page.warehouse;
            if wanted && !seen && !rows.full(page.limit) {
                rows.push(|out| stock_row(out, &code, item.reference, *warehouse, row, &page.formula));
            }
        }
    }
}

fn stock_row(out: &mut Out, code: &str, item: i64, warehouse: i64, row: &Totals, formula: &StockFormula) {
    out.raw("{\"CODE\":");
    out.text(code);
    out.int_member("STOCKREF", item);
    out.int_member("INVENNO", warehouse);
    let available: i64 = formula
        .terms()
        .map(|(add, column)| {
            let quantity = match column {
                StockColumn::OnHand => row.on_hand,
                StockColumn::Reserved => row.reserved,
                StockColumn::SalesOrders => row.sales_orders,
                StockColumn::PurchaseOrders => row.purchase_orders,
            };
            if add { quantity } else { -quantity }
        })
        .sum();
    for (key, quantity) in
        [("ONHAND", row.on_hand), ("RESERVED", row.reserved), ("ACTSORDER", row.sales_orders), ("AVAILABLE", available)]
    {
        out.key(key);
        out.decimal(quantity, 4);
    }
    out.raw("}");
}

#[inline]
fn text(out: &mut Out, key: &str, text: &str) {
    out.key(key);
    out.text(text);
}

/// Writes a number that was written to the card and that the card's own cannot hold, as the REST service shows it.
/// `false`: there is none.
fn beyond(out: &mut Out, key: &str, edit: Option<&Edit>, scale: u32) -> bool {
    let Some(value) = edit.and_then(|edit| edit.fields.get(key)) else { return false };
    if !value.is_number() || super::fields::scaled(value, scale).is_some() {
        return false;
    }
    out.key(key);
    out.value(value);
    true
}

/// A column of an outer join.
#[inline]
fn joined(out: &mut Out, key: &str, text: &str) {
    out.key(key);
    if text.is_empty() { out.raw("null") } else { out.text(text) }
}

fn last_stamp(out: &mut Out, created: i64, modified: Option<i64>) {
    out.key("STAMP");
    out.stamp(modified.unwrap_or(created));
    out.raw("}");
}
