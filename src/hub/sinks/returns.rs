//! Return slips to the ERP, and their cancellation.

use super::{
    effect::Effect,
    making::{self, Making},
    names::{is_ours, name, not_linked, patience, provenance},
    stopped::Stopped,
    target::Work,
    ties,
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
    Ok(making::cancel(work, id, (&reference, &external_id), Effect::ReturnWithdrawn { id }).await)
}
