//! Everything the firm holds: the generated world and what was written over it.
//!
//! Invariants
//! - State changes only by [`Entry`]s, and the journal holds them in their order: replaying it gives the same state.
//! - Codes of items and customers are unique among the cards that are there.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    cards,
    documents::{Document, Documents},
    orders::Orders,
    returns::Returns,
    stock::{Open, StockBook},
    table::{Base, Bulk, Edit, Found, Table},
    world::{
        Scratch, World, codes::Code, customers, customers::CustomerCard, items, items::ItemCard, prices,
        prices::PriceCard, stock::Totals,
    },
};

/// One change of state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    Card {
        table: Cards,
        reference: i64,
        edit: Edit,
    },
    /// Every card of the table at once.
    All {
        table: Cards,
        bulk: Bulk,
    },
    Code {
        list: List,
        reference: i64,
        code: String,
        name: String,
    },
    /// Totals of one item in one warehouse, as they are from now on.
    Stock {
        item: i64,
        warehouse: i64,
        totals: Totals,
        at: i64,
    },
    AllStock {
        bulk: Bulk,
    },
    Order {
        reference: i64,
        record: Map<String, Value>,
        at: i64,
    },
    OrderDeleted {
        reference: i64,
        at: i64,
    },
    /// A return slip.
    Return {
        reference: i64,
        record: Map<String, Value>,
        at: i64,
    },
    ReturnDeleted {
        reference: i64,
        at: i64,
    },
    /// So much came (above 0) or left, in ten-thousandths of the main unit.
    Moved {
        item: i64,
        warehouse: i64,
        on_hand: i64,
        at: i64,
    },
    Invoice {
        reference: i64,
        record: Map<String, Value>,
        at: i64,
    },
    /// Of a customer's account.
    Movement {
        reference: i64,
        record: Map<String, Value>,
        at: i64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cards {
    Items,
    Prices,
    Customers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum List {
    Groups,
    Brands,
}

#[derive(Debug)]
pub struct Store {
    pub world: World,
    pub items: Table<ItemBase>,
    pub prices: Table<PriceBase>,
    pub customers: Table<CustomerBase>,
    pub groups: Vec<Code>,
    pub brands: Vec<Code>,
    pub stock: StockBook,
    pub orders: Orders,
    pub returns: Returns,
    pub documents: Documents,
    /// Codes that cards were given by edits.
    item_codes: HashMap<String, i64>,
    customer_codes: HashMap<String, i64>,
}

impl Store {
    pub fn new(world: World) -> Store {
        Store {
            items: Table::new(ItemBase { count: world.items }, world.item_timeline()),
            prices: Table::new(PriceBase { world: world.clone() }, world.price_timeline()),
            customers: Table::new(CustomerBase { count: world.customers }, world.customer_timeline()),
            groups: world.groups.clone(),
            brands: world.brands.clone(),
            stock: StockBook::new(world.clone()),
            orders: Orders::default(),
            returns: Returns::default(),
            documents: Documents::default(),
            item_codes: HashMap::new(),
            customer_codes: HashMap::new(),
            world,
        }
    }

    pub fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Card { table: Cards::Items, reference, edit } => {
                note_code(&mut self.item_codes, &edit, reference);
                self.items.put(reference, edit);
            }
            Entry::Card { table: Cards::Customers, reference, edit } => {
                note_code(&mut self.customer_codes, &edit, reference);
                self.customers.put(reference, edit);
            }
            Entry::Card { table: Cards::Prices, reference, edit } => self.prices.put(reference, edit),
            Entry::All { table: Cards::Items, bulk } => self.items.change_all(bulk),
            Entry::All { table: Cards::Prices, bulk } => self.prices.change_all(bulk),
            Entry::All { table: Cards::Customers, bulk } => self.customers.change_all(bulk),
            Entry::Code { list, reference, code, name } => {
                let list = match list {
                    List::Groups => &mut self.groups,
                    List::Brands => &mut self.brands,
                };
                list.retain(|row| row.reference != reference);
                list.push(Code { reference, code, name });
            }
            Entry::Stock { item, warehouse, totals, at } => self.stock.set(item, warehouse, totals, at),
            Entry::AllStock { bulk } => self.stock.change_all(bulk),
            Entry::Order { reference, record, at } => {
                let open = self.open_quantities(&record);
                let before = self.orders.put(reference, record, open.clone(), at);
                self.stock.ordered(&before, -1, at);
                self.stock.ordered(&open, 1, at);
            }
            Entry::Moved { item, warehouse, on_hand, at } => self.stock.moved_by(item, warehouse, on_hand, at),
            Entry::Invoice { reference, record, at } => {
                self.documents.invoices.insert(reference, Document { record, at });
            }
            Entry::Movement { reference, record, at } => {
                self.documents.movements.insert(reference, Document { record, at });
            }
            Entry::Return { reference, record, at } => {
                let came = self.quantities_back(&record);
                let before = self.returns.put(reference, record, came.clone());
                self.brought(&before, -1, at);
                self.brought(&came, 1, at);
            }
            Entry::ReturnDeleted { reference, at } => {
                let before = self.returns.remove(reference);
                self.brought(&before, -1, at);
            }
            Entry::OrderDeleted { reference, at } => {
                let before = self.orders.remove(reference);
                self.stock.ordered(&before, -1, at);
            }
        }
    }

    fn brought(&mut self, goods: &[Open], sign: i64, at: i64) {
        for goods in goods {
            self.stock.moved_by(goods.item, goods.warehouse, sign * goods.quantity, at);
        }
    }

    /// The item with this code. Blanks on the right do not count.
    pub fn item_by_code(&self, code: &str) -> Option<Found<'_>> {
        let code = code.trim_end();
        let generated = || self.world.item_of_code(code).map(items::number_reference);
        let candidates = [self.item_codes.get(code).copied(), generated(), items::special_of_code(code)];
        let mut scratch = Scratch::default();
        candidates
            .into_iter()
            .flatten()
            .filter_map(|reference| self.items.find(reference))
            .find(|found| self.item(*found, &mut scratch).code == code)
    }

    pub fn customer_by_code(&self, code: &str) -> Option<Found<'_>> {
        let code = code.trim_end();
        let generated = || self.world.customer_of_code(code).map(|k| customers::reference(k + 1));
        let template = (code == items::TEMPLATE_CODE).then(|| customers::reference(0));
        let candidates = [self.customer_codes.get(code).copied(), generated(), template];
        let mut scratch = Scratch::default();
        candidates
            .into_iter()
            .flatten()
            .filter_map(|reference| self.customers.find(reference))
            .find(|found| self.customer(*found, &mut scratch).code == code)
    }

    pub fn item<'a>(&'a self, found: Found<'a>, scratch: &'a mut Scratch) -> ItemCard<'a> {
        let mut card = match found.index {
            Some(index) => self.world.item(index, self.items.salt(), scratch),
            None => ItemCard::blank(),
        };
        (card.reference, card.created, card.modified) = (found.reference, found.created, found.modified);
        if let Some(edit) = found.edit.filter(|edit| !edit.fields.is_empty()) {
            cards::over_item(&mut card, &edit.fields, &self.brands);
        }
        card
    }

    pub fn price<'a>(&'a self, found: Found<'a>, scratch: &'a mut Scratch) -> PriceCard<'a> {
        let mut card = match found.index {
            Some(index) => self.world.price(index, self.prices.salt(), scratch),
            None => PriceCard::blank(),
        };
        (card.reference, card.created, card.modified) = (found.reference, found.created, found.modified);
        if let Some(edit) = found.edit.filter(|edit| !edit.fields.is_empty()) {
            cards::over_price(&mut card, &edit.fields);
        }
        card
    }

    pub fn customer<'a>(&'a self, found: Found<'a>, scratch: &'a mut Scratch) -> CustomerCard<'a> {
        let mut card = match found.index {
            Some(index) => self.world.customer(index, self.customers.salt(), scratch),
            None => CustomerCard::blank(),
        };
        (card.reference, card.created, card.modified) = (found.reference, found.created, found.modified);
        if let Some(edit) = found.edit.filter(|edit| !edit.fields.is_empty()) {
            cards::over_customer(&mut card, &edit.fields);
        }
        card
    }

    /// Puts the item's code alone into `code`: most joins want no more of it.
    pub fn item_code(&self, found: Found<'_>, code: &mut String) {
        code.clear();
        let written = found.edit.and_then(|edit| edit.fields.get("CODE")).and_then(Value::as_str);
        match (written, items::number(found.reference)) {
            (Some(written), _) => code.push_str(written),
            (None, Some(n)) if found.index.is_some() => self.world.item_code(n, code),
            _ => code.push_str(self.item(found, &mut Scratch::default()).code),
        }
    }
}

