//! Cards with what was written over them.

use serde_json::{Map, Value};

use super::{
    fields,
    world::{codes::Code, customers::CustomerCard, items::ItemCard, prices::PriceCard},
};

type Fields = Map<String, Value>;

fn text<'a>(fields: &'a Fields, name: &str, into: &mut &'a str) {
    if let Some(value) = fields.get(name) {
        *into = value.as_str().unwrap_or_default();
    }
}

fn int(fields: &Fields, name: &str, into: &mut i64) {
    if let Some(number) = fields.get(name).and_then(fields::integer) {
        *into = number;
    }
}

fn scaled(fields: &Fields, name: &str, scale: u32, into: &mut i64) {
    if let Some(number) = fields.get(name).and_then(|value| fields::scaled(value, scale)) {
        *into = number;
    }
}

fn date(fields: &Fields, name: &str, into: &mut i64) {
    if let Some(day) = fields.get(name).and_then(Value::as_str).and_then(fields::iso_day) {
        *into = day;
    }
}

pub fn over_item<'a>(card: &mut ItemCard<'a>, fields: &'a Fields, brands: &[Code]) {
    int(fields, "RECORD_STATUS", &mut card.status);
    int(fields, "CARD_TYPE", &mut card.card_type);
    text(fields, "CODE", &mut card.code);
    text(fields, "NAME", &mut card.name);
    text(fields, "NAME3", &mut card.name3);
    text(fields, "GROUP_CODE", &mut card.group);
    text(fields, "PRODUCER_CODE", &mut card.producer);
    for (n, auxil) in card.auxil.iter_mut().enumerate() {
        text(fields, ["AUXIL_CODE", "AUXIL_CODE2", "AUXIL_CODE3", "AUXIL_CODE4", "AUXIL_CODE5"][n], auxil);
    }
    text(fields, "AUTH_CODE", &mut card.auth);
    int(fields, "CLASS_TYPE", &mut card.class_type);
    scaled(fields, "VAT", 2, &mut card.vat);
    if let Some(rate) = fields.get("SELVAT") {
        card.sales_vat = fields::scaled(rate, 2);
    }
    int(fields, "TRACK_TYPE", &mut card.track_type);
    text(fields, "UNITSET_CODE", &mut card.unit_set);
    if let Some(mark) = fields.get("MARKCODE").and_then(Value::as_str) {
        card.mark_code = mark;
        card.mark = brands.iter().find(|brand| brand.code == mark).map_or(0, |brand| brand.reference);
    }
    if let Some(units) = fields.get("UNITS") {
        card.barcode = first_barcode(units).unwrap_or_default();
    }
    text(fields, "EAN_BARCODE", &mut card.barcode);
}

fn first_barcode(units: &Value) -> Option<&str> {
    let main = units.get("items")?.get(0)?;
    let listed = || main.get("BARCODE_LIST")?.get("items")?.get(0)?.get("BARCODE");
    main.get("BARCODE").or_else(listed)?.as_str()
}

pub fn over_price<'a>(card: &mut PriceCard<'a>, fields: &'a Fields) {
    text(fields, "CODE", &mut card.code);
    text(fields, "OWNER_CODE", &mut card.owner);
    int(fields, "CARDREF", &mut card.card);
    text(fields, "ARP_CODE", &mut card.customer);
    text(fields, "PAYMENT_CODE", &mut card.payment);
    scaled(fields, "PRICE", 6, &mut card.price);
    text(fields, "UNIT_CODE", &mut card.unit);
    int(fields, "VAT_INCL", &mut card.vat_included);
    int(fields, "CURRENCY", &mut card.currency);
    int(fields, "PRIORITY", &mut card.priority);
    date(fields, "DATE_STARTED", &mut card.starts);
    date(fields, "DATE_ENDED", &mut card.ends);
    text(fields, "TRADING_GRP", &mut card.trading_group);
    text(fields, "GRPCODE", &mut card.group);
    int(fields, "ACTIVE", &mut card.status);
}

pub fn over_customer<'a>(card: &mut CustomerCard<'a>, fields: &'a Fields) {
    int(fields, "RECORD_STATUS", &mut card.status);
    int(fields, "ACCOUNT_TYPE", &mut card.account_type);
    text(fields, "CODE", &mut card.code);
    text(fields, "TITLE", &mut card.title);
    text(fields, "AUXIL_CODE", &mut card.auxil);
    text(fields, "AUTH_CODE", &mut card.auth);
    text(fields, "ADDRESS1", &mut card.address1);
    text(fields, "ADDRESS2", &mut card.address2);
    text(fields, "DISTRICT", &mut card.district);
    text(fields, "TOWN", &mut card.town);
    text(fields, "CITY", &mut card.city);
    text(fields, "COUNTRY", &mut card.country);
    text(fields, "POSTAL_CODE", &mut card.postal_code);
    text(fields, "TELEPHONE1", &mut card.telephone1);
    text(fields, "CELL_PHONE", &mut card.cell_phone);
    text(fields, "TAX_ID", &mut card.tax_id);
    text(fields, "TAX_OFFICE", &mut card.tax_office);
    text(fields, "TCKNO", &mut card.tckno);
    int(fields, "PERSCOMPANY", &mut card.person);
    text(fields, "NAME", &mut card.name);
    text(fields, "SURNAME", &mut card.surname);
    text(fields, "E_MAIL", &mut card.email);
    text(fields, "CONTACT", &mut card.contact);
    scaled(fields, "DISCOUNT_RATE", 2, &mut card.discount);
    text(fields, "PAYMENT_CODE", &mut card.payment);
    text(fields, "TRADING_GRP", &mut card.trading_group);
}
