//! Sales orders: checked, numbered, totalled, stored as they are read back.

use std::collections::{BTreeMap, HashMap};

use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use super::{
    answer::Refusal,
    fields::{self, decimal, double, integer},
    records::guid_text,
    stock::Open,
    store::Store,
    switches::Switches,
    totals,
    world::{Scratch, codes, items},
};

type Record = Map<String, Value>;

const FIRST_REFERENCE: i64 = 701;
const FIRST_LINE: i64 = 2_101;

#[derive(Debug)]
pub struct Order {
    pub record: Record,
    pub open: Vec<Open>,
    /// Its change stamp.
    pub at: i64,
}

#[derive(Debug, Default)]
pub struct Orders {
    by_reference: BTreeMap<i64, Order>,
    /// Highest numbers given out, by what was stored.
    last_reference: i64,
    last_line: i64,
    last_number: u64,
    /// Who has which number.
    numbers: HashMap<String, i64>,
}

impl Orders {
    pub fn iter(&self) -> impl Iterator<Item = (i64, &Order)> {
        self.by_reference.iter().map(|(reference, order)| (*reference, order))
    }

    pub fn find(&self, reference: i64) -> Option<&Order> {
        self.by_reference.get(&reference)
    }

    pub fn count(&self) -> usize {
        self.by_reference.len()
    }

    /// Stores an order; what was open of it before is given back.
    pub fn put(&mut self, reference: i64, record: Record, open: Vec<Open>, at: i64) -> Vec<Open> {
        self.last_reference = self.last_reference.max(reference);
        for line in fields::lines(&record, "TRANSACTIONS") {
            self.last_line = self.last_line.max(line.get("INTERNAL_REFERENCE").and_then(integer).unwrap_or(0));
        }
        if let Some(number) = number_of(&record) {
            self.last_number = self.last_number.max(number.parse().unwrap_or(0));
            self.forget_number(reference);
            self.numbers.insert(number.to_owned(), reference);
        }
        self.by_reference.insert(reference, Order { record, open, at }).map(|order| order.open).unwrap_or_default()
    }

    fn forget_number(&mut self, reference: i64) {
        if let Some(number) = self.find(reference).and_then(|order| number_of(&order.record)).map(str::to_owned) {
            self.numbers.remove(&number);
        }
    }

    pub fn remove(&mut self, reference: i64) -> Vec<Open> {
        self.forget_number(reference);
        self.by_reference.remove(&reference).map(|order| order.open).unwrap_or_default()
    }

    pub fn next_reference(&self) -> i64 {
        self.last_reference.max(FIRST_REFERENCE - 1) + 1
    }

    fn next_line(&self) -> i64 {
        self.last_line.max(FIRST_LINE - 1) + 1
    }

    /// Sixteen digits, counted up, not one that was given by hand.
    fn next_number(&self) -> String {
        let mut number = self.last_number + 1;
        while self.has_number(&format!("{number:016}"), None) {
            number += 1;
        }
        format!("{number:016}")
    }

    fn has_number(&self, number: &str, besides: Option<i64>) -> bool {
        self.numbers.get(number).is_some_and(|reference| Some(*reference) != besides)
    }
}

fn number_of(record: &Record) -> Option<&str> {
    record.get("NUMBER").and_then(Value::as_str)
}

