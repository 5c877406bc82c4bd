//! The short lists: group codes, brands, unit sets, warehouses, payment plans. Real tables in memory, since they do
//! not grow.

use rust_decimal::Decimal;

use super::words;

/// A row of a code list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    pub reference: i64,
    pub code: String,
    pub name: String,
}

/// The day's rates: what one of a currency, by LOGO's number, costs in lira.
const RATES: [(i64, i64); 3] = [(1, 412_575), (17, 551_034), (20, 480_312)];

/// 1 of the firm's own currency, and of one that it has no rate of.
pub fn rate(currency: i64) -> Decimal {
    let known = RATES.iter().find(|(number, _)| *number == currency);
    known.map_or(Decimal::ONE, |(_, rate)| Decimal::new(*rate, 4))
}

#[derive(Debug)]
pub struct UnitSet {
    pub reference: i64,
    pub code: &'static str,
    pub name: &'static str,
    /// The main unit first.
    pub units: &'static [Unit],
}

/// Quantity in the main unit = quantity × `conv2` ÷ `conv1`.
#[derive(Debug)]
pub struct Unit {
    pub reference: i64,
    pub code: &'static str,
    pub name: &'static str,
    pub conv1: i64,
    pub conv2: i64,
    /// UN/ECE code.
    pub global: &'static str,
}

const fn unit(
    reference: i64,
    code: &'static str,
    name: &'static str,
    conv1: i64,
    conv2: i64,
    global: &'static str,
) -> Unit {
    Unit { reference, code, name, conv1, conv2, global }
}

pub const UNIT_SETS: [UnitSet; 5] = [
    UnitSet { reference: 5, code: "05", name: "Adet", units: &[unit(23, "ADET", "Adet", 1, 1, "NIU")] },
    UnitSet {
        reference: 9,
        code: "UZUNLUK",
        name: "Uzunluk birimleri",
        units: &[unit(31, "MT", "Metre", 1, 1, "MTR"), unit(32, "MAKARA", "Makara (305 m)", 1, 305, "RL")],
    },
    UnitSet {
        reference: 11,
        code: "KOLI12",
        name: "Adet ve 12'li koli",
        units: &[unit(41, "ADET", "Adet", 1, 1, "NIU"), unit(42, "KOLİ", "Koli (12 adet)", 1, 12, "CT")],
    },
    UnitSet {
        reference: 12,
        code: "KOLI48",
        name: "Adet, kutu ve koli",
        units: &[
            unit(43, "ADET", "Adet", 1, 1, "NIU"),
            unit(44, "KUTU", "Kutu (6 adet)", 1, 6, "BX"),
            unit(45, "KOLİ", "Koli (48 adet)", 1, 48, "CT"),
        ],
    },
    UnitSet {
        reference: 14,
        code: "AGIRLIK",
        name: "Ağırlık birimleri",
        units: &[unit(51, "KG", "Kilogram", 1, 1, "KGM"), unit(52, "GR", "Gram", 1_000, 1, "GRM")],
    },
];

/// Number and name of each warehouse.
pub const WAREHOUSES: [(i64, &str); 4] =
    [(0, "Merkez Ambar"), (1, "İkitelli Şube"), (2, "Ümraniye Şube"), (3, "Iğdır Servis")];

/// Reference and code; the code is what cards and orders name.
pub const PAYMENT_PLANS: [(i64, &str); 4] = [(1, "PESIN"), (2, "30G"), (3, "60G"), (4, "90G")];

/// Services that an order line of type 4 may name.
pub const SERVICES: [&str; 3] = ["NAKLİYE", "MONTAJ", "SİGORTA"];

/// What [`crate::sql::Query::GroupCodes`] has to ask for: the code type of group codes, and the card type of items.
pub const GROUP_CODE_TYPE: u16 = 4;
pub const ITEM_CARD_TYPE: u16 = 0;

pub fn groups() -> Vec<Code> {
    list(100, words::GROUPS.iter().map(|group| (group.code, group.name)))
}

pub fn brands() -> Vec<Code> {
    list(10, words::BRANDS.iter().copied())
}

fn list(first: i64, rows: impl Iterator<Item = (&'static str, &'static str)>) -> Vec<Code> {
    (first..)
        .zip(rows)
        .map(|(reference, (code, name))| Code { reference, code: code.to_owned(), name: name.to_owned() })
        .collect()
}

pub fn unit_set(code: &str) -> Option<&'static UnitSet> {
    UNIT_SETS.iter().find(|set| set.code == code)
}
