//! Customer cards: found by tax number, or made. LOGO knows a company by its VKN and a person by the TCKN, which some sites
//! keep in TAX_ID as well.

use kopru_sdk::{Fault, Outgoing, Refusal, Sent, Taken, outbound::Method};
use serde_json::{Map, Value};

use super::slip;
use crate::{
    client::LogoClient,
    settings::coded,
    write::{NotWritten, reference_of},
};

const RESOURCE: &str = "Arps";
const PATH: &str = "/api/v1/Arps";

/// The one card in use with this tax number.
pub async fn find(client: &LogoClient, outgoing: &Outgoing<'_>) -> Result<Sent, Fault> {
    let settings = &client.settings;
    let number = outgoing.record["taxNumber"].as_str().unwrap_or_default().trim();
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(parked(
            "without_tax_number",
            None,
            "without a tax number nobody can tell whether LOGO has it".to_owned(),
        ));
    }
    let query =
        vec![("q", format!("TAX_ID eq '{number}' or TCKNO eq '{number}'")), ("limit", settings.page_limit.to_string())];
    let list = client.records(RESOURCE, query).await?;
    let rows: Value = serde_json::from_slice(&list.body)
        .map_err(|_| Fault::transient(format!("GET {PATH}: the list of customers cannot be read")))?;
    let of_theirs = |row: &&Map<String, Value>| {
        let has = |name: &str| row.get(name).and_then(Value::as_str).is_some_and(|text| text.trim() == number);
        // 2 is a supplier alone; 1 under RECORD_STATUS is out of use.
        let flag = |name: &str| row.get(name).and_then(Value::as_i64).unwrap_or(0);
        (has("TAX_ID") || has("TCKNO")) && flag("ACCOUNT_TYPE") != 2 && flag("RECORD_STATUS") == 0
    };
    let found: Vec<&Map<String, Value>> =
        rows["items"].as_array().into_iter().flatten().filter_map(Value::as_object).filter(of_theirs).collect();
    let code = |row: &Map<String, Value>| {
        row.get("CODE").and_then(Value::as_str).map(|code| code.trim_end().to_owned()).unwrap_or_default()
    };
    match found[..] {
        [] => Ok(Sent::Nothing),
        [row] => match reference_of(row) {
            Some(reference) => Ok(Sent::Done(Taken {
                external_id: reference.to_string(),
                number: Some(code(row)),
                note: Some("LOGO had a card with this tax number".to_owned()),
                holds_goods: false,
            })),
            None => Err(Fault::transient(format!("GET {PATH}: a customer has no INTERNAL_REFERENCE"))),
        },
        _ => {
            let codes: Vec<String> = found.iter().map(|row| code(row)).collect();
            let detail = format!(
                "LOGO has {} cards in use with this tax number ({}): leave one of them in use and replay",
                codes.len(),
                codes.join(", ")
            );
            Ok(parked("several_cards", Some(codes.join(", ")), detail))
        }
    }
}

/// Makes a card, unless there is one with this tax number.
pub async fn create(client: &LogoClient, outgoing: &Outgoing<'_>) -> Result<Sent, Fault> {
    match find(client, outgoing).await? {
        Sent::Nothing => {}
        found => return Ok(found),
    }
    let Value::Object(mapped) = outgoing.document else {
        return Err(Fault::contract("the mapping of customer cards makes no document"));
    };
    let mut body = mapped.clone();
    let named = body.get("CODE").and_then(Value::as_str).filter(|code| !code.is_empty()).map(str::to_owned);
    let pattern = client.settings.new_customer_code.as_deref();
    let made = || pattern.zip(outgoing.record["id"].as_i64()).and_then(|(pattern, id)| coded(pattern, id));
    let Some(code) = named.or_else(made) else {
        return Ok(parked(
            "code_wanted",
            None,
            "LOGO has no card with this tax number. Replay the letter with {\"document\": {\"CODE\": \"120.…\"}}, make the card in \
             LOGO and replay, or set new_customer_code"
                .to_owned(),
        ));
    };
    body.insert("CODE".to_owned(), code.clone().into());
    slip::fit_card(&mut body)?;
    match client.write(Method::POST, PATH.to_owned(), Value::Object(body).to_string().into()).await {
        Ok(echo) => match reference_of(&echo) {
            Some(reference) => {
                let external_id = reference.to_string();
                Ok(Sent::Done(Taken { external_id, number: Some(code), ..Taken::default() }))
            }
            None => {
                Err(Fault::UnknownOutcome { detail: format!("POST {PATH}: the answer names no INTERNAL_REFERENCE") })
            }
        },
        Err(NotWritten { fault: Fault::NotFound { detail }, .. }) => Err(Fault::Contract { detail }),
        Err(NotWritten { fault, is_doubtful: false }) => Err(fault),
        Err(NotWritten { fault, is_doubtful: true }) => match find(client, outgoing).await {
            Ok(Sent::Nothing) => Err(fault),
            Ok(found) => Ok(found),
            Err(unseen) => Err(Fault::UnknownOutcome { detail: format!("{fault}; and {unseen}") }),
        },
    }
}

fn parked(reason: &str, value: Option<String>, detail: String) -> Sent {
    Sent::Parked(Refusal { reason: reason.to_owned(), field: Some("customer".to_owned()), value, detail })
}