impl Store {
    /// The order that a POST (`at` none) or PUT body becomes, ready to be stored.
    pub fn order_from(
        &self,
        body: &Record,
        at: Option<i64>,
        switches: &Switches,
        now: i64,
    ) -> Result<(i64, Record), Refusal> {
        let mut refusal = Refusal::default();
        let mut record = fields::read(body, fields::ORDER, &mut refusal);
        record.remove("TRANSACTIONS");
        let mut lines: Vec<Record> = Vec::new();
        for given in fields::lines(body, "TRANSACTIONS") {
            let mut line = fields::read(given, fields::ORDER_LINE, &mut refusal);
            if let Some(reference) =
                given.get("INTERNAL_REFERENCE").and_then(integer).filter(|&r| r > 0 && at.is_some())
            {
                line.insert("INTERNAL_REFERENCE".to_owned(), json!(reference));
            }
            lines.push(line);
        }
        if !refusal.is_empty() {
            return Err(refusal);
        }
        self.check(&record, &lines, switches, now, &mut refusal);
        if !refusal.is_empty() {
            return Err(refusal);
        }
        let number = number_of(&record).unwrap_or_default().to_owned();
        if number == "~" {
            let own = at.and_then(|at| self.orders.find(at)).and_then(|order| number_of(&order.record));
            let number = own.map_or_else(|| self.orders.next_number(), str::to_owned);
            record.insert("NUMBER".to_owned(), json!(number));
        } else if self.orders.has_number(&number, at) {
            return Err(Refusal::duplicate());
        }
        let reference = at.unwrap_or_else(|| self.orders.next_reference());
        self.fill_header(&mut record, reference);
        if at.is_none() {
            book(&record, &mut lines);
        }
        self.fill_lines(&mut lines, &record, reference);
        totals::compute(&mut lines).put(&mut record);
        record.insert("TRANSACTIONS".to_owned(), json!({"items": lines}));
        record.entry("PAYMENT_LIST").or_insert_with(|| json!({}));
        Ok((reference, record))
    }

    pub(super) fn check(
        &self,
        record: &Record,
        lines: &[Record],
        switches: &Switches,
        now: i64,
        refusal: &mut Refusal,
    ) {
        let text =
            |record: &Record, name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        if text(record, "NUMBER").is_empty() {
            refusal.values.push("NUMBER boş olamaz. [1]".to_owned());
        }
        let customer = text(record, "ARP_CODE");
        if self.customer_by_code(&customer).is_none() {
            refusal.logo.push("Cari hesap kaydı bulunamadı.".to_owned());
            refusal.values.push("ARP_CODE bulunamadı. [6]".to_owned());
        }
        match record.get("DATE").and_then(Value::as_str).and_then(fields::iso_day) {
            None => refusal.values.push("DATE boş olamaz. [1]".to_owned()),
            Some(day) => {
                let (begin, end) = switches.period_days(now);
                if day < begin || day > end {
                    refusal.values.push("DATE mali yıl içinde değil. [202]".to_owned());
                }
            }
        }
        let warehouse = record.get("SOURCE_WH").and_then(integer).unwrap_or(0);
        if !codes::WAREHOUSES.iter().any(|(number, _)| *number == warehouse) {
            refusal.values.push("SOURCE_WH bulunamadı. [6]".to_owned());
        }
        for line in lines {
            let code = text(line, "MASTER_CODE");
            match totals::kind(line) {
                0 | 1 => match self.item_by_code(&code) {
                    Some(item) if item.reference >= items::FIRST_REFERENCE => {
                        let unit = text(line, "UNIT_CODE");
                        if !unit.is_empty() && self.unit(item.reference, &unit).is_none() {
                            refusal.values.push("UNIT_CODE bulunamadı. [6]".to_owned());
                        }
                    }
                    _ => refusal.values.push("MASTER_CODE bulunamadı. [6]".to_owned()),
                },
                4 if !codes::SERVICES.contains(&code.as_str()) => {
                    refusal.values.push("MASTER_CODE bulunamadı. [6]".to_owned());
                }
                _ => {}
            }
        }
    }

    /// The factors of a unit of an item: UNIT_CONV1 and UNIT_CONV2.
    fn unit(&self, item: i64, unit: &str) -> Option<(i64, i64)> {
        let mut scratch = Scratch::default();
        let card = self.item(self.items.find(item)?, &mut scratch);
        let unit = card.set()?.units.iter().find(|candidate| candidate.code == unit)?;
        Some((unit.conv1, unit.conv2))
    }

