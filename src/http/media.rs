//! `/media/…`: uploaded pictures. Whoever knows an address sees the picture; nobody guesses one.

use axum::{
    extract::{Path, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    openapi::{ProblemDocument, TooManyRequests},
    problem::Problem,
    router::PublicState,
};

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new().routes(routes!(show))
}

/// An uploaded picture. What stands under an address never changes.
#[utoipa::path(
    get,
    path = "/media/{name}",
    tag = "catalogue",
    operation_id = "showPicture",
    params(("name" = String, Path, description = "As the product's image has it")),
    responses(
        (status = 200, description = "The picture", content_type = "image/*"),
        (
            status = 404,
            description = "There is no such picture",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        TooManyRequests
    )
)]
async fn show(State(state): State<PublicState>, Path(name): Path<String>) -> Result<Response, Problem> {
    let found = state.catalogue.media.find(&name).await.map_err(Problem::internal)?;
    let picture = found.ok_or_else(|| Problem::not_found("there is no such picture"))?;
    let about = [
        (header::CONTENT_TYPE, HeaderValue::from_static(picture.content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'")),
    ];
    Ok((about, picture.bytes).into_response())
}
