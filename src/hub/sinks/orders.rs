//! Orders to the ERP, and their cancellation.

use super::{
    effect::Effect,
    making::{self, Known, Making},
    names::{if_ours, name, patience, provenance},
    stopped::Stopped,
    target::Work,
    ties,
};
use crate::{
    commerce::orders::outgoing::{self, Handing},
    hub::deliveries::Tried,
};

const ENTITY: &str = "order";

/// What is written into the document.
fn reference_of(installation: &str, order: i64) -> String {
    format!("{installation}-{order}")
}

/// An order was confirmed: it is made over there, once.
pub(super) async fn confirmed(work: &Work<'_>) -> Result<Tried, Stopped> {
    let Some(order) = work.told.aggregate_id else { return Ok(Tried::not_asked(Ok(None))) };
    let mut db = work.engine.pool.acquire().await?;
    let Some(installation) = if_ours(work, &mut db).await? else {
        return Ok(Tried::not_asked(Err(patience("another daemon calls the system now"))));
    };
    // By one statement, so that it stands before anything is sent.
    let handing = outgoing::hand_over(&mut db, &provenance(work), order).await?;
    let reference = reference_of(&installation, order);
    let (mut record, cancel) = match handing {
        Handing::Sent(number) => return Ok(Tried::not_asked(Ok(number))),
        Handing::NotWanted => {
            return Ok(Tried::not_asked(Ok(Some("not sent: cancelled before".to_owned()))));
        }
        Handing::Ready(record) => (record, false),
        Handing::CancelAsked(record) => (record, true),
    };
    let missing = name(&mut db, work, &mut record, &reference).await?;
    drop(db);
    let making = Making {
        entity: ENTITY,
        id: order,
        reference,
        record,
        missing,
        unwanted: cancel.then_some((
            "not sent: it is not there, and its cancellation was asked for",
            Effect::OrderCancelled { order },
        )),
        given_back: Effect::OrderGivenBack { order },
    };
    making::make(work, making, |tie, taken| Effect::OrderTaken {
        tie,
        number: taken.number.clone(),
        holds_goods: taken.holds_goods,
    })
    .await
}

/// An order changed. Only that its cancellation is asked for is told.
pub(super) async fn cancelled(work: &Work<'_>) -> Result<Tried, Stopped> {
    let nothing = || Ok(Tried::not_asked(Ok(Some("nothing to tell".to_owned()))));
    let Some(order) = work.told.aggregate_id else { return nothing() };
    let mut db = work.engine.pool.acquire().await?;
    let Some(installation) = if_ours(work, &mut db).await? else {
        return Ok(Tried::not_asked(Err(patience("another daemon calls the system now"))));
    };
    if !outgoing::cancel_is_asked(&mut db, order).await? {
        return nothing();
    }
    // One without a link was handed over and never known to be there: nothing that is under way stands before this.
    let tied = ties::tied(&mut *db, &work.instance.name, ENTITY, order).await?;
    let was_there = tied.is_some();
    let (reference, external_id) = tied.unwrap_or_else(|| (reference_of(&installation, order), None));
    let known = Known { reference, external_id, was_there };
    drop(db);
    Ok(making::cancel(work, order, known, Effect::OrderCancelled { order }).await)
}
