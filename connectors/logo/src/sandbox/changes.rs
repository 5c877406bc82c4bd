//! `POST /_sandbox/change`: what the firm's own people do, read strictly.
//!
//! | key | what |
//! | --- | --- |
//! | `items: [{code \| ref, name?, active?, group?, brand?, vat?, unitSet?, newCode?, price?, fields?, delete?}]` | edits cards; `price` is the list price; `fields` by their own names |
//! | `customers: [{code \| ref, title?, active?, taxNumber?, newCode?, fields?, delete?}]` | edits cards |
//! | `prices: [{ref} \| {code, list?, customer?}, price?, currency?, unit?, active?, starts?, ends?, vatIncluded?, priority?, delete?]` | edits the row of an item in a list (`LISTE`, `BAYI`, `OZEL`), or adds it |
//! | `stock: [{code, warehouse, onHand?, reserved?, salesOrders?}]` | books stock |
//! | `orders`, `invoices`, `payments` | see `documents` |
//! | `groups: [{code, name}]`, `brands: [{code, name}]` | adds or renames code rows |
//! | `insert: {items: n}` | new cards, without price and stock |
//! | `touch: {stream?, from, to}` | saves the cards with these LOGICALREFs again, unchanged |
//! | `mutateAll: {stream, salt}` | changes every row of `items`, `customers`, `prices` or `stock` in one second |
//!
//! Everything gets the change stamp of the sandbox's now. A change is taken as a whole or refused as a whole.

use serde_json::{Map, Value, json};

use super::{
    documents::Taken,
    fields,
    store::{Cards, Entry, List, Store},
    table::{Bulk, Edit, Found},
    world::{Scratch, stock::Totals},
    writes::edit_of,
};

type Object = Map<String, Value>;
type Checked<T> = Result<T, String>;

/// Written cards are held, unlike generated ones.
const MOST_ROWS: i64 = 100_000;

impl Store {
    /// The entries of a change, and how many rows of each sort it touches.
    pub fn change(&self, change: &Value, now: i64) -> Checked<(Vec<Entry>, Value)> {
        let change = object(change, "the change")?;
        const KNOWN: [&str; 12] = [
            "items",
            "customers",
            "prices",
            "stock",
            "groups",
            "brands",
            "insert",
            "touch",
            "mutateAll",
            "orders",
            "invoices",
            "payments",
        ];
        known(change, &KNOWN, "")?;
        let next_price = self.prices.next_reference();
        let mut plan = Plan { store: self, now, entries: Vec::new(), next_price, taken: Taken::default() };
        let mut counts = Map::new();
        for (key, value) in change {
            let before = plan.entries.len();
            match key.as_str() {
                "insert" => plan.insert(value)?,
                "touch" => plan.touch(value)?,
                "mutateAll" => plan.change_all(value)?,
                _ => {
                    let rows = value.as_array().ok_or_else(|| format!("{key}: must be a list"))?;
                    for (n, row) in rows.iter().enumerate() {
                        let place = format!("{key}[{n}]");
                        let row = object(row, &place)?;
                        match key.as_str() {
                            "items" => plan.item(row),
                            "customers" => plan.customer(row),
                            "prices" => plan.price(row),
                            "stock" => plan.stock(row),
                            "orders" => {
                                let entries = self.deal(row, now, &mut plan.taken);
                                plan.add(entries)
                            }
                            "invoices" => plan.add(self.cancel_invoice(row, now)),
                            "payments" => {
                                let entries = self.payment(row, now, &mut plan.taken);
                                plan.add(entries)
                            }
                            "groups" => plan.code(List::Groups, row),
                            _ => plan.code(List::Brands, row),
                        }
                        .map_err(|error| format!("{place}: {error}"))?;
                    }
                }
            }
            counts.insert(key.clone(), json!(plan.entries.len() - before));
        }
        Ok((plan.entries, Value::Object(counts)))
    }
}

struct Plan<'s> {
    store: &'s Store,
    now: i64,
    entries: Vec<Entry>,
    next_price: i64,
    taken: Taken,
}

impl<'s> Plan<'s> {
    fn add(&mut self, entries: Checked<Vec<Entry>>) -> Checked<()> {
        self.entries.extend(entries?);
        Ok(())
    }

