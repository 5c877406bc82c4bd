//! Return slips to the ERP, and their cancellation.

use super::{
    effect::Effect,
    making::{self, Known, Making},
    names::{if_ours, name, patience, provenance},
    stopped::Stopped,
    target::Work,
    ties,
};
use crate::{
    commerce::returns::outgoing::{self, Handing},
    hub::deliveries::Tried,
    transaction,
};

const ENTITY: &str = "return";
/// What is written into the document: beside those of orders, which are numbers alone.
fn reference_of(installation: &str, id: i64) -> String {
    format!("{installation}-R{id}")
}

const REJECTED: &str = "not sent: rejected before";

/// A return was approved: its slip is made over there, once.
pub(super) async fn approved(work: &Work<'_>) -> Result<Tried, Stopped> {
    let Some(id) = work.told.aggregate_id else { return Ok(Tried::not_asked(Ok(None))) };
    let is_new = work.told.unknown_since.is_none();
    let mut tx = transaction::begin(&work.engine.pool).await?;
    let Some(installation) = if_ours(work, &mut tx).await? else {
        return Ok(Tried::not_asked(Err(patience("another daemon calls the system now"))));
    };
    let handing = outgoing::hand_over(&mut tx, &provenance(work), id).await?;
    let reference = reference_of(&installation, id);
    let (mut record, rejected) = match handing {
        Handing::Sent(number) => return Ok(Tried::not_asked(Ok(number))),
        Handing::NotWanted => return Ok(Tried::not_asked(Ok(Some(REJECTED.to_owned())))),
        // Nothing was sent yet.
        Handing::Rejected(_) if is_new => return Ok(Tried::not_asked(Ok(Some(REJECTED.to_owned())))),
        Handing::Ready(record) => (record, false),
        Handing::Rejected(record) => (record, true),
    };
    let missing = name(&mut tx, work, &mut record, &reference).await?;
    tx.commit().await?;
    let making = Making {
        entity: ENTITY,
        id,
        reference,
        record,
        missing,
        unwanted: rejected
            .then_some(("not sent: it is not there, and it was rejected meanwhile", Effect::ReturnGivenBack { id })),
        given_back: Effect::ReturnGivenBack { id },
    };
    making::make(work, making, |tie, taken| Effect::ReturnTaken { tie, number: taken.number.clone() }).await
}

/// A return was rejected. A slip that was made for it before is cancelled over there; it goes after the slip, as whatever is
/// told of one return goes in order.
pub(super) async fn rejected(work: &Work<'_>) -> Result<Tried, Stopped> {
    let nothing = || Ok(Tried::not_asked(Ok(Some("nothing to tell".to_owned()))));
    let Some(id) = work.told.aggregate_id else { return nothing() };
    let mut db = work.engine.pool.acquire().await?;
    let Some(installation) = if_ours(work, &mut db).await? else {
        return Ok(Tried::not_asked(Err(patience("another daemon calls the system now"))));
    };
    if !outgoing::is_to_be_withdrawn(&mut db, id).await? {
        return nothing();
    }
    let tied = ties::tied(&mut *db, &work.instance.name, ENTITY, id).await?;
    let was_there = tied.is_some();
    let (reference, external_id) = tied.unwrap_or_else(|| (reference_of(&installation, id), None));
    let known = Known { reference, external_id, was_there };
    drop(db);
    Ok(making::cancel(work, id, known, Effect::ReturnWithdrawn { id }).await)
}