    fn fill_header(&self, record: &mut Record, reference: i64) {
        let customer = record.get("ARP_CODE").and_then(Value::as_str).and_then(|code| self.customer_by_code(code));
        let client = customer.map_or(0, |customer| customer.reference);
        record.insert("TYPE".to_owned(), json!(1));
        record.insert("CLIENTREF".to_owned(), json!(client));
        record.insert("DATA_REFERENCE".to_owned(), json!(reference));
        record.insert("GUID".to_owned(), json!(guid_text("ORDER", reference)));
        for (name, value) in [("ORDER_STATUS", json!(1)), ("SOURCE_WH", json!(0)), ("AFFECT_RISK", json!(1))] {
            record.entry(name).or_insert(value);
        }
        for name in ["RC_RATE", "RC_NET"] {
            record.entry(name).or_insert_with(|| double(Decimal::ZERO));
        }
        let rate = codes::rate(record.get("CURR_TRANSACTIN").and_then(integer).unwrap_or(0));
        record.entry("TC_RATE").or_insert_with(|| double(rate));
        record.insert("DEDUCTIONPART1".to_owned(), json!(2));
        record.insert("DEDUCTIONPART2".to_owned(), json!(3));
    }

    fn fill_lines(&self, lines: &mut [Record], record: &Record, reference: i64) {
        let status = record.get("ORDER_STATUS").cloned().unwrap_or(json!(1));
        let mut next = self.orders.next_line();
        for (n, line) in lines.iter_mut().enumerate() {
            line.entry("INTERNAL_REFERENCE").or_insert_with(|| {
                next += 1;
                json!(next - 1)
            });
            line.insert("ORDFICHEREF".to_owned(), json!(reference));
            line.insert("LINENO".to_owned(), json!(n + 1));
            line.entry("TYPE").or_insert(json!(0));
            let code = line.get("MASTER_CODE").and_then(Value::as_str).unwrap_or_default().to_owned();
            let item = if matches!(totals::kind(line), 0 | 1) { self.item_by_code(&code) } else { None };
            line.insert("STOCKREF".to_owned(), json!(item.map_or(0, |item| item.reference)));
            if !matches!(totals::kind(line), 0 | 1 | 4) {
                continue;
            }
            line.insert("SLIP_TYPE".to_owned(), json!(1));
            line.insert("ORDER_STATUS".to_owned(), status.clone());
            line.entry("VAT_INCLUDED").or_insert(json!(0));
            line.entry("ORDER_CLOSED").or_insert(json!(0));
            line.insert("QUANTITY_SHIPPED".to_owned(), double(Decimal::ZERO));
            // Read back as the local currency whatever 1 meant when it was sent.
            line.insert("EDT_CURR".to_owned(), json!(160));
            line.insert("XML_ATTRIBUTE".to_owned(), json!(2));
            line.insert("DETAILS".to_owned(), json!({}));
            if let Some(item) = item {
                let mut scratch = Scratch::default();
                let card = self.item(item, &mut scratch);
                if let Some(set) = card.set() {
                    line.insert("USREF".to_owned(), json!(set.reference));
                    let named = line.get("UNIT_CODE").and_then(Value::as_str);
                    let unit = set.units.iter().find(|unit| Some(unit.code) == named).unwrap_or(&set.units[0]);
                    line.insert("UNIT_CODE".to_owned(), json!(unit.code));
                    line.insert("UOMREF".to_owned(), json!(unit.reference));
                    line.entry("UNIT_CONV1").or_insert_with(|| double(unit.conv1.into()));
                    line.entry("UNIT_CONV2").or_insert_with(|| double(unit.conv2.into()));
                }
                let rate = Decimal::new(card.sales_vat.unwrap_or(card.vat), 2);
                line.entry("VAT_RATE").or_insert_with(|| double(rate));
            }
        }
    }

