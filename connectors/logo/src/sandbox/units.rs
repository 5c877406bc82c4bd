//! The units of item cards as rows of a query: UNITSETL, and over it ITMUNITA and UNITBARCODE.

use serde_json::{Map, Value};

use super::{fields, json::Out, table::Found, world::items::ItemCard};

/// A unit of a card; of a card without units one that has only the card.
pub struct UnitRow {
    pub item: i64,
    pub line: i64,
    json: Vec<u8>,
}

impl UnitRow {
    pub fn write(&self, out: &mut Out) {
        out.raw_bytes(&self.json);
    }
}

/// The rows of a card in the order of their lines.
pub fn rows(found: Found<'_>, card: &ItemCard<'_>, into: &mut Vec<UnitRow>) {
    into.clear();
    let written = found.edit.filter(|edit| edit.fields.contains_key("UNITS"));
    if let Some(edit) = written {
        let lines: Vec<&Map<String, Value>> = fields::lines(&edit.fields, "UNITS").collect();
        let last = lines.len() as i64;
        into.extend(
            lines.iter().zip(1..).map(|(unit, line)| row(card.reference, line, last, |out| written_unit(out, unit))),
        );
    } else if let Some(set) = card.set() {
        let last = set.units.last().map_or(0, |unit| unit.reference);
        into.extend(set.units.iter().enumerate().map(|(place, unit)| {
            row(card.reference, unit.reference, last, |out| {
                out.text(unit.code);
                out.double_member("CONV_FACT1", unit.conv1, 0);
                out.double_member("CONV_FACT2", unit.conv2, 0);
                out.double_member("WEIGHT", card.unit_weight(unit), 3);
                if let Some(barcode) = card.unit_barcode(place, unit) {
                    out.text_member("BARCODE", &barcode);
                } else {
                    out.raw(",\"BARCODE\":null");
                }
            })
        }));
    }
    if into.is_empty() {
        into.push(row(card.reference, 0, 0, |out| out.raw("null")));
    }
}

/// A row up to `UNIT_CODE`, whose value `unit` writes, with all that follows.
fn row(item: i64, line: i64, last: i64, unit: impl FnOnce(&mut Out)) -> UnitRow {
    let mut out = Out::with_capacity(160);
    out.raw("{\"STOCKREF\":");
    out.int(item);
    out.int_member("INTERNAL_REFERENCE", line);
    out.int_member("LASTLINE", last);
    out.key("UNIT_CODE");
    unit(&mut out);
    out.raw("}");
    UnitRow { item, line, json: out.into_bytes() }
}

fn written_unit(out: &mut Out, unit: &Map<String, Value>) {
    let listed = || unit.get("BARCODE_LIST")?.get("items")?.get(0)?.get("BARCODE");
    let value = |name: &str| unit.get(name).cloned().unwrap_or(Value::Null);
    out.value(&value("UNIT_CODE"));
    for name in ["CONV_FACT1", "CONV_FACT2", "WEIGHT"] {
        out.key(name);
        out.value(&value(name));
    }
    out.key("BARCODE");
    out.value(unit.get("BARCODE").or_else(listed).unwrap_or(&Value::Null));
}
