//! What becomes of orders at the firm: goods leave, invoices are written, the customers' accounts are booked, money comes.
//!
//! | key of a change | what |
//! | --- | --- |
//! | `orders: [{order, quantities?, ship?, close?, invoice?, cancel?}]` | `order` is our reference or LOGO's number; `quantities: {CODE: n}` changes lines; `ship: true` or `{CODE: n}`; `invoice: true` invoices what left and is not invoiced yet |
//! | `invoices: [{number, cancel}]` | cancels an invoice and its movement |
//! | `payments: [{customer, amount, reference?}]` | money that came by bank; `reference` is what we gave it |
//!
//! Invariants: what is shipped leaves the warehouse and the open orders at once; an invoice and its movement are booked together.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use super::{
    fields::{self, decimal, double, integer},
    records::{guid_text, put_stamps},
    stamp::{DAY, date_of},
    store::{Entry, Store},
    totals,
};

type Record = Map<String, Value>;
type Checked<T> = Result<T, String>;

const FIRST_INVOICE: i64 = 5_201;
const FIRST_INVOICE_LINE: i64 = 60_101;
const FIRST_MOVEMENT: i64 = 9_001;
/// Days that a customer has.
const TERM: i64 = 30;

/// A document with its change stamp.
#[derive(Debug)]
pub struct Document {
    pub record: Record,
    pub at: i64,
}

#[derive(Debug, Default)]
pub struct Documents {
    pub invoices: BTreeMap<i64, Document>,
    /// Of customers' accounts.
    pub movements: BTreeMap<i64, Document>,
}

impl Documents {
    fn next_invoice(&self) -> i64 {
        self.invoices.last_key_value().map_or(FIRST_INVOICE, |(last, _)| last + 1)
    }

    fn next_movement(&self) -> i64 {
        self.movements.last_key_value().map_or(FIRST_MOVEMENT, |(last, _)| last + 1)
    }

    fn next_line(&self) -> i64 {
        let lines = self.invoices.values().flat_map(|invoice| fields::lines(&invoice.record, "TRANSACTIONS"));
        lines
            .filter_map(|line| integer(line.get("INTERNAL_REFERENCE")?))
            .max()
            .map_or(FIRST_INVOICE_LINE, |last| last + 1)
    }

    /// What of a line of an order stands in invoices.
    fn invoiced(&self, line: i64) -> Decimal {
        let standing = self.invoices.values().filter(|invoice| whole(&invoice.record, "CANCELLED") != 1);
        standing
            .flat_map(|invoice| fields::lines(&invoice.record, "TRANSACTIONS"))
            .filter(|row| whole(row, "ORDER_REFERENCE") == line)
            .map(|row| number(row, "QUANTITY"))
            .sum()
    }
}

/// Documents after a reference or, with a stamp, after (stamp, reference), in that order.
pub fn page(documents: &BTreeMap<i64, Document>, since: Option<i64>, after: i64, limit: u32) -> Vec<(i64, &Document)> {
    let mut rows: Vec<(i64, &Document)> = documents
        .iter()
        .map(|(reference, document)| (*reference, document))
        .filter(|(reference, document)| match since {
            Some(since) => (document.at, *reference) > (since, after),
            None => *reference > after,
        })
        .collect();
    if since.is_some() {
        rows.sort_unstable_by_key(|(reference, document)| (document.at, *reference));
    }
    rows.truncate(limit as usize);
    rows
}

pub fn whole(record: &Record, name: &str) -> i64 {
    record.get(name).and_then(integer).unwrap_or(0)
}

pub fn number(record: &Record, name: &str) -> Decimal {
    record.get(name).and_then(decimal).unwrap_or_default()
}

pub fn text<'r>(record: &'r Record, name: &str) -> &'r str {
    record.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The references that entries of one change take, beside those of the store.
#[derive(Debug, Default)]
pub struct Taken {
    invoices: i64,
    movements: i64,
    lines: i64,
}

impl Store {
    fn order_named(&self, name: &str) -> Checked<(i64, Record)> {
        let found = self.orders.iter().find(|(reference, order)| {
            let named = ["CUST_ORD_NO", "NUMBER", "DOC_NUMBER"];
            reference.to_string() == name || named.iter().any(|field| text(&order.record, field) == name)
        });
        found
            .map(|(reference, order)| (reference, order.record.clone()))
            .ok_or_else(|| format!("no such order: {name}"))
    }