    fn item(&mut self, row: &Object) -> Checked<()> {
        const KNOWN: [&str; 12] = [
            "code", "ref", "name", "active", "group", "brand", "vat", "unitSet", "newCode", "price", "fields", "delete",
        ];
        known(row, &KNOWN, "")?;
        let found = self.card(row, Cards::Items)?;
        if let Some(price) = row.get("price") {
            self.price_of(found.reference, "LISTE", "", &json!({"price": price}))?;
        }
        let mut edit = self.edit(Cards::Items, found);
        let texts = [("name", "NAME"), ("group", "GROUP_CODE"), ("brand", "MARKCODE"), ("unitSet", "UNITSET_CODE")];
        put_texts(&mut edit, row, &texts)?;
        if let Some(rate) = row.get("vat") {
            let rate = fields::decimal(rate).ok_or("vat: must be a number")?;
            edit.fields.insert("VAT".to_owned(), fields::double(rate));
            edit.fields.insert("SELVAT".to_owned(), fields::double(rate));
        }
        if let Some(code) = text(row, "newCode")? {
            free(self.store.item_by_code(code), found.reference)?;
            edit.fields.insert("CODE".to_owned(), json!(code));
        }
        self.finish(Cards::Items, found.reference, edit, row)
    }

    fn customer(&mut self, row: &Object) -> Checked<()> {
        known(row, &["code", "ref", "title", "active", "taxNumber", "newCode", "fields", "delete"], "")?;
        let found = self.card(row, Cards::Customers)?;
        let mut edit = self.edit(Cards::Customers, found);
        put_texts(&mut edit, row, &[("title", "TITLE"), ("taxNumber", "TAX_ID")])?;
        if let Some(code) = text(row, "newCode")? {
            free(self.store.customer_by_code(code), found.reference)?;
            edit.fields.insert("CODE".to_owned(), json!(code));
        }
        self.finish(Cards::Customers, found.reference, edit, row)
    }

    /// The members that items and customers share.
    fn finish(&mut self, table: Cards, reference: i64, mut edit: Edit, row: &Object) -> Checked<()> {
        if let Some(active) = flag(row, "active")? {
            edit.fields.insert("RECORD_STATUS".to_owned(), json!(i64::from(!active)));
        }
        if let Some(more) = row.get("fields") {
            for (name, value) in object(more, "fields")? {
                edit.fields.insert(name.clone(), value.clone());
            }
        }
        edit.deleted = flag(row, "delete")?.unwrap_or(false);
        edit.modified = Some(self.now);
        self.entries.push(Entry::Card { table, reference, edit });
        Ok(())
    }

    fn price(&mut self, row: &Object) -> Checked<()> {
        const KNOWN: [&str; 13] = [
            "ref",
            "code",
            "list",
            "customer",
            "price",
            "currency",
            "unit",
            "active",
            "starts",
            "ends",
            "vatIncluded",
            "priority",
            "delete",
        ];
        known(row, &KNOWN, "")?;
        if let Some(reference) = row.get("ref").and_then(Value::as_i64) {
            let found = self.store.prices.find(reference).ok_or("no such price row")?;
            return self.price_row(reference, self.edit(Cards::Prices, found), row);
        }
        let item = self.card(row, Cards::Items)?.reference;
        let customer = text(row, "customer")?.unwrap_or_default();
        let list = text(row, "list")?.unwrap_or(if customer.is_empty() { "LISTE" } else { "OZEL" });
        self.price_of(item, list, customer, &Value::Object(row.clone()))
    }

    /// The row of an item in a list and for a customer (or all), as it is today or a new one.
    fn price_of(&mut self, item: i64, list: &str, customer: &str, row: &Value) -> Checked<()> {
        let row = object(row, "the price")?;
        let mut scratch = Scratch::default();
        let today = self.store.prices_of(item).into_iter().find(|reference| {
            self.store.prices.find(*reference).is_some_and(|found| {
                let card = self.store.price(found, &mut scratch);
                card.group == list && card.customer == customer && card.ends >= self.now
            })
        });
        if let Some(reference) = today {
            let found = self.store.prices.find(reference).ok_or("no such price row")?;
            let edit = self.edit(Cards::Prices, found);
            return self.price_row(reference, edit, row);
        }
        let code = self.store.code_of_item(item).ok_or("no such item")?;
        let unit = {
            let found = self.store.items.find(item).ok_or("no such item")?;
            self.store.item(found, &mut scratch).main_unit().unwrap_or("ADET")
        };
        let reference = self.next_price;
        self.next_price += 1;
        let fields = json!({
            "CODE": format!("ELLE-{reference}"),
            "OWNER_CODE": code,
            "CARDREF": item,
            "ARP_CODE": customer,
            "UNIT_CODE": unit,
            "GRPCODE": list,
        });
        let Value::Object(fields) = fields else { return Ok(()) };
        let edit = Edit { generated: false, fields, created: self.now, modified: None, deleted: false };
        self.price_row(reference, edit, row)
    }

