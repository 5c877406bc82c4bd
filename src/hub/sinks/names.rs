//! What every document needs before it is sent: who may send at all, and what its records are called over there.

use kopru_sdk::{Fault, Refusal};
use serde_json::Value;
use sqlx::PgConnection;

use super::{customers, target::Work, ties};
use crate::{hub::scheduler, outbox::Provenance};

/// The code of this installation, when this process holds the instance, if one process alone may call it, and still holds the
/// delivery. `None`: it does not, and must not call.
pub(super) async fn if_ours(work: &Work<'_>, conn: &mut PgConnection) -> Result<Option<String>, sqlx::Error> {
    let lease = work.instance.exclusive.then(|| scheduler::connector_lease(&work.instance.name));
    sqlx::query_scalar!(
        "select code from hub.installation
         where ($1::text is null or exists (select from hub.lease where name = $1 and owner = $2
                                            and expires_at > clock_timestamp()))
             and exists (select from hub.delivery where id = $3 and state = 'working' and lease_owner = $2)",
        lease,
        work.engine.id,
        work.told.id,
    )
    .fetch_optional(conn)
    .await
}

pub(super) fn patience(why: &str) -> Fault {
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
pub(super) enum Missing {
    Customer { id: i64, ours: String },
    Product(Fault),
}

/// Puts our reference and the codes of over there into the record. Gives what has none.
pub(super) async fn name(
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

/// Puts the code of the customer's card into the record, which is found or made before; `Err`: what keeps the document from
/// being told.
pub(super) async fn settled(
    work: &Work<'_>,
    record: &mut Value,
    missing: Option<Missing>,
) -> Result<Result<(), Fault>, sqlx::Error> {
    Ok(match missing {
        Some(Missing::Customer { id, ours }) => match customers::card(work, id, &ours).await? {
            Ok(code) => {
                record["customer"]["code"] = code.into();
                Ok(())
            }
            Err(fault) => Err(fault),
        },
        Some(Missing::Product(fault)) => Err(fault),
        None => Ok(()),
    })
}

/// What follows over here comes from the instance: it is not told back to it.
pub(super) fn provenance<'a>(work: &'a Work<'_>) -> Provenance<'a> {
    Provenance {
        origin: &work.instance.name,
        bulk: false,
        correlation_id: &work.cx.correlation_id,
        place: None,
        now: work.cx.now,
    }
}
