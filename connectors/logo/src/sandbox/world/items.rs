//! Item cards.

use std::borrow::Cow;

use super::{
    Scratch, World, checksum,
    codes::{self, UNIT_SETS, Unit, UnitSet},
    push_digits,
    rng::Bits,
    words,
};

/// Cards before the first of the generated ones: the template row and the classes.
pub const FIRST_INDEX: u64 = 6;
/// LOGICALREF of item number 0.
pub const FIRST_REFERENCE: i64 = 1_000;
pub const TEMPLATE: i64 = 22;
/// The code of every template row: the single byte 0xFF in the Turkish code page.
pub const TEMPLATE_CODE: &str = "ÿ";

const CLASSES: [(&str, &str, i64); 5] = [
    ("SNF-KAMERA", "Kamera sınıfı", 20),
    ("SNF-KABLO", "Kablo sınıfı", 20),
    ("SNF-ENERJİ", "Enerji sınıfı", 20),
    ("SNF-DİĞER", "Diğer malzemeler", 21),
    ("SNF-ÖZEL", "Özel üretim sınıfı", 21),
];

/// An item card as both ways in show it. Empty text means none.
#[derive(Debug, Clone)]
pub struct ItemCard<'a> {
    pub reference: i64,
    /// RECORD_STATUS: 0 in use, 1 passive.
    pub status: i64,
    pub card_type: i64,
    pub code: &'a str,
    pub name: &'a str,
    pub name3: &'a str,
    pub group: &'a str,
    pub producer: &'a str,
    pub auxil: [&'a str; 5],
    pub auth: &'a str,
    pub class_type: i64,
    /// In hundredths of a percent.
    pub vat: i64,
    pub sales_vat: Option<i64>,
    pub track_type: i64,
    pub unit_set: &'a str,
    pub barcode: &'a str,
    pub mark: i64,
    pub mark_code: &'a str,
    /// Of the main unit, in grams.
    pub weight: i64,
    pub created: i64,
    pub modified: Option<i64>,
}

impl ItemCard<'static> {
    /// A card with nothing filled in.
    pub const fn blank() -> ItemCard<'static> {
        ItemCard {
            reference: 0,
            status: 0,
            card_type: 1,
            code: "",
            name: "",
            name3: "",
            group: "",
            producer: "",
            auxil: [""; 5],
            auth: "",
            class_type: 0,
            vat: 0,
            sales_vat: None,
            track_type: 0,
            unit_set: "",
            barcode: "",
            mark: 0,
            mark_code: "",
            weight: 0,
            created: 0,
            modified: None,
        }
    }
}

impl ItemCard<'_> {
    pub fn set(&self) -> Option<&'static UnitSet> {
        codes::unit_set(self.unit_set)
    }

    pub fn main_unit(&self) -> Option<&'static str> {
        self.set().map(|set| set.units[0].code)
    }

    /// The barcode of the unit at this place of the card's set: of the main unit the card's own, of most packings of
    /// such cards one of theirs.
    pub fn unit_barcode(&self, place: usize, unit: &Unit) -> Option<Cow<'_, str>> {
        if self.barcode.is_empty() {
            return None;
        }
        if place == 0 {
            return Some(Cow::Borrowed(self.barcode));
        }
        let n = number(self.reference).filter(|n| unit.conv2 > 1 && n % 4 != 3)?;
        let mut digits = String::with_capacity(13);
        push_digits(&mut digits, checksum::ean13(868_000_000_000 + place as u64 * 100_000_000 + n % 100_000_000), 13);
        Some(Cow::Owned(digits))
    }

    /// Of one such unit, in grams.
    pub const fn unit_weight(&self, unit: &Unit) -> i64 {
        self.weight * unit.conv2 / unit.conv1
    }
}

pub const fn reference(index: u64) -> i64 {
    if index < FIRST_INDEX { index as i64 + 1 } else { number_reference(index - FIRST_INDEX) }
}

/// LOGICALREF of item number `n`.
pub const fn number_reference(n: u64) -> i64 {
    FIRST_REFERENCE + n as i64
}

/// The number of the item with this LOGICALREF, when it is one of the generated cards.
pub const fn number(reference: i64) -> Option<u64> {
    if reference >= FIRST_REFERENCE { Some((reference - FIRST_REFERENCE) as u64) } else { None }
}

/// What other records need to know of an item, without its texts.
#[derive(Debug, Clone, Copy)]
pub struct Traits {
    pub group: Option<usize>,
    prefix: usize,
    pub brand: Option<usize>,
    pub passive: bool,
    pub set: &'static UnitSet,
    pub vat: i64,
    sales_vat: bool,
    track_type: i64,
    bits: Bits,
}