    fn price_row(&mut self, reference: i64, mut edit: Edit, row: &Object) -> Checked<()> {
        if let Some(price) = row.get("price") {
            let price = fields::decimal(price).ok_or("price: must be a number")?;
            edit.fields.insert("PRICE".to_owned(), fields::double(price));
        }
        for (key, name) in [("currency", "CURRENCY"), ("priority", "PRIORITY")] {
            if let Some(number) = row.get(key) {
                let number = number.as_i64().ok_or_else(|| format!("{key}: must be a whole number"))?;
                edit.fields.insert(name.to_owned(), json!(number));
            }
        }
        put_texts(&mut edit, row, &[("unit", "UNIT_CODE")])?;
        for (key, name) in [("starts", "DATE_STARTED"), ("ends", "DATE_ENDED")] {
            if let Some(day) = text(row, key)? {
                let day = fields::iso_day(day).ok_or_else(|| format!("{key}: must be a date YYYY-MM-DD"))?;
                edit.fields.insert(name.to_owned(), json!(fields::iso(day)));
            }
        }
        if let Some(active) = flag(row, "active")? {
            edit.fields.insert("ACTIVE".to_owned(), json!(i64::from(!active)));
        }
        if let Some(included) = flag(row, "vatIncluded")? {
            edit.fields.insert("VAT_INCL".to_owned(), json!(i64::from(included)));
        }
        edit.deleted = flag(row, "delete")?.unwrap_or(false);
        if edit.created != self.now {
            edit.modified = Some(self.now);
        }
        self.entries.push(Entry::Card { table: Cards::Prices, reference, edit });
        Ok(())
    }

    fn stock(&mut self, row: &Object) -> Checked<()> {
        known(row, &["code", "ref", "warehouse", "onHand", "reserved", "salesOrders"], "")?;
        let item = self.card(row, Cards::Items)?;
        let warehouse = match row.get("warehouse") {
            None => 0,
            Some(number) => {
                let number = number.as_i64().filter(|number| (0..1_000).contains(number));
                number.ok_or("warehouse: must be a number from 0 to 999")?
            }
        };
        let mut rows = Vec::new();
        self.store.stock.written_rows(item, &mut rows);
        let before = rows.into_iter().find(|(number, _)| *number == warehouse);
        let mut totals = before.map_or(Totals::default(), |(_, totals)| totals);
        let quantity = |key: &str, into: &mut i64| match row.get(key) {
            None => Ok(()),
            Some(value) => match fields::scaled(value, 4) {
                Some(quantity) => {
                    *into = quantity;
                    Ok(())
                }
                None => Err(format!("{key}: must be a number")),
            },
        };
        quantity("onHand", &mut totals.on_hand)?;
        quantity("reserved", &mut totals.reserved)?;
        quantity("salesOrders", &mut totals.sales_orders)?;
        self.entries.push(Entry::Stock { item: item.reference, warehouse, totals, at: self.now });
        Ok(())
    }

    fn code(&mut self, list: List, row: &Object) -> Checked<()> {
        known(row, &["code", "name"], "")?;
        let code = text(row, "code")?.filter(|code| !code.is_empty()).ok_or("code: is missing")?;
        let name = text(row, "name")?.unwrap_or(code);
        let rows = match list {
            List::Groups => &self.store.groups,
            List::Brands => &self.store.brands,
        };
        let planned = self.entries.iter().filter_map(|entry| match entry {
            Entry::Code { list: other, reference, .. } if *other == list => Some(*reference),
            _ => None,
        });
        let next = rows.iter().map(|row| row.reference).chain(planned).max().unwrap_or(0) + 1;
        let reference = rows.iter().find(|row| row.code == code).map_or(next, |row| row.reference);
        self.entries.push(Entry::Code { list, reference, code: code.to_owned(), name: name.to_owned() });
        Ok(())
    }

    fn insert(&mut self, value: &Value) -> Checked<()> {
        let value = object(value, "insert")?;
        known(value, &["items"], "insert.")?;
        let count = value.get("items").and_then(Value::as_i64).filter(|count| (1..=MOST_ROWS).contains(count));
        let count = count.ok_or_else(|| format!("insert.items: must be a number from 1 to {MOST_ROWS}"))?;
        let first = self.store.items.next_reference();
        let edit = Edit { generated: true, fields: Map::new(), created: self.now, modified: None, deleted: false };
        self.entries.extend((first..first + count).map(|reference| Entry::Card {
            table: Cards::Items,
            reference,
            edit: edit.clone(),
        }));
        Ok(())
    }

