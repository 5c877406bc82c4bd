//! Sales price cards. Each item has [`SLOTS`] numbers reserved for its price rows:
//!
//! | slot | CODE | GRPCODE | share of items | what |
//! | --- | --- | --- | --- | --- |
//! | 0 | `LST2026-nnnnnn` | `LISTE` | 95 % | list price |
//! | 1 | `BAY2026-nnnnnn` | `BAYI` | 80 % | dealer price |
//! | 2 | `LST2025-nnnnnn` | `LISTE` | 20 % | last year's list price, expired; every other one passive as well |
//! | 3 | `OZL2026-nnnnnn` | `OZEL` | 5 % | one customer's price (ARP_CODE is a code) |
//! | 4 | `BOL2026-nnnnnn` | `OZEL` | 2 % | a region's price (ARP_CODE is `120.34.*`) |
//!
//! Rows of slots 0 and 1 hold from the beginning of 2026 to the end of 2035. One item in ten is priced in USD (1) or
//! EUR (20), the others in TL (160); a few prices include VAT; those of cable sold by the reel are per reel.

use super::{
    World, items, push_digits,
    rng::{Bits, mix},
};
use crate::sandbox::stamp::seconds_of;

pub const SLOTS: u64 = 5;
/// LOGICALREF of slot 0 of item 0.
pub const FIRST_REFERENCE: i64 = 3_000;

const SHARES: [u64; SLOTS as usize] = [950, 800, 200, 50, 20];
const PREFIXES: [&str; SLOTS as usize] = ["LST2026-", "BAY2026-", "LST2025-", "OZL2026-", "BOL2026-"];
const GROUPS: [&str; SLOTS as usize] = ["LISTE", "BAYI", "LISTE", "OZEL", "OZEL"];
/// Price of each slot in percent of the list price.
const PERCENTS: [i64; SLOTS as usize] = [100, 78, 84, 70, 74];

/// A price row as both ways in show it.
#[derive(Debug, Clone)]
pub struct PriceCard<'a> {
    pub reference: i64,
    pub code: &'a str,
    /// Code and LOGICALREF of the item.
    pub owner: &'a str,
    pub card: i64,
    pub customer: &'a str,
    pub payment: &'a str,
    /// In millionths.
    pub price: i64,
    pub unit: &'a str,
    pub vat_included: i64,
    pub currency: i64,
    pub priority: i64,
    pub starts: i64,
    pub ends: i64,
    pub trading_group: &'a str,
    pub group: &'a str,
    /// ACTIVE: 0 in use, 1 passive.
    pub status: i64,
    pub created: i64,
    pub modified: Option<i64>,
}

impl PriceCard<'static> {
    /// A row with nothing filled in but its dates and currency.
    pub const fn blank() -> PriceCard<'static> {
        PriceCard {
            reference: 0,
            code: "",
            owner: "",
            card: 0,
            customer: "",
            payment: "",
            price: 0,
            unit: "",
            vat_included: 0,
            currency: 160,
            priority: 0,
            starts: seconds_of(2026, 1, 1),
            ends: seconds_of(2035, 12, 31),
            trading_group: "",
            group: "",
            status: 0,
            created: 0,
            modified: None,
        }
    }
}

pub const fn reference(index: u64) -> i64 {
    FIRST_REFERENCE + index as i64
}

/// First and last day of a slot's rows.
pub const fn dates(slot: u64) -> (i64, i64) {
    match slot {
        2 => (seconds_of(2025, 1, 1), seconds_of(2025, 12, 31)),
        3 | 4 => (seconds_of(2026, 1, 1), seconds_of(2030, 6, 30)),
        _ => (seconds_of(2026, 1, 1), seconds_of(2035, 12, 31)),
    }
}

/// ACTIVE of a generated row.
pub const fn status(n: u64, slot: u64) -> i64 {
    (slot == 2 && n.is_multiple_of(2)) as i64
}

impl World {
    /// Whether the row with this index is there.
    pub fn has_price(&self, index: u64) -> bool {
        let (n, slot) = (index / SLOTS, index % SLOTS);
        (mix(self.seed, 20 + slot, n) >> 40) % 1_000 < SHARES[slot as usize]
    }

    /// A row of the index that [`World::has_price`]; its texts are put into `code`, `owner` and `customer`.
    pub fn price<'a>(&self, index: u64, salt: u64, scratch: &'a mut super::Scratch) -> PriceCard<'a> {
        let (n, slot) = (index / SLOTS, (index % SLOTS) as usize);
        let item = self.traits(n);
        let mut bits = Bits::new(self.seed, 30, n);

        // Between 10 and 25,000, cheap ones more often, in steps of 0.05.
        let wide = bits.below(500_000);
        let cents = 1_000 + wide * (1 + bits.below(10) * bits.below(10) / 16) / 5 * 5;
        let salted = cents as i64 + (salt as i64 % 1_000) * 5;
        let currency = match bits.below(100) {
            0..6 => 1,
            6..10 => 20,
            _ => 160,
        };
        // A foreign price is the smaller number.
        let salted = if currency == 160 { salted } else { salted / 40 + 1 };
        let by_reel = item.set.code == "UZUNLUK" && bits.below(2) == 0;
        let unit = &item.set.units[usize::from(by_reel)];
        let vat_included = i64::from(bits.per_mille(30));
        let mut own = Bits::new(self.seed, 31 + slot as u64, n);

        scratch.code.clear();
        scratch.code.push_str(PREFIXES[slot]);
        push_digits(&mut scratch.code, n, 6);
        scratch.owner.clear();
        self.item_code(n, &mut scratch.owner);
        scratch.extra.clear();
        let customer: &str = match slot {
            3 => {
                let k = self.buyer(own.below(self.customers));
                self.customer_code(k, &mut scratch.extra);
                &scratch.extra
            }
            4 => own.pick(&["120.34.*", "120.06.*", "120.35.*"]),
            _ => "",
        };
        let (starts, ends) = dates(slot as u64);
        // In tenths of a kuruş: dealers' prices are figures of three decimals now and then.
        let tenths = salted * PERCENTS[slot] / 10;
        PriceCard {
            reference: reference(index),
            code: &scratch.code,
            owner: &scratch.owner,
            card: items::number_reference(n),
            customer,
            payment: if slot == 3 { own.pick(&["", "30G", "PESIN"]) } else { "" },
            price: tenths * unit.conv2 * 1_000,
            unit: unit.code,
            vat_included,
            currency,
            priority: [0, 0, 9, 1, 2][slot],
            starts,
            ends,
            trading_group: if slot == 1 { "BAYI" } else { "" },
            group: GROUPS[slot],
            status: status(n, slot as u64),
            created: 0,
            modified: None,
        }
    }
}