fn note_code(codes: &mut HashMap<String, i64>, edit: &Edit, reference: i64) {
    if let Some(code) = edit.fields.get("CODE").and_then(Value::as_str) {
        codes.insert(code.to_owned(), reference);
    }
}

#[derive(Debug)]
pub struct ItemBase {
    count: u64,
}

impl Base for ItemBase {
    const DENSE: bool = true;

    fn len(&self) -> u64 {
        self.count + items::FIRST_INDEX
    }

    fn exists(&self, _index: u64) -> bool {
        true
    }

    fn reference(&self, index: u64) -> i64 {
        items::reference(index)
    }

    fn index(&self, reference: i64) -> Option<u64> {
        match items::number(reference) {
            Some(n) => Some(n + items::FIRST_INDEX),
            None => u64::try_from(reference - 1).ok().filter(|index| *index < items::FIRST_INDEX),
        }
    }
}

#[derive(Debug)]
pub struct CustomerBase {
    count: u64,
}

impl Base for CustomerBase {
    const DENSE: bool = true;

    fn len(&self) -> u64 {
        self.count + 1
    }

    fn exists(&self, _index: u64) -> bool {
        true
    }

    fn reference(&self, index: u64) -> i64 {
        customers::reference(index)
    }

    fn index(&self, reference: i64) -> Option<u64> {
        match reference - customers::FIRST_REFERENCE {
            k if k >= 0 => Some(k as u64 + 1),
            _ => (reference == customers::reference(0)).then_some(0),
        }
    }
}

#[derive(Debug)]
pub struct PriceBase {
    world: World,
}

impl Base for PriceBase {
    const DENSE: bool = false;

    fn len(&self) -> u64 {
        self.world.items * prices::SLOTS
    }

    fn exists(&self, index: u64) -> bool {
        self.world.has_price(index)
    }

    fn reference(&self, index: u64) -> i64 {
        prices::reference(index)
    }

    fn index(&self, reference: i64) -> Option<u64> {
        u64::try_from(reference - prices::FIRST_REFERENCE).ok()
    }
}
