//! Whether a slip in LOGO is the one that was sent: customer, lines, totals. LOGO answers that it saved a slip also when it
//! kept none of its lines.

use kopru_sdk::Outgoing;
use rust_decimal::Decimal;
use serde_json::Value;

use super::made::is_cancelled;
use crate::write::Record;

/// What is not as it was sent.
#[derive(Debug, PartialEq)]
pub struct Differs {
    pub reason: &'static str,
    pub field: String,
    pub there: Option<String>,
    pub text: String,
}

/// A discount.
const DISCOUNT: i64 = 2;

/// `Ok` with a note when figures differ by roundings: by a kuruş a line at most.
pub fn slip(record: &Record, outgoing: &Outgoing<'_>) -> Result<Option<String>, Differs> {
    let sent = outgoing.document;
    if is_cancelled(record) {
        return Err(Differs {
            reason: "cancelled_there",
            field: "CANCELLED".to_owned(),
            there: None,
            text: "it is cancelled".to_owned(),
        });
    }
    let customer = text(&sent["ARP_CODE"]);
    let there = text(record.get("ARP_CODE").unwrap_or(&Value::Null));
    if customer != there {
        return Err(differs("customer_differs", "ARP_CODE", customer, there));
    }
    let (ours, theirs) = (lines(&sent["TRANSACTIONS"]), lines(record.get("TRANSACTIONS").unwrap_or(&Value::Null)));
    if ours.len() != theirs.len() {
        let (ours, theirs) = (ours.len().to_string(), theirs.len().to_string());
        return Err(differs("lines_differ", "TRANSACTIONS", Some(ours), Some(theirs)));
    }
    let goods: Vec<(usize, (&Value, &Value))> = ours
        .iter()
        .copied()
        .zip(theirs.iter().copied())
        .enumerate()
        .filter(|(_, (one, _))| kind(one) != DISCOUNT)
        .collect();
    for (place, (one, other)) in &goods {
        for name in ["MASTER_CODE", "UNIT_CODE"] {
            let (one, other) = (text(&one[name]), text(&other[name]));
            if one.is_some() && one != other {
                return Err(differs("lines_differ", &format!("TRANSACTIONS[{place}].{name}"), one, other));
            }
        }
        let (one, other) = (decimal(&one["QUANTITY"]), decimal(&other["QUANTITY"]));
        if one != other {
            let shown = |number: Option<Decimal>| number.map(|number| number.normalize().to_string());
            return Err(differs("lines_differ", &format!("TRANSACTIONS[{place}].QUANTITY"), shown(one), shown(other)));
        }
    }
    // A slip in another currency has its total in that one here.
    let field =
        if decimal(&sent["CURR_TRANSACTIN"]).is_some_and(|number| !number.is_zero()) { "TC_NET" } else { "TOTAL_NET" };
    let total = decimal(&outgoing.record["total"]);
    if outgoing.record["total"].is_null() {
        return Ok(Some(format!("{field} is not compared: the document was changed by hand")));
    }
    let (Some(total), Some(there)) = (total, record.get(field).and_then(decimal)) else {
        return Err(Differs {
            reason: "totals_differ",
            field: field.to_owned(),
            there: None,
            text: format!("{field} is missing, so its total cannot be compared"),
        });
    };
    let off = (total - there).abs();
    if off > Decimal::new(1, 2) * Decimal::from(goods.len().max(1)) {
        let shown = |number: Decimal| Some(number.normalize().to_string());
        return Err(differs("totals_differ", field, shown(total), shown(there)));
    }
    Ok((!off.is_zero()).then(|| format!("{field} is {there} in LOGO, {off} beside ours")))
}

/// Whether LOGO holds all goods of the slip by a reservation.
pub fn is_reserved(record: &Record) -> bool {
    let lines = lines(record.get("TRANSACTIONS").unwrap_or(&Value::Null));
    let mut goods = lines.into_iter().filter(|line| matches!(kind(line), 0 | 1)).peekable();
    goods.peek().is_some()
        && goods.all(|line| {
            let wanted = decimal(&line["QUANTITY"]);
            wanted.is_some()
                && decimal(&line["ORDER_RESERVE"]) == Some(Decimal::ONE)
                && decimal(&line["RESERVE_AMOUNT"]) >= wanted
        })
}

fn differs(reason: &'static str, field: &str, ours: Option<String>, there: Option<String>) -> Differs {
    let shown = |text: &Option<String>| text.clone().unwrap_or_else(|| "nothing".to_owned());
    let text = format!("{field} is {} there, and {} was sent", shown(&there), shown(&ours));
    Differs { reason, field: field.to_owned(), there, text }
}

