//! Orders to the ERP, and their cancellation.

use kopru_sdk::{Fault, Refusal};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{
    call::{self, Came, Errand, Looked},
    customers,
    effect::Effect,
    target::{Work, amended},
    ties::{self, Tie},
};
use crate::{
    commerce::orders::outgoing::{self, Handing},
    hub::{deliveries::Tried, installation, scheduler},
    outbox::Provenance,
};

const ENTITY: &str = "order";

/// An order was confirmed: it is made over there, once.
pub(super) async fn confirmed(work: &Work<'_>) -> Result<Tried, sqlx::Error> {
    let Some(order) = work.told.aggregate_id else { return Ok(Tried::not_asked(Ok(None))) };
    let is_new = work.told.unknown_since.is_none();
    let mut tx = work.engine.pool.begin().await?;
    if !is_ours(work, &mut tx).await? {
        return Ok(Tried::not_asked(Err(patience("another daemon calls the system now"))));
    }
    let by = Provenance {
        origin: &work.instance.name,
        bulk: false,
        correlation_id: &work.cx.correlation_id,
        now: work.cx.now,
    };
    let handing = match is_new {
        true => outgoing::hand_over(&mut tx, &by, order).await,
        false => outgoing::standing(&mut tx, order).await,
    };
    let handing = handing.map_err(|error| sqlx::Error::Protocol(error.to_string()))?;
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

    let named = match missing {
        Some(Missing::Customer { id, ours }) => match customers::card(work, id, &ours).await? {
            Ok(code) => {
                record["customer"]["code"] = code.into();
                Ok(())
            }
            Err(fault) => Err(fault),
        },
        Some(Missing::Product(fault)) => Err(fault),
        None => Ok(()),
    };
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
            tried.with(Effect::OrderTaken { tie, number: taken.number })
        }
        Came::Parked(refusal) => Tried { outcome: Err(Fault::Permanent(refusal)), asked, answered: None, effect: None },
        Came::Unknown(fault) => Tried { outcome: Err(fault), asked, answered: None, effect: None },
        Came::Refused(fault) => {
            Tried { outcome: Err(fault), asked, answered: None, effect: None }.with(Effect::OrderGivenBack { order })
        }
    })
}

/// An order changed. Only that its cancellation is asked for is told.
pub(super) async fn cancelled(work: &Work<'_>) -> Result<Tried, sqlx::Error> {
    let nothing = || Ok(Tried::not_asked(Ok(Some("nothing to tell".to_owned()))));
    let Some(order) = work.told.aggregate_id else { return nothing() };
    let mut db = work.engine.pool.acquire().await?;
    if !is_ours(work, &mut db).await? {
        return Ok(Tried::not_asked(Err(patience("another daemon calls the system now"))));
    }
    let asked = outgoing::cancel_is_asked(&mut db, order).await;
    if !asked.map_err(|error| sqlx::Error::Protocol(error.to_string()))? {
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

/// Whether this process holds the instance, if one process alone may call it, and still holds the delivery.
async fn is_ours(work: &Work<'_>, conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let lease = work.instance.exclusive.then(|| scheduler::connector_lease(&work.instance.name));
    sqlx::query_scalar!(
        r#"select ($1::text is null or exists (select from hub.lease where name = $1 and owner = $2
                                               and expires_at > clock_timestamp()))
              and exists (select from hub.delivery where id = $3 and state = 'working' and lease_owner = $2) as "ours!""#,
        lease,
        work.engine.id,
        work.told.id,
    )
    .fetch_one(conn)
    .await
}

fn patience(why: &str) -> Fault {
    Fault::RateLimited { wait: None, detail: why.to_owned() }
}

pub(super) fn not_linked(field: &str, value: String, detail: impl Into<String>) -> Fault {
    Fault::Permanent(Refusal {
        reason: "not_linked".to_owned(),
        field: Some(field.to_owned()),
        value: Some(value),
        detail: detail.into(),
    })
}

/// What has no code over there.
enum Missing {
    Customer { id: i64, ours: String },
    Product(Fault),
}

/// Puts our reference and the codes of over there into the record. Gives what has none.
async fn name(
    conn: &mut PgConnection,
    work: &Work<'_>,
    record: &mut Value,
    reference: &str,
) -> Result<Option<Missing>, sqlx::Error> {
    record["reference"] = reference.into();
    let id = |value: &Value| value.as_i64();
    let mut wanted = Vec::new();
    wanted.extend(id(&record["customerId"]).map(|customer| ("customer", customer)));
    wanted.extend(id(&record["warehouseId"]).map(|warehouse| ("warehouse", warehouse)));
    let products = record["lines"].as_array().into_iter().flatten().filter_map(|line| line["productId"].as_i64());
    wanted.extend(products.map(|product| ("product", product)));
    let codes = ties::codes(conn, &work.instance.name, &wanted).await?;
    let code = |entity: &str, value: &Value| Some(codes.get(&(entity.to_owned(), value.as_i64()?))?.as_str());
    let instance = &work.instance.name;

    if let Some(code) = code("warehouse", &record["warehouseId"]) {
        record["warehouse"] = code.into();
    }
    for (place, line) in record["lines"].as_array_mut().into_iter().flatten().enumerate() {
        if line["productId"].is_null() {
            continue;
        }
        match code("product", &line["productId"]) {
            Some(code) => line["code"] = code.into(),
            None => {
                let ours = line["ourCode"].as_str().unwrap_or_default().to_owned();
                let detail = format!("{instance} has no card of the product {ours}: it is not linked");
                return Ok(Some(Missing::Product(not_linked(&format!("lines[{place}].product"), ours, detail))));
            }
        }
    }
    match code("customer", &record["customerId"]) {
        Some(code) => record["customer"]["code"] = code.into(),
        None => {
            let ours = record["customer"]["ourCode"].as_str().unwrap_or_default().to_owned();
            return Ok(record["customerId"].as_i64().map(|id| Missing::Customer { id, ours }));
        }
    }
    Ok(None)
}
