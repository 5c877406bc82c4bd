//! Orders to the ERP, and their cancellation.

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
    commerce::orders::outgoing::{self, Handing},
    hub::{deliveries::Tried, installation},
};

const ENTITY: &str = "order";

/// An order was confirmed: it is made over there, once.
pub(super) async fn confirmed(work: &Work<'_>) -> Result<Tried, Stopped> {
    let Some(order) = work.told.aggregate_id else { return Ok(Tried::not_asked(Ok(None))) };
    let is_new = work.told.unknown_since.is_none();
    let mut tx = work.engine.pool.begin().await?;
    if !is_ours(work, &mut tx).await? {
        return Ok(Tried::not_asked(Err(patience("another daemon calls the system now"))));
    }
    let handing = match is_new {
        true => outgoing::hand_over(&mut tx, &provenance(work), order).await?,
        false => outgoing::standing(&mut tx, order).await?,
    };
    let reference = format!("{}-{order}", installation::code(&mut *tx).await?);
    let (mut record, cancel) = match handing {
        Handing::Sent(number) => return Ok(Tried::not_asked(Ok(number))),
        Handing::NotWanted => {
            return Ok(Tried::not_asked(Ok(Some("not sent: cancelled before".to_owned()))));
        }
        Handing::Ready(record) => (record, false),
        Handing::CancelAsked(record) => (record, true),
    };
    let missing = name(&mut tx, work, &mut record, &reference).await?;
    tx.commit().await?;

    let named = settled(work, &mut record, missing).await?;
    let document = named.and_then(|()| work.map(work.outlet, &record));
    let document = match document.map(|document| amended(document, &work.told.payload)) {
        Ok(document) => document,
        // What became of the card is not known: the order itself was not sent, and nothing is until that has settled.
        Err(fault @ Fault::UnknownOutcome { .. }) => return Ok(Tried::not_asked(Err(fault))),
        // What may be there from before was not looked for: it stays handed over.
        Err(fault) if !is_new => return Ok(Tried::not_asked(Err(fault))),
        Err(fault) => return Ok(Tried::not_asked(Err(fault)).with(Effect::OrderGivenBack { order })),
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
        Looked::Clear if cancel => {
            let receipt = "not sent: it is not there, and its cancellation was asked for".to_owned();
            return Ok(Tried::not_asked(Ok(Some(receipt))).with(Effect::OrderCancelled { order }));
        }
        Looked::Clear => call::send(work.cx, work.sink, &errand).await,
    };
    let asked = Some(format!("{reference}: {document}"));
    Ok(match came {
        Came::Taken(taken) => {
            let tie = Tie { entity: ENTITY, internal_id: order, code: reference, external_id: taken.external_id };
            let receipt = taken.number.clone().unwrap_or_else(|| tie.external_id.clone());
            let tried = Tried { outcome: Ok(Some(receipt)), asked, answered: taken.note, effect: None };
            tried.with(Effect::OrderTaken { tie, number: taken.number, holds_goods: taken.holds_goods })
        }
        Came::Parked(refusal) => Tried { outcome: Err(Fault::Permanent(refusal)), asked, answered: None, effect: None },
        Came::Unknown(fault) => Tried { outcome: Err(fault), asked, answered: None, effect: None },
        Came::Refused(fault) => {
            Tried { outcome: Err(fault), asked, answered: None, effect: None }.with(Effect::OrderGivenBack { order })
        }
    })
}

/// An order changed. Only that its cancellation is asked for is told.
pub(super) async fn cancelled(work: &Work<'_>) -> Result<Tried, Stopped> {
    let nothing = || Ok(Tried::not_asked(Ok(Some("nothing to tell".to_owned()))));
    let Some(order) = work.told.aggregate_id else { return nothing() };
    let mut db = work.engine.pool.acquire().await?;
    if !is_ours(work, &mut db).await? {
        return Ok(Tried::not_asked(Err(patience("another daemon calls the system now"))));
    }
    if !outgoing::cancel_is_asked(&mut db, order).await? {
        return nothing();
    }
    let Some((reference, Some(external_id))) = ties::tied(&mut *db, &work.instance.name, ENTITY, order).await? else {
        return Ok(Tried::not_asked(Err(not_linked(
            "order",
            order.to_string(),
            "its cancellation is asked for, and it is not known over there: look for it by our reference",
        ))));
    };
    drop(db);
    let record = json!({ "id": order });
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
        Came::Taken(taken) => (Ok(taken.number), taken.note, Some(Effect::OrderCancelled { order })),
        Came::Parked(refusal) => (Err(Fault::Permanent(refusal)), None, None),
        Came::Unknown(fault) | Came::Refused(fault) => (Err(fault), None, None),
    };
    Ok(Tried { outcome, asked, answered, effect })
}
