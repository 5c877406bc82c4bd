//! Return slips: dispatches of goods that come back from a sale (TYPE 2 retail, 3 wholesale). They are checked and totalled as
//! orders are, and what they bring goes into their warehouse at once.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use super::{
    answer::Refusal,
    documents::{number, whole},
    fields::{self, integer},
    records::guid_text,
    stock::Open,
    store::Store,
    switches::Switches,
    totals,
};

type Record = Map<String, Value>;

const FIRST_REFERENCE: i64 = 8_801;
const FIRST_LINE: i64 = 90_101;

#[derive(Debug)]
pub struct Slip {
    pub record: Record,
    /// What it brought into its warehouse, in main units.
    pub came: Vec<Open>,
}

#[derive(Debug, Default)]
pub struct Returns {
    by_reference: BTreeMap<i64, Slip>,
    last_reference: i64,
}

impl Returns {
    pub fn iter(&self) -> impl Iterator<Item = (i64, &Slip)> {
        self.by_reference.iter().map(|(reference, slip)| (*reference, slip))
    }

    pub fn find(&self, reference: i64) -> Option<&Slip> {
        self.by_reference.get(&reference)
    }

    pub fn count(&self) -> usize {
        self.by_reference.len()
    }

    /// Stores a slip; gives what the one in its place had brought.
    pub fn put(&mut self, reference: i64, record: Record, came: Vec<Open>) -> Vec<Open> {
        self.last_reference = self.last_reference.max(reference);
        self.by_reference.insert(reference, Slip { record, came }).map(|slip| slip.came).unwrap_or_default()
    }

    pub fn remove(&mut self, reference: i64) -> Vec<Open> {
        self.by_reference.remove(&reference).map(|slip| slip.came).unwrap_or_default()
    }

    fn next_reference(&self) -> i64 {
        self.last_reference.max(FIRST_REFERENCE - 1) + 1
    }

    fn next_line(&self) -> i64 {
        let lines = self.by_reference.values().flat_map(|slip| fields::lines(&slip.record, "TRANSACTIONS"));
        lines.map(|line| whole(line, "INTERNAL_REFERENCE")).max().unwrap_or(0).max(FIRST_LINE - 1) + 1
    }

    fn has_number(&self, number: &str, besides: Option<i64>) -> bool {
        self.iter().any(|(reference, slip)| {
            Some(reference) != besides && slip.record.get("NUMBER").and_then(Value::as_str) == Some(number)
        })
    }
}

impl Store {
    /// The slip that a POST body becomes, ready to be stored.
    pub fn return_from(&self, body: &Record, switches: &Switches, now: i64) -> Result<(i64, Record), Refusal> {
        let mut refusal = Refusal::default();
        let mut record = fields::read(body, fields::ORDER, &mut refusal);
        record.remove("TRANSACTIONS");
        let given = fields::lines(body, "TRANSACTIONS");
        let mut lines: Vec<Record> = given.map(|line| fields::read(line, fields::ORDER_LINE, &mut refusal)).collect();
        if !refusal.is_empty() {
            return Err(refusal);
        }
        if !matches!(whole(&record, "TYPE"), 2 | 3) {
            refusal.values.push("TYPE geçersiz. [3]".to_owned());
        }
        self.check(&record, &lines, switches, now, &mut refusal);
        if !refusal.is_empty() {
            return Err(refusal);
        }
        let reference = self.returns.next_reference();
        let given = record.get("NUMBER").and_then(Value::as_str).unwrap_or_default().to_owned();
        if given == "~" {
            record.insert("NUMBER".to_owned(), json!(format!("IADE{reference:012}")));
        } else if self.returns.has_number(&given, None) {
            return Err(Refusal::duplicate());
        }
        self.head(&mut record, reference);
        for (at, line) in lines.iter_mut().enumerate() {
            line.insert("INTERNAL_REFERENCE".to_owned(), json!(self.returns.next_line() + at as i64));
            let code = line.get("MASTER_CODE").and_then(Value::as_str).unwrap_or_default().to_owned();
            let item = if matches!(totals::kind(line), 0 | 1) { self.item_by_code(&code) } else { None };
            line.insert("STOCKREF".to_owned(), json!(item.map_or(0, |item| item.reference)));
        }
        totals::compute(&mut lines).put(&mut record);
        record.insert("TRANSACTIONS".to_owned(), json!({"items": lines}));
        Ok((reference, record))
    }

    fn head(&self, record: &mut Record, reference: i64) {
        let customer = record.get("ARP_CODE").and_then(Value::as_str).and_then(|code| self.customer_by_code(code));
        record.insert("CLIENTREF".to_owned(), json!(customer.map_or(0, |customer| customer.reference)));
        record.insert("GRPCODE".to_owned(), json!(2));
        // Goods come in.
        record.insert("IOCODE".to_owned(), json!(1));
        record.insert("DATA_REFERENCE".to_owned(), json!(reference));
        record.insert("GUID".to_owned(), json!(guid_text("RETURN", reference)));
        record.entry("SOURCE_WH").or_insert(json!(0));
    }

    /// Header fields of a PATCH over the stored slip; lines are ignored.
    pub fn return_patched(&self, reference: i64, body: &Record) -> Result<Record, Refusal> {
        let mut refusal = Refusal::default();
        let changes = fields::read(body, fields::ORDER, &mut refusal);
        let mut record = self.returns.find(reference).map(|slip| slip.record.clone()).unwrap_or_default();
        record.extend(changes.into_iter().filter(|(name, value)| !value.is_object() && name != "NUMBER"));
        if refusal.is_empty() { Ok(record) } else { Err(refusal) }
    }

    /// What a slip brings into its warehouse; a cancelled one nothing.
    pub fn quantities_back(&self, record: &Record) -> Vec<Open> {
        if whole(record, "CANCELLED") == 1 {
            return Vec::new();
        }
        let warehouse = whole(record, "SOURCE_WH");
        let goods = fields::lines(record, "TRANSACTIONS").filter(|line| matches!(totals::kind(line), 0 | 1));
        goods
            .filter_map(|line| {
                let conv = |name: &str| Some(number(line, name)).filter(|conv| !conv.is_zero()).unwrap_or(Decimal::ONE);
                let item = line.get("STOCKREF").and_then(integer).filter(|item| *item > 0)?;
                let main = number(line, "QUANTITY") * conv("UNIT_CONV2") / conv("UNIT_CONV1");
                Some(Open { item, warehouse, quantity: fields::scaled_decimal(main, 4)?, reserved: 0 })
            })
            .collect()
    }
}
