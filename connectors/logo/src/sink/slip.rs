//! The body that is sent: what the mapping made, our reference, parameters, and the lengths of LOGO's fields.
//!
//! A code that is too long is refused before anything is sent: cut, it would be another code. Texts for people are cut by
//! their bytes in LOGO's code page, between characters. `NOTES` is spread over NOTES1 to NOTES6, at words.

use kopru_sdk::{
    Fault, Outgoing, Refusal,
    encoding::{cut_iso_8859_9, encode_iso_8859_9},
};
use serde_json::{Map, Value, json};

use crate::settings::OrderSettings;

/// Bytes of a header's codes.
const CODES: [(&str, usize); 13] = [
    ("ARP_CODE", 16),
    ("ARP_CODE_SHPM", 16),
    ("SHIPLOC_CODE", 24),
    ("GL_CODE", 24),
    ("NUMBER", 16),
    ("DOC_NUMBER", 32),
    ("CUST_ORD_NO", 24),
    ("DOC_TRACK_NR", 20),
    ("AUXIL_CODE", 10),
    ("AUTH_CODE", 10),
    ("PAYMENT_CODE", 16),
    ("SALESMAN_CODE", 24),
    ("TRADING_GRP", 16),
];
const LINE_CODES: [(&str, usize); 5] =
    [("MASTER_CODE", 24), ("UNIT_CODE", 10), ("AUXIL_CODE", 10), ("DELVRY_CODE", 10), ("VARIANTCODE", 24)];
const LINE_TEXTS: [(&str, usize); 1] = [("TRANS_DESCRIPTION", 250)];

const CARD_CODES: [(&str, usize); 7] = [
    ("CODE", 16),
    ("TAX_ID", 15),
    ("TCKNO", 15),
    ("PAYMENT_CODE", 16),
    ("TRADING_GRP", 16),
    ("AUXIL_CODE", 10),
    ("AUTH_CODE", 10),
];
const CARD_TEXTS: [(&str, usize); 12] = [
    ("TITLE", 200),
    ("ADDRESS1", 200),
    ("ADDRESS2", 200),
    ("DISTRICT", 50),
    ("TOWN", 50),
    ("CITY", 50),
    ("COUNTRY", 50),
    ("POSTAL_CODE", 10),
    ("TELEPHONE1", 15),
    ("TAX_OFFICE", 30),
    ("CONTACT", 50),
    ("E_MAIL", 250),
];

/// Of one of NOTES1 to NOTES6.
const NOTE: usize = 50;
const NOTES: [&str; 6] = ["NOTES1", "NOTES2", "NOTES3", "NOTES4", "NOTES5", "NOTES6"];

/// The body of a new sales order.
pub fn order(outgoing: &Outgoing<'_>, settings: &OrderSettings) -> Result<Value, Fault> {
    let mut body = body(outgoing, &settings.key_field, &[("ORDER_STATUS", json!(settings.status_on_create))])?;
    if settings.reserve {
        reserve(&mut body);
    }
    Ok(body)
}

/// Asks LOGO to hold the goods of each line for the order.
fn reserve(body: &mut Value) {
    let day = body["DATE"].clone();
    for line in body["TRANSACTIONS"]["items"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        let is_goods = line.get("TYPE").and_then(Value::as_i64).is_none_or(|kind| kind == 0);
        let Some(quantity) = line.get("QUANTITY").filter(|_| is_goods).cloned() else { continue };
        line.insert("ORDER_RESERVE".to_owned(), json!(1));
        line.entry("RESERVE_AMOUNT").or_insert(quantity);
        line.entry("RESERVE_DATE").or_insert_with(|| day.clone());
    }
}

/// The body of a new return slip.
pub fn return_slip(outgoing: &Outgoing<'_>, settings: &OrderSettings) -> Result<Value, Fault> {
    body(outgoing, &settings.return_key_field, &[])
}

