//! A slip in LOGO: made, looked for, cancelled. The same for sales orders and for return slips.

use kopru_sdk::{Fault, Outgoing, Refusal, Sent, Taken, outbound::Method};
use serde_json::{Value, json};

use super::{compare, slip};
use crate::{
    client::LogoClient,
    settings::OrderSettings,
    write::{NotWritten, Record, reference_of},
};

/// A kind of slip.
#[derive(Debug, Clone, Copy)]
pub struct Kind<'a> {
    resource: &'static str,
    /// The field that carries our reference.
    key: &'a str,
    called: &'static str,
    body: fn(&Outgoing<'_>, &OrderSettings) -> Result<Value, Fault>,
}

impl<'a> Kind<'a> {
    pub fn order(settings: &'a OrderSettings) -> Kind<'a> {
        Kind { resource: "salesOrders", key: &settings.key_field, called: "order", body: slip::order }
    }

    /// Goods that come back from a sale are a dispatch of a type of its own.
    pub fn return_slip(settings: &'a OrderSettings) -> Kind<'a> {
        let key = &settings.return_key_field;
        Kind { resource: "salesDispatches", key, called: "return slip", body: slip::return_slip }
    }

    fn path(&self) -> String {
        format!("/api/v1/{}", self.resource)
    }
}

/// Makes the slip, and reads it back: the echo of a create knows neither its number nor whether its lines were kept.
pub async fn create(client: &LogoClient, kind: Kind<'_>, outgoing: &Outgoing<'_>) -> Result<Sent, Fault> {
    let body = (kind.body)(outgoing, &client.settings.orders)?;
    let (path, called) = (kind.path(), kind.called);
    let echo = match client.write(Method::POST, path.clone(), body.to_string().into()).await {
        Ok(echo) => echo,
        Err(NotWritten { fault, is_doubtful: false }) => return Err(as_create(fault)),
        Err(NotWritten { fault, is_doubtful: true }) => {
            // What is found is ours; what cannot be looked for now is looked for later.
            return match find(client, kind, outgoing).await {
                Ok(Sent::Nothing) => Err(as_create(fault)),
                Ok(found) => Ok(found),
                Err(unseen) => Err(Fault::UnknownOutcome { detail: format!("{fault}; and {unseen}") }),
            };
        }
    };
    let unknown = |detail: String| Fault::UnknownOutcome { detail };
    let Some(reference) = reference_of(&echo) else {
        return Err(unknown(format!("POST {path}: the answer names no INTERNAL_REFERENCE")));
    };
    if !client.settings.orders.read_after_write {
        return Ok(Sent::Done(taken(reference, &echo, None)));
    }
    match client.record(kind.resource, &reference.to_string()).await {
        Ok(Some(record)) => Ok(compared(reference, &record, kind, outgoing)),
        Ok(None) => Err(unknown(format!("LOGO made the {called} {reference}, and does not show it"))),
        Err(fault) => {
            Err(unknown(format!("LOGO made the {called} {reference}, and it could not be read back: {fault}")))
        }
    }
}

/// A path that is not there is a service that is not the one we think.
fn as_create(fault: Fault) -> Fault {
    match fault {
        Fault::NotFound { detail } => Fault::Contract { detail },
        fault => fault,
    }
}

/// The slip that carries our reference.
pub async fn find(client: &LogoClient, kind: Kind<'_>, outgoing: &Outgoing<'_>) -> Result<Sent, Fault> {
    let references = listed(client, kind, outgoing.reference).await?;
    match references[..] {
        [] => Ok(Sent::Nothing),
        [reference] => {
            let record = shown(client, kind, reference).await?;
            Ok(compared(reference, &record, kind, outgoing))
        }
        _ => Ok(Sent::Parked(twice_there(kind, outgoing.reference, &references))),
    }
}

/// The slips that the list shows with this reference.
async fn listed(client: &LogoClient, kind: Kind<'_>, reference: &str) -> Result<Vec<i64>, Fault> {
    let settings = &client.settings;
    let mut query = vec![("q", format!("{} eq '{reference}'", kind.key)), ("limit", settings.page_limit.to_string())];
    if !settings.sort.is_empty() {
        query.push(("sort", settings.sort.clone()));
    }
    let unreadable = || Fault::transient(format!("GET {}: the list cannot be read", kind.path()));
    let list = client.records(kind.resource, query).await?;
    let rows: Value = serde_json::from_slice(&list.body).map_err(|_| unreadable())?;
    let rows: &[Value] = rows["items"].as_array().ok_or_else(unreadable)?;
    let ours: Vec<&Value> = rows.iter().filter(|row| carries(row.get(kind.key), reference)).collect();
    // A build that does not look at the condition shows other slips, and ours may stand on any page.
    if ours.len() < rows.len() {
        return Err(Fault::contract(format!(
            "GET {}: LOGO was asked for the slips whose {} is {reference} and shows others; without that, nothing can be sent twice safely: \
             look whether the field can be asked for",
            kind.path(),
            kind.key
        )));
    }
    ours.into_iter().map(|row| row.as_object().and_then(reference_of).ok_or_else(unreadable)).collect()
}

/// What the list shows is there, whatever is answered to the question for it alone.
async fn shown(client: &LogoClient, kind: Kind<'_>, reference: i64) -> Result<Record, Fault> {
    let record = client.record(kind.resource, &reference.to_string()).await?;
    record.ok_or_else(|| Fault::transient(format!("LOGO lists the {} {reference}, and does not show it", kind.called)))
}

/// Whether a slip carries our reference.
fn carries(field: Option<&Value>, reference: &str) -> bool {
    field.and_then(Value::as_str).is_some_and(|text| text.trim_end() == reference)
}

fn twice_there(kind: Kind<'_>, ours: &str, references: &[i64]) -> Refusal {
    let all: Vec<String> = references.iter().map(i64::to_string).collect();
    Refusal {
        reason: "twice_there".to_owned(),
        field: Some(kind.key.to_owned()),
        value: Some(ours.to_owned()),
        detail: format!(
            "LOGO has {} slips with our reference {ours} ({}): delete all but one and replay",
            all.len(),
            all.join(", ")
        ),
    }
}

fn compared(reference: i64, record: &Record, kind: Kind<'_>, outgoing: &Outgoing<'_>) -> Sent {
    match compare::slip(record, outgoing) {
        Ok(note) => Sent::Done(taken(reference, record, note)),
        Err(differs) => Sent::Parked(Refusal {
            reason: differs.reason.to_owned(),
            field: Some(differs.field),
            value: differs.there,
            detail: format!(
                "LOGO has the {} {} as {reference}, and it is not as it was sent: {}; mend it in LOGO and replay",
                kind.called, outgoing.reference, differs.text
            ),
        }),
    }
}

fn taken(reference: i64, record: &Record, note: Option<String>) -> Taken {
    let number = record.get("NUMBER").and_then(Value::as_str).map(str::trim_end);
    let number = number.filter(|number| !number.is_empty() && *number != "~").map(str::to_owned);
    Taken { external_id: reference.to_string(), number, note, holds_goods: compare::is_reserved(record) }
}

/// Marks the slip as cancelled, the one that carries our reference: numbers begin anew with each period, so the one that we know
/// may be a stranger's by now. One that is gone, or is marked already, is cancelled.
pub async fn cancel(client: &LogoClient, kind: Kind<'_>, outgoing: &Outgoing<'_>) -> Result<Sent, Fault> {
    let known = match outgoing.external_id {
        Some(id) => client.record(kind.resource, id).await?.map(|record| (id.to_owned(), record)),
        None => None,
    };
    let is_ours = |record: &Record| carries(record.get(kind.key), outgoing.reference);
    let (reference, record) = match known {
        Some((reference, record)) if is_ours(&record) => (reference, record),
        other => match listed(client, kind, outgoing.reference).await?[..] {
            [reference] => (reference.to_string(), shown(client, kind, reference).await?),
            [] => match other {
                Some((reference, _)) => return Ok(Sent::Parked(another(kind, outgoing.reference, &reference))),
                // It had a number, which another one has by now.
                None if outgoing.external_id.is_none() && outgoing.was_there => {
                    return Ok(Sent::Parked(another(kind, outgoing.reference, "that had its number")));
                }
                None => {
                    return Ok(cancelled(outgoing.external_id.unwrap_or_default(), None, "it is not there any more"));
                }
            },
            ref references => return Ok(Sent::Parked(twice_there(kind, outgoing.reference, references))),
        },
    };
    if is_cancelled(&record) {
        return Ok(cancelled(&reference, record.get("NUMBER"), "it was cancelled there already"));
    }
    let body = json!({ "INTERNAL_REFERENCE": reference.parse::<i64>().ok(), "CANCELLED": 1 });
    match client.write(Method::PATCH, format!("{}/{reference}", kind.path()), body.to_string().into()).await {
        Ok(_) => Ok(cancelled(&reference, record.get("NUMBER"), "cancelled")),
        Err(NotWritten { fault, .. }) => Err(fault),
    }
}

fn cancelled(reference: &str, number: Option<&Value>, note: &str) -> Sent {
    let number = number.and_then(Value::as_str).map(|number| number.trim_end().to_owned());
    Sent::Done(Taken { external_id: reference.to_owned(), number, note: Some(note.to_owned()), ..Taken::default() })
}

fn another(kind: Kind<'_>, ours: &str, reference: &str) -> Refusal {
    Refusal {
        reason: "another_slip".to_owned(),
        field: Some(kind.key.to_owned()),
        value: Some(ours.to_owned()),
        detail: format!(
            "the {} {reference} in LOGO is not the one that carries our reference {ours}, and none is that does: it may be in the books of \
             an earlier period; cancel it there, then discard this letter",
            kind.called
        ),
    }
}

pub(super) fn is_cancelled(record: &Record) -> bool {
    record.get("CANCELLED").is_some_and(|flag| flag.as_i64() == Some(1) || flag.as_bool() == Some(true))
}
