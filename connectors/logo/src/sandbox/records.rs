//! Records of the data objects as `GET` shows them: empty texts and empty children left out, null dates as 1899-12-30.

use serde_json::{Map, Value};

use super::{
    fields,
    json::{NO_DATE, Out},
    stamp::{clock_of, packed_time},
    store::Store,
    table::Found,
    world::{
        Scratch,
        codes::{self, Code, UnitSet},
        customers::CustomerCard,
        items::ItemCard,
        prices::PriceCard,
    },
};

/// How records are to be shown.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// `http://host:port/api/v1`, as the service believes it to be.
    pub base: &'a str,
    /// Child collections with their rows, not just their address.
    pub full: bool,
}

impl View<'_> {
    fn meta(&self, out: &mut Out, resource: &str, reference: i64) {
        out.raw("{\"Meta\":{\"href\":\"");
        out.raw(self.base);
        out.raw("/");
        out.raw(resource);
        out.raw("/");
        out.int(reference);
        out.raw(MEDIA);
        out.int_member("INTERNAL_REFERENCE", reference);
    }

    /// A child collection; without rows it has an address and no `items`.
    fn children(&self, out: &mut Out, resource: &str, reference: i64, name: &str, rows: Option<&dyn Fn(&mut Out)>) {
        out.key(name);
        out.raw("{\"Meta\":{\"href\":\"");
        out.raw(self.base);
        out.raw("/");
        out.raw(resource);
        out.raw("/");
        out.int(reference);
        out.raw("/");
        out.raw(name);
        out.raw(MEDIA);
        if let (true, Some(write)) = (self.full, rows) {
            out.raw(",\"items\":[");
            write(out);
            out.raw("]");
        }
        out.raw("}");
    }
}

pub const MEDIA: &str = "\",\"mediaType\":\"application/json; charset=UTF-8\",\"apiVersion\":\"1.0\"}";

impl Store {
    pub fn write_item(&self, found: Found<'_>, view: View<'_>, out: &mut Out, scratch: &mut Scratch) {
        let start = out.len();
        let card = self.item(found, scratch);
        item(out, &card, view);
        self.lay_over(found, out, start);
    }

    pub fn write_customer(&self, found: Found<'_>, view: View<'_>, out: &mut Out, scratch: &mut Scratch) {
        let start = out.len();
        let card = self.customer(found, scratch);
        customer(out, &card, view);
        self.lay_over(found, out, start);
    }

    pub fn write_price(&self, found: Found<'_>, view: View<'_>, out: &mut Out, scratch: &mut Scratch) {
        let start = out.len();
        let card = self.price(found, scratch);
        price(out, &card, view);
        self.lay_over(found, out, start);
    }

    /// Puts the fields that were written, and that a card does not know, over the record written from `start` on.
    fn lay_over(&self, found: Found<'_>, out: &mut Out, start: usize) {
        let Some(edit) = found.edit.filter(|edit| !edit.fields.is_empty()) else { return };
        let Ok(mut record) = serde_json::from_slice::<Map<String, Value>>(out.since(start)) else { return };
        for (name, value) in &edit.fields {
            match (record.get_mut(name), value) {
                (_, Value::Null) => {
                    record.remove(name);
                }
                (_, Value::String(text)) if text.is_empty() => {
                    record.remove(name);
                }
                // A child collection keeps its address.
                (Some(Value::Object(children)), Value::Object(written)) => {
                    children.remove("items");
                    children
                        .extend(written.iter().filter(|(key, _)| *key == "items").map(|(k, v)| (k.clone(), v.clone())));
                    if children.get("items").and_then(Value::as_array).is_some_and(Vec::is_empty) {
                        children.remove("items");
                    }
                }
                _ => {
                    record.insert(name.clone(), value.clone());
                }
            }
        }
        out.truncate(start);
        out.value(&Value::Object(record));
    }
}

fn item(out: &mut Out, card: &ItemCard<'_>, view: View<'_>) {
    view.meta(out, "items", card.reference);
    out.int_member("RECORD_STATUS", card.status);
    out.int_member("CARD_TYPE", card.card_type);
    out.text_member("CODE", card.code);
    out.text_member("NAME", card.name);
    out.text_member("NAME3", card.name3);
    out.text_member("GROUP_CODE", card.group);
    out.text_member("PRODUCER_CODE", card.producer);
    out.text_member("AUXIL_CODE", card.auxil[0]);
    out.text_member("AUXIL_CODE2", card.auxil[1]);
    out.text_member("AUXIL_CODE3", card.auxil[2]);
    out.text_member("AUXIL_CODE4", card.auxil[3]);
    out.text_member("AUXIL_CODE5", card.auxil[4]);
    out.text_member("AUTH_CODE", card.auth);
    out.int_member("CLASS_TYPE", card.class_type);
    out.raw(",\"USEF_PURCHASING\":1,\"USEF_SALES\":1,\"USEF_MM\":1");
    out.double_member("VAT", card.vat, 2);
    if let Some(rate) = card.sales_vat {
        out.double_member("SELVAT", rate, 2);
    }
    out.double_member("RETURNVAT", card.vat, 2);
    out.int_member("TRACK_TYPE", card.track_type);
    out.text_member("UNITSET_CODE", card.unit_set);
    let set = card.set();
    out.int_member("UNITSETREF", set.map_or(0, |set| set.reference));
    out.text_member("EAN_BARCODE", card.barcode);
    out.int_member("MARKREF", card.mark);
    out.text_member("MARKCODE", card.mark_code);
    stamps(out, card.created, card.modified);
    guid(out, "ITEM", card.reference);
    let units = set.map(|set| move |out: &mut Out| item_units(out, set, card));
    let units = units.as_ref().map(|write| write as &dyn Fn(&mut Out));
    view.children(out, "items", card.reference, "UNITS", units);
    view.children(out, "items", card.reference, "ALTERNATIVES", None);
    out.raw("}");
}

