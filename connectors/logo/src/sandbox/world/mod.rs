//! The generated firm: every record follows from the seed and its number, nothing is held.
//!
//! | records | numbering |
//! | --- | --- |
//! | items | LOGICALREF 1 template, 2–6 item classes, from 1000 the cards |
//! | customers | LOGICALREF 1 template, from 100 the cards (one in ten a supplier) |
//! | prices | LOGICALREF from 3000, [`prices::SLOTS`] numbers reserved per item, not all of them used |
//! | stock | a row per item and warehouse that has seen it, and one of all warehouses together (−1) |
//!
//! Invariants
//! - The same seed and number of items give the same bytes, on every machine and in every order of asking.
//! - Memory does not grow with the number of items; a record is made in well under a microsecond.
//! - Change stamps lie between 2019 and the end of 2025; many cards share each second.

pub mod checksum;
pub mod codes;
pub mod customers;
pub mod items;
pub mod prices;
pub mod rng;
pub mod stock;
pub mod timeline;
mod words;

use self::{codes::Code, timeline::Timeline};

/// The seed and sizes from which everything follows.
#[derive(Debug, Clone)]
pub struct World {
    pub seed: u64,
    /// Item cards, without the template and the classes.
    pub items: u64,
    /// Customer and supplier cards, without the template.
    pub customers: u64,
    pub groups: Vec<Code>,
    pub brands: Vec<Code>,
}

/// What is generated into besides the record itself: the texts that are put together. Kept by the caller, so that a
/// page of records allocates once.
#[derive(Debug, Default)]
pub struct Scratch {
    pub code: String,
    pub name: String,
    pub extra: String,
    pub digits: String,
    pub owner: String,
}

impl World {
    pub fn new(seed: u64, items: u64) -> World {
        let customers = (items / 50).max(200);
        World { seed, items, customers, groups: codes::groups(), brands: codes::brands() }
    }

    pub fn item_timeline(&self) -> Timeline {
        Timeline::new(self.seed ^ 0x11, self.items + items::FIRST_INDEX)
    }

    pub fn price_timeline(&self) -> Timeline {
        Timeline::new(self.seed ^ 0x22, self.items * prices::SLOTS)
    }

    pub fn customer_timeline(&self) -> Timeline {
        Timeline::new(self.seed ^ 0x33, self.customers + 1)
    }
}

/// Appends `number` with at least `width` digits.
fn push_digits(text: &mut String, number: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    let mut rest = number;
    while rest > 0 || digits.len() - at < width {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    for &digit in &digits[at..] {
        text.push(char::from(digit));
    }
}
