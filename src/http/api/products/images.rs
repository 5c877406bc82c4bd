//! A product's images: uploaded, taken away.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::{StatusCode, Uri},
    response::Response,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{query, read::product_id, stop};
use crate::{
    commerce::editing,
    http::{
        idempotency::{Answer, Idempotent},
        openapi::Denied,
        problem::{FieldError, Problem},
        router::PublicState,
        signed_in::SignedIn,
        visitor::Visitor,
    },
    media::MediaError,
    principal::Permission,
};

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct AddQuery {
    /// What is to be seen, for those who do not see it.
    #[param(max_length = 200)]
    alt: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct RemoveQuery {
    /// `url` of the image.
    url: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ImageUploaded)]
pub(super) struct UploadedOut {
    /// Under which it is shown; what is shown there never changes.
    #[schema(example = "/media/0123456789abcdef0123456789abcdef01234567.jpg")]
    url: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ImageRemoved)]
pub(super) struct RemovedOut {
    /// Whether the product had it.
    removed: bool,
}

/// Puts an image behind a product's others. The body is the file: JPEG, PNG or WebP, which its content decides, at most 10 MB
/// and 40 million pixels. What is kept is drawn anew, without metadata.
#[utoipa::path(
    post,
    path = "/api/v1/products/{id}/images",
    tag = "catalogue",
    operation_id = "addImage",
    extensions(("x-permission" = json!("products.edit"))),
    security(("bearer" = []), ("apiKey" = [])),
    params(
        ("id" = i64, Path, description = "The product's id"),
        AddQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    request_body(content = inline(Vec<u8>), content_type = "application/octet-stream", description = "The file"),
    responses(
        (status = 201, description = "The product has it", body = UploadedOut),
        Denied
    )
)]
pub(super) async fn add(
    State(state): State<PublicState>,
    caller: SignedIn,
    Path(id): Path<String>,
    uri: Uri,
    request: Idempotent,
    Visitor(visit): Visitor,
    body: Bytes,
) -> Result<Response, Problem> {
    caller.require(Permission::ProductsEdit)?;
    let id = product_id(&id)?;
    let alt = query::read::<AddQuery>(&uri)?.alt;
    let url = state.catalogue.media.keep(body.clone()).await.map_err(refused)?;
    let actor = caller.actor();
    let shared = Arc::new((state, actor.clone(), visit, url, alt));
    let catalogue = shared.0.catalogue.clone();
    let answered = request
        .run(&actor, &body, |tx| {
            let shared = Arc::clone(&shared);
            Box::pin(async move {
                let (state, actor, visit, url, alt) = &*shared;
                let by = visit.provenance(actor, state.http.clock.now());
                editing::add_image(tx, &by, id, url, alt.as_deref()).await.map_err(stop)?;
                Ok(Answer::json(StatusCode::CREATED, &UploadedOut { url: url.clone() })?)
            })
        })
        .await;
    catalogue.changed().await;
    answered
}

/// Takes an image away from a product.
#[utoipa::path(
    delete,
    path = "/api/v1/products/{id}/images",
    tag = "catalogue",
    operation_id = "removeImage",
    extensions(("x-permission" = json!("products.edit"))),
    security(("bearer" = []), ("apiKey" = [])),
    params(
        ("id" = i64, Path, description = "The product's id"),
        RemoveQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    responses(
        (status = 200, description = "The product does not have it", body = RemovedOut),
        Denied
    )
)]
pub(super) async fn remove(
    State(state): State<PublicState>,
    caller: SignedIn,
    Path(id): Path<String>,
    uri: Uri,
    request: Idempotent,
    Visitor(visit): Visitor,
) -> Result<Response, Problem> {
    caller.require(Permission::ProductsEdit)?;
    let id = product_id(&id)?;
    let url = query::read::<RemoveQuery>(&uri)?.url;
    let actor = caller.actor();
    let shared = Arc::new((state, actor.clone(), visit, url));
    let catalogue = shared.0.catalogue.clone();
    let answered = request
        .run(&actor, b"", |tx| {
            let shared = Arc::clone(&shared);
            Box::pin(async move {
                let (state, actor, visit, url) = &*shared;
                let by = visit.provenance(actor, state.http.clock.now());
                let removed = editing::remove_image(tx, &by, id, url).await.map_err(stop)?;
                Ok(Answer::json(StatusCode::OK, &RemovedOut { removed })?)
            })
        })
        .await;
    catalogue.changed().await;
    answered
}

fn refused(error: MediaError) -> Problem {
    match error {
        MediaError::Picture(bad) => Problem::invalid(vec![FieldError {
            field: "body".to_owned(),
            code: bad.code().into(),
            message: bad.to_string(),
        }]),
        other => Problem::internal(other),
    }
}
