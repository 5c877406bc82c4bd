//! Creating, replacing, patching and deleting records over REST. Every write becomes one [`Entry`].

use serde_json::{Map, Value, json};

use super::{
    answer::Refusal,
    fields::{self, Fields},
    lists::Resource,
    orders,
    records::put_stamps,
    store::{Cards, Entry, Store},
    switches::Switches,
    table::{Edit, Found},
    world::{Scratch, codes, items, prices},
};

type Record = Map<String, Value>;

/// What to store, and what to answer.
pub type Written = (Entry, Value);

#[derive(Debug)]
pub enum NotWritten {
    Refused(Refusal),
    NotFound,
    /// The service has the resource, this sandbox does not write it.
    NotSupported,
}

impl From<Refusal> for NotWritten {
    fn from(refusal: Refusal) -> NotWritten {
        NotWritten::Refused(refusal)
    }
}

/// A card that can be written over REST.
#[derive(Debug, Clone, Copy)]
struct Kind {
    table: Cards,
    fields: Fields,
}

const fn kind(resource: Resource) -> Option<Kind> {
    match resource {
        Resource::Items => Some(Kind { table: Cards::Items, fields: fields::ITEM }),
        Resource::Arps => Some(Kind { table: Cards::Customers, fields: fields::ARP }),
        _ => None,
    }
}

impl Store {
    pub fn create(
        &self,
        resource: Resource,
        body: &Record,
        switches: &Switches,
        now: i64,
    ) -> Result<Written, NotWritten> {
        if resource == Resource::SalesOrders {
            let (reference, mut record) = self.order_from(body, None, switches, now)?;
            put_stamps(&mut record, now, None);
            return Ok((Entry::Order { reference, record, at: now }, orders::echo(body, reference)));
        }
        if resource == Resource::SalesDispatches {
            let (reference, mut record) = self.return_from(body, switches, now)?;
            put_stamps(&mut record, now, None);
            return Ok((Entry::Return { reference, record, at: now }, orders::echo(body, reference)));
        }
        let kind = kind(resource).ok_or(NotWritten::NotSupported)?;
        let fields = self.card_fields(kind, body, None)?;
        let reference = match kind.table {
            Cards::Customers => self.customers.next_reference(),
            Cards::Items | Cards::Prices => self.items.next_reference(),
        };
        let edit = Edit { generated: false, fields, created: now, modified: None, deleted: false };
        let mut echo = body.clone();
        fields::echo(&mut echo, kind.fields);
        echo.insert("INTERNAL_REFERENCE".to_owned(), json!(reference));
        Ok((Entry::Card { table: kind.table, reference, edit }, Value::Object(echo)))
    }

    /// Replaces the whole record: what is left out is emptied, lines left out are deleted.
    pub fn replace(
        &self,
        resource: Resource,
        reference: i64,
        body: &Record,
        switches: &Switches,
        now: i64,
    ) -> Result<Written, NotWritten> {
        if resource == Resource::SalesOrders {
            let old = self.orders.find(reference).ok_or(NotWritten::NotFound)?;
            let (reference, mut record) = self.order_from(body, Some(reference), switches, now)?;
            keep_created(&mut record, &old.record, now);
            return Ok((Entry::Order { reference, record, at: now }, orders::echo(body, reference)));
        }
        let kind = kind(resource).ok_or(NotWritten::NotSupported)?;
        let found = self.card(kind, reference).ok_or(NotWritten::NotFound)?;
        let fields = self.card_fields(kind, body, Some(reference))?;
        let edit = Edit { generated: false, fields, created: found.created, modified: Some(now), deleted: false };
        let mut echo = body.clone();
        fields::echo(&mut echo, kind.fields);
        echo.insert("INTERNAL_REFERENCE".to_owned(), json!(reference));
        Ok((Entry::Card { table: kind.table, reference, edit }, Value::Object(echo)))
    }