    fn touch(&mut self, value: &Value) -> Checked<()> {
        let value = object(value, "touch")?;
        known(value, &["stream", "from", "to"], "touch.")?;
        let table = match text(value, "stream")?.unwrap_or("items") {
            "items" => Cards::Items,
            "customers" => Cards::Customers,
            "prices" => Cards::Prices,
            other => return Err(format!("touch.stream: `{other}` is none of items, customers, prices")),
        };
        let number =
            |key: &str| value.get(key).and_then(Value::as_i64).ok_or(format!("touch.{key}: must be a LOGICALREF"));
        let (from, to) = (number("from")?, number("to")?);
        if to < from || to - from >= MOST_ROWS {
            return Err(format!("touch: must go from a lower to a higher LOGICALREF, at most {MOST_ROWS} of them"));
        }
        for reference in from..=to {
            let found = match table {
                Cards::Items => self.store.items.find(reference),
                Cards::Customers => self.store.customers.find(reference),
                Cards::Prices => self.store.prices.find(reference),
            };
            if let Some(found) = found {
                let edit = Edit { modified: Some(self.now), ..edit_of(found) };
                self.entries.push(Entry::Card { table, reference, edit });
            }
        }
        Ok(())
    }

    fn change_all(&mut self, value: &Value) -> Checked<()> {
        let value = object(value, "mutateAll")?;
        known(value, &["stream", "salt"], "mutateAll.")?;
        let salt = value.get("salt").and_then(Value::as_u64).ok_or("mutateAll.salt: must be a whole number")?;
        let bulk = Bulk { salt, at: self.now };
        self.entries.push(match text(value, "stream")?.unwrap_or("items") {
            "items" => Entry::All { table: Cards::Items, bulk },
            "customers" => Entry::All { table: Cards::Customers, bulk },
            "prices" => Entry::All { table: Cards::Prices, bulk },
            "stock" => Entry::AllStock { bulk },
            other => return Err(format!("mutateAll.stream: `{other}` is none of items, customers, prices, stock")),
        });
        Ok(())
    }

    fn card(&self, row: &Object, table: Cards) -> Checked<Found<'s>> {
        let store = self.store;
        let code = text(row, "code")?;
        let found = match (row.get("ref").and_then(Value::as_i64), code, table) {
            (Some(reference), None, Cards::Customers) => store.customers.find(reference),
            (Some(reference), None, _) => store.items.find(reference),
            (None, Some(code), Cards::Customers) => store.customer_by_code(code),
            (None, Some(code), _) => store.item_by_code(code),
            _ => return Err("needs either `code` or `ref`".to_owned()),
        };
        found.ok_or_else(|| format!("no such card: {}", code.unwrap_or("ref")))
    }

    /// The card's edit, with what earlier rows of the same change did to it.
    fn edit(&self, table: Cards, found: Found<'_>) -> Edit {
        let planned = self.entries.iter().rev().find_map(|entry| match entry {
            Entry::Card { table: other, reference, edit } if (*other, *reference) == (table, found.reference) => {
                Some(edit.clone())
            }
            _ => None,
        });
        planned.unwrap_or_else(|| edit_of(found))
    }
}

fn free(other: Option<Found<'_>>, own: i64) -> Checked<()> {
    match other {
        Some(other) if other.reference != own => Err(format!("newCode: taken by ref {}", other.reference)),
        _ => Ok(()),
    }
}

fn object<'v>(value: &'v Value, place: &str) -> Checked<&'v Object> {
    value.as_object().ok_or_else(|| format!("{place}: must be an object"))
}

fn known(map: &Object, known: &[&str], prefix: &str) -> Checked<()> {
    match map.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(format!("{prefix}{key}: {}", kopru_sdk::settings::unknown_key(key, known))),
        None => Ok(()),
    }
}

fn text<'v>(map: &'v Object, key: &str) -> Checked<Option<&'v str>> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("{key}: must be a text")),
    }
}

fn flag(map: &Object, key: &str) -> Checked<Option<bool>> {
    match map.get(key) {
        None => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(format!("{key}: must be true or false")),
    }
}

fn put_texts(edit: &mut Edit, row: &Object, names: &[(&str, &str)]) -> Checked<()> {
    for (key, name) in names {
        if let Some(text) = text(row, key)? {
            edit.fields.insert((*name).to_owned(), json!(text));
        }
    }
    Ok(())
}