impl World {
    pub fn traits(&self, n: u64) -> Traits {
        let mut bits = Bits::new(self.seed, 10, n);
        let prefix = bits.below(words::GROUPS.len() as u64) as usize;
        let group = (!bits.per_mille(40)).then_some(prefix);
        let brand = (!bits.per_mille(60)).then_some(bits.below(words::BRANDS.len() as u64) as usize);
        let passive = bits.per_mille(20);
        let set = match bits.below(100) {
            _ if words::GROUPS[prefix].prefix == "KBL" => 1,
            0..75 => 0,
            75..85 => 2,
            85..95 => 3,
            _ => 4,
        };
        let vat = match bits.below(100) {
            0..85 => 2_000,
            85..95 => 1_000,
            _ => 100,
        };
        let sales_vat = !bits.per_mille(30);
        let track_type = match bits.below(100) {
            0..70 => 0,
            70..75 => 1,
            _ => 2,
        };
        Traits { group, prefix, brand, passive, set: &UNIT_SETS[set], vat, sales_vat, track_type, bits }
    }

    /// The card with this index in the order of LOGICALREFs. `salt` is 0 until every name was changed at once.
    pub fn item<'a>(&self, index: u64, salt: u64, scratch: &'a mut Scratch) -> ItemCard<'a> {
        match index.checked_sub(FIRST_INDEX) {
            Some(n) => self.item_card(n, salt, scratch),
            None => special(index),
        }
    }

    fn item_card<'a>(&self, n: u64, salt: u64, scratch: &'a mut Scratch) -> ItemCard<'a> {
        let traits = self.traits(n);
        let mut bits = traits.bits;
        let group = &words::GROUPS[traits.prefix];
        let noun = group.nouns[bits.below(2) as usize];

        scratch.code.clear();
        push_code(&mut scratch.code, group.prefix, n);

        scratch.name.clear();
        scratch.name.push_str(bits.pick(&words::SIZES));
        scratch.name.push(' ');
        scratch.name.push_str(noun);
        scratch.name.push(' ');
        scratch.name.push_str(bits.pick(&words::TRAITS));
        if salt > 0 {
            scratch.name.push_str(" r");
            push_digits(&mut scratch.name, salt % 10_000, 1);
        }

        let brand = traits.brand.map(|brand| &self.brands[brand]);
        scratch.extra.clear();
        if let Some(brand) = brand {
            let cut = brand.code.char_indices().nth(3).map_or(brand.code.len(), |(at, _)| at);
            scratch.extra.push_str(&brand.code[..cut]);
            scratch.extra.push('-');
            push_digits(&mut scratch.extra, n * 7 % 1_000_000, 6);
        }

        scratch.digits.clear();
        if !bits.per_mille(100) {
            push_digits(&mut scratch.digits, checksum::ean13(869_000_000_000 + n % 1_000_000_000), 13);
        }

        ItemCard {
            reference: number_reference(n),
            status: i64::from(traits.passive),
            card_type: if bits.per_mille(900) { 1 } else { [10, 11, 12, 13][bits.below(4) as usize] },
            code: &scratch.code,
            name: &scratch.name,
            name3: if bits.per_mille(500) { bits.pick(&words::SHORT_TEXTS) } else { "" },
            group: traits.group.map_or("", |group| words::GROUPS[group].code),
            producer: &scratch.extra,
            auxil: [bits.pick(&["IP", "ANALOG", "YERLİ", "İTHAL", ""]), bits.pick(&["A", "B", ""]), "", "", ""],
            auth: if bits.per_mille(800) { "B2B" } else { "" },
            class_type: 0,
            vat: traits.vat,
            sales_vat: traits.sales_vat.then_some(traits.vat),
            track_type: traits.track_type,
            unit_set: traits.set.code,
            barcode: &scratch.digits,
            mark: brand.map_or(0, |brand| brand.reference),
            mark_code: traits.brand.map_or("", |brand| words::BRANDS[brand].0),
            weight: 20 + bits.below(15_000) as i64,
            created: 0,
            modified: None,
        }
    }

    /// The code of item number `n`.
    pub fn item_code(&self, n: u64, code: &mut String) {
        push_code(code, words::GROUPS[self.traits(n).prefix].prefix, n);
    }

    /// The number of the generated item with this code, were it never renamed.
    pub fn item_of_code(&self, code: &str) -> Option<u64> {
        let n: u64 = code.rsplit_once('-')?.1.parse().ok()?;
        let mut own = String::new();
        self.item_code(n, &mut own);
        (own == code).then_some(n)
    }
}

/// Reference of a class or the template by its code.
pub fn special_of_code(code: &str) -> Option<i64> {
    if code == TEMPLATE_CODE {
        return Some(reference(0));
    }
    (1..).zip(CLASSES).find(|(_, class)| class.0 == code).map(|(index, _)| reference(index))
}

fn push_code(code: &mut String, prefix: &str, n: u64) {
    code.push_str(prefix);
    code.push('-');
    push_digits(code, n, 6);
}

fn special(index: u64) -> ItemCard<'static> {
    let (code, name, card_type) = match index.checked_sub(1) {
        None => (TEMPLATE_CODE, "", TEMPLATE),
        Some(class) => CLASSES[class as usize % CLASSES.len()],
    };
    ItemCard {
        reference: reference(index),
        card_type,
        code,
        name,
        class_type: i64::from(card_type != TEMPLATE),
        vat: 2_000,
        sales_vat: Some(2_000),
        unit_set: UNIT_SETS[0].code,
        ..ItemCard::blank()
    }
}