    /// Header fields only; lines and other children are ignored.
    pub fn patch(
        &self,
        resource: Resource,
        reference: i64,
        body: &Record,
        switches: &Switches,
        now: i64,
    ) -> Result<Written, NotWritten> {
        if resource == Resource::SalesOrders {
            let old = self.orders.find(reference).ok_or(NotWritten::NotFound)?;
            let mut record = self.order_patched(reference, body, switches, now)?;
            keep_created(&mut record, &old.record, now);
            return Ok((Entry::Order { reference, record, at: now }, orders::echo(body, reference)));
        }
        if resource == Resource::SalesDispatches {
            let old = self.returns.find(reference).ok_or(NotWritten::NotFound)?;
            let mut record = self.return_patched(reference, body)?;
            keep_created(&mut record, &old.record, now);
            return Ok((Entry::Return { reference, record, at: now }, orders::echo(body, reference)));
        }
        let kind = kind(resource).ok_or(NotWritten::NotSupported)?;
        let found = self.card(kind, reference).ok_or(NotWritten::NotFound)?;
        let mut refusal = Refusal::default();
        let changes = fields::read(body, kind.fields, &mut refusal);
        let mut edit = edit_of(found);
        for (name, value) in changes.into_iter().filter(|(_, value)| !value.is_object()) {
            edit.fields.insert(name, value);
        }
        let emptied = |value: &Value| value.is_null() || value.as_str().is_some_and(str::is_empty);
        for (name, _) in kind.fields.iter().filter(|(name, _)| body.get(*name).is_some_and(emptied)) {
            edit.fields.insert((*name).to_owned(), json!(""));
        }
        self.check_card(kind, &edit.fields, Some(reference), edit.generated, &mut refusal);
        if !refusal.is_empty() {
            return Err(refusal.into());
        }
        edit.modified = Some(now);
        let mut echo = body.clone();
        fields::echo(&mut echo, kind.fields);
        echo.insert("INTERNAL_REFERENCE".to_owned(), json!(reference));
        Ok((Entry::Card { table: kind.table, reference, edit }, Value::Object(echo)))
    }

    pub fn delete(&self, resource: Resource, reference: i64, now: i64) -> Result<Written, NotWritten> {
        if resource == Resource::SalesOrders {
            self.orders.find(reference).ok_or(NotWritten::NotFound)?;
            return Ok((Entry::OrderDeleted { reference, at: now }, json!({"INTERNAL_REFERENCE": reference})));
        }
        if resource == Resource::SalesDispatches {
            self.returns.find(reference).ok_or(NotWritten::NotFound)?;
            return Ok((Entry::ReturnDeleted { reference, at: now }, json!({"INTERNAL_REFERENCE": reference})));
        }
        let kind = kind(resource).ok_or(NotWritten::NotSupported)?;
        let found = self.card(kind, reference).ok_or(NotWritten::NotFound)?;
        if self.is_referred_to(kind.table, reference) {
            return Err(Refusal::logo("Kayıt başka kayıtlar tarafından kullanıldığı için silinemez.").into());
        }
        let edit = Edit { deleted: true, modified: Some(now), ..edit_of(found) };
        Ok((Entry::Card { table: kind.table, reference, edit }, json!({"INTERNAL_REFERENCE": reference})))
    }