fn item_units(out: &mut Out, set: &UnitSet, card: &ItemCard<'_>) {
    for (n, unit) in set.units.iter().enumerate() {
        out.raw(if n > 0 { ",{\"UNIT_CODE\":" } else { "{\"UNIT_CODE\":" });
        out.text(unit.code);
        out.double_member("CONV_FACT1", unit.conv1, 0);
        out.double_member("CONV_FACT2", unit.conv2, 0);
        if card.weight > 0 {
            out.double_member("WEIGHT", card.unit_weight(unit), 3);
        }
        if let Some(barcode) = card.unit_barcode(n, unit) {
            out.raw(",\"BARCODE_LIST\":{\"items\":[{\"BARCODE\":");
            out.text(&barcode);
            out.raw(",\"LINENR\":1,\"TYPE\":0}]}");
        }
        out.raw("}");
    }
}

fn customer(out: &mut Out, card: &CustomerCard<'_>, view: View<'_>) {
    view.meta(out, "Arps", card.reference);
    out.int_member("RECORD_STATUS", card.status);
    out.int_member("ACCOUNT_TYPE", card.account_type);
    out.text_member("CODE", card.code);
    out.text_member("TITLE", card.title);
    out.text_member("AUXIL_CODE", card.auxil);
    out.text_member("AUTH_CODE", card.auth);
    out.text_member("ADDRESS1", card.address1);
    out.text_member("ADDRESS2", card.address2);
    out.text_member("DISTRICT", card.district);
    out.text_member("TOWN", card.town);
    out.text_member("CITY", card.city);
    out.text_member("COUNTRY", card.country);
    if !card.country.is_empty() {
        out.raw(",\"COUNTRY_CODE\":\"TR\"");
    }
    out.text_member("POSTAL_CODE", card.postal_code);
    out.text_member("TELEPHONE1", card.telephone1);
    out.text_member("CELL_PHONE", card.cell_phone);
    out.text_member("TAX_ID", card.tax_id);
    out.text_member("TAX_OFFICE", card.tax_office);
    out.text_member("TCKNO", card.tckno);
    out.int_member("PERSCOMPANY", card.person);
    out.text_member("NAME", card.name);
    out.text_member("SURNAME", card.surname);
    out.text_member("CONTACT", card.contact);
    out.double_member("DISCOUNT_RATE", card.discount, 2);
    out.text_member("PAYMENT_CODE", card.payment);
    out.text_member("E_MAIL", card.email);
    out.text_member("TRADING_GRP", card.trading_group);
    out.raw(",\"BLOCKED\":0");
    stamps(out, card.created, card.modified);
    guid(out, "ARP", card.reference);
    view.children(out, "Arps", card.reference, "NOTES", None);
    out.raw("}");
}

fn price(out: &mut Out, card: &PriceCard<'_>, view: View<'_>) {
    view.meta(out, "salesItemPrices", card.reference);
    out.text_member("CODE", card.code);
    // Which of the two names carries the item's code varies in the field.
    out.text_member(if card.reference % 8 == 3 { "CARD_CODE" } else { "OWNER_CODE" }, card.owner);
    out.int_member("CARDREF", card.card);
    out.text_member("ARP_CODE", card.customer);
    out.text_member("PAYMENT_CODE", card.payment);
    out.double_member("PRICE", card.price, 6);
    out.text_member("UNIT_CODE", card.unit);
    out.int_member("VAT_INCL", card.vat_included);
    out.int_member("CURRENCY", card.currency);
    out.int_member("PRIORITY", card.priority);
    out.raw(",\"MTRL_TYPE\":0");
    out.key("DATE_STARTED");
    out.date(card.starts);
    out.key("DATE_ENDED");
    out.date(card.ends);
    out.text_member("TRADING_GRP", card.trading_group);
    out.text_member("GRPCODE", card.group);
    out.int_member("ACTIVE", card.status);
    stamps(out, card.created, card.modified);
    out.raw("}");
}

pub fn group(out: &mut Out, group: &Code, view: View<'_>) {
    view.meta(out, "groupCodes", group.reference);
    out.int_member("CODE_TYPE", codes::GROUP_CODE_TYPE.into());
    out.int_member("SPE_CODE_TYPE", codes::ITEM_CARD_TYPE.into());
    out.text_member("CODE", &group.code);
    out.text_member("DEFINITION", &group.name);
    out.raw("}");
}

