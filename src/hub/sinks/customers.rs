//! The cards of customers: found by what the system knows them by, or made. An order needs the card of its customer, so
//! whichever delivery comes first sees to it.

use std::time::Duration;

use kopru_sdk::{Fault, Refusal, What};

use super::{
    call::{self, Came, Errand, Looked},
    names::not_linked,
    target::{Work, amended},
    ties::{self, Tie},
};
use crate::{
    commerce::customers,
    hub::{deliveries::Tried, installation},
};

const ENTITY: &str = "customer";

/// How long an order waits before it looks again whether its customer has a card.
const PATIENCE: Duration = Duration::from_secs(30);

/// A dealer was approved.
pub(super) async fn registered(work: &Work<'_>) -> Result<Tried, sqlx::Error> {
    let Some(customer) = work.told.aggregate_id else { return Ok(Tried::not_asked(Ok(None))) };
    let _one = work.cards.lock().await;
    if let Some((code, _)) = ties::tied(&work.engine.pool, &work.instance.name, ENTITY, customer).await? {
        return Ok(Tried::not_asked(Ok(Some(code))));
    }
    let Some(sought) = seek(work, customer).await? else {
        return Ok(Tried::not_asked(Ok(Some("not sent: it is no approved customer any more".to_owned()))));
    };
    let (asked, answered) = (Some(sought.asked), sought.note);
    let kept = match sought.outcome {
        Ok(tie) => keep(work, tie).await?,
        Err(fault) => Err(fault),
    };
    Ok(Tried { outcome: kept.map(Some), asked, answered, effect: None })
}

/// Writes the link while nobody else looks: the outcome of the delivery is written later. Gives the card's code.
async fn keep(work: &Work<'_>, tie: Tie) -> Result<Result<String, Fault>, sqlx::Error> {
    let mut db = work.engine.pool.acquire().await?;
    if ties::tie(&mut db, &work.instance.name, &tie).await? {
        return Ok(Ok(tie.code));
    }
    Ok(Err(Fault::Permanent(Refusal {
        reason: "linked_elsewhere".to_owned(),
        field: Some("customer".to_owned()),
        detail: format!("the card {} belongs to another customer of ours: join the two, then replay", tie.code),
        value: Some(tie.code),
    })))
}

/// The code of the customer's card, for an order that names it. `Err`: what keeps it from having one.
pub(super) async fn card(work: &Work<'_>, customer: i64, ours: &str) -> Result<Result<String, Fault>, sqlx::Error> {
    let instance = &work.instance.name;
    let refused = || not_linked("customer", ours.to_owned(), format!("{instance} has no card of the customer {ours}"));
    if !work.outlets.iter().any(|outlet| outlet.what == What::Customers) {
        return Ok(Err(refused()));
    }
    let _one = work.cards.lock().await;
    if let Some((code, _)) = ties::tied(&work.engine.pool, instance, ENTITY, customer).await? {
        return Ok(Ok(code));
    }
    let Some(sought) = seek(work, customer).await? else { return Ok(Err(refused())) };
    let kept = match sought.outcome {
        Ok(tie) => keep(work, tie).await?,
        Err(fault) => Err(fault),
    };
    match kept {
        Ok(code) => Ok(Ok(code)),
        // Its own delivery is the letter that a person mends; the order waits for that.
        Err(Fault::Permanent(refusal))
            if ties::is_being_made(&work.engine.pool, instance, ENTITY, customer).await? =>
        {
            Ok(Err(Fault::RateLimited {
                wait: Some(PATIENCE),
                detail: format!("the card of the customer {ours} waits for a person: {}", refusal.detail),
            }))
        }
        Err(fault) => Ok(Err(fault)),
    }
}

struct Sought {
    outcome: Result<Tie, Fault>,
    asked: String,
    note: Option<String>,
}

/// Finds or makes the card. `None`: there is no such customer to be told of.
async fn seek(work: &Work<'_>, customer: i64) -> Result<Option<Sought>, sqlx::Error> {
    let outlet = work.outlets.iter().find(|outlet| outlet.what == What::Customers).copied();
    let record = customers::outgoing(&work.engine.pool, customer).await?;
    let (Some(outlet), Some(record)) = (outlet, record) else { return Ok(None) };
    let reference = format!("{}-C{customer}", installation::code(&work.engine.pool).await?);
    let document = match work.map(outlet, &record) {
        Ok(document) if work.told.aggregate == ENTITY => amended(document, &work.told.payload),
        Ok(document) => document,
        Err(fault) => return Ok(Some(Sought { outcome: Err(fault), asked: reference, note: None })),
    };
    let errand = Errand { outlet, ..work.errand(&reference, &record, &document) };
    let came = match call::look(work.engine, work.cx, work.sink, &errand).await? {
        Looked::Came(came) => came,
        Looked::Clear => call::send(work.cx, work.sink, &errand).await,
    };
    let asked = format!("{reference}: {document}");
    let (outcome, note) = match came {
        Came::Taken(taken) => match taken.number {
            Some(code) => {
                let tie = Tie { entity: ENTITY, internal_id: customer, code, external_id: taken.external_id };
                (Ok(tie), taken.note)
            }
            None => (Err(no_code(&reference)), taken.note),
        },
        Came::Parked(refusal) => (Err(Fault::Permanent(refusal)), None),
        Came::Refused(fault) | Came::Unknown(fault) => (Err(fault), None),
    };
    Ok(Some(Sought { outcome, asked, note }))
}

fn no_code(reference: &str) -> Fault {
    Fault::Permanent(Refusal {
        reason: "without_code".to_owned(),
        field: Some("customer".to_owned()),
        value: None,
        detail: format!("the card of {reference} has no code over there"),
    })
}