    /// What an order holds back in its warehouse, in main units.
    pub fn open_quantities(&self, record: &Record) -> Vec<Open> {
        let whole = |name: &str| record.get(name).and_then(integer).unwrap_or(0);
        if whole("CANCELLED") == 1 {
            return Vec::new();
        }
        let warehouse = whole("SOURCE_WH");
        let open = fields::lines(record, "TRANSACTIONS").filter(|line| matches!(totals::kind(line), 0 | 1));
        open.filter_map(|line| {
            let number = |name: &str| line.get(name).and_then(decimal);
            let item = line.get("STOCKREF").and_then(integer).filter(|item| *item > 0)?;
            let factor = number("UNIT_CONV2").unwrap_or(Decimal::ONE)
                / number("UNIT_CONV1").filter(|conv| !conv.is_zero()).unwrap_or(Decimal::ONE);
            if line.get("ORDER_CLOSED").and_then(integer) == Some(1) {
                return None;
            }
            // What left is not ordered any more.
            let left = number("QUANTITY").unwrap_or_default() - number("QUANTITY_SHIPPED").unwrap_or_default();
            let left = left.max(Decimal::ZERO);
            let is_reserved = line.get("ORDER_RESERVE").and_then(integer) == Some(1);
            let reserved =
                if is_reserved { number("RESERVE_AMOUNT").unwrap_or_default().min(left) } else { Decimal::ZERO };
            let main = |quantity: Decimal| fields::scaled_decimal(quantity * factor, 4);
            Some(Open { item, warehouse, quantity: main(left)?, reserved: main(reserved)? })
        })
        .collect()
    }

    /// Header fields of a PATCH over the stored order; lines are ignored.
    pub fn order_patched(
        &self,
        reference: i64,
        body: &Record,
        switches: &Switches,
        now: i64,
    ) -> Result<Record, Refusal> {
        let mut refusal = Refusal::default();
        let changes = fields::read(body, fields::ORDER, &mut refusal);
        let mut record = self.orders.find(reference).map(|order| order.record.clone()).unwrap_or_default();
        for (name, value) in changes.into_iter().filter(|(_, value)| !value.is_object()) {
            if name != "NUMBER" || value != "~" {
                record.insert(name, value);
            }
        }
        // A field that is sent empty is emptied.
        let emptied = |value: &Value| value.is_null() || value.as_str().is_some_and(str::is_empty);
        for (name, _) in fields::ORDER.iter().filter(|(name, _)| body.get(*name).is_some_and(emptied)) {
            record.remove(*name);
        }
        if refusal.is_empty() {
            self.check(&record, &[], switches, now, &mut refusal);
        }
        if !refusal.is_empty() {
            return Err(refusal);
        }
        if number_of(&record).is_some_and(|number| self.orders.has_number(number, Some(reference))) {
            return Err(Refusal::duplicate());
        }
        self.fill_header(&mut record, reference);
        Ok(record)
    }
}

/// A new slip comes in its own currency, and is kept in the firm's.
fn book(record: &Record, lines: &mut [Record]) {
    let rate = record.get("TC_RATE").and_then(decimal).unwrap_or(Decimal::ONE);
    for line in lines {
        for name in ["PRICE", "TOTAL"] {
            if let Some(figure) = line.get(name).and_then(decimal) {
                line.insert(name.to_owned(), double(figure * rate));
            }
        }
    }
}

/// The answer to a create: what was sent, with the reference of the slip and none for its lines.
pub fn echo(body: &Record, reference: i64) -> Value {
    let mut echo = body.clone();
    fields::echo(&mut echo, fields::ORDER);
    echo.insert("INTERNAL_REFERENCE".to_owned(), json!(reference));
    if let Some(Value::Array(lines)) = echo.get_mut("TRANSACTIONS").and_then(|lines| lines.get_mut("items")) {
        for line in lines.iter_mut().filter_map(Value::as_object_mut) {
            fields::echo(line, fields::ORDER_LINE);
            line.insert("INTERNAL_REFERENCE".to_owned(), Value::Null);
        }
    }
    Value::Object(echo)
}