fn body(outgoing: &Outgoing<'_>, key: &str, usual: &[(&str, Value)]) -> Result<Value, Fault> {
    let Value::Object(mapped) = outgoing.document else {
        return Err(Fault::contract(format!("the mapping of {} makes no document", outgoing.what.as_str())));
    };
    let mut body = mapped.clone();
    body.insert("INTERNAL_REFERENCE".to_owned(), json!(0));
    body.entry("NUMBER").or_insert(json!("~"));
    for (name, value) in usual {
        body.entry(*name).or_insert(value.clone());
    }
    // By it a slip is looked for: no mapping can take it away.
    body.entry("DOC_NUMBER").or_insert(json!(outgoing.reference));
    body.insert(key.to_owned(), json!(outgoing.reference));
    body.entry("DataObjectParameter").or_insert_with(|| {
        // Our prices are final: no campaigns, no conditions.
        json!({ "FillAccCodesOnPreSave": true, "Validation": true, "ApplyCampaignOnPreSave": false,
            "ApplyConditionOnPreSave": false })
    });
    spread_notes(&mut body);
    fit(&mut body, "", &CODES, &[])?;
    let lines = body.get_mut("TRANSACTIONS").and_then(|lines| lines.get_mut("items")).and_then(Value::as_array_mut);
    for (place, line) in lines.into_iter().flatten().enumerate() {
        if let Value::Object(line) = line {
            fit(line, &format!("TRANSACTIONS[{place}]."), &LINE_CODES, &LINE_TEXTS)?;
        }
    }
    Ok(Value::Object(body))
}

/// The lengths of a customer card.
pub fn fit_card(body: &mut Map<String, Value>) -> Result<(), Fault> {
    fit(body, "", &CARD_CODES, &CARD_TEXTS)
}

fn fit(
    record: &mut Map<String, Value>,
    above: &str,
    codes: &[(&str, usize)],
    texts: &[(&str, usize)],
) -> Result<(), Fault> {
    for (name, most) in codes {
        let Some(Value::String(code)) = record.get(*name) else { continue };
        let length = encode_iso_8859_9(code).len();
        if length > *most {
            return Err(Fault::Permanent(Refusal {
                reason: "too_long".to_owned(),
                field: Some(format!("{above}{name}")),
                value: Some(code.clone()),
                detail: format!("{above}{name} takes {most} characters in LOGO, and this has {length}"),
            }));
        }
    }
    for (name, most) in texts {
        if let Some(Value::String(text)) = record.get_mut(*name) {
            *text = cut_iso_8859_9(text, *most).to_owned();
        }
    }
    Ok(())
}

/// Spreads `NOTES` over the note fields that are free.
fn spread_notes(body: &mut Map<String, Value>) {
    let Some(Value::String(text)) = body.remove("NOTES") else { return };
    let mut rest = text.trim();
    for name in NOTES {
        if rest.is_empty() {
            return;
        }
        if body.contains_key(name) {
            continue;
        }
        let (piece, after) = piece(rest, NOTE);
        body.insert(name.to_owned(), json!(piece));
        rest = after;
    }
}

/// As many words as fit, and what follows them; a word that is too long by itself is cut.
fn piece(text: &str, most: usize) -> (&str, &str) {
    let whole = cut_iso_8859_9(text, most);
    let end = match whole.len() == text.len() || text[whole.len()..].starts_with(char::is_whitespace) {
        true => whole.len(),
        false => whole.rfind(char::is_whitespace).unwrap_or(whole.len()),
    };
    (text[..end].trim_end(), text[end..].trim_start())
}

#[cfg(test)]
mod tests {
    use kopru_sdk::What;

    use super::*;

    const SETTINGS: fn() -> OrderSettings = || OrderSettings {
        key_field: "CUST_ORD_NO".to_owned(),
        return_key_field: "DOC_NUMBER".to_owned(),
        status_on_create: 4,
        read_after_write: true,
        write_concurrency: 1,
        reserve: false,
        settle: std::time::Duration::ZERO,
        export_dir: None,
    };

    fn body(document: Value) -> Result<Value, Fault> {
        let record = json!({});
        let outgoing = Outgoing {
            what: What::Orders,
            reference: "K7P2QX-318",
            attempt: 1,
            unknown_since: None,
            external_id: None,
            was_there: false,
            record: &record,
            document: &document,
        };
        order(&outgoing, &SETTINGS())
    }

