//! One record shown or deactivated, by the code that its source gave it.

use std::sync::Arc;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use utoipa::ToSchema;
use xxhash_rust::xxh3::xxh3_128;

use super::{
    Pushed,
    push::{PushedOne, Sender, require_instance, unsuccessful},
};
use crate::{
    audit::Actor,
    canonical::Entity,
    commerce::show,
    http::{
        caller::Caller,
        idempotency::{Answer, Stop},
        problem::{FieldError, Problem},
    },
    hub::{
        deactivate::{Deactivation, deactivate_one},
        engine::Engine,
        links,
    },
};

/// A record as it is, under the names by which it is pushed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    external_code: String,
    /// The hub's id of the record.
    id: i64,
    /// The same as `id`.
    vesmarket_id: i64,
    /// The source's own number of it.
    logo_id: Option<String>,
    /// Of the newest document, when it had one.
    version: Option<i64>,
    /// When the newest document was received.
    last_synced_at: DateTime<Utc>,
    /// The fields of the entity.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    fields: Value,
}

pub(super) async fn show_one(
    engine: &Engine,
    caller: &Caller,
    pushed: Pushed,
    code: &str,
    known: Option<&HeaderValue>,
) -> Result<Response, Problem> {
    caller.require_any(&["integration:read", "integration:write"])?;
    require_instance(engine, caller)?;
    let unknown = || unknown(pushed, code);
    if !is_storable(code) {
        return Err(unknown());
    }
    let link = links::find(&engine.pool, &caller.instance, pushed.entity, code.trim_end_matches(' ')).await?;
    let link = link.ok_or_else(unknown)?;
    let (db, id) = (&engine.pool, link.internal_id);
    let fields = match pushed.entity {
        Entity::Product => show::product(db, id).await?,
        Entity::Category => show::category(db, id).await?,
        Entity::Brand => show::brand(db, id).await?,
        Entity::Customer => show::customer(db, id).await?,
        Entity::Price => show::price(db, id).await?,
        Entity::Stock => show::stock(db, id).await?,
        Entity::Invoice => show::invoice(db, id).await?,
        Entity::UnitSet | Entity::Warehouse | Entity::PriceList | Entity::Order | Entity::Ledger => None,
    };
    let record = Record {
        external_code: link.code,
        id,
        vesmarket_id: id,
        logo_id: link.external_id,
        version: link.version.map(|version| version.value),
        last_synced_at: link.last_synced_at,
        fields: fields.ok_or_else(unknown)?,
    };
    let body = serde_json::to_vec(&record).map_err(Problem::internal)?;
    // Weak: the same record has other bytes when it is sent compressed.
    let tag = format!("W/\"{:032x}\"", xxh3_128(&body));
    let is_known = known.and_then(|known| known.to_str().ok()).is_some_and(|known| is_among(&tag, known));
    let tag = HeaderValue::from_str(&tag).map_err(Problem::internal)?;
    Ok(match is_known {
        true => (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response(),
        false => {
            let json = HeaderValue::from_static("application/json");
            ([(header::ETAG, tag), (header::CONTENT_TYPE, json)], body).into_response()
        }
    })
}

/// Whether `If-None-Match` names this tag, weak and strong alike, or any.
fn is_among(tag: &str, known: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    known.trim() == "*" || known.split(',').any(|one| opaque(one) == opaque(tag))
}

/// No store keeps a NUL character, so no record has such a code.
fn is_storable(code: &str) -> bool {
    !code.contains('\0')
}

fn unknown(pushed: Pushed, code: &str) -> Problem {
    let detail = format!("there is no {} with the code {code}", pushed.entity.as_str().replace('_', " "));
    unsuccessful(Problem::not_found(detail))
}

/// Deactivates; the record, its history and its link stay.
pub(super) async fn remove(sender: Sender, pushed: Pushed, code: String) -> Result<Response, Problem> {
    let Sender { engine, caller, request, visit, .. } = sender;
    caller.require("integration:write")?;
    require_instance(&engine, &caller)?;
    if !is_storable(&code) {
        return Err(unknown(pushed, &code));
    }
    let actor = caller.actor();
    let shared = Arc::new((engine, caller, visit, code));
    request
        .run(&actor, b"", |tx| {
            let shared = Arc::clone(&shared);
            Box::pin(async move {
                let (engine, caller, visit, code) = &*shared;
                let actor = caller.actor();
                let by = visit.by(&actor);
                deactivated(tx, engine, &caller.instance, by, pushed, code.trim_end_matches(' ')).await
            })
        })
        .await
}

async fn deactivated(
    tx: &mut PgConnection,
    engine: &Engine,
    instance: &str,
    by: Actor<'_>,
    pushed: Pushed,
    code: &str,
) -> Result<Answer, Stop> {
    let (id, status) = match deactivate_one(tx, engine, instance, pushed.entity, code, by).await? {
        Deactivation::Unknown => return Err(unknown(pushed, code).into()),
        Deactivation::Refused(failure) => {
            let error = failure.detail.clone();
            let errors = vec![FieldError {
                field: "externalCode".to_owned(),
                code: failure.reason.into(),
                message: failure.detail,
            }];
            return Err(Problem::invalid(errors).member("success", false).member("error", error).into());
        }
        Deactivation::Already(id) => (id, "unchanged"),
        Deactivation::Done(id) => (id, "updated"),
    };
    let answer = PushedOne {
        success: true,
        external_code: code.to_owned(),
        id: Some(id),
        vesmarket_id: Some(id),
        is_new: false,
        status,
    };
    Ok(Answer::json(StatusCode::OK, &answer)?)
}
