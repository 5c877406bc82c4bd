//! Customer and supplier cards.
//!
//! One card in ten is a supplier, one in seven a person. Every twenty-fifth card is a second card of the company
//! before it, with the same tax number. Numbers pass their check digits and begin with digits that are not given out.

use super::{
    Scratch, World, checksum, items, push_digits,
    rng::{Bits, mix},
    words,
};

/// LOGICALREF of card number 0.
pub const FIRST_REFERENCE: i64 = 100;

/// A card as both ways in show it. Empty text means none.
#[derive(Debug, Clone)]
pub struct CustomerCard<'a> {
    pub reference: i64,
    pub status: i64,
    /// 1 buyer, 2 supplier, 3 both, 22 template.
    pub account_type: i64,
    pub code: &'a str,
    pub title: &'a str,
    pub auxil: &'a str,
    pub auth: &'a str,
    pub address1: &'a str,
    pub address2: &'a str,
    pub district: &'a str,
    pub town: &'a str,
    pub city: &'a str,
    pub country: &'a str,
    pub postal_code: &'a str,
    pub telephone1: &'a str,
    pub cell_phone: &'a str,
    pub tax_id: &'a str,
    pub tax_office: &'a str,
    pub tckno: &'a str,
    pub person: i64,
    pub name: &'a str,
    pub surname: &'a str,
    pub email: &'a str,
    pub contact: &'a str,
    /// In hundredths of a percent.
    pub discount: i64,
    pub payment: &'a str,
    pub trading_group: &'a str,
    pub created: i64,
    pub modified: Option<i64>,
}

impl CustomerCard<'static> {
    /// A buyer's card with nothing filled in.
    pub const fn blank() -> CustomerCard<'static> {
        CustomerCard {
            reference: 0,
            status: 0,
            account_type: 1,
            code: "",
            title: "",
            auxil: "",
            auth: "",
            address1: "",
            address2: "",
            district: "",
            town: "",
            city: "",
            country: "",
            postal_code: "",
            telephone1: "",
            cell_phone: "",
            tax_id: "",
            tax_office: "",
            tckno: "",
            person: 0,
            name: "",
            surname: "",
            email: "",
            contact: "",
            discount: 0,
            payment: "",
            trading_group: "",
            created: 0,
            modified: None,
        }
    }
}

pub const fn reference(index: u64) -> i64 {
    if index == 0 { 1 } else { FIRST_REFERENCE + index as i64 - 1 }
}

/// The place in the code's second part: a number plate.
fn city(seed: u64, k: u64) -> usize {
    // The biggest city has a third of the cards.
    (mix(seed, 51, k) >> 20) as usize % (words::CITIES.len() + 5) % words::CITIES.len()
}

impl World {
    pub fn is_supplier(&self, k: u64) -> bool {
        mix(self.seed, 50, k) >> 30 & 0x3ff < 102 && k > 0
    }

    fn is_person(&self, k: u64) -> bool {
        k % 25 != 24 && (mix(self.seed, 52, k) >> 30).is_multiple_of(7)
    }

    /// The card, or the next one after it that is not a supplier.
    pub fn buyer(&self, k: u64) -> u64 {
        (k..self.customers).find(|&k| !self.is_supplier(k)).unwrap_or(0)
    }

    pub fn customer_code(&self, k: u64, code: &mut String) {
        code.push_str(if self.is_supplier(k) { "320." } else { "120." });
        push_digits(code, words::CITIES[city(self.seed, k)].1, 2);
        code.push('.');
        push_digits(code, k, 4);
    }

    /// The number of the generated card with this code, were it never renamed.
    pub fn customer_of_code(&self, code: &str) -> Option<u64> {
        let k: u64 = code.rsplit_once('.')?.1.parse().ok()?;
        let mut own = String::new();
        self.customer_code(k, &mut own);
        (own == code).then_some(k)
    }