    /// What the firm does with an order.
    pub fn deal(&self, row: &Record, now: i64, taken: &mut Taken) -> Checked<Vec<Entry>> {
        const KNOWN: [&str; 6] = ["order", "quantities", "ship", "close", "invoice", "cancel"];
        refuse_unknown(row, &KNOWN)?;
        let (reference, mut record) = self.order_named(text(row, "order"))?;
        let mut entries = Vec::new();
        let quantities = row.get("quantities").and_then(Value::as_object);
        let ship = row.get("ship").filter(|ship| **ship != json!(false));
        let close = row.get("close") == Some(&json!(true));
        let warehouse = whole(&record, "SOURCE_WH");
        each_line(&mut record, |line| {
            if !matches!(totals::kind(line), 0 | 1 | 4) {
                return Ok(());
            }
            let code = text(line, "MASTER_CODE").to_owned();
            if let Some(quantity) = quantities.and_then(|all| all.get(&code)) {
                let quantity = decimal(quantity).ok_or_else(|| format!("quantities.{code}: must be a number"))?;
                line.insert("QUANTITY".to_owned(), double(quantity));
            }
            let open = number(line, "QUANTITY") - number(line, "QUANTITY_SHIPPED");
            let leaves = match ship {
                Some(Value::Object(some)) => match some.get(&code) {
                    Some(part) => decimal(part).ok_or_else(|| format!("ship.{code}: must be a number"))?.min(open),
                    None => Decimal::ZERO,
                },
                Some(_) => open,
                None => Decimal::ZERO,
            };
            if leaves > Decimal::ZERO {
                line.insert("QUANTITY_SHIPPED".to_owned(), double(number(line, "QUANTITY_SHIPPED") + leaves));
                let item = whole(line, "STOCKREF");
                if item > 0 && totals::kind(line) != 4 {
                    let main = leaves * factor(line);
                    let on_hand = -fields::scaled_decimal(main, 4).unwrap_or(0);
                    entries.push(Entry::Moved { item, warehouse, on_hand, at: now });
                }
            }
            if close {
                line.insert("ORDER_CLOSED".to_owned(), json!(1));
            }
            Ok(())
        })?;
        if row.get("cancel") == Some(&json!(true)) {
            record.insert("CANCELLED".to_owned(), json!(1));
        }
        let sums = with_lines(&mut record, totals::compute);
        sums.put(&mut record);
        let invoice = match row.get("invoice") == Some(&json!(true)) {
            true => self.invoice_of(&record, now, taken)?,
            false => None,
        };
        stamp_again(&mut record, now);
        entries.push(Entry::Order { reference, record, at: now });
        entries.extend(invoice.into_iter().flatten());
        Ok(entries)
    }

    /// The invoice over what left and is not invoiced yet, and its movement.
    fn invoice_of(&self, order: &Record, now: i64, taken: &mut Taken) -> Checked<Option<[Entry; 2]>> {
        let mut lines: Vec<Record> = Vec::new();
        let mut belongs = false;
        for line in fields::lines(order, "TRANSACTIONS") {
            match totals::kind(line) {
                0 | 1 | 4 => {
                    let reference = whole(line, "INTERNAL_REFERENCE");
                    let quantity = number(line, "QUANTITY_SHIPPED") - self.documents.invoiced(reference);
                    belongs = quantity > Decimal::ZERO;
                    if belongs {
                        let mut line = line.clone();
                        for name in ["QUANTITY_SHIPPED", "ORDER_CLOSED", "ORDFICHEREF", "DETAILS", "ORDER_STATUS"] {
                            line.remove(name);
                        }
                        line.insert("QUANTITY".to_owned(), double(quantity));
                        line.insert("ORDER_REFERENCE".to_owned(), json!(reference));
                        lines.push(line);
                    }
                }
                // A discount belongs to the line above it.
                _ if belongs => lines.push(line.clone()),
                _ => {}
            }
        }
        if lines.is_empty() {
            return Ok(None);
        }
        for line in &mut lines {
            line.insert("INTERNAL_REFERENCE".to_owned(), json!(self.documents.next_line() + taken.lines));
            taken.lines += 1;
        }
        let sums = totals::compute(&mut lines);
        let reference = self.documents.next_invoice() + taken.invoices;
        taken.invoices += 1;
        let (year, ..) = date_of(now);
        let invoice_number = format!("KPR{year:04}{reference:09}");
        let due = now + TERM * DAY;
        let Value::Object(mut record) = json!({
            "TYPE": 8, "GRPCODE": 2, "NUMBER": invoice_number, "DATE": fields::iso(now), "DOC_NUMBER": text(order, "CUST_ORD_NO"),
            "ARP_CODE": text(order, "ARP_CODE"), "CLIENTREF": whole(order, "CLIENTREF"),
            "SOURCE_WH": whole(order, "SOURCE_WH"), "POST_FLAGS": 247, "EINVOICE": 1, "PROFILE_ID": 1, "ESTATUS": 0,
            "CANCELLED": 0, "GUID": guid_text("INVOICE", reference), "TRANSACTIONS": {"items": lines},
            "PAYMENT_LIST": {"items": [{"INTERNAL_REFERENCE": reference, "DATE": fields::iso(due), "MODULENR": 4, "TRCODE": 8,
                "TOTAL": double(sums.net), "DAYS": TERM, "PAY_NO": 1}]},
        }) else {
            return Ok(None);
        };
        sums.put(&mut record);
        put_stamps(&mut record, now, None);
        let movement = json!({
            "ARP_CODE": text(order, "ARP_CODE"), "MODULENR": 4, "TRCODE": 38, "SIGN": 0, "SOURCEFREF": reference,
            "AMOUNT": double(sums.net), "DATE": fields::iso(now), "DUE_DATE": fields::iso(due), "TRANNO": invoice_number,
            "INVOICE_NUMBER": invoice_number, "CUST_ORD_NO": text(order, "CUST_ORD_NO"), "CANCELLED": 0,
        });
        let booked = self.booked(movement, now, taken);
        Ok(Some([Entry::Invoice { reference, record, at: now }, booked]))
    }

