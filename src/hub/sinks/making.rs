//! A document that is made over there once: it is looked for before it is sent, and adopted, parked or sent. And its cancellation.

use kopru_sdk::{Fault, Taken};
use serde_json::{Value, json};

use super::{
    call::{self, Came, Errand, Looked},
    effect::Effect,
    names::{Missing, settled},
    stopped::Stopped,
    target::{Work, amended},
    ties::Tie,
};
use crate::hub::deliveries::Tried;

/// A record that was handed over, under our reference, with the names of over there.
pub(super) struct Making {
    /// Of its link.
    pub(super) entity: &'static str,
    pub(super) id: i64,
    pub(super) reference: String,
    pub(super) record: Value,
    pub(super) missing: Option<Missing>,
    /// Nobody wants it any more, so it is only looked for: what is told, and what follows, when it is not there.
    pub(super) unwanted: Option<(&'static str, Effect)>,
    /// What follows when it was not taken, for sure.
    pub(super) given_back: Effect,
}

/// `follows`: what follows over here when it is there.
pub(super) async fn make(
    work: &Work<'_>,
    making: Making,
    follows: impl FnOnce(Tie, &Taken) -> Effect,
) -> Result<Tried, Stopped> {
    let Making { entity, id, reference, mut record, missing, unwanted, given_back } = making;
    let named = settled(work, &mut record, missing).await?;
    if work.told.payload.get("document").is_some() {
        // A person has changed what is sent: it is not measured by the order's own total any more.
        record["total"] = Value::Null;
    }
    let document = named.and_then(|()| work.map(work.outlet, &record));
    let document = match document.map(|document| amended(document, &work.told.payload)) {
        Ok(document) => document,
        // What became of the customer's card is not known: the document was not sent, and is not until that has settled.
        Err(fault @ Fault::UnknownOutcome { .. }) => return Ok(Tried::not_asked(Err(fault))),
        // What may be there from before stays handed over; where nothing is, it is given back all the same.
        Err(fault) if work.told.unknown_since.is_some() => {
            let errand = work.errand(&reference, &record, &Value::Null);
            let looked = call::look(work.engine, work.cx, work.sink, &errand).await?;
            let refused = Tried::not_asked(Err(fault));
            return Ok(if matches!(looked, Looked::Clear) { refused.with(given_back) } else { refused });
        }
        Err(fault) => return Ok(Tried::not_asked(Err(fault)).with(given_back)),
    };
    let errand = work.errand(&reference, &record, &document);
    let came = match (call::look(work.engine, work.cx, work.sink, &errand).await?, unwanted) {
        (Looked::Came(came), _) => came,
        (Looked::Clear, Some((receipt, effect))) => {
            return Ok(Tried::not_asked(Ok(Some(receipt.to_owned()))).with(effect));
        }
        (Looked::Clear, None) => call::send(work.cx, work.sink, &errand).await,
    };
    let asked = Some(format!("{reference}: {document}"));
    Ok(match came {
        Came::Taken(taken) => {
            let tie = Tie { entity, internal_id: id, code: reference, external_id: taken.external_id.clone() };
            let receipt = taken.number.clone().unwrap_or_else(|| tie.external_id.clone());
            let effect = follows(tie, &taken);
            Tried { outcome: Ok(Some(receipt)), asked, answered: taken.note, effect: None }.with(effect)
        }
        Came::Parked(refusal) => Tried { outcome: Err(Fault::Permanent(refusal)), asked, answered: None, effect: None },
        Came::Unknown(fault) => Tried { outcome: Err(fault), asked, answered: None, effect: None },
        Came::Refused(fault) => Tried { outcome: Err(fault), asked, answered: None, effect: None }.with(given_back),
    })
}

/// What is to be cancelled over there, as it is known there.
pub(super) struct Known {
    pub(super) reference: String,
    /// `None`: it has none any more, or never had.
    pub(super) external_id: Option<String>,
    /// Whether it was there for certain: then that it is not found proves nothing.
    pub(super) was_there: bool,
}

/// Has what is over there cancelled, by its id there if that is known. `effect`: what follows when it was.
pub(super) async fn cancel(work: &Work<'_>, id: i64, known: Known, effect: Effect) -> Tried {
    let Known { reference, external_id, was_there } = known;
    let record = json!({ "id": id });
    let errand =
        Errand { external_id: external_id.as_deref(), was_there, ..work.errand(&reference, &record, &Value::Null) };
    let (outcome, answered, effect) = match call::send(work.cx, work.sink, &errand).await {
        Came::Taken(taken) => (Ok(taken.number), taken.note, Some(effect)),
        Came::Parked(refusal) => (Err(Fault::Permanent(refusal)), None, None),
        Came::Unknown(fault) | Came::Refused(fault) => (Err(fault), None, None),
    };
    Tried { outcome, asked: Some(format!("{reference} is cancelled")), answered, effect }
}