    #[test]
    fn our_reference_stands_in_it_whatever_the_mapping_says() {
        let made = body(json!({"CUST_ORD_NO": "something else", "ARP_CODE": "120"})).unwrap();
        assert_eq!((&made["CUST_ORD_NO"], &made["DOC_NUMBER"]), (&json!("K7P2QX-318"), &json!("K7P2QX-318")));
        assert_eq!((&made["NUMBER"], &made["ORDER_STATUS"]), (&json!("~"), &json!(4)));
        assert_eq!(made["DataObjectParameter"]["ApplyCampaignOnPreSave"], false);
    }

    #[test]
    fn goods_are_asked_to_be_held_and_nothing_else_is() {
        let (record, document) = (
            json!({}),
            json!({"DATE": "2026-03-02T00:00:00", "TRANSACTIONS": {"items": [
            {"TYPE": 0, "QUANTITY": 12}, {"TYPE": 2, "DISCOUNT_RATE": 5}, {"TYPE": 4, "QUANTITY": 1}]}}),
        );
        let outgoing = Outgoing {
            what: What::Orders,
            reference: "K-1",
            attempt: 1,
            unknown_since: None,
            external_id: None,
            was_there: false,
            record: &record,
            document: &document,
        };
        let made = order(&outgoing, &OrderSettings { reserve: true, ..SETTINGS() }).unwrap();
        let lines = made["TRANSACTIONS"]["items"].as_array().unwrap();
        let held = json!({"TYPE": 0, "QUANTITY": 12, "ORDER_RESERVE": 1, "RESERVE_AMOUNT": 12,
            "RESERVE_DATE": "2026-03-02T00:00:00"});
        assert_eq!(lines[0], held);
        assert_eq!((lines[1].get("ORDER_RESERVE"), lines[2].get("ORDER_RESERVE")), (None, None));
    }

    #[test]
    fn a_return_slip_has_no_state_of_an_order() {
        let (record, document) = (json!({}), json!({"TYPE": 3}));
        let outgoing = Outgoing {
            what: What::Returns,
            reference: "K7P2QX-R4",
            attempt: 1,
            unknown_since: None,
            external_id: None,
            was_there: false,
            record: &record,
            document: &document,
        };
        let made = return_slip(&outgoing, &SETTINGS()).unwrap();
        assert_eq!(
            (&made["DOC_NUMBER"], &made["NUMBER"], &made["TYPE"]),
            (&json!("K7P2QX-R4"), &json!("~"), &json!(3))
        );
        assert_eq!((made.get("ORDER_STATUS"), made.get("CUST_ORD_NO")), (None, None));
    }

    #[test]
    fn notes_are_spread_at_words_by_encoded_bytes() {
        let note = "Teslimat öğleden sonra yapılsın, güvenlikten şoförün adıyla geçilecek… kapı no 48";
        let made = body(json!({"NOTES": note})).unwrap();
        assert_eq!(made["NOTES1"], "Teslimat öğleden sonra yapılsın, güvenlikten");
        assert_eq!(made["NOTES2"], "şoförün adıyla geçilecek… kapı no 48");
        assert_eq!(made.get("NOTES"), None);
        let made = body(json!({"NOTES": "x".repeat(120), "NOTES1": "ilk"})).unwrap();
        assert_eq!((&made["NOTES1"], made["NOTES2"].as_str().unwrap().len()), (&json!("ilk"), 50));
        assert_eq!(made["NOTES4"], "x".repeat(20));
        // Six dots of three bytes' worth would not fit where fifty letters do.
        let made = body(json!({"NOTES": "…".repeat(40)})).unwrap();
        assert_eq!(made["NOTES1"].as_str().unwrap().chars().count(), 16);
    }

    #[test]
    fn codes_that_do_not_fit_are_refused_before_anything_is_sent() {
        let fault = body(json!({"TRANSACTIONS": {"items": [{"MASTER_CODE": "K".repeat(25)}]}})).unwrap_err();
        let Fault::Permanent(refusal) = fault else { panic!("{fault:?}") };
        assert_eq!(
            (refusal.reason.as_str(), refusal.field.as_deref()),
            ("too_long", Some("TRANSACTIONS[0].MASTER_CODE"))
        );
        assert!(body(json!({"TRANSACTIONS": {"items": [{"MASTER_CODE": "Ğ".repeat(24)}]}})).is_ok());
    }
}