fn lines(collection: &Value) -> Vec<&Value> {
    collection["items"].as_array().into_iter().flatten().collect()
}

fn kind(line: &Value) -> i64 {
    decimal(&line["TYPE"]).and_then(|number| i64::try_from(number).ok()).unwrap_or(0)
}

/// Trimmed on the right, as codes are compared; empty is nothing.
fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::trim_end).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn decimal(value: &Value) -> Option<Decimal> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    text.parse().ok().or_else(|| Decimal::from_scientific(&text).ok())
}

#[cfg(test)]
mod tests {
    use kopru_sdk::What;
    use serde_json::json;

    use super::*;

    fn compared(change: impl Fn(&mut Value)) -> Result<Option<String>, (&'static str, String)> {
        let document = json!({"ARP_CODE": "120.34.0187", "TRANSACTIONS": {"items": [
            {"TYPE": 0, "MASTER_CODE": "KMR-DM4-2812", "QUANTITY": 12, "PRICE": 1845.5, "UNIT_CODE": "ADET"},
            {"TYPE": 2, "DISCOUNT_RATE": 5},
            {"TYPE": 0, "MASTER_CODE": "KBL-C6-305", "QUANTITY": 3, "PRICE": 4120, "UNIT_CODE": "MAKARA"}]}});
        let record = json!({"total": 40078.44});
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
        let mut there = json!({"ARP_CODE": "120.34.0187 ", "TOTAL_NET": 40078.44, "TRANSACTIONS": {"items": [
            {"TYPE": 0, "MASTER_CODE": "KMR-DM4-2812", "QUANTITY": 12.0, "UNIT_CODE": "ADET"},
            {"TYPE": 2, "TOTAL": 1107.3},
            {"TYPE": 0, "MASTER_CODE": "KBL-C6-305", "QUANTITY": 3.0, "UNIT_CODE": "MAKARA"}]}});
        change(&mut there);
        slip(there.as_object().unwrap(), &outgoing).map_err(|differs| (differs.reason, differs.field))
    }

    #[test]
    fn what_was_sent_is_recognised() {
        assert_eq!(compared(|_| {}), Ok(None));
        let note = compared(|there| there["TOTAL_NET"] = json!(40078.46)).unwrap().unwrap();
        assert_eq!(note, "TOTAL_NET is 40078.46 in LOGO, 0.02 beside ours");
    }

    #[test]
    fn goods_are_held_when_all_of_them_are() {
        let held = |first: Value, second: Value| {
            let slip = json!({"TRANSACTIONS": {"items": [
                {"TYPE": 0, "QUANTITY": 12.0, "ORDER_RESERVE": 1, "RESERVE_AMOUNT": first}, {"TYPE": 2, "TOTAL": 5},
                {"TYPE": 0, "QUANTITY": 3.0, "ORDER_RESERVE": 1, "RESERVE_AMOUNT": second}]}});
            is_reserved(slip.as_object().unwrap())
        };
        assert!(held(json!(12.0), json!(3)));
        assert!(!held(json!(12.0), json!(2.5)));
        assert!(!held(json!(12.0), Value::Null));
        assert!(!is_reserved(json!({"TRANSACTIONS": {"Meta": {}}}).as_object().unwrap()));
    }

    #[test]
    fn what_is_another_slip_is_not() {
        let field = |reason, field: &str| Err((reason, field.to_owned()));
        assert_eq!(compared(|there| there["ARP_CODE"] = json!("120")), field("customer_differs", "ARP_CODE"));
        assert_eq!(compared(|there| there["TOTAL_NET"] = json!(40078.47)), field("totals_differ", "TOTAL_NET"));
        assert_eq!(compared(|there| there["TOTAL_NET"] = Value::Null), field("totals_differ", "TOTAL_NET"));
        assert_eq!(
            compared(|there| there["TRANSACTIONS"] = json!({"Meta": {}})),
            field("lines_differ", "TRANSACTIONS")
        );
        assert_eq!(
            compared(|there| there["TRANSACTIONS"]["items"][2]["QUANTITY"] = json!(4)),
            field("lines_differ", "TRANSACTIONS[2].QUANTITY")
        );
        assert_eq!(
            compared(|there| there["TRANSACTIONS"]["items"][0]["MASTER_CODE"] = json!("X")),
            field("lines_differ", "TRANSACTIONS[0].MASTER_CODE")
        );
        assert_eq!(compared(|there| there["CANCELLED"] = json!(1)), field("cancelled_there", "CANCELLED"));
    }
}