    /// LOGICALREFs of the price rows of an item.
    pub fn prices_of(&self, item: i64) -> Vec<i64> {
        let generated = items::number(item).filter(|n| *n < self.world.items).into_iter();
        let generated = generated.flat_map(|n| (n * prices::SLOTS..(n + 1) * prices::SLOTS).map(prices::reference));
        let card = |edit: &Edit| edit.fields.get("CARDREF").and_then(fields::integer);
        let written = self.prices.edits().filter(|(_, edit)| card(edit) == Some(item)).map(|(reference, _)| reference);
        let mut all: Vec<i64> = generated.chain(written).filter(|row| self.prices.find(*row).is_some()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn is_referred_to(&self, table: Cards, reference: i64) -> bool {
        let ordered = |name: &str| {
            self.orders.iter().any(|(_, order)| match name {
                "CLIENTREF" => order.record.get(name).and_then(fields::integer) == Some(reference),
                _ => fields::lines(&order.record, "TRANSACTIONS")
                    .any(|line| line.get(name).and_then(fields::integer) == Some(reference)),
            })
        };
        match table {
            Cards::Items => !self.prices_of(reference).is_empty() || ordered("STOCKREF"),
            Cards::Customers => ordered("CLIENTREF"),
            Cards::Prices => false,
        }
    }

    fn card(&self, kind: Kind, reference: i64) -> Option<Found<'_>> {
        match kind.table {
            Cards::Customers => self.customers.find(reference),
            Cards::Items => self.items.find(reference),
            Cards::Prices => self.prices.find(reference),
        }
    }

    fn card_fields(&self, kind: Kind, body: &Record, at: Option<i64>) -> Result<Record, Refusal> {
        let mut refusal = Refusal::default();
        let fields = fields::read(body, kind.fields, &mut refusal);
        if refusal.is_empty() {
            self.check_card(kind, &fields, at, false, &mut refusal);
        }
        if refusal.is_empty() { Ok(fields) } else { Err(refusal) }
    }

    /// `partial`: a generated card lies below, so that what is missing here is there.
    fn check_card(&self, kind: Kind, fields: &Record, at: Option<i64>, partial: bool, refusal: &mut Refusal) {
        let text = |name: &str| fields.get(name).and_then(Value::as_str);
        match text("CODE") {
            None if partial => {}
            None | Some("") => refusal.values.push("CODE boş olamaz. [1]".to_owned()),
            Some(code) => {
                let other = match kind.table {
                    Cards::Customers => self.customer_by_code(code),
                    Cards::Items | Cards::Prices => self.item_by_code(code),
                };
                if other.is_some_and(|other| Some(other.reference) != at) {
                    refusal.database.push("23000".to_owned());
                }
            }
        }
        let mut lookup = |name: &str, there: bool| {
            if text(name).is_some_and(|code| !code.is_empty()) && !there {
                refusal.values.push(format!("{name} bulunamadı. [6]"));
            }
        };
        match kind.table {
            Cards::Items => {
                let set = text("UNITSET_CODE").unwrap_or_default();
                lookup("UNITSET_CODE", codes::unit_set(set).is_some());
                let mark = text("MARKCODE").unwrap_or_default();
                lookup("MARKCODE", self.brands.iter().any(|brand| brand.code == mark));
            }
            Cards::Customers => {
                let plan = text("PAYMENT_CODE").unwrap_or_default();
                lookup("PAYMENT_CODE", codes::PAYMENT_PLANS.iter().any(|(_, code)| *code == plan));
            }
            Cards::Prices => {}
        }
    }

    /// The item's code, for messages and joins.
    pub fn code_of_item(&self, reference: i64) -> Option<String> {
        let mut scratch = Scratch::default();
        self.items.find(reference).map(|found| self.item(found, &mut scratch).code.to_owned())
    }
}

/// The edit that leaves a card as it is.
pub fn edit_of(found: Found<'_>) -> Edit {
    found.edit.cloned().unwrap_or(Edit {
        generated: true,
        fields: Map::new(),
        created: found.created,
        modified: found.modified,
        deleted: false,
    })
}

fn keep_created(record: &mut Record, old: &Record, now: i64) {
    put_stamps(record, now, Some(now));
    for name in ["CREATED_BY", "DATE_CREATED", "HOUR_CREATED", "MIN_CREATED", "SEC_CREATED"] {
        if let Some(value) = old.get(name) {
            record.insert(name.to_owned(), value.clone());
        }
    }
}
