//! The rows that are written: a LOGO-like catalogue, the same for every run.

use rust_decimal::Decimal;
use xxhash_rust::xxh3::xxh3_128;

pub const CATEGORIES: i64 = 40;
pub const BRANDS: i64 = 60;

const KINDS: [&str; 8] = [
    "4MP IP Dome Kamera 2.8-12mm Motorize Lens",
    "CAT6 U/UTP Kablo %100 Bakır Gri",
    "12V 5A Güç Kaynağı Akü Şarj Çıkışlı",
    "8 Kanal PoE Kayıt Cihazı",
    "Kızılötesi Çift Işıklı Bullet Kamera",
    "Yangın İhbar Butonu Adresli",
    "24 Port Yönetilebilir Ağ Anahtarı",
    "Manyetik Kapı Kilidi 300 kg",
];

#[derive(Debug, Clone)]
pub struct Item {
    pub id: i64,
    pub code: String,
    pub name: String,
    pub slug: String,
    pub barcode: String,
    pub category: i64,
    pub brand: i64,
    pub vat_rate: Decimal,
    pub minimum: Decimal,
    pub logicalref: String,
    pub stamp: i64,
    pub hash: Vec<u8>,
}

/// Item `number` of the catalogue in its `edition`: another edition has another name, stamp and hash.
pub fn item(number: i64, edition: i64) -> Item {
    let kind = KINDS[number as usize % KINDS.len()];
    let code = format!("KPR-{:02}-{number:07}", number % 97);
    let name = format!("{kind} {number} / {edition}");
    let stamp = 1_770_000_000 + edition * 1_000_000 + number;
    Item {
        id: 0,
        slug: format!("{}-{number}", kopru::turkish::slug(kind)),
        barcode: format!("869{number:010}"),
        category: number % CATEGORIES + 1,
        brand: number % BRANDS + 1,
        vat_rate: Decimal::from(20),
        minimum: Decimal::ONE,
        logicalref: (number + 1_000).to_string(),
        hash: xxh3_128(format!("{code}{name}").as_bytes()).to_be_bytes().to_vec(),
        code,
        name,
        stamp,
    }
}

/// A page as the source would have sent it, compressed as it is stored.
pub fn body(items: &[Item]) -> Vec<u8> {
    let records: Vec<serde_json::Value> = items
        .iter()
        .map(|item| {
            serde_json::json!({
                "INTERNAL_REFERENCE": item.logicalref, "CODE": item.code, "NAME": item.name, "CARD_TYPE": 1,
                "GROUP_CODE": format!("G{}", item.category), "MARKCODE": format!("M{}", item.brand),
                "UNITSET_CODE": "05", "SELVAT": 20, "RECORD_STATUS": 0, "TRACK_TYPE": 0,
                "EAN_BARCODE": item.barcode, "STAMP": item.stamp,
            })
        })
        .collect();
    let text = serde_json::json!({ "items": records }).to_string();
    zstd::bulk::compress(text.as_bytes(), 1).unwrap_or_default()
}

/// The catalogue in pages, sorted by code; ids rise in the same order.
pub fn pages(rows: i64, page: usize, edition: i64) -> Vec<Vec<Item>> {
    let mut items: Vec<Item> = (0..rows).map(|number| item(number, edition)).collect();
    items.sort_by(|a, b| a.code.cmp(&b.code));
    for (item, id) in items.iter_mut().zip(1..) {
        item.id = id;
    }
    items.chunks(page).map(<[Item]>::to_vec).collect()
}
