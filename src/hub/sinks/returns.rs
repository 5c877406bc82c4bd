//! Return slips to the ERP, and their cancellation.

use kopru_sdk::Fault;
use serde_json::{Value, json};

use super::{
    call::{self, Came, Errand, Looked},
    effect::Effect,
    names::{is_ours, name, not_linked, patience, provenance, settled},
    stopped::Stopped,
    target::{Work, amended},
    ties::{self, Tie},
};
use crate::{
    commerce::returns::outgoing::{self, Handing},
    hub::{deliveries::Tried, installation},
};

const ENTITY: &str = "return";

/// A return was approved: its slip is made over there, once.
pub(super) async fn approved(work: &Work<'_>) -> Result<Tried, Stopped> {
    let Some(id) = work.told.aggregate_id else { return Ok(Tried::not_asked(Ok(None))) };
    let is_new = work.told.unknown_since.is_none();
    let mut tx = work.engine.pool.begin().await?;
    if !is_ours(work, &mut tx).await? {
        return Ok(Tried::not_asked(Err(patience("another daemon calls the system now"))));
    }
    let handing = match is_new {
        true => outgoing::hand_over(&mut tx, &provenance(work), id).await?,
        false => outgoing::standing(&mut tx, id).await?,
    };
    // Beside those of orders, which are numbers alone.
    let reference = format!("{}-R{id}", installation::code(&mut *tx).await?);
    let (mut record, rejected) = match handing {
        Handing::Sent(number) => return Ok(Tried::not_asked(Ok(number))),
        Handing::NotWanted => {
            return Ok(Tried::not_asked(Ok(Some("not sent: rejected before".to_owned()))));
        }
        Handing::Ready(record) => (record, false),
        Handing::Rejected(record) => (record, true),
    };
    let missing = name(&mut tx, work, &mut record, &reference).await?;
    tx.commit().await?;

    let named = settled(work, &mut record, missing).await?;
    let document = named.and_then(|()| work.map(work.outlet, &record));
    let document = match document.map(|document| amended(document, &work.told.payload)) {
        Ok(document) => document,
        // As with orders: what may be there from before was not looked for.
        Err(fault @ Fault::UnknownOutcome { .. }) => return Ok(Tried::not_asked(Err(fault))),
        Err(fault) if !is_new => return Ok(Tried::not_asked(Err(fault))),
        Err(fault) => return Ok(Tried::not_asked(Err(fault)).with(Effect::ReturnGivenBack { id })),
    };
    let errand = Errand {
        outlet: work.outlet,
        reference: &reference,
        attempt: work.told.attempt,
        unknown_since: work.told.unknown_since,
        external_id: None,
        record: &record,
        document: &document,
    };
    let came = match call::look(work.engine, work.cx, work.sink, &errand).await? {
        Looked::Came(came) => came,
        Looked::Clear if rejected => {
            let receipt = "not sent: it is not there, and it was rejected meanwhile".to_owned();
            return Ok(Tried::not_asked(Ok(Some(receipt))).with(Effect::ReturnGivenBack { id }));
        }
        Looked::Clear => call::send(work.cx, work.sink, &errand).await,
    };
    let asked = Some(format!("{reference}: {document}"));
    Ok(match came {
        Came::Taken(taken) => {
            let tie = Tie { entity: ENTITY, internal_id: id, code: reference, external_id: taken.external_id };
            let receipt = taken.number.clone().unwrap_or_else(|| tie.external_id.clone());
            let tried = Tried { outcome: Ok(Some(receipt)), asked, answered: taken.note, effect: None };
            tried.with(Effect::ReturnTaken { tie, number: taken.number })
        }
        Came::Parked(refusal) => Tried { outcome: Err(Fault::Permanent(refusal)), asked, answered: None, effect: None },
        Came::Unknown(fault) => Tried { outcome: Err(fault), asked, answered: None, effect: None },
        Came::Refused(fault) => {
            Tried { outcome: Err(fault), asked, answered: None, effect: None }.with(Effect::ReturnGivenBack { id })
        }
    })
}

/// A return was rejected. A slip that was made for it before is cancelled over there; it goes after the slip, as whatever is
/// told of one return goes in order.
pub(super) async fn rejected(work: &Work<'_>) -> Result<Tried, Stopped> {
    let nothing = || Ok(Tried::not_asked(Ok(Some("nothing to tell".to_owned()))));
    let Some(id) = work.told.aggregate_id else { return nothing() };
    let mut db = work.engine.pool.acquire().await?;
    if !is_ours(work, &mut db).await? {
        return Ok(Tried::not_asked(Err(patience("another daemon calls the system now"))));
    }
    if !outgoing::is_to_be_withdrawn(&mut db, id).await? {
        return nothing();
    }
    let Some((reference, Some(external_id))) = ties::tied(&mut *db, &work.instance.name, ENTITY, id).await? else {
        return Ok(Tried::not_asked(Err(not_linked(
            "return",
            id.to_string(),
            "it was rejected, and its slip is not known over there: look for it by our reference",
        ))));
    };
    drop(db);
    let record = json!({ "id": id });
    let errand = Errand {
        outlet: work.outlet,
        reference: &reference,
        attempt: work.told.attempt,
        unknown_since: work.told.unknown_since,
        external_id: Some(&external_id),
        record: &record,
        document: &Value::Null,
    };
    let asked = Some(format!("{reference} is cancelled"));
    let (outcome, answered, effect) = match call::send(work.cx, work.sink, &errand).await {
        Came::Taken(taken) => (Ok(taken.number), taken.note, Some(Effect::ReturnWithdrawn { id })),
        Came::Parked(refusal) => (Err(Fault::Permanent(refusal)), None, None),
        Came::Unknown(fault) | Came::Refused(fault) => (Err(fault), None, None),
    };
    Ok(Tried { outcome, asked, answered, effect })
}