    /// The card with this index in the order of LOGICALREFs.
    pub fn customer<'a>(&self, index: u64, salt: u64, scratch: &'a mut Scratch) -> CustomerCard<'a> {
        match index.checked_sub(1) {
            Some(k) => self.customer_card(k, salt, scratch),
            None => template(),
        }
    }

    fn customer_card<'a>(&self, k: u64, salt: u64, scratch: &'a mut Scratch) -> CustomerCard<'a> {
        let supplier = self.is_supplier(k);
        let person = self.is_person(k);
        let mut bits = Bits::new(self.seed, 53, k);
        let (city, plate, towns) = words::CITIES[city(self.seed, k)];
        let town = towns[bits.below(2) as usize];
        let first_name = bits.pick(&words::FIRST_NAMES);
        let surname = bits.pick(&words::SURNAMES);

        scratch.code.clear();
        self.customer_code(k, &mut scratch.code);

        scratch.name.clear();
        if person {
            scratch.name.push_str(first_name);
            scratch.name.push(' ');
            scratch.name.push_str(surname);
        } else {
            let mut company = Bits::new(self.seed, 54, self.company(k));
            scratch.name.push_str(company.pick(&words::COMPANY_NAMES));
            scratch.name.push(' ');
            scratch.name.push_str(company.pick(&words::TRADES));
            scratch.name.push(' ');
            scratch.name.push_str(company.pick(&words::FORMS));
            if self.company(k) != k {
                scratch.name.push_str(" (Şube)");
            }
        }
        if salt > 0 {
            scratch.name.push_str(" r");
            push_digits(&mut scratch.name, salt % 10_000, 1);
        }

        scratch.digits.clear();
        if person {
            push_digits(&mut scratch.digits, checksum::tckn(100_000_000 + k % 10_000_000), 11);
        } else {
            push_digits(&mut scratch.digits, checksum::vkn(990_000_000 + self.company(k) % 10_000_000), 10);
        }
        // Sloppy sites write a person's number into the company's field.
        let misplaced = person && bits.per_mille(200);

        scratch.extra.clear();
        scratch.extra.push_str(bits.pick(&words::STREETS));
        scratch.extra.push_str(" No:");
        push_digits(&mut scratch.extra, 1 + bits.below(180), 1);

        scratch.owner.clear();
        push_digits(&mut scratch.owner, 5_320_000_000 + k % 1_000_000, 10);
        let phone_end = scratch.owner.len();
        push_digits(&mut scratch.owner, plate, 2);
        push_digits(&mut scratch.owner, bits.below(1_000), 3);
        let postal_end = scratch.owner.len();
        scratch.owner.push_str("satinalma");
        push_digits(&mut scratch.owner, k, 1);
        scratch.owner.push_str("@bayi.example");
        let (phone, rest) = scratch.owner.split_at(phone_end);
        let (postal_code, email) = rest.split_at(postal_end - phone_end);

        CustomerCard {
            reference: reference(k + 1),
            status: i64::from(bits.per_mille(30)),
            account_type: if supplier { 2 } else { [1, 1, 1, 1, 1, 3][bits.below(6) as usize] },
            code: &scratch.code,
            title: &scratch.name,
            auxil: bits.pick(&["BAYİ", "BAYİ", "KURUMSAL", ""]),
            auth: "",
            address1: &scratch.extra,
            address2: if bits.per_mille(150) { "K:3 D:7" } else { "" },
            district: town,
            town,
            city,
            country: "TÜRKİYE",
            postal_code,
            telephone1: if bits.per_mille(800) { "5550187" } else { "" },
            cell_phone: if person || bits.per_mille(300) { phone } else { "" },
            tax_id: if !person || misplaced { &scratch.digits } else { "" },
            tax_office: town,
            tckno: if person && !misplaced { &scratch.digits } else { "" },
            person: i64::from(person),
            name: if person { first_name } else { "" },
            surname: if person { surname } else { "" },
            email: if bits.per_mille(850) { email } else { "" },
            contact: if person { "" } else { first_name },
            discount: [0, 0, 500, 750, 1_000][bits.below(5) as usize],
            payment: bits.pick(&["30G", "60G", "90G", "PESIN", ""]),
            trading_group: if bits.per_mille(600) { "BAYI" } else { "" },
            created: 0,
            modified: None,
        }
    }

    /// The first card of the company whose card this is.
    fn company(&self, k: u64) -> u64 {
        if k % 25 == 24 && !self.is_person(k - 1) { k - 1 } else { k }
    }
}

fn template() -> CustomerCard<'static> {
    CustomerCard { reference: reference(0), account_type: 22, code: items::TEMPLATE_CODE, ..CustomerCard::blank() }
}
