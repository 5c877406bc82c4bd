//! A document as a Logo Objects exchange file: ISO-8859-9, dates as `dd.MM.yyyy`, decimals with a dot.

use kopru_sdk::encoding::encode_iso_8859_9;
use serde_json::{Map, Value};

/// What only the REST service understands.
const OF_REST: [&str; 2] = ["DataObjectParameter", "INTERNAL_REFERENCE"];

/// The bytes of a file with one sales order.
pub fn sales_order(slip: &Map<String, Value>) -> Vec<u8> {
    let mut text =
        String::from("<?xml version=\"1.0\" encoding=\"ISO-8859-9\"?>\n<SALES_ORDERS>\n  <ORDER_SLIP DBOP=\"INS\">");
    fields(slip, &mut text);
    text.push_str("</ORDER_SLIP>\n</SALES_ORDERS>\n");
    encode_iso_8859_9(&text)
}

fn fields(record: &Map<String, Value>, out: &mut String) {
    // Lines come last, as in the files of LOGO itself.
    let plain = record.iter().filter(|(name, _)| !OF_REST.contains(&name.as_str()));
    for (name, value) in plain.clone() {
        match value {
            Value::Object(_) | Value::Array(_) | Value::Null => {}
            Value::String(text) => element(name, &dated(text), out),
            Value::Bool(flag) => element(name, if *flag { "1" } else { "0" }, out),
            Value::Number(number) => element(name, &number.to_string(), out),
        }
    }
    for (name, value) in plain {
        let Some(rows) = value.get("items").and_then(Value::as_array) else { continue };
        out.push_str(&format!("\n    <{name}>"));
        let row_name = name.strip_suffix('S').unwrap_or(name);
        for row in rows.iter().filter_map(Value::as_object) {
            out.push_str(&format!("\n      <{row_name}>"));
            fields(row, out);
            out.push_str(&format!("</{row_name}>"));
        }
        out.push_str(&format!("</{name}>"));
    }
}

fn element(name: &str, text: &str, out: &mut String) {
    out.push_str(&format!("<{name}>"));
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // XML 1.0 has no other control characters.
            '\t' | '\n' => out.push(' '),
            other if other.is_control() => {}
            other => out.push(other),
        }
    }
    out.push_str(&format!("</{name}>"));
}

/// A day is written with dots, never month first.
fn dated(text: &str) -> String {
    let day = text.strip_suffix("T00:00:00").and_then(|day| chrono::NaiveDate::parse_from_str(day, "%Y-%m-%d").ok());
    day.map_or_else(|| text.to_owned(), |day| day.format("%d.%m.%Y").to_string())
}

#[cfg(test)]
mod tests {
    use kopru_sdk::encoding::decode;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_slip_is_written_as_logo_reads_it() {
        let slip = json!({"INTERNAL_REFERENCE": 0, "NUMBER": "~", "DATE": "2026-03-02T00:00:00", "TIME": 236847104,
            "ARP_CODE": "120.34.0187", "NOTES1": "Şeker & <Çay> \u{2026}\u{1}", "DataObjectParameter": {"Validation": true},
            "TRANSACTIONS": {"items": [{"TYPE": 0, "MASTER_CODE": "NAKLİYE", "PRICE": 1845.5}, {"TYPE": 2}]}});
        let bytes = sales_order(slip.as_object().unwrap());
        let text = decode(&bytes, Some("ISO-8859-9")).unwrap().into_owned();
        assert!(text.starts_with(
            "<?xml version=\"1.0\" encoding=\"ISO-8859-9\"?>\n<SALES_ORDERS>\n  <ORDER_SLIP DBOP=\"INS\">"
        ));
        for part in [
            "<DATE>02.03.2026</DATE>",
            "<TIME>236847104</TIME>",
            "<NOTES1>Şeker &amp; &lt;Çay&gt; ...</NOTES1>",
            "<MASTER_CODE>NAKLİYE</MASTER_CODE>",
            "<PRICE>1845.5</PRICE>",
            "<TYPE>2</TYPE></TRANSACTION></TRANSACTIONS></ORDER_SLIP>",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert!(!text.contains("INTERNAL_REFERENCE") && !text.contains("DataObjectParameter"), "{text}");
        assert!(bytes.contains(&0xDE), "Ş is one byte");
    }
}