pub fn brand(out: &mut Out, brand: &Code, view: View<'_>) {
    view.meta(out, "itemBrands", brand.reference);
    out.text_member("CODE", &brand.code);
    out.text_member("DESCR", &brand.name);
    out.raw("}");
}

pub fn unit_set(out: &mut Out, set: &UnitSet, view: View<'_>) {
    view.meta(out, "unitSets", set.reference);
    out.text_member("CODE", set.code);
    out.text_member("DESCRIPTION", set.name);
    let rows = |out: &mut Out| {
        for (n, unit) in set.units.iter().enumerate() {
            out.raw(if n > 0 { ",{\"INTERNAL_REFERENCE\":" } else { "{\"INTERNAL_REFERENCE\":" });
            out.int(unit.reference);
            out.text_member("CODE", unit.code);
            out.text_member("NAME", unit.name);
            out.int_member("MAIN_UNIT", i64::from(n == 0));
            out.double_member("CONV_FACT1", unit.conv1, 0);
            out.double_member("CONV_FACT2", unit.conv2, 0);
            out.text_member("GLOBAL_CODE", unit.global);
            out.raw("}");
        }
    };
    view.children(out, "unitSets", set.reference, "UNITS", Some(&rows));
    out.raw("}");
}

pub fn payment_plan(out: &mut Out, (reference, code): (i64, &str), view: View<'_>) {
    view.meta(out, "paymentPlans", reference);
    out.text_member("CODE", code);
    out.raw("}");
}

/// A stored document, with its children's rows or without.
pub fn document(out: &mut Out, resource: &str, (reference, record): (i64, &Map<String, Value>), view: View<'_>) {
    view.meta(out, resource, reference);
    for (name, value) in record {
        let Some(children) = value.as_object() else {
            out.key(name);
            if name == "TIME" {
                odd_time(out, reference, value);
            } else {
                out.value(value);
            }
            continue;
        };
        let rows = children.get("items").and_then(Value::as_array).filter(|rows| !rows.is_empty());
        let write = rows.map(|rows| {
            move |out: &mut Out| {
                for (n, row) in rows.iter().enumerate() {
                    out.raw(if n > 0 { "," } else { "" });
                    out.value(row);
                }
            }
        });
        let write = write.as_ref().map(|write| write as &dyn Fn(&mut Out));
        view.children(out, resource, reference, name, write);
    }
    out.raw("}");
}

/// Every eleventh slip shows its time with seconds above 59, the same moment all the same.
fn odd_time(out: &mut Out, reference: i64, value: &Value) {
    match fields::integer(value) {
        Some(packed) if reference % 11 == 0 => {
            let seconds = packed / 16_777_216 * 3_600 + packed / 65_536 % 256 * 60 + packed / 256 % 256;
            out.int(packed_time(seconds, true));
        }
        _ => out.value(value),
    }
}

/// Created and modified, the latter 1899 and zeros until the first edit.
pub fn stamps(out: &mut Out, created: i64, modified: Option<i64>) {
    out.raw(",\"CREATED_BY\":1");
    out.key("DATE_CREATED");
    out.date(created);
    let (hour, minute, second) = clock_of(created);
    out.int_member("HOUR_CREATED", hour);
    out.int_member("MIN_CREATED", minute);
    out.int_member("SEC_CREATED", second);
    out.key("DATE_MODIFIED");
    let (hour, minute, second) = match modified {
        Some(modified) => {
            out.date(modified);
            clock_of(modified)
        }
        None => {
            out.text(NO_DATE);
            (0, 0, 0)
        }
    };
    out.int_member("HOUR_MODIFIED", hour);
    out.int_member("MIN_MODIFIED", minute);
    out.int_member("SEC_MODIFIED", second);
}

fn guid(out: &mut Out, sort: &str, reference: i64) {
    out.raw(",\"GUID\":\"");
    out.raw(&guid_text(sort, reference));
    out.raw("\"");
}

/// Upper case with hyphens, different for each record.
pub fn guid_text(sort: &str, reference: i64) -> String {
    let subject = sort.bytes().fold(7_u64, |all, byte| all * 31 + u64::from(byte));
    let high = super::world::rng::mix(subject, 1, reference.unsigned_abs());
    let low = super::world::rng::mix(subject, 2, reference.unsigned_abs());
    format!(
        "{:08X}-{:04X}-4{:03X}-A{:03X}-{:012X}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 52,
        low & 0xffff_ffff_ffff
    )
}

/// The same members in a stored document.
pub fn put_stamps(record: &mut Map<String, Value>, created: i64, modified: Option<i64>) {
    let mut out = Out::default();
    out.raw("{\"MODIFIED_BY\":1");
    stamps(&mut out, created, modified);
    out.raw("}");
    if let Ok(Value::Object(members)) = serde_json::from_slice(&out.into_bytes()) {
        record.extend(members);
    }
}