    fn booked(&self, movement: Value, now: i64, taken: &mut Taken) -> Entry {
        let reference = self.documents.next_movement() + taken.movements;
        taken.movements += 1;
        let record = movement.as_object().cloned().unwrap_or_default();
        Entry::Movement { reference, record, at: now }
    }

    pub fn cancel_invoice(&self, row: &Record, now: i64) -> Checked<Vec<Entry>> {
        refuse_unknown(row, &["number", "cancel"])?;
        let wanted = text(row, "number");
        let found = self.documents.invoices.iter().find(|(_, invoice)| text(&invoice.record, "NUMBER") == wanted);
        let (reference, invoice) = found.ok_or_else(|| format!("no such invoice: {wanted}"))?;
        let mut record = invoice.record.clone();
        record.insert("CANCELLED".to_owned(), json!(1));
        stamp_again(&mut record, now);
        let mut entries = vec![Entry::Invoice { reference: *reference, record, at: now }];
        for (reference, movement) in &self.documents.movements {
            if text(&movement.record, "INVOICE_NUMBER") == wanted {
                let mut record = movement.record.clone();
                record.insert("CANCELLED".to_owned(), json!(1));
                entries.push(Entry::Movement { reference: *reference, record, at: now });
            }
        }
        Ok(entries)
    }

    pub fn payment(&self, row: &Record, now: i64, taken: &mut Taken) -> Checked<Vec<Entry>> {
        refuse_unknown(row, &["customer", "amount", "reference"])?;
        let customer = text(row, "customer");
        if self.customer_by_code(customer).is_none() {
            return Err(format!("no such customer: {customer}"));
        }
        let amount = row.get("amount").and_then(decimal).ok_or("amount: must be a number")?;
        let movement = json!({
            "ARP_CODE": customer, "MODULENR": 7, "TRCODE": 20, "SIGN": 1, "SOURCEFREF": 0, "AMOUNT": double(amount),
            "DATE": fields::iso(now), "TRANNO": "", "DOC_NUMBER": text(row, "reference"), "CANCELLED": 0,
        });
        Ok(vec![self.booked(movement, now, taken)])
    }
}

fn factor(line: &Record) -> Decimal {
    let conv = |name: &str| Some(number(line, name)).filter(|conv| !conv.is_zero()).unwrap_or(Decimal::ONE);
    conv("UNIT_CONV2") / conv("UNIT_CONV1")
}

fn each_line(record: &mut Record, mut change: impl FnMut(&mut Record) -> Checked<()>) -> Checked<()> {
    let items = record.get_mut("TRANSACTIONS").and_then(|lines| lines.get_mut("items")).and_then(Value::as_array_mut);
    items.into_iter().flatten().filter_map(Value::as_object_mut).try_for_each(&mut change)
}

fn with_lines<T>(record: &mut Record, what: impl FnOnce(&mut [Record]) -> T) -> T {
    let mut lines: Vec<Record> = fields::lines(record, "TRANSACTIONS").cloned().collect();
    let done = what(&mut lines);
    record.insert("TRANSACTIONS".to_owned(), json!({"items": lines}));
    done
}

/// Modified now, created when it was.
fn stamp_again(record: &mut Record, now: i64) {
    let old = record.clone();
    put_stamps(record, now, Some(now));
    for name in ["CREATED_BY", "DATE_CREATED", "HOUR_CREATED", "MIN_CREATED", "SEC_CREATED"] {
        if let Some(value) = old.get(name) {
            record.insert(name.to_owned(), value.clone());
        }
    }
}

fn refuse_unknown(row: &Record, known: &[&str]) -> Checked<()> {
    match row.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(format!("{key}: {}", kopru_sdk::settings::unknown_key(key, known))),
        None => Ok(()),
    }
}
