//! `/api/v1/products/{id}/overrides`: what a person holds against the source of a product.

use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::{edit::EditedOut, read::product_id, sent_as, stop, unknown};
use crate::{
    canonical::Entity,
    commerce::{
        editing::{self, NewOverride},
        products::Override,
    },
    http::{
        api::{
            acting::{Acting, Deed},
            sent::Sent,
            tagged::Tagged,
        },
        idempotency::{Answer, Idempotent, Stop},
        openapi::{Denied, ProblemDocument},
        problem::Problem,
        router::PublicState,
        signed_in::SignedIn,
    },
    hub::owners,
    principal::Permission,
};

/// What a field is to hold from now on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewProductOverride, example = json!({ "value": "IP kamera 4 MP, beyaz", "reason": "the name in LOGO is too short" }))]
pub(super) struct OverrideIn {
    /// Of the field's own type; null empties it.
    #[schema(value_type = Value)]
    value: Value,
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

/// A field that does not follow its source.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ProductOverride)]
pub(super) struct OverrideOut {
    #[schema(example = "name")]
    field: String,
    /// What holds.
    #[schema(value_type = Option<Value>, example = "IP kamera 4 MP, beyaz")]
    value: Value,
    /// What the source says, and what comes back when the override goes.
    #[schema(value_type = Option<Value>, example = "KAMERA")]
    source_value: Value,
    #[schema(example = "the name in LOGO is too short")]
    reason: String,
    created_at: DateTime<Utc>,
    /// Who it is from.
    created_by: String,
}

impl From<Override> for OverrideOut {
    fn from(stored: Override) -> OverrideOut {
        let shown = |value: Value| figure(&stored.field, value);
        OverrideOut {
            value: shown(stored.value),
            source_value: shown(stored.source_value),
            field: sent_as(&stored.field).to_owned(),
            reason: stored.reason,
            created_at: stored.created_at,
            created_by: stored.created_by,
        }
    }
}

/// A decimal is a number wherever it is shown.
fn figure(field: &str, value: Value) -> Value {
    let is_figure = matches!(field, "vatRate" | "weight" | "minimumOrderQuantity" | "orderMultiple");
    match value {
        Value::String(text) if is_figure => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        other => other,
    }
}

/// The overrides of a product.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProductOverrides)]
struct OverridesOut {
    items: Vec<OverrideOut>,
}

/// What people hold against the source of a product, field by field.
#[utoipa::path(
    get,
    path = "/api/v1/products/{id}/overrides",
    tag = "catalogue",
    operation_id = "listOverrides",
    extensions(("x-permission" = json!("products.edit"))),
    security(("bearer" = []), ("apiKey" = [])),
    params(
        ("id" = i64, Path, description = "The product's id"),
        ("If-None-Match" = Option<String>, Header, description = "`ETag` of the answer that is known")
    ),
    responses(
        (status = 200, description = "All of them", body = OverridesOut, headers(("ETag" = String))),
        (status = 304, description = "The known answer still holds"),
        (
            status = 404,
            description = "There is no such product",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        Denied
    )
)]
pub(super) async fn list(
    State(state): State<PublicState>,
    caller: SignedIn,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.require(Permission::ProductsEdit)?;
    let found = state.catalogue.reader.overrides(product_id(&id)?).await?.ok_or_else(unknown)?;
    Ok(Tagged::json(&OverridesOut { items: found.into_iter().map(OverrideOut::from).collect() })?.answer(&headers))
}

/// Makes a field of a product hold a value of yours, whatever its source says, until the override is taken away. What the
/// source says meanwhile is kept.
///
/// `field` is one of `name`, `categoryCode`, `brandCode`, `barcode`, `taxRate`, `isActive`, `trackStock`,
/// `requiresSerialNumber`, `productTypeCode`, `warrantyMonths`, `weight`, `weightUnit`, `minimumOrderQuantity`,
/// `orderMultiple`, `variantGroup` and `options`.
#[utoipa::path(
    put,
    path = "/api/v1/products/{id}/overrides/{field}",
    tag = "catalogue",
    operation_id = "setOverride",
    extensions(("x-permission" = json!("products.override"))),
    security(("bearer" = []), ("apiKey" = [])),
    params(
        ("id" = i64, Path, description = "The product's id"),
        ("field" = String, Path, description = "The field, as the product shows it"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    request_body = OverrideIn,
    responses(
        (status = 200, description = "The field holds this now", body = EditedOut),
        (
            status = 409,
            description = "No source writes this product: change it itself",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        Denied
    )
)]
pub(super) async fn set(
    State(state): State<PublicState>,
    acting: Acting,
    Path((id, field)): Path<(String, String)>,
    request: Idempotent,
    sent: Sent<OverrideIn>,
) -> Result<Response, Problem> {
    acting.require(Permission::ProductsOverride)?;
    let deed = OverrideDeed { product_id: product_id(&id)?, field, new: Some(sent.value) };
    let answered = acting.perform(&request, &sent.bytes, deed).await;
    state.catalogue.changed().await;
    answered
}

/// Takes an override away: the field is again what its source says.
#[utoipa::path(
    delete,
    path = "/api/v1/products/{id}/overrides/{field}",
    tag = "catalogue",
    operation_id = "removeOverride",
    extensions(("x-permission" = json!("products.override"))),
    security(("bearer" = []), ("apiKey" = [])),
    params(
        ("id" = i64, Path, description = "The product's id"),
        ("field" = String, Path, description = "The field, as the product shows it"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    responses(
        (status = 200, description = "The field follows its source", body = EditedOut),
        Denied
    )
)]
pub(super) async fn remove(
    State(state): State<PublicState>,
    acting: Acting,
    Path((id, field)): Path<(String, String)>,
    request: Idempotent,
) -> Result<Response, Problem> {
    acting.require(Permission::ProductsOverride)?;
    let deed = OverrideDeed { product_id: product_id(&id)?, field, new: None };
    let answered = acting.perform(&request, b"", deed).await;
    state.catalogue.changed().await;
    answered
}

struct OverrideDeed {
    product_id: i64,
    field: String,
    /// `None`: it is taken away.
    new: Option<OverrideIn>,
}

impl Deed for OverrideDeed {
    async fn done(&self, conn: &mut PgConnection, acting: &Acting) -> Result<Answer, Stop> {
        let (by, id) = (acting.by(), self.product_id);
        let field = stored_as(&self.field);
        let changed = match &self.new {
            Some(new) => {
                let owner = owners::owners(conn, Entity::Product, &[id]).await?.remove(&id);
                let new = NewOverride { field, value: &new.value, reason: &new.reason };
                editing::set_override(conn, &by, id, &new, owner.as_deref()).await
            }
            None => editing::remove_override(conn, &by, id, field).await,
        };
        let changed = if changed.map_err(stop)? { vec![self.field.clone()] } else { Vec::new() };
        Ok(Answer::json(StatusCode::OK, &EditedOut::of(id, false, changed))?)
    }
}

/// The canonical name of a field that is sent under this one.
fn stored_as(field: &str) -> &str {
    match field {
        "categoryCode" => "category",
        "brandCode" => "brand",
        "taxRate" => "vatRate",
        other => other,
    }
}
